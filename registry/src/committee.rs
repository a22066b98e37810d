//! Committee: how many of the members publish in an epoch, drawn by lot.

use longhaul_dtn::codec::{CodecError, Reader, Writer};

/// Most epochs of local change that an author may gather for one update: the sum
/// stays far from what a fixed-point parameter holds.
pub const ACCUMULATE_EPOCHS_MAX: u16 = 1_024;

/// Who may fill a slot, where not everybody may in every epoch; see
/// [`longhaul_aggregation::Sortition`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Committee {
    /// Authors in an epoch, on average.
    pub size: u16,
    /// Drawn by the creator of the manifest, after the members' keys were known.
    pub nonce: [u8; 32],
    /// How many epochs of its local change an author gathers for its next slot, 1
    /// to [`ACCUMULATE_EPOCHS_MAX`]; older change fades. Twice members by size, so
    /// that seven authors in eight lose nothing, is a good value.
    pub accumulate_epochs_max: u16,
}

impl Committee {
    pub(crate) fn encode(&self, writer: &mut Writer) {
        writer.map(3);
        writer.unsigned(1).unsigned(u64::from(self.size));
        writer.unsigned(2).bytes(&self.nonce);
        writer.unsigned(3).unsigned(u64::from(self.accumulate_epochs_max));
    }

    pub(crate) fn decode(reader: &mut Reader<'_>) -> Result<Self, CodecError> {
        reader.map(3)?;
        reader.key(1)?;
        let size = read_u16(reader)?;
        reader.key(2)?;
        let nonce = reader.fixed()?;
        reader.key(3)?;
        Ok(Self { size, nonce, accumulate_epochs_max: read_u16(reader)? })
    }
}

fn read_u16(reader: &mut Reader<'_>) -> Result<u16, CodecError> {
    let above = reader.invalid("an unsigned integer of 16 bits");
    u16::try_from(reader.unsigned(u64::from(u16::MAX))?).map_err(|_| above)
}
