//! The scenarios that come with the program.

/// Name and text of each, in order of their length.
const ALL: [(&str, &str); 4] = [
    ("smoke", include_str!("../scenarios/smoke.toml")),
    ("protocol", include_str!("../scenarios/protocol.toml")),
    ("rare-contacts", include_str!("../scenarios/rare-contacts.toml")),
    ("label-split", include_str!("../scenarios/label-split.toml")),
];

/// The text of the built-in scenario `name`.
pub fn text(name: &str) -> Option<&'static str> {
    ALL.iter().find(|(known, _)| *known == name).map(|(_, text)| *text)
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
        for name in names() {
            let text = text(name).expect("a listed scenario has a text");
            let scenario = Scenario::from_toml(text).expect("a built-in scenario is sound");
            assert_eq!(scenario.name.as_str(), name);
            assert!(!scenario.about.is_empty(), "{name} says what it is about");
        }
        assert_eq!(text("no-such-scenario"), None);
    }
}
