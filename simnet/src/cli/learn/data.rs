//! The task of `learn`: digits from a folder, or generated points.

use std::path::Path;

use anyhow::{Context, Result};
use longhaul_lab::local_sgd::Task;
use longhaul_lab::network::Network;
use longhaul_lab::samples::Samples;
use longhaul_node::train::data::idx;

/// Hidden units of the network.
const HIDDEN: usize = 32;
/// Mean and deviation of MNIST's pixels, as everybody normalises them.
const MEAN: f32 = 0.1307;
const DEVIATION: f32 = 0.3081;
/// Generated points and their numbers.
const GENERATED: (usize, usize) = (2_500, 40);

/// Four fifths to train with, one to test, in an order that is always the same.
pub fn task(folder: Option<&Path>) -> Result<Task> {
    let all = samples(folder)?;
    let network = Network { inputs: all.width(), hidden: HIDDEN, classes: all.classes() };
    let (train, test) = all.shuffled(0, all.count() / 5);
    Ok(Task { train, test, network })
}

/// All samples, in the order of their files.
pub fn samples(folder: Option<&Path>) -> Result<Samples> {
    let Some(folder) = folder else {
        eprintln!("no --data: generated points, which say little about real data");
        return Ok(Samples::generated(GENERATED.0, GENERATED.1, 1));
    };
    let data = idx::load(folder)?;
    let (train, test) = (data.train(), data.test());
    let inputs = [train.inputs(), test.inputs()].concat();
    let labels = [train.labels(), test.labels()].concat();
    let all = Samples::new(inputs, labels, train.features());
    Ok(all.context("the images have no pixels")?.normalised(MEAN, DEVIATION))
}
