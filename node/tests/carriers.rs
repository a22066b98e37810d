//! Contacts without a network: a disk that is carried, and a pipe between two processes.

mod support;

use std::collections::BTreeSet;
use std::path::Path;

use serde_json::Value;
use support::{Federation, Plan, arg, longhaul, longhaul_ok, text};

/// The ids that `bundle ls` names.
fn ids(args: &[&str]) -> BTreeSet<String> {
    let out = longhaul_ok(&[&["bundle", "ls", "--json"], args].concat());
    let rows: Vec<Value> = serde_json::from_str(&out).expect("JSON");
    rows.iter().map(|row| row["id"].as_str().expect("an id").to_owned()).collect()
}

fn held(dir: &Path) -> BTreeSet<String> {
    ids(&["--dir", arg(dir)])
}

/// The id of the newest model in the log.
fn newest_model(dir: &Path) -> String {
    let out = longhaul_ok(&["model", "ls", "--json", "--dir", arg(dir)]);
    let rows: Vec<Value> = serde_json::from_str(&out).expect("JSON");
    rows.last().expect("a version")["model"].as_str().expect("a model id").to_owned()
}

#[test]
fn a_disk_carried_between_two_peers_makes_their_models_equal() {
    let mut federation = Federation::new("disk", Plan { peers: 2, epochs: 5, epoch_ms: 300 });
    let disk = federation.dir(9);
    let [first, second] = [federation.dir(0), federation.dir(1)];
    // One peer watches the folder, the other is alone and uses the commands.
    std::fs::create_dir(&disk).unwrap();
    federation.start_alone(0, &["--folder", arg(&disk)]);
    federation.start_alone(1, &[]);
    federation.wait();
    assert!(held(&first).is_disjoint(&held(&second)) && !held(&second).is_empty());
    // What came after the last scan of the watching peer is exported by hand.
    longhaul_ok(&["bundle", "export", "--dir", arg(&first), "--to", arg(&disk)]);
    assert_eq!(ids(&[arg(&disk)]), held(&first));
    longhaul_ok(&["bundle", "import", "--dir", arg(&second), arg(&disk)]);
    longhaul_ok(&["bundle", "export", "--dir", arg(&second), "--to", arg(&disk)]);
    federation.start_alone(0, &["--folder", arg(&disk)]);
    federation.wait();
    assert_eq!(held(&first), held(&second));
    assert_eq!(newest_model(&first), newest_model(&second));
    let again = longhaul(&["bundle", "import", "--dir", arg(&second), arg(&disk)]);
    assert!(again.status.success());
    let said = text(&again.stderr);
    assert!(said.contains("0 bundles taken, 10 known already, 0 refused"), "{said}");
    federation.remove();
}

#[test]
fn a_bad_file_is_named_and_the_others_are_taken() {
    let mut federation = Federation::new("badfile", Plan { peers: 2, epochs: 3, epoch_ms: 300 });
    let (disk, second) = (federation.dir(9), federation.dir(1));
    federation.start_alone(0, &[]);
    federation.wait();
    longhaul_ok(&["bundle", "export", "--dir", arg(&federation.dir(0)), "--to", arg(&disk)]);
    let names: Vec<_> = std::fs::read_dir(&disk).unwrap().map(|it| it.unwrap().path()).collect();
    assert_eq!(names.len(), 3);
    let mut bytes = std::fs::read(&names[0]).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    std::fs::write(&names[0], &bytes).unwrap();
    let listed = longhaul(&["bundle", "ls", arg(&disk)]);
    assert_eq!(listed.status.code(), Some(1));
    assert!(text(&listed.stdout).contains(&format!("{}: not a bundle", names[0].display())));
    let import = longhaul(&["bundle", "import", "--dir", arg(&second), arg(&disk)]);
    let said = text(&import.stderr);
    assert_eq!(import.status.code(), Some(1), "{said}");
    assert!(said.contains(&format!("{}: refused: ", names[0].display())), "{said}");
    assert!(said.contains("2 bundles taken, 0 known already, 1 refused, 0 not read"), "{said}");
    assert_eq!(held(&second).len(), 2);
    federation.remove();
}

#[test]
fn two_processes_at_the_ends_of_a_pipe_end_with_one_model() {
    let mut federation = Federation::new("pipe", Plan { peers: 2, epochs: 8, epoch_ms: 400 });
    let program = env!("CARGO_BIN_EXE_longhaul");
    let far = federation.dir(1);
    let command = format!("exec:{program} up --until-drained --pipe - --dir {}", far.display());
    federation.start_alone(0, &["--pipe", &command]);
    federation.wait();
    let [near, far] = [federation.status(0), federation.status(1)];
    assert_eq!(near["updates"], 16, "{near:#?}\n{}", federation.log(0));
    assert_eq!(near["model"], far["model"], "{near:#?} {far:#?}");
    federation.remove();
}

#[test]
fn a_pipe_over_standard_output_needs_it_alone() {
    let federation = Federation::new("stdout", Plan { peers: 2, epochs: 2, epoch_ms: 300 });
    let dir = federation.dir(0);
    let output = longhaul(&["up", "--dir", arg(&dir), "--pipe", "-", "--events"]);
    assert!(!output.status.success());
    assert!(text(&output.stderr).contains("leave out --events and --control"));
    federation.remove();
}
