//! A host: one simulated peer with its wake-up, its disk and its counts.

use longhaul_aggregation::Epoch;
use longhaul_dtn::identity::PeerId;
use longhaul_node::peer::{Event, Input, Output, Peer, PersistRequest, TrainedModel};

use crate::clock::SimTime;
use crate::lane::{Lane, LaneModel};
use crate::pool::Pending;

/// A flash disk that syncs in 2 ms and writes 100 MB/s.
const DISK: LaneModel = LaneModel { latency_us: 2_000, bytes_per_s: 100_000_000 };

/// What a peer did in a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct HostCounts {
    /// Own updates that it published.
    pub published: u32,
    /// Epochs that it skipped.
    pub skipped: u32,
    /// Bundles that it refused.
    pub refused: u64,
    /// Bytes that it put on links, length prefixes included.
    pub bytes_sent: u64,
}

/// One simulated peer.
#[derive(Debug)]
pub struct Host {
    /// Its name in the federation.
    pub id: PeerId,
    /// What it did so far.
    pub counts: HostCounts,
    /// Training that is under way.
    pub training: Option<(Epoch, Pending<Result<TrainedModel, String>>)>,
    peer: Peer,
    disk: Lane,
    armed: Option<SimTime>,
}

impl Host {
    /// A host for `peer`, not started.
    pub fn new(id: PeerId, peer: Peer) -> Self {
        Self {
            id,
            peer,
            counts: HostCounts::default(),
            training: None,
            disk: Lane::default(),
            armed: None,
        }
    }

    /// Gives the peer an input and takes everything that it asks for.
    pub fn give(&mut self, now: SimTime, input: Input) -> Vec<Output> {
        self.peer.handle(now.timestamp(), input);
        let outputs: Vec<_> = std::iter::from_fn(|| self.peer.poll()).collect();
        for output in &outputs {
            if let Output::Event(event) = output {
                self.count(event);
            }
        }
        outputs
    }

    /// When to wake the peer, if that is sooner than what is scheduled.
    pub fn rearm(&mut self, now: SimTime) -> Option<SimTime> {
        let due = SimTime::of(self.peer.wake_at()?);
        let due = if due <= now { now.next_ms() } else { due };
        if self.armed.is_some_and(|armed| armed <= due) {
            return None;
        }
        self.armed = Some(due);
        Some(due)
    }

    /// True if the wake-up that was scheduled for `now` is still wanted.
    pub fn is_woken(&mut self, now: SimTime) -> bool {
        if self.armed != Some(now) {
            return false;
        }
        self.armed = None;
        self.peer.wake_at().is_some_and(|due| SimTime::of(due) <= now)
    }

    /// When a request that is made now is durable. Requests end in order.
    pub fn store(&mut self, now: SimTime, request: &PersistRequest) -> SimTime {
        let payload = request.payload.as_ref().map_or(0, |(_, bytes)| bytes.len());
        let entries: usize = request.entries.iter().map(|entry| entry.as_bytes().len()).sum();
        let size_bytes = u64::try_from(payload + entries).unwrap_or(u64::MAX);
        self.disk.send(&DISK, now, size_bytes)
    }

    /// The peer.
    pub fn peer(&mut self) -> &mut Peer {
        &mut self.peer
    }

    fn count(&mut self, event: &Event) {
        match event {
            Event::Published { .. } => self.counts.published += 1,
            Event::Skipped { .. } => self.counts.skipped += 1,
            Event::Refused { .. } => self.counts.refused += 1,
            Event::Accepted { .. } | Event::Voided { .. } | Event::Version { .. } => {}
        }
    }
}
