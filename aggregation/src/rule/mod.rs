//! Rules: how the updates of one epoch become one term.
//!
//! A term is a pure function of a set of updates, which stand in one or several
//! cohorts (see [`crate::fold`]). In each cohort staleness, the number of samples and clipping
//! give an update a weight in units of 2^-16 ([`weights`], [`clip`]), mixing replaces each
//! vector by the sum of its neighbours, and the rule turns what it has into an exact
//! integer sum over a number of contributions, or by coefficients in units of 2^-30
//! ([`weighting`]). Cohorts are averaged by the number of their updates, and each
//! entry is rounded once, to the nearest unit of 2^-24, ties to even. Where there
//! are several cohorts, the mean of each is cut before to whole 2^-32 of a unit,
//! downwards, since their exact average can have a denominator of any size.
//!
//! # Bits
//!
//! An entry is at most `127 * 2^24` units. A weighted entry is at most that
//! times 2^16, and a sum has at most 65,535 of them, which stays below 2^63; so
//! does a mixed vector. Sums of mixed vectors, and means with 32 more bits, are
//! held in 128. A term's entry is a mean of entries, so it is at most `127 * 2^24`
//! again and fits 32 bits; where coefficients sum to more than one, it is clamped to that.
//! The assertions below hold the constants to this.

pub mod buckets;
mod bulyan;
pub mod clip;
pub mod cohorts;
mod columns;
mod extremes;
mod gram;
mod influence;
pub mod mean;
pub mod name;
pub mod nearest_neighbour_mixing;
pub mod outer;
pub mod recipe;
mod rounding;
mod sums;
pub mod trimmed_mean;
pub(crate) mod vector;
pub mod weighting;
pub mod weights;

use crate::slot::MEMBERS_MAX;
use crate::update::{EXPONENT_MAX, Update, VALUE_MAX};

pub(crate) use buckets::{Bucket, Rooted};
pub use buckets::{Buckets, TrustRoots};
pub use clip::{Clip, WEIGHT_ONE};
pub use cohorts::{Cohorts, Minimum, Small};
pub use influence::Influence;
pub(crate) use name::decimal;
pub use name::{RuleNameError, StalenessNameError};
pub use outer::Outer;
pub use recipe::{COMPARED_AUTHORS_MAX, PoolSpan, Recipe, RecipeError};
pub(crate) use vector::Vector;
pub use weighting::{ITERATIONS_MAX, Weighting};
pub(crate) use weights::Claims;
pub use weights::{Samples, Staleness};

use extremes::Keep;
use sums::{Sums, Way};
use vector::Weighted;
use weighting::COEFFICIENT_ONE;

/// Largest magnitude of an entry of an update or of a term, in units of 2^-24.
pub const ENTRY_UNITS_MAX: i64 = (VALUE_MAX as i64) << EXPONENT_MAX;

/// Bits below the unit that a cohort's mean keeps before it is averaged.
const COHORT_BITS: u32 = 32;

const _: () = assert!(ENTRY_UNITS_MAX <= i32::MAX as i64, "a term's entry fits 32 bits");
const _: () = assert!(
    ENTRY_UNITS_MAX.checked_mul(WEIGHT_ONE * MEMBERS_MAX as i64).is_some(),
    "a sum of weighted entries fits 63 bits and a sign"
);
const _: () = assert!(
    (ENTRY_UNITS_MAX as i128 * (WEIGHT_ONE * MEMBERS_MAX as i64) as i128)
        .checked_mul((MEMBERS_MAX as i128) << COHORT_BITS)
        .is_some(),
    "a sum of mixed vectors fits 127 bits with those below the unit"
);

/// How the entries of a cohort's vectors are combined.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Rule {
    /// The mean of all vectors.
    Mean,
    /// Entry by entry, the mean without the largest and smallest.
    TrimmedMean {
        /// How many to leave out at each end; at least one always stays.
        trim: Trim,
    },
    /// Entry by entry, the median; of an even number the mean of the two in the middle.
    Median,
    /// Entry by entry, the mean of those nearest to the median: as many as are no attackers.
    MeanAroundMedian,
    /// The sum by weights that follow from dot products.
    Weighted(Weighting),
    /// Bulyan: Krum chooses all but 2 f, and entry by entry the mean of those of them that are
    /// nearest to their median, all but 2 f again.
    Bulyan,
}

/// How many entries a trimmed mean leaves out at each end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Trim {
    /// As many as there may be attackers.
    Auto,
    /// This number. Every void slot takes one off.
    Fixed(u16),
}

/// What replaces the vectors before the rule.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Mix {
    /// Nothing.
    None,
    /// Each vector by the mean of its nearest, as many as are not attackers.
    NearestNeighbours,
}

/// The vectors of one cohort, by author.
#[derive(Debug)]
pub(crate) struct Group<'a> {
    /// One vector for each author that counts; at least one.
    pub vectors: Vec<Vector<'a>>,
    /// What each author claims that gives it a weight; as many.
    pub claims: Vec<Claims>,
    /// The bucket of each author; as many.
    pub buckets: Vec<Bucket>,
    /// How many authors that is, of which buckets have several.
    pub authors: usize,
}

impl<'a> Group<'a> {
    /// Updates of one epoch by authors who are all fresh and have samples enough.
    fn of(updates: &'a [Update]) -> Self {
        Self::fresh(updates.iter().map(|update| Vector::of(&[update])).collect())
    }

