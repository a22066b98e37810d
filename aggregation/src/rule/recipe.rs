//! Recipe: what a manifest fixes about merging, with its bytes and its id.
//!
//! Bytes: a CBOR array `[rule, clip, quorum, mix, cohorts, pool]`, and `weights` behind it
//! where they are not all one (see [`super::weights`]) or `outer` follows, which is a rate and a
//! momentum in thousandths where they are not 1,000 and 0 (see [`super::outer`]); the rule is `[0]` for the
//! mean, `[1, trim]` for the trimmed mean (a number, or null for as many as there
//! may be attackers), `[2]` for the median, `[3]` for the mean around it, `[4]` for Krum,
//! `[5]` for Multi-Krum, `[6, iterations]` for the geometric median, `[7, radius in
//! thousandths, iterations]` for centered clipping, `[8]` for CTMA, `[9]` for CAF, `[10]` for
//! diversity, `[11]` for MDA, `[12]` for SMEA and `[13]` for Bulyan; clip is 0 for none, 1 for the
//! median and 2 for ARC, mix is 0 for none
//! and 1 for nearest neighbours, or an array with buckets (see [`super::buckets`]); cohorts are null or as in [`super::cohorts`];
//! pool is the number of doublings that the span of pooled epochs has from one, 0 to 5.

use longhaul_dtn::codec::{CodecError, Reader, Writer};
use longhaul_dtn::hash::ContentHash;

use super::buckets::Buckets;
use super::cohorts::Cohorts;
use super::outer::Outer;
use super::weighting::Weighting;
use super::weights::{self, Samples, Staleness};
use super::{Clip, Mix, Rule, Trim};
use crate::setting::Setting;
use crate::slot::MEMBERS_MAX;

/// Most authors expected in an epoch with a recipe that compares all pairs of
/// updates: with 2,048 a chunk of 65,000 entries takes some 20 CPU seconds.
pub const COMPARED_AUTHORS_MAX: usize = 2048;

/// Most authors expected in an epoch whose covariance is filtered: each of up to n rounds takes
/// 16 products of n x n matrices, 128 of them some seconds.
pub const FILTERED_AUTHORS_MAX: usize = 128;

const RECIPE_CONTEXT: &str = "longhaul 2026 recipe v1";
const MEAN: u64 = 0;
const TRIMMED_MEAN: u64 = 1;
const MEDIAN: u64 = 2;
const MEAN_AROUND_MEDIAN: u64 = 3;
const KRUM: u64 = 4;
const MULTI_KRUM: u64 = 5;
const GEOMETRIC_MEDIAN: u64 = 6;
const CENTERED_CLIPPING: u64 = 7;
const CENTERED_TRIMMED: u64 = 8;
const COVARIANCE_FILTER: u64 = 9;
const DIVERSITY: u64 = 10;
const MINIMUM_DIAMETER: u64 = 11;
const SMALLEST_EIGENVALUE: u64 = 12;
const BULYAN: u64 = 13;

/// What a manifest fixes about merging.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Recipe {
    /// How entries are combined.
    pub rule: Rule,
    /// How updates are shortened before.
    pub clip: Clip,
    /// How authors are gathered, so that the rule sees fewer vectors.
    pub buckets: Buckets,
    /// What replaces them before the rule.
    pub mix: Mix,
    /// How updates are parted by what their bases knew; none lets all of an
    /// epoch stand together.
    pub cohorts: Option<Cohorts>,
    /// Fewest distinct authors (void slots included) with which an epoch has a
    /// term; at least one.
    pub quorum: u16,
    /// How many epochs below the quorum may be pooled.
    pub pool: PoolSpan,
    /// How updates weigh by their staleness.
    pub staleness: Staleness,
    /// How updates weigh by their samples.
    pub samples: Samples,
    /// What a step makes of a term.
    pub outer: Outer,
}

/// The largest span of epochs that are pooled: 1 (none), 2, 4, 8, 16 or 32.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PoolSpan {
    doublings: u8,
}

