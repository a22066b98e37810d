//! Intake: what becomes of a bundle that somebody handed over.
//!
//! The contact machine asks for a judgement and withholds its acknowledgement;
//! admission is a pure function of the manifest and the update. Accepted
//! updates enter the log and the fold together.

use std::sync::Arc;

use longhaul_aggregation::{Admitted, HeaderKind, Inserted, MemberIndex, Previous, Refusal, admit};
use longhaul_dtn::agent::{self, Held, RefuseReason};
use longhaul_dtn::bundle::{BundleError, BundleHead, BundleId};
use longhaul_dtn::identity::PeerId;
use longhaul_registry::{Record, TermsError};

use super::{Event, InStore, Memo, Peer};

/// Refusals recorded in the log per neighbour, ever; further ones are only
/// counted, so that a hostile member cannot fill the disk with verdicts.
const REFUSALS_RECORDED_MAX: u32 = 256;

impl Peer {
    pub(super) fn judge(&mut self, held: Held, from: PeerId) {
        let id = held.head.id();
        let author = self.manifest().member_index(&held.head.author());
        if let Err(error) = self.manifest.check_terms(&held.head) {
            return self.reject(id, (from, author), TermsError::CODE, error.to_string());
        }
        match HeaderKind::of(held.head.header()) {
            HeaderKind::Update => {}
            HeaderKind::Vote => return self.judge_vote(held, from),
            HeaderKind::Snapshot => return self.judge_snapshot(&held, from),
        }
        let admit = || admit(&self.policy, author, held.head.header(), held.payload.clone());
        let admitted = Memo::admitted(self.memo.as_ref(), &id, admit);
        match admitted.and_then(|admitted| self.screened(id, admitted)) {
            Ok(admitted) => self.accept(held, admitted, from),
            Err(refusal) => self.reject(id, (from, author), refusal.code(), refusal.to_string()),
        }
    }

    /// Says what a payload is worth before it has come, or turns it away if it is large: only
    /// snapshots are larger than updates may be, and only one that would be gone on from is wanted.
    pub(super) fn look_at_arriving(&mut self, head: &BundleHead, from: PeerId) {
        let max = u64::from(self.manifest().bounds.payload_bytes_max);
        let is_large = head.payload_len() > max;
        let screened = match HeaderKind::of(head.header()) {
            HeaderKind::Snapshot if is_large => self.screen_snapshot(head),
            _ => Ok(()),
        };
        let (code, reason) = match (screened, HeaderKind::of(head.header())) {
            (Err(refusal), _) => (refusal.code(), refusal.to_string()),
            (Ok(()), HeaderKind::Update | HeaderKind::Vote) if is_large => {
                let large = BundleError::PayloadTooLarge { len: head.payload_len(), max };
                let large = RefuseReason::from(large);
                (large.code(), large.to_string())
            }
            _ => {
                let worth = agent::Input::Worth { id: head.id(), value: self.worth(head) };
                return self.agent.handle(self.now, worth);
            }
        };
        let author = self.manifest().member_index(&head.author());
        self.refuse((from, author), Some(head.id()), code, reason);
        self.agent.handle(self.now, agent::Input::Retire { ids: vec![head.id()], code });
    }

    /// Turns away what changes nothing: an update held already, or one more
    /// header for a slot that two others have spent.
    /// What the log names and storage lost is always wanted back.
    fn screened(&self, id: BundleId, admitted: Arc<Admitted>) -> Result<Arc<Admitted>, Refusal> {
        if self.missing.contains_key(&id) {
            return Ok(admitted);
        }
        let epoch = admitted.header.epoch;
        self.fold.screen(admitted.author, epoch, admitted.header_hash).map(|()| admitted)
    }

    fn accept(&mut self, held: Held, admitted: Arc<Admitted>, from: PeerId) {
        let (epoch, author) = (admitted.header.epoch, admitted.author);
        let bundle = held.head.id();
        if let Some(memo) = &self.memo {
            memo.admitted.put(bundle, &admitted);
        }
        let record = Record::Accept { head: held.head.encode(), from };
        let payload = (held.head.payload_hash(), held.payload.clone());
        self.missing.remove(&bundle);
        self.insert(admitted, bundle);
        let then = InStore::Accepted { epoch, author, bundle, from };
        self.persist(Some(payload), vec![record], then);
    }

    /// Puts an update into the fold; the log entry is made in the same step.
    pub(super) fn insert(&mut self, admitted: Arc<Admitted>, bundle: BundleId) {
        let (epoch, author) = (admitted.header.epoch, admitted.author);
        if let Some(sealing) = &mut self.sealing {
            sealing.note(&admitted, bundle, self.me);
        }
        if author == self.me {
            self.remember_own(Previous { epoch, header: admitted.header_hash });
        }
        match self.fold.insert(admitted) {
            Inserted::New => self.version_wanted(),
            Inserted::Duplicate | Inserted::Sealed => {}
            Inserted::Void(_) => {
                self.version_wanted();
                self.event(Event::Voided { epoch, author });
            }
        }
    }

    /// An own slot, signed now or come back from others after the log was lost,
    /// is never signed again, and the next header names the newest.
    fn remember_own(&mut self, slot: Previous) {
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
        self.event(Event::Refused { from, author, code, reason });
    }
}
