//! The frame of a figure: legend, grid, axes and the plot area between them.

use super::axis::{Axis, Scale, Spread};
use super::legend::{self, Key};
use super::number;
use super::paint::Paint;
use super::svg::{
    Anchor, Area, Dash, Drawing, Point, Stroke, Svg, TextStyle, polyline, shortened, text_width,
};

/// Width of a figure over the whole page, in pixels.
pub const WIDE: f64 = 1_000.0;
/// Width of a figure in a column, in pixels.
pub const COLUMN: f64 = 480.0;

/// Left margin at least, so that time axes below each other line up.
const LEFT_MIN: f64 = 58.0;
/// Most characters of a tick's label.
const TICK_CHARS_MAX: usize = 34;
/// Room below the plot for tick labels and the title.
const BOTTOM: f64 = 44.0;

/// Which grid lines are drawn.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Grid {
    /// At the ticks of both axes.
    Both,
    /// At the ticks of the x axis.
    Upright,
    /// None.
    None,
}

/// What a frame is made from.
#[derive(Debug)]
pub struct Spec<'a> {
    /// Width of the whole figure in pixels.
    pub width: f64,
    /// Height of the plot area in pixels.
    pub plot_height: f64,
    /// The axis below the plot.
    pub x: Axis,
    /// The axis on its left.
    pub y: Axis,
    /// The legend.
    pub keys: &'a [Key],
    /// Grid lines.
    pub grid: Grid,
    /// Free height between legend and plot, in pixels.
    pub above: f64,
    /// Free height between plot and tick labels, in pixels.
    pub below: f64,
}

/// A frame into which a figure draws.
#[derive(Debug)]
pub struct Chart {
    /// The elements.
    pub svg: Svg,
    /// The plot area.
    pub area: Area,
    /// From values to pixels, to the right.
    pub x: Scale,
    /// From values to pixels, upwards.
    pub y: Scale,
    x_axis: Axis,
    y_axis: Axis,
    width: f64,
    height: f64,
}

impl Chart {
    /// Draws the frame.
    pub fn new(spec: Spec<'_>) -> Self {
        let label = |label: &str| text_width(&shortened(label, TICK_CHARS_MAX), 12.0);
        let labels = spec.y.ticks.iter().map(|tick| label(&tick.label)).fold(0.0, f64::max);
        let left = (labels + 34.0).clamp(LEFT_MIN, spec.width * 0.5);
        let last = spec.x.ticks.last().map_or(0.0, |tick| label(&tick.label) / 2.0 + 4.0);
        let legend_height = legend::height(spec.keys, spec.width - left);
        let area = Area {
            x: left,
            y: 8.0 + legend_height + spec.above,
            width: spec.width - left - last.clamp(14.0, 40.0),
            height: spec.plot_height,
        };
        let mut chart = Self {
            svg: Svg::default(),
            area,
            x: spec.x.scale((area.x, area.right())),
            y: spec.y.scale((area.bottom(), area.y)),
            x_axis: spec.x.clone(),
            y_axis: spec.y.clone(),
            width: spec.width,
            height: area.bottom() + spec.below + BOTTOM,
        };
        legend::draw(&mut chart.svg, Point { x: left, y: 2.0 }, spec.keys, spec.width - left);
        chart.draw_grid(&spec);
        chart.draw_x(&spec);
        chart.draw_y(&spec);
        chart
    }

    /// Ends the figure.
    pub fn finish(self) -> Drawing {
        self.svg.finish(self.width, self.height)
    }

    /// The place of a pair of values.
    pub fn point(&self, x: f64, y: f64) -> Point {
        Point { x: self.x.at(x), y: self.y.at(y) }
    }

    /// Opens the group of the series; their values show under the pointer.
    pub fn open_series(&mut self) {
        let Area { x, y, width, height } = self.area;
        let spread = match self.x.spread {
            Spread::Linear => "linear",
            Spread::Log => "log",
        };
        let (from, to) = self.x.domain;
        let scale = [from, to].map(|it| raw(it * self.x_axis.per_unit)).join(" ");
        let frame = [x, y, width, height].map(raw).join(" ");
        let unit = self.x_axis.unit;
        self.svg.open_group(&[
            ("data-frame", &frame),
            ("data-scale", &scale),
            ("data-spread", spread),
            ("data-unit", unit),
            ("data-value-unit", self.y_axis.unit),
        ]);
    }

