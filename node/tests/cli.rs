//! The command line as a person meets it: clear refusals, exit codes, help.

mod support;

use support::{Federation, Plan, arg, fresh_dir, longhaul, longhaul_ok, text};

fn refused(args: &[&str], says: &[&str]) {
    let output = longhaul(args);
    let err = text(&output.stderr);
    assert!(!output.status.success(), "longhaul {args:?} should be refused");
    for word in says {
        assert!(err.contains(word), "longhaul {args:?} should say {word:?}, said:\n{err}");
    }
    assert!(!err.contains("panicked"), "{err}");
}

#[test]
fn every_command_shows_examples() {
    for command in [
        &["--help"][..],
        &["init", "--help"],
        &["manifest", "new", "--help"],
        &["manifest", "show", "--help"],
        &["forecast", "--help"],
        &["join", "--help"],
        &["up", "--help"],
        &["status", "--help"],
        &["model", "ls", "--help"],
        &["model", "export", "--help"],
        &["model", "eval", "--help"],
        &["bundle", "ls", "--help"],
        &["bundle", "export", "--help"],
        &["bundle", "import", "--help"],
        &["export", "--help"],
        &["ceremony", "start", "--help"],
        &["ceremony", "contribute", "--help"],
        &["ceremony", "verify", "--help"],
        &["ceremony", "finish", "--help"],
        &["demo", "--help"],
        &["bench", "--help"],
    ] {
        assert!(longhaul_ok(command).contains("Example"), "{command:?}");
    }
}

#[test]
fn init_makes_a_key_once_and_never_overwrites_it() {
    let root = fresh_dir("init");
    let dir = root.join("data");
    let id = longhaul_ok(&["init", arg(&dir)]);
    assert_eq!(id.trim().len(), 52);
    refused(&["init", arg(&dir)], &["data"]);
    let other = root.join("other");
    assert_eq!(longhaul_ok(&["init", "--dir", arg(&other)]).trim().len(), 52);
    assert!(other.join("key").is_file());
    std::fs::remove_dir_all(root).unwrap();
}

#[test]
fn seals_that_cannot_be_are_refused_by_the_name_of_the_option() {
    let root = fresh_dir("seals");
    let (dir, out) = (root.join("data"), root.join("manifest"));
    let id = longhaul_ok(&["init", arg(&dir)]);
    let new = |window, every| {
        let new = ["manifest", "new", "--dir", arg(&dir), "--member", id.trim(), "--epochs", "20"];
        let seal = ["--seal-window", window, "--seal-every", every, "--quorum", "1", "--out"];
        let output = longhaul(&[&new[..], &seal[..], &[arg(&out)]].concat());
        (output.status.code(), text(&output.stderr))
    };
    for (window, every, code, says) in [
        ("0", "3", 2, "--seal-window"),
        ("12", "0", 2, "--seal-every"),
        ("19", "3", 1, "--seal-window 19 --seal-every 3 with --epochs 20: the federation is over"),
        ("12", "20", 1, "--seal-every 20"),
        ("4294967295", "3", 1, "--seal-window 4294967295"),
    ] {
        let (found, printed) = new(window, every);
        assert!(found == Some(code) && printed.contains(says), "{found:?} {printed}");
        assert!(!out.exists());
    }
    let (found, printed) = new("12", "3");
    assert!(found == Some(0) && out.is_file(), "{printed}");
    std::fs::remove_dir_all(root).unwrap();
}

#[test]
fn an_encoding_is_refused_by_its_option_and_shown() {
    let root = fresh_dir("encoding");
    let (dir, out) = (root.join("data"), root.join("manifest"));
    let id = longhaul_ok(&["init", arg(&dir)]);
    let new = |more: &[&str]| {
        let new =
            ["manifest", "new", "--dir", arg(&dir), "--member", id.trim(), "--out", arg(&out)];
        let output = longhaul(&[&new[..], &["--quorum", "1"], more].concat());
        (output.status.code(), text(&output.stderr))
    };
    let median = ["--rule", "median"];
    for (encoding, code, says) in [
        ("int16", 2, "use int8, int8-coded, int4, ternary or ternary:PERCENT"),
        ("rand-k", 2, "rand-k:PERCENT:LEVELS"),
        ("top-k:2.5", 1, "--encoding top-k:2.5:1 with --rule median: the encoding of updates"),
    ] {
        let (found, printed) = new(&[&median[..], &["--encoding", encoding]].concat());
        assert!(found == Some(code) && printed.contains(says), "{found:?} {printed}");
        assert!(!out.exists());
    }
    let (found, printed) = new(&["--encoding", "ternary"]);
    assert!(found == Some(0) && out.is_file(), "{printed}");
    let shown = longhaul_ok(&["manifest", "show", arg(&out)]);
    assert!(shown.contains("\"encoding\": \"ternary:33\""), "{shown}");
    std::fs::remove_dir_all(root).unwrap();
}

