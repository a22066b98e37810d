//! Weights by what an author signed: how stale its base was, and how many samples it has.
//!
//! Both are claims. A weight is at most one, that of a fresh author with as many samples as the
//! manifest counts, so that a lie gives nobody more than an honest author can have; and it
//! falls with the staleness claimed and rises with the samples up to the manifest's number.
//! Staleness is the number of epochs between the header's and the newest of which its base
//! claims to know a slot, less one; a base that names none within its window counts as stale
//! by one epoch more than the window. Arrival decides nothing.
//!
//! With whom attackers can collude does not matter, and neither does who is late: FedAsync
//! (Xie et al. 2019, arXiv 1903.03934) has the polynomial and the hinge.
//!
//! Bytes, at the end of a recipe that has any: `[staleness, samples]`; staleness is `[0]`
//! for constant, `[1, quarters]` for polynomial, `[2, after, slope]` for hinge and `[3, epochs]`
//! for exponential; samples is a number, or null where all count alike.

use longhaul_dtn::codec::{CodecError, Reader, Writer};

use super::clip::{WEIGHT_BITS, WEIGHT_ONE};
use super::recipe::read_u16;
use crate::header::UpdateHeader;

/// What an author claims that gives its update a weight.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Claims {
    /// Epochs by which its base is behind.
    pub staleness: u32,
    /// Samples that it trains on.
    pub samples: u32,
}

/// How an update's weight falls with its staleness s.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Staleness {
    /// Not at all.
    Constant,
    /// `(1 + s)^(-quarters / 4)`; quarters is 1 to 16.
    Polynomial {
        /// Four times the exponent.
        quarters: u8,
    },
    /// One up to `after`, then `1 / (1 + slope (s - after))`; slope is positive.
    Hinge {
        /// Epochs that cost nothing.
        after: u16,
        /// How fast it falls.
        slope: u16,
    },
    /// Half for each so many epochs, straight in between; positive.
    Exponential {
        /// Epochs that halve it.
        half_life: u16,
    },
}

/// How an update's weight rises with the samples behind it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Samples {
    /// Not at all.
    Alike,
    /// In proportion, up to this number, which is positive.
    UpTo(u32),
}

/// Largest exponent of a polynomial, in quarters.
const QUARTERS_MAX: u8 = 16;

impl Claims {
    /// What a header claims.
    pub fn of(header: &UpdateHeader) -> Self {
        let rows = header.base.summary.rows();
        let newest = rows.iter().rev().position(|row| !row.is_empty());
        let staleness = u32::try_from(newest.unwrap_or(rows.len())).unwrap_or(u32::MAX);
        Self { staleness, samples: header.samples }
    }
}

impl Staleness {
    /// The weight of claims, 0 to 2^16.
    pub(crate) fn weight(self, claims: Claims) -> i64 {
        let stale = i64::from(claims.staleness);
        match self {
            Self::Constant => WEIGHT_ONE,
            Self::Polynomial { quarters } => {
                // The fourth root of 2^64 / (1 + s)^quarters is the weight in units of 2^-16.
                let power = u128::from(claims.staleness) + 1;
                let power = (0..quarters).try_fold(1_u128, |all, _| all.checked_mul(power));
                let fourth = power.map_or(0, |power| (1_u128 << (4 * WEIGHT_BITS)) / power);
                i64::try_from(fourth.isqrt().isqrt()).expect("at most 2^16")
            }
            Self::Hinge { after, slope } => {
                let behind = (stale - i64::from(after)).max(0);
                WEIGHT_ONE / (1 + i64::from(slope) * behind)
            }
            Self::Exponential { half_life } => {
                let half_life = i64::from(half_life).max(1);
                let (halvings, rest) = (stale / half_life, stale % half_life);
                let full = WEIGHT_ONE >> halvings.min(63);
                full - full * rest / (2 * half_life)
            }
        }
    }

    /// The weight of an update that is `epochs` stale, 0 to 1.
    pub fn share(self, epochs: u32) -> f64 {
        self.weight(Claims { staleness: epochs, samples: 0 }) as f64 / WEIGHT_ONE as f64
    }

    /// True if its parameters are within their ranges.
    pub(super) const fn is_sound(self) -> bool {
        match self {
            Self::Constant => true,
            Self::Polynomial { quarters } => quarters > 0 && quarters <= QUARTERS_MAX,
            Self::Hinge { slope, .. } => slope > 0,
            Self::Exponential { half_life } => half_life > 0,
        }
    }

    fn encode(self, writer: &mut Writer) {
        match self {
            Self::Constant => writer.array(1).unsigned(0),
            Self::Polynomial { quarters } => writer.array(2).unsigned(1).unsigned(quarters.into()),
            Self::Hinge { after, slope } => {
                writer.array(3).unsigned(2).unsigned(after.into()).unsigned(slope.into())
            }
            Self::Exponential { half_life } => {
                writer.array(2).unsigned(3).unsigned(half_life.into())
            }
        };
    }

