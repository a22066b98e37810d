//! The models that a federation can train, and the layout of their parameters.
//!
//! A model is named by a short text in the manifest, such as `mlp:784-32-10`.
//! The name fixes everything: sizes, the [`Schema`] of the parameters in the
//! order in which all updates carry them, and how they are drawn at the start
//! (He et al., arXiv 1502.01852, uniform; biases zero). The initial values
//! themselves are derived by `aggregation` in integers; nothing is drawn here.

use std::fmt;
use std::str::FromStr;

use longhaul_aggregation::{Init, Schema, TensorSpec};

use super::data::edgesense;

/// Most units in one layer of an MLP.
pub const LAYER_UNITS_MAX: usize = 65_536;

/// Most layers of units in an MLP, inputs and outputs included.
pub const LAYERS_MAX: usize = 8;

/// Most parameters of one model; as 32-bit numbers they take 64 MiB.
pub const PARAMETERS_MAX: usize = 1 << 24;

/// Parameter values are whole multiples of 2^-24.
const UNITS_PER_ONE: u128 = 1 << longhaul_aggregation::FRACTION_BITS;

/// Which model is trained.
///
/// Made by parsing its name, and shown as that name again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ModelKind {
    /// Fully connected layers with ReLU between them: `mlp:784-32-10`.
    Mlp(Layers),
    /// A small convolutional network for [`edgesense`] windows, with exactly
    /// 1,064 parameters: `edgesense-cnn`.
    EdgesenseCnn,
    /// A convolutional network for 28 x 28 images of ten classes, with 582,026
    /// parameters: `image-cnn`.
    ImageCnn,
}

/// The sizes of an MLP's layers, inputs first.
///
/// There are two to [`LAYERS_MAX`] of them, each of 1 to [`LAYER_UNITS_MAX`]
/// units, with at most 256 outputs and [`PARAMETERS_MAX`] parameters in all.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Layers(Vec<usize>);

/// Why a text names no model.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ModelError {
    /// No model has this name.
    #[error(
        "there is no model `{0}`: use `mlp:IN-…-OUT` (such as `mlp:784-32-10`), `edgesense-cnn` or `image-cnn`"
    )]
    Unknown(String),
    /// The number of layers is out of range.
    #[error("an MLP has 2 to {LAYERS_MAX} layer sizes, not {0}")]
    LayerCount(usize),
    /// A layer's size is out of range.
    #[error("layer {layer} has {units} units: 1 to {max} are possible")]
    LayerUnits {
        /// Which layer, from 0.
        layer: usize,
        /// Its size.
        units: usize,
        /// The most it can have.
        max: usize,
    },
    /// The model is too large.
    #[error("the model has {0} parameters: at most {PARAMETERS_MAX} are possible")]
    TooLarge(usize),
}

/// Filters of the first convolution of `edgesense-cnn`.
pub(super) const SENSOR_FILTERS_1: usize = 12;
/// Readings that each of them spans.
pub(super) const SENSOR_KERNEL_1: usize = 9;
/// Filters of the second convolution.
pub(super) const SENSOR_FILTERS_2: usize = 16;
/// Positions that each of them spans.
pub(super) const SENSOR_KERNEL_2: usize = 3;

/// Height and width of the images of `image-cnn`.
pub(super) const IMAGE_SIDE: usize = 28;
/// Filters of its first convolution.
pub(super) const IMAGE_FILTERS_1: usize = 32;
/// Filters of its second convolution.
pub(super) const IMAGE_FILTERS_2: usize = 64;
/// Height and width of all its filters.
pub(super) const IMAGE_KERNEL: usize = 5;
/// Height and width of what remains of the image: 28, 24, 12, 8, 4.
pub(super) const IMAGE_SIDE_LEFT: usize = 4;
/// Units of its hidden layer.
pub(super) const IMAGE_HIDDEN: usize = 512;
/// Classes it tells apart.
pub(super) const IMAGE_CLASSES: usize = 10;

/// A weight tensor and its bias, before they become tensor specifications.
struct Layer {
    name: String,
    /// `[inputs, outputs]` when dense, `[outputs, inputs, …kernel]` when convolutional.
    shape: Vec<usize>,
    outputs: usize,
    /// How many numbers each output sums.
    fan_in: usize,
}