#[test]
fn trust_roots_and_buckets_are_options_that_explain_themselves() {
    let root = fresh_dir("roots");
    let (dir, out) = (root.join("data"), root.join("manifest"));
    let id = longhaul_ok(&["init", "--dir", arg(&dir)]);
    let id = id.trim();
    let listed = format!("{id}@3");
    let new = |more: &[&str], member: &str, says: &[&str]| {
        let new = ["manifest", "new", "--dir", arg(&dir), "--member", member, "--out", arg(&out)];
        let args = [&new[..], &["--quorum", "1"], more].concat();
        match says {
            [] => _ = longhaul_ok(&args),
            says => refused(&args, says),
        }
    };
    new(&["--root-buckets", "1"], id, &["--root-buckets asks for trust roots"]);
    new(&[], &listed, &["nothing asks for: add --root-buckets"]);
    new(&["--attacker-share", "-0.1"], id, &["--attacker-share -0.1: choose 0 to 0.49"]);
    new(&["--root-buckets", "1"], &format!("{id}@0"), &["trust root", "1 to 65535"]);
    new(&["--root-buckets", "1", "--buckets", "2"], &listed, &["cannot be used with"]);
    new(
        &["--rule", "bulyan", "--attacker-share", "0.3", "--member", &listed],
        &format!("{id}@4"),
        &["trust root 3 and 4"],
    );
    new(&["--root-buckets", "1"], &listed, &[]);
    let shown = longhaul_ok(&["manifest", "show", arg(&out)]);
    assert!(shown.contains("\"buckets\": \"1 of each trust root\""), "{shown}");
}

#[test]
fn a_key_gone_missing_is_not_replaced() {
    let federation = Federation::new("key", Plan { peers: 2, epochs: 2, epoch_ms: 200 });
    let dir = federation.dir(0);
    let key = dir.join("key");
    std::fs::remove_file(&key).unwrap();
    for command in [&["init", arg(&dir)][..], &["up", "--dir", arg(&dir)]] {
        refused(command, &[arg(&key)]);
        assert!(!key.exists(), "{command:?} made a new key for the old log");
    }
    federation.remove();
}

#[test]
fn a_log_that_lost_entries_is_refused_and_left_as_it_is() {
    let mut federation = Federation::new("short", Plan { peers: 2, epochs: 3, epoch_ms: 200 });
    federation.start(0);
    federation.start(1);
    federation.wait();
    let dir = federation.dir(0);
    let log = dir.join("log").join("00000001.log");
    let whole = std::fs::read(&log).unwrap();
    // Without its last entry the log is still a well-formed one.
    let (mut at, mut last) = (0, 0);
    while at < whole.len() {
        last = at;
        let length: [u8; 4] = whole[at..at + 4].try_into().unwrap();
        at += 4 + usize::try_from(u32::from_be_bytes(length)).unwrap();
    }
    std::fs::write(&log, &whole[..last]).unwrap();
    refused(&["up", "--dir", arg(&dir)], &[arg(&log), "shortened", "has held"]);
    assert_eq!(std::fs::read(&log).unwrap(), &whole[..last]);
    std::fs::write(&log, &whole).unwrap();
    longhaul_ok(&["up", "--until-drained", "--alone", "--dir", arg(&dir)]);
    federation.remove();
}

#[test]
fn refuses_what_is_missing_with_the_next_step() {
    let root = fresh_dir("missing");
    let dir = root.join("nothing");
    refused(&["up", "--dir", arg(&dir)], &["nothing", "longhaul init"]);
    refused(&["status", "--dir", arg(&dir)], &["longhaul up"]);
    longhaul_ok(&["init", arg(&dir)]);
    refused(&["up", "--dir", arg(&dir)], &["longhaul join"]);
    refused(&["join", arg(&root.join("no.manifest")), "--dir", arg(&dir)], &["no.manifest"]);
    std::fs::remove_dir_all(root).unwrap();
}

#[test]
fn refuses_an_unknown_configuration_key_and_names_the_line() {
    let mut federation = Federation::new("config", Plan { peers: 2, epochs: 2, epoch_ms: 200 });
    let dir = federation.dir(0);
    let file = dir.join("longhaul.toml");
    let before = std::fs::read_to_string(&file).unwrap();
    std::fs::write(&file, format!("colour = \"blue\"\n{before}")).unwrap();
    refused(&["up", "--dir", arg(&dir)], &["colour", "line 1"]);
    std::fs::write(&file, before).unwrap();
    federation.start(0);
    federation.start(1);
    federation.wait();
    federation.remove();
}

