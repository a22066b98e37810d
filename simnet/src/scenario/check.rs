//! Whether the values of a scenario fit together.
//!
//! What one value may be is checked where it is read; here are the rules that
//! need two.

use std::collections::BTreeSet;

use longhaul_aggregation::{PoolSpan, RecipeError, SealPolicy, SealRules};
use longhaul_registry::manifest::EPOCHS_MAX;

use super::{
    Attack, CELLS_MAX, Contacts, Drain, EpochCheck, Partition, Proofs, Recipe, Rule, Scenario,
    Select, Shape, Sweep, Timing, TrainingMode, Trim, sweep,
};

/// A value that does not fit the others.
#[derive(Debug)]
pub(super) struct Misfit {
    /// The key, with its tables.
    pub key: String,
    /// What is wrong with it.
    pub why: String,
}

const SUMMARY_WINDOW: u32 = crate::federation::SUMMARY_WINDOW as u32;
const SEAL_WINDOW: &str = "recipe.seal.window_epochs";

type Checked = Result<(), Misfit>;

/// Longest run, in epochs times peers; bounds the report's memory.
const SLOTS_MAX: u64 = 10_000_000;

pub(super) fn scenario(scenario: &Scenario) -> Checked {
    size(scenario)?;
    roots(scenario)?;
    recipe(scenario)?;
    proofs(scenario)?;
    aggregates(scenario)?;
    seal(scenario)?;
    contacts(scenario)?;
    data(scenario)?;
    groups(scenario)?;
    faults(scenario)?;
    transport(scenario)?;
    sampled(scenario)?;
    checks(scenario)?;
    scenario.sweep.as_ref().map_or(Ok(()), sweep)
}

/// Most epochs of draining, as many as of training.
const DRAIN_EPOCHS_MAX: u32 = 100_000;

fn size(scenario: &Scenario) -> Checked {
    require(scenario.drain_epochs <= DRAIN_EPOCHS_MAX, "drain_epochs", || {
        format!("{} is not between 0 and {DRAIN_EPOCHS_MAX} epochs", scenario.drain_epochs)
    })?;
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
    require(PoolSpan::new(recipe.pool_epochs).is_some(), "recipe.pool_epochs", || {
        format!("{} is not 1, 2, 4, 8, 16 or 32", recipe.pool_epochs)
    })?;
    trim(recipe)?;
    let merged = crate::federation::recipe(recipe);
    let fits = recipe.encoding.0.validate(&merged);
    fits.or_else(|why| require(false, "recipe.encoding", || why.to_string()))?;
    if scenario.training.mode == TrainingMode::Transport {
        return Ok(());
    }
    let setting = crate::federation::setting(scenario);
    merged.validate(&setting).or_else(|why| {
        let key = match why {
            RecipeError::Buckets { .. } => "recipe.buckets",
            RecipeError::Quorum { .. } | RecipeError::Majority { .. } => "recipe.quorum",
            RecipeError::Trim { .. } => "recipe.trim",
            RecipeError::CohortThreshold(_) | RecipeError::CohortMinimum { .. } => "recipe.cohorts",
            _ => "recipe.rule",
        };
        require(false, key, || why.to_string())
    })
}

fn trim(recipe: &Recipe) -> Checked {
    match (recipe.rule, recipe.trim) {
        (Rule::Mean | Rule::Other(_), trim) => require(trim.is_none(), "recipe.trim", || {
            "only the trimmed mean trims; use rule = \"trimmed-mean\"".to_owned()
        }),
        (Rule::TrimmedMean, None) => require(false, "recipe.trim", || {
            "a trimmed mean needs a number, or \"auto\"".to_owned()
        }),
        (Rule::TrimmedMean, Some(Trim::Auto(_))) => Ok(()),
        (Rule::TrimmedMean, Some(Trim::Fixed(trim))) => {
            require(2 * u32::from(trim) < u32::from(recipe.quorum), "recipe.trim", || {
                format!("twice {trim} leaves nothing of a quorum of {}", recipe.quorum)
            })
        }
    }
}

