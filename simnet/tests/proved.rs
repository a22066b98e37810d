//! Scenarios that ask for proofs, for trust roots and for thin ferries.

use std::sync::LazyLock;

use longhaul_simnet::{
    ProofCounts, RunOptions, RunReport, Scenario, builtin, check_federation, run,
};

/// Four peers, two under each of two roots, that are always in contact.
const PROVED: &str = r#"name = "proved"
seed = 5
peers = 4
epochs = 3
epoch_ms = 2000
proofs = "development"
contacts = "all-pairs"
task = { model = "mlp:4-2", data = "edgesense" }
training = { mode = "synthetic", steps = 2, batch = 4, rate = 0.1, pace_ms = 50 }
metrics = { every_epochs = 1 }

[recipe]
rule = "mean"
quorum = 2
root_buckets = 1

[[group]]
name = "west"
peers = 2
trust_root = 1

[[group]]
name = "east"
peers = 2
trust_root = 2

[checks.by_end]
equal_models = true
between_groups_bytes_max = 10000000
"#;

/// The run of [`PROVED`].
static RUN: LazyLock<RunReport> = LazyLock::new(|| play(PROVED));

/// [`PROVED`] without proofs, where they are not what is looked at.
fn plain() -> String {
    PROVED.replace("proofs = \"development\"\n", "")
}

fn scenario(text: &str) -> Scenario {
    Scenario::from_toml(text).expect("a sound scenario")
}

fn play(text: &str) -> RunReport {
    run(&scenario(text), &RunOptions::default()).expect("a run")
}

fn counts(report: &RunReport) -> ProofCounts {
    report.proofs.expect("the scenario asks for proofs")
}

fn refused(report: &RunReport) -> Vec<(&str, u64)> {
    report.refusals.iter().map(|it| (it.reason.as_str(), it.from_hostile)).collect()
}

#[test]
fn every_update_is_proved_once_and_verified_once_for_all() {
    let report = &*RUN;
    assert!(report.passed, "{report}");
    let expected = ProofCounts { made: 12, failed: 0, verified: 12, refused: 0 };
    assert_eq!(counts(report), expected, "{report}");
    assert!(report.peers.iter().all(|it| it.updates == 12 && it.skipped == 0), "{report}");
    let shown = report.to_string();
    assert!(shown.contains("12 proofs made, 0 not to be made; 12 found to hold, 0 refused"));
    assert!(shown.contains("pass  updates were proved"), "{shown}");
}

#[test]
fn without_the_setting_nothing_is_proved_and_less_is_sent() {
    let plain = play(&plain());
    assert!(plain.passed && plain.proofs.is_none(), "{plain}");
    assert!(!plain.to_string().contains("proofs made"), "{plain}");
    assert!(RUN.network.bytes > plain.network.bytes + 12 * 3 * 192);
    assert_eq!(plain, play(&PROVED.replace("\"development\"", "\"none\"")));
}

#[test]
fn a_run_with_proofs_repeats_exactly() {
    assert_eq!(*RUN, play(PROVED));
    let other = play(&PROVED.replace("seed = 5", "seed = 6"));
    assert_ne!(RUN.digest, other.digest);
}

#[test]
fn peers_that_verify_for_themselves_see_the_same_run() {
    let shared = &*RUN;
    let own = play(&PROVED.replace("seed = 5", "seed = 5\ncrypto = \"real\""));
    assert_eq!(shared.digest, own.digest);
    let expected = ProofCounts { verified: 36, ..counts(shared) };
    assert_eq!(counts(&own), expected, "each of four about the updates of three");
}

#[test]
fn a_process_that_comes_up_again_proves_again() {
    let crash = "[[faults.crash]]\npeers = { peers = [1] }\nat_epoch = 0.5\nfor_epochs = 1\n";
    let report = play(&PROVED.replace("[checks.by_end]", &format!("{crash}[checks.by_end]")));
    assert!(report.passed, "{report}");
    assert!(report.peers[1].published >= 2, "{report}");
}

#[test]
fn an_adversary_proves_what_it_can_and_is_refused_for_what_it_cannot() {
    let with = |attack: &str| {
        let adversary = format!("[[adversary]]\npeers = {{ peers = [3] }}\nattack = {attack}\n");
        play(&PROVED.replace("[checks.by_end]", &format!("{adversary}[checks.by_end]")))
    };
    let scaled = with("{ scale = { factor = -2.0 } }");
    assert!(scaled.passed && scaled.refusals.is_empty(), "{scaled}");
    assert!(scaled.peers.iter().all(|it| it.updates == 12), "within bounds: {scaled}");
    // Above the bound there is no proof to be had.
    let largest = with("{ payload = { form = \"exponent\" } }");
    assert!(largest.peers[..3].iter().all(|it| it.updates == 9), "{largest}");
    assert!(!refused(&largest).is_empty(), "{largest}");
}

