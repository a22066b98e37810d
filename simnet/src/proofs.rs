//! Proofs: development keys out of the scenario's seed, and counts of what was proved and verified.
//!
//! The peers of a run share one prover, since they are one process. Proofs are made and verified where a peer asks for it,
//! in no virtual time: what a prover of some speed would do to a run is said by `training.proof_ms`.

use longhaul_dtn::hash::ContentHash;
use longhaul_node::peer::{Event, Input, ProveRequest, SumRequest, VerifyRequest};
use longhaul_proofs::s1::Shape;
use longhaul_proofs::seed::Seed;
use longhaul_proofs::update::UpdateShape;
use longhaul_proofs::update::keys::development_keys;
use longhaul_registry::proving::{ProofCurve, ProofKey, ProofPolicy};
use serde::Serialize;

use crate::scenario::{Proofs, Scenario};
use crate::seeds::{self, Node, Purpose};

/// The curve of all proofs.
const CURVE: ProofCurve = ProofCurve::Bn254;

/// Keys that whoever has the scenario could forge with: one for each shape of chunk.
#[derive(Debug)]
pub(crate) struct DevelopmentKeys(Vec<(ProofKey, Vec<u8>)>);

/// What was proved and verified in a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
pub struct ProofCounts {
    /// Proofs that honest authors made.
    pub made: u64,
    /// Updates about which honest authors could make none.
    pub failed: u64,
    /// Proofs that were found to hold; with shared checks once for all peers.
    pub verified: u64,
    /// Proofs that were found not to hold.
    pub refused: u64,
}

/// What became of aggregates in a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
pub struct AggregateCounts {
    /// Sums of buckets that were made.
    pub made: u64,
    /// Sums that could not be made.
    pub failed: u64,
    /// Times that a peer accepted one from another.
    pub accepted: u64,
    /// Updates in those.
    pub updates: u64,
}

/// The keys that `scenario` asks for, for updates of this shape: for chunks of 65,000 entries it takes seconds.
pub(crate) fn keys(scenario: &Scenario, shape: &UpdateShape) -> Option<DevelopmentKeys> {
    let seed = match scenario.proofs {
        Proofs::None => return None,
        Proofs::Development => seeds::bytes(scenario.seed, Node::World, Purpose::Proofs),
    };
    let key = |shape: Shape| {
        // Each shape draws secrets of its own.
        let entries = (shape.entries() as u64).to_be_bytes();
        let seed = ContentHash::of(&[&seed[..], &entries].concat());
        let seed = Seed::from_bytes(*seed.as_bytes());
        let (verifying, bytes) = development_keys(CURVE, shape, &seed);
        (ProofKey { shape, verifying, proving: ContentHash::of(&bytes) }, bytes)
    };
    Some(DevelopmentKeys(shape.shapes().into_iter().map(key).collect()))
}

impl DevelopmentKeys {
    /// What the manifest says of them.
    pub fn policy(&self) -> ProofPolicy {
        let keys = self.0.iter().map(|(key, _)| key.clone()).collect();
        ProofPolicy { curve: CURVE, keys, development: true }
    }

    /// The proving key with this hash.
    pub fn proving_key(&self, hash: &ContentHash) -> Option<Vec<u8>> {
        self.0.iter().find(|(key, _)| key.proving == *hash).map(|(_, bytes)| bytes.clone())
    }
}

impl AggregateCounts {
    /// Counts what a peer says.
    pub const fn note(&mut self, event: &Event) {
        match event {
            Event::NoAggregate { .. } => {
                self.failed += 1;
                self.made = self.made.saturating_sub(1);
            }
            Event::Aggregate { updates, .. } => {
                self.accepted += 1;
                self.updates += *updates as u64;
            }
            _ => {}
        }
    }

    /// Makes the sum that a peer asks for.
    pub fn sum(&mut self, request: &SumRequest) -> Input {
        self.made += 1;
        request.carry_out()
    }
}

impl ProofCounts {
    /// Makes a proof that a peer asks for.
    pub fn prove(&mut self, request: &ProveRequest) -> Input {
        let answer = request.carry_out();
        if let Input::Proven(proven) = &answer {
            let count = if proven.is_made() { &mut self.made } else { &mut self.failed };
            *count += 1;
        }
        answer
    }

    /// Gives the verdicts that a peer asks for.
    pub fn verify(&mut self, request: &VerifyRequest) -> Input {
        let answer = request.carry_out();
        if let Input::Verified(verdicts) = &answer {
            let good = verdicts.iter().filter(|verdict| verdict.is_ok()).count();
            self.verified += good as u64;
            self.refused += (verdicts.len() - good) as u64;
        }
        answer
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::federation::Federation;
    use crate::testing;

    fn proved() -> Scenario {
        Scenario { proofs: Proofs::Development, ..testing::scenario() }
    }

    #[test]
    fn without_the_setting_nothing_is_proved() {
        let federation = Federation::new(&testing::scenario()).expect("a federation");
        assert!(federation.manifest.manifest().proofs.is_none() && federation.prover.is_none());
    }

    #[test]
    fn keys_follow_from_the_seed_and_are_for_development() {
        let policy = |scenario: &Scenario| {
            let federation = Federation::new(scenario).expect("a federation");
            assert!(federation.prover.is_some());
            federation.manifest.manifest().proofs.clone().expect("a policy")
        };
        let scenario = proved();
        let first = policy(&scenario);
        assert_eq!(first, policy(&scenario));
        assert!(first.development && first.curve == ProofCurve::Bn254 && first.keys.len() == 1);
        let other = Scenario { seed: scenario.seed + 1, ..scenario };
        assert_ne!(first, policy(&other));
    }

    #[test]
    fn what_becomes_of_sums_is_counted() {
        let mut counts = AggregateCounts { made: 2, ..AggregateCounts::default() };
        let from = Federation::new(&testing::scenario()).expect("a federation").keys[0].peer_id();
        let epoch = longhaul_aggregation::Epoch::new(1);
        counts.note(&Event::Aggregate { epoch, updates: 4, from });
        counts.note(&Event::Aggregate { epoch, updates: 3, from });
        counts.note(&Event::NoAggregate { epoch, why: "no proof fits".to_owned() });
        counts.note(&Event::TooLate { epoch });
        let expected = AggregateCounts { made: 1, failed: 1, accepted: 2, updates: 7 };
        assert_eq!(counts, expected);
    }

    #[test]
    fn a_shape_has_a_key_of_its_own() {
        let mut scenario = proved();
        "mlp:96-20-8".clone_into(&mut scenario.task.model);
        let federation = Federation::new(&scenario).expect("a federation");
        let keys = keys(&scenario, &federation.manifest.manifest().update_shape());
        let keys = keys.expect("the scenario asks for proofs");
        let entries: Vec<_> = keys.0.iter().map(|(key, _)| key.shape.entries()).collect();
        assert_eq!(entries, [1_000, 7_800]);
        let hash = keys.policy().keys[1].proving;
        let bytes = keys.proving_key(&hash).expect("the second key");
        assert_eq!(ContentHash::of(&bytes), hash);
        assert_eq!(keys.proving_key(&ContentHash::of(b"another")), None);
    }
}
