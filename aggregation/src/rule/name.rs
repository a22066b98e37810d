//! Names, as people write them: of rules (`mean`, `trimmed-mean:2`, `centered-clipping:1.5:3`)
//! and of weights by staleness (`constant`, `polynomial:1`, `hinge:10:1`, `exponential:12`).

use std::fmt;
use std::str::FromStr;

use super::{Rule, Staleness, Trim, Weighting};

/// Why a text names no rule.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "{0}: use mean, median, trimmed-mean:K or trimmed-mean:auto, mean-around-median, krum, \
     multi-krum, geometric-median:ITERATIONS (1 to 64), centered-clipping:RADIUS:ITERATIONS (from \
     0.001 on, at most three places; 1 to 64), \
     centered-trimmed, covariance-filter, diversity, minimum-diameter, smallest-eigenvalue or bulyan"
)]
pub struct RuleNameError(String);

/// Why a text names no weight by staleness.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "{0}: use constant, polynomial:QUARTERS (of the exponent, 1 to 16), hinge:AFTER:SLOPE \
     or exponential:HALF-LIFE, in epochs"
)]
pub struct StalenessNameError(String);

impl FromStr for Rule {
    type Err = RuleNameError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let parts: Vec<&str> = text.split(':').collect();
        let rule = match parts[..] {
            ["mean"] => Some(Self::Mean),
            ["median"] => Some(Self::Median),
            ["mean-around-median"] => Some(Self::MeanAroundMedian),
            ["bulyan"] => Some(Self::Bulyan),
            ["trimmed-mean", "auto"] => Some(Self::TrimmedMean { trim: Trim::Auto }),
            ["trimmed-mean", trim] => {
                trim.parse().ok().map(|trim| Self::TrimmedMean { trim: Trim::Fixed(trim) })
            }
            _ => weighting(&parts).filter(|it| it.is_sound()).map(Self::Weighted),
        };
        rule.ok_or_else(|| RuleNameError(text.to_owned()))
    }
}

fn weighting(parts: &[&str]) -> Option<Weighting> {
    Some(match *parts {
        ["krum"] => Weighting::Krum,
        ["multi-krum"] => Weighting::MultiKrum,
        ["geometric-median", iterations] => {
            Weighting::GeometricMedian { iterations: iterations.parse().ok()? }
        }
        ["centered-clipping", radius, iterations] => Weighting::CenteredClipping {
            radius_milli: milli(radius)?,
            iterations: iterations.parse().ok()?,
        },
        ["centered-trimmed"] => Weighting::CenteredTrimmed,
        ["covariance-filter"] => Weighting::CovarianceFilter,
        ["diversity"] => Weighting::Diversity,
        ["minimum-diameter"] => Weighting::MinimumDiameter,
        ["smallest-eigenvalue"] => Weighting::SmallestEigenvalue,
        _ => return None,
    })
}

/// Thousandths of a decimal number with at most three places.
fn milli(text: &str) -> Option<u32> {
    decimal(text, 3)
}

/// A decimal number with at most so many places, as the integer that all of them make.
pub(crate) fn decimal(text: &str, places: usize) -> Option<u32> {
    let digits = |text: &str| text.bytes().all(|it| it.is_ascii_digit());
    let (whole, after) = text.split_once('.').unwrap_or((text, ""));
    if after.len() > places || !digits(whole) || !digits(after) {
        return None;
    }
    format!("{whole}{after:0<places$}").parse().ok().filter(|_| !whole.is_empty())
}

impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::Mean => f.write_str("mean"),
            Self::Median => f.write_str("median"),
            Self::MeanAroundMedian => f.write_str("mean-around-median"),
            Self::Bulyan => f.write_str("bulyan"),
            Self::TrimmedMean { trim: Trim::Auto } => f.write_str("trimmed-mean:auto"),
            Self::TrimmedMean { trim: Trim::Fixed(trim) } => write!(f, "trimmed-mean:{trim}"),
            Self::Weighted(weighting) => weighting.fmt(f),
        }
    }
}

