//! `longhaul store` on the data directory of a real process.

mod support;

use std::fs;
use std::path::Path;
use std::time::Duration;

use serde_json::Value;
use support::{Federation, Plan, arg, fresh_dir, longhaul, longhaul_ok, pause, text};

fn store(command: &str, dir: &Path) -> (Option<i32>, Value, String) {
    let output = longhaul(&["store", command, "--json", "--dir", arg(dir)]);
    let value = serde_json::from_slice(&output.stdout).unwrap_or(Value::Null);
    (output.status.code(), value, text(&output.stderr))
}

#[test]
fn a_directory_is_held_then_sound_then_damaged_then_cared_for() {
    let plan = Plan { peers: 2, epochs: 12, epoch_ms: 250 };
    let mut federation = Federation::new("store", plan);
    (0..plan.peers).for_each(|index| federation.start(index));
    let dir = federation.dir(0);
    while fs::read(dir.join("log/00000001.log")).is_ok_and(|log| log.is_empty()) {
        pause(Duration::from_millis(20));
    }
    for command in ["check", "rebuild", "compact"] {
        let (code, _, error) = store(command, &dir);
        assert_eq!(code, Some(1), "{command}: {error}");
        assert!(error.contains("in use by process"), "{command}: {error}");
    }
    federation.wait();
    let (code, found, error) = store("check", &dir);
    assert_eq!((code, &found["sound"]), (Some(0), &Value::Bool(true)), "{found:#} {error}");
    assert!(found["entries"].as_u64() > Some(10) && found["payloads"].as_u64() > Some(5));

    fs::remove_dir_all(dir.join("index")).expect("it is there");
    fs::write(dir.join("log/torn-1"), b"left over").expect("our own folder");
    let (code, found, _) = store("check", &dir);
    assert_eq!((code, &found["sound"]), (Some(1), &Value::Bool(false)), "{found:#}");
    assert!(found["problems"][0].as_str().is_some_and(|text| text.contains("store rebuild")));
    assert!(found["leftovers"][0].as_str().is_some_and(|path| path.ends_with("log/torn-1")));

    let (code, rebuilt, _) = store("rebuild", &dir);
    assert_eq!((code, &rebuilt["payloads"]), (Some(0), &found["payloads"]), "{rebuilt:#}");
    let (code, compacted, _) = store("compact", &dir);
    assert_eq!((code, &compacted["removed_payloads"]), (Some(0), &Value::from(0)));
    assert!(compacted["freed_bytes"].as_u64() > Some(0), "{compacted:#}");
    let people = longhaul_ok(&["store", "check", "--dir", arg(&dir)]);
    assert!(people.ends_with("sound\n"), "{people}");
    federation.remove();
}

#[test]
fn the_bench_measures_a_store_of_its_own_and_leaves_nothing() {
    let root = fresh_dir("benchstore");
    let at = root.join("at");
    let args = ["bench", "store", "--bundles", "200", "--payload-bytes", "500", "--json", "--at"];
    let out = longhaul_ok(&[&args[..], &[arg(&at)]].concat());
    let value: serde_json::Value = serde_json::from_str(&out).expect("JSON");
    assert!(value.is_object(), "{out}");
    assert!(!at.exists());
    let taken = longhaul(&[&args[..], &[arg(&root)]].concat());
    assert!(!taken.status.success());
    assert!(text(&taken.stderr).contains("name a new directory with --at"));
    std::fs::remove_dir_all(root).unwrap();
}
