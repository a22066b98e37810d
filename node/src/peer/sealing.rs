//! Sealing: how a peer votes, closes old epochs, and catches up after an absence.
//!
//! The protocol and the argument for it stand in [`longhaul_aggregation::seal`]; here is when
//! a peer does what. A vote is signed once its log entry is made and leaves the peer once
//! that is durable, so a restarted peer knows what it signed. When a quorum committed to a
//! value, a peer whose own set says the same closes the epochs; any other waits for a
//! cosigned snapshot, which proves itself, and adopts it. What it held beyond that leaves
//! the fold, and own work among it is reported as too late. What a peer itself proposed it
//! keeps until something is sealed: were late updates to reach everybody between the vote
//! and the seal, nobody's set would say it any more.
//!
//! So that few copies travel, members publish the snapshot in an order that hashes give:
//! the first at once, each further one an epoch later if it has seen none by then.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use longhaul_aggregation::{
    Admitted, AdmittedVote, Attempt, Due, Epoch, HeaderHash, MemberIndex, Phase, Refusal,
    RefusalKind, SealRules, SealValue, Snapshot, SnapshotHeader, Tally, VOTE_PAYLOAD, Vote, Voter,
};
use longhaul_dtn::agent::{self, Held};
use longhaul_dtn::bundle::{BundleHead, BundleId};
use longhaul_dtn::hash::ContentHash;
use longhaul_dtn::identity::PeerId;
use longhaul_dtn::time::Timestamp;
use longhaul_registry::{Cosigned, Manifest, Record, encode_cosigned};

use super::{Event, InStore, Peer};

/// Own proposals kept; each has the size of a model. A value is proposed once an attempt, and
/// one that fails is hardly sealed four attempts later.
const PROPOSALS_MAX: usize = 4;
const RANK_CONTEXT: &str = "longhaul 2026 snapshot rank v1";
/// Tells the sequence numbers of votes and snapshots from those of updates, which are
/// epochs.
const SEQUENCE_FIRST: u64 = 1 << 33;

/// What a peer knows of votes and seals.
#[derive(Debug)]
pub(super) struct Sealing {
    pub tally: Tally,
    pub voter: Voter,
    /// The votes counted, by which seals are proved.
    votes: BTreeMap<(Attempt, Phase, MemberIndex, HeaderHash), Held>,
    /// The bundles of open epochs, and their payloads.
    bundles: BTreeMap<Epoch, Vec<(BundleId, ContentHash)>>,
    /// The own slots of open epochs.
    own: BTreeMap<Epoch, HeaderHash>,
    /// What the own set said when it was voted on.
    proposals: BTreeMap<SealValue, Arc<Snapshot>>,
    /// The newest snapshot that was gone on from.
    sealed: Option<Cosigned>,
    /// Members who signed a snapshot that proves nothing, since the start.
    unproven: BTreeSet<MemberIndex>,
    /// The bundle that offers it.
    offered: Option<BundleId>,
    /// When to make such a bundle if there is none.
    publish_in: Option<Epoch>,
    /// The epoch of the clock in which votes were looked at last.
    looked: Option<Epoch>,
    /// The epoch in which the own set was found to say something else than the seal.
    differed: Option<Epoch>,
    pub counts: SealCounts,
}

/// How often what happened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct SealCounts {
    /// Seals, adopted ones included.
    pub seals: u64,
    /// Seals that the peer's own set did not say.
    pub adopted: u64,
    /// Own updates that no seal took in.
    pub too_late: u64,
}

impl Sealing {
    pub fn new(rules: SealRules) -> Self {
        Self {
            tally: Tally::new(rules),
            voter: Voter::default(),
            votes: BTreeMap::new(),
            bundles: BTreeMap::new(),
            own: BTreeMap::new(),
            proposals: BTreeMap::new(),
            sealed: None,
            unproven: BTreeSet::new(),
            offered: None,
            publish_in: None,
            looked: None,
            differed: None,
            counts: SealCounts::default(),
        }
    }

