//! Checks: what must hold for a run to pass.
//!
//! Besides the scenario's own, some always apply: every declared fault and
//! adversary acted, every declared peer trained, no honest peer signed a slot
//! twice, and peers with the same set of updates have the same model. A run that fails them shows nothing, whatever
//! its accuracy.

use std::collections::BTreeMap;

use longhaul_aggregation::SealValue;
use serde::Serialize;

use crate::delivery::DeliveryReport;
use crate::faults::FaultCount;
use crate::host::Host;
use crate::metrics::Samples;
use crate::network::NetworkCounts;
use crate::proofs::{AggregateCounts, ProofCounts};
use crate::scenario::{
    AlwaysCheck, Count, EndCheck, EpochCheck, Probability, Scenario, TrainingMode, UncutCheck,
};

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
    /// How often each declared fault and adversary acted.
    pub faults: &'a [FaultCount],
    /// Epochs that each peer trained.
    pub trained: &'a [u32],
    /// How updates reached others.
    pub deliveries: &'a DeliveryReport,
    /// The same run without partitions, where a check compares with it.
    pub uncut: Option<&'a Samples>,
    /// Honest peers, with sound disks, that are proved to have signed a slot twice.
    pub two_faced: usize,
    /// What honest peers sealed, and what they lost to it.
    pub seals: SealEvidence,
    /// What the network saw.
    pub network: NetworkCounts,
    /// What was proved and verified, if the scenario asks for proofs.
    pub proofs: Option<ProofCounts>,
    /// What became of aggregates, if the scenario has them.
    pub aggregates: Option<AggregateCounts>,
}

/// What honest peers sealed.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct SealEvidence {
    /// Values sealed, by their end and by peer.
    pub values: Vec<Vec<SealValue>>,
    /// Seals that a peer's own set did not say, over all.
    pub adopted: u64,
    /// Own updates that came too late, over all.
    pub too_late: u64,
    /// Slots that peers saw turn void, over all.
    pub voided: u64,
}

impl SealEvidence {
    /// What the honest among `hosts` sealed.
    pub fn of(hosts: &[Host]) -> Self {
        let honest = || hosts.iter().filter(|host| host.adversary.is_none());
        let counts = || honest().map(|host| &host.counts);
        Self {
            values: counts().map(|it| it.sealed.clone()).collect(),
            adopted: counts().map(|it| it.adopted).sum(),
            too_late: counts().map(|it| it.too_late).sum(),
            voided: counts().map(|it| it.voided).sum(),
        }
    }

    /// The fewest seals of any peer.
    pub fn fewest(&self) -> usize {
        self.values.iter().map(Vec::len).min().unwrap_or_default()
    }

    /// Ends before which two peers sealed different things.
    fn contradictions(&self) -> usize {
        let mut known = BTreeMap::new();
        let values = self.values.iter().flatten();
        values.filter(|value| known.entry(value.end).or_insert(**value) != *value).count()
    }
}

/// Judges a run.
pub fn judge(scenario: &Scenario, evidence: &Evidence<'_>) -> Vec<CheckOutcome> {
    let samples = evidence.samples;
    let mut outcomes = Vec::new();
    if scenario.training.mode != TrainingMode::Transport {
        outcomes.push(everybody_trained(evidence.trained));
        outcomes.push(equal_sets_make_equal_models(samples));
        outcomes.push(CheckOutcome {
            name: "no honest peer signed a slot twice".to_owned(),
            passed: evidence.two_faced == 0,
            found: format!("{} did", evidence.two_faced),
        });
    }
    if scenario.recipe.seal.is_some() {
        let different = evidence.seals.contradictions();
        outcomes.push(CheckOutcome {
            name: "no two peers sealed different things".to_owned(),
            passed: different == 0,
            found: format!("{different} did"),
        });
    }
    outcomes.extend(evidence.proofs.map(updates_were_proved));
    outcomes.extend(evidence.aggregates.map(aggregates_travelled));
    outcomes.extend(evidence.faults.iter().map(fault_acted));
    if let Some(check) = &scenario.checks.always {
        always_check(check, samples, &mut outcomes);
    }
    for check in &scenario.checks.at_epoch {
        epoch_check(check, samples, &mut outcomes);
    }
    for check in &scenario.checks.uncut {
        outcomes.push(uncut_check(check, samples, evidence.uncut));
    }
    if let Some(check) = &scenario.checks.by_end {
        end_check(check, scenario, evidence, &mut outcomes);
    }
    outcomes
}

