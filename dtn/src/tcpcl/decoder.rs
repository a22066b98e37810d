//! Decoder: takes messages from a stream that comes in any cuts.
//!
//! Keeps nothing but the head of the message under way, whose length is known
//! and bounded before it grows; the data of segments pass by as slices of what
//! came. After an error the stream is beyond repair.

use super::code::{RefuseReason, RejectReason, SegmentFlags, TerminateReason, TransferId};
use super::config::NodeId;
use super::extension::ExtensionList;
use super::message::{
    Ack, CONTACT_BYTES, ContactHeader, Farewell, KEEPALIVE, MAGIC, MSG_REJECT, Message, SESS_INIT,
    SESS_TERM, SegmentHead, SessionInit, XFER_ACK, XFER_REFUSE, XFER_SEGMENT,
};

/// What the other side may make us keep or wait for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DecodeLimits {
    /// Most bytes of a node id.
    pub node_id_bytes_max: usize,
    /// Most bytes of the extension items of one message.
    pub extension_bytes_max: usize,
    /// Most bytes of data of one segment.
    pub segment_bytes_max: u64,
}

/// A piece of the stream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Piece<'a> {
    /// The contact header, once, before all else.
    Contact(ContactHeader),
    /// A message. After the head of a segment come its data and its end.
    Message(Message),
    /// Some of a segment's data.
    Data(&'a [u8]),
    /// A segment's data are complete.
    SegmentEnd,
}

/// Why bytes are not a stream of messages.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum DecodeError {
    /// They do not begin with `dtn!`.
    #[error("the stream does not begin with dtn!")]
    Magic,
    /// No message has this type.
    #[error("unknown type of message {0}")]
    Kind(u8),
    /// A node id is above the limit; holds its length.
    #[error("a node id of {0} bytes is above the limit")]
    NodeIdLength(u16),
    /// A node id is not UTF-8.
    #[error("a node id is not UTF-8")]
    NodeIdText,
    /// The items of a SESS_INIT are above the limit; holds their length.
    #[error("session extension items of {0} bytes are above the limit")]
    SessionExtensions(u32),
    /// The items of a transfer are above the limit; holds their length.
    #[error("transfer extension items of {0} bytes are above the limit")]
    TransferExtensions(u32),
    /// A segment is above the limit; holds its length.
    #[error("a segment of {0} bytes is above the limit")]
    SegmentLength(u64),
}

/// Takes pieces from a stream. See the module for what it keeps.
#[derive(Debug)]
pub struct Decoder {
    limits: DecodeLimits,
    state: State,
    /// The head under way.
    head: Vec<u8>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Contact,
    Message,
    Data { left: u64 },
}

impl Decoder {
    /// A decoder at the start of a stream.
    pub const fn new(limits: DecodeLimits) -> Self {
        Self { limits, state: State::Contact, head: vec![] }
    }

    /// Takes the next piece from the front of `input`; none when it is empty
    /// and nothing is complete.
    pub fn next_piece<'a>(
        &mut self,
        input: &mut &'a [u8],
    ) -> Result<Option<Piece<'a>>, DecodeError> {
        match self.state {
            State::Contact => self.next_contact(input),
            State::Message => self.next_message(input),
            State::Data { left: 0 } => {
                self.state = State::Message;
                Ok(Some(Piece::SegmentEnd))
            }
            State::Data { left } => Ok(self.next_data(input, left)),
        }
    }

    /// Bytes kept: part of a head.
    pub fn kept_bytes(&self) -> usize {
        self.head.len()
    }

    fn next_contact<'a>(&mut self, input: &mut &[u8]) -> Result<Option<Piece<'a>>, DecodeError> {
        let complete = self.fill(input, CONTACT_BYTES);
        if self.head.iter().zip(MAGIC).any(|(&found, expected)| found != expected) {
            return Err(DecodeError::Magic);
        }
        if !complete {
            return Ok(None);
        }
        let mut head = self.head.as_slice();
        let _magic: [u8; MAGIC.len()] = field(&mut head);
        let [version, flags] = field(&mut head);
        self.head.clear();
        self.state = State::Message;
        Ok(Some(Piece::Contact(ContactHeader::read(version, flags))))
    }

    fn next_message<'a>(&mut self, input: &mut &[u8]) -> Result<Option<Piece<'a>>, DecodeError> {
        loop {
            let needed = self.limits.head_bytes(&self.head)?;
            if needed == self.head.len() {
                break;
            }
            if !self.fill(input, needed) {
                return Ok(None);
            }
        }
        let message = self.limits.read(&self.head)?;
        self.head.clear();
        if let Message::Segment(head) = &message {
            self.state = State::Data { left: head.data_bytes };
        }
        Ok(Some(Piece::Message(message)))
    }

    fn next_data<'a>(&mut self, input: &mut &'a [u8], left: u64) -> Option<Piece<'a>> {
        let len = usize::try_from(left).unwrap_or(usize::MAX).min(input.len());
        let (data, rest) = input.split_at_checked(len)?;
        if data.is_empty() {
            return None;
        }
        *input = rest;
        self.state = State::Data { left: left - data.len() as u64 };
        Some(Piece::Data(data))
    }

    /// Fills the head up to `needed` bytes; true when it has them.
    fn fill(&mut self, input: &mut &[u8], needed: usize) -> bool {
        let len = needed.saturating_sub(self.head.len()).min(input.len());
        let (taken, rest) = input.split_at(len);
        self.head.extend_from_slice(taken);
        *input = rest;
        self.head.len() >= needed
    }
}

