//! Schema: the named tensors of a model, in order, and how they are cut into
//! chunks.
//!
//! A model's parameters are one flat vector: the tensors one after another,
//! each in row-major order. A chunk is a run of at most
//! [`CHUNK_ENTRIES_MAX`] entries of one tensor; it is the unit that shares an
//! exponent and that a proof commits to. The manifest carries the schema, so
//! every limit here bounds what a stranger's manifest can make a peer allocate.

use std::collections::BTreeSet;
use std::ops::Range;

use longhaul_dtn::codec::{CodecError, Reader, Writer};

/// Most entries in one chunk.
pub const CHUNK_ENTRIES_MAX: usize = 65_000;
/// Most tensors in a schema.
pub const TENSORS_MAX: usize = 256;
/// Most parameters in a schema.
pub const PARAMETERS_MAX: usize = 1 << 26;
/// Longest tensor name in bytes.
pub const NAME_BYTES_MAX: usize = 64;
/// Most dimensions of a tensor.
pub const RANK_MAX: usize = 4;

/// How a tensor's entries in M_0 are drawn from the seed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Init {
    /// Every entry is zero.
    Zero,
    /// Every entry is uniform over the integers `-bound..=bound`.
    Uniform {
        /// Largest magnitude, in units of 2^-24.
        bound: u32,
    },
}

/// One named tensor of a model.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TensorSpec {
    name: String,
    shape: Vec<u32>,
    init: Init,
    entries: usize,
}

/// The ordered tensors of a model, within the limits of this file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Schema {
    tensors: Vec<TensorSpec>,
    chunks: Vec<Range<usize>>,
    parameter_count: usize,
}

/// Why something is not a schema.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SchemaError {
    /// A name is empty, too long, or not made of printable ASCII.
    #[error("a tensor name has 1 to 64 printable ASCII characters without spaces")]
    Name,
    /// A tensor has no or too many dimensions, or an empty one.
    #[error("a tensor has 1 to 4 dimensions, none of them zero")]
    Shape,
    /// There are no or too many tensors.
    #[error("a schema has 1 to 256 tensors")]
    TensorCount,
    /// Two tensors have the same name.
    #[error("tensor names are distinct")]
    DuplicateName,
    /// The tensors have too many entries together.
    #[error("a schema has at most 67108864 parameters")]
    ParameterCount,
}

impl TensorSpec {
    /// Describes a tensor; refuses what is outside the limits.
    pub fn new(name: impl Into<String>, shape: Vec<u32>, init: Init) -> Result<Self, SchemaError> {
        let name = name.into();
        let printable = name.bytes().all(|byte| byte.is_ascii_graphic());
        if name.is_empty() || name.len() > NAME_BYTES_MAX || !printable {
            return Err(SchemaError::Name);
        }
        if shape.is_empty() || shape.len() > RANK_MAX || shape.contains(&0) {
            return Err(SchemaError::Shape);
        }
        let entries = shape
            .iter()
            .try_fold(1_usize, |product, &side| product.checked_mul(usize::try_from(side).ok()?))
            .filter(|&entries| entries <= PARAMETERS_MAX)
            .ok_or(SchemaError::ParameterCount)?;
        Ok(Self { name, shape, init, entries })
    }

    /// The name, unique in its schema.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The dimensions, outermost first.
    pub fn shape(&self) -> &[u32] {
        &self.shape
    }

    /// How M_0 is drawn.
    pub const fn init(&self) -> Init {
        self.init
    }

    /// Number of entries: the product of the dimensions.
    pub const fn entries(&self) -> usize {
        self.entries
    }

    fn encode(&self, writer: &mut Writer) {
        writer.array(3).text(&self.name).array(self.shape.len());
        for &side in &self.shape {
            writer.unsigned(u64::from(side));
        }
        match self.init {
            Init::Zero => writer.null(),
            Init::Uniform { bound } => writer.unsigned(u64::from(bound)),
        };
    }

    fn decode(reader: &mut Reader<'_>) -> Result<Self, CodecError> {
        let start = reader.clone();
        reader.tuple(3)?;
        let name = reader.text(NAME_BYTES_MAX)?.to_owned();
        let rank = reader.array(RANK_MAX)?;
        let shape = (0..rank).map(|_| read_u32(reader)).collect::<Result<Vec<_>, _>>()?;
        let init = match reader.null()? {
            true => Init::Zero,
            false => Init::Uniform { bound: read_u32(reader)? },
        };
        Self::new(name, shape, init).map_err(|error| start.invalid(error.rule()))
    }
}

