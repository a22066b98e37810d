//! Seals over time: up to which epoch peers sealed, what came too late, and how many
//! updates they held because of it.

use crate::html::axis::Axis;
use crate::html::chart::{Chart, n_of};
use crate::html::data::ReportData;
use crate::html::document::{Content, Figure};
use crate::html::legend::{Key, Swatch};
use crate::html::number;
use crate::html::paint::Paint;
use crate::html::seals::{HeldPoint, SealCount, SealPoint, Seals};
use crate::html::svg::{Dash, Drawing, Fill, Point, Stroke, ribbon, steps};
use crate::html::thin;
use crate::html::timeline::Timeline;

/// Height of the plots.
const PLOT_HEIGHT: f64 = 230.0;
/// Most dots of one kind.
const DOTS_MAX: usize = 2_000;
/// Radius of the dot of a snapshot, and of an update that came too late.
const RADII: (f64, f64) = (4.5, 2.4);

const MEDIAN: Stroke = Stroke::solid(Paint::Series(0), 2.2);
const LAST: Stroke = Stroke { paint: Paint::Series(1), width: 1.6, dash: Dash::Dashed };
const BOUND: Stroke = Stroke { paint: Paint::Muted, width: 1.4, dash: Dash::Dotted };
const ADOPTED: Fill = Fill::solid(Paint::Series(2));
const LATE: Fill = Fill::solid(Paint::Bad);

/// The figure of what was sealed.
pub fn sealed(data: &ReportData, seals: &Seals) -> Figure {
    let content = if seals.seals.is_empty() {
        Content::Nothing(format!(
            "Nothing was sealed, though the scenario seals epochs {} back: no value had the votes \
             of a quorum.",
            seals.window_epochs
        ))
    } else {
        Content::Column(draw_sealed(data, seals))
    };
    let (id, title) = ("sealed".to_owned(), "Sealed epochs".to_owned());
    Figure { id, title, caption: caption(data, seals), content }
}

fn caption(data: &ReportData, seals: &Seals) -> String {
    let mut text = format!(
        "The epoch before which everything is sealed, for the median honest peer and the one \
         furthest behind, at the end of each epoch. No epoch may be sealed above the dotted line, \
         {} epochs behind the clock; an attempt every {}. {} in all; peers went on with a \
         snapshot in place of their own set {}; {} came too late.",
        seals.window_epochs,
        every(seals.every_epochs),
        number::counted(seals.seals.len() as u64, "seal", "seals"),
        number::counted(seals.adopted_times(), "time", "times"),
        number::counted(seals.too_late_times(), "own update", "own updates"),
    );
    if seals.too_late.len() > DOTS_MAX || seals.adopted.len() > DOTS_MAX {
        text += &format!(" The first {DOTS_MAX} dots are drawn.");
    }
    text += &format!(" {}.", n_of(u64::from(seals.peers), "honest peer", "honest peers"));
    text + &Timeline::of(data).caption()
}

fn every(epochs: u32) -> String {
    if epochs == 1 { "epoch".to_owned() } else { number::counted(u64::from(epochs), "", "epochs") }
}

fn draw_sealed(data: &ReportData, seals: &Seals) -> Drawing {
    let epoch_s = data.header.epoch_ms as f64 / 1_000.0;
    let end_s = Timeline::of(data).end_s();
    let open = if epoch_s > 0.0 { end_s / epoch_s - f64::from(seals.window_epochs) } else { 0.0 };
    let highest = seals.progress.iter().map(|it| it.median).max().unwrap_or(0);
    let marked = seals.too_late.iter().chain(&seals.adopted).map(|it| it.epoch).max().unwrap_or(0);
    let top = f64::from(highest.max(marked)).max(open);
    let keys = sealed_keys(seals);
    let mut chart = chart(data, Axis::of_counts("Sealed up to epoch", top, 6), keys);
    if open > 0.0 {
        let from = chart.point(f64::from(seals.window_epochs) * epoch_s, 0.0);
        let to = chart.point(end_s, open);
        chart.svg.line(from, to, BOUND);
    }
    chart.open_series();
    let points: Vec<_> = seals.progress.iter().filter(|it| it.at_s.is_finite()).collect();
    draw_steps(&mut chart, &points, |it| it.least, LAST, "furthest behind");
    draw_steps(&mut chart, &points, |it| it.median, MEDIAN, "median peer");
    chart.close_series();
    draw_dots(&mut chart, &seals.adopted, RADII.0, ADOPTED);
    draw_dots(&mut chart, &seals.too_late, RADII.1, LATE);
    chart.finish()
}

fn sealed_keys(seals: &Seals) -> Vec<Key> {
    let mut keys = vec![
        Key::new("median peer", Swatch::Line(MEDIAN)),
        Key::new("furthest behind", Swatch::Line(LAST)),
        Key::new(format!("{} epochs back", seals.window_epochs), Swatch::Line(BOUND)),
    ];
    if !seals.adopted.is_empty() {
        keys.push(Key::new("gone on with a snapshot", Swatch::Dot(ADOPTED)));
    }
    if !seals.too_late.is_empty() {
        keys.push(Key::new("own update too late", Swatch::Dot(LATE)));
    }
    keys
}

