//! A peer that is killed again and again: nothing is signed twice, nothing is
//! lost, and it ends with the model that the others have.

mod support;

use std::collections::BTreeSet;
use std::time::Duration;

use longhaul_aggregation::UpdateHeader;
use longhaul_dtn::bundle::BundleHead;
use longhaul_node::shell::store::Store;
use longhaul_registry::Record;
use support::{Federation, Plan, pause};

/// How often the peer is killed.
const KILLS: u32 = 20;

#[test]
fn a_peer_killed_twenty_times_signs_no_slot_twice_and_ends_with_the_same_model() {
    let plan = Plan { peers: 3, epochs: 120, epoch_ms: 250 };
    let mut federation = Federation::new("kill", plan);
    (0..plan.peers).for_each(|index| federation.start(index));
    let mut moment = 0x9e37_79b9_u32;
    for _ in 0..KILLS {
        // A fixed sequence of moments (xorshift32); what they hit differs from
        // run to run, as kills do.
        moment ^= moment << 13;
        moment ^= moment >> 17;
        moment ^= moment << 5;
        pause(Duration::from_millis(u64::from(200 + moment % 1_000)));
        federation.kill(0);
        federation.start(0);
    }
    federation.wait();
    let statuses: Vec<_> = (0..plan.peers).map(|index| federation.status(index)).collect();
    for status in &statuses {
        assert_eq!(status["model"], statuses[0]["model"], "{statuses:#?}");
        assert_eq!(status["updates"], statuses[0]["updates"], "{statuses:#?}");
        assert_eq!(status["refused"], 0, "{statuses:#?}");
    }
    let own = own_slots(&federation);
    assert!(own.len() > 20, "the killed peer published only {} updates", own.len());
    let distinct: BTreeSet<u32> = own.iter().copied().collect();
    assert_eq!(distinct.len(), own.len(), "a slot was signed twice: {own:?}");
    println!("killed {KILLS} times, {} slots signed, model {}", own.len(), statuses[0]["model"]);
    federation.remove();
}

/// The epochs of all update records in the killed peer's log.
fn own_slots(federation: &Federation) -> Vec<u32> {
    let snapshot = Store::read(&federation.dir(0)).expect("the log is whole");
    let limits = snapshot.manifest.bundle_limits();
    let header_limits = snapshot.manifest.admission_policy().header_limits();
    let epoch = |record: &Record| {
        let Record::Update { head } = record else { return None };
        let head = BundleHead::decode(head, &limits).expect("an own bundle");
        let header = UpdateHeader::decode(head.header(), &header_limits).expect("an own header");
        Some(header.epoch.get())
    };
    snapshot.restored.entries.iter().filter_map(|entry| epoch(entry.record())).collect()
}
