//! The command line: exit codes, output and error messages.

use std::fs;
use std::path::PathBuf;
use std::process::{Command, Output};

const TINY: &str = r#"
name = "tiny"
seed = 1
peers = 2
epochs = 2
epoch_ms = 1000
contacts = "all-pairs"
task = { model = "mlp:4-2", data = "edgesense" }
training = { mode = "synthetic", steps = 1, batch = 1, rate = 0.1, pace_ms = 10 }
recipe = { rule = "mean", quorum = 2 }
"#;

fn simnet(arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_longhaul-simnet"));
    command.args(arguments).output().expect("the program starts")
}

/// A folder of its own for each test.
fn folder(test: &str) -> PathBuf {
    let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!("simnet-{test}"));
    fs::create_dir_all(&folder).expect("a folder for the test");
    folder
}

/// Writes `text` as a scenario and gives its path.
fn file(test: &str, text: &str) -> String {
    let path = folder(test).join("scenario.toml");
    fs::write(&path, text).expect("a scenario file");
    path.to_str().expect("a plain path").to_owned()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).expect("text")
}

#[test]
fn a_run_that_passes_exits_with_0() {
    let output = simnet(&["run", &file("pass", TINY)]);
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    let printed = text(&output.stdout);
    assert!(printed.contains("pass  all 2 peers trained"), "{printed}");
    assert!(output.stderr.is_empty(), "{}", text(&output.stderr));
}

#[test]
fn a_failed_check_exits_with_1() {
    let scenario = format!("{TINY}\n[checks.by_end]\nmean_lag_min = 1.5\n");
    let output = simnet(&["run", &file("fail", &scenario)]);
    assert_eq!(output.status.code(), Some(1), "{}", text(&output.stderr));
    assert!(text(&output.stdout).contains("FAIL  end: mean lag at least 1.5"));
}

#[test]
fn bad_input_exits_with_2_and_says_why() {
    let unknown_key = file("bad", &TINY.replace("seed = 1", "seed = 1\nsede = 2"));
    let no_model = file("model", &TINY.replace("mlp:4-2", "gpt"));
    let no_folder = TINY.replace("mode = \"synthetic\", ", "").replace("\"edgesense\"", "\"idx\"");
    let no_folder = file("folder", &no_folder);
    for (arguments, says) in [
        (vec!["run", &unknown_key], "line 4"),
        (vec!["check", &unknown_key], "sede"),
        (vec!["run", &no_model], "task.model: there is no model `gpt`"),
        (vec!["run", &no_folder], "--data DIR"),
        (vec!["run", &no_folder, "--data", "no-such-folder"], "no-such-folder"),
        (vec!["run", "no-such-scenario"], "longhaul-simnet list"),
        (vec!["run", "smoke", "--sede", "2"], "--sede"),
    ] {
        let output = simnet(&arguments);
        assert_eq!(output.status.code(), Some(2), "{arguments:?}");
        let printed = text(&output.stderr);
        assert!(printed.contains(says), "{arguments:?}: {printed}");
    }
}

#[test]
fn writes_csv_report_and_scenario() {
    let out = folder("out").join("results");
    let name = out.to_str().expect("a plain path");
    let output = simnet(&["run", &file("out", TINY), "--seed", "9", "--out", name, "--json"]);
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    let report: serde_json::Value = serde_json::from_slice(&output.stdout).expect("JSON");
    assert_eq!(report["seed"], 9);
    assert_eq!(report["passed"], true);
    let written = fs::read(out.join("report.json")).expect("a report");
    let written: serde_json::Value = serde_json::from_slice(&written).expect("JSON");
    assert_eq!(written, report);
    let csv = fs::read_to_string(out.join("metrics.csv")).expect("a CSV");
    assert!(csv.starts_with("time_ms,epoch,peer,metric,value\n"), "{csv}");
    let again = out.join("scenario.toml");
    let again = simnet(&["run", again.to_str().expect("a plain path"), "--json"]);
    let again: serde_json::Value = serde_json::from_slice(&again.stdout).expect("JSON");
    assert_eq!(again["digest"], report["digest"]);
}

#[test]
fn lists_and_prints_the_built_in_scenarios() {
    let listed = text(&simnet(&["list"]).stdout);
    for name in ["smoke", "protocol", "rare-contacts", "label-split"] {
        assert!(listed.contains(name), "{listed}");
        let printed = simnet(&["check", name]);
        assert_eq!(printed.status.code(), Some(0), "{name}");
        let again = simnet(&["check", &file(name, &text(&printed.stdout))]);
        assert_eq!(again.stdout, printed.stdout, "{name}");
    }
}

#[test]
fn every_command_shows_an_example() {
    for command in ["run", "check", "list"] {
        let help = text(&simnet(&[command, "--help"]).stdout);
        assert!(help.contains("longhaul-simnet "), "{command}: {help}");
        assert!(help.contains("Example"), "{command}: {help}");
    }
}
