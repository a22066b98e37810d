//! S3 and S4: an update is one gradient step of a softmax head, on a private batch of a committed data set.
//!
//! S3 is the step ([`gradient_step`]: 64 inputs, 10 classes, 32 samples, integers throughout), S4 is that its batch is a
//! leaf of a Poseidon tree ([`DataSet`]); one proof shows both, since neither says much alone. It does not
//! say that the data are good, true, the author's or committed to before: `docs/proofs-gradient.md`.

mod circuit;
mod data;
mod gradient;
mod hash;
mod layout;
mod poseidon;
mod products;
mod rows;
mod sample;
mod scale;
mod step;
#[cfg(test)]
mod tests;
mod witness;

pub use circuit::circuit;
pub use data::{DataError, DataRoot, DataSet, LEAVES_MAX, LeafIndex, Member};
pub use gradient::{GradientError, Statement, StepOpening, StepProof, StepProver, StepVerifier};
pub use sample::{Batch, Label, Sample, SampleError};
pub use scale::{
    BATCH, CLASSES, EXPONENTIAL_FRACTION_BITS, INPUT_FRACTION_BITS, INPUTS, LOGIT_FRACTION_BITS,
    PROBABILITY_FRACTION_BITS, WEIGHT_FRACTION_BITS, WEIGHT_MAX, WEIGHTS,
};
pub use step::{Base, BaseError, Rate, StepError, gradient_step, least_exponent};
