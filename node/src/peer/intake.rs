//! Intake: what becomes of a bundle that somebody handed over.
//!
//! The contact machine asks for a judgement and withholds its acknowledgement;
//! admission is a pure function of the manifest and the update. Accepted
//! updates enter the log and the fold together.

use std::sync::Arc;

use longhaul_aggregation::{Admitted, HeaderKind, Inserted, MemberIndex, Previous, Refusal, Slot};
use longhaul_dtn::agent::{self, Held, RefuseReason};
use longhaul_dtn::bundle::{BundleError, BundleHead, BundleId};
use longhaul_dtn::hash::ContentHash;
use longhaul_dtn::identity::PeerId;
use longhaul_registry::privacy::UNREADABLE_CODE;
use longhaul_registry::{AggregateRefusal, KeyHeader, KeyRefusal, Record, TermsError};

use super::privacy::Unread;
use super::{Event, InStore, Peer};

/// Refusals recorded in the log per neighbour, ever; further ones are only
/// counted, so that a hostile member cannot fill the disk with verdicts.
const REFUSALS_RECORDED_MAX: u32 = 256;

impl Peer {
    pub(super) fn judge(&mut self, held: Held, from: PeerId) {
        let id = held.head.id();
        if let Err(error) = self.manifest.check_terms(&held.head) {
            let author = self.manifest().member_index(&held.head.author());
            return self.reject(id, (from, author), TermsError::CODE, error.to_string());
        }
        self.judge_proof(held, from);
    }

    /// Judges a bundle whose proof holds, where it needs one.
    pub(super) fn judge_proved(&mut self, held: Held, from: PeerId) {
        let id = held.head.id();
        if self.manifest().is_ceremony() {
            return self.judge_contribution(held, from);
        }
        if self.announces_key(&held.head) {
            return self.judge_key(held, from);
        }
        let (held, clear) = match self.keys.reveal(&held) {
            Ok(revealed) => revealed,
            Err(Unread::NoKey) => return self.carry(held, from),
            Err(Unread::Wrong(error)) => {
                return self.reject(id, (from, None), UNREADABLE_CODE, error.to_string());
            }
        };
        let author = self.manifest().member_index(&held.head.author());
        match HeaderKind::of(held.head.header()) {
            HeaderKind::Update => {}
            HeaderKind::Vote => return self.judge_vote(held, from),
            HeaderKind::Snapshot => return self.judge_snapshot(&held, from),
            HeaderKind::Aggregate => return self.judge_aggregate(held, from),
        }
        match self.admit_read(&held, author, clear.clone()) {
            Ok(admitted) => {
                let (epoch, author) = (admitted.header.epoch, admitted.author);
                let then = InStore::Accepted { epoch, author, bundle: id, from };
                self.accept(held, admitted, from, then);
            }
            Err((code, reason)) => {
                self.reject(id, (from, author), code, reason);
                self.report_fraud(&held, author, (&clear, code));
            }
        }
    }

    /// True for what the creator of a private federation sends to announce a further key.
    pub(super) fn announces_key(&self, head: &BundleHead) -> bool {
        self.manifest().is_private()
            && head.confidential().is_none()
            && KeyHeader::is_one(head.header())
    }

    /// Says what a payload is worth before it has come, or turns it away.
    pub(super) fn look_at_arriving(&mut self, head: &BundleHead, from: PeerId) {
        let Some((code, reason)) = self.unwanted(head) else {
            let worth = agent::Input::Worth { id: head.id(), value: self.worth(head) };
            return self.agent.handle(self.now, worth);
        };
        let author = self.manifest().member_index(&head.author());
        if code == AggregateRefusal::Needless.code() {
            self.note_needless(head);
        } else {
            self.refuse((from, author), Some(head.id()), code, reason);
        }
        self.agent.handle(self.now, agent::Input::Retire { ids: vec![head.id()], code });
    }

