//! Local training: some steps of stochastic gradient descent on a peer's own data.
//!
//! The result is a pure function of (model, own samples, base, plan, seed) on
//! one kind of processor. On the CPU burn's `flex` back end runs without its
//! `rayon` and `simd` features, so each step is computed by the calling thread
//! in one fixed order; debug and release builds, and any number of trainers at
//! once, give the same bits. Matrix products choose their kernel by the
//! processor's vector extensions, so another *kind* of processor may round
//! differently, as may a GPU from run to run. Nothing depends on it: updates
//! are quantised and signed, and are merged in exact integers.
//!
//! burn draws nothing: the base comes from the caller and the order of samples
//! from our own stream.

use std::sync::Arc;

use burn::tensor::activation::log_softmax;
use burn::tensor::{Device, Int, Tensor, TensorData};

use super::data::{Dataset, Samples};
use super::draw::{Draw, Purpose};
use super::evaluation::{Evaluation, Split, Tally};
use super::model::ModelKind;
use super::network::{Parameters, forward, upload};

/// Most steps of one plan.
pub const STEPS_MAX: u32 = 100_000;

/// Most samples in one step.
pub const BATCH_MAX: u32 = 4_096;

/// One in this many of a peer's own samples is held out of training.
const HOLD_OUT_EVERY: usize = 10;

/// Samples evaluated at once; bounds the memory that the convolutions take.
const EVALUATION_BATCH: usize = 250;

/// Freed memory up to about twice this much is kept for the next step.
const KEPT_BYTES: usize = 8 << 20;

/// How much to train: `steps` steps, each along the mean gradient of `batch` samples.
///
/// The limits are 1 to [`STEPS_MAX`] steps, 1 to [`BATCH_MAX`] samples, a
/// positive finite rate, a proximal weight of at least zero and a momentum from zero to below one.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Plan {
    /// Number of steps.
    pub steps: u32,
    /// Samples per step, drawn with replacement.
    pub batch: u32,
    /// Learning rate: how far to go along the gradient.
    pub rate: f32,
    /// What half the squared distance from the base weighs in the loss (FedProx).
    pub proximal: f32,
    /// Heavy-ball momentum; training begins at rest.
    pub momentum: f32,
}

impl Plan {
    /// Plain gradient descent.
    pub const fn plain(steps: u32, batch: u32, rate: f32) -> Self {
        Self { steps, batch, rate, proximal: 0.0, momentum: 0.0 }
    }
}

/// Where training stands.
struct Descent {
    parameters: Parameters,
    /// Where it began, if the distance from there counts.
    anchor: Option<Parameters>,
    /// The direction of the last step, if there was one and it counts.
    velocity: Option<Parameters>,
}

/// What training made of the base.
#[derive(Debug, Clone, PartialEq)]
pub struct Trained {
    /// The new parameters, in schema order; all finite.
    pub parameters: Vec<f32>,
    /// Samples visited, with repetitions.
    pub samples: u32,
    /// Mean loss over the last step's batch, before that step.
    pub loss_last: f32,
}

/// Why training or evaluation cannot go on.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum TrainError {
    /// The data does not fit the model.
    #[error(
        "the model takes {inputs} inputs and tells {outputs} classes apart, but the data has {features} and {classes}"
    )]
    DataShape {
        /// Inputs of the model.
        inputs: usize,
        /// Classes of the model.
        outputs: usize,
        /// Numbers per sample.
        features: usize,
        /// Classes in the data.
        classes: usize,
    },
    /// Too few own samples to train on some and hold out others.
    #[error("{0} own samples are too few: at least 2 are needed, one of them to hold out")]
    TooFewSamples(usize),
    /// An own index names no sample.
    #[error("own sample {index} does not exist: the data set has {samples}")]
    NoSuchSample {
        /// The index.
        index: u32,
        /// Samples there are.
        samples: usize,
    },
    /// Parameters do not belong to the model.
    #[error("{found} parameters do not fit a model of {expected}")]
    ParameterCount {
        /// Parameters of the model.
        expected: usize,
        /// Parameters given.
        found: usize,
    },
    /// The base has a parameter that is infinite or not a number; holds its index.
    #[error("parameter {0} of the base is not a finite number")]
    BaseNotFinite(usize),
    /// The plan is outside the limits.
    #[error("plan of {} steps, batch {} and rate {}, proximal weight {} and momentum {} is out of range: 1 to {STEPS_MAX} steps, 1 to {BATCH_MAX} samples, a positive finite rate, a proximal weight from 0, a momentum from 0 to below 1", .0.steps, .0.batch, .0.rate, .0.proximal, .0.momentum)]
    Plan(Plan),
    /// Training ran away.
    #[error("training diverged to parameters or a loss that are not finite: lower the rate {rate}")]
    Diverged {
        /// The learning rate used.
        rate: f32,
    },
    /// The device failed; holds its own words.
    #[error("the device failed: {0}")]
    Device(String),
}

