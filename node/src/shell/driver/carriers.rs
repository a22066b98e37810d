//! Carriers beside the network: folders and pipes.

use std::collections::VecDeque;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::Context;
use longhaul_dtn::identity::SecretKey;
use tokio::time::Instant;

use crate::peer::Input;
use crate::shell::config::Config;
use crate::shell::folder::{self, Found, Scanned, Watch};
use crate::shell::pipe::{self, PipeAddress, PipeEvent, PipeEvents, PipeLinks};

use super::{Driver, UpOptions};

/// Pause between two scans of the folders.
const SCAN_EVERY: Duration = Duration::from_secs(2);

/// Bundles that folders gave and the peer has had no room for.
#[derive(Debug)]
pub(super) struct Carried {
    waiting: VecDeque<Found>,
    next_scan: Instant,
    /// The file whose bundle the peer is being given: what it refuses meanwhile is that.
    pub(super) reading: Option<PathBuf>,
}

impl Carried {
    pub(super) fn new() -> Self {
        Self { waiting: VecDeque::new(), next_scan: Instant::now(), reading: None }
    }
}

/// Starts the thread that watches the folders of the configuration and the command line.
pub(super) fn watch(
    config: &Config,
    options: &UpOptions,
    payload_bytes_max: u64,
) -> anyhow::Result<Watch> {
    let folders: Vec<PathBuf> = config.folders.iter().chain(&options.folders).cloned().collect();
    folders.iter().try_for_each(|folder| folder::check_place(folder, &options.dir))?;
    Ok(Watch::start(folders, payload_bytes_max))
}

/// Opens the pipes of the configuration and the command line.
pub(super) fn pipes(
    config: &Config,
    options: &UpOptions,
    key: &SecretKey,
) -> anyhow::Result<(PipeLinks, PipeEvents)> {
    let parse = |text: &String| {
        text.parse::<PipeAddress>()
            .map_err(anyhow::Error::msg)
            .with_context(|| format!("pipe {text}"))
    };
    let addresses = config.pipes.iter().chain(&options.pipes).map(parse);
    Ok(pipe::start(addresses.collect::<Result<_, _>>()?, key))
}

impl Driver {
    /// Gives the peer what folders hold, as far as it has room, and has them scanned again.
    pub(super) fn carry(&mut self, watch: &mut Watch) -> anyhow::Result<()> {
        while self.peer.has_room()
            && let Some(found) = self.carried.waiting.pop_front()
        {
            tracing::debug!(path = %found.path.display(), "read a bundle");
            self.carried.reading = Some(found.path);
            self.give(Input::Bundle { bytes: found.bytes })?;
            self.carried.reading = None;
        }
        let is_due = self.carried.waiting.is_empty() && Instant::now() >= self.carried.next_scan;
        if is_due && watch.is_idle() {
            watch.scan(self.peer.held().cloned().collect())?;
            self.carried.next_scan = Instant::now() + SCAN_EVERY;
        }
        Ok(())
    }

    pub(super) fn scanned(&mut self, scanned: Option<Scanned>) -> anyhow::Result<()> {
        let scanned = scanned.context("the folder thread ended")?;
        let (found, written) = (scanned.found.len(), scanned.written);
        if found + written > 0 {
            tracing::info!(found, written, "exchanged bundles with folders");
        }
        scanned.problems.iter().for_each(|why| tracing::warn!(why, "folder"));
        self.carried.waiting.extend(scanned.found);
        if scanned.more {
            self.carried.next_scan = Instant::now();
        }
        Ok(())
    }

    pub(super) fn pipe_event(&mut self, event: PipeEvent) -> anyhow::Result<()> {
        match event {
            PipeEvent::LinkUp { link, peer } if !self.peer.is_welcome(&peer) => {
                tracing::warn!(%peer, "the other end of a pipe is no member of the federation");
                self.pipes.close(link);
                Ok(())
            }
            PipeEvent::LinkUp { link, peer } => {
                tracing::info!(%peer, "contact over a pipe");
                self.give(Input::LinkUp { link, peer })
            }
            PipeEvent::Frame { link, bytes } => self.give(Input::Frame { link, bytes }),
            PipeEvent::LinkDown { link, why } => {
                tracing::info!(?link, why, "contact ended");
                self.give(Input::LinkDown { link })
            }
            PipeEvent::Failed { address, why } => {
                tracing::warn!(pipe = %address, why, "no contact over this pipe; it is tried again");
                Ok(())
            }
            PipeEvent::Closed => {
                tracing::info!(
                    "the contact over the standard input is over, and this peer with it"
                );
                self.stopping = true;
                Ok(())
            }
        }
    }
}
