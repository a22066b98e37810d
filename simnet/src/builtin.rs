//! The scenarios that come with the program.

/// Name and text of each: first things first, then faults, then adversaries.
const ALL: [(&str, &str); 24] = [
    ("smoke", include_str!("../scenarios/smoke.toml")),
    ("protocol", include_str!("../scenarios/protocol.toml")),
    ("rare-contacts", include_str!("../scenarios/rare-contacts.toml")),
    ("label-split", include_str!("../scenarios/label-split.toml")),
    ("islands-ferry", include_str!("../scenarios/islands-ferry.toml")),
    ("proved-ferry", include_str!("../scenarios/proved-ferry.toml")),
    ("ferry-aggregates", include_str!("../scenarios/ferry-aggregates.toml")),
    ("ferry-whole", include_str!("../scenarios/ferry-whole.toml")),
    ("flapping-link", include_str!("../scenarios/flapping-link.toml")),
    ("one-way-cut", include_str!("../scenarios/one-way-cut.toml")),
    ("crash-storm", include_str!("../scenarios/crash-storm.toml")),
    ("clock-chaos", include_str!("../scenarios/clock-chaos.toml")),
    ("long-absence", include_str!("../scenarios/long-absence.toml")),
    ("leo-constellation", include_str!("../scenarios/leo-constellation.toml")),
    ("conference", include_str!("../scenarios/conference.toml")),
    ("committee", include_str!("../scenarios/committee.toml")),
    ("attackers-spread", include_str!("../scenarios/attackers-spread.toml")),
    ("captured-side", include_str!("../scenarios/captured-side.toml")),
    ("late-twins", include_str!("../scenarios/late-twins.toml")),
    ("sealed-late-twins", include_str!("../scenarios/sealed-late-twins.toml")),
    ("false-bases", include_str!("../scenarios/false-bases.toml")),
    ("bridging-bases", include_str!("../scenarios/bridging-bases.toml")),
    ("dumbbell-carrier", include_str!("../scenarios/dumbbell-carrier.toml")),
    ("paper-n17", include_str!("../scenarios/paper-n17.toml")),
];

/// What `bench` measures; not for `list-scenarios`, but `run` knows them.
const BENCH: [(&str, &str); 6] = [
    ("bench-transport", include_str!("../scenarios/bench/transport.toml")),
    ("bench-transport-large", include_str!("../scenarios/bench/transport-large.toml")),
    ("bench-training", include_str!("../scenarios/bench/training.toml")),
    ("bench-seeds", include_str!("../scenarios/bench/seeds.toml")),
    ("bench-committee", include_str!("../scenarios/bench/committee.toml")),
    ("bench-day", include_str!("../scenarios/bench/day.toml")),
];

/// The text of the built-in scenario `name`.
pub fn text(name: &str) -> Option<&'static str> {
    ALL.iter().chain(&BENCH).find(|(known, _)| *known == name).map(|(_, text)| *text)
}

/// The names of all built-in scenarios.
pub fn names() -> impl Iterator<Item = &'static str> {
    ALL.iter().map(|(name, _)| *name)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Scenario;

    #[test]
    fn all_are_sound_and_bear_their_names() {
        for name in names().chain(BENCH.map(|(name, _)| name)) {
            let text = text(name).expect("a listed scenario has a text");
            let scenario = Scenario::from_toml(text).expect("a built-in scenario is sound");
            assert_eq!(scenario.name.as_str(), name);
            assert!(!scenario.about.is_empty(), "{name} says what it is about");
        }
        assert_eq!(text("no-such-scenario"), None);
    }
}
