//! Defence: what turns the vectors of a round into one.

use longhaul_aggregation::robust::{Pipeline, RobustError, Rule, Vectors};

/// What turns the vectors of a round into one.
#[derive(Debug, Clone, PartialEq)]
pub enum Defence {
    /// The mean of those that come from honest peers: the ceiling, which knows who they are.
    HonestOnly,
    /// A pipeline over floats.
    Float(Pipeline),
}

impl Defence {
    /// The term of vectors; the last `attackers` of them may be forged.
    pub fn term(&self, vectors: &[Vec<f64>], attackers: usize) -> Result<Vec<f64>, RobustError> {
        let all: Vec<&[f64]> = vectors.iter().map(Vec::as_slice).collect();
        let len = all.first().map_or(0, |it| it.len());
        let (rows, pipeline) = match self {
            Self::HonestOnly => {
                (&all[..all.len() - attackers.min(all.len() - 1)], &Pipeline::of(Rule::Average))
            }
            Self::Float(pipeline) => (&all[..], pipeline),
        };
        match Vectors::sound(rows, len).0 {
            Some(vectors) => pipeline.aggregate(&vectors),
            None => Ok(vec![0.0; len]),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_ceiling_leaves_out_the_forged_and_the_rest_leaves_out_the_unsound() {
        let all = vec![vec![1.0, 3.0], vec![3.0, 5.0], vec![f64::NAN, 0.0]];
        assert_eq!(Defence::HonestOnly.term(&all, 1), Ok(vec![2.0, 4.0]));
        let mean = Defence::Float(Pipeline::of(Rule::Average));
        assert_eq!(mean.term(&all, 1), Ok(vec![2.0, 4.0]));
        assert_eq!(mean.term(&all[2..], 1), Ok(vec![0.0, 0.0]));
    }
}
