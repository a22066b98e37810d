//! Numbers as readers see them: three significant digits, a unit, and the same
//! characters on every machine.

/// Stands where there is no number.
pub const NOTHING: &str = "–";

/// Most runs of indices that [`ranges`] spells out.
const RANGES_MAX: usize = 8;

/// `value` rounded to three significant digits, and its power of ten.
fn rounded(value: f64) -> (f64, i32) {
    let text = format!("{value:.2e}");
    let exponent = text.split('e').nth(1).and_then(|it| it.parse().ok()).unwrap_or(0);
    (text.parse().unwrap_or(0.0), exponent)
}

/// Three significant digits: `0.872`, `12.3`, `1,230`, `1.23e-7`.
pub fn significant(value: f64) -> String {
    if !value.is_finite() {
        return NOTHING.to_owned();
    }
    if value == 0.0 {
        return "0".to_owned();
    }
    let (value, exponent) = rounded(value);
    if !(-4..15).contains(&exponent) {
        return minus(&format!("{value:.2e}"));
    }
    let decimals = usize::try_from(2 - exponent).unwrap_or(0);
    minus(&grouped(&format!("{value:.decimals$}")))
}

/// `spread` after `±`, with the decimals that [`significant`] gives `value`.
pub fn plus_minus(value: f64, spread: f64) -> String {
    if !value.is_finite() || !spread.is_finite() {
        return NOTHING.to_owned();
    }
    let exponent = if value == 0.0 { 0 } else { rounded(value).1 };
    if !(-4..15).contains(&exponent) {
        return format!("± {}", significant(spread));
    }
    let decimals = usize::try_from(2 - exponent).unwrap_or(0);
    let step = format!("1e-{decimals}").parse().unwrap_or(1.0);
    if spread > 0.0 && spread < step / 2.0 {
        return format!("± < {}", fixed(step, decimals));
    }
    format!("± {}", fixed(spread, decimals))
}

/// `value` with a fixed number of decimals, for the ticks of an axis.
pub fn fixed(value: f64, decimals: usize) -> String {
    if !value.is_finite() {
        return NOTHING.to_owned();
    }
    let text = format!("{value:.decimals$}");
    let is_zero = text.bytes().all(|byte| matches!(byte, b'-' | b'0' | b'.'));
    minus(&grouped(if is_zero { text.trim_start_matches('-') } else { &text }))
}

/// A count, exactly: `12,345`.
pub fn count(value: u64) -> String {
    grouped(&value.to_string())
}

/// A count with its noun: `1 peer`, `1,000 peers`.
pub fn counted(value: u64, one: &str, many: &str) -> String {
    format!("{} {}", count(value), if value == 1 { one } else { many })
}

/// A share in 0 to 1 as per cent; less than all never reads `100 %`.
pub fn percent(share: f64) -> String {
    if !share.is_finite() {
        return NOTHING.to_owned();
    }
    if share == 1.0 {
        return "100 %".to_owned();
    }
    if share > 0.9995 && share < 1.0 {
        return "> 99.9 %".to_owned();
    }
    format!("{} %", significant(share * 100.0))
}

/// Bytes with an SI prefix: `999 B`, `1.23 MB`.
pub fn bytes(value: f64) -> String {
    with_prefix(value, "B")
}

/// A large number with an SI prefix: `950`, `1.23 M`.
pub fn short(value: f64) -> String {
    with_prefix(value, "").trim_end().to_owned()
}

fn with_prefix(value: f64, unit: &str) -> String {
    let (step, prefix) = prefix_of(rounded(value.abs()).0);
    let value = value / step;
    let text =
        if step == 1.0 && value.fract() == 0.0 { fixed(value, 0) } else { significant(value) };
    format!("{text} {prefix}{unit}")
}

