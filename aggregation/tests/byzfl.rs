//! Agreement with ByzFL 0.0.11 (numpy, f64) on generated cases.
//!
//! `fixtures/make_byzfl.py` made the outputs, and says where ByzFL is random or keeps state
//! and what stands for it. Known disagreements that the script's choices leave out:
//!
//! - Krum: ByzFL counts n - f - 1 neighbours, the paper n - f - 2; here it is an option.
//! - Geometric median: three iterations of Weiszfeld, not a median; an option here.
//! - Centered clipping: ByzFL goes on from its last output; here from zero.
//! - CAF and SMEA: ByzFL takes one power iteration from a random start; here the eigenvector.
//! - CAF: ByzFL measures by the farthest of all vectors, here by the farthest with weight left.

use longhaul_aggregation::robust::attack::{Attack, Family, LineSearch};
use longhaul_aggregation::robust::{Gram, KrumNeighbours, Pipeline, Pre, Rule, Vectors};

const FIXTURE: &[u8] = include_bytes!("fixtures/byzfl.bin");
const CASES: usize = 1_000;
/// Largest difference, relative to the size of what is compared.
const RELATIVE: f64 = 1e-9;

/// SplitMix64 (Steele, Lea and Flood, OOPSLA 2014).
struct SplitMix64(u64);

impl SplitMix64 {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    fn unit(&mut self) -> f64 {
        const STEP: f64 = 1.0 / (1_u64 << 52) as f64;
        (self.next() >> 11) as f64 * STEP - 1.0
    }

    fn below(&mut self, count: usize) -> usize {
        usize::try_from(self.next() % count as u64).expect("a small number")
    }
}

struct Case {
    rows: Vec<Vec<f64>>,
    attackers: usize,
    rng: SplitMix64,
}

impl Case {
    fn new(number: usize) -> Self {
        let mut rng = SplitMix64(number as u64);
        let count = 3 + rng.below(8);
        let attackers = rng.below((count - 1).div_euclid(2) + 1);
        let len = 1 + rng.below(6);
        let mut rows: Vec<Vec<f64>> =
            (0..count).map(|_| (0..len).map(|_| rng.unit()).collect()).collect();
        rows[..attackers].iter_mut().flatten().for_each(|entry| *entry = *entry * 3.0 + 5.0);
        Self { rows, attackers, rng }
    }

    fn vectors(&self, from: usize) -> Vectors<'_, f64> {
        Vectors::new(self.rows[from..].iter().map(Vec::as_slice).collect()).expect("sound rows")
    }
}

/// What is compared, in the order of the fixture.
#[derive(Clone, Copy)]
enum Compared {
    Rule(fn(usize, usize) -> Pipeline),
    Pre(fn(usize) -> Pre),
    Attack(fn(usize) -> Attack),
}

fn one(rule: Rule) -> Pipeline {
    Pipeline::of(rule)
}

const NEIGHBOURS: KrumNeighbours = KrumNeighbours::AllHonest;
const WEISZFELD: Rule = Rule::GeometricMedian { smoothing: 0.1, iterations: 3 };

fn optimal(family: Family, attackers: usize) -> Attack {
    let pre = vec![Pre::NearestNeighbourMixing { attackers }];
    let target = Pipeline { pre, rule: Rule::TrimmedMean { attackers } };
    Attack::Optimal { family, target, attackers, search: LineSearch::default() }
}

