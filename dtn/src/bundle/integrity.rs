//! The integrity block: what the author signs.
//!
//! A CBOR array `[1, primary hash, header hash, payload hash, payload length,
//! signature]`; hashes are blake3 over the encoded primary block, the header
//! bytes and the payload. The Ed25519 signature covers, in
//! [`Domain::Bundle`], the same array without its last item. Hop count and
//! bundle age change in transit and are outside.

use super::error::{BlockKind, BundleError};
use crate::codec::{CodecError, Reader, Writer};
use crate::hash::ContentHash;
use crate::identity::{Domain, PeerId, SecretKey, Signature};

/// Largest integrity block data: 3 hashes, a signature, heads and a length.
pub(super) const INTEGRITY_BYTES_MAX: usize = 192;
const VERSION: u64 = 1;

/// What the author vouches for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Claims {
    pub primary: ContentHash,
    pub header: ContentHash,
    pub payload: ContentHash,
    pub payload_len: u64,
}

/// Claims with the author's signature.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Integrity {
    pub claims: Claims,
    signature: Signature,
}

impl Claims {
    /// Signs the claims.
    pub fn sign(self, key: &SecretKey) -> Integrity {
        let signature = key.sign(Domain::Bundle, &self.message());
        Integrity { claims: self, signature }
    }

    fn message(&self) -> Vec<u8> {
        let mut writer = Writer::new();
        writer.array(5);
        self.write(&mut writer);
        writer.into_bytes()
    }

    fn write(&self, writer: &mut Writer) {
        writer.unsigned(VERSION);
        for hash in [self.primary, self.header, self.payload] {
            writer.bytes(hash.as_bytes());
        }
        writer.unsigned(self.payload_len);
    }
}

impl Integrity {
    /// The block's data.
    pub fn encode(&self) -> Vec<u8> {
        let mut writer = Writer::new();
        writer.array(6);
        self.claims.write(&mut writer);
        writer.bytes(self.signature.as_bytes());
        writer.into_bytes()
    }

    /// Reads the block's data; the signature is not yet checked.
    pub fn decode(data: &[u8]) -> Result<Self, BundleError> {
        Self::read(data).map_err(BlockKind::Integrity.error())
    }

    fn read(data: &[u8]) -> Result<Self, CodecError> {
        let mut reader = Reader::new(data);
        reader.tuple(6)?;
        let at = reader.invalid("version 1");
        if reader.unsigned(u64::MAX)? != VERSION {
            return Err(at);
        }
        let claims = Claims {
            primary: ContentHash::from_bytes(reader.fixed()?),
            header: ContentHash::from_bytes(reader.fixed()?),
            payload: ContentHash::from_bytes(reader.fixed()?),
            payload_len: reader.unsigned(u64::MAX)?,
        };
        let signature = Signature::from_bytes(reader.fixed()?);
        reader.finish()?;
        Ok(Self { claims, signature })
    }

    /// Checks the hashes of what stands in the bundle, and the signature.
    pub fn verify(
        &self,
        author: &PeerId,
        primary: &[u8],
        header: &[u8],
    ) -> Result<(), BundleError> {
        if ContentHash::of(primary) != self.claims.primary {
            return Err(BundleError::Hash(BlockKind::Primary));
        }
        if ContentHash::of(header) != self.claims.header {
            return Err(BundleError::Hash(BlockKind::UpdateHeader));
        }
        author
            .verify(Domain::Bundle, &self.claims.message(), &self.signature)
            .map_err(|_| BundleError::Signature)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key() -> SecretKey {
        SecretKey::from_seed(&[5; 32])
    }

    fn integrity() -> Integrity {
        let claims = Claims {
            primary: ContentHash::of(b"primary"),
            header: ContentHash::of(b"header"),
            payload: ContentHash::of(b"payload"),
            payload_len: 7,
        };
        claims.sign(&key())
    }

    #[test]
    fn reads_back_what_it_encodes_within_its_limit() {
        let longest = Claims { payload_len: u64::MAX, ..integrity().claims }.sign(&key());
        for integrity in [integrity(), longest] {
            let data = integrity.encode();
            assert!(data.len() <= INTEGRITY_BYTES_MAX);
            assert_eq!(Integrity::decode(&data), Ok(integrity));
        }
    }

    #[test]
    fn verifies_only_the_signed_parts_by_the_author() {
        let author = key().peer_id();
        let stranger = SecretKey::from_seed(&[6; 32]).peer_id();
        for (who, primary, header, expected) in [
            (author, "primary", "header", Ok(())),
            (author, "Primary", "header", Err(BundleError::Hash(BlockKind::Primary))),
            (author, "primary", "Header", Err(BundleError::Hash(BlockKind::UpdateHeader))),
            (stranger, "primary", "header", Err(BundleError::Signature)),
        ] {
            let found = integrity().verify(&who, primary.as_bytes(), header.as_bytes());
            assert_eq!(found, expected);
        }
    }

    #[test]
    fn refuses_each_flipped_bit() {
        let good = integrity().encode();
        for bit in 0..good.len() * 8 {
            let mut data = good.clone();
            data[bit / 8] ^= 1 << (bit % 8);
            let found = Integrity::decode(&data)
                .and_then(|found| found.verify(&key().peer_id(), b"primary", b"header"));
            assert!(found.is_err(), "bit {bit}");
        }
    }
}
