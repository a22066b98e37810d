//! Checks: what must hold for a run to pass.
//!
//! Besides the scenario's own, two always apply: every declared partition hit
//! a contact, and every declared peer trained. A run that fails them shows
//! nothing, whatever its accuracy.

use serde::Serialize;

use crate::metrics::Samples;
use crate::scenario::{EndCheck, EpochCheck, Probability, Scenario};

/// The outcome of one check.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct CheckOutcome {
    /// What must hold.
    pub name: String,
    /// Whether it does.
    pub passed: bool,
    /// What was found.
    pub found: String,
}

/// What the checks look at.
#[derive(Debug)]
pub struct Evidence<'a> {
    /// All samples of the run.
    pub samples: &'a Samples,
    /// Contacts that each partition ended or prevented.
    pub partition_hits: &'a [u64],
    /// Updates that each peer published.
    pub published: &'a [u32],
}

/// Judges a run.
pub fn judge(scenario: &Scenario, evidence: &Evidence<'_>) -> Vec<CheckOutcome> {
    let mut outcomes = vec![everybody_trained(evidence.published)];
    outcomes.extend(evidence.partition_hits.iter().enumerate().map(partition_hit));
    let samples = evidence.samples;
    for check in &scenario.checks.at_epoch {
        epoch_check(check, samples, &mut outcomes);
    }
    if let Some(check) = &scenario.checks.by_end {
        end_check(check, scenario, samples, &mut outcomes);
    }
    outcomes
}

fn everybody_trained(published: &[u32]) -> CheckOutcome {
    let trained = published.iter().filter(|&&updates| updates > 0).count();
    CheckOutcome {
        name: format!("all {} peers trained", published.len()),
        passed: trained == published.len(),
        found: format!("{trained} did"),
    }
}

fn partition_hit((index, &hits): (usize, &u64)) -> CheckOutcome {
    CheckOutcome {
        name: format!("partition {index} cut a contact"),
        passed: hits > 0,
        found: format!("{hits} cut or prevented"),
    }
}

fn epoch_check(check: &EpochCheck, samples: &Samples, outcomes: &mut Vec<CheckOutcome>) {
    let EpochCheck { epoch, .. } = *check;
    let when = format!("epoch {epoch}");
    outcomes.extend(check.accuracy_min.map(|min| accuracy_min(&when, epoch, min, samples)));
    outcomes.extend(check.accuracy_max.map(|max| accuracy_max(&when, epoch, max, samples)));
    if check.equal_models {
        outcomes.push(equal_models(&when, epoch, samples));
    }
    outcomes.extend(check.models_min.map(|min| {
        let models = samples.models(epoch);
        let name = format!("{when}: at least {} models", min.get());
        CheckOutcome { name, passed: models >= min.get() as usize, found: models.to_string() }
    }));
}

fn end_check(
    check: &EndCheck,
    scenario: &Scenario,
    samples: &Samples,
    outcomes: &mut Vec<CheckOutcome>,
) {
    let last = scenario.epochs_total() - 1;
    outcomes.extend(check.accuracy_min.map(|min| accuracy_min("end", last, min, samples)));
    if check.equal_models {
        outcomes.push(equal_models("end", last, samples));
    }
    outcomes.extend(check.mean_lag_min.map(|min| {
        let lag = samples.mean_lag(scenario.epochs.get());
        let name = format!("end: mean lag at least {} epochs", min.get());
        CheckOutcome { name, passed: lag >= min.get(), found: format!("{lag:.2}") }
    }));
}

fn accuracy_min(when: &str, epoch: u32, min: Probability, samples: &Samples) -> CheckOutcome {
    let found = samples.accuracies(epoch).into_iter().reduce(f64::min);
    CheckOutcome {
        name: format!("{when}: accuracy at least {}", min.get()),
        passed: found.is_some_and(|found| found >= min.get()),
        found: shown(found),
    }
}

