//! One swept parameter: the mean with its confidence interval over the
//! parameter's values, and every single run as a dot.

use crate::html::axis::{Axis, Spread, Tick};
use crate::html::chart::{self, COLUMN, Chart, Grid, Spec};
use crate::html::document::{Content, Figure};
use crate::html::legend::{Key, Swatch};
use crate::html::paint::Paint;
use crate::html::student::Interval;
use crate::html::svg::{Drawing, Fill, Point, Stroke, polyline, ribbon, shortened};
use crate::html::sweep_data::{SweepData, SweepMetric, Swept};

use super::heat::{better, nothing, unit_of};

/// From this ratio of the largest to the smallest value on, the axis is
/// logarithmic.
const LOG_FROM: f64 = 30.0;
/// Most characters of a parameter below the plot.
const TITLE_CHARS_MAX: usize = 55;
/// Most single runs that are drawn as dots.
const DOTS_MAX: usize = 2_000;

/// How far single runs stand to the right of their mean, in pixels.
const DOT_ASIDE: f64 = 9.0;

/// The results at one value of the parameter.
struct Place {
    x: f64,
    values: Vec<f64>,
    interval: Interval,
}

/// The figure of one metric.
pub fn figure(data: &SweepData, metric: &SweepMetric, index: usize) -> Option<Figure> {
    let [parameter] = data.parameters.as_slice() else {
        return None;
    };
    let places = places(parameter, metric);
    let content = if places.is_empty() {
        Content::Nothing(nothing(metric, "No value of the parameter has a result."))
    } else {
        Content::Column(draw(parameter, metric, &places))
    };
    let least = places.iter().map(|it| it.interval.n).min().unwrap_or(0);
    let most = places.iter().map(|it| it.interval.n).max().unwrap_or(0);
    let n = if least == most { most.to_string() } else { format!("{least} to {most}") };
    let spread = match has_intervals(&places) {
        true => ", its 95 % confidence interval (Student's t), and beside it each run",
        false => ", and beside it each run; one run has no interval",
    };
    let cut = match places.iter().any(|it| metric.is_cut(&it.interval)) {
        true => " Intervals end where no value can lie beyond.",
        false => "",
    };
    let caption = format!(
        "{}{} over {}: mean over runs with different seeds{spread}. n = {n} runs at each \
         value.{cut}{}{}",
        shortened(&metric.name, 120),
        unit_of(metric),
        shortened(&parameter.title(), 120),
        not_reached(parameter, metric),
        better(metric.better)
    );
    Some(Figure { id: format!("line-{index}"), title: metric.name.clone(), caption, content })
}

fn has_intervals(places: &[Place]) -> bool {
    places.iter().any(|it| it.interval.half_width.is_some())
}

/// What a caption says about runs that ended before there was a value.
fn not_reached(parameter: &Swept, metric: &SweepMetric) -> String {
    let place = |(index, value): (usize, &String)| match metric.not_reached_at(&[index]) {
        0 => None,
        runs => Some(format!("{} ({runs})", shortened(value, 40))),
    };
    let places: Vec<_> = parameter.values.iter().enumerate().filter_map(place).collect();
    if places.is_empty() {
        return String::new();
    }
    format!(" Not reached, and left out, at these values (runs): {}.", places.join(", "))
}

/// The values that have results, in order of the axis.
fn places(parameter: &Swept, metric: &SweepMetric) -> Vec<Place> {
    let numbers = parameter.numbers();
    let place = |index: usize| {
        let x = numbers.as_ref().map_or(index as f64 + 0.5, |numbers| numbers[index]);
        let values = metric.values_at(&[index]);
        let interval = Interval::of(&values)?;
        Some(Place { x, values, interval })
    };
    let mut places: Vec<_> = (0..parameter.values.len()).filter_map(place).collect();
    places.sort_by(|a, b| a.x.total_cmp(&b.x));
    places
}

