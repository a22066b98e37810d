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
    assert!(printed.contains("first event after 0."), "{printed}");
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
    let short = file("short", &TINY.replace("epoch_ms = 1000", "epoch_ms = 99"));
    let no_model = file("model", &TINY.replace("mlp:4-2", "gpt"));
    let no_folder = TINY.replace("mode = \"synthetic\", ", "").replace("\"edgesense\"", "\"idx\"");
    let no_folder = file("folder", &no_folder);
    for (arguments, says) in [
        (vec!["run", &unknown_key], "line 4"),
        (vec!["check", &unknown_key], "sede"),
        (vec!["run", &no_model], "task.model: there is no model `gpt`"),
        (vec!["check", &no_model], "task.model: there is no model `gpt`"),
        (vec!["check", &short], "choose 100 ms to"),
        (vec!["run", &no_folder], "--data DIR"),
        (vec!["run", &no_folder, "--data", "no-such-folder"], "no-such-folder"),
        (vec!["run", "no-such-scenario"], "longhaul-simnet list-scenarios"),
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
    let wall = |key: &str| report["wall"][key].as_f64().expect("a time");
    assert!(wall("first_event_s") > 0.0 && wall("first_event_s") <= wall("total_s"));
    let written = fs::read(out.join("report.json")).expect("a report");
    let written: serde_json::Value = serde_json::from_slice(&written).expect("JSON");
    assert_eq!(written, report);
    let csv = fs::read_to_string(out.join("metrics.csv")).expect("a CSV");
    assert!(csv.starts_with("time_ms,epoch,peer,group,metric,value\n"), "{csv}");
    let page = fs::read_to_string(out.join("report.html")).expect("a page");
    assert!(page.starts_with("<!DOCTYPE html>") && page.contains("tiny"), "{page}");
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
    for command in [
        "run",
        "resume",
        "bench",
        "sweep",
        "replay",
        "diff",
        "shrink",
        "events",
        "report",
        "check",
        "list-scenarios",
    ] {
        let help = text(&simnet(&[command, "--help"]).stdout);
        assert!(help.contains("longhaul-simnet "), "{command}: {help}");
        assert!(help.contains("Example"), "{command}: {help}");
    }
}

/// Writes a run's folder and gives its path.
fn run_folder(test: &str, scenario: &str, arguments: &[&str]) -> String {
    let out = folder(test).join("run");
    let name = out.to_str().expect("a plain path").to_owned();
    let path = out.with_file_name("scenario.toml");
    fs::write(&path, scenario).expect("a scenario file");
    let path = path.to_str().expect("a plain path");
    // A snapshot of the last time is not written over.
    let _ = fs::remove_dir_all(&out);
    let output = simnet(&[&["run", path, "--out", &name], arguments].concat());
    assert!(output.status.code().is_some_and(|code| code < 2), "{}", text(&output.stderr));
    name
}

#[test]
fn a_replay_is_the_same_and_stops_where_it_is_told() {
    let run = run_folder("replay", TINY, &[]);
    let crowd = run_folder("replay-crowd", &TINY.replace("peers = 2", "peers = 4"), &[]);
    let output = simnet(&["replay", &run]);
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    assert!(text(&output.stdout).starts_with("the same: "), "{}", text(&output.stdout));
    let output = simnet(&["replay", &run, "--to", "20"]);
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    let printed = text(&output.stdout);
    assert!(printed.contains("the same: 21 events"), "{printed}");
    let shown = printed.lines().find(|line| line.starts_with("       20  ")).expect("event 20");
    let listed = text(&simnet(&["events", &run, "--from", "20", "--count", "1"]).stdout);
    assert_eq!(listed.trim_end(), shown.trim_end());
    assert!(!printed.contains("pass") && !printed.contains("FAIL"), "{printed}");
    assert!(printed.contains("event 20 at ") && printed.contains(" s, in epoch 0"), "{printed}");
    let peers = printed.lines().skip_while(|line| !line.starts_with(" peer ")).skip(1);
    let peers: Vec<_> = peers.take_while(|line| !line.is_empty()).collect();
    assert!(peers.len() == 2 && peers[0].trim_start().starts_with("0  "), "{printed}");
    assert!(!printed.contains("accuracy: worst") && !printed.contains("mean lag"), "{printed}");
    // Planned contacts are events as well: the second one has not begun.
    let printed = text(&simnet(&["replay", &crowd, "--to", "0"]).stdout);
    assert!(printed.contains("1 events in 0 simulated seconds"), "{printed}");
    assert!(printed.contains("1 contacts, "), "{printed}");
}

