//! Bytes: how unevenly the links share them, and which frames they are.

use super::bars::{self, Row};
use crate::html::axis::Axis;
use crate::html::chart::{COLUMN, Chart, Grid, Spec, n_of};
use crate::html::data::{KindBytes, LinkBytes, ReportData, Traffic};
use crate::html::document::{Cell, Column, Content, Figure, table};
use crate::html::number;
use crate::html::paint::Paint;
use crate::html::svg::{Drawing, Fill, Point, Stroke, ribbon, steps};
use crate::html::thin;

/// Most kinds of frames that have their own row.
const KINDS_MAX: usize = 14;

/// The figure of the links, by rank.
pub fn links(data: &ReportData) -> Figure {
    let traffic = &data.traffic;
    let ranked = ranked(traffic);
    let all: f64 = ranked.iter().sum();
    let content = if all <= 0.0 {
        Content::Nothing("No link carried a byte.".to_owned())
    } else {
        Content::Column(draw_links(&ranked))
    };
    let tenth = ranked.len().div_ceil(10);
    let share = ranked.iter().take(tenth).sum::<f64>() / all.max(1.0);
    let median = ranked.get(ranked.len() / 2).copied().unwrap_or(0.0);
    let caption = format!(
        "Bytes that each link (pair of peers that ever met, both directions) carried, busiest \
         first; median {}; the busiest tenth carried {} of all bytes. {}.",
        number::bytes(median),
        number::percent(share),
        n_of(traffic.links.max(ranked.len() as u64), "link", "links")
    );
    Figure { id: "links".to_owned(), title: "Bytes per link".to_owned(), caption, content }
}

/// The figure of the kinds of frames.
pub fn kinds(data: &ReportData) -> Figure {
    let kinds = &data.traffic.by_kind;
    let frames = kinds.iter().fold(0_u64, |sum, it| sum.saturating_add(it.frames));
    let content = if kinds.iter().all(|it| it.bytes == 0) {
        Content::Nothing("No frame was sent.".to_owned())
    } else {
        Content::Column(draw_kinds(kinds))
    };
    let caption = format!(
        "Bytes sent by kind of frame, {} together. {}.",
        number::bytes(total_bytes(&data.traffic)),
        n_of(frames, "frame", "frames")
    );
    Figure { id: "frames".to_owned(), title: "Bytes by kind of frame".to_owned(), caption, content }
}

/// The table of the busiest links; empty when there are none.
pub fn top(traffic: &Traffic) -> String {
    if traffic.top.is_empty() {
        return String::new();
    }
    let row = |link: &LinkBytes| {
        vec![
            Cell::text(&link.a),
            Cell::text(&link.b),
            Cell::text(number::count(link.contacts)),
            Cell::text(number::bytes(link.bytes as f64)),
        ]
    };
    let rows: Vec<_> = traffic.top.iter().take(Traffic::TOP).map(row).collect();
    let columns = [
        ("Peer", Column::Text),
        ("Peer", Column::Text),
        ("Contacts", Column::Number),
        ("Bytes", Column::Number),
    ];
    format!(
        "<section class=\"card\" id=\"top-links\"><h3>Busiest links</h3>\n{}</section>\n",
        table(&columns, &rows)
    )
}

/// All bytes sent.
pub fn total_bytes(traffic: &Traffic) -> f64 {
    traffic.by_kind.iter().map(|it| it.bytes as f64).sum()
}

fn ranked(traffic: &Traffic) -> Vec<f64> {
    let mut bytes: Vec<_> = traffic.bytes_per_link.iter().map(|&it| it as f64).collect();
    bytes.sort_by(|a, b| b.total_cmp(a));
    bytes
}

