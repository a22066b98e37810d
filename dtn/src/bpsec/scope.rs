//! The scope of additional authenticated data (section 3.2.2 of the draft): what a security
//! operation binds beside its target's data.
//!
//! A map from block numbers, zero being the primary block, or -1 for the target and -2 for the security
//! block, to bits: 1 for what stands before a block's data (of the primary block all of it), 2 for
//! the data.

use std::collections::BTreeMap;

use crate::codec::{CodecError, Reader, Writer};

/// Most blocks that a scope names.
const KEYS_MAX: usize = 64;
const METADATA: u64 = 1;
const DATA: u64 = 2;

/// A block that a scope names. The order is that of the map.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ScopeKey {
    /// The block of that number; zero is the primary block.
    Block(u64),
    /// The target of the operation.
    Target,
    /// The security block.
    Security,
}

/// What of a block is covered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Covered {
    /// Type, number and flags; of the primary block all of it.
    Metadata,
    /// The data.
    Data,
    /// Both.
    Both,
}

/// What an operation binds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AadScope(BTreeMap<ScopeKey, Covered>);

impl Default for AadScope {
    /// The primary block, and what stands before the data of the target and the security block: what
    /// holds where a block says nothing.
    fn default() -> Self {
        let keys = [ScopeKey::Block(0), ScopeKey::Target, ScopeKey::Security];
        Self(keys.map(|key| (key, Covered::Metadata)).into())
    }
}

impl Covered {
    /// True if what stands before the data is covered.
    pub const fn has_metadata(self) -> bool {
        matches!(self, Self::Metadata | Self::Both)
    }

    /// True if the data are.
    pub const fn has_data(self) -> bool {
        matches!(self, Self::Data | Self::Both)
    }
}

impl AadScope {
    /// A scope of these blocks.
    pub fn new(covered: impl IntoIterator<Item = (ScopeKey, Covered)>) -> Self {
        Self(covered.into_iter().collect())
    }

    /// What is covered, in the order in which it is.
    pub fn covered(&self) -> impl Iterator<Item = (ScopeKey, Covered)> {
        self.0.iter().map(|(&key, &covered)| (key, covered))
    }

    /// The encoded map.
    pub fn encode(&self) -> Vec<u8> {
        let mut writer = Writer::new();
        writer.map(self.0.len());
        for (&key, &covered) in &self.0 {
            match key {
                ScopeKey::Block(number) => writer.unsigned(number),
                ScopeKey::Target => writer.signed(-1),
                ScopeKey::Security => writer.signed(-2),
            };
            writer.unsigned(match covered {
                Covered::Metadata => METADATA,
                Covered::Data => DATA,
                Covered::Both => METADATA | DATA,
            });
        }
        writer.into_bytes()
    }

    /// Reads the map, whose keys are in order.
    pub fn decode(bytes: &[u8]) -> Result<Self, CodecError> {
        let mut reader = Reader::new(bytes);
        let mut found = BTreeMap::new();
        let mut last = None;
        for _ in 0..reader.pairs(KEYS_MAX)? {
            let order = reader.invalid("keys in ascending order, -1 and -2 last");
            let key = read_key(&mut reader)?;
            if last.is_some_and(|last| last >= key) {
                return Err(order);
            }
            last = Some(key);
            found.insert(key, read_covered(&mut reader)?);
        }
        reader.finish().map(|()| Self(found))
    }
}

fn read_key(reader: &mut Reader<'_>) -> Result<ScopeKey, CodecError> {
    if let Ok(number) = reader.unsigned(u64::MAX) {
        return Ok(ScopeKey::Block(number));
    }
    let at = reader.invalid("a block number, -1 or -2");
    match reader.signed()? {
        -1 => Ok(ScopeKey::Target),
        -2 => Ok(ScopeKey::Security),
        _ => Err(at),
    }
}

fn read_covered(reader: &mut Reader<'_>) -> Result<Covered, CodecError> {
    let at = reader.invalid("1, 2 or 3");
    match reader.unsigned(METADATA | DATA)? {
        METADATA => Ok(Covered::Metadata),
        DATA => Ok(Covered::Data),
        3 => Ok(Covered::Both),
        _ => Err(at),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_back_what_it_writes_in_the_order_of_the_draft() {
        let scope = AadScope::new([
            (ScopeKey::Security, Covered::Metadata),
            (ScopeKey::Target, Covered::Data),
            (ScopeKey::Block(30), Covered::Both),
            (ScopeKey::Block(0), Covered::Metadata),
        ]);
        let bytes = scope.encode();
        assert_eq!(bytes, [0xa4, 0, 1, 0x18, 30, 3, 0x20, 2, 0x21, 1]);
        assert_eq!(AadScope::decode(&bytes), Ok(scope));
        assert_eq!(AadScope::default().encode(), [0xa3, 0, 1, 0x20, 1, 0x21, 1]);
    }

    #[test]
    fn refuses_other_keys_bits_and_orders() {
        for bytes in [
            &[0xa1, 0x22, 1][..],
            &[0xa1, 0, 0],
            &[0xa1, 0, 4],
            &[0xa2, 0x20, 1, 0, 1],
            &[0xa2, 1, 1, 1, 1],
            &[0xa1, 0],
            &[0xa1, 0, 1, 0],
            &[0x81, 0],
        ] {
            assert!(AadScope::decode(bytes).is_err(), "{bytes:02x?}");
        }
    }
}