fn draw(parameter: &Swept, metric: &SweepMetric, places: &[Place]) -> Drawing {
    let is_scale = parameter.numbers().is_some();
    let mean = Stroke::solid(Paint::Series(0), 2.2);
    let dot = Fill { paint: Paint::Series(1), opacity: 0.65 };
    let keys = [
        Key::new(
            if has_intervals(places) { "mean, 95 % interval" } else { "mean" },
            if is_scale { Swatch::Band(mean) } else { Swatch::Line(mean) },
        ),
        Key::new("single run", Swatch::Dot(dot)),
    ];
    let mut chart = Chart::new(Spec {
        width: COLUMN,
        plot_height: 240.0,
        x: x_axis(parameter),
        y: y_axis(metric, places),
        keys: &keys,
        grid: Grid::Both,
        above: 4.0,
        below: 0.0,
    });
    if is_scale {
        draw_band(&mut chart, metric, places);
    }
    draw_dots(&mut chart, places, dot);
    if is_scale {
        let means: Vec<_> = places.iter().map(|it| (it.x, it.interval.mean)).collect();
        chart.open_series();
        chart.series(&means, mean, "mean");
        chart.close_series();
    }
    for place in places {
        draw_interval(&mut chart, metric, place, mean);
    }
    chart.finish()
}

fn draw_band(chart: &mut Chart, metric: &SweepMetric, places: &[Place]) {
    let edge = |end: fn((f64, f64)) -> f64| -> Vec<Point> {
        places.iter().map(|it| chart.point(it.x, end(metric.ends(&it.interval)))).collect()
    };
    let d = ribbon(&edge(|(_, high)| high), &edge(|(low, _)| low));
    chart.svg.fill_path(&d, Fill { paint: Paint::Series(0), opacity: 0.2 });
}

fn draw_dots(chart: &mut Chart, places: &[Place], dot: Fill) {
    let runs = places.iter().flat_map(|it| it.values.iter().map(|&value| (it.x, value)));
    for (x, value) in runs.take(DOTS_MAX) {
        let at = chart.point(x, value);
        chart.svg.dot(Point { x: at.x + DOT_ASIDE, ..at }, 2.6, dot);
    }
}

/// Draws the mean as a dot on a bar from end to end of its interval.
fn draw_interval(chart: &mut Chart, metric: &SweepMetric, place: &Place, stroke: Stroke) {
    let (low, high) = metric.ends(&place.interval);
    let (top, bottom) = (chart.point(place.x, high), chart.point(place.x, low));
    if place.interval.half_width.is_some() {
        let cap =
            |at: Point| polyline(&[Point { x: at.x - 4.0, ..at }, Point { x: at.x + 4.0, ..at }]);
        let d = polyline(&[top, bottom]) + &cap(top) + &cap(bottom);
        chart.svg.stroke_path(&d, Stroke { width: 1.4, ..stroke }, &[]);
    }
    let at = chart.point(place.x, place.interval.mean);
    chart.svg.dot(at, 4.0, Fill::solid(stroke.paint));
}

/// A scale with ticks at the swept values, or a place for each.
fn x_axis(parameter: &Swept) -> Axis {
    let title = parameter.title_within(TITLE_CHARS_MAX);
    let Some(numbers) = parameter.numbers() else {
        return chart::places(&title, &parameter.values);
    };
    let from = numbers.iter().copied().fold(f64::INFINITY, f64::min);
    let to = numbers.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let mut axis = Axis::over(&title, (from, to), 6);
    let mut ticks: Vec<_> = numbers
        .iter()
        .zip(&parameter.values)
        .map(|(&value, label)| Tick { value, label: label.trim().to_owned() })
        .collect();
    ticks.sort_by(|a, b| a.value.total_cmp(&b.value));
    axis.ticks = ticks;
    let is_log = from > 0.0 && to / from >= LOG_FROM;
    axis.spread = if is_log { Spread::Log } else { Spread::Linear };
    axis.domain = match (is_log, to > from) {
        (true, _) => (from * 0.85, to * 1.18),
        (false, true) => (from - (to - from) * 0.04, to + (to - from) * 0.04),
        (false, false) => axis.domain,
    };
    axis
}