    /// Vectors that all weigh one and stand alone.
    fn fresh(vectors: Vec<Vector<'a>>) -> Self {
        let alone = |place: usize| Bucket::Alone(u16::try_from(place).unwrap_or(u16::MAX));
        Self {
            claims: vec![Claims { staleness: 0, samples: u32::MAX }; vectors.len()],
            buckets: (0..vectors.len()).map(alone).collect(),
            authors: vectors.len(),
            vectors,
        }
    }
}

/// How many attackers the rule of a term has to bear.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Bearing {
    /// F of the manifest.
    pub attackers: usize,
    /// Authors whose slots are void: proven attackers who contribute nothing.
    pub voids: usize,
}

impl Bearing {
    /// The attackers that may be among those who contribute.
    pub fn remaining(self) -> usize {
        self.attackers.saturating_sub(self.voids)
    }

    /// The attackers that may be among `count` authors who contribute: at most
    /// as many as leave the others a majority.
    pub fn among(self, count: usize) -> usize {
        self.remaining().min((count - 1) / 2)
    }

    fn trim(self, trim: Trim, count: usize) -> usize {
        match trim {
            Trim::Auto => self.among(count),
            Trim::Fixed(trim) => usize::from(trim).saturating_sub(self.voids).min((count - 1) / 2),
        }
    }
}

impl Recipe {
    /// The term of cohorts, of which there is at least one.
    pub(crate) fn term(&self, groups: &[Group<'_>], bearing: Bearing) -> Vec<i32> {
        if self.buckets != Buckets::None {
            let gather = |group| self.gather(group, &self.weighed(group, bearing), bearing);
            let groups: Vec<Group<'_>> = groups.iter().map(gather).collect();
            return self.gathered().term(&groups, bearing);
        }
        let mut sums: Vec<Sums<'_>> =
            groups.iter().map(|group| self.sums(group, bearing)).collect();
        self.outer.scaled(match &mut sums[..] {
            [] => unreachable!("a term has at least one cohort"),
            [sums] => sums.round(),
            sums => sums::average(sums),
        })
    }

    /// The term of updates that stand in one cohort and weigh alike, in their order, among whom
    /// so many attackers are assumed: what an experiment asks for. Empty where there is none.
    ///
    /// # Panics
    /// If the updates are of different schemas.
    pub fn term_of(&self, updates: &[Update], attackers: usize) -> Vec<i32> {
        match updates {
            [] => Vec::new(),
            _ => self.term(&[Group::of(updates)], Bearing { attackers, voids: 0 }),
        }
    }

    /// The exact result of the rule in one cohort.
    fn sums<'a>(&self, group: &'a Group<'a>, bearing: Bearing) -> Sums<'a> {
        let mut vectors = self.weighed(group, bearing);
        let count = vectors.len();
        let attackers = bearing.among(count);
        if let Rule::Weighted(weighting) = self.rule {
            let coefficients = weighting.coefficients(&vectors, self.mix, attackers);
            vectors.iter_mut().zip(coefficients).for_each(|(it, weight)| it.weight = weight);
            return Sums::new(vectors, Way::whole(), COEFFICIENT_ONE, group.authors);
        }
        if self.rule == Rule::Bulyan {
            let chosen = bulyan::chosen(&vectors, attackers);
            let vectors: Vec<_> = chosen.places.iter().map(|&place| vectors[place]).collect();
            let way = Way::kept(&vectors, chosen.keep);
            let divisor = divisor(chosen.keep.of(vectors.len()));
            return Sums::new(vectors, way, divisor, group.authors);
        }
        let keep = self.keep(count, bearing);
        match self.mix {
            // Everybody's neighbours are all: each mixed vector is the mean.
            Mix::NearestNeighbours if attackers == 0 => {
                Sums::new(vectors, Way::whole(), divisor(count), group.authors)
            }
            Mix::NearestNeighbours => {
                let near = nearest_neighbour_mixing::near(&vectors, attackers);
                let way = Way::mixed(&vectors, &near, keep);
                let divisor = divisor(keep.of(count) * (count - attackers));
                Sums::new(vectors, way, divisor, group.authors)
            }
            Mix::None => {
                let way = Way::kept(&vectors, keep);
                Sums::new(vectors, way, divisor(keep.of(count)), group.authors)
            }
        }
    }

    /// Which entries of a column are kept; all by rules by weights.
    fn keep(&self, count: usize, bearing: Bearing) -> Keep {
        match self.rule {
            Rule::Mean | Rule::Weighted(_) | Rule::Bulyan => Keep::Middle(0),
            Rule::TrimmedMean { trim } => Keep::Middle(bearing.trim(trim, count)),
            Rule::Median => Keep::Middle((count - 1) / 2),
            Rule::MeanAroundMedian => Keep::NearMedian(count - bearing.among(count)),
        }
    }

    /// The vectors with the weights that their claims and clipping give them.
    fn weighed<'a>(&self, group: &'a Group<'a>, bearing: Bearing) -> Vec<Weighted<'a>> {
        let mut vectors = self.clip.weigh(&group.vectors, bearing.among(group.vectors.len()));
        for (weighted, claims) in vectors.iter_mut().zip(&group.claims) {
            let claimed = self.staleness.weight(*claims) * self.samples.weight(*claims);
            weighted.weight =
                (weighted.weight * (claimed >> clip::WEIGHT_BITS)) >> clip::WEIGHT_BITS;
        }
        vectors
    }
}

/// What a sum over this many weighted contributions is divided by.
fn divisor(contributions: usize) -> i64 {
    i64::try_from(contributions).expect("pairs of members fit 32 bits") * WEIGHT_ONE
}

fn to_term(mean: i128) -> i32 {
    let largest = i128::from(ENTRY_UNITS_MAX);
    i32::try_from(mean.clamp(-largest, largest)).expect("a term's entry fits 32 bits")
}