/// Why a recipe does not fit a federation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum RecipeError {
    /// The federation has no or too many members.
    #[error("a federation has 1 to 65535 members, found {0}")]
    Members(usize),
    /// The quorum is zero or larger than the number of authors in an epoch.
    #[error("the quorum {quorum} is not within 1 and the {authors} authors of an epoch")]
    Quorum {
        /// The quorum.
        quorum: u16,
        /// Authors expected in an epoch.
        authors: usize,
    },
    /// Trimming would leave nothing of an epoch that just has its quorum.
    #[error("trimming {trim} at each end leaves nothing of a quorum of {quorum}")]
    Trim {
        /// Entries to leave out at each end.
        trim: u16,
        /// The quorum.
        quorum: u16,
    },
    /// Too many authors in an epoch to compare each with each.
    #[error(
        "{0} authors in an epoch are too many to compare each with each (at most \
         {COMPARED_AUTHORS_MAX}); draw a committee"
    )]
    Compared(usize),
    /// Too many authors in an epoch for the covariance filter.
    #[error(
        "{0} authors in an epoch are too many for the covariance filter (at most \
         {FILTERED_AUTHORS_MAX}); draw a committee, or use another rule"
    )]
    Filtered(usize),
    /// Too many authors in an epoch for a search over their subsets.
    #[error(
        "{rule} searches subsets of authors, and of {authors} there are too many; draw a committee, or use another rule"
    )]
    Searched {
        /// The rule.
        rule: Rule,
        /// Authors of a term, at most.
        authors: usize,
    },
    /// Pooled epochs can be so far apart that their headers speak of no epoch that
    /// both look back to.
    #[error("{span} epochs pooled where base summaries look {window} back; choose at most that")]
    Pool {
        /// The span.
        span: u32,
        /// Epochs that a base summary looks back.
        window: u32,
    },
    /// A rule by majority, or momentum, with fewer authors than make one.
    #[error(
        "with {attackers} assumed attackers {rule} (or momentum of its steps) needs a quorum of {least}, not {quorum}"
    )]
    Majority {
        /// The rule.
        rule: Rule,
        /// F.
        attackers: usize,
        /// 2F + 1.
        least: usize,
        /// The quorum.
        quorum: u16,
    },
    /// Attackers could spoil most buckets.
    #[error(
        "{buckets} buckets, of which {attackers} assumed attackers can spoil one each, for {authors} \
         authors; choose {least} to {authors}"
    )]
    Buckets {
        /// The number of buckets.
        buckets: u16,
        /// F.
        attackers: usize,
        /// The fewest buckets.
        least: usize,
        /// Authors expected in an epoch: the most buckets.
        authors: usize,
    },
    /// A rule that chooses vectors by itself, behind mixing.
    #[error("bulyan chooses among plain updates; leave the mixing out, or take trimmed-mean:auto")]
    Mixed,
    /// A parameter of the rule or of a weight is out of its range.
    #[error("{0} is out of its range")]
    Parameter(&'static str),
    /// A share of similarities beyond all of them, or none.
    #[error("a cohort threshold of {0} thousandths; choose 1 to 1000")]
    CohortThreshold(u16),
    /// No cohort could count, or one of nobody.
    #[error("a cohort minimum of {minimum} where an epoch has {authors} authors")]
    CohortMinimum {
        /// The minimum.
        minimum: u16,
        /// Authors expected in an epoch.
        authors: usize,
    },
}

impl PoolSpan {
    /// No pooling.
    pub const ONE: Self = Self { doublings: 0 };
    /// Doublings of the largest span.
    const DOUBLINGS_MAX: u8 = 5;

    /// A span of `epochs`; none unless that is a power of two up to 32.
    pub fn new(epochs: u16) -> Option<Self> {
        let doublings = u8::try_from(epochs.trailing_zeros()).ok()?;
        let fits = epochs.is_power_of_two() && doublings <= Self::DOUBLINGS_MAX;
        fits.then_some(Self { doublings })
    }

    /// The number of epochs.
    pub const fn epochs(self) -> u32 {
        1 << self.doublings
    }
}

impl Recipe {
    /// A rule with its clipping and quorum and nothing else.
    pub const fn plain(rule: Rule, clip: Clip, quorum: u16) -> Self {
        Self {
            rule,
            clip,
            buckets: Buckets::None,
            mix: Mix::None,
            cohorts: None,
            quorum,
            pool: PoolSpan::ONE,
            staleness: Staleness::Constant,
            samples: Samples::Alike,
            outer: Outer::PLAIN,
        }
    }

