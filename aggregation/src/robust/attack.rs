//! Attacks: what hostile peers that see all honest vectors would send.
//!
//! For experiments and tests. Each gives one vector, which all attackers send.

pub mod receiver;

use super::input::Vectors;
use super::{Pipeline, RobustError};

/// An attack on the vectors of honest peers.
#[derive(Debug, Clone, PartialEq)]
pub enum Attack {
    /// The mean, reversed (Allen-Zhu et al., ICLR 2020).
    SignFlip,
    /// The mean, by a factor.
    Scaled {
        /// The factor.
        factor: f64,
    },
    /// Inner-product manipulation, or fall of empires: the mean by minus epsilon (Xie et al.,
    /// UAI 2019, arXiv 1903.03936).
    InnerProduct {
        /// epsilon.
        epsilon: f64,
    },
    /// A little is enough: the mean and `z` standard deviations of each coordinate (Baruch et
    /// al., NeurIPS 2019, arXiv 1902.06156).
    LittleIsEnough {
        /// z.
        deviations: f64,
    },
    /// The strongest of either family against a pipeline, by line search (Allouah et al.,
    /// AISTATS 2023, arXiv 2302.01772).
    Optimal {
        /// The family.
        family: Family,
        /// What it is meant for.
        target: Pipeline,
        /// How many attackers send it.
        attackers: usize,
        /// How the factor is searched.
        search: LineSearch,
    },
    /// One honest vector again (Karimireddy et al., ICLR 2022, arXiv 2006.09365).
    Mimic {
        /// Which.
        copied: usize,
    },
    /// Min-max: as far from the mean along the reversed deviations as keeps the largest
    /// distance to an honest vector within those between honest ones (Shejwalkar and
    /// Houmansadr, NDSS 2021).
    MinMax,
    /// Min-sum: likewise with sums of squared distances.
    MinSum,
    /// Nothing: zeros.
    FreeRider,
    /// Infinities, which a careful receiver refuses.
    Infinite,
}

/// A family of attacks with one factor.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Family {
    /// See [`Attack::InnerProduct`].
    InnerProduct,
    /// See [`Attack::LittleIsEnough`].
    LittleIsEnough,
}

/// A search for the factor that moves the output farthest from the honest mean: steps that
/// double while it gets better, then shrink.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct LineSearch {
    /// How often the pipeline is run.
    pub evaluations: u32,
    /// The first factor.
    pub start: f64,
    /// The first step.
    pub step: f64,
    /// By what a step shrinks.
    pub ratio: f64,
}

impl Default for LineSearch {
    fn default() -> Self {
        Self { evaluations: 20, start: 0.0, step: 10.0, ratio: 0.8 }
    }
}

/// Most attackers that a search adds to the honest, and most runs of its pipeline.
const SEARCHED_MAX: usize = 1 << 10;

/// Halvings of the bracket of [`Attack::MinMax`] and [`Attack::MinSum`].
const HALVINGS: u32 = 40;

impl Attack {
    /// The vector that attackers send. With factors of any size it may be one that
    /// [`Vectors::new`] refuses.
    pub fn forge(&self, honest: &Vectors<'_, f64>) -> Result<Vec<f64>, RobustError> {
        let mean = mean(honest);
        Ok(match self {
            Self::SignFlip => scaled(&mean, -1.0),
            Self::Scaled { factor } => scaled(&mean, *factor),
            Self::InnerProduct { epsilon } => scaled(&mean, -epsilon),
            Self::LittleIsEnough { deviations } => {
                moved(&mean, &self::deviations(honest, &mean), *deviations)
            }
            Self::Optimal { family, target, attackers, search } => {
                searched("the number of attackers", *attackers)?;
                optimal(*family, honest, *search, |forged| {
                    let copies = (0..*attackers).map(|_| forged);
                    let rows = honest.rows().iter().copied().chain(copies).collect();
                    match Vectors::new(rows) {
                        Ok(all) => target.aggregate(&all),
                        // What would be refused does no harm.
                        Err(_) => Ok(mean.clone()),
                    }
                })?
            }
            Self::Mimic { copied } => {
                let (index, count) = (*copied, honest.count());
                honest.rows().get(index).ok_or(RobustError::Index { index, count })?.to_vec()
            }
            Self::MinMax => bounded(honest, &mean, |apart| apart.fold(0.0, f64::max)),
            Self::MinSum => bounded(honest, &mean, |apart| apart.sum()),
            Self::FreeRider => vec![0.0; honest.len()],
            Self::Infinite => vec![f64::INFINITY; honest.len()],
        })
    }
}

