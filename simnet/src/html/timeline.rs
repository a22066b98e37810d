//! What every time axis shows besides the data: epochs, cuts and faults.

use std::borrow::Cow;
use std::collections::BTreeMap;

use super::axis::Axis;
use super::chart::{COLUMN, Chart, Grid, Spec, lanes};
use super::data::{FaultKind, FaultMark, Partition, ReportData};
use super::legend::{Key, Swatch};
use super::number;
use super::paint::Paint;
use super::svg::{
    Anchor, Area, Dash, Fill, Point, Stroke, Svg, TextStyle, polyline, shortened, text_width,
};

/// Height of the row of epochs above the plot.
const EPOCH_ROW: f64 = 24.0;
/// Height of a lane for the name of a cut.
const CUT_LANE: f64 = 18.0;
/// Most lanes for the names of cuts; further cuts are shaded without a name.
const CUT_LANES_MAX: usize = 3;
/// Most cuts that are drawn.
const CUTS_MAX: usize = 200;
/// Most characters of a cut's name.
const CUT_CHARS_MAX: usize = 30;
/// Height of the lane of marks below the plot.
const MARK_LANE: f64 = 16.0;
/// Marks of one kind that are nearer than this many pixels become one.
const MARK_SPACE: f64 = 9.0;
/// Most marks from which a line rises into the plot.
const MARK_LINES_MAX: usize = 12;
/// Most labels that the title of a joined mark spells out.
const MARK_LABELS_MAX: usize = 5;

/// Epochs, cuts and faults of a run.
#[derive(Debug)]
pub struct Timeline<'a> {
    partitions: &'a [Partition],
    marks: Cow<'a, [FaultMark]>,
    epoch_s: f64,
    epochs: u32,
    end_s: f64,
}

impl<'a> Timeline<'a> {
    /// The timeline of a run.
    pub fn of(data: &'a ReportData) -> Self {
        let series = data.accuracy.groups.iter().flat_map(|it| &it.points).map(|it| it.at_s);
        let last = series.chain(data.agreement.iter().map(|it| it.at_s));
        let simulated_s = data.header.simulated_ms as f64 / 1_000.0;
        let end_s = last.filter(|it| it.is_finite()).fold(simulated_s, f64::max);
        let cuts = data.partitions.len().min(CUTS_MAX);
        Self {
            partitions: &data.partitions[..cuts],
            marks: Cow::Borrowed(&data.marks),
            epoch_s: data.header.epoch_ms as f64 / 1_000.0,
            epochs: data.header.epochs,
            end_s,
        }
    }

    /// The same, with a mark for each seal that half of the peers went on from.
    pub fn with_seals(data: &'a ReportData) -> Self {
        let mut timeline = Self::of(data);
        let seals = data.seals.iter().flat_map(|seals| &seals.seals);
        timeline.marks.to_mut().extend(seals.filter_map(|seal| {
            let label = format!("epochs before {} sealed", seal.end_epoch);
            Some(FaultMark { at_s: seal.half_s?, label, kind: FaultKind::Seal })
        }));
        timeline
    }

    /// The end of the run in simulated seconds.
    pub const fn end_s(&self) -> f64 {
        self.end_s
    }

    /// Room that it needs between legend and plot of about `width` pixels.
    pub fn above(&self, width: f64) -> f64 {
        let lanes = self.cut_names(|at| at / self.end_s.max(1e-9) * width).1;
        lanes as f64 * CUT_LANE + if self.has_epochs() { EPOCH_ROW } else { 4.0 }
    }

    /// Room that it needs between plot and tick labels.
    pub fn below(&self) -> f64 {
        if self.marks.is_empty() { 0.0 } else { MARK_LANE }
    }