    /// Checks the recipe against a federation's size.
    ///
    /// With at most [`MEMBERS_MAX`] members every sum of the fold fits its
    /// integers (see [`crate::rule`]).
    pub fn validate(&self, setting: &Setting) -> Result<(), RecipeError> {
        let (quorum, members, authors) = (self.quorum, setting.members, setting.authors(1));
        if members == 0 || members > MEMBERS_MAX {
            return Err(RecipeError::Members(members));
        }
        if quorum == 0 || usize::from(quorum) > authors {
            return Err(RecipeError::Quorum { quorum, authors });
        }
        self.validate_rule(setting)?;
        self.validate_buckets(setting)?;
        // A rule compares vectors, cohorts are found among authors.
        let vectors = self.buckets.vectors(authors);
        let weighs = matches!(self.rule, Rule::Weighted(_) | Rule::Bulyan);
        let compares = weighs || self.mix == Mix::NearestNeighbours;
        let compared = if self.cohorts.is_some() { authors } else { vectors };
        if (compares || self.cohorts.is_some()) && compared > COMPARED_AUTHORS_MAX {
            return Err(RecipeError::Compared(compared));
        }
        let filters = self.rule == Rule::Weighted(Weighting::CovarianceFilter);
        if filters && vectors > FILTERED_AUTHORS_MAX {
            return Err(RecipeError::Filtered(vectors));
        }
        if let Some(cohorts) = &self.cohorts {
            cohorts.validate(authors)?;
            let (span, window) = (self.pool.epochs(), setting.summary_window);
            if self.pool > PoolSpan::ONE && span > window {
                return Err(RecipeError::Pool { span, window });
            }
        }
        match self.rule {
            Rule::TrimmedMean { trim: Trim::Fixed(trim) }
                if u32::from(trim) * 2 >= u32::from(quorum) =>
            {
                Err(RecipeError::Trim { trim, quorum })
            }
            _ => Ok(()),
        }
    }

    /// Checks the rule's parameters, and that a rule by weights cannot be outvoted. A trimmed mean
    /// with a lower quorum is a stated choice of availability: it trims less then.
    fn validate_rule(&self, setting: &Setting) -> Result<(), RecipeError> {
        let Self { rule, quorum, .. } = *self;
        let attackers = setting.attackers(self.pool.epochs());
        let least = self.least_vectors(attackers);
        let most = self.buckets.vectors(setting.authors(self.pool.epochs()));
        match rule {
            Rule::Bulyan if self.mix != Mix::None => return Err(RecipeError::Mixed),
            Rule::Weighted(weighting) if !weighting.is_short(most, attackers) => {
                return Err(RecipeError::Searched { rule, authors: most });
            }
            Rule::Weighted(weighting) if !weighting.is_sound() => {
                return Err(RecipeError::Parameter(
                    "the rule's radius (above 0) or number of iterations (1 to 64)",
                ));
            }
            Rule::Weighted(_) | Rule::Bulyan if usize::from(quorum) < least => {
                return Err(RecipeError::Majority { rule, attackers, least, quorum });
            }
            _ => {}
        }
        // Whoever makes a term of a late epoch releases all that is held back before it.
        if self.outer.momentum_permille > 0 && usize::from(quorum) < least {
            return Err(RecipeError::Majority { rule, attackers, least, quorum });
        }
        if !self.outer.is_sound() {
            return Err(RecipeError::Parameter(
                "the rate of a term's step (0.001 to 10) or its momentum (0 to 0.95)",
            ));
        }
        match (self.staleness.is_sound(), self.samples) {
            (false, _) => Err(RecipeError::Parameter("how weights fall with staleness")),
            (_, Samples::UpTo(0)) => Err(RecipeError::Parameter("the number of samples counted")),
            _ => Ok(()),
        }
    }

    /// Checks that attackers who spoil a bucket each leave a majority of buckets.
    fn validate_buckets(&self, setting: &Setting) -> Result<(), RecipeError> {
        let attackers = setting.attackers(self.pool.epochs());
        let authors = setting.authors(1);
        let least = self.least_vectors(attackers).max(2);
        match (self.buckets, self.rule) {
            (Buckets::Drawn(buckets), _) if !(least..=authors).contains(&buckets.into()) => {
                Err(RecipeError::Buckets { buckets, attackers, least, authors })
            }
            (Buckets::Drawn(buckets), Rule::TrimmedMean { trim: Trim::Fixed(trim) })
                if u32::from(trim) * 2 >= u32::from(buckets) =>
            {
                Err(RecipeError::Trim { trim, quorum: buckets })
            }
            (Buckets::ByRoot(0), _) => {
                Err(RecipeError::Parameter("the number of buckets of a root"))
            }
            _ => Ok(()),
        }
    }

