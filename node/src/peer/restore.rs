//! Restore: from the log and the payload files back to the peer.
//!
//! The log is the truth. An update whose payload is gone is not held any more
//! and will be fetched again (until then no version is recorded, since the log
//! would explain another one); an own slot in the log is never signed again,
//! whether its payload is there or not.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use longhaul_aggregation::{Fold, Previous, UpdateHeader, admit};
use longhaul_dtn::agent::Held;
use longhaul_dtn::bundle::{BundleHead, BundleId};
use longhaul_dtn::hash::ContentHash;
use longhaul_dtn::identity::PeerId;
use longhaul_registry::{LogWriter, Record, SignedManifest, Signing};

use super::{PeerConfig, PeerError, Restored};

/// A peer's state as the log tells it.
pub(super) struct State {
    pub fold: Fold,
    pub log: LogWriter,
    pub held: Vec<Held>,
    pub last_slot: Option<Previous>,
    pub refusals: BTreeMap<u16, u64>,
    /// Bundles that the log names and that are not held for want of a payload.
    pub missing: BTreeSet<BundleId>,
    /// Set root of the newest version record.
    pub recorded: Option<ContentHash>,
    /// Refusals that the log holds, by who handed them over.
    pub refusals_recorded: BTreeMap<PeerId, u32>,
    /// See [`Restored::torn`].
    pub torn: bool,
}

pub(super) fn replay(config: &PeerConfig, restored: Restored) -> Result<State, PeerError> {
    let mut state = State {
        fold: match &config.memo {
            Some(memo) => config.manifest.fold().with_memo(memo.terms.clone()),
            None => config.manifest.fold(),
        },
        log: LogWriter::resume(config.key.clone(), &restored.entries)?
            .with_signing(if config.memo.is_some() { Signing::OnDemand } else { Signing::AtOnce }),
        held: Vec::new(),
        last_slot: None,
        refusals: BTreeMap::new(),
        missing: BTreeSet::new(),
        recorded: None,
        refusals_recorded: BTreeMap::new(),
        torn: restored.torn,
    };
    for entry in &restored.entries {
        let sequence = entry.entry().sequence;
        let bundle = |why: String| PeerError::Bundle { sequence, why };
        match &entry.entry().record {
            Record::Genesis { federation } => check_federation(&config.manifest, *federation)?,
            Record::Update { head } => {
                let head = decode(&config.manifest, head).map_err(bundle)?;
                state.last_slot = Some(own_slot(&config.manifest, &head).map_err(bundle)?);
                state.hold(&config.manifest, head, &restored).map_err(bundle)?;
            }
            Record::Accept { head, .. } => {
                let head = decode(&config.manifest, head).map_err(bundle)?;
                state.hold(&config.manifest, head, &restored).map_err(bundle)?;
            }
            Record::Refuse { code, from, .. } => {
                *state.refusals.entry(*code).or_default() += 1;
                *state.refusals_recorded.entry(*from).or_default() += 1;
            }
            Record::Version { set_root, .. } => state.recorded = Some(*set_root),
        }
    }
    // An own slot may have come back from others after the log had lost it.
    let me = config.manifest.manifest().member_index(&config.key.peer_id());
    if let Some((epoch, header)) = me.and_then(|me| state.fold.last_slot(me))
        && state.last_slot.is_none_or(|last| last.epoch < epoch)
    {
        state.last_slot = Some(Previous { epoch, header });
    }
    Ok(state)
}

impl State {
    fn hold(
        &mut self,
        manifest: &SignedManifest,
        head: BundleHead,
        restored: &Restored,
    ) -> Result<(), String> {
        let Some(payload) = restored.payloads.get(&head.payload_hash()) else {
            self.missing.insert(head.id());
            return Ok(());
        };
        let author = manifest.manifest().member_index(&head.author());
        let policy = manifest.admission_policy();
        let admitted = admit(&policy, author, head.header(), payload.clone())
            .map_err(|refusal| refusal.to_string())?;
        self.fold.insert(admitted);
        self.held.push(Held { head: Arc::new(head), payload: payload.clone() });
        Ok(())
    }
}

fn check_federation(
    manifest: &SignedManifest,
    found: longhaul_registry::FederationId,
) -> Result<(), PeerError> {
    if found == manifest.id() {
        return Ok(());
    }
    Err(PeerError::ForeignLog { expected: manifest.id().hash(), found: found.hash() })
}

fn decode(manifest: &SignedManifest, head: &[u8]) -> Result<BundleHead, String> {
    BundleHead::decode(head, &manifest.bundle_limits()).map_err(|error| error.to_string())
}

fn own_slot(manifest: &SignedManifest, head: &BundleHead) -> Result<Previous, String> {
    let limits = manifest.admission_policy().header_limits();
    let header = UpdateHeader::decode(head.header(), &limits).map_err(|error| error.to_string())?;
    Ok(Previous { epoch: header.epoch, header: header.hash() })
}
