//! The peer: one machine that exchanges, merges, records and asks for training.
//!
//! Inputs in, outputs out: [`Peer::handle`] takes what happened and the time at
//! which it did, [`Peer::poll`] gives what to do until it is empty, and
//! [`Peer::wake_at`] says when to come back. Nothing here reads a clock, a
//! file, a socket or entropy, so the simulator runs exactly this code.
//!
//! Three rules hold everywhere below:
//!
//! - an update enters the fold when its log entry is made, so that the log,
//!   read front to back, always explains the model;
//! - no own update and no acknowledgement leaves the peer before the entry that
//!   speaks of it is on stable storage (a refusal binds nobody and may);
//! - whether an update counts is a pure function of the manifest and the
//!   update (design rule: verdicts never depend on clock, quota or arrival).

mod aggregates;
mod carried;
mod ceremony;
mod guard;
mod intake;
mod io;
mod memo;
mod needs;
mod privacy;
mod proving;
mod recording;
mod restore;
mod sealing;
mod status;
mod training;
mod unpublished;
mod worth;

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use longhaul_aggregation::{
    AdmissionPolicy, Compressor, Epoch, Fold, MemberIndex, Parameters, Previous, RefusalKind,
};
use longhaul_dtn::agent::{self, Agent, Held};
use longhaul_dtn::bundle::{BundleError, BundleHead, BundleId, Prepared, TAG_BYTES};
use longhaul_dtn::hash::ContentHash;
use longhaul_dtn::identity::{PeerId, SecretKey};
use longhaul_dtn::time::Timestamp;
use longhaul_registry::{LogWriter, Manifest, SignedEntry, SignedManifest};

use aggregates::Aggregates;
use carried::{Carried, Needed};
use ceremony::Contributions;
use guard::Guard;
use privacy::Keys;
use proving::Proving;
use sealing::Sealing;
use unpublished::Unpublished;

pub use aggregates::{CheckSumRequest, SumRequest, Summed};
pub use carried::CARRIED_BYTES_MAX;
pub use ceremony::Contribution;
pub use io::{Event, Input, Output, PersistRequest, Ticket, TrainRequest, TrainedModel};
pub use memo::{AdmissionMemo, AdmittedMemo, AggregateMemo, Memo, ProofMemo};
pub use needs::{Needs, needs};
pub use proving::{ProveRequest, Proven, VerifyRequest};

pub use sealing::SealCounts;
pub use status::Status;

/// What a peer is made from.
#[derive(Debug, Clone)]
pub struct PeerConfig {
    /// The federation.
    pub manifest: Arc<SignedManifest>,
    /// The peer's key; its id must be a member, or a courier of a private federation.
    pub key: SecretKey,
    /// Entropy for batch order and contact nonces; secret is not needed.
    pub nonce: [u8; 32],
    /// What many peers of one process share; none for a node alone.
    pub memo: Option<Memo>,
}

/// What stable storage held at the start; empty at the very first.
#[derive(Debug, Clone, Default)]
pub struct Restored {
    /// The whole log, oldest entry first.
    pub entries: Vec<SignedEntry>,
    /// The payloads by their content hash, verified.
    pub payloads: BTreeMap<ContentHash, Arc<[u8]>>,
    /// True if the end of the log was cut off: what it said is not known, so the
    /// epoch of the start is not trained.
    pub torn: bool,
}

/// Why a peer cannot be made.
#[derive(Debug, thiserror::Error)]
pub enum PeerError {
    /// The key's peer id is not in the manifest; holds the id.
    #[error(
        "{0} is not a member of this federation; ask its creator for a manifest that lists this id"
    )]
    NotAMember(PeerId),
    /// A private federation's manifest has no key for this member; says why.
    #[error("{0}")]
    NoKey(String),
    /// The log does not verify.
    #[error("the log does not verify: {0}")]
    Log(#[from] longhaul_registry::LogError),
    /// The log belongs to another federation.
    #[error("the log belongs to federation {found}, the manifest to {expected}")]
    ForeignLog {
        /// The federation of the manifest.
        expected: ContentHash,
        /// The federation of the log's first entry.
        found: ContentHash,
    },
    /// A bundle in the log does not verify; holds its sequence number.
    #[error("entry {sequence} of the log holds a bundle that does not verify: {why}")]
    Bundle {
        /// The entry's sequence number.
        sequence: u64,
        /// What is wrong with it.
        why: String,
    },
}

