//! Encoding: how the updates of a federation are quantised and written, as its manifest
//! fixes it.
//!
//! Bytes: a CBOR array, `[0]` int8, `[1]` int8 coded, `[2]` int4, `[3, share]` ternary,
//! `[4, share, levels]` rand-k, `[5, share, levels]` top-k; a share counts
//! ten-thousandths, levels are 1, 7 or 127. The default, int8, is the format of
//! [`crate::update`]; what the others look like is in [`super::payload`].
//!
//! All decode to the same [`Update`](crate::update::Update), so that fold and rules know
//! nothing of encodings.

use longhaul_dtn::codec::{CodecError, Reader, Writer};

use crate::rule::{Mix, PoolSpan, Recipe, Rule};

const INT8: u64 = 0;
const INT8_CODED: u64 = 1;
const INT4: u64 = 2;
const TERNARY: u64 = 3;
const RAND_K: u64 = 4;
const TOP_K: u64 = 5;

/// How updates are quantised and written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub enum Encoding {
    /// Values -127..=127, one byte each.
    #[default]
    Int8,
    /// The same values behind an entropy coder.
    Int8Coded,
    /// Values -7..=7 behind an entropy coder.
    Int4,
    /// Values -1..=1 behind an entropy coder.
    Ternary {
        /// Most of the entries of a chunk that are not zero. It bounds the size: 3,300
        /// cost at most some 1.26 bits an entry.
        share: Share,
    },
    /// The entries of a mask that all members share; the payload has values only.
    RandK {
        /// How many entries travel.
        share: Share,
        /// The values that they take.
        levels: Levels,
    },
    /// The entries of largest magnitude, with their positions. For recipes that are means.
    TopK {
        /// Most entries that travel.
        share: Share,
        /// The values that they take.
        levels: Levels,
    },
}

/// A part of the entries, in ten-thousandths from 1 to 10,000.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Share(u16);

/// The largest magnitude of a quantised value.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Levels {
    /// -1, 0 and 1.
    One,
    /// -7..=7.
    Seven,
    /// -127..=127.
    Full,
}

/// An encoding and a recipe that do not fit each other.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum EncodingError {
    /// Each top-k update has its zeros elsewhere: a rule that trims columns or compares
    /// updates would judge the choice, not the values.
    #[error("top-k updates with a recipe that trims or mixes; choose rand-k, or a plain mean")]
    TopKNeedsMean,
    /// The epochs that a recipe pools have masks of their own, so that its rows have their
    /// zeros elsewhere too.
    #[error(
        "rand-k updates with a recipe that pools epochs and trims or mixes: each epoch has a \
         mask of its own; pool none, or choose a plain mean"
    )]
    RandKNeedsOneEpoch,
}

impl Share {
    /// Everything.
    pub const ALL: Self = Self(10_000);

    /// `ten_thousandths` of the entries; none unless within 1 and 10,000.
    pub const fn new(ten_thousandths: u16) -> Option<Self> {
        match ten_thousandths {
            1..=10_000 => Some(Self(ten_thousandths)),
            _ => None,
        }
    }

    /// Ten-thousandths, 1 to 10,000.
    pub const fn ten_thousandths(self) -> u16 {
        self.0
    }

    /// The share of `entries`, rounded up: `ceil(entries * share / 10000)`.
    pub fn of(self, entries: usize) -> usize {
        // Entries are at most 2^26; of no more than there are, so it fits.
        (entries as u64 * u64::from(self.0)).div_ceil(10_000) as usize
    }

    fn decode(reader: &mut Reader<'_>) -> Result<Self, CodecError> {
        let at = reader.invalid("a share of 1 to 10000 ten-thousandths");
        let share = u16::try_from(reader.unsigned(u64::from(u16::MAX))?).ok();
        share.and_then(Self::new).ok_or(at)
    }
}

impl Levels {
    /// The largest magnitude: 1, 7 or 127.
    pub const fn largest(self) -> u8 {
        match self {
            Self::One => 1,
            Self::Seven => 7,
            Self::Full => 127,
        }
    }