/// The figure of how many updates the peers held.
pub fn held(data: &ReportData, seals: &Seals) -> Figure {
    let caption = format!(
        "Updates in a peer's model at the end of each epoch (mean), and those of them in open \
         epochs, which alone take memory and disk (mean, and the peer that holds most). {}.{}",
        n_of(u64::from(seals.peers), "honest peer", "honest peers"),
        Timeline::of(data).caption()
    );
    let is_finite = |it: &&HeldPoint| {
        [it.at_s, it.updates_mean, it.held_mean, it.held_max].into_iter().all(f64::is_finite)
    };
    let points: Vec<_> = seals.held.iter().filter(is_finite).copied().collect();
    let content = match points.as_slice() {
        [] => Content::Nothing("No updates were counted.".to_owned()),
        points => Content::Column(draw_held(data, points)),
    };
    Figure { id: "held".to_owned(), title: "Updates held".to_owned(), caption, content }
}

fn draw_held(data: &ReportData, points: &[HeldPoint]) -> Drawing {
    let all = Stroke { paint: Paint::Muted, width: 1.6, dash: Dash::Dotted };
    let keys = vec![
        Key::new("all, mean", Swatch::Line(all)),
        Key::new("in open epochs, mean", Swatch::Line(MEDIAN)),
        Key::new("in open epochs, most", Swatch::Line(LAST)),
    ];
    let most = points.iter().map(|it| it.updates_mean.max(it.held_max)).fold(1.0, f64::max);
    let mut chart = chart(data, Axis::of_counts("Updates", most, 6), keys);
    let points_max = thin::points_max(chart.area.width);
    let series = |value: fn(&HeldPoint) -> f64| {
        let values: Vec<_> = points.iter().map(|it| (it.at_s, value(it))).collect();
        thin::line(&values, points_max)
    };
    let (mean, max) = (series(|it| it.held_mean), series(|it| it.held_max));
    let upper: Vec<_> = mean.iter().map(|&(x, y)| chart.point(x, y)).collect();
    let base: Vec<_> = upper.iter().map(|it| Point { y: chart.area.bottom(), ..*it }).collect();
    chart.svg.fill_path(&ribbon(&upper, &base), Fill { paint: Paint::Series(0), opacity: 0.12 });
    chart.open_series();
    chart.series(&series(|it| it.updates_mean), all, "all, mean");
    chart.series(&max, LAST, "in open epochs, most");
    chart.series(&mean, MEDIAN, "in open epochs, mean");
    chart.close_series();
    chart.finish()
}

fn chart(data: &ReportData, y: Axis, keys: Vec<Key>) -> Chart {
    Timeline::of(data).column(PLOT_HEIGHT, y, keys)
}

fn draw_steps(
    chart: &mut Chart,
    points: &[&SealPoint],
    value: fn(&SealPoint) -> u32,
    stroke: Stroke,
    name: &str,
) {
    let values: Vec<_> = points.iter().map(|it| (it.at_s, f64::from(value(it)))).collect();
    let values = thin::line(&values, thin::points_max(chart.area.width));
    let places: Vec<_> = values.iter().map(|&(x, y)| chart.point(x, y)).collect();
    chart.series_path(&steps(&places), &values, stroke, name);
}

fn draw_dots(chart: &mut Chart, counts: &[SealCount], radius: f64, fill: Fill) {
    for it in counts.iter().filter(|it| it.at_s.is_finite()).take(DOTS_MAX) {
        let at = chart.point(it.at_s, f64::from(it.epoch));
        chart.svg.dot(at, radius, fill);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::html::testing;

    fn data() -> (ReportData, Seals) {
        let data = testing::report();
        let seals = data.seals.clone().expect("the small run seals");
        (data, seals)
    }

    #[test]
    fn nothing_sealed_is_a_sentence() {
        let (data, mut seals) = data();
        seals.seals.clear();
        let Content::Nothing(sentence) = sealed(&data, &seals).content else { panic!("a drawing") };
        assert!(sentence.contains("12 back"), "{sentence}");
        seals.held.clear();
        assert!(matches!(held(&data, &seals).content, Content::Nothing(_)));
    }

    #[test]
    fn the_caption_counts_what_the_dots_stand_for() {
        let (data, seals) = data();
        let caption = caption(&data, &seals);
        for part in ["2 seals in all", "own set 1 time;", "3 own updates came too late", "n = 5"] {
            assert!(caption.contains(part), "{caption}");
        }
    }

    #[test]
    fn every_late_epoch_has_a_dot_up_to_a_limit() {
        let (data, mut seals) = data();
        let dots = |seals: &Seals| draw_sealed(&data, seals).body.matches("<circle").count();
        // Two keys, a snapshot, and two epochs of late updates.
        assert_eq!(dots(&seals), 5);
        seals.too_late = vec![seals.too_late[0]; 3 * DOTS_MAX];
        assert_eq!(dots(&seals), DOTS_MAX + 3);
        assert!(caption(&data, &seals).contains("The first 2000 dots"));
    }

    #[test]
    fn keys_name_only_what_is_drawn() {
        let (_, mut seals) = data();
        assert_eq!(sealed_keys(&seals).len(), 5);
        (seals.adopted, seals.too_late) = (Vec::new(), Vec::new());
        assert_eq!(sealed_keys(&seals).len(), 3);
    }
}