/// One peer of a federation.
#[derive(Debug)]
pub struct Peer {
    manifest: Arc<SignedManifest>,
    key: SecretKey,
    /// The place among the members; a courier has none.
    me: Option<MemberIndex>,
    nonce: [u8; 32],
    policy: AdmissionPolicy,
    agent: Agent,
    fold: Fold,
    torn: bool,
    memo: Option<Memo>,
    /// What storage held; on offer from the start on.
    restored: Vec<Held>,
    compressor: Compressor,
    /// What was learnt since the last own update, where not every epoch has a slot.
    unpublished: Unpublished,
    log: LogWriter,
    started: bool,
    now: Timestamp,
    /// The own slot signed last; the next header names it.
    last_slot: Option<Previous>,
    training: Option<training::InFlight>,
    /// The newest epoch for which training was asked or given up.
    attempted: Option<Epoch>,
    guard: Guard,
    next_ticket: u64,
    in_store: BTreeMap<Ticket, InStore>,
    /// Bundles that the log names and whose payloads were lost.
    missing: BTreeMap<BundleId, Epoch>,
    keys: Keys,
    proving: Proving,
    aggregates: Aggregates,
    carried: Carried,
    needed: Needed,
    contributions: Contributions,
    /// Votes and seals, where the manifest seals epochs.
    sealing: Option<Sealing>,
    /// Set root of the newest version in the log.
    recorded: Option<ContentHash>,
    /// The epoch in which heads were appraised last.
    appraised: Option<Epoch>,
    version_due: Option<Timestamp>,
    refusals_recorded: BTreeMap<PeerId, u32>,
    refusals: BTreeMap<u16, u64>,
    links: BTreeMap<agent::LinkId, PeerId>,
    outputs: VecDeque<Output>,
}

/// What becomes of a persist request once it is durable.
#[derive(Debug)]
enum InStore {
    Own {
        epoch: Epoch,
        held: Held,
    },
    Accepted {
        epoch: Epoch,
        author: MemberIndex,
        bundle: BundleId,
        from: PeerId,
    },
    /// A vote or snapshot of the peer's own.
    Made {
        held: Held,
    },
    /// One that somebody handed over.
    Carried {
        bundle: BundleId,
    },
    /// An update that was carried until its key came.
    Read {
        epoch: Epoch,
        author: MemberIndex,
        from: PeerId,
    },
    Entries,
}

impl Peer {
    /// Makes a peer from its configuration and what storage held.
    ///
    /// Cost: one norm per update, and the fold of all of them. The signatures of
    /// entries and of the bundles in them were checked before.
    pub fn new(config: PeerConfig, restored: Restored) -> Result<Self, PeerError> {
        let manifest = config.manifest.manifest();
        let id = config.key.peer_id();
        let me = manifest.member_index(&id);
        if me.is_none() && !manifest.is_courier(&id) {
            return Err(PeerError::NotAMember(id));
        }
        let state = restore::replay(&config, restored)?;
        let agent = Agent::new(agent_config(&config));
        Ok(Self {
            me,
            nonce: config.nonce,
            policy: config.manifest.admission_policy(),
            agent,
            fold: state.fold,
            restored: state.held,
            compressor: Compressor::with(&manifest.schema, manifest.encoding),
            unpublished: Unpublished::default(),
            log: state.log,
            started: false,
            now: Timestamp::default(),
            torn: state.torn,
            memo: config.memo,
            attempted: state.last_slot.as_ref().map(|slot| slot.epoch),
            last_slot: state.last_slot,
            training: None,
            guard: Guard::default(),
            next_ticket: 0,
            in_store: BTreeMap::new(),
            missing: state.missing,
            keys: state.keys,
            proving: Proving::default(),
            aggregates: state.aggregates,
            carried: state.carried,
            needed: state.needed,
            contributions: state.contributions,
            sealing: state.sealing,
            recorded: state.recorded,
            appraised: None,
            version_due: None,
            refusals_recorded: state.refusals_recorded,
            refusals: state.refusals,
            links: BTreeMap::new(),
            outputs: VecDeque::new(),
            key: config.key,
            manifest: config.manifest,
        })
    }

