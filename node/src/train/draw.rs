//! Random draws from a seed: the only source of chance in training and data.
//!
//! Everything comes from ChaCha20 streams that the caller seeds, one stream per
//! purpose, so that the same seed gives the same bits on every machine and in
//! every build. No entropy is read here and burn's own generator is never used.
//! Distributions follow Lemire (arXiv 1805.10941), Marsaglia's polar method and
//! Marsaglia and Tsang (ACM TOMS 26, 2000).

use rand_chacha::ChaCha20Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};

use super::portable::{exponential, logarithm};

/// What a stream of draws is for; equal seeds give unrelated streams.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Purpose {
    /// The order in which training visits samples.
    Batches = 1,
    /// How a data set is divided between peers.
    Partition = 2,
    /// The character of one generated device.
    Device = 3,
    /// The windows a generated device records for training.
    Windows = 4,
    /// Inputs of a benchmark.
    Bench = 5,
}

/// A stream of random draws.
#[derive(Debug, Clone)]
pub(crate) struct Draw(ChaCha20Rng);

impl Draw {
    /// The stream of `seed` for one purpose and one index of it.
    pub(crate) fn new(seed: &[u8; 32], purpose: Purpose, index: u32) -> Self {
        let mut generator = ChaCha20Rng::from_seed(*seed);
        generator.set_stream((purpose as u64) << 32 | u64::from(index));
        Self(generator)
    }

    /// A whole number below `bound`, each equally likely; `bound` is at least 1.
    pub(crate) fn below(&mut self, bound: u32) -> u32 {
        assert!(bound > 0, "a draw below zero does not exist");
        let threshold = bound.wrapping_neg() % bound;
        loop {
            let wide = u64::from(self.0.next_u32()) * u64::from(bound);
            let [low, high] = [wide & u64::from(u32::MAX), wide >> 32];
            if low >= u64::from(threshold) {
                return u32::try_from(high).expect("the upper half of a u64 fits a u32");
            }
        }
    }

    /// An index into `items` entries; `items` is between 1 and 2^32 - 1.
    pub(crate) fn index(&mut self, items: usize) -> usize {
        let bound = u32::try_from(items).expect("data sets are limited to fewer than 2^32 samples");
        usize::try_from(self.below(bound)).expect("a u32 fits a usize")
    }

    /// A number in [0, 1) with 32 random bits.
    pub(crate) fn unit(&mut self) -> f64 {
        f64::from(self.0.next_u32()) / 4_294_967_296.0
    }

    /// A number in [`low`, `high`).
    pub(crate) fn between(&mut self, low: f64, high: f64) -> f64 {
        low + (high - low) * self.unit()
    }

    /// Bell-shaped noise of mean 0 and deviation 1, never beyond 3.5.
    ///
    /// The sum of four uniform numbers: cheap, and near enough for sensor noise.
    pub(crate) fn noise(&mut self) -> f64 {
        let sum = self.unit() + self.unit() + self.unit() + self.unit();
        (sum - 2.0) * 3f64.sqrt()
    }

    /// A standard normal number.
    fn normal(&mut self) -> f64 {
        loop {
            let [x, y] = [self.between(-1.0, 1.0), self.between(-1.0, 1.0)];
            let square = x * x + y * y;
            if square > 0.0 && square < 1.0 {
                return x * (-2.0 * logarithm(square) / square).sqrt();
            }
        }
    }

    /// A gamma-distributed number of the given positive shape and scale 1.
    fn gamma(&mut self, shape: f64) -> f64 {
        if shape < 1.0 {
            let uniform = 1.0 - self.unit();
            return self.gamma(shape + 1.0) * exponential(logarithm(uniform) / shape);
        }
        let offset = shape - 1.0 / 3.0;
        let slope = 1.0 / (9.0 * offset).sqrt();
        loop {
            let normal = self.normal();
            let root = 1.0 + slope * normal;
            if root <= 0.0 {
                continue;
            }
            let cube = root * root * root;
            let uniform = 1.0 - self.unit();
            let limit = 0.5 * normal * normal + offset * (1.0 - cube + logarithm(cube));
            if logarithm(uniform) < limit {
                return offset * cube;
            }
        }
    }

