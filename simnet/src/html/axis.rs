//! Axes: scales from values to pixels, and ticks at round values.

use super::number;

/// A tick of an axis.
#[derive(Debug, Clone, PartialEq)]
pub struct Tick {
    /// Where, in the axis's values.
    pub value: f64,
    /// Its label.
    pub label: String,
}

/// How values are spread over an axis.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Spread {
    /// Evenly.
    Linear,
    /// By their logarithm; values must be positive.
    Log,
}

/// Maps values to pixels.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Scale {
    /// How values are spread.
    pub spread: Spread,
    /// First and last value.
    pub domain: (f64, f64),
    /// Their pixels.
    pub range: (f64, f64),
}

impl Scale {
    /// The pixel of `value`; values beyond the domain land on its end.
    pub fn at(&self, value: f64) -> f64 {
        let place = |value: f64| match self.spread {
            Spread::Linear => value,
            Spread::Log => value.max(f64::MIN_POSITIVE).ln(),
        };
        let (from, to) = (place(self.domain.0), place(self.domain.1));
        let share = if to > from { (place(value) - from) / (to - from) } else { 0.5 };
        let share = if share.is_finite() { share.clamp(0.0, 1.0) } else { 0.0 };
        self.range.0 + (self.range.1 - self.range.0) * share
    }
}

/// An axis before it has pixels.
#[derive(Debug, Clone, PartialEq)]
pub struct Axis {
    /// What it shows, with the unit.
    pub title: String,
    /// Unit of its values when shown under the pointer; may be empty.
    pub unit: &'static str,
    /// What a value is multiplied by to be in `unit`.
    pub per_unit: f64,
    /// How values are spread.
    pub spread: Spread,
    /// First and last value.
    pub domain: (f64, f64),
    /// The ticks, in order.
    pub ticks: Vec<Tick>,
}

impl Axis {
    /// An axis from 0 to at least `max`, its end on a tick.
    pub fn from_zero(title: &str, max: f64, ticks: usize) -> Self {
        Self::over(title, (0.0, max), ticks)
    }

    /// An axis over at least `domain`, both ends on ticks.
    pub fn over(title: &str, domain: (f64, f64), ticks: usize) -> Self {
        let (from, to) = widened(domain);
        let step = nice_step(to - from, ticks);
        let (first, last) = ((from / step + 1e-9).floor(), (to / step - 1e-9).ceil());
        Self {
            title: title.to_owned(),
            unit: "",
            per_unit: 1.0,
            spread: Spread::Linear,
            domain: (first * step, last * step),
            ticks: steps(first, last, step),
        }
    }

    /// An axis of whole numbers from 0 to at least `max`.
    pub fn of_counts(title: &str, max: f64, ticks: usize) -> Self {
        let mut axis = Self::from_zero(title, max.max(1.0), ticks);
        axis.ticks.retain(|tick| tick.value.fract().abs() < 1e-9);
        for tick in &mut axis.ticks {
            tick.label = number::fixed(tick.value, 0);
        }
        if axis.domain.1 >= 10_000.0 { axis.with_prefix("") } else { axis }
    }

    /// An axis of bytes from 0 to at least `max`.
    pub fn of_bytes(title: &str, max: f64, ticks: usize) -> Self {
        Self::from_zero(title, max.max(1.0), ticks).with_prefix("B")
    }

    /// An axis of shares from 0 to at least `max`, labelled in per cent.
    pub fn of_shares(title: &str, max: f64, ticks: usize) -> Self {
        let per_cent = Self::from_zero("", max.max(1e-6) * 100.0, ticks).ticks;
        let mut axis = Self::from_zero(title, max.max(1e-6), ticks);
        for (tick, label) in axis.ticks.iter_mut().zip(per_cent) {
            tick.label = format!("{} %", label.label);
        }
        (axis.unit, axis.per_unit) = ("%", 100.0);
        axis
    }

    /// A logarithmic axis of whole numbers from 1 to at least `max`.
    pub fn of_log_counts(title: &str, max: f64) -> Self {
        let mut ticks = Vec::new();
        let mut decade = 1.0;
        while decade <= 1e12 {
            let round = [1.0, 2.0, 5.0].map(|it| it * decade);
            for value in round {
                ticks.push(Tick { value, label: log_count(value) });
                if value >= max {
                    let domain = (1.0, value.max(2.0));
                    let (spread, title) = (Spread::Log, title.to_owned());
                    return Self { title, unit: "", per_unit: 1.0, spread, domain, ticks };
                }
            }
            decade *= 10.0;
        }
        Self::of_counts(title, max, 5)
    }

