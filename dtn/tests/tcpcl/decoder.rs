//! The decoder: what is written is read back, whole or in any cuts.

use longhaul_dtn::tcpcl::{
    Ack, ContactHeader, DecodeError, DecodeLimits, Decoder, ExtensionList, Farewell, Message,
    NodeId, Piece, RefuseReason, RejectReason, SegmentFlags, SegmentHead, SessionInit,
    TerminateReason, TransferId,
};
use proptest::prelude::*;

const LIMITS: DecodeLimits =
    DecodeLimits { node_id_bytes_max: 40, extension_bytes_max: 30, segment_bytes_max: 50 };

/// A message and the data that follow it.
type Said = (Message, Vec<u8>);

/// What was read: data joined, ends dropped.
fn read(stream: &[u8], cuts: &[usize]) -> Result<Vec<Said>, DecodeError> {
    let (mut decoder, mut said, mut rest) = (Decoder::new(LIMITS), vec![], stream);
    let mut cuts = cuts.iter().copied().cycle();
    while !rest.is_empty() {
        let len = cuts.next().unwrap_or(usize::MAX).clamp(1, rest.len());
        let mut input;
        (input, rest) = rest.split_at(len);
        while let Some(piece) = decoder.next_piece(&mut input)? {
            match piece {
                Piece::Contact(_) | Piece::SegmentEnd => {}
                Piece::Message(message) => said.push((message, vec![])),
                Piece::Data(data) => said.last_mut().unwrap().1.extend(data),
            }
        }
        assert!(input.is_empty());
        assert!(decoder.kept_bytes() <= 100);
    }
    Ok(said)
}

fn written(said: &[Said]) -> Vec<u8> {
    let mut stream = ContactHeader { version: 4, can_tls: true }.encode().to_vec();
    for (message, data) in said {
        stream.extend(message.encode());
        stream.extend(data);
    }
    stream
}

fn arb_extensions() -> impl Strategy<Value = ExtensionList> {
    prop::collection::vec(any::<u8>(), 0..30).prop_map(ExtensionList::from_bytes)
}

fn arb_segment() -> impl Strategy<Value = Said> {
    let data = prop::collection::vec(any::<u8>(), 0..50);
    (any::<u8>(), any::<u64>(), arb_extensions(), data).prop_map(|(bits, id, items, data)| {
        let flags = SegmentFlags::from_bits(bits);
        let extensions = if flags.starts() { items } else { ExtensionList::default() };
        let (id, data_bytes) = (TransferId::from_number(id), data.len() as u64);
        (Message::Segment(SegmentHead { flags, id, extensions, data_bytes }), data)
    })
}

fn arb_init() -> impl Strategy<Value = Message> {
    (any::<(u16, u64, u64)>(), "[a-z:/]{0,40}", arb_extensions()).prop_map(
        |((keepalive_s, segment_mru, transfer_mru), node_id, extensions)| {
            let node_id = NodeId::new(&node_id).ok();
            Message::Init(SessionInit {
                keepalive_s,
                segment_mru,
                transfer_mru,
                node_id,
                extensions,
            })
        },
    )
}

fn arb_said() -> impl Strategy<Value = Said> {
    let id = || any::<u64>().prop_map(TransferId::from_number);
    let message = prop_oneof![
        arb_init(),
        (any::<(u8, u64)>(), id()).prop_map(|((bits, length), id)| {
            Message::Ack(Ack { flags: SegmentFlags::from_bits(bits), id, length })
        }),
        (any::<u8>(), id())
            .prop_map(|(code, id)| Message::Refuse { reason: RefuseReason::from_code(code), id }),
        Just(Message::Keepalive),
        any::<(bool, u8)>().prop_map(|(reply, code)| Message::Terminate {
            farewell: if reply { Farewell::Reply } else { Farewell::First },
            reason: TerminateReason::from_code(code),
        }),
        any::<(u8, u8)>().prop_map(|(code, kind)| Message::Reject {
            reason: RejectReason::from_code(code),
            kind
        }),
    ];
    prop_oneof![message.prop_map(|message| (message, vec![])), arb_segment()]
}

#[test]
fn ignores_reserved_flags() {
    let mut decoder = Decoder::new(LIMITS);
    let mut input = &b"dtn!\x04\xfe\x05\xfe\x03"[..];
    let contact = Piece::Contact(ContactHeader { version: 4, can_tls: false });
    assert_eq!(decoder.next_piece(&mut input), Ok(Some(contact)));
    let (farewell, reason) = (Farewell::First, TerminateReason::BUSY);
    let goodbye = Piece::Message(Message::Terminate { farewell, reason });
    assert_eq!(decoder.next_piece(&mut input), Ok(Some(goodbye)));
    assert_eq!(decoder.next_piece(&mut input), Ok(None));
}

#[test]
fn refuses_lengths_above_the_limits_as_soon_as_they_are_known() {
    for (bytes, error) in [
        (&[7; 19][..], None),
        (&[7; 21], Some(DecodeError::NodeIdLength(0x0707))),
        (
            &[&[7; 19][..], &[0; 2], &[7; 4]].concat(),
            Some(DecodeError::SessionExtensions(0x7070707)),
        ),
        (&[&[1, 2][..], &[0; 11], &[31]].concat(), Some(DecodeError::TransferExtensions(31))),
        (&[&[1, 0][..], &[0; 15], &[51]].concat(), Some(DecodeError::SegmentLength(51))),
        (&[&[1, 2][..], &[0; 19], &[51]].concat(), Some(DecodeError::SegmentLength(51))),
        (&[0], Some(DecodeError::Kind(0))),
        (&[8], Some(DecodeError::Kind(8))),
    ] {
        let stream = [b"dtn!\x04\x00", bytes].concat();
        for cut in [1, 1_000] {
            assert_eq!(read(&stream, &[cut]).err(), error);
        }
    }
}

proptest! {
    #[test]
    fn reads_back_messages_whole_byte_by_byte_and_in_any_cuts(
        said in prop::collection::vec(arb_said(), 0..12),
        cuts in prop::collection::vec(1_usize..60, 1..9),
    ) {
        let stream = written(&said);
        for cuts in [&[usize::MAX][..], &[1], &cuts] {
            prop_assert_eq!(read(&stream, cuts), Ok(said.clone()));
        }
    }

    #[test]
    fn reads_noise_the_same_in_any_cuts(
        noise in prop::collection::vec(0_u8..9, 0..400),
        cuts in prop::collection::vec(1_usize..60, 1..9),
    ) {
        let stream = [b"dtn!\x04\x00", noise.as_slice()].concat();
        prop_assert_eq!(read(&stream, &cuts), read(&stream, &[usize::MAX]));
    }
}
