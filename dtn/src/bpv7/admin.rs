//! Administrative records (RFC 9171 section 6.1): what nodes tell one another about bundles.
//!
//! A record is `[type, content]`; type 1 is a status report, `[items, reason, source, creation
//! timestamp]`, and offset and length behind it where the subject is a fragment. There are four
//! items: received, forwarded, delivered, deleted; each is `[false]`, `[true]` or `[true, time]`.

use super::eid::EndpointId;
use super::error::{BundleError, Part};
use super::primary::{BundleKey, CreationTimestamp, Fragment};
use crate::codec::{CodecError, Reader, Writer};
use crate::time::Timestamp;

const STATUS_REPORT: u64 = 1;
/// Stands for no reason (RFC 9171 section 9.5).
const RESERVED_REASON: u64 = 255;

/// An administrative record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AdminRecord {
    /// What became of a bundle.
    StatusReport(StatusReport),
    /// A record of another type, whose content is any CBOR.
    Other {
        /// Its type.
        code: u64,
        /// Its content, as it was received.
        content: Vec<u8>,
    },
}

/// What became of a bundle at a node (section 6.1.1).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StatusReport {
    /// The node received it.
    pub received: StatusItem,
    /// The node forwarded it.
    pub forwarded: StatusItem,
    /// The node delivered it.
    pub delivered: StatusItem,
    /// The node deleted it.
    pub deleted: StatusItem,
    /// Why.
    pub reason: ReportReason,
    /// Who made the subject.
    pub source: EndpointId,
    /// When.
    pub created: CreationTimestamp,
    /// If the subject is a fragment, the offset and the length of its payload.
    pub fragment: Option<(u64, u64)>,
}

/// Whether something happened, and when.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum StatusItem {
    /// It is not said to have happened.
    #[default]
    No,
    /// It happened.
    Yes,
    /// It happened at that time.
    At(Timestamp),
}

/// Why a status report was made (section 9.5 and RFC 9172 section 11.3).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ReportReason(u64);

impl ReportReason {
    /// Nothing more to say.
    pub const NONE: Self = Self(0);
    /// The lifetime is over.
    pub const LIFETIME_EXPIRED: Self = Self(1);
    /// Forwarded over a link that has no way back.
    pub const FORWARDED_UNIDIRECTIONAL: Self = Self(2);
    /// The transmission was given up.
    pub const TRANSMISSION_CANCELED: Self = Self(3);
    /// No room to store it.
    pub const DEPLETED_STORAGE: Self = Self(4);
    /// The destination cannot be had.
    pub const DESTINATION_UNAVAILABLE: Self = Self(5);
    /// No route from here.
    pub const NO_ROUTE: Self = Self(6);
    /// No contact with the next node in time.
    pub const NO_CONTACT: Self = Self(7);
    /// A block can't be understood.
    pub const BLOCK_UNINTELLIGIBLE: Self = Self(8);
    /// The hop limit is exceeded.
    pub const HOP_LIMIT_EXCEEDED: Self = Self(9);
    /// Traffic was pared.
    pub const TRAFFIC_PARED: Self = Self(10);
    /// A block is not supported.
    pub const BLOCK_UNSUPPORTED: Self = Self(11);
    /// A security operation is missing.
    pub const SECURITY_MISSING: Self = Self(12);
    /// A security operation failed.
    pub const SECURITY_FAILED: Self = Self(15);

    /// The reason of this code.
    pub const fn from_code(code: u64) -> Self {
        Self(code)
    }

    /// Its code.
    pub const fn code(self) -> u64 {
        self.0
    }

    fn read(reader: &mut Reader<'_>) -> Result<Self, CodecError> {
        let reserved = reader.invalid("a reason other than 255, which is reserved");
        match reader.unsigned(u64::MAX)? {
            RESERVED_REASON => Err(reserved),
            code => Ok(Self(code)),
        }
    }
}

impl StatusReport {
    /// A report about a bundle that says nothing yet.
    pub fn about(subject: &BundleKey, reason: ReportReason) -> Self {
        Self {
            received: StatusItem::No,
            forwarded: StatusItem::No,
            delivered: StatusItem::No,
            deleted: StatusItem::No,
            reason,
            source: subject.source.clone(),
            created: subject.created,
            fragment: subject.fragment.map(|(Fragment { offset, .. }, len)| (offset, len)),
        }
    }

    fn write(&self, writer: &mut Writer) {
        writer.array(if self.fragment.is_some() { 6 } else { 4 }).array(4);
        [self.received, self.forwarded, self.delivered, self.deleted]
            .into_iter()
            .for_each(|item| item.write(writer));
        writer.unsigned(self.reason.0);
        self.source.write(writer);
        self.created.write(writer);
        if let Some((offset, len)) = self.fragment {
            writer.unsigned(offset).unsigned(len);
        }
    }

