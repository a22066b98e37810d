//! Attacks: each of them acts, and honest peers agree bit for bit whatever it signs.

use longhaul_simnet::{RunOptions, RunReport, Scenario, run};

/// Six peers, real training of a small model, a robust rule that bears one attacker.
const WORLD: &str = r#"
name = "attacked"
seed = 5
peers = 6
epochs = 4
epoch_ms = 2000
drain_epochs = 2
contacts = "all-pairs"
task = { model = "mlp:96-8", data = "edgesense" }
training = { steps = 2, batch = 4, rate = 0.1, pace_ms = 50 }
recipe = { rule = "trimmed-mean", trim = "auto", clip = "median", quorum = 3, attackers_permille = 340 }
metrics = { every_epochs = 2 }

[checks.by_end]
equal_models = true
"#;

/// Attacks that honest peers admit.
const ADMITTED: [&str; 23] = [
    "{ scale = { factor = -4.0 } }",
    "{ alie = { z = 1.5 } }",
    "{ ipm = { epsilon = 0.5 } }",
    "{ stale-replay = { epochs = 1 } }",
    "{ false-base = { factor = -4.0 } }",
    "{ bridging-base = { factor = -4.0 } }",
    "{ sybil = { factor = -4.0 } }",
    "\"false-vouch\"",
    "\"optimal-ipm\"",
    "\"optimal-alie\"",
    "\"min-max\"",
    "\"min-sum\"",
    "{ dissensus = { epsilon = 1.5, peer = 0 } }",
    "{ rop = { z = 1.0, lambda = 0.9, pi = 0.5, degrees = 90.0 } }",
    "{ mimic = { peer = 1 } }",
    "{ sybil-jittered = { factor = -4.0, share = 1.0 } }",
    "{ slow-poisoning = { share = 0.99 } }",
    "\"label-flip\"",
    "{ backdoor = { class = 1, inputs = 8, value = 3.0, factor = 2.0 } }",
    "\"free-rider\"",
    "{ equivocate = { release_epochs = 1 } }",
    "{ payload = { form = \"smallest\" } }",
    "{ payload = { form = \"duplicate\" } }",
];

/// Forms of payloads that they refuse, and why.
const REFUSED: [(&str, &str); 7] = [
    ("largest", "norm-bound"),
    ("not-a-number", "payload-malformed"),
    ("unpaired", "value-range"),
    ("exponent", "exponent-range"),
    ("cut", "payload-malformed"),
    ("short", "shape"),
    ("twice", "oversized"),
];

fn adversary(peer: usize, attack: &str) -> String {
    format!("\n[[adversary]]\npeers = {{ peers = [{peer}] }}\nattack = {attack}\n")
}

fn play(text: &str) -> RunReport {
    let scenario = Scenario::from_toml(text).unwrap_or_else(|error| panic!("{error}\n{text}"));
    run(&scenario, &RunOptions { workers: 2, ..RunOptions::default() }).expect("a run")
}

/// Whatever the hostile did: honest peers hold the same updates and the same model.
fn check(report: &RunReport, what: &str) {
    assert!(report.passed, "{what}: {report}");
    let honest: Vec<_> = report.peers.iter().filter(|it| it.adversary.is_none()).collect();
    let first = honest.first().expect("an honest peer");
    for peer in &honest {
        assert_eq!((&peer.model, peer.updates), (&first.model, first.updates), "{what}: {report}");
    }
}

#[test]
fn honest_peers_agree_under_each_attack() {
    for attack in ADMITTED {
        // Two names, so that what they agree on shows.
        let report = play(&[WORLD, &adversary(4, attack), &adversary(5, attack)].concat());
        check(&report, attack);
        assert!(report.refusals.is_empty() || attack.contains("equivocate"), "{attack}: {report}");
    }
}

#[test]
fn hostile_payloads_are_refused_everywhere_for_what_they_are() {
    for (form, reason) in REFUSED {
        let attack = format!("{{ payload = {{ form = \"{form}\" }} }}");
        let report = play(&[WORLD, &adversary(5, &attack)].concat());
        check(&report, form);
        let found: Vec<_> = report.refusals.iter().map(|it| it.reason.as_str()).collect();
        assert_eq!(found, [reason], "{form}: {report}");
        let line = &report.refusals[0];
        // Of what is too large nobody reads who signed it.
        let hostile = if form == "twice" { line.from_unknown } else { line.from_hostile };
        assert_eq!(
            (hostile, line.from_honest),
            (6 * 4, 0),
            "{form}: six peers, four epochs: {report}"
        );
    }
}

#[test]
fn honest_peers_agree_under_all_attacks_at_once() {
    let forms = REFUSED.map(|(form, _)| format!("{{ payload = {{ form = \"{form}\" }} }}"));
    let attacks: Vec<&str> =
        ADMITTED.iter().copied().chain(forms.iter().map(String::as_str)).collect();
    let honest = attacks.len() + 3;
    let peers = format!("peers = {}", honest + attacks.len());
    let mut text = WORLD.replace("peers = 6", &peers).replace("quorum = 3", "quorum = 20");
    text.extend(attacks.iter().enumerate().map(|(it, attack)| adversary(honest + it, attack)));
    let report = play(&text);
    check(&report, "all");
    assert!(report.peers.iter().all(|it| it.updates > 4 * honest), "{report}");
}

#[test]
fn attacks_that_cannot_be_are_refused() {
    for (attack, says) in [
        ("{ mimic = { peer = 9 } }", "peer 9 is beyond the 6 there are"),
        ("{ payload = { form = \"odd\" } }", "unknown variant `odd`"),
    ] {
        let error = Scenario::from_toml(&[WORLD, &adversary(5, attack)].concat());
        let error = error.expect_err("no such attack").to_string();
        assert!(error.contains(says), "{error}");
    }
    let synthetic = WORLD.replace("training = {", "training = { mode = \"synthetic\",");
    let error = Scenario::from_toml(&[&synthetic, &adversary(5, "\"label-flip\"")[..]].concat());
    let error = error.expect_err("nothing to flip").to_string();
    assert!(error.contains("label-flip changes samples"), "{error}");
}