#[test]
fn bytes_between_groups_are_counted_and_checked() {
    let report = play(&plain());
    let between = report.network.bytes_between_groups;
    assert!(between > 0 && between < report.network.bytes, "{report}");
    assert!(report.to_string().contains("MB of it between groups"), "{report}");
    let strict = plain().replace("bytes_max = 10000000", &format!("bytes_max = {}", between - 1));
    let report = play(&strict);
    let failed: Vec<_> = report.checks.iter().filter(|check| !check.passed).collect();
    assert_eq!(failed.len(), 1, "{report}");
    assert_eq!(failed[0].name, format!("end: at most {} bytes between groups", between - 1));
    assert_eq!(failed[0].found, between.to_string());
}

#[test]
fn one_group_has_nothing_between() {
    let plain = plain();
    let alone = plain.split("[[group]]").next().expect("what is before the groups");
    let report = play(&alone.replace("root_buckets = 1\n", ""));
    assert!(report.passed && report.network.bytes_between_groups == 0, "{report}");
    assert!(!report.to_string().contains("between groups"), "{report}");
}

#[test]
fn a_root_has_one_vote_however_many_members_it_brings() {
    let model = |text: &str| play(text).peers[0].model.clone().expect("a model");
    // Three of the west against one of the east: by root, the one weighs as much as the three.
    let uneven = plain().replacen("peers = 2\ntrust_root = 1", "peers = 3\ntrust_root = 1", 1);
    let uneven = uneven.replace("peers = 2\ntrust_root = 2", "peers = 1\ntrust_root = 2");
    let unrooted = uneven.replace("root_buckets = 1\n", "");
    let unrooted = unrooted.replace("trust_root = 1\n", "").replace("trust_root = 2\n", "");
    assert_ne!(model(&uneven), model(&unrooted));
}

#[test]
fn what_does_not_fit_is_refused_with_its_line() {
    for (good, bad, line, says) in [
        ("proofs = \"development\"", "proofs = \"ceremony\"", 6, "unknown variant `ceremony`"),
        ("proofs = ", "prove = ", 6, "unknown field `prove`"),
        ("root_buckets = 1", "root_buckets = 0", 15, "at least one bucket"),
        ("root_buckets = 1", "buckets = 2\nroot_buckets = 1", 16, "by lot"),
        ("root_buckets = 1\n", "", 19, "say recipe.root_buckets"),
        ("trust_root = 1", "trust_root = 0", 20, "nonzero"),
        ("contacts = \"all-pairs\"", "drain = \"never\"\ncontacts = \"all-pairs\"", 7, "never"),
    ] {
        assert!(PROVED.contains(good), "{good}");
        let error = Scenario::from_toml(&PROVED.replacen(good, bad, 1)).expect_err(bad).to_string();
        assert!(error.contains(&format!("line {line}")), "{bad}: {error}");
        assert!(error.contains(says), "{bad}: {error}");
    }
    let unrooted = PROVED.replace("trust_root = 1\n", "").replace("trust_root = 2\n", "");
    let error = Scenario::from_toml(&unrooted).expect_err("no roots").to_string();
    assert!(error.contains("line 15") && error.contains("no group has a trust_root"), "{error}");
}

#[test]
fn bare_carriers_prove_nothing() {
    let text = PROVED.replace("mode = \"synthetic\"", "mode = \"transport\"");
    let error = Scenario::from_toml(&text).expect_err("carriers").to_string();
    assert!(error.contains("line 6") && error.contains("bare carriers"), "{error}");
}

#[test]
fn the_settings_are_written_back_and_defaults_are_not() {
    let good = scenario(PROVED);
    assert_eq!(Scenario::from_toml(&good.to_toml()), Ok(good));
    let smoke = scenario(builtin::text("smoke").expect("a built-in scenario")).to_toml();
    for key in ["proofs", "drain =", "trust_root", "root_buckets", "between_groups"] {
        assert!(!smoke.contains(key), "{key} in {smoke}");
    }
}