/// Trains one model on one peer's samples.
///
/// It holds no state between calls and may be shared by threads; the data set
/// is shared with other trainers.
#[derive(Debug, Clone)]
pub struct Trainer {
    kind: ModelKind,
    data: Arc<Dataset>,
    /// Indices of own samples to train on; never empty.
    own: Vec<u32>,
    /// Indices of own samples not to train on; never empty.
    held_out: Vec<u32>,
    device: Device,
}

impl Trainer {
    /// A trainer for the samples of `data` that `own` names.
    ///
    /// Every tenth of them, and at least one, is held out for
    /// [`Split::OwnHeldOut`] and never trained on.
    pub fn new(
        kind: ModelKind,
        data: Arc<Dataset>,
        own: Vec<u32>,
        device: Device,
    ) -> Result<Self, TrainError> {
        let train = data.train();
        if train.features() != kind.inputs() || train.classes() > kind.outputs() {
            return Err(TrainError::DataShape {
                inputs: kind.inputs(),
                outputs: kind.outputs(),
                features: train.features(),
                classes: train.classes(),
            });
        }
        if own.len() < 2 {
            return Err(TrainError::TooFewSamples(own.len()));
        }
        let samples = train.len();
        if let Some(index) = own.iter().copied().find(|index| position(*index) >= samples) {
            return Err(TrainError::NoSuchSample { index, samples });
        }
        keep_freed_memory();
        let (held_out, own) = hold_out(own);
        Ok(Self { kind, data, own, held_out, device: device.without_autodiff() })
    }

    /// The model that is trained.
    pub fn kind(&self) -> &ModelKind {
        &self.kind
    }

    /// The data that is trained and measured on.
    pub fn data(&self) -> &Arc<Dataset> {
        &self.data
    }

    /// Trains from `base` by `plan`; `seed` fixes which samples are visited.
    ///
    /// Takes the calling thread for the whole time. Refuses a base or a result
    /// that is not finite.
    pub fn train(&self, base: &[f32], plan: Plan, seed: &[u8; 32]) -> Result<Trained, TrainError> {
        self.check_parameters(base)?;
        check_plan(plan)?;
        let mut draw = Draw::new(seed, Purpose::Batches, 0);
        let parameters = upload(&self.kind, base, &self.device);
        let anchor = (plan.proximal > 0.0).then(|| parameters.clone());
        let mut descent = Descent { parameters, anchor, velocity: None };
        let mut loss = None;
        for _ in 0..plan.steps {
            let batch: Vec<u32> =
                (0..plan.batch).map(|_| self.own[draw.index(self.own.len())]).collect();
            loss = Some(self.step(&mut descent, &batch, plan));
        }
        let loss_last = download(vec![loss.expect("a plan has at least one step")])?[0];
        let parameters = download(descent.parameters)?;
        if !loss_last.is_finite() || parameters.iter().any(|value| !value.is_finite()) {
            return Err(TrainError::Diverged { rate: plan.rate });
        }
        Ok(Trained { parameters, samples: plan.steps * plan.batch, loss_last })
    }

