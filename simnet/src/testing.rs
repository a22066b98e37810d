//! A small scenario for unit tests.

use crate::scenario::Scenario;

/// Four peers, three epochs of a second, synthetic training, all pairs.
const TINY: &str = r#"
name = "tiny"
seed = 1
peers = 4
epochs = 3
epoch_ms = 1000
drain_epochs = 2
contacts = "all-pairs"
task = { model = "mlp:4-2", data = "edgesense" }
training = { mode = "synthetic", steps = 2, batch = 4, rate = 0.1, pace_ms = 10 }
recipe = { rule = "mean", quorum = 2 }
metrics = { every_epochs = 1 }
"#;

pub(crate) fn scenario() -> Scenario {
    Scenario::from_toml(TINY).expect("the tiny scenario is sound")
}
