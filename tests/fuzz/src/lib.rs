//! Fuzz bodies: any bytes become one call of the library, whose promises are then checked.
//!
//! A body panics if a promise is broken and does nothing else. It is run by libFuzzer
//! (`fuzz_targets/`) and, on a stable toolchain, by `aggregation/tests/robust_fuzz.rs`.

#[cfg(not(test))]
pub mod agent;
#[cfg(not(test))]
pub mod dtn;

use longhaul_aggregation::robust::attack::{Attack, Family, LineSearch};
use longhaul_aggregation::robust::{
    Gram, KrumNeighbours, MAGNITUDE_MAX, Pipeline, Pre, Real, Rule, Vectors,
};

/// Kinds of [`Rule`].
pub const RULES: u8 = 15;
/// Kinds of [`Pre`].
pub const PRES: u8 = 5;
/// Kinds of [`Attack`].
pub const ATTACKS: u8 = 10;

/// Most vectors and most entries of a case; a tile has 32 columns, a lane block 16.
const COUNT_MAX: u8 = 20;
const LEN_MAX: u8 = 70;

/// Floats at which something may turn over.
const EDGES: [f64; 20] = [
    0.0,
    -0.0,
    1.0,
    -1.0,
    1e15,
    -1e15,
    9.999_999e14,
    1e-45,
    -1e-45,
    1e-40,
    5e-324,
    -1e-310,
    1e-20,
    1e-19,
    -1e-160,
    1e8,
    1.000_000_1,
    f64::NAN,
    f64::NEG_INFINITY,
    1e300,
];

/// A pipeline over vectors, or an attack on them, from any bytes.
///
/// Promised: no panic; what comes out is finite, and at most twice [`MAGNITUDE_MAX`]; the same
/// bytes give the same bits.
pub fn robust(data: &[u8]) {
    let mut bytes = Bytes { data, at: 0 };
    match bytes.byte() % 8 {
        0..=2 => aggregate::<f32>(&mut bytes),
        3..=5 => aggregate::<f64>(&mut bytes),
        6 => forge(&mut bytes),
        _ => weigh(&mut bytes),
    }
}

/// Bytes that are read as numbers; zeros behind their end.
struct Bytes<'a> {
    data: &'a [u8],
    at: usize,
}

impl Bytes<'_> {
    fn byte(&mut self) -> u8 {
        let byte = self.data.get(self.at).copied().unwrap_or(0);
        self.at += 1;
        byte
    }

    fn wide(&mut self) -> u64 {
        u64::from_le_bytes(std::array::from_fn(|_| self.byte()))
    }

    /// Mostly a small number, sometimes any.
    fn number(&mut self) -> usize {
        match self.byte() {
            255 => self.wide() as usize,
            254 => usize::MAX - usize::from(self.byte()),
            byte => usize::from(byte % 12),
        }
    }

    /// Mostly few, sometimes any number.
    fn iterations(&mut self) -> u32 {
        match self.byte() {
            255 => u32::MAX - u32::from(self.byte()),
            byte => u32::from(byte % 20),
        }
    }

    /// A float: an edge, any bits, or an ordinary one.
    fn float(&mut self, kind: u8) -> f64 {
        match kind % 6 {
            0 => EDGES[usize::from(self.byte()) % EDGES.len()],
            1 => f64::from_bits(self.wide()),
            2 => f64::from(f32::from_bits(self.wide() as u32)),
            3 => f64::from(self.byte()) * 10.0_f64.powi(i32::from(self.byte() % 64) - 48),
            _ => f64::from(self.byte().cast_signed()) / 8.0,
        }
    }

    fn parameter(&mut self) -> f64 {
        let kind = self.byte();
        self.float(kind)
    }

    fn neighbours(&mut self) -> KrumNeighbours {
        [KrumNeighbours::Paper, KrumNeighbours::AllHonest][usize::from(self.byte() % 2)]
    }

    /// A rule, by its number.
    fn rule(&mut self) -> Rule {
        let kind = self.byte() % RULES;
        let attackers = self.number();
        match kind {
            0 => Rule::Average,
            1 => Rule::Median,
            2 => Rule::TrimmedMean { attackers },
            3 => Rule::MeanAroundMedian { attackers },
            4 => Rule::Krum { attackers, neighbours: self.neighbours() },
            5 => {
                let chosen = (self.byte() % 2 == 1).then(|| self.number());
                Rule::MultiKrum { attackers, neighbours: self.neighbours(), chosen }
            }
            6 => Rule::Bulyan { attackers, neighbours: self.neighbours() },
            7 => {
                let (smoothing, iterations) = (self.parameter(), self.iterations());
                Rule::GeometricMedian { smoothing, iterations }
            }
            8 => Rule::MinimumDiameter { attackers },
            // More would be a search of a minute, allowed and no bug.
            9 => Rule::SmallestEigenvalue { attackers: attackers.min(1) },
            10 => Rule::CovarianceFilter { attackers },
            11 => {
                let (radius, iterations) = (self.parameter(), self.iterations());
                Rule::CenteredClipping { radius, iterations }
            }
            12 => Rule::CenteredTrimmed { attackers },
            13 => Rule::NearestToOwn { attackers, own: self.number() },
            _ => Rule::Diversity { attackers },
        }
    }

    fn pre(&mut self, count: usize) -> Pre {
        match self.byte() % PRES {
            0 => Pre::NearestNeighbourMixing { attackers: self.number() },
            1 => {
                let size = self.number();
                let turned = |by: usize| (0..count).map(|it| (it + by) % count.max(1)).collect();
                let order = match self.byte() % 3 {
                    0 => None,
                    1 => Some(turned(usize::from(self.byte()))),
                    _ => Some((0..count).map(|_| self.number()).collect()),
                };
                Pre::Bucketing { size, order }
            }
            2 => Pre::Clipping { norm: self.parameter() },
            3 => Pre::MedianClipping,
            _ => Pre::AdaptiveClipping { attackers: self.number() },
        }
    }

    fn pipeline(&mut self, count: usize) -> Pipeline {
        let pre = (0..self.byte() % 4).map(|_| self.pre(count)).collect();
        Pipeline { pre, rule: self.rule() }
    }

    /// Rows of one length, mostly; each row repeats one before or has a kind of floats.
    fn rows<T: Real>(&mut self) -> Vec<Vec<T>> {
        let count = usize::from(self.byte() % COUNT_MAX);
        let len = usize::from(self.byte() % LEN_MAX);
        let mut rows: Vec<Vec<T>> = Vec::new();
        for number in 0..count {
            let kind = self.byte();
            let row = match (kind, number) {
                (0..=19, 1..) => rows[usize::from(kind) % number].clone(),
                (20..=39, 1..) => {
                    let factor = T::from_f64(self.parameter());
                    rows[usize::from(kind) % number].iter().map(|it| it.times(factor)).collect()
                }
                (40, _) => vec![T::from_f64(1.0); len + 1],
                _ => (0..len).map(|_| T::from_f64(self.float(kind))).collect(),
            };
            rows.push(row);
        }
        rows
    }
}

