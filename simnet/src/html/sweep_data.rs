//! What the page of a sweep shows: one value for each run, by parameter values
//! and seed. Means and intervals are computed when the page is made.

use serde::{Deserialize, Serialize};

use super::data::{DataError, from_json};
use super::student::Interval;

/// Everything that the page of a sweep shows.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct SweepData {
    /// Which sweep it was.
    pub header: SweepHeader,
    /// The swept parameters in order; figures are drawn for one or two.
    pub parameters: Vec<Swept>,
    /// What was measured at the end of each run.
    pub metrics: Vec<SweepMetric>,
    /// The checks that failed in some run.
    #[serde(default)]
    pub failures: Vec<FailedCheck>,
}

/// Which sweep it was and what it took.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct SweepHeader {
    /// Name of the scenario that was varied.
    pub name: String,
    /// The scenario's one line about itself; may be empty.
    pub about: String,
    /// Version of the simulator.
    pub version: String,
    /// blake3 of the scenario before it was varied, in hex.
    pub scenario_hash: String,
    /// Number of peers; 0 when it is swept.
    pub peers: u32,
    /// Number of epochs; 0 when it is swept.
    pub epochs: u32,
    /// The seeds that each combination was to be run with.
    pub seeds: Vec<u64>,
    /// Time that the sweep took on its machine, in seconds, if it was measured.
    #[serde(default)]
    pub wall_s: Option<f64>,
}

/// A check that failed in some runs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FailedCheck {
    /// What had to hold.
    pub name: String,
    /// In how many runs it did not.
    pub runs: u64,
    /// The seeds of such runs, as a list to read.
    pub seeds: String,
}

/// One swept parameter.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Swept {
    /// Its key in the scenario, such as `contacts.random-pairwise.probability`.
    pub name: String,
    /// Its unit; empty when it has none.
    pub unit: String,
    /// Its values as written in the sweep, in order; where all are numbers the
    /// axis is a scale, otherwise each value has its place.
    pub values: Vec<String>,
}

/// One thing measured at the end of each run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SweepMetric {
    /// What it is, such as `accuracy at the end, mean over peers`.
    pub name: String,
    /// Its unit; empty when it has none.
    pub unit: String,
    /// Which end is good.
    pub better: Better,
    /// The least value that there can be; drawn intervals end there.
    #[serde(default)]
    pub least: Option<f64>,
    /// The greatest value that there can be; drawn intervals end there.
    #[serde(default)]
    pub most: Option<f64>,
    /// The results; combinations may be missing.
    pub cells: Vec<SweepCell>,
}

/// Which end of a metric is good.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Better {
    /// More is better, as with accuracy.
    Higher,
    /// Less is better, as with delay.
    Lower,
    /// Neither.
    #[default]
    Neither,
}

/// The results of one combination of parameter values.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SweepCell {
    /// For each parameter the index of its value.
    pub at: Vec<usize>,
    /// The results that there are; a seed whose run failed is left out.
    pub results: Vec<SeedValue>,
    /// Runs that ended before there was a value, such as the median delay of a run in
    /// which fewer than half of the deliveries were made.
    #[serde(default)]
    pub not_reached: u32,
}

/// The result of one run.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct SeedValue {
    /// The run's seed.
    pub seed: u64,
    /// The measured value, in the metric's unit.
    pub value: f64,
}

impl SweepData {
    /// Reads the data of a page, as [`SweepData::to_json`] wrote them.
    ///
    /// # Errors
    ///
    /// [`DataError`] for a text that is too large, not JSON, or of another shape.
    pub fn from_json(text: &str) -> Result<Self, DataError> {
        from_json(text)
    }

    /// Writes the data as JSON.
    ///
    /// # Errors
    ///
    /// [`DataError::Json`] never happens for these types, but is passed on.
    pub fn to_json(&self) -> Result<String, DataError> {
        Ok(serde_json::to_string(self)?)
    }
}

impl SweepMetric {
    /// The runs at `at` that ended before there was a value.
    pub fn not_reached_at(&self, at: &[usize]) -> u32 {
        self.cells.iter().filter(|cell| cell.at == at).map(|cell| cell.not_reached).sum()
    }

