//! Bodies that go round the Earth, and when two of them are near.
//!
//! A satellite on a circular orbit and a place on the rotating ground both move
//! evenly on a circle in an inertial frame, so one kind of body does for both:
//! two-body motion without the Earth's oblateness, drag, the Moon or the Sun.
//! Against a propagator that has them the times drift by seconds within a day.
//!
//! Everything that decides a contact is a distance (see [`super::walker`]), and
//! no distance changes faster than the two speeds allow. So the search goes in
//! steps, skips what cannot change, and refines each end by bisection.

use super::maths::{US_PER_SECOND, sin_cos};

/// How close to the true moment a contact's end is.
pub(super) const PRECISION_US: u64 = 10_000;

/// A body in even motion on a circle; metres and seconds.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Circle {
    /// The circle's centre, seen from the Earth's.
    pub centre: [f64; 3],
    /// From there to the body at the start, and a quarter turn later.
    pub start: [f64; 3],
    /// See `start`.
    pub quarter: [f64; 3],
    /// Radians per second.
    pub rate: f64,
}

/// When to look.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Sampling {
    /// Time between two looks where something may change.
    pub step_us: u64,
    /// When the search ends.
    pub until_us: u64,
}

impl Circle {
    /// Where the body is.
    fn at(&self, seconds: f64) -> [f64; 3] {
        let (sine, cosine) = sin_cos(self.rate * seconds);
        let along =
            |axis: usize| self.centre[axis] + self.start[axis] * cosine + self.quarter[axis] * sine;
        [along(0), along(1), along(2)]
    }

    fn speed_mps(&self) -> f64 {
        self.rate.abs() * dot(self.start, self.start).sqrt()
    }
}

/// When two bodies are within `reach_m` of each other, as [from, to) in order.
///
/// Both ends are moments at which they are, except where the search begins and
/// ends; time near between two looks may be missed.
pub(super) fn windows(pair: [&Circle; 2], reach_m: f64, sampling: Sampling) -> Vec<[u64; 2]> {
    let margin_m = |at_us: u64| {
        let seconds = at_us as f64 / US_PER_SECOND as f64;
        let [one, other] = pair.map(|body| body.at(seconds));
        let apart = [one[0] - other[0], one[1] - other[1], one[2] - other[2]];
        reach_m - dot(apart, apart).sqrt()
    };
    let speed_mps = pair[0].speed_mps() + pair[1].speed_mps();
    let (mut now_us, mut margin) = (0, margin_m(0));
    let mut since = (margin >= 0.0).then_some(0);
    let mut windows = Vec::new();
    while now_us < sampling.until_us {
        // Nothing changes sooner; the cast saturates.
        let idle_us = (margin.abs() / speed_mps * US_PER_SECOND as f64) as u64;
        let next_us = now_us.saturating_add(idle_us.max(sampling.step_us)).min(sampling.until_us);
        margin = margin_m(next_us);
        match (since, margin >= 0.0) {
            (None, true) => since = Some(bisect([next_us, now_us], |at| margin_m(at) >= 0.0)),
            (Some(from_us), false) => {
                windows.push([from_us, bisect([now_us, next_us], |at| margin_m(at) >= 0.0)]);
                since = None;
            }
            _ => {}
        }
        now_us = next_us;
    }
    windows.extend(since.map(|from_us| [from_us, sampling.until_us]));
    windows
}

/// The last moment that holds on the way from one that does to one that does
/// not, to the precision.
fn bisect([mut holds_us, mut fails_us]: [u64; 2], holds: impl Fn(u64) -> bool) -> u64 {
    while holds_us.abs_diff(fails_us) > PRECISION_US {
        let middle_us = holds_us.midpoint(fails_us);
        if holds(middle_us) {
            holds_us = middle_us;
        } else {
            fails_us = middle_us;
        }
    }
    holds_us
}

pub(super) const fn dot(one: [f64; 3], other: [f64; 3]) -> f64 {
    one[0] * other[0] + one[1] * other[1] + one[2] * other[2]
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn circle(radius_m: f64, tilt: f64, phase: f64, rate: f64) -> Circle {
        let ((st, ct), (sp, cp)) = (sin_cos(tilt), sin_cos(phase));
        Circle {
            centre: [0.0, 0.0, 0.0],
            start: [radius_m * cp, radius_m * sp * ct, radius_m * sp * st],
            quarter: [-radius_m * sp, radius_m * cp * ct, radius_m * cp * st],
            rate,
        }
    }

    const SAMPLING: Sampling = Sampling { step_us: 5_000_000, until_us: 7_200_000_000 };

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn skipping_finds_what_a_plain_search_finds(
            tilts in prop::array::uniform2(0.0..3.0_f64),
            phases in prop::array::uniform2(0.0..6.0_f64),
            rates in prop::array::uniform2(0.0005..0.0012_f64),
            reach_m in 1e5..9e6_f64,
        ) {
            let one = circle(7e6, tilts[0], phases[0], rates[0]);
            let other = circle(7e6, tilts[1], phases[1], rates[1]);
            let found = windows([&one, &other], reach_m, SAMPLING);
            prop_assert!(found.is_sorted() && found.iter().all(|it| it[0] < it[1]));
            for second in (0..7_200_u64).step_by(5) {
                let [p, q] = [&one, &other].map(|body| body.at(second as f64));
                let apart = [p[0] - q[0], p[1] - q[1], p[2] - q[2]];
                let margin = reach_m - dot(apart, apart).sqrt();
                let at_us = second * US_PER_SECOND;
                let on = found.iter().any(|it| (it[0]..it[1]).contains(&at_us));
                // Between two looks a short window may be missed, never invented.
                prop_assert!(!on || margin >= 0.0, "{second} s, {margin} m");
                let clear = margin > 15_000.0 * 5.0;
                prop_assert!(on || !clear, "{second} s, {margin} m");
            }
        }
    }

    #[test]
    fn bodies_that_move_together_are_always_or_never_near() {
        let (one, other) = (circle(7e6, 0.9, 0.0, 0.001), circle(7e6, 0.9, 0.1, 0.001));
        assert_eq!(windows([&one, &other], 1e6, SAMPLING), [[0, 7_200_000_000]]);
        assert!(windows([&one, &other], 1e5, SAMPLING).is_empty());
    }

    #[test]
    fn ends_are_refined() {
        // Opposite ways round the same circle: they meet twice a turn.
        let (one, other) = (circle(7e6, 0.0, 0.0, 0.001), circle(7e6, 0.0, 0.0, -0.001));
        let found = windows([&one, &other], 1e6, SAMPLING);
        let half_angle = (1e6_f64 / 2.0 / 7e6).asin();
        let expected_us = half_angle / 0.001 * 1e6;
        assert!((found[0][1] as f64 - expected_us).abs() <= PRECISION_US as f64, "{found:?}");
        let again_us = std::f64::consts::PI / 0.001 * 1e6;
        assert!((found[1][0] as f64 - (again_us - expected_us)).abs() <= PRECISION_US as f64);
        assert!((found[1][1] as f64 - (again_us + expected_us)).abs() <= PRECISION_US as f64);
    }
}
