//! Task: what a federation learns and from which data, as two names.
//!
//! Both are opaque here: the node knows which models and data sets it can
//! build (`mlp:784-32-10`, `edgesense-cnn`; `edgesense`, `idx`). The shape of
//! the parameters is the schema's concern.

use longhaul_dtn::codec::{CodecError, Reader, Writer};

/// Most bytes of each name.
pub const TASK_NAME_BYTES_MAX: usize = 128;

/// What a federation learns, and from what.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Task {
    /// The model, for example `mlp:784-32-10` or `edgesense-cnn`.
    pub model: String,
    /// The kind of data, for example `edgesense` or `idx`.
    pub data: String,
}

impl Task {
    pub(crate) fn encode(&self, writer: &mut Writer) {
        writer.map(2);
        writer.unsigned(1).text(&self.model);
        writer.unsigned(2).text(&self.data);
    }

    pub(crate) fn decode(reader: &mut Reader<'_>) -> Result<Self, CodecError> {
        reader.map(2)?;
        reader.key(1)?;
        let model = reader.text(TASK_NAME_BYTES_MAX)?.to_owned();
        reader.key(2)?;
        let data = reader.text(TASK_NAME_BYTES_MAX)?.to_owned();
        Ok(Self { model, data })
    }
}