#[test]
fn diff_names_the_first_event_in_which_two_runs_part() {
    let one = run_folder("diff-one", TINY, &[]);
    let two = run_folder("diff-two", TINY, &["--seed", "2"]);
    let same = simnet(&["diff", &one, &one]);
    assert_eq!(same.status.code(), Some(0), "{}", text(&same.stderr));
    let parted = simnet(&["diff", &one, &two]);
    assert_eq!(parted.status.code(), Some(1), "{}", text(&parted.stderr));
    let printed = text(&parted.stdout);
    assert!(printed.starts_with("the runs part at event "), "{printed}");
    assert!(printed.contains("their scenarios differ:\n  seed: 1 | 2\n"), "{printed}");
    let listed = text(&simnet(&["events", &one, "--kind", "start"]).stdout);
    assert_eq!(listed.lines().count(), 2, "{listed}");
}

#[test]
fn a_damaged_or_cut_event_log_is_refused() {
    let whole = run_folder("undamaged", TINY, &[]);
    let run = run_folder("damaged", TINY, &[]);
    let log = std::path::Path::new(&run).join("events.log");
    let bytes = fs::read(&log).expect("a log");
    let mut flipped = bytes.clone();
    flipped[bytes.len() / 2] ^= 1;
    let cut = bytes[..bytes.len() - 1].to_vec();
    for (damaged, says) in [(flipped, "damaged"), (cut, "was cut off"), (vec![], "was cut off")] {
        fs::write(&log, damaged).expect("a damaged log");
        for arguments in [
            &["events", &run, "--count", "100000"][..],
            &["diff", &run, &whole],
            &["diff", &whole, &run],
            &["replay", &run],
        ] {
            let output = simnet(arguments);
            assert_eq!(output.status.code(), Some(2), "{arguments:?}: {}", text(&output.stdout));
            let printed = text(&output.stderr);
            assert!(printed.contains(says) && printed.contains("events.log"), "{printed}");
        }
        // It is told before a run is made: one of this scenario could not even begin.
        let needs_data = TINY.replace("mode = \"synthetic\", ", "").replace("edgesense", "idx");
        fs::write(log.with_file_name("scenario.toml"), needs_data).expect("a scenario file");
        let output = simnet(&["replay", &run]);
        assert!(text(&output.stderr).contains(says), "{}", text(&output.stderr));
        fs::copy(file("damaged-plain", TINY), log.with_file_name("scenario.toml")).expect("a copy");
    }
    // What is whole is listed all the same: here all but the index at the end.
    fs::write(&log, &bytes[..bytes.len() - 1]).expect("a cut log");
    let listed = text(&simnet(&["events", &run, "--count", "100000"]).stdout);
    assert_eq!(listed, text(&simnet(&["events", &whole, "--count", "100000"]).stdout));
}

/// Files that must not depend on how often a run was interrupted.
const OUTCOME: [&str; 5] =
    ["scenario.toml", "events.log", "metrics.csv", "metrics.parquet", "contacts.csv"];

#[test]
fn a_killed_run_goes_on_to_the_same_end() {
    let scenario = TINY.replace("epochs = 2", "epochs = 6");
    let run = run_folder("snapshot", &scenario, &["--snapshot-epochs", "2"]);
    let run = std::path::Path::new(&run);
    let read = |name: &str| fs::read(run.join(name)).expect("a file of the run");
    let (whole, before) = (read("snapshot"), OUTCOME.map(read));
    for share in [1, 5, 9] {
        // What a kill leaves: a scenario, a snapshot that ends anywhere, half a log.
        fs::write(run.join("snapshot"), &whole[..whole.len() * share / 10]).expect("a cut");
        for name in OUTCOME.into_iter().skip(1) {
            fs::write(run.join(name), "half").expect("a half-written file");
        }
        let output = simnet(&["resume", run.to_str().expect("a plain path")]);
        assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
        assert!(text(&output.stdout).contains("answers taken"), "{}", text(&output.stdout));
        assert_eq!(OUTCOME.map(read), before);
    }
}

