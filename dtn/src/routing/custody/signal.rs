//! The custody signal: one node tells another what it holds durably, and what it does not hold any more.
//!
//! It is an administrative record of a private type (RFC 9713 leaves those above 65,535 for that), because none
//! of the published forms fits. The signal of draft-ietf-dtn-bibect answers for a hop of
//! bundle-in-bundle encapsulation, which we do not do, by the transmission numbers of that hop. Compressed
//! custody signalling (CCSDS 734.20, draft-flentge-dtn-bpv7-custody-transfer) answers by sequence numbers
//! that a custodian puts into each bundle in an extension block, and has no code points yet. Our bundles
//! have names that every peer knows, copies of them take many ways, and one signal is for all who care.
//!
//! `[disposition, reason, [id, …]]`: 0 holds, 1 refused, 2 gone; the reason is that of a status report, 0
//! with the first; ids of 32 bytes in ascending order, one to [`SIGNAL_IDS_MAX`].

use std::collections::BTreeSet;

use crate::bpv7::{AdminRecord, ReportReason};
use crate::bundle::BundleId;
use crate::codec::{CodecError, Reader, Writer};
use crate::hash::{ContentHash, HASH_BYTES};

/// The type of the administrative record.
pub const CUSTODY_SIGNAL: u64 = 85_064;

/// Most ids of one signal, which then has some 35 kB.
pub const SIGNAL_IDS_MAX: usize = 1024;

/// What a node says of bundles.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Disposition {
    /// They are durable there.
    Holds,
    /// It does not take them.
    Refused(ReportReason),
    /// It had them and has deleted them.
    Gone(ReportReason),
}

/// What a node says of some bundles: a record of type [`CUSTODY_SIGNAL`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CustodySignal {
    disposition: Disposition,
    /// Ascending, one or more.
    ids: Vec<BundleId>,
}

/// Why there is no such signal.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SignalError {
    /// It would be about nothing.
    #[error("a custody signal without bundles")]
    Empty,
    /// It would be about more bundles than [`SIGNAL_IDS_MAX`]; holds how many.
    #[error("a custody signal about {0} bundles: send one for each {SIGNAL_IDS_MAX} of them")]
    TooMany(usize),
}

impl CustodySignal {
    /// A signal about these bundles.
    pub fn new(
        disposition: Disposition,
        ids: impl IntoIterator<Item = BundleId>,
    ) -> Result<Self, SignalError> {
        let ids: BTreeSet<BundleId> = ids.into_iter().collect();
        match ids.len() {
            0 => Err(SignalError::Empty),
            1..=SIGNAL_IDS_MAX => Ok(Self { disposition, ids: ids.into_iter().collect() }),
            count => Err(SignalError::TooMany(count)),
        }
    }

    /// What it says of them.
    pub const fn disposition(&self) -> Disposition {
        self.disposition
    }

    /// The bundles, in ascending order.
    pub fn ids(&self) -> &[BundleId] {
        &self.ids
    }

    /// The administrative record.
    pub fn to_record(&self) -> AdminRecord {
        let (code, reason) = match self.disposition {
            Disposition::Holds => (0, ReportReason::NONE),
            Disposition::Refused(reason) => (1, reason),
            Disposition::Gone(reason) => (2, reason),
        };
        let mut writer = Writer::new();
        writer.array(3).unsigned(code).unsigned(reason.code()).array(self.ids.len());
        for id in &self.ids {
            writer.bytes(id.as_hash().as_bytes());
        }
        AdminRecord::Other { code: CUSTODY_SIGNAL, content: writer.into_bytes() }
    }

    /// Reads a signal, strictly; none for a record of another type.
    pub fn from_record(record: &AdminRecord) -> Option<Result<Self, CodecError>> {
        match record {
            AdminRecord::Other { code: CUSTODY_SIGNAL, content } => Some(Self::read(content)),
            _ => None,
        }
    }

