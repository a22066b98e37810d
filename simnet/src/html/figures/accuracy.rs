//! Accuracy over time: a line and a band for each group of peers.

use crate::html::axis::Axis;
use crate::html::chart::{COLUMN, Chart, Grid, Spec, WIDE};
use crate::html::data::{BandPoint, GroupSeries, ReportData};
use crate::html::document::{Content, Figure};
use crate::html::legend::{Key, Swatch};
use crate::html::number;
use crate::html::paint::{Paint, SERIES_COLOURS};
use crate::html::svg::{Dash, Drawing, Fill, Point, Stroke, ribbon, shortened};
use crate::html::thin;
use crate::html::timeline::Timeline;

/// Most groups that are drawn: two rounds of the palette.
const GROUPS_MAX: usize = 2 * SERIES_COLOURS;

/// The figure.
pub fn figure(data: &ReportData) -> Figure {
    let content =
        if data.accuracy.groups.iter().any(|group| !thin::finite(&group.points).is_empty()) {
            Content::Wide { wide: draw(data, WIDE, 330.0), column: draw(data, COLUMN, 300.0) }
        } else {
            Content::Nothing(
                "No accuracy was measured: the run trained on nothing real, or sampled no peer."
                    .to_owned(),
            )
        };
    let (id, title) = ("accuracy".to_owned(), "Accuracy over time".to_owned());
    Figure { id, title, caption: caption(data), content }
}

fn caption(data: &ReportData) -> String {
    let accuracy = &data.accuracy;
    let peers: u64 = accuracy.groups.iter().map(|group| u64::from(group.peers)).sum();
    let groups = accuracy.groups.len();
    let points = accuracy.groups.iter().map(|group| group.points.len()).max().unwrap_or(0);
    let mut text = format!(
        "Share of test samples that the peers' shared models classify correctly: mean over each \
         group (line), from its worst to its best peer (band). n = {} in {}, measured at {}.",
        number::counted(peers, "peer", "peers"),
        number::counted(groups as u64, "group", "groups"),
        number::counted(points as u64, "moment", "moments"),
    );
    if groups > GROUPS_MAX {
        text += &format!(" The first {GROUPS_MAX} groups are drawn.");
    }
    if !accuracy.alone.is_empty() {
        text += " Dotted: the same peers, each trained on its own data alone.";
    }
    if let Some(reference) = &accuracy.reference {
        text += &format!(
            " Dashed: {}, mean over {}, seed {}.",
            shortened(&reference.label, 60),
            number::counted(u64::from(reference.peers), "peer", "peers"),
            reference.seed
        );
    }
    text + &Timeline::with_seals(data).caption()
}

fn draw(data: &ReportData, width: f64, plot_height: f64) -> Drawing {
    let timeline = Timeline::with_seals(data);
    let mut keys = keys(data);
    keys.extend(timeline.keys());
    let mut chart = Chart::new(Spec {
        width,
        plot_height,
        x: Axis::of_time(timeline.end_s(), (width / 80.0) as usize),
        y: y_axis(data),
        keys: &keys,
        grid: Grid::Both,
        above: timeline.above(width - 80.0),
        below: timeline.below(),
    });
    timeline.draw(&mut chart);
    let points_max = thin::points_max(chart.area.width);
    let series = |group: &GroupSeries| thin::band(&thin::finite(&group.points), points_max);
    let groups: Vec<_> = data.accuracy.groups.iter().take(GROUPS_MAX).collect();
    for (index, group) in groups.iter().enumerate() {
        draw_band(&mut chart, &series(group), Paint::Series(index));
    }
    chart.open_series();
    if let Some(reference) = &data.accuracy.reference {
        let points = thin::band(&thin::finite(&reference.points), points_max);
        chart.series(&means(&points), reference_stroke(), &reference.label);
    }
    for alone in data.accuracy.alone.iter().take(GROUPS_MAX) {
        let name = format!("{} alone", shortened(&alone.name, 50));
        chart.series(&means(&series(alone)), alone_stroke(data, &alone.name), &name);
    }
    for (index, group) in groups.iter().enumerate() {
        chart.series(&means(&series(group)), group_stroke(index), &group.name);
    }
    chart.close_series();
    chart.finish()
}