impl LineSearch {
    fn best(
        &self,
        mut harm: impl FnMut(f64) -> Result<f64, RobustError>,
    ) -> Result<f64, RobustError> {
        let (mut best, mut step) = ((harm(self.start)?, self.start), self.step);
        let mut rising = true;
        for _ in 1..self.evaluations {
            let factor = best.1 + step;
            let found = harm(factor)?;
            let better = found > best.0;
            if better {
                best = (found, factor);
            }
            rising &= better;
            step *= if rising { 2.0 } else { self.ratio };
        }
        Ok(best.1)
    }
}

/// Checks a number that bounds a search.
fn searched(what: &'static str, value: usize) -> Result<(), RobustError> {
    match value <= SEARCHED_MAX {
        true => Ok(()),
        false => {
            let range = "at most 1024";
            Err(RobustError::Parameter { what, value: value.to_string(), range })
        }
    }
}

/// The strongest attack of a family: the one with which `target`, what the attacked make of
/// a forged vector, is farthest from the honest mean.
pub fn optimal(
    family: Family,
    honest: &Vectors<'_, f64>,
    search: LineSearch,
    mut target: impl FnMut(&[f64]) -> Result<Vec<f64>, RobustError>,
) -> Result<Vec<f64>, RobustError> {
    searched("the number of evaluations", search.evaluations as usize)?;
    let mean = mean(honest);
    let direction = match family {
        Family::InnerProduct => scaled(&mean, -1.0),
        Family::LittleIsEnough => deviations(honest, &mean),
    };
    let forge = |factor: f64| match family {
        Family::InnerProduct => scaled(&direction, factor),
        Family::LittleIsEnough => moved(&mean, &direction, factor),
    };
    let harm = |factor| Ok(squared_distance(&target(&forge(factor))?, &mean).sqrt());
    Ok(forge(search.best(harm)?))
}

/// The mean less the deviations, as far as `measure` of its squared distances to the honest
/// stays within the largest that an honest one has.
fn bounded(
    honest: &Vectors<'_, f64>,
    mean: &[f64],
    measure: impl Fn(&mut dyn Iterator<Item = f64>) -> f64,
) -> Vec<f64> {
    let of = |vector: &[f64]| {
        measure(&mut honest.rows().iter().map(|row| squared_distance(row, vector)))
    };
    let most = honest.rows().iter().map(|row| of(row)).fold(0.0, f64::max);
    let direction = deviations(honest, mean);
    let (mut low, mut high) = (0.0, 1.0);
    while of(&moved(mean, &direction, -high)) <= most && high < 1e6 {
        high *= 2.0;
    }
    for _ in 0..HALVINGS {
        let middle = f64::midpoint(low, high);
        let fits = of(&moved(mean, &direction, -middle)) <= most;
        *(if fits { &mut low } else { &mut high }) = middle;
    }
    moved(mean, &direction, -low)
}

fn mean(vectors: &Vectors<'_, f64>) -> Vec<f64> {
    let mut sums = vec![0.0; vectors.len()];
    for row in vectors.rows() {
        sums.iter_mut().zip(*row).for_each(|(sum, entry)| *sum += entry);
    }
    scaled(&sums, 1.0 / vectors.count() as f64)
}

/// Standard deviations of each coordinate, by n - 1; zeros for one vector.
fn deviations(vectors: &Vectors<'_, f64>, mean: &[f64]) -> Vec<f64> {
    let mut sums = vec![0.0; vectors.len()];
    for row in vectors.rows() {
        let entries = sums.iter_mut().zip(*row).zip(mean);
        entries.for_each(|((sum, entry), mean)| *sum += (entry - mean).powi(2));
    }
    let count = (vectors.count() - 1).max(1) as f64;
    sums.into_iter().map(|sum| (sum / count).sqrt()).collect()
}

fn scaled(vector: &[f64], factor: f64) -> Vec<f64> {
    vector.iter().map(|entry| entry * factor).collect()
}

