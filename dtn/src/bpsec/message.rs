//! COSE messages of one layer with a detached payload (RFC 9052): `[protected, unprotected, null]` and
//! a signature or a tag behind it, which encrypted ones do not have.
//!
//! Of the headers the algorithm (1), the key identifier (4) and both vectors (5, 6) are looked at, and
//! nothing else; a message that calls others critical (2) is refused.

use super::SecurityError;
use crate::codec::{CodecError, Reader, Writer};

/// Longest message.
const BYTES_MAX: usize = 16 * 1024;
const HEADERS_MAX: usize = 32;
const DEPTH_MAX: usize = 16;
const ALGORITHM: i64 = 1;
const CRITICAL: i64 = 2;
const KEY_ID: i64 = 4;
const IV: i64 = 5;
const PARTIAL_IV: i64 = 6;

/// Which message it is; the number is that of its tag, and the id of a result.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MessageKind {
    /// COSE_Encrypt0.
    Encrypt0,
    /// COSE_Mac0.
    Mac0,
    /// COSE_Sign1.
    Sign1,
}

/// A message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CoseMessage {
    /// Which one.
    pub kind: MessageKind,
    /// The protected headers, as they are covered.
    pub protected: Vec<u8>,
    /// The algorithm.
    pub algorithm: i64,
    /// Whose key.
    pub key_id: Option<Vec<u8>>,
    /// The initialisation vector.
    pub iv: Option<Vec<u8>>,
    /// The end of one, whose beginning goes with the key.
    pub partial_iv: Option<Vec<u8>>,
    /// The signature or the tag; empty for an encrypted message.
    pub proof: Vec<u8>,
}

/// What was found in a header map.
#[derive(Debug, Default)]
struct Headers {
    algorithm: Option<i64>,
    key_id: Option<Vec<u8>>,
    iv: Option<Vec<u8>>,
    partial_iv: Option<Vec<u8>>,
    is_critical: bool,
}

impl MessageKind {
    /// The id of the result that holds it.
    pub const fn result_id(self) -> u64 {
        match self {
            Self::Encrypt0 => 16,
            Self::Mac0 => 17,
            Self::Sign1 => 18,
        }
    }

    /// The message of a result.
    pub const fn of_result(id: u64) -> Option<Self> {
        match id {
            16 => Some(Self::Encrypt0),
            17 => Some(Self::Mac0),
            18 => Some(Self::Sign1),
            _ => None,
        }
    }

    /// What the structure that is signed, tagged or encrypted with begins with.
    pub const fn context(self) -> &'static str {
        match self {
            Self::Encrypt0 => "Encrypt0",
            Self::Mac0 => "MAC0",
            Self::Sign1 => "Signature1",
        }
    }
}

impl CoseMessage {
    /// A message by an algorithm and a key, without its proof.
    pub fn new(kind: MessageKind, algorithm: i64, key_id: Vec<u8>) -> Self {
        let mut protected = Writer::new();
        protected.map(1).signed(ALGORITHM).signed(algorithm);
        let (iv, partial_iv, proof) = (None, None, Vec::new());
        let (key_id, protected) = (Some(key_id), protected.into_bytes());
        Self { kind, protected, algorithm, key_id, iv, partial_iv, proof }
    }

    /// The value of the result: a byte string that holds the message.
    pub fn encode(&self) -> Vec<u8> {
        let mut message = Writer::new();
        let has_proof = self.kind != MessageKind::Encrypt0;
        message.array(if has_proof { 4 } else { 3 }).bytes(&self.protected);
        let headers = [(KEY_ID, &self.key_id), (IV, &self.iv), (PARTIAL_IV, &self.partial_iv)];
        let headers: Vec<_> =
            headers.into_iter().filter_map(|(id, it)| Some((id, it.as_ref()?))).collect();
        message.map(headers.len());
        headers.into_iter().for_each(|(id, value)| _ = message.signed(id).bytes(value));
        message.null();
        if has_proof {
            message.bytes(&self.proof);
        }
        let mut value = Writer::new();
        value.bytes(&message.into_bytes());
        value.into_bytes()
    }

    /// Reads the value of a result. Headers of `additional`, which all results of a block share, hold
    /// where the message has none of their label.
    pub fn decode(
        kind: MessageKind,
        value: &[u8],
        additional: &[&[u8]],
    ) -> Result<Self, SecurityError> {
        let mut reader = Reader::new(value);
        let message = reader.bytes(BYTES_MAX)?;
        reader.finish()?;
        let mut reader = Reader::new(message);
        let has_proof = kind != MessageKind::Encrypt0;
        reader.tuple(if has_proof { 4 } else { 3 })?;
        let protected = reader.bytes(BYTES_MAX)?.to_vec();
        let mut headers = Headers::default();
        headers.read_serialised(&protected)?;
        headers.read(&mut reader)?;
        let mut shared = Headers::default();
        additional.iter().try_for_each(|map| shared.read_serialised(map))?;
        headers.add_missing(shared);
        let attached = reader.invalid("null in place of a detached payload");
        if !reader.null()? {
            return Err(attached.into());
        }
        let proof = if has_proof { reader.bytes(BYTES_MAX)?.to_vec() } else { Vec::new() };
        let end = reader.invalid("an algorithm in the headers");
        reader.finish()?;
        if headers.is_critical {
            return Err(SecurityError::Critical);
        }
        let Headers { algorithm, key_id, iv, partial_iv, .. } = headers;
        let algorithm = algorithm.ok_or(end)?;
        Ok(Self { kind, protected, algorithm, key_id, iv, partial_iv, proof })
    }
}

impl Headers {
    /// Adds the headers of an encoded map; no bytes are none.
    fn read_serialised(&mut self, map: &[u8]) -> Result<(), CodecError> {
        if map.is_empty() {
            return Ok(());
        }
        let mut reader = Reader::new(map);
        self.read(&mut reader)?;
        reader.finish()
    }

    fn add_missing(&mut self, shared: Self) {
        self.algorithm = self.algorithm.or(shared.algorithm);
        self.key_id = self.key_id.take().or(shared.key_id);
        self.is_critical |= shared.is_critical;
        // Both vectors say one thing.
        if self.iv.is_none() && self.partial_iv.is_none() {
            (self.iv, self.partial_iv) = (shared.iv, shared.partial_iv);
        }
    }

    /// Adds the headers of a map; none may stand there twice.
    fn read(&mut self, reader: &mut Reader<'_>) -> Result<(), CodecError> {
        for _ in 0..reader.pairs(HEADERS_MAX)? {
            let twice = reader.invalid("each header once");
            // Labels that are texts are none that are looked at.
            let label = reader.clone().signed().ok();
            if label.is_some() {
                reader.signed()?;
            } else {
                reader.any(0)?;
            }
            let slot = match label {
                Some(ALGORITHM) if self.algorithm.is_none() => {
                    self.algorithm = Some(reader.signed()?);
                    continue;
                }
                Some(ALGORITHM) => return Err(twice),
                Some(CRITICAL) => {
                    self.is_critical = true;
                    reader.any(DEPTH_MAX)?;
                    continue;
                }
                Some(KEY_ID) => &mut self.key_id,
                Some(IV) => &mut self.iv,
                Some(PARTIAL_IV) => &mut self.partial_iv,
                _ => {
                    reader.any(DEPTH_MAX)?;
                    continue;
                }
            };
            if slot.replace(reader.bytes(BYTES_MAX)?.to_vec()).is_some() {
                return Err(twice);
            }
        }
        Ok(())
    }
}