fn y_axis(metric: &SweepMetric, places: &[Place]) -> Axis {
    let ends = places.iter().flat_map(|it| {
        let (low, high) = metric.ends(&it.interval);
        it.values.iter().copied().chain([low, high])
    });
    let ends: Vec<_> = ends.collect();
    let from = ends.iter().copied().fold(f64::INFINITY, f64::min);
    let to = ends.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    // A scale that nearly reaches zero had better show it.
    let from = if from > 0.0 && from < 0.35 * to { 0.0 } else { from };
    let name = shortened(&metric.name, 40);
    Axis::over(&format!("{name}{}", unit_of(metric)), (from, to), 6)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::html::testing;

    #[test]
    fn every_run_is_a_dot() {
        let data = testing::sweep(1);
        let metric = &data.metrics[0];
        let runs: usize = metric.cells.iter().map(|it| it.results.len()).sum();
        let Content::Column(drawing) = figure(&data, metric, 0).unwrap().content else {
            panic!("a drawing");
        };
        let means = data.parameters[0].values.len();
        assert_eq!(drawing.body.matches("r=\"2.6\"").count(), runs);
        assert_eq!(drawing.body.matches("r=\"4\"").count(), means);
    }

    #[test]
    fn words_have_places_and_no_line_between_them() {
        let mut data = testing::sweep(1);
        data.parameters[0].values = ["mean", "median", "<nn+div>"].map(str::to_owned).to_vec();
        let Content::Column(drawing) = figure(&data, &data.metrics[0], 0).unwrap().content else {
            panic!("a drawing");
        };
        assert!(drawing.body.contains("&lt;nn+div&gt;") && !drawing.body.contains("data-name"));
    }

    #[test]
    fn values_over_many_sizes_take_a_logarithmic_axis() {
        let swept = |values: &[&str]| Swept {
            values: values.iter().map(|&it| it.to_owned()).collect(),
            ..Swept::default()
        };
        assert_eq!(x_axis(&swept(&["0.01", "0.1", "1"])).spread, Spread::Log);
        assert_eq!(x_axis(&swept(&["1", "2", "3"])).spread, Spread::Linear);
        assert_eq!(x_axis(&swept(&["0", "100"])).spread, Spread::Linear);
        let one = x_axis(&swept(&["5"]));
        assert!(one.domain.0 < 5.0 && one.domain.1 > 5.0);
    }

    #[test]
    fn an_interval_ends_where_no_value_can_lie_beyond() {
        let mut data = testing::sweep(1);
        let metric = &mut data.metrics[0];
        for (cell, value) in metric.cells.iter_mut().zip([0.0, 0.5, 1.0]) {
            for (result, aside) in cell.results.iter_mut().zip([-0.2_f64, 0.0, 0.2]) {
                result.value = (value + aside).clamp(0.0, 1.0);
            }
        }
        let metric = &data.metrics[0];
        let places = places(&data.parameters[0], metric);
        let ends: Vec<_> = places.iter().map(|it| metric.ends(&it.interval)).collect();
        assert_eq!((ends[0].0, ends[2].1), (0.0, 1.0));
        assert!(places[0].interval.ends().0 < 0.0 && places[2].interval.ends().1 > 1.0);
        let said = figure(&data, metric, 0).unwrap().caption;
        assert!(said.contains("where no value can lie beyond"), "{said}");
    }

    #[test]
    fn runs_without_a_value_are_told() {
        let mut data = testing::sweep(1);
        data.metrics[0].cells[1].results.truncate(1);
        data.metrics[0].cells[1].not_reached = 2;
        let said = figure(&data, &data.metrics[0], 0).unwrap().caption;
        assert!(said.contains("at these values (runs): 2.5 (2)."), "{said}");
        data.metrics[0].cells.iter_mut().for_each(|cell| cell.results.truncate(1));
        let figure = figure(&data, &data.metrics[0], 0).unwrap();
        let Content::Column(drawing) = figure.content else { panic!("a drawing") };
        assert!(!figure.caption.contains("95 %") && !drawing.body.contains("95 %"));
    }

    #[test]
    fn a_value_without_results_is_left_out() {
        let mut data = testing::sweep(1);
        data.metrics[0].cells.remove(0);
        assert_eq!(places(&data.parameters[0], &data.metrics[0]).len(), 2);
        data.metrics[0].cells.clear();
        let content = figure(&data, &data.metrics[0], 0).unwrap().content;
        assert!(matches!(content, Content::Nothing(_)));
    }
}