#[test]
fn a_changed_scenario_begins_from_a_snapshot() {
    let run = run_folder("what-if", TINY, &["--snapshot-epochs", "1"]);
    let snapshot = std::path::Path::new(&run).join("snapshot");
    let before = fs::read(&snapshot).expect("a snapshot");
    let crash = "\n[[faults.crash]]\npeers = { peers = [1] }\nat_epoch = 1.5\nfor_epochs = 0.2\n";
    let changed = file("what-if-changed", &format!("{TINY}{crash}"));
    let out = folder("what-if-out").join("run");
    let out = out.to_str().expect("a plain path");
    let output = simnet(&["resume", &run, "--scenario", &changed, "--out", out]);
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    let printed = text(&output.stdout);
    // Four trainings, and one model to measure; the crash is later than all of them.
    assert!(printed.contains("snapshot: 5 answers taken, 0 computed"), "{printed}");
    assert!(printed.contains("faults.crash[0] ended processes (1 times)"), "{printed}");
    assert_eq!(fs::read(&snapshot).expect("a snapshot"), before);
}

#[test]
fn a_snapshot_is_never_written_over() {
    let run = run_folder("kept", TINY, &["--snapshot-epochs", "1"]);
    let snapshot = std::path::Path::new(&run).join("snapshot");
    let before = fs::read(&snapshot).expect("a snapshot");
    let scenario = std::path::Path::new(&run).with_file_name("scenario.toml");
    let scenario = scenario.to_str().expect("a plain path");
    let around = format!("{run}/../run");
    let made = format!("{run}/made/..");
    let mut commands = vec![
        vec!["run", scenario, "--out", &run],
        vec!["run", scenario, "--out", &run, "--snapshot-epochs", "1"],
        vec!["resume", &run, "--scenario", scenario, "--out", &run],
        vec!["resume", &run, "--scenario", scenario, "--out", &around],
        vec!["resume", &run, "--scenario", scenario, "--out", &made],
        vec!["run", scenario, "--out", &made],
    ];
    let link = std::path::Path::new(&run).with_file_name("link");
    #[cfg(unix)]
    {
        let _ = fs::remove_file(&link);
        std::os::unix::fs::symlink(&run, &link).expect("a link");
        let link = link.to_str().expect("a plain path");
        commands.push(vec!["resume", &run, "--scenario", scenario, "--out", link]);
    }
    for arguments in commands {
        let output = simnet(&arguments);
        assert_eq!(output.status.code(), Some(2), "{arguments:?}: {}", text(&output.stdout));
        let printed = text(&output.stderr);
        assert!(printed.contains("longhaul-simnet resume"), "{arguments:?}: {printed}");
        assert_eq!(fs::read(&snapshot).expect("a snapshot"), before);
    }
    // A run that was killed before it kept anything says how to go on.
    fs::write(&snapshot, &before[..9]).expect("a torn snapshot");
    let output = simnet(&["resume", &run]);
    assert_eq!(output.status.code(), Some(2));
    assert!(text(&output.stderr).contains("delete it and run"), "{}", text(&output.stderr));
    // What was being written at the kill is counted.
    fs::write(&snapshot, &before[..before.len() - 1]).expect("a torn snapshot");
    for damaged in ["1 damaged", "0 damaged"] {
        let printed = text(&simnet(&["resume", &run]).stdout);
        assert!(printed.contains(&format!("{damaged} records computed again")), "{printed}");
    }
}

#[test]
fn a_seal_that_cannot_be_is_refused_with_its_line() {
    let seal = |window, every| {
        let seal = format!(", seal = {{ window_epochs = {window}, every_epochs = {every} }} }}");
        TINY.replace("epochs = 2", "epochs = 20")
            .replace("quorum = 2 }", &format!("quorum = 2{seal}"))
    };
    for (name, text_of, says) in [
        ("seal-short", seal(11, 3), "recipe.seal.window_epochs: 11 is not between 12"),
        ("seal-often", seal(12, 0), "recipe.seal.every_epochs: 0 is not between 1"),
        ("seal-never", seal(19, 3), "20 epochs are too few"),
    ] {
        let output = simnet(&["check", &file(name, &text_of)]);
        assert_eq!(output.status.code(), Some(2), "{}", text(&output.stdout));
        let printed = text(&output.stderr);
        assert!(printed.contains(says) && printed.contains("line 10"), "{printed}");
    }
    assert!(simnet(&["check", &file("seal-sound", &seal(12, 3))]).status.success());
}

