//! Symbol and checksum: what stands for an id within one contact.

use std::fmt;

use crate::bundle::BundleId;
use crate::frame::NONCE_BYTES;
use crate::hash::mix64;

/// Length of a symbol on the wire.
pub const SYMBOL_BYTES: usize = 8;

const KEY_CONTEXT: &str = "longhaul 2026 sketch key v1";
const CHECK_CONTEXT: &str = "longhaul 2026 sketch check v1";

/// The key of one contact, under which ids become symbols.
///
/// With a key that nobody knows before the contact, ids that share a symbol or
/// stay in each other's way cannot be made on purpose; and what fails once does
/// not fail again in the next contact.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct SketchKey {
    symbols: [u8; 32],
    checks: u64,
}

impl SketchKey {
    /// The key of the contact of two peers whose hellos had these nonces; both
    /// sides get the same.
    pub fn between(one: &[u8; NONCE_BYTES], other: &[u8; NONCE_BYTES]) -> Self {
        Self::derive(&[one.min(other).as_slice(), one.max(other)].concat())
    }

    fn derive(material: &[u8]) -> Self {
        let checks = blake3::derive_key(CHECK_CONTEXT, material);
        Self { symbols: blake3::derive_key(KEY_CONTEXT, material), checks: first_word(&checks) }
    }

    /// What stands for `id` in this contact.
    pub fn symbol(&self, id: &BundleId) -> Symbol {
        let hash = blake3::keyed_hash(&self.symbols, id.as_hash().as_bytes());
        Symbol(first_word(hash.as_bytes()))
    }

    /// The checksum of a symbol.
    ///
    /// It is a function of the symbol, so that the receiver can tell a cell
    /// with one symbol that it has never seen from the sum of several. The sum
    /// of three or more passes by chance once in 2^24, and is then peeled only
    /// where its walk has the cell at hand, which has a chance of 2 / (i + 2).
    /// For `d` differences this comes to less than `2.6 d / 2^24` false peels:
    /// 1 in 12,000 contacts for 500. A false symbol stays in other cells with
    /// the opposite sign and is taken back as soon as one shows it.
    /// A fourth byte would cost 1.4 bytes for each difference; a fallback to
    /// 100,000 plain ids costs 270 bytes for each contact with 500 differences,
    /// 0.5 bytes for each.
    pub fn check(&self, symbol: Symbol) -> Check {
        Check((mix64(symbol.0 ^ self.checks) >> 40) as u32)
    }
}

impl fmt::Debug for SketchKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SketchKey(..)")
    }
}

/// Stands for an id in one contact: the first eight bytes of its keyed hash.
///
/// Two of 100,000 ids share a symbol in one of 3.7 billion contacts. They
/// cancel, and the contact does not see them.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default, Hash)]
pub struct Symbol(pub(super) u64);

impl Symbol {
    /// Takes the bytes of a symbol, as read from the wire.
    pub const fn from_bytes(bytes: [u8; SYMBOL_BYTES]) -> Self {
        Self(u64::from_be_bytes(bytes))
    }

    /// The bytes, for the wire.
    pub const fn to_bytes(self) -> [u8; SYMBOL_BYTES] {
        self.0.to_be_bytes()
    }

    /// The last 16 bits.
    pub(super) const fn ending(self) -> usize {
        (self.0 & 0xffff) as usize
    }
}

impl fmt::Debug for Symbol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Symbol({:016x})", self.0)
    }
}

/// A checksum of 24 bits, of one symbol or of the symbols of a cell.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default, Hash)]
pub struct Check(u32);

impl Check {
    /// Takes the bytes of a checksum, as read from the wire.
    pub const fn from_bytes([high, middle, low]: [u8; 3]) -> Self {
        Self(u32::from_be_bytes([0, high, middle, low]))
    }

    /// The bytes, for the wire.
    pub const fn to_bytes(self) -> [u8; 3] {
        let [_, high, middle, low] = self.0.to_be_bytes();
        [high, middle, low]
    }

    pub(super) const fn is_zero(self) -> bool {
        self.0 == 0
    }
}

impl std::ops::BitXorAssign for Symbol {
    fn bitxor_assign(&mut self, other: Self) {
        self.0 ^= other.0;
    }
}

impl std::ops::BitXorAssign for Check {
    fn bitxor_assign(&mut self, other: Self) {
        self.0 ^= other.0;
    }
}

fn first_word(bytes: &[u8; 32]) -> u64 {
    u64::from_be_bytes(*bytes.first_chunk().expect("a hash has more than eight bytes"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hash::ContentHash;

    fn key(number: u8) -> SketchKey {
        SketchKey::between(&[number; 32], &[9; 32])
    }

    #[test]
    fn agrees_on_one_key_whoever_speaks_first() {
        assert_eq!(key(1), SketchKey::between(&[9; 32], &[1; 32]));
        assert_ne!(key(1), key(2));
    }

    #[test]
    fn gives_an_id_another_symbol_in_each_contact() {
        let id = BundleId::from_hash(ContentHash::of(b"x"));
        assert_ne!(key(1).symbol(&id), key(2).symbol(&id));
        assert_ne!(key(1).check(Symbol(1)), key(2).check(Symbol(1)));
    }

    #[test]
    fn reads_back_symbols_and_checks() {
        let symbol = Symbol(0x0102_0304_0506_0708);
        assert_eq!(Symbol::from_bytes(symbol.to_bytes()), symbol);
        let check = key(1).check(symbol);
        assert_eq!(Check::from_bytes(check.to_bytes()), check);
    }

    #[test]
    fn check_of_a_sum_is_not_the_sum_of_checks() {
        let key = key(1);
        let passed = (1..5000_u64).filter(|&n| {
            let (one, other) = (Symbol(mix64(n)), Symbol(mix64(n << 32)));
            let mut sum = key.check(one);
            sum ^= key.check(other);
            key.check(Symbol(one.0 ^ other.0)) == sum
        });
        assert_eq!(passed.count(), 0);
    }

    #[test]
    fn shows_no_key() {
        assert_eq!(format!("{:?}", key(1)), "SketchKey(..)");
    }
}
