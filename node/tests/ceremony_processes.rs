//! A ceremony of real processes, one of which is always off line, and a federation that trains with its keys.

#![cfg(target_os = "linux")]

mod support;

use std::collections::BTreeMap;
use std::path::Path;

use longhaul_node::train::data::edgesense::{CLASSES, FEATURES};
use serde_json::Value;
use support::{Federation, arg, longhaul, longhaul_ok, text};

fn model() -> String {
    format!("mlp:{FEATURES}-4-{CLASSES}")
}

fn json(args: &[&str]) -> Value {
    serde_json::from_str(&longhaul_ok(args)).expect("JSON")
}

fn ceremony() -> Federation {
    let make = |dir: &Path, ids: &[String], file: &Path| {
        let model = model();
        let mut args = vec!["ceremony", "start", "--dir", arg(dir), "--out", arg(file)];
        args.extend(["--model", &model]);
        ids.iter().for_each(|id| args.extend(["--member", id]));
        longhaul_ok(&args);
    };
    Federation::under("ceremony", 3, make, &[])
}

/// The parts that a peer contributes to now.
fn contribute(federation: &Federation, index: usize) -> Vec<String> {
    let dir = federation.dir(index);
    let said = json(&["ceremony", "contribute", "--json", "--dir", arg(&dir)]);
    let made = said["made"].as_array().expect("a list");
    made.iter().map(|it| it["part"].as_str().expect("a name").to_owned()).collect()
}

/// Two peers meet until both hold so many contributions.
fn meet(federation: &mut Federation, [one, other]: [usize; 2], contributions: u64) {
    // What an earlier process reported is not asked for.
    for index in [one, other] {
        let _ = std::fs::remove_file(federation.dir(index).join("status.json"));
    }
    federation.start_to(one, &[], false);
    federation.start_to(other, &[one], false);
    for index in [one, other] {
        federation.until(index, |it| {
            it["contributions"] == contributions && it["waiting"] == 0 && it["running"] == true
        });
    }
    let dir = federation.dir(one);
    let busy = longhaul(&["ceremony", "contribute", "--dir", arg(&dir)]);
    let said = text(&busy.stderr);
    assert!(busy.status.code() == Some(1) && said.contains("stop it"), "{said}");
    [one, other].into_iter().for_each(|index| federation.stop(index));
}

/// The names of a peer's keys, and their bytes.
fn finished(federation: &Federation, index: usize) -> BTreeMap<String, Vec<u8>> {
    let (dir, out) = (federation.dir(index), federation.root().join(format!("keys-{index}")));
    let made = json(&["ceremony", "finish", "--json", "--dir", arg(&dir), "--out", arg(&out)]);
    assert_eq!(made[0]["entries"], 1_000, "{made}");
    let files = std::fs::read_dir(&out).expect("the folder is there");
    let file = |entry: std::fs::DirEntry| {
        let bytes = std::fs::read(entry.path()).expect("a file");
        (entry.file_name().to_string_lossy().into_owned(), bytes)
    };
    files.map(|entry| file(entry.expect("an entry"))).collect()
}

fn train_with(ceremony: &Federation) {
    let keys = &ceremony.root().join("keys-0");
    let make = |dir: &Path, ids: &[String], file: &Path| {
        let model = model();
        let mut args = vec!["manifest", "new", "--dir", arg(dir), "--out", arg(file)];
        args.extend(["--model", &model, "--proofs", arg(keys), "--attacker-share", "0"]);
        args.extend(["--epochs", "4", "--epoch-ms", "2000", "--quorum", "2", "--steps", "2"]);
        args.extend(["--start-in-ms", "4000"]);
        ids.iter().for_each(|id| args.extend(["--member", id]));
        longhaul_ok(&args);
    };
    let join = ["--proving-keys", arg(keys)];
    let mut federation = Federation::under("ceremony-keys", 2, make, &join);
    (0..2).for_each(|index| federation.start(index));
    federation.wait();
    let [first, second] = [0, 1].map(|index| federation.status(index));
    assert_eq!(first["model"], second["model"], "{first}\n{second}");
    assert!(first["updates"].as_u64() >= Some(2), "{first}");
    assert_eq!((&first["updates"], &first["refused"]), (&second["updates"], &second["refused"]));
    assert_eq!(first["refused"], 0, "{first}");
    keys_that_a_manifest_names(ceremony, &federation.root().join("test.manifest"));
    federation.remove();
}

/// Whoever holds the contributions makes the keys that the manifest names, and knows how they were made.
fn keys_that_a_manifest_names(ceremony: &Federation, manifest: &Path) {
    let (dir, out) = (ceremony.dir(1), ceremony.root().join("named"));
    let mut args = vec!["ceremony", "finish", "--dir", arg(&dir), "--out", arg(&out)];
    args.extend(["--manifest", arg(manifest)]);
    longhaul_ok(&args);
    let names = |folder: &Path| {
        let files = std::fs::read_dir(folder).expect("the folder is there");
        files.map(|entry| entry.expect("an entry").file_name()).collect::<Vec<_>>()
    };
    assert_eq!(names(&out), names(&ceremony.root().join("keys-0")));
    let other = ceremony.root().join("test.manifest");
    let refused = longhaul(&[
        "ceremony",
        "finish",
        "--dir",
        arg(&dir),
        "--out",
        "x",
        "--manifest",
        arg(&other),
    ]);
    assert!(text(&refused.stderr).contains("names no keys"), "{}", text(&refused.stderr));
}

#[test]
fn three_peers_make_a_key_and_a_federation_trains_with_it() {
    let mut federation = ceremony();
    let early = federation.dir(2);
    let out = federation.root().join("early");
    let refused = longhaul(&["ceremony", "finish", "--dir", arg(&early), "--out", arg(&out)]);
    let said = text(&refused.stderr);
    assert!(refused.status.code() == Some(1) && said.contains("has 0 contributors"), "{said}");
    let (one, two) = ("phase 1".to_owned(), "phase 2 of 1000 entries".to_owned());
    assert_eq!(contribute(&federation, 0), std::slice::from_ref(&one));
    assert_eq!(contribute(&federation, 0), [""; 0], "once is enough");
    meet(&mut federation, [0, 1], 1);
    assert_eq!(contribute(&federation, 1), [one, two.clone()]);
    meet(&mut federation, [1, 2], 3);
    assert_eq!(contribute(&federation, 2), [two], "phase 1 is closed");
    meet(&mut federation, [2, 0], 4);
    meet(&mut federation, [0, 1], 4);
    let dir = federation.dir(0);
    let seen = json(&["ceremony", "verify", "--json", "--dir", arg(&dir)]);
    assert_eq!(seen["complete"], true, "{seen}");
    let ids = |indices: [usize; 2]| indices.map(|index| Value::from(federation.id(index)));
    assert_eq!(seen["parts"][0]["contributors"].as_array().expect("a list")[..], ids([0, 1]));
    assert_eq!(seen["parts"][1]["contributors"].as_array().expect("a list")[..], ids([1, 2]));
    let keys = finished(&federation, 0);
    assert_eq!(keys.len(), 1);
    (1..3).for_each(|index| assert!(finished(&federation, index) == keys, "peer {index}"));
    train_with(&federation);
    federation.remove();
}
