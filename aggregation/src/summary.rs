//! Base summary: which slots an author's base contained, as it claims.
//!
//! A header of epoch `e` carries one row for each of the last `window` epochs
//! before `e`, oldest first: the members whose slots were known, ascending.
//! Near the start there are fewer epochs, so the number of rows is always
//! `min(window, e)`. On the wire a row is an array of gaps: the first member,
//! then how many members each next one skips. A summary is a claim: it decides in
//! whose cohort its author stands ([`crate::cohort`]) and which slots it vouches for.

use longhaul_dtn::codec::{CodecError, Reader, Writer};

use crate::slot::{Epoch, MEMBERS_MAX, MemberIndex};

/// For each of the last epochs, oldest first, the members known, ascending.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct BaseSummary {
    rows: Vec<Vec<MemberIndex>>,
}

/// Why something is not a base summary.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SummaryError {
    /// The bytes are not the deterministic CBOR of a summary.
    #[error("not a well-formed summary: {0}")]
    Malformed(#[from] CodecError),
    /// The number of rows does not fit the epoch and the window.
    #[error("the summary has {found} rows, expected {expected}")]
    Rows {
        /// Rows found.
        found: usize,
        /// Rows that the epoch and the window ask for.
        expected: usize,
    },
    /// A row names somebody beyond the member list, or more than all of them.
    #[error("the summary names a member beyond the {members} there are")]
    Member {
        /// Members of the federation.
        members: usize,
    },
    /// A row is not strictly ascending.
    #[error("a row of the summary is not strictly ascending")]
    Order,
}

impl BaseSummary {
    /// Takes rows, oldest epoch first, each strictly ascending.
    pub fn new(rows: Vec<Vec<MemberIndex>>) -> Result<Self, SummaryError> {
        let ascending = |row: &Vec<MemberIndex>| row.is_sorted_by(|left, right| left < right);
        match rows.iter().all(ascending) {
            true => Ok(Self { rows }),
            false => Err(SummaryError::Order),
        }
    }

    /// The rows, oldest epoch first.
    pub fn rows(&self) -> &[Vec<MemberIndex>] {
        &self.rows
    }

    /// The rows with their epochs, for a header of epoch `before`.
    pub fn epochs(&self, before: Epoch) -> impl Iterator<Item = (Epoch, &[MemberIndex])> {
        let count = u32::try_from(self.rows.len()).unwrap_or(u32::MAX);
        let oldest = before.back(count).get();
        (oldest..).map(Epoch::new).zip(self.rows.iter().map(Vec::as_slice))
    }

    /// The members named for `epoch` by a header of epoch `before`, ascending;
    /// none if its window does not cover that epoch.
    pub fn row(&self, before: Epoch, epoch: Epoch) -> &[MemberIndex] {
        let back = before.get().checked_sub(epoch.get()).map(usize::try_from);
        let place = match back {
            Some(Ok(back)) if back > 0 => self.rows.len().checked_sub(back),
            _ => None,
        };
        place.map_or(&[], |place| &self.rows[place])
    }

    /// Number of slots named.
    pub fn slot_count(&self) -> usize {
        self.rows.iter().map(Vec::len).sum()
    }

    /// How many rows a header of `epoch` carries.
    pub fn rows_for(epoch: Epoch, window: u32) -> usize {
        usize::try_from(epoch.get().min(window)).unwrap_or(usize::MAX)
    }

    /// Writes the rows as arrays of gaps.
    pub fn encode(&self, writer: &mut Writer) {
        writer.array(self.rows.len());
        for row in &self.rows {
            writer.array(row.len());
            let mut next = 0;
            for member in row {
                writer.unsigned(u64::from(member.get()) - next);
                next = u64::from(member.get()) + 1;
            }
        }
    }

    /// Reads exactly `rows` rows of members below `members`.
    pub fn decode(
        reader: &mut Reader<'_>,
        rows: usize,
        members: usize,
    ) -> Result<Self, SummaryError> {
        let found = reader.array(usize::MAX)?;
        if found != rows {
            return Err(SummaryError::Rows { found, expected: rows });
        }
        let rows = (0..rows).map(|_| decode_row(reader, members)).collect::<Result<_, _>>()?;
        Ok(Self { rows })
    }
}

