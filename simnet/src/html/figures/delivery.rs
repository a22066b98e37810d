//! Delivery delay: the distribution of the time from an update's publication
//! to its acceptance by another peer. What could have been delivered and was not
//! is the gap between the curve's end and 100 %.

use super::staleness::{draw_marks, room_for_marks};
use crate::html::axis::Axis;
use crate::html::chart::{COLUMN, Chart, Grid, Spec, n_of};
use crate::html::data::{DelayPoint, Delivery, ReportData};
use crate::html::document::{Content, Figure};
use crate::html::legend::{Key, Swatch};
use crate::html::number;
use crate::html::paint::Paint;
use crate::html::svg::{Area, Drawing, Fill, Stroke, steps};
use crate::html::thin;

/// Quantiles that are marked, with their names.
const QUANTILES: [(f64, &str); 3] = [(0.5, "median"), (0.9, "90 %"), (0.99, "99 %")];
/// Shorter delays stand at this one, so that a logarithm exists.
const DELAY_MIN_S: f64 = 1e-3;

/// The figure.
pub fn figure(data: &ReportData) -> Figure {
    let delivery = &data.delivery;
    let points = points(delivery);
    let content = if points.is_empty() {
        Content::Nothing("No update reached another peer.".to_owned())
    } else {
        Content::Column(draw(delivery, &points))
    };
    let (id, title) = ("delivery".to_owned(), "Delivery delay".to_owned());
    Figure { id, title, caption: caption(delivery, &points), content }
}

fn caption(delivery: &Delivery, points: &[DelayPoint]) -> String {
    let mut text = format!(
        "Time from the publication of an update to its acceptance by another peer, over all \
         pairs of a published update and another peer. {}",
        n_of(delivery.deliverable, "pair", "pairs")
    );
    text += &match missing(delivery, points) {
        missing if missing <= 0.0 => ", all delivered.".to_owned(),
        missing => format!("; {} were not delivered before the end.", number::percent(missing)),
    };
    for (share, name) in QUANTILES {
        if quantile(points, share).is_none() {
            text += &format!(" Within the run, {name} was not reached.");
        }
    }
    text
}

/// The finite points, in order.
pub fn points(delivery: &Delivery) -> Vec<DelayPoint> {
    let is_finite = |it: &&DelayPoint| it.delay_s.is_finite() && it.share.is_finite();
    let mut points: Vec<_> = delivery.points.iter().filter(is_finite).copied().collect();
    points.sort_by(|a, b| a.delay_s.total_cmp(&b.delay_s));
    points
}

/// The share of pairs that were not delivered.
pub fn missing(delivery: &Delivery, points: &[DelayPoint]) -> f64 {
    if delivery.deliverable == 0 {
        return points.last().map_or(0.0, |last| (1.0 - last.share).clamp(0.0, 1.0));
    }
    let not_delivered = delivery.deliverable.saturating_sub(delivery.delivered);
    not_delivered as f64 / delivery.deliverable as f64
}

/// The delay in seconds within which `share` of the deliverable pairs were
/// delivered; `None` when fewer were.
pub fn quantile(points: &[DelayPoint], share: f64) -> Option<f64> {
    points.iter().find(|point| point.share >= share).map(|point| point.delay_s)
}

fn draw(delivery: &Delivery, points: &[DelayPoint]) -> Drawing {
    let missing = missing(delivery, points);
    let first = points.first().map_or(DELAY_MIN_S, |it| it.delay_s.max(DELAY_MIN_S));
    let last = points.last().map_or(first, |it| it.delay_s.max(first));
    let stroke = Stroke::solid(Paint::Series(0), 2.2);
    let gap = Fill { paint: Paint::Series(1), opacity: 0.25 };
    let mut keys = vec![Key::new("delivered", Swatch::Line(stroke))];
    if missing > 0.0 {
        let label = format!("not delivered: {}", number::percent(missing));
        keys.push(Key::new(label, Swatch::Box(gap)));
    }
    let title = "Delay (logarithmic)";
    let x = Axis::of_log_durations(title, (first, last * 1.1), COLUMN - 90.0);
    let marks = QUANTILES.iter().filter_map(|&(share, name)| {
        let at = quantile(points, share)?;
        Some((at.max(DELAY_MIN_S), format!("{name}: {}", number::duration(at))))
    });
    let marks: Vec<_> = marks.collect();
    let above = room_for_marks(&x, &marks);
    let mut chart = Chart::new(Spec {
        width: COLUMN,
        plot_height: 210.0,
        x,
        y: Axis::of_shares("Share of all pairs", 1.0, 5),
        keys: &keys,
        grid: Grid::Both,
        above,
        below: 0.0,
    });
    if missing > 0.0 {
        let bottom = chart.y.at(1.0 - missing);
        let area = Area { height: bottom - chart.area.y, ..chart.area };
        let title = format!("not delivered: {}", number::percent(missing));
        chart.svg.titled_rect(area, gap, &title);
    }
    draw_curve(&mut chart, points, stroke);
    draw_marks(&mut chart, &marks);
    chart.finish()
}

fn draw_curve(chart: &mut Chart, points: &[DelayPoint], stroke: Stroke) {
    let values: Vec<_> = points.iter().map(|it| (it.delay_s.max(DELAY_MIN_S), it.share)).collect();
    let values = thin::line(&values, thin::points_max(chart.area.width));
    let mut places: Vec<_> = values.iter().map(|&(x, y)| chart.point(x, y)).collect();
    if let (Some(first), Some(last)) = (places.first().copied(), places.last().copied()) {
        places.insert(0, crate::html::svg::Point { y: chart.area.bottom(), ..first });
        places.push(crate::html::svg::Point { x: chart.area.right(), ..last });
    }
    chart.open_series();
    chart.series_path(&steps(&places), &values, stroke, "delivered");
    chart.close_series();
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::html::testing;

    #[test]
    fn nothing_delivered_is_a_sentence() {
        let mut data = testing::report();
        data.delivery = Delivery::default();
        assert!(matches!(figure(&data).content, Content::Nothing(_)));
        data.delivery.points = vec![DelayPoint { delay_s: f64::NAN, share: 0.5 }];
        assert!(matches!(figure(&data).content, Content::Nothing(_)));
    }

    #[test]
    fn quantiles_are_of_what_was_deliverable() {
        let delivery = Delivery::from_delays(vec![1.0, 2.0, 3.0, 4.0], 5);
        let points = points(&delivery);
        assert_eq!(quantile(&points, 0.5), Some(3.0));
        assert_eq!(quantile(&points, 0.9), None);
        assert!((missing(&delivery, &points) - 0.2).abs() < 1e-12);
        let caption = caption(&delivery, &points);
        assert!(caption.contains("20.0 % were not delivered"), "{caption}");
        assert!(caption.contains("99 % was not reached"), "{caption}");
    }

    #[test]
    fn a_delay_of_zero_has_a_place() {
        let delivery = Delivery::from_delays(vec![0.0, 0.0], 2);
        let drawing = draw(&delivery, &points(&delivery));
        assert!(drawing.body.contains("median: 0 s"), "{}", drawing.body);
    }
}