const COMPARED: [(&str, Compared); 25] = [
    ("average", Compared::Rule(|_, _| one(Rule::Average))),
    ("median", Compared::Rule(|_, _| one(Rule::Median))),
    ("trimmed mean", Compared::Rule(|attackers, _| one(Rule::TrimmedMean { attackers }))),
    ("meamed", Compared::Rule(|attackers, _| one(Rule::MeanAroundMedian { attackers }))),
    ("krum", Compared::Rule(|attackers, _| one(Rule::Krum { attackers, neighbours: NEIGHBOURS }))),
    (
        "multi-krum",
        Compared::Rule(|attackers, _| {
            one(Rule::MultiKrum { attackers, neighbours: NEIGHBOURS, chosen: None })
        }),
    ),
    ("geometric median", Compared::Rule(|_, _| one(WEISZFELD))),
    (
        "centered clipping",
        Compared::Rule(|_, _| one(Rule::CenteredClipping { radius: 1.5, iterations: 3 })),
    ),
    ("mda", Compared::Rule(|attackers, _| one(Rule::MinimumDiameter { attackers }))),
    (
        "monna",
        Compared::Rule(|attackers, count| one(Rule::NearestToOwn { attackers, own: count - 1 })),
    ),
    ("caf", Compared::Rule(|attackers, _| one(Rule::CovarianceFilter { attackers }))),
    ("smea", Compared::Rule(|attackers, _| one(Rule::SmallestEigenvalue { attackers }))),
    ("nnm", Compared::Pre(|attackers| Pre::NearestNeighbourMixing { attackers })),
    ("arc", Compared::Pre(|attackers| Pre::AdaptiveClipping { attackers })),
    ("clipping", Compared::Pre(|_| Pre::Clipping { norm: 1.0 })),
    ("bucketing", Compared::Pre(|_| Pre::Bucketing { size: 2, order: None })),
    (
        "nnm, trimmed mean",
        Compared::Rule(|attackers, _| Pipeline {
            pre: vec![Pre::NearestNeighbourMixing { attackers }],
            rule: Rule::TrimmedMean { attackers },
        }),
    ),
    (
        "arc, nnm, geometric median",
        Compared::Rule(|attackers, _| Pipeline {
            pre: vec![
                Pre::AdaptiveClipping { attackers },
                Pre::NearestNeighbourMixing { attackers },
            ],
            rule: WEISZFELD,
        }),
    ),
    ("sign flip", Compared::Attack(|_| Attack::SignFlip)),
    ("ipm", Compared::Attack(|_| Attack::InnerProduct { epsilon: 2.0 })),
    ("alie", Compared::Attack(|_| Attack::LittleIsEnough { deviations: 1.5 })),
    ("optimal ipm", Compared::Attack(|attackers| optimal(Family::InnerProduct, attackers))),
    ("optimal alie", Compared::Attack(|attackers| optimal(Family::LittleIsEnough, attackers))),
    ("mimic", Compared::Attack(|_| Attack::Mimic { copied: 0 })),
    ("infinite", Compared::Attack(|_| Attack::Infinite)),
];

/// The rows that come out of a case.
fn output(compared: Compared, name: &str, case: &Case) -> Vec<f64> {
    let (attackers, vectors) = (case.attackers, case.vectors(0));
    match compared {
        Compared::Rule(pipeline) => {
            pipeline(attackers, vectors.count()).aggregate(&vectors).expect("within its bounds")
        }
        Compared::Pre(pre) => {
            let mixing = pre(attackers).mixing(&Gram::of(&vectors)).expect("within its bounds");
            let row = |number: usize| {
                let entry = move |at: usize, mixing: &[(usize, f64)]| {
                    mixing.iter().map(|&(from, weight)| weight * case.rows[from][at]).sum::<f64>()
                };
                let row = mixing.row(number).to_vec();
                (0..vectors.len()).map(move |at| entry(at, &row)).collect::<Vec<_>>()
            };
            (0..mixing.count()).flat_map(row).collect()
        }
        Compared::Attack(attack) => {
            let optimal = name.starts_with("optimal");
            let attackers = if optimal { attackers.max(1) } else { attackers };
            let forged = attack(attackers).forge(&case.vectors(attackers)).expect("a vector");
            forged.into_iter().map(|it| if it.is_infinite() { 1.0 } else { it }).collect()
        }
    }
}

#[test]
fn agrees_with_byzfl() {
    let (expected, rest) = FIXTURE.as_chunks::<8>();
    assert!(rest.is_empty() && expected.len() == COMPARED.len() * CASES);
    let mut worst = Vec::new();
    for ((name, compared), expected) in COMPARED.iter().zip(expected.chunks_exact(CASES)) {
        let mut most = (0.0_f64, 0);
        for (number, expected) in expected.iter().enumerate() {
            let mut case = Case::new(number);
            let output = output(*compared, name, &case);
            let terms: Vec<f64> = output.iter().map(|entry| entry * case.rng.unit()).collect();
            let size = terms.iter().map(|it| it.abs()).sum::<f64>().max(1.0);
            let apart = (terms.iter().sum::<f64>() - f64::from_le_bytes(*expected)).abs() / size;
            if apart > most.0 {
                most = (apart, number);
            }
        }
        println!("{name:<28} at most {:.1e} apart (case {})", most.0, most.1);
        worst.push((*name, most));
    }
    let apart: Vec<_> = worst.into_iter().filter(|(_, (apart, _))| *apart > RELATIVE).collect();
    assert!(apart.is_empty(), "{apart:?}");
}