    /// Notes an update that entered the fold, and its bundle with the hash of what travels.
    pub fn note(
        &mut self,
        admitted: &Admitted,
        (bundle, payload): (BundleId, ContentHash),
        me: MemberIndex,
    ) {
        let epoch = admitted.header.epoch;
        self.bundles.entry(epoch).or_default().push((bundle, payload));
        if admitted.author == me {
            self.note_own(epoch, admitted.header_hash);
        }
    }

    /// Notes an own slot.
    pub fn note_own(&mut self, epoch: Epoch, header: HeaderHash) {
        self.own.insert(epoch, header);
    }

    /// Keeps what the own set says, so that it can be gone on from.
    pub fn propose(&mut self, snapshot: Snapshot) -> SealValue {
        let value = snapshot.value();
        self.proposals.insert(value, Arc::new(snapshot));
        while self.proposals.len() > PROPOSALS_MAX {
            self.proposals.pop_first();
        }
        value
    }

    /// Counts a vote and keeps it as a proof.
    pub fn cast(&mut self, admitted: &AdmittedVote, held: Held, me: MemberIndex) {
        let (attempt, phase) = (admitted.vote.attempt, admitted.vote.phase);
        self.tally.cast(admitted);
        self.votes.insert((attempt, phase, admitted.member, admitted.header), held);
        if admitted.member == me {
            // Signed now, or come back from others after the log was lost.
            self.voter.signed(attempt, phase);
        }
        self.looked = None;
    }

    /// Goes on from a seal: forgets what it closes, and gives the bundles and payloads
    /// that nobody needs any more.
    pub fn close(&mut self, cosigned: Cosigned, me: MemberIndex) -> Closed {
        let value = cosigned.snapshot.value();
        let (end, attempt) = (value.end, cosigned.attempt);
        cosigned.votes.iter().for_each(|vote| {
            self.tally.cast(vote);
            if vote.member == me {
                // It may be unknown here: the log that said so was lost.
                self.voter.signed(vote.vote.attempt, vote.vote.phase);
            }
        });
        self.tally.recall(attempt, value);
        let kept = self.bundles.split_off(&end);
        let closed = std::mem::replace(&mut self.bundles, kept);
        let needed: BTreeSet<_> = self.bundles.values().flatten().map(|(_, it)| *it).collect();
        let closed = || closed.values().flatten();
        let mut payloads: Vec<_> =
            closed().map(|(_, it)| *it).filter(|it| !needed.contains(it)).collect();
        payloads.extend(self.sealed.as_ref().map(|before| ContentHash::of(&before.payload)));
        let open = self.own.split_off(&end);
        let own = std::mem::replace(&mut self.own, open);
        let late = own
            .into_iter()
            .filter(|&(epoch, header)| !cosigned.snapshot.contains(epoch, me, header));
        let late: Vec<_> = late.map(|(epoch, _)| epoch).collect();
        let mut retired: Vec<_> = closed().map(|(bundle, _)| *bundle).collect();
        let votes = self.votes.iter().filter(|((at, ..), _)| *at < attempt);
        retired.extend(votes.map(|(_, held)| held.head.id()));
        self.votes.retain(|(at, ..), _| *at >= attempt);
        retired.extend(self.offered.take());
        self.proposals.retain(|proposed, _| proposed.end > end);
        self.counts.seals += 1;
        self.counts.too_late += late.len() as u64;
        self.sealed = Some(cosigned);
        self.differed = None;
        Closed { retired, payloads, late }
    }

    /// The heads of a quorum's commits.
    fn commits(&self, attempt: Attempt) -> Vec<&BundleHead> {
        let commits = self
            .votes
            .iter()
            .filter(|((at, phase, ..), _)| *at == attempt && *phase == Phase::Commit);
        commits.map(|(_, held)| &*held.head).collect()
    }

    /// Everything that is to be offered after a restart, but for the updates.
    pub fn held_votes(&self) -> impl Iterator<Item = &Held> {
        self.votes.values()
    }
}

/// What a seal made superfluous.
#[derive(Debug)]
pub(super) struct Closed {
    /// Bundles to hold no longer.
    pub retired: Vec<BundleId>,
    /// Payloads that storage may delete.
    pub payloads: Vec<ContentHash>,
    /// Epochs of own updates that the seal did not take in.
    pub late: Vec<Epoch>,
}