    /// An axis of simulated time from 0 to `end_s` seconds, in the unit that
    /// suits it, with about `ticks` ticks.
    pub fn of_time(end_s: f64, ticks: usize) -> Self {
        let end_s = if end_s.is_finite() && end_s > 0.0 { end_s } else { 1.0 };
        let (unit, unit_s, parts): (_, _, &[f64]) = match end_s {
            it if it < 180.0 => ("s", 1.0, &[1.0, 2.0, 5.0, 10.0, 15.0, 30.0]),
            it if it < 10_800.0 => ("min", 60.0, &[1.0, 2.0, 5.0, 10.0, 15.0, 30.0]),
            it if it < 259_200.0 => ("h", 3_600.0, &[1.0, 2.0, 3.0, 6.0, 12.0]),
            _ => ("d", 86_400.0, &[1.0, 2.0, 5.0, 7.0]),
        };
        let span = end_s / unit_s;
        let ticks = ticks.max(3);
        let enough = |step: &&f64| span / **step <= ticks as f64;
        let fine = span < 2.0 * parts[0];
        let step = parts.iter().find(enough).copied().filter(|_| !fine);
        let step = step.unwrap_or_else(|| nice_step(span, ticks));
        let mut ticks = steps(0.0, (span / step + 1e-9).floor(), step);
        ticks.iter_mut().for_each(|tick| tick.value *= unit_s);
        Self {
            title: format!("Simulated time ({unit})"),
            unit,
            per_unit: 1.0 / unit_s,
            spread: Spread::Linear,
            domain: (0.0, end_s),
            ticks,
        }
    }

    /// A logarithmic axis of durations in seconds, `width` pixels long.
    pub fn of_log_durations(title: &str, domain: (f64, f64), width: f64) -> Self {
        let from = domain.0.max(1e-3);
        let to = domain.1.max(from * 2.0);
        let scale = Scale { spread: Spread::Log, domain: (from, to), range: (0.0, width) };
        let mut ticks: Vec<Tick> = Vec::new();
        for value in MAJOR_DURATIONS_S.into_iter().chain(MINOR_DURATIONS_S) {
            let is_free = ticks
                .iter()
                .all(|tick| (scale.at(tick.value) - scale.at(value)).abs() >= DURATION_SPACE);
            if (from..=to).contains(&value) && is_free {
                ticks.push(Tick { value, label: clock(value) });
            }
        }
        ticks.sort_by(|a, b| a.value.total_cmp(&b.value));
        let title = title.to_owned();
        Self { title, unit: "s", per_unit: 1.0, spread: Spread::Log, domain: (from, to), ticks }
    }

    /// The scale of this axis over `range` pixels.
    pub const fn scale(&self, range: (f64, f64)) -> Scale {
        Scale { spread: self.spread, domain: self.domain, range }
    }

    /// Labels with one SI prefix for all ticks.
    fn with_prefix(mut self, unit: &str) -> Self {
        let (step, prefix) = number::prefix_of(self.domain.1.abs());
        if unit == "B" {
            (self.unit, self.per_unit) = (number::bytes_unit(prefix), 1.0 / step);
        }
        let gap =
            self.ticks.get(1).zip(self.ticks.first()).map_or(step, |(b, a)| b.value - a.value);
        let decimals = decimals_of(gap / step);
        for tick in &mut self.ticks {
            let number = number::fixed(tick.value / step, decimals);
            let is_zero = tick.value == 0.0;
            let text = if is_zero { "0".to_owned() } else { format!("{number} {prefix}{unit}") };
            tick.label = text.trim_end().to_owned();
        }
        self
    }
}

/// Least distance of two ticks on an axis of durations, in pixels.
const DURATION_SPACE: f64 = 46.0;

/// Durations at which ticks are put first: 1 ms to 1,000 d.
const MAJOR_DURATIONS_S: [f64; 12] = [
    1.0,
    60.0,
    3_600.0,
    86_400.0,
    0.001,
    0.1,
    10.0,
    600.0,
    864_000.0,
    8_640_000.0,
    0.01,
    86_400_000.0,
];

/// Durations at which ticks are put where there is room.
const MINOR_DURATIONS_S: [f64; 20] = [
    21_600.0,
    1_800.0,
    300.0,
    30.0,
    5.0,
    2.0,
    20.0,
    120.0,
    1_200.0,
    7_200.0,
    43_200.0,
    172_800.0,
    432_000.0,
    1_728_000.0,
    4_320_000.0,
    0.5,
    0.2,
    0.05,
    0.02,
    0.005,
];

