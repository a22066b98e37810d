//! The page of a run: from what the run left to the plain numbers of the page.

use std::collections::BTreeMap;

use crate::contacts::Contact;
use crate::engine::LinkUse;
use crate::faults::{self, FaultKind as Kind};
use crate::html::{
    Accuracy, Adversary, AgreementPoint, BandPoint, CheckLine, ContactStrip, Contacts, DelayPoint,
    Delivery, FaultKind, FaultLine, FaultMark, GroupSeries, Header, KindBytes, LinkBytes,
    Partition, Reference, Rejection, ReportData, Staleness, Traffic,
};
use crate::metrics::{Sample, Samples, mean};
use crate::output::run_manifest::scenario_hash;
use crate::report::{RefusalReport, RunReport};
use crate::scenario::{Scenario, Shape, TrainingMode};
use crate::seals::SealLog;

/// Bins of a contact strip.
const BINS: usize = 240;
/// Peers whose contacts are drawn one by one.
const STRIPS_MAX: usize = 1_000;
const US_PER_S: f64 = 1e6;

/// What a page needs besides the report.
#[derive(Debug)]
pub struct Detail {
    /// The plan that the run followed.
    pub contacts: Vec<Contact>,
    /// What each link carried.
    pub links: Vec<LinkUse>,
    /// Frames and bytes by kind of frame.
    pub frames: BTreeMap<&'static str, (u64, u64)>,
    /// The same run without partitions, where a check compares with it.
    pub uncut: Option<Samples>,
    /// What honest peers sealed, and when.
    pub seals: SealLog,
}

/// The data of the page; `wall_s` and `workers` describe this machine's run.
pub fn page_data(
    scenario: &Scenario,
    report: &RunReport,
    detail: &Detail,
    wall_s: Option<f64>,
    workers: usize,
) -> ReportData {
    ReportData {
        header: header(scenario, report, wall_s, workers),
        checks: report.checks.iter().map(check).collect(),
        accuracy: accuracy(scenario, &report.samples, detail.uncut.as_ref()),
        partitions: partitions(scenario),
        marks: marks(scenario),
        seals: detail.seals.shown(scenario, &report.samples),
        agreement: agreement(scenario, &report.samples),
        contacts: contacts(scenario, &detail.contacts),
        staleness: Staleness { acceptances: report.deliveries.staleness.clone() },
        delivery: delivery(report),
        traffic: traffic(detail),
        rejections: rejections(report),
        adversaries: adversaries(scenario, report),
        faults: fault_lines(scenario, report),
    }
}

fn header(scenario: &Scenario, report: &RunReport, wall_s: Option<f64>, workers: usize) -> Header {
    Header {
        name: report.name.clone(),
        about: scenario.about.clone(),
        seed: report.seed,
        version: env!("CARGO_PKG_VERSION").to_owned(),
        scenario_hash: scenario_hash(&scenario.to_toml()).to_string(),
        trace_digest: report.digest.clone(),
        peers: u32::from(scenario.peers.get()),
        epochs: scenario.epochs.get(),
        epoch_ms: u64::from(scenario.epoch_ms.get()),
        simulated_ms: report.simulated_ms,
        wall_s,
        events: report.events,
        workers: u32::try_from(workers).unwrap_or(u32::MAX),
    }
}

fn check(check: &crate::checks::CheckOutcome) -> CheckLine {
    let crate::checks::CheckOutcome { name, passed, found } = check.clone();
    CheckLine { name, passed, found }
}

fn accuracy(scenario: &Scenario, samples: &Samples, uncut: Option<&Samples>) -> Accuracy {
    let shared = |sample: &Sample| sample.score.map(|score| score.accuracy);
    let alone = |sample: &Sample| sample.alone.map(|score| score.accuracy);
    let of = scenario.group_of_peers();
    let series = |samples: &Samples, value: &dyn Fn(&Sample) -> Option<f64>| {
        let groups = scenario.groups().into_iter().enumerate();
        let series = groups.filter_map(|(index, group)| {
            let wanted = |sample: &Sample| of[usize::from(sample.peer)] == index;
            series(group.name.as_str(), samples, &wanted, value)
        });
        series.collect::<Vec<_>>()
    };
    let reference = uncut.and_then(|uncut| self::series("never cut", uncut, &|_| true, &shared));
    Accuracy {
        groups: series(samples, &shared),
        alone: series(samples, &alone),
        reference: reference.map(|it| Reference {
            label: it.name,
            seed: scenario.seed,
            peers: it.peers,
            points: it.points,
        }),
    }
}

