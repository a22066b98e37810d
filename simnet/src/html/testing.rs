//! Data for tests, and what every page must satisfy.

use super::data::*;
use super::seals::*;
use super::sweep_data::*;

/// Elements that have no end tag in HTML.
const VOID: [&str; 3] = ["meta", "br", "hr"];

/// Panics unless tags are balanced, attributes are quoted, ids are unique and
/// no number is missing.
pub fn assert_sound(html: &str) {
    assert_balanced(html);
    let shown = html.split("<script>").next().unwrap_or_default();
    let numbers = shown
        .split(['<', '>', '"', ' ', ',', '('])
        .filter(|word| matches!(*word, "NaN" | "inf" | "-inf" | "Infinity" | "−inf"));
    assert_eq!(numbers.count(), 0, "a number is missing");
    let mut ids: Vec<_> =
        html.split(" id=\"").skip(1).filter_map(|rest| rest.split('"').next()).collect();
    let all = ids.len();
    ids.sort_unstable();
    ids.dedup();
    assert_eq!(ids.len(), all, "an id occurs twice");
}

/// Panics unless every tag is closed in order.
pub fn assert_balanced(html: &str) {
    let mut open: Vec<&str> = Vec::new();
    let mut rest = html;
    while let Some(at) = rest.find('<') {
        rest = &rest[at + 1..];
        if rest.starts_with("!DOCTYPE") {
            continue;
        }
        let end = end_of_tag(rest);
        let (tag, after) = (&rest[..end], &rest[end + 1..]);
        let name = tag.trim_start_matches('/').split([' ', '/']).next().unwrap_or_default();
        assert!(name.chars().all(|c| c.is_ascii_alphanumeric()), "tag {name:?}");
        rest = after;
        if tag.starts_with('/') {
            assert_eq!(open.pop(), Some(name), "{tag}");
        } else if !tag.ends_with('/') && !VOID.contains(&name) {
            open.push(name);
            if matches!(name, "script" | "style") {
                rest = &rest[rest.find("</").expect("an end")..];
            }
        }
    }
    assert!(open.is_empty(), "not closed: {open:?}");
}

/// Where the tag ends, quotes considered.
fn end_of_tag(tag: &str) -> usize {
    let mut quoted = false;
    for (at, byte) in tag.bytes().enumerate() {
        match byte {
            b'"' => quoted = !quoted,
            b'>' if !quoted => return at,
            b'<' => panic!("`<` inside a tag: {}", &tag[..at]),
            _ => {}
        }
    }
    panic!("a tag without an end: {}", tag.chars().take(80).collect::<String>());
}

fn series(name: &str, peers: u32, level: f64) -> GroupSeries {
    let point = |epoch: u32| {
        let mean = level * (1.0 - 1.0 / f64::from(epoch + 2));
        let at_s = f64::from(epoch + 1) * 60.0;
        BandPoint { at_s, mean, min: mean - 0.05, max: mean + 0.05 }
    };
    GroupSeries { name: name.to_owned(), peers, points: (0..20).map(point).collect() }
}

fn header() -> Header {
    Header {
        name: "label-split".into(),
        about: "six peers, cut along their labels".into(),
        seed: 1,
        version: "0.1.0".into(),
        scenario_hash: "5c1a".repeat(16),
        trace_digest: "90ab".repeat(16),
        peers: 6,
        epochs: 20,
        epoch_ms: 60_000,
        simulated_ms: 1_320_000,
        wall_s: Some(12.5),
        events: 123_456,
        workers: 2,
    }
}

fn traffic() -> Traffic {
    let link = |index: u64| LinkBytes {
        a: format!("peer {}", index % 3),
        b: format!("peer {}", index % 3 + 3),
        contacts: index + 1,
        bytes: index * index * 1_000,
    };
    let kind = |kind: &str, frames, bytes| KindBytes { kind: kind.to_owned(), frames, bytes };
    let kinds = vec![kind("payload", 400, 2_000_000), kind("have", 900, 40_000)];
    Traffic::from_links((0..9).map(link).collect(), kinds)
}

fn seals() -> Seals {
    let seal = |end_epoch: u32| {
        let first_s = f64::from(end_epoch + 12) * 60.0;
        Seal { end_epoch, first_s, half_s: Some(first_s + 10.0), peers: 5 }
    };
    let point = |epoch: u32| {
        let median = epoch.saturating_sub(12) / 4 * 4;
        let least = if epoch < 20 { 0 } else { median };
        SealPoint { at_s: f64::from(epoch + 1) * 60.0, median, least }
    };
    let held = |epoch: u32| HeldPoint {
        at_s: f64::from(epoch + 1) * 60.0,
        updates_mean: f64::from(6 * epoch),
        held_mean: f64::from(6 * epoch.min(14)),
        held_max: f64::from(6 * epoch.min(16)),
    };
    let count = |epoch: u32, count: u32| SealCount { at_s: 1_210.0, epoch, count };
    Seals {
        window_epochs: 12,
        every_epochs: 4,
        peers: 5,
        seals: vec![seal(4), seal(8)],
        progress: (0..22).map(point).collect(),
        adopted: vec![count(8, 1)],
        too_late: vec![count(5, 2), count(6, 1)],
        held: (0..22).map(held).collect(),
    }
}

