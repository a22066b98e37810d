//! The simulated disk: what is durable, and what a crash leaves of it.
//!
//! A request is durable one sync after it was made; a crash loses the requests
//! that are not, or leaves the beginning of the first of them torn. Only disks of
//! peers that can crash keep what they hold; the others just keep time.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use longhaul_dtn::hash::ContentHash;
use longhaul_node::peer::{PersistRequest, Restored, Ticket};
use longhaul_registry::{Record, SignedEntry};
use rand_chacha::ChaCha8Rng;

use crate::clock::SimTime;
use crate::lane::{Lane, LaneModel};
use crate::scenario::Loss;
use crate::seeds;

/// A flash disk that syncs in 2 ms and writes 100 MB/s.
const FLASH: LaneModel = LaneModel { latency_us: 2_000, bytes_per_s: 100_000_000 };

/// One peer's disk.
#[derive(Debug)]
pub struct Disk {
    lane: Lane,
    keeps: bool,
    entries: Vec<SignedEntry>,
    payloads: BTreeMap<ContentHash, Arc<[u8]>>,
    /// Written and not synced, oldest first.
    pending: VecDeque<PersistRequest>,
    /// It lost log entries that it had synced.
    lied: bool,
}

impl Disk {
    /// An empty disk; it keeps what it holds only where a crash may need it.
    pub const fn new(keeps: bool) -> Self {
        Self {
            lane: Lane::idle(),
            keeps,
            entries: Vec::new(),
            payloads: BTreeMap::new(),
            pending: VecDeque::new(),
            lied: false,
        }
    }

    /// Takes a request; says when it is durable. Requests end in order.
    pub fn write(&mut self, now: SimTime, request: PersistRequest) -> SimTime {
        let payload = request.payload.as_ref().map_or(0, |(_, bytes)| bytes.len());
        let entries: usize = request.entries.iter().map(|entry| entry.size_bytes()).sum();
        let size_bytes = u64::try_from(payload + entries).unwrap_or(u64::MAX);
        if self.keeps {
            self.pending.push_back(request);
        }
        self.lane.send(&FLASH, now, size_bytes)
    }

    /// The oldest request that is not yet durable becomes so.
    pub fn synced(&mut self, ticket: Ticket) {
        if self.pending.front().is_some_and(|request| request.ticket == ticket)
            && let Some(request) = self.pending.pop_front()
        {
            self.payloads.extend(request.payload);
            self.entries.extend(request.entries);
            for hash in &request.forget {
                self.payloads.remove(hash);
            }
        }
    }

    /// The process ends: what is not durable is gone. Says whether a torn write
    /// is left behind, which takes a request that was under way.
    pub fn crash(&mut self, lose: Loss, stream: &mut ChaCha8Rng) -> bool {
        let torn = lose == Loss::Torn && !self.pending.is_empty();
        self.pending.clear();
        self.lane = Lane::idle();
        self.lied |= matches!(lose, Loss::LogTail(_) | Loss::Everything);
        match lose {
            Loss::Nothing | Loss::Torn => {}
            Loss::Payloads(chance) => {
                self.payloads.retain(|_, _| seeds::unit(stream) >= chance.get());
            }
            Loss::LogTail(count) => {
                let count = usize::try_from(count.get()).unwrap_or(usize::MAX);
                self.entries.truncate(self.entries.len().saturating_sub(count));
            }
            Loss::Everything => {
                self.entries.clear();
                self.payloads.clear();
            }
        }
        torn
    }

    /// True if it ever lost log entries that it had synced.
    pub const fn has_lied(&self) -> bool {
        self.lied
    }

    /// Loses the newest own update and all behind it, and denies it: a bug for
    /// trying the tools that find one.
    pub fn forget_newest_update(&mut self) {
        let own = |entry: &SignedEntry| matches!(entry.record(), Record::Update { .. });
        if let Some(newest) = self.entries.iter().rposition(own) {
            self.entries.truncate(newest);
        }
    }

    /// What a process that starts now finds.
    pub fn restored(&self, torn: bool) -> Restored {
        Restored { entries: self.entries.clone(), payloads: self.payloads.clone(), torn }
    }
}
