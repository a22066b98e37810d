//! Staleness: how many epochs old updates were when they were accepted.

use super::contacts::draw_bar;
use crate::html::axis::{Axis, Scale};
use crate::html::chart::{COLUMN, Chart, Grid, Spec, hairline, lanes, n_of};
use crate::html::data::ReportData;
use crate::html::document::{Content, Figure};
use crate::html::number;
use crate::html::paint::Paint;
use crate::html::svg::{Anchor, Drawing, Point, TextStyle, text_width};
use crate::html::thin;

/// Most bars.
const BARS_MAX: usize = 60;
/// Quantiles that are marked, with their names.
const QUANTILES: [(f64, &str); 3] = [(0.5, "median"), (0.9, "90 %"), (0.99, "99 %")];
/// Height of a lane of labels.
const LANE: f64 = 16.0;

/// The figure.
pub fn figure(data: &ReportData) -> Figure {
    let counts = trimmed(&data.staleness.acceptances);
    let total = total(counts);
    let content = if total == 0 {
        Content::Nothing("No peer accepted an update of another.".to_owned())
    } else {
        Content::Column(draw(counts))
    };
    let caption = format!(
        "Epochs between the epoch of an update and the epoch in which another peer accepted it; \
         0 means within the same epoch. {}.",
        n_of(total, "acceptance", "acceptances")
    );
    let (id, title) = ("staleness".to_owned(), "Staleness of accepted updates".to_owned());
    Figure { id, title, caption, content }
}

fn trimmed(counts: &[u64]) -> &[u64] {
    let end = counts.iter().rposition(|&count| count > 0).map_or(0, |last| last + 1);
    &counts[..end]
}

fn total(counts: &[u64]) -> u64 {
    counts.iter().fold(0, |sum: u64, &it| sum.saturating_add(it))
}

/// The least staleness that at least `share` of the acceptances do not exceed.
pub fn quantile(counts: &[u64], share: f64) -> Option<usize> {
    let needed = total(counts) as f64 * share;
    let mut sum = 0_u64;
    counts.iter().position(|&count| {
        sum = sum.saturating_add(count);
        count > 0 && sum as f64 >= needed
    })
}

fn draw(counts: &[u64]) -> Drawing {
    let (width, bars) = thin::histogram(counts, BARS_MAX);
    let all = total(counts) as f64;
    let most = bars.iter().copied().max().unwrap_or(0) as f64 / all;
    let end = (bars.len() * width).max(5) as f64;
    let mut x = Axis::of_counts("Staleness (epochs)", end - 1.0, 8);
    x.domain = (-0.5, end - 0.5);
    x.ticks.retain(|tick| tick.value <= x.domain.1);
    let marks = QUANTILES.iter().filter_map(|&(share, name)| {
        let at = quantile(counts, share)?;
        Some((at as f64, format!("{name}: {at}")))
    });
    let marks: Vec<_> = marks.collect();
    let above = room_for_marks(&x, &marks);
    let mut chart = Chart::new(Spec {
        width: COLUMN,
        plot_height: 210.0,
        x,
        y: Axis::of_shares("Share of acceptances", most, 5),
        keys: &[],
        grid: Grid::Both,
        above,
        below: 0.0,
    });
    for (index, &count) in bars.iter().enumerate() {
        let (from, to) = (index * width, (index + 1) * width);
        let epochs = if width == 1 {
            number::counted(from as u64, "epoch", "epochs")
        } else {
            format!("{from}–{} epochs", to - 1)
        };
        let share = count as f64 / all;
        let title = format!("{epochs}: {} ({})", number::count(count), number::percent(share));
        draw_bar(&mut chart, (from as f64 - 0.5, to as f64 - 0.5), share, &title);
    }
    draw_marks(&mut chart, &marks);
    chart.finish()
}

/// The height that [`draw_marks`] needs above a plot of a column's width.
pub fn room_for_marks(x: &Axis, marks: &[(f64, String)]) -> f64 {
    let scale = x.scale((70.0, COLUMN - 20.0));
    let lanes = lanes(&mark_labels(&scale, marks));
    lanes.into_iter().max().map_or(0.0, |last| (last + 1) as f64 * LANE) + 6.0
}

/// Draws upright lines at values of the x axis, their labels above the plot in
/// lanes in which none touches another.
pub fn draw_marks(chart: &mut Chart, marks: &[(f64, String)]) {
    let labels = mark_labels(&chart.x, marks);
    for (((at, text), (middle, _)), lane) in marks.iter().zip(&labels).zip(lanes(&labels)) {
        let x = chart.x.at(*at);
        chart.upright(x, hairline(Paint::Ink));
        let place = Point { x: *middle, y: chart.area.y - 6.0 - lane as f64 * LANE };
        let style = TextStyle { paint: Paint::Ink, ..TextStyle::muted(Anchor::Middle) };
        chart.svg.text(place, style, text);
    }
}

/// Middle and width of each label, kept inside the figure.
fn mark_labels(scale: &Scale, marks: &[(f64, String)]) -> Vec<(f64, f64)> {
    let label = |(at, label): &(f64, String)| {
        let width = text_width(label, 12.0);
        let (left, right) = (scale.range.0 + width / 2.0, scale.range.1 - width / 2.0 + 10.0);
        (scale.at(*at).clamp(left, right.max(left)), width)
    };
    marks.iter().map(label).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::html::data::Staleness;
    use crate::html::testing;

    #[test]
    fn nothing_accepted_is_a_sentence() {
        let mut data = testing::report();
        for acceptances in [vec![], vec![0, 0, 0]] {
            data.staleness = Staleness { acceptances };
            assert!(matches!(figure(&data).content, Content::Nothing(_)));
        }
    }

    #[test]
    fn quantiles_count_acceptances() {
        let counts = [50, 40, 0, 9, 1];
        let found = [0.0, 0.5, 0.51, 0.9, 0.99, 1.0].map(|share| quantile(&counts, share));
        assert_eq!(found, [0, 0, 1, 1, 3, 4].map(Some));
        assert_eq!(quantile(&[], 0.5), None);
    }

    #[test]
    fn a_long_tail_is_joined() {
        let counts: Vec<u64> = (0..1_000).map(|it| 1_000 - it).collect();
        let bars = draw(&counts).body.matches("<title>").count();
        assert!(bars <= BARS_MAX, "{bars}");
    }
}
