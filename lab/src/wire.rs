//! Wire: what quantisation and error feedback make of vectors on their way to the others.

use longhaul_aggregation::compress::MaskKey;
use longhaul_aggregation::{
    Compressor, Encoding, Epoch, FRACTION_BITS, Init, NormBound, Parameters, Schema, TensorSpec,
    Update,
};

use crate::network::Network;

/// The longest update, in thousandths: that of the command line's default.
const NORM_MAX_MILLI: u64 = 16_000;

/// The senders of a federation, each with what quantisation has left out so far.
#[derive(Debug)]
pub struct Senders {
    compressors: Vec<Compressor>,
    /// Bytes of all payloads so far.
    bytes: u64,
}

/// The tensors of a network.
pub fn schema(network: &Network) -> Schema {
    let size = |count: usize| u32::try_from(count).expect("layers are small");
    let tensor = |name: &str, shape: Vec<u32>| {
        TensorSpec::new(name, shape, Init::Zero).expect("a layer is a tensor")
    };
    let (inputs, hidden, classes) =
        (size(network.inputs), size(network.hidden), size(network.classes));
    let tensors = vec![
        tensor("first.weight", vec![inputs, hidden]),
        tensor("first.bias", vec![hidden]),
        tensor("second.weight", vec![hidden, classes]),
        tensor("second.bias", vec![classes]),
    ];
    Schema::new(tensors).expect("four tensors make a schema")
}

impl Senders {
    /// So many senders of updates in an encoding.
    pub fn new(count: usize, schema: &Schema, encoding: Encoding) -> Self {
        let compressors = (0..count).map(|_| Compressor::with(schema, encoding)).collect();
        Self { compressors, bytes: 0 }
    }

    /// What the others receive of the changes of an epoch.
    pub fn send(&mut self, changes: &[Vec<f64>], epoch: u32) -> Vec<Vec<f64>> {
        let key = MaskKey::new(&[0; 32], Epoch::new(epoch));
        let norm_max = NormBound::from_milli(NORM_MAX_MILLI);
        let mut sent = Vec::with_capacity(changes.len());
        for (compressor, change) in self.compressors.iter_mut().zip(changes) {
            let Some(units) = units(change) else {
                sent.push(vec![0.0; change.len()]);
                continue;
            };
            let update = compressor.compress_in(&key, &units, norm_max);
            self.bytes += update.payload().len() as u64;
            sent.push(floats(&update, change.len()));
        }
        sent
    }

    /// Bytes of all payloads so far.
    pub const fn bytes(&self) -> u64 {
        self.bytes
    }
}

/// A vector as an int8 update within the norm bound; none if it is not finite.
pub(crate) fn quantised(vector: &[f64], schema: &Schema) -> Option<Update> {
    let norm_max = NormBound::from_milli(NORM_MAX_MILLI);
    Some(Compressor::new(schema).compress(&units(vector)?, norm_max))
}

/// An entry of a term.
pub(crate) fn to_float(units: i32) -> f64 {
    f64::from(units) / f64::from(1_u32 << FRACTION_BITS)
}

fn units(vector: &[f64]) -> Option<Parameters> {
    // What saturates in the cast is clamped by the compressor anyway.
    let units = |entry: &f64| (entry * f64::from(1_u32 << FRACTION_BITS)).round_ties_even() as i64;
    let sound = vector.iter().all(|entry| entry.is_finite());
    sound.then(|| Parameters::from_units(vector.iter().map(units).collect()))
}

fn floats(update: &Update, len: usize) -> Vec<f64> {
    let mut sums = Parameters::zeros(len);
    update.add_to(&mut sums);
    let unit = f64::from(1_u32 << FRACTION_BITS);
    sums.as_slice().iter().map(|&units| units as f64 / unit).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const NETWORK: Network = Network { inputs: 20, hidden: 8, classes: 10 };

    #[test]
    fn what_is_left_out_comes_later() {
        let schema = schema(&NETWORK);
        let change: Vec<f64> =
            (0..NETWORK.parameters()).map(|it| 1e-3 * ((it % 17) as f64 - 8.0)).collect();
        for encoding in [Encoding::Int8, Encoding::TERNARY] {
            let mut senders = Senders::new(1, &schema, encoding);
            let mut sums = vec![0.0; change.len()];
            for epoch in 0..60 {
                let sent = senders.send(std::slice::from_ref(&change), epoch);
                sums.iter_mut().zip(&sent[0]).for_each(|(sum, it)| *sum += it);
            }
            let apart = sums.iter().zip(&change).map(|(sum, it)| (sum / 60.0 - it).abs());
            let most = apart.fold(0.0, f64::max);
            assert!(most < 1e-3, "{encoding:?} {most}");
            assert!(senders.bytes() > 0);
        }
    }

    #[test]
    fn quantising_what_was_quantised_changes_nothing() {
        let schema = schema(&NETWORK);
        let change: Vec<f64> = (0..NETWORK.parameters()).map(|it| (it as f64).sin()).collect();
        for encoding in [Encoding::Int8, Encoding::TERNARY, Encoding::Int4] {
            let sent = Senders::new(1, &schema, encoding).send(std::slice::from_ref(&change), 3);
            let again = quantised(&sent[0], &schema).expect("finite");
            assert_eq!(floats(&again, change.len()), sent[0], "{encoding:?}");
        }
        assert!(quantised(&[f64::INFINITY], &schema).is_none());
    }
}
