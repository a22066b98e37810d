//! Scan: a log file's bytes, told apart into entries and what follows them.
//!
//! A log file is a row of frames, each a length (u32, big-endian) and an
//! entry. A write that power loss cut short leaves a beginning of a frame at
//! the end: *torn*, never acknowledged to anybody, safe to cut off. Anything
//! else that is not an entry is *corrupt*: entries that the peer has spoken of
//! may be lost, so nothing may be cut silently, or the peer would sign their
//! sequence numbers a second time. A length that points beyond the end of the
//! file is torn only if the bytes before the end could be the beginning of an
//! entry; a damaged length in front of whole entries is corrupt.

use longhaul_dtn::identity::PeerId;

use crate::entry::{ENTRY_BYTES_MAX, EntryError, SignedEntry};
use crate::log::{Chain, LogError};

/// Bytes of the length in front of an entry.
pub const FRAME_LENGTH_BYTES: usize = 4;

/// What a log file holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Scan {
    /// The entries from the beginning up to the first problem; they chain.
    pub entries: Vec<SignedEntry>,
    /// Number of bytes that hold those entries.
    pub clean_len: usize,
    /// What follows them.
    pub tail: Tail,
}

/// What follows the last good entry of a log file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Tail {
    /// Nothing.
    Clean,
    /// The beginning of an entry whose write was cut short. Cutting the file
    /// to [`Scan::clean_len`] loses nothing that was ever acknowledged.
    Torn {
        /// Number of bytes after the last good entry.
        bytes: usize,
    },
    /// Bytes that are no entry of this log. Stop, and restore the file.
    Corrupt {
        /// Offset of the frame that does not hold.
        offset: usize,
        /// What is wrong with it.
        why: Corruption,
    },
}

