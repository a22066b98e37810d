//! Events: what a courier tells its agent, and what the agent tells the courier.

use std::sync::Arc;

use longhaul_dtn::bpv7::EndpointId;
use longhaul_dtn::tcpcl::{RefuseReason, TransferId};

use super::copies::Share;
use super::facts::{NodeNumber, Unfit};
use crate::shell::bundles::{BundleKey, Entry};
use crate::shell::courier::trust::Standing;

/// Names one contact of a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct LinkId(pub u64);

/// A bundle that came over a contact, which waits for an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Arrival {
    /// The contact.
    pub link: LinkId,
    /// Its transfer there.
    pub transfer: TransferId,
}

/// Something that happened.
#[derive(Debug, Clone)]
pub enum Input {
    /// The store held this bundle when it was opened.
    Restored {
        /// Its name.
        key: BundleKey,
        /// What the store knows of it.
        entry: Entry,
        /// Who has it; [`NodeNumber::OURS`] when it was delivered here, [`NodeNumber::STRANGER`] when it is
        /// one of strangers.
        holders: Vec<NodeNumber>,
    },
    /// The bytes that [`Output::Load`] asked for; none if they are gone.
    Loaded {
        /// The bundle.
        key: BundleKey,
        /// Its bytes.
        bytes: Option<Arc<Vec<u8>>>,
    },
    /// A contact begins.
    LinkUp {
        /// The contact.
        link: LinkId,
        /// The other node; one that does not say who it is only gives.
        node: Option<EndpointId>,
        /// What it counts as: one that is itself alone is given the bundles for it.
        standing: Standing,
        /// Most bytes of a bundle that it takes.
        bundle_bytes_max: u64,
    },
    /// A contact is over.
    LinkDown(LinkId),
    /// A bundle came whole.
    Received {
        /// Where from.
        arrival: Arrival,
        /// Its bytes.
        bytes: Arc<Vec<u8>>,
    },
    /// Bundles of [`Output::Store`] are durable.
    Stored(Vec<BundleKey>),
    /// The store has no room for these bundles of [`Output::Store`].
    Unstored(Vec<BundleKey>),
    /// Bundles of [`Output::Deliver`] are with the application.
    Delivered(Vec<BundleKey>),
    /// So many bytes lie with the application, which it has not taken away.
    Untaken(u64),
    /// A bundle of [`Output::Send`] was answered for.
    Sent {
        /// The contact.
        link: LinkId,
        /// The bundle.
        key: BundleKey,
        /// The answer.
        outcome: SendOutcome,
    },
    /// The time given by [`super::Agent::wake_at`] has come.
    Wake,
}

/// What became of a bundle that was to be sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SendOutcome {
    /// The neighbour answers for it.
    Acknowledged,
    /// The neighbour does not want it.
    Refused(RefuseReason),
    /// It did not get through; the contact may go on.
    Lost,
    /// Our copy cannot be read.
    Unreadable,
}

/// Something to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Output {
    /// Make a bundle durable; answered by [`Input::Stored`].
    Store {
        /// Its name.
        key: BundleKey,
        /// When it may be forgotten.
        expires: longhaul_dtn::time::Timestamp,
        /// Its bytes.
        bytes: Arc<Vec<u8>>,
    },
    /// Acknowledge a bundle that came.
    Accept(Arrival),
    /// Refuse a bundle that came.
    Refuse {
        /// Which.
        arrival: Arrival,
        /// Why.
        why: Unfit,
    },
    /// Send a bundle; answered by [`Input::Sent`].
    Send {
        /// The contact.
        link: LinkId,
        /// The bundle.
        key: BundleKey,
        /// When it expires.
        expires: longhaul_dtn::time::Timestamp,
        /// The copies to give with it, if it is sprayed or routed.
        share: Option<Share>,
    },
    /// Hand a bundle to the application; answered by [`Input::Delivered`].
    Deliver(BundleKey),
    /// Read a bundle; answered by [`Input::Loaded`].
    Load(BundleKey),
    /// Remember that a node has a bundle.
    Note {
        /// The bundle.
        key: BundleKey,
        /// Who has it.
        node: NodeNumber,
    },
    /// Forget a bundle.
    Delete(BundleKey),
}