    fn decode(reader: &mut Reader<'_>) -> Result<Self, CodecError> {
        let at =
            reader.invalid("a staleness: [0], [1, quarters], [2, after, slope] or [3, epochs]");
        let fields = reader.array(3)?;
        match (fields, reader.unsigned(3)?) {
            (1, 0) => Ok(Self::Constant),
            (2, 1) => {
                let quarters = reader.unsigned(QUARTERS_MAX.into())?;
                u8::try_from(quarters).map(|quarters| Self::Polynomial { quarters }).map_err(|_| at)
            }
            (3, 2) => Ok(Self::Hinge { after: read_u16(reader)?, slope: read_u16(reader)? }),
            (2, 3) => Ok(Self::Exponential { half_life: read_u16(reader)? }),
            _ => Err(at),
        }
    }
}

impl Samples {
    /// The weight of claims, 0 to 2^16.
    pub(crate) fn weight(self, claims: Claims) -> i64 {
        match self {
            Self::Alike => WEIGHT_ONE,
            Self::UpTo(most) => {
                let most = i64::from(most.max(1));
                (i64::from(claims.samples).min(most) << WEIGHT_BITS) / most
            }
        }
    }

    fn decode(reader: &mut Reader<'_>) -> Result<Self, CodecError> {
        if reader.null()? {
            return Ok(Self::Alike);
        }
        let at = reader.invalid("a 32-bit number");
        u32::try_from(reader.unsigned(u32::MAX.into())?).map(Self::UpTo).map_err(|_| at)
    }
}

/// Writes both, as the last field of a recipe.
pub(super) fn encode(staleness: Staleness, samples: Samples, writer: &mut Writer) {
    writer.array(2);
    staleness.encode(writer);
    match samples {
        Samples::Alike => writer.null(),
        Samples::UpTo(most) => writer.unsigned(most.into()),
    };
}

/// Reads both.
pub(super) fn decode(reader: &mut Reader<'_>) -> Result<(Staleness, Samples), CodecError> {
    reader.tuple(2)?;
    Ok((Staleness::decode(reader)?, Samples::decode(reader)?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn arb_staleness() -> impl Strategy<Value = Staleness> {
        prop_oneof![
            Just(Staleness::Constant),
            (1_u8..=QUARTERS_MAX).prop_map(|quarters| Staleness::Polynomial { quarters }),
            (0_u16..99, 1_u16..9).prop_map(|(after, slope)| Staleness::Hinge { after, slope }),
            (1_u16..99).prop_map(|half_life| Staleness::Exponential { half_life }),
        ]
    }

    #[test]
    fn weights_are_those_of_the_formulas() {
        let claims = |staleness| Claims { staleness, samples: 30 };
        for (staleness, stale, expected) in [
            (Staleness::Constant, 1_000, 65_536),
            (Staleness::Polynomial { quarters: 2 }, 0, 65_536),
            (Staleness::Polynomial { quarters: 1 }, 15, 32_768),
            (Staleness::Polynomial { quarters: 2 }, 3, 32_768),
            (Staleness::Polynomial { quarters: 4 }, 3, 16_384),
            (Staleness::Polynomial { quarters: 2 }, 1, 46_340),
            (Staleness::Polynomial { quarters: 16 }, u32::MAX, 0),
            (Staleness::Hinge { after: 4, slope: 1 }, 4, 65_536),
            (Staleness::Hinge { after: 4, slope: 1 }, 7, 16_384),
            (Staleness::Exponential { half_life: 4 }, 2, 49_152),
            (Staleness::Exponential { half_life: 4 }, 8, 16_384),
            (Staleness::Exponential { half_life: 1 }, u32::MAX, 0),
        ] {
            assert_eq!(staleness.weight(claims(stale)), expected, "{staleness:?} {stale}");
        }
        assert_eq!(Samples::UpTo(60).weight(claims(0)), 32_768);
        assert_eq!(Samples::UpTo(20).weight(claims(0)), 65_536);
        assert_eq!(Samples::Alike.weight(claims(0)), 65_536);
    }

    proptest! {
        #[test]
        fn no_claim_weighs_more_than_a_fresh_author_and_staler_claims_weigh_less(
            staleness in arb_staleness(), stale in any::<u32>(), less in any::<u32>(),
            samples in any::<u32>(), most in 1_u32..,
        ) {
            let weight = |stale| staleness.weight(Claims { staleness: stale, samples });
            prop_assert!((0..=WEIGHT_ONE).contains(&weight(stale)));
            prop_assert!(weight(stale) <= weight(stale.min(less)));
            prop_assert_eq!(weight(0), WEIGHT_ONE);
            let of = |samples| Samples::UpTo(most).weight(Claims { staleness: 0, samples });
            prop_assert!((0..=WEIGHT_ONE).contains(&of(samples)));
            prop_assert!(of(samples.min(less)) <= of(samples));
        }

        #[test]
        fn reads_back_what_it_wrote(staleness in arb_staleness(), samples in prop::option::of(1_u32..)) {
            let samples = samples.map_or(Samples::Alike, Samples::UpTo);
            let mut writer = Writer::new();
            encode(staleness, samples, &mut writer);
            let bytes = writer.into_bytes();
            prop_assert_eq!(decode(&mut Reader::new(&bytes)), Ok((staleness, samples)));
        }
    }
}