/// A round count, with a prefix from 10,000 on.
fn log_count(value: f64) -> String {
    let (step, prefix) = number::prefix_of(if value < 10_000.0 { 1.0 } else { value });
    format!("{} {prefix}", number::fixed(value / step, 0)).trim_end().to_owned()
}

/// A duration in the largest unit of which it is a whole number.
fn clock(seconds: f64) -> String {
    let units = [(86_400.0, "d"), (3_600.0, "h"), (60.0, "min"), (1.0, "s")];
    let whole = units.into_iter().find(|(unit, _)| seconds % unit == 0.0);
    whole.map_or_else(
        || number::period(seconds),
        |(unit, name)| format!("{} {name}", number::fixed(seconds / unit, 0)),
    )
}

/// A domain that is finite and not empty.
fn widened((from, to): (f64, f64)) -> (f64, f64) {
    let from = if from.is_finite() { from } else { 0.0 };
    let to = if to.is_finite() { to } else { from };
    let least = from.abs().max(to.abs()).max(1e-300) * 1e-6;
    if to - from > least {
        return (from, to);
    }
    let margin = if from == 0.0 { 1.0 } else { from.abs() * 0.1 };
    if from == 0.0 { (0.0, margin) } else { (from - margin, from + margin) }
}

/// The round step (1, 2 or 5 times a power of ten) that cuts `span` into at
/// most about `ticks` parts.
fn nice_step(span: f64, ticks: usize) -> f64 {
    let least = span / ticks.max(1) as f64;
    let exponent = format!("{least:e}").split('e').nth(1).and_then(|it| it.parse().ok());
    let exponent: i32 = exponent.unwrap_or(0);
    let power = |exponent: i32| format!("1e{exponent}").parse::<f64>().unwrap_or(1.0);
    let steps = [1.0, 2.0, 5.0].map(|it| it * power(exponent));
    let fits = |step: &f64| *step >= least * (1.0 - 1e-9);
    steps.into_iter().find(fits).unwrap_or_else(|| power(exponent.saturating_add(1)))
}

/// Ticks at `first` to `last` times `step`.
fn steps(first: f64, last: f64, step: f64) -> Vec<Tick> {
    let decimals = decimals_of(step);
    let count = (last - first).clamp(0.0, 1_000.0) as u32;
    (0..=count)
        .map(|index| (first + f64::from(index)) * step)
        .map(|value| Tick { value, label: number::fixed(value, decimals) })
        .collect()
}

