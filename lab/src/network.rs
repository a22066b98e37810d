//! Network: a perceptron with one hidden layer, its gradients by hand.
//!
//! Parameters are one flat vector: weights `[inputs, hidden]`, biases `[hidden]`, weights
//! `[hidden, classes]`, biases `[classes]`. Small enough that a training step takes some 50
//! microseconds, so that thousands of runs take minutes.

use crate::draw::Draws;
use crate::samples::Samples;

/// The shape of a perceptron.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Network {
    /// Numbers that go in.
    pub inputs: usize,
    /// Hidden units, with rectifiers.
    pub hidden: usize,
    /// Classes.
    pub classes: usize,
}

/// What happens to the labels of a batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Labels {
    /// Nothing.
    True,
    /// Class c becomes `classes - 1 - c`.
    Flipped,
    /// All become one class.
    All(usize),
}

struct Forward {
    hidden: Vec<f32>,
    scores: Vec<f32>,
}

impl Network {
    /// Number of parameters.
    pub const fn parameters(&self) -> usize {
        self.inputs * self.hidden + self.hidden + self.hidden * self.classes + self.classes
    }

    /// Parameters by He et al. 2015 (arXiv 1502.01852): normal weights of variance 2 / inputs.
    pub fn initial(&self, seed: u64) -> Vec<f32> {
        let mut draws = Draws::new(seed, 0x6e);
        let mut layer = |inputs: usize, outputs: usize| {
            let deviation = (2.0 / inputs as f64).sqrt();
            let weights = (0..inputs * outputs).map(|_| (draws.normal() * deviation) as f32);
            let mut layer: Vec<f32> = weights.collect();
            layer.resize(inputs * outputs + outputs, 0.0);
            layer
        };
        // The first layer's spread is that of 784 inputs in ByzFL's benchmark too.
        [layer(self.inputs, self.hidden), layer(self.hidden, self.classes)].concat()
    }

    fn layers<'a>(&self, parameters: &'a [f32]) -> [&'a [f32]; 4] {
        let (first, rest) = parameters.split_at(self.inputs * self.hidden);
        let (first_bias, rest) = rest.split_at(self.hidden);
        let (second, second_bias) = rest.split_at(self.hidden * self.classes);
        [first, first_bias, second, second_bias]
    }

    fn forward(&self, parameters: &[f32], input: &[f32], out: &mut Forward) {
        let [first, first_bias, second, second_bias] = self.layers(parameters);
        out.hidden.copy_from_slice(first_bias);
        for (&pixel, weights) in input.iter().zip(first.chunks_exact(self.hidden)) {
            if pixel != 0.0 {
                out.hidden.iter_mut().zip(weights).for_each(|(sum, weight)| *sum += pixel * weight);
            }
        }
        out.hidden.iter_mut().for_each(|it| *it = it.max(0.0));
        out.scores.copy_from_slice(second_bias);
        for (&unit, weights) in out.hidden.iter().zip(second.chunks_exact(self.classes)) {
            out.scores.iter_mut().zip(weights).for_each(|(sum, weight)| *sum += unit * weight);
        }
    }

    fn room(&self) -> Forward {
        Forward { hidden: vec![0.0; self.hidden], scores: vec![0.0; self.classes] }
    }

    /// The gradient of the mean cross entropy of a batch.
    pub fn gradient(
        &self,
        parameters: &[f32],
        samples: &Samples,
        batch: &[usize],
        labels: Labels,
    ) -> Vec<f32> {
        let mut gradient = vec![0.0; self.parameters()];
        let mut forward = self.room();
        let second = self.layers(parameters)[2];
        let (first_out, rest) = gradient.split_at_mut(self.inputs * self.hidden);
        let (first_bias_out, rest) = rest.split_at_mut(self.hidden);
        let (second_out, second_bias_out) = rest.split_at_mut(self.hidden * self.classes);
        let share = 1.0 / batch.len() as f32;
        let mut back = vec![0.0; self.hidden];
        for &index in batch {
            let (input, label) = samples.sample(index);
            self.forward(parameters, input, &mut forward);
            let label = match labels {
                Labels::True => label,
                Labels::Flipped => self.classes - 1 - label,
                Labels::All(class) => class,
            };
            let errors = &mut forward.scores;
            softmax(errors);
            errors[label] -= 1.0;
            errors.iter_mut().for_each(|it| *it *= share);
            second_bias_out.iter_mut().zip(&*errors).for_each(|(sum, error)| *sum += error);
            let rows = second_out.chunks_exact_mut(self.classes);
            let weights = second.chunks_exact(self.classes);
            for ((unit, back), (out, weights)) in
                forward.hidden.iter().zip(&mut back).zip(rows.zip(weights))
            {
                out.iter_mut().zip(&*errors).for_each(|(sum, error)| *sum += unit * error);
                let sum: f32 = weights.iter().zip(&*errors).map(|(a, b)| a * b).sum();
                *back = if *unit > 0.0 { sum } else { 0.0 };
            }
            first_bias_out.iter_mut().zip(&back).for_each(|(sum, back)| *sum += back);
            for (&pixel, out) in input.iter().zip(first_out.chunks_exact_mut(self.hidden)) {
                if pixel != 0.0 {
                    out.iter_mut().zip(&back).for_each(|(sum, back)| *sum += pixel * back);
                }
            }
        }
        gradient
    }

    /// The mean cross entropy of a batch.
    pub fn loss(&self, parameters: &[f32], samples: &Samples, batch: &[usize]) -> f64 {
        let mut forward = self.room();
        let each = batch.iter().map(|&index| {
            let (input, label) = samples.sample(index);
            self.forward(parameters, input, &mut forward);
            let largest = forward.scores.iter().copied().fold(f32::NEG_INFINITY, f32::max);
            let sum: f32 = forward.scores.iter().map(|it| (it - largest).exp()).sum();
            f64::from(sum.ln() + largest - forward.scores[label])
        });
        each.sum::<f64>() / batch.len().max(1) as f64
    }

    /// The share of samples that get their label; 0 to 1.
    pub fn accuracy(&self, parameters: &[f32], samples: &Samples) -> f64 {
        let mut forward = self.room();
        let right = (0..samples.count()).filter(|&index| {
            let (input, label) = samples.sample(index);
            self.forward(parameters, input, &mut forward);
            let best = |best: usize, it: usize| match forward.scores[it] > forward.scores[best] {
                true => it,
                false => best,
            };
            (1..self.classes).fold(0, best) == label
        });
        right.count() as f64 / samples.count().max(1) as f64
    }
}