fn everybody_trained(trained: &[u32]) -> CheckOutcome {
    let count = trained.iter().filter(|&&epochs| epochs > 0).count();
    CheckOutcome {
        name: format!("all {} peers trained", trained.len()),
        passed: count == trained.len(),
        found: format!("{count} did"),
    }
}

/// The first promise of the fold, checked at every sample of every peer.
fn equal_sets_make_equal_models(samples: &Samples) -> CheckOutcome {
    let mut models = BTreeMap::new();
    let mut different = 0_u64;
    for sample in samples.all() {
        let known = *models.entry(sample.set).or_insert(sample.model);
        different += u64::from(known != sample.model);
    }
    CheckOutcome {
        name: "whoever holds the same updates holds the same model".to_owned(),
        passed: different == 0,
        found: format!("{} sets, {different} exceptions", models.len()),
    }
}

/// A run that asks for proofs has some, and those of honest authors hold: nobody else makes any that do not.
fn updates_were_proved(proofs: ProofCounts) -> CheckOutcome {
    let ProofCounts { made, failed, verified, refused } = proofs;
    CheckOutcome {
        name: "updates were proved, and every proof that was made holds".to_owned(),
        passed: made > 0 && verified > 0 && refused == 0,
        found: format!("{made} made, {failed} not, {verified} hold, {refused} do not"),
    }
}

fn aggregates_travelled(aggregates: AggregateCounts) -> CheckOutcome {
    let AggregateCounts { made, failed, accepted, .. } = aggregates;
    CheckOutcome {
        name: "aggregates were made and accepted".to_owned(),
        passed: made > 0 && accepted > 0,
        found: format!("{made} made, {failed} not, accepted {accepted} times"),
    }
}

fn fault_acted(fault: &FaultCount) -> CheckOutcome {
    CheckOutcome {
        name: format!("{} {}", fault.name, fault.did),
        passed: fault.count > 0,
        found: format!("{} times", fault.count),
    }
}

fn always_check(check: &AlwaysCheck, samples: &Samples, outcomes: &mut Vec<CheckOutcome>) {
    outcomes.extend(check.accuracy_drop_max.map(|max| {
        let means: Vec<_> = samples
            .epochs_due()
            .into_iter()
            .filter_map(|epoch| samples.mean_accuracy(epoch))
            .collect();
        let drops = means.windows(2).map(|pair| pair[0] - pair[1]);
        let worst = drops.fold(0.0, f64::max);
        CheckOutcome {
            name: format!("always: mean accuracy falls by at most {}", max.get()),
            passed: worst <= max.get() && !means.is_empty(),
            found: format!("{worst:.4}"),
        }
    }));
    outcomes.extend(check.lag_max.map(|max| {
        let worst = samples.all().filter(|it| it.honest).map(|it| it.lag).max().unwrap_or(0);
        CheckOutcome {
            name: format!("always: lag at most {} epochs", max.get()),
            passed: worst <= max.get(),
            found: worst.to_string(),
        }
    }));
}