    /// Measures how well `parameters` do on the chosen samples.
    pub fn evaluate(&self, parameters: &[f32], split: Split) -> Result<Evaluation, TrainError> {
        self.check_parameters(parameters)?;
        let parameters = upload(&self.kind, parameters, &self.device);
        let mut tally = Tally::default();
        match split {
            Split::Test => {
                let all: Vec<u32> = (0..).take(self.data.test().len()).collect();
                self.tally(&parameters, self.data.test(), &all, &mut tally)?;
            }
            Split::OwnHeldOut => {
                self.tally(&parameters, self.data.train(), &self.held_out, &mut tally)?
            }
        }
        Ok(tally.evaluation())
    }

    fn check_parameters(&self, parameters: &[f32]) -> Result<(), TrainError> {
        let expected = self.kind.parameter_count();
        if parameters.len() != expected {
            return Err(TrainError::ParameterCount { expected, found: parameters.len() });
        }
        match parameters.iter().position(|value| !value.is_finite()) {
            Some(index) => Err(TrainError::BaseNotFinite(index)),
            None => Ok(()),
        }
    }

    /// One step down the gradient of the batch's mean loss, which it gives.
    fn step(&self, descent: &mut Descent, batch: &[u32], plan: Plan) -> Tensor<1> {
        let parameters = std::mem::take(&mut descent.parameters);
        let leaves: Parameters =
            parameters.into_iter().map(|tensor| tensor.autodiff().require_grad()).collect();
        let loss = self.loss(&leaves, batch);
        let mut gradients = loss.backward();
        let before = descent.velocity.take();
        let mut velocity = Vec::new();
        for (number, leaf) in leaves.into_iter().enumerate() {
            let gradient = leaf.grad_remove(&mut gradients);
            let leaf = leaf.without_autodiff();
            let Some(mut gradient) = gradient else {
                velocity.push(leaf.zeros_like());
                descent.parameters.push(leaf);
                continue;
            };
            if let Some(anchor) = &descent.anchor {
                let away = leaf.clone() - anchor[number].clone();
                gradient = gradient + away.mul_scalar(plan.proximal);
            }
            if let Some(before) = &before {
                gradient = gradient + before[number].clone().mul_scalar(plan.momentum);
            }
            descent.parameters.push(leaf - gradient.clone().mul_scalar(plan.rate));
            velocity.push(gradient);
        }
        descent.velocity = (plan.momentum > 0.0).then_some(velocity);
        loss.without_autodiff()
    }

    /// The mean cross-entropy over a batch of training samples.
    fn loss(&self, parameters: &[Tensor<1>], batch: &[u32]) -> Tensor<1> {
        let samples = self.data.train();
        let labels: Vec<i32> =
            batch.iter().map(|index| i32::from(samples.labels()[position(*index)])).collect();
        let labels =
            Tensor::<2, Int>::from_data(TensorData::new(labels, [batch.len(), 1]), &self.device);
        let scores = forward(&self.kind, parameters, self.inputs(samples, batch));
        log_softmax(scores, 1).gather(1, labels).mean().neg()
    }

    /// The inputs of a batch, `[batch, features]`.
    fn inputs(&self, samples: &Samples, batch: &[u32]) -> Tensor<2> {
        let mut inputs = Vec::with_capacity(batch.len() * samples.features());
        batch.iter().for_each(|index| inputs.extend_from_slice(samples.input(position(*index))));
        Tensor::from_data(TensorData::new(inputs, [batch.len(), samples.features()]), &self.device)
    }

    fn tally(
        &self,
        parameters: &[Tensor<1>],
        samples: &Samples,
        indices: &[u32],
        tally: &mut Tally,
    ) -> Result<(), TrainError> {
        for batch in indices.chunks(EVALUATION_BATCH) {
            let scores = forward(&self.kind, parameters, self.inputs(samples, batch));
            let scores = download(vec![scores.flatten(0, 1)])?;
            for (scores, index) in scores.chunks_exact(self.kind.outputs()).zip(batch) {
                tally.add(scores, usize::from(samples.labels()[position(*index)]));
            }
        }
        Ok(())
    }
}

/// Lets the allocator keep what a step frees instead of returning it to the system.
///
/// A step allocates and frees some hundred kilobytes; with glibc's defaults each
/// one maps the same pages anew, which is a quarter of the time of a small MLP.
/// Freeing one large block raises glibc's thresholds (`mallopt(3)`, dynamic mmap
/// threshold) for the whole process; other allocators take no notice.
fn keep_freed_memory() {
    drop(std::hint::black_box(Vec::<u8>::with_capacity(KEPT_BYTES)));
}