fn softmax(scores: &mut [f32]) {
    let largest = scores.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    scores.iter_mut().for_each(|it| *it = (*it - largest).exp());
    let sum: f32 = scores.iter().sum();
    scores.iter_mut().for_each(|it| *it /= sum);
}

#[cfg(test)]
mod tests {
    use super::*;

    const NETWORK: Network = Network { inputs: 6, hidden: 5, classes: 10 };

    #[test]
    fn gradients_are_those_of_finite_differences() {
        let samples = Samples::generated(40, 6, 1);
        let batch: Vec<usize> = (0..20).collect();
        let parameters = NETWORK.initial(3);
        let gradient = NETWORK.gradient(&parameters, &samples, &batch, Labels::True);
        for place in (0..NETWORK.parameters()).step_by(7) {
            let at = |step: f32| {
                let mut moved = parameters.clone();
                moved[place] += step;
                NETWORK.loss(&moved, &samples, &batch)
            };
            let slope = (at(1e-2) - at(-1e-2)) / 2e-2;
            let found = f64::from(gradient[place]);
            assert!((slope - found).abs() < 2e-3, "{place}: {slope} {found}");
        }
    }

    #[test]
    fn training_learns_the_generated_task() {
        let (train, test) = Samples::generated(600, 20, 1).shuffled(1, 200);
        let network = Network { inputs: 20, hidden: 16, classes: 10 };
        let mut parameters = network.initial(1);
        let mut draws = Draws::new(1, 1);
        for _ in 0..300 {
            let batch: Vec<usize> = (0..16).map(|_| draws.below(train.count())).collect();
            let gradient = network.gradient(&parameters, &train, &batch, Labels::True);
            parameters.iter_mut().zip(gradient).for_each(|(it, slope)| *it -= 0.2 * slope);
        }
        let accuracy = network.accuracy(&parameters, &test);
        assert!(accuracy > 0.8, "{accuracy}");
    }
}