fn aggregate<T: Real>(bytes: &mut Bytes<'_>) {
    let pipeline = bytes.pipeline(usize::from(COUNT_MAX));
    let rows = bytes.rows::<T>();
    let slices: Vec<&[T]> = rows.iter().map(Vec::as_slice).collect();
    let len = slices.first().map_or(0, |row| row.len());
    let (sound, kept) = Vectors::sound(&slices, len);
    let all = Vectors::new(slices.clone());
    assert_eq!(all.is_ok(), kept.len() == rows.len() && !rows.is_empty(), "both checks agree");
    let Some(vectors) = sound else { return };
    let found = pipeline.aggregate(&vectors);
    if let Ok(entries) = &found {
        assert_eq!(entries.len(), len, "an output has the length of the inputs");
        let bounded = |it: &T| it.to_f64().abs() <= MAGNITUDE_MAX * 2.001;
        assert!(entries.iter().all(bounded), "{pipeline:?} of {rows:?} gives {entries:?}");
    }
    let bits = |entries: &Vec<T>| entries.iter().map(|it| it.to_f64().to_bits()).collect();
    let again = pipeline.aggregate(&vectors);
    let bits: [Result<Vec<u64>, _>; 2] =
        [found, again].map(|it| it.as_ref().map(bits).map_err(Clone::clone));
    assert_eq!(bits[0], bits[1], "a call depends on nothing else");
}

fn forge(bytes: &mut Bytes<'_>) {
    let attack = match bytes.byte() % ATTACKS {
        0 => Attack::SignFlip,
        1 => Attack::Scaled { factor: bytes.parameter() },
        2 => Attack::InnerProduct { epsilon: bytes.parameter() },
        3 => Attack::LittleIsEnough { deviations: bytes.parameter() },
        4 => Attack::Optimal {
            family: [Family::InnerProduct, Family::LittleIsEnough][usize::from(bytes.byte() % 2)],
            target: bytes.pipeline(usize::from(COUNT_MAX)),
            // More than a few would only be slow, and too many are refused.
            attackers: match bytes.number() {
                few @ 0..12 => few,
                many => many.saturating_add(1 << 20),
            },
            search: LineSearch {
                evaluations: bytes.iterations(),
                start: bytes.parameter(),
                step: bytes.parameter(),
                ratio: bytes.parameter(),
            },
        },
        5 => Attack::Mimic { copied: bytes.number() },
        6 => Attack::MinMax,
        7 => Attack::MinSum,
        8 => Attack::FreeRider,
        _ => Attack::Infinite,
    };
    let rows = bytes.rows::<f64>();
    let slices: Vec<&[f64]> = rows.iter().map(Vec::as_slice).collect();
    let (Some(honest), _) = Vectors::sound(&slices, slices.first().map_or(0, |row| row.len()))
    else {
        return;
    };
    let Ok(forged) = attack.forge(&honest) else { return };
    assert_eq!(forged.len(), honest.len());
    let hidden = matches!(
        attack,
        Attack::SignFlip
            | Attack::Mimic { .. }
            | Attack::FreeRider
            | Attack::MinMax
            | Attack::MinSum
    );
    assert!(!hidden || forged.iter().all(|it| it.is_finite()), "{attack:?} of {rows:?}");
}

/// Rules and mixings on a matrix of products that no vectors may have.
fn weigh(bytes: &mut Bytes<'_>) {
    let rule = bytes.rule();
    let count = usize::from(bytes.byte() % COUNT_MAX);
    let pre = bytes.pre(count);
    let kind = bytes.byte();
    let rows: Vec<Vec<f64>> =
        (0..count).map(|row| (0..=row).map(|_| bytes.float(kind)).collect()).collect();
    let gram = Gram::from_rows(&rows);
    if let Ok(Some(weights)) = rule.weights(&gram) {
        assert_eq!(weights.len(), count);
    }
    if let Ok(mixing) = pre.mixing(&gram) {
        let _ = rule.weights(&gram.mixed(&mixing));
    }
}
