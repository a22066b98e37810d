//! Columns: rules that sort within each coordinate.
//!
//! A tile holds some columns of all vectors, one array of registers for each vector: they are
//! copied, mixed (`sharing`) and sorted (`network`) within the first-level cache.

use pulp::{Arch, Simd, WithSimd};

use super::RobustError;
use super::gram::Gram;
use super::input::{Number, Real, Vectors};
use super::mixing::Mixing;
use super::network::{Columns, Network, RUN, Rows, WIDTH};
use super::rule::{Coordinate, Rule};
use super::sharing::{Plan, Step};
use super::threads;

/// Aggregates by a coordinate rule.
pub(super) fn aggregate<T: Real>(
    vectors: &Vectors<'_, T>,
    mixing: &Mixing,
    rule: &Rule,
    gram: &Gram,
    threads: usize,
) -> Result<Vec<T>, RobustError> {
    let (chosen, coordinate) = rule.coordinate(gram)?;
    let chosen = chosen.map(|chosen| mixing.selected(&chosen));
    let plan = Plan::of(chosen.as_ref().unwrap_or(mixing));
    let network = Network::of(plan.mixed.len(), coordinate, plan.factor);
    let (plan, network) = (&plan, &network);
    Ok(threads::fill(vectors, threads, |vectors, out| {
        Arch::new().dispatch(Aggregate { vectors, plan, network, out, high: None });
    }))
}

/// A coordinate rule over mixed vectors, made once for many calls.
#[derive(Debug)]
pub(crate) struct Columnwise {
    plan: Plan,
    network: Network,
}

impl Columnwise {
    /// The sum, not the mean, of what is left in each column when `trim` mixed vectors go at each
    /// end.
    pub(crate) fn trimmed(mixing: &Mixing, trim: usize) -> Self {
        let plan = Plan::of(mixing);
        let count = plan.mixed.len();
        let summed = (count - 2 * trim) as f64;
        let coordinate = Coordinate::TrimmedMean { trim };
        let network = Network::of(count, coordinate, plan.factor * summed);
        Self { plan, network }
    }

    /// What the rule makes of vectors, as many as the mixing has, into as many entries as they
    /// have; where sums are to come in halves, as many again take the second ones.
    pub(crate) fn apply<T: Number>(
        &self,
        vectors: &Vectors<'_, T>,
        out: &mut [T],
        high: Option<&mut [T]>,
    ) {
        let Self { plan, network } = self;
        Arch::new().dispatch(Aggregate { vectors, plan, network, out, high });
    }
}

struct Aggregate<'a, T> {
    vectors: &'a Vectors<'a, T>,
    plan: &'a Plan,
    network: &'a Network,
    out: &'a mut [T],
    high: Option<&'a mut [T]>,
}

impl<T: Number> WithSimd for Aggregate<'_, T> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let Self { vectors, plan, network, out, mut high } = self;
        let zeros = [T::splat(simd, T::default()); WIDTH];
        let infinities = [f64::NEG_INFINITY, f64::INFINITY];
        let infinities = infinities.map(|it| [T::splat(simd, T::from_f64(it)); RUN]);
        let infinities = infinities.each_ref().map(|it| &it[..]);
        let mut work = vec![zeros; network.work()];
        let lanes = size_of::<T::Vector<S>>() / size_of::<T>();
        let mut done = 0;
        if plan.steps.is_empty() && high.is_none() {
            let sources: Vec<&[T]> =
                plan.mixed.iter().map(|&it| vectors.rows()[plan.sources[it]]).collect();
            let width = network.width() * lanes;
            for out in out.chunks_exact_mut(width) {
                let row = |it: usize| T::split(simd, &sources[it][done..done + width]).0;
                let rows = Rows { row, infinities };
                network.apply::<T, S>(simd, &rows, &mut work, T::split_mut(simd, out).0, None);
                done += width;
            }
        }
        let mut tile = vec![zeros; plan.rows];
        let (mut found, mut found_high) = (zeros, zeros);
        for out in out[done..].chunks_mut(WIDTH * lanes) {
            for (columns, &vector) in tile.iter_mut().zip(&plan.sources) {
                fill::<T, S>(simd, columns, &vectors.rows()[vector][done..][..out.len()]);
            }
            for step in &plan.steps {
                make::<T, S>(simd, &mut tile, step);
            }
            let rows = Rows { row: |it: usize| &tile[plan.mixed[it]][..], infinities };
            let halves = high.is_some().then_some(&mut found_high[..]);
            network.apply::<T, S>(simd, &rows, &mut work, &mut found, halves);
            store::<T, S>(simd, &found, out);
            if let Some(high) = &mut high {
                store::<T, S>(simd, &found_high, &mut high[done..][..out.len()]);
            }
            done += out.len();
        }
    }
}

