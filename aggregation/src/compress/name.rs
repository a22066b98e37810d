//! Names of encodings, as people write them: `int8`, `ternary:33`, `rand-k:12:1`.

use std::fmt;
use std::str::FromStr;

use super::encoding::{Encoding, Levels, Share};
use crate::rule::decimal;

/// Why a text names no encoding.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "{0}: use int8, int8-coded, int4, ternary or ternary:PERCENT, rand-k:PERCENT or \
     rand-k:PERCENT:LEVELS, top-k:PERCENT or top-k:PERCENT:LEVELS; 0.01 to 100 percent of the \
     entries, levels 1 (where none are named), 7 or 127"
)]
pub struct EncodingNameError(String);

impl FromStr for Encoding {
    type Err = EncodingNameError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let parts: Vec<&str> = text.split(':').collect();
        let found = match parts[..] {
            ["int8"] => Some(Self::Int8),
            ["int8-coded"] => Some(Self::Int8Coded),
            ["int4"] => Some(Self::Int4),
            ["ternary"] => Some(Self::TERNARY),
            ["ternary", share] => share_of(share).map(|share| Self::Ternary { share }),
            [kind, share] => sparse(kind, share, "1"),
            [kind, share, levels] => sparse(kind, share, levels),
            _ => None,
        };
        found.ok_or_else(|| EncodingNameError(text.to_owned()))
    }
}

fn sparse(kind: &str, share: &str, levels: &str) -> Option<Encoding> {
    let share = share_of(share)?;
    let levels = match levels {
        "1" => Levels::One,
        "7" => Levels::Seven,
        "127" => Levels::Full,
        _ => return None,
    };
    match kind {
        "rand-k" => Some(Encoding::RandK { share, levels }),
        "top-k" => Some(Encoding::TopK { share, levels }),
        _ => None,
    }
}

/// A share in percent with at most two places.
fn share_of(percent: &str) -> Option<Share> {
    u16::try_from(decimal(percent, 2)?).ok().and_then(Share::new)
}

impl fmt::Display for Encoding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::Int8 => f.write_str("int8"),
            Self::Int8Coded => f.write_str("int8-coded"),
            Self::Int4 => f.write_str("int4"),
            Self::Ternary { share } => write!(f, "ternary:{}", Percent(share)),
            Self::RandK { share, levels } => {
                write!(f, "rand-k:{}:{}", Percent(share), levels.largest())
            }
            Self::TopK { share, levels } => {
                write!(f, "top-k:{}:{}", Percent(share), levels.largest())
            }
        }
    }
}

/// A share as percent, with as many places as it needs.
struct Percent(Share);

impl fmt::Display for Percent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (whole, places) = (self.0.ten_thousandths() / 100, self.0.ten_thousandths() % 100);
        match (places, places % 10) {
            (0, _) => write!(f, "{whole}"),
            (_, 0) => write!(f, "{whole}.{}", places / 10),
            _ => write!(f, "{whole}.{places:02}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn encodings_have_one_name_each() {
        for text in [
            "int8",
            "int8-coded",
            "int4",
            "ternary:33",
            "ternary:0.01",
            "rand-k:12:1",
            "rand-k:99.9:7",
            "top-k:2.5:1",
            "top-k:100:127",
        ] {
            assert_eq!(text.parse().map(|it: Encoding| it.to_string()), Ok(text.to_owned()));
        }
        for (text, encoding) in [
            ("ternary", Encoding::TERNARY),
            ("ternary:33.00", Encoding::TERNARY),
            ("rand-k:12", Encoding::RAND_K),
            ("top-k:2.50", Encoding::TOP_K),
        ] {
            assert_eq!(text.parse(), Ok(encoding));
        }
    }

    #[test]
    fn every_share_has_a_name_that_reads_back() {
        for share in (1..=10_000).filter_map(Share::new) {
            let encoding = Encoding::Ternary { share };
            assert_eq!(encoding.to_string().parse(), Ok(encoding));
        }
    }

    #[test]
    fn says_which_encodings_there_are() {
        for text in [
            "",
            "Int8",
            "int8:",
            "int16",
            "ternary:0",
            "ternary:100.01",
            "ternary:1.234",
            "ternary:+5",
            "ternary:.5",
            "ternary:33:1",
            "rand-k",
            "rand-k:12:2",
            "rand-k:12:01",
            "top-k:700",
            "top-k:1:1:1",
        ] {
            let found = text.parse::<Encoding>();
            let says = |why: EncodingNameError| why.to_string().contains("use int8, int8-coded,");
            assert!(found.is_err_and(says), "{text}");
        }
    }
}
