//! The recipe of a scenario: how updates are written and how they become terms.

use longhaul_aggregation::{EncodingNameError, RuleNameError, StalenessNameError};
use serde::{Deserialize, Serialize};

/// How the updates of an epoch become its term.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Recipe {
    /// The rule.
    pub rule: Rule,
    /// How many a trimmed mean drops at either end: a number, or `auto` for as
    /// many as there may be attackers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trim: Option<Trim>,
    /// Clipping before the rule.
    #[serde(default)]
    pub clip: Clip,
    /// Mixing before the rule.
    #[serde(default)]
    pub mix: Mix,
    /// How many buckets authors are drawn into, of which each is one vector for the rule; none
    /// when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub buckets: Option<u16>,
    /// How many buckets the members of one trust root fill at most; buckets are not by root when
    /// absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub root_buckets: Option<u16>,
    /// How updates weigh by their staleness.
    #[serde(default, skip_serializing_if = "Staleness::is_constant")]
    pub staleness: Staleness,
    /// Samples up to which updates weigh in proportion; all alike when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub samples_max: Option<u32>,
    /// The rate of the step that the model takes by a term, in thousandths.
    #[serde(default = "defaults::outer_rate_milli", skip_serializing_if = "is_one")]
    pub outer_rate_milli: u32,
    /// Nesterov momentum of these steps, in thousandths.
    #[serde(default, skip_serializing_if = "is_none")]
    pub outer_momentum_permille: u16,
    /// How updates are quantised and written; as int8 when absent.
    #[serde(default, skip_serializing_if = "Encoding::is_int8")]
    pub encoding: Encoding,
    /// Distinct authors below which a term stays empty.
    pub quorum: u16,
    /// Most epochs below the quorum that are pooled: 1 (none), 2, 4, 8, 16 or 32.
    #[serde(default = "defaults::pool_epochs")]
    pub pool_epochs: u16,
    /// Share of the members that may be hostile, in thousandths.
    #[serde(default)]
    pub attackers_permille: u16,
    /// How updates are parted by what their bases knew; not at all when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cohorts: Option<Cohorts>,
    /// How many publish in an epoch, drawn by lot; everybody when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub committee: Option<Committee>,
    /// When old epochs are closed for good; never when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seal: Option<Seal>,
}

/// When old epochs are closed for good.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Seal {
    /// How far back an epoch lies before it may be sealed; at least the 12 epochs that a
    /// base summary speaks of.
    pub window_epochs: u32,
    /// An attempt every so many epochs.
    pub every_epochs: u32,
}

/// How many a trimmed mean drops at either end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Trim {
    /// This many.
    Fixed(u16),
    /// As many as there may be attackers.
    Auto(Auto),
}

/// The word `auto`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Auto {
    /// As the assumed attackers ask for.
    Auto,
}

/// Mixing of updates before the rule.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Mix {
    /// None.
    #[default]
    None,
    /// Each becomes the mean of its nearest neighbours.
    NearestNeighbours,
}

/// How updates are parted by what their bases knew.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Cohorts {
    /// Least similarity of two clusters that are merged, in thousandths.
    #[serde(default = "defaults::threshold_permille")]
    pub threshold_permille: u16,
    /// Fewest authors of a cohort that counts; as the attackers ask for when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub minimum: Option<u16>,
    /// What becomes of the others.
    pub small: Small,
}

/// What becomes of a cohort that is too small.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Small {
    /// It is joined to the nearest.
    Join,
    /// It counts once it has grown.
    Wait,
    /// Only its vouched slots count.
    Vouch,
}

/// How many publish in an epoch.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Committee {
    /// On average.
    pub size: u16,
    /// Epochs of local change that an author gathers at most for its next slot.
    pub accumulate_epochs_max: u16,
}

/// The aggregation rule, by its name on the command line; the trimmed mean goes with `trim`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum Rule {
    /// The mean.
    Mean,
    /// The mean without the `trim` largest and smallest of every entry.
    TrimmedMean,
    /// Any other.
    Other(longhaul_aggregation::Rule),
}

impl TryFrom<String> for Rule {
    type Error = RuleNameError;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        match text.as_str() {
            "mean" => Ok(Self::Mean),
            "trimmed-mean" => Ok(Self::TrimmedMean),
            text => text.parse().map(Self::Other),
        }
    }
}

impl From<Rule> for String {
    fn from(rule: Rule) -> Self {
        match rule {
            Rule::Mean => "mean".to_owned(),
            Rule::TrimmedMean => "trimmed-mean".to_owned(),
            Rule::Other(rule) => rule.to_string(),
        }
    }
}

/// How updates weigh by their staleness, by its name on the command line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Staleness(pub longhaul_aggregation::Staleness);

impl Staleness {
    fn is_constant(&self) -> bool {
        *self == Self::default()
    }
}

impl Default for Staleness {
    fn default() -> Self {
        Self(longhaul_aggregation::Staleness::Constant)
    }
}

impl TryFrom<String> for Staleness {
    type Error = StalenessNameError;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse().map(Self)
    }
}

impl From<Staleness> for String {
    fn from(staleness: Staleness) -> Self {
        staleness.0.to_string()
    }
}

/// How updates are quantised and written, by its name on the command line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Encoding(pub longhaul_aggregation::Encoding);

impl Encoding {
    fn is_int8(&self) -> bool {
        *self == Self::default()
    }
}

impl TryFrom<String> for Encoding {
    type Error = EncodingNameError;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse().map(Self)
    }
}

impl From<Encoding> for String {
    fn from(encoding: Encoding) -> Self {
        encoding.0.to_string()
    }
}

/// Clipping of updates before the rule.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Clip {
    /// None.
    #[default]
    None,
    /// To the median norm of the set.
    Median,
    /// The longest to the longest of the others (ARC).
    Adaptive,
}

fn is_one(milli: &u32) -> bool {
    *milli == defaults::outer_rate_milli()
}

fn is_none(permille: &u16) -> bool {
    *permille == 0
}

mod defaults {
    pub(super) const fn outer_rate_milli() -> u32 {
        1_000
    }

    pub(super) const fn pool_epochs() -> u16 {
        1
    }

    pub(super) const fn threshold_permille() -> u16 {
        500
    }
}