/// A small run in which every section has something to show.
pub fn report() -> ReportData {
    let reference = Reference {
        label: "never cut".into(),
        seed: 7,
        peers: 6,
        points: series("", 6, 0.95).points,
    };
    let agreement = |epoch: u32| AgreementPoint {
        at_s: f64::from(epoch + 1) * 60.0,
        models: 1 + epoch % 5,
        lag_mean_epochs: f64::from(epoch) / 7.0,
        lag_max_epochs: f64::from(epoch) / 3.0,
    };
    let strip = |peer: u32| {
        let group = if peer < 3 { "north" } else { "south" };
        let from = f64::from(peer) * 100.0;
        ContactStrip::from_intervals(&peer.to_string(), group, &[(from, from + 90.0)], (44, 30.0))
    };
    ReportData {
        header: header(),
        checks: vec![CheckLine { name: "one model".into(), passed: true, found: "1 model".into() }],
        accuracy: Accuracy {
            groups: vec![series("north", 3, 0.9), series("south", 3, 0.85)],
            alone: vec![series("north", 3, 0.5), series("south", 3, 0.45)],
            reference: Some(reference),
        },
        partitions: vec![Partition { from_s: 300.0, to_s: 700.0, label: "north | south".into() }],
        marks: vec![FaultMark {
            at_s: 400.0,
            label: "peer 1 stops".into(),
            kind: FaultKind::Crash,
        }],
        seals: Some(seals()),
        agreement: (0..22).map(agreement).collect(),
        contacts: Contacts {
            bin_s: 30.0,
            strips: (0..6).map(strip).collect(),
            per_epoch: vec![3; 22],
        },
        staleness: Staleness { acceptances: vec![40, 30, 10, 0, 2] },
        delivery: Delivery::from_delays((1..90).map(f64::from).collect(), 92),
        traffic: traffic(),
        rejections: vec![Rejection {
            reason: "norm above its bound".into(),
            from_adversaries: 12,
            from_honest: 1,
            from_unknown: 0,
        }],
        adversaries: vec![Adversary { kind: "scaled".into(), peers: vec![5], acted: 20 }],
        faults: vec![FaultLine {
            kind: "crash".into(),
            peers: vec![1],
            from_s: 400.0,
            to_s: Some(500.0),
            acted: 1,
        }],
    }
}

/// The small run with `name` wherever a scenario can put a name.
pub fn named(name: &str) -> ReportData {
    let mut data = report();
    let text = || name.to_owned();
    let header = &mut data.header;
    (header.name, header.about, header.version) = (text(), text(), text());
    (header.scenario_hash, header.trace_digest) = (text(), text());
    (data.checks[0].name, data.checks[0].found, data.checks[0].passed) = (text(), text(), false);
    data.accuracy.groups[0].name = text();
    data.accuracy.alone[0].name = text();
    data.accuracy.reference.as_mut().expect("a reference").label = text();
    data.partitions[0].label = text();
    data.marks[0].label = text();
    for strip in &mut data.contacts.strips {
        (strip.peer, strip.group) = (text(), text());
    }
    (data.traffic.top[0].a, data.traffic.top[0].b) = (text(), text());
    data.traffic.by_kind[0].kind = text();
    data.rejections[0].reason = text();
    data.adversaries[0].kind = text();
    data.faults[0].kind = text();
    data
}

/// The small run with `values` as its numbers, as integers and as bits of floats.
pub fn numbered(values: &[u64]) -> ReportData {
    let mut data = report();
    let mut next = values.iter().copied().cycle();
    let mut count = || next.next().unwrap_or(0);
    data.header.epoch_ms = count();
    data.header.simulated_ms = count();
    data.contacts.per_epoch = values.to_vec();
    data.staleness.acceptances = values.to_vec();
    data.delivery.deliverable = count();
    data.delivery.delivered = count();
    data.traffic.bytes_per_link = values.to_vec();
    data.traffic.by_kind.iter_mut().for_each(|it| it.bytes = count());
    data.rejections[0].from_honest = count();
    data.rejections[0].from_unknown = count();
    let mut number = || f64::from_bits(count());
    data.header.wall_s = Some(number());
    data.contacts.bin_s = number();
    data.partitions[0].from_s = number();
    data.marks[0].at_s = number();
    for point in data.accuracy.groups.iter_mut().flat_map(|it| &mut it.points) {
        (point.at_s, point.mean, point.min) = (number(), number(), number());
    }
    for point in &mut data.agreement {
        (point.at_s, point.lag_max_epochs) = (number(), number());
        point.models = point.at_s.to_bits() as u32;
    }
    for point in &mut data.delivery.points {
        (point.delay_s, point.share) = (number(), number());
    }
    data.faults[0].from_s = number();
    let seals = data.seals.as_mut().expect("the small run seals");
    for point in &mut seals.progress {
        (point.at_s, point.median) = (number(), number().to_bits() as u32);
    }
    for point in &mut seals.held {
        (point.at_s, point.held_mean, point.held_max) = (number(), number(), number());
    }
    (seals.too_late[0].at_s, seals.seals[0].half_s) = (number(), Some(number()));
    (seals.window_epochs, seals.adopted[0].count) = (u32::MAX, u32::MAX);
    data
}