impl Schema {
    /// Takes the tensors in their order; refuses what is outside the limits.
    pub fn new(tensors: Vec<TensorSpec>) -> Result<Self, SchemaError> {
        if tensors.is_empty() || tensors.len() > TENSORS_MAX {
            return Err(SchemaError::TensorCount);
        }
        let names: BTreeSet<&str> = tensors.iter().map(TensorSpec::name).collect();
        if names.len() < tensors.len() {
            return Err(SchemaError::DuplicateName);
        }
        // At most 256 * 2^26 entries: no overflow.
        let parameter_count = tensors.iter().map(TensorSpec::entries).sum();
        if parameter_count > PARAMETERS_MAX {
            return Err(SchemaError::ParameterCount);
        }
        let chunks = cut(&tensors);
        Ok(Self { tensors, chunks, parameter_count })
    }

    /// The tensors in order.
    pub fn tensors(&self) -> &[TensorSpec] {
        &self.tensors
    }

    /// The tensors with the ranges of their entries in the flat vector.
    pub fn tensor_ranges(&self) -> impl Iterator<Item = (&TensorSpec, Range<usize>)> {
        self.tensors.iter().scan(0, |start, tensor| {
            let range = *start..*start + tensor.entries;
            *start = range.end;
            Some((tensor, range))
        })
    }

    /// Number of parameters of the model.
    pub const fn parameter_count(&self) -> usize {
        self.parameter_count
    }

    /// The ranges of the chunks, in order; none crosses a tensor.
    pub fn chunks(&self) -> &[Range<usize>] {
        &self.chunks
    }

    /// Most bytes that the payload of an update can have.
    pub fn payload_bytes_max(&self) -> usize {
        /// Array head, exponent (two bytes) and string head of a chunk.
        const CHUNK_HEAD: usize = 1 + 2 + 3;
        const OUTER_HEAD: usize = 3;
        OUTER_HEAD + self.chunks.len() * CHUNK_HEAD + self.parameter_count
    }

    /// Writes the schema as an array of `[name, shape, bound or null]`.
    pub fn encode(&self, writer: &mut Writer) {
        writer.array(self.tensors.len());
        self.tensors.iter().for_each(|tensor| tensor.encode(writer));
    }

    /// Reads a schema, strictly and within the limits.
    pub fn decode(reader: &mut Reader<'_>) -> Result<Self, CodecError> {
        let start = reader.clone();
        let count = reader.array(TENSORS_MAX)?;
        let tensors = (0..count).map(|_| TensorSpec::decode(reader)).collect::<Result<_, _>>()?;
        Self::new(tensors).map_err(|error| start.invalid(error.rule()))
    }
}

impl SchemaError {
    /// What should have been, for a codec error.
    const fn rule(self) -> &'static str {
        match self {
            Self::Name => "a tensor name of 1 to 64 printable ASCII characters without spaces",
            Self::Shape => "1 to 4 dimensions, none of them zero",
            Self::TensorCount => "1 to 256 tensors",
            Self::DuplicateName => "distinct tensor names",
            Self::ParameterCount => "at most 67108864 parameters",
        }
    }
}

fn cut(tensors: &[TensorSpec]) -> Vec<Range<usize>> {
    let mut chunks = Vec::new();
    let mut start = 0;
    for tensor in tensors {
        let end = start + tensor.entries;
        while start < end {
            let stop = end.min(start + CHUNK_ENTRIES_MAX);
            chunks.push(start..stop);
            start = stop;
        }
    }
    chunks
}

