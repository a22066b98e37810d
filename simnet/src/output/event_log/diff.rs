//! The first difference of two event logs.
//!
//! Running digests agree up to the block in which the histories part, and in no
//! block after it, so a binary search over digests finds that block, and only
//! that block of each log is read.

use std::io::{Read, Seek};

use super::EventLogError;
use super::reader::EventLogReader;
use super::record::EventRecord;

/// Where two logs part.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Difference {
    /// The number of the first record that differs.
    pub sequence: u64,
    /// The first log's record; none if that log ends here.
    pub left: Option<EventRecord>,
    /// The second log's record; none if that log ends here.
    pub right: Option<EventRecord>,
}

/// The first difference of two logs, or none if they hold the same records.
///
/// Of logs that were cut off only whole blocks are compared. What lies before
/// the block where they part is taken from the digests, which
/// [`EventLogReader::verify`] checks.
pub fn diff<A: Read + Seek, B: Read + Seek>(
    left: &mut EventLogReader<A>,
    right: &mut EventLogReader<B>,
) -> Result<Option<Difference>, EventLogError> {
    let sizes = (left.block_records(), right.block_records());
    if sizes.0 != sizes.1 {
        return Err(EventLogError::BlockSizesDiffer(sizes.0, sizes.1));
    }
    let block = blocks_in_common(left, right);
    let first = block as u64 * u64::from(sizes.0);
    let [ours, theirs] = [block_or_end(left, block)?, block_or_end(right, block)?];
    let in_common = ours.iter().zip(theirs).take_while(|(ours, theirs)| ours == theirs).count();
    let [left, right] = [ours, theirs].map(|records| records.get(in_common).copied());
    let sequence = first + in_common as u64;
    Ok((left != right).then_some(Difference { sequence, left, right }))
}

/// Number of blocks up to which the digests agree.
fn blocks_in_common<A: Read + Seek, B: Read + Seek>(
    left: &EventLogReader<A>,
    right: &EventLogReader<B>,
) -> usize {
    let (mut agree, mut part) = (0, left.blocks().min(right.blocks()));
    while agree < part {
        let middle = agree + (part - agree) / 2;
        if left.digest_at(middle) == right.digest_at(middle) {
            agree = middle + 1;
        } else {
            part = middle;
        }
    }
    agree
}

fn block_or_end<R: Read + Seek>(
    reader: &mut EventLogReader<R>,
    block: usize,
) -> Result<&[EventRecord], EventLogError> {
    if block < reader.blocks() { reader.block(block) } else { Ok(&[]) }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{arb_records, log, open, plain_records};
    use super::*;
    use proptest::prelude::*;
    use std::io::{self, Cursor, SeekFrom};

    fn first_difference(left: &[EventRecord], right: &[EventRecord]) -> Option<Difference> {
        (0..left.len().max(right.len())).find_map(|index| {
            let [left, right] = [left, right].map(|records| records.get(index).copied());
            (left != right).then_some(Difference { sequence: index as u64, left, right })
        })
    }

    fn found(left: &[u8], right: &[u8]) -> Option<Difference> {
        diff(&mut open(left), &mut open(right)).expect("logs that can be compared")
    }

    proptest! {
        #[test]
        fn finds_what_a_comparison_of_all_records_finds(
            records in arb_records(150),
            size in 1..40_u32,
            at in any::<prop::sample::Index>(),
            change in 0..4_u8,
        ) {
            prop_assume!(!records.is_empty());
            let mut other = records.clone();
            let at = at.index(records.len());
            match change {
                0 => other[at].content ^= 1,
                1 => other[at..].iter_mut().for_each(|record| record.a ^= 1),
                2 => drop(other.remove(at)),
                _ => other.truncate(at),
            }
            let [left, right] = [&records, &other].map(|records| log(records, size));
            prop_assert_eq!(found(&left, &right), first_difference(&records, &other));
            prop_assert_eq!(found(&right, &left), first_difference(&other, &records));
            prop_assert_eq!(found(&left, &left), None);
        }
    }

    #[test]
    fn a_log_that_was_cut_off_ends_with_its_last_block() {
        let records = plain_records(60);
        let bytes = log(&records, 20);
        let difference = found(&bytes, &bytes[..bytes.len() - 1]);
        assert_eq!(difference, None);
        let cut = found(&bytes[..600], &bytes).expect("a difference");
        assert_eq!((cut.sequence % 20, cut.left), (0, None));
    }

    #[test]
    fn logs_with_other_blocks_are_refused() {
        let [left, right] = [20, 21].map(|size| log(&plain_records(60), size));
        let outcome = diff(&mut open(&left), &mut open(&right));
        assert!(matches!(outcome, Err(EventLogError::BlockSizesDiffer(20, 21))));
    }

    /// Counts what is read.
    struct Counted<'a>(Cursor<&'a [u8]>, &'a std::cell::Cell<usize>);

    impl Read for Counted<'_> {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            let bytes = self.0.read(buffer)?;
            self.1.set(self.1.get() + bytes);
            Ok(bytes)
        }
    }

    impl Seek for Counted<'_> {
        fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
            self.0.seek(to)
        }
    }

    #[test]
    fn reads_one_block_of_each_log() {
        let records = plain_records(20_000);
        let mut other = records.clone();
        other[12_345].b += 1;
        let [left, right] = [&records, &other].map(|records| log(records, 1_000));
        let read = std::cell::Cell::new(0);
        let counted = |bytes| {
            EventLogReader::open(Counted(Cursor::new(bytes), &read)).expect("a log that opens")
        };
        let (mut left_log, mut right_log) = (counted(&left[..]), counted(&right[..]));
        read.set(0);
        let difference = diff(&mut left_log, &mut right_log).expect("comparable");
        assert_eq!(difference.expect("a difference").sequence, 12_345);
        assert!(read.get() < (left.len() + right.len()) / 15, "{} bytes read", read.get());
    }
}
