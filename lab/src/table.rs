//! Table: many runs at once, their results in one order.

use std::collections::BTreeMap;
use std::sync::Mutex;

use longhaul_aggregation::robust::RobustError;

/// What became of a job, once a worker has taken it.
type Done<R> = BTreeMap<usize, Result<R, RobustError>>;

/// Runs all jobs on `workers` threads; the results have the order of the jobs, whoever was
/// first. The first error ends the table. `tell` hears how many are done.
pub fn run_all<J: Sync, R: Send>(
    jobs: &[J],
    workers: usize,
    run: impl Fn(&J) -> Result<R, RobustError> + Sync,
    tell: impl Fn(usize) + Sync,
) -> Result<Vec<R>, RobustError> {
    let next = Mutex::new(jobs.iter().enumerate());
    let done: Mutex<Done<R>> = Mutex::new(BTreeMap::new());
    let take = || next.lock().map(|mut next| next.next()).unwrap_or(None);
    let work = || {
        while let Some((number, job)) = take() {
            let result = run(job);
            if let Ok(mut done) = done.lock() {
                done.insert(number, result);
                tell(done.len());
            }
        }
    };
    std::thread::scope(|scope| {
        (0..workers.max(1)).for_each(|_| drop(scope.spawn(work)));
    });
    done.into_inner().unwrap_or_else(std::sync::PoisonError::into_inner).into_values().collect()
}

/// The mean of some figures, and the smallest and largest.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Spread {
    /// The mean.
    pub mean: f64,
    /// The smallest.
    pub least: f64,
    /// The largest.
    pub most: f64,
}

impl Spread {
    /// The spread of at least one figure; of none all are zero.
    pub fn of(figures: &[f64]) -> Self {
        let Some(&first) = figures.first() else {
            return Self { mean: 0.0, least: 0.0, most: 0.0 };
        };
        Self {
            mean: figures.iter().sum::<f64>() / figures.len() as f64,
            least: figures.iter().copied().fold(first, f64::min),
            most: figures.iter().copied().fold(first, f64::max),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn results_have_the_order_of_the_jobs() {
        let jobs: Vec<u64> = (0..40).collect();
        let told = Mutex::new(0);
        let run = |job: &u64| {
            std::thread::yield_now();
            Ok(job * job)
        };
        let tell = |done| *told.lock().expect("not poisoned") = done;
        for workers in [0, 1, 4] {
            let found = run_all(&jobs, workers, run, tell).expect("no job fails");
            assert_eq!(found, jobs.iter().map(|job| job * job).collect::<Vec<_>>());
            assert_eq!(*told.lock().expect("not poisoned"), 40);
        }
        let fails = |job: &u64| match job {
            7 => Err(RobustError::Order(7)),
            _ => Ok(()),
        };
        assert_eq!(run_all(&jobs, 2, fails, |_| ()), Err(RobustError::Order(7)));
    }

    #[test]
    fn a_spread_has_a_mean_within_its_ends() {
        let spread = Spread { mean: 2.0, least: 1.0, most: 4.0 };
        assert_eq!(Spread::of(&[1.0, 4.0, 1.0]), spread);
        assert_eq!(Spread::of(&[]).most, 0.0);
    }
}
