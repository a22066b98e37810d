//! Bundles whose payload is never in memory as a whole.
//!
//! [`StreamReader`] takes bytes in any pieces and gives the head, which is everything before the
//! payload's data, then the payload piece by piece, and says at the end that the CRC was right: what
//! was given before may not be used as if it were. Memory: the head.

use super::Limits;
use super::block::{Block, BlockType, Front};
use super::bundle::{Draft, Gathered, NewBlock};
use super::crc::{CrcState, CrcType};
use super::error::{BundleError, Part};
use super::primary::PrimaryBlock;
use crate::codec::{CodecErrorKind, Reader, Writer};

/// Longest end of a bundle: a CRC-32C and the end of the array.
const TAIL_BYTES_MAX: usize = 6;
/// Room for a block's head beside its data.
const FRONT_BYTES_MAX: usize = 64;

/// What a reader has found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StreamEvent<'b> {
    /// Everything before the payload's data.
    Head {
        /// The parts.
        head: Box<Draft>,
        /// Bytes of the payload that follow.
        payload_len: u64,
    },
    /// Some of the payload.
    Payload(&'b [u8]),
    /// The bundle has ended, and all of it was sound.
    End,
}

/// Reads one bundle.
#[derive(Debug)]
pub struct StreamReader {
    limits: Limits,
    state: State,
}

#[derive(Debug)]
enum State {
    Head(Box<Head>),
    Payload(Payload),
    Ended,
    /// An error was given; nothing is read any more.
    Failed,
}

/// What was read of a head.
#[derive(Debug, Default)]
struct Head {
    /// Bytes received of what is not whole yet.
    bytes: Vec<u8>,
    /// Bytes before these.
    passed: usize,
    gathered: Gathered,
    primary: Option<PrimaryBlock>,
    blocks: Vec<NewBlock>,
}

/// What was read of a payload.
#[derive(Debug)]
struct Payload {
    front: Front,
    crc: CrcState,
    left: u64,
    tail: Vec<u8>,
}

impl StreamReader {
    /// A reader of a bundle within `limits`.
    pub fn new(limits: Limits) -> Self {
        Self { limits, state: State::Head(Box::default()) }
    }

    /// Takes the next bytes. After an error, and after the end, every byte is an error.
    pub fn push<'b>(&mut self, bytes: &'b [u8]) -> Result<Vec<StreamEvent<'b>>, BundleError> {
        let mut events = Vec::new();
        let found = self.take(bytes, &mut events);
        if found.is_err() {
            self.state = State::Failed;
        }
        found.map(|()| events)
    }

    /// True once the whole bundle was read.
    pub const fn is_ended(&self) -> bool {
        matches!(self.state, State::Ended)
    }

    fn take<'b>(
        &mut self,
        mut bytes: &'b [u8],
        events: &mut Vec<StreamEvent<'b>>,
    ) -> Result<(), BundleError> {
        while !bytes.is_empty() {
            match &mut self.state {
                State::Head(head) => match head.take(&mut bytes, &self.limits)? {
                    None => return Ok(()),
                    Some((draft, payload)) => {
                        let payload_len = payload.left;
                        events.push(StreamEvent::Head { head: Box::new(draft), payload_len });
                        self.state = State::Payload(payload);
                    }
                },
                State::Payload(payload) => {
                    if let Some(piece) = payload.take(&mut bytes) {
                        events.push(StreamEvent::Payload(piece));
                    } else if payload.take_tail(&mut bytes)? {
                        events.push(StreamEvent::End);
                        self.state = State::Ended;
                    }
                }
                State::Ended | State::Failed => {
                    let trailing = Reader::new(bytes).error(CodecErrorKind::Trailing);
                    return Err(Part::Frame.malformed()(trailing));
                }
            }
        }
        Ok(())
    }
}

impl Head {
    /// Takes bytes up to the payload's data; gives the head once it is whole.
    fn take(
        &mut self,
        bytes: &mut &[u8],
        limits: &Limits,
    ) -> Result<Option<(Draft, Payload)>, BundleError> {
        // What was buffered before cannot hold the payload's data, so at most this piece does.
        let before = self.bytes.len();
        let room = (limits.head_bytes_max + FRONT_BYTES_MAX).saturating_sub(self.passed + before);
        self.bytes.extend_from_slice(&bytes[..bytes.len().min(room)]);
        loop {
            let (found, used) = match self.next(limits) {
                Err(BundleError::Malformed(_, error))
                    if error.kind == CodecErrorKind::Truncated =>
                {
                    if room < bytes.len() || self.passed + self.bytes.len() > limits.head_bytes_max
                    {
                        return Err(BundleError::HeadTooLong(limits.head_bytes_max));
                    }
                    *bytes = &[];
                    return Ok(None);
                }
                found => found?,
            };
            self.passed += used;
            if self.passed > limits.head_bytes_max {
                return Err(BundleError::HeadTooLong(limits.head_bytes_max));
            }
            if let Some(found) = found {
                // `used` of all that is buffered: the last of it came with these bytes.
                *bytes = &bytes[bytes.len().min(room) - (self.bytes.len() - used)..];
                return Ok(Some(found));
            }
            self.bytes.drain(..used);
        }
    }

