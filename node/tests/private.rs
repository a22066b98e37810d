//! A private federation of real processes: members who meet a courier alone, which reads nothing; keys
//! for an auditor; a further key by a file.

#![cfg(target_os = "linux")]

mod support;

use std::os::unix::fs::PermissionsExt;

use longhaul_dtn::bundle::BundleHead;
use longhaul_dtn::keyring::Keyring;
use longhaul_node::shell::store::Store;
use longhaul_registry::Record;
use longhaul_registry::audit::{Check, Expected, Verdict, audit};
use serde_json::Value;
use support::{Federation, Plan, arg, longhaul, longhaul_ok, text};

const PLAN: Plan = Plan { peers: 3, epochs: 4, epoch_ms: 1_000 };
const COURIER: usize = 2;

/// Both members and the courier have met; then each member once more, so that each has all.
fn trained(name: &str) -> Federation {
    let mut federation = Federation::private(name, PLAN, 1);
    federation.start_to(COURIER, &[], false);
    (0..2).for_each(|member| federation.start_to(member, &[COURIER], true));
    federation.wait_for(&[0, 1]);
    (0..2).for_each(|member| federation.start_to(member, &[COURIER], true));
    federation.wait_for(&[0, 1]);
    federation
}

#[test]
fn members_train_through_a_courier_that_reads_nothing() {
    let mut federation = trained("private");
    let [first, second] = [0, 1].map(|member| federation.status(member));
    assert_eq!(first["model"], second["model"]);
    assert_eq!(first["updates"], second["updates"]);
    let updates = first["updates"].as_u64().expect("a number");
    assert!(updates >= 4, "{first}");
    let courier = federation.status_now(COURIER).expect("a report");
    assert_eq!((courier["updates"].as_u64(), courier["accuracy"].is_null()), (Some(0), true));
    federation.kill(COURIER);
    // What lies on the courier's disk: no author, no header in clear, no key.
    let dir = federation.dir(COURIER);
    let stored = Store::read(&dir).expect("the courier's store opens");
    let limits = stored.manifest.bundle_limits();
    let heads = stored.restored.entries.iter().filter_map(|entry| match entry.record() {
        Record::Carry { head, .. } => Some(BundleHead::decode(head, &limits).expect("a head")),
        _ => None,
    });
    let heads: Vec<_> = heads.collect();
    assert_eq!(heads.len() as u64, updates);
    for head in &heads {
        assert!(!head.is_readable());
        assert!(stored.manifest.manifest().member_index(&head.signer()).is_none());
    }
    let keys = longhaul(&["keys", "export", "--dir", arg(&dir), "--out", "nowhere"]);
    assert_eq!(keys.status.code(), Some(1));
    assert!(text(&keys.stderr).contains("no keys"), "{}", text(&keys.stderr));
    an_auditor_needs_the_keys(&federation, updates);
    a_further_key_comes_by_a_file(&mut federation);
    federation.remove();
}

fn an_auditor_needs_the_keys(federation: &Federation, updates: u64) {
    let [dir, out, keys] =
        [federation.dir(0), federation.root().join("audit"), federation.root().join("keys")];
    longhaul_ok(&["export", "--dir", arg(&dir), "--out", arg(&out)]);
    longhaul_ok(&["keys", "export", "--dir", arg(&dir), "--out", arg(&keys)]);
    let mode = std::fs::metadata(&keys).expect("the file is there").permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    let again = longhaul(&["keys", "export", "--dir", arg(&dir), "--out", arg(&keys)]);
    assert_eq!(again.status.code(), Some(1), "nothing is overwritten");
    let bytes = std::fs::read(&out).expect("the file is there");
    let report = audit(&bytes, Check::Replay, &Expected::default());
    assert_eq!((report.verdict, report.closed_count), (Verdict::Incomplete, updates), "{report}");
    let text = std::fs::read_to_string(&keys).expect("the file is there");
    let keys = Keyring::parse(&text).expect("keys");
    let report = audit(&bytes, Check::Replay, &Expected { federation: None, keys });
    assert_eq!(report.verdict, Verdict::Verified, "{report}");
    let model = federation.status(0)["model"].clone();
    assert_eq!(report.model_id(), model.as_str());
}

