//! Stretch: how long the output of a rule is made.
//!
//! Rules by weights and angles shorten what honest vectors have in common, by an amount that
//! depends on how much they have in common. The length of a term is a step size; here it is set
//! apart from the rule, so that rules can be compared by direction.

use longhaul_aggregation::robust::{Pipeline, Pre, RobustError, Rule, Vectors};

/// How long the output of a pipeline is made.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Stretch {
    /// So many times what it is.
    Times(f64),
    /// As long as the mean of the vectors, each shortened to the median norm.
    MeanNorm,
}

impl Stretch {
    /// The output of `pipeline` at this length.
    pub(crate) fn aggregate(
        self,
        pipeline: &Pipeline,
        vectors: &Vectors<'_, f64>,
    ) -> Result<Vec<f64>, RobustError> {
        let mut output = pipeline.aggregate(vectors)?;
        let factor = match self {
            Self::Times(factor) => factor,
            Self::MeanNorm => ratio(norm(&clipped_mean(vectors)?), norm(&output)),
        };
        output.iter_mut().for_each(|it| *it *= factor);
        Ok(output)
    }
}

fn clipped_mean(vectors: &Vectors<'_, f64>) -> Result<Vec<f64>, RobustError> {
    Pipeline { pre: vec![Pre::MedianClipping], rule: Rule::Average }.aggregate(vectors)
}

fn norm(vector: &[f64]) -> f64 {
    vector.iter().map(|it| it * it).sum::<f64>().sqrt()
}

fn ratio(wanted: f64, found: f64) -> f64 {
    if found > 0.0 { wanted / found } else { 0.0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_direction_is_the_rules_and_the_length_is_not() {
        let rows = [[4.0, 0.0], [0.0, 2.0], [0.0, 1.0], [1.0, 1.0], [0.5, 0.0]];
        let vectors = Vectors::new(rows.iter().map(|it| &it[..]).collect()).expect("sound");
        let pipeline = Pipeline::of(Rule::Diversity { attackers: 1 });
        let plain = pipeline.aggregate(&vectors).expect("enough");
        let half = Stretch::Times(0.5).aggregate(&pipeline, &vectors).expect("enough");
        assert!(half.iter().zip(&plain).all(|(half, it)| (half - it / 2.0).abs() < 1e-12));
        let mean = Stretch::MeanNorm.aggregate(&pipeline, &vectors).expect("enough");
        let wanted = norm(&clipped_mean(&vectors).expect("enough"));
        assert!((norm(&mean) - wanted).abs() < 1e-12);
        assert!((mean[0] * plain[1] - mean[1] * plain[0]).abs() < 1e-12);
    }
}
