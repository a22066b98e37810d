//! `learn`: what its commands print, and what they refuse.

use std::process::{Command, Output};

use serde_json::Value;

fn learn(arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_longhaul-simnet"));
    command.arg("learn").args(arguments).output().expect("the program starts")
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).expect("text")
}

/// The rows that `--json` prints.
fn rows(arguments: &[&str]) -> Vec<Value> {
    let output = learn(&[arguments, &["--seeds", "2", "--json"]].concat());
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    serde_json::from_slice(&output.stdout).expect("a list")
}

#[test]
fn help_has_examples_of_each_comparison() {
    let help = text(&learn(&["--help"]).stdout);
    for what in ["rules", "encodings", "momentum", "stale", "gossip"] {
        assert!(help.contains(&format!("longhaul-simnet learn {what}")), "{what}: {help}");
    }
}

#[test]
fn gossip_prints_a_row_for_each_rule_and_attack() {
    let arguments = ["gossip", "--rules", "judged,alone", "--attack", "none,ipm", "--epochs", "60"];
    let rows = rows(&arguments);
    let names: Vec<_> =
        rows.iter().map(|it| (it["rule"].as_str(), it["attack"].as_str())).collect();
    let expected = [("alone", "none"), ("alone", "ipm"), ("judged", "none"), ("judged", "ipm")];
    assert_eq!(names, expected.map(|(rule, attack)| (Some(rule), Some(attack))));
    for row in &rows {
        assert_eq!(row["accuracy"].as_array().map(Vec::len), Some(2), "{row}");
        assert!(row["worst"].as_f64() <= row["mean"].as_f64(), "{row}");
    }
    assert_eq!(rows[0]["accuracy"], rows[1]["accuracy"], "who is alone hears no attack");
    let table = learn(&[&arguments[..], &["--seeds", "1", "--sorted"]].concat());
    let table = text(&table.stdout);
    assert!(table.contains("after 60 rounds") && table.contains("worst: 0."), "{table}");
}

#[test]
fn stale_takes_a_schedule_a_weight_and_how_late() {
    let few = ["stale", "--attack", "none", "--epochs", "20", "--defence", "float:diversity"];
    let own = ["--weight", "constant,polynomial:0.5", "--schedule", "cosine", "--pending", "0.5"];
    let late = ["--late-median", "3", "--late-most", "8", "--late-spread", "0"];
    let rows = rows(&[&few[..], &own, &late].concat());
    let variants: Vec<_> = rows.iter().map(|it| it["variant"].as_str().expect("a name")).collect();
    assert_eq!(variants, ["synchronous", "late, constant", "late, polynomial:0.5"]);
    let staleness: Vec<_> = rows.iter().map(|it| it["median_staleness"].as_u64()).collect();
    assert_eq!(staleness, [Some(0), Some(3), Some(3)]);
    assert_ne!(rows[1]["accuracy"], rows[2]["accuracy"]);
}

#[test]
fn bad_input_exits_with_2_and_says_why() {
    for (arguments, says) in [
        (&["gossip", "--rules", "krum"][..], "--defence: krum: use one of honest-only, alone"),
        (&["gossip", "--attacks", "x"], "--attack: x: use one of none, ipm"),
        (&["gossip", "--peers", "9"], "--peers: gossip has five honest peers"),
        (&["gossip", "--sorted", "--alpha", "1"], "--alpha"),
        (&["rules", "--sorted"], "only `learn gossip` sorts labels"),
        (&["rules", "--schedule", "cosine"], "only `learn stale` has late peers"),
        (&["stale", "--schedule", "sine"], "[possible values: constant, third, cosine]"),
        (&["stale", "--pending", "2"], "--pending 2: choose a weight from 0 to 1"),
        (&["stale", "--weight", "hinge"], "--weight: hinge: use constant, claims:QUARTERS"),
        (&["rules", "--attackers", "9"], "--attackers 9: of 17 peers fewer than half"),
    ] {
        let output = learn(arguments);
        assert_eq!(output.status.code(), Some(2), "{arguments:?}");
        let printed = text(&output.stderr);
        assert!(printed.contains(says), "{arguments:?}: {printed}");
    }
}
