//! Strategies and small logs for the tests of the event log.

use std::io::Cursor;

use proptest::prelude::*;

use super::{EventLogReader, EventLogWriter, EventRecord};

/// Numbers of every length.
fn arb_number() -> impl Strategy<Value = u64> {
    prop_oneof![4 => 0..200_u64, 1 => any::<u64>(), 1 => Just(u64::MAX)]
}

/// A step in time and the record's other fields.
fn arb_step() -> impl Strategy<Value = (u64, EventRecord)> {
    let step_us = prop_oneof![6 => 0..300_u64, 1 => 0..1_u64 << 40];
    let content = prop_oneof![Just(0), any::<u64>()];
    (step_us, any::<u8>(), any::<u16>(), arb_number(), arb_number(), content).prop_map(
        |(step_us, kind, peer, a, b, content)| {
            (step_us, EventRecord { at_us: 0, kind, peer, a, b, content })
        },
    )
}

/// Fewer than `count` records in order of time.
pub(super) fn arb_records(count: usize) -> impl Strategy<Value = Vec<EventRecord>> {
    let start = prop_oneof![Just(0), 0..1_u64 << 62];
    (start, prop::collection::vec(arb_step(), 0..count)).prop_map(|(mut at_us, steps)| {
        let in_time = |(step_us, record): (u64, EventRecord)| {
            at_us += step_us;
            EventRecord { at_us, ..record }
        };
        steps.into_iter().map(in_time).collect()
    })
}

/// `count` records whose fields follow a simple rule.
pub(super) fn plain_records(count: u64) -> Vec<EventRecord> {
    let record = |sequence: u64| EventRecord {
        at_us: 10 * (sequence / 3),
        kind: u8::try_from(sequence % 20 + 1).expect("a small number"),
        peer: u16::try_from(sequence * 7 % 1_000).expect("a small number"),
        a: sequence * sequence % 5_000,
        b: sequence % 3,
        content: if sequence.is_multiple_of(4) {
            0
        } else {
            sequence.wrapping_mul(0x9e37_79b9_7f4a_7c15)
        },
    };
    (0..count).map(record).collect()
}

/// A finished log of `records`.
pub(super) fn log(records: &[EventRecord], block_records: u32) -> Vec<u8> {
    let mut writer =
        EventLogWriter::with_block_records(Vec::new(), block_records).expect("a block size");
    for record in records {
        writer.append(record).expect("records in order of time");
    }
    writer.finish().expect("memory can be written").0
}

/// Opens a log that is expected to open.
pub(super) fn open(bytes: &[u8]) -> EventLogReader<Cursor<&[u8]>> {
    EventLogReader::open(Cursor::new(bytes)).expect("a log that opens")
}
