//! Bars that lie: one row for each name, each bar of one or more parts.

use crate::html::axis::{Axis, Tick};
use crate::html::chart::{self, COLUMN, Chart, Grid, Spec};
use crate::html::legend::{Key, Swatch};
use crate::html::paint::Paint;
use crate::html::svg::{Anchor, Area, Drawing, Fill, Point, TextStyle, shortened, text_width};

/// Height of a row.
const ROW: f64 = 28.0;
/// Most characters of a row's name.
const NAME_CHARS_MAX: usize = 34;
/// Room left and right of names and plot in pixels.
const MARGINS: f64 = 78.0;
/// Share of the figure's width that its plot has at least.
const PLOT_SHARE: f64 = 0.45;

/// One row.
#[derive(Debug, Clone, PartialEq)]
pub struct Row {
    /// Its name.
    pub name: String,
    /// Its parts: colour, length in the axis's values, words for the pointer.
    pub parts: Vec<(Paint, f64, String)>,
    /// Stands at the end of the bar.
    pub value: String,
}

impl Row {
    fn length(&self) -> f64 {
        self.parts.iter().map(|part| part.1).sum()
    }
}

/// Draws `rows` from top to bottom over `axis`, with a legend where parts need
/// one.
pub fn draw(rows: &[Row], mut axis: Axis, keys: &[(&str, Paint)]) -> Drawing {
    make_room(rows, &mut axis);
    let mut places = chart::places("", &vec![String::new(); rows.len()]);
    let tick = |(index, row): (usize, &Row)| Tick {
        value: (rows.len() - index) as f64 - 0.5,
        label: shortened(&row.name, NAME_CHARS_MAX),
    };
    places.ticks = rows.iter().enumerate().map(tick).collect();
    let key = |&(label, paint): &(&str, Paint)| Key::new(label, Swatch::Box(Fill::solid(paint)));
    let keys: Vec<_> = keys.iter().map(key).collect();
    let mut chart = Chart::new(Spec {
        width: COLUMN,
        plot_height: ROW * rows.len() as f64,
        x: axis,
        y: places,
        keys: &keys,
        grid: Grid::Upright,
        above: 4.0,
        below: 0.0,
    });
    for (index, row) in rows.iter().enumerate() {
        draw_row(&mut chart, row, index as f64 * ROW);
    }
    chart.finish()
}

/// Stretches the axis so that the value at the end of the longest bar fits.
fn make_room(rows: &[Row], axis: &mut Axis) {
    let plot = plot_width(rows);
    let needed = rows.iter().map(|row| {
        let label = text_width(&row.value, 12.0) + 12.0;
        row.length() / (1.0 - (label / plot).min(0.8))
    });
    axis.domain.1 = needed.fold(axis.domain.1, f64::max);
}

/// About how wide the plot is beside the names, in pixels.
fn plot_width(rows: &[Row]) -> f64 {
    let name = |row: &Row| text_width(&shortened(&row.name, NAME_CHARS_MAX), 12.0);
    let names = rows.iter().map(name).fold(0.0, f64::max);
    (COLUMN - names - MARGINS).max(COLUMN * PLOT_SHARE)
}

fn draw_row(chart: &mut Chart, row: &Row, offset: f64) {
    let mut from = 0.0;
    let y = chart.area.y + offset;
    for (paint, length, title) in row.parts.iter().filter(|part| part.1 > 0.0) {
        let (left, right) = (chart.x.at(from), chart.x.at(from + length));
        let area = Area { x: left, y: y + 5.0, width: (right - left).max(0.5), height: ROW - 10.0 };
        chart.svg.titled_rect(area, Fill::solid(*paint), title);
        from += length;
    }
    let at = Point { x: chart.x.at(from) + 6.0, y: y + ROW / 2.0 + 4.0 };
    let style = TextStyle { paint: Paint::Ink, ..TextStyle::muted(Anchor::Start) };
    chart.svg.text(at, style, &row.value);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_longest_bar_leaves_room_for_its_value() {
        let row = Row {
            name: "payload".into(),
            parts: vec![(Paint::Series(0), 100.0, String::new())],
            value: "100 MB in 1,000 frames".into(),
        };
        let mut axis = Axis::from_zero("", 100.0, 4);
        make_room(std::slice::from_ref(&row), &mut axis);
        let plot = plot_width(std::slice::from_ref(&row));
        assert!(plot > 350.0, "{plot}");
        let label = text_width(&row.value, 12.0);
        assert!(plot * 100.0 / axis.domain.1 + label <= plot, "{axis:?}");
    }

    #[test]
    fn parts_of_no_length_are_not_drawn() {
        let parts =
            vec![(Paint::Series(0), 0.0, "a".to_owned()), (Paint::Bad, 1.0, "b".to_owned())];
        let row = Row { name: "x".into(), parts, value: String::new() };
        let drawing = draw(&[row], Axis::from_zero("", 1.0, 4), &[]);
        assert_eq!(drawing.body.matches("<title>").count(), 1);
    }
}