/// Decimals that tell multiples of `step` apart.
fn decimals_of(step: f64) -> usize {
    let tells = |decimals: &usize| {
        let text = format!("{step:.decimals$}");
        text.parse::<f64>().is_ok_and(|it| (it - step).abs() <= step.abs() * 1e-6)
    };
    (0..=12).find(tells).unwrap_or(12)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn labels(axis: &Axis) -> Vec<&str> {
        axis.ticks.iter().map(|tick| tick.label.as_str()).collect()
    }

    #[test]
    fn ticks_stand_at_round_values() {
        assert_eq!(
            labels(&Axis::from_zero("", 1.0, 5)),
            ["0.0", "0.2", "0.4", "0.6", "0.8", "1.0"]
        );
        assert_eq!(labels(&Axis::from_zero("", 37.0, 5)), ["0", "10", "20", "30", "40"]);
        assert_eq!(
            labels(&Axis::over("", (0.842, 0.913), 4)),
            ["0.84", "0.86", "0.88", "0.90", "0.92"]
        );
        assert_eq!(labels(&Axis::over("", (-3.0, 3.0), 3)), ["−4", "−2", "0", "2", "4"]);
    }

    #[test]
    fn a_domain_of_one_value_is_widened() {
        for domain in [(0.0, 0.0), (5.0, 5.0), (f64::NAN, f64::NAN), (-2.0, -2.0), (1.0, 0.0)] {
            let axis = Axis::over("", domain, 5);
            assert!(axis.domain.0 < axis.domain.1, "{domain:?} {axis:?}");
            assert!(axis.ticks.len() >= 2, "{domain:?} {axis:?}");
        }
    }

    #[test]
    fn counts_have_whole_ticks() {
        assert_eq!(labels(&Axis::of_counts("", 2.0, 5)), ["0", "1", "2"]);
        assert_eq!(labels(&Axis::of_counts("", 0.0, 5)), ["0", "1"]);
        assert_eq!(labels(&Axis::of_counts("", 24_000.0, 3)), ["0", "10 k", "20 k", "30 k"]);
        assert_eq!(labels(&Axis::of_log_counts("", 12.0)), ["1", "2", "5", "10", "20"]);
        assert_eq!(labels(&Axis::of_log_counts("", 1.0)), ["1"]);
        assert_eq!(
            labels(&Axis::of_log_counts("", 2e4))[9..],
            ["1,000", "2,000", "5,000", "10 k", "20 k"]
        );
    }

    #[test]
    fn bytes_share_one_prefix() {
        let labels_of = |max| Axis::of_bytes("", max, 4);
        assert_eq!(labels(&labels_of(1.3e6)), ["0", "0.5 MB", "1.0 MB", "1.5 MB"]);
        assert_eq!(labels(&labels_of(0.0)), ["0", "0.5 B", "1.0 B"]);
    }

    #[test]
    fn shares_are_labelled_in_per_cent() {
        assert_eq!(labels(&Axis::of_shares("", 0.3, 3)), ["0 %", "10 %", "20 %", "30 %"]);
        assert_eq!(labels(&Axis::of_shares("", 0.009, 3)), ["0.0 %", "0.5 %", "1.0 %"]);
        assert_eq!(labels(&Axis::of_shares("", 1.0, 2)), ["0 %", "50 %", "100 %"]);
    }

    #[test]
    fn time_takes_the_steps_of_a_clock() {
        let check = |end_s: f64, expected: &[&str], unit: &str| {
            let axis = Axis::of_time(end_s, 6);
            assert_eq!((labels(&axis), axis.unit), (expected.to_vec(), unit));
        };
        check(90.0, &["0", "15", "30", "45", "60", "75", "90"], "s");
        check(6_000.0, &["0", "30", "60", "90"], "min");
        check(86_400.0, &["0", "6", "12", "18", "24"], "h");
        check(30.0 * 86_400.0, &["0", "5", "10", "15", "20", "25", "30"], "d");
        check(1.0, &["0.0", "0.2", "0.4", "0.6", "0.8", "1.0"], "s");
        check(400.0 * 86_400.0, &["0", "100", "200", "300", "400"], "d");
    }

    #[test]
    fn durations_take_the_steps_of_a_clock_too() {
        let axis = Axis::of_log_durations("", (1.0, 86_400.0), 400.0);
        assert_eq!(labels(&axis), ["1 s", "10 s", "1 min", "10 min", "1 h", "6 h", "1 d"]);
        let axis = Axis::of_log_durations("", (40.0, 50.0), 400.0);
        assert_eq!(axis.domain, (40.0, 80.0));
    }

    #[test]
    fn a_scale_keeps_to_its_range() {
        let scale = Scale { spread: Spread::Log, domain: (1.0, 100.0), range: (0.0, 10.0) };
        assert!((scale.at(10.0) - 5.0).abs() < 1e-9);
        for value in [0.0, -5.0, f64::NAN, f64::INFINITY, 1e9] {
            assert!((0.0..=10.0).contains(&scale.at(value)), "{value}");
        }
        let empty = Scale { domain: (1.0, 1.0), ..scale };
        assert_eq!(empty.at(1.0), 5.0);
    }

    proptest! {
        #[test]
        fn an_axis_covers_its_domain(
            from in -1e9..1e9_f64,
            span in 1e-3..1e9_f64,
            ticks in 2..12_usize,
        ) {
            let axis = Axis::over("", (from, from + span), ticks);
            let slack = span * 1e-6;
            prop_assert!(axis.domain.0 <= from + slack && axis.domain.1 >= from + span - slack);
            prop_assert!(axis.ticks.len() <= ticks + 3, "{:?}", axis.ticks.len());
            prop_assert!(axis.ticks.is_sorted_by(|a, b| a.value < b.value));
        }

        #[test]
        fn time_ticks_stay_inside(end_s in 1e-3..1e9_f64, ticks in 3..14_usize) {
            let axis = Axis::of_time(end_s, ticks);
            prop_assert!(axis.ticks.iter().all(|tick| tick.value <= end_s * (1.0 + 1e-6)));
            prop_assert!((2..=ticks + 1).contains(&axis.ticks.len()), "{:?}", axis.ticks);
        }
    }
}