    /// Closes the group of the series.
    pub fn close_series(&mut self) {
        self.svg.close_group();
    }

    /// Draws a line through `points`, called `name` under the pointer.
    pub fn series(&mut self, points: &[(f64, f64)], stroke: Stroke, name: &str) {
        let places: Vec<_> = points.iter().map(|&(x, y)| self.point(x, y)).collect();
        self.series_path(&polyline(&places), points, stroke, name);
    }

    /// Draws the path `d` for the series of `points`.
    pub fn series_path(&mut self, d: &str, points: &[(f64, f64)], stroke: Stroke, name: &str) {
        let (x_unit, y_unit) = (self.x_axis.per_unit, self.y_axis.per_unit);
        let join = |values: Vec<String>| values.join(" ");
        let xs = join(points.iter().map(|it| raw(it.0 * x_unit)).collect());
        let ys = join(points.iter().map(|it| raw(it.1 * y_unit)).collect());
        let name = shortened(name, 60);
        self.svg.stroke_path(
            d,
            stroke,
            &[("data-name", name.as_str()), ("data-x", &xs), ("data-y", &ys)],
        );
    }

    fn draw_grid(&mut self, spec: &Spec<'_>) {
        let Area { x, y, .. } = self.area;
        let (right, bottom) = (self.area.right(), self.area.bottom());
        let mut lines = String::new();
        if spec.grid == Grid::Both {
            for at in spec.y.ticks.iter().map(|tick| self.y.at(tick.value)) {
                lines += &polyline(&[Point { x, y: at }, Point { x: right, y: at }]);
            }
        }
        if spec.grid != Grid::None {
            for at in spec.x.ticks.iter().map(|tick| self.x.at(tick.value)) {
                lines += &polyline(&[Point { x: at, y }, Point { x: at, y: bottom }]);
            }
        }
        if !lines.is_empty() {
            self.svg.stroke_path(&lines, Stroke::solid(Paint::Grid, 1.0), &[]);
        }
    }

    fn draw_x(&mut self, spec: &Spec<'_>) {
        let base = self.area.bottom() + spec.below;
        let corner = Point { x: self.area.x, y: self.area.bottom() };
        let end = Point { x: self.area.right(), ..corner };
        self.svg.line(corner, end, Stroke::solid(Paint::Muted, 1.0));
        let mut free_from = f64::NEG_INFINITY;
        for tick in &spec.x.ticks {
            let label = shortened(&tick.label, TICK_CHARS_MAX);
            let (x, half) = (self.x.at(tick.value), text_width(&label, 12.0) / 2.0);
            if x - half < free_from {
                continue;
            }
            free_from = x + half + 4.0;
            self.svg.text(Point { x, y: base + 17.0 }, TextStyle::muted(Anchor::Middle), &label);
        }
        let middle = self.area.x + self.area.width / 2.0;
        let title = Point { x: middle, y: base + 37.0 };
        self.svg.text(
            title,
            TextStyle::ink(Anchor::Middle),
            &fitting(&spec.x.title, self.area.width),
        );
    }

    fn draw_y(&mut self, spec: &Spec<'_>) {
        for tick in &spec.y.ticks {
            let at = Point { x: self.area.x - 7.0, y: self.y.at(tick.value) + 4.0 };
            let label = shortened(&tick.label, TICK_CHARS_MAX);
            self.svg.text(at, TextStyle::muted(Anchor::End), &label);
        }
        if !spec.y.title.is_empty() {
            let at = Point { x: 14.0, y: self.area.y + self.area.height / 2.0 };
            let title = fitting(&spec.y.title, self.area.height + 60.0);
            self.svg.text_upwards(at, TextStyle::ink(Anchor::Middle), &title);
        }
    }

    /// Draws an upright line through the plot at `x` pixels.
    pub fn upright(&mut self, x: f64, stroke: Stroke) {
        let from = Point { x, y: self.area.y };
        self.svg.line(from, Point { y: self.area.bottom(), ..from }, stroke);
    }
}

/// The start of `text` that fits into `width` pixels at 13 pixels.
fn fitting(text: &str, width: f64) -> String {
    let chars = (width / 7.0).max(4.0) as usize;
    if text_width(text, 13.0) <= width { text.to_owned() } else { shortened(text, chars) }
}

