//! Source: where the samples of a peer come from.
//!
//! Who holds what is decided at once, from labels; the samples of generated data
//! are made when somebody needs them, so that a world of a thousand peers begins
//! without them.

use std::path::Path;
use std::sync::{Arc, OnceLock};

use longhaul_dtn::hash::ContentHash;
use longhaul_node::train::data::partition::Side;
use longhaul_node::train::data::{edgesense, idx};
use longhaul_node::train::{Dataset, ModelKind, Partition, Samples};

use super::LearnerError;
use crate::faults::groups_by_peer;
use crate::scenario::{self, Scenario};
use crate::seeds::{self, Node, Purpose};

/// Samples of noise for each peer, and to measure with: as many as of a small MNIST.
const NOISE_PER_PEER: usize = 500;
const NOISE_TESTED: usize = 2_000;

/// The samples of a task and who holds which.
#[derive(Debug)]
pub(super) struct Source {
    held: Held,
    /// Seed of generated data.
    seed: [u8; 32],
    test: OnceLock<Arc<Samples>>,
}

/// Who holds what.
#[derive(Debug)]
enum Held {
    /// Everybody has the recordings of a device of their own.
    Devices,
    /// All have a part of one pool: which samples each holds.
    Parts(Pool, Vec<Vec<u32>>),
}

#[derive(Debug)]
enum Pool {
    /// The recordings of so many devices, made when they are needed.
    Devices(u16, OnceLock<Arc<Samples>>),
    Whole(Dataset),
}

/// The folder of the data that `scenario` reads from files.
pub(super) fn folder<'a>(
    scenario: &'a Scenario,
    data_dir: Option<&'a Path>,
) -> Result<&'a Path, LearnerError> {
    data_dir.or(scenario.data.dir.as_deref()).ok_or(LearnerError::NoFolder)
}

/// Names what the files in `folder` hold, whoever holds which part.
pub(super) fn content(folder: &Path) -> Result<ContentHash, LearnerError> {
    let mut hasher = blake3::Hasher::new();
    hash_samples(&mut hasher, &idx::load(folder)?);
    Ok(ContentHash::from_bytes(*hasher.finalize().as_bytes()))
}

fn hash_samples(hasher: &mut blake3::Hasher, data: &Dataset) {
    for samples in [data.train(), data.test()] {
        for row in samples.inputs().chunks(samples.features()) {
            let bytes = row.iter().flat_map(|value| value.to_le_bytes());
            hasher.update(&bytes.collect::<Vec<_>>());
        }
        hasher.update(samples.labels());
    }
}

impl Source {
    /// The data that `scenario` names; files are read here.
    pub(super) fn of(
        scenario: &Scenario,
        model: &ModelKind,
        data_dir: Option<&Path>,
    ) -> Result<Self, LearnerError> {
        let seed = seeds::bytes(scenario.seed, Node::World, Purpose::Data);
        let held = match scenario.task.data.as_str() {
            "edgesense" => devices(scenario, &seed)?,
            "idx" => {
                let data = idx::load(folder(scenario, data_dir)?)?;
                let parts = parts(scenario, data.train().labels())?;
                Held::Parts(Pool::Whole(data), parts)
            }
            "noise" => {
                let data = noise(scenario, model);
                let parts = parts(scenario, data.train().labels())?;
                Held::Parts(Pool::Whole(data), parts)
            }
            other => return Err(LearnerError::UnknownData(other.to_owned())),
        };
        Ok(Self { held, seed, test: OnceLock::new() })
    }

    /// Numbers per sample, and classes.
    pub(super) fn shape(&self) -> (usize, usize) {
        match &self.held {
            Held::Parts(Pool::Whole(data), _) => (data.train().features(), data.train().classes()),
            Held::Devices | Held::Parts(Pool::Devices(..), _) => {
                (edgesense::FEATURES, edgesense::CLASSES)
            }
        }
    }