    /// True if all authors weigh alike before clipping.
    pub(super) fn weighs_alike(&self) -> bool {
        self.staleness == Staleness::Constant && self.samples == Samples::Alike
    }

    /// Writes the recipe.
    pub fn encode(&self, writer: &mut Writer) {
        let plain = self.outer == Outer::PLAIN;
        writer.array(match (self.weighs_alike(), plain) {
            (true, true) => 6,
            (false, true) => 7,
            (_, false) => 8,
        });
        encode_rule(self.rule, writer);
        writer.unsigned(match self.clip {
            Clip::None => 0,
            Clip::Median => 1,
            Clip::Adaptive => 2,
        });
        writer.unsigned(u64::from(self.quorum));
        self.buckets.encode(self.mix, writer);
        match &self.cohorts {
            None => {
                writer.null();
            }
            Some(cohorts) => cohorts.encode(writer),
        }
        writer.unsigned(u64::from(self.pool.doublings));
        if !self.weighs_alike() || !plain {
            weights::encode(self.staleness, self.samples, writer);
        }
        if !plain {
            self.outer.encode(writer);
        }
    }

    /// Reads a recipe, strictly. Whether it fits a federation is for
    /// [`Recipe::validate`] to say.
    pub fn decode(reader: &mut Reader<'_>) -> Result<Self, CodecError> {
        let wrong = reader.invalid("an array of 6 to 8");
        let fields = reader.array(8)?;
        if fields < 6 {
            return Err(wrong);
        }
        let rule = read_rule(reader)?;
        let clip = match reader.unsigned(2)? {
            0 => Clip::None,
            1 => Clip::Median,
            _ => Clip::Adaptive,
        };
        let quorum = read_u16(reader)?;
        let (mix, buckets) = Buckets::decode(reader)?;
        let cohorts = match reader.null()? {
            true => None,
            false => Some(Cohorts::decode(reader)?),
        };
        let at = reader.invalid("an 8-bit number");
        let doublings = reader.unsigned(u64::from(PoolSpan::DOUBLINGS_MAX))?;
        let pool = PoolSpan { doublings: u8::try_from(doublings).map_err(|_| at)? };
        let plain = Self { buckets, mix, cohorts, pool, ..Self::plain(rule, clip, quorum) };
        if fields == 6 {
            return Ok(plain);
        }
        let alike = reader.invalid("weights that are not all one");
        let (staleness, samples) = weights::decode(reader)?;
        let recipe = Self { staleness, samples, ..plain };
        if fields == 7 {
            return if recipe.weighs_alike() { Err(alike) } else { Ok(recipe) };
        }
        let unchanged = reader.invalid("a step other than the term itself");
        let outer = Outer::decode(reader)?;
        if outer == Outer::PLAIN { Err(unchanged) } else { Ok(Self { outer, ..recipe }) }
    }

    /// The name of the recipe: blake3 derive-key under
    /// `"longhaul 2026 recipe v1"` over its bytes.
    pub fn id(&self) -> ContentHash {
        let mut writer = Writer::new();
        self.encode(&mut writer);
        ContentHash::derive(RECIPE_CONTEXT, &writer.into_bytes())
    }
}