/// A number for the script: five significant digits, no grouping.
pub fn raw(value: f64) -> String {
    if !value.is_finite() {
        return "0".to_owned();
    }
    let rounded: f64 = format!("{value:.4e}").parse().unwrap_or(0.0);
    if (1e-6..1e15).contains(&rounded.abs()) {
        let text = format!("{rounded:.8}");
        return text.trim_end_matches('0').trim_end_matches('.').to_owned();
    }
    "0".to_owned()
}

/// A dashed line for a value worth knowing, such as a median.
pub const fn hairline(paint: Paint) -> Stroke {
    Stroke { paint, width: 1.2, dash: Dash::Dashed }
}

/// Puts labels, each with its middle and width in pixels, into lanes in which
/// none touches another; gives the lane of each.
pub fn lanes(labels: &[(f64, f64)]) -> Vec<usize> {
    let mut taken: Vec<Vec<(f64, f64)>> = Vec::new();
    let mut lane_of = |&(middle, width): &(f64, f64)| {
        let (from, to) = (middle - width / 2.0 - 4.0, middle + width / 2.0 + 4.0);
        let is_free =
            |lane: &Vec<(f64, f64)>| lane.iter().all(|&(left, right)| to <= left || from >= right);
        let lane = taken.iter().position(is_free).unwrap_or(taken.len());
        if lane == taken.len() {
            taken.push(Vec::new());
        }
        taken[lane].push((from, to));
        lane
    };
    labels.iter().map(&mut lane_of).collect()
}

/// An axis with a place for each of `labels`: place `i` lies at `i + 0.5`.
pub fn places(title: &str, labels: &[String]) -> Axis {
    let tick = |(index, label): (usize, &String)| super::axis::Tick {
        value: index as f64 + 0.5,
        label: label.clone(),
    };
    Axis {
        title: title.to_owned(),
        unit: "",
        per_unit: 1.0,
        spread: Spread::Linear,
        domain: (0.0, labels.len().max(1) as f64),
        ticks: labels.iter().enumerate().map(tick).collect(),
    }
}

/// `n` and its noun for a caption: `n = 12 peers`.
pub fn n_of(value: u64, one: &str, many: &str) -> String {
    format!("n = {}", number::counted(value, one, many))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn numbers_for_the_script_are_plain() {
        for (value, text) in [
            (0.0, "0"),
            (0.87214, "0.87214"),
            (1_234_567.0, "1234600"),
            (-1.5, "-1.5"),
            (1e-9, "0"),
            (f64::NAN, "0"),
        ] {
            assert_eq!(raw(value), text);
        }
    }

    #[test]
    fn labels_that_would_touch_take_another_lane() {
        assert_eq!(lanes(&[(10.0, 10.0), (30.0, 10.0), (12.0, 10.0)]), [0, 0, 1]);
        assert!(lanes(&[]).is_empty());
    }

    #[test]
    fn a_chart_has_room_for_its_labels() {
        let labels = vec!["a rather long label".to_owned(); 3];
        let spec = |labels: &[String]| Spec {
            width: COLUMN,
            plot_height: 100.0,
            x: Axis::from_zero("x", 1.0, 5),
            y: places("", labels),
            keys: &[],
            grid: Grid::Both,
            above: 0.0,
            below: 0.0,
        };
        let wide = Chart::new(spec(&labels));
        assert!(wide.area.x > text_width(&labels[0], 12.0) && wide.area.width > 200.0);
        let endless = Chart::new(spec(&["x".repeat(5_000)]));
        assert!(endless.area.width > 200.0);
    }

    proptest! {
        #[test]
        fn no_two_labels_of_a_lane_touch(
            labels in prop::collection::vec((0.0..500.0_f64, 1.0..90.0_f64), 0..30),
        ) {
            let lanes = lanes(&labels);
            for (a, lane_a) in lanes.iter().enumerate() {
                for (b, lane_b) in lanes.iter().enumerate().skip(a + 1) {
                    let apart = (labels[a].0 - labels[b].0).abs();
                    let needed = (labels[a].1 + labels[b].1) / 2.0;
                    prop_assert!(lane_a != lane_b || apart >= needed);
                }
            }
        }
    }
}
