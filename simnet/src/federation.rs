//! The federation of a run: keys and the signed manifest, from the seed alone, and what makes proofs if it asks for any.

use std::num::NonZeroU16;
use std::sync::Arc;

use longhaul_aggregation::{
    Buckets, Clip, Cohorts, Minimum, Mix, NormBound, Outer, PoolSpan, Recipe, Rule, Samples,
    Schema, SealPolicy, Setting, Small, Trim,
};
use longhaul_dtn::identity::{PeerId, SecretKey};
use longhaul_dtn::time::Span;
use longhaul_node::train::{ModelError, ModelKind};
use longhaul_proofs::update::ProveUpdates;
use longhaul_registry::proving::ProofPolicyError;
use longhaul_registry::{
    Bounds, Committee, Manifest, ManifestError, Schedule, SignedManifest, Task, TrainingPlan,
};

use crate::clock::SimTime;
use crate::proofs;
use crate::scenario::{self, Scenario, TrainingMode};
use crate::seeds::{self, Node, Purpose};

/// Longest update, in thousandths; an honest one of ten steps has about one.
const NORM_MAX_MILLI: u64 = 64_000;
/// Members that the manifest of a transport run lists.
const CARRIERS_LISTED: usize = 2;
/// Epochs that a base summary speaks of.
pub(crate) const SUMMARY_WINDOW: u8 = 12;

/// The peers of a run and what they agreed on.
#[derive(Debug, Clone)]
pub struct Federation {
    /// The manifest that every peer holds.
    pub manifest: Arc<SignedManifest>,
    /// The key of each peer, in the order of the scenario.
    pub keys: Vec<SecretKey>,
    /// What is trained.
    pub model: ModelKind,
    /// What makes proofs about updates, one for all peers; none where the scenario asks for none.
    pub prover: Option<Arc<dyn ProveUpdates>>,
}