fn encode_rule(rule: Rule, writer: &mut Writer) {
    let bare = |writer: &mut Writer, code| {
        writer.array(1).unsigned(code);
    };
    match rule {
        Rule::Mean => bare(writer, MEAN),
        Rule::TrimmedMean { trim } => {
            writer.array(2).unsigned(TRIMMED_MEAN);
            match trim {
                Trim::Auto => writer.null(),
                Trim::Fixed(trim) => writer.unsigned(trim.into()),
            };
        }
        Rule::Median => bare(writer, MEDIAN),
        Rule::MeanAroundMedian => bare(writer, MEAN_AROUND_MEDIAN),
        Rule::Weighted(Weighting::Krum) => bare(writer, KRUM),
        Rule::Weighted(Weighting::MultiKrum) => bare(writer, MULTI_KRUM),
        Rule::Weighted(Weighting::GeometricMedian { iterations }) => {
            writer.array(2).unsigned(GEOMETRIC_MEDIAN).unsigned(iterations.into());
        }
        Rule::Weighted(Weighting::CenteredClipping { radius_milli, iterations }) => {
            writer.array(3).unsigned(CENTERED_CLIPPING);
            writer.unsigned(radius_milli.into()).unsigned(iterations.into());
        }
        Rule::Weighted(Weighting::CenteredTrimmed) => bare(writer, CENTERED_TRIMMED),
        Rule::Weighted(Weighting::CovarianceFilter) => bare(writer, COVARIANCE_FILTER),
        Rule::Weighted(Weighting::Diversity) => bare(writer, DIVERSITY),
        Rule::Weighted(Weighting::MinimumDiameter) => bare(writer, MINIMUM_DIAMETER),
        Rule::Weighted(Weighting::SmallestEigenvalue) => bare(writer, SMALLEST_EIGENVALUE),
        Rule::Bulyan => bare(writer, BULYAN),
    }
}

fn read_rule(reader: &mut Reader<'_>) -> Result<Rule, CodecError> {
    let at = reader.invalid("a rule: its number and parameters");
    let fields = reader.array(3)?;
    let number = reader.unsigned(BULYAN)?;
    Ok(match (fields, number) {
        (1, MEAN) => Rule::Mean,
        (2, TRIMMED_MEAN) => Rule::TrimmedMean { trim: read_trim(reader)? },
        (1, MEDIAN) => Rule::Median,
        (1, MEAN_AROUND_MEDIAN) => Rule::MeanAroundMedian,
        (1, KRUM) => Rule::Weighted(Weighting::Krum),
        (1, MULTI_KRUM) => Rule::Weighted(Weighting::MultiKrum),
        (2, GEOMETRIC_MEDIAN) => {
            Rule::Weighted(Weighting::GeometricMedian { iterations: read_u8(reader)? })
        }
        (3, CENTERED_CLIPPING) => {
            let radius = reader.unsigned(u32::MAX.into())?;
            let radius_milli = u32::try_from(radius).map_err(|_| at)?;
            let iterations = read_u8(reader)?;
            Rule::Weighted(Weighting::CenteredClipping { radius_milli, iterations })
        }
        (1, CENTERED_TRIMMED) => Rule::Weighted(Weighting::CenteredTrimmed),
        (1, COVARIANCE_FILTER) => Rule::Weighted(Weighting::CovarianceFilter),
        (1, DIVERSITY) => Rule::Weighted(Weighting::Diversity),
        (1, MINIMUM_DIAMETER) => Rule::Weighted(Weighting::MinimumDiameter),
        (1, SMALLEST_EIGENVALUE) => Rule::Weighted(Weighting::SmallestEigenvalue),
        (1, BULYAN) => Rule::Bulyan,
        _ => return Err(at),
    })
}

fn read_u8(reader: &mut Reader<'_>) -> Result<u8, CodecError> {
    let at = reader.invalid("an 8-bit number");
    u8::try_from(reader.unsigned(u8::MAX.into())?).map_err(|_| at)
}

fn read_trim(reader: &mut Reader<'_>) -> Result<Trim, CodecError> {
    match reader.null()? {
        true => Ok(Trim::Auto),
        false => read_u16(reader).map(Trim::Fixed),
    }
}