    /// Takes what happened at `now`. Time that runs backwards is held still.
    pub fn handle(&mut self, now: Timestamp, input: Input) {
        self.now = now.max(self.now);
        match input {
            Input::Start => self.start(),
            Input::LinkUp { link, peer } => {
                self.links.insert(link, peer);
                self.tell_agent(agent::Input::LinkUp { link, peer });
            }
            Input::LinkDown { link } => {
                self.links.remove(&link);
                self.tell_agent(agent::Input::LinkDown { link });
            }
            Input::Frame { link, bytes } => self.tell_agent(agent::Input::Frame { link, bytes }),
            Input::Bundle { bytes } => self.tell_agent(agent::Input::Carried { bytes }),
            Input::Trained(trained) => self.publish(trained),
            Input::TrainingFailed { epoch, why } => self.skip(epoch, why),
            Input::Persisted { ticket } => self.persisted(ticket),
            Input::Proven(proven) => self.proven(proven),
            Input::Verified(verdicts) => self.verified(verdicts),
            Input::Summed(summed) => self.summed(summed),
            Input::SumChecked(checked) => self.sum_checked(checked),
            Input::Wake => {}
        }
        self.tick();
        self.ask_verdicts();
    }

    /// The next thing to do, until there is none.
    pub fn poll(&mut self) -> Option<Output> {
        self.outputs.pop_front()
    }

    /// When to give [`Input::Wake`], if nothing else happens before.
    pub fn wake_at(&self) -> Option<Timestamp> {
        let due = [self.version_due, self.training_due(), self.voting_due(), self.sums_due()];
        self.agent.wake_at().into_iter().chain(due.into_iter().flatten()).min()
    }

    /// The model: a function of the updates held.
    pub fn model(&mut self) -> &Parameters {
        self.fold.model()
    }

    /// The updates held and their terms.
    pub fn fold(&mut self) -> &mut Fold {
        &mut self.fold
    }

    /// The peer's own index in the manifest; a courier has none.
    pub const fn member(&self) -> Option<MemberIndex> {
        self.me
    }

    /// The terms of the federation.
    pub fn manifest(&self) -> &Manifest {
        self.manifest.manifest()
    }

    /// Offers what storage held, without starting: the peer neither trains nor votes then,
    /// and takes and gives bundles. [`Input::Start`] does it as well.
    pub fn offer_restored(&mut self, now: Timestamp) {
        self.now = now.max(self.now);
        self.publish_restored();
        if self.log.is_empty() {
            self.record_genesis();
        }
    }

    fn publish_restored(&mut self) {
        // Before they are on offer, so that nobody hears of what is not for it.
        for epoch in self.aggregates.epochs() {
            self.offer_anew(epoch);
        }
        for held in std::mem::take(&mut self.restored) {
            self.tell_agent(agent::Input::Publish(held));
        }
    }

    fn start(&mut self) {
        assert!(!self.started, "a peer is started once");
        self.started = true;
        self.publish_restored();
        if self.torn {
            self.attempted = self.attempted.max(self.manifest().epoch_at(self.now));
        }
        self.start_voting();
        self.look_for_sums();
        if self.log.is_empty() {
            self.record_genesis();
        } else if self.recorded != Some(self.fold.set_root()) {
            // The process ended between a change of the set and its version.
            self.version_wanted();
        }
    }

    fn tick(&mut self) {
        if !self.started {
            return;
        }
        if self.agent.wake_at().is_some_and(|due| due <= self.now) {
            self.tell_agent(agent::Input::Wake);
        }
        self.drop_surplus();
        self.appraise_again();
        self.vote_if_due();
        self.sum_if_due();
        self.train_if_due();
        self.record_version_if_due();
    }

