//! The integrity block: what the author vouches for.
//!
//! A CBOR array `[2, header hash, payload hash, payload length]`; hashes are blake3 over the header
//! bytes and the payload. Of an encrypted bundle `[3, header hash, payload hash, payload length, key id,
//! salted root]`, where both hashes are of ciphertexts ([`super::confidential`]). One small block that a signature is over ([`super::security`]) instead of
//! header and payload, so that heads can be checked, and payloads resumed, without one another; the
//! signature binds the primary block as well. Hop count and bundle age change in transit and are
//! outside.

use super::confidential::Confidential;
use super::error::{BlockKind, BundleError};
use crate::codec::{CodecError, Reader, Writer};
use crate::hash::ContentHash;

/// Largest integrity block data: three hashes, an id, heads and a length.
pub(super) const INTEGRITY_BYTES_MAX: usize = 144;
const CLEAR: u64 = 2;
const ENCRYPTED: u64 = 3;

/// What the author vouches for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Claims {
    pub header: ContentHash,
    pub payload: ContentHash,
    pub payload_len: u64,
    /// How header and payload are encrypted, if they are.
    pub confidential: Option<Confidential>,
}

impl Claims {
    /// What is true of a header and a payload as they travel.
    pub fn of((header, payload): (&[u8], &[u8]), confidential: Option<Confidential>) -> Self {
        Self {
            header: ContentHash::of(header),
            payload: ContentHash::of(payload),
            payload_len: payload.len() as u64,
            confidential,
        }
    }

    /// The block's data.
    pub fn encode(&self) -> Vec<u8> {
        let mut writer = Writer::new();
        match self.confidential {
            None => writer.array(4).unsigned(CLEAR),
            Some(_) => writer.array(6).unsigned(ENCRYPTED),
        };
        writer.bytes(self.header.as_bytes()).bytes(self.payload.as_bytes());
        writer.unsigned(self.payload_len);
        if let Some(confidential) = &self.confidential {
            confidential.write(&mut writer);
        }
        writer.into_bytes()
    }

    /// Reads the block's data.
    pub fn decode(data: &[u8]) -> Result<Self, BundleError> {
        Self::read(data).map_err(BlockKind::Integrity.error())
    }

    fn read(data: &[u8]) -> Result<Self, CodecError> {
        let mut reader = Reader::new(data);
        let is_encrypted = reader.clone().tuple(6).is_ok();
        reader.tuple(if is_encrypted { 6 } else { 4 })?;
        let at = reader.invalid("version 2, or 3 of six items");
        if reader.unsigned(u64::MAX)? != if is_encrypted { ENCRYPTED } else { CLEAR } {
            return Err(at);
        }
        let mut claims = Self {
            header: ContentHash::from_bytes(reader.fixed()?),
            payload: ContentHash::from_bytes(reader.fixed()?),
            payload_len: reader.unsigned(u64::MAX)?,
            confidential: None,
        };
        if is_encrypted {
            claims.confidential = Some(Confidential::read(&mut reader)?);
        }
        reader.finish()?;
        Ok(claims)
    }

    /// Checks that `header` is the one vouched for.
    pub fn check_header(&self, header: &[u8]) -> Result<(), BundleError> {
        match ContentHash::of(header) == self.header {
            true => Ok(()),
            false => Err(BundleError::Hash(BlockKind::UpdateHeader)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::keyring::KeyId;

    fn claims() -> Claims {
        let (header, payload) = (ContentHash::of(b"header"), ContentHash::of(b"payload"));
        Claims { header, payload, payload_len: 7, confidential: None }
    }

    fn encrypted() -> Claims {
        let (key, root) = (KeyId::from_bytes([7; 16]), ContentHash::of(b"root"));
        Claims { confidential: Some(Confidential { key, root }), ..claims() }
    }

    #[test]
    fn reads_back_what_it_encodes_within_its_limit() {
        let longest = [claims(), encrypted()].map(|it| Claims { payload_len: u64::MAX, ..it });
        for claims in [claims(), encrypted()].into_iter().chain(longest) {
            let data = claims.encode();
            assert!(data.len() <= INTEGRITY_BYTES_MAX);
            assert_eq!(Claims::decode(&data), Ok(claims));
        }
    }

    #[test]
    fn tells_its_header_from_others_and_has_one_form() {
        assert_eq!(claims().check_header(b"header"), Ok(()));
        assert_eq!(
            claims().check_header(b"Header"),
            Err(BundleError::Hash(BlockKind::UpdateHeader))
        );
        for claims in [claims(), encrypted()] {
            let good = claims.encode();
            for end in 0..good.len() {
                assert!(Claims::decode(&good[..end]).is_err(), "cut at {end}");
            }
            for bit in 0..good.len() * 8 {
                let mut data = good.clone();
                data[bit / 8] ^= 1 << (bit % 8);
                assert_ne!(Claims::decode(&data), Ok(claims), "bit {bit}");
            }
        }
    }
}