    /// How many samples `peer` has.
    pub(super) fn count(&self, peer: u16) -> usize {
        match &self.held {
            Held::Devices => edgesense::WINDOWS_PER_DEVICE,
            Held::Parts(_, parts) => parts.get(usize::from(peer)).map_or(0, Vec::len),
        }
    }

    /// The first `count` samples of `peer`: a set, and their places in it.
    pub(super) fn first(&self, peer: u16, count: usize) -> (Arc<Samples>, Vec<u32>) {
        match &self.held {
            Held::Devices => {
                let own = edgesense::device_start(&self.seed, u32::from(peer), count);
                (own.into(), (0..).take(count).collect())
            }
            Held::Parts(pool, parts) => {
                let part = parts.get(usize::from(peer)).map_or(&[][..], Vec::as_slice);
                (self.pool(pool), part[..count.min(part.len())].to_vec())
            }
        }
    }

    /// True if the sets of [`Self::first`] are one and the same.
    pub(super) fn is_shared(&self) -> bool {
        matches!(self.held, Held::Parts(..))
    }

    /// What models are measured with.
    pub(super) fn test(&self) -> Arc<Samples> {
        let make = || match &self.held {
            Held::Parts(Pool::Whole(data), _) => data.test().clone(),
            Held::Devices | Held::Parts(Pool::Devices(..), _) => edgesense::test(&self.seed).into(),
        };
        self.test.get_or_init(make).clone()
    }

    /// Names the data and who holds what.
    pub(super) fn name(&self) -> ContentHash {
        let mut hasher = blake3::Hasher::new();
        hasher.update(&self.seed);
        if let Held::Parts(pool, parts) = &self.held {
            if let Pool::Whole(data) = pool {
                hash_samples(&mut hasher, data);
            }
            for part in parts {
                let count = part.len() as u64;
                let bytes = part.iter().flat_map(|index| index.to_le_bytes());
                hasher.update(&count.to_le_bytes()).update(&bytes.collect::<Vec<_>>());
            }
        }
        ContentHash::from_bytes(*hasher.finalize().as_bytes())
    }

    fn pool(&self, pool: &Pool) -> Arc<Samples> {
        match pool {
            Pool::Whole(data) => data.train().clone(),
            Pool::Devices(devices, made) => {
                let make = || edgesense::of_devices(&self.seed, u32::from(*devices)).0;
                made.get_or_init(|| make().train().clone()).clone()
            }
        }
    }
}

fn devices(scenario: &Scenario, seed: &[u8; 32]) -> Result<Held, LearnerError> {
    if scenario.data.partition.is_none() {
        return Ok(Held::Devices);
    }
    let peers = scenario.peers.get();
    let labels = |device| edgesense::device_labels(seed, u32::from(device));
    let labels: Vec<u8> = (0..peers).flat_map(labels).collect();
    Ok(Held::Parts(Pool::Devices(peers, OnceLock::new()), parts(scenario, &labels)?))
}

/// Samples that fit the model and mean nothing, to measure speed with.
fn noise(scenario: &Scenario, model: &ModelKind) -> Dataset {
    let mut stream = seeds::fast_stream(scenario.seed, Node::World, Purpose::Data);
    let (features, classes) = (model.inputs(), model.outputs());
    let mut samples = |count: usize| {
        let inputs = (0..count * features).map(|_| seeds::unit(&mut stream) as f32).collect();
        let labels = (0..count).map(|row| u8::try_from(row % classes).expect("at most 256"));
        let samples = Samples::new(features, classes, inputs, labels.collect());
        samples.expect("noise is well-formed")
    };
    let peers = usize::from(scenario.peers.get());
    let train = samples(peers * NOISE_PER_PEER);
    Dataset::new(train, samples(NOISE_TESTED)).expect("both are of one shape")
}