fn moved(from: &[f64], direction: &[f64], factor: f64) -> Vec<f64> {
    from.iter().zip(direction).map(|(from, along)| from + factor * along).collect()
}

fn squared_distance(one: &[f64], other: &[f64]) -> f64 {
    one.iter().zip(other).map(|(one, other)| (one - other).powi(2)).sum()
}

#[cfg(test)]
mod tests {
    use super::super::Rule;
    use super::*;

    const ROWS: [[f64; 3]; 4] =
        [[1.0, 2.0, 0.0], [3.0, 2.0, 0.5], [2.0, 2.5, 0.0], [2.0, 1.5, -0.5]];

    fn honest() -> Vectors<'static, f64> {
        Vectors::new(ROWS.iter().map(|row| &row[..]).collect()).expect("sound rows")
    }

    #[test]
    fn attacks_are_what_their_papers_say() {
        let forge = |attack: Attack| attack.forge(&honest()).expect("a vector");
        assert_eq!(forge(Attack::SignFlip), [-2.0, -2.0, -0.0]);
        assert_eq!(
            forge(Attack::Scaled { factor: -4.0 }),
            forge(Attack::InnerProduct { epsilon: 4.0 })
        );
        let little = forge(Attack::LittleIsEnough { deviations: 1.5 });
        let expected = 2.0 + 1.5 * (2.0_f64 / 3.0).sqrt();
        assert!((little[0] - expected).abs() < 1e-12, "{little:?}");
        assert_eq!(forge(Attack::Mimic { copied: 2 }), ROWS[2]);
        assert!(Attack::Mimic { copied: 4 }.forge(&honest()).is_err());
        assert!(forge(Attack::Infinite).iter().all(|it| *it == f64::INFINITY));
    }

    #[test]
    fn hidden_attacks_stay_among_the_honest() {
        let apart = |vector: &[f64]| {
            honest().rows().iter().map(|row| squared_distance(row, vector)).collect::<Vec<_>>()
        };
        let largest = |apart: &[f64]| apart.iter().copied().fold(0.0, f64::max);
        let most = ROWS.iter().map(|row| largest(&apart(row))).fold(0.0, f64::max);
        let far = largest(&apart(&Attack::MinMax.forge(&honest()).expect("a vector")));
        assert!(far <= most && far > 0.99 * most, "{far} {most}");
        let sum = |vector: &[f64]| apart(vector).iter().sum::<f64>();
        let most = ROWS.iter().map(|row| sum(row)).fold(0.0, f64::max);
        let far = sum(&Attack::MinSum.forge(&honest()).expect("a vector"));
        assert!(far <= most && far > 0.99 * most, "{far} {most}");
    }

    #[test]
    fn a_search_does_more_harm_than_its_start() {
        let target = Pipeline::of(Rule::TrimmedMean { attackers: 1 });
        for family in [Family::InnerProduct, Family::LittleIsEnough] {
            let optimal = Attack::Optimal {
                family,
                target: target.clone(),
                attackers: 1,
                search: LineSearch::default(),
            };
            let mean = mean(&honest());
            let forged = optimal.forge(&honest()).expect("a vector");
            let harm = |forged: &[f64]| {
                let rows = ROWS.iter().map(|row| &row[..]).chain([forged]).collect();
                let all = Vectors::new(rows).expect("sound rows");
                squared_distance(&target.aggregate(&all).expect("enough vectors"), &mean)
            };
            let (found, still) = (harm(&forged), harm(&mean));
            assert!(found > still, "{family:?} {found} {still}");
        }
    }

    #[test]
    fn a_search_without_end_is_refused() {
        let optimal = |attackers, evaluations| Attack::Optimal {
            family: Family::InnerProduct,
            target: Pipeline::of(Rule::Median),
            attackers,
            search: LineSearch { evaluations, ..LineSearch::default() },
        };
        for (attackers, evaluations) in [(usize::MAX, 1), (1_025, 1), (1, u32::MAX)] {
            let found = optimal(attackers, evaluations).forge(&honest());
            assert!(matches!(found, Err(RobustError::Parameter { .. })), "{found:?}");
        }
        assert!(optimal(1, 0).forge(&honest()).is_ok());
    }
}
