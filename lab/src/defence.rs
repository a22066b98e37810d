//! Defence: what turns the vectors of a round into one.

use std::sync::Arc;

use longhaul_aggregation::robust::{Pipeline, RobustError, Rule, Vectors};
use longhaul_aggregation::{Recipe, Schema};

use crate::stretch::Stretch;
use crate::wire;

/// What turns the vectors of a round into one.
#[derive(Debug, Clone, PartialEq)]
pub enum Defence {
    /// The mean of those that come from honest peers: the ceiling, which knows who they are.
    HonestOnly,
    /// A pipeline over floats.
    Float(Pipeline),
    /// A pipeline over floats, its output at another length.
    Stretched(Pipeline, Stretch),
    /// A manifest's recipe: vectors become updates, and the term is exact.
    Exact(Exact),
}

/// A recipe with what it has to know of a federation.
#[derive(Debug, Clone, PartialEq)]
pub struct Exact {
    /// The recipe; its quorum, cohorts and pools have no part in it.
    pub recipe: Recipe,
    /// Attackers assumed, F.
    pub attackers: usize,
    /// The parameters.
    pub schema: Arc<Schema>,
}

impl Exact {
    /// The term of vectors that become int8 updates.
    fn term(&self, vectors: &[Vec<f64>]) -> Vec<f64> {
        let updates: Vec<_> =
            vectors.iter().filter_map(|vector| wire::quantised(vector, &self.schema)).collect();
        let term = self.recipe.term_of(&updates, self.attackers);
        let mut floats: Vec<f64> = term.into_iter().map(wire::to_float).collect();
        floats.resize(self.schema.parameter_count(), 0.0);
        floats
    }
}

impl Defence {
    /// The weight of each vector in the term; for recipes within columns the average of columns,
    /// none for float pipelines within columns.
    pub fn weights(&self, vectors: &[Vec<f64>]) -> Option<Vec<f64>> {
        match self {
            Self::HonestOnly => None,
            Self::Float(pipeline) | Self::Stretched(pipeline, _) => {
                let rows = vectors.iter().map(Vec::as_slice).collect();
                pipeline.weights(&Vectors::new(rows).ok()?).ok().flatten()
            }
            Self::Exact(exact) => {
                let all = vectors.iter().map(|it| wire::quantised(it, &exact.schema));
                let updates: Option<Vec<_>> = all.collect();
                exact.recipe.weights_of(&updates?, exact.attackers)
            }
        }
    }

    /// The term of vectors; the last `attackers` of them may be forged.
    pub fn term(&self, vectors: &[Vec<f64>], attackers: usize) -> Result<Vec<f64>, RobustError> {
        let all: Vec<&[f64]> = vectors.iter().map(Vec::as_slice).collect();
        let len = all.first().map_or(0, |it| it.len());
        let (rows, pipeline) = match self {
            Self::HonestOnly => {
                (&all[..all.len() - attackers.min(all.len() - 1)], &Pipeline::of(Rule::Average))
            }
            Self::Float(pipeline) | Self::Stretched(pipeline, _) => (&all[..], pipeline),
            Self::Exact(exact) => return Ok(exact.term(vectors)),
        };
        match (Vectors::sound(rows, len).0, self) {
            (Some(vectors), Self::Stretched(_, stretch)) => stretch.aggregate(pipeline, &vectors),
            (Some(vectors), _) => pipeline.aggregate(&vectors),
            (None, _) => Ok(vec![0.0; len]),
        }
    }
}

#[cfg(test)]
mod tests {
    use longhaul_aggregation::Clip;

    use super::*;

    #[test]
    fn a_recipe_gives_the_term_of_quantised_vectors() {
        let network = crate::network::Network { inputs: 1, hidden: 1, classes: 1 };
        let exact = |rule: &str, attackers| Exact {
            recipe: Recipe::plain(rule.parse().expect("a rule"), Clip::None, 1),
            attackers,
            schema: Arc::new(wire::schema(&network)),
        };
        let all = vec![vec![0.5, 0.0, 0.25, 1.0], vec![0.5; 4], vec![-64.0; 4]];
        let mean = Defence::Exact(exact("mean", 1)).term(&all[..2], 1);
        assert_eq!(mean, Ok(vec![0.5, 0.25, 0.375, 0.75]));
        let median = Defence::Exact(exact("median", 1)).term(&all, 1);
        assert_eq!(median, Ok(vec![0.5, 0.0, 0.25, 0.5]));
        let weights = Defence::Exact(exact("trimmed-mean:1", 1)).weights(&all).expect("updates");
        assert!((weights.iter().sum::<f64>() - 1.0).abs() < 0.01, "{weights:?}");
        assert!(weights[0] > 0.2 && weights[2] < 0.1, "{weights:?}");
        let nothing = Defence::Exact(exact("median", 1)).term(&[vec![f64::NAN; 4]], 1);
        assert_eq!(nothing, Ok(vec![0.0; 4]));
    }

    #[test]
    fn the_ceiling_leaves_out_the_forged_and_the_rest_leaves_out_the_unsound() {
        let all = vec![vec![1.0, 3.0], vec![3.0, 5.0], vec![f64::NAN, 0.0]];
        assert_eq!(Defence::HonestOnly.term(&all, 1), Ok(vec![2.0, 4.0]));
        let mean = Defence::Float(Pipeline::of(Rule::Average));
        assert_eq!(mean.term(&all, 1), Ok(vec![2.0, 4.0]));
        assert_eq!(mean.term(&all[2..], 1), Ok(vec![0.0, 0.0]));
    }
}
