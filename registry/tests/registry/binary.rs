//! The auditor's binary: what it prints and how it exits.

use std::path::PathBuf;
use std::process::{Command, Output};

use longhaul_dtn::hash::ContentHash;
use longhaul_registry::FraudProof;
use longhaul_registry::audit::{export, export_without_payloads};

use crate::audit_proofs::{clear, encrypted, member};
use crate::fraud::cheat;
use crate::proving::BN254;
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

/// A folder with the proving keys of the federations of these tests.
fn proving_keys() -> String {
    let dir = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("proving");
    std::fs::create_dir_all(&dir).unwrap();
    let bytes = &BN254.1;
    std::fs::write(dir.join(format!("{}.proving", ContentHash::of(bytes))), bytes).unwrap();
    dir.into_os_string().into_string().unwrap()
}

#[test]
fn proofs_are_verified_with_payloads_and_without() {
    let (world, keys) = (encrypted(), proving_keys());
    let file = written("proofs.audit", &world.file());
    check(&["verify", &file], 2, "proofs      23 hold, 0 do not, on bn254");
    let ring = written("proofs.keys", member().keys.to_text().as_bytes());
    let all = ["verify", &file, "--keys", &ring, "--proving-keys", &keys];
    check(&all, 0, "23 are about the payloads that were read");
    check(&[&all[..], &["--json"]].concat(), 0, "\"commitments_compared\": 23");
    let mut bytes = Vec::new();
    export_without_payloads(&world.manifest, &world.entries(), &mut bytes).unwrap();
    let file = written("rules.audit", &bytes);
    check(
        &["verify", &file],
        2,
        "payloads    left out by the exporter: the model was not replayed",
    );
    check(&["replay", &file, "--json"], 2, "\"without_payloads\": true");
    // Nothing to compare, or nothing to compare with.
    let plain = written("plain.audit", &World::new().file());
    let stderr = check(&["verify", &plain, "--proving-keys", &keys], 0, "verified");
    assert!(stderr.contains("asks for no proofs"), "{stderr}");
    let stderr = check(&["verify", &file, "--proving-keys", "no/such/folder"], 3, "");
    let name = format!("no/such/folder/{}.proving", ContentHash::of(&BN254.1));
    assert!(stderr.contains(&name) && stderr.contains("copy the file of this name"), "{stderr}");
}

#[test]
fn a_proving_key_with_another_content_is_refused() {
    let dir = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("wrong-proving");
    std::fs::create_dir_all(&dir).unwrap();
    let name = format!("{}.proving", ContentHash::of(&BN254.1));
    std::fs::write(dir.join(name), b"something else").unwrap();
    let file = written("wrong.audit", &clear().file());
    let stderr = check(&["verify", &file, "--proving-keys", dir.to_str().unwrap()], 3, "");
    assert!(stderr.contains("pinned is"), "{stderr}");
}

#[test]
fn a_fraud_is_shown_or_not() {
    let (world, keys) = (encrypted(), proving_keys());
    let manifest = written("fraud.manifest", world.manifest.as_bytes());
    let around = ["--manifest", &manifest, "--proving-keys", &keys];
    let (head, payload) = cheat(&world);
    let proof = FraudProof::of(&world.manifest, &head, &payload);
    let file = written("cheat.fraud", &proof.encode());
    let all = [&["fraud", &file][..], &around].concat();
    check(&all, 0, "fraud       shown: what chunk 0 of the proof commits to is not the payload");
    check(&all, 0, &format!("signer      {} (a pseudonym)", head.signer()));
    check(&all, 0, "known to who has the keys: --keys FILE");
    check(&[&all[..], &["--json"]].concat(), 0, "\"shown\": true");
    let ring = written("fraud.keys", member().keys.to_text().as_bytes());
    let author = format!("author      {}, member ", head.author());
    check(&[&all[..], &["--keys", &ring]].concat(), 0, &author);
    let changed = FraudProof { payload: b"another".to_vec(), ..proof };
    let file = written("no.fraud", &changed.encode());
    let all = [&["fraud", &file][..], &around].concat();
    check(&all, 1, "fraud       not shown: this payload, with this salt, is not what was signed");
    check(&[&all[..], &["--json"]].concat(), 1, "\"shown\": false");
    check(&["fraud", &file], 3, "");
    let plain = written("plain.manifest", World::new().manifest.as_bytes());
    let all = ["fraud", &file, "--manifest", &plain, "--proving-keys", &keys];
    let stderr = check(&all, 3, "");
    assert!(stderr.contains("asks for no proofs"), "{stderr}");
    check(&["fraud", "--help"], 0, "1  it is not; the reason is printed");
}