    /// The keys for a legend.
    pub fn keys(&self) -> Vec<Key> {
        let mut keys = Vec::new();
        if !self.partitions.is_empty() {
            keys.push(Key::new("cut between groups", Swatch::Box(shade())));
        }
        let mut kinds: BTreeMap<FaultKind, u64> = BTreeMap::new();
        for mark in self.marks.iter() {
            *kinds.entry(mark.kind).or_default() += 1;
        }
        keys.extend(kinds.into_iter().map(|(kind, marks)| {
            let times =
                if marks == 1 { String::new() } else { format!(" × {}", number::count(marks)) };
            Key::new(format!("{}{times}", noun(kind)), Swatch::Mark(kind))
        }));
        keys
    }

    /// A chart over time in a column of the page, with everything of the timeline drawn.
    pub fn column(&self, plot_height: f64, y: Axis, mut keys: Vec<Key>) -> Chart {
        keys.extend(self.keys());
        let mut chart = Chart::new(Spec {
            width: COLUMN,
            plot_height,
            x: Axis::of_time(self.end_s(), 7),
            y,
            keys: &keys,
            grid: Grid::Both,
            above: self.above(COLUMN - 80.0),
            below: self.below(),
        });
        self.draw(&mut chart);
        chart
    }

    /// Draws epochs, cuts and faults into `chart`, below its data.
    pub fn draw(&self, chart: &mut Chart) {
        self.draw_cuts(chart);
        self.draw_epochs(chart);
        self.draw_marks(chart);
    }

    /// A sentence for a caption; empty when there is nothing to say.
    pub fn caption(&self) -> String {
        let seals = self.marks.iter().any(|mark| mark.kind == FaultKind::Seal);
        let faults = self.marks.iter().any(|mark| mark.kind != FaultKind::Seal);
        let mut parts = Vec::new();
        if !self.partitions.is_empty() {
            parts.push("shaded: groups cut from each other");
        }
        match (faults, seals) {
            (false, false) => {}
            (true, false) => parts.push("marks below the plot: faults"),
            (false, true) => parts.push(
                "bars below the plot: seals, once half of the peers had \
                                         gone on from them",
            ),
            (true, true) => parts.push(
                "marks below the plot: faults; bars: seals, once half of \
                                        the peers had gone on from them",
            ),
        }
        let mut text = parts.join("; ");
        if let Some(first) = text.get_mut(..1) {
            first.make_ascii_uppercase();
        }
        if text.is_empty() { text } else { format!(" {text}.") }
    }

    fn has_epochs(&self) -> bool {
        self.epoch_s > 0.0 && self.epochs > 1
    }

    /// The names of the cuts with their lanes, and the number of lanes.
    fn cut_names(&self, x_of: impl Fn(f64) -> f64) -> (Vec<(CutName, usize)>, usize) {
        let names = cut_names(self.partitions, x_of);
        let place = |it: &CutName| ((it.from + it.to) / 2.0, (it.to - it.from).max(it.width()));
        let lanes = lanes(&names.iter().map(place).collect::<Vec<_>>());
        let count = lanes.iter().map(|lane| lane + 1).max().unwrap_or(0).min(CUT_LANES_MAX);
        (names.into_iter().zip(lanes).collect(), count)
    }

    fn draw_cuts(&self, chart: &mut Chart) {
        for cut in self.partitions {
            let (from, to) = (chart.x.at(cut.from_s), chart.x.at(cut.to_s));
            let area = Area { x: from, width: (to - from).max(1.0), ..chart.area };
            let when = [cut.from_s, cut.to_s].map(number::duration).join(" to ");
            chart.svg.titled_rect(
                area,
                shade(),
                &format!("{}: {when}", shortened(&cut.label, 200)),
            );
        }
        let (names, count) = self.cut_names(|at| chart.x.at(at));
        let top = chart.area.y - if self.has_epochs() { EPOCH_ROW } else { 4.0 };
        for (name, lane) in names.iter().filter(|(_, lane)| *lane < count) {
            draw_cut_name(chart, name, top - *lane as f64 * CUT_LANE);
        }
    }