fn a_further_key_comes_by_a_file(federation: &mut Federation) {
    let [creator, other] = [federation.dir(0), federation.dir(1)];
    let bundle = federation.root().join("next.bundle");
    let made = longhaul_ok(&["keys", "new", "--dir", arg(&creator), "--out", arg(&bundle)]);
    let forged = longhaul(&["keys", "new", "--dir", arg(&other), "--out", "nowhere"]);
    assert_eq!(forged.status.code(), Some(1));
    assert!(
        text(&forged.stderr).contains("creator of the manifest alone"),
        "{}",
        text(&forged.stderr)
    );
    for dir in [&creator, &other] {
        longhaul_ok(&["bundle", "import", arg(&bundle), "--dir", arg(dir)]);
        let listed = longhaul_ok(&["keys", "ls", "--json", "--dir", arg(dir)]);
        let listed: Value = serde_json::from_str(&listed).expect("JSON");
        assert_eq!(listed["newest"].as_str(), Some(made.trim()), "{listed}");
        assert_eq!(listed["keys"].as_array().map(Vec::len), Some(2));
        assert_eq!(listed["generation"], 1);
    }
    let shown = longhaul_ok(&["bundle", "ls", "--dir", arg(&other)]);
    assert!(shown.contains("encrypted"), "{shown}");
    whoever_is_left_out_stays_so(federation);
}

/// Keys 2 and 3 without the other member, though that is said once; key 4 with it again.
fn whoever_is_left_out_stays_so(federation: &Federation) {
    let [creator, other] = [federation.dir(0), federation.dir(1)];
    let id = federation.status(1)["peer_id"].as_str().expect("an id").to_owned();
    let make = |name: &str, more: &[&str]| {
        let out = federation.root().join(name);
        let args = ["keys", "new", "--dir", arg(&creator), "--out", arg(&out)];
        let made = longhaul(&[&args[..], more].concat());
        (out.clone(), made.status.code(), text(&made.stderr))
    };
    let left_out = |dir: &std::path::Path| {
        let listed = longhaul_ok(&["keys", "ls", "--json", "--dir", arg(dir)]);
        let listed: Value = serde_json::from_str(&listed).expect("JSON");
        (listed["left_out"].as_bool(), listed["generation"].as_u64())
    };
    let (_, code, said) = make("used", &["--generation", "1"]);
    assert_eq!(code, Some(1));
    assert!(said.contains("made already"), "{said}");
    let (second, code, said) = make("second", &["--without", &id]);
    assert_eq!(code, Some(0), "{said}");
    assert!(said.contains("key number 2") && said.contains(&id), "{said}");
    // Not imported yet, and its number is not used again all the same.
    let (third, _, said) = make("third", &["--without", &id]);
    assert!(said.contains("key number 3"), "{said}");
    for dir in [&creator, &other] {
        longhaul_ok(&["bundle", "import", arg(&second), arg(&third), "--dir", arg(dir)]);
    }
    assert_eq!(left_out(&creator), (Some(false), Some(3)));
    assert_eq!(left_out(&other), (Some(true), Some(3)));
    let (_, _, said) = make("fourth", &[]);
    assert!(said.contains("key number 4") && said.contains(&id), "still left out: {said}");
    let (fifth, _, said) = make("fifth", &["--with", &id]);
    assert!(said.contains("key number 5") && !said.contains("Left out"), "{said}");
    longhaul_ok(&["bundle", "import", arg(&fifth), "--dir", arg(&other)]);
    assert_eq!(left_out(&other), (Some(false), Some(5)));
}

