//! Relay: what changes in a bundle when it is sent on (RFC 9171 section 5.4).
//!
//! The previous node block names us, the hop count takes one hop, the bundle age is what is over of
//! the lifetime; blocks that we do not know and that ask for it are dropped. The payload block stays
//! as it was received, CRC included, so that only what stands before it is written anew.

use std::sync::Arc;

use longhaul_dtn::bpv7::{
    BlockFlags, BlockType, Bundle, BundleError, Draft, EndpointId, Extension, Limits, PrimaryBlock,
    StreamWriter,
};
use longhaul_dtn::time::{Span, Timestamp};

use super::agent::{Share, is_known, write_copies};

/// A bundle in two pieces: what was written anew, and what follows in the bytes as received.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Parcel {
    head: Vec<u8>,
    body: Arc<Vec<u8>>,
    /// Where what follows begins in `body`.
    from: usize,
}

impl Parcel {
    /// A bundle as it is.
    pub fn whole(bytes: Arc<Vec<u8>>) -> Self {
        Self { head: Vec::new(), body: bytes, from: 0 }
    }

    /// Bytes of both pieces.
    pub fn len(&self) -> usize {
        self.head.len() + self.body.len() - self.from
    }

    /// True for no bytes at all.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Bytes from `at` on without a seam, at most `max`; `joined` holds those over the seam.
    pub fn piece<'a>(&'a self, at: usize, max: usize, joined: &'a mut Vec<u8>) -> &'a [u8] {
        let rest = &self.body[self.from..];
        if let Some(start) = at.checked_sub(self.head.len()) {
            let end = start.saturating_add(max).min(rest.len());
            return &rest[start.min(end)..end];
        }
        joined.clear();
        joined.extend_from_slice(&self.head[at..]);
        joined.truncate(max);
        let more = (max - joined.len()).min(rest.len());
        joined.extend_from_slice(&rest[..more]);
        joined
    }
}

/// A bundle's stay here.
#[derive(Debug, Clone, Copy)]
pub struct Stay {
    /// When it is sent on.
    pub now: Timestamp,
    /// When it would have been deleted.
    pub expires: Timestamp,
    /// Longest time that it would have been kept.
    pub keep_max: Span,
}

impl Stay {
    /// The age of a bundle: how old it was, and how long it was here.
    fn age(&self, primary: &PrimaryBlock, before: Span) -> Span {
        let (lifetime, left) = (primary.lifetime.ms(), self.expires.since(self.now).ms());
        let life = lifetime.saturating_sub(before.ms());
        let age = if life <= self.keep_max.ms() {
            lifetime.saturating_sub(left)
        } else if primary.is_clockless() {
            before.ms().saturating_add(self.keep_max.ms().saturating_sub(left))
        } else {
            // When it goes says nothing of when it came: its lifetime may have been cut here.
            before.max(self.now.since(primary.created.time)).ms()
        };
        Span::from_ms(age)
    }
}

/// What `us` sends on of a bundle after its stay, with the copies that go with it.
pub fn forward(
    bytes: Arc<Vec<u8>>,
    limits: &Limits,
    us: &EndpointId,
    stay: Stay,
    share: Option<Share>,
) -> Result<Parcel, BundleError> {
    let bundle = Bundle::decode(&bytes, limits)?;
    let mut draft = bundle.to_draft();
    let (payload_len, crc) = (bundle.payload().len(), draft.payload_crc);
    draft.set(&Extension::PreviousNode(us.node()));
    if let Some(Extension::HopCount { limit, count }) = bundle.extension(BlockType::HOP_COUNT) {
        let count = count.saturating_add(1).min(limit);
        draft.set(&Extension::HopCount { limit, count });
    }
    if let Some(Extension::BundleAge(before)) = bundle.extension(BlockType::BUNDLE_AGE) {
        draft.set(&Extension::BundleAge(stay.age(&draft.primary, before)));
    }
    write_copies(&mut draft, share);
    let head = head(draft, payload_len as u64)?;
    let tail_len = 1 + if crc.is_empty() { 0 } else { 1 + crc.len() };
    let from = bytes.len() - tail_len - payload_len;
    Ok(Parcel { head, body: bytes, from })
}

/// All before the payload's data. Blocks that are to be dropped stay where another block, such as
/// one with a signature, is about them.
fn head(mut draft: Draft, payload_len: u64) -> Result<Vec<u8>, BundleError> {
    let whole = draft.clone();
    draft
        .blocks
        .retain(|block| is_known(block.kind) || !block.flags.has(BlockFlags::DISCARD_UNPROCESSED));
    let written = match StreamWriter::new(&draft, payload_len) {
        Err(_) if draft != whole => StreamWriter::new(&whole, payload_len)?,
        written => written?,
    };
    Ok(written.1)
}

#[cfg(test)]
mod tests {
    use longhaul_dtn::bpv7::{CrcType, CreationTimestamp, NewBlock};

    use super::*;

    fn endpoint(text: &str) -> EndpointId {
        text.parse().expect("an endpoint id")
    }