    /// The ends of an interval, within what there can be.
    pub fn ends(&self, interval: &Interval) -> (f64, f64) {
        let (low, high) = interval.ends();
        (low.max(self.least.unwrap_or(low)), high.min(self.most.unwrap_or(high)))
    }

    /// Whether some end of an interval is cut.
    pub fn is_cut(&self, interval: &Interval) -> bool {
        self.ends(interval) != interval.ends()
    }

    /// The finite results at `at`, in order of seed; empty when there are none.
    pub fn values_at(&self, at: &[usize]) -> Vec<f64> {
        let cells = self.cells.iter().filter(|cell| cell.at == at);
        let mut results: Vec<_> =
            cells.flat_map(|cell| &cell.results).filter(|it| it.value.is_finite()).collect();
        results.sort_by_key(|it| it.seed);
        results.into_iter().map(|it| it.value).collect()
    }
}

impl Swept {
    /// The values as finite numbers that all differ, if they are.
    pub fn numbers(&self) -> Option<Vec<f64>> {
        let number = |text: &String| text.trim().parse::<f64>().ok().filter(|it| it.is_finite());
        let numbers: Vec<f64> = self.values.iter().map(number).collect::<Option<_>>()?;
        let mut sorted = numbers.clone();
        sorted.sort_by(f64::total_cmp);
        sorted.dedup();
        (sorted.len() == numbers.len() && !numbers.is_empty()).then_some(numbers)
    }

    /// [`Self::title`] in `chars` if that can be: without the tables before the key, and
    /// then without the unit.
    pub fn title_within(&self, chars: usize) -> String {
        let unit = if self.unit.is_empty() { String::new() } else { format!(" ({})", self.unit) };
        let places =
            self.name.match_indices('.').map(|(at, _)| format!("…{}", &self.name[at + 1..]));
        let names: Vec<_> = std::iter::once(self.name.clone()).chain(places).collect();
        let titles = names.iter().map(|name| format!("{name}{unit}")).chain(names.last().cloned());
        let fits = |title: &String| title.chars().count() <= chars;
        let last = || names.last().cloned().unwrap_or_default();
        titles.clone().find(fits).unwrap_or_else(last)
    }

    /// The name with its unit, for an axis.
    pub fn title(&self) -> String {
        if self.unit.is_empty() {
            self.name.clone()
        } else {
            format!("{} ({})", self.name, self.unit)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::html::testing;

    #[test]
    fn json_gives_back_the_same_sweep() {
        let data = testing::sweep(2);
        assert_eq!(SweepData::from_json(&data.to_json().unwrap()).unwrap(), data);
    }

    #[test]
    fn results_come_in_order_of_seed_and_finite() {
        let result = |seed, value| SeedValue { seed, value };
        let results = vec![result(3, 0.3), result(1, 0.1), result(2, f64::NAN)];
        let cells = vec![SweepCell { at: vec![0], results, not_reached: 0 }];
        let metric = SweepMetric {
            name: String::new(),
            unit: String::new(),
            better: Better::Higher,
            least: None,
            most: None,
            cells,
        };
        assert_eq!(metric.values_at(&[0]), [0.1, 0.3]);
        assert!(metric.values_at(&[1]).is_empty());
    }

    #[test]
    fn a_long_key_loses_its_tables_first() {
        let name = "faults.partition[0].for_epochs".to_owned();
        let swept = Swept { name, unit: "epochs".into(), values: Vec::new() };
        for (chars, title) in [
            (60, "faults.partition[0].for_epochs (epochs)"),
            (34, "…partition[0].for_epochs (epochs)"),
            (25, "…for_epochs (epochs)"),
            (14, "…for_epochs"),
            (3, "…for_epochs"),
        ] {
            assert_eq!(swept.title_within(chars), title);
        }
    }

    #[test]
    fn values_are_numbers_only_if_all_are() {
        let swept = |values: &[&str]| Swept {
            values: values.iter().map(|&it| it.to_owned()).collect(),
            ..Swept::default()
        };
        assert_eq!(swept(&["0.1", " 2"]).numbers(), Some(vec![0.1, 2.0]));
        for values in [&["0.1", "mean"][..], &["1", "1.0"], &["inf", "1"], &[]] {
            assert_eq!(swept(values).numbers(), None, "{values:?}");
        }
    }
}