fn accuracy_max(when: &str, epoch: u32, max: Probability, samples: &Samples) -> CheckOutcome {
    let found = samples.accuracies(epoch).into_iter().reduce(f64::max);
    CheckOutcome {
        name: format!("{when}: accuracy at most {}", max.get()),
        passed: found.is_some_and(|found| found <= max.get()),
        found: shown(found),
    }
}

fn equal_models(when: &str, epoch: u32, samples: &Samples) -> CheckOutcome {
    let models = samples.models(epoch);
    let name = format!("{when}: all peers hold one model");
    CheckOutcome { name, passed: models == 1, found: format!("{models} models") }
}

fn shown(accuracy: Option<f64>) -> String {
    accuracy.map_or("not measured".to_owned(), |accuracy| format!("{accuracy:.4}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::SimTime;
    use crate::learner::Score;
    use crate::metrics::Sample;
    use crate::scenario::Checks;
    use crate::testing;
    use longhaul_aggregation::ModelId;
    use longhaul_dtn::hash::ContentHash;

    /// Two peers in the last epoch of the tiny scenario.
    fn samples(accuracies: [f64; 2], models: [u8; 2]) -> Samples {
        let sample = |peer: u16| Sample {
            at: SimTime::ZERO,
            epoch: 4,
            peer,
            lag: 0,
            due: true,
            updates: 0,
            bytes_sent: 0,
            model: ModelId::from_hash(ContentHash::of(&[models[usize::from(peer)]])),
            score: Some(Score { accuracy: accuracies[usize::from(peer)], loss: 1.0 }),
        };
        Samples::new(vec![sample(0), sample(1)])
    }

    fn failed(checks: Checks, samples: &Samples, hits: &[u64], published: &[u32]) -> Vec<String> {
        let scenario = Scenario { checks, ..testing::scenario() };
        let evidence = Evidence { samples, partition_hits: hits, published };
        let outcomes = judge(&scenario, &evidence);
        outcomes.into_iter().filter(|it| !it.passed).map(|it| it.name).collect()
    }

    fn by_end(accuracy: f64) -> Checks {
        let accuracy_min = Some(accuracy.try_into().expect("an accuracy"));
        let check = EndCheck { accuracy_min, equal_models: true, mean_lag_min: None };
        Checks { by_end: Some(check), at_epoch: Vec::new() }
    }

    #[test]
    fn the_worst_peer_decides() {
        let good = samples([0.9, 0.8], [1, 1]);
        assert!(failed(by_end(0.8), &good, &[1], &[1, 1]).is_empty());
        let names = failed(by_end(0.85), &good, &[1], &[1, 1]);
        assert_eq!(names, ["end: accuracy at least 0.85"]);
    }

    #[test]
    fn different_models_fail() {
        let names = failed(by_end(0.0), &samples([1.0, 1.0], [1, 2]), &[], &[1, 1]);
        assert_eq!(names, ["end: all peers hold one model"]);
    }

    #[test]
    fn what_was_not_measured_fails() {
        let names = failed(by_end(0.0), &Samples::new(Vec::new()), &[], &[1]);
        assert_eq!(names.len(), 2);
    }

    #[test]
    fn an_idle_fault_and_an_idle_peer_fail() {
        let names = failed(Checks::default(), &samples([1.0; 2], [1, 1]), &[3, 0], &[2, 0]);
        assert_eq!(names, ["all 2 peers trained", "partition 1 cut a contact"]);
    }

    #[test]
    fn checks_of_an_epoch_look_at_that_epoch() {
        let check = EpochCheck {
            epoch: 4,
            accuracy_min: None,
            accuracy_max: Some(0.5.try_into().expect("an accuracy")),
            equal_models: false,
            models_min: Some(2.try_into().expect("a count")),
        };
        let checks = Checks { by_end: None, at_epoch: vec![check] };
        let names = failed(checks, &samples([0.5, 0.6], [1, 1]), &[], &[1]);
        assert_eq!(names, ["epoch 4: accuracy at most 0.5", "epoch 4: at least 2 models"]);
    }
}