    fn read(content: &[u8]) -> Result<Self, CodecError> {
        let mut reader = Reader::new(content);
        reader.tuple(3)?;
        let wrong = reader.invalid("0 (holds) without a reason, 1 (refused) or 2 (gone)");
        let (code, reason) = (reader.unsigned(2)?, reader.unsigned(u64::MAX)?);
        let disposition = match (code, ReportReason::from_code(reason)) {
            (0, ReportReason::NONE) => Disposition::Holds,
            (1, reason) => Disposition::Refused(reason),
            (2, reason) => Disposition::Gone(reason),
            _ => return Err(wrong),
        };
        let empty = reader.invalid("one bundle or more");
        let count = reader.array(SIGNAL_IDS_MAX)?;
        // Each id has 34 bytes, so a count of more than there are ends in an error early.
        let mut ids: Vec<BundleId> = Vec::with_capacity(count.min(content.len() / HASH_BYTES));
        for _ in 0..count {
            let order = reader.invalid("ids in ascending order");
            let id = BundleId::from_hash(ContentHash::from_bytes(reader.fixed()?));
            if ids.last().is_some_and(|last| *last >= id) {
                return Err(order);
            }
            ids.push(id);
        }
        reader.finish()?;
        if ids.is_empty() { Err(empty) } else { Ok(Self { disposition, ids }) }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn id(byte: u8) -> BundleId {
        BundleId::from_hash(ContentHash::from_bytes([byte; 32]))
    }

    fn read(content: Vec<u8>) -> Result<CustodySignal, CodecError> {
        let record = AdminRecord::Other { code: CUSTODY_SIGNAL, content };
        // Through the bytes of the record, as it comes.
        let record = AdminRecord::decode(&record.encode()).expect("a record");
        CustodySignal::from_record(&record).expect("of our type")
    }

    fn content(signal: &CustodySignal) -> Vec<u8> {
        match signal.to_record() {
            AdminRecord::Other { content, .. } => content,
            AdminRecord::StatusReport(_) => Vec::new(),
        }
    }

    #[test]
    fn has_one_form() {
        let signal =
            CustodySignal::new(Disposition::Holds, [id(2), id(1), id(2)]).expect("two ids");
        let expected =
            [&[0x83, 0, 0, 0x82, 0x58, 32][..], &[1; 32], &[0x58, 32], &[2; 32]].concat();
        assert_eq!(content(&signal), expected);
        assert_eq!(read(expected), Ok(signal.clone()));
        let head = [0x82, 0x1a, 0, 1, 0x4c, 0x48];
        assert_eq!(signal.to_record().encode()[..6], head, "type 85064");
    }

    #[test]
    fn refuses_other_forms() {
        let good = content(&CustodySignal::new(Disposition::Holds, [id(1), id(2)]).expect("two"));
        for end in 0..good.len() {
            assert!(read(good[..end].to_vec()).is_err(), "cut at {end}");
        }
        let with = |at: usize, byte: u8| {
            let mut bytes = good.clone();
            bytes[at] = byte;
            bytes
        };
        for (bytes, why) in [
            (with(1, 3), "an unknown disposition"),
            (with(2, 4), "a reason to hold"),
            (with(6 + 32 + 2, 0), "out of order"),
            ([&good[..], &[0]].concat(), "more behind it"),
            (vec![0x83, 0, 0, 0x80], "no ids"),
            ([&[0x83, 0, 0, 0x82][..], &good[4..38], &good[4..38]].concat(), "one id twice"),
            (vec![0x83, 0, 0, 0x9b, 255, 255, 255, 255, 255, 255, 255, 255], "a lying count"),
        ] {
            assert!(read(bytes).is_err(), "{why}");
        }
        let report = AdminRecord::Other { code: 4, content: good };
        assert!(CustodySignal::from_record(&report).is_none(), "another type");
    }

    #[test]
    fn is_about_some_bundles_and_not_too_many() {
        let many = |count: u32| {
            let ids = (0..count).map(|it| BundleId::from_hash(ContentHash::of(&it.to_be_bytes())));
            CustodySignal::new(Disposition::Holds, ids)
        };
        assert_eq!(many(0), Err(SignalError::Empty));
        let most = many(SIGNAL_IDS_MAX as u32).expect("the most");
        assert_eq!(read(content(&most)), Ok(most));
        assert_eq!(many(1025), Err(SignalError::TooMany(1025)));
    }

    proptest! {
        #[test]
        fn reads_back_what_it_writes(bytes in prop::collection::vec(any::<u8>(), 1..40), kind in 0..3, reason: u64) {
            let reason = ReportReason::from_code(reason);
            let disposition = match kind {
                0 => Disposition::Holds,
                1 => Disposition::Refused(reason),
                _ => Disposition::Gone(reason),
            };
            let signal = CustodySignal::new(disposition, bytes.into_iter().map(id)).expect("ids");
            prop_assert_eq!(read(content(&signal)), Ok(signal));
        }
    }
}