#[test]
fn what_does_not_go_together_is_refused_with_its_option() {
    let root = support::fresh_dir("private-options");
    let dir = root.join("peer");
    let id = longhaul_ok(&["init", arg(&dir)]).trim().to_owned();
    let out = root.join("manifest");
    let new = |args: &[&str]| {
        let mut all = vec!["manifest", "new", "--dir", arg(&dir), "--out", arg(&out)];
        all.extend(["--member", id.as_str(), "--quorum", "1"]);
        all.extend(args);
        longhaul(&all)
    };
    let sealed = new(&["--private", "--seal-window", "12", "--seal-every", "4"]);
    assert_eq!(sealed.status.code(), Some(2));
    let clear = new(&["--courier", &id]);
    assert_eq!(clear.status.code(), Some(2));
    assert!(text(&clear.stderr).contains("--private"), "{}", text(&clear.stderr));
    let both = new(&["--private", "--courier", &id]);
    assert_eq!(both.status.code(), Some(1));
    assert!(text(&both.stderr).contains("a member already"), "{}", text(&both.stderr));
    assert!(!out.exists());
    std::fs::remove_dir_all(root).expect("the folder can be removed");
}

#[test]
fn aggregates_are_asked_for_with_buckets_and_proofs() {
    let root = support::fresh_dir("aggregates-options");
    let (one, two) = (root.join("one"), root.join("two"));
    let members: Vec<String> = [&one, &two]
        .map(|dir| longhaul_ok(&["init", arg(dir)]).trim().to_owned())
        .iter()
        .map(|id| format!("{id}@1"))
        .collect();
    let (out, keys) = (root.join("manifest"), root.join("keys"));
    longhaul_ok(&["proofs", "development-keys", "--model", "mlp:63-10", "--out", arg(&keys)]);
    let new = |args: &[&str]| {
        let mut all = vec!["manifest", "new", "--dir", arg(&one), "--out", arg(&out)];
        members.iter().for_each(|member| all.extend(["--member", member.as_str()]));
        all.extend(["--model", "mlp:63-10", "--data", "idx", "--quorum", "1"]);
        all.extend(["--attacker-share", "0"]);
        all.extend(args);
        longhaul(&all)
    };
    let unproved = new(&["--root-buckets", "1", "--aggregates", "2"]);
    assert_eq!(unproved.status.code(), Some(2));
    assert!(text(&unproved.stderr).contains("--proofs"), "{}", text(&unproved.stderr));
    let proved = ["--proofs", arg(&keys), "--development-keys", "--root-buckets", "1"];
    let whole = new(&[&proved[..], &["--clip-to-median", "--aggregates", "2"]].concat());
    assert_eq!(whole.status.code(), Some(1));
    let said = text(&whole.stderr);
    assert!(said.contains("--aggregates 2") && said.contains("no clip"), "{said}");
    let good = new(&[&proved[..], &["--aggregates", "2"]].concat());
    assert_eq!(good.status.code(), Some(0), "{}", text(&good.stderr));
    let shown = longhaul_ok(&["manifest", "show", arg(&out)]);
    assert!(shown.contains("\"aggregates\": 2"), "{shown}");
    std::fs::remove_dir_all(root).expect("the folder can be removed");
}

#[test]
fn a_courier_process_keeps_what_is_proved_and_drops_what_is_forged() {
    let at = std::env::temp_dir().join(format!("longhaul-proofs-{}", std::process::id()));
    let found = longhaul_ok(&["bench", "proofs", "--bundles", "12", "--json", "--at", arg(&at)]);
    let found: Value = serde_json::from_str(&found).expect("JSON");
    let of = |key: &str| found[key].as_u64();
    // It compares what the courier holds bundle by bundle, and fails if that is not what is proved.
    assert_eq!(
        (of("kept"), of("dropped"), of("read_by_the_member")),
        (Some(12), Some(12), Some(12))
    );
    assert!(of("proof_bytes").is_some_and(|bytes| bytes < 640), "{found}");
    assert!(!at.exists(), "it cleans up");
}
