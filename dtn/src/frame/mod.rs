//! Contact frames: what two peers say to each other on one link.
//!
//! A frame is a CBOR array `[kind, …]`. A carrier that is a byte stream
//! delimits frames by a 32-bit big-endian length ([`delimit`],
//! [`FrameReader`]); a carrier of messages sends them as they are. Everything
//! is asked for: ids by [`Frame::More`] or [`Frame::Resolve`], heads and groups of
//! payload by wants, so that the queue of a sender is bounded by what its peer
//! asked. The state behind the frames is in [`crate::agent`].

mod stream;
mod wire;

pub use self::stream::{FrameReader, PREFIX_BYTES, delimit};

use crate::bundle::{BundleId, HEADER_BYTES_MAX};
use crate::codec::CodecError;
use crate::groups::{GROUP_BYTES, GroupIndex, GroupProof, PROOF_HASHES_MAX};
use crate::hash::{ContentHash, HASH_BYTES};
use crate::sketch::{CellCount, SYMBOL_BYTES, SketchBatch, Symbol};
use crate::time::Span;

/// Largest frame in bytes, without its length prefix.
pub const FRAME_BYTES_MAX: usize = 64 * 1024;
/// Most ids in one frame: 512 ids of 34 bytes are 17 KiB.
pub const HAVE_IDS_MAX: usize = 512;
/// Most symbols in one frame: as many as one frame of ids answers.
pub const RESOLVE_SYMBOLS_MAX: usize = HAVE_IDS_MAX;
/// Length of the nonce in a hello.
pub const NONCE_BYTES: usize = 32;

/// A head is its header and less than this.
const HEAD_BYTES_MAX: usize = HEADER_BYTES_MAX + 2048;
const _: () = assert!(HEAD_BYTES_MAX + 64 <= FRAME_BYTES_MAX);
/// What a frame of a group has besides the group.
const GROUP_BEYOND_BYTES_MAX: usize = PROOF_HASHES_MAX * HASH_BYTES + 64;
const _: () = assert!(GROUP_BYTES as usize + GROUP_BEYOND_BYTES_MAX <= FRAME_BYTES_MAX);
const _: () = assert!(HAVE_IDS_MAX * 34 + 64 <= FRAME_BYTES_MAX);
const _: () = assert!(RESOLVE_SYMBOLS_MAX * SYMBOL_BYTES + 64 <= FRAME_BYTES_MAX);

/// One message of a contact. `B` is what holds the bytes of a group: a view of a frame
/// ([`Frame::view`]) borrows them from it, so that payload is not copied to be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Frame<B = Vec<u8>> {
    /// The first frame of each side.
    Hello {
        /// Versions of the contact protocol spoken, inclusive.
        versions: Versions,
        /// What both sides must agree on: the federation, opaque here.
        scope: ContentHash,
        /// Names this contact; sketches are keyed with the nonces of both sides.
        nonce: [u8; NONCE_BYTES],
        /// What the sender brings.
        terms: Terms,
    },
    /// Bundles that the sender holds and offers.
    Have {
        /// Their ids, newest first.
        ids: Vec<BundleId>,
        /// More ids follow when asked for.
        page: Page,
    },
    /// Asks for the next page of ids.
    More {
        /// Where the page begins.
        from: PageStart,
    },
    /// Asks for the head of a bundle.
    WantHead(BundleId),
    /// Asks for a group of a bundle's payload.
    WantGroup {
        /// Which bundle.
        id: BundleId,
        /// Which group.
        index: GroupIndex,
    },
    /// Answers [`Frame::WantHead`].
    Head {
        /// The bundle asked for.
        id: BundleId,
        /// Its head form, not yet checked.
        head: Vec<u8>,
    },
    /// Answers [`Frame::WantGroup`].
    Group {
        /// The bundle asked for.
        id: BundleId,
        /// Which group of its payload.
        index: GroupIndex,
        /// That it is part of the payload.
        proof: GroupProof,
        /// Its bytes, at most [`GROUP_BYTES`].
        bytes: B,
    },
    /// The next cells of the sender's sketch; answered by [`Frame::MoreCells`],
    /// [`Frame::Resolve`] or [`Frame::List`].
    Cells(SketchBatch),
    /// Asks for so many more cells.
    MoreCells(CellCount),
    /// The sender knows the difference, and asks which bundles stand behind
    /// symbols that it lacks; answered by [`Frame::Have`] unless there are none.
    Resolve {
        /// At most [`RESOLVE_SYMBOLS_MAX`].
        symbols: Vec<Symbol>,
        /// Whether more follow; behind the last the sketch is not needed any more.
        page: Page,
    },
    /// No sketches in this contact: both sides list what they hold from the newest on.
    List,
    /// The sender does not offer the bundle any more.
    Gone(BundleId),
    /// The sender has stored the bundle durably.
    Ack(BundleId),
    /// The sender refuses the bundle, and why.
    Refused {
        /// Which bundle.
        id: BundleId,
        /// The reason's stable code.
        code: u16,
    },
    /// The sender is about to close the link, and why.
    Bye {
        /// The reason's stable code.
        code: u16,
    },
}

/// What a side brings to a contact, as it says in its hello. Nothing is proven by it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Terms {
    /// Bundles that it holds and offers.
    pub held: u64,
    /// Bytes that it has room for; none where it does not say.
    pub room_bytes: Option<u64>,
    /// How long it expects the contact to last; none where it does not know.
    pub stay: Option<Span>,
}

/// A range of protocol versions, inclusive.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Versions {
    min: u16,
    max: u16,
}

/// Whether a page of ids is the last one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Page {
    /// Nothing follows: the end of the list, or an announcement.
    Last,
    /// [`Frame::More`] gives the next page.
    Continued,
}

/// Where a page of ids begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PageStart {
    /// At the newest bundle.
    Newest,
    /// Behind the last page.
    AfterLast,
}

/// Why bytes are not a frame.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FrameError {
    /// The frame is longer than [`FRAME_BYTES_MAX`]; holds its length.
    #[error("a frame has at most {FRAME_BYTES_MAX} bytes, found {0}")]
    TooLong(u64),
    /// The frame is malformed.
    #[error("malformed frame: {0}")]
    Codec(#[from] CodecError),
    /// No frame has this kind.
    #[error("unknown kind of frame {0}")]
    Kind(u64),
}

impl Versions {
    /// The versions of the contact protocol that this crate speaks. Version 1 listed ids and
    /// sent ranges of payload without proofs.
    pub const SPOKEN: Self = Self { min: 2, max: 2 };

    /// The range from `min` to `max`; none when it is empty.
    pub const fn new(min: u16, max: u16) -> Option<Self> {
        if min <= max { Some(Self { min, max }) } else { None }
    }

    /// The newest version that both ranges have.
    pub fn common(self, other: Self) -> Option<u16> {
        let newest = self.max.min(other.max);
        (newest >= self.min.max(other.min)).then_some(newest)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn negotiates_the_newest_common_version() {
        let range = |min, max| Versions::new(min, max).unwrap();
        for (ours, theirs, common) in [
            (range(1, 1), range(1, 1), Some(1)),
            (range(1, 3), range(2, 9), Some(3)),
            (range(4, 9), range(2, 5), Some(5)),
            (range(1, 1), range(2, 3), None),
        ] {
            assert_eq!(ours.common(theirs), common);
            assert_eq!(theirs.common(ours), common);
        }
        assert_eq!(Versions::new(2, 1), None);
    }
}
