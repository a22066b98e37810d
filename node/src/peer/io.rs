//! What happens to a peer and what it asks for.
//!
//! The contract of the machine is these two enums: [`Input`] is a thing that
//! happened, [`Output`] a thing to do. Training and disk are outputs that a
//! later input answers.

use std::sync::Arc;

use longhaul_aggregation::{Epoch, MemberIndex, ModelId, SealValue};
use longhaul_dtn::agent::LinkId;
use longhaul_dtn::bundle::BundleId;
use longhaul_dtn::frame::Terms;
use longhaul_dtn::hash::ContentHash;
use longhaul_dtn::identity::PeerId;
use longhaul_registry::ceremony::Part;
use longhaul_registry::{
    AdmittedAggregate, AggregateRefusal, ProofRefusal, SignedEntry, TrainingPlan,
};

use super::aggregates::{CheckSumRequest, SumRequest, Summed};
use super::proving::{ProveRequest, Proven, VerifyRequest};

/// Names a [`PersistRequest`]; counts up from zero within one run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Ticket(pub(super) u64);

impl Ticket {
    /// Names a request of somebody who is no peer, as a benchmark is.
    pub const fn new(number: u64) -> Self {
        Self(number)
    }

    /// The number, for logs.
    pub const fn number(self) -> u64 {
        self.0
    }
}

/// A thing that happened.
#[derive(Debug)]
pub enum Input {
    /// The peer's process came up; give this once, before anything else.
    Start,
    /// A contact with an authenticated member begins.
    LinkUp {
        /// Names the contact; never used again in this run.
        link: LinkId,
        /// Who is at the other end, as proved by the carrier.
        peer: PeerId,
    },
    /// A contact ended, for whatever reason.
    LinkDown {
        /// The contact.
        link: LinkId,
    },
    /// One whole frame arrived.
    Frame {
        /// The contact that it came over.
        link: LinkId,
        /// The frame without its length prefix.
        bytes: Vec<u8>,
    },
    /// A whole bundle came by another way than a contact, in a file for one; give one only
    /// while [`super::Peer::has_room`].
    Bundle {
        /// The bundle as RFC 9171 has it.
        bytes: Vec<u8>,
    },
    /// A [`TrainRequest`] was carried out.
    Trained(TrainedModel),
    /// A [`TrainRequest`] could not be carried out; the epoch is skipped.
    TrainingFailed {
        /// The epoch of the request.
        epoch: Epoch,
        /// What went wrong, for people.
        why: String,
    },
    /// A [`PersistRequest`] is on stable storage.
    Persisted {
        /// The request's ticket.
        ticket: Ticket,
    },
    /// A [`ProveRequest`] was carried out.
    Proven(Proven),
    /// A [`VerifyRequest`] was carried out; a verdict for each of its proofs.
    Verified(Vec<Result<(), ProofRefusal>>),
    /// A [`SumRequest`] was carried out.
    Summed(Summed),
    /// A [`CheckSumRequest`] was carried out.
    SumChecked(Result<Arc<AdmittedAggregate>, AggregateRefusal>),
    /// The moment of [`super::Peer::wake_at`] has come.
    Wake,
}

/// The answer to a [`TrainRequest`].
#[derive(Debug, Clone)]
pub struct TrainedModel {
    /// The epoch of the request.
    pub epoch: Epoch,
    /// The parameters after training, in the order of the schema.
    pub parameters: Vec<f32>,
    /// Number of samples that the steps drew.
    pub samples: u32,
    /// Mean loss of the request's `shared` model on the peer's own held-out
    /// share; decides the header's vouch bit and, where the recipe counts vouched
    /// slots, whether the epoch is asked for once more from the peer's own fork.
    pub shared_loss: f32,
    /// The same of the request's `trial` model, if it has one.
    pub trial_loss: Option<f32>,
}

/// A thing to do.
#[derive(Debug)]
pub enum Output {
    /// Send one frame.
    Transmit {
        /// The contact to send over.
        link: LinkId,
        /// The frame without its length prefix.
        frame: Vec<u8>,
    },
    /// End a contact.
    Close {
        /// The contact.
        link: LinkId,
        /// Why, for people.
        reason: String,
    },
    /// Train; answer with [`Input::Trained`] or [`Input::TrainingFailed`].
    Train(TrainRequest),
    /// Prove that an own update is within bounds; answer with [`Input::Proven`].
    Prove(ProveRequest),
    /// Verify proofs about updates of others; answer with [`Input::Verified`].
    Verify(VerifyRequest),
    /// Make the aggregate of a bucket; answer with [`Input::Summed`].
    Sum(SumRequest),
    /// Judge the aggregate of somebody else; answer with [`Input::SumChecked`].
    CheckSum(CheckSumRequest),
    /// Store durably; answer with [`Input::Persisted`], in order.
    Persist(PersistRequest),
    /// Something that a person or a report may want to know.
    Event(Event),
}

