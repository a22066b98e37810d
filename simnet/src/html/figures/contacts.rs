//! Contacts: when each peer was in contact, as a strip of densities, and how
//! many contacts began in each epoch.

use std::collections::BTreeSet;

use crate::html::axis::Axis;
use crate::html::chart::{self, COLUMN, Chart, Grid, Spec, WIDE, n_of};
use crate::html::data::{ContactStrip, ReportData};
use crate::html::document::{Content, Figure};
use crate::html::legend::{Key, RAMP_STEPS, Swatch};
use crate::html::number;
use crate::html::paint::Paint;
use crate::html::svg::{Area, Drawing, Fill, Stroke, px, shortened};
use crate::html::thin;
use crate::html::timeline::Timeline;

/// Most strips: beyond, the peers of a group share one.
const STRIPS_MAX: usize = 60;
/// Most strips that have their own label.
const LABELS_MAX: usize = 24;
/// Least width of a bin in pixels.
const BIN_WIDTH_MIN: f64 = 4.0;

/// A strip as it is drawn: one peer, or the mean of several.
#[derive(Debug, Clone, PartialEq)]
struct Strip {
    label: String,
    group: String,
    /// Share of time in contact in each bin.
    share: Vec<f64>,
}

/// The figure of the strips.
pub fn strips(data: &ReportData) -> Figure {
    let contacts = &data.contacts;
    let peers = contacts.strips.len();
    let is_empty = contacts.strips.iter().all(|it| it.share.iter().all(|share| *share <= 0.0))
        || !(contacts.bin_s.is_finite() && contacts.bin_s > 0.0);
    let content = if is_empty {
        Content::Nothing("No peer was ever in contact with another.".to_owned())
    } else {
        Content::Wide { wide: draw_strips(data, WIDE), column: draw_strips(data, COLUMN) }
    };
    let what = if peers > STRIPS_MAX { "group (mean over its peers)" } else { "peer" };
    let caption = format!(
        "Share of time during which each {what} was in contact with at least one other, in bins \
         of at least {}. {}.{}",
        number::period(contacts.bin_s),
        n_of(peers as u64, "peer", "peers"),
        Timeline::of(data).caption()
    );
    Figure { id: "contacts".to_owned(), title: "Who was in contact".to_owned(), caption, content }
}

/// The figure of the contacts in each epoch.
pub fn per_epoch(data: &ReportData) -> Figure {
    let counts = &data.contacts.per_epoch;
    let total = counts.iter().fold(0_u64, |sum, &it| sum.saturating_add(it));
    let content = if total == 0 {
        Content::Nothing("No contact began in any epoch.".to_owned())
    } else {
        Content::Column(draw_per_epoch(counts))
    };
    let mean = total as f64 / counts.len().max(1) as f64;
    let caption = format!(
        "Contacts that began in each epoch; {} per epoch on average. {} in {}.",
        number::significant(mean),
        n_of(total, "contact", "contacts"),
        number::counted(counts.len() as u64, "epoch", "epochs")
    );
    let (id, title) = ("contacts-per-epoch".to_owned(), "Contacts per epoch".to_owned());
    Figure { id, title, caption, content }
}

fn draw_strips(data: &ReportData, width: f64) -> Drawing {
    let timeline = Timeline::of(data);
    let strips = aggregated(&data.contacts.strips);
    let (bins, bin_s) = binned(&strips, data.contacts.bin_s, width);
    let most = bins.iter().flatten().copied().fold(0.0, f64::max);
    let shares = Axis::of_shares("", most.min(1.0), 5);
    let full = shares.domain.1;
    let most = shares.ticks.last().map_or("", |tick| &tick.label);
    let label = format!("share of time in contact, up to {most}");
    let mut keys = vec![Key::new(label, Swatch::Ramp(Paint::Series(0)))];
    keys.extend(timeline.keys());
    let mut chart = Chart::new(Spec {
        width,
        plot_height: row_height(strips.len()) * strips.len() as f64,
        x: Axis::of_time(timeline.end_s(), (width / 80.0) as usize),
        y: rows_axis(&strips),
        keys: &keys,
        grid: Grid::None,
        above: timeline.above(width - 80.0),
        below: timeline.below(),
    });
    timeline.draw(&mut chart);
    draw_cells(&mut chart, &bins, bin_s, full);
    draw_borders(&mut chart, &strips);
    chart.finish()
}

