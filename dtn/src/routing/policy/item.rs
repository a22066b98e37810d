//! What there is to hand over, and in which order.

use std::cmp::Reverse;

use crate::bpv7::EndpointId;
use crate::bundle::BundleId;
use crate::routing::graph::Priority;
use crate::routing::quota::{Density, Value};
use crate::routing::spray::{Copies, TransferNumber};
use crate::time::Timestamp;

/// A bundle that this node holds durably.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Item {
    /// Which.
    pub id: BundleId,
    /// How it spreads.
    pub class: Class,
    /// How urgent it is.
    pub priority: Priority,
    /// Newer ones go first: the epoch, or whatever the peer counts.
    pub epoch: u64,
    /// When it is of use no longer, for the order alone.
    pub deadline: Timestamp,
    /// When its lifetime is over.
    pub expires: Timestamp,
    /// What it is worth to the peer.
    pub value: Value,
    /// Its bytes.
    pub bytes: u64,
}

/// How a bundle spreads.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Class {
    /// To everybody who lacks it: headers and records.
    Header,
    /// To whoever asks for it.
    Payload,
    /// To one node, by the contact plan or by spraying.
    Unicast {
        /// That node.
        destination: EndpointId,
    },
}

/// How a bundle came here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origin {
    /// This node made it.
    Own,
    /// It was stored before a restart, for a unicast with this many copies.
    Restored(Copies),
    /// A neighbour gave it.
    Neighbour {
        /// Which.
        node: EndpointId,
        /// The copies that came with it and the giver's number of the transfer; none for a bundle
        /// that was routed here.
        copies: Option<(Copies, TransferNumber)>,
    },
}

/// The order: priority, headers before what may be large, newest epoch, nearest deadline, most value per
/// byte, and the id, so that no two are equal.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Rank {
    priority: Reverse<Priority>,
    has_body: bool,
    epoch: Reverse<u64>,
    deadline: Timestamp,
    density: Reverse<Density>,
    pub id: BundleId,
}

impl Rank {
    pub fn of(item: &Item) -> Self {
        Self {
            priority: Reverse(item.priority),
            has_body: item.class != Class::Header,
            epoch: Reverse(item.epoch),
            deadline: item.deadline,
            density: Reverse(Density::of(item.value, item.bytes)),
            id: item.id,
        }
    }
}

impl Item {
    /// The node that it is for, if it is for one.
    pub const fn destination(&self) -> Option<&EndpointId> {
        match &self.class {
            Class::Unicast { destination } => Some(destination),
            Class::Header | Class::Payload => None,
        }
    }
}