    /// `parts` shares that sum to 1, from a symmetric Dirichlet distribution.
    ///
    /// A small `alpha` gives a few parts nearly everything. Should all shares
    /// vanish in rounding, one part gets all.
    pub(crate) fn dirichlet(&mut self, alpha: f64, parts: usize) -> Vec<f64> {
        let mut shares: Vec<f64> = (0..parts).map(|_| self.gamma(alpha)).collect();
        let sum: f64 = shares.iter().sum();
        if sum > 0.0 {
            shares.iter_mut().for_each(|share| *share /= sum);
        } else {
            let winner = self.index(parts);
            shares[winner] = 1.0;
        }
        shares
    }

    /// Puts `items` into a random order, each order equally likely.
    pub(crate) fn shuffle<T>(&mut self, items: &mut [T]) {
        for last in (1..items.len()).rev() {
            let other = self.index(last + 1);
            items.swap(last, other);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn draw() -> Draw {
        Draw::new(&[7; 32], Purpose::Batches, 0)
    }

    fn moments(numbers: &[f64]) -> (f64, f64) {
        let count = numbers.len() as f64;
        let mean = numbers.iter().sum::<f64>() / count;
        let variance = numbers.iter().map(|x| (x - mean) * (x - mean)).sum::<f64>() / count;
        (mean, variance)
    }

    #[test]
    fn streams_differ_by_seed_purpose_and_index() {
        let first = |seed: u8, purpose, index| Draw::new(&[seed; 32], purpose, index).0.next_u64();
        let base = first(1, Purpose::Batches, 0);
        assert_eq!(base, first(1, Purpose::Batches, 0));
        assert_ne!(base, first(2, Purpose::Batches, 0));
        assert_ne!(base, first(1, Purpose::Partition, 0));
        assert_ne!(base, first(1, Purpose::Batches, 1));
    }

    #[test]
    fn draws_below_a_bound_reach_every_value_evenly() {
        let mut draw = draw();
        let mut counts = [0; 7];
        for _ in 0..70_000 {
            counts[draw.index(7)] += 1;
        }
        assert!(counts.iter().all(|count| (9_500..10_500).contains(count)), "{counts:?}");
        assert_eq!(draw.below(1), 0);
    }

    #[test]
    fn normal_and_noise_have_unit_variance() {
        let mut draw = draw();
        for numbers in [
            (0..40_000).map(|_| draw.normal()).collect::<Vec<_>>(),
            (0..40_000).map(|_| draw.noise()).collect(),
        ] {
            let (mean, variance) = moments(&numbers);
            assert!(mean.abs() < 0.02 && (variance - 1.0).abs() < 0.03, "{mean} {variance}");
        }
    }

    #[test]
    fn gamma_has_its_shape_as_mean_and_variance() {
        let mut draw = draw();
        for shape in [0.1, 0.5, 1.0, 3.0] {
            let numbers: Vec<f64> = (0..60_000).map(|_| draw.gamma(shape)).collect();
            let (mean, variance) = moments(&numbers);
            assert!((mean / shape - 1.0).abs() < 0.05, "{shape}: mean {mean}");
            assert!((variance / shape - 1.0).abs() < 0.12, "{shape}: variance {variance}");
        }
    }

    #[test]
    fn dirichlet_shares_sum_to_one_even_for_tiny_alpha() {
        let mut draw = draw();
        for alpha in [1e-4, 0.1, 1.0, 100.0] {
            let shares = draw.dirichlet(alpha, 12);
            assert!((shares.iter().sum::<f64>() - 1.0).abs() < 1e-9, "{alpha}");
            assert!(shares.iter().all(|share| *share >= 0.0));
        }
    }

    #[test]
    fn shuffle_keeps_every_item() {
        let mut items: Vec<u32> = (0..100).collect();
        draw().shuffle(&mut items);
        assert_ne!(items, (0..100).collect::<Vec<_>>());
        items.sort_unstable();
        assert_eq!(items, (0..100).collect::<Vec<_>>());
    }
}
