//! The auditor's binary: what it prints and how it exits.

use std::path::PathBuf;
use std::process::{Command, Output};

use longhaul_dtn::hash::ContentHash;
use longhaul_registry::audit::export;

use crate::world::World;

fn run(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_longhaul-audit")).args(arguments).output().unwrap()
}

fn check(arguments: &[&str], code: i32, stdout_has: &str) -> String {
    let output = run(arguments);
    let stdout = String::from_utf8(output.stdout).unwrap();
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(code), "{arguments:?}\n{stdout}\n{stderr}");
    assert!(stdout.contains(stdout_has), "{stdout_has:?} is not in\n{stdout}");
    stderr
}

fn written(name: &str, bytes: &[u8]) -> String {
    let path = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(name);
    std::fs::write(&path, bytes).unwrap();
    path.into_os_string().into_string().unwrap()
}

#[test]
fn exits_0_when_verified() {
    let mut world = World::new();
    let file = written("good.audit", &world.file());
    let model = world.fold.model_id().to_string();
    check(&["verify", &file], 0, "verdict     verified");
    check(&["replay", &file], 0, &format!("model       {model}"));
    check(&["replay", &file, "--json"], 0, &format!("\"model\": \"{model}\""));
    let federation = world.manifest.id().to_string();
    check(&["replay", &file, "--federation", &federation], 0, "verified");
    check(&["show", &file], 0, "linear:8-4 on edgesense");
    check(&["show", &file, "--json"], 0, "\"manifest\"");
}

#[test]
fn shows_what_a_term_is_made_of() {
    let world = World::new();
    let file = written("evidence.audit", &world.file());
    check(&["evidence", &file, "--epoch", "0"], 0, "attackers  ");
    check(&["evidence", &file, "--epoch", "0", "--json"], 0, "\"verdict\": \"counted\"");
    let stderr = check(&["evidence", &file, "--epoch", "999"], 3, "");
    assert!(stderr.contains("epoch 999 has no term here"), "{stderr}");
    let mut bytes = world.file();
    let last = bytes.len() - 1;
    bytes[last] ^= 1;
    let bad = written("no-evidence.audit", &bytes);
    check(&["evidence", &bad, "--epoch", "0"], 1, "found by content hash");
}

#[test]
fn exits_1_when_failed() {
    let world = World::new();
    let mut bytes = world.file();
    let last = bytes.len() - 1;
    bytes[last] ^= 1;
    let file = written("bad.audit", &bytes);
    check(&["verify", &file], 1, "found by content hash");
    check(&["replay", &file, "--json"], 1, "\"verdict\": \"failed\"");
    let noise = written("noise.audit", b"nothing of ours");
    check(&["verify", &noise], 1, "this is no audit file");
    check(&["show", &noise], 1, "this is no audit file");
    let good = written("pinned.audit", &world.file());
    let other = ContentHash::of(b"another").to_string();
    check(&["verify", &good, "--federation", &other], 1, "found by federation");
    let stderr = check(&["show", &good, "--federation", &other], 1, "");
    assert!(stderr.contains("expected"), "{stderr}");
}

#[test]
fn exits_2_when_incomplete() {
    let world = World::new();
    let mut bytes = Vec::new();
    export(&world.manifest, &world.entries(), |_| Ok(None), &mut bytes).unwrap();
    let file = written("hollow.audit", &bytes);
    check(&["verify", &file], 2, "verdict     incomplete");
    check(&["replay", &file, "--json"], 2, "\"verdict\": \"incomplete\"");
}

#[test]
fn exits_3_when_there_is_nothing_to_check() {
    let stderr = check(&["verify", "no/such/file.audit"], 3, "");
    assert!(stderr.contains("no/such/file.audit"), "{stderr}");
    check(&["verify"], 3, "");
    check(&["polish", "x"], 3, "");
    let stderr = check(&["verify", "x", "--federation", "abc"], 3, "");
    assert!(stderr.contains("64 hexadecimal digits"), "{stderr}");
}

#[test]
fn help_shows_examples_and_exit_codes() {
    check(&["--help"], 0, "longhaul-audit replay run.audit --json");
    check(&["--help"], 0, "2  incomplete");
    for command in ["verify", "replay", "show"] {
        check(&[command, "--help"], 0, &format!("longhaul-audit {command} run.audit"));
    }
    check(&["--version"], 0, "longhaul-audit");
}
