//! The integrity block: what the author vouches for.
//!
//! A CBOR array `[2, header hash, payload hash, payload length]`; hashes are blake3 over the header
//! bytes and the payload. Of an encrypted bundle `[3, header hash, payload hash, payload length, key id,
//! salted root]`, where both hashes are of ciphertexts ([`super::confidential`]). With a proof block the versions are 4 and 5, and
//! the hash of that block's data ends the array. One small block that a signature is over ([`super::security`]) instead of
//! header and payload, so that heads can be checked, and payloads resumed, without one another; the
//! signature binds the primary block as well. Hop count and bundle age change in transit and are
//! outside.

use super::confidential::Confidential;
use super::error::{BlockKind, BundleError};
use crate::codec::{CodecError, Reader, Writer};
use crate::hash::ContentHash;

/// Largest integrity block data: four hashes, an id, heads and a length.
pub(super) const INTEGRITY_BYTES_MAX: usize = 176;
/// Version and number of items, by whether there is a confidentiality block and whether a proof block.
const FORMS: [(u64, usize, bool, bool); 4] =
    [(2, 4, false, false), (3, 6, true, false), (4, 5, false, true), (5, 7, true, true)];

/// What the author vouches for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Claims {
    pub header: ContentHash,
    pub payload: ContentHash,
    pub payload_len: u64,
    /// How header and payload are encrypted, if they are.
    pub confidential: Option<Confidential>,
    /// The hash of the proof block's data, if there is one.
    pub proof: Option<ContentHash>,
}

impl Claims {
    /// What is true of a header and a payload as they travel.
    pub fn of((header, payload): (&[u8], &[u8]), confidential: Option<Confidential>) -> Self {
        Self {
            header: ContentHash::of(header),
            payload: ContentHash::of(payload),
            payload_len: payload.len() as u64,
            confidential,
            proof: None,
        }
    }

    /// The block's data.
    pub fn encode(&self) -> Vec<u8> {
        let mut writer = Writer::new();
        let parts = (self.confidential.is_some(), self.proof.is_some());
        let form = FORMS.into_iter().find(|it| (it.2, it.3) == parts);
        let (version, items, ..) = form.expect("there is a form for each");
        writer.array(items).unsigned(version);
        writer.bytes(self.header.as_bytes()).bytes(self.payload.as_bytes());
        writer.unsigned(self.payload_len);
        if let Some(confidential) = &self.confidential {
            confidential.write(&mut writer);
        }
        if let Some(proof) = &self.proof {
            writer.bytes(proof.as_bytes());
        }
        writer.into_bytes()
    }

    /// Reads the block's data.
    pub fn decode(data: &[u8]) -> Result<Self, BundleError> {
        Self::read(data).map_err(BlockKind::Integrity.error())
    }

    fn read(data: &[u8]) -> Result<Self, CodecError> {
        let mut reader = Reader::new(data);
        let at = reader.invalid("version 2 to 5 with as many items as it has");
        let items = FORMS.into_iter().find(|it| reader.clone().tuple(it.1).is_ok());
        let (version, items, is_encrypted, has_proof) = items.ok_or_else(|| at.clone())?;
        reader.tuple(items)?;
        if reader.unsigned(u64::MAX)? != version {
            return Err(at);
        }
        let mut claims = Self {
            header: ContentHash::from_bytes(reader.fixed()?),
            payload: ContentHash::from_bytes(reader.fixed()?),
            payload_len: reader.unsigned(u64::MAX)?,
            confidential: None,
            proof: None,
        };
        if is_encrypted {
            claims.confidential = Some(Confidential::read(&mut reader)?);
        }
        if has_proof {
            claims.proof = Some(ContentHash::from_bytes(reader.fixed()?));
        }
        reader.finish()?;
        Ok(claims)
    }

    /// Checks that the data of the proof block, if there is one, are those vouched for.
    pub fn check_proof(&self, proof: Option<&[u8]>) -> Result<(), BundleError> {
        match (self.proof, proof) {
            (None, None) => Ok(()),
            // None is said by leaving the block out.
            (_, Some([])) => Err(BundleError::Presence(BlockKind::Proof)),
            (Some(hash), Some(proof)) if ContentHash::of(proof) == hash => Ok(()),
            (Some(_), Some(_)) => Err(BundleError::Hash(BlockKind::Proof)),
            _ => Err(BundleError::Presence(BlockKind::Proof)),
        }
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
        Claims { header, payload, payload_len: 7, confidential: None, proof: None }
    }

    /// Every form: in clear and encrypted, without and with a proof.
    fn forms() -> [Claims; 4] {
        let with_proof = |it| Claims { proof: Some(ContentHash::of(b"proof")), ..it };
        [claims(), encrypted(), with_proof(claims()), with_proof(encrypted())]
    }

    fn encrypted() -> Claims {
        let (key, root) = (KeyId::from_bytes([7; 16]), ContentHash::of(b"root"));
        Claims { confidential: Some(Confidential { key, root }), ..claims() }
    }

    #[test]
    fn reads_back_what_it_encodes_within_its_limit() {
        let longest = forms().map(|it| Claims { payload_len: u64::MAX, ..it });
        for claims in forms().into_iter().chain(longest) {
            let data = claims.encode();
            assert!(data.len() <= INTEGRITY_BYTES_MAX);
            assert_eq!(Claims::decode(&data), Ok(claims));
        }
    }

    #[test]
    fn a_proof_is_there_if_it_is_signed_for_and_not_otherwise() {
        let [without, .., with] = forms();
        assert_eq!((without.check_proof(None), with.check_proof(Some(b"proof"))), (Ok(()), Ok(())));
        let presence = Err(BundleError::Presence(BlockKind::Proof));
        assert_eq!(
            (without.check_proof(Some(b"")), with.check_proof(None)),
            (presence.clone(), presence)
        );
        assert_eq!(with.check_proof(Some(b"Proof")), Err(BundleError::Hash(BlockKind::Proof)));
        let empty = Claims { proof: Some(ContentHash::of(b"")), ..without };
        assert_eq!(empty.check_proof(Some(b"")), Err(BundleError::Presence(BlockKind::Proof)));
    }

    #[test]
    fn tells_its_header_from_others_and_has_one_form() {
        assert_eq!(claims().check_header(b"header"), Ok(()));
        assert_eq!(
            claims().check_header(b"Header"),
            Err(BundleError::Hash(BlockKind::UpdateHeader))
        );
        for claims in forms() {
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
