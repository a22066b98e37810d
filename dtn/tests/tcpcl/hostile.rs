//! What another side may do wrong, and what that costs whom.

use longhaul_dtn::tcpcl::{
    Ack, CloseCause, DecodeError, ExtensionList, Input, Message, Output, RefuseReason,
    RejectReason, SegmentFlags, SegmentHead, SessionConfig, TransferId,
};
use proptest::prelude::*;

use crate::wire::{End, PASSIVE, Wire, id, plain};

const START: SegmentFlags = SegmentFlags::START;
const MIDDLE: SegmentFlags = SegmentFlags::MIDDLE;
const END: SegmentFlags = SegmentFlags::END;

/// An established session whose other side is the test.
struct Victim {
    wire: Wire,
}

impl Victim {
    fn new(config: SessionConfig) -> Self {
        let mut wire = Wire::new(plain("a"), config);
        wire.settle();
        wire.ends[PASSIVE].said.clear();
        Self { wire }
    }

    fn end(&self) -> &End {
        &self.wire.ends[PASSIVE]
    }

    /// Says `bytes`; gives what is answered.
    fn hear(&mut self, bytes: &[u8]) -> Vec<u8> {
        let heard = self.wire.input(PASSIVE, Input::Received(bytes));
        assert!(heard.is_ok() || self.end().session.is_closed());
        self.wire.ends[PASSIVE].drain(self.wire.now)
    }
}

fn segment(flags: SegmentFlags, id: TransferId, data: &[u8]) -> Vec<u8> {
    segment_with(flags, id, ExtensionList::default(), data)
}

fn segment_with(
    flags: SegmentFlags,
    id: TransferId,
    extensions: ExtensionList,
    data: &[u8],
) -> Vec<u8> {
    let data_bytes = data.len() as u64;
    let mut bytes = Message::Segment(SegmentHead { flags, id, extensions, data_bytes }).encode();
    bytes.extend(data);
    bytes
}

fn ack(flags: SegmentFlags, id: TransferId, length: u64) -> Vec<u8> {
    Message::Ack(Ack { flags, id, length }).encode()
}

fn refusal(id: TransferId, reason: RefuseReason) -> Vec<u8> {
    Message::Refuse { reason, id }.encode()
}

fn reject(kind: u8) -> Vec<u8> {
    Message::Reject { reason: RejectReason::UNEXPECTED, kind }.encode()
}

#[test]
fn repeats_flags_that_nobody_knows() {
    let mut victim = Victim::new(plain("b"));
    let flags = SegmentFlags::from_bits(0x53);
    assert_eq!(victim.hear(&segment(flags, id(5), b"abc")), ack(flags, id(5), 3));
}

#[test]
fn refuses_a_transfer_between_the_segments_of_another() {
    let mut victim = Victim::new(plain("b"));
    let refused = refusal(id(2), RefuseReason::NOT_ACCEPTABLE);
    for (bytes, answer) in [
        (segment(START, id(1), b"ab"), ack(START, id(1), 2)),
        (segment(START, id(2), b"xy"), refused.clone()),
        (segment(MIDDLE, id(1), b"cd"), ack(MIDDLE, id(1), 4)),
        (segment(END, id(2), b"xy"), refused),
        (segment(END, id(1), b"e"), ack(END, id(1), 5)),
    ] {
        assert_eq!(victim.hear(&bytes), answer);
    }
    assert_eq!(victim.end().finished, [(id(1), b"abcde".to_vec())]);
}

#[test]
fn refuses_a_transfer_that_starts_twice() {
    let mut victim = Victim::new(plain("b"));
    victim.hear(&segment(START, id(1), b"ab"));
    let refused = refusal(id(1), RefuseReason::NOT_ACCEPTABLE);
    assert_eq!(victim.hear(&segment(START, id(1), b"ab")), refused);
    assert_eq!(victim.hear(&segment(END, id(1), b"c")), refused);
    assert!(victim.end().outputs.contains(&Output::TransferFailed { id: id(1) }));
    assert!(victim.end().finished.is_empty());
}

#[test]
fn rejects_messages_out_of_place() {
    let mut victim = Victim::new(plain("b"));
    for bytes in [
        segment(MIDDLE, id(1), b"abc"),
        segment(END, id(1), b""),
        ack(START, id(0), 0),
        refusal(id(0), RefuseReason::UNKNOWN),
        [&[7, 0, 0][..], &[0xff; 16], &[0; 6]].concat(),
    ] {
        assert_eq!(victim.hear(&bytes), reject(bytes[0]));
    }
    assert_eq!(victim.hear(&[6, 3, 1]), []);
    let reason = RejectReason::UNEXPECTED;
    assert!(victim.end().outputs.contains(&Output::Rejected { reason, kind: 1 }));
}

#[test]
fn rejects_an_id_whose_bundle_is_not_stored_yet() {
    let mut victim = Victim::new(plain("b"));
    victim.wire.ends[PASSIVE].stores = false;
    let whole = segment(START.and(END), id(1), b"ab");
    assert_eq!(victim.hear(&whole), []);
    assert_eq!(victim.hear(&whole), reject(1));
    victim.wire.input(PASSIVE, Input::Stored { id: id(1) }).unwrap();
    assert_eq!(victim.hear(&[4]), ack(START.and(END), id(1), 2));
}

#[test]
fn ends_a_session_with_too_many_messages_out_of_place() {
    let mut victim = Victim::new(plain("b"));
    for _ in 0..100 {
        victim.hear(&ack(START, id(0), 0));
    }
    assert_eq!(victim.end().closed(), Some(CloseCause::Rejects));
    assert_eq!(victim.end().said.len(), 16 * 3 + 3);
}