impl DecodeLimits {
    /// How long a head is, as far as its first bytes tell: it is complete when
    /// it has so many.
    fn head_bytes(&self, head: &[u8]) -> Result<usize, DecodeError> {
        let Some(&kind) = head.first() else {
            return Ok(1);
        };
        match kind {
            KEEPALIVE => Ok(1),
            SESS_TERM | MSG_REJECT => Ok(3),
            XFER_REFUSE => Ok(10),
            XFER_ACK => Ok(18),
            SESS_INIT => self.init_bytes(head),
            XFER_SEGMENT => self.segment_head_bytes(head),
            _ => Err(DecodeError::Kind(kind)),
        }
    }

    fn init_bytes(&self, head: &[u8]) -> Result<usize, DecodeError> {
        const FIXED: usize = 1 + 2 + 8 + 8;
        let Some(&len) = head.get(FIXED..).and_then(<[u8]>::first_chunk) else {
            return Ok(FIXED + 2);
        };
        let len = u16::from_be_bytes(len);
        let node_id_bytes = usize::from(len);
        if node_id_bytes > self.node_id_bytes_max {
            return Err(DecodeError::NodeIdLength(len));
        }
        let at = FIXED + 2 + node_id_bytes;
        let Some(&len) = head.get(at..).and_then(<[u8]>::first_chunk) else {
            return Ok(at + 4);
        };
        let len = u32::from_be_bytes(len);
        let bytes = self.extension_bytes(len).ok_or(DecodeError::SessionExtensions(len))?;
        Ok(at + 4 + bytes)
    }

    fn segment_head_bytes(&self, head: &[u8]) -> Result<usize, DecodeError> {
        const FIXED: usize = 1 + 1 + 8;
        let Some(&flags) = head.get(1) else {
            return Ok(FIXED);
        };
        if !SegmentFlags::from_bits(flags).starts() {
            return Ok(FIXED + 8);
        }
        let Some(&len) = head.get(FIXED..).and_then(<[u8]>::first_chunk) else {
            return Ok(FIXED + 4);
        };
        let len = u32::from_be_bytes(len);
        let bytes = self.extension_bytes(len).ok_or(DecodeError::TransferExtensions(len))?;
        Ok(FIXED + 4 + bytes + 8)
    }

    /// The length of extension items; none if it is above the limit.
    fn extension_bytes(&self, len: u32) -> Option<usize> {
        usize::try_from(len).ok().filter(|&bytes| bytes <= self.extension_bytes_max)
    }

    /// Reads a complete head.
    fn read(&self, head: &[u8]) -> Result<Message, DecodeError> {
        let mut rest = head;
        let [kind] = field(&mut rest);
        Ok(match kind {
            SESS_INIT => Message::Init(read_init(&mut rest)?),
            XFER_SEGMENT => Message::Segment(self.read_segment(&mut rest)?),
            XFER_ACK => Message::Ack(read_ack(&mut rest)),
            XFER_REFUSE => {
                let [reason] = field(&mut rest);
                Message::Refuse { reason: RefuseReason::from_code(reason), id: id(&mut rest) }
            }
            SESS_TERM => {
                let [flags, reason] = field(&mut rest);
                let reason = TerminateReason::from_code(reason);
                Message::Terminate { farewell: Farewell::read(flags), reason }
            }
            MSG_REJECT => {
                let [reason, kind] = field(&mut rest);
                Message::Reject { reason: RejectReason::from_code(reason), kind }
            }
            _ => Message::Keepalive,
        })
    }

    fn read_segment(&self, rest: &mut &[u8]) -> Result<SegmentHead, DecodeError> {
        let [flags] = field(rest);
        let flags = SegmentFlags::from_bits(flags);
        let id = id(rest);
        let extensions = if flags.starts() { extensions(rest) } else { ExtensionList::default() };
        let data_bytes = u64::from_be_bytes(field(rest));
        if data_bytes > self.segment_bytes_max {
            return Err(DecodeError::SegmentLength(data_bytes));
        }
        Ok(SegmentHead { flags, id, extensions, data_bytes })
    }
}

fn read_init(rest: &mut &[u8]) -> Result<SessionInit, DecodeError> {
    let keepalive_s = u16::from_be_bytes(field(rest));
    let segment_mru = u64::from_be_bytes(field(rest));
    let transfer_mru = u64::from_be_bytes(field(rest));
    let len = usize::from(u16::from_be_bytes(field(rest)));
    let text = str::from_utf8(slice(rest, len)).map_err(|_| DecodeError::NodeIdText)?;
    let node_id = NodeId::new(text).ok();
    let extensions = extensions(rest);
    Ok(SessionInit { keepalive_s, segment_mru, transfer_mru, node_id, extensions })
}

fn read_ack(rest: &mut &[u8]) -> Ack {
    let [flags] = field(rest);
    let flags = SegmentFlags::from_bits(flags);
    Ack { flags, id: id(rest), length: u64::from_be_bytes(field(rest)) }
}

fn id(rest: &mut &[u8]) -> TransferId {
    TransferId::from_number(u64::from_be_bytes(field(rest)))
}

fn extensions(rest: &mut &[u8]) -> ExtensionList {
    let len = u32::from_be_bytes(field(rest));
    let len = usize::try_from(len).expect("the length of items was checked");
    ExtensionList::from_bytes(slice(rest, len).to_vec())
}

/// Takes a field of fixed length from a complete head.
fn field<const LEN: usize>(rest: &mut &[u8]) -> [u8; LEN] {
    let (field, tail) = rest.split_first_chunk().expect("a complete head has all its fields");
    *rest = tail;
    *field
}

/// Takes `len` bytes from a complete head.
fn slice<'a>(rest: &mut &'a [u8], len: usize) -> &'a [u8] {
    let (slice, tail) = rest.split_at_checked(len).expect("a complete head has all its fields");
    *rest = tail;
    slice
}
