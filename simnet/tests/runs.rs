//! Whole runs: determinism, faults and checks.

use proptest::prelude::*;

use longhaul_simnet::{MetricTable, RunOptions, RunReport, Scenario, builtin, run};

/// The digest of the built-in scenario `protocol`. It changes with everything
/// that peers send, record or merge: then say so in the commit.
const PROTOCOL_DIGEST: &str = include_str!("../../tests/vectors/protocol.digest");

/// Six peers, training-free, cut three against three in epochs 2 and 3.
const CUT: &str = r#"
name = "cut"
seed = 3
peers = 6
epochs = 6
epoch_ms = 2000
drain_epochs = 2
contacts = "all-pairs"
task = { model = "mlp:8-4-2", data = "edgesense" }
training = { mode = "synthetic", steps = 2, batch = 4, rate = 0.1, pace_ms = 50 }
recipe = { rule = "mean", quorum = 2 }
metrics = { every_epochs = 1 }

[[faults.partition]]
at_epoch = 2
for_epochs = 2
shape = { groups = [[0, 1, 2], [3, 4, 5]] }

[checks.by_end]
equal_models = true
"#;

fn scenario(text: &str) -> Scenario {
    Scenario::from_toml(text).expect("a sound scenario")
}

fn play(scenario: &Scenario, workers: usize) -> RunReport {
    run(scenario, &RunOptions { workers, ..RunOptions::default() }).expect("a run")
}

fn rows(scenario: &Scenario, report: &RunReport) -> Vec<String> {
    let table = MetricTable::new(scenario, &report.samples);
    let row = |row: longhaul_simnet::output::metric_row::MetricRow<'_>| {
        let (time_ms, epoch, peer) = (row.time_ms, row.epoch, row.peer);
        format!("{time_ms} {epoch} {peer} {} {} {}", row.group, row.metric, row.value)
    };
    table.rows().map(row).collect()
}

fn models(report: &RunReport, epoch: u32) -> usize {
    report.samples.models(epoch)
}

#[test]
fn everybody_ends_with_the_same_set_and_model() {
    let report = play(&scenario(CUT), 1);
    assert!(report.passed, "{report}");
    assert!(report.peers.iter().all(|peer| peer.updates == 36 && peer.published == 6), "{report}");
    assert!(report.peers.iter().all(|peer| peer.refused == 0 && peer.skipped == 0), "{report}");
}

/// A model of 13,002 parameters, so that payloads outweigh heads.
fn with_encoding(encoding: &str) -> Scenario {
    let recipe = format!("recipe = {{ rule = \"mean\", quorum = 2, encoding = \"{encoding}\" }}");
    let text = CUT.replace("recipe = { rule = \"mean\", quorum = 2 }", &recipe);
    scenario(&text.replace("mlp:8-4-2", "mlp:192-64-10"))
}

#[test]
fn peers_end_with_one_model_with_every_encoding_and_send_less() {
    let mut bytes = Vec::new();
    for encoding in ["int8", "int8-coded", "int4", "ternary", "rand-k:12", "top-k:2.5"] {
        let report = play(&with_encoding(encoding), 2);
        assert!(report.passed, "{encoding}: {report}");
        assert!(report.peers.iter().all(|it| it.updates == 36 && it.refused == 0), "{report}");
        let links = report.network.bytes;
        println!("{encoding:12} {links:>9} bytes on links, {} an update", links / 180);
        bytes.push(links);
    }
    // Six peers make six updates each, and each goes to five others.
    assert!(bytes[..5].is_sorted_by(|more, less| more > less), "{bytes:?}");
    assert!(bytes[3] * 4 < bytes[0], "{bytes:?}");
}

#[test]
fn a_hostile_member_writes_in_the_encoding_of_the_federation() {
    for encoding in ["ternary", "rand-k:12"] {
        let mut scenario = with_encoding(encoding);
        scenario.adversary = vec![
            toml::from_str(
                "peers = { peers = [5] }\nat_epoch = 1\nattack = { scale = { factor = -4.0 } }",
            )
            .expect("an adversary"),
        ];
        let report = play(&scenario, 2);
        assert!(report.passed, "{encoding}: {report}");
        assert!(report.refusals.is_empty(), "{encoding}: {report}");
        assert!(report.peers.iter().all(|it| it.updates == 36), "{encoding}: {report}");
    }
}

#[test]
fn an_encoded_run_depends_neither_on_workers_nor_on_the_memo() {
    let mut scenario = with_encoding("rand-k:12");
    let digest = play(&scenario, 1).digest;
    assert_eq!(play(&scenario, 2).digest, digest);
    scenario.crypto = longhaul_simnet::scenario::Crypto::Real;
    assert_eq!(play(&scenario, 2).digest, digest);
}

#[test]
fn a_partition_separates_and_heals() {
    let report = play(&scenario(CUT), 1);
    let seen: Vec<_> = (0..6).map(|epoch| models(&report, epoch)).collect();
    assert_eq!(seen, [1, 1, 2, 2, 1, 1], "{report}");
    let held = |epoch| report.samples.of_epoch(epoch).map(|sample| sample.updates).collect();
    let (before, during): (Vec<_>, Vec<_>) = (held(1), held(3));
    assert_eq!((before, during), (vec![12; 6], vec![18; 6]));
    assert_eq!(report.faults[0].count, 9);
}

#[test]
fn the_digest_depends_on_the_seed_and_not_on_the_workers() {
    let scenario = scenario(CUT);
    let digest = play(&scenario, 1).digest;
    assert_eq!(play(&scenario, 1).digest, digest);
    assert_eq!(play(&scenario, 2).digest, digest);
    let other = Scenario { seed: 4, ..scenario };
    assert_ne!(play(&other, 1).digest, digest);
}