fn read_u32(reader: &mut Reader<'_>) -> Result<u32, CodecError> {
    let at = reader.invalid("a 32-bit number");
    u32::try_from(reader.unsigned(u64::from(u32::MAX))?).map_err(|_| at)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn tensor(name: &str, shape: &[u32]) -> Result<TensorSpec, SchemaError> {
        TensorSpec::new(name, shape.to_vec(), Init::Zero)
    }

    fn bytes(schema: &Schema) -> Vec<u8> {
        let mut writer = Writer::new();
        schema.encode(&mut writer);
        writer.into_bytes()
    }

    #[test]
    fn refuses_tensors_outside_the_limits() {
        let long = "n".repeat(NAME_BYTES_MAX + 1);
        for (name, shape, error) in [
            ("", &[1][..], SchemaError::Name),
            (&long, &[1], SchemaError::Name),
            ("two words", &[1], SchemaError::Name),
            ("bell\u{7}", &[1], SchemaError::Name),
            ("größe", &[1], SchemaError::Name),
            ("t", &[], SchemaError::Shape),
            ("t", &[1, 1, 1, 1, 1], SchemaError::Shape),
            ("t", &[3, 0], SchemaError::Shape),
            ("t", &[1 << 26, 2], SchemaError::ParameterCount),
            ("t", &[u32::MAX; 4], SchemaError::ParameterCount),
        ] {
            assert_eq!(tensor(name, shape), Err(error), "{name} {shape:?}");
        }
        assert!(tensor(&long[1..], &[1 << 26]).is_ok());
    }

    #[test]
    fn refuses_schemas_outside_the_limits() {
        let many = |count| (0..count).map(|number| tensor(&format!("t{number}"), &[1]).unwrap());
        let big = || tensor("big", &[1 << 26]).unwrap();
        for (tensors, error) in [
            (vec![], SchemaError::TensorCount),
            (many(TENSORS_MAX + 1).collect(), SchemaError::TensorCount),
            (many(1).chain(many(1)).collect(), SchemaError::DuplicateName),
            (vec![big(), tensor("one", &[1]).unwrap()], SchemaError::ParameterCount),
        ] {
            assert_eq!(Schema::new(tensors), Err(error));
        }
        assert_eq!(Schema::new(many(TENSORS_MAX).collect()).unwrap().parameter_count(), 256);
        assert!(Schema::new(vec![big()]).is_ok());
    }

    #[test]
    fn cuts_chunks_that_cover_everything_and_cross_no_tensor() {
        let tensors = [("a", 65_000), ("b", 3), ("c", 130_001)];
        let tensors = tensors.map(|(name, length)| tensor(name, &[length]).unwrap());
        let schema = Schema::new(tensors.into()).unwrap();
        let expected =
            [0..65_000, 65_000..65_003, 65_003..130_003, 130_003..195_003, 195_003..195_004];
        assert_eq!(schema.chunks(), expected);
        let ranges: Vec<_> = schema.tensor_ranges().map(|(_, range)| range).collect();
        assert_eq!(ranges, [0..65_000, 65_000..65_003, 65_003..195_004]);
    }

    #[test]
    fn refuses_bytes_that_break_a_limit() {
        let schema = Schema::new(vec![tensor("a", &[2]).unwrap(), tensor("b", &[2]).unwrap()]);
        let good = bytes(&schema.unwrap());
        let twice = String::from_utf8_lossy(&good).contains('b');
        assert!(twice && Schema::decode(&mut Reader::new(&good)).is_ok());
        let same: Vec<u8> =
            good.iter().map(|&byte| if byte == b'b' { b'a' } else { byte }).collect();
        assert!(Schema::decode(&mut Reader::new(&same)).is_err());
        for end in 0..good.len() {
            assert!(Schema::decode(&mut Reader::new(&good[..end])).is_err());
        }
    }

    fn arb_schema() -> impl Strategy<Value = Schema> {
        let init =
            prop_oneof![Just(Init::Zero), any::<u32>().prop_map(|bound| Init::Uniform { bound }),];
        let tensor = (prop::collection::vec(1_u32..9, 1..=RANK_MAX), init);
        prop::collection::vec(tensor, 1..6).prop_map(|tensors| {
            let named = (0..).zip(tensors).map(|(number, (shape, init)): (u8, _)| {
                TensorSpec::new(format!("t{number}"), shape, init).unwrap()
            });
            Schema::new(named.collect()).unwrap()
        })
    }

    proptest! {
        #[test]
        fn reads_back_what_it_wrote(schema in arb_schema()) {
            let bytes = bytes(&schema);
            let mut reader = Reader::new(&bytes);
            prop_assert_eq!(Schema::decode(&mut reader), Ok(schema));
            prop_assert!(reader.finish().is_ok());
        }

        #[test]
        fn never_panics_on_noise(noise: Vec<u8>) {
            let _ = Schema::decode(&mut Reader::new(&noise));
        }
    }
}