    /// Why a payload is not wanted, as far as its head tells: only snapshots and keys are larger than
    /// updates may be, and only a snapshot that would be gone on from is wanted.
    fn unwanted(&self, head: &BundleHead) -> Option<(u16, String)> {
        if self.manifest().is_ceremony() {
            let refusal = self.screen_contribution(head).err()?;
            return Some((refusal.code(), refusal.to_string()));
        }
        if self.announces_key(head) {
            let refusal = self.manifest.screen_key(head).err()?;
            return Some((KeyRefusal::CODE, refusal.to_string()));
        }
        if let Err(refusal) = self.manifest.proof_of(head) {
            return Some((refusal.code(), refusal.to_string()));
        }
        if head.confidential().is_none() && HeaderKind::of(head.header()) == HeaderKind::Aggregate {
            let refusal = self.screen_aggregate(head).err()?;
            return Some((refusal.code(), refusal.to_string()));
        }
        let (len, max) = (head.payload_len(), super::update_bytes_max(self.manifest()));
        if len <= max {
            return None;
        }
        let opened = self.keys.open(head).unwrap_or_else(|_| head.clone());
        if HeaderKind::of(opened.header()) == HeaderKind::Snapshot {
            let refusal = self.screen_snapshot(&opened).err()?;
            return Some((refusal.code(), refusal.to_string()));
        }
        let large = RefuseReason::from(BundleError::PayloadTooLarge { len, max });
        Some((large.code(), large.to_string()))
    }

    /// Turns away what changes nothing: an update held already, or one more
    /// header for a slot that two others have spent.
    /// What the log names and storage lost is always wanted back.
    pub(super) fn screened(
        &self,
        id: BundleId,
        admitted: Arc<Admitted>,
    ) -> Result<Arc<Admitted>, Refusal> {
        if self.missing.contains_key(&id) {
            return Ok(admitted);
        }
        let epoch = admitted.header.epoch;
        self.fold.screen(admitted.author, epoch, admitted.header_hash).map(|()| admitted)
    }

    pub(super) fn accept(
        &mut self,
        held: Held,
        admitted: Arc<Admitted>,
        from: PeerId,
        then: InStore,
    ) {
        let bundle = held.head.id();
        if let Some(memo) = &self.memo {
            memo.admitted.put(bundle, &admitted);
        }
        let record = Record::Accept { head: held.head.encode(), from };
        let payload = (held.head.payload_hash(), held.payload.clone());
        self.missing.remove(&bundle);
        self.insert(admitted, bundle, payload.0);
        self.persist(Some(payload), vec![record], then);
    }

    /// Puts an update into the fold; the log entry is made in the same step.
    pub(super) fn insert(
        &mut self,
        admitted: Arc<Admitted>,
        bundle: BundleId,
        payload: ContentHash,
    ) {
        let (epoch, author) = (admitted.header.epoch, admitted.author);
        if self.manifest().is_private() {
            self.needed.add(payload, bundle);
        }
        if let (Some(sealing), Some(me)) = (&mut self.sealing, self.me) {
            sealing.note(&admitted, (bundle, payload), me);
        }
        if Some(author) == self.me {
            self.remember_own(Previous { epoch, header: admitted.header_hash });
        }
        self.note_for_sums(Slot { member: author, epoch }, bundle);
        match self.fold.insert(admitted) {
            Inserted::New => {
                self.version_wanted();
                self.look_for_sum(epoch);
            }
            Inserted::Duplicate | Inserted::Sealed => {}
            Inserted::Void(_) => {
                self.version_wanted();
                self.event(Event::Voided { epoch, author });
                self.author_voided(author, epoch);
            }
        }
    }

    /// An own slot, signed now or come back from others after the log was lost,
    /// is never signed again, and the next header names the newest.
    pub(super) fn remember_own(&mut self, slot: Previous) {
        if self.last_slot.is_none_or(|last| last.epoch < slot.epoch) {
            self.last_slot = Some(slot);
            self.attempted = self.attempted.max(Some(slot.epoch));
        }
    }

    pub(super) fn reject(
        &mut self,
        id: BundleId,
        whose: (PeerId, Option<MemberIndex>),
        code: u16,
        reason: String,
    ) {
        self.refuse(whose, Some(id), code, reason);
        let verdict = agent::Verdict::Refuse { code };
        self.agent.handle(self.now, agent::Input::Judged { id, verdict });
    }

    /// Notes a refusal: who handed the bundle over, and which member signed it.
    pub(super) fn refuse(
        &mut self,
        (from, author): (PeerId, Option<MemberIndex>),
        bundle: Option<BundleId>,
        code: u16,
        reason: String,
    ) {
        *self.refusals.entry(code).or_default() += 1;
        let recorded = self.refusals_recorded.entry(from).or_default();
        if *recorded < REFUSALS_RECORDED_MAX {
            *recorded += 1;
            let record = Record::Refuse { bundle, from, code };
            self.persist(None, vec![record], InStore::Entries);
        }
        self.event(Event::Refused { bundle, from, author, code, reason });
    }
}
