//! Samples: labelled vectors, and their split among peers.

use crate::draw::Draws;

/// Labelled vectors of one length.
#[derive(Debug, Clone)]
pub struct Samples {
    inputs: Vec<f32>,
    labels: Vec<u8>,
    width: usize,
}

impl Samples {
    /// Samples of `width` numbers each; none unless there is a label for each.
    pub fn new(inputs: Vec<f32>, labels: Vec<u8>, width: usize) -> Option<Self> {
        (width > 0 && inputs.len() == labels.len() * width).then_some(Self {
            inputs,
            labels,
            width,
        })
    }

    /// Points around ten random centres, for a run without data.
    pub fn generated(count: usize, width: usize, seed: u64) -> Self {
        let mut draws = Draws::new(seed, 0x5a);
        let centres: Vec<f64> =
            (0..10 * width).map(|_| if draws.unit() < 0.2 { draws.unit() } else { 0.0 }).collect();
        let labels: Vec<u8> = (0..count).map(|it| (it % 10) as u8).collect();
        let point = |label: &u8| {
            let centre = &centres[usize::from(*label) * width..][..width];
            centre.iter().map(|it| (it + 0.3 * draws.normal()) as f32).collect::<Vec<_>>()
        };
        let inputs = labels.iter().flat_map(point).collect();
        Self { inputs, labels, width }
    }

    /// Number of samples.
    pub fn count(&self) -> usize {
        self.labels.len()
    }

    /// Numbers in each.
    pub const fn width(&self) -> usize {
        self.width
    }

    /// One more than the largest label.
    pub fn classes(&self) -> usize {
        self.labels.iter().max().map_or(0, |&it| usize::from(it) + 1)
    }

    /// One sample.
    pub fn sample(&self, index: usize) -> (&[f32], usize) {
        (&self.inputs[index * self.width..][..self.width], self.labels[index].into())
    }

    /// The samples in a random order, the last `held_out` of them apart.
    pub fn shuffled(&self, seed: u64, held_out: usize) -> (Self, Self) {
        let mut order: Vec<usize> = (0..self.count()).collect();
        Draws::new(seed, 0x5b).shuffle(&mut order);
        let (train, test) = order.split_at(self.count() - held_out.min(self.count()));
        (self.picked(train), self.picked(test))
    }

    fn picked(&self, indices: &[usize]) -> Self {
        let inputs = indices.iter().flat_map(|&it| self.sample(it).0).copied().collect();
        let labels = indices.iter().map(|&it| self.labels[it]).collect();
        Self { inputs, labels, width: self.width }
    }

    /// Subtracts `mean` and divides by `deviation`.
    pub fn normalised(mut self, mean: f32, deviation: f32) -> Self {
        self.inputs.iter_mut().for_each(|it| *it = (*it - mean) / deviation);
        self
    }

    /// The indices of the samples of each of `peers`, every class cut by the shares of a
    /// Dirichlet distribution (Hsu et al. 2019, arXiv 1909.06335); a peer with fewer than
    /// `least` gets as many from all.
    pub fn split(&self, peers: usize, alpha: f64, least: usize, seed: u64) -> Vec<Vec<usize>> {
        let mut draws = Draws::new(seed, 0x5c);
        let mut parts = vec![Vec::new(); peers];
        for class in 0..self.classes() {
            let mut indices: Vec<usize> =
                (0..self.count()).filter(|&it| usize::from(self.labels[it]) == class).collect();
            draws.shuffle(&mut indices);
            let shares = draws.dirichlet(alpha, peers);
            let (mut from, mut upto) = (0, 0.0);
            for (number, (part, share)) in parts.iter_mut().zip(shares).enumerate() {
                upto += share;
                let end = (upto * indices.len() as f64) as usize;
                let end = if number + 1 == peers { indices.len() } else { end.min(indices.len()) };
                part.extend(&indices[from..end.max(from)]);
                from = end.max(from);
            }
        }
        for part in &mut parts {
            if part.len() < least {
                part.extend((0..least).map(|_| draws.below(self.count())));
            }
        }
        parts
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_split_gives_every_sample_to_one_peer() {
        let samples = Samples::generated(500, 4, 1);
        let parts = samples.split(7, 0.1, 0, 3);
        let mut all: Vec<usize> = parts.iter().flatten().copied().collect();
        all.sort_unstable();
        assert_eq!(all, (0..500).collect::<Vec<_>>());
        let largest = parts.iter().map(Vec::len).max();
        assert!(largest > Some(90), "a small alpha skews: {largest:?}");
        assert!(samples.split(7, 0.1, 20, 3).iter().all(|part| part.len() >= 20));
    }

    #[test]
    fn held_out_samples_are_apart() {
        let samples = Samples::generated(100, 3, 1);
        let (train, test) = samples.shuffled(2, 20);
        assert_eq!((train.count(), test.count(), train.classes()), (80, 20, 10));
        assert!(Samples::new(vec![0.0; 5], vec![1; 2], 3).is_none());
    }
}