const fn row_height(rows: usize) -> f64 {
    match rows {
        0..=12 => 20.0,
        13..=LABELS_MAX => 15.0,
        _ => 8.0,
    }
}

/// The strips of peers, or of groups when there are too many peers; of too many
/// groups the last ones share a strip.
fn aggregated(strips: &[ContactStrip]) -> Vec<Strip> {
    if strips.len() <= STRIPS_MAX {
        return strips.iter().map(|it| mean_of(&it.peer, &it.group, &[it])).collect();
    }
    let names: BTreeSet<_> = strips.iter().map(|strip| strip.group.as_str()).collect();
    let own_max = if names.len() > STRIPS_MAX { STRIPS_MAX - 1 } else { STRIPS_MAX };
    let mut groups: Vec<(&str, Vec<&ContactStrip>)> = Vec::new();
    for strip in strips {
        let known = groups.iter().position(|(name, _)| *name == strip.group);
        let at = known.unwrap_or(groups.len().min(own_max));
        if at == groups.len() {
            let is_rest = own_max < STRIPS_MAX && at == own_max;
            groups.push((if is_rest { "other groups" } else { &strip.group }, Vec::new()));
        }
        groups[at].1.push(strip);
    }
    let strip = |(name, members): &(&str, Vec<&ContactStrip>)| {
        let name = if name.is_empty() { "all peers" } else { name };
        let peers = number::count(members.len() as u64);
        mean_of(&format!("{} ({peers})", shortened(name, 18)), name, members)
    };
    groups.iter().map(strip).collect()
}

fn mean_of(label: &str, group: &str, strips: &[&ContactStrip]) -> Strip {
    let bins = strips.iter().map(|it| it.share.len()).max().unwrap_or(0);
    let mut share = vec![0.0; bins];
    for strip in strips {
        for (sum, value) in share.iter_mut().zip(&strip.share) {
            *sum += f64::from(*value).clamp(0.0, 1.0);
        }
    }
    share.iter_mut().for_each(|sum: &mut f64| {
        *sum = if sum.is_finite() { *sum / strips.len().max(1) as f64 } else { 0.0 };
    });
    Strip { label: label.to_owned(), group: group.to_owned(), share }
}

/// The shares in bins that are wide enough to be seen, and their length.
fn binned(strips: &[Strip], bin_s: f64, width: f64) -> (Vec<Vec<f64>>, f64) {
    let bins = strips.iter().map(|it| it.share.len()).max().unwrap_or(0);
    let most = (width * 0.85 / BIN_WIDTH_MIN).max(1.0) as usize;
    let joined = bins.div_ceil(most).max(1);
    let mean = |run: &[f64]| run.iter().sum::<f64>() / run.len() as f64;
    let rows = strips.iter().map(|it| it.share.chunks(joined).map(mean).collect()).collect();
    (rows, bin_s * joined as f64)
}

/// Row `i` from the top lies at `rows - i - 0.5`; with many rows only the
/// middle of each group has a label.
fn rows_axis(strips: &[Strip]) -> Axis {
    let rows = strips.len();
    let mut axis = chart::places("", &vec![String::new(); rows]);
    let names = if rows <= LABELS_MAX {
        strips.iter().enumerate().map(|(row, strip)| (row, strip.label.clone())).collect()
    } else {
        group_labels(strips)
    };
    axis.ticks.clear();
    for (row, label) in names {
        let value = (rows - row) as f64 - 0.5;
        axis.ticks.push(crate::html::axis::Tick { value, label });
    }
    axis
}