#[test]
fn rejects_and_closes_on_an_unknown_type() {
    let mut victim = Victim::new(plain("b"));
    assert_eq!(victim.hear(&[0xaa, 4, 4]), [6, 1, 0xaa]);
    assert_eq!(victim.end().closed(), Some(CloseCause::Decode(DecodeError::Kind(0xaa))));
}

#[test]
fn closes_on_a_segment_above_the_limit_before_its_data_come() {
    let mut victim = Victim::new(SessionConfig { segment_mru: 10, ..plain("b") });
    victim.hear(&segment(START, id(0), &[0; 10]));
    let answer = victim.hear(&segment(MIDDLE, id(0), &[0; 11])[..18]);
    assert_eq!(answer, [6, 2, 1, 5, 0, 5]);
    let cause = CloseCause::Decode(DecodeError::SegmentLength(11));
    assert_eq!(victim.end().closed(), Some(cause));
    assert!(victim.end().outputs.contains(&Output::TransferFailed { id: id(0) }));
}

#[test]
fn refuses_bundles_above_the_limit_told_or_not() {
    let mut victim = Victim::new(SessionConfig { transfer_mru: 10, ..plain("b") });
    let refused = |number| refusal(id(number), RefuseReason::NO_RESOURCES);
    let length = ExtensionList::of_length(11);
    assert_eq!(victim.hear(&segment_with(START, id(0), length, b"a")), refused(0));
    assert_eq!(victim.hear(&segment(START, id(1), &[0; 10])), ack(START, id(1), 10));
    assert_eq!(victim.hear(&segment(END, id(1), b"a")), refused(1));
    let whole = START.and(END);
    assert_eq!(victim.hear(&segment(whole, id(2), &[0; 10])), ack(whole, id(2), 10));
    assert_eq!(victim.end().finished.len(), 1);
}

#[test]
fn holds_a_transfer_to_the_length_that_was_told() {
    for (first, second) in [(&b"abc"[..], &b"de"[..]), (b"a", b"bc"), (b"abcde", b"")] {
        let mut victim = Victim::new(plain("b"));
        let start = segment_with(START, id(0), ExtensionList::of_length(4), first);
        let answers = [victim.hear(&start), victim.hear(&segment(END, id(0), second))].concat();
        assert!(answers.ends_with(&refusal(id(0), RefuseReason::NOT_ACCEPTABLE)));
        assert!(victim.end().finished.is_empty());
    }
}

#[test]
fn refuses_transfers_with_items_it_cannot_handle() {
    let mut victim = Victim::new(plain("b"));
    for (number, items) in
        [[1, 0, 9, 0, 0].as_slice(), &[0, 0, 1, 0, 9, 0], &[0]].iter().enumerate()
    {
        let id = id(number as u64);
        let items = ExtensionList::from_bytes(items.to_vec());
        let answer = victim.hear(&segment_with(START.and(END), id, items, b"abc"));
        assert_eq!(answer, refusal(id, RefuseReason::EXTENSION_FAILURE));
    }
    let skippable = ExtensionList::from_bytes(vec![0xfe, 0, 9, 0, 0]);
    let answer = victim.hear(&segment_with(START.and(END), id(9), skippable, b"abc"));
    assert_eq!(answer, ack(START.and(END), id(9), 3));
}

#[test]
fn closes_when_more_comes_than_may_wait() {
    let mut config = plain("b");
    (config.bounds.answers_max, config.bounds.unread_bytes_max) = (1, 100);
    let mut victim = Victim::new(config);
    victim.wire.ends[PASSIVE].stores = false;
    victim.hear(&segment(START.and(END), id(0), b"abc"));
    assert!(!victim.end().session.wants_bytes());
    victim.hear(&[4; 100]);
    assert_eq!(victim.end().closed(), None);
    victim.hear(&[4]);
    assert_eq!(victim.end().closed(), Some(CloseCause::Backlog));
}

#[test]
fn tolerates_one_refusal_per_segment() {
    let mut victim = Victim::new(plain("b"));
    victim.wire.input(PASSIVE, Input::Offer { length: 2 }).unwrap();
    victim.wire.input(PASSIVE, Input::Data { id: id(0), bytes: b"ab" }).unwrap();
    victim.hear(&refusal(id(0), RefuseReason::RETRANSMIT));
    assert_eq!(victim.hear(&refusal(id(0), RefuseReason::RETRANSMIT)), []);
    assert_eq!(victim.end().refused(), [(id(0), RefuseReason::RETRANSMIT)]);
}

proptest! {
    #[test]
    fn answers_noise_with_no_more_than_it_got(
        chunks in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..90), 0..30),
    ) {
        let mut victim = Victim::new(plain("b"));
        let heard: usize = chunks.iter().map(Vec::len).sum();
        chunks.iter().for_each(|chunk| drop(victim.hear(chunk)));
        prop_assert!(victim.end().said.len() <= heard + 6);
    }

    #[test]
    fn survives_well_formed_messages_in_any_order(
        moves in prop::collection::vec((0_u8..8, 0_u64..3, 0_usize..6), 0..60),
    ) {
        let mut victim = Victim::new(plain("b"));
        for (kind, number, len) in moves {
            let (id, data) = (id(number), &[7; 6][..len]);
            drop(victim.hear(&match kind {
                0..4 => segment(SegmentFlags::from_bits(kind), id, data),
                4 => ack(END, id, len as u64),
                5 => refusal(id, RefuseReason::UNKNOWN),
                6 => vec![4],
                _ => segment_with(START, id, ExtensionList::of_length(len as u64), data),
            }));
        }
        for (_, bytes) in &victim.end().finished {
            prop_assert!(bytes.iter().all(|&byte| byte == 7));
        }
    }
}