/// A run of `peers` peers in ten groups and `epochs` epochs.
pub fn large(peers: u32, epochs: u32) -> ReportData {
    let mut data = report();
    (data.header.peers, data.header.epochs) = (peers, epochs);
    data.header.simulated_ms = u64::from(epochs) * 60_000;
    let group = |index: u32| {
        let mut group = series(&format!("group {index}"), peers / 10, 0.9);
        let point = group.points[0];
        let at = |epoch: u32| BandPoint { at_s: f64::from(epoch) * 60.0 + 0.123, ..point };
        group.points = (0..epochs).map(at).collect();
        group
    };
    data.accuracy.groups = (0..10).map(group).collect();
    data.accuracy.alone = (0..10).map(group).collect();
    let strip = |peer: u32| ContactStrip {
        peer: format!("peer {peer}"),
        group: format!("group {}", peer / (peers / 60).max(1)),
        share: (0..1_000_u32).map(|bin| ((bin * 7 + peer * 13) % 11) as f32 / 11.0).collect(),
    };
    data.contacts.strips = (0..peers).map(strip).collect();
    data.contacts.per_epoch = (0..u64::from(epochs)).collect();
    let link = |index: u32| LinkBytes {
        a: format!("peer {index}"),
        b: "peer 0".into(),
        contacts: 1,
        bytes: u64::from(index) * 12_345,
    };
    data.traffic = Traffic::from_links((0..peers * 20).map(link).collect(), data.traffic.by_kind);
    let delay = |index: u32| f64::from(index) * 0.37;
    data.delivery = Delivery::from_delays((0..peers * 100).map(delay).collect(), 200_000);
    let mark = |index: u32| FaultMark {
        at_s: f64::from(index) * 6.0,
        label: format!("peer {index} stops"),
        kind: FaultKind::Crash,
    };
    data.marks = (0..peers).map(mark).collect();
    data
}

/// A sweep over up to three parameters of three values, with three seeds.
pub fn sweep(parameters: usize) -> SweepData {
    let swept = |index: usize| Swept {
        name: format!("parameter {index}"),
        unit: "s".into(),
        values: ["1", "2.5", "10"].map(str::to_owned).to_vec(),
    };
    let mut places: Vec<Vec<usize>> = vec![Vec::new()];
    for _ in 0..parameters {
        places = places
            .iter()
            .flat_map(|start| (0..3).map(move |index| [start.as_slice(), &[index]].concat()))
            .collect();
    }
    let cell = |at: Vec<usize>| {
        let level = at.iter().sum::<usize>() as f64 / 10.0;
        let result = |seed: u64| SeedValue { seed, value: level + seed as f64 / 50.0 };
        SweepCell { at, results: (1..=3).map(result).collect(), not_reached: 0 }
    };
    let metric = SweepMetric {
        name: "accuracy at the end".into(),
        unit: String::new(),
        better: Better::Higher,
        least: Some(0.0),
        most: Some(1.0),
        cells: places.into_iter().map(cell).collect(),
    };
    SweepData {
        header: SweepHeader {
            name: "rare-contacts".into(),
            about: "how rare may contacts be".into(),
            version: "0.1.0".into(),
            scenario_hash: "5c1a".repeat(16),
            peers: 12,
            epochs: 100,
            seeds: vec![1, 2, 3],
            wall_s: None,
        },
        parameters: (0..parameters).map(swept).collect(),
        metrics: vec![metric],
        failures: Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_balance_checker_finds_what_is_wrong() {
        assert_balanced("<!DOCTYPE html><a b=\"x>y\"><c/></a><meta x=\"y\">");
        for wrong in ["<a>", "<a><b></a></b>", "</a>", "<a b=\"<\">", "<a"] {
            assert!(std::panic::catch_unwind(|| assert_balanced(wrong)).is_err(), "{wrong}");
        }
    }

    #[test]
    fn the_checker_finds_missing_numbers_and_equal_ids() {
        for wrong in ["<a x=\"NaN\"></a>", "<a>inf</a>", "<a id=\"x\"></a><a id=\"x\"></a>"] {
            assert!(std::panic::catch_unwind(|| assert_sound(wrong)).is_err(), "{wrong}");
        }
    }
}
