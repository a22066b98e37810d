//! Bounds: what one update may weigh, in norm, bytes, memory and time.

use longhaul_aggregation::NormBound;
use longhaul_dtn::codec::{CodecError, Reader, Writer};
use longhaul_dtn::time::Span;

use crate::plan::read_u32;

/// Most bytes of a payload that a manifest may allow.
pub const PAYLOAD_BYTES_MAX: u32 = 256 * 1024 * 1024;
/// Most epochs that a base summary may look back; bounds the size of a header.
pub const SUMMARY_WINDOW_MAX: u8 = 32;
/// Longest time that a bundle may live: ten years.
pub const BUNDLE_LIFETIME_MAX: Span = Span::from_ms(10 * 366 * 24 * 3_600_000);

/// Limits on every update of a federation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bounds {
    /// Largest norm of an update.
    pub norm_max: NormBound,
    /// Most bytes of an update's payload.
    pub payload_bytes_max: u32,
    /// Number of past epochs that a base summary speaks of.
    pub summary_window: u8,
    /// How long a bundle may travel.
    pub bundle_lifetime: Span,
}

impl Bounds {
    pub(crate) fn encode(&self, writer: &mut Writer) {
        writer.map(4);
        writer.unsigned(1).unsigned(self.norm_max.units());
        writer.unsigned(2).unsigned(u64::from(self.payload_bytes_max));
        writer.unsigned(3).unsigned(u64::from(self.summary_window));
        writer.unsigned(4).unsigned(self.bundle_lifetime.ms());
    }

    pub(crate) fn decode(reader: &mut Reader<'_>) -> Result<Self, CodecError> {
        reader.map(4)?;
        reader.key(1)?;
        let norm_max = NormBound::from_units(reader.unsigned(u64::MAX)?);
        reader.key(2)?;
        let payload_bytes_max = read_u32(reader)?;
        reader.key(3)?;
        let above = reader.invalid("an unsigned integer of 8 bits");
        let summary_window = reader.unsigned(u64::from(u8::MAX))?;
        let summary_window = u8::try_from(summary_window).map_err(|_| above)?;
        reader.key(4)?;
        let bundle_lifetime = Span::from_ms(reader.unsigned(u64::MAX)?);
        Ok(Self { norm_max, payload_bytes_max, summary_window, bundle_lifetime })
    }
}