fn draw_links(ranked: &[f64]) -> Drawing {
    let most = ranked.first().copied().unwrap_or(0.0);
    let mut x = Axis::of_shares("Links, busiest first", 1.0, 5);
    (x.unit, x.per_unit) = ("% of links", 100.0);
    let mut chart = Chart::new(Spec {
        width: COLUMN,
        plot_height: 210.0,
        x,
        y: Axis::of_bytes("Bytes", most, 5),
        keys: &[],
        grid: Grid::Both,
        above: 8.0,
        below: 0.0,
    });
    let rank = |index: usize| index as f64 / ranked.len() as f64;
    let mut values: Vec<_> = ranked.iter().enumerate().map(|(at, &it)| (rank(at), it)).collect();
    values.push((1.0, ranked.last().copied().unwrap_or(0.0)));
    let values = thin::line(&values, thin::points_max(chart.area.width));
    let places: Vec<_> = values.iter().map(|&(x, y)| chart.point(x, y)).collect();
    draw_area(&mut chart, &places);
    chart.open_series();
    chart.series_path(&steps(&places), &values, Stroke::solid(Paint::Series(0), 2.0), "bytes");
    chart.close_series();
    chart.finish()
}

/// Fills the area below steps.
fn draw_area(chart: &mut Chart, places: &[Point]) {
    let mut outline = Vec::new();
    for pair in places.windows(2) {
        outline.push(pair[0]);
        outline.push(Point { x: pair[1].x, y: pair[0].y });
    }
    let bottom = chart.area.bottom();
    let base: Vec<_> = outline.first().into_iter().chain(outline.last()).collect();
    let base: Vec<_> = base.into_iter().map(|it| Point { y: bottom, ..*it }).collect();
    let d = ribbon(&outline, &base);
    if !d.is_empty() {
        chart.svg.fill_path(&d, Fill { paint: Paint::Series(0), opacity: 0.18 });
    }
}

fn draw_kinds(kinds: &[KindBytes]) -> Drawing {
    let mut sorted: Vec<_> = kinds.iter().filter(|it| it.bytes > 0).cloned().collect();
    sorted.sort_by(|a, b| b.bytes.cmp(&a.bytes).then_with(|| a.kind.cmp(&b.kind)));
    if sorted.len() > KINDS_MAX {
        let rest = sorted.split_off(KINDS_MAX - 1);
        let sum = |value: fn(&KindBytes) -> u64| {
            rest.iter().fold(0_u64, |sum, it| sum.saturating_add(value(it)))
        };
        let kind = format!("{} other kinds", rest.len());
        sorted.push(KindBytes { kind, frames: sum(|it| it.frames), bytes: sum(|it| it.bytes) });
    }
    let row = |it: &KindBytes| {
        let value = number::bytes(it.bytes as f64);
        let frames = number::counted(it.frames, "frame", "frames");
        let title = format!("{}: {value} in {frames}", it.kind);
        let parts = vec![(Paint::Series(0), it.bytes as f64, title)];
        Row { name: it.kind.clone(), parts, value: format!("{value}, {frames}") }
    };
    let most = sorted.iter().map(|it| it.bytes as f64).fold(0.0, f64::max);
    let rows: Vec<_> = sorted.iter().map(row).collect();
    bars::draw(&rows, Axis::of_bytes("Bytes", most, 4), &[])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::html::testing;

    #[test]
    fn no_bytes_are_a_sentence() {
        let mut data = testing::report();
        data.traffic = Traffic::default();
        assert!(matches!(links(&data).content, Content::Nothing(_)));
        assert!(matches!(kinds(&data).content, Content::Nothing(_)));
        assert!(top(&data.traffic).is_empty());
        data.traffic.bytes_per_link = vec![0; 5];
        assert!(matches!(links(&data).content, Content::Nothing(_)));
    }

    #[test]
    fn the_caption_says_how_uneven_the_links_are() {
        let mut data = testing::report();
        data.traffic.bytes_per_link = vec![1; 9];
        data.traffic.bytes_per_link.push(91);
        data.traffic.links = 10;
        let caption = links(&data).caption;
        assert!(
            caption.contains("carried 91.0 %") && caption.contains("n = 10 links"),
            "{caption}"
        );
    }

    #[test]
    fn names_of_links_are_escaped() {
        let mut traffic = testing::report().traffic;
        traffic.top[0].a = "<img src=x>".into();
        let html = top(&traffic);
        assert!(html.contains("&lt;img src=x&gt;") && !html.contains("<img"));
    }
}
