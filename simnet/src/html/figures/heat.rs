//! A heat map over two swept parameters: mean and confidence interval in each
//! cell.

use crate::html::axis::Axis;
use crate::html::chart::{self, COLUMN, Chart, Grid, Spec, WIDE};
use crate::html::document::{Content, Figure};
use crate::html::legend::{Key, Swatch, hatch};
use crate::html::number;
use crate::html::paint::heat;
use crate::html::student::Interval;
use crate::html::svg::{Anchor, Area, Drawing, Point, TextStyle, shortened, text_width};
use crate::html::sweep_data::{Better, SweepData, SweepMetric, Swept};

/// Most values of a parameter on an axis of a map.
const VALUES_MAX: usize = 40;

/// Height of a map at least, so that the upright title has room.
const PLOT_HEIGHT_MIN: f64 = 130.0;

/// A map before it is drawn.
struct Map<'a> {
    across: &'a Swept,
    upwards: &'a Swept,
    /// For each value upwards and across the interval, if there were runs.
    cells: Vec<Vec<Option<Interval>>>,
    /// For each of them the runs that ended before there was a value.
    not_reached: Vec<Vec<u32>>,
    /// Least and greatest mean.
    range: (f64, f64),
    unit: &'a str,
    seeds: usize,
}

/// The figure of one metric: the first parameter across, the second upwards.
pub fn figure(data: &SweepData, metric: &SweepMetric, index: usize) -> Option<Figure> {
    let [across, upwards] = data.parameters.as_slice() else {
        return None;
    };
    let cells: Vec<Vec<_>> = (0..upwards.values.len())
        .map(|up| {
            (0..across.values.len()).map(|at| metric.values_at(&[at, up])).collect::<Vec<_>>()
        })
        .map(|row| row.iter().map(|values| Interval::of(values)).collect())
        .collect();
    let not_reached: Vec<Vec<_>> = (0..upwards.values.len())
        .map(|up| (0..across.values.len()).map(|at| metric.not_reached_at(&[at, up])).collect())
        .collect();
    let found: Vec<_> = cells.iter().flatten().flatten().copied().collect();
    let content = if found.is_empty() {
        Content::Nothing(nothing(metric, "No combination has a result."))
    } else if across.values.len().max(upwards.values.len()) > VALUES_MAX {
        Content::Nothing(format!("A map has at most {VALUES_MAX} values a side; see the table."))
    } else {
        let fold = |f: fn(f64, f64) -> f64, from| found.iter().map(|it| it.mean).fold(from, f);
        let range = (fold(f64::min, f64::INFINITY), fold(f64::max, f64::NEG_INFINITY));
        let (unit, seeds) = (metric.unit.as_str(), data.header.seeds.len());
        let map = Map { across, upwards, cells, not_reached, range, unit, seeds };
        content(&map)
    };
    let id = format!("map-{index}");
    Some(Figure { id, title: metric.name.clone(), caption: caption(metric, &found), content })
}

/// A map of few columns fits into one of two columns of the page.
fn content(map: &Map<'_>) -> Content {
    if map.across.values.len() <= 5 {
        Content::Column(draw(map, COLUMN))
    } else {
        Content::Wide { wide: draw(map, WIDE), column: draw(map, COLUMN) }
    }
}

fn caption(metric: &SweepMetric, found: &[Interval]) -> String {
    let least = found.iter().map(|it| it.n).min().unwrap_or(0);
    let most = found.iter().map(|it| it.n).max().unwrap_or(0);
    let n = if least == most { most.to_string() } else { format!("{least} to {most}") };
    let spread = match found.iter().any(|it| it.half_width.is_some()) {
        true => {
            " and, below it where the cell has room, half the width of its 95 % confidence \
             interval (Student's t)"
        }
        false => "; one run has no interval",
    };
    let not_reached: u32 = metric.cells.iter().map(|cell| cell.not_reached).sum();
    let left_out = match not_reached {
        0 => String::new(),
        runs => format!(
            " {} without a value, which was not reached, left out.",
            number::counted(u64::from(runs), "run", "runs")
        ),
    };
    format!(
        "{}{}, mean over runs with different seeds{spread}. n = {n} runs in each cell.{left_out}{}",
        shortened(&metric.name, 120),
        unit_of(metric),
        better(metric.better)
    )
}

