//! The integrity block: what the author vouches for.
//!
//! A CBOR array `[2, header hash, payload hash, payload length]`; hashes are blake3 over the header
//! bytes and the payload. One small block that a signature is over ([`super::security`]) instead of
//! header and payload, so that heads can be checked, and payloads resumed, without one another; the
//! signature binds the primary block as well. Hop count and bundle age change in transit and are
//! outside.

use super::error::{BlockKind, BundleError};
use crate::codec::{CodecError, Reader, Writer};
use crate::hash::ContentHash;

/// Largest integrity block data: two hashes, heads and a length.
pub(super) const INTEGRITY_BYTES_MAX: usize = 96;
const VERSION: u64 = 2;

/// What the author vouches for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Claims {
    pub header: ContentHash,
    pub payload: ContentHash,
    pub payload_len: u64,
}

impl Claims {
    /// The block's data.
    pub fn encode(&self) -> Vec<u8> {
        let mut writer = Writer::new();
        writer.array(4).unsigned(VERSION);
        writer.bytes(self.header.as_bytes()).bytes(self.payload.as_bytes());
        writer.unsigned(self.payload_len);
        writer.into_bytes()
    }

    /// Reads the block's data.
    pub fn decode(data: &[u8]) -> Result<Self, BundleError> {
        Self::read(data).map_err(BlockKind::Integrity.error())
    }

    fn read(data: &[u8]) -> Result<Self, CodecError> {
        let mut reader = Reader::new(data);
        reader.tuple(4)?;
        let at = reader.invalid("version 2");
        if reader.unsigned(u64::MAX)? != VERSION {
            return Err(at);
        }
        let claims = Self {
            header: ContentHash::from_bytes(reader.fixed()?),
            payload: ContentHash::from_bytes(reader.fixed()?),
            payload_len: reader.unsigned(u64::MAX)?,
        };
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

    fn claims() -> Claims {
        let (header, payload) = (ContentHash::of(b"header"), ContentHash::of(b"payload"));
        Claims { header, payload, payload_len: 7 }
    }

    #[test]
    fn reads_back_what_it_encodes_within_its_limit() {
        for claims in [claims(), Claims { payload_len: u64::MAX, ..claims() }] {
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
        let good = claims().encode();
        for end in 0..good.len() {
            assert!(Claims::decode(&good[..end]).is_err(), "cut at {end}");
        }
        for bit in 0..good.len() * 8 {
            let mut data = good.clone();
            data[bit / 8] ^= 1 << (bit % 8);
            assert_ne!(Claims::decode(&data), Ok(claims()), "bit {bit}");
        }
    }
}
