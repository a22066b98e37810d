//! How well parameters do: accuracy and loss over a set of samples.
//!
//! Counting happens here in one fixed order, from scores that the device
//! computed, so that all devices are measured alike.

use super::portable::{exponential, logarithm};

/// Which samples to evaluate on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Split {
    /// The data set's test samples, the same for all peers.
    Test,
    /// The peer's own samples that it does not train on.
    OwnHeldOut,
}

/// How well parameters do on some samples.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Evaluation {
    /// Share of samples whose highest score is that of their class, 0 to 1.
    pub accuracy: f64,
    /// Mean cross-entropy in nats; infinite or not a number if scores were.
    pub loss: f64,
    /// Number of samples.
    pub count: u32,
}

/// An evaluation being counted.
#[derive(Debug, Default)]
pub(super) struct Tally {
    right: u32,
    count: u32,
    loss: f64,
}

impl Tally {
    /// Counts one sample of class `label` with a score for each class.
    pub(super) fn add(&mut self, scores: &[f32], label: usize) {
        let highest = scores.iter().copied().fold(f32::NEG_INFINITY, f32::max);
        let sum: f64 = scores.iter().map(|score| exponential(f64::from(score - highest))).sum();
        // The first of equal scores wins, so that a tie is not counted as right for all.
        let guess = scores.iter().position(|score| *score == highest);
        self.right += u32::from(guess == Some(label));
        self.count += 1;
        self.loss += logarithm(sum) - f64::from(scores[label] - highest);
    }

    /// The result; of no samples it is zero throughout.
    pub(super) fn evaluation(&self) -> Evaluation {
        let count = f64::from(self.count.max(1));
        Evaluation {
            accuracy: f64::from(self.right) / count,
            loss: self.loss / count,
            count: self.count,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn evaluate(rows: &[(&[f32], usize)]) -> Evaluation {
        let mut tally = Tally::default();
        rows.iter().for_each(|(scores, label)| tally.add(scores, *label));
        tally.evaluation()
    }

    #[test]
    fn counts_the_highest_score_as_the_guess() {
        let result = evaluate(&[
            (&[1.0, 3.0, 2.0], 1),
            (&[1.0, 3.0, 2.0], 2),
            (&[5.0, 5.0], 1),
            (&[5.0, 5.0], 0),
        ]);
        assert_eq!((result.accuracy, result.count), (0.5, 4));
    }

    #[test]
    fn loss_is_the_cross_entropy_in_nats() {
        let even = evaluate(&[(&[7.0; 8], 3)]);
        assert!((even.loss - 8f64.ln()).abs() < 1e-12);
        let sure = evaluate(&[(&[1000.0, -1000.0], 1)]);
        assert!((sure.loss - 2000.0).abs() < 1e-9);
    }

    #[test]
    fn no_samples_give_zeros() {
        assert_eq!(evaluate(&[]), Evaluation { accuracy: 0.0, loss: 0.0, count: 0 });
    }

    #[test]
    fn scores_that_are_no_numbers_are_never_right() {
        let result = evaluate(&[(&[f32::NAN, f32::NAN], 0)]);
        assert_eq!(result.accuracy, 0.0);
        assert!(!result.loss.is_finite());
    }
}
