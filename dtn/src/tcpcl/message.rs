//! Messages: what two sides of a session say, and how it is written.
//!
//! A contact header (section 4.2) opens each direction; messages with a type
//! octet (section 4.5) follow. Of XFER_SEGMENT only the head is a message
//! here, its data passes by (see [`super::Piece`]). Numbers are big-endian;
//! reserved flags are written as zero and ignored when read.

use super::code::{RefuseReason, RejectReason, SegmentFlags, TerminateReason, TransferId};
use super::config::NodeId;
use super::extension::ExtensionList;

/// What every contact header begins with.
pub(super) const MAGIC: [u8; 4] = *b"dtn!";
/// The version of TCPCL that this module speaks.
pub(super) const VERSION: u8 = 4;
/// Length of a contact header.
pub(super) const CONTACT_BYTES: usize = 6;

/// Type of XFER_SEGMENT.
pub(super) const XFER_SEGMENT: u8 = 0x01;
/// Type of XFER_ACK.
pub(super) const XFER_ACK: u8 = 0x02;
/// Type of XFER_REFUSE.
pub(super) const XFER_REFUSE: u8 = 0x03;
/// Type of KEEPALIVE.
pub(super) const KEEPALIVE: u8 = 0x04;
/// Type of SESS_TERM.
pub(super) const SESS_TERM: u8 = 0x05;
/// Type of MSG_REJECT.
pub(super) const MSG_REJECT: u8 = 0x06;
/// Type of SESS_INIT.
pub(super) const SESS_INIT: u8 = 0x07;

const CAN_TLS: u8 = 0x01;
const REPLY: u8 = 0x01;

/// The contact header (section 4.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ContactHeader {
    /// The version that its sender speaks.
    pub version: u8,
    /// True when its sender speaks TLS.
    pub can_tls: bool,
}

/// A message (section 4.5).
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Message {
    /// SESS_INIT: what its sender wants of the session.
    Init(SessionInit),
    /// XFER_SEGMENT: the head of a segment, whose data follow.
    Segment(SegmentHead),
    /// XFER_ACK: a segment was received.
    Ack(Ack),
    /// XFER_REFUSE: a transfer is not wanted.
    Refuse {
        /// Why.
        reason: RefuseReason,
        /// Which.
        id: TransferId,
    },
    /// KEEPALIVE: its sender is there.
    Keepalive,
    /// SESS_TERM: the session ends.
    Terminate {
        /// Whether it is an answer.
        farewell: Farewell,
        /// Why.
        reason: TerminateReason,
    },
    /// MSG_REJECT: a message was of no use.
    Reject {
        /// Why.
        reason: RejectReason,
        /// The type of the message.
        kind: u8,
    },
}

/// What one side wants of a session (section 4.6).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SessionInit {
    /// Its keepalive interval in seconds; zero for none.
    pub keepalive_s: u16,
    /// Most bytes of a segment to it.
    pub segment_mru: u64,
    /// Most bytes of a bundle to it.
    pub transfer_mru: u64,
    /// Its node id, unless it keeps it to itself.
    pub node_id: Option<NodeId>,
    /// Its session extension items.
    pub extensions: ExtensionList,
}

/// The head of a segment (section 5.2.2).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SegmentHead {
    /// Whether it is the first or the last one.
    pub flags: SegmentFlags,
    /// The transfer that it belongs to.
    pub id: TransferId,
    /// The items of a first segment; empty and not written with others.
    pub extensions: ExtensionList,
    /// Bytes of data that follow.
    pub data_bytes: u64,
}

/// The acknowledgement of a segment (section 5.2.3).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ack {
    /// The flags of the segment.
    pub flags: SegmentFlags,
    /// Its transfer.
    pub id: TransferId,
    /// Bytes of the transfer received up to its end.
    pub length: u64,
}

/// Who of two says goodbye first (section 6.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Farewell {
    /// The sender does.
    First,
    /// The sender answers.
    Reply,
}

impl ContactHeader {
    /// The header's bytes.
    pub fn encode(self) -> [u8; CONTACT_BYTES] {
        let [m0, m1, m2, m3] = MAGIC;
        [m0, m1, m2, m3, self.version, if self.can_tls { CAN_TLS } else { 0 }]
    }

    /// Reads what follows the magic.
    pub(super) const fn read(version: u8, flags: u8) -> Self {
        Self { version, can_tls: flags & CAN_TLS != 0 }
    }
}

impl Farewell {
    /// Reads the flags of a SESS_TERM.
    pub(super) const fn read(flags: u8) -> Self {
        if flags & REPLY != 0 { Self::Reply } else { Self::First }
    }

    const fn flags(self) -> u8 {
        match self {
            Self::First => 0,
            Self::Reply => REPLY,
        }
    }
}

impl Message {
    /// The type octet.
    pub const fn kind(&self) -> u8 {
        match self {
            Self::Init(_) => SESS_INIT,
            Self::Segment(_) => XFER_SEGMENT,
            Self::Ack(_) => XFER_ACK,
            Self::Refuse { .. } => XFER_REFUSE,
            Self::Keepalive => KEEPALIVE,
            Self::Terminate { .. } => SESS_TERM,
            Self::Reject { .. } => MSG_REJECT,
        }
    }