/// Separates the samples that are not trained on: every tenth, or the last of fewer than ten.
fn hold_out(own: Vec<u32>) -> (Vec<u32>, Vec<u32>) {
    let every = HOLD_OUT_EVERY.min(own.len());
    let mut places = 1..;
    own.into_iter().partition(|_| places.next().is_some_and(|place| place % every == 0))
}

fn check_plan(plan: Plan) -> Result<(), TrainError> {
    let sound = (1..=STEPS_MAX).contains(&plan.steps)
        && (1..=BATCH_MAX).contains(&plan.batch)
        && plan.rate.is_finite()
        && plan.rate > 0.0
        && plan.proximal.is_finite()
        && plan.proximal >= 0.0
        && (0.0..1.0).contains(&plan.momentum);
    if sound { Ok(()) } else { Err(TrainError::Plan(plan)) }
}

fn position(index: u32) -> usize {
    usize::try_from(index).expect("a u32 fits a usize")
}

/// Copies tensors back from the device, one after another.
fn download(tensors: Parameters) -> Result<Vec<f32>, TrainError> {
    Tensor::cat(tensors, 0)
        .try_into_vec_as::<f32>()
        .map_err(|error| TrainError::Device(error.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::train::data::edgesense;
    use longhaul_aggregation::Parameters as Exact;

    const SEED: [u8; 32] = [5; 32];
    const PLAN: Plan = Plan::plain(20, 16, 0.1);

    fn kind(name: &str) -> ModelKind {
        name.parse().unwrap()
    }

    fn initial(kind: &ModelKind) -> Vec<f32> {
        Exact::initial(&kind.schema(), &SEED).to_f32()
    }

    /// Samples of noise for `kind`, where the class is that of the largest of the first inputs.
    fn made_up(kind: &ModelKind, count: usize) -> Samples {
        let mut draw = Draw::new(&SEED, Purpose::Bench, 0);
        let inputs: Vec<f32> = (0..count * kind.inputs()).map(|_| draw.noise() as f32).collect();
        let label = |row: &[f32]| {
            (0..kind.outputs()).max_by(|a, b| row[*a].total_cmp(&row[*b])).unwrap() as u8
        };
        let labels = inputs.chunks_exact(kind.inputs()).map(label).collect();
        Samples::new(kind.inputs(), kind.outputs(), inputs, labels).unwrap()
    }

    fn trainer(kind: &ModelKind, count: usize) -> Trainer {
        let (train, test) = made_up(kind, 2 * count).split_at(count).unwrap();
        let data = Arc::new(Dataset::new(train, test).unwrap());
        Trainer::new(kind.clone(), data, (0..).take(count).collect(), Device::flex()).unwrap()
    }

    fn bits(parameters: &[f32]) -> Vec<u32> {
        parameters.iter().map(|value| value.to_bits()).collect()
    }

    /// The loss over a fixed batch at these parameters.
    fn loss_at(trainer: &Trainer, flat: &[f32], batch: &[u32]) -> f64 {
        let parameters = upload(trainer.kind(), flat, &trainer.device);
        f64::from(download(vec![trainer.loss(&parameters, batch)]).unwrap()[0])
    }

    #[test]
    fn steps_follow_the_gradient_that_finite_differences_give() {
        for name in ["mlp:6-5-3", "edgesense-cnn", "image-cnn"] {
            let kind = kind(name);
            let trainer = trainer(&kind, 12);
            let batch: Vec<u32> = (0..4).collect();
            let base = initial(&kind);
            let parameters = upload(&kind, &base, &trainer.device);
            let mut descent = Descent { parameters, anchor: None, velocity: None };
            trainer.step(&mut descent, &batch, Plan::plain(1, 4, 1.0));
            let stepped = download(descent.parameters).unwrap();
            let mut checked = 0;
            let mut largest = 0.0_f64;
            // Some entries of every tensor.
            let mut start = 0;
            for shape in kind.shapes() {
                let entries: usize = shape.iter().product();
                for place in (start..start + entries).step_by(entries.div_ceil(5)) {
                    let gradient = f64::from(base[place] - stepped[place]);
                    let mut moved = base.clone();
                    let mut at = |change: f32| {
                        moved[place] = base[place] + change;
                        loss_at(&trainer, &moved, &batch)
                    };
                    let estimate = (at(0.004) - at(-0.004)) / 0.008;
                    let allowed = 0.003 + 0.05 * gradient.abs();
                    assert!(
                        (gradient - estimate).abs() < allowed,
                        "{name} {place}: {gradient} against {estimate}"
                    );
                    largest = largest.max(gradient.abs());
                    checked += 1;
                }
                start += entries;
            }
            assert!(
                checked >= 16 && largest > 0.02,
                "{name}: {checked} checked, largest {largest}"
            );
        }
    }

    #[test]
    fn learns_a_simple_rule() {
        let trainer = trainer(&kind("mlp:4-16-3"), 400);
        let base = initial(trainer.kind());
        let before = trainer.evaluate(&base, Split::Test).unwrap();
        let trained = trainer.train(&base, Plan::plain(400, 16, 0.2), &SEED).unwrap();
        let after = trainer.evaluate(&trained.parameters, Split::Test).unwrap();
        assert!(before.accuracy < 0.6 && after.accuracy > 0.9, "{before:?} {after:?}");
        assert!(after.loss < before.loss);
        assert_eq!((after.count, trained.samples), (400, 6400));
    }

    #[test]
    fn one_device_does_not_suffice_but_all_together_do() {
        let kind = ModelKind::EdgesenseCnn;
        let (data, parts) = edgesense::of_devices(&[1; 32], 5);
        let data = Arc::new(data);
        let accuracy = |own: Vec<u32>, steps| {
            let trainer = Trainer::new(kind.clone(), data.clone(), own, Device::flex()).unwrap();
            let plan = Plan::plain(steps, 16, 0.1);
            let trained = trainer.train(&initial(&kind), plan, &SEED).unwrap();
            trainer.evaluate(&trained.parameters, Split::Test).unwrap().accuracy
        };
        for (device, part) in parts.iter().enumerate() {
            let alone = accuracy(part.clone(), 600);
            assert!((0.25..=0.6).contains(&alone), "device {device}: {alone}");
        }
        let together = accuracy(parts.concat(), 1_500);
        assert!(together >= 0.9, "{together}");
    }

    #[test]
    fn gives_the_same_bits_each_time_and_in_any_thread() {
        for name in ["mlp:784-32-10", "edgesense-cnn"] {
            let trainer = trainer(&kind(name), 60);
            let base = initial(trainer.kind());
            let expected = trainer.train(&base, PLAN, &SEED).unwrap();
            let threads: Vec<_> = (0..4)
                .map(|_| {
                    let (trainer, base) = (trainer.clone(), base.clone());
                    std::thread::spawn(move || trainer.train(&base, PLAN, &SEED).unwrap())
                })
                .collect();
            for thread in threads {
                let found = thread.join().unwrap();
                assert_eq!(bits(&found.parameters), bits(&expected.parameters), "{name}");
                assert_eq!(found.loss_last.to_bits(), expected.loss_last.to_bits());
            }
        }
    }

    #[test]
    fn visits_other_samples_with_another_seed() {
        let trainer = trainer(&kind("mlp:4-3"), 60);
        let base = initial(trainer.kind());
        let train = |seed| trainer.train(&base, PLAN, &[seed; 32]).unwrap().parameters;
        assert_ne!(bits(&train(1)), bits(&train(2)));
    }

    #[test]
    fn never_trains_on_held_out_samples() {
        for (count, held_out) in [(2, vec![1]), (9, vec![8]), (10, vec![9]), (25, vec![9, 19])] {
            let (found, own) = hold_out((0..count).collect());
            assert_eq!(found, held_out, "{count}");
            assert_eq!(own.len() + held_out.len(), count as usize);
        }
        let trainer = trainer(&kind("mlp:4-3"), 60);
        let evaluation = trainer.evaluate(&initial(trainer.kind()), Split::OwnHeldOut).unwrap();
        assert_eq!(evaluation.count, 6);
    }

    #[test]
    fn refuses_a_trainer_that_cannot_train() {
        let data = trainer(&kind("mlp:4-3"), 60).data().clone();
        let new = |name: &str, own: Vec<u32>| {
            Trainer::new(kind(name), data.clone(), own, Device::flex()).unwrap_err()
        };
        assert!(matches!(
            new("mlp:5-3", vec![0, 1]),
            TrainError::DataShape { inputs: 5, features: 4, .. }
        ));
        assert!(matches!(
            new("mlp:4-2", vec![0, 1]),
            TrainError::DataShape { outputs: 2, classes: 3, .. }
        ));
        assert_eq!(new("mlp:4-3", vec![0]), TrainError::TooFewSamples(1));
        assert_eq!(
            new("mlp:4-3", vec![0, 60]),
            TrainError::NoSuchSample { index: 60, samples: 60 }
        );
    }

    #[test]
    fn refuses_plans_and_parameters_out_of_range() {
        let trainer = trainer(&kind("mlp:4-3"), 60);
        let base = initial(trainer.kind());
        for plan in [
            Plan { steps: 0, ..PLAN },
            Plan { steps: STEPS_MAX + 1, ..PLAN },
            Plan { batch: 0, ..PLAN },
            Plan { batch: BATCH_MAX + 1, ..PLAN },
            Plan { rate: 0.0, ..PLAN },
            Plan { rate: f32::INFINITY, ..PLAN },
            Plan { proximal: -0.1, ..PLAN },
            Plan { proximal: f32::INFINITY, ..PLAN },
            Plan { momentum: 1.0, ..PLAN },
        ] {
            assert_eq!(trainer.train(&base, plan, &SEED), Err(TrainError::Plan(plan)));
        }
        let short = TrainError::ParameterCount { expected: 15, found: 14 };
        assert_eq!(trainer.train(&base[1..], PLAN, &SEED), Err(short.clone()));
        assert_eq!(trainer.evaluate(&base[1..], Split::Test), Err(short));
        let mut broken = base;
        broken[3] = f32::NAN;
        assert_eq!(trainer.train(&broken, PLAN, &SEED), Err(TrainError::BaseNotFinite(3)));
    }

    #[test]
    fn a_proximal_term_holds_back_and_momentum_goes_on() {
        let kind = kind("mlp:12-9-3");
        let trainer = trainer(&kind, 90);
        let base = initial(&kind);
        let moved = |plan: Plan| -> f32 {
            let trained = trainer.train(&base, plan, &SEED).unwrap().parameters;
            trained.iter().zip(&base).map(|(after, before)| (after - before).powi(2)).sum()
        };
        let plain = moved(PLAN);
        assert!(moved(Plan { proximal: 2.0, ..PLAN }) < 0.8 * plain);
        assert!(moved(Plan { momentum: 0.9, ..PLAN }) > 1.5 * plain);
        // One step knows neither.
        let one = Plan { steps: 1, ..PLAN };
        assert_eq!(moved(Plan { proximal: 2.0, momentum: 0.9, ..one }), moved(one));
        // Two steps at a rate of zero distance: the second goes 1 + m times as far as the first
        // where gradients are the same, so momentum is what the formula says.
        let (short, two) = (moved(Plan { rate: 1e-4, ..one }), Plan { steps: 2, ..one });
        let far = moved(Plan { rate: 1e-4, momentum: 0.5, ..two }) / short;
        assert!(far > 3.0 && far < 6.5, "about (1 + 1.5)^2: {far}");
    }

    #[test]
    fn refuses_to_hand_out_parameters_that_are_not_finite() {
        let trainer = trainer(&kind("mlp:4-16-3"), 60);
        let plan = Plan { rate: 1e30, ..PLAN };
        let result = trainer.train(&initial(trainer.kind()), plan, &SEED);
        assert_eq!(result, Err(TrainError::Diverged { rate: 1e30 }));
    }

    #[test]
    fn can_be_sent_to_worker_threads() {
        fn check<T: Send + Sync>() {}
        check::<Trainer>();
    }
}