fn group_labels(strips: &[Strip]) -> Vec<(usize, String)> {
    let runs = group_runs(strips);
    let many = runs.len() > LABELS_MAX;
    let label = |&(from, to): &(usize, usize)| {
        let name = if strips[from].group.is_empty() { "all peers" } else { &strips[from].group };
        ((from + to) / 2, shortened(name, 22))
    };
    let enough = |run: &&(usize, usize)| !many || run.1 - run.0 >= 2;
    runs.iter().filter(enough).map(label).collect()
}

/// First and last row of each run of one group.
fn group_runs(strips: &[Strip]) -> Vec<(usize, usize)> {
    let mut runs: Vec<(usize, usize)> = Vec::new();
    for (row, strip) in strips.iter().enumerate() {
        match runs.last_mut() {
            Some(run) if strips[run.0].group == strip.group => run.1 = row,
            _ => runs.push((row, row)),
        }
    }
    runs
}

/// Draws one path for each step of density: neighbouring bins are joined.
fn draw_cells(chart: &mut Chart, rows: &[Vec<f64>], bin_s: f64, full: f64) {
    let height = row_height(rows.len());
    let mut paths = vec![String::new(); usize::from(RAMP_STEPS)];
    for (row, bins) in rows.iter().enumerate() {
        let y = chart.area.y + row as f64 * height + 1.0;
        for (from, to, step) in runs_of_steps(bins, full) {
            let (left, right) = (chart.x.at(from as f64 * bin_s), chart.x.at(to as f64 * bin_s));
            let (left, width) = (px(left), px(right - left));
            let path = &mut paths[step - 1];
            *path += &format!("M{left} {}h{width}v{}h-{width}z", px(y), px(height - 2.0));
        }
    }
    for (step, path) in paths.iter().enumerate().filter(|(_, path)| !path.is_empty()) {
        let opacity = (step + 1) as f64 / f64::from(RAMP_STEPS);
        chart.svg.fill_path(path, Fill { paint: Paint::Series(0), opacity });
    }
}

/// Runs of bins of one density: first bin, bin after the last, step from 1 on.
fn runs_of_steps(bins: &[f64], full: f64) -> Vec<(usize, usize, usize)> {
    let steps = f64::from(RAMP_STEPS);
    let step = |share: f64| ((share / full * steps).ceil().clamp(0.0, steps)) as usize;
    let mut runs: Vec<(usize, usize, usize)> = Vec::new();
    for (at, step) in bins.iter().map(|&share| step(share)).enumerate() {
        match runs.last_mut() {
            Some(run) if run.1 == at && run.2 == step => run.1 = at + 1,
            _ if step > 0 => runs.push((at, at + 1, step)),
            _ => {}
        }
    }
    runs
}

fn draw_borders(chart: &mut Chart, strips: &[Strip]) {
    let height = row_height(strips.len());
    if strips.len() <= LABELS_MAX && group_runs(strips).len() == strips.len() {
        return;
    }
    for (from, _) in group_runs(strips).into_iter().skip(1) {
        let y = chart.area.y + from as f64 * height;
        let ends = [chart.area.x - 6.0, chart.area.right()];
        let [from, to] = ends.map(|x| crate::html::svg::Point { x, y });
        chart.svg.line(from, to, Stroke::solid(Paint::Muted, 0.8));
    }
}