/// Which place `member` has in the order in which members publish a snapshot.
fn rank(manifest: &Manifest, value: SealValue, member: MemberIndex) -> u32 {
    let place = |key: &PeerId| {
        let bytes = [value.root.as_bytes(), value.model.as_hash().as_bytes(), &key.as_bytes()[..]];
        ContentHash::derive(RANK_CONTEXT, &bytes.concat())
    };
    let mine = place(&manifest.members[member.index()]);
    let before = manifest.members.iter().filter(|key| place(key) < mine).count();
    u32::try_from(before).unwrap_or(u32::MAX)
}

impl Peer {
    /// The epoch of the clock, the last one after the end; none before the start.
    fn voting_epoch(&self) -> Option<Epoch> {
        let manifest = self.manifest();
        (self.now >= manifest.start).then(|| manifest.epoch_or_last(self.now))
    }

    /// After a restart: what a cut log may have said is not signed again, and the
    /// snapshot gone on from is published if nobody else does.
    pub(super) fn start_voting(&mut self) {
        let Some(epoch) = self.voting_epoch() else { return };
        let torn = self.torn;
        let sealed = self.sealing.as_ref().and_then(|it| it.sealed.as_ref());
        let publish_in = sealed.map(|it| self.turn(it.snapshot.value(), epoch));
        let Some(sealing) = &mut self.sealing else { return };
        if let Some(attempt) = sealing.tally.rules().attempt_at(epoch).filter(|_| torn) {
            sealing.voter.signed(attempt, Phase::Commit);
        }
        sealing.publish_in = publish_in;
    }

    /// The epoch in which this peer publishes a snapshot of `value`, known in `epoch`, if
    /// nobody else has: one later for each rank. In the last epoch everybody's turn has
    /// come: no clock counts epochs behind it, and whoever is late then still has to catch
    /// up.
    fn turn(&self, value: SealValue, epoch: Epoch) -> Epoch {
        let manifest = self.manifest();
        // A federation that has couriers seals nothing.
        let rank = self.me.map_or(0, |me| rank(manifest, value, me));
        Epoch::new(epoch.get().saturating_add(rank).min(manifest.epochs.saturating_sub(1)))
    }

    /// When the clock's next epoch begins, which may begin an attempt.
    pub(super) fn voting_due(&self) -> Option<Timestamp> {
        self.sealing.as_ref()?;
        let manifest = self.manifest();
        let next = manifest.epoch_at(self.now)?.next();
        (next.get() < manifest.epochs).then(|| manifest.epoch_start(next))
    }

    /// Judges a vote that somebody handed over.
    pub(super) fn judge_vote(&mut self, held: Held, from: PeerId) {
        let id = held.head.id();
        let whose = (from, self.manifest().member_index(&held.head.author()));
        let admitted = self.manifest.admit_vote(&held.head, &held.payload);
        let (Some(sealing), Some(me)) = (&mut self.sealing, self.me) else {
            let refusal = Refusal::NoSeals;
            return self.reject(id, whose, refusal.code(), refusal.to_string());
        };
        let screened = admitted.and_then(|it| sealing.tally.screen(&it).map(|()| it));
        match screened {
            Err(refusal) => self.reject(id, whose, refusal.code(), refusal.to_string()),
            Ok(admitted) => {
                let head = held.head.encode();
                sealing.cast(&admitted, held, me);
                let record = Record::Vote { head, from: Some(from) };
                self.persist(None, vec![record], InStore::Carried { bundle: id });
            }
        }
    }

