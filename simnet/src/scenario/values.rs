//! Values of a scenario that have a range, checked while they are read, so
//! that the parser can point at the line.

use serde::{Deserialize, Serialize};

/// Declares a newtype over a primitive whose values lie in a range.
macro_rules! ranged {
    ($(#[$doc:meta])* $name:ident: $inner:ty, $literal:literal in $range:expr, $says:literal) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, PartialOrd, Serialize, Deserialize)]
        #[serde(try_from = $literal, into = $literal)]
        pub struct $name($inner);

        impl $name {
            /// The value.
            pub const fn get(self) -> $inner {
                self.0
            }
        }

        impl TryFrom<$inner> for $name {
            type Error = String;

            fn try_from(value: $inner) -> Result<Self, Self::Error> {
                if $range.contains(&value) {
                    return Ok(Self(value));
                }
                Err(format!("{value} is not {}", $says))
            }
        }

        impl From<$name> for $inner {
            fn from(value: $name) -> Self {
                value.0
            }
        }
    };
}

pub(crate) use ranged;

ranged! {
    /// A probability or an accuracy.
    Probability: f64, "f64" in (0.0..=1.0), "between 0 and 1"
}
ranged! {
    /// Concentration of a Dirichlet distribution.
    Alpha: f64, "f64" in (0.01..=1_000.0), "between 0.01 and 1000"
}
ranged! {
    /// A weight or a number of epochs on average; not negative.
    Weight: f64, "f64" in (0.0..=1_000_000.0), "between 0 and 1000000"
}
ranged! {
    /// A learning rate; the manifest keeps it in millionths.
    Rate: f64, "f64" in (0.000_001..=100.0), "a learning rate between 0.000001 and 100"
}
ranged! {
    /// A count of at least one.
    Count: u32, "u32" in (1..=1_000_000_000), "between 1 and 1000000000"
}
ranged! {
    /// Milliseconds, at least one and at most a day.
    Millis: u32, "u32" in (1..=86_400_000), "between 1 and 86400000 milliseconds"
}
ranged! {
    /// Number of peers.
    Peers: u16, "u16" in (2..=20_000), "between 2 and 20000 peers"
}
ranged! {
    /// A time or a length of time in epochs; fractions are allowed.
    EpochTime: f64, "f64" in (0.0..=1_000_000.0), "between 0 and 1000000 epochs"
}
ranged! {
    /// Number of epochs.
    Epochs: u32, "u32" in (1..=100_000), "between 1 and 100000 epochs"
}

impl Probability {
    /// Never.
    pub const ZERO: Self = Self(0.0);
}

impl Default for Probability {
    fn default() -> Self {
        Self::ZERO
    }
}

impl Default for EpochTime {
    fn default() -> Self {
        Self(0.0)
    }
}

impl Count {
    /// A count that the program itself gives; must be at least one.
    pub const fn new(value: u32) -> Self {
        assert!(value >= 1, "a count is at least one");
        Self(value)
    }
}

impl Rate {
    /// The rate in millionths, as the manifest keeps it.
    pub fn micro(self) -> u32 {
        // At most 100 million by the range, so nothing saturates.
        (self.0 * 1_000_000.0).round() as u32
    }
}

/// A name: 1 to 64 characters out of `a-z`, `0-9` and `-`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Label(String);

impl Label {
    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for Label {
    type Error = String;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        let fits = (1..=64).contains(&text.len());
        let plain = |letter: char| matches!(letter, 'a'..='z' | '0'..='9' | '-');
        if fits && text.chars().all(plain) {
            return Ok(Self(text));
        }
        Err("a name has 1 to 64 characters out of a-z, 0-9 and -".to_owned())
    }
}

impl From<Label> for String {
    fn from(label: Label) -> Self {
        label.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_include_their_ends_only() {
        for (value, fits) in [(0.0, true), (1.0, true), (-0.1, false), (1.1, false)] {
            assert_eq!(Probability::try_from(value).is_ok(), fits, "{value}");
        }
        assert!(Probability::try_from(f64::NAN).is_err());
        assert!(Rate::try_from(f64::INFINITY).is_err());
        assert!(Peers::try_from(1).is_err());
        assert!(Count::try_from(0).is_err());
    }

    #[test]
    fn rates_become_millionths() {
        for (rate, micro) in [(0.1, 100_000), (0.000_001, 1), (100.0, 100_000_000)] {
            assert_eq!(Rate::try_from(rate).expect("a rate").micro(), micro);
        }
    }

    #[test]
    fn names_are_plain() {
        for (text, fits) in [("rare-contacts", true), ("", false), ("a b", false), ("É", false)] {
            assert_eq!(Label::try_from(text.to_owned()).is_ok(), fits, "{text:?}");
        }
        assert!(Label::try_from("x".repeat(65)).is_err());
    }
}