    fn read(reader: &mut Reader<'_>) -> Result<Self, CodecError> {
        let wrong = reader.invalid("a status report of 4 or 6 items");
        let items = reader.array(6)?;
        if items != 4 && items != 6 {
            return Err(wrong);
        }
        reader.tuple(4)?;
        Ok(Self {
            received: StatusItem::read(reader)?,
            forwarded: StatusItem::read(reader)?,
            delivered: StatusItem::read(reader)?,
            deleted: StatusItem::read(reader)?,
            reason: ReportReason::read(reader)?,
            source: EndpointId::read(reader)?,
            created: CreationTimestamp::read(reader)?,
            fragment: match items {
                6 => Some((reader.unsigned(u64::MAX)?, reader.unsigned(u64::MAX)?)),
                _ => None,
            },
        })
    }
}

impl StatusItem {
    fn write(self, writer: &mut Writer) {
        match self {
            Self::No => writer.array(1).boolean(false),
            Self::Yes => writer.array(1).boolean(true),
            Self::At(time) => writer.array(2).boolean(true).unsigned(time.dtn_ms()),
        };
    }

    fn read(reader: &mut Reader<'_>) -> Result<Self, CodecError> {
        let wrong = reader.invalid("[false], [true] or [true, time]");
        let items = reader.array(2)?;
        match (items, reader.boolean()?) {
            (1, false) => Ok(Self::No),
            (1, true) => Ok(Self::Yes),
            (2, true) => Ok(Self::At(Timestamp::from_dtn_ms(reader.unsigned(u64::MAX)?))),
            _ => Err(wrong),
        }
    }
}

impl AdminRecord {
    /// The payload of the bundle that carries it.
    pub fn encode(&self) -> Vec<u8> {
        let mut writer = Writer::new();
        writer.array(2);
        match self {
            Self::StatusReport(report) => report.write(writer.unsigned(STATUS_REPORT)),
            Self::Other { code, content } => _ = writer.unsigned(*code).raw(content),
        }
        writer.into_bytes()
    }

    /// Reads the payload of a bundle that says it is a record. What an unknown one holds is not
    /// looked at.
    pub fn decode(payload: &[u8]) -> Result<Self, BundleError> {
        Self::read(&mut Reader::new(payload)).map_err(Part::Record.malformed())
    }

    fn read(reader: &mut Reader<'_>) -> Result<Self, CodecError> {
        reader.tuple(2)?;
        match reader.unsigned(u64::MAX)? {
            STATUS_REPORT => {
                let report = StatusReport::read(reader)?;
                reader.clone().finish()?;
                Ok(Self::StatusReport(report))
            }
            code => Ok(Self::Other { code, content: reader.rest().to_vec() }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report() -> StatusReport {
        let source = "dtn://node/app".parse().expect("an endpoint");
        let created = CreationTimestamp { time: Timestamp::from_dtn_ms(1000), sequence: 3 };
        let mut report = StatusReport::about(
            &BundleKey { source, created, fragment: None },
            ReportReason::DEPLETED_STORAGE,
        );
        report.received = StatusItem::Yes;
        report.deleted = StatusItem::At(Timestamp::from_dtn_ms(2000));
        report
    }

    #[test]
    fn writes_the_form_of_section_6_1_1_and_reads_it_back() {
        let record = AdminRecord::StatusReport(report());
        let head = [0x82, 1, 0x84, 0x84, 0x81, 0xf5, 0x81, 0xf4, 0x81, 0xf4];
        let tail = [0x82, 0xf5, 0x19, 0x07, 0xd0, 4];
        let bytes = record.encode();
        assert_eq!(bytes[..16], [&head[..], &tail].concat());
        assert_eq!(AdminRecord::decode(&bytes), Ok(record));
        let fragment = StatusReport { fragment: Some((5, 6)), ..report() };
        let bytes = AdminRecord::StatusReport(fragment.clone()).encode();
        assert_eq!(bytes[2], 0x86);
        assert_eq!(AdminRecord::decode(&bytes), Ok(AdminRecord::StatusReport(fragment)));
    }

    #[test]
    fn refuses_what_has_another_form_and_keeps_unknown_records() {
        let good = AdminRecord::StatusReport(report()).encode();
        for end in 0..good.len() {
            assert!(AdminRecord::decode(&good[..end]).is_err(), "cut at {end}");
        }
        assert!(AdminRecord::decode(&[&good[..], &[0]].concat()).is_err());
        // An item that did not happen has no time.
        let mut timed = good.clone();
        timed[11] = 0xf4;
        assert!(AdminRecord::decode(&timed).is_err());
        let nothing = StatusReport { reason: ReportReason::from_code(255), ..report() };
        assert!(AdminRecord::decode(&AdminRecord::StatusReport(nothing).encode()).is_err());
        let other = AdminRecord::Other { code: 9, content: vec![0x83, 1, 2, 3] };
        assert_eq!(AdminRecord::decode(&other.encode()), Ok(other));
    }
}
