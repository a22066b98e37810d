//! Draws: seeded numbers, the same on every machine but for the logarithms of normal ones.

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};

/// A stream of numbers from a seed and the name of what it is for.
#[derive(Debug, Clone)]
pub struct Draws(ChaCha8Rng);

impl Draws {
    /// The stream `stream` of a seed.
    pub fn new(seed: u64, stream: u64) -> Self {
        let mut generator = ChaCha8Rng::seed_from_u64(seed);
        generator.set_stream(stream);
        Self(generator)
    }

    /// A number in [0, 1).
    pub fn unit(&mut self) -> f64 {
        (self.0.next_u64() >> 11) as f64 / (1_u64 << 53) as f64
    }

    /// An index below `count`, which is positive.
    pub fn below(&mut self, count: usize) -> usize {
        ((u128::from(self.0.next_u64()) * count as u128) >> 64) as usize
    }

    /// A standard normal number (Box and Muller 1958).
    pub fn normal(&mut self) -> f64 {
        let radius = (-2.0 * (1.0 - self.unit()).ln()).sqrt();
        radius * (std::f64::consts::TAU * self.unit()).cos()
    }

    /// A gamma number of the given shape (Marsaglia and Tsang 2000).
    pub fn gamma(&mut self, shape: f64) -> f64 {
        if shape < 1.0 {
            let boost = (1.0 - self.unit()).powf(1.0 / shape);
            return self.gamma(shape + 1.0) * boost;
        }
        let base = shape - 1.0 / 3.0;
        loop {
            let normal = self.normal();
            let cubed = (1.0 + normal / (9.0 * base).sqrt()).powi(3);
            let accept =
                0.5 * normal * normal + base - base * cubed + base * cubed.max(1e-300).ln();
            if cubed > 0.0 && (1.0 - self.unit()).ln() < accept {
                return base * cubed;
            }
        }
    }

    /// Shares of a Dirichlet distribution; they sum to one.
    pub fn dirichlet(&mut self, concentration: f64, count: usize) -> Vec<f64> {
        let draws: Vec<f64> =
            (0..count).map(|_| self.gamma(concentration).max(f64::MIN_POSITIVE)).collect();
        let sum: f64 = draws.iter().sum();
        draws.into_iter().map(|it| it / sum).collect()
    }

    /// Puts items into a random order.
    pub fn shuffle<T>(&mut self, items: &mut [T]) {
        for end in (1..items.len()).rev() {
            items.swap(end, self.below(end + 1));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn draws_have_the_moments_of_their_distributions() {
        let mut draws = Draws::new(1, 2);
        let mean = |draw: &mut dyn FnMut() -> f64| (0..40_000).map(|_| draw()).sum::<f64>() / 4e4;
        assert!((mean(&mut || draws.unit()) - 0.5).abs() < 0.01);
        assert!(mean(&mut || draws.normal()).abs() < 0.02);
        assert!((mean(&mut || draws.normal().powi(2)) - 1.0).abs() < 0.03);
        for shape in [0.1, 0.5, 1.0, 4.0] {
            let found = mean(&mut || draws.gamma(shape));
            assert!((found - shape).abs() < 0.05 * (1.0 + shape), "{shape} {found}");
        }
        let shares = draws.dirichlet(0.1, 7);
        assert!((shares.iter().sum::<f64>() - 1.0).abs() < 1e-9, "{shares:?}");
    }

    #[test]
    fn shuffles_keep_all_items_and_seeds_repeat() {
        let order = |seed| {
            let mut items: Vec<usize> = (0..50).collect();
            Draws::new(seed, 0).shuffle(&mut items);
            items
        };
        assert_eq!(order(3), order(3));
        assert_ne!(order(3), order(4));
        let mut sorted = order(5);
        sorted.sort_unstable();
        assert_eq!(sorted, (0..50).collect::<Vec<_>>());
    }
}