fn series(
    name: &str,
    samples: &Samples,
    wanted: &dyn Fn(&Sample) -> bool,
    value: &dyn Fn(&Sample) -> Option<f64>,
) -> Option<GroupSeries> {
    let mut points = Vec::new();
    let mut peers = 0;
    for epoch in samples.epochs_due() {
        let here = samples.honest(epoch).filter(|sample| wanted(sample));
        let values: Vec<(f64, f64)> = here
            .filter_map(|sample| Some((sample.at.us() as f64 / US_PER_S, value(sample)?)))
            .collect();
        let Some(&(at_s, _)) = values.first() else { continue };
        peers = peers.max(values.len());
        let of = || values.iter().map(|(_, value)| *value);
        points.push(BandPoint {
            at_s,
            mean: mean(of()),
            min: of().fold(f64::INFINITY, f64::min),
            max: of().fold(f64::NEG_INFINITY, f64::max),
        });
    }
    let peers = u32::try_from(peers).unwrap_or(u32::MAX);
    (!points.is_empty()).then(|| GroupSeries { name: name.to_owned(), peers, points })
}

fn epoch_s(scenario: &Scenario) -> f64 {
    scenario.epoch_us() as f64 / US_PER_S
}

fn partitions(scenario: &Scenario) -> Vec<Partition> {
    let spans = faults::spans(scenario).into_iter().filter(|span| span.kind == Kind::Partition);
    let partition = |span: faults::FaultSpan| Partition {
        from_s: span.from_epoch * epoch_s(scenario),
        to_s: span.to_epoch * epoch_s(scenario),
        label: shape(&scenario.faults.partition[usize::from(span.index)].shape).to_owned(),
    };
    spans.map(partition).collect()
}

const fn shape(shape: &Shape) -> &'static str {
    match shape {
        Shape::Halves => "halves",
        Shape::Random => "random parts",
        Shape::Isolate { .. } => "one peer isolated",
        Shape::Bridge => "halves with a bridge",
        Shape::MajorityRing => "majority ring",
        Shape::OneWay { .. } => "one way",
        Shape::Groups(_) => "groups",
    }
}

fn marks(scenario: &Scenario) -> Vec<FaultMark> {
    let spans = faults::spans(scenario).into_iter();
    let mark = |span: faults::FaultSpan| {
        let (kind, label) = match span.kind {
            Kind::Crash => (FaultKind::Crash, "crash"),
            Kind::Clock => (FaultKind::ClockStep, "clock step"),
            Kind::Clog => (FaultKind::Other, "clog"),
            Kind::Partition | Kind::Churn => return None,
        };
        let label = format!("{label} {}", span.index);
        Some(FaultMark { at_s: span.from_epoch * epoch_s(scenario), label, kind })
    };
    spans.filter_map(mark).collect()
}

fn agreement(scenario: &Scenario, samples: &Samples) -> Vec<AgreementPoint> {
    let point = |epoch: u32| {
        let at_s = f64::from(epoch + 1) * epoch_s(scenario);
        let lags = || samples.honest(epoch).map(|sample| f64::from(sample.lag));
        AgreementPoint {
            at_s,
            models: u32::try_from(samples.models(epoch)).unwrap_or(u32::MAX),
            lag_mean_epochs: mean(lags()),
            lag_max_epochs: lags().fold(0.0, f64::max),
        }
    };
    // Bare carriers have no models.
    let has_models = scenario.training.mode != TrainingMode::Transport;
    (0..scenario.epochs_total()).filter(|_| has_models).map(point).collect()
}

