//! Worth: which of what lacks a peer wants first, where a contact may end at any moment.
//!
//! What the own log names and storage lost is asked for before all else, then votes and
//! snapshots, then updates: those of the newest epoch, since all train from them, and those
//! whose epoch the next attempt to seal would close, the more the nearer it is. Each older
//! epoch counts half. The contact machine asks for what is worth most per byte that lacks.
//!
//! It is an order and no judgement: whatever comes is admitted or refused as if it had come
//! first. Headers are claims; who lies about its epoch is served sooner, once.

use longhaul_aggregation::{Attempt, Epoch, HeaderKind, UpdateHeader};
use longhaul_dtn::agent;
use longhaul_dtn::bundle::BundleHead;
use longhaul_dtn::routing::quota::Value;
use longhaul_registry::AggregateHeader;

use super::Peer;

/// An update of the epoch of the clock.
const NEWEST: u64 = 1 << 32;
/// A vote, or as much of a snapshot as an update may have.
const SEALING: u64 = 1 << 40;
/// What the log names.
const MISSING: u64 = 1 << 48;
/// An older epoch counts no less than this many halvings.
const HALVINGS_MAX: u32 = 31;

impl Peer {
    /// What the payload of a bundle is worth.
    pub(super) fn worth(&self, head: &BundleHead) -> Value {
        if self.missing.contains_key(&head.id()) {
            return Value(MISSING);
        }
        // What can't be read counts by when it was made.
        let Ok(head) = self.keys.open(head) else {
            return Value(self.worth_of(self.manifest().epoch_or_last(head.created())));
        };
        if self.announces_key(&head) || self.manifest().is_ceremony() {
            return Value(SEALING);
        }
        match HeaderKind::of(head.header()) {
            HeaderKind::Vote => Value(SEALING),
            // Large as it is, it stands for more updates than it has their size.
            HeaderKind::Snapshot => {
                let update = u64::from(self.manifest().bounds.payload_bytes_max).max(1);
                Value(SEALING.saturating_mul(1 + head.payload_len() / update))
            }
            // It stands for as many updates as it says, at the price of little more than one.
            HeaderKind::Aggregate => {
                let header = AggregateHeader::decode(head.header());
                let worth = |it: AggregateHeader| {
                    self.worth_of(it.epoch).saturating_mul(it.slots.len() as u64)
                };
                Value(header.map_or(0, worth))
            }
            HeaderKind::Update => {
                let header = UpdateHeader::decode(head.header(), &self.policy.header_limits());
                Value(header.map_or(0, |header| self.worth_of(header.epoch)))
            }
        }
    }

    /// What an update of an epoch is worth now.
    fn worth_of(&self, epoch: Epoch) -> u64 {
        let now = self.manifest().epoch_or_last(self.now);
        let age = now.get().saturating_sub(epoch.get());
        let due = self.epochs_to_seal(epoch).map_or(0, |left| halved(2 * NEWEST, left));
        halved(NEWEST, age).max(due)
    }

    /// How many epochs are left until an attempt to seal would close this one.
    fn epochs_to_seal(&self, epoch: Epoch) -> Option<u32> {
        let rules = self.manifest().seal_rules()?;
        let now = self.manifest().epoch_or_last(self.now);
        let every = self.manifest().seal?.every_epochs.max(1);
        let next = Attempt::new(now.get() / every + 1);
        let closes = rules.end(next).is_some_and(|end| epoch < end);
        closes.then(|| rules.begins(next).get().saturating_sub(now.get()))
    }

    /// Says what heads are worth whose payloads have not come, once an epoch.
    pub(super) fn appraise_again(&mut self) {
        let epoch = self.manifest().epoch_or_last(self.now);
        if self.appraised == Some(epoch) {
            return;
        }
        self.appraised = Some(epoch);
        let worth = |head: &std::sync::Arc<BundleHead>| (head.id(), self.worth(head));
        let values: Vec<_> = self.agent.heads().map(worth).collect();
        for (id, value) in values {
            self.tell_agent(agent::Input::Worth { id, value });
        }
    }
}

fn halved(value: u64, times: u32) -> u64 {
    value >> times.min(HALVINGS_MAX)
}

#[cfg(all(test, feature = "shell"))]
mod tests {
    use std::sync::Arc;

    use longhaul_aggregation::SealPolicy;
    use longhaul_dtn::time::Span;

    use super::*;
    use crate::peer::{PeerConfig, Restored};
    use crate::shell::store::testing::{key, manifest};

    /// A peer of a federation of 100 epochs of a minute, in this epoch.
    fn peer_in(epoch: u32, seal: Option<SealPolicy>) -> Peer {
        let mut manifest = manifest("worth").manifest().clone();
        (manifest.epochs, manifest.seal) = (100, seal);
        manifest.bounds.bundle_lifetime = Span::from_ms(60_000_000);
        let manifest = Arc::new(manifest.sign(&key()).expect("sound"));
        let config = PeerConfig { manifest, key: key(), nonce: [0; 32], memo: None };
        let mut peer = Peer::new(config, Restored::default()).expect("a member");
        peer.now = peer.manifest().epoch_start(Epoch::new(epoch));
        peer
    }

    #[test]
    fn each_older_epoch_counts_half() {
        let peer = peer_in(50, None);
        let worth = |epoch| peer.worth_of(Epoch::new(epoch));
        assert_eq!((worth(50), worth(49), worth(48)), (NEWEST, NEWEST / 2, NEWEST / 4));
        assert_eq!(worth(60), NEWEST, "a clock ahead buys nothing");
        assert_eq!((worth(0), worth(10)), (2, 2), "however old, it is wanted");
    }

    #[test]
    fn what_is_about_to_be_sealed_comes_before_the_newest() {
        let seal = Some(SealPolicy { window_epochs: 20, every_epochs: 10 });
        // The attempt of epoch 60 closes what is before epoch 40.
        for (now, worth) in [(50, 0), (58, NEWEST / 2), (59, NEWEST)] {
            let peer = peer_in(now, seal);
            let due = peer.worth_of(Epoch::new(39));
            assert!(due >= worth && due <= worth.max(NEWEST / 256), "{now}: {due}");
            assert!(peer.worth_of(Epoch::new(40)) < NEWEST / 256, "it stays open");
        }
        assert_eq!(peer_in(59, seal).worth_of(Epoch::new(59)), NEWEST);
    }

    #[test]
    fn what_the_log_names_comes_first_and_what_makes_no_sense_last() {
        let mut peer = peer_in(50, None);
        let (head, _) = peer.seal_bundle(1, b"no header".to_vec(), b"x").expect("small");
        assert_eq!(peer.worth(&head), Value(0));
        peer.missing.insert(head.id(), Epoch::new(3));
        assert_eq!(peer.worth(&head), Value(MISSING));
    }

    #[test]
    fn there_is_no_end_to_what_is_due_where_nothing_is_sealed() {
        let peer = peer_in(99, None);
        assert_eq!(peer.epochs_to_seal(Epoch::new(1)), None);
        let seal = Some(SealPolicy { window_epochs: 20, every_epochs: 10 });
        assert_eq!(peer_in(5, seal).epochs_to_seal(Epoch::new(1)), None, "not by the next attempt");
    }
}