#[test]
fn islands_agree_over_a_thin_ferry_on_what_they_proved() {
    let report = play(builtin::text("proved-ferry").expect("a built-in scenario"));
    assert!(report.passed, "{report}");
    assert_eq!((counts(&report).made, counts(&report).refused), (54, 0), "{report}");
    let sums = report.aggregates.expect("the scenario has aggregates");
    assert!(sums.made >= 12 && sums.failed == 0 && sums.accepted >= 12 * 5, "{report}");
    assert!(report.to_string().contains(&format!("{} aggregates made, 0 not", sums.made)));
}

/// Two islands of four and a ferry, training-free, so that what peers publish does not depend on
/// what they have heard.
fn islands(aggregates: &str) -> String {
    let text = builtin::text("proved-ferry").expect("a built-in scenario");
    let text = text.replace("aggregates = 6\n", aggregates).replace("accuracy_min = 0.2\n", "");
    let text =
        text.replacen("\nepochs = 6\n", "\nepochs = 3\n", 1).replace("mlp:96-10-8", "mlp:96-8");
    text.replace("training = { steps", "training = { mode = \"synthetic\", steps")
}

#[test]
fn whoever_hears_of_sums_alone_ends_with_the_model_of_those_who_have_all() {
    let with = play(&islands("aggregates = 3\n"));
    let without = play(&islands(""));
    assert!(with.passed && without.passed, "{with}{without}");
    let models = |report: &RunReport| {
        report.peers.iter().map(|it| it.model.clone().expect("a model")).collect::<Vec<_>>()
    };
    assert_eq!(models(&with), models(&without), "{with}{without}");
    assert!(with.peers.iter().all(|it| it.updates == 27), "{with}");
    assert!(without.aggregates.is_none() && !without.to_string().contains("aggregates"));
    let between = |report: &RunReport| report.network.bytes_between_groups;
    assert!(between(&with) < between(&without), "{with}{without}");
    // Nobody looks in vain for sums to make once the last epoch is over.
    assert!(with.events < 3 * without.events, "{with}{without}");
}

#[test]
fn a_run_with_aggregates_repeats_and_does_not_depend_on_who_checks() {
    let text = islands("aggregates = 3\n");
    let (first, again) = (play(&text), play(&text));
    assert_eq!(first, again);
    let own = play(&text.replacen("seed = 1", "seed = 1\ncrypto = \"real\"", 1));
    assert_eq!(first.digest, own.digest);
}

#[test]
fn aggregates_that_cannot_be_are_refused_with_their_line() {
    let good = PROVED.replace("seed = 5", "seed = 5\naggregates = 2");
    assert!(Scenario::from_toml(&good).is_ok());
    let seal = "[recipe]\nseal = { window_epochs = 12, every_epochs = 6 }";
    let long = good.replacen("epochs = 3", "epochs = 60", 1);
    for (text, says) in [
        (good.replace("proofs = \"development\"\n", ""), "not proved"),
        (good.replace("aggregates = 2", "aggregates = 4"), "wait for 4 of 3 epochs"),
        (good.replace("rule = \"mean\"", "rule = \"mean\"\nclip = \"median\""), "its sum"),
        (good.replace("rule = \"mean\"", "rule = \"mean\"\nsamples_max = 9"), "its sum"),
        (long.replace("[recipe]", seal), "epochs are sealed"),
        (good.replace("aggregates = 2", "aggregates = 0"), "is not between 1"),
    ] {
        let error = Scenario::from_toml(&text).expect_err(says).to_string();
        assert!(error.contains("line 3") && error.contains(says), "{error}");
    }
}

#[test]
fn the_large_ferries_are_twins_and_sound() {
    let text = |name| builtin::text(name).expect("a built-in scenario").to_owned();
    let (sums, whole) = (text("ferry-aggregates"), text("ferry-whole"));
    let (with, without) = (scenario(&sums), scenario(&whole));
    assert_eq!((with.aggregates.is_some(), without.aggregates), (true, None));
    let twin = Scenario {
        name: with.name.clone(),
        about: with.about.clone(),
        aggregates: with.aggregates,
        checks: with.checks.clone(),
        ..without.clone()
    };
    assert_eq!(twin, with);
    for it in [with, without] {
        assert!(it.about.ends_with("; minutes"), "the gate passes it over");
    }
    // Without its keys, which take seconds to make.
    check_federation(&scenario(&whole.replace("proofs = \"development\"\n", "")))
        .expect("a federation");
}