pub(super) fn read_u16(reader: &mut Reader<'_>) -> Result<u16, CodecError> {
    let at = reader.invalid("a 16-bit number");
    u16::try_from(reader.unsigned(u64::from(u16::MAX))?).map_err(|_| at)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rule::{Minimum, Small};

    const TRIMMED: Recipe =
        Recipe::plain(Rule::TrimmedMean { trim: Trim::Fixed(2) }, Clip::Median, 5);
    const MEAN_OF_ONE: Recipe = Recipe::plain(Rule::Mean, Clip::None, 1);
    const MIXED: Recipe = Recipe {
        mix: Mix::NearestNeighbours,
        ..Recipe::plain(Rule::TrimmedMean { trim: Trim::Auto }, Clip::None, 7)
    };

    const PARTED: Recipe = Recipe {
        cohorts: Some(Cohorts {
            threshold_permille: 500,
            minimum: Minimum::Fixed(3),
            small: Small::Wait,
        }),
        pool: PoolSpan { doublings: 2 },
        ..MIXED
    };
    const WEIGHED: Recipe = Recipe {
        staleness: Staleness::Hinge { after: 3, slope: 1 },
        ..Recipe::plain(Rule::Weighted(Weighting::Diversity), Clip::None, 5)
    };

    fn bytes(recipe: &Recipe) -> Vec<u8> {
        let mut writer = Writer::new();
        recipe.encode(&mut writer);
        writer.into_bytes()
    }

    #[test]
    fn reads_back_what_it_wrote() {
        let stepped = Outer { rate_milli: 700, momentum_permille: 900 };
        let outer = |recipe| Recipe { outer: stepped, ..recipe };
        let stepped = [outer(TRIMMED), outer(WEIGHED)];
        for recipe in [TRIMMED, MEAN_OF_ONE, MIXED, PARTED, WEIGHED].into_iter().chain(stepped) {
            assert_eq!(Recipe::decode(&mut Reader::new(&bytes(&recipe))), Ok(recipe));
        }
        for rule in [
            Rule::Median,
            Rule::MeanAroundMedian,
            Rule::Weighted(Weighting::Krum),
            Rule::Weighted(Weighting::MultiKrum),
            Rule::Weighted(Weighting::GeometricMedian { iterations: 8 }),
            Rule::Weighted(Weighting::CenteredClipping { radius_milli: 1500, iterations: 3 }),
            Rule::Weighted(Weighting::CenteredTrimmed),
            Rule::Weighted(Weighting::CovarianceFilter),
        ] {
            let recipe = Recipe { rule, samples: Samples::UpTo(600), ..WEIGHED };
            assert_eq!(Recipe::decode(&mut Reader::new(&bytes(&recipe))), Ok(recipe));
        }
        assert_eq!(bytes(&TRIMMED), [0x86, 0x82, 1, 2, 1, 5, 0, 0xf6, 0]);
        assert_eq!(bytes(&MEAN_OF_ONE), [0x86, 0x81, 0, 0, 1, 0, 0xf6, 0]);
        assert_eq!(bytes(&MIXED), [0x86, 0x82, 1, 0xf6, 0, 7, 1, 0xf6, 0]);
        let weighed = [0x87, 0x81, 10, 0, 5, 0, 0xf6, 0, 0x82, 0x83, 2, 3, 1, 0xf6];
        assert_eq!(bytes(&WEIGHED), weighed);
        assert_eq!(bytes(&PARTED), [0x86, 0x82, 1, 0xf6, 0, 7, 1, 0x83, 0x19, 0x01, 0xf4, 3, 1, 2]);
    }

    #[test]
    fn refuses_malformed_recipes() {
        for malformed in [
            &[0x86, 0x82, 0, 2, 1, 5, 0, 0xf6, 0][..],
            &[0x86, 0x82, 0, 0xf6, 1, 5, 0, 0xf6, 0],
            &[0x86, 0x81, 1, 1, 5, 0, 0xf6, 0],
            &[0x86, 0x82, 2, 2, 1, 5, 0, 0xf6, 0],
            &[0x86, 0x81, 6, 0, 5, 0, 0xf6, 0],
            &[0x86, 0x81, 14, 0, 5, 0, 0xf6, 0],
            &[0x86, 0x82, 13, 0, 0, 5, 0, 0xf6, 0],
            &[0x86, 0x81, 0, 0, 5, 0x83, 0, 0, 4, 0xf6, 0],
            &[0x86, 0x81, 0, 0, 5, 0x83, 0, 3, 4, 0xf6, 0],
            &[0x86, 0x81, 0, 0, 5, 0x83, 2, 1, 4, 0xf6, 0],
            &[0x86, 0x81, 0, 0, 5, 0x83, 0, 1, 0x1a, 0, 1, 0, 0, 0xf6, 0],
            &[0x86, 0x81, 0, 0, 5, 0x82, 0, 1, 0xf6, 0],
            &[0x87, 0x81, 0, 0, 5, 0, 0xf6, 0, 0x82, 0x81, 0, 0xf6],
            &[0x87, 0x81, 0, 0, 5, 0, 0xf6, 0, 0x82, 0x82, 1, 17, 0xf6],
            &[0x86, 0x81, 0, 3, 5, 0, 0xf6, 0],
            &[0x86, 0x81, 0, 0, 5, 2, 0xf6, 0],
            &[0x86, 0x81, 0, 0, 5, 0, 0, 0],
            &[0x86, 0x81, 0, 0, 5, 0, 0x83, 1, 1, 3, 0],
            &[0x86, 0x81, 0, 0, 5, 0, 0x82, 1, 1, 0],
            &[0x86, 0x81, 0, 0, 5, 0, 0xf6, 6],
            &[0x86, 0x81, 0, 0, 0x1a, 0, 1, 0, 0, 0, 0xf6, 0],
            &[0x85, 0x81, 0, 0, 1, 0, 0xf6],
            &[0x88, 0x81, 0, 0, 5, 0, 0xf6, 0, 0x82, 0x81, 0, 0xf6, 0x82, 0x19, 3, 0xe8, 0],
            &[0x88, 0x81, 0, 0, 5, 0, 0xf6, 0, 0x82, 0x81, 0, 0xf6, 0x82, 1, 0x19, 3, 0xb7],
            &[0x88, 0x81, 0, 0, 5, 0, 0xf6, 0, 0x82, 0x81, 0, 0xf6, 0x81, 1],
            &[0x89, 0x81, 0, 0, 5, 0, 0xf6, 0, 0x82, 0x81, 0, 0xf6, 0x82, 1, 0, 0],
        ] {
            assert!(Recipe::decode(&mut Reader::new(malformed)).is_err(), "{malformed:?}");
        }
    }

    #[test]
    fn fits_the_recipe_to_the_membership() {
        let quorum = |quorum, authors| Err(RecipeError::Quorum { quorum, authors });
        let minimum = |minimum, authors| Err(RecipeError::CohortMinimum { minimum, authors });
        let parted = |threshold_permille, minimum| Recipe {
            cohorts: Some(Cohorts { threshold_permille, minimum, small: Small::Join }),
            ..PARTED
        };
        for (recipe, members, expected) in [
            (TRIMMED, 5, Ok(())),
            (TRIMMED, 4, quorum(5, 4)),
            (TRIMMED, 0, Err(RecipeError::Members(0))),
            (MEAN_OF_ONE, MEMBERS_MAX, Ok(())),
            (MEAN_OF_ONE, MEMBERS_MAX + 1, Err(RecipeError::Members(MEMBERS_MAX + 1))),
            (Recipe { quorum: 4, ..TRIMMED }, 9, Err(RecipeError::Trim { trim: 2, quorum: 4 })),
            (Recipe { quorum: 0, ..TRIMMED }, 9, quorum(0, 9)),
            (MIXED, COMPARED_AUTHORS_MAX, Ok(())),
            (MIXED, 3000, Err(RecipeError::Compared(3000))),
            (PARTED, 7, Ok(())),
            (Recipe { mix: Mix::None, ..PARTED }, 3000, Err(RecipeError::Compared(3000))),
            (parted(0, Minimum::Auto), 7, Err(RecipeError::CohortThreshold(0))),
            (parted(1001, Minimum::Auto), 7, Err(RecipeError::CohortThreshold(1001))),
            (parted(1000, Minimum::Fixed(0)), 7, minimum(0, 7)),
            (parted(1, Minimum::Fixed(8)), 7, minimum(8, 7)),
            (parted(1, Minimum::Fixed(7)), 7, Ok(())),
            (WEIGHED, 9, Ok(())),
            (WEIGHED, 3000, Err(RecipeError::Compared(3000))),
            (
                Recipe { rule: Rule::Weighted(Weighting::CovarianceFilter), ..WEIGHED },
                129,
                Err(RecipeError::Filtered(129)),
            ),
            (
                Recipe { samples: Samples::UpTo(0), ..WEIGHED },
                9,
                Err(RecipeError::Parameter("the number of samples counted")),
            ),
        ] {
            let setting = Setting { summary_window: 4, ..Setting::trusting(members) };
            assert_eq!(recipe.validate(&setting), expected, "{recipe:?} for {members}");
        }
    }

    #[test]
    fn a_rule_by_weights_asks_for_a_majority() {
        let assumed = |share| Setting { attacker_share_permille: share, ..Setting::trusting(12) };
        assert_eq!(WEIGHED.validate(&assumed(200)), Ok(()));
        let Err(error) = WEIGHED.validate(&assumed(250)) else { panic!("3 of 12 need 7") };
        assert!(error.to_string().contains("a quorum of 7, not 5"), "{error}");
        let endless = Rule::Weighted(Weighting::GeometricMedian { iterations: 65 });
        let recipe = Recipe { rule: endless, ..WEIGHED };
        assert!(matches!(recipe.validate(&assumed(200)), Err(RecipeError::Parameter(_))));
    }

    #[test]
    fn subsets_are_searched_among_few_authors() {
        let found = |weighting, members| {
            let rule = Rule::Weighted(weighting);
            let setting = Setting { attacker_share_permille: 250, ..Setting::trusting(members) };
            let quorum = u16::try_from(members).unwrap();
            match Recipe::plain(rule, Clip::None, quorum).validate(&setting) {
                Ok(()) => None,
                Err(RecipeError::Searched { authors, .. }) => Some(authors),
                Err(other) => panic!("{other}"),
            }
        };
        for (members, refused) in [(12, None), (32, None), (33, Some(33))] {
            assert_eq!(found(Weighting::MinimumDiameter, members), refused);
        }
        for (members, refused) in [(12, None), (16, None), (32, Some(32))] {
            assert_eq!(found(Weighting::SmallestEigenvalue, members), refused);
        }
    }

    #[test]
    fn momentum_asks_for_a_majority() {
        let setting = Setting { attacker_share_permille: 250, ..Setting::trusting(12) };
        let outer = Outer { momentum_permille: 1, ..Outer::PLAIN };
        let with = |quorum| Recipe { outer, ..Recipe::plain(Rule::Mean, Clip::None, quorum) };
        assert_eq!(with(7).validate(&setting), Ok(()));
        assert!(matches!(
            with(6).validate(&setting),
            Err(RecipeError::Majority { least: 7, quorum: 6, .. })
        ));
    }

    #[test]
    fn steps_are_within_their_ranges() {
        for (rate_milli, momentum_permille, sound) in
            [(1, 0, true), (10_000, 950, true), (0, 0, false), (10_001, 0, false), (1, 951, false)]
        {
            let recipe = Recipe { outer: Outer { rate_milli, momentum_permille }, ..WEIGHED };
            let found = recipe.validate(&Setting::trusting(9));
            let expected = Err(RecipeError::Parameter(
                "the rate of a term's step (0.001 to 10) or its momentum (0 to 0.95)",
            ));
            assert_eq!(found, if sound { Ok(()) } else { expected });
        }
    }

    #[test]
    fn fits_the_recipe_to_the_committee() {
        let drawn = Setting { committee: Some(64), ..Setting::trusting(9000) };
        assert_eq!(MIXED.validate(&drawn), Ok(()));
        let above = Recipe { quorum: 65, ..MIXED };
        assert_eq!(above.validate(&drawn), Err(RecipeError::Quorum { quorum: 65, authors: 64 }));
    }

    #[test]
    fn pools_only_what_base_summaries_can_compare() {
        for (span, window, expected) in
            [(4, 4, Ok(())), (8, 4, Err(RecipeError::Pool { span: 8, window: 4 })), (1, 0, Ok(()))]
        {
            let pool = PoolSpan::new(span).unwrap();
            let setting = Setting { summary_window: window, ..Setting::trusting(9) };
            assert_eq!(Recipe { pool, ..PARTED }.validate(&setting), expected);
            assert_eq!(Recipe { pool, ..MIXED }.validate(&setting), Ok(()), "without cohorts");
        }
        for (epochs, expected) in
            [(0, None), (1, Some(1)), (3, None), (32, Some(32)), (64, None), (32_768, None)]
        {
            assert_eq!(PoolSpan::new(epochs).map(PoolSpan::epochs), expected);
        }
    }

    #[test]
    fn names_different_recipes_differently() {
        assert_ne!(TRIMMED.id(), MEAN_OF_ONE.id());
        assert_ne!(TRIMMED.id(), Recipe { clip: Clip::None, ..TRIMMED }.id());
        assert_ne!(TRIMMED.id(), Recipe { mix: Mix::NearestNeighbours, ..TRIMMED }.id());
        assert_ne!(MIXED.id(), PARTED.id());
    }
}
