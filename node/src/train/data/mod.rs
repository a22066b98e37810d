//! Data sets: labelled samples, where they come from and who holds which.
//!
//! A [`Dataset`] is plain numbers in memory, checked once when made.
//! [`edgesense`] generates one, [`idx`] reads one from files, and
//! [`partition`] divides one between peers. Nothing here knows of models.

pub mod edgesense;
pub mod idx;
pub mod partition;

use std::sync::Arc;

pub use partition::{Partition, PartitionError};

/// Most samples one set may hold; keeps every index in 24 bits.
pub const SAMPLES_MAX: usize = 1 << 24;

/// Labelled samples of one shape, in rows.
///
/// Every label is below the number of classes and every input is finite; both
/// are checked when the set is made, so that training need not.
#[derive(Debug, Clone, PartialEq)]
pub struct Samples {
    features: usize,
    classes: usize,
    inputs: Vec<f32>,
    labels: Vec<u8>,
}

/// Samples to train on and samples to measure accuracy with.
///
/// Both halves have the same number of features and classes. A peer trains on
/// some of `train`; nobody trains on `test`. Sets may share a half.
#[derive(Debug, Clone, PartialEq)]
pub struct Dataset {
    train: Arc<Samples>,
    test: Arc<Samples>,
}

/// Why numbers do not form a data set.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DatasetError {
    /// The set has no samples, no features or no classes.
    #[error("a data set needs at least one sample, one feature and one class")]
    Empty,
    /// The set has more samples than [`SAMPLES_MAX`].
    #[error("a data set of {0} samples is over the limit of {SAMPLES_MAX}")]
    TooManySamples(usize),
    /// Inputs and labels do not belong together.
    #[error("{inputs} inputs do not make {samples} samples of {features} features")]
    Shape {
        /// Numbers given.
        inputs: usize,
        /// Labels given.
        samples: usize,
        /// Numbers that each sample has.
        features: usize,
    },
    /// A label names a class that does not exist.
    #[error("sample {sample} has label {label}, but there are {classes} classes (0 to {})", classes - 1)]
    Label {
        /// The first such sample.
        sample: usize,
        /// Its label.
        label: u8,
        /// How many classes there are.
        classes: usize,
    },
    /// An input is infinite or not a number; holds the first such sample.
    #[error("sample {0} has an input that is not a finite number")]
    NotFinite(usize),
    /// Training and test samples have different features or classes.
    #[error(
        "training and test samples differ in shape: {train:?} against {test:?} (features, classes)"
    )]
    HalvesDiffer {
        /// Features and classes of the training samples.
        train: (usize, usize),
        /// Features and classes of the test samples.
        test: (usize, usize),
    },
}

impl Samples {
    /// Makes a set of `labels.len()` samples from rows of `features` inputs.
    ///
    /// Refuses empty sets, inputs that do not fill the rows, labels that are not
    /// below `classes`, and inputs that are not finite.
    pub fn new(
        features: usize,
        classes: usize,
        inputs: Vec<f32>,
        labels: Vec<u8>,
    ) -> Result<Self, DatasetError> {
        let samples = labels.len();
        if samples == 0 || features == 0 || classes == 0 {
            return Err(DatasetError::Empty);
        }
        if samples > SAMPLES_MAX {
            return Err(DatasetError::TooManySamples(samples));
        }
        if samples.checked_mul(features) != Some(inputs.len()) {
            return Err(DatasetError::Shape { inputs: inputs.len(), samples, features });
        }
        if let Some(sample) = labels.iter().position(|label| usize::from(*label) >= classes) {
            return Err(DatasetError::Label { sample, label: labels[sample], classes });
        }
        if let Some(at) = inputs.iter().position(|input| !input.is_finite()) {
            return Err(DatasetError::NotFinite(at / features));
        }
        Ok(Self { features, classes, inputs, labels })
    }

    /// How many samples there are; never zero.
    #[expect(clippy::len_without_is_empty, reason = "a set is never empty")]
    pub fn len(&self) -> usize {
        self.labels.len()
    }

    /// How many numbers each sample has.
    pub fn features(&self) -> usize {
        self.features
    }

    /// How many classes labels can name; some may have no sample here.
    pub fn classes(&self) -> usize {
        self.classes
    }

    /// All inputs, sample after sample: `[len, features]`.
    pub fn inputs(&self) -> &[f32] {
        &self.inputs
    }

