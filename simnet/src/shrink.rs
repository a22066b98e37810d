//! Shrinking: scenarios that are a little smaller than a given one.
//!
//! Large steps come first (half of the peers, half of the epochs), so that a
//! search that takes the first one that still fails needs few runs. Every
//! candidate is a sound scenario.

use crate::scenario::{Scenario, Select, Shape};

/// How large a scenario is, in words.
pub fn size(scenario: &Scenario) -> String {
    let faults = &scenario.faults;
    let declared =
        faults.partition.len() + faults.crash.len() + faults.clock.len() + faults.clog.len();
    format!(
        "{} peers, {} epochs, {declared} faults, {} adversaries",
        scenario.peers.get(),
        scenario.epochs.get(),
        scenario.adversary.len()
    )
}

/// Sound scenarios that are smaller by one step, large steps first.
pub fn smaller(scenario: &Scenario) -> Vec<Scenario> {
    let mut candidates = fewer_faults(scenario);
    let peers = scenario.peers.get();
    for fewer in [peers / 2, peers - peers / 4, peers - 1] {
        candidates.extend(with_peers(scenario, fewer));
    }
    let epochs = scenario.epochs.get();
    for fewer in [epochs / 2, epochs - epochs / 4, epochs - 1] {
        candidates.extend(with_epochs(scenario, fewer));
    }
    // What is written must be read again as the same scenario.
    candidates.retain(|it| it != scenario && Scenario::from_toml(&it.to_toml()).is_ok());
    candidates
}

fn fewer_faults(scenario: &Scenario) -> Vec<Scenario> {
    let mut candidates = Vec::new();
    let mut without = |count: usize, remove: &dyn Fn(&mut Scenario, usize)| {
        for index in 0..count {
            let mut candidate = scenario.clone();
            remove(&mut candidate, index);
            candidates.push(candidate);
        }
    };
    let faults = &scenario.faults;
    without(faults.partition.len(), &|it, index| drop(it.faults.partition.remove(index)));
    without(faults.crash.len(), &|it, index| drop(it.faults.crash.remove(index)));
    without(faults.clock.len(), &|it, index| drop(it.faults.clock.remove(index)));
    without(faults.clog.len(), &|it, index| drop(it.faults.clog.remove(index)));
    without(scenario.adversary.len(), &|it, index| drop(it.adversary.remove(index)));
    candidates
}

/// The scenario with fewer peers; groups, selections and the quorum follow.
fn with_peers(scenario: &Scenario, peers: u16) -> Option<Scenario> {
    let mut candidate = scenario.clone();
    candidate.peers = peers.try_into().ok()?;
    candidate.recipe.quorum = candidate.recipe.quorum.min(peers);
    let mut surplus = u32::from(scenario.peers.get() - peers);
    for group in candidate.group.iter_mut().rev() {
        let less = surplus.min(group.peers.get() - 1);
        group.peers = (group.peers.get() - less).try_into().ok()?;
        surplus -= less;
    }
    let faults = &mut candidate.faults;
    for fault in &mut faults.partition {
        trim_shape(&mut fault.shape, peers);
    }
    let selections = faults.crash.iter_mut().map(|it| &mut it.peers);
    let selections = selections.chain(faults.clock.iter_mut().map(|it| &mut it.peers));
    let selections = selections.chain(faults.clog.iter_mut().map(|it| &mut it.peers));
    for select in selections.chain(candidate.adversary.iter_mut().map(|it| &mut it.peers)) {
        trim_select(select, peers);
    }
    if let Some(sampled) = &mut candidate.metrics.peers {
        sampled.retain(|&peer| peer < peers);
    }
    Some(candidate)
}

fn trim_shape(shape: &mut Shape, peers: u16) {
    if let Shape::Groups(groups) = shape {
        groups.iter_mut().for_each(|group| group.retain(|&peer| peer < peers));
    }
}

fn trim_select(select: &mut Select, peers: u16) {
    match select {
        Select::Peers(named) => named.retain(|&peer| peer < peers),
        Select::Random(count) | Select::Spread(count) => {
            if let Ok(most) = count.get().min(u32::from(peers)).try_into() {
                *count = most;
            }
        }
        Select::All | Select::Group(_) => {}
    }
}

/// The scenario with fewer epochs; faults that would end later are left as they
/// are, so that the candidate is unsound and dropped.
fn with_epochs(scenario: &Scenario, epochs: u32) -> Option<Scenario> {
    let mut candidate = scenario.clone();
    candidate.epochs = epochs.try_into().ok()?;
    Some(candidate)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing;

    #[test]
    fn every_candidate_is_sound_and_smaller() {
        let scenario = testing::scenario();
        let candidates = smaller(&scenario);
        assert!(!candidates.is_empty());
        for candidate in candidates {
            let (before, after) = (&scenario, &candidate);
            assert!(
                after.peers.get() < before.peers.get() || after.epochs.get() < before.epochs.get()
            );
        }
    }

    #[test]
    fn selections_follow_the_peers() {
        let mut scenario = testing::scenario();
        scenario.metrics.peers = Some(vec![0, 3]);
        let candidate = with_peers(&scenario, 2).expect("two peers");
        assert_eq!(candidate.metrics.peers, Some(vec![0]));
        assert_eq!(candidate.recipe.quorum, 2);
    }
}