#[test]
fn resuming_something_else_is_refused_with_a_reason() {
    let crash = "\n[[faults.crash]]\npeers = { peers = [1] }\nat_epoch = 0.9\nfor_epochs = 0.05\n";
    let run = run_folder("other", &format!("{TINY}{crash}"), &["--snapshot-epochs", "1"]);
    let plain = run_folder("no-snapshot", TINY, &[]);
    let _ = fs::remove_file(std::path::Path::new(&plain).join("snapshot"));
    let mixed = run_folder("mixed", TINY, &["--snapshot-epochs", "1"]);
    let changed = TINY.replace("seed = 1", "seed = 2");
    fs::write(std::path::Path::new(&mixed).join("scenario.toml"), changed).expect("a file");
    for (arguments, says) in [
        (vec!["resume", "no-such-folder"], "no-such-folder is no folder of a run"),
        (vec!["replay", "no-such-folder"], "no-such-folder is no folder of a run"),
        (vec!["resume", &plain], "`run --snapshot-epochs K` writes one"),
        (vec!["resume", &mixed], "is not the scenario of the snapshot"),
        (vec!["resume", &run, "--plant-bug"], "the run is not that of the snapshot"),
        (vec!["run", "smoke", "--snapshot-epochs", "2"], "--out"),
    ] {
        let output = simnet(&arguments);
        assert_eq!(output.status.code(), Some(2), "{arguments:?}: {}", text(&output.stdout));
        let printed = text(&output.stderr);
        assert!(printed.contains(says), "{arguments:?}: {printed}");
    }
}

#[test]
fn a_bench_tells_what_it_used() {
    let output = simnet(&["bench", "transport", "--json"]);
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stdout));
    let lines: serde_json::Value = serde_json::from_slice(&output.stdout).expect("JSON");
    let line = &lines[0];
    assert_eq!((&line["name"], &line["failed"]), (&"transport".into(), &serde_json::json!([])));
    assert!(
        line["events"].as_u64() > Some(1_000_000) && line["wall_s"].as_f64() > Some(0.0),
        "{line}"
    );
    let output = simnet(&["bench", "conference"]);
    assert_eq!(output.status.code(), Some(2));
    assert!(text(&output.stderr).contains("--data DIR"), "{}", text(&output.stderr));
}

/// Twenty peers and six faults, of which one matters to the planted bug.
const FAULTY: &str = r#"
name = "faulty"
seed = 5
peers = 20
epochs = 20
epoch_ms = 10000
drain_epochs = 2
contacts = { random-pairwise = { probability = 1.0, duration_ms = 4000 } }
task = { model = "mlp:4-2", data = "edgesense" }
training = { mode = "synthetic", steps = 1, batch = 1, rate = 0.1, pace_ms = 10 }
recipe = { rule = "mean", quorum = 2 }

[[faults.partition]]
shape = "halves"
at_epoch = 2
for_epochs = 4

[[faults.partition]]
shape = "majority-ring"
at_epoch = 8
for_epochs = 3

[[faults.clock]]
peers = { random = 3 }
step_ms = 700
at_epoch = 5

[[faults.clog]]
peers = { spread = 5 }
rate_bytes_per_s = 2000
at_epoch = 3
for_epochs = 5

[[faults.crash]]
peers = { peers = [1] }
at_epoch = 9.5
for_epochs = 0.2

[[faults.partition]]
shape = { isolate = {} }
at_epoch = 12
for_epochs = 2
"#;

#[test]
fn shrinking_finds_the_fault_that_matters() {
    let sound = simnet(&["run", &file("faulty", FAULTY)]);
    assert_eq!(sound.status.code(), Some(0), "{}", text(&sound.stdout));
    let scenario = file("shrink", FAULTY);
    let failed = simnet(&["run", &scenario, "--plant-bug"]);
    assert_eq!(failed.status.code(), Some(1), "{}", text(&failed.stdout));
    assert!(text(&failed.stdout).contains("FAIL  no honest peer signed a slot twice"));
    let shrunk = simnet(&["shrink", &scenario, "--plant-bug"]);
    assert_eq!(shrunk.status.code(), Some(0), "{}", text(&shrunk.stderr));
    let smallest = text(&shrunk.stdout);
    assert!(smallest.contains("peers = 2\n"), "{smallest}");
    assert_eq!(smallest.matches("[[faults.").count(), 1, "{smallest}");
    assert!(smallest.contains("[[faults.crash]]"), "{smallest}");
}