/// The SI prefix that suits `value`, with what it stands for.
pub fn prefix_of(value: f64) -> (f64, &'static str) {
    let prefixes = [(1e15, "P"), (1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k")];
    prefixes.into_iter().find(|(step, _)| value >= *step).unwrap_or((1.0, ""))
}

/// The unit of bytes with an SI prefix.
pub fn bytes_unit(prefix: &str) -> &'static str {
    let units = [("k", "kB"), ("M", "MB"), ("G", "GB"), ("T", "TB"), ("P", "PB")];
    units.into_iter().find(|(it, _)| *it == prefix).map_or("B", |(_, unit)| unit)
}

/// A duration in the unit that suits it: `250 ms`, `95.0 s`, `3.20 h`, `12.0 d`.
pub fn duration(seconds: f64) -> String {
    if !seconds.is_finite() {
        return NOTHING.to_owned();
    }
    let (value, unit) = match rounded(seconds.abs()).0 {
        0.0 => return "0 s".to_owned(),
        it if it < 1.0 => (seconds * 1e3, "ms"),
        it if it < 120.0 => (seconds, "s"),
        it if it < 7_200.0 => (seconds / 60.0, "min"),
        it if it < 172_800.0 => (seconds / 3_600.0, "h"),
        _ => (seconds / 86_400.0, "d"),
    };
    format!("{} {unit}", significant(value))
}

/// A duration that was chosen, not measured: `60 s`, `1 h`, `1.5 h`.
pub fn period(seconds: f64) -> String {
    let text = duration(seconds);
    let Some((number, unit)) = text.split_once(' ').filter(|(number, _)| number.contains('.'))
    else {
        return text;
    };
    format!("{} {unit}", number.trim_end_matches('0').trim_end_matches('.'))
}

/// Indices as ranges: `0–3, 7`; long lists end with `…`.
pub fn ranges(indices: &[u32]) -> String {
    let mut sorted = indices.to_vec();
    sorted.sort_unstable();
    sorted.dedup();
    let mut runs: Vec<(u32, u32)> = Vec::new();
    for index in sorted {
        match runs.last_mut() {
            Some(last) if last.1.checked_add(1) == Some(index) => last.1 = index,
            _ => runs.push((index, index)),
        }
    }
    let shown = runs.iter().take(RANGES_MAX);
    let mut texts: Vec<_> = shown
        .map(|&(from, to)| if from == to { from.to_string() } else { format!("{from}–{to}") })
        .collect();
    if runs.len() > RANGES_MAX {
        texts.push("…".to_owned());
    }
    texts.join(", ")
}

/// Puts a comma before every third digit of the whole part.
fn grouped(number: &str) -> String {
    let (sign, digits) = number.strip_prefix('-').map_or(("", number), |rest| ("-", rest));
    let (whole, rest) = digits.split_at(digits.find('.').unwrap_or(digits.len()));
    let mut text = sign.to_owned();
    for (index, digit) in whole.chars().enumerate() {
        if index > 0 && (whole.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text + rest
}

/// Writes a leading minus as the sign that is as wide as a digit.
fn minus(number: &str) -> String {
    number.strip_prefix('-').map_or_else(|| number.to_owned(), |rest| format!("−{rest}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn check(format: fn(f64) -> String, cases: &[(f64, &str)]) {
        for &(value, text) in cases {
            assert_eq!(format(value), text, "{value}");
        }
    }

    #[test]
    fn three_digits_are_significant() {
        check(
            significant,
            &[
                (0.0, "0"),
                (0.87214, "0.872"),
                (0.9, "0.900"),
                (0.99999, "1.00"),
                (9.999, "10.0"),
                (12.34, "12.3"),
                (-5.678, "−5.68"),
                (1_234.0, "1,230"),
                (99_950.0, "100,000"),
                (0.000123, "0.000123"),
                (1.234e-7, "1.23e-7"),
                (1e300, "1.00e300"),
                (f64::NAN, "–"),
                (f64::NEG_INFINITY, "–"),
            ],
        );
    }

    #[test]
    fn a_spread_has_the_decimals_of_its_value() {
        for (value, spread, text) in [
            (0.815, 0.00137, "± 0.001"),
            (0.815, 0.0001, "± < 0.001"),
            (0.815, 0.0, "± 0.000"),
            (3_250.0, 30.6, "± 31"),
            (12.3, 0.41, "± 0.4"),
            (1e-9, 1e-10, "± 1.00e-10"),
            (1.0, f64::NAN, "–"),
        ] {
            assert_eq!(plus_minus(value, spread), text);
        }
    }

    #[test]
    fn bytes_take_si_prefixes() {
        check(
            bytes,
            &[
                (0.0, "0 B"),
                (999.0, "999 B"),
                (1_000.0, "1.00 kB"),
                (999_949.0, "1.00 MB"),
                (1_234_567.0, "1.23 MB"),
                (5e12, "5.00 TB"),
            ],
        );
        check(short, &[(12.0, "12"), (1.5, "1.50"), (12_345.0, "12.3 k")]);
    }

    #[test]
    fn durations_take_the_unit_that_suits_them() {
        check(
            duration,
            &[
                (0.0, "0 s"),
                (0.25, "250 ms"),
                (95.0, "95.0 s"),
                (119.96, "2.00 min"),
                (7_200.0, "2.00 h"),
                (864_000.0, "10.0 d"),
                (f64::INFINITY, "–"),
            ],
        );
        check(period, &[(60.0, "60 s"), (5_400.0, "90 min"), (9_000.0, "2.5 h"), (0.1, "100 ms")]);
    }

    #[test]
    fn almost_all_is_not_all() {
        check(
            percent,
            &[
                (1.0, "100 %"),
                (0.99996, "> 99.9 %"),
                (0.982, "98.2 %"),
                (0.0, "0 %"),
                (1.2, "120 %"),
            ],
        );
    }

    #[test]
    fn counts_are_exact() {
        assert_eq!(count(1_234_567), "1,234,567");
        assert_eq!(count(999), "999");
        assert_eq!(counted(1, "peer", "peers"), "1 peer");
        assert_eq!(counted(1_000, "peer", "peers"), "1,000 peers");
        assert_eq!(fixed(-0.0001, 2), "0.00");
        assert_eq!(fixed(-1_234.5, 1), "−1,234.5");
    }

    #[test]
    fn indices_become_ranges() {
        assert_eq!(ranges(&[3, 1, 2, 9, 9, u32::MAX]), "1–3, 9, 4294967295");
        assert_eq!(ranges(&[]), "");
        let every_other: Vec<_> = (0..40).step_by(2).collect();
        assert_eq!(ranges(&every_other), "0, 2, 4, 6, 8, 10, 12, 14, …");
    }

    proptest! {
        #[test]
        fn no_number_is_written_as_not_a_number(bits in any::<u64>()) {
            let value = f64::from_bits(bits);
            for format in [significant, percent, bytes, short, duration, period] {
                let text = format(value);
                prop_assert!(!text.contains("NaN") && !text.contains("inf"), "{text}");
            }
        }

        #[test]
        fn significant_digits_stay_near_the_value(value in 1e-4..1e12_f64) {
            let read: f64 = significant(value).replace(',', "").parse().unwrap();
            prop_assert!((read / value - 1.0).abs() <= 0.005_001);
        }
    }
}