fn keys(data: &ReportData) -> Vec<Key> {
    let accuracy = &data.accuracy;
    let group = |(index, group): (usize, &GroupSeries)| {
        let peers = number::counted(u64::from(group.peers), "peer", "peers");
        Key::new(
            format!("{} ({peers})", shortened(&group.name, 28)),
            Swatch::Band(group_stroke(index)),
        )
    };
    let mut keys: Vec<_> = accuracy.groups.iter().take(GROUPS_MAX).enumerate().map(group).collect();
    if !accuracy.alone.is_empty() {
        let stroke = Stroke { paint: Paint::Ink, ..alone_stroke(data, "") };
        keys.push(Key::new("each peer alone", Swatch::Line(stroke)));
    }
    if let Some(reference) = &accuracy.reference {
        keys.push(Key::new(reference.label.clone(), Swatch::Line(reference_stroke())));
    }
    keys
}

/// From 0 when something is near it, otherwise over the values; never above 1.
fn y_axis(data: &ReportData) -> Axis {
    let accuracy = &data.accuracy;
    let of_groups = accuracy.groups.iter().chain(&accuracy.alone).flat_map(|it| &it.points);
    let of_reference = accuracy.reference.iter().flat_map(|it| &it.points);
    let points: Vec<_> = of_groups.chain(of_reference).copied().collect();
    let (mut from, mut to) = (1.0_f64, 0.0_f64);
    for point in thin::finite(&points) {
        from = from.min(point.min);
        to = to.max(point.max);
    }
    let from = if from < 0.4 { 0.0 } else { from };
    let mut axis = Axis::over("Accuracy", (from, to.max(from + 0.02)), 6);
    axis.ticks.retain(|tick| (-1e-9..=1.0 + 1e-9).contains(&tick.value));
    axis.domain = (axis.domain.0.clamp(0.0, 0.99), axis.domain.1.min(1.0));
    axis
}

fn draw_band(chart: &mut Chart, points: &[BandPoint], paint: Paint) {
    let edge = |value: fn(&BandPoint) -> f64| -> Vec<Point> {
        points.iter().map(|point| chart.point(point.at_s, value(point))).collect()
    };
    let d = ribbon(&edge(|it| it.max), &edge(|it| it.min));
    if !d.is_empty() {
        chart.svg.fill_path(&d, Fill { paint, opacity: 0.16 });
    }
}

fn means(points: &[BandPoint]) -> Vec<(f64, f64)> {
    points.iter().map(|point| (point.at_s, point.mean)).collect()
}

fn group_stroke(index: usize) -> Stroke {
    let dash = if index < SERIES_COLOURS { Dash::Solid } else { Dash::Dashed };
    Stroke { paint: Paint::Series(index), width: 2.2, dash }
}

fn alone_stroke(data: &ReportData, name: &str) -> Stroke {
    let index = data.accuracy.groups.iter().position(|group| group.name == name);
    let paint = index.map_or(Paint::Muted, Paint::Series);
    Stroke { paint, width: 2.2, dash: Dash::Dotted }
}

const fn reference_stroke() -> Stroke {
    Stroke { paint: Paint::Ink, width: 1.6, dash: Dash::Dashed }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::html::data::Accuracy;
    use crate::html::testing;

    #[test]
    fn nothing_measured_is_a_sentence() {
        let mut data = testing::report();
        data.accuracy = Accuracy::default();
        assert!(matches!(figure(&data).content, Content::Nothing(_)));
        data.accuracy = testing::report().accuracy;
        for group in &mut data.accuracy.groups {
            group.points.iter_mut().for_each(|point| point.mean = f64::NAN);
        }
        assert!(matches!(figure(&data).content, Content::Nothing(_)));
    }

    #[test]
    fn a_long_series_is_thinned() {
        let mut data = testing::report();
        let point = |at: u32| BandPoint { at_s: f64::from(at), mean: 0.5, min: 0.4, max: 0.6 };
        data.accuracy.groups[0].points = (0..50_000).map(point).collect();
        let body = draw(&data, WIDE, 300.0).body;
        let longest = body
            .split("data-x=\"")
            .skip(1)
            .map(|it| it.split('"').next().unwrap_or_default().split(' ').count());
        assert!(longest.max().unwrap() <= thin::POINTS_MAX);
    }

    #[test]
    fn the_caption_says_n_seeds_and_what_is_compared() {
        let caption = caption(&testing::report());
        for part in ["n = 6 peers in 2 groups", "seed 7", "alone", "Shaded"] {
            assert!(caption.contains(part), "{caption}");
        }
    }

    #[test]
    fn the_axis_ends_at_one() {
        let mut data = testing::report();
        data.accuracy.groups[0].points =
            vec![BandPoint { at_s: 1.0, mean: 0.995, min: 0.99, max: 1.0 }];
        data.accuracy.alone.clear();
        data.accuracy.reference = None;
        data.accuracy.groups.truncate(1);
        let axis = y_axis(&data);
        assert!(axis.domain.1 <= 1.0 && axis.domain.0 >= 0.9, "{axis:?}");
    }
}