    /// Judges a snapshot that somebody handed over; it is gone on from if it goes further
    /// than what is sealed here.
    pub(super) fn judge_snapshot(&mut self, held: &Held, from: PeerId) {
        let id = held.head.id();
        let author = self.manifest().member_index(&held.head.author());
        if let Err(refusal) = self.screen_snapshot(&held.head) {
            return self.reject(id, (from, author), refusal.code(), refusal.to_string());
        }
        match self.manifest.admit_snapshot(&held.head, held.payload.clone()) {
            Err(refusal) => {
                // Its author signed the hash of this payload, so nobody else is to blame.
                if let Some((author, sealing)) = author.zip(self.sealing.as_mut()) {
                    sealing.unproven.insert(author);
                }
                self.reject(id, (from, author), refusal.code(), refusal.to_string());
            }
            Ok(cosigned) => {
                let value = cosigned.snapshot.value();
                if value.end > self.fold.open_from() {
                    let proposed =
                        self.sealing.as_ref().is_some_and(|it| it.proposals.contains_key(&value));
                    let differs = !proposed && self.fold.candidate(value.end).value() != value;
                    self.close_epochs(cosigned, differs.then_some(from));
                }
                if let Some(sealing) = &mut self.sealing {
                    sealing.offered = Some(id);
                }
                // It proves itself, and the seal that follows from it is recorded first.
                self.persist(None, Vec::new(), InStore::Carried { bundle: id });
            }
        }
    }

    /// Says from its head alone whether a snapshot is wanted. One copy of the newest is
    /// enough, and of an author who signed one that proves nothing, none: each may be as
    /// large as all that a federation ever seals.
    pub(super) fn screen_snapshot(&self, head: &BundleHead) -> Result<(), Refusal> {
        let sealing = self.sealing.as_ref().ok_or(Refusal::NoSeals)?;
        let header = SnapshotHeader::decode(head.header(), sealing.tally.rules())?;
        let author = self.manifest().member_index(&head.author()).ok_or(Refusal::NotAMember)?;
        if sealing.unproven.contains(&author) {
            let why = "its author signed a snapshot before that proves nothing".to_owned();
            return Err(Refusal::Unproven(why));
        }
        let end = header.value.end;
        if end < self.fold.open_from().max(sealing.tally.sealed_end()) {
            return Err(Refusal::Outdated(header.attempt));
        }
        if end == self.fold.open_from() && sealing.offered.is_some() {
            return Err(Refusal::Duplicate);
        }
        Ok(())
    }

    /// Signs the votes that are due, closes what is sealed, and publishes the snapshot.
    pub(super) fn vote_if_due(&mut self) {
        let Some(epoch) = self.voting_epoch() else { return };
        let Some(sealing) = &mut self.sealing else { return };
        if sealing.looked == Some(epoch) {
            return;
        }
        sealing.looked = Some(epoch);
        loop {
            self.close_if_own(epoch);
            match self.next_vote(epoch) {
                Some((attempt, phase, value)) => self.sign_vote(attempt, phase, value),
                None => break,
            }
        }
        self.publish_snapshot_if_due(epoch);
    }

    fn next_vote(&mut self, epoch: Epoch) -> Option<(Attempt, Phase, SealValue)> {
        let idle = self.is_behind() || !self.missing.is_empty();
        let sealing = self.sealing.as_mut()?;
        match sealing.voter.due(&sealing.tally, epoch)? {
            Due::Sign(attempt, phase, value) => Some((attempt, phase, value)),
            // Who knows of a seal that its set does not say, or lost updates that its log
            // names, has nothing of its own to propose.
            Due::PrepareOwn { .. } if idle => None,
            Due::PrepareOwn { attempt, end } => {
                let value = sealing.propose(self.fold.candidate(end));
                Some((attempt, Phase::Prepare, value))
            }
        }
    }

    /// True when a seal is known that is not gone on from yet.
    pub(super) fn is_behind(&self) -> bool {
        let sealing = self.sealing.as_ref();
        sealing.is_some_and(|it| it.tally.sealed_end() > self.fold.open_from())
    }

    fn sign_vote(&mut self, attempt: Attempt, phase: Phase, value: SealValue) {
        let vote = Vote { federation: self.manifest.id().hash(), attempt, phase, value };
        let sequence = u64::from(attempt.get()) << 1 | phase as u64;
        let head = self.seal_own(sequence, vote.encode(), VOTE_PAYLOAD);
        let admitted = self.manifest.admit_vote(&head, VOTE_PAYLOAD);
        let admitted = admitted.expect("an own vote is for what an attempt can seal");
        let record = Record::Vote { head: head.encode(), from: None };
        let held = Held { head: Arc::new(head), payload: VOTE_PAYLOAD.into() };
        if let (Some(sealing), Some(me)) = (&mut self.sealing, self.me) {
            sealing.cast(&admitted, held.clone(), me);
        }
        self.persist(None, vec![record], InStore::Made { held });
    }