#[test]
fn a_sweep_goes_on_where_it_was() {
    let sweep = format!(
        "{TINY}\n[sweep]\nseeds = [1, 2]\n[[sweep.axis]]\nkey = \"recipe.quorum\"\nvalues = [1, 2]\n"
    );
    let scenario = file("sweep", &sweep);
    let out = folder("sweep-out");
    // What an earlier test run left would be taken for finished cells.
    fs::remove_dir_all(&out).expect("an old folder goes");
    let name = out.to_str().expect("a plain path");
    let first = simnet(&["sweep", &scenario, "--out", name]);
    assert_eq!(first.status.code(), Some(0), "{}", text(&first.stderr));
    let cells: Vec<_> = fs::read_dir(out.join("cells")).expect("cells").flatten().collect();
    assert_eq!(cells.len(), 4);
    let csv = fs::read(out.join("sweep.csv")).expect("a CSV");
    fs::remove_file(cells[0].path()).expect("a cell");
    let again = simnet(&["sweep", &scenario, "--out", name]);
    assert_eq!(again.status.code(), Some(0), "{}", text(&again.stderr));
    assert_eq!(fs::read(out.join("sweep.csv")).expect("a CSV"), csv);
    let none = simnet(&["sweep", &file("no-sweep", TINY), "--out", name]);
    assert_eq!(none.status.code(), Some(2));
    assert!(text(&none.stderr).contains("[[sweep.axis]]"), "{}", text(&none.stderr));
}

/// A sweep over two quorums that trains on the IDX files of `--data`.
fn idx_sweep(test: &str) -> String {
    let real = TINY.replace("mode = \"synthetic\", ", "").replace("edgesense", "idx");
    let axis = "[[sweep.axis]]\nkey = \"recipe.quorum\"\nvalues = [1, 2]\n";
    file(test, &format!("{real}\n{axis}"))
}

/// Writes a hundred images of 2 x 2, of which every `every`-th is of class 1.
fn idx_files(folder: &std::path::Path, every: u8) -> String {
    fs::create_dir_all(folder).expect("a folder");
    let head = |words: &[u32]| words.iter().flat_map(|it| it.to_be_bytes()).collect::<Vec<u8>>();
    let pixels = [7, 50, 90, 200].repeat(100);
    let labels = (0..100).map(|at: u8| u8::from(at.is_multiple_of(every))).collect();
    let images = [head(&[0x803, 100, 2, 2]), pixels].concat();
    fs::write(folder.join("t10k-images-idx3-ubyte"), images).expect("images");
    let labels = [head(&[0x801, 100]), labels].concat();
    fs::write(folder.join("t10k-labels-idx1-ubyte"), labels).expect("labels");
    folder.to_str().expect("a plain path").to_owned()
}

#[test]
fn a_cell_of_other_data_is_not_taken() {
    let scenario = idx_sweep("sweep-data");
    let out = folder("sweep-data-out");
    fs::remove_dir_all(&out).expect("an old folder goes");
    let name = out.to_str().expect("a plain path");
    let one = idx_files(&folder("sweep-data").join("one"), 2);
    let two = idx_files(&folder("sweep-data").join("two"), 3);
    let cells = || fs::read_dir(out.join("cells")).expect("cells").count();
    for (data, count) in [(&one, 2), (&two, 4), (&one, 4)] {
        let swept = simnet(&["sweep", &scenario, "--out", name, "--data", data]);
        assert_eq!(swept.status.code(), Some(0), "{}", text(&swept.stderr));
        assert_eq!(cells(), count);
    }
    // All cells are there, the data is not.
    let swept = simnet(&["sweep", &scenario, "--out", name, "--data", "no-such-folder"]);
    assert_eq!(swept.status.code(), Some(2), "{}", text(&swept.stdout));
    assert!(text(&swept.stderr).contains("no-such-folder is no folder"));
    fs::remove_file(folder("sweep-data").join("one/t10k-labels-idx1-ubyte")).expect("a file");
    let swept = simnet(&["sweep", &scenario, "--out", name, "--data", &one]);
    assert_eq!(swept.status.code(), Some(2), "{}", text(&swept.stdout));
    assert!(text(&swept.stderr).contains("t10k-labels"), "{}", text(&swept.stderr));
}