/// Why a scenario describes no federation.
#[derive(Debug, thiserror::Error)]
pub enum FederationError {
    /// The model is unknown.
    #[error("task.model: {0}")]
    Model(#[from] ModelError),
    /// The manifest refuses some value.
    #[error("the scenario gives no valid manifest: {0}")]
    Manifest(#[from] ManifestError),
    /// The proving keys do not serve.
    #[error("proofs: {0}")]
    Proofs(#[from] ProofPolicyError),
}

impl Federation {
    /// Derives keys and manifest from the scenario and its seed.
    pub fn new(scenario: &Scenario) -> Result<Self, FederationError> {
        let model: ModelKind = scenario.task.model.parse()?;
        let key = |node| SecretKey::from_seed(&seeds::bytes(scenario.seed, node, Purpose::Key));
        let keys: Vec<_> = (0..scenario.peers.get()).map(|peer| key(Node::Peer(peer))).collect();
        let creator = key(Node::World);
        let mut manifest = manifest(scenario, model.schema(), &keys, creator.peer_id());
        let proving = proofs::keys(scenario, &manifest.update_shape());
        manifest.proofs = proving.as_ref().map(proofs::DevelopmentKeys::policy);
        let manifest = Arc::new(manifest.sign(&creator)?);
        let read = |hash: &_| proving.as_ref()?.proving_key(hash);
        let prover = manifest.proof_prover(read)?;
        Ok(Self { manifest, keys, model, prover })
    }
}

/// Checks what only the manifest that a scenario describes can tell.
///
/// # Errors
///
/// [`FederationError`] if the model is unknown or the manifest refuses some value.
pub fn check_federation(scenario: &Scenario) -> Result<(), FederationError> {
    Federation::new(scenario).map(|_| ())
}

fn manifest(scenario: &Scenario, schema: Schema, keys: &[SecretKey], creator: PeerId) -> Manifest {
    let (members, trust_roots) = members(scenario, keys);
    Manifest {
        name: scenario.name.as_str().to_owned(),
        creator,
        parent: None,
        seed: seeds::bytes(scenario.seed, Node::World, Purpose::Model),
        task: Task { model: scenario.task.model.clone(), data: scenario.task.data.clone() },
        bounds: bounds(scenario, &schema),
        schema: Arc::new(schema),
        start: SimTime::ZERO.timestamp(),
        epoch_length: epoch_length(scenario),
        epochs: scenario.epochs.get(),
        training: plan(&scenario.training),
        recipe: recipe(&scenario.recipe),
        attacker_share_permille: scenario.recipe.attackers_permille,
        members,
        trust_roots,
        committee: committee(scenario),
        seal: scenario.recipe.seal.map(|seal| SealPolicy {
            window_epochs: seal.window_epochs,
            every_epochs: seal.every_epochs,
        }),
        encoding: scenario.recipe.encoding.0,
        privacy: None,
        proofs: None,
        ceremony: None,
        aggregates: scenario.aggregates.map(|epochs| epochs.get()),
    }
}

/// The members in the manifest's order, with their trust roots where buckets are by root.
fn members(scenario: &Scenario, keys: &[SecretKey]) -> (Vec<PeerId>, Vec<u16>) {
    let groups = scenario.groups();
    let root = |group: usize| groups[group].trust_root.map_or(0, NonZeroU16::get);
    let roots = scenario.group_of_peers().into_iter().map(root);
    let mut members: Vec<_> = keys.iter().map(SecretKey::peer_id).zip(roots).collect();
    if scenario.training.mode == TrainingMode::Transport {
        // Bare carriers ask the manifest for the lifetime of bundles, no more.
        members.truncate(CARRIERS_LISTED);
    }
    members.sort_unstable();
    let (members, roots): (Vec<_>, Vec<_>) = members.into_iter().unzip();
    let rooted = scenario.recipe.root_buckets.is_some();
    (members, if rooted { roots } else { Vec::new() })
}

fn epoch_length(scenario: &Scenario) -> Span {
    Span::from_ms(u64::from(scenario.epoch_ms.get()))
}

/// Bundles live for the whole run and one epoch more, unless a transport run
/// says otherwise.
fn bounds(scenario: &Scenario, schema: &Schema) -> Bounds {
    let all = u64::from(scenario.epochs_total()) + 1;
    let epochs = scenario.transport.map_or(all, |it| u64::from(it.lifetime_epochs.get()));
    Bounds {
        norm_max: NormBound::from_milli(NORM_MAX_MILLI),
        payload_bytes_max: u32::try_from(schema.payload_bytes_max()).unwrap_or(u32::MAX),
        summary_window: SUMMARY_WINDOW,
        bundle_lifetime: epoch_length(scenario).times(epochs),
    }
}

fn plan(training: &scenario::Training) -> TrainingPlan {
    let (steps, batch, rate) = (training.steps.get(), training.batch.get(), training.rate.micro());
    TrainingPlan {
        schedule: match training.schedule {
            scenario::TrainingSchedule::Constant => Schedule::Constant,
            scenario::TrainingSchedule::Cosine => Schedule::Cosine,
        },
        pending_permille: training.pending_permille,
        proximal_milli: training.proximal_milli,
        momentum_permille: training.momentum_permille,
        ..TrainingPlan::plain(steps, batch, rate)
    }
}

/// The numbers of a federation that its recipe has to fit.
pub(crate) fn setting(scenario: &Scenario) -> Setting {
    Setting {
        committee: scenario.recipe.committee.map(|committee| committee.size),
        attacker_share_permille: scenario.recipe.attackers_permille,
        summary_window: SUMMARY_WINDOW.into(),
        ..Setting::trusting(scenario.peers.get().into())
    }
}

/// The recipe of the manifest.
pub(crate) fn recipe(recipe: &scenario::Recipe) -> Recipe {
    let trim = match recipe.trim {
        Some(scenario::Trim::Fixed(trim)) => Trim::Fixed(trim),
        Some(scenario::Trim::Auto(_)) => Trim::Auto,
        None => Trim::Fixed(0),
    };
    Recipe {
        rule: match recipe.rule {
            scenario::Rule::Mean => Rule::Mean,
            scenario::Rule::TrimmedMean => Rule::TrimmedMean { trim },
            scenario::Rule::Other(rule) => rule,
        },
        clip: match recipe.clip {
            scenario::Clip::None => Clip::None,
            scenario::Clip::Median => Clip::Median,
            scenario::Clip::Adaptive => Clip::Adaptive,
        },
        buckets: match (recipe.root_buckets, recipe.buckets) {
            (Some(most), _) => Buckets::ByRoot(most),
            (None, Some(buckets)) => Buckets::Drawn(buckets),
            (None, None) => Buckets::None,
        },
        mix: match recipe.mix {
            scenario::Mix::None => Mix::None,
            scenario::Mix::NearestNeighbours => Mix::NearestNeighbours,
        },
        cohorts: recipe.cohorts.map(cohorts),
        quorum: recipe.quorum,
        pool: PoolSpan::new(recipe.pool_epochs).unwrap_or(PoolSpan::ONE),
        staleness: recipe.staleness.0,
        samples: recipe.samples_max.map_or(Samples::Alike, Samples::UpTo),
        outer: Outer {
            rate_milli: recipe.outer_rate_milli,
            momentum_permille: recipe.outer_momentum_permille,
        },
    }
}

fn cohorts(cohorts: scenario::Cohorts) -> Cohorts {
    Cohorts {
        threshold_permille: cohorts.threshold_permille,
        minimum: cohorts.minimum.map_or(Minimum::Auto, Minimum::Fixed),
        small: match cohorts.small {
            scenario::Small::Join => Small::Join,
            scenario::Small::Wait => Small::Wait,
            scenario::Small::Vouch => Small::Vouch,
        },
    }
}

fn committee(scenario: &Scenario) -> Option<Committee> {
    let committee = scenario.recipe.committee?;
    Some(Committee {
        size: committee.size,
        nonce: seeds::bytes(scenario.seed, Node::World, Purpose::Committee),
        accumulate_epochs_max: committee.accumulate_epochs_max,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing;

    #[test]
    fn every_peer_is_a_member() {
        let federation = Federation::new(&testing::scenario()).expect("a federation");
        let manifest = federation.manifest.manifest();
        assert_eq!(manifest.members.len(), 4);
        for key in &federation.keys {
            assert!(manifest.member_index(&key.peer_id()).is_some());
        }
    }

    #[test]
    fn a_members_trust_root_is_that_of_its_group() {
        let mut scenario = testing::scenario();
        scenario.recipe.root_buckets = Some(1);
        let named = |name: &str, peers: u32, root| scenario::Group {
            name: name.to_owned().try_into().expect("a name"),
            peers: peers.try_into().expect("a number"),
            trust_root: NonZeroU16::new(root),
            ..scenario.groups().remove(0)
        };
        scenario.group = vec![named("west", 2, 7), named("east", 1, 9), named("alone", 1, 0)];
        let federation = Federation::new(&scenario).expect("a federation");
        let manifest = federation.manifest.manifest();
        let root = |key: &SecretKey| {
            let index = manifest.member_index(&key.peer_id()).expect("a member");
            manifest.trust_roots[index.index()]
        };
        assert_eq!(federation.keys.iter().map(root).collect::<Vec<_>>(), [7, 7, 9, 0]);
        assert_eq!(manifest.recipe.buckets, Buckets::ByRoot(1));
        scenario.recipe.root_buckets = None;
        let federation = Federation::new(&scenario).expect("a federation");
        assert!(federation.manifest.manifest().trust_roots.is_empty(), "nothing asks for them");
    }

    #[test]
    fn training_and_steps_are_those_of_the_scenario() {
        let mut scenario = testing::scenario();
        let plain = recipe(&scenario.recipe).outer;
        assert_eq!(plain, Outer::PLAIN);
        scenario.training.schedule = scenario::TrainingSchedule::Cosine;
        scenario.training.pending_permille = 500;
        scenario.training.momentum_permille = 900;
        scenario.recipe.outer_momentum_permille = 800;
        let federation = Federation::new(&scenario).expect("a federation");
        let manifest = federation.manifest.manifest();
        let training = manifest.training;
        assert_eq!((training.schedule, training.pending_permille), (Schedule::Cosine, 500));
        assert_eq!((training.momentum_permille, training.proximal_milli), (900, 0));
        assert_eq!(manifest.recipe.outer.momentum_permille, 800);
        scenario.training.pending_permille = 1_001;
        assert!(Federation::new(&scenario).is_err(), "more than whole");
    }

    #[test]
    fn the_seed_alone_names_the_federation() {
        let scenario = testing::scenario();
        let id = |scenario| Federation::new(scenario).expect("a federation").manifest.id();
        assert_eq!(id(&scenario), id(&scenario));
        let other = Scenario { seed: scenario.seed + 1, ..scenario.clone() };
        assert_ne!(id(&scenario), id(&other));
    }

    #[test]
    fn bundles_outlive_the_run() {
        let scenario = testing::scenario();
        let federation = Federation::new(&scenario).expect("a federation");
        let end_ms = scenario.epoch_us() / 1_000 * u64::from(scenario.epochs_total());
        assert!(federation.manifest.manifest().bounds.bundle_lifetime.ms() > end_ms);
    }

    #[test]
    fn an_unknown_model_is_refused() {
        let mut scenario = testing::scenario();
        scenario.task.model = "transformer".to_owned();
        let error = Federation::new(&scenario).expect_err("no such model");
        assert!(error.to_string().starts_with("task.model: "), "{error}");
    }
}
