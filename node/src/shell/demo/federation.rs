//! The demo's federation: directories, manifest, processes, and the cut.

use std::net::{Ipv4Addr, TcpListener};
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::time::Duration;

use anyhow::{Context, bail, ensure};
use longhaul_dtn::identity::PeerId;
use longhaul_dtn::time::Span;
use longhaul_proofs::seed::Seed;
use longhaul_proofs::update::UpdateShape;
use longhaul_registry::ProofCurve;

use super::DemoOptions;
use super::child::{ChildEvent, Peer};
use crate::shell::cli::{ManifestPlan, create_data_dir, join_data_dir, make_manifest};
use crate::shell::config::Config;
use crate::shell::report::NodeReport;
use crate::shell::{clock, entropy, proving_keys};
use crate::train::ModelKind;

/// Time from making the manifest to its first epoch: the processes start.
const START_IN: Span = Span::from_ms(3_000);

/// How much longer epochs are where updates are proved.
const PROVING_EPOCHS: u64 = 4;

/// A federation of child processes.
#[derive(Debug)]
pub(super) struct Federation {
    root: PathBuf,
    dirs: Vec<PathBuf>,
    ids: Vec<PeerId>,
    epochs: u32,
    peers: Vec<Peer>,
    reports: Vec<Option<NodeReport>>,
    events: (Sender<ChildEvent>, Receiver<ChildEvent>),
    is_cut: bool,
}

/// What the demo trains on: epochs, pace and model for the time at hand.
#[derive(Debug)]
struct Workload {
    plan: ManifestPlan,
    config: Config,
}

impl Federation {
    /// Makes directories, keys, addresses and the manifest.
    pub(super) fn prepare(options: &DemoOptions) -> anyhow::Result<Self> {
        let root = make_root(options.keep.as_deref())?;
        let count = options.peers;
        let dirs: Vec<PathBuf> =
            (0..count).map(|index| root.join(format!("peer-{index}"))).collect();
        let ids =
            dirs.iter().map(|dir| create_data_dir(dir)).collect::<anyhow::Result<Vec<_>>>()?;
        let addresses = loopback_addresses(count)?;
        let workload = workload(options, &root, count)?;
        for (index, dir) in dirs.iter().enumerate() {
            let others = addresses.iter().enumerate().filter(|(other, _)| *other != index);
            let config = Config {
                listen: vec![addresses[index].clone()],
                peers: others.map(|(other, address)| format!("{}@{address}", ids[other])).collect(),
                mdns: false,
                ..workload.config.clone().with_part(index)
            };
            config.save(dir)?;
        }
        let epochs = workload.plan.epochs;
        let proving = workload.plan.proofs.as_deref();
        if let Some(keys) = proving {
            make_keys(keys, &workload.plan)?;
        }
        let plan = ManifestPlan { members: ids.clone(), ..workload.plan.clone() };
        let manifest = make_manifest(&dirs[0], &plan)?;
        let file = root.join("demo.manifest");
        std::fs::write(&file, manifest.as_bytes()).context("write the manifest")?;
        for dir in &dirs {
            join_data_dir(dir, &file, proving, |_, _| Ok(()))?;
        }
        let reports = vec![None; count];
        let (peers, events) = (Vec::new(), channel());
        Ok(Self { root, dirs, ids, epochs, peers, reports, events, is_cut: false })
    }

    /// Starts every peer's process.
    pub(super) fn start(&mut self) -> anyhow::Result<()> {
        for (index, dir) in self.dirs.iter().enumerate() {
            self.peers.push(Peer::start(index, dir, self.events.0.clone())?);
        }
        Ok(())
    }

    /// Takes what the peers report within `span`.
    pub(super) fn take_reports(&mut self, span: Duration) -> anyhow::Result<()> {
        let mut wait = span;
        loop {
            match self.events.1.recv_timeout(wait) {
                Ok(ChildEvent::Report { index, report }) => self.reports[index] = Some(*report),
                Ok(ChildEvent::Gone { index }) => {
                    bail!("peer {index} ended early: {}", self.last_words(index))
                }
                Err(RecvTimeoutError::Timeout) => return Ok(()),
                Err(RecvTimeoutError::Disconnected) => bail!("no peer reports any more"),
            }
            // What is queued already is taken, but no further waiting is done.
            wait = Duration::ZERO;
        }
    }

    /// The last line of a peer's log.
    fn last_words(&self, index: usize) -> String {
        let log = std::fs::read_to_string(self.dirs[index].join("peer.log")).unwrap_or_default();
        log.lines().next_back().unwrap_or("it left no log").to_owned()
    }

    /// First epoch of the cut, first epoch after it.
    pub(super) fn cut_epochs(&self, share: (f32, f32)) -> (u32, u32) {
        let at = |share: f32| (share * self.epochs as f32) as u32;
        (at(share.0), at(share.1))
    }

    /// The newest epoch that any peer reports.
    pub(super) fn epoch(&self) -> Option<u32> {
        self.reports.iter().flatten().filter_map(|report| report.epoch).max()
    }

    /// Cuts the larger part (first peers) from the smaller, once.
    pub(super) fn cut(&mut self) -> anyhow::Result<()> {
        if self.is_cut {
            return Ok(());
        }
        self.is_cut = true;
        let larger = self.larger_side();
        for (index, peer) in self.peers.iter_mut().enumerate() {
            let others = if index < larger { &self.ids[larger..] } else { &self.ids[..larger] };
            let others: Vec<String> = others.iter().map(PeerId::to_string).collect();
            peer.tell(&format!("cut {}", others.join(" ")))?;
        }
        Ok(())
    }