/// Roots are listed where buckets are by root, and there alone.
fn roots(scenario: &Scenario) -> Checked {
    let recipe = &scenario.recipe;
    let listed = scenario.group.iter().position(|group| group.trust_root.is_some());
    let Some(most) = recipe.root_buckets else {
        let key = format!("group[{}].trust_root", listed.unwrap_or_default());
        return require(listed.is_none(), &key, || {
            "nothing asks for it: say recipe.root_buckets".to_owned()
        });
    };
    const KEY: &str = "recipe.root_buckets";
    require(most > 0, KEY, || "a root fills at least one bucket".to_owned())?;
    require(recipe.buckets.is_none(), KEY, || {
        "buckets are by lot (recipe.buckets) or by root".to_owned()
    })?;
    require(listed.is_some(), KEY, || "no group has a trust_root".to_owned())
}

/// The manifest would say the same, without naming a line.
fn aggregates(scenario: &Scenario) -> Checked {
    const KEY: &str = "aggregates";
    let Some(waits) = scenario.aggregates.map(|epochs| epochs.get()) else { return Ok(()) };
    require(scenario.proofs != Proofs::None, KEY, || "updates are not proved".to_owned())?;
    require(scenario.recipe.seal.is_none(), KEY, || "epochs are sealed".to_owned())?;
    require(waits <= scenario.epochs.get(), KEY, || {
        format!("updates wait for {waits} of {} epochs", scenario.epochs.get())
    })?;
    require(crate::federation::recipe(&scenario.recipe).takes_sums(), KEY, || {
        "the recipe needs more of a bucket than its sum".to_owned()
    })
}

fn proofs(scenario: &Scenario) -> Checked {
    let carries = scenario.training.mode == TrainingMode::Transport;
    require(scenario.proofs == Proofs::None || !carries, "proofs", || {
        "bare carriers make no updates that one could prove something about".to_owned()
    })
}

fn seal(scenario: &Scenario) -> Checked {
    let Some(seal) = &scenario.recipe.seal else { return Ok(()) };
    let (window_epochs, every_epochs) = (seal.window_epochs, seal.every_epochs);
    require((SUMMARY_WINDOW..=EPOCHS_MAX).contains(&window_epochs), SEAL_WINDOW, || {
        format!("{window_epochs} is not between {SUMMARY_WINDOW} and {EPOCHS_MAX}")
    })?;
    require((1..=EPOCHS_MAX).contains(&every_epochs), "recipe.seal.every_epochs", || {
        format!("{every_epochs} is not between 1 and {EPOCHS_MAX}")
    })?;
    let rules = SealRules {
        policy: SealPolicy { window_epochs, every_epochs },
        members: usize::from(scenario.peers.get()),
        attackers: 0,
        pool: PoolSpan::new(scenario.recipe.pool_epochs).unwrap_or(PoolSpan::ONE),
        epochs: scenario.epochs.get(),
    };
    require(rules.seals_anything(), SEAL_WINDOW, || {
        format!(
            "no attempt finds an epoch that lies {window_epochs} back: {} epochs are too few",
            scenario.epochs.get()
        )
    })
}

/// Most peers that can all be in contact with all: an agent has 256 links.
const ALL_PAIRS_MAX: u16 = 256;