impl ModelKind {
    /// How many numbers one sample has.
    pub fn inputs(&self) -> usize {
        match self {
            Self::Mlp(Layers(sizes)) => sizes[0],
            Self::EdgesenseCnn => edgesense::FEATURES,
            Self::ImageCnn => IMAGE_SIDE * IMAGE_SIDE,
        }
    }

    /// How many classes the model tells apart.
    pub fn outputs(&self) -> usize {
        match self {
            Self::Mlp(Layers(sizes)) => sizes[sizes.len() - 1],
            Self::EdgesenseCnn => edgesense::CLASSES,
            Self::ImageCnn => IMAGE_CLASSES,
        }
    }

    /// The layout of the parameters and how they are drawn at the start.
    ///
    /// Each layer has a weight tensor followed by a bias tensor. Weights are
    /// uniform within sqrt(6 / fan-in), biases zero.
    pub fn schema(&self) -> Schema {
        let specs = self.layers().into_iter().flat_map(Layer::specs).collect();
        Schema::new(specs).expect("the limits on models are within those on schemas")
    }

    /// How many parameters there are.
    pub fn parameter_count(&self) -> usize {
        self.shapes().iter().map(|shape| shape.iter().product::<usize>()).sum()
    }

    /// The shape of each tensor, in schema order.
    pub(super) fn shapes(&self) -> Vec<Vec<usize>> {
        let pair = |layer: Layer| [layer.shape, vec![layer.outputs]];
        self.layers().into_iter().flat_map(pair).collect()
    }

    fn layers(&self) -> Vec<Layer> {
        match self {
            Self::Mlp(Layers(sizes)) => {
                let dense = |(index, pair): (usize, &[usize])| {
                    Layer::dense(format!("dense{index}"), pair[0], pair[1])
                };
                sizes.windows(2).enumerate().map(dense).collect()
            }
            Self::EdgesenseCnn => vec![
                Layer::convolution("conv0", SENSOR_FILTERS_1, edgesense::AXES, &[SENSOR_KERNEL_1]),
                Layer::convolution("conv1", SENSOR_FILTERS_2, SENSOR_FILTERS_1, &[SENSOR_KERNEL_2]),
                Layer::dense("dense".to_owned(), SENSOR_FILTERS_2, edgesense::CLASSES),
            ],
            Self::ImageCnn => vec![
                Layer::convolution("conv0", IMAGE_FILTERS_1, 1, &[IMAGE_KERNEL; 2]),
                Layer::convolution("conv1", IMAGE_FILTERS_2, IMAGE_FILTERS_1, &[IMAGE_KERNEL; 2]),
                Layer::dense(
                    "dense0".to_owned(),
                    IMAGE_FILTERS_2 * IMAGE_SIDE_LEFT * IMAGE_SIDE_LEFT,
                    IMAGE_HIDDEN,
                ),
                Layer::dense("dense1".to_owned(), IMAGE_HIDDEN, IMAGE_CLASSES),
            ],
        }
    }
}

impl Layer {
    fn dense(name: String, inputs: usize, outputs: usize) -> Self {
        Self { name, shape: vec![inputs, outputs], outputs, fan_in: inputs }
    }

    fn convolution(name: &str, outputs: usize, inputs: usize, kernel: &[usize]) -> Self {
        let shape = [&[outputs, inputs], kernel].concat();
        let fan_in = inputs * kernel.iter().product::<usize>();
        Self { name: name.to_owned(), shape, outputs, fan_in }
    }

    fn specs(self) -> [TensorSpec; 2] {
        let init = Init::Uniform { bound: he_bound(self.fan_in) };
        [
            spec(format!("{}.weight", self.name), &self.shape, init),
            spec(format!("{}.bias", self.name), &[self.outputs], Init::Zero),
        ]
    }
}

fn spec(name: String, shape: &[usize], init: Init) -> TensorSpec {
    let shape = shape.iter().map(|size| u32::try_from(*size).expect("sizes are limited")).collect();
    TensorSpec::new(name, shape, init).expect("the limits on models are within those on schemas")
}

/// sqrt(6 / `fan_in`) in units of 2^-24, rounded down, in integers.
fn he_bound(fan_in: usize) -> u32 {
    let fan_in = u128::try_from(fan_in.max(1)).expect("a usize fits a u128");
    let square = 6 * UNITS_PER_ONE * UNITS_PER_ONE / fan_in;
    u32::try_from(square.isqrt()).expect("the square root of 6 x 2^48 fits a u32")
}