    fn tell_agent(&mut self, input: agent::Input) {
        self.agent.handle(self.now, input);
        self.drain_agent();
    }

    fn drain_agent(&mut self) {
        while let Some(output) = self.agent.poll() {
            match output {
                agent::Output::Transmit { link, frame } => {
                    self.outputs.push_back(Output::Transmit { link, frame });
                }
                agent::Output::Close { link, reason } => {
                    let reason = reason.to_string();
                    self.outputs.push_back(Output::Close { link, reason });
                }
                agent::Output::Met { peer, terms, .. } => self.event(Event::Met { peer, terms }),
                agent::Output::Judge { held, from } => self.judge(held, from),
                agent::Output::Arriving { head, from } => self.look_at_arriving(&head, from),
                agent::Output::Refused { from, id, reason } => {
                    self.refuse((from, None), id, reason.code(), reason.to_string());
                }
            }
        }
    }

    fn persisted(&mut self, ticket: Ticket) {
        match self.in_store.remove(&ticket) {
            None | Some(InStore::Entries) => {}
            Some(InStore::Read { epoch, author, from }) => {
                self.event(Event::Accepted { epoch, author, from });
            }
            // Sealed while it was under way to storage; reported as too late then.
            Some(InStore::Own { epoch, .. }) if epoch < self.fold.open_from() => {}
            Some(InStore::Accepted { epoch, bundle, .. }) if epoch < self.fold.open_from() => {
                let verdict = agent::Verdict::Refuse { code: RefusalKind::Sealed.code() };
                self.tell_agent(agent::Input::Judged { id: bundle, verdict });
            }
            Some(InStore::Made { held }) => self.tell_agent(agent::Input::Publish(held)),
            Some(InStore::Carried { bundle }) => {
                let verdict = agent::Verdict::Accept;
                self.tell_agent(agent::Input::Judged { id: bundle, verdict });
            }
            Some(InStore::Own { epoch, held }) => {
                let bundle = held.head.id();
                self.tell_agent(agent::Input::Publish(held));
                self.event(Event::Published { epoch, bundle });
            }
            Some(InStore::Accepted { epoch, author, bundle, from }) => {
                let verdict = agent::Verdict::Accept;
                self.tell_agent(agent::Input::Judged { id: bundle, verdict });
                self.event(Event::Accepted { epoch, author, from });
            }
        }
    }

    /// Signs a bundle of this federation, made now; gives what travels as its payload too.
    fn seal_bundle(
        &self,
        sequence: u64,
        header: Vec<u8>,
        payload: &[u8],
    ) -> Result<(BundleHead, Arc<[u8]>), BundleError> {
        let (prepared, travels) = self.prepare_bundle(sequence, header, payload)?;
        Ok((prepared.sign(None)?, travels))
    }

    /// A bundle of this federation, made now and not signed yet, and what travels as its payload.
    fn prepare_bundle(
        &self,
        sequence: u64,
        header: Vec<u8>,
        payload: &[u8],
    ) -> Result<(Prepared, Arc<[u8]>), BundleError> {
        let draft = self.manifest.draft((self.now, sequence), header, payload)?;
        self.prepare_draft(draft)
    }

    fn event(&mut self, event: Event) {
        self.outputs.push_back(Output::Event(event));
    }
}

fn agent_config(config: &PeerConfig) -> agent::AgentConfig {
    let mut agent = agent::AgentConfig::new(
        config.key.peer_id(),
        config.manifest.id().hash(),
        config.manifest.bundle_limits(),
        config.nonce,
    );
    agent.payload_bytes_unasked = update_bytes_max(config.manifest.manifest());
    agent.appraises = true;
    agent.memo = config.memo.as_ref().map(|memo| memo.bundles.clone());
    agent
}

/// Most bytes of an update's payload as it travels.
fn update_bytes_max(manifest: &Manifest) -> u64 {
    let tag = if manifest.is_private() { TAG_BYTES as u64 } else { 0 };
    u64::from(manifest.bounds.payload_bytes_max) + tag
}
