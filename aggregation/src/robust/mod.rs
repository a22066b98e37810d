//! Robust aggregation over floats: the published rules, fast, bounded and safe on any input.
//!
//! The rules here are those of the literature on vectors of `f32` or `f64`, for research,
//! for figures beside other libraries, and as the mathematics that the exact fold follows.
//! What a manifest names is exact and in integers ([`crate::rule`]).
//!
//! # Two passes
//!
//! Nearly every published rule is one of two kinds, and every published pre-aggregation is
//! linear once its weights are known:
//!
//! - *Gram rules* ask for nothing but dot products of the inputs, and give a weight to each
//!   input. [`Gram`] is computed in one pass; the output is one further pass.
//! - *Coordinate rules* sort or compare within each coordinate, in tiles of columns.
//! - A *pre-aggregation* ([`Pre`]) turns n vectors into m weighted sums of them: a
//!   [`Mixing`]. It changes the Gram matrix by two small products, and a tile as it is read,
//!   so that a pipeline of any length reads the inputs twice.
//!
//! Working memory besides inputs and output is some n x n numbers and a tile.
//!
//! # What is promised
//!
//! - Inputs that are not finite are refused by their place; nothing panics on any bits.
//! - Outputs are finite where the inputs are at most [`MAGNITUDE_MAX`] in magnitude; larger
//!   ones are refused too.
//! - Values that processors are slow with (denormal ones) count as zero, so that nobody can make a
//!   rule slow by them: entries below 2^-100 (`f64`: 2^-896), and in dot products those below
//!   2^-40 (2^-448) of their vector's largest, or of one where that is larger.
//! - Ties are broken by the order of the inputs. The order of float additions is fixed, so
//!   that runs on one machine agree to the bit, on any number of threads; machines with other
//!   vector widths, or without fused products, may differ in the last bits.
//! - Rules that search subsets end with an error beyond [`STEPS_MAX`] steps; iterations that
//!   would take more are refused.

#[cfg(feature = "attacks")]
pub mod attack;
mod columns;
mod dust;
mod eigen;
mod gram;
mod input;
mod kernel;
mod lanes;
mod limbs;
pub mod local;
mod mixing;
mod network;
pub mod pre;
pub mod rule;
mod sharing;
mod threads;

pub(crate) use columns::Columnwise;
pub use gram::Gram;
pub(crate) use input::Number;
pub use input::{InputError, MAGNITUDE_MAX, Real, Vectors};
pub(crate) use kernel::products;
pub(crate) use limbs::Limbs;
pub use mixing::Mixing;
pub use pre::Pre;
pub use rule::{KrumNeighbours, Rule};

/// Most steps of a search over subsets, or of iterations: some seconds.
pub const STEPS_MAX: u64 = 1 << 30;

/// Pre-aggregations in order, and a rule.
#[derive(Debug, Clone, PartialEq)]
pub struct Pipeline {
    /// What is done to the vectors before.
    pub pre: Vec<Pre>,
    /// What makes one vector of them.
    pub rule: Rule,
}

/// Why a rule gives nothing.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RobustError {
    /// More attackers than the rule bears among so many vectors.
    #[error("{rule} bears {attackers} attackers among {least} vectors or more, not among {count}")]
    Attackers {
        /// The rule.
        rule: &'static str,
        /// Attackers assumed.
        attackers: usize,
        /// Vectors that it takes.
        least: usize,
        /// Vectors that there are.
        count: usize,
    },
    /// A number that belongs to a vector names none.
    #[error("there is no vector {index} among {count}")]
    Index {
        /// The number.
        index: usize,
        /// Vectors that there are.
        count: usize,
    },
    /// A parameter of a rule is out of its range.
    #[error("{what} is {value}, which is not {range}")]
    Parameter {
        /// Which parameter.
        what: &'static str,
        /// Its value.
        value: String,
        /// What it may be.
        range: &'static str,
    },
    /// The search would take too long.
    #[error("{0} searches too many subsets: choose fewer vectors or attackers, or another rule")]
    TooManySubsets(&'static str),
    /// The order of vectors is no permutation of them.
    #[error("the order given is no permutation of the {0} vectors")]
    Order(usize),
}

impl Pipeline {
    /// A rule with nothing before it.
    pub const fn of(rule: Rule) -> Self {
        Self { pre: Vec::new(), rule }
    }