fn contacts(scenario: &Scenario) -> Checked {
    let (spec, peers) = (&scenario.contacts, scenario.peers.get());
    crate::contacts::check(spec, peers, scenario.epoch_us())
        .map_err(|(key, why)| Misfit { key, why })?;
    let drains = scenario.drain_epochs > 0
        && scenario.drain == Drain::AllPairs
        && *spec != Contacts::AllPairs;
    require(peers <= ALL_PAIRS_MAX || !drains, "drain_epochs", || {
        format!("{peers} peers cannot all meet at once ({ALL_PAIRS_MAX} can): set it to 0")
    })?;
    require(peers <= ALL_PAIRS_MAX || *spec != Contacts::AllPairs, "contacts", || {
        format!("{peers} peers cannot all meet at once; {ALL_PAIRS_MAX} can")
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

fn groups(scenario: &Scenario) -> Checked {
    let sum: u64 = scenario.group.iter().map(|group| u64::from(group.peers.get())).sum();
    let peers = u64::from(scenario.peers.get());
    require(scenario.group.is_empty() || sum == peers, "group", || {
        format!("the groups have {sum} peers together, `peers` says {peers}")
    })?;
    for (index, group) in scenario.group.iter().enumerate() {
        let names = scenario.group.iter().filter(|other| other.name == group.name);
        require(names.count() == 1, &format!("group[{index}].name"), || {
            format!("two groups are called {}", group.name.as_str())
        })?;
        if let Some(churn) = group.churn {
            let means = churn.up_epochs.get().min(churn.down_epochs.get());
            require(means >= 0.01, &format!("group[{index}].churn"), || {
                "mean times are at least 0.01 epochs".to_owned()
            })?;
        }
    }
    Ok(())
}

fn faults(scenario: &Scenario) -> Checked {
    let faults = &scenario.faults;
    for (index, fault) in faults.partition.iter().enumerate() {
        let key = format!("faults.partition[{index}]");
        timing(scenario, &key, fault.timing(), true)?;
        shape(scenario, &format!("{key}.shape"), &fault.shape)?;
    }
    for (index, fault) in faults.crash.iter().enumerate() {
        let key = format!("faults.crash[{index}]");
        timing(scenario, &key, fault.timing(), true)?;
        selection(scenario, &format!("{key}.peers"), &fault.peers)?;
    }
    for (index, fault) in faults.clock.iter().enumerate() {
        let key = format!("faults.clock[{index}]");
        timing(scenario, &key, fault.timing(), false)?;
        selection(scenario, &format!("{key}.peers"), &fault.peers)?;
    }
    for (index, fault) in faults.clog.iter().enumerate() {
        let key = format!("faults.clog[{index}]");
        timing(scenario, &key, fault.timing(), true)?;
        selection(scenario, &format!("{key}.peers"), &fault.peers)?;
    }
    for (index, adversary) in scenario.adversary.iter().enumerate() {
        selection(scenario, &format!("adversary[{index}].peers"), &adversary.peers)?;
        attack(scenario, &format!("adversary[{index}].attack"), &adversary.attack)?;
    }
    Ok(())
}

/// Whom an attack is about is there, and what trains on lies trains.
fn attack(scenario: &Scenario, key: &str, attack: &Attack) -> Checked {
    if let Some(peer) = attack.about() {
        named(scenario, key, &[peer])?;
    }
    let trains = scenario.training.mode == TrainingMode::Real;
    require(trains || !attack.trains_on_lies(), key, || {
        format!("{} changes samples, and only training.mode = \"real\" has any", attack.name())
    })
}

/// Most times that one fault may act.
const ROUNDS_MAX: usize = 10_000;

fn timing(scenario: &Scenario, key: &str, timing: Timing, lasts: bool) -> Checked {
    let (at, length) = (timing.at_epoch.get(), timing.for_epochs.get());
    let last = f64::from(scenario.epochs.get());
    require(at < last, &format!("{key}.at_epoch"), || {
        format!("{at} is not before the end of epoch {}", scenario.epochs.get())
    })?;
    require(length > 0.0 || !lasts, &format!("{key}.for_epochs"), || {
        "the fault lasts for some time".to_owned()
    })?;
    require(at + length <= last, &format!("{key}.for_epochs"), || {
        format!("it ends after the last epoch, {}", scenario.epochs.get())
    })?;
    let Some(every) = timing.every_epochs.map(|every| every.get()) else { return Ok(()) };
    require(every > length && every > 0.0, &format!("{key}.every_epochs"), || {
        format!("{every} is not longer than the fault lasts, {length}")
    })?;
    require(last / every <= ROUNDS_MAX as f64, &format!("{key}.every_epochs"), || {
        format!("the fault acts more than {ROUNDS_MAX} times")
    })
}

fn shape(scenario: &Scenario, key: &str, shape: &Shape) -> Checked {
    match shape {
        Shape::Groups(groups) => groups_cover(scenario, key, groups),
        Shape::Isolate { peer: Some(peer) } => named(scenario, key, &[*peer]),
        Shape::OneWay { from: Some(from) } => named(scenario, key, from),
        Shape::Halves
        | Shape::Random
        | Shape::Isolate { peer: None }
        | Shape::Bridge
        | Shape::MajorityRing
        | Shape::OneWay { from: None } => Ok(()),
    }
}

fn selection(scenario: &Scenario, key: &str, select: &Select) -> Checked {
    match select {
        Select::Peers(peers) => named(scenario, key, peers),
        Select::Group(name) => {
            let known = scenario.groups().iter().any(|group| group.name == *name);
            require(known, key, || format!("there is no group {}", name.as_str()))
        }
        Select::Random(count) | Select::Spread(count) => {
            let peers = u32::from(scenario.peers.get());
            require(count.get() <= peers, key, || format!("{} peers out of {peers}", count.get()))
        }
        Select::All => Ok(()),
    }
}

/// Some peers, each of which there is.
fn named(scenario: &Scenario, key: &str, peers: &[u16]) -> Checked {
    let count = scenario.peers.get();
    require(!peers.is_empty(), key, || "name at least one peer".to_owned())?;
    match peers.iter().find(|&&peer| peer >= count) {
        Some(peer) => {
            require(false, key, || format!("peer {peer} is beyond the {count} there are"))
        }
        None => Ok(()),
    }
}

fn transport(scenario: &Scenario) -> Checked {
    let wanted = scenario.training.mode == TrainingMode::Transport;
    require(wanted == scenario.transport.is_some(), "transport", || {
        "the table belongs to training.mode = \"transport\", and that needs it".to_owned()
    })?;
    require(!wanted || scenario.adversary.is_empty(), "adversary", || {
        "nobody trains in transport mode, so nobody can attack".to_owned()
    })
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
        let parted = check.between_groups_bytes_max.is_none() || scenario.group.len() > 1;
        require(parted, "checks.by_end.between_groups_bytes_max", || {
            "there are no two groups".to_owned()
        })?;
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

/// What is varied makes different runs, and the figures can tell them apart.
fn sweep(sweep: &Sweep) -> Checked {
    for (index, seed) in sweep.seeds.iter().enumerate() {
        require(!sweep.seeds[..index].contains(seed), &format!("sweep.seeds[{index}]"), || {
            format!("seed {seed} is listed twice")
        })?;
    }
    for (index, axis) in sweep.axis.iter().enumerate() {
        let key = |name: &str| format!("sweep.axis[{index}].{name}");
        require(axis.key != "seed", &key("key"), || {
            "seeds are no axis: list them in sweep.seeds".to_owned()
        })?;
        let others = sweep.axis.iter().take(index);
        require(others.clone().all(|other| other.key != axis.key), &key("key"), || {
            format!("`{}` is varied by another axis already", axis.key)
        })?;
        require(!axis.values.is_empty(), &key("values"), || "name at least one value".to_owned())?;
        for (place, value) in axis.values.iter().enumerate() {
            let earlier = &axis.values[..place];
            let is_new = !earlier.iter().any(|other| sweep::is_same(other, value));
            require(is_new, &format!("{}[{place}]", key("values")), || {
                format!("{value} is listed twice")
            })?;
        }
    }
    let runs = sweep.runs();
    require(runs <= CELLS_MAX, "sweep", || format!("it has {runs} runs; {CELLS_MAX} are the most"))
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
