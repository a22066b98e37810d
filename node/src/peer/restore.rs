//! Restore: from the log and the payload files back to the peer.
//!
//! The log is the truth. An update whose payload is gone is not held any more
//! and will be fetched again (until then no version is recorded, since the log
//! would explain another one); an own slot in the log is never signed again,
//! whether its payload is there or not.

use std::collections::BTreeMap;
use std::sync::Arc;

use longhaul_aggregation::{
    Attempt, Epoch, Fold, MemberIndex, Phase, Previous, SealValue, UpdateHeader, VOTE_PAYLOAD,
    admit,
};
use longhaul_dtn::agent::Held;
use longhaul_dtn::bundle::{BundleHead, BundleId};
use longhaul_dtn::hash::ContentHash;
use longhaul_dtn::identity::PeerId;
use longhaul_registry::{LogWriter, Record, SignedEntry, SignedManifest, Signing};

use super::aggregates::Aggregates;
use super::carried::{Carried, Needed};
use super::ceremony::Contributions;
use super::privacy::{Keys, Unread};
use super::sealing::Sealing;
use super::{Memo, PeerConfig, PeerError, Restored};

/// A peer's state as the log tells it.
pub(super) struct State {
    pub fold: Fold,
    pub log: LogWriter,
    pub held: Vec<Held>,
    pub last_slot: Option<Previous>,
    pub refusals: BTreeMap<u16, u64>,
    /// Bundles that the log names and that are not held for want of a payload.
    pub missing: BTreeMap<BundleId, Epoch>,
    /// Votes and seals, where the manifest seals epochs.
    pub sealing: Option<Sealing>,
    /// Set root of the newest version record.
    pub recorded: Option<ContentHash>,
    /// Refusals that the log holds, by who handed them over.
    pub refusals_recorded: BTreeMap<PeerId, u32>,
    /// The keys of a private federation that were granted to this peer.
    pub keys: Keys,
    /// What is carried unread.
    pub carried: Carried,
    /// What payloads are needed for, in a private federation.
    pub needed: Needed,
    /// What buckets are known by.
    pub aggregates: Aggregates,
    /// What was contributed to a ceremony.
    pub contributions: Contributions,
    /// See [`Restored::torn`].
    pub torn: bool,
}

pub(super) fn replay(config: &PeerConfig, restored: Restored) -> Result<State, PeerError> {
    let mut state = State::new(config, &restored)?;
    let me = config.manifest.manifest().member_index(&config.key.peer_id());
    let seals = |entry: &&SignedEntry| matches!(entry.record(), Record::Seal { .. });
    let last_seal = restored.entries.iter().rfind(seals).map_or(0, |it| it.entry().sequence);
    for entry in &restored.entries {
        let sequence = entry.entry().sequence;
        let bundle = |why: String| PeerError::Bundle { sequence, why };
        match &entry.entry().record {
            Record::Genesis { federation } => check_federation(&config.manifest, *federation)?,
            Record::Update { head } => {
                let head = decode(config, head).map_err(bundle)?;
                let head = state.opened(head).map_err(bundle)?;
                let own = own_slot(&config.manifest, &head).map_err(bundle)?;
                state.last_slot = Some(own);
                if let Some(sealing) = &mut state.sealing {
                    sealing.note_own(own.epoch, own.header);
                }
                state.hold(config, head, &restored, me).map_err(bundle)?;
            }
            Record::Accept { head, .. } => {
                let head = decode(config, head).map_err(bundle)?;
                state.hold(config, head, &restored, me).map_err(bundle)?;
            }
            Record::Keys { head, .. } => {
                let head = decode(config, head).map_err(bundle)?;
                state.learn(config, head, &restored, me).map_err(bundle)?;
            }
            Record::Contribution { head, .. } => {
                state.contribution(config, head, &restored).map_err(bundle)?;
            }
            Record::Aggregate { head, from } => {
                state.sum(config, head, &restored, from.is_none()).map_err(bundle)?;
            }
            Record::Carry { head, from } => {
                let head = Arc::new(decode(config, head).map_err(bundle)?);
                if let Some(payload) = restored.payloads.get(&head.payload_hash()) {
                    state.carried.keep(Held { head, payload: payload.clone() }, *from);
                }
            }
            Record::Drop { bundle } => _ = state.carried.take(bundle),
            Record::Refuse { code, from, .. } => {
                *state.refusals.entry(*code).or_default() += 1;
                *state.refusals_recorded.entry(*from).or_default() += 1;
            }
            Record::Version { set_root, .. } => state.recorded = Some(*set_root),
            Record::Vote { head, .. } => {
                let head = decode(config, head).map_err(bundle)?;
                let live = sequence > last_seal;
                state.count_vote(&config.manifest, head, me, live).map_err(bundle)?;
            }
            Record::Seal { attempt, value, snapshot, from } => {
                let payload = restored.payloads.get(snapshot).cloned();
                let sealed = (*attempt, *value, from.is_some());
                state.close(&config.manifest, sealed, payload, me).map_err(bundle)?;
            }
        }
    }
    let votes = state.sealing.iter().flat_map(Sealing::held_votes);
    state.held.extend(votes.cloned());
    state.held.extend(state.carried.held().cloned());
    state.note_needed(&config.manifest);
    // An own slot may have come back from others after the log had lost it.
    if let Some((epoch, header)) = me.and_then(|me| state.fold.last_slot(me))
        && state.last_slot.is_none_or(|last| last.epoch < epoch)
    {
        state.last_slot = Some(Previous { epoch, header });
    }
    Ok(state)
}

