//! Needs: which of the stored payloads the log still asks for.
//!
//! An update of an open epoch needs its payload, and a seal its snapshot. Which
//! these are is what a restart finds out, so it is asked the same way.

use std::collections::BTreeSet;

use longhaul_dtn::hash::ContentHash;
use longhaul_registry::Record;

use super::{PeerConfig, PeerError, Restored, restore};

/// What a peer's log asks for.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Needs {
    /// Stored payloads that a restart uses; all others are of no use to the peer.
    pub payloads: BTreeSet<ContentHash>,
    /// Number of updates that will be fetched again because their payload is gone.
    pub missing: usize,
}

/// Finds out what the log in `restored` asks for; as costly as a restart.
pub fn needs(config: &PeerConfig, restored: Restored) -> Result<Needs, PeerError> {
    let snapshot = |record: &Record| match record {
        Record::Seal { snapshot, .. } => Some(*snapshot),
        _ => None,
    };
    let seals = restored.entries.iter().filter_map(|entry| snapshot(entry.record()));
    let seals: BTreeSet<_> =
        seals.filter(|snapshot| restored.payloads.contains_key(snapshot)).collect();
    let state = restore::replay(config, restored)?;
    let held = state.held.iter().map(|held| held.head.payload_hash());
    Ok(Needs { payloads: held.chain(seals).collect(), missing: state.missing.len() })
}

#[cfg(all(test, feature = "shell"))]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::shell::store::testing::{key, manifest, requests};

    fn stored() -> (PeerConfig, Restored) {
        let manifest = Arc::new(manifest("test"));
        let config = PeerConfig { manifest, key: key(), nonce: [0; 32], memo: None };
        let requests = requests(12);
        let entries = requests.iter().flat_map(|request| request.entries.clone()).collect();
        let payloads = requests.into_iter().filter_map(|request| request.payload).collect();
        (config, Restored { entries, payloads, torn: false })
    }

    #[test]
    fn every_update_of_an_open_epoch_needs_its_payload() {
        let (config, restored) = stored();
        let expected = restored.payloads.keys().copied().collect();
        let found = needs(&config, restored).expect("a log of this peer");
        assert_eq!(found, Needs { payloads: expected, missing: 0 });
    }

    #[test]
    fn what_the_log_does_not_name_is_not_needed() {
        let (config, mut restored) = stored();
        let stray = ContentHash::of(b"stray");
        restored.payloads.insert(stray, (*b"stray").into());
        let found = needs(&config, restored).expect("a log of this peer");
        assert!(!found.payloads.contains(&stray));
    }

    #[test]
    fn updates_without_their_payload_are_counted() {
        let (config, mut restored) = stored();
        restored.payloads.pop_first();
        let found = needs(&config, restored).expect("a log of this peer");
        assert!(found.missing > 0);
    }

    #[test]
    fn a_peer_that_is_no_member_of_its_log_is_an_error() {
        let (config, mut restored) = stored();
        restored.entries.remove(0);
        assert!(needs(&config, restored).is_err());
    }
}