/// What stands in place of a figure without results.
pub fn nothing(metric: &SweepMetric, otherwise: &str) -> String {
    match metric.cells.iter().any(|cell| cell.not_reached > 0) {
        true => format!("{} was not reached in any run.", shortened(&metric.name, 120)),
        false => otherwise.to_owned(),
    }
}

/// What a caption says about the good end.
pub const fn better(better: Better) -> &'static str {
    match better {
        Better::Higher => " Higher is better.",
        Better::Lower => " Lower is better.",
        Better::Neither => "",
    }
}

/// The unit of a metric in brackets; empty when it has none.
pub fn unit_of(metric: &SweepMetric) -> String {
    if metric.unit.is_empty() { String::new() } else { format!(" ({})", metric.unit) }
}

fn draw(map: &Map<'_>, width: f64) -> Drawing {
    let mut keys = vec![Key::new(
        format!(
            "{} to {} {}",
            number::significant(map.range.0),
            number::significant(map.range.1),
            map.unit
        )
        .trim_end(),
        Swatch::Heat,
    )];
    let places = || map.cells.iter().flatten().zip(map.not_reached.iter().flatten());
    if places().any(|(cell, runs)| cell.is_none() && *runs == 0) {
        keys.push(Key::new("no run", Swatch::Hatch));
    }
    if places().any(|(cell, runs)| cell.is_none() && *runs > 0) {
        keys.push(Key::new("not reached in any run", Swatch::Hatch));
    }
    if map.cells.iter().flatten().flatten().any(|it| it.n < map.seeds) {
        let is_left_out = places().any(|(cell, runs)| cell.is_some() && *runs > 0);
        let words =
            if is_left_out { "* not reached in every run" } else { "* fewer runs than seeds" };
        keys.push(Key::new(words, Swatch::Words));
    }
    let rows = map.upwards.values.len();
    let row_height = if rows <= 10 { 52.0 } else { 26.0 };
    let plot_height = (row_height * rows as f64).max(PLOT_HEIGHT_MIN);
    let chars = |pixels: f64| (pixels / 7.5) as usize;
    let mut chart = Chart::new(Spec {
        width,
        plot_height,
        x: axis(map.across, chars(width - 120.0)),
        y: axis(map.upwards, chars(plot_height + 60.0)),
        keys: &keys,
        grid: Grid::None,
        above: 6.0,
        below: 0.0,
    });
    for (up, row) in map.cells.iter().enumerate() {
        for (at, cell) in row.iter().enumerate() {
            draw_cell(&mut chart, map, (at, up), cell.as_ref());
        }
    }
    chart.finish()
}

fn axis(parameter: &Swept, chars: usize) -> Axis {
    chart::places(&parameter.title_within(chars), &parameter.values)
}

fn draw_cell(chart: &mut Chart, map: &Map<'_>, (at, up): (usize, usize), cell: Option<&Interval>) {
    let (left, right) = (chart.x.at(at as f64), chart.x.at((at + 1) as f64));
    let (top, bottom) = (chart.y.at((up + 1) as f64), chart.y.at(up as f64));
    let area =
        Area { x: left + 1.0, y: top + 1.0, width: right - left - 2.0, height: bottom - top - 2.0 };
    let Some(interval) = cell else {
        hatch(&mut chart.svg, area);
        if map.not_reached[up][at] > 0 {
            let words = "not reached";
            let middle =
                Point { x: area.x + area.width / 2.0, y: area.y + area.height / 2.0 + 4.0 };
            if text_width(words, 12.0) <= area.width {
                chart.svg.text(middle, TextStyle::ink(Anchor::Middle), words);
            }
        }
        return;
    };
    let (from, to) = map.range;
    let share = if to > from { (interval.mean - from) / (to - from) } else { 0.5 };
    let (colour, ink) = heat(share);
    chart.svg.coloured_rect(area, &colour, &title(map, (at, up), interval));
    let star = if interval.n < map.seeds { "*" } else { "" };
    let mean = number::significant(interval.mean) + star;
    let spread =
        interval.half_width.map_or_else(String::new, |it| number::plus_minus(interval.mean, it));
    draw_words(chart, area, (&mean, &spread), ink);
}

fn title(map: &Map<'_>, (at, up): (usize, usize), interval: &Interval) -> String {
    let name = |parameter: &Swept, index: usize| {
        format!("{} = {}", shortened(&parameter.name, 80), shortened(&parameter.values[index], 80))
    };
    let spread = interval
        .half_width
        .map_or_else(String::new, |it| format!(" ± {}", number::significant(it)));
    format!(
        "{}, {}: {}{spread} {}(n = {})",
        name(map.across, at),
        name(map.upwards, up),
        number::significant(interval.mean),
        if map.unit.is_empty() { String::new() } else { format!("{} ", map.unit) },
        interval.n
    )
}