fn uncut_check(check: &UncutCheck, samples: &Samples, uncut: Option<&Samples>) -> CheckOutcome {
    let (epoch, max) = (check.epoch, check.accuracy_below_max.get());
    let here = samples.mean_accuracy(epoch);
    let there = uncut.and_then(|uncut| uncut.mean_accuracy(epoch));
    let below = here.zip(there).map(|(here, there)| there - here);
    CheckOutcome {
        name: format!("epoch {epoch}: at most {max} below the run without partitions"),
        passed: below.is_some_and(|below| below <= max),
        found: match here.zip(there) {
            Some((here, there)) => format!("{here:.4} against {there:.4}"),
            None => "not measured".to_owned(),
        },
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
    evidence: &Evidence<'_>,
    outcomes: &mut Vec<CheckOutcome>,
) {
    let samples = evidence.samples;
    outcomes.extend(check.delivered_min.map(|min| {
        let share = evidence.deliveries.share();
        let name = format!("end: at least {} of the deliveries made", min.get());
        CheckOutcome { name, passed: share >= min.get(), found: format!("{share:.4}") }
    }));
    let last = scenario.epochs_total() - 1;
    outcomes.extend(check.accuracy_min.map(|min| accuracy_min("end", last, min, samples)));
    if check.equal_models {
        outcomes.push(equal_models("end", last, samples));
    }
    outcomes.extend(check.between_groups_bytes_max.map(|max| {
        let found = evidence.network.bytes_between_groups;
        CheckOutcome {
            name: format!("end: at most {max} bytes between groups"),
            passed: found <= max,
            found: found.to_string(),
        }
    }));
    seal_checks(check, last, evidence, outcomes);
    outcomes.extend(check.mean_lag_min.map(|min| {
        let lag = samples.mean_lag(scenario.epochs.get());
        let name = format!("end: mean lag at least {} epochs", min.get());
        CheckOutcome { name, passed: lag >= min.get(), found: format!("{lag:.2}") }
    }));
}

fn seal_checks(
    check: &EndCheck,
    last: u32,
    evidence: &Evidence<'_>,
    outcomes: &mut Vec<CheckOutcome>,
) {
    let seals = &evidence.seals;
    let mut least = |what: &str, min: Option<Count>, found: u64| {
        outcomes.extend(min.map(|min| CheckOutcome {
            name: format!("end: at least {} {what}", min.get()),
            passed: found >= u64::from(min.get()),
            found: found.to_string(),
        }));
    };
    least("seals at every peer", check.seals_min, seals.fewest() as u64);
    least("seals gone on from with a snapshot", check.adopted_min, seals.adopted);
    least("own updates reported as too late", check.too_late_min, seals.too_late);
    let mut most = |what: &str, max: Option<u32>, found: u64| {
        outcomes.extend(max.map(|max| CheckOutcome {
            name: format!("end: at most {max} {what}"),
            passed: found <= u64::from(max),
            found: found.to_string(),
        }));
    };
    most("slots seen to turn void", check.voided_max, seals.voided);
    let held = evidence.samples.honest(last).map(|sample| sample.held).max().unwrap_or_default();
    most("updates held by any peer", check.held_max, held as u64);
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
    use crate::delivery::Deliveries;
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
            honest: true,
            lag: 0,
            due: true,
            updates: 0,
            held: 0,
            bytes_sent: 0,
            set: ContentHash::of(&[models[usize::from(peer)]]),
            model: ModelId::from_hash(ContentHash::of(&[models[usize::from(peer)]])),
            score: Some(Score { accuracy: accuracies[usize::from(peer)], loss: 1.0 }),
            alone: None,
        };
        Samples::new(vec![sample(0), sample(1)])
    }

    fn failed(checks: Checks, samples: &Samples, hits: &[u64], trained: &[u32]) -> Vec<String> {
        let scenario = Scenario { checks, ..testing::scenario() };
        let fault = |(index, &count): (usize, &u64)| FaultCount {
            name: format!("faults.partition[{index}]"),
            did: "cut contacts",
            count,
        };
        let faults: Vec<_> = hits.iter().enumerate().map(fault).collect();
        let deliveries = Deliveries::new().report(2);
        let evidence = Evidence {
            samples,
            faults: &faults,
            trained,
            deliveries: &deliveries,
            uncut: Some(samples),
            two_faced: 0,
            seals: SealEvidence::default(),
            network: NetworkCounts { bytes_between_groups: 1_000, ..NetworkCounts::default() },
            proofs: None,
            aggregates: None,
        };
        let outcomes = judge(&scenario, &evidence);
        outcomes.into_iter().filter(|it| !it.passed).map(|it| it.name).collect()
    }

    fn by_end(accuracy: f64) -> Checks {
        let accuracy_min = Some(accuracy.try_into().expect("an accuracy"));
        let check = EndCheck { accuracy_min, equal_models: true, ..EndCheck::default() };
        Checks { by_end: Some(check), ..Checks::default() }
    }

    #[test]
    fn the_worst_peer_decides() {
        let good = samples([0.9, 0.8], [1, 1]);
        assert!(failed(by_end(0.8), &good, &[1], &[1, 1]).is_empty());
        let names = failed(by_end(0.85), &good, &[1], &[1, 1]);
        assert_eq!(names, ["end: accuracy at least 0.85"]);
    }

    #[test]
    fn what_crosses_between_groups_is_bounded() {
        let most = |bytes| {
            let check = EndCheck { between_groups_bytes_max: Some(bytes), ..EndCheck::default() };
            let checks = Checks { by_end: Some(check), ..Checks::default() };
            failed(checks, &samples([1.0; 2], [1, 1]), &[], &[1, 1])
        };
        assert!(most(1_000).is_empty());
        assert_eq!(most(999), ["end: at most 999 bytes between groups"]);
    }

    #[test]
    fn proofs_that_nobody_made_or_that_do_not_hold_fail() {
        let sound = ProofCounts { made: 2, failed: 1, verified: 2, refused: 0 };
        assert!(updates_were_proved(sound).passed);
        for broken in [
            ProofCounts { made: 0, ..sound },
            ProofCounts { verified: 0, ..sound },
            ProofCounts { refused: 1, ..sound },
        ] {
            assert!(!updates_were_proved(broken).passed, "{broken:?}");
        }
    }

    #[test]
    fn aggregates_that_never_travelled_fail() {
        let sound = AggregateCounts { made: 1, failed: 0, accepted: 1, updates: 4 };
        assert!(aggregates_travelled(sound).passed);
        assert!(!aggregates_travelled(AggregateCounts { accepted: 0, ..sound }).passed);
        assert!(!aggregates_travelled(AggregateCounts { made: 0, ..sound }).passed);
    }

    #[test]
    fn different_models_fail() {
        let names = failed(by_end(0.0), &samples([1.0, 1.0], [1, 2]), &[], &[1, 1]);
        assert_eq!(names, ["end: all peers hold one model"]);
    }

    #[test]
    fn one_set_with_two_models_fails() {
        let mut broken = samples([1.0; 2], [1, 2]).all().copied().collect::<Vec<_>>();
        broken[1].set = broken[0].set;
        let names = failed(Checks::default(), &Samples::new(broken), &[], &[1, 1]);
        assert_eq!(names, ["whoever holds the same updates holds the same model"]);
    }

    #[test]
    fn what_was_not_measured_fails() {
        let names = failed(by_end(0.0), &Samples::new(Vec::new()), &[], &[1]);
        assert_eq!(names.len(), 2);
    }

    #[test]
    fn an_idle_fault_and_an_idle_peer_fail() {
        let names = failed(Checks::default(), &samples([1.0; 2], [1, 1]), &[3, 0], &[2, 0]);
        assert_eq!(names, ["all 2 peers trained", "faults.partition[1] cut contacts"]);
    }

    #[test]
    fn falling_behind_the_uncut_run_fails() {
        let below = |max: f64| UncutCheck {
            epoch: 4,
            accuracy_below_max: max.try_into().expect("an accuracy"),
        };
        let missing = UncutCheck { epoch: 3, ..below(0.0) };
        let checks = Checks { uncut: vec![below(0.0), missing], ..Checks::default() };
        let names = failed(checks, &samples([1.0; 2], [1, 1]), &[], &[1]);
        assert_eq!(names, ["epoch 3: at most 0 below the run without partitions"]);
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
        let checks = Checks { at_epoch: vec![check], ..Checks::default() };
        let names = failed(checks, &samples([0.5, 0.6], [1, 1]), &[], &[1]);
        assert_eq!(names, ["epoch 4: accuracy at most 0.5", "epoch 4: at least 2 models"]);
    }
}