impl fmt::Display for Weighting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match *self {
            Self::Krum => "krum",
            Self::MultiKrum => "multi-krum",
            Self::GeometricMedian { iterations } => {
                return write!(f, "geometric-median:{iterations}");
            }
            Self::CenteredClipping { radius_milli, iterations } => {
                let (whole, places) = (radius_milli / 1000, radius_milli % 1000);
                return write!(f, "centered-clipping:{whole}.{places:03}:{iterations}");
            }
            Self::CenteredTrimmed => "centered-trimmed",
            Self::CovarianceFilter => "covariance-filter",
            Self::Diversity => "diversity",
            Self::MinimumDiameter => "minimum-diameter",
            Self::SmallestEigenvalue => "smallest-eigenvalue",
        })
    }
}

impl FromStr for Staleness {
    type Err = StalenessNameError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let parts: Vec<&str> = text.split(':').collect();
        let found = match parts[..] {
            ["constant"] => Some(Self::Constant),
            ["polynomial", quarters] => {
                quarters.parse().ok().map(|quarters| Self::Polynomial { quarters })
            }
            ["hinge", after, slope] => match (after.parse(), slope.parse()) {
                (Ok(after), Ok(slope)) => Some(Self::Hinge { after, slope }),
                _ => None,
            },
            ["exponential", half_life] => {
                half_life.parse().ok().map(|half_life| Self::Exponential { half_life })
            }
            _ => None,
        };
        found.filter(|it| it.is_sound()).ok_or_else(|| StalenessNameError(text.to_owned()))
    }
}

impl fmt::Display for Staleness {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::Constant => f.write_str("constant"),
            Self::Polynomial { quarters } => write!(f, "polynomial:{quarters}"),
            Self::Hinge { after, slope } => write!(f, "hinge:{after}:{slope}"),
            Self::Exponential { half_life } => write!(f, "exponential:{half_life}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rules_have_one_name_each() {
        for text in [
            "mean",
            "median",
            "mean-around-median",
            "trimmed-mean:auto",
            "trimmed-mean:3",
            "krum",
            "multi-krum",
            "geometric-median:8",
            "centered-clipping:1.500:3",
            "centered-trimmed",
            "covariance-filter",
            "diversity",
            "minimum-diameter",
            "smallest-eigenvalue",
            "bulyan",
        ] {
            assert_eq!(text.parse().map(|rule: Rule| rule.to_string()), Ok(text.to_owned()));
        }
        let clipping = Weighting::CenteredClipping { radius_milli: 250, iterations: 1 };
        assert_eq!("centered-clipping:0.25:1".parse(), Ok(Rule::Weighted(clipping)));
    }

    #[test]
    fn weights_by_staleness_have_one_name_each() {
        for text in ["constant", "polynomial:1", "hinge:10:2", "exponential:12"] {
            let found = text.parse().map(|it: Staleness| it.to_string());
            assert_eq!(found, Ok(text.to_owned()));
        }
        for text in ["", "polynomial:0", "polynomial:17", "hinge:1:0", "hinge:1", "exponential:0"] {
            let found = text.parse::<Staleness>();
            let says = |why: StalenessNameError| why.to_string().contains("use constant,");
            assert!(found.is_err_and(says), "{text}");
        }
    }

    #[test]
    fn says_which_rules_there_are() {
        for text in [
            "",
            "Mean",
            "trimmed-mean",
            "trimmed-mean:-1",
            "krum:2",
            "geometric-median:0",
            "geometric-median:65",
            "centered-clipping:0:1",
            "centered-clipping:1.2345:1",
            "centered-clipping:1.+5:1",
            "centered-clipping:+1:1",
            "centered-clipping:.5:1",
            "centered-clipping:9999999:1",
            "mean:",
        ] {
            let found = text.parse::<Rule>();
            let says =
                |why: RuleNameError| why.to_string().contains("covariance-filter, diversity");
            assert!(found.is_err_and(says), "{text}");
        }
    }
}
