//! The fields of both forms of a plan: nodes, times, seconds, rates and confidences.
//!
//! Each function reads one field or says what it should be. Numbers are decimal digits without a sign
//! or an exponent, so that nothing passes through a float.

use super::{ByteRate, Confidence, PARTS};
use crate::bpv7::{EndpointId, IpnForm};
use crate::time::{Span, Timestamp};

/// What a node should be.
const NODE: &str = "a node number above 0, ipn:NODE.0 or dtn://NAME/";
/// What a time should be.
const TIME: &str = "+SECONDS or YYYY/MM/DD-HH:MM:SS in UTC, in the years 2000 to 9999";
/// What a time span should be.
const SECONDS: &str = "seconds with at most three decimals";
/// What a rate should be.
const RATE: &str = "bytes per second, a whole number above 0";
/// What a confidence should be.
const CONFIDENCE: &str = "a number above 0 and at most 1 (a light time belongs into a range)";

/// The last moment of the year 9999: later ones have no date.
pub(super) const TIME_MAX: Timestamp = Timestamp::from_dtn_ms(252_455_615_999_999);

/// What a field should have been.
pub(super) type Wrong = &'static str;

/// A node.
pub(super) fn node(text: &str) -> Result<EndpointId, Wrong> {
    if let Some(number) = whole(text) {
        return node_of_number(number);
    }
    let node: EndpointId = text.parse().map_err(|_| NODE)?;
    if node.is_none() || node.is_local_node() || node != node.node() { Err(NODE) } else { Ok(node) }
}

/// The node of a number: the allocator is its upper half (RFC 9758 section 3.3).
pub(super) fn node_of_number(number: u64) -> Result<EndpointId, Wrong> {
    let (allocator, low) = ((number >> 32) as u32, number as u32);
    let node = EndpointId::Ipn { allocator, node: low, service: 0, form: IpnForm::Two };
    if node.is_none() || node.is_local_node() { Err(NODE) } else { Ok(node) }
}

/// The number of a node; none for one with a name.
pub(super) fn number_of_node(node: &EndpointId) -> Option<u64> {
    match *node {
        EndpointId::Ipn { allocator, node, .. } => {
            Some(u64::from(allocator) << 32 | u64::from(node))
        }
        _ => None,
    }
}

/// A time; `+SECONDS` counts from `reference`.
pub(super) fn time(text: &str, reference: Timestamp) -> Result<Timestamp, Wrong> {
    let found = match text.strip_prefix('+') {
        Some(later) => seconds(later).ok().map(|it| reference.plus(it)),
        None => absolute(text),
    };
    found.filter(|&it| it <= TIME_MAX).ok_or(TIME)
}

/// Seconds with at most three decimals.
pub(super) fn seconds(text: &str) -> Result<Span, Wrong> {
    decimal(text, 3).map(Span::from_ms).ok_or(SECONDS)
}

/// A rate.
pub(super) fn rate(text: &str) -> Result<ByteRate, Wrong> {
    whole(text).and_then(ByteRate::new).ok_or(RATE)
}

/// A confidence.
pub(super) fn confidence(text: &str) -> Result<Confidence, Wrong> {
    let parts = decimal(text, 6).and_then(|it| u32::try_from(it).ok());
    parts.and_then(Confidence::from_millionths).ok_or(CONFIDENCE)
}

/// A whole number; leading zeros are fine, as ION takes them.
fn whole(text: &str) -> Option<u64> {
    let digits = !text.is_empty() && text.bytes().all(|it| it.is_ascii_digit());
    if digits { text.parse().ok() } else { None }
}

/// A number with at most `places` decimals, in units of the last one.
fn decimal(text: &str, places: usize) -> Option<u64> {
    let (whole_part, rest) = text.split_once('.').unwrap_or((text, "0"));
    if rest.len() > places {
        return None;
    }
    let unit = 10_u64.checked_pow(u32::try_from(places).ok()?)?;
    let rest_unit = 10_u64.checked_pow(u32::try_from(places - rest.len()).ok()?)?;
    let rest = whole(rest)?.checked_mul(rest_unit)?;
    whole(whole_part)?.checked_mul(unit)?.checked_add(rest)
}

/// `YYYY/MM/DD-HH:MM:SS[.mmm]`.
fn absolute(text: &str) -> Option<Timestamp> {
    let (date, clock) = text.split_once('-')?;
    let (year, rest) = date.split_once('/')?;
    let (month, day) = rest.split_once('/')?;
    let (hour, rest) = clock.split_once(':')?;
    let (minute, second) = rest.split_once(':')?;
    let (year, month, day) = (whole(year)?, whole(month)?, whole(day)?);
    let (hour, minute, ms) = (whole(hour)?, whole(minute)?, decimal(second, 3)?);
    let is_date = (2000..=9999).contains(&year) && (1..=12).contains(&month);
    if !is_date || day == 0 || day > days_of_month(year, month) {
        return None;
    }
    if hour > 23 || minute > 59 || ms >= 60_000 {
        return None;
    }
    let days: u64 = (2000..year).map(days_of_year).sum::<u64>()
        + (1..month).map(|it| days_of_month(year, it)).sum::<u64>()
        + (day - 1);
    let minutes = (days * 24 + hour) * 60 + minute;
    Some(Timestamp::from_dtn_ms(minutes * 60_000 + ms))
}

