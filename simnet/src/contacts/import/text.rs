//! Text in lines and fields, with limits, and errors that name the line.

use super::{ImportError, LINES_MAX, TEXT_BYTES_MAX};

/// Latest and earliest time, in microseconds: a century and more either way, and
/// small enough that sums of a few stay exact.
const TIME_US_MAX: f64 = 4e15;

/// A line that says something.
#[derive(Debug, Clone, Copy)]
pub(super) struct Line<'t> {
    number: usize,
    text: &'t str,
}

/// Checks the limits and that `bytes` are text.
pub(super) fn text(bytes: &[u8]) -> Result<&str, ImportError> {
    if bytes.len() > TEXT_BYTES_MAX {
        return Err(ImportError::TooLarge(bytes.len()));
    }
    if bytes.iter().filter(|&&byte| byte == b'\n').count() > LINES_MAX {
        return Err(ImportError::TooManyLines);
    }
    let text = std::str::from_utf8(bytes).map_err(|error| {
        let before = &bytes[..error.valid_up_to()];
        ImportError::NotText { line: 1 + before.iter().filter(|&&byte| byte == b'\n').count() }
    })?;
    Ok(text.strip_prefix('\u{feff}').unwrap_or(text))
}

/// The lines that are neither blank nor comments.
pub(super) fn lines(text: &str) -> impl Iterator<Item = Line<'_>> {
    let numbered = (1..).zip(text.lines().map(str::trim));
    let says = |line: &Line<'_>| !line.text.is_empty() && !line.text.starts_with('#');
    numbered.map(|(number, text)| Line { number, text }).filter(says)
}

impl<'t> Line<'t> {
    /// The whole line without the blanks around it.
    pub(super) const fn text(&self) -> &'t str {
        self.text
    }

    /// The fields between blanks.
    pub(super) fn fields(&self) -> impl Iterator<Item = &'t str> + use<'t> {
        self.text.split_ascii_whitespace()
    }

    /// The first `COUNT` fields; there may be more.
    pub(super) fn first<const COUNT: usize>(
        &self,
        format: &str,
    ) -> Result<[&'t str; COUNT], ImportError> {
        let mut found = [""; COUNT];
        let mut fields = self.fields();
        for place in &mut found {
            *place = fields.next().ok_or_else(|| self.error(format!("expected `{format}`")))?;
        }
        Ok(found)
    }

    /// A time, in microseconds.
    pub(super) fn time_us(&self, field: &str, unit_us: f64) -> Result<i64, ImportError> {
        let time = field.parse::<f64>().ok().and_then(|time| time_us(time, unit_us));
        time.ok_or_else(|| self.error(format!("`{field}` is not a time")))
    }

    /// A whole number.
    pub(super) fn whole(&self, field: &str) -> Result<u64, ImportError> {
        field.parse().map_err(|_| self.error(format!("`{field}` is not a whole number")))
    }

    /// An error in this line.
    pub(super) fn error(&self, what: impl Into<String>) -> ImportError {
        ImportError::Line { line: self.number, what: what.into() }
    }
}

/// A time in microseconds, if it is one.
pub(super) fn time_us(time: f64, unit_us: f64) -> Option<i64> {
    let us = (time * unit_us).round();
    // In range by the check, so the cast keeps the value.
    (us.abs() <= TIME_US_MAX).then_some(us as i64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blanks_and_comments_count_as_lines_but_say_nothing() {
        let found: Vec<_> =
            lines("\u{a0}\n# one\n\n  two x \r\nthree").map(|it| (it.number, it.text)).collect();
        assert_eq!(found, [(4, "two x"), (5, "three")]);
    }

    #[test]
    fn limits_are_checked_before_anything_is_read() {
        assert_eq!(
            text(&vec![b' '; TEXT_BYTES_MAX + 1]),
            Err(ImportError::TooLarge((64 << 20) + 1))
        );
        assert_eq!(text(&vec![b'\n'; LINES_MAX + 1]), Err(ImportError::TooManyLines));
        assert!(text(&vec![b'\n'; LINES_MAX]).is_ok());
        assert_eq!(text(b"a\nb\n\xff"), Err(ImportError::NotText { line: 3 }));
        assert_eq!(text(b"\xef\xbb\xbfx"), Ok("x"));
    }

    #[test]
    fn times_are_numbers_within_a_century() {
        let line = Line { number: 7, text: "" };
        for (field, unit_us, expected) in [
            ("1.5", 1e6, Some(1_500_000)),
            ("1700000000", 1e6, Some(1_700_000_000_000_000)),
            ("-3", 1e3, Some(-3_000)),
            ("nan", 1e6, None),
            ("inf", 1e6, None),
            ("1e10", 1e6, None),
            ("", 1e6, None),
        ] {
            assert_eq!(line.time_us(field, unit_us).ok(), expected, "{field}");
        }
        let error = line.time_us("x", 1e6).expect_err("not a time");
        assert_eq!(error.to_string(), "line 7: `x` is not a time");
    }
}
