//! Peers that are killed again and again: nothing is signed twice, nothing is
//! lost, and they end with one model.
//!
//! The long loop takes two minutes and is left out of ordinary runs:
//!
//! ```sh
//! cargo test --release -p longhaul-node --test kill -- --ignored --nocapture
//! ```

mod support;

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use longhaul_aggregation::{Epoch, HeaderHash, UpdateHeader};
use longhaul_dtn::bundle::{BundleHead, BundleId};
use longhaul_dtn::identity::PeerId;
use longhaul_node::shell::store::Store;
use longhaul_registry::{EntryHash, Record};
use support::{Federation, Plan, pause};

/// How often a peer is killed in an ordinary run.
const KILLS: u32 = 20;
/// The long loop goes on until it has killed this often, and for this long.
const KILLS_LONG: u32 = 150;
const SECONDS_LONG: u64 = 120;

/// A fixed sequence of moments (xorshift32); what they hit differs from run to
/// run, as kills do.
struct Moments(u32);

impl Moments {
    fn next(&mut self, least_ms: u32, span_ms: u32) -> Duration {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 17;
        self.0 ^= self.0 << 5;
        Duration::from_millis(u64::from(least_ms + self.0 % span_ms))
    }
}

/// What the logs of all peers said at any time.
#[derive(Default)]
struct Ledger {
    entries: BTreeMap<(usize, u64), EntryHash>,
    /// The update that each author signed for each slot, in whoever's log.
    slots: BTreeMap<(PeerId, Epoch), HeaderHash>,
    /// Bundles that left their author: they are in the log of another peer.
    spoken_of: BTreeMap<BundleId, PeerId>,
}

impl Ledger {
    /// Reads a peer's log; whatever was in it before must still be there, and no slot be signed
    /// twice. Gives the number of entries.
    fn read(&mut self, federation: &Federation, index: usize) -> usize {
        let snapshot = Store::read(&federation.dir(index)).expect("the log is whole");
        let limits = snapshot.manifest.bundle_limits();
        let header_limits = snapshot.manifest.admission_policy().header_limits();
        let entries = &snapshot.restored.entries;
        let before = self.entries.range((index, 0)..(index + 1, 0)).count();
        assert!(entries.len() >= before, "peer {index} had {before}, has {}", entries.len());
        for entry in entries {
            let place = (index, entry.entry().sequence);
            let first = *self.entries.entry(place).or_insert(entry.hash());
            assert_eq!(first, entry.hash(), "a fork: peer and number {place:?} signed twice");
            let Some(head) = entry.record().head() else { continue };
            let head = BundleHead::decode(head, &limits).expect("a bundle");
            let header = UpdateHeader::decode(head.header(), &header_limits).expect("a header");
            let slot = (head.author(), header.epoch);
            let first = *self.slots.entry(slot).or_insert(header.hash());
            assert_eq!(first, header.hash(), "slot {slot:?} is signed twice");
            if matches!(entry.record(), Record::Accept { .. }) {
                self.spoken_of.insert(head.id(), head.author());
            }
        }
        entries.len()
    }

    /// Checks that what left its author is in its author's log. Gives the number of such bundles.
    fn settle(&self, federation: &Federation, peers: usize) -> usize {
        let mut own: BTreeMap<BundleId, PeerId> = BTreeMap::new();
        for index in 0..peers {
            let snapshot = Store::read(&federation.dir(index)).expect("the log is whole");
            let limits = snapshot.manifest.bundle_limits();
            for entry in &snapshot.restored.entries {
                if let Record::Update { head } = entry.record() {
                    let head = BundleHead::decode(head, &limits).expect("an own bundle");
                    own.insert(head.id(), head.author());
                }
            }
        }
        for (bundle, author) in &self.spoken_of {
            assert_eq!(own.get(bundle), Some(author), "{bundle:?} left a peer that lost it");
        }
        self.spoken_of.len()
    }
}

/// Lets all peers end, and checks that they hold one model, that nothing was refused and nothing
/// lost. Gives the number of bundles that left their authors.
fn end(mut federation: Federation, mut ledger: Ledger, peers: usize) -> usize {
    federation.wait();
    let statuses: Vec<_> = (0..peers).map(|index| federation.status(index)).collect();
    for status in &statuses {
        assert_eq!(status["model"], statuses[0]["model"], "{statuses:#?}");
        assert_eq!(status["updates"], statuses[0]["updates"], "{statuses:#?}");
        assert_eq!(status["refused"], 0, "{statuses:#?}");
    }
    for index in 0..peers {
        ledger.read(&federation, index);
    }
    let own = ledger.slots.keys().filter(|slot| slot.0.to_string() == federation.id(0)).count();
    assert!(own > 20, "the killed peer published only {own} updates");
    let spoken_of = ledger.settle(&federation, peers);
    federation.remove();
    spoken_of
}

#[test]
fn a_peer_killed_twenty_times_signs_no_slot_twice_and_ends_with_the_same_model() {
    let plan = Plan { peers: 3, epochs: 120, epoch_ms: 250 };
    let mut federation = Federation::new("kill", plan);
    (0..plan.peers).for_each(|index| federation.start(index));
    let (mut moments, mut ledger) = (Moments(0x9e37_79b9), Ledger::default());
    for _ in 0..KILLS {
        pause(moments.next(200, 1_000));
        federation.kill(0);
        ledger.read(&federation, 0);
        federation.start(0);
    }
    let spoken_of = end(federation, ledger, plan.peers);
    println!("killed {KILLS} times, {spoken_of} bundles left their authors");
}

#[test]
#[ignore = "two minutes: cargo test --release -p longhaul-node --test kill -- --ignored --nocapture"]
#[expect(clippy::disallowed_methods, reason = "the loop lasts for real time")]
fn a_loop_of_kills_loses_nothing_and_forks_nothing() {
    let plan = Plan { peers: 3, epochs: 600, epoch_ms: 250 };
    let mut federation = Federation::new("kill-loop", plan);
    (0..plan.peers).for_each(|index| federation.start(index));
    let (mut moments, mut ledger) = (Moments(0x2545_f491), Ledger::default());
    let (start, mut kills, mut entries) = (Instant::now(), 0, 0);
    while kills < KILLS_LONG || start.elapsed() < Duration::from_secs(SECONDS_LONG) {
        pause(moments.next(50, 650));
        // The first peer every other time: it is killed as it starts, too.
        let index = if kills % 2 == 0 { 0 } else { kills as usize / 2 % plan.peers };
        federation.kill(index);
        entries = ledger.read(&federation, index).max(entries);
        federation.start(index);
        kills += 1;
    }
    let seconds = start.elapsed().as_secs();
    let spoken_of = end(federation, ledger, plan.peers);
    println!(
        "killed {kills} times in {seconds} s, {entries} entries in the longest log, {spoken_of} \
         bundles left their authors, 0 lost, 0 forks"
    );
}