/// A time of at most [`TIME_MAX`], as [`time`] reads it back.
pub(super) fn written(time: Timestamp) -> String {
    let ms = time.min(TIME_MAX).dtn_ms();
    let (mut days, in_day) = (ms / 86_400_000, ms % 86_400_000);
    let mut year = 2000;
    while days >= days_of_year(year) {
        days -= days_of_year(year);
        year += 1;
    }
    let mut month = 1;
    while days >= days_of_month(year, month) {
        days -= days_of_month(year, month);
        month += 1;
    }
    let (hour, minute, ms) = (in_day / 3_600_000, in_day / 60_000 % 60, in_day % 60_000);
    let second = written_seconds(Span::from_ms(ms));
    let zero = if ms < 10_000 { "0" } else { "" };
    format!("{year}/{month:02}/{:02}-{hour:02}:{minute:02}:{zero}{second}", days + 1)
}

/// A span in seconds, as [`seconds`] reads it back.
pub(super) fn written_seconds(span: Span) -> String {
    written_decimal(span.ms(), 1000)
}

/// A confidence, as [`confidence`] reads it back.
pub(super) fn written_confidence(confidence: Confidence) -> String {
    written_decimal(u64::from(confidence.millionths()), u64::from(PARTS))
}

fn written_decimal(value: u64, unit: u64) -> String {
    let (whole, rest) = (value / unit, value % unit);
    if rest == 0 {
        return whole.to_string();
    }
    // The unit's leading 1 keeps the zeros behind the point.
    let places = (unit + rest).to_string();
    format!("{whole}.{}", places[1..].trim_end_matches('0'))
}

fn is_leap(year: u64) -> bool {
    year.is_multiple_of(4) && !year.is_multiple_of(100) || year.is_multiple_of(400)
}

fn days_of_year(year: u64) -> u64 {
    if is_leap(year) { 366 } else { 365 }
}

fn days_of_month(year: u64, month: u64) -> u64 {
    match month {
        2 if is_leap(year) => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn reads_times_that_others_tell() {
        let reference = Timestamp::from_dtn_ms(500);
        // From `date -u -d '…' +%s`.
        for (text, unix_s) in [
            ("2000/01/01-00:00:00", 946_684_800),
            ("2000/02/29-00:00:00", 951_782_400),
            ("2026/11/27-03:00:00", 1_795_748_400),
            ("2100/03/01-00:00:00", 4_107_542_400),
        ] {
            let found = time(text, reference).expect(text);
            assert_eq!(found.unix_ms(), unix_s * 1000, "{text}");
            assert_eq!(written(found), text);
        }
        assert_eq!(time("9999/12/31-23:59:59.999", reference), Ok(TIME_MAX));
        assert_eq!(time("+0003", reference), Ok(Timestamp::from_dtn_ms(3500)));
        assert_eq!(time("+1.25", reference), Ok(Timestamp::from_dtn_ms(1750)));
    }

    #[test]
    fn refuses_what_is_no_time() {
        for text in [
            "",
            "+",
            "+-1",
            "+1.2345",
            "+1.",
            "+.5",
            "-1",
            "5",
            "2026/11/27",
            "2026/11/31-00:00:00",
            "2026/02/29-00:00:00",
            "2100/02/29-00:00:00",
            "1999/12/31-23:59:59",
            "2026/13/01-00:00:00",
            "2026/00/01-00:00:00",
            "2026/01/00-00:00:00",
            "2026/01/01-24:00:00",
            "2026/01/01-00:60:00",
            "2026/01/01-00:00:60",
            "10000/01/01-00:00:00",
            "+252455616000",
            "+99999999999999999999",
            "２026/01/01-00:00:00",
        ] {
            assert_eq!(time(text, Timestamp::default()), Err(TIME), "{text}");
        }
    }

    #[test]
    fn reads_nodes_of_each_form() {
        for (text, eid) in [("7", "ipn:7.0"), ("007", "ipn:7.0"), ("ipn:7.0", "ipn:7.0")] {
            assert_eq!(node(text).expect(text).to_string(), eid);
        }
        assert_eq!(node("4294967298").expect("a node").to_string(), "ipn:1.2.0");
        assert_eq!(node("dtn://hub/").expect("a node").to_string(), "dtn://hub/");
        for text in
            ["0", "", "-1", "4294967295", "ipn:7.1", "dtn://hub/x", "dtn:none", "ipn:!.0", "hub"]
        {
            assert_eq!(node(text), Err(NODE), "{text}");
        }
    }

    #[test]
    fn reads_confidences_and_rates() {
        assert_eq!(confidence("1"), Ok(Confidence::CERTAIN));
        assert_eq!(confidence("1.0"), Ok(Confidence::CERTAIN));
        assert_eq!(confidence("0.25").map(Confidence::millionths), Ok(250_000));
        for text in
            ["0", "0.0", "1.000001", "2", "-0.5", "1e-3", "0.0000001", "9999999999999999999"]
        {
            assert_eq!(confidence(text), Err(CONFIDENCE), "{text}");
        }
        assert_eq!(rate("100000").map(ByteRate::bytes_per_s), Ok(100_000));
        for text in ["0", "1.5", "", "18446744073709551616"] {
            assert_eq!(rate(text), Err(RATE), "{text}");
        }
    }

    proptest! {
        #[test]
        fn reads_back_what_it_writes(ms in 0..=TIME_MAX.dtn_ms(), any: u64, parts in 1_u32..=PARTS) {
            let at = Timestamp::from_dtn_ms(ms);
            prop_assert_eq!(time(&written(at), Timestamp::from_dtn_ms(9)), Ok(at));
            let span = Span::from_ms(any);
            prop_assert_eq!(seconds(&written_seconds(span)), Ok(span));
            let sure = Confidence::from_millionths(parts).expect("in range");
            prop_assert_eq!(confidence(&written_confidence(sure)), Ok(sure));
        }
    }
}