impl State {
    /// Before the first entry.
    fn new(config: &PeerConfig, restored: &Restored) -> Result<Self, PeerError> {
        Ok(Self {
            fold: match &config.memo {
                Some(memo) => config.manifest.fold().with_memo(memo.terms.clone()),
                None => config.manifest.fold(),
            },
            log: LogWriter::resume(config.key.clone(), &restored.entries)?.with_signing(
                if config.memo.is_some() { Signing::OnDemand } else { Signing::AtOnce },
            ),
            held: Vec::new(),
            last_slot: None,
            refusals: BTreeMap::new(),
            missing: BTreeMap::new(),
            sealing: config.manifest.manifest().seal_rules().map(Sealing::new),
            recorded: None,
            refusals_recorded: BTreeMap::new(),
            keys: Keys::of(&config.manifest, &config.key).map_err(PeerError::NoKey)?,
            carried: Carried::default(),
            needed: Needed::default(),
            contributions: Contributions::default(),
            aggregates: Aggregates::default(),
            torn: restored.torn,
        })
    }

    /// Notes which payloads are needed for what, in a private federation.
    fn note_needed(&mut self, manifest: &SignedManifest) {
        if manifest.manifest().is_private() {
            let heads = self.held.iter().map(|held| &held.head);
            heads.for_each(|head| self.needed.add(head.payload_hash(), head.id()));
        }
    }

    fn hold(
        &mut self,
        config: &PeerConfig,
        head: BundleHead,
        restored: &Restored,
        me: Option<MemberIndex>,
    ) -> Result<(), String> {
        let manifest = &config.manifest;
        let policy = manifest.admission_policy();
        self.carried.take(&head.id());
        let head = match self.keys.open(&head) {
            Ok(head) => head,
            // The payload of the bundle that brought its key was lost.
            Err(Unread::NoKey) => {
                self.missing.insert(head.id(), Epoch::FIRST);
                return Ok(());
            }
            Err(Unread::Wrong(error)) => return Err(error.to_string()),
        };
        let Some(payload) = restored.payloads.get(&head.payload_hash()) else {
            let header = UpdateHeader::decode(head.header(), &policy.header_limits());
            let epoch = header.map_err(|error| error.to_string())?.epoch;
            self.missing.insert(head.id(), epoch);
            return Ok(());
        };
        let clear = self.keys.ring.open_payload(&head, payload);
        let clear = clear.map_err(|error| error.to_string())?;
        let author = manifest.manifest().member_index(&head.author());
        let admit = || {
            let admitted = admit(&policy, author, head.header(), clear);
            let mut admitted = admitted.map_err(|refusal| refusal.to_string())?;
            let named = manifest.slot_name(&head, admitted.header_hash);
            admitted.header_hash = named.map_err(|refusal| refusal.to_string())?;
            Ok::<_, String>(admitted)
        };
        let admitted = Memo::admitted(config.memo.as_ref(), &head.id(), admit)?;
        if let (Some(sealing), Some(me)) = (&mut self.sealing, me) {
            sealing.note(&admitted, (head.id(), head.payload_hash()), me);
        }
        if manifest.manifest().aggregates.is_some() {
            self.aggregates.hold_update(admitted.slot(), head.id());
        }
        self.fold.insert(admitted);
        self.held.push(Held { head: Arc::new(head), payload: payload.clone() });
        Ok(())
    }

    /// An own update's bundle, which this peer must be able to read.
    fn opened(&self, head: BundleHead) -> Result<BundleHead, String> {
        self.keys.open(&head).map_err(|unread| match unread {
            Unread::NoKey => {
                "it is encrypted under a key whose grant the store has lost; restore the store from a \
                 copy, or join anew with another key"
                    .to_owned()
            }
            Unread::Wrong(error) => error.to_string(),
        })
    }

    /// Takes the sum of a bucket's updates, which was verified when its entry was made.
    fn sum(
        &mut self,
        config: &PeerConfig,
        head: &[u8],
        restored: &Restored,
        own: bool,
    ) -> Result<(), String> {
        let head = decode(config, head)?;
        let Some(payload) = restored.payloads.get(&head.payload_hash()) else {
            let header = config.manifest.screen_aggregate(&head);
            let epoch = header.map_err(|refusal| refusal.to_string())?.epoch;
            // An own one says nothing that other entries do not name, and perhaps nobody else took it.
            if !own {
                self.missing.insert(head.id(), epoch);
            }
            return Ok(());
        };
        let admitted = config.manifest.readmit_aggregate(&head, payload);
        let admitted = admitted.map_err(|refusal| refusal.to_string())?;
        self.aggregates.hold_sum(&config.manifest, &admitted);
        for (_, head) in admitted.heads {
            self.fold.insert_head(head);
        }
        _ = self.fold.insert_sum(admitted.sum);
        self.missing.remove(&head.id());
        self.held.push(Held { head: Arc::new(head), payload: payload.clone() });
        Ok(())
    }

