//! Catalogue: attacks and defences by the names that people write.
//!
//! An attack is a name with its parameter, and `/jitter` or `/jitter:SHARE` behind it where each
//! attacker adds noise of its own: `alie:1.5/jitter`. A defence is a rule of a manifest with
//! what goes before it: `clip+nnm+trimmed-mean:auto`; `honest` is the mean of the honest alone.
//! Pipelines that a manifest does not know begin with `float:`; `*` and a factor behind one
//! changes the length of its output, `*mean` makes it that of the mean of clipped vectors.

use std::sync::Arc;

use longhaul_aggregation::robust::attack::{Attack, Family};
use longhaul_aggregation::robust::{self, Pipeline, Pre};
use longhaul_aggregation::{Clip, Mix, Recipe, Schema};

use crate::adversary::{Adversary, Copies};
use crate::defence::{Defence, Exact};
use crate::network::Labels;
use crate::stretch::Stretch;

/// The attacks of a table where none are named: what the rule of a manifest must bear.
pub const ATTACKS: [&str; 24] = [
    "none",
    "sign-flip",
    "scaled:-4",
    "scaled:10",
    "ipm:0.5",
    "ipm:2",
    "alie:1.5",
    "alie:-1.5",
    "mimic:0",
    "min-max",
    "min-sum",
    "free-rider",
    "label-flip",
    "slow-poisoning",
    "replay:10",
    "not-a-number",
    "optimal-ipm",
    "optimal-alie",
    "sign-flip/jitter",
    "scaled:-4/jitter",
    "ipm:1/jitter:0.5",
    "alie:1.5/jitter",
    "optimal-ipm/jitter",
    "optimal-alie/jitter",
];

/// The defences of a table where none are named.
pub const DEFENCES: [&str; 10] = [
    "honest",
    "mean",
    "diversity",
    "nnm+trimmed-mean:auto",
    "clip+nnm+trimmed-mean:auto",
    "clip+geometric-median:16",
    "clip+covariance-filter",
    "multi-krum",
    "median",
    "float:arc+nnm+trimmed-mean",
];

/// Why a text names no attack or defence.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NameError {
    /// No attack.
    #[error(
        "{0}: use none, sign-flip, scaled:FACTOR, ipm:EPSILON, alie:Z, mimic:PEER, min-max, min-sum, \
         free-rider, label-flip, slow-poisoning, replay:EPOCHS, not-a-number, optimal-ipm or \
         optimal-alie, with /jitter or /jitter:SHARE behind it where each attacker adds noise"
    )]
    Attack(String),
    /// No defence.
    #[error(
        "{0}: use honest, or a rule as in longhaul manifest new --rule with clip+, nnm+ or both \
         before it, or float: and one of arc+nnm+trimmed-mean, bulyan, minimum-diameter, \
         smallest-eigenvalue, nnm+smallest-eigenvalue, bucketing+median, \
         bucketing+geometric-median, diversity, with *FACTOR or *mean behind it for its length"
    )]
    Defence(String),
}

/// The attack that a text names.
pub fn attack(text: &str) -> Result<Adversary, NameError> {
    let wrong = || NameError::Attack(text.to_owned());
    let (name, copies) = match text.split_once('/') {
        None => (text, Copies::Identical),
        Some((name, "jitter")) => (name, Copies::Jittered(1.0)),
        Some((name, jitter)) => {
            let share = jitter.strip_prefix("jitter:").and_then(|it| it.parse().ok());
            let sound = share.filter(|it: &f64| it.is_finite() && *it > 0.0);
            (name, Copies::Jittered(sound.ok_or_else(wrong)?))
        }
    };
    let (name, parameter) = match name.split_once(':') {
        None => (name, None),
        Some((name, parameter)) => {
            let number: f64 = parameter.parse().map_err(|_| wrong())?;
            (name, Some(number).filter(|it| it.is_finite()))
        }
    };
    let crafted = |attack| Ok(Adversary::Crafted(attack, copies));
    match (name, parameter) {
        ("sign-flip", None) => crafted(Attack::SignFlip),
        ("scaled", Some(factor)) => crafted(Attack::Scaled { factor }),
        ("ipm", Some(epsilon)) => crafted(Attack::InnerProduct { epsilon }),
        ("alie", Some(deviations)) => crafted(Attack::LittleIsEnough { deviations }),
        ("mimic", Some(copied)) => {
            whole(copied).map_or_else(|| Err(wrong()), |copied| crafted(Attack::Mimic { copied }))
        }
        ("min-max", None) => crafted(Attack::MinMax),
        ("min-sum", None) => crafted(Attack::MinSum),
        ("free-rider", None) => crafted(Attack::FreeRider),
        ("optimal-ipm", None) => Ok(Adversary::Optimised(Family::InnerProduct, copies)),
        ("optimal-alie", None) => Ok(Adversary::Optimised(Family::LittleIsEnough, copies)),
        _ if copies != Copies::Identical => Err(wrong()),
        ("none", None) => Ok(Adversary::Absent),
        ("label-flip", None) => {
            Ok(Adversary::Trained { labels: Labels::Flipped, factor: 1.0, hidden: false })
        }
        ("slow-poisoning", None) => {
            Ok(Adversary::Trained { labels: Labels::All(0), factor: 1.0, hidden: true })
        }
        ("replay", Some(rounds)) => {
            whole(rounds).map(|rounds| Adversary::Replay { rounds }).ok_or_else(wrong)
        }
        ("not-a-number", None) => Ok(Adversary::NotANumber),
        _ => Err(wrong()),
    }
}

