//! The options of `learn stale`: how late peers are, and what is done about it.

use anyhow::{Context, Result};
use clap::{Args, ValueEnum};
use longhaul_aggregation::Staleness;
use longhaul_lab::local_sgd::LocalSgd;
use longhaul_lab::stale_sgd::{self, Lateness, StaleSgd, Weight};

/// How late peers are, and what is done about it.
#[derive(Debug, Clone, Default, PartialEq, Args)]
#[command(next_help_heading = "Late peers (learn stale)")]
pub struct LateArgs {
    /// How the learning rate falls [default: constant].
    #[arg(long, value_name = "HOW")]
    schedule: Option<Schedule>,
    /// The weight of own updates without a term in what a peer trains from [default: 1].
    #[arg(long, value_name = "WEIGHT")]
    pending: Option<f64>,
    /// How terms weigh what is stale: constant, claims:QUARTERS as a manifest's polynomial,
    /// polynomial:EXPONENT, hinge:AFTER:SLOPE, exponential:HALF_LIFE or cohorts:BOUNDARY; repeat
    /// for more [default: constant, claims:1 and cohorts:10].
    #[arg(long, value_delimiter = ',', value_name = "NAME")]
    weight: Vec<String>,
    /// Median staleness that is drawn, in epochs [default: 12].
    #[arg(long, value_name = "EPOCHS")]
    late_median: Option<f64>,
    /// Largest staleness, in epochs [default: 50].
    #[arg(long, value_name = "EPOCHS")]
    late_most: Option<u16>,
    /// Standard deviation of the logarithm of staleness [default: 1].
    #[arg(long, value_name = "DEVIATION")]
    late_spread: Option<f64>,
}

/// The learning rate over the epochs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Schedule {
    /// Always the same.
    Constant,
    /// A third in the last third of the epochs.
    Third,
    /// Along half a cosine to zero.
    Cosine,
}

/// Late or not, and how terms weigh that.
#[derive(Debug, Clone, PartialEq)]
pub struct Variant {
    /// Its name.
    pub name: String,
    /// How late peers are.
    pub lateness: Lateness,
    /// How terms weigh that.
    pub weight: Weight,
}

impl LateArgs {
    /// The synchronous run, and the late ones to put beside it.
    pub fn variants(&self) -> Result<Vec<Variant>> {
        let lateness = self.lateness()?;
        let late = |name: &str, weight| Variant { name: format!("late, {name}"), lateness, weight };
        let synchronous = Variant {
            name: "synchronous".to_owned(),
            lateness: Lateness::NONE,
            weight: Weight::Constant,
        };
        let mut all = vec![synchronous];
        if self.weight.is_empty() {
            let claims = Weight::Claims(Staleness::Polynomial { quarters: 1 });
            all.push(late("all alike", Weight::Constant));
            all.push(late("polynomial:1", claims));
            all.push(late("two cohorts", Weight::Cohorts { boundary: 10 }));
        }
        for name in &self.weight {
            all.push(late(name, weight(name).context("--weight")?));
        }
        Ok(all)
    }

    /// What runs for a variant.
    pub fn setting(&self, local: LocalSgd, variant: &Variant) -> StaleSgd {
        StaleSgd {
            local,
            staleness: variant.lateness,
            weight: variant.weight,
            schedule: match self.schedule {
                None | Some(Schedule::Constant) => stale_sgd::Schedule::Constant,
                Some(Schedule::Third) => stale_sgd::Schedule::Third,
                Some(Schedule::Cosine) => stale_sgd::Schedule::Cosine,
            },
            pending: self.pending.unwrap_or(1.0),
        }
    }