/// Local training for one epoch: `plan.steps` steps from `base`.
#[derive(Debug, Clone)]
pub struct TrainRequest {
    /// The slot that the result will fill.
    pub epoch: Epoch,
    /// Where training starts: the model (or the peer's own fork) plus the own updates
    /// that are pending and what is not published yet.
    pub base: Arc<Vec<f32>>,
    /// The model that all holders of the same set share.
    pub shared: Arc<Vec<f32>>,
    /// That model with all slots counted that wait to be vouched for, if some do:
    /// whoever vouches says that this one is good.
    pub trial: Option<Arc<Vec<f32>>>,
    /// Steps, batch size and rate, from the manifest.
    pub plan: TrainingPlan,
    /// Seed of the batch order.
    pub seed: [u8; 32],
}

/// Bytes that must reach stable storage: the payload first, then the entries.
#[derive(Debug, Clone)]
pub struct PersistRequest {
    /// Names the request in the answer.
    pub ticket: Ticket,
    /// A payload and its content hash.
    pub payload: Option<(ContentHash, Arc<[u8]>)>,
    /// Entries to append to the log, in this order.
    pub entries: Vec<SignedEntry>,
    /// Payloads that may be deleted once the entries are durable: of sealed updates, which
    /// nothing needs any more.
    pub forget: Vec<ContentHash>,
}

/// Something that a person or a report may want to know.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// A contact began: both sides have said hello, and agree.
    Met {
        /// Who is at its other end.
        peer: PeerId,
        /// What it says that it brings.
        terms: Terms,
    },
    /// An own update is durable and on offer.
    Published {
        /// The slot.
        epoch: Epoch,
        /// The bundle.
        bundle: BundleId,
    },
    /// Another peer's update was accepted.
    Accepted {
        /// The slot's epoch.
        epoch: Epoch,
        /// The slot's author.
        author: MemberIndex,
        /// Who handed it over.
        from: PeerId,
    },
    /// A further key of a private federation came.
    Key {
        /// Counts keys; the manifest's is number 0.
        generation: u32,
        /// True if it is for this peer too.
        granted: bool,
    },
    /// A contribution to a ceremony was taken; its points were not checked.
    Contribution {
        /// The part that it is to.
        part: Part,
        /// Who made it.
        contributor: PeerId,
        /// Who handed it over; this peer itself for an own one, and one from a file.
        from: PeerId,
    },
    /// The sum of a bucket's updates was accepted in place of them.
    Aggregate {
        /// Their epoch.
        epoch: Epoch,
        /// How many they are.
        updates: usize,
        /// Who handed it over.
        from: PeerId,
    },
    /// The sum of the own bucket could not be made.
    NoAggregate {
        /// The epoch.
        epoch: Epoch,
        /// Why, for people.
        why: String,
    },
    /// A bundle was refused; nothing of it was kept.
    Refused {
        /// The bundle, if it came so far as to have a name.
        bundle: Option<BundleId>,
        /// Who handed it over.
        from: PeerId,
        /// The member who signed it, where its signature was checked.
        author: Option<MemberIndex>,
        /// The code that the verdict records.
        code: u16,
        /// The reason, for people.
        reason: String,
    },
    /// A member's proof holds, and is about another update than its payload.
    Fraud {
        /// The bundle, which is refused.
        bundle: BundleId,
        /// The member.
        author: MemberIndex,
        /// What shows it to anybody with the proving keys ([`longhaul_registry::FraudProof`]); it holds the
        /// payload in clear.
        proof: Vec<u8>,
    },
    /// A slot turned out to be void.
    Voided {
        /// The slot's epoch.
        epoch: Epoch,
        /// The author who signed contradictory headers.
        author: MemberIndex,
    },
    /// A version of the model was recorded in the log.
    Version {
        /// The epoch in which it was recorded.
        epoch: Epoch,
        /// The model's id.
        model: ModelId,
        /// Number of updates that it is the fold of.
        updates: u64,
    },
    /// All epochs before an end are closed for good.
    Sealed {
        /// What is sealed.
        value: SealValue,
        /// True if the peer's own set said something else, so that it went on from
        /// somebody's snapshot.
        adopted: bool,
        /// Updates that the peer held and that are not among what is sealed.
        left_out: usize,
    },
    /// An own update came too late: its epoch is sealed without it.
    TooLate {
        /// The epoch.
        epoch: Epoch,
    },
    /// An epoch passed without an own update.
    Skipped {
        /// The epoch.
        epoch: Epoch,
        /// Why, for people.
        why: String,
    },
}
