//! Local training: models, data sets, devices and the trainer.
//!
//! A peer improves the shared model on data that never leaves it. This module
//! holds all of that and nothing of the federation: what a model's parameters
//! look like ([`ModelKind`]), samples ([`data`]), the processor to compute on
//! ([`device`]) and some steps of gradient descent ([`Trainer`]). Tensors and
//! their gradients are burn's; parameters go in and out as one flat `Vec<f32>`
//! whose layout is an aggregation [`Schema`](longhaul_aggregation::Schema).
//!
//! No clock, environment or entropy is read: randomness comes from seeds, and
//! only [`data::idx`] touches a disk.

pub mod bench;
pub mod data;
pub mod device;
mod draw;
mod evaluation;
mod model;
mod network;
pub mod portable;
mod trainer;

pub use data::{Dataset, DatasetError, Partition, PartitionError, Samples};
pub use device::{DeviceChoice, DeviceError, DeviceReport, open_device};
pub use evaluation::{Evaluation, Split};
pub use model::{LAYER_UNITS_MAX, LAYERS_MAX, Layers, ModelError, ModelKind, PARAMETERS_MAX};
pub use trainer::{BATCH_MAX, Plan, STEPS_MAX, TrainError, Trained, Trainer};