    fn lateness(&self) -> Result<Lateness> {
        let pending = self.pending.unwrap_or(1.0);
        anyhow::ensure!(
            (0.0..=1.0).contains(&pending),
            "--pending {pending}: choose a weight from 0 to 1"
        );
        let usual = Lateness::LONG;
        let median = self.late_median.unwrap_or(usual.median);
        anyhow::ensure!(
            (0.0..=10_000.0).contains(&median),
            "--late-median {median}: choose 0 to 10000 epochs"
        );
        let spread = self.late_spread.unwrap_or(usual.spread);
        anyhow::ensure!(
            (0.0..=10.0).contains(&spread),
            "--late-spread {spread}: choose a deviation from 0 to 10"
        );
        Ok(Lateness { median, most: self.late_most.map_or(usual.most, usize::from), spread })
    }
}

/// The weight that a text names.
fn weight(text: &str) -> Result<Weight> {
    let wrong = || {
        format!(
            "{text}: use constant, claims:QUARTERS, polynomial:EXPONENT, hinge:AFTER:SLOPE, \
             exponential:HALF_LIFE or cohorts:BOUNDARY"
        )
    };
    let mut parts = text.split(':');
    let name = parts.next().unwrap_or_default();
    let numbers: Result<Vec<f64>, _> = parts.map(str::parse).collect();
    let numbers = numbers.ok().filter(|all| all.iter().all(|it| it.abs() <= 1e4));
    let numbers = numbers.with_context(wrong)?;
    let whole = |number: f64| number.fract() == 0.0 && number >= 0.0;
    match (name, numbers.as_slice()) {
        ("constant", []) => Ok(Weight::Constant),
        ("claims", &[quarters]) if whole(quarters) && (1.0..=16.0).contains(&quarters) => {
            Ok(Weight::Claims(Staleness::Polynomial { quarters: quarters as u8 }))
        }
        ("polynomial", &[exponent]) => Ok(Weight::Polynomial { exponent }),
        ("hinge", &[after, slope]) if slope >= 0.0 => Ok(Weight::Hinge { after, slope }),
        ("exponential", &[half_life]) if half_life > 0.0 => Ok(Weight::Exponential { half_life }),
        ("cohorts", &[boundary]) if whole(boundary) => {
            Ok(Weight::Cohorts { boundary: boundary as usize })
        }
        _ => Err(anyhow::anyhow!(wrong())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn weights_have_names() {
        for (name, expected) in [
            ("constant", Weight::Constant),
            ("claims:1", Weight::Claims(Staleness::Polynomial { quarters: 1 })),
            ("polynomial:-0.25", Weight::Polynomial { exponent: -0.25 }),
            ("hinge:5:0.1", Weight::Hinge { after: 5.0, slope: 0.1 }),
            ("exponential:10", Weight::Exponential { half_life: 10.0 }),
            ("cohorts:10", Weight::Cohorts { boundary: 10 }),
        ] {
            assert_eq!(weight(name).expect("a weight"), expected, "{name}");
        }
        for name in ["", "constant:1", "claims:0.5", "hinge:5", "exponential:0", "cohorts:nan"] {
            let why = weight(name).expect_err("no weight").to_string();
            assert!(why.starts_with(&format!("{name}: use constant")), "{why}");
        }
    }

    #[test]
    fn the_synchronous_run_stands_beside_the_late_ones() {
        let usual = LateArgs::default().variants().expect("variants");
        let names: Vec<&str> = usual.iter().map(|it| it.name.as_str()).collect();
        let expected =
            ["synchronous", "late, all alike", "late, polynomial:1", "late, two cohorts"];
        assert_eq!(names, expected);
        assert_eq!((usual[0].lateness, usual[1].lateness), (Lateness::NONE, Lateness::LONG));
        let args = LateArgs {
            schedule: Some(Schedule::Cosine),
            pending: Some(0.5),
            weight: vec!["constant".to_owned()],
            late_median: Some(10.0),
            ..LateArgs::default()
        };
        let variants = args.variants().expect("variants");
        assert_eq!((variants.len(), variants[1].lateness.median), (2, 10.0));
        let setting = args.setting(LocalSgd::default(), &variants[1]);
        assert_eq!((setting.schedule, setting.pending), (stale_sgd::Schedule::Cosine, 0.5));
        let wrong = LateArgs { pending: Some(f64::NAN), ..LateArgs::default() };
        assert!(wrong.variants().is_err());
    }
}