    /// Takes a contribution to a ceremony, which was checked when its entry was made.
    fn contribution(
        &mut self,
        config: &PeerConfig,
        head: &[u8],
        restored: &Restored,
    ) -> Result<(), String> {
        let head = decode(config, head)?;
        let header = config.manifest.screen_contribution(&head);
        let header = header.map_err(|refusal| refusal.to_string())?;
        let Some(payload) = restored.payloads.get(&head.payload_hash()) else {
            self.contributions.note(&head, header.part);
            self.missing.insert(head.id(), Epoch::FIRST);
            return Ok(());
        };
        let held = Held { head: Arc::new(head), payload: payload.clone() };
        self.missing.remove(&held.head.id());
        self.contributions.hold(header, held.clone());
        self.held.push(held);
        Ok(())
    }

    /// Takes a further key from the bundle that announced it.
    fn learn(
        &mut self,
        config: &PeerConfig,
        head: BundleHead,
        restored: &Restored,
        me: Option<MemberIndex>,
    ) -> Result<(), String> {
        let Some(payload) = restored.payloads.get(&head.payload_hash()) else {
            self.missing.insert(head.id(), Epoch::FIRST);
            return Ok(());
        };
        let generation = config.manifest.admit_key(&head, payload);
        let generation = generation.map_err(|refusal| refusal.to_string())?;
        self.keys.learn(&generation, me, &config.key);
        self.held.push(Held { head: Arc::new(head), payload: payload.clone() });
        Ok(())
    }

    /// Counts a vote again; what this peer signed it never signs again. `live` votes are
    /// behind the newest seal.
    fn count_vote(
        &mut self,
        manifest: &SignedManifest,
        head: BundleHead,
        me: Option<MemberIndex>,
        live: bool,
    ) -> Result<(), String> {
        let admitted = manifest.admit_vote(&head, VOTE_PAYLOAD);
        let admitted = admitted.map_err(|refusal| refusal.to_string())?;
        let held = Held { head: Arc::new(head), payload: VOTE_PAYLOAD.into() };
        let (Some(sealing), Some(me)) = (&mut self.sealing, me) else { return Ok(()) };
        sealing.cast(&admitted, held, me);
        let vote = admitted.vote;
        let own = admitted.member == me && vote.phase == Phase::Prepare;
        // The set is what it was when this was signed: what it said then can be had again.
        if own && live && vote.value.end > self.fold.open_from() && self.missing.is_empty() {
            sealing.propose(self.fold.candidate(vote.value.end));
        }
        Ok(())
    }

    /// Goes on from a seal; without its snapshot the peer is behind until one comes.
    fn close(
        &mut self,
        manifest: &SignedManifest,
        (attempt, value, adopted): (Attempt, SealValue, bool),
        payload: Option<Arc<[u8]>>,
        me: Option<MemberIndex>,
    ) -> Result<(), String> {
        let (Some(sealing), Some(me)) = (&mut self.sealing, me) else { return Ok(()) };
        let Some(payload) = payload else {
            sealing.tally.recall(attempt, value);
            return Ok(());
        };
        let cosigned = manifest.prove(attempt, value, payload);
        let cosigned = cosigned.map_err(|refusal| refusal.to_string())?;
        self.fold.seal(cosigned.snapshot.clone());
        let closed = sealing.close(cosigned, me);
        sealing.counts.adopted += u64::from(adopted);
        self.held.retain(|held| !closed.retired.contains(&held.head.id()));
        self.missing.retain(|_, epoch| *epoch >= value.end);
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

/// A head in the own log: its signature was checked before the entry was signed, and half the time
/// of a restart would go into checking it again. Auditors do.
fn decode(config: &PeerConfig, head: &[u8]) -> Result<BundleHead, String> {
    let limits = config.manifest.bundle_limits();
    let head = match &config.memo {
        Some(memo) => BundleHead::decode_with(head, &limits, Some(&memo.bundles)),
        None => BundleHead::decode_checked(head, &limits),
    };
    head.map_err(|error| error.to_string())
}

fn own_slot(manifest: &SignedManifest, head: &BundleHead) -> Result<Previous, String> {
    let limits = manifest.admission_policy().header_limits();
    let header = UpdateHeader::decode(head.header(), &limits).map_err(|error| error.to_string())?;
    let named = manifest.slot_name(head, header.hash()).map_err(|error| error.to_string())?;
    Ok(Previous { epoch: header.epoch, header: named })
}
