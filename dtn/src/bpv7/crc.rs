//! CRCs of blocks (RFC 9171 section 4.2.1): over the whole block, with zeros in place of the CRC.

use super::error::{BundleError, Part};
use crate::codec::{Reader, Writer};

/// Which CRC a block has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum CrcType {
    /// None; a primary block may go without one where a security block protects it.
    None,
    /// CRC-16/IBM-SDLC, which is X-25, in two bytes.
    Crc16,
    /// CRC-32C (Castagnoli) in four bytes.
    Crc32c,
}

/// A CRC in the making.
#[derive(Debug, Clone, Copy)]
pub(crate) enum CrcState {
    None,
    Crc16(u16),
    Crc32c(u32),
}

impl CrcType {
    /// Its code on the wire.
    pub const fn code(self) -> u64 {
        match self {
            Self::None => 0,
            Self::Crc16 => 1,
            Self::Crc32c => 2,
        }
    }

    /// How many bytes the CRC has.
    pub const fn len(self) -> usize {
        match self {
            Self::None => 0,
            Self::Crc16 => 2,
            Self::Crc32c => 4,
        }
    }

    /// True where there is none.
    pub const fn is_empty(self) -> bool {
        self.len() == 0
    }

    /// How many items of a block's array it takes.
    pub(super) const fn items(self) -> usize {
        match self {
            Self::None => 0,
            Self::Crc16 | Self::Crc32c => 1,
        }
    }

    pub(super) fn read(reader: &mut Reader<'_>, part: Part) -> Result<Self, BundleError> {
        Ok(match reader.unsigned(2).map_err(part.malformed())? {
            0 => Self::None,
            1 => Self::Crc16,
            _ => Self::Crc32c,
        })
    }

    /// A CRC of no bytes yet.
    pub(crate) const fn start(self) -> CrcState {
        match self {
            Self::None => CrcState::None,
            Self::Crc16 => CrcState::Crc16(0xffff),
            Self::Crc32c => CrcState::Crc32c(0),
        }
    }

    /// Ends a block that has nothing left but its CRC.
    pub(crate) fn finish(self, block: Writer) -> Vec<u8> {
        let mut bytes = block.into_bytes();
        let mut state = self.start();
        state.add(&bytes);
        bytes.extend_from_slice(&state.field());
        bytes
    }

    /// Reads the CRC that ends the block that began at `start`, and compares it.
    pub(super) fn check(
        self,
        reader: &mut Reader<'_>,
        start: usize,
        part: Part,
    ) -> Result<(), BundleError> {
        let mut state = self.start();
        state.add(reader.since(start));
        self.compare(reader, state, part)
    }

    /// Reads a CRC and compares it with the one of all bytes before it.
    pub(super) fn compare(
        self,
        reader: &mut Reader<'_>,
        state: CrcState,
        part: Part,
    ) -> Result<(), BundleError> {
        if self == Self::None {
            return Ok(());
        }
        let at = reader.invalid("a CRC of its type's length");
        let start = reader.position();
        let found = reader.bytes(self.len()).map_err(part.malformed())?;
        if found.len() != self.len() {
            return Err(part.malformed()(at));
        }
        match reader.since(start) == state.field() {
            true => Ok(()),
            false => Err(BundleError::Crc(part)),
        }
    }
}

impl CrcState {
    /// Takes bytes in.
    pub fn add(&mut self, bytes: &[u8]) {
        match self {
            Self::None => {}
            Self::Crc16(crc) => *crc = bytes.iter().fold(*crc, |crc, &byte| next_crc16(crc, byte)),
            Self::Crc32c(crc) => *crc = crc32c::crc32c_append(*crc, bytes),
        }
    }

    /// The field behind the bytes so far: a byte string of the CRC over them and the field itself
    /// with zeros in it.
    pub fn field(mut self) -> Vec<u8> {
        match self {
            Self::None => {}
            Self::Crc16(_) => self.add(&[0x42, 0, 0]),
            Self::Crc32c(_) => self.add(&[0x44, 0, 0, 0, 0]),
        }
        match self {
            Self::None => Vec::new(),
            Self::Crc16(crc) => [&[0x42][..], &(crc ^ 0xffff).to_be_bytes()].concat(),
            Self::Crc32c(crc) => [&[0x44][..], &crc.to_be_bytes()].concat(),
        }
    }
}

/// One byte of CRC-16/IBM-SDLC: polynomial 0x1021, least bit first.
fn next_crc16(crc: u16, byte: u8) -> u16 {
    CRC16[usize::from((crc ^ u16::from(byte)) & 0xff)] ^ (crc >> 8)
}

/// What each byte does to a CRC-16.
const CRC16: [u16; 256] = {
    let mut table = [0; 256];
    let mut byte = 0;
    while byte < 256 {
        let mut crc = byte as u16;
        let mut bit = 0;
        while bit < 8 {
            crc = if crc & 1 == 1 { (crc >> 1) ^ 0x8408 } else { crc >> 1 };
            bit += 1;
        }
        table[byte] = crc;
        byte += 1;
    }
    table
};

#[cfg(test)]
mod tests {
    use super::*;

    /// The check values of both CRCs over "123456789" (the CRC catalogue of Greg Cook).
    #[test]
    fn gives_the_check_values_of_the_catalogue() {
        let of = |kind: CrcType| {
            let mut state = kind.start();
            state.add(b"12345");
            state.add(b"6789");
            state
        };
        assert!(matches!(of(CrcType::Crc16), CrcState::Crc16(crc) if crc ^ 0xffff == 0x906e));
        assert!(matches!(of(CrcType::Crc32c), CrcState::Crc32c(0xe306_9283)));
        assert!(of(CrcType::None).field().is_empty());
    }

    #[test]
    fn a_field_is_over_itself_with_zeros() {
        for kind in [CrcType::Crc16, CrcType::Crc32c] {
            let mut writer = Writer::new();
            writer.array(2).unsigned(7);
            let bytes = kind.finish(writer);
            let mut reader = Reader::new(&bytes);
            reader.array(2).and_then(|_| reader.unsigned(9)).expect("what was written");
            let mut other = reader.clone();
            assert_eq!(kind.check(&mut reader, 0, Part::Primary), Ok(()));
            assert!(reader.is_at_end());
            let found = kind.check(&mut other, 1, Part::Primary);
            assert_eq!(found, Err(BundleError::Crc(Part::Primary)));
        }
    }
}