    fn decode(reader: &mut Reader<'_>) -> Result<Self, CodecError> {
        let at = reader.invalid("levels of 1, 7 or 127");
        match reader.unsigned(127)? {
            1 => Ok(Self::One),
            7 => Ok(Self::Seven),
            127 => Ok(Self::Full),
            _ => Err(at),
        }
    }
}

impl Encoding {
    /// Ternary at no more than 1/25 of the size of `f32`.
    pub const TERNARY: Self = Self::Ternary { share: Share(3_300) };
    /// 12 % of the entries by a shared mask, as ternary: at most 1/160 of the size of `f32`.
    pub const RAND_K: Self = Self::RandK { share: Share(1_200), levels: Levels::One };
    /// The largest entry in 40, as ternary: at most 1/150 of the size of `f32`. At the same
    /// size that leaves less out than fewer entries of more levels.
    pub const TOP_K: Self = Self::TopK { share: Share(250), levels: Levels::One };

    /// The values that entries can take.
    pub const fn levels(&self) -> Levels {
        match *self {
            Self::Int8 | Self::Int8Coded => Levels::Full,
            Self::Int4 => Levels::Seven,
            Self::Ternary { .. } => Levels::One,
            Self::RandK { levels, .. } | Self::TopK { levels, .. } => levels,
        }
    }

    /// Most of the entries that are not zero.
    pub const fn share(&self) -> Share {
        match *self {
            Self::Int8 | Self::Int8Coded | Self::Int4 => Share::ALL,
            Self::Ternary { share } | Self::RandK { share, .. } | Self::TopK { share, .. } => share,
        }
    }

    /// Checks that updates of this encoding can be merged by `recipe`.
    pub fn validate(&self, recipe: &Recipe) -> Result<(), EncodingError> {
        let mean = recipe.rule == Rule::Mean && recipe.mix == Mix::None;
        match self {
            Self::TopK { .. } if !mean => Err(EncodingError::TopKNeedsMean),
            Self::RandK { .. } if !mean && recipe.pool != PoolSpan::ONE => {
                Err(EncodingError::RandKNeedsOneEpoch)
            }
            _ => Ok(()),
        }
    }

    /// Writes the encoding; see the file's head.
    pub fn encode(&self, writer: &mut Writer) {
        let (kind, share, levels) = match *self {
            Self::Int8 => (INT8, None, None),
            Self::Int8Coded => (INT8_CODED, None, None),
            Self::Int4 => (INT4, None, None),
            Self::Ternary { share } => (TERNARY, Some(share), None),
            Self::RandK { share, levels } => (RAND_K, Some(share), Some(levels)),
            Self::TopK { share, levels } => (TOP_K, Some(share), Some(levels)),
        };
        let share = share.map(|share| u64::from(share.0));
        let levels = levels.map(|levels| u64::from(levels.largest()));
        let fields = share.into_iter().chain(levels);
        writer.array(1 + fields.clone().count()).unsigned(kind);
        fields.for_each(|field| {
            writer.unsigned(field);
        });
    }

    /// Reads an encoding, strictly. Whether it fits a recipe is for
    /// [`Encoding::validate`] to say.
    pub fn decode(reader: &mut Reader<'_>) -> Result<Self, CodecError> {
        let at =
            reader.invalid("an encoding: [0], [1], [2], [3, share] or [4 or 5, share, levels]");
        let fields = reader.array(3)?;
        match (reader.unsigned(TOP_K)?, fields) {
            (INT8, 1) => Ok(Self::Int8),
            (INT8_CODED, 1) => Ok(Self::Int8Coded),
            (INT4, 1) => Ok(Self::Int4),
            (TERNARY, 2) => Ok(Self::Ternary { share: Share::decode(reader)? }),
            (kind @ (RAND_K | TOP_K), 3) => {
                let (share, levels) = (Share::decode(reader)?, Levels::decode(reader)?);
                Ok(match kind {
                    RAND_K => Self::RandK { share, levels },
                    _ => Self::TopK { share, levels },
                })
            }
            _ => Err(at),
        }
    }
}