/// Writes mean and spread as far as they fit.
fn draw_words(chart: &mut Chart, area: Area, (mean, spread): (&str, &str), ink: &str) {
    let middle = Point { x: area.x + area.width / 2.0, y: area.y + area.height / 2.0 };
    let fits = |text: &str, size: f64| text_width(text, size) <= area.width - 4.0;
    if !spread.is_empty() && area.height >= 40.0 && fits(spread, 11.0) && fits(mean, 14.0) {
        chart.svg.coloured_text(Point { y: middle.y - 2.0, ..middle }, 14.0, ink, mean);
        chart.svg.coloured_text(Point { y: middle.y + 14.0, ..middle }, 11.0, ink, spread);
    } else if let Some(size) = [14.0, 11.0, 9.0].into_iter().find(|&size| fits(mean, size)) {
        let base = Point { y: middle.y + size * 0.35, ..middle };
        chart.svg.coloured_text(base, size, ink, mean);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::html::testing;

    fn body(data: &SweepData) -> String {
        match figure(data, &data.metrics[0], 0).unwrap().content {
            Content::Column(drawing) | Content::Wide { wide: drawing, .. } => drawing.body,
            Content::Nothing(sentence) => sentence,
        }
    }

    #[test]
    fn cells_show_mean_and_interval() {
        let data = testing::sweep(2);
        let interval = Interval::of(&data.metrics[0].values_at(&[0, 0])).unwrap();
        let body = body(&data);
        assert!(body.contains(&format!(">{}<", number::significant(interval.mean))), "{body}");
        let spread = number::plus_minus(interval.mean, interval.half_width.unwrap());
        assert!(body.contains(&format!(">{spread}<")), "{body}");
    }

    #[test]
    fn missing_cells_are_hatched_and_thin_ones_starred() {
        let mut data = testing::sweep(2);
        assert!(!body(&data).contains("no run"));
        data.metrics[0].cells.remove(0);
        data.metrics[0].cells[0].results.truncate(1);
        let body = body(&data);
        assert!(body.contains("no run") && body.contains("fewer runs than seeds"), "{body}");
    }

    #[test]
    fn what_was_not_reached_is_said_in_its_cell() {
        let mut data = testing::sweep(2);
        data.metrics[0].cells[0].results.clear();
        data.metrics[0].cells[0].not_reached = 3;
        data.metrics[0].cells[1].results.truncate(2);
        data.metrics[0].cells[1].not_reached = 1;
        let drawn = body(&data);
        assert!(drawn.contains(">not reached<") && !drawn.contains("no run"), "{drawn}");
        assert!(drawn.contains("* not reached in every run"), "{drawn}");
        let said = figure(&data, &data.metrics[0], 0).unwrap().caption;
        assert!(said.contains(" 4 runs without a value"), "{said}");
        for cell in &mut data.metrics[0].cells {
            (cell.results, cell.not_reached) = (Vec::new(), 3);
        }
        assert_eq!(body(&data), "accuracy at the end was not reached in any run.");
    }

    #[test]
    fn a_caption_promises_no_interval_of_one_run() {
        let mut data = testing::sweep(2);
        let said = |data: &SweepData| figure(data, &data.metrics[0], 0).unwrap().caption;
        assert!(said(&data).contains("95 %"));
        data.metrics[0].cells.iter_mut().for_each(|cell| cell.results.truncate(1));
        assert!(!said(&data).contains("95 %"), "{}", said(&data));
    }

    #[test]
    fn a_long_key_shows_its_end() {
        let mut data = testing::sweep(2);
        data.parameters[1].name = "faults.partition[0].for_epochs".into();
        data.parameters[1].values.truncate(1);
        assert!(body(&data).contains(">…for_epochs (s)<"), "{}", body(&data));
    }

    #[test]
    fn a_map_needs_two_parameters() {
        let data = testing::sweep(1);
        assert!(figure(&data, &data.metrics[0], 0).is_none());
    }

    #[test]
    fn a_sweep_without_results_is_a_sentence() {
        let mut data = testing::sweep(2);
        data.metrics[0].cells.clear();
        assert!(body(&data).contains("No combination has a result."));
    }
}