    /// Reads one block from the front of what is buffered; says how many bytes it took.
    fn next(&mut self, limits: &Limits) -> Result<(Option<(Draft, Payload)>, usize), BundleError> {
        let mut reader = Reader::new(&self.bytes);
        let Some(primary) = &self.primary else {
            reader.open_indefinite().map_err(Part::Frame.malformed())?;
            self.primary = Some(PrimaryBlock::read(&mut reader)?);
            return Ok((None, reader.position()));
        };
        if reader.clone().at_break().map_err(Part::Frame.malformed())? {
            return Err(BundleError::PayloadNotLast);
        }
        let mut behind_front = reader.clone();
        let front = Front::read(&mut behind_front)?;
        if front.kind != BlockType::PAYLOAD {
            let block = Block::read(&mut reader, limits)?;
            let data = &self.bytes[block.data.clone()];
            self.gathered.add(&front, data, limits)?;
            let Front { kind, number, flags, crc } = front;
            self.blocks.push(NewBlock { kind, number, flags, crc, data: data.to_vec() });
            return Ok((None, reader.position()));
        }
        let mut reader = behind_front;
        let len = reader.bytes_head(limits.payload_bytes_max).map_err(front.part().malformed())?;
        self.gathered.add(&front, &[], limits)?;
        self.gathered.finish(primary, len)?;
        let mut crc = front.crc.start();
        crc.add(reader.since(0));
        let draft = Draft {
            primary: primary.clone(),
            blocks: std::mem::take(&mut self.blocks),
            payload_flags: front.flags,
            payload_crc: front.crc,
        };
        let payload = Payload { front, crc, left: len, tail: Vec::new() };
        Ok((Some((draft, payload)), reader.position()))
    }
}

impl Payload {
    /// Takes what `bytes` have of the payload; none once there is nothing left of it.
    fn take<'b>(&mut self, bytes: &mut &'b [u8]) -> Option<&'b [u8]> {
        if self.left == 0 {
            return None;
        }
        let here = bytes.len().min(usize::try_from(self.left).unwrap_or(usize::MAX));
        let (piece, rest) = bytes.split_at(here);
        self.crc.add(piece);
        self.left -= here as u64;
        *bytes = rest;
        Some(piece)
    }

    /// Takes the CRC and the end of the array; true once both are there and right.
    fn take_tail(&mut self, bytes: &mut &[u8]) -> Result<bool, BundleError> {
        let (crc, part) = (self.front.crc, self.front.part());
        let wanted = if crc.is_empty() { 1 } else { crc.len() + 2 };
        debug_assert!(wanted <= TAIL_BYTES_MAX);
        let here = bytes.len().min(wanted - self.tail.len());
        let (piece, rest) = bytes.split_at(here);
        self.tail.extend_from_slice(piece);
        *bytes = rest;
        if self.tail.len() < wanted {
            return Ok(false);
        }
        let mut reader = Reader::new(&self.tail);
        crc.compare(&mut reader, self.crc, part)?;
        let at = reader.error(CodecErrorKind::Expected("the end of the bundle"));
        match reader.at_break().map_err(Part::Frame.malformed())? {
            true => Ok(true),
            // A block behind the payload.
            false if reader.array(6).is_ok() => Err(BundleError::PayloadNotLast),
            false => Err(Part::Frame.malformed()(at)),
        }
    }
}

/// Writes one bundle around a payload that comes piece by piece.
#[derive(Debug)]
pub struct StreamWriter {
    crc: CrcState,
    kind: CrcType,
    promised: u64,
    found: u64,
}

impl StreamWriter {
    /// Begins a bundle; gives the bytes that stand before the payload's data.
    pub fn new(draft: &Draft, payload_len: u64) -> Result<(Self, Vec<u8>), BundleError> {
        draft.check(payload_len)?;
        let mut block = Writer::new();
        draft.payload_front().write(&mut block);
        block.bytes_head(payload_len);
        let front = block.into_bytes();
        let kind = draft.payload_crc;
        let mut crc = kind.start();
        crc.add(&front);
        let head = [draft.head(), front].concat();
        Ok((Self { crc, kind, promised: payload_len, found: 0 }, head))
    }

    /// Takes the next piece, which follows in the stream as it is.
    pub fn payload(&mut self, piece: &[u8]) {
        self.crc.add(piece);
        self.found = self.found.saturating_add(piece.len() as u64);
    }

    /// Ends the bundle; gives the bytes behind the payload's data.
    pub fn finish(self) -> Result<Vec<u8>, BundleError> {
        let Self { crc, kind, promised, found } = self;
        if promised != found {
            return Err(BundleError::PayloadLength { promised, found });
        }
        let field = if kind.is_empty() { Vec::new() } else { crc.field() };
        Ok([field, vec![0xff]].concat())
    }
}