    fn draw_epochs(&self, chart: &mut Chart) {
        if !self.has_epochs() {
            return;
        }
        let ticks = (chart.area.width / 60.0).clamp(3.0, 12.0) as usize;
        let epochs = self.end_s / self.epoch_s;
        let axis = super::axis::Axis::of_counts("", epochs, ticks);
        let y = chart.area.y;
        let style = TextStyle { size: 11.0, ..TextStyle::muted(Anchor::Middle) };
        for tick in axis.ticks.iter().filter(|tick| tick.value <= epochs) {
            let x = chart.x.at(tick.value * self.epoch_s);
            let ends = (Point { x, y: y - 6.0 }, Point { x, y });
            chart.svg.line(ends.0, ends.1, Stroke::solid(Paint::Muted, 1.0));
            chart.svg.text(Point { x, y: y - 11.0 }, style, &tick.label);
        }
        let title = Point { x: chart.area.x - 7.0, y: y - 11.0 };
        chart.svg.text(title, TextStyle { anchor: Anchor::End, ..style }, "epoch");
    }

    fn draw_marks(&self, chart: &mut Chart) {
        let joined = joined(&self.marks, |at| chart.x.at(at));
        let faults = joined.iter().filter(|mark| mark.kind != FaultKind::Seal).count();
        let y = chart.area.bottom() + MARK_LANE / 2.0 + 1.0;
        for mark in &joined {
            if mark.kind != FaultKind::Seal && faults <= MARK_LINES_MAX {
                let stroke =
                    Stroke { paint: line_paint(mark.kind), width: 1.2, dash: Dash::Dotted };
                chart.upright(mark.x, stroke);
            }
            glyph(&mut chart.svg, Point { x: mark.x, y }, mark.kind, &mark.title());
        }
    }
}

fn shade() -> Fill {
    Fill { paint: Paint::Shade, opacity: 0.16 }
}

/// The name of a cut, or of several alike, from and to which pixel it holds.
#[derive(Debug, Clone, PartialEq)]
struct CutName {
    label: String,
    from: f64,
    to: f64,
}

impl CutName {
    fn width(&self) -> f64 {
        text_width(&self.label, 12.0)
    }
}

/// A name for each cut; cuts alike that are narrower than their name share one.
fn cut_names(cuts: &[Partition], x_of: impl Fn(f64) -> f64) -> Vec<CutName> {
    let mut alike: BTreeMap<&str, Vec<CutName>> = BTreeMap::new();
    for cut in cuts {
        let (from, to) = (x_of(cut.from_s), x_of(cut.to_s));
        let label = shortened(&cut.label, CUT_CHARS_MAX);
        alike.entry(&cut.label).or_default().push(CutName { label, from, to });
    }
    let names = alike.into_values().flat_map(|names| {
        let narrow = names.iter().any(|name| name.to - name.from < name.width());
        if names.len() == 1 || !narrow {
            return names;
        }
        vec![CutName {
            label: format!("{} × {}", names[0].label, number::count(names.len() as u64)),
            from: names.iter().map(|name| name.from).fold(f64::INFINITY, f64::min),
            to: names.iter().map(|name| name.to).fold(f64::NEG_INFINITY, f64::max),
        }]
    });
    let mut names: Vec<_> = names.collect();
    names.sort_by(|a, b| a.from.total_cmp(&b.from));
    names
}

/// Writes the name of a cut over its bracket.
fn draw_cut_name(chart: &mut Chart, name: &CutName, y: f64) {
    let CutName { from, to, .. } = *name;
    let bracket = [(from, 0.0), (from, -3.0), (to, -3.0), (to, 0.0)];
    let bracket = bracket.map(|(x, up)| Point { x, y: y + up });
    chart.svg.stroke_path(&polyline(&bracket), Stroke::solid(Paint::Shade, 1.0), &[]);
    let half = name.width() / 2.0;
    let (left, right) = (chart.area.x + half, (chart.area.right() - half).max(chart.area.x + half));
    let x = ((from + to) / 2.0).clamp(left, right);
    let style = TextStyle::muted(Anchor::Middle);
    chart.svg.text(Point { x, y: y - 6.0 }, style, &name.label);
}

