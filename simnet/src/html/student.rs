//! Means over seeds and their 95 % confidence intervals.
//!
//! Seeds are few, so the interval uses Student's t distribution ("Student", The
//! probable error of a mean, Biometrika 6, 1908). Quantiles come from the usual
//! printed table; between its rows they are interpolated in 1 / df, which is
//! right to three decimals.

/// Quantiles of 97.5 % for 1 to 30 degrees of freedom.
const QUANTILES: [f64; 30] = [
    12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262, 2.228, 2.201, 2.179, 2.160,
    2.145, 2.131, 2.120, 2.110, 2.101, 2.093, 2.086, 2.080, 2.074, 2.069, 2.064, 2.060, 2.056,
    2.052, 2.048, 2.045, 2.042,
];

/// Further rows of the table: 1 / degrees of freedom, and quantile.
const SPARSE: [(f64, f64); 5] = [
    (1.0 / 30.0, 2.042),
    (1.0 / 40.0, 2.021),
    (1.0 / 60.0, 2.000),
    (1.0 / 120.0, 1.980),
    (0.0, 1.960),
];

/// The two-sided 95 % quantile of Student's t distribution with `freedom`
/// degrees of freedom; `None` for 0.
pub fn t_quantile(freedom: usize) -> Option<f64> {
    let index = freedom.checked_sub(1)?;
    if let Some(&quantile) = QUANTILES.get(index) {
        return Some(quantile);
    }
    let inverse = 1.0 / freedom as f64;
    let row = SPARSE.windows(2).find(|row| inverse <= row[0].0 && inverse >= row[1].0)?;
    let (above, below) = (row[0], row[1]);
    let part = (inverse - below.0) / (above.0 - below.0);
    Some(below.1 + (above.1 - below.1) * part)
}

/// A mean over runs, with the half width of its confidence interval.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Interval {
    /// Number of runs.
    pub n: usize,
    /// Their mean.
    pub mean: f64,
    /// Half the width of the 95 % interval; `None` for a single run.
    pub half_width: Option<f64>,
}

impl Interval {
    /// The interval of `values`; `None` when there are none or one is not finite.
    pub fn of(values: &[f64]) -> Option<Self> {
        if values.is_empty() || !values.iter().all(|value| value.is_finite()) {
            return None;
        }
        let n = values.len();
        let mean = values.iter().sum::<f64>() / n as f64;
        let squares: f64 = values.iter().map(|value| (value - mean) * (value - mean)).sum();
        let half_width = t_quantile(n - 1).map(|quantile| {
            let variance = squares / (n - 1) as f64;
            quantile * (variance / n as f64).sqrt()
        });
        mean.is_finite().then_some(Self {
            n,
            mean,
            half_width: half_width.filter(|it| it.is_finite()),
        })
    }

    /// The ends of the interval; both are the mean for a single run.
    pub fn ends(&self) -> (f64, f64) {
        let half_width = self.half_width.unwrap_or(0.0);
        (self.mean - half_width, self.mean + half_width)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn quantiles_are_those_of_the_table() {
        for (freedom, quantile) in [
            (1, 12.706),
            (2, 4.303),
            (4, 2.776),
            (9, 2.262),
            (30, 2.042),
            (40, 2.021),
            (120, 1.980),
        ] {
            assert_eq!(t_quantile(freedom), Some(quantile), "{freedom}");
        }
        assert_eq!(t_quantile(0), None);
    }

    /// Values of larger tables (NIST/SEMATECH e-Handbook, 1.3.6.7.2).
    #[test]
    fn quantiles_between_the_rows_are_right_to_three_decimals() {
        for (freedom, quantile) in
            [(31, 2.040), (35, 2.030), (45, 2.014), (50, 2.009), (80, 1.990), (100, 1.984)]
        {
            let found = t_quantile(freedom).unwrap();
            assert!((found - quantile).abs() < 0.0011, "{freedom}: {found}");
        }
        assert!((t_quantile(usize::MAX).unwrap() - 1.960).abs() < 1e-9);
    }

    #[test]
    fn a_known_sample_has_its_known_interval() {
        // Mean 5, standard deviation 2.138, n = 8: 5 ± 2.365 * 2.138 / sqrt(8).
        let interval = Interval::of(&[2.0, 4.0, 4.0, 4.0, 5.0, 5.0, 7.0, 9.0]).unwrap();
        assert_eq!((interval.n, interval.mean), (8, 5.0));
        assert!((interval.half_width.unwrap() - 1.7877).abs() < 1e-3);
        let two = Interval::of(&[1.0, 2.0]).unwrap();
        assert!((two.half_width.unwrap() - 6.353).abs() < 1e-9);
    }

    #[test]
    fn one_run_has_no_interval_and_none_no_mean() {
        let one = Interval::of(&[0.5]).unwrap();
        assert_eq!((one.half_width, one.ends()), (None, (0.5, 0.5)));
        assert_eq!(Interval::of(&[]), None);
        assert_eq!(Interval::of(&[1.0, f64::NAN]), None);
        assert_eq!(Interval::of(&[f64::MAX, f64::MAX]), None);
    }

    proptest! {
        #[test]
        fn quantiles_fall_with_the_degrees_of_freedom(freedom in 1..100_000_usize) {
            prop_assert!(t_quantile(freedom) >= t_quantile(freedom + 1));
        }
    }
}
