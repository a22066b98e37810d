//! The fields that change on the way: hop count and bundle age.
//!
//! Each sender writes them anew (RFC 9171 sections 4.4.2 and 4.4.3); the
//! author's signature does not cover them.

use super::canonical::write_block;
use super::error::{BlockKind, BundleError};
use crate::bpv7::Extension;
use crate::codec::{Reader, Writer};
use crate::time::Span;

/// The fields that change on the way; the hop count is within its limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Mutable {
    pub hop_limit: u8,
    pub hop_count: u8,
    pub age: Span,
}

impl Mutable {
    /// Checks the hop limit (1 to 255) and the count.
    pub fn checked(hop_limit: u8, hop_count: u8, age: Span) -> Result<Self, BundleError> {
        if hop_limit == 0 || hop_count > hop_limit {
            return Err(BundleError::Hops { count: hop_count, limit: hop_limit });
        }
        Ok(Self { hop_limit, hop_count, age })
    }

    /// Writes the hop count block and the bundle age block.
    pub fn write_blocks(&self, writer: &mut Writer) {
        let hops = Extension::HopCount { limit: self.hop_limit, count: self.hop_count };
        write_block(writer, BlockKind::HopCount, &hops.encode());
        write_block(writer, BlockKind::BundleAge, &Extension::BundleAge(self.age).encode());
    }

    /// Reads the data of both blocks.
    pub fn decode(hops: &[u8], age: &[u8]) -> Result<Self, BundleError> {
        let (hop_limit, hop_count) = decode_hops(hops)?;
        let error = BlockKind::BundleAge.error();
        let mut reader = Reader::new(age);
        let age = Span::from_ms(reader.unsigned(u64::MAX).map_err(&error)?);
        reader.finish().map_err(&error)?;
        Self::checked(hop_limit, hop_count, age)
    }
}

fn decode_hops(data: &[u8]) -> Result<(u8, u8), BundleError> {
    let error = BlockKind::HopCount.error();
    let small = |reader: &mut Reader<'_>| {
        let at = reader.invalid("at most 255");
        u8::try_from(reader.unsigned(u8::MAX.into())?).map_err(|_| at)
    };
    let mut reader = Reader::new(data);
    reader.tuple(2).map_err(&error)?;
    let limit = small(&mut reader).map_err(&error)?;
    let count = small(&mut reader).map_err(&error)?;
    reader.finish().map_err(&error)?;
    Ok((limit, count))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refuses_limits_and_counts_outside_the_rfc() {
        for (hops, fits) in [
            (&[0x82, 0x01, 0x00][..], true),
            (&[0x82, 0x01, 0x01], true),
            (&[0x82, 0x18, 0xff, 0x18, 0xff], true),
            (&[0x82, 0x00, 0x00], false),
            (&[0x82, 0x01, 0x02], false),
            (&[0x82, 0x19, 0x01, 0x00, 0x00], false),
            (&[0x82, 0x18, 0x01, 0x00], false),
            (&[0x82, 0x01, 0x00, 0x00], false),
            (&[0x81, 0x01], false),
        ] {
            assert_eq!(Mutable::decode(hops, &[0x00]).is_ok(), fits, "{hops:x?}");
        }
    }

    #[test]
    fn refuses_ages_that_are_not_one_canonical_number() {
        for (age, fits) in [
            (&[0x17][..], true),
            (&[0x1b, 255, 255, 255, 255, 255, 255, 255, 255], true),
            (&[0x18, 0x17], false),
            (&[0x20], false),
            (&[0x00, 0x00], false),
            (&[], false),
        ] {
            assert_eq!(Mutable::decode(&[0x82, 0x01, 0x00], age).is_ok(), fits, "{age:x?}");
        }
    }
}