#[test]
fn a_partition_that_cuts_nothing_fails_the_run() {
    let text = CUT.replace(
        "contacts = \"all-pairs\"",
        "contacts = { random-pairwise = { probability = 0.0, duration_ms = 100 } }",
    );
    let report = play(&scenario(&text), 1);
    let failed: Vec<_> = report.checks.iter().filter(|check| !check.passed).collect();
    assert_eq!(failed.len(), 1, "{report}");
    assert_eq!(failed[0].name, "faults.partition[0] cut or prevented contacts");
    assert!(!report.passed);
}

#[test]
fn peers_that_never_train_fail_the_run() {
    let text = CUT.replace("pace_ms = 50", "pace_ms = 60000");
    let report = play(&scenario(&text), 1);
    let failed: Vec<_> = report.checks.iter().filter(|check| !check.passed).collect();
    assert!(failed.iter().any(|check| check.name == "all 6 peers trained"), "{report}");
}

#[test]
fn a_check_that_does_not_hold_fails_the_run() {
    let text = format!("{CUT}\n[[checks.at_epoch]]\nepoch = 3\nequal_models = true\n");
    let report = play(&scenario(&text), 1);
    assert!(!report.passed, "{report}");
    assert_eq!(report.checks.iter().filter(|check| !check.passed).count(), 1);
}

#[test]
fn lag_grows_with_rarer_contacts() {
    let rare = |probability: f64| {
        let contacts = format!(
            "contacts = {{ random-pairwise = {{ probability = {probability}, duration_ms = 1000 }} }}"
        );
        let text = CUT.replace("contacts = \"all-pairs\"", &contacts);
        let report = play(&scenario(&text.replace("epochs = 6", "epochs = 30")), 2);
        assert_eq!(models(&report, 31), 1, "{report}");
        report.mean_lag
    };
    assert_eq!(play(&scenario(CUT), 1).mean_lag, Some(0.0));
    assert!(rare(0.2) > rare(1.0));
}

#[test]
fn the_protocol_scenario_has_its_committed_digest() {
    let text = builtin::text("protocol").expect("a built-in scenario");
    let report = play(&scenario(text), 2);
    assert!(report.passed, "{report}");
    assert_eq!(report.digest, PROTOCOL_DIGEST.trim());
}

#[test]
fn real_training_does_not_depend_on_the_workers() {
    let text = builtin::text("smoke").expect("a built-in scenario");
    let mut scenario = scenario(text);
    scenario.epochs = 3.try_into().expect("a number of epochs");
    scenario.faults.partition.clear();
    scenario.checks.by_end = None;
    let (one, two) = (play(&scenario, 1), play(&scenario, 2));
    assert_eq!(one.digest, two.digest);
    assert_eq!(rows(&scenario, &one), rows(&scenario, &two));
    assert!(one.passed && one.peers.iter().all(|peer| peer.accuracy.is_some()), "{one}");
}

#[test]
fn metrics_cover_every_sampled_peer_and_due_epoch() {
    let scenario = scenario(CUT);
    let report = play(&scenario, 1);
    let rows = rows(&scenario, &report);
    // Eight epochs, six peers; lag, updates, held and bytes_sent.
    assert_eq!(rows.len(), 8 * 6 * 4);
    assert!(rows[0].starts_with("1999 0 0 all lag "), "{rows:?}");
}

#[test]
fn a_cut_loses_what_is_in_flight_and_contacts_resume() {
    let text =
        CUT.replace("metrics =", "link = { latency_ms = 50, rate_bytes_per_s = 2000 }\nmetrics =");
    let contacts = "contacts = { random-pairwise = { probability = 1.0, duration_ms = 600 } }";
    let text = text.replace("contacts = \"all-pairs\"", contacts);
    let report = play(&scenario(&text.replace("drain_epochs = 2", "drain_epochs = 30")), 1);
    assert!(report.network.frames_lost > 0, "{report}");
    assert!(report.passed && report.peers.iter().all(|peer| peer.updates == 36), "{report}");
}

/// A few peers with random contacts, links and one random cut.
fn arb_world() -> impl Strategy<Value = Scenario> {
    let cut = (0_u32..4, 1_u32..4);
    (any::<u64>(), 3_u16..6, 0.0..1.0_f64, 50_u32..900, 1_000_u32..50_000, cut).prop_map(
        |(seed, peers, probability, duration_ms, rate, (from, length))| {
            let rest: Vec<_> = (1..peers).collect();
            scenario(&format!(
                r#"
name = "random"
seed = {seed}
peers = {peers}
epochs = 5
epoch_ms = 1000
drain_epochs = 60
contacts = {{ random-pairwise = {{ probability = {probability:?}, duration_ms = {duration_ms} }} }}
task = {{ model = "mlp:4-2", data = "edgesense" }}
training = {{ mode = "synthetic", steps = 1, batch = 1, rate = 0.1, pace_ms = 10 }}
recipe = {{ rule = "mean", clip = "median", quorum = 2 }}
link = {{ latency_ms = 20, rate_bytes_per_s = {rate} }}
faults = {{ partition = [{{ at_epoch = {from}, for_epochs = {}, shape = {{ groups = [[0], {rest:?}] }} }}] }}
"#,
                (from + length).min(5) - from
            ))
        },
    )
}

proptest! {
    #[test]
    fn any_contacts_and_cuts_end_in_one_model(world in arb_world()) {
        let report = play(&world, 1);
        let (last, held) = (world.epochs_total() - 1, usize::from(world.peers.get()) * 5);
        prop_assert_eq!(models(&report, last), 1, "{}", report);
        prop_assert!(report.peers.iter().all(|peer| peer.updates == held), "{}", report);
    }
}