#[test]
fn refuses_a_second_up_in_the_same_directory() {
    let mut federation = Federation::new("lock", Plan { peers: 2, epochs: 20, epoch_ms: 200 });
    federation.start(0);
    federation.start(1);
    let dir = federation.dir(0);
    while !dir.join("status.json").exists() {
        support::pause(std::time::Duration::from_millis(20));
    }
    refused(&["up", "--dir", arg(&dir)], &["in use by process"]);
    federation.wait();
    federation.remove();
}

#[test]
fn refuses_a_manifest_that_was_tampered_with() {
    let root = fresh_dir("manifest");
    let dir = root.join("data");
    let file = root.join("team.manifest");
    let id = longhaul_ok(&["init", arg(&dir)]);
    let id = id.trim();
    longhaul_ok(&[
        "manifest",
        "new",
        "--dir",
        arg(&dir),
        "--out",
        arg(&file),
        "--member",
        id,
        "--quorum",
        "1",
    ]);
    assert!(longhaul_ok(&["manifest", "show", arg(&file)]).contains(id));
    let mut bytes = std::fs::read(&file).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    std::fs::write(&file, bytes).unwrap();
    refused(&["join", arg(&file), "--dir", arg(&dir)], &["team.manifest"]);
    std::fs::remove_dir_all(root).unwrap();
}

/// A manifest of so many epochs, signed by the key in `root/data`, whose id is its only member.
fn manifest_of_one(
    root: &std::path::Path,
    id: &str,
    epochs: &str,
    more: &[&str],
) -> std::path::PathBuf {
    let (dir, file) = (root.join("data"), root.join(format!("{epochs}.manifest")));
    let new = ["manifest", "new", "--dir", arg(&dir), "--out", arg(&file), "--quorum", "1"];
    longhaul_ok(&[&new[..], &["--member", id.trim(), "--epochs", epochs], more].concat());
    file
}

fn object(text: &str) -> serde_json::Value {
    serde_json::from_str(text).expect("one JSON object")
}

#[test]
fn a_quota_below_the_forecast_is_refused_before_joining_and_at_every_start() {
    let root = fresh_dir("quota");
    let dir = root.join("data");
    let id = longhaul_ok(&["init", arg(&dir), "--quota", "1 MiB"]);
    let file = manifest_of_one(&root, &id, "200", &[]);
    let refusal =
        ["a quota of 1 MiB is too small", "200 epochs", "give a quota of", "--seal-window"];
    refused(&["forecast", arg(&file), "--dir", arg(&dir)], &refusal);
    refused(&["join", arg(&file), "--dir", arg(&dir)], &refusal);
    refused(&["up", "--dir", arg(&dir)], &["longhaul join"]);
    let shown = longhaul_ok(&["forecast", arg(&file), "--dir", arg(&dir), "--quota", "1 GB"]);
    for word in ["received", "if this one alone serves all others", "up to", "1 GB: enough", "free"]
    {
        assert!(shown.contains(word), "{word} in\n{shown}");
    }
    let joined = ["join", arg(&file), "--dir", arg(&dir), "--quota", "1 GB", "--json"];
    let joined = object(&longhaul_ok(&joined));
    assert_eq!(joined["quota_bytes"], 1_000_000_000);
    assert!(joined["disk_free_bytes"].as_u64() > Some(0), "{joined}");
    let config = std::fs::read_to_string(dir.join("longhaul.toml")).unwrap();
    assert!(
        config.contains("\nquota = \"1 GB\"\n") && config.contains("# Where to train"),
        "{config}"
    );
    refused(&["up", "--dir", arg(&dir), "--quota", "1 MiB"], &refusal);
    std::fs::remove_dir_all(root).unwrap();
}

#[test]
fn a_forecast_grows_with_the_epochs_until_they_are_sealed() {
    let root = fresh_dir("forecast");
    let dir = root.join("data");
    let id = longhaul_ok(&["init", arg(&dir)]);
    let forecast = |epochs: &str, more: &[&str]| {
        let file = manifest_of_one(&root, &id, epochs, more);
        object(&longhaul_ok(&["forecast", arg(&file), "--json"]))
    };
    let bytes = |it: &serde_json::Value, key: &str| it[key].as_u64().expect("a number");
    let (short, long) = (forecast("1000", &[]), forecast("2000", &[]));
    assert_eq!(2 * bytes(&short, "disk_open_bytes"), bytes(&long, "disk_open_bytes"));
    let seal = ["--seal-window", "12", "--seal-every", "3"];
    let (sealed, later) = (forecast("1001", &seal), forecast("2001", &seal));
    assert_eq!(bytes(&sealed, "disk_open_bytes"), bytes(&later, "disk_open_bytes"));
    assert!(bytes(&later, "disk_bytes") < bytes(&long, "disk_bytes"));
    let day = long["received"]["bytes_per_day"].as_u64();
    assert_eq!(day, Some(0), "who is alone receives nothing");
    assert_eq!(bytes(&long, "updates_per_epoch"), 1);
    refused(&["forecast", arg(&root.join("none"))], &["none"]);
    refused(
        &["forecast", arg(&root.join("1000.manifest")), "--quota", "much"],
        &["such as 500 MB"],
    );
    std::fs::remove_dir_all(root).unwrap();
}