fn contacts(scenario: &Scenario, plan: &[Contact]) -> Contacts {
    let end_s = f64::from(scenario.epochs_total()) * epoch_s(scenario);
    let bin_s = end_s / BINS as f64;
    let mut per_epoch = vec![0_u64; usize::try_from(scenario.epochs_total()).unwrap_or_default()];
    let peers = usize::from(scenario.peers.get()).min(STRIPS_MAX);
    let mut intervals = vec![Vec::new(); peers];
    for contact in plan {
        let epoch = usize::try_from(contact.from_us / scenario.epoch_us()).unwrap_or(usize::MAX);
        if let Some(count) = per_epoch.get_mut(epoch) {
            *count += 1;
        }
        let span = (contact.from_us as f64 / US_PER_S, contact.to_us as f64 / US_PER_S);
        for peer in [contact.a, contact.b] {
            if let Some(own) = intervals.get_mut(usize::from(peer)) {
                own.push(span);
            }
        }
    }
    let (groups, of) = (scenario.groups(), scenario.group_of_peers());
    let named = !scenario.group.is_empty();
    let strip = |(peer, own): (usize, Vec<(f64, f64)>)| {
        let group = if named { groups[of[peer]].name.as_str() } else { "" };
        ContactStrip::from_intervals(&format!("peer {peer}"), group, &own, (BINS, bin_s))
    };
    let strips = intervals.into_iter().enumerate().map(strip).collect();
    Contacts { bin_s, strips, per_epoch }
}

fn delivery(report: &RunReport) -> Delivery {
    let deliveries = &report.deliveries;
    let mut seen = 0;
    let point = |&(delay_s, count): &(f64, u64)| {
        seen += count;
        DelayPoint { delay_s, share: seen as f64 / deliveries.possible.max(1) as f64 }
    };
    Delivery {
        points: deliveries.delays.iter().map(point).collect(),
        deliverable: deliveries.possible,
        delivered: deliveries.delivered,
    }
}

fn traffic(detail: &Detail) -> Traffic {
    let mut pairs: BTreeMap<[u16; 2], (u64, u64)> = BTreeMap::new();
    for link in &detail.links {
        let entry = pairs.entry(link.pair.peers()).or_default();
        entry.0 += 1;
        entry.1 += link.carried.bytes.iter().sum::<u64>();
    }
    let link = |([a, b], (contacts, bytes)): ([u16; 2], (u64, u64))| LinkBytes {
        a: format!("peer {a}"),
        b: format!("peer {b}"),
        contacts,
        bytes,
    };
    let kind = |(kind, &(frames, bytes)): (&&'static str, &(u64, u64))| KindBytes {
        kind: (*kind).to_owned(),
        frames,
        bytes,
    };
    Traffic::from_links(
        pairs.into_iter().map(link).collect(),
        detail.frames.iter().map(kind).collect(),
    )
}

fn rejections(report: &RunReport) -> Vec<Rejection> {
    let line = |line: &RefusalReport| Rejection {
        reason: line.reason.clone(),
        from_adversaries: line.from_hostile,
        from_honest: line.from_honest,
        from_unknown: line.from_unknown,
    };
    report.refusals.iter().map(line).collect()
}

fn adversaries(scenario: &Scenario, report: &RunReport) -> Vec<Adversary> {
    let line = |(index, declared): (usize, &crate::scenario::Adversary)| {
        let hostile = report.peers.iter().filter(|peer| peer.adversary == Some(index));
        let name = format!("adversary[{index}]");
        Adversary {
            kind: declared.attack.name().to_owned(),
            peers: hostile.map(|peer| u32::from(peer.peer)).collect(),
            acted: acted(report, &name),
        }
    };
    scenario.adversary.iter().enumerate().map(line).collect()
}

fn fault_lines(scenario: &Scenario, report: &RunReport) -> Vec<FaultLine> {
    let mut seen = BTreeMap::new();
    for span in faults::spans(scenario) {
        seen.entry((span.kind, span.index)).or_insert(span);
    }
    let line = |span: faults::FaultSpan| {
        let table = match span.kind {
            Kind::Partition => "partition",
            Kind::Crash => "crash",
            Kind::Clock => "clock",
            Kind::Clog => "clog",
            Kind::Churn => "churn",
        };
        FaultLine {
            kind: match span.kind {
                Kind::Partition => {
                    let fault = &scenario.faults.partition[usize::from(span.index)];
                    format!("partition: {}", shape(&fault.shape))
                }
                _ => table.to_owned(),
            },
            peers: Vec::new(),
            from_s: span.from_epoch * epoch_s(scenario),
            to_s: Some(span.to_epoch * epoch_s(scenario)),
            acted: acted(report, &format!("faults.{table}[{}]", span.index)),
        }
    };
    seen.into_values().map(line).collect()
}

fn acted(report: &RunReport, name: &str) -> u64 {
    report.faults.iter().find(|fault| fault.name == name).map_or(0, |fault| fault.count)
}