    /// The message's bytes; of a segment, those before its data.
    pub fn encode(&self) -> Vec<u8> {
        let mut bytes = vec![self.kind()];
        match self {
            Self::Init(init) => write_init(&mut bytes, init),
            Self::Segment(head) => write_segment(&mut bytes, head),
            Self::Ack(ack) => {
                bytes.push(ack.flags.bits());
                bytes.extend(ack.id.number().to_be_bytes());
                bytes.extend(ack.length.to_be_bytes());
            }
            Self::Refuse { reason, id } => {
                bytes.push(reason.code());
                bytes.extend(id.number().to_be_bytes());
            }
            Self::Keepalive => {}
            Self::Terminate { farewell, reason } => {
                bytes.extend([farewell.flags(), reason.code()]);
            }
            Self::Reject { reason, kind } => bytes.extend([reason.code(), *kind]),
        }
        bytes
    }
}

fn write_init(bytes: &mut Vec<u8>, init: &SessionInit) {
    bytes.extend(init.keepalive_s.to_be_bytes());
    bytes.extend(init.segment_mru.to_be_bytes());
    bytes.extend(init.transfer_mru.to_be_bytes());
    let node_id = init.node_id.as_ref().map(NodeId::as_str).unwrap_or_default();
    let len = u16::try_from(node_id.len()).expect("a node id has at most 65,535 bytes");
    bytes.extend(len.to_be_bytes());
    bytes.extend(node_id.as_bytes());
    write_extensions(bytes, &init.extensions);
}

fn write_segment(bytes: &mut Vec<u8>, head: &SegmentHead) {
    bytes.push(head.flags.bits());
    bytes.extend(head.id.number().to_be_bytes());
    if head.flags.starts() {
        write_extensions(bytes, &head.extensions);
    }
    bytes.extend(head.data_bytes.to_be_bytes());
}

fn write_extensions(bytes: &mut Vec<u8>, list: &ExtensionList) {
    let items = list.as_bytes();
    let len = u32::try_from(items.len()).expect("extension items have less than 4 GiB");
    bytes.extend(len.to_be_bytes());
    bytes.extend(items);
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Octets as they stand in the figures of the RFC, field by field.
    fn octets(fields: &[&str]) -> Vec<u8> {
        let text = fields.concat().replace(' ', "");
        let digits = text.as_bytes().chunks(2);
        digits.map(|pair| u8::from_str_radix(str::from_utf8(pair).unwrap(), 16).unwrap()).collect()
    }

    #[test]
    fn writes_the_contact_header_of_section_4_2() {
        for (can_tls, flags) in [(false, "00"), (true, "01")] {
            let header = ContactHeader { version: VERSION, can_tls };
            assert_eq!(header.encode()[..], octets(&["64 74 6E 21", "04", flags]));
        }
    }

    #[test]
    fn writes_sess_init_of_section_4_6() {
        let mut init = SessionInit {
            keepalive_s: 0x1234,
            segment_mru: 0x10000,
            transfer_mru: u64::MAX,
            node_id: Some(NodeId::new("dtn://b/").unwrap()),
            extensions: ExtensionList::from_bytes(vec![0, 0, 9, 0, 1, 0xaa]),
        };
        let fixed = ["07", "1234", "0000000000010000", "FFFFFFFFFFFFFFFF"];
        let named = ["0008", "64746E3A2F2F622F", "00000006", "00 0009 0001 AA"];
        let written = Message::Init(init.clone()).encode();
        assert_eq!(written, octets(&[fixed.concat().as_str(), named.concat().as_str()]));
        (init.node_id, init.extensions) = (None, ExtensionList::default());
        let written = Message::Init(init).encode();
        assert_eq!(written, octets(&[fixed.concat().as_str(), "0000", "00000000"]));
    }

    #[test]
    fn writes_xfer_segment_of_section_5_2_2() {
        let (id, data_bytes) = (TransferId::from_number(7), 3);
        let head = |flags, extensions| SegmentHead { flags, id, extensions, data_bytes };
        let length = ExtensionList::of_length(9);
        let id_octets = "0000000000000007";
        for (head, fields) in [
            (
                head(SegmentFlags::START, length),
                &["01 02", id_octets, "0000000D", "00 0001 0008 0000000000000009"][..],
            ),
            (head(SegmentFlags::MIDDLE, ExtensionList::default()), &["01 00", id_octets]),
            (head(SegmentFlags::END, ExtensionList::default()), &["01 01", id_octets]),
            (
                head(SegmentFlags::from_bits(3), ExtensionList::default()),
                &["01 03", id_octets, "00000000"],
            ),
        ] {
            let fields = [fields, &["0000000000000003"]].concat();
            assert_eq!(Message::Segment(head).encode(), octets(&fields));
        }
    }

    #[test]
    fn writes_the_small_messages_of_sections_5_and_6() {
        let id = TransferId::from_number(0x0102_0304_0506_0708);
        for (message, fields) in [
            (
                Message::Ack(Ack { flags: SegmentFlags::END, id, length: 800 }),
                &["02 01", "0102030405060708", "0000000000000320"][..],
            ),
            (
                Message::Refuse { reason: RefuseReason::NO_RESOURCES, id },
                &["03 02", "0102030405060708"],
            ),
            (Message::Keepalive, &["04"]),
            (
                Message::Terminate { farewell: Farewell::First, reason: TerminateReason::BUSY },
                &["05 00 03"],
            ),
            (
                Message::Terminate { farewell: Farewell::Reply, reason: TerminateReason::UNKNOWN },
                &["05 01 00"],
            ),
            (Message::Reject { reason: RejectReason::UNEXPECTED, kind: 7 }, &["06 03 07"]),
        ] {
            assert_eq!(message.encode(), octets(fields), "{message:?}");
        }
    }
}