    /// The label of each sample: `[len]`.
    pub fn labels(&self) -> &[u8] {
        &self.labels
    }

    /// The inputs of one sample; `index` must be below [`len`](Self::len).
    pub fn input(&self, index: usize) -> &[f32] {
        &self.inputs[index * self.features..][..self.features]
    }

    /// How many samples each class has.
    pub fn class_counts(&self) -> Vec<usize> {
        let mut counts = vec![0; self.classes];
        self.labels.iter().for_each(|label| counts[usize::from(*label)] += 1);
        counts
    }

    /// Splits into the first `count` samples and the rest; neither may be empty.
    pub fn split_at(mut self, count: usize) -> Result<(Self, Self), DatasetError> {
        if count == 0 || count >= self.len() {
            return Err(DatasetError::Empty);
        }
        let rest = Self {
            features: self.features,
            classes: self.classes,
            inputs: self.inputs.split_off(count * self.features),
            labels: self.labels.split_off(count),
        };
        Ok((self, rest))
    }

    /// All of `self` followed by all of `more`, which must have the same shape.
    pub fn join(mut self, more: &Self) -> Result<Self, DatasetError> {
        same_shape(&self, more)?;
        let samples = self.len() + more.len();
        if samples > SAMPLES_MAX {
            return Err(DatasetError::TooManySamples(samples));
        }
        self.inputs.extend_from_slice(&more.inputs);
        self.labels.extend_from_slice(&more.labels);
        Ok(self)
    }
}

impl Dataset {
    /// Joins training and test samples, which must have the same shape.
    pub fn new(
        train: impl Into<Arc<Samples>>,
        test: impl Into<Arc<Samples>>,
    ) -> Result<Self, DatasetError> {
        let (train, test) = (train.into(), test.into());
        same_shape(&train, &test)?;
        Ok(Self { train, test })
    }

    /// The samples that peers train on.
    pub fn train(&self) -> &Arc<Samples> {
        &self.train
    }

    /// The samples that accuracy is measured with.
    pub fn test(&self) -> &Arc<Samples> {
        &self.test
    }
}

fn same_shape(train: &Samples, test: &Samples) -> Result<(), DatasetError> {
    let shape = |samples: &Samples| (samples.features, samples.classes);
    if shape(train) == shape(test) {
        Ok(())
    } else {
        Err(DatasetError::HalvesDiffer { train: shape(train), test: shape(test) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn samples() -> Samples {
        Samples::new(2, 3, (0..10).map(|x| x as f32).collect(), vec![0, 1, 2, 0, 0]).unwrap()
    }

    #[test]
    fn refuses_numbers_that_are_no_data_set() {
        let cases = [
            (2, 3, vec![], vec![], DatasetError::Empty),
            (0, 3, vec![], vec![1], DatasetError::Empty),
            (2, 3, vec![1.0], vec![1], DatasetError::Shape { inputs: 1, samples: 1, features: 2 }),
            (
                1,
                3,
                vec![1.0, 2.0],
                vec![1, 3],
                DatasetError::Label { sample: 1, label: 3, classes: 3 },
            ),
            (1, 3, vec![1.0, f32::NAN], vec![1, 2], DatasetError::NotFinite(1)),
            (2, 3, vec![1.0, f32::INFINITY], vec![1], DatasetError::NotFinite(0)),
        ];
        for (features, classes, inputs, labels, error) in cases {
            assert_eq!(Samples::new(features, classes, inputs, labels), Err(error));
        }
    }

    #[test]
    fn splits_and_joins_without_loss() {
        let (first, rest) = samples().split_at(2).unwrap();
        assert_eq!((first.len(), rest.len()), (2, 3));
        assert_eq!(rest.input(0), [4.0, 5.0]);
        assert_eq!(first.join(&rest).unwrap(), samples());
        assert_eq!(samples().split_at(0), Err(DatasetError::Empty));
        assert_eq!(samples().split_at(5), Err(DatasetError::Empty));
    }

    #[test]
    fn counts_classes() {
        assert_eq!(samples().class_counts(), [3, 1, 1]);
    }

    #[test]
    fn refuses_halves_of_different_shape() {
        let other = Samples::new(1, 3, vec![1.0], vec![0]).unwrap();
        let error = DatasetError::HalvesDiffer { train: (2, 3), test: (1, 3) };
        assert_eq!(Dataset::new(samples(), other.clone()), Err(error.clone()));
        assert_eq!(samples().join(&other), Err(error));
    }
}
