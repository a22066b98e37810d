//! How strictly scenarios are read.

use longhaul_simnet::Scenario;

/// One key a line, so that a message can be checked for its line.
const GOOD: &str = r#"name = "good"
seed = 1
peers = 4
epochs = 3
epoch_ms = 1000
contacts = { random-pairwise = { probability = 0.5, duration_ms = 500 } }

[task]
model = "mlp:4-2"
data = "edgesense"

[data]
partition = { dirichlet = { alpha = 0.5 } }

[training]
mode = "synthetic"
steps = 2
batch = 4
rate = 0.1
pace_ms = 10

[recipe]
rule = "trimmed-mean"
trim = 1
quorum = 3

[[faults.partition]]
shape = { groups = [[0, 1], [2, 3]] }
at_epoch = 1
for_epochs = 1

[metrics]
every_epochs = 1
peers = [0, 3]

[checks.by_end]
equal_models = true

[[checks.at_epoch]]
epoch = 1
models_min = 2
"#;

fn message(text: &str) -> String {
    Scenario::from_toml(text).expect_err("a bad scenario").to_string()
}

#[test]
fn reads_a_good_scenario_and_what_it_prints() {
    let scenario = Scenario::from_toml(GOOD).expect("a good scenario");
    let again = Scenario::from_toml(&scenario.to_toml()).expect("what it prints");
    assert_eq!(again, scenario);
}

#[test]
fn refuses_a_bad_line_and_names_it() {
    for (good, bad, line, says) in [
        ("seed = 1", "seed = 1\nsede = 2", 3, "unknown field `sede`"),
        ("seed = 1", "seed = -1", 2, "invalid value"),
        ("peers = 4", "peers = 1", 3, "1 is not between 2 and 20000 peers"),
        ("epochs = 3", "epochs = 0", 4, "0 is not between"),
        ("name = \"good\"", "name = \"Good one\"", 1, "a name has"),
        ("probability = 0.5", "probability = 1.5", 6, "1.5 is not between 0 and 1"),
        ("random-pairwise", "random", 6, "unknown variant `random`"),
        ("duration_ms = 500", "duration_ms = 1500", 6, "longer than an epoch"),
        ("data = \"edgesense\"", "data = \"edgesense\"\nsize = 1", 11, "unknown field `size`"),
        ("alpha = 0.5", "alpha = 0.0", 13, "0 is not between 0.01 and 1000"),
        ("alpha = 0.5", "alpha = 0.5, beta = 1", 13, "unexpected keys in table: beta"),
        ("mode = \"synthetic\"", "mode = \"fast\"", 16, "unknown variant `fast`"),
        ("rate = 0.1", "rate = nan", 19, "not a learning rate"),
        ("pace_ms = 10", "pace_ms = \"10\"", 20, "invalid type"),
        ("trim = 1", "trim = 2", 24, "leaves nothing of a quorum of 3"),
        ("quorum = 3", "encoding = \"int16\"\nquorum = 3", 25, "int16: use int8, int8-coded"),
        ("quorum = 3", "encoding = \"top-k:2\"\nquorum = 3", 25, "top-k updates with a recipe"),
        ("quorum = 3", "quorum = 5", 25, "5 is not between 1 and"),
        ("for_epochs = 1", "for_epochs = 0", 30, "lasts for some time"),
        ("for_epochs = 1", "for_epochs = 4", 30, "after the last epoch"),
        ("at_epoch = 1\n", "at_epoch = 7\n", 29, "not before the end of epoch 3"),
        ("[[0, 1], [2, 3]]", "[[0, 1], [2]]", 28, "peer 3 is in no group"),
        ("[[0, 1], [2, 3]]", "[[0, 1], [1, 2, 3]]", 28, "peer 1 is listed twice"),
        ("[[0, 1], [2, 3]]", "[[0, 1, 2, 3]]", 28, "at least two groups"),
        ("[[0, 1], [2, 3]]", "[[0, 1, 2, 3], []]", 28, "group 1 is empty"),
        ("[[0, 1], [2, 3]]", "[[0, 1], [2, 3, 4]]", 28, "there is no peer 4"),
        ("every_epochs = 1", "every_epochs = 0", 33, "0 is not between 1"),
        ("peers = [0, 3]", "peers = [0, 4]", 34, "there is no peer 4"),
        ("peers = [0, 3]", "peers = []", 34, "at least one"),
        ("equal_models = true", "accuracy_min = 0.5", 37, "synthetic training has no accuracy"),
        ("\nepoch = 1", "\nepoch = 9", 40, "the run ends with epoch 4"),
    ] {
        assert!(GOOD.contains(good), "{good}");
        let message = message(&GOOD.replacen(good, bad, 1));
        assert!(message.contains(&format!("line {line}")), "{bad}: {message}");
        assert!(message.contains(says), "{bad}: {message}");
    }
}

#[test]
fn an_encoding_has_one_name_and_int8_none() {
    let with = |encoding: &str| {
        let line = format!("encoding = \"{encoding}\"\nquorum = 3");
        Scenario::from_toml(&GOOD.replacen("quorum = 3", &line, 1)).expect("a good scenario")
    };
    let plain = Scenario::from_toml(GOOD).expect("a good scenario");
    assert_eq!(with("int8"), plain);
    assert!(!plain.to_toml().contains("encoding"));
    let ternary = with("ternary");
    assert!(ternary.to_toml().contains("encoding = \"ternary:33\""));
    assert_eq!(Scenario::from_toml(&ternary.to_toml()), Ok(ternary));
}

#[test]
fn refuses_a_missing_key() {
    for line in ["name = \"good\"\n", "seed = 1\n", "quorum = 3\n", "model = \"mlp:4-2\"\n"] {
        let message = message(&GOOD.replacen(line, "", 1));
        assert!(message.contains("missing field"), "{line}: {message}");
    }
}

#[test]
fn refuses_what_is_no_toml_or_too_large() {
    assert!(message("name = ").contains("line 1"));
    assert!(message(&"#\n".repeat(1 << 20)).contains("a scenario has at most"));
}

#[test]
fn a_split_needs_two_groups() {
    let split = "{ split = { alpha = 0.3, weight = 0.1, groups = [[0], [1], [2, 3]] } }";
    let message = message(&GOOD.replacen("{ dirichlet = { alpha = 0.5 } }", split, 1));
    assert!(message.contains("two groups are needed, not 3"), "{message}");
}