fn decode_row(reader: &mut Reader<'_>, members: usize) -> Result<Vec<MemberIndex>, SummaryError> {
    let beyond = SummaryError::Member { members };
    let members = members.min(MEMBERS_MAX);
    let count = reader.array(usize::MAX)?;
    if count > members {
        return Err(beyond);
    }
    let mut row = Vec::new();
    let mut next = 0_u64;
    for _ in 0..count {
        let gap = reader.unsigned(u64::from(u16::MAX))?;
        let member = u16::try_from(next + gap).map_err(|_| beyond.clone())?;
        if usize::from(member) >= members {
            return Err(beyond);
        }
        row.push(MemberIndex::new(member));
        next = u64::from(member) + 1;
    }
    Ok(row)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(members: &[u16]) -> Vec<MemberIndex> {
        members.iter().copied().map(MemberIndex::new).collect()
    }

    fn decode(bytes: &[u8], rows: usize, members: usize) -> Result<BaseSummary, SummaryError> {
        BaseSummary::decode(&mut Reader::new(bytes), rows, members)
    }

    #[test]
    fn writes_the_gaps_between_members() {
        let summary = BaseSummary::new(vec![row(&[0, 1, 5]), row(&[]), row(&[3])]).unwrap();
        let mut writer = Writer::new();
        summary.encode(&mut writer);
        let bytes = writer.into_bytes();
        assert_eq!(bytes, [0x83, 0x83, 0, 0, 3, 0x80, 0x81, 3]);
        assert_eq!(decode(&bytes, 3, 6), Ok(summary));
    }

    #[test]
    fn refuses_rows_that_are_not_ascending() {
        for members in [&[1, 1][..], &[2, 1]] {
            assert_eq!(BaseSummary::new(vec![row(members)]), Err(SummaryError::Order));
        }
    }

    #[test]
    fn refuses_what_does_not_fit_the_federation() {
        let beyond = |members| Err(SummaryError::Member { members });
        for (bytes, members, expected) in [
            (&[0x81, 0x81, 5][..], 6, Ok(row(&[5]))),
            (&[0x81, 0x81, 5], 5, beyond(5)),
            (&[0x81, 0x82, 4, 0], 5, beyond(5)),
            (&[0x81, 0x82, 0, 0], 1, beyond(1)),
            (&[0x81, 0x82, 0x19, 255, 254, 0], 65_535, beyond(65_535)),
            (&[0x80], 5, Err(SummaryError::Rows { found: 0, expected: 1 })),
            (&[0x82, 0x80, 0x80], 5, Err(SummaryError::Rows { found: 2, expected: 1 })),
        ] {
            let expected = expected.map(|row| BaseSummary { rows: vec![row] });
            assert_eq!(decode(bytes, 1, members), expected, "{bytes:?}");
        }
    }

    #[test]
    fn refuses_a_count_without_its_items() {
        let huge = [0x81, 0x9a, 0, 0, 255, 255];
        assert!(matches!(decode(&huge, 1, 65_535), Err(SummaryError::Malformed(_))));
    }

    #[test]
    fn gives_each_row_its_epoch() {
        let summary = BaseSummary::new(vec![row(&[1]), row(&[2])]).unwrap();
        let epochs: Vec<_> = summary.epochs(Epoch::new(9)).map(|(epoch, _)| epoch.get()).collect();
        assert_eq!(epochs, [7, 8]);
        for (epoch, expected) in [(6, &[][..]), (7, &[1]), (8, &[2]), (9, &[]), (10, &[])] {
            assert_eq!(summary.row(Epoch::new(9), Epoch::new(epoch)), row(expected));
        }
        assert_eq!(summary.slot_count(), 2);
    }

    #[test]
    fn has_fewer_rows_near_the_start() {
        for (epoch, rows) in [(0, 0), (1, 1), (11, 11), (12, 12), (500, 12)] {
            assert_eq!(BaseSummary::rows_for(Epoch::new(epoch), 12), rows);
        }
    }
}