    /// Ends the cut.
    pub(super) fn heal(&mut self) -> anyhow::Result<()> {
        self.is_cut = false;
        self.peers.iter_mut().try_for_each(|peer| peer.tell("heal"))
    }

    /// True while the cut lasts.
    pub(super) const fn is_cut(&self) -> bool {
        self.is_cut
    }

    fn larger_side(&self) -> usize {
        self.dirs.len().div_ceil(2)
    }

    /// The line above the table.
    pub(super) fn title(&self) -> String {
        let (larger, count) = (self.larger_side(), self.dirs.len());
        let state = match self.epoch() {
            Some(_) if self.is_cut => format!("CUT {larger}|{}", count - larger),
            Some(_) => "connected".to_owned(),
            None if self.is_over() => "training is over, draining".to_owned(),
            None => "starting".to_owned(),
        };
        let epoch = self.epoch().map_or("-".to_owned(), |epoch| epoch.to_string());
        format!("epoch {epoch} of {}  {count} peers  {state}", self.epochs)
    }

    /// The newest report of each peer.
    pub(super) fn reports(&self) -> &[Option<NodeReport>] {
        &self.reports
    }

    /// True once every peer's last epoch is over.
    pub(super) fn is_over(&self) -> bool {
        self.reports.iter().all(|report| report.as_ref().is_some_and(|report| report.over))
    }

    /// True once all are drained, evaluated, and hold the same updates.
    pub(super) fn is_settled(&self) -> bool {
        let Some(Some(first)) = self.reports.first() else { return false };
        self.reports.iter().all(|report| {
            report.as_ref().is_some_and(|report| {
                report.drained
                    && report.model == first.model
                    && report.updates == first.updates
                    && report.evaluated.as_deref() == Some(report.model.as_str())
            })
        })
    }

    /// Ends the processes.
    pub(super) fn stop(&mut self) {
        self.peers.iter_mut().for_each(Peer::end);
    }

    /// The data directory of peer `index`.
    pub(super) fn dir(&self, index: usize) -> &Path {
        &self.dirs[index]
    }

    /// The folder that holds everything of this run.
    pub(super) fn root(&self) -> &Path {
        &self.root
    }

    /// Ends the processes and removes the folder unless it is to be kept.
    pub(super) fn finish(mut self, keep: bool) {
        self.stop();
        if keep {
            eprintln!("kept: {}", self.root.display());
        } else if let Err(error) = std::fs::remove_dir_all(&self.root) {
            eprintln!("warning: could not remove {}: {error}", self.root.display());
        }
    }
}

/// Makes the proving keys of this run.
fn make_keys(folder: &Path, plan: &ManifestPlan) -> anyhow::Result<()> {
    let kind: ModelKind = plan.model.parse()?;
    let shapes = UpdateShape::shapes_of(&kind.schema());
    eprintln!("Making {} keys for proofs; who makes such keys can forge proofs.", shapes.len());
    let seed = Seed::from_bytes(entropy::nonce()?);
    let made = proving_keys::make_development_keys(folder, ProofCurve::default(), shapes, &seed)?;
    for key in made {
        eprintln!("  chunks of up to {} entries: {} bytes", key.shape.entries(), key.bytes);
    }
    Ok(())
}

fn make_root(keep: Option<&Path>) -> anyhow::Result<PathBuf> {
    let root = match keep {
        Some(dir) => dir.to_path_buf(),
        None => std::env::temp_dir().join(format!("longhaul-demo-{}", std::process::id())),
    };
    ensure!(!root.exists(), "{} exists already; name a new folder", root.display());
    std::fs::create_dir_all(&root).with_context(|| format!("create {}", root.display()))?;
    Ok(root)
}

/// Free TCP ports: bound together, so that they differ, and released at once.
fn loopback_addresses(count: usize) -> anyhow::Result<Vec<String>> {
    let listeners = (0..count)
        .map(|_| TcpListener::bind((Ipv4Addr::LOCALHOST, 0)))
        .collect::<Result<Vec<_>, _>>()
        .context("find free ports on loopback")?;
    listeners
        .iter()
        .map(|listener| Ok(format!("/ip4/127.0.0.1/tcp/{}", listener.local_addr()?.port())))
        .collect()
}

fn workload(options: &DemoOptions, root: &Path, peers: usize) -> anyhow::Result<Workload> {
    let start = clock::now().plus(START_IN);
    let (plan, config) = match &options.data {
        None => (ManifestPlan::demo_sensors(), Config::default()),
        Some(dir) => {
            let dir = dir.canonicalize().with_context(|| format!("open {}", dir.display()))?;
            (ManifestPlan::demo_images(), Config::for_images(dir, peers))
        }
    };
    let plan = match options.proofs {
        true => ManifestPlan {
            proofs: Some(root.join("keys")),
            development_keys: true,
            // All peers prove on the cores of one machine.
            epoch_length: plan.epoch_length.times(PROVING_EPOCHS),
            ..plan
        },
        false => plan,
    };
    let seconds = options.seconds.unwrap_or(plan.default_seconds);
    ensure!((5..=3_600).contains(&seconds), "--seconds {seconds}: choose 5 to 3600");
    let epochs = u64::from(seconds) * 1_000 / plan.epoch_length.ms();
    let epochs = u32::try_from(epochs.max(10))?;
    Ok(Workload { plan: ManifestPlan { start, epochs, ..plan }, config })
}