    /// Makes one vector of `vectors`.
    ///
    /// Cost: one pass for the Gram matrix if anything asks for it (n^2 / 2 products for each
    /// coordinate; n where norms alone are asked for), and one for the output.
    pub fn aggregate<T: Real>(&self, vectors: &Vectors<'_, T>) -> Result<Vec<T>, RobustError> {
        self.aggregate_by(vectors, Gram::default(), 1)
    }

    /// Makes one vector of `vectors` of whose dot products `gram` has some, as it grew while
    /// they arrived ([`Gram::extend`]), on some threads. The outcome is the same to the bit.
    ///
    /// Cost: one pass for what the matrix lacks, if anything asks for it, and one for the output.
    pub fn aggregate_by<T: Real>(
        &self,
        vectors: &Vectors<'_, T>,
        mut gram: Gram,
        threads: usize,
    ) -> Result<Vec<T>, RobustError> {
        let count = vectors.count();
        if gram.count() > count {
            return Err(RobustError::Index { index: count, count });
        }
        match self.rule.asks_gram() || self.pre.iter().any(Pre::asks_gram) {
            true if self.rule.asks_norms_alone() && self.pre.is_empty() && gram.count() == 0 => {
                gram = Gram::norms_of(vectors, threads);
            }
            true => gram.extend(vectors, threads),
            false => gram = Gram::unasked(count),
        }
        let (mixing, gram) = self.mix(gram)?;
        let Some(weights) = self.rule.weights(&gram)? else {
            return columns::aggregate(vectors, &mixing, &self.rule, &gram, threads);
        };
        let weights = mixing.weighed(&weights);
        Ok(threads::fill(vectors, threads, |part, out| kernel::combine(part, &weights, out)))
    }

    /// The weight of each vector in the output; none where the rule works within coordinates.
    pub fn weights<T: Real>(
        &self,
        vectors: &Vectors<'_, T>,
    ) -> Result<Option<Vec<f64>>, RobustError> {
        let (mixing, gram) = self.mix(Gram::of(vectors))?;
        let Some(weights) = self.rule.weights(&gram)? else { return Ok(None) };
        let mut found = vec![0.0; vectors.count()];
        mixing.weighed(&weights).into_iter().for_each(|(at, weight)| found[at] = weight);
        Ok(Some(found))
    }

    /// What the pre-aggregations make of the vectors, and the Gram matrix of that.
    fn mix(&self, mut gram: Gram) -> Result<(Mixing, Gram), RobustError> {
        let mut mixing = Mixing::identity(gram.count());
        for pre in &self.pre {
            let step = pre.mixing(&gram)?;
            gram = gram.mixed(&step);
            mixing = step.after(&mixing);
        }
        Ok((mixing, gram))
    }
}

/// Checks that `attackers` of `count` leave `least(attackers)` vectors.
fn bears(
    rule: &'static str,
    attackers: usize,
    count: usize,
    least: usize,
) -> Result<(), RobustError> {
    match count >= least {
        true => Ok(()),
        false => Err(RobustError::Attackers { rule, attackers, least, count }),
    }
}

/// Checks that a majority rule has `2 f + 1` vectors.
fn majority(rule: &'static str, attackers: usize, count: usize) -> Result<(), RobustError> {
    bears(rule, attackers, count, attackers.saturating_mul(2).saturating_add(1))
}

/// Checks that so many iterations over `count` vectors, each of `count^2` steps and some more,
/// end in [`STEPS_MAX`].
fn iterable(what: &'static str, iterations: u32, count: usize) -> Result<(), RobustError> {
    let each = (count as u64).saturating_pow(2).saturating_add(64);
    match each.saturating_mul(iterations.into()) <= STEPS_MAX {
        true => Ok(()),
        false => {
            let range = "few enough for 2^30 steps, of which one takes n^2 + 64";
            Err(RobustError::Parameter { what, value: iterations.to_string(), range })
        }
    }
}

/// Checks a parameter that is a positive finite number.
fn positive(what: &'static str, value: f64) -> Result<f64, RobustError> {
    match value > 0.0 && value.is_finite() {
        true => Ok(value),
        false => {
            let range = "positive and finite";
            Err(RobustError::Parameter { what, value: value.to_string(), range })
        }
    }
}