fn draw_per_epoch(counts: &[u64]) -> Drawing {
    let (width, bars) = thin::histogram(counts, 100);
    let most = bars.iter().copied().max().unwrap_or(0) as f64;
    let title = if width == 1 {
        "Contacts in an epoch".to_owned()
    } else {
        format!("Contacts in {width} epochs")
    };
    let mut x = Axis::of_counts("Epoch", counts.len() as f64, 8);
    x.domain = (0.0, (bars.len() * width) as f64);
    x.ticks.retain(|tick| tick.value <= x.domain.1);
    let mut chart = Chart::new(Spec {
        width: COLUMN,
        plot_height: 170.0,
        x,
        y: Axis::of_counts(&title, most, 5),
        keys: &[],
        grid: Grid::Both,
        above: 8.0,
        below: 0.0,
    });
    for (index, &count) in bars.iter().enumerate() {
        let (from, to) = (index * width, (index + 1) * width);
        let epochs = if width == 1 {
            format!("epoch {from}")
        } else {
            format!("epochs {from}–{}", to - 1)
        };
        let title = format!("{epochs}: {}", number::counted(count, "contact", "contacts"));
        draw_bar(&mut chart, (from as f64, to as f64), count as f64, &title);
    }
    chart.finish()
}

/// Draws the bar of a histogram.
pub fn draw_bar(chart: &mut Chart, (from, to): (f64, f64), value: f64, title: &str) {
    let (left, right, top) = (chart.x.at(from), chart.x.at(to), chart.y.at(value));
    let gap = if right - left > 4.0 { 1.0 } else { 0.0 };
    let area =
        Area { x: left, y: top, width: right - left - gap, height: chart.area.bottom() - top };
    chart.svg.titled_rect(area, Fill::solid(Paint::Series(0)), title);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::html::data::Contacts;
    use crate::html::testing;

    fn strip(peer: usize, group: &str, share: f32) -> ContactStrip {
        ContactStrip { peer: peer.to_string(), group: group.to_owned(), share: vec![share; 3] }
    }

    #[test]
    fn no_contacts_are_a_sentence() {
        let mut data = testing::report();
        data.contacts = Contacts::default();
        assert!(matches!(strips(&data).content, Content::Nothing(_)));
        assert!(matches!(per_epoch(&data).content, Content::Nothing(_)));
        data.contacts = Contacts { bin_s: f64::NAN, ..testing::report().contacts };
        assert!(matches!(strips(&data).content, Content::Nothing(_)));
    }

    #[test]
    fn many_peers_share_the_strips_of_their_groups() {
        let few: Vec<_> = (0..60).map(|peer| strip(peer, "north", 0.5)).collect();
        assert_eq!(aggregated(&few).len(), 60);
        let mut many = few.clone();
        many.extend((0..20).map(|peer| strip(peer, "south", if peer < 10 { 1.0 } else { 0.0 })));
        let strips = aggregated(&many);
        assert_eq!(strips.len(), 2);
        assert_eq!((strips[0].label.as_str(), strips[1].share[0]), ("north (60)", 0.5));
    }

    #[test]
    fn many_groups_never_make_more_strips_than_fit() {
        let peers: Vec<_> = (0..500).map(|peer| strip(peer, &peer.to_string(), 0.1)).collect();
        let strips = aggregated(&peers);
        assert_eq!(strips.len(), STRIPS_MAX);
        assert_eq!(strips[STRIPS_MAX - 1].label, "other groups (441)");
    }

    #[test]
    fn neighbouring_bins_of_one_density_are_joined() {
        let bins = [0.0, 0.5, 0.5, 0.0, 0.01, 1.0];
        assert_eq!(runs_of_steps(&bins, 1.0), [(1, 3, 3), (4, 5, 1), (5, 6, 5)]);
        assert!(runs_of_steps(&[f64::NAN, 0.0], 1.0).is_empty());
    }

    #[test]
    fn fine_bins_are_joined_to_what_can_be_seen() {
        let strips =
            vec![Strip { label: String::new(), group: String::new(), share: vec![0.5; 10_000] }];
        let (rows, bin_s) = binned(&strips, 1.0, COLUMN);
        assert!(rows[0].len() as f64 * BIN_WIDTH_MIN <= COLUMN);
        assert!(rows[0].len() as f64 * bin_s >= 10_000.0);
        assert!(rows[0].iter().all(|share| *share == 0.5));
    }
}
