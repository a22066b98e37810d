//! Recipe: what a manifest fixes about merging, with its bytes and its id.
//!
//! Bytes: a CBOR array `[rule, clip, quorum]`; the rule is `[0]` for the mean
//! or `[1, trim]` for the trimmed mean, clip is 0 for none and 1 for the median.

use longhaul_dtn::codec::{CodecError, Reader, Writer};
use longhaul_dtn::hash::ContentHash;

use super::{Clip, Rule};
use crate::slot::MEMBERS_MAX;

const RECIPE_CONTEXT: &str = "longhaul 2026 recipe v1";
const MEAN: u64 = 0;
const TRIMMED_MEAN: u64 = 1;

/// What a manifest fixes about merging.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Recipe {
    /// How entries are combined.
    pub rule: Rule,
    /// How updates are shortened before.
    pub clip: Clip,
    /// Fewest distinct authors (void slots included) with which an epoch has a
    /// term; at least one.
    pub quorum: u16,
}

/// Why a recipe does not fit a federation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum RecipeError {
    /// The federation has no or too many members.
    #[error("a federation has 1 to 65535 members, found {0}")]
    Members(usize),
    /// The quorum is zero or larger than the membership.
    #[error("the quorum {quorum} is not within 1 and the {members} members")]
    Quorum {
        /// The quorum.
        quorum: u16,
        /// Members of the federation.
        members: usize,
    },
    /// Trimming would leave nothing of an epoch that just has its quorum.
    #[error("trimming {trim} at each end leaves nothing of a quorum of {quorum}")]
    Trim {
        /// Entries to leave out at each end.
        trim: u16,
        /// The quorum.
        quorum: u16,
    },
}

impl Recipe {
    /// Checks the recipe against a federation's size.
    ///
    /// With at most [`MEMBERS_MAX`] members every sum of the fold fits 63 bits
    /// and a sign (see [`crate::rule`]).
    pub fn validate(&self, members: usize) -> Result<(), RecipeError> {
        let quorum = self.quorum;
        if members == 0 || members > MEMBERS_MAX {
            return Err(RecipeError::Members(members));
        }
        if quorum == 0 || usize::from(quorum) > members {
            return Err(RecipeError::Quorum { quorum, members });
        }
        match self.rule {
            Rule::TrimmedMean { trim } if u32::from(trim) * 2 >= u32::from(quorum) => {
                Err(RecipeError::Trim { trim, quorum })
            }
            _ => Ok(()),
        }
    }

    /// Writes the recipe.
    pub fn encode(&self, writer: &mut Writer) {
        writer.array(3);
        match self.rule {
            Rule::Mean => writer.array(1).unsigned(MEAN),
            Rule::TrimmedMean { trim } => {
                writer.array(2).unsigned(TRIMMED_MEAN).unsigned(u64::from(trim))
            }
        };
        writer.unsigned(u64::from(self.clip == Clip::Median)).unsigned(u64::from(self.quorum));
    }

    /// Reads a recipe, strictly. Whether it fits a federation is for
    /// [`Recipe::validate`] to say.
    pub fn decode(reader: &mut Reader<'_>) -> Result<Self, CodecError> {
        reader.tuple(3)?;
        let rule = read_rule(reader)?;
        let clip = match reader.unsigned(1)? {
            0 => Clip::None,
            _ => Clip::Median,
        };
        Ok(Self { rule, clip, quorum: read_u16(reader)? })
    }

    /// The name of the recipe: blake3 derive-key under
    /// `"longhaul 2026 recipe v1"` over its bytes.
    pub fn id(&self) -> ContentHash {
        let mut writer = Writer::new();
        self.encode(&mut writer);
        ContentHash::derive(RECIPE_CONTEXT, &writer.into_bytes())
    }
}

fn read_rule(reader: &mut Reader<'_>) -> Result<Rule, CodecError> {
    let at = reader.invalid("a rule: [0] or [1, trim]");
    let fields = reader.array(2)?;
    match (fields, reader.unsigned(TRIMMED_MEAN)?) {
        (1, MEAN) => Ok(Rule::Mean),
        (2, TRIMMED_MEAN) => Ok(Rule::TrimmedMean { trim: read_u16(reader)? }),
        _ => Err(at),
    }
}

fn read_u16(reader: &mut Reader<'_>) -> Result<u16, CodecError> {
    let at = reader.invalid("a 16-bit number");
    u16::try_from(reader.unsigned(u64::from(u16::MAX))?).map_err(|_| at)
}

#[cfg(test)]
mod tests {
    use super::*;

    const TRIMMED: Recipe =
        Recipe { rule: Rule::TrimmedMean { trim: 2 }, clip: Clip::Median, quorum: 5 };
    const MEAN_OF_ONE: Recipe = Recipe { rule: Rule::Mean, clip: Clip::None, quorum: 1 };

    fn bytes(recipe: &Recipe) -> Vec<u8> {
        let mut writer = Writer::new();
        recipe.encode(&mut writer);
        writer.into_bytes()
    }

    #[test]
    fn reads_back_what_it_wrote() {
        for recipe in [TRIMMED, MEAN_OF_ONE] {
            assert_eq!(Recipe::decode(&mut Reader::new(&bytes(&recipe))), Ok(recipe));
        }
        assert_eq!(bytes(&TRIMMED), [0x83, 0x82, 1, 2, 1, 5]);
        assert_eq!(bytes(&MEAN_OF_ONE), [0x83, 0x81, 0, 0, 1]);
    }

    #[test]
    fn refuses_malformed_recipes() {
        for malformed in [
            &[0x83, 0x82, 0, 2, 1, 5][..],
            &[0x83, 0x81, 1, 1, 5],
            &[0x83, 0x82, 2, 2, 1, 5],
            &[0x83, 0x81, 0, 2, 5],
            &[0x83, 0x81, 0, 0, 0x1a, 0, 1, 0, 0],
            &[0x82, 0x81, 0, 0],
        ] {
            assert!(Recipe::decode(&mut Reader::new(malformed)).is_err(), "{malformed:?}");
        }
    }

    #[test]
    fn fits_the_recipe_to_the_membership() {
        for (recipe, members, expected) in [
            (TRIMMED, 5, Ok(())),
            (TRIMMED, 4, Err(RecipeError::Quorum { quorum: 5, members: 4 })),
            (TRIMMED, 0, Err(RecipeError::Members(0))),
            (MEAN_OF_ONE, MEMBERS_MAX, Ok(())),
            (MEAN_OF_ONE, MEMBERS_MAX + 1, Err(RecipeError::Members(MEMBERS_MAX + 1))),
            (Recipe { quorum: 4, ..TRIMMED }, 9, Err(RecipeError::Trim { trim: 2, quorum: 4 })),
            (
                Recipe { quorum: 0, ..TRIMMED },
                9,
                Err(RecipeError::Quorum { quorum: 0, members: 9 }),
            ),
        ] {
            assert_eq!(recipe.validate(members), expected);
        }
    }

    #[test]
    fn names_different_recipes_differently() {
        assert_ne!(TRIMMED.id(), MEAN_OF_ONE.id());
        assert_ne!(TRIMMED.id(), Recipe { clip: Clip::None, ..TRIMMED }.id());
    }
}
