//! Held: what fills a slot, an update or its header alone.
//!
//! Chains, voids, voices and quorum are matters of headers, so a header without its payload fills a
//! slot as an update does. What the term needs beside it is the payload, or a sum that contains
//! it ([`crate::fold::BucketSum`]).

use std::sync::Arc;

use crate::admission::Admitted;
use crate::header::{HeaderHash, UpdateHeader};
use crate::slot::{Epoch, MemberIndex, Slot};
use crate::update::Update;

/// The header of an update that passed admission ([`crate::admit_head`]), without its payload.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HeadOnly {
    /// Whose slot it fills.
    pub author: MemberIndex,
    /// What the author signed.
    pub header: UpdateHeader,
    /// The name of the header as received.
    pub header_hash: HeaderHash,
}

/// What fills a slot.
#[derive(Debug, Clone)]
pub(crate) enum Held {
    /// An update.
    Whole(Arc<Admitted>),
    /// Its header.
    Head(Arc<HeadOnly>),
}

impl HeadOnly {
    /// The slot that it fills.
    pub const fn slot(&self) -> Slot {
        Slot { member: self.author, epoch: self.header.epoch }
    }
}

impl From<&Admitted> for HeadOnly {
    fn from(admitted: &Admitted) -> Self {
        let Admitted { author, header, header_hash, .. } = admitted;
        Self { author: *author, header: header.clone(), header_hash: *header_hash }
    }
}

impl Held {
    /// Whose slot it fills.
    pub fn author(&self) -> MemberIndex {
        match self {
            Self::Whole(admitted) => admitted.author,
            Self::Head(head) => head.author,
        }
    }

    /// What the author signed.
    pub fn header(&self) -> &UpdateHeader {
        match self {
            Self::Whole(admitted) => &admitted.header,
            Self::Head(head) => &head.header,
        }
    }

    /// The name of the header.
    pub fn header_hash(&self) -> HeaderHash {
        match self {
            Self::Whole(admitted) => admitted.header_hash,
            Self::Head(head) => head.header_hash,
        }
    }

    /// The update, unless its header is all there is.
    pub fn update(&self) -> Option<&Update> {
        match self {
            Self::Whole(admitted) => Some(&admitted.update),
            Self::Head(_) => None,
        }
    }

    /// The epoch of its slot.
    pub fn epoch(&self) -> Epoch {
        self.header().epoch
    }

    /// The slot that it fills.
    pub fn slot(&self) -> Slot {
        Slot { member: self.author(), epoch: self.epoch() }
    }
}