#[test]
fn an_edited_cell_is_computed_again() {
    let axis = "[[sweep.axis]]\nkey = \"recipe.quorum\"\nvalues = [1, 2]\n";
    let scenario = file("sweep-edited", &format!("{TINY}\n{axis}"));
    let out = folder("sweep-edited-out");
    fs::remove_dir_all(&out).expect("an old folder goes");
    let sweep = || simnet(&["sweep", &scenario, "--out", out.to_str().expect("a plain path")]);
    assert!(sweep().status.success());
    let csv = fs::read(out.join("sweep.csv")).expect("a CSV");
    let cells = fs::read_dir(out.join("cells")).expect("cells").flatten();
    let mut cells: Vec<_> = cells.map(|cell| cell.path()).collect();
    cells.sort();
    let whole = fs::read_to_string(&cells[0]).expect("a cell");
    let other = fs::read_to_string(&cells[1]).expect("a cell");
    let edited = whole.replace("\"seed\": 1", "\"seed\": 3");
    for (damaged, says) in [
        (edited, "is not what was written there"),
        (other, "is not what was written there"),
        ("{}".to_owned(), "is not the result of a run"),
    ] {
        fs::write(&cells[0], damaged).expect("a damaged cell");
        let printed = text(&sweep().stderr);
        assert!(printed.contains(says) && printed.contains("computed again"), "{printed}");
        assert_eq!(fs::read(out.join("sweep.csv")).expect("a CSV"), csv);
        assert_eq!(fs::read_to_string(&cells[0]).expect("a cell"), whole);
    }
    assert!(sweep().stderr.is_empty());
}

#[test]
fn a_senseless_sweep_is_refused_with_its_line() {
    let sweep = |seeds: &str, axes: &[(&str, &str)]| {
        let axis = |(key, values): &(&str, &str)| {
            format!("[[sweep.axis]]\nkey = \"{key}\"\nvalues = {values}\n")
        };
        let axes = axes.iter().map(axis).collect::<String>();
        format!("{}\n[sweep]\nseeds = {seeds}\n{axes}", TINY.trim())
    };
    let quorum = ("recipe.quorum", "[1, 2]");
    for (number, (scenario, says)) in [
        (sweep("[1, 2, 1]", &[quorum]), "line 11: sweep.seeds[2]: seed 1 is listed twice"),
        (sweep("[1]", &[("epochs", "[2, 3, 2]")]), "line 14: sweep.axis[0].values[2]: 2 is"),
        (sweep("[1]", &[("training.rate", "[1, 1.0]")]), "line 14: sweep.axis[0].values[1]: 1.0"),
        (sweep("[1]", &[quorum, quorum]), "line 16: sweep.axis[1].key: `recipe.quorum` is varied"),
        (sweep("[1]", &[("seed", "[1, 2]")]), "line 13: sweep.axis[0].key: seeds are no axis"),
        (sweep("[1]", &[quorum, ("epochs", "[]")]), "line 17: sweep.axis[1].values: name"),
        (
            TINY.trim().replace("epoch_ms", "drain_epochs = 4294967295\nepoch_ms"),
            "line 5: drain_epochs: 4294967295 is not between 0 and 100000",
        ),
    ]
    .into_iter()
    .enumerate()
    {
        let path = file(&format!("senseless-{number}"), &scenario);
        let out = folder(&format!("senseless-{number}")).join("out");
        for arguments in [
            vec!["check", &path],
            vec!["sweep", &path, "--out", out.to_str().expect("a plain path")],
        ] {
            let output = simnet(&arguments);
            assert_eq!(output.status.code(), Some(2), "{arguments:?}: {}", text(&output.stdout));
            let printed = text(&output.stderr);
            assert!(printed.contains(says), "{printed}");
        }
    }
}

