//! The forward pass of each model, on burn tensors.
//!
//! Parameters arrive as one flat tensor per schema entry and are given their
//! shape here; reshaping moves no data. With tracked parameters the pass records
//! what back-propagation needs, with plain ones it does not, so training and
//! evaluation run the same code.

use burn::tensor::activation::relu;
use burn::tensor::module::{conv1d, conv2d, linear, max_pool2d};
use burn::tensor::ops::{ConvOptions, MaxPoolOptions};
use burn::tensor::{Device, Tensor, TensorData};

use super::data::edgesense::{AXES, WINDOW};
use super::model::*;

/// One flat tensor per entry of the model's schema.
pub(super) type Parameters = Vec<Tensor<1>>;

/// Copies flat parameters to the device, cut at the schema's borders.
pub(super) fn upload(kind: &ModelKind, flat: &[f32], device: &Device) -> Parameters {
    let mut rest = flat;
    let mut take = |shape: Vec<usize>| {
        let (tensor, more) = rest.split_at(shape.iter().product());
        rest = more;
        Tensor::from_data(TensorData::new(tensor.to_vec(), [tensor.len()]), device)
    };
    kind.shapes().into_iter().map(&mut take).collect()
}

/// Scores for each class, `[batch, classes]`, from inputs `[batch, features]`.
pub(super) fn forward(kind: &ModelKind, parameters: &[Tensor<1>], inputs: Tensor<2>) -> Tensor<2> {
    match kind {
        ModelKind::Mlp(layers) => mlp(layers.sizes(), parameters, inputs),
        ModelKind::EdgesenseCnn => sensor_cnn(parameters, inputs),
        ModelKind::ImageCnn => image_cnn(parameters, inputs),
    }
}

fn mlp(sizes: &[usize], parameters: &[Tensor<1>], inputs: Tensor<2>) -> Tensor<2> {
    let mut values = inputs;
    for (layer, pair) in parameters.chunks_exact(2).enumerate() {
        if layer > 0 {
            values = relu(values);
        }
        values = dense(values, pair, [sizes[layer], sizes[layer + 1]]);
    }
    values
}

/// `[batch, axes * window]`; two convolutions, the mean over time, one dense layer.
fn sensor_cnn(parameters: &[Tensor<1>], inputs: Tensor<2>) -> Tensor<2> {
    let [batch, _] = inputs.dims();
    let windows = inputs.reshape([batch, AXES, WINDOW]);
    let [weight, bias] = [0, 1].map(|entry| parameters[entry].clone());
    let weight = weight.reshape([SENSOR_FILTERS_1, AXES, SENSOR_KERNEL_1]);
    let halved = ConvOptions::new([2], [SENSOR_KERNEL_1 / 2], [1], 1);
    let values = relu(conv1d(windows, weight, Some(bias), halved));
    let [weight, bias] = [2, 3].map(|entry| parameters[entry].clone());
    let weight = weight.reshape([SENSOR_FILTERS_2, SENSOR_FILTERS_1, SENSOR_KERNEL_2]);
    let halved = ConvOptions::new([2], [SENSOR_KERNEL_2 / 2], [1], 1);
    let values = relu(conv1d(values, weight, Some(bias), halved));
    let means = values.mean_dim(2).reshape([batch, SENSOR_FILTERS_2]);
    dense(means, &parameters[4..6], [SENSOR_FILTERS_2, super::data::edgesense::CLASSES])
}

/// `[batch, 28 * 28]`; two convolutions with pooling, two dense layers.
fn image_cnn(parameters: &[Tensor<1>], inputs: Tensor<2>) -> Tensor<2> {
    let [batch, _] = inputs.dims();
    let images = inputs.reshape([batch, 1, IMAGE_SIDE, IMAGE_SIDE]);
    let values = convolve_and_pool(images, &parameters[0..2], [IMAGE_FILTERS_1, 1]);
    let values = convolve_and_pool(values, &parameters[2..4], [IMAGE_FILTERS_2, IMAGE_FILTERS_1]);
    let units = IMAGE_FILTERS_2 * IMAGE_SIDE_LEFT * IMAGE_SIDE_LEFT;
    let hidden = dense(values.reshape([batch, units]), &parameters[4..6], [units, IMAGE_HIDDEN]);
    dense(relu(hidden), &parameters[6..8], [IMAGE_HIDDEN, IMAGE_CLASSES])
}

fn convolve_and_pool(
    values: Tensor<4>,
    pair: &[Tensor<1>],
    [outputs, inputs]: [usize; 2],
) -> Tensor<4> {
    let weight = pair[0].clone().reshape([outputs, inputs, IMAGE_KERNEL, IMAGE_KERNEL]);
    let options = ConvOptions::new([1, 1], [0, 0], [1, 1], 1);
    let values = relu(conv2d(values, weight, Some(pair[1].clone()), options));
    max_pool2d(values, MaxPoolOptions::new([2, 2]))
}

fn dense(values: Tensor<2>, pair: &[Tensor<1>], shape: [usize; 2]) -> Tensor<2> {
    linear(values, pair[0].clone().reshape(shape), Some(pair[1].clone()))
}
