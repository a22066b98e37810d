//! How fast this machine trains: steps per second of one model and batch size.
//!
//! The data is noise, since the time of a step does not depend on it. The clock
//! is the caller's, because nothing below the shell reads one.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use burn::tensor::Device;

use super::data::{Dataset, Samples};
use super::draw::{Draw, Purpose};
use super::model::ModelKind;
use super::trainer::{Plan, TrainError, Trainer};

/// Samples of noise to train on; their inputs stay below 4 MB for 784 inputs.
const SAMPLES: usize = 1_024;

/// Steps before the measured ones: a GPU compiles and tunes its kernels in these.
const WARM_UP_STEPS: u32 = 5;

/// What was measured.
#[derive(Debug, Clone, PartialEq)]
pub struct BenchReport {
    /// The model.
    pub kind: ModelKind,
    /// Samples per step.
    pub batch: u32,
    /// Steps measured.
    pub steps: u32,
    /// Time before the measured steps, kernel tuning included.
    pub warm_up: Duration,
    /// Time of the measured steps.
    pub elapsed: Duration,
    /// Steps per second.
    pub steps_per_s: f64,
}

/// Measures `steps` steps of `kind` with `batch` samples each.
///
/// `clock` returns the time since any fixed moment; the steps of a GPU are
/// waited for before it is read again.
pub fn bench(
    kind: &ModelKind,
    batch: u32,
    steps: u32,
    device: Device,
    clock: &mut dyn FnMut() -> Duration,
) -> Result<BenchReport, TrainError> {
    let data = Arc::new(noise(kind));
    let trainer = Trainer::new(kind.clone(), data, (0..).take(SAMPLES).collect(), device)?;
    let base = vec![0.01; kind.parameter_count()];
    let plan = |steps| Plan::plain(steps, batch, 1e-6);
    let start = clock();
    trainer.train(&base, plan(WARM_UP_STEPS), &[0; 32])?;
    let warm = clock();
    trainer.train(&base, plan(steps), &[1; 32])?;
    let end = clock();
    let elapsed = end.saturating_sub(warm);
    let steps_per_s = f64::from(steps) / elapsed.as_secs_f64().max(1e-9);
    Ok(BenchReport {
        kind: kind.clone(),
        batch,
        steps,
        warm_up: warm.saturating_sub(start),
        elapsed,
        steps_per_s,
    })
}

fn noise(kind: &ModelKind) -> Dataset {
    let mut draw = Draw::new(&[0; 32], Purpose::Bench, 0);
    let inputs = (0..SAMPLES * kind.inputs()).map(|_| draw.unit() as f32).collect();
    let outputs = u32::try_from(kind.outputs()).expect("at most 256 outputs");
    let labels = (0..SAMPLES)
        .map(|_| u8::try_from(draw.below(outputs)).expect("labels are below 256"))
        .collect();
    let samples =
        Samples::new(kind.inputs(), kind.outputs(), inputs, labels).expect("noise is well-formed");
    let (test, train) = (samples.clone(), samples);
    Dataset::new(train, test).expect("both halves are the same")
}

impl fmt::Display for BenchReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} batch {}: {:.1} steps/s ({} steps in {:.2} s, after {:.2} s of warm-up)",
            self.kind,
            self.batch,
            self.steps_per_s,
            self.steps,
            self.elapsed.as_secs_f64(),
            self.warm_up.as_secs_f64()
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn divides_the_steps_by_the_time_of_the_measured_part() {
        let mut ticks = 0;
        let mut clock = || {
            ticks += 1;
            Duration::from_secs(ticks * ticks)
        };
        let kind: ModelKind = "mlp:4-2".parse().unwrap();
        let report = bench(&kind, 2, 10, Device::flex(), &mut clock).unwrap();
        assert_eq!(report.warm_up, Duration::from_secs(3));
        assert_eq!(report.elapsed, Duration::from_secs(5));
        assert_eq!(report.steps_per_s, 2.0);
        assert!(report.to_string().starts_with("mlp:4-2 batch 2: 2.0 steps/s"));
    }
}
