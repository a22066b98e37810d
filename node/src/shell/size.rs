//! Size: a number of bytes as a person writes it, such as `2 GiB`.

use std::fmt;
use std::str::FromStr;

/// Units by their names, the largest first.
const UNITS: [(&str, u64); 9] = [
    ("TiB", 1 << 40),
    ("TB", 1_000_000_000_000),
    ("GiB", 1 << 30),
    ("GB", 1_000_000_000),
    ("MiB", 1 << 20),
    ("MB", 1_000_000),
    ("KiB", 1 << 10),
    ("kB", 1_000),
    ("B", 1),
];

/// A number of bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Size(u64);

/// Why a text is no size; holds the text.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is no size; write a number and a unit, such as 500 MB or 2 GiB")]
pub struct SizeError(String);

impl Size {
    /// So many bytes.
    pub const fn from_bytes(bytes: u64) -> Self {
        Self(bytes)
    }

    /// How many bytes.
    pub const fn bytes(self) -> u64 {
        self.0
    }

    /// In binary units with a decimal place, rounded up: never less than there is.
    pub fn rounded_up(self) -> String {
        let binary = UNITS.iter().filter(|(name, _)| name.ends_with("iB"));
        let unit = binary.into_iter().find(|&&(_, bytes)| self.0 >= bytes);
        let Some(&(name, unit)) = unit else { return format!("{} B", self.0) };
        let tenths = (u128::from(self.0) * 10).div_ceil(u128::from(unit));
        format!("{}.{} {name}", tenths / 10, tenths % 10)
    }
}

impl fmt::Display for Size {
    /// Exactly, in the largest unit that leaves no rest.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let whole = UNITS.iter().find(|&&(_, bytes)| self.0 > 0 && self.0.is_multiple_of(bytes));
        let &(name, unit) = whole.unwrap_or(&("B", 1));
        write!(f, "{} {name}", self.0 / unit)
    }
}

impl FromStr for Size {
    type Err = SizeError;

    fn from_str(text: &str) -> Result<Self, SizeError> {
        let read = || {
            let text = text.trim();
            let at = text.find(|it: char| it.is_ascii_alphabetic()).unwrap_or(text.len());
            let (number, unit) = (text[..at].trim(), &text[at..]);
            let unit = match unit {
                "" => 1,
                name => UNITS.iter().find(|(it, _)| it.eq_ignore_ascii_case(name))?.1,
            };
            let (whole, part) = number.split_once('.').unwrap_or((number, "0"));
            let digits = |it: &str| {
                let is_number =
                    (1..=15).contains(&it.len()) && it.bytes().all(|b| b.is_ascii_digit());
                it.parse::<u128>().ok().filter(|_| is_number)
            };
            let scale = 10_u128.pow(u32::try_from(part.len()).ok().filter(|&it| it <= 15)?);
            let number = digits(whole)? * scale + digits(part)?;
            u64::try_from(number * u128::from(unit) / scale).ok().map(Self)
        };
        read().ok_or_else(|| SizeError(text.to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_people_write() {
        for (text, bytes) in [
            ("0", 0),
            ("1500", 1_500),
            ("2 GiB", 2 << 30),
            ("2gib", 2 << 30),
            ("500 MB", 500_000_000),
            (" 1.5 KiB ", 1_536),
            ("0.25MiB", 1 << 18),
            ("7 B", 7),
            ("16777215 TiB", 16_777_215 << 40),
        ] {
            assert_eq!(text.parse(), Ok(Size(bytes)), "{text}");
        }
    }

    #[test]
    fn refuses_what_is_no_size() {
        for text in
            ["", "GiB", "two GiB", "-1 B", "1,5 GiB", "1.2.3 B", "5 XB", "16777216 TiB", "1 2 B"]
        {
            let error = text.parse::<Size>().expect_err(text).to_string();
            assert!(error.contains("such as"), "{error}");
        }
    }

    #[test]
    fn reads_back_what_it_writes() {
        for bytes in [0, 1, 999, 1_000, 1_024, 3 << 20, 5_000_000, (1 << 30) + 1, u64::MAX] {
            let text = Size(bytes).to_string();
            // A number of so many digits is for no disk.
            if bytes < 1 << 49 {
                assert_eq!(text.parse(), Ok(Size(bytes)), "{text}");
            }
        }
        assert_eq!(Size(2 << 30).to_string(), "2 GiB");
    }

    #[test]
    fn rounds_up() {
        for (bytes, text) in [
            (0, "0 B"),
            (1_023, "1023 B"),
            (1_024, "1.0 KiB"),
            (1_025, "1.1 KiB"),
            (3 << 29, "1.5 GiB"),
        ] {
            assert_eq!(Size(bytes).rounded_up(), text);
            assert!(Size(bytes).rounded_up().parse::<Size>().expect("a size") >= Size(bytes));
        }
    }
}
