//! The modelled time of proving.

use longhaul_simnet::{RunOptions, RunReport, Scenario, run};

/// Four peers that are always in contact; an epoch is two seconds, training 100 ms.
fn play(proof: &str, fault: &str) -> RunReport {
    let text = format!(
        r#"
name = "proving"
seed = 1
peers = 4
epochs = 5
epoch_ms = 2000
drain_epochs = 2
contacts = "all-pairs"
task = {{ model = "mlp:4-2", data = "edgesense" }}
training = {{ mode = "synthetic", steps = 2, batch = 4, rate = 0.1, pace_ms = 50{proof} }}
recipe = {{ rule = "mean", quorum = 2 }}
metrics = {{ every_epochs = 1 }}
{fault}
[checks.by_end]
equal_models = true
"#
    );
    let scenario = Scenario::from_toml(&text).expect("a sound scenario");
    run(&scenario, &RunOptions::default()).expect("a run")
}

const CRASH: &str = "[[faults.crash]]\npeers = { peers = [1] }\nat_epoch = 1.3\nfor_epochs = 1\n";

#[test]
fn no_time_for_proving_is_the_default() {
    assert_eq!(play(", proof_ms = 0", ""), play("", ""));
}

#[test]
fn updates_leave_later_by_the_time_of_proving() {
    let (without, with) = (play("", ""), play(", proof_ms = 1500", ""));
    assert!(with.passed, "{with}");
    assert!(with.events >= without.events + 4 * 5, "one more event an update: {with}");
    let lag = |report: &RunReport| report.mean_lag.expect("models");
    // Still in the same epoch: nothing lags. Beyond its end, what comes is of the epoch before.
    assert_eq!((lag(&without), lag(&with)), (0.0, 0.0));
    let late = play(", proof_ms = 1950", "");
    assert!(late.passed && lag(&late) > 0.5, "{late}");
}

#[test]
fn what_is_being_proved_when_a_process_ends_is_lost() {
    let (without, with) = (play("", CRASH), play(", proof_ms = 1500", CRASH));
    assert!(without.passed && with.passed, "{with}");
    let published = |report: &RunReport| report.peers[1].published;
    assert!(published(&with) < published(&without), "{without}{with}");
}