#[test]
fn a_folder_is_written_by_one_at_a_time_and_of_one_kind() {
    let run = run_folder("claimed", TINY, &["--snapshot-epochs", "1"]);
    let scenario = file("claimed", TINY);
    let axis = "[[sweep.axis]]\nkey = \"recipe.quorum\"\nvalues = [1]\n";
    let sweep = file("claimed-sweep", &format!("{TINY}\n{axis}"));
    let out = folder("claimed-sweep").join("out");
    let out = out.to_str().expect("a plain path");
    assert!(simnet(&["sweep", &sweep, "--out", out]).status.success());
    for (arguments, says) in [
        (["sweep", &sweep, "--out", &run], "is of a run"),
        (["run", &scenario, "--out", out], "is of a sweep"),
    ] {
        let output = simnet(&arguments);
        assert_eq!(output.status.code(), Some(2), "{}", text(&output.stdout));
        assert!(text(&output.stderr).contains(says), "{}", text(&output.stderr));
    }
    for claimed in [&run, out] {
        let lock = fs::File::create(std::path::Path::new(claimed).join("lock")).expect("a lock");
        lock.try_lock().expect("nobody writes there");
        for arguments in [
            ["run", &scenario, "--out", claimed],
            ["sweep", &sweep, "--out", claimed],
            ["resume", &run, "--out", claimed],
            ["report", claimed, "", ""],
        ] {
            let arguments: Vec<_> = arguments.into_iter().filter(|it| !it.is_empty()).collect();
            let output = simnet(&arguments);
            assert_eq!(output.status.code(), Some(2), "{}", text(&output.stdout));
            let printed = text(&output.stderr);
            let other = ["is of a run", "is of a sweep"].iter().any(|it| printed.contains(it));
            assert!(printed.contains("lock is locked: another") || other, "{printed}");
        }
    }
    assert!(simnet(&["resume", &run]).status.success());
}

#[test]
fn nothing_of_an_earlier_run_stays_beside_a_new_one() {
    let run = folder("again").join("run");
    let _ = fs::remove_dir_all(&run);
    let (name, scenario) = (run.to_str().expect("a plain path"), file("again", TINY));
    let models = || {
        let models = fs::read_dir(run.join("models")).expect("models").flatten();
        models.map(|model| model.file_name()).collect::<std::collections::BTreeSet<_>>()
    };
    assert!(simnet(&["run", &scenario, "--out", name]).status.success());
    let first = models();
    // What a run left that was killed before its manifest was there, and somebody's own.
    let old = run.join("models").join(format!("{}.f32", "ab".repeat(32)));
    fs::write(old, "old").expect("an old model");
    fs::write(run.join("models/mine.f32"), "mine").expect("a file of somebody's own");
    assert!(simnet(&["run", &scenario, "--out", name, "--seed", "2"]).status.success());
    let mut second = models();
    assert!(second.remove(std::ffi::OsStr::new("mine.f32")));
    assert!(first.is_disjoint(&second) && second.len() == first.len(), "{first:?} {second:?}");
}

#[test]
fn what_a_kill_left_says_how_to_go_on() {
    let run = run_folder("half", TINY, &["--snapshot-epochs", "1"]);
    let whole = run_folder("half-whole", TINY, &[]);
    let path = std::path::Path::new(&run);
    let log = fs::read(path.join("events.log")).expect("a log");
    fs::remove_file(path.join("report-data.json")).expect("the data of the page");
    for half in [Some(&log[..log.len() / 2]), None] {
        for with_snapshot in [true, false] {
            let snapshot = path.join("snapshot");
            let kept = fs::read(&snapshot).expect("a snapshot");
            let _ = fs::remove_file(path.join("events.log"));
            if let Some(half) = half {
                fs::write(path.join("events.log"), half).expect("half a log");
            }
            let says = match with_snapshot {
                true => format!("`longhaul-simnet resume {run}`"),
                false => format!("`longhaul-simnet run {run}/scenario.toml --out {run}`"),
            };
            if !with_snapshot {
                fs::remove_file(&snapshot).expect("a snapshot");
            }
            for arguments in [
                vec!["events", &run],
                vec!["diff", &whole, &run],
                vec!["replay", &run],
                vec!["report", &run],
            ] {
                if arguments[0] == "report" && half.is_none() && !with_snapshot {
                    continue;
                }
                let output = simnet(&arguments);
                assert_eq!(output.status.code(), Some(2), "{}", text(&output.stdout));
                let printed = text(&output.stderr);
                assert!(printed.contains(&says), "{arguments:?}: {printed}");
            }
            fs::write(&snapshot, kept).expect("a snapshot");
        }
    }
}

#[test]
fn threads_are_limited() {
    for (arguments, count) in [
        (["run", "smoke", "--workers"], "0"),
        (["run", "smoke", "--workers"], "100000"),
        (["bench", "transport", "--workers"], "1025"),
        (["sweep", "smoke", "--jobs"], "0"),
        (["replay", "nowhere", "--workers"], "1025"),
        (["resume", "nowhere", "--workers"], "1025"),
    ] {
        let output = simnet(&[&arguments[..], &[count]].concat());
        assert_eq!(output.status.code(), Some(2), "{arguments:?}");
        let printed = text(&output.stderr);
        assert!(printed.contains("1..=1024"), "{printed}");
    }
    let run = simnet(&["run", &file("threads", TINY), "--workers", "1024"]);
    assert!(run.status.success(), "{}", text(&run.stderr));
}