#[inline(always)]
fn fill<T: Number, S: Simd>(simd: S, columns: &mut Columns<T, S>, row: &[T]) {
    let (vectors, rest) = T::split(simd, row);
    match vectors.first_chunk::<WIDTH>() {
        Some(vectors) => *columns = *vectors,
        None => {
            columns[..vectors.len()].copy_from_slice(vectors);
            columns[vectors.len()] = T::partial(simd, rest);
        }
    }
}

#[inline(always)]
fn store<T: Number, S: Simd>(simd: S, columns: &Columns<T, S>, out: &mut [T]) {
    let (vectors, rest) = T::split_mut(simd, out);
    let full = vectors.len();
    vectors.copy_from_slice(&columns[..full]);
    if !rest.is_empty() {
        T::store_partial(simd, rest, columns[full]);
    }
}

/// Makes a row of others.
#[inline(always)]
fn make<T: Number, S: Simd>(simd: S, tile: &mut [Columns<T, S>], step: &Step) {
    match step {
        &Step::Sum { of: [one, other], to } => {
            let mut sums = tile[one];
            for (sum, &entry) in sums.iter_mut().zip(&tile[other]) {
                *sum = T::add(simd, *sum, entry);
            }
            tile[to] = sums;
        }
        Step::Weighed { of, to } => {
            let mut sums = [T::splat(simd, T::default()); WIDTH];
            for &(row, weight) in of {
                let weight = T::splat(simd, T::from_f64(weight));
                for lane in 0..WIDTH {
                    sums[lane] = T::mul_add(simd, tile[row][lane], weight, sums[lane]);
                }
            }
            tile[*to] = sums;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Pipeline, Pre};
    use super::*;
    use proptest::prelude::*;

    /// The trimmed mean or median of mixed rows, by the definition.
    fn plain(rows: &[Vec<f64>], mixing: &Mixing, coordinate: Coordinate) -> Vec<f64> {
        let entry = |column: usize| {
            let sum = |it| mixing.row(it).iter().map(|&(from, by)| by * rows[from][column]).sum();
            let mut sorted: Vec<f64> = (0..mixing.count()).map(sum).collect();
            sorted.sort_by(f64::total_cmp);
            let trim = match coordinate {
                Coordinate::TrimmedMean { trim } => trim,
                _ => (sorted.len() - 1) / 2,
            };
            let left = &sorted[trim..sorted.len() - trim];
            left.iter().sum::<f64>() / left.len() as f64
        };
        (0..rows[0].len()).map(entry).collect()
    }

    fn arb_rows() -> impl Strategy<Value = Vec<Vec<f64>>> {
        (3_usize..40, 0_usize..200).prop_flat_map(|(count, len)| {
            let entry = (-64_i32..64).prop_map(|it| f64::from(it) / 8.0);
            prop::collection::vec(prop::collection::vec(entry, len..=len), count..=count)
        })
    }

    fn arb_pre() -> impl Strategy<Value = Vec<Pre>> {
        let mixing = (0_usize..3).prop_map(|attackers| Pre::NearestNeighbourMixing { attackers });
        let bucketing = (1_usize..4).prop_map(|size| Pre::Bucketing { size, order: None });
        let clipping = (1.0..30.0_f64).prop_map(|norm| Pre::Clipping { norm });
        prop::collection::vec(prop_oneof![mixing, bucketing, clipping], 0..3)
    }

    proptest! {
        #[test]
        fn tiles_give_what_columns_give(rows in arb_rows(), pre in arb_pre(), attackers in 0_usize..16) {
            let vectors = Vectors::new(rows.iter().map(Vec::as_slice).collect()).expect("sound");
            let singles: Vec<Vec<f32>> =
                rows.iter().map(|row| row.iter().map(|&it| it as f32).collect()).collect();
            let singles = Vectors::new(singles.iter().map(Vec::as_slice).collect()).expect("sound");
            let mut pipeline = Pipeline { pre, rule: Rule::Median };
            let Ok((mixing, gram)) = pipeline.mix(Gram::of(&vectors)) else { return Ok(()) };
            let attackers = attackers.min((mixing.count() - 1) / 2);
            for rule in [Rule::Median, Rule::TrimmedMean { attackers }] {
                let (_, coordinate) = rule.coordinate(&gram).expect("enough vectors");
                let expected = plain(&rows, &mixing, coordinate);
                let found = aggregate(&vectors, &mixing, &rule, &gram, 1).expect("enough vectors");
                let single = aggregate(&singles, &mixing, &rule, &gram, 1).expect("enough vectors");
                prop_assert_eq!([found.len(), single.len()], [expected.len(); 2]);
                for ((found, single), expected) in found.iter().zip(single).zip(expected) {
                    prop_assert!((found - expected).abs() <= 1e-13 * 8.0, "{found} {expected}");
                    prop_assert!((f64::from(single) - expected).abs() <= 2e-5, "{single} {expected}");
                }
                pipeline.rule = rule;
                prop_assert_eq!(pipeline.aggregate(&vectors).expect("enough vectors"), found);
            }
        }
    }
}
