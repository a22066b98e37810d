//! Columns: how the records of one block are laid out before compression.
//!
//! Like values side by side are what deflate is good at. The numbers are, one
//! column after the other: time as the difference to the record before; kind,
//! doubled, plus one if there is a content; peer; `a`; `b`; each as a shortest
//! LEB128 number. The contents that are not zero follow apart, eight bytes
//! each, since hashes do not compress. Every list of records has exactly one
//! such form, and nothing else is read: overlong numbers, contents of zero and
//! bytes left over are refused.

use super::EventRecord;

/// Fewest bytes of a record's numbers: one for each of the five.
pub(super) const NUMBERS_BYTES_MIN: u64 = 5;

/// Most bytes of a record's numbers: time, kind, peer, `a` and `b`.
pub(super) const NUMBERS_BYTES_MAX: u64 = 10 + 2 + 3 + 10 + 10;

/// Bytes of a content.
pub(super) const CONTENT_BYTES: u64 = 8;

/// The columns of one block.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Columns {
    /// Times, kinds, peers, `a` and `b`.
    pub numbers: Vec<u8>,
    /// The contents that are not zero.
    pub contents: Vec<u8>,
}

/// Why bytes are not the columns of a block.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Malformed(pub &'static str);

impl Columns {
    /// Lays out `records`, whose times never fall, in place of what was here.
    pub fn set(&mut self, records: &[EventRecord]) {
        let numbers = &mut self.numbers;
        numbers.clear();
        let mut before_us = records.first().map_or(0, |record| record.at_us);
        for record in records {
            put_number(numbers, record.at_us - before_us);
            before_us = record.at_us;
        }
        for record in records {
            put_number(numbers, u64::from(record.kind) << 1 | u64::from(record.content != 0));
        }
        records.iter().for_each(|record| put_number(numbers, u64::from(record.peer)));
        records.iter().for_each(|record| put_number(numbers, record.a));
        records.iter().for_each(|record| put_number(numbers, record.b));
        self.contents.clear();
        for record in records.iter().filter(|record| record.content != 0) {
            self.contents.extend_from_slice(&record.content.to_le_bytes());
        }
    }

    /// Reads `count` records, of which the first is at `first_at_us`.
    ///
    /// `count` must have been checked against the limit of a block.
    pub fn records(&self, count: usize, first_at_us: u64) -> Result<Vec<EventRecord>, Malformed> {
        let mut records = vec![EventRecord::default(); count];
        let mut numbers = Cursor(&self.numbers);
        read_times(&mut numbers, &mut records, first_at_us)?;
        read_kinds(&mut numbers, &mut Cursor(&self.contents), &mut records)?;
        for record in &mut records {
            let peer = numbers.number()?;
            record.peer = peer.try_into().map_err(|_| Malformed("a peer is out of range"))?;
        }
        for record in &mut records {
            record.a = numbers.number()?;
        }
        for record in &mut records {
            record.b = numbers.number()?;
        }
        numbers.end()?;
        Ok(records)
    }
}

fn read_times(
    numbers: &mut Cursor<'_>,
    records: &mut [EventRecord],
    first_at_us: u64,
) -> Result<(), Malformed> {
    let mut at_us = first_at_us;
    for (index, record) in records.iter_mut().enumerate() {
        let step_us = numbers.number()?;
        if index == 0 && step_us != 0 {
            return Err(Malformed("the first record is not at the block's first time"));
        }
        at_us = at_us.checked_add(step_us).ok_or(Malformed("a time is out of range"))?;
        record.at_us = at_us;
    }
    Ok(())
}

fn read_kinds(
    numbers: &mut Cursor<'_>,
    contents: &mut Cursor<'_>,
    records: &mut [EventRecord],
) -> Result<(), Malformed> {
    for record in records {
        let number = numbers.number()?;
        record.kind = (number >> 1).try_into().map_err(|_| Malformed("a kind is out of range"))?;
        if number & 1 == 1 {
            record.content = contents.content()?;
        }
    }
    contents.end()
}

fn put_number(out: &mut Vec<u8>, mut number: u64) {
    while number >= 0x80 {
        out.push(number.to_le_bytes()[0] | 0x80);
        number >>= 7;
    }
    out.push(number.to_le_bytes()[0]);
}

/// The bytes that are still to be read.
struct Cursor<'a>(&'a [u8]);

