//! Whether the values of a scenario fit together.
//!
//! What one value may be is checked where it is read; here are the rules that
//! need two.

use std::collections::BTreeSet;

use super::{Contacts, Cut, EpochCheck, Partition, Rule, Scenario, TrainingMode};

/// A value that does not fit the others.
#[derive(Debug)]
pub(super) struct Misfit {
    /// The key, with its tables.
    pub key: String,
    /// What is wrong with it.
    pub why: String,
}

type Checked = Result<(), Misfit>;

/// Longest run, in epochs times peers; bounds the report's memory.
const SLOTS_MAX: u64 = 10_000_000;

pub(super) fn scenario(scenario: &Scenario) -> Checked {
    size(scenario)?;
    recipe(scenario)?;
    contacts(scenario)?;
    data(scenario)?;
    for (index, cut) in scenario.faults.partition.iter().enumerate() {
        partition_fault(scenario, &format!("faults.partition[{index}]"), cut)?;
    }
    sampled(scenario)?;
    checks(scenario)
}

fn size(scenario: &Scenario) -> Checked {
    let slots = u64::from(scenario.epochs_total()) * u64::from(scenario.peers.get());
    require(slots <= SLOTS_MAX, "epochs", || {
        format!("epochs (with drain_epochs) x peers is {slots}, the limit is {SLOTS_MAX}")
    })
}

fn recipe(scenario: &Scenario) -> Checked {
    let (recipe, peers) = (&scenario.recipe, scenario.peers.get());
    require((1..=peers).contains(&recipe.quorum), "recipe.quorum", || {
        format!("{} is not between 1 and the number of peers, {peers}", recipe.quorum)
    })?;
    match recipe.rule {
        Rule::Mean => require(recipe.trim == 0, "recipe.trim", || {
            "the mean trims nothing; use rule = \"trimmed-mean\"".to_owned()
        }),
        Rule::TrimmedMean => {
            let trimmed = 2 * u32::from(recipe.trim);
            require(trimmed < u32::from(recipe.quorum), "recipe.trim", || {
                format!("twice {} leaves nothing of a quorum of {}", recipe.trim, recipe.quorum)
            })
        }
    }
}

fn contacts(scenario: &Scenario) -> Checked {
    let Contacts::RandomPairwise { duration_ms, .. } = &scenario.contacts else {
        return Ok(());
    };
    require(*duration_ms <= scenario.epoch_ms, "contacts.random-pairwise.duration_ms", || {
        format!("{} is longer than an epoch", duration_ms.get())
    })
}

fn data(scenario: &Scenario) -> Checked {
    let Some(Partition::Split { groups, .. }) = &scenario.data.partition else {
        return Ok(());
    };
    const KEY: &str = "data.partition.split.groups";
    require(groups.len() == 2, KEY, || format!("two groups are needed, not {}", groups.len()))?;
    groups_cover(scenario, KEY, groups)
}

fn partition_fault(scenario: &Scenario, key: &str, cut: &Cut) -> Checked {
    require(cut.from_epoch < cut.to_epoch, &format!("{key}.to_epoch"), || {
        format!("{} is not after from_epoch {}", cut.to_epoch, cut.from_epoch)
    })?;
    require(cut.to_epoch <= scenario.epochs.get(), &format!("{key}.to_epoch"), || {
        format!("{} is after the last epoch, {}", cut.to_epoch, scenario.epochs.get())
    })?;
    groups_cover(scenario, &format!("{key}.groups"), &cut.groups)
}

/// At least two groups, none empty, every peer in exactly one.
fn groups_cover(scenario: &Scenario, key: &str, groups: &[Vec<u16>]) -> Checked {
    let peers = scenario.peers.get();
    require(groups.len() >= 2, key, || "at least two groups are needed".to_owned())?;
    let mut seen = BTreeSet::new();
    for (index, group) in groups.iter().enumerate() {
        require(!group.is_empty(), key, || format!("group {index} is empty"))?;
        for &peer in group {
            require(peer < peers, key, || format!("there is no peer {peer}"))?;
            require(seen.insert(peer), key, || format!("peer {peer} is listed twice"))?;
        }
    }
    let missing = (0..peers).find(|peer| !seen.contains(peer));
    require(missing.is_none(), key, || format!("peer {} is in no group", missing.unwrap_or(0)))
}

fn sampled(scenario: &Scenario) -> Checked {
    let sampled = scenario.sampled_peers();
    require(!sampled.is_empty(), "metrics.peers", || "at least one is needed".to_owned())?;
    let mut seen = BTreeSet::new();
    for peer in sampled {
        let known = peer < scenario.peers.get();
        require(known, "metrics.peers", || format!("there is no peer {peer}"))?;
        require(seen.insert(peer), "metrics.peers", || format!("peer {peer} is listed twice"))?;
    }
    Ok(())
}

fn checks(scenario: &Scenario) -> Checked {
    let synthetic = scenario.training.mode == TrainingMode::Synthetic;
    let no_accuracy = || "synthetic training has no accuracy".to_owned();
    if let Some(check) = &scenario.checks.by_end {
        let needs = check.accuracy_min.is_some();
        require(!(synthetic && needs), "checks.by_end.accuracy_min", no_accuracy)?;
    }
    for (index, check) in scenario.checks.at_epoch.iter().enumerate() {
        let key = |name: &str| format!("checks.at_epoch[{index}].{name}");
        require(check.epoch < scenario.epochs_total(), &key("epoch"), || {
            format!("the run ends with epoch {}", scenario.epochs_total() - 1)
        })?;
        require(!(synthetic && needs_accuracy(check)), &key("accuracy_min"), no_accuracy)?;
    }
    Ok(())
}

const fn needs_accuracy(check: &EpochCheck) -> bool {
    check.accuracy_min.is_some() || check.accuracy_max.is_some()
}

fn require(holds: bool, key: &str, why: impl FnOnce() -> String) -> Checked {
    if holds {
        return Ok(());
    }
    Err(Misfit { key: key.to_owned(), why: why() })
}