/// Why a frame of a log file is damaged rather than cut short.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Corruption {
    /// The frame's length is not one that an entry can have; holds the length.
    #[error("a length of {0} bytes, an entry has 1 to {ENTRY_BYTES_MAX}")]
    Length(usize),
    /// The frame's length points beyond the file, but its entry does not.
    #[error("a length of {0} bytes points beyond the file, but the entry in it does not")]
    Overrun(usize),
    /// The frame holds no signed entry.
    #[error(transparent)]
    Entry(#[from] EntryError),
    /// The entry does not follow the one before.
    #[error(transparent)]
    Log(#[from] LogError),
}

/// One frame's worth of a log file.
enum Frame<'a> {
    Whole { entry: &'a [u8], len: usize },
    Torn,
    Corrupt(Corruption),
}

/// The bytes to append to a log file for `entry`.
pub fn frame_entry(entry: &SignedEntry) -> Vec<u8> {
    let bytes = entry.as_bytes();
    let len = u32::try_from(bytes.len()).expect("an entry is below its limit");
    [&len.to_be_bytes(), bytes].concat()
}

/// Reads the log file of `author`; checks every signature and link.
pub fn scan_log(bytes: &[u8], author: PeerId) -> Scan {
    scan_checked_log(bytes, author, 0)
}

/// [`scan_log`] of a file whose first `checked_len` bytes were scanned before, by somebody who knows
/// that they are unchanged: the signatures in there are not checked again, form and links are.
pub fn scan_checked_log(bytes: &[u8], author: PeerId, checked_len: usize) -> Scan {
    let mut chain = Chain::new(author);
    let mut scan = Scan { entries: Vec::new(), clean_len: 0, tail: Tail::Clean };
    while scan.clean_len < bytes.len() {
        let rest = &bytes[scan.clean_len..];
        match next_entry(rest, &mut chain, checked_len.saturating_sub(scan.clean_len)) {
            Ok(Some((entry, len))) => {
                scan.entries.push(entry);
                scan.clean_len += len;
            }
            Ok(None) => {
                scan.tail = Tail::Torn { bytes: rest.len() };
                break;
            }
            Err(why) => {
                scan.tail = Tail::Corrupt { offset: scan.clean_len, why };
                break;
            }
        }
    }
    scan
}

/// The entry that `rest` begins with and the length of its frame; none if it is torn.
fn next_entry(
    rest: &[u8],
    chain: &mut Chain,
    checked_len: usize,
) -> Result<Option<(SignedEntry, usize)>, Corruption> {
    match split_frame(rest) {
        Frame::Torn => Ok(None),
        Frame::Corrupt(why) => Err(why),
        Frame::Whole { entry, len } => {
            let entry = match len <= checked_len {
                true => SignedEntry::decode_checked(entry)?,
                false => SignedEntry::decode(entry)?,
            };
            chain.push(&entry)?;
            Ok(Some((entry, len)))
        }
    }
}

fn split_frame(rest: &[u8]) -> Frame<'_> {
    let Some((length, body)) = rest.split_first_chunk::<FRAME_LENGTH_BYTES>() else {
        return Frame::Torn;
    };
    let length = usize::try_from(u32::from_be_bytes(*length)).unwrap_or(usize::MAX);
    if length == 0 || length > ENTRY_BYTES_MAX {
        return Frame::Corrupt(Corruption::Length(length));
    }
    match body.get(..length) {
        Some(entry) => Frame::Whole { entry, len: FRAME_LENGTH_BYTES + length },
        None if SignedEntry::is_cut_short(body) => Frame::Torn,
        None => Frame::Corrupt(Corruption::Overrun(length)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::log::tests::log;
    use longhaul_dtn::identity::SecretKey;

    fn author() -> PeerId {
        SecretKey::from_seed(&[1; 32]).peer_id()
    }

    fn file(entries: &[SignedEntry]) -> Vec<u8> {
        entries.iter().flat_map(frame_entry).collect()
    }

    #[test]
    fn reads_back_a_whole_file() {
        let entries = log(1, 6);
        let bytes = file(&entries);
        let scan = scan_log(&bytes, author());
        assert_eq!(scan, Scan { entries, clean_len: bytes.len(), tail: Tail::Clean });
    }

    #[test]
    fn an_empty_file_is_clean() {
        let scan = scan_log(&[], author());
        assert_eq!(scan, Scan { entries: vec![], clean_len: 0, tail: Tail::Clean });
    }

    #[test]
    fn a_file_cut_anywhere_is_torn_or_clean() {
        let entries = log(1, 6);
        let bytes = file(&entries);
        let mut ends = vec![0];
        for entry in &entries {
            ends.push(ends[ends.len() - 1] + frame_entry(entry).len());
        }
        for cut in 0..bytes.len() {
            let scan = scan_log(&bytes[..cut], author());
            let whole = ends.iter().filter(|&&end| end <= cut).count() - 1;
            assert_eq!(scan.entries, entries[..whole], "cut at {cut}");
            assert_eq!(scan.clean_len, ends[whole]);
            let expected = match cut - ends[whole] {
                0 => Tail::Clean,
                bytes => Tail::Torn { bytes },
            };
            assert_eq!(scan.tail, expected, "cut at {cut}");
        }
    }

    #[test]
    fn a_flipped_byte_anywhere_is_corrupt() {
        let entries = log(1, 5);
        let good = file(&entries);
        for at in 0..good.len() {
            for xor in [1, 0x10, 0x80, 0xff] {
                let mut bytes = good.clone();
                bytes[at] ^= xor;
                let scan = scan_log(&bytes, author());
                let Tail::Corrupt { offset, .. } = scan.tail else {
                    panic!("byte {at} xor {xor:#x}: {:?}", scan.tail);
                };
                assert!(offset <= at && offset == scan.clean_len);
                assert!(scan.entries.len() < entries.len());
            }
        }
    }

    #[test]
    fn a_damaged_length_hides_no_whole_entries() {
        let entries = log(1, 5);
        let good = file(&entries);
        let beyond = u32::try_from(ENTRY_BYTES_MAX).unwrap();
        for length in [beyond, beyond + 1, u32::MAX, 0] {
            let mut bytes = good.clone();
            bytes[..4].copy_from_slice(&length.to_be_bytes());
            let scan = scan_log(&bytes, author());
            assert!(matches!(scan.tail, Tail::Corrupt { offset: 0, .. }), "{length}");
        }
    }

    #[test]
    fn only_the_signatures_of_what_was_checked_are_taken_on_trust() {
        let entries = log(1, 5);
        let good = file(&entries);
        let ends: Vec<usize> = entries
            .iter()
            .scan(0, |end, entry| {
                *end += frame_entry(entry).len();
                Some(*end)
            })
            .collect();
        for checked_len in 0..=good.len() {
            assert_eq!(scan_checked_log(&good, author(), checked_len), scan_log(&good, author()));
        }
        // A signature ends its frame: flip its last byte, in each entry.
        for (index, end) in ends.iter().enumerate() {
            let mut bytes = good.clone();
            bytes[end - 1] ^= 1;
            for (checked, checked_len) in ends.iter().enumerate() {
                let scan = scan_checked_log(&bytes, author(), *checked_len);
                assert_eq!(scan.tail == Tail::Clean, index <= checked, "{index} of {checked}");
            }
            // A frame that is checked in part is not checked.
            let scan = scan_checked_log(&bytes, author(), end - 1);
            assert!(matches!(scan.tail, Tail::Corrupt { .. }));
        }
        // The links are checked in any case.
        let doubled = file(&[&entries[..], &entries[3..]].concat());
        let scan = scan_checked_log(&doubled, author(), doubled.len());
        assert_eq!(scan.entries, entries);
    }

    #[test]
    fn zeros_after_the_last_entry_are_corrupt() {
        let mut bytes = file(&log(1, 3));
        let clean_len = bytes.len();
        bytes.extend([0; 64]);
        let scan = scan_log(&bytes, author());
        let why = Corruption::Length(0);
        assert_eq!(scan.tail, Tail::Corrupt { offset: clean_len, why });
    }

    #[test]
    fn a_whole_entry_out_of_place_is_corrupt_even_at_the_end() {
        let entries = log(1, 4);
        let doubled = file(&[&entries[..], &entries[3..]].concat());
        let foreign = file(&[&entries[..], &log(2, 5)[4..]].concat());
        for bytes in [doubled, foreign] {
            let scan = scan_log(&bytes, author());
            assert_eq!(scan.entries, entries);
            assert!(matches!(scan.tail, Tail::Corrupt { why: Corruption::Log(_), .. }));
        }
    }

    #[test]
    fn another_authors_file_is_corrupt_from_the_start() {
        let scan = scan_log(&file(&log(2, 3)), author());
        assert!(matches!(scan.tail, Tail::Corrupt { offset: 0, .. }));
    }
}