impl Cursor<'_> {
    fn number(&mut self) -> Result<u64, Malformed> {
        let mut number = 0;
        for (index, shift) in (0..u64::BITS).step_by(7).enumerate() {
            let byte = *self.0.get(index).ok_or(Malformed("a column ends early"))?;
            let bits = u64::from(byte & 0x7f);
            if bits << shift >> shift != bits {
                return Err(Malformed("a number is out of range"));
            }
            number |= bits << shift;
            if byte < 0x80 {
                if byte == 0 && index > 0 {
                    return Err(Malformed("a number is longer than it need be"));
                }
                self.0 = &self.0[index + 1..];
                return Ok(number);
            }
        }
        Err(Malformed("a number is out of range"))
    }

    fn content(&mut self) -> Result<u64, Malformed> {
        let (content, rest) = self.0.split_first_chunk().ok_or(Malformed("a column ends early"))?;
        self.0 = rest;
        match u64::from_le_bytes(*content) {
            0 => Err(Malformed("a content of zero is written out")),
            content => Ok(content),
        }
    }

    fn end(&self) -> Result<(), Malformed> {
        if self.0.is_empty() { Ok(()) } else { Err(Malformed("bytes follow the last column")) }
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::arb_records;
    use super::*;
    use proptest::prelude::*;

    fn columns(records: &[EventRecord]) -> Columns {
        let mut columns = Columns::default();
        columns.set(records);
        columns
    }

    proptest! {
        #[test]
        fn columns_come_back_as_they_went(records in arb_records(300)) {
            let columns = columns(&records);
            let first_at_us = records.first().map_or(0, |record| record.at_us);
            prop_assert_eq!(columns.records(records.len(), first_at_us), Ok(records));
        }

        #[test]
        fn a_record_keeps_to_its_bounds(records in arb_records(50)) {
            let (columns, count) = (columns(&records), records.len() as u64);
            let bytes = columns.numbers.len() as u64;
            prop_assert!((count * NUMBERS_BYTES_MIN..=count * NUMBERS_BYTES_MAX).contains(&bytes));
            prop_assert!(columns.contents.len() as u64 <= count * CONTENT_BYTES);
        }

        #[test]
        fn what_is_read_has_one_form(
            numbers in prop::collection::vec(prop_oneof![0..4_u8, any::<u8>()], 0..40),
            contents in prop::collection::vec(0..2_u8, 0..24),
            count in 0..7_usize,
            first_at_us in any::<u64>(),
        ) {
            let given = Columns { numbers, contents };
            if let Ok(records) = given.records(count, first_at_us) {
                prop_assert_eq!(columns(&records), given);
            }
        }
    }

    #[test]
    fn refuses_other_forms() {
        let read = |numbers: &[u8], contents: &[u8]| {
            let columns = Columns { numbers: numbers.to_vec(), contents: contents.to_vec() };
            columns.records(1, 5).map_err(|Malformed(what)| what)
        };
        assert!(read(&[0, 2, 0, 0, 0], &[]).is_ok());
        let content = [1, 0, 0, 0, 0, 0, 0, 0];
        assert!(read(&[0, 3, 0, 0, 0], &content).is_ok());
        for (numbers, contents, error) in [
            (&[1, 2, 0, 0, 0][..], &[][..], "the first record is not at the block's first time"),
            (&[0, 0x80, 0x04, 0, 0, 0], &[], "a kind is out of range"),
            (&[0, 2, 0x80, 0x80, 0x04, 0, 0], &[], "a peer is out of range"),
            (&[0, 2, 0, 0x80, 0x00, 0], &[], "a number is longer than it need be"),
            (&[0, 2, 0, 0], &[], "a column ends early"),
            (&[0, 2, 0, 0, 0, 0], &[], "bytes follow the last column"),
            (&[0, 2, 0, 0, 0], &content, "bytes follow the last column"),
            (&[0, 3, 0, 0, 0], &content[..7], "a column ends early"),
            (&[0, 3, 0, 0, 0], &[0; 8], "a content of zero is written out"),
        ] {
            assert_eq!(read(numbers, contents), Err(error), "{numbers:?} {contents:?}");
        }
    }

    #[test]
    fn numbers_end_at_64_bits() {
        let mut bytes = Vec::new();
        put_number(&mut bytes, u64::MAX);
        assert_eq!(bytes.len(), 10);
        assert_eq!(Cursor(&bytes).number(), Ok(u64::MAX));
        for last in [0x02, 0x81] {
            bytes[9] = last;
            assert_eq!(Cursor(&bytes).number(), Err(Malformed("a number is out of range")));
        }
    }
}
