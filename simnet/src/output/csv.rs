//! CSV fields: quoted text, shortest numbers, exact seconds.
//!
//! Quoting is that of RFC 4180, section 2. Lines end with a bare line feed, as
//! the other files of a run do and every reader of CSV accepts.

use std::fmt;

/// Bytes that are collected before they are written.
pub(super) const BUFFER_BYTES: usize = 64 << 10;

/// From here on, and below [`PLAIN_FROM`], numbers are written with an exponent.
const PLAIN_BELOW: f64 = 1e16;

/// See [`PLAIN_BELOW`].
const PLAIN_FROM: f64 = 1e-5;

/// A text, quoted where it must be (rules 5 to 7).
#[derive(Debug, Clone, Copy)]
pub(super) struct Text<'a>(pub &'a str);

/// A number: the fewest digits that read back as the same float, and no `.0`.
///
/// What is not a number is `NaN`, `inf` or `-inf`, which pandas and R read.
#[derive(Debug, Clone, Copy)]
pub(super) struct Number(pub f64);

/// Microseconds, shown as seconds without loss.
#[derive(Debug, Clone, Copy)]
pub(super) struct Seconds(pub u64);

impl fmt::Display for Text<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !self.0.contains([',', '"', '\n', '\r']) {
            return f.write_str(self.0);
        }
        f.write_str("\"")?;
        for (index, piece) in self.0.split('"').enumerate() {
            f.write_str(if index > 0 { "\"\"" } else { "" })?;
            f.write_str(piece)?;
        }
        f.write_str("\"")
    }
}

impl fmt::Display for Number {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let size = self.0.abs();
        if size == 0.0 || (PLAIN_FROM..PLAIN_BELOW).contains(&size) {
            write!(f, "{}", self.0)
        } else {
            write!(f, "{:e}", self.0)
        }
    }
}

impl fmt::Display for Seconds {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (seconds, us) = (self.0 / 1_000_000, self.0 % 1_000_000);
        if us == 0 {
            return write!(f, "{seconds}");
        }
        let digits = format!("{us:06}");
        write!(f, "{seconds}.{}", digits.trim_end_matches('0'))
    }
}

/// Splits one CSV record into its fields, for tests.
#[cfg(test)]
pub(super) fn split(record: &str) -> Vec<String> {
    let (mut fields, mut field, mut quoted) = (Vec::new(), String::new(), false);
    let mut characters = record.chars().peekable();
    while let Some(character) = characters.next() {
        match character {
            '"' if quoted && characters.next_if_eq(&'"').is_some() => field.push('"'),
            '"' => quoted = !quoted,
            ',' if !quoted => fields.push(std::mem::take(&mut field)),
            other => field.push(other),
        }
    }
    fields.push(field);
    fields
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn a_number_reads_back_as_itself(bits in any::<u64>()) {
            let value = f64::from_bits(bits);
            let text = Number(value).to_string();
            let back: f64 = text.parse().expect("a number");
            prop_assert!(back.to_bits() == bits || value.is_nan() && back.is_nan(), "{text}");
            prop_assert!(text.len() <= 25, "{text}");
        }

        #[test]
        fn an_integer_has_no_point(value in -9_007_199_254_740_992_i64..=9_007_199_254_740_992) {
            prop_assert_eq!(Number(value as f64).to_string(), value.to_string());
        }

        #[test]
        fn a_text_comes_back_as_it_went(
            texts in prop::collection::vec("[a-zü,\" \r\n]{0,6}", 1..5),
        ) {
            let fields: Vec<_> = texts.iter().map(|text| Text(text).to_string()).collect();
            prop_assert_eq!(split(&fields.join(",")), texts);
        }

        #[test]
        fn seconds_lose_nothing(us in any::<u64>()) {
            let text = Seconds(us).to_string();
            let (seconds, rest) = text.split_once('.').unwrap_or((&text, ""));
            prop_assert!(!rest.ends_with('0') && rest.len() <= 6, "{}", text);
            prop_assert_eq!(format!("{seconds}{rest:0<6}").parse::<u64>(), Ok(us));
        }
    }

    #[test]
    fn numbers_are_as_short_as_can_be() {
        for (value, text) in [
            (0.1 + 0.2, "0.30000000000000004"),
            (5.0, "5"),
            (-0.0, "-0"),
            (1e300, "1e300"),
            (1.5e-7, "1.5e-7"),
            (0.00001, "0.00001"),
            (f64::NAN, "NaN"),
            (f64::NEG_INFINITY, "-inf"),
        ] {
            assert_eq!(Number(value).to_string(), text);
        }
    }

    #[test]
    fn seconds_are_exact() {
        for (us, text) in [(0, "0"), (1_500_000, "1.5"), (1, "0.000001"), (60_000_000, "60")] {
            assert_eq!(Seconds(us).to_string(), text);
        }
    }
}
