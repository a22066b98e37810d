//! Sweeps: one scenario with some of its values varied.

use serde::{Deserialize, Serialize};
use toml::{Table, Value};

use super::{Scenario, ScenarioError};

/// Combinations of a sweep at most, seeds included.
pub const CELLS_MAX: usize = 10_000;

/// Which values are varied, and with which seeds each combination is run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Sweep {
    /// Seeds; the scenario's own when empty.
    #[serde(default)]
    pub seeds: Vec<u64>,
    /// The values that are varied; every combination of them is run.
    pub axis: Vec<Axis>,
}

/// One value that is varied.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Axis {
    /// Its key with its tables: `contacts.random-pairwise.probability` or
    /// `faults.partition[0].for_epochs`.
    pub key: String,
    /// Its unit for the figures.
    #[serde(default)]
    pub unit: String,
    /// What it takes in turn.
    pub values: Vec<Value>,
}

/// One run of a sweep.
#[derive(Debug, Clone, PartialEq)]
pub struct Cell {
    /// For each axis the place of its value.
    pub at: Vec<usize>,
    /// What is run; without a sweep of its own.
    pub scenario: Scenario,
}

/// Why a scenario gives no sweep.
#[derive(Debug, thiserror::Error)]
pub enum SweepError {
    /// The scenario has no sweep.
    #[error("the scenario has no [[sweep.axis]]: name a key and its values there")]
    None,
    /// The scenario that is varied cannot be used itself.
    #[error(transparent)]
    Base(#[from] ScenarioError),
    /// A key leads nowhere.
    #[error("sweep.axis: the scenario has no `{0}` to vary; write it down with some value")]
    Key(String),
    /// The text is not TOML any more; cannot happen for a scenario that was read.
    #[error("the scenario cannot be read: {0}")]
    Toml(#[from] toml::de::Error),
    /// A value does not fit; says which combination.
    #[error("sweep: with {combination}: {source}")]
    Scenario {
        /// The combination.
        combination: String,
        /// What is wrong.
        source: ScenarioError,
    },
}

/// All runs of the sweep in the scenario's `text`, seeds innermost.
pub fn cells(text: &str) -> Result<(Sweep, Vec<Cell>), SweepError> {
    let sweep = Scenario::from_toml(text)?.sweep;
    let sweep = sweep.filter(|it| !it.axis.is_empty()).ok_or(SweepError::None)?;
    let mut base: Table = toml::from_str(text)?;
    base.remove("sweep");
    let mut cells = Vec::new();
    for at in combinations(&sweep) {
        let mut table = base.clone();
        let mut combination = Vec::new();
        for (axis, &place) in sweep.axis.iter().zip(&at) {
            set(&mut table, &axis.key, axis.values[place].clone())?;
            combination.push(format!("{} = {}", axis.key, axis.values[place]));
        }
        let scenario = Scenario::from_toml(&table.to_string()).map_err(|source| {
            SweepError::Scenario { combination: combination.join(", "), source }
        })?;
        let seeds = if sweep.seeds.is_empty() { vec![scenario.seed] } else { sweep.seeds.clone() };
        for seed in seeds {
            cells.push(Cell { at: at.clone(), scenario: Scenario { seed, ..scenario.clone() } });
        }
    }
    Ok((sweep, cells))
}

impl Sweep {
    /// How many runs it has.
    pub(super) fn runs(&self) -> usize {
        let lengths = self.axis.iter().map(|axis| axis.values.len());
        lengths.fold(self.seeds.len().max(1), usize::saturating_mul)
    }
}

/// Whether two values are one: `1` and `1.0` are.
pub(super) fn is_same(one: &Value, other: &Value) -> bool {
    let number = |value: &Value| value.as_float().or(value.as_integer().map(|it| it as f64));
    match (one.as_integer(), other.as_integer()) {
        (Some(one), Some(other)) => one == other,
        _ => one == other || number(one).is_some_and(|it| number(other) == Some(it)),
    }
}

fn combinations(sweep: &Sweep) -> Vec<Vec<usize>> {
    let mut all = vec![Vec::new()];
    for axis in &sweep.axis {
        let longer = |at: &Vec<usize>| {
            let at = at.clone();
            (0..axis.values.len()).map(move |place| [&at[..], &[place]].concat())
        };
        all = all.iter().flat_map(longer).collect();
    }
    all
}

/// Sets the value at `key`, whose tables must be there.
fn set(table: &mut Table, key: &str, value: Value) -> Result<(), SweepError> {
    let nowhere = || SweepError::Key(key.to_owned());
    let (path, last) = key.rsplit_once('.').map_or((None, key), |(path, last)| (Some(path), last));
    let mut table = table;
    for part in path.iter().flat_map(|path| path.split('.')) {
        let (name, index) = match part.split_once('[') {
            Some((name, rest)) => (name, rest.trim_end_matches(']').parse::<usize>().ok()),
            None => (part, None),
        };
        let mut found = table.get_mut(name).ok_or_else(nowhere)?;
        if let Some(index) = index {
            let list = found.as_array_mut().ok_or_else(nowhere)?;
            found = list.get_mut(index).ok_or_else(nowhere)?;
        }
        table = found.as_table_mut().ok_or_else(nowhere)?;
    }
    table.insert(last.to_owned(), value);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing;

    fn swept(sweep: &str) -> Result<(Sweep, Vec<Cell>), SweepError> {
        cells(&format!("{}\n{sweep}", testing::scenario().to_toml()))
    }

    #[test]
    fn every_combination_is_run_with_every_seed() {
        let (_, cells) = swept(
            "[sweep]\nseeds = [1, 2]\n[[sweep.axis]]\nkey = \"epochs\"\nvalues = [3, 4, 5]\n\
             [[sweep.axis]]\nkey = \"recipe.quorum\"\nvalues = [1, 2]\n",
        )
        .expect("a sweep");
        assert_eq!(cells.len(), 12);
        let last = &cells[11];
        assert_eq!(last.at, [2, 1]);
        assert_eq!((last.scenario.seed, last.scenario.epochs.get()), (2, 5));
        assert_eq!(last.scenario.recipe.quorum, 2);
    }

    #[test]
    fn refuses_what_leads_nowhere_or_does_not_fit() {
        let axis = |key: &str, values: &str| {
            let text = format!("[[sweep.axis]]\nkey = \"{key}\"\nvalues = {values}\n");
            swept(&text).expect_err("no sweep").to_string()
        };
        assert!(axis("nowhere.at", "[1]").contains("nowhere.at"));
        assert!(axis("faults.partition[3].for_epochs", "[1]").contains("partition[3]"));
        assert!(axis("epochs", "[0]").contains("epochs = 0"));
        assert!(axis("epochs", "[]").contains("sweep.axis[0].values: name at least one"));
        assert!(matches!(swept("[sweep]\nseeds = [1]\naxis = []\n"), Err(SweepError::None)));
        assert!(matches!(cells(&testing::scenario().to_toml()), Err(SweepError::None)));
    }
}