    fn draft(crc: CrcType) -> Draft {
        let created = CreationTimestamp { time: Timestamp::from_dtn_ms(1_000), sequence: 7 };
        let (source, destination) = (endpoint("dtn://a/out"), endpoint("dtn://c/in"));
        let lifetime = Span::from_ms(60_000);
        let mut draft = Draft::new(PrimaryBlock::new(source, destination, created, lifetime));
        draft.payload_crc = crc;
        draft
    }

    fn unknown(number: u64, flags: BlockFlags) -> NewBlock {
        let kind = BlockType::from_code(193);
        NewBlock { kind, number, flags, crc: CrcType::Crc16, data: vec![1, 2, 3] }
    }

    fn stay(now_ms: u64) -> Stay {
        let (now, expires) = (Timestamp::from_dtn_ms(now_ms), Timestamp::from_dtn_ms(61_000));
        Stay { now, expires, keep_max: Span::from_ms(1 << 40) }
    }

    #[test]
    fn a_bundle_that_is_kept_for_less_than_its_lifetime_ages_as_others_do() {
        let (before, keep_max) = (Span::from_ms(5_000), Span::from_ms(10_000));
        let stay = |now, expires| Stay {
            now: Timestamp::from_dtn_ms(now),
            expires: Timestamp::from_dtn_ms(expires),
            keep_max,
        };
        let mut primary = draft(CrcType::None).primary;
        assert_eq!(stay(21_000, 29_000).age(&primary, before), Span::from_ms(20_000));
        primary.created.time = Timestamp::default();
        // It came two seconds ago.
        assert_eq!(stay(21_000, 29_000).age(&primary, before), Span::from_ms(7_000));
        primary.lifetime = Span::from_ms(12_000);
        assert_eq!(stay(21_000, 26_000).age(&primary, before), Span::from_ms(7_000));
    }

    fn sent_on(draft: &Draft, payload: &[u8], now_ms: u64) -> Vec<u8> {
        let bytes = Arc::new(draft.encode(payload).expect("a bundle"));
        let us = endpoint("dtn://b/");
        let parcel = forward(bytes, &Limits::default(), &us, stay(now_ms), None).expect("a bundle");
        let mut joined = Vec::new();
        let whole = parcel.piece(0, usize::MAX, &mut joined).to_vec();
        assert_eq!(whole.len(), parcel.len());
        whole
    }

    #[test]
    fn names_us_and_counts_hop_and_age() {
        for crc in [CrcType::None, CrcType::Crc16, CrcType::Crc32c] {
            let mut draft = draft(crc);
            draft.set(&Extension::HopCount { limit: 9, count: 3 });
            draft.set(&Extension::BundleAge(Span::from_ms(5)));
            draft.set(&Extension::PreviousNode(endpoint("dtn://a/")));
            let bytes = sent_on(&draft, b"payload", 21_000);
            let bundle = Bundle::decode(&bytes, &Limits::default()).expect("still a bundle");
            assert_eq!(bundle.payload(), b"payload");
            assert_eq!(
                bundle.extension(BlockType::PREVIOUS_NODE),
                Some(Extension::PreviousNode(endpoint("dtn://b/")))
            );
            assert_eq!(
                bundle.extension(BlockType::HOP_COUNT),
                Some(Extension::HopCount { limit: 9, count: 4 })
            );
            let age = Extension::BundleAge(Span::from_ms(20_000));
            assert_eq!(bundle.extension(BlockType::BUNDLE_AGE), Some(age));
            assert_eq!(bundle.primary(), &draft.primary);
        }
    }

    #[test]
    fn drops_unknown_blocks_that_ask_for_it() {
        let mut draft = draft(CrcType::Crc32c);
        draft.blocks.push(unknown(2, BlockFlags::DISCARD_UNPROCESSED));
        draft.blocks.push(unknown(3, BlockFlags::NONE));
        let bytes = sent_on(&draft, b"", 21_000);
        let bundle = Bundle::decode(&bytes, &Limits::default()).expect("still a bundle");
        assert_eq!(bundle.block(2).map(|block| block.kind), None);
        assert_eq!(bundle.data(bundle.block(3).expect("kept")), [1, 2, 3]);
    }

    #[test]
    fn gives_pieces_of_any_length() {
        let draft = draft(CrcType::Crc32c);
        let bytes = Arc::new(draft.encode(&[7; 500]).expect("a bundle"));
        let us = endpoint("ipn:5.0");
        let parcel = forward(bytes, &Limits::default(), &us, stay(2_000), None).expect("a bundle");
        let mut whole = Vec::new();
        let whole = parcel.piece(0, usize::MAX, &mut whole).to_vec();
        for max in [1, 3, 64, 499, 10_000] {
            let mut found = Vec::new();
            while found.len() < parcel.len() {
                let mut joined = Vec::new();
                let piece = parcel.piece(found.len(), max, &mut joined);
                assert!(!piece.is_empty() && piece.len() <= max);
                found.extend_from_slice(piece);
            }
            assert_eq!(found, whole);
        }
        assert_eq!(parcel.piece(parcel.len(), 5, &mut Vec::new()), b"");
    }
}