fn whole(number: f64) -> Option<usize> {
    (number.fract() == 0.0 && (0.0..1e6).contains(&number)).then_some(number as usize)
}

/// The defence that a text names, against so many attackers.
pub fn defence(text: &str, attackers: usize, schema: &Arc<Schema>) -> Result<Defence, NameError> {
    let wrong = || NameError::Defence(text.to_owned());
    if text == "honest" {
        return Ok(Defence::HonestOnly);
    }
    if let Some(name) = text.strip_prefix("float:") {
        return float(name, attackers).ok_or_else(wrong);
    }
    let (clip, rest) = match (text.strip_prefix("clip+"), text.strip_prefix("arc+")) {
        (Some(rest), _) => (Clip::Median, rest),
        (_, Some(rest)) => (Clip::Adaptive, rest),
        _ => (Clip::None, text),
    };
    let (mix, rule) = match rest.strip_prefix("nnm+") {
        Some(rule) => (Mix::NearestNeighbours, rule),
        None => (Mix::None, rest),
    };
    let rule = rule.parse().map_err(|_| wrong())?;
    let quorum = u16::try_from(2 * attackers + 1).map_err(|_| wrong())?;
    let recipe = Recipe { mix, ..Recipe::plain(rule, clip, quorum) };
    Ok(Defence::Exact(Exact { recipe, attackers, schema: Arc::clone(schema) }))
}

fn float(text: &str, attackers: usize) -> Option<Defence> {
    let Some((name, length)) = text.split_once('*') else {
        return pipeline(text, attackers).map(Defence::Float);
    };
    let stretch = match length {
        "mean" => Stretch::MeanNorm,
        factor => {
            let factor = factor.parse().ok().filter(|it: &f64| it.is_finite() && *it > 0.0);
            Stretch::Times(factor?)
        }
    };
    Some(Defence::Stretched(pipeline(name, attackers)?, stretch))
}

fn pipeline(name: &str, attackers: usize) -> Option<Pipeline> {
    let buckets = || vec![Pre::Bucketing { size: 2, order: None }];
    let nnm = Pre::NearestNeighbourMixing { attackers };
    let (pre, rule) = match name {
        "arc+nnm+trimmed-mean" => (
            vec![Pre::AdaptiveClipping { attackers }, nnm],
            robust::Rule::TrimmedMean { attackers },
        ),
        "bulyan" => {
            let neighbours = robust::KrumNeighbours::Paper;
            (vec![], robust::Rule::Bulyan { attackers, neighbours })
        }
        "bucketing+median" => (buckets(), robust::Rule::Median),
        "bucketing+geometric-median" => {
            (buckets(), robust::Rule::GeometricMedian { smoothing: 0.1, iterations: 3 })
        }
        "diversity" => (vec![], robust::Rule::Diversity { attackers }),
        "minimum-diameter" => (vec![], robust::Rule::MinimumDiameter { attackers }),
        "smallest-eigenvalue" => (vec![], robust::Rule::SmallestEigenvalue { attackers }),
        "nnm+smallest-eigenvalue" => (vec![nnm], robust::Rule::SmallestEigenvalue { attackers }),
        _ => return None,
    };
    Some(Pipeline { pre, rule })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::network::Network;
    use crate::wire;

    const FLOATS: [&str; 5] = [
        "float:bulyan",
        "float:minimum-diameter",
        "float:bucketing+median",
        "float:diversity*0.5",
        "float:diversity*mean",
    ];

    #[test]
    fn all_names_of_the_tables_are_known() {
        for name in ATTACKS {
            assert!(attack(name).is_ok(), "{name}");
        }
        let schema = Arc::new(wire::schema(&Network { inputs: 2, hidden: 2, classes: 2 }));
        for name in DEFENCES.into_iter().chain(FLOATS) {
            assert!(defence(name, 2, &schema).is_ok(), "{name}");
        }
        let jittered = Copies::Jittered(0.5);
        let expected = Adversary::Crafted(Attack::LittleIsEnough { deviations: -2.0 }, jittered);
        assert_eq!(attack("alie:-2/jitter:0.5"), Ok(expected));
    }

    #[test]
    fn says_what_there_is_instead_of_an_unknown_name() {
        for name in [
            "",
            "alie",
            "alie:x",
            "mimic:0.5",
            "mimic:-1",
            "none:1",
            "replay:5/jitter",
            "ipm:inf",
            "sign-flip/jitter:0",
            "sign-flip/shake",
        ] {
            assert!(matches!(attack(name), Err(NameError::Attack(it)) if it == name), "{name}");
        }
        let schema = Arc::new(wire::schema(&Network { inputs: 2, hidden: 2, classes: 2 }));
        for name in [
            "",
            "clip+",
            "nnm+clip+mean",
            "float:mean",
            "float:diversity*0",
            "float:diversity*x",
            "krum:2",
        ] {
            let found = defence(name, 2, &schema);
            assert!(matches!(found, Err(NameError::Defence(it)) if it == name), "{name}");
        }
    }
}
