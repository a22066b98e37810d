//! Copies: the block that goes with a bundle from one courier to the next.
//!
//! A bundle that is sprayed or routed carries a private block that says how many copies come with
//! it and which transfer of its giver that is ([`longhaul_dtn::routing::spray`]): `[copies, number]` in
//! deterministic CBOR. It speaks of one hop: every courier takes it out before it sends a bundle on, and
//! a node that does not know it drops it. It is not signed, since no key is shared with a
//! neighbour; who lies about copies makes a bundle spread more, or less, than its giver meant.

use longhaul_dtn::bpv7::{BlockFlags, BlockType, Bundle, CrcType, Draft, NewBlock};
use longhaul_dtn::codec::{Reader, Writer};
use longhaul_dtn::routing::spray::{Copies, TransferNumber};

/// The type of the block, of those for private use.
pub const COPIES: BlockType = BlockType::from_code(201);

/// What a bundle brings from its giver.
pub type Share = (Copies, TransferNumber);

/// Reads the block; none if there is none, or none that makes sense.
pub fn read(bundle: &Bundle<'_>) -> Option<Share> {
    let block = bundle.blocks().iter().find(|block| block.kind == COPIES)?;
    let mut reader = Reader::new(bundle.data(block));
    reader.tuple(2).ok()?;
    let copies = u16::try_from(reader.unsigned(u16::MAX.into()).ok()?).ok()?;
    let number = TransferNumber(reader.unsigned(u64::MAX).ok()?);
    reader.finish().ok()?;
    Some((Copies::new(copies)?, number))
}

/// Takes the block out, and puts another in if there is something to say.
pub fn write(draft: &mut Draft, share: Option<Share>) {
    draft.blocks.retain(|block| block.kind != COPIES);
    let Some((copies, number)) = share else { return };
    let mut writer = Writer::new();
    writer.array(2).unsigned(copies.get().into()).unsigned(number.0);
    let block = NewBlock {
        kind: COPIES,
        number: draft.free_number(),
        flags: BlockFlags::DISCARD_UNPROCESSED,
        crc: CrcType::Crc32c,
        data: writer.into_bytes(),
    };
    draft.blocks.push(block);
}

#[cfg(test)]
mod tests {
    use longhaul_dtn::bpv7::{CreationTimestamp, EndpointId, Limits, PrimaryBlock};
    use longhaul_dtn::time::{Span, Timestamp};

    use super::*;

    fn draft() -> Draft {
        let endpoint = |text: &str| text.parse::<EndpointId>().expect("an endpoint id");
        let created = CreationTimestamp { time: Timestamp::from_dtn_ms(1), sequence: 1 };
        let (source, destination) = (endpoint("dtn://a/out"), endpoint("dtn://z/in"));
        Draft::new(PrimaryBlock::new(source, destination, created, Span::from_ms(9)))
    }

    fn found(draft: &Draft) -> Option<Share> {
        let bytes = draft.encode(b"x").expect("a bundle");
        read(&Bundle::decode(&bytes, &Limits::default()).expect("a bundle"))
    }

    #[test]
    fn reads_back_what_it_writes_and_takes_out_what_was_there() {
        let mut draft = draft();
        assert_eq!(found(&draft), None);
        for share in [(1, 0), (8, u64::MAX), (u16::MAX, 7)] {
            let share = (Copies::new(share.0).expect("some"), TransferNumber(share.1));
            write(&mut draft, Some(share));
            assert_eq!(found(&draft), Some(share));
            assert_eq!(draft.blocks.len(), 1);
        }
        write(&mut draft, None);
        assert_eq!((found(&draft), draft.blocks.len()), (None, 0));
    }

    #[test]
    fn what_makes_no_sense_says_nothing() {
        let mut draft = draft();
        write(&mut draft, Some((Copies::ONE, TransferNumber(1))));
        for data in [&[0x82, 0x00, 0x01][..], &[0x81, 0x01], &[0x82, 0x01, 0x01, 0x00], &[]] {
            draft.blocks[0].data = data.to_vec();
            assert_eq!(found(&draft), None, "{data:?}");
        }
    }
}