/// Neighbouring marks of one kind.
struct Joined<'a> {
    kind: FaultKind,
    x: f64,
    marks: Vec<&'a FaultMark>,
}

impl Joined<'_> {
    fn title(&self) -> String {
        let line = |mark: &&FaultMark| {
            format!("{}: {}", number::duration(mark.at_s), shortened(&mark.label, 80))
        };
        let mut lines: Vec<_> = self.marks.iter().take(MARK_LABELS_MAX).map(line).collect();
        if self.marks.len() > MARK_LABELS_MAX {
            lines.push(format!("and {} more", self.marks.len() - MARK_LABELS_MAX));
        }
        lines.join("; ")
    }
}

fn joined<'a>(marks: &'a [FaultMark], x_of: impl Fn(f64) -> f64) -> Vec<Joined<'a>> {
    let mut sorted: Vec<_> = marks.iter().filter(|mark| mark.at_s.is_finite()).collect();
    sorted.sort_by(|a, b| a.at_s.total_cmp(&b.at_s));
    let mut all: Vec<Joined<'a>> = Vec::new();
    let mut last_of: BTreeMap<FaultKind, usize> = BTreeMap::new();
    for mark in sorted {
        let x = x_of(mark.at_s);
        let near = last_of.get(&mark.kind).copied().filter(|&at| x - all[at].x < MARK_SPACE);
        if let Some(at) = near {
            all[at].marks.push(mark);
        } else {
            last_of.insert(mark.kind, all.len());
            all.push(Joined { kind: mark.kind, x, marks: vec![mark] });
        }
    }
    all
}

fn paint(kind: FaultKind) -> Paint {
    if kind == FaultKind::AttackRelease { Paint::Bad } else { Paint::Ink }
}

/// Lines through the plot stay behind the data.
fn line_paint(kind: FaultKind) -> Paint {
    if kind == FaultKind::AttackRelease { Paint::Bad } else { Paint::Shade }
}

/// What a kind of fault is called.
pub const fn noun(kind: FaultKind) -> &'static str {
    match kind {
        FaultKind::Crash => "crash",
        FaultKind::ClockStep => "clock step",
        FaultKind::DiskLoss => "disk loss",
        FaultKind::AttackRelease => "attack release",
        FaultKind::Other => "other fault",
        FaultKind::Seal => "seal",
    }
}

