//! Threads: work on spans of columns, of a length that does not depend on how many there are.
//!
//! What is summed over columns is summed within each span and then span by span, in order; so
//! the outcome is the same to the bit on any number of threads.

use super::dust;
use super::input::{Real, Vectors};

/// Columns of a span: enough that starting a thread is little beside one.
const SPAN: usize = 1 << 16;

/// What `make` gives for each span, in order.
pub(super) fn map<T: Real, R: Default + Clone + Send>(
    vectors: &Vectors<'_, T>,
    threads: usize,
    make: impl Fn(&Vectors<'_, T>) -> R + Sync,
) -> Vec<R> {
    let mut results = vec![R::default(); vectors.len().div_ceil(SPAN)];
    let spans = results.iter_mut().enumerate();
    share(spans.collect(), threads, |(span, result)| *result = make(&columns(vectors, span)));
    results
}

/// A vector of which `make` fills each span, or each part of one, entry by entry.
pub(super) fn fill<T: Real>(
    vectors: &Vectors<'_, T>,
    threads: usize,
    make: impl Fn(&Vectors<'_, T>, &mut [T]) + Sync,
) -> Vec<T> {
    let mut out = vec![T::default(); vectors.len()];
    let spans = out.chunks_mut(SPAN).enumerate();
    share(spans.collect(), threads, |(span, out)| {
        dust::without(&columns(vectors, span), out, &make);
    });
    out
}

fn columns<'a, T: Real>(vectors: &Vectors<'a, T>, span: usize) -> Vectors<'a, T> {
    vectors.columns(span * SPAN, vectors.len().min((span + 1) * SPAN))
}

/// Does each piece of work; neighbours on the same thread.
fn share<W: Send>(mut work: Vec<W>, threads: usize, does: impl Fn(W) + Sync) {
    let each = work.len().div_ceil(threads.max(1));
    std::thread::scope(|scope| {
        while work.len() > each {
            let last = work.split_off(work.len() - each);
            let does = &does;
            scope.spawn(move || last.into_iter().for_each(does));
        }
        work.into_iter().for_each(&does);
    });
}

#[cfg(test)]
mod tests {
    use super::super::{Pipeline, Pre, Rule};
    use super::*;
    use crate::robust::Gram;

    #[test]
    fn any_number_of_threads_gives_the_same() {
        let row = |it: usize| (0..3 * SPAN + 77).map(move |at| ((it * 31 + at * 7) % 113) as f32);
        let rows: Vec<Vec<f32>> = (0..5).map(|it| row(it).collect()).collect();
        let vectors = Vectors::new(rows.iter().map(Vec::as_slice).collect()).expect("sound rows");
        let mixed = vec![Pre::NearestNeighbourMixing { attackers: 1 }];
        for pipeline in [
            Pipeline::of(Rule::CovarianceFilter { attackers: 1 }),
            Pipeline { pre: mixed, rule: Rule::TrimmedMean { attackers: 1 } },
        ] {
            let one = pipeline.aggregate(&vectors).expect("enough vectors");
            for threads in [0, 2, 3, 4, 9] {
                let found = pipeline.aggregate_by(&vectors, Gram::default(), threads);
                assert!(found.expect("enough vectors") == one, "{threads} threads");
            }
        }
        let none: Vec<&[f32]> = vec![&[], &[]];
        let none = Vectors::new(none).expect("sound rows");
        assert_eq!(Pipeline::of(Rule::Average).aggregate(&none), Ok(vec![]));
    }
}
