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