impl Layers {
    /// Checks the sizes, inputs first.
    pub fn new(sizes: Vec<usize>) -> Result<Self, ModelError> {
        if !(2..=LAYERS_MAX).contains(&sizes.len()) {
            return Err(ModelError::LayerCount(sizes.len()));
        }
        for (layer, units) in sizes.iter().copied().enumerate() {
            let max = if layer + 1 == sizes.len() { 256 } else { LAYER_UNITS_MAX };
            if !(1..=max).contains(&units) {
                return Err(ModelError::LayerUnits { layer, units, max });
            }
        }
        let count = sizes.windows(2).map(|pair| (pair[0] + 1) * pair[1]).sum();
        if count > PARAMETERS_MAX {
            return Err(ModelError::TooLarge(count));
        }
        Ok(Self(sizes))
    }

    /// The sizes, inputs first.
    pub fn sizes(&self) -> &[usize] {
        &self.0
    }
}

impl fmt::Display for ModelKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Mlp(Layers(sizes)) => {
                write!(f, "mlp:{}", sizes[0])?;
                sizes[1..].iter().try_for_each(|size| write!(f, "-{size}"))
            }
            Self::EdgesenseCnn => write!(f, "edgesense-cnn"),
            Self::ImageCnn => write!(f, "image-cnn"),
        }
    }
}

impl FromStr for ModelKind {
    type Err = ModelError;

    fn from_str(text: &str) -> Result<Self, ModelError> {
        let unknown = || ModelError::Unknown(text.chars().take(64).collect());
        match text {
            "edgesense-cnn" => Ok(Self::EdgesenseCnn),
            "image-cnn" => Ok(Self::ImageCnn),
            _ => {
                let sizes = text.strip_prefix("mlp:").ok_or_else(unknown)?;
                let sizes = sizes.split('-').take(LAYERS_MAX + 1).map(size).collect::<Option<_>>();
                Layers::new(sizes.ok_or_else(unknown)?).map(Self::Mlp)
            }
        }
    }
}

/// A size in its one way of being written: decimal digits without a leading zero.
fn size(text: &str) -> Option<usize> {
    let size: usize = text.parse().ok()?;
    (size.to_string() == text).then_some(size)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_back_what_it_shows() {
        for name in ["mlp:784-32-10", "mlp:784-128-10", "mlp:4-2", "edgesense-cnn", "image-cnn"] {
            assert_eq!(name.parse::<ModelKind>().unwrap().to_string(), name);
        }
    }

    #[test]
    fn refuses_what_is_no_model() {
        for name in [
            "",
            "mlp",
            "mlp:",
            "mlp:784",
            "mlp:784-0-10",
            "mlp:784--10",
            "mlp:+784-10",
            "mlp:0784-10",
            "MLP:4-2",
        ] {
            assert!(name.parse::<ModelKind>().is_err(), "{name}");
        }
        let error = |name: &str| name.parse::<ModelKind>().unwrap_err();
        assert_eq!(error("mlp:1-1-1-1-1-1-1-1-1-1"), ModelError::LayerCount(9));
        assert_eq!(error("mlp:65536-256-10"), ModelError::TooLarge(16_777_216 + 256 + 2_570));
        assert_eq!(error("mlp:4-257"), ModelError::LayerUnits { layer: 1, units: 257, max: 256 });
        assert!(error(&"x".repeat(10_000)).to_string().len() < 300);
    }

    #[test]
    fn schema_has_as_many_parameters_as_the_model() {
        let cases = [
            ("mlp:784-32-10", 25_450),
            ("edgesense-cnn", 1_064),
            ("image-cnn", 582_026),
            ("mlp:4-2", 10),
        ];
        for (name, count) in cases {
            let kind: ModelKind = name.parse().unwrap();
            assert_eq!(kind.parameter_count(), count, "{name}");
            assert_eq!(kind.schema().parameter_count(), count, "{name}");
        }
    }

    #[test]
    fn bounds_are_those_of_he() {
        for fan_in in [1, 6, 27, 784, 65_536] {
            let bound = f64::from(he_bound(fan_in)) / f64::from(1 << 24);
            assert!((bound - (6.0 / fan_in as f64).sqrt()).abs() < 1e-7, "{fan_in}");
        }
    }
}