#[test]
fn a_sweep_tells_what_failed_and_what_was_not_reached() {
    let nobody = "{ random-pairwise = { probability = 0.0, duration_ms = 400 } }";
    let scenario = TINY.replace("\"all-pairs\"", nobody).replace("peers = 2", "peers = 3");
    let scenario = scenario
        .replace("quorum = 2", "quorum = 1")
        .replace("epochs = 2", "epochs = 4\ndrain_epochs = 0");
    let axis =
        "[[sweep.axis]]\nkey = \"contacts.random-pairwise.probability\"\nvalues = [0.0, 1.0]\n";
    let checks = "[checks.by_end]\ndelivered_min = 1.0\n";
    let scenario =
        file("sweep-failed", &format!("{scenario}\n{checks}[sweep]\nseeds = [1, 2]\n{axis}"));
    let out = folder("sweep-failed-out");
    fs::remove_dir_all(&out).expect("an old folder goes");
    let swept = simnet(&["sweep", &scenario, "--out", out.to_str().expect("a plain path")]);
    assert_eq!(swept.status.code(), Some(1), "{}", text(&swept.stderr));
    let printed = text(&swept.stdout);
    assert!(printed.contains("FAIL  end: ") && printed.contains("seeds 1, 2)"), "{printed}");
    let csv = fs::read_to_string(out.join("sweep.csv")).expect("a CSV");
    assert!(csv.lines().next().is_some_and(|head| head.contains(",failed checks,")), "{csv}");
    let alone = csv.lines().nth(1).expect("a run").split(',').collect::<Vec<_>>();
    assert!(alone[3].contains("end: ") && alone[8].is_empty(), "{csv}");
    let page = fs::read_to_string(out.join("report.html")).expect("a page");
    assert!(page.contains("Checks that failed") && page.contains("not reached"));
    let alone = simnet(&["run", &scenario]);
    assert!(text(&alone.stdout).contains("median not reached"), "{}", text(&alone.stdout));
}

#[test]
fn bare_carriers_have_no_models() {
    let out = folder("carriers").join("run");
    let name = out.to_str().expect("a plain path");
    let transport = "[transport]\nbundles_per_epoch = 2\npayload_bytes = 10\nlifetime_epochs = 4\n";
    let scenario =
        file("carriers", &format!("{}\n{transport}", TINY.replace("synthetic", "transport")));
    let run = simnet(&["run", &scenario, "--out", name]);
    assert_eq!(run.status.code(), Some(0), "{}", text(&run.stderr));
    let printed = text(&run.stdout);
    assert!(!printed.contains("0000000000") && !printed.contains("mean lag"), "{printed}");
    let page = fs::read_to_string(out.join("report.html")).expect("a page");
    assert!(!page.contains("Different models") && !page.contains("Models at the end"));
    let csv = fs::read_to_string(out.join("metrics.csv")).expect("a CSV");
    assert!(csv.contains(",updates,") && !csv.contains(",lag,"), "{csv}");
}

#[test]
fn a_replay_that_differs_shows_both_sides_and_an_edited_scenario() {
    let run = run_folder("replay-edited", TINY, &[]);
    let scenario = std::path::Path::new(&run).join("scenario.toml");
    let edited =
        fs::read_to_string(&scenario).expect("a scenario").replace("pace_ms = 10", "pace_ms = 20");
    fs::write(&scenario, edited).expect("an edited scenario");
    let output = simnet(&["replay", &run]);
    assert_eq!(output.status.code(), Some(1), "{}", text(&output.stderr));
    let printed = text(&output.stdout);
    assert!(printed.contains("\nlog:  ") && printed.contains("\nnow:  "), "{printed}");
    assert!(printed.contains("is not the scenario that was run"), "{printed}");
    let other = run_folder("replay-whole", &TINY.replace("epochs = 2", "epochs = 3"), &[]);
    let printed = text(&simnet(&["diff", &other, &run]).stdout);
    assert!(printed.contains("  epochs: 3 | 2\n"), "{printed}");
    assert!(printed.contains("  training.pace_ms: 10 | 20\n"), "{printed}");
    assert!(printed.contains("is not the scenario that was run"), "{printed}");
}
