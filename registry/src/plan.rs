//! Training plan: how much local training stands behind one update.

use longhaul_dtn::codec::{CodecError, Reader, Writer};

/// Most local steps per epoch.
pub const STEPS_MAX: u32 = 100_000;
/// Most samples per step.
pub const BATCH_MAX: u32 = 4_096;
/// Highest learning rate: 100, in millionths.
pub const RATE_MICRO_MAX: u32 = 100_000_000;
/// Most samples that an update may claim to be made from. No rule weighs by
/// this claim; the limit keeps nonsense out.
pub const SAMPLES_MAX: u32 = 1 << 30;

/// What each peer does locally in one epoch: plain stochastic gradient descent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TrainingPlan {
    /// Local steps per epoch, 1 to [`STEPS_MAX`].
    pub steps: u32,
    /// Samples per step, 1 to [`BATCH_MAX`].
    pub batch: u32,
    /// Learning rate in millionths, 1 to [`RATE_MICRO_MAX`].
    pub rate_micro: u32,
}

impl TrainingPlan {
    /// Number of samples that a whole epoch of training draws.
    pub const fn samples_max(&self) -> u32 {
        self.steps.saturating_mul(self.batch)
    }

    pub(crate) fn encode(&self, writer: &mut Writer) {
        writer.map(3);
        writer.unsigned(1).unsigned(u64::from(self.steps));
        writer.unsigned(2).unsigned(u64::from(self.batch));
        writer.unsigned(3).unsigned(u64::from(self.rate_micro));
    }

    pub(crate) fn decode(reader: &mut Reader<'_>) -> Result<Self, CodecError> {
        reader.map(3)?;
        let mut field = |key| {
            reader.key(key)?;
            read_u32(reader)
        };
        Ok(Self { steps: field(1)?, batch: field(2)?, rate_micro: field(3)? })
    }
}

/// Reads an unsigned integer of 32 bits.
pub(crate) fn read_u32(reader: &mut Reader<'_>) -> Result<u32, CodecError> {
    let above = reader.invalid("an unsigned integer of 32 bits");
    u32::try_from(reader.unsigned(u64::from(u32::MAX))?).map_err(|_| above)
}
