//! Room: what a bundle that comes needs of the quota, and what gives way to it.
//!
//! What is done gives way first, the soonest to expire. Where that is not enough, the bundles that strangers
//! gave give way to those of nodes that are believed, the last to expire first; all strangers together have
//! half of the quota. All else that is not done never gives way: new ones are refused instead.
//!
//! What was delivered lies beside the store until somebody takes it, and counts: nobody but its reader
//! may delete it. Strangers may fill a quarter of the quota with it, so that they never fill the disk, nor keep
//! what others send from coming.

use std::collections::BTreeMap;

use longhaul_dtn::time::Timestamp;

use super::facts::{Facts, Unfit};
use super::{Agent, BundleKey};

/// The part of the quota that bundles of strangers may have.
const STRANGE_SHARE: u64 = 2;
/// The part of it that may be full of what was delivered, for strangers to deliver more.
const UNTAKEN_SHARE: u64 = 4;

/// What was delivered and lies there, and what will be.
#[derive(Debug, Default)]
pub(super) struct Untaken {
    lies: u64,
    comes: BTreeMap<BundleKey, u64>,
    comes_bytes: u64,
}

impl Untaken {
    /// So many bytes lie there.
    pub fn lies(&mut self, bytes: u64) {
        self.lies = bytes;
    }

    /// A bundle will be delivered.
    fn expect(&mut self, key: BundleKey, bytes: u64) {
        let before = self.comes.insert(key, bytes).unwrap_or(0);
        self.comes_bytes = self.comes_bytes + bytes - before;
    }

    /// A bundle was delivered, or is not delivered.
    pub fn forget(&mut self, key: BundleKey) {
        self.comes_bytes -= self.comes.remove(&key).unwrap_or(0);
    }

    fn bytes(&self) -> u64 {
        self.lies.saturating_add(self.comes_bytes)
    }
}

impl Agent {
    /// Makes room for a bundle, and keeps it.
    pub(super) fn make_room(
        &mut self,
        now: Timestamp,
        facts: &Facts,
        is_strange: bool,
    ) -> Result<(), Unfit> {
        let (quota, bytes) = (self.config.quota_bytes, facts.bytes);
        let is_delivered = self.config.counts_untaken && facts.destination == self.us;
        let untaken = self.untaken.bytes().saturating_add(if is_delivered { bytes } else { 0 });
        let untaken_max = if is_strange { quota / UNTAKEN_SHARE } else { quota };
        if is_delivered && untaken > untaken_max || untaken.saturating_add(bytes) > quota {
            return Err(Unfit::Untaken);
        }
        let strange = self.shelf.strange_bytes().saturating_add(bytes);
        if is_strange && strange > quota / STRANGE_SHARE {
            return Err(Unfit::Share);
        }
        while !self.fits(untaken.saturating_add(bytes)) {
            self.evict(now, is_strange).ok_or(Unfit::Quota)?;
        }
        self.shelf.reserve(bytes, is_strange);
        if is_delivered {
            self.untaken.expect(facts.key, bytes);
        }
        Ok(())
    }

    /// A bundle is delivered soon, and lies beside the store then.
    pub(super) fn expect_delivery(&mut self, bytes: u64, key: BundleKey) {
        if self.config.counts_untaken {
            self.untaken.expect(key, bytes);
        }
    }

    fn fits(&self, bytes: u64) -> bool {
        self.shelf.bytes().saturating_add(bytes) <= self.config.quota_bytes
            && self.shelf.len() + self.storing.len() < self.config.bundles_max
    }

    /// Drops what gives way first, to a bundle of a stranger or of somebody else; none if nothing does.
    pub(super) fn evict(&mut self, now: Timestamp, is_strange: bool) -> Option<()> {
        let strange = || self.shelf.last_strange().filter(|_| !is_strange);
        let key = self.shelf.first_done().or_else(strange)?;
        self.counts.evicted += 1;
        self.drop_bundle(now, key);
        Some(())
    }
}