    /// Signs a vote or a snapshot.
    fn seal_own(&self, sequence: u64, header: Vec<u8>, payload: &[u8]) -> BundleHead {
        let head = self.seal_bundle(SEQUENCE_FIRST | sequence, header, payload);
        head.expect("after the start, a short header is sound").0
    }

    /// Closes what is sealed if the own set says the same; looked at once an epoch.
    fn close_if_own(&mut self, epoch: Epoch) {
        let Some(sealing) = &mut self.sealing else { return };
        let Some((attempt, value)) = sealing.tally.seal() else { return };
        if value.end <= self.fold.open_from() || sealing.differed == Some(epoch) {
            return;
        }
        let proposed = sealing.proposals.get(&value).cloned();
        let own = proposed.unwrap_or_else(|| Arc::new(self.fold.candidate(value.end)));
        if own.value() != value {
            sealing.differed = Some(epoch);
            return;
        }
        let payload = encode_cosigned(&own, sealing.commits(attempt).into_iter());
        // Without the votes (the log may have lost them) a snapshot has to come.
        match self.manifest.prove(attempt, value, payload.into()) {
            Ok(cosigned) => self.close_epochs(cosigned, None),
            Err(_) => sealing.differed = Some(epoch),
        }
    }

    /// Goes on from a seal; `from` is who handed its snapshot over, if the own set says
    /// something else.
    fn close_epochs(&mut self, cosigned: Cosigned, from: Option<PeerId>) {
        let (Some(sealing), Some(me)) = (&mut self.sealing, self.me) else { return };
        let (attempt, value) = (cosigned.attempt, cosigned.snapshot.value());
        let payload = cosigned.payload.clone();
        let left_out = self.fold.seal(cosigned.snapshot.clone()).len();
        let closed = sealing.close(cosigned, me);
        sealing.counts.adopted += u64::from(from.is_some());
        self.missing.retain(|_, epoch| *epoch >= value.end);
        let epoch = self.voting_epoch().unwrap_or_default();
        let publish_in = self.turn(value, epoch);
        if let Some(sealing) = &mut self.sealing {
            sealing.publish_in = Some(publish_in);
            sealing.looked = None;
        }
        let snapshot = ContentHash::of(&payload);
        let record = Record::Seal { attempt, value, snapshot, from };
        let payload = Some((snapshot, payload));
        self.persist_and_forget(payload, vec![record], InStore::Entries, closed.payloads);
        let code = RefusalKind::Sealed.code();
        self.tell_agent(agent::Input::Retire { ids: closed.retired, code });
        self.event(Event::Sealed { value, adopted: from.is_some(), left_out });
        closed.late.into_iter().for_each(|epoch| self.event(Event::TooLate { epoch }));
        self.version_wanted();
    }

    /// Reports own work of an epoch that was sealed before it could be published.
    pub(super) fn report_too_late(&mut self, epoch: Epoch) {
        if let Some(sealing) = &mut self.sealing {
            sealing.counts.too_late += 1;
        }
        self.event(Event::TooLate { epoch });
    }

    fn publish_snapshot_if_due(&mut self, epoch: Epoch) {
        let Some(sealing) = &mut self.sealing else { return };
        if sealing.publish_in.is_none_or(|due| due > epoch) {
            return;
        }
        sealing.publish_in = None;
        let Some(cosigned) = sealing.sealed.as_ref().filter(|_| sealing.offered.is_none()) else {
            return;
        };
        let (attempt, value) = (cosigned.attempt, cosigned.snapshot.value());
        let payload = cosigned.payload.clone();
        let header = SnapshotHeader {
            federation: self.manifest.id().hash(),
            attempt,
            value,
            payload: ContentHash::of(&payload),
        };
        let sequence = 1 << 32 | u64::from(value.end.get());
        let head = self.seal_own(sequence << 1, header.encode(), &payload);
        if let Some(sealing) = &mut self.sealing {
            sealing.offered = Some(head.id());
        }
        let held = Held { head: Arc::new(head), payload };
        // Behind the record of the seal, which is under way to storage.
        self.persist(None, Vec::new(), InStore::Made { held });
    }
}