fn parts(scenario: &Scenario, labels: &[u8]) -> Result<Vec<Vec<u32>>, LearnerError> {
    let peers = scenario.peers.get();
    let seed = seeds::bytes(scenario.seed, Node::World, Purpose::Partition);
    let partition = scenario.data.partition.as_ref().unwrap_or(&scenario::Partition::Iid);
    Ok(partitioner(partition, peers).assign(labels, usize::from(peers), &seed)?)
}

fn partitioner(partition: &scenario::Partition, peers: u16) -> Partition {
    match partition {
        scenario::Partition::Iid => Partition::Iid,
        scenario::Partition::Dirichlet { alpha } => Partition::Dirichlet { alpha: alpha.get() },
        scenario::Partition::Shards { per_peer } => Partition::Shards { per_peer: *per_peer },
        scenario::Partition::Split { alpha, weight, groups } => {
            let side = |group| if group == 0 { Side::Low } else { Side::High };
            let sides = groups_by_peer(groups, usize::from(peers)).into_iter().map(side).collect();
            Partition::Split { alpha: alpha.get(), sides, weight: weight.get() }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing;

    fn source(partition: Option<scenario::Partition>) -> Source {
        let mut scenario = testing::scenario();
        scenario.data.partition = partition;
        let model = "edgesense-cnn".parse().expect("a model");
        Source::of(&scenario, &model, None).expect("built-in data")
    }

    /// All devices' recordings in one set, as they are made together.
    fn all() -> (Dataset, Vec<Vec<u32>>) {
        let seed = seeds::bytes(testing::scenario().seed, Node::World, Purpose::Data);
        edgesense::of_devices(&seed, 4)
    }

    #[test]
    fn a_peer_has_the_recordings_of_its_device_whoever_asks_first() {
        let ((data, own), source) = (all(), source(None));
        for peer in [3, 0, 2, 1] {
            let (samples, places) = source.first(peer, source.count(peer));
            assert_eq!(places.len(), own[usize::from(peer)].len());
            for (&here, &there) in places.iter().zip(&own[usize::from(peer)]) {
                let (here, there) = (here as usize, there as usize);
                assert_eq!(samples.input(here), data.train().input(there));
                assert_eq!(samples.labels()[here], data.train().labels()[there]);
            }
        }
        assert_eq!(source.test(), *data.test());
        assert!(!source.is_shared());
    }

    #[test]
    fn parts_of_a_pool_are_drawn_before_the_pool_is_made() {
        let alpha = 0.5.try_into().expect("an alpha");
        let source = source(Some(scenario::Partition::Dirichlet { alpha }));
        assert!(
            matches!(&source.held, Held::Parts(Pool::Devices(_, made), _) if made.get().is_none())
        );
        let (data, _) = all();
        let seed = seeds::bytes(testing::scenario().seed, Node::World, Purpose::Partition);
        let parts = Partition::Dirichlet { alpha: 0.5 }.assign(data.train().labels(), 4, &seed);
        for (peer, part) in (0..).zip(parts.expect("enough samples")) {
            let (samples, places) = source.first(peer, source.count(peer));
            assert_eq!((&samples, places), (data.train(), part));
        }
    }

    #[test]
    fn noise_has_the_shape_of_the_model() {
        let mut scenario = testing::scenario();
        "noise".clone_into(&mut scenario.task.data);
        let model = "mlp:20-5".parse().expect("a model");
        let source = Source::of(&scenario, &model, None).expect("noise");
        assert_eq!((source.shape(), source.test().len()), ((20, 5), NOISE_TESTED));
        assert_eq!(source.count(3), NOISE_PER_PEER);
    }

    #[test]
    fn a_split_puts_each_group_on_its_side() {
        let groups = vec![vec![1, 2], vec![0, 3]];
        let alpha = 0.3.try_into().expect("an alpha");
        let weight = 0.05.try_into().expect("a weight");
        let split = scenario::Partition::Split { alpha, weight, groups };
        let sides = vec![Side::High, Side::Low, Side::Low, Side::High];
        assert_eq!(partitioner(&split, 4), Partition::Split { alpha: 0.3, sides, weight: 0.05 });
    }
}