#[test]
fn a_short_federation_exports_what_the_auditor_replays() {
    let mut federation = Federation::new("export", Plan { peers: 2, epochs: 6, epoch_ms: 250 });
    federation.start(0);
    federation.start(1);
    federation.wait();
    let dir = federation.dir(0);
    let model = federation.status(0)["model"].as_str().unwrap().to_owned();
    let file = dir.join("run.audit");
    longhaul_ok(&["export", "--dir", arg(&dir), "--out", arg(&file)]);
    let bytes = std::fs::read(&file).unwrap();
    let report = longhaul_registry::audit::audit(
        &bytes,
        longhaul_registry::audit::Check::Replay,
        &Default::default(),
    );
    assert_eq!(report.replay.expect("a verified replay").model, model);
    let weights = dir.join("model.safetensors");
    let exported = longhaul_ok(&["model", "export", "--dir", arg(&dir), "--out", arg(&weights)]);
    assert_eq!(exported.trim(), model);
    let weights = std::fs::read(&weights).unwrap();
    let tensors = safetensors::SafeTensors::deserialize(&weights).unwrap();
    assert!(!tensors.is_empty());
    assert!(longhaul_ok(&["model", "ls", "--dir", arg(&dir)]).contains(&model));
    assert!(longhaul_ok(&["model", "eval", "--dir", arg(&dir)]).contains("accuracy"));
    // What it took is within what was forecast.
    let forecast = object(&longhaul_ok(&["forecast", arg(&dir.join("manifest")), "--json"]));
    let checked = object(&longhaul_ok(&["store", "check", "--dir", arg(&dir), "--json"]));
    let (taken, most) = (&checked["space"]["total_bytes"], &forecast["disk_bytes"]);
    assert!(taken.as_u64() <= most.as_u64(), "{taken} of {most}");
    federation.remove();
}

#[test]
fn a_federation_that_is_over_or_has_not_begun_is_told_so() {
    let root = fresh_dir("standing");
    let dir = root.join("data");
    let id = longhaul_ok(&["init", arg(&dir)]).trim().to_owned();
    let make = |name: &str, more: &[&str]| {
        let out = root.join(name);
        let args =
            ["manifest", "new", "--dir", arg(&dir), "--member", &id, "--quorum", "1", "--out"];
        let made = longhaul(&[&args[..], &[arg(&out)], more].concat());
        assert!(made.status.success(), "{}", text(&made.stderr));
        (out, text(&made.stderr))
    };
    let (late, said) = make("late", &["--start-in-ms", "7300000"]);
    assert!(said.contains("begins in 2 h 1 min"), "{said}");
    let (over, _) = make("over", &["--start-in-ms", "0", "--epochs", "1", "--epoch-ms", "100"]);
    let ended = || text(&longhaul(&["manifest", "show", arg(&over)]).stderr).contains("ended");
    assert!((0..100).any(|_| ended()), "it never ends");
    let joined = longhaul(&["join", arg(&over), "--dir", arg(&dir)]);
    assert!(text(&joined.stderr).contains("ended"), "{}", text(&joined.stderr));
    longhaul_ok(&["join", arg(&late), "--dir", arg(&dir)]);
    refused(&["up", "--dir", arg(&dir), "--log", "blah"], &["blah", "no level"]);
    refused(
        &["manifest", "new", "--dir", arg(&dir), "--member", &id, "--out", arg(&over)],
        &["quorum"],
    );
    std::fs::remove_dir_all(root).unwrap();
}

#[test]
fn what_a_full_disk_cuts_short_is_no_file() {
    let root = fresh_dir("full");
    let dir = root.join("data");
    let id = longhaul_ok(&["init", arg(&dir)]).trim().to_owned();
    // A folder of the name of the file that is written first stands for a disk that takes nothing.
    let out = root.join("team.manifest");
    std::fs::create_dir(root.join("team.manifest.part")).unwrap();
    let new = ["manifest", "new", "--dir", arg(&dir), "--member", &id, "--quorum", "1", "--out"];
    refused(&[&new[..], &[arg(&out)]].concat(), &["team.manifest"]);
    assert!(!out.exists());
    std::fs::remove_dir(root.join("team.manifest.part")).unwrap();
    longhaul_ok(&[&new[..], &[arg(&out)]].concat());
    refused(&[&new[..], &[arg(&out)]].concat(), &["exists", "another file"]);
    std::fs::remove_dir_all(root).unwrap();
}