/// Draws the mark of a fault around `at`, each kind in its own shape.
pub fn glyph(svg: &mut Svg, at: Point, kind: FaultKind, title: &str) {
    let outline: &[(f64, f64)] = match kind {
        FaultKind::Crash => &[
            (-4.5, -3.0),
            (-3.0, -4.5),
            (0.0, -1.5),
            (3.0, -4.5),
            (4.5, -3.0),
            (1.5, 0.0),
            (4.5, 3.0),
            (3.0, 4.5),
            (0.0, 1.5),
            (-3.0, 4.5),
            (-4.5, 3.0),
            (-1.5, 0.0),
        ],
        FaultKind::ClockStep => &[(0.0, -5.0), (4.5, 0.0), (0.0, 5.0), (-4.5, 0.0)],
        FaultKind::DiskLoss => &[(-4.0, -4.0), (4.0, -4.0), (4.0, 4.0), (-4.0, 4.0)],
        FaultKind::AttackRelease => &[(0.0, -5.0), (5.0, 4.0), (-5.0, 4.0)],
        FaultKind::Seal => &[(-1.5, -5.0), (1.5, -5.0), (1.5, 5.0), (-1.5, 5.0)],
        FaultKind::Other => &[
            (-1.2, -4.5),
            (1.2, -4.5),
            (1.2, -1.2),
            (4.5, -1.2),
            (4.5, 1.2),
            (1.2, 1.2),
            (1.2, 4.5),
            (-1.2, 4.5),
            (-1.2, 1.2),
            (-4.5, 1.2),
            (-4.5, -1.2),
            (-1.2, -1.2),
        ],
    };
    let places: Vec<_> = outline.iter().map(|(x, y)| Point { x: at.x + x, y: at.y + y }).collect();
    let (d, fill) = (polyline(&places) + "Z", Fill::solid(paint(kind)));
    if title.is_empty() { svg.fill_path(&d, fill) } else { svg.titled_path(&d, fill, title) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::html::testing;

    fn mark(at_s: f64, kind: FaultKind) -> FaultMark {
        FaultMark { at_s, label: format!("at {at_s}"), kind }
    }

    #[test]
    fn near_marks_of_one_kind_become_one() {
        let marks = [
            mark(1.0, FaultKind::Crash),
            mark(2.0, FaultKind::ClockStep),
            mark(3.0, FaultKind::Crash),
            mark(100.0, FaultKind::Crash),
            mark(f64::NAN, FaultKind::Crash),
        ];
        let joined = joined(&marks, |at| at);
        let counts: Vec<_> = joined.iter().map(|it| it.marks.len()).collect();
        assert_eq!(counts, [2, 1, 1]);
        assert_eq!(joined[0].title(), "1.00 s: at 1; 3.00 s: at 3");
    }

    #[test]
    fn a_crowd_of_marks_is_counted() {
        let marks: Vec<_> = (0..100).map(|_| mark(1.0, FaultKind::Other)).collect();
        let joined = joined(&marks, |at| at);
        assert!(joined[0].title().ends_with("and 95 more"), "{}", joined[0].title());
    }

    #[test]
    fn overlapping_cuts_take_lanes_up_to_a_limit() {
        let mut data = testing::report();
        let cut =
            |index: u32| Partition { from_s: 10.0, to_s: 20.0, label: format!("{index} | b") };
        data.partitions = (0..10).map(cut).collect();
        assert_eq!(Timeline::of(&data).cut_names(|at| at).1, CUT_LANES_MAX);
        data.partitions.clear();
        assert_eq!(Timeline::of(&data).cut_names(|at| at).1, 0);
    }

    #[test]
    fn narrow_cuts_alike_share_a_name() {
        let cut = |index: u32| {
            let from_s = f64::from(index) * 50.0;
            Partition { from_s, to_s: from_s + 45.0, label: "halves".into() }
        };
        let cuts: Vec<_> = (0..20).map(cut).collect();
        let shared = CutName { label: "halves × 20".into(), from: 0.0, to: 199.0 };
        assert_eq!(cut_names(&cuts, |at| at / 5.0), [shared]);
        assert_eq!(cut_names(&cuts, |at| at).len(), 20, "wide ones keep theirs");
        assert_eq!(cut_names(&cuts[..1], |at| at / 5.0)[0].label, "halves");
    }

    #[test]
    fn seals_are_marks_without_a_line() {
        let mut data = testing::report();
        data.marks.clear();
        let sealed = Timeline::with_seals(&data);
        assert_eq!(sealed.marks.iter().map(|it| it.at_s).collect::<Vec<_>>(), [970.0, 1_210.0]);
        assert!(sealed.caption().contains("; bars below the plot: seals"), "{}", sealed.caption());
        assert!(Timeline::of(&data).marks.is_empty(), "other figures show none");
        data.partitions.clear();
        assert!(Timeline::with_seals(&data).caption().starts_with(" Bars below"));
    }

    #[test]
    fn the_axis_reaches_the_last_point() {
        let mut data = testing::report();
        data.header.simulated_ms = 1_000;
        let last = data.agreement.iter().map(|it| it.at_s).fold(0.0, f64::max);
        assert_eq!(Timeline::of(&data).end_s(), last);
    }
}
