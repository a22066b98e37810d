//! Legends: rows of keys above a plot, where they cover no data.

use super::paint::{Paint, heat};
use super::svg::{Anchor, Area, Fill, Point, Stroke, Svg, TextStyle, shortened, text_width};
use super::timeline::glyph;
use crate::html::data::FaultKind;

/// Height of one row.
const ROW_HEIGHT: f64 = 20.0;
/// Width of a swatch.
const SWATCH_WIDTH: f64 = 24.0;
/// Space between swatch and label, and after a label.
const SPACES: (f64, f64) = (6.0, 18.0);
/// Most characters of a label.
const LABEL_CHARS_MAX: usize = 46;
/// Number of boxes of a ramp.
pub const RAMP_STEPS: u8 = 5;

/// One entry of a legend.
#[derive(Debug, Clone, PartialEq)]
pub struct Key {
    /// What it stands for.
    pub label: String,
    /// How that looks.
    pub swatch: Swatch,
}

/// What a key shows.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Swatch {
    /// A line.
    Line(Stroke),
    /// A line in its band.
    Band(Stroke),
    /// A filled box.
    Box(Fill),
    /// A dot.
    Dot(Fill),
    /// The mark of a fault.
    Mark(FaultKind),
    /// Growing opacity of one colour.
    Ramp(Paint),
    /// The colours of a heat map.
    Heat,
    /// Hatching.
    Hatch,
    /// Nothing: the label says it.
    Words,
}

impl Key {
    /// A key.
    pub fn new(label: impl Into<String>, swatch: Swatch) -> Self {
        Self { label: label.into(), swatch }
    }

    fn width(&self) -> f64 {
        let label = shortened(&self.label, LABEL_CHARS_MAX);
        self.swatch.width() + SPACES.0 + text_width(&label, 12.0) + SPACES.1
    }
}

impl Swatch {
    const fn width(self) -> f64 {
        match self {
            Self::Ramp(_) | Self::Heat => 70.0,
            Self::Dot(_) | Self::Mark(_) => 12.0,
            Self::Words => 0.0,
            _ => SWATCH_WIDTH,
        }
    }
}

/// Distributes `keys` over rows of `width` pixels: the row and the left edge of
/// each.
fn places(keys: &[Key], width: f64) -> Vec<(usize, f64)> {
    let (mut row, mut x) = (0, 0.0);
    let mut place = |key: &Key| {
        if x > 0.0 && x + key.width() - SPACES.1 > width {
            row += 1;
            x = 0.0;
        }
        let place = (row, x);
        x += key.width();
        place
    };
    keys.iter().map(&mut place).collect()
}

/// Height of the legend of `keys` on `width` pixels.
pub fn height(keys: &[Key], width: f64) -> f64 {
    places(keys, width).last().map_or(0.0, |(row, _)| (*row + 1) as f64 * ROW_HEIGHT + 4.0)
}

/// Draws the legend of `keys` with its top left corner at `at`.
pub fn draw(svg: &mut Svg, at: Point, keys: &[Key], width: f64) {
    for (key, (row, x)) in keys.iter().zip(places(keys, width)) {
        let corner = Point { x: at.x + x, y: at.y + row as f64 * ROW_HEIGHT };
        draw_swatch(svg, corner, key.swatch);
        let text =
            Point { x: corner.x + key.swatch.width() + SPACES.0, y: corner.y + ROW_HEIGHT - 6.0 };
        let style = TextStyle { paint: Paint::Ink, ..TextStyle::muted(Anchor::Start) };
        svg.text(text, style, &shortened(&key.label, LABEL_CHARS_MAX));
    }
}

fn draw_swatch(svg: &mut Svg, corner: Point, swatch: Swatch) {
    let area = Area { x: corner.x, y: corner.y + 4.0, width: swatch.width(), height: 12.0 };
    let middle = Point { x: area.x + area.width / 2.0, y: area.y + 6.0 };
    let ends = (Point { x: area.x, ..middle }, Point { x: area.right(), ..middle });
    match swatch {
        Swatch::Line(stroke) => svg.line(ends.0, ends.1, stroke),
        Swatch::Band(stroke) => {
            svg.rect(area, Fill { paint: stroke.paint, opacity: 0.2 });
            svg.line(ends.0, ends.1, stroke);
        }
        Swatch::Box(fill) => svg.rect(area, fill),
        Swatch::Dot(fill) => svg.dot(middle, 3.5, fill),
        Swatch::Mark(kind) => glyph(svg, middle, kind, ""),
        Swatch::Ramp(paint) => ramp(svg, area, |svg, area, share| {
            svg.rect(area, Fill { paint, opacity: share });
        }),
        Swatch::Heat => ramp(svg, area, |svg, area, share| {
            svg.coloured_rect(area, &heat((share - 0.2) / 0.8).0, "");
        }),
        Swatch::Hatch => hatch(svg, area),
        Swatch::Words => {}
    }
}

fn ramp(svg: &mut Svg, area: Area, draw: impl Fn(&mut Svg, Area, f64)) {
    let width = area.width / f64::from(RAMP_STEPS);
    for step in 0..RAMP_STEPS {
        let part = Area { x: area.x + width * f64::from(step), width, ..area };
        draw(svg, part, f64::from(step + 1) / f64::from(RAMP_STEPS));
    }
}

/// Fills `area` with slanting lines.
pub fn hatch(svg: &mut Svg, area: Area) {
    const SPACING: f64 = 7.0;
    let Area { x, y, width, height } = area;
    let lines = ((width + height) / SPACING).clamp(0.0, 1_000.0) as u32;
    let mut d =
        format!("M{0} {1}h{2}v{3}h-{2}z", x.round(), y.round(), width.round(), height.round());
    for line in 1..=lines {
        let reach = f64::from(line) * SPACING;
        let from = Point { x: x + reach.min(width), y: y + (reach - width).max(0.0) };
        let to = Point { x: x + (reach - height).max(0.0), y: y + reach.min(height) };
        d += &super::svg::polyline(&[from, to]);
    }
    svg.stroke_path(&d, Stroke::solid(Paint::Shade, 0.8), &[]);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keys(count: usize, label: &str) -> Vec<Key> {
        let key = Key::new(label, Swatch::Line(Stroke::solid(Paint::Ink, 1.0)));
        vec![key; count]
    }

    #[test]
    fn keys_that_do_not_fit_begin_a_row() {
        let keys = keys(4, "ten chars.");
        let one = keys[0].width();
        let rows = |width| places(&keys, width).into_iter().map(|it| it.0).collect::<Vec<_>>();
        assert_eq!(rows(one * 4.0), [0, 0, 0, 0]);
        assert_eq!(rows(one * 2.0), [0, 0, 1, 1]);
        assert_eq!(rows(1.0), [0, 1, 2, 3]);
    }

    #[test]
    fn no_keys_take_no_room() {
        assert_eq!(height(&[], 500.0), 0.0);
        assert_eq!(height(&keys(1, "x"), 500.0), ROW_HEIGHT + 4.0);
    }

    #[test]
    fn a_long_label_is_cut() {
        assert!(keys(1, &"x".repeat(10_000))[0].width() < 500.0);
    }
}
