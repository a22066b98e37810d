//! Walker constellations: satellites in even planes, and their ground stations.
//!
//! A constellation T:P:F (Walker, J. Brit. Interplanet. Soc. 24, 1971) has T
//! satellites in P planes; the planes' ascending nodes are spread evenly over
//! 360 degrees (delta) or 180 degrees (star), and each plane's satellites are F
//! times 360/T degrees ahead of those of the plane to its west. Peers are the
//! satellites, plane by plane, and then the ground stations.
//!
//! The Earth is a sphere that turns evenly, with Greenwich under the first
//! plane's node when the run begins; see [`super::orbit`] for what the motion
//! leaves out. On circular orbits of one height both conditions of a contact
//! are distances. A satellite stands `e` or more above a station's horizon when
//! it is at most `sqrt(r^2 - R^2 cos^2 e) - R sin e` away, and two satellites
//! see each other above the atmosphere when they are at most
//! `2 sqrt(r^2 - (R + 80 km)^2)` apart. Stations do not see each other.
//!
//! Two satellites are as far apart after half an orbit as before, so their links
//! are searched for once and repeated.
//!
//! Cost: a fraction of pairs times steps, most of which are skipped. Measured on
//! one core for 24 h at 10 s: 66 satellites with 10 stations and links between
//! satellites 0.07 s; 990 satellites, whose 3.4 million contacts are a plan for
//! patient people, 2.7 s.

use std::f64::consts::PI;

use serde::{Deserialize, Serialize};

use super::maths::{US_PER_SECOND, sin_cos_degrees};
use super::orbit::{Circle, Sampling, windows};
use super::spans::Spans;
use super::{AltitudeKm, Elevation, Inclination, Kilometres, Latitude, Longitude, PlanError};
use crate::scenario::{Count, Millis};

/// Earth's gravitational parameter, m^3/s^2 (IERS Conventions 2010, as in WGS 84).
const GRAVITY: f64 = 3.986_004_418e14;
/// Earth's equatorial radius, m (WGS 84).
const EARTH_RADIUS_M: f64 = 6_378_137.0;
/// Earth's rotation against the stars, rad/s (IERS Conventions 2010).
const EARTH_RATE: f64 = 7.292_115_9e-5;
/// Height of the atmosphere that no link between satellites may cross, m.
const ATMOSPHERE_M: f64 = 80_000.0;
/// Most looks without skipping, pairs times steps; about a minute.
const LOOKS_MAX: u64 = 5_000_000_000;

/// A Walker constellation of satellites and its ground stations.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Walker {
    /// Number of satellites, T.
    pub satellites: Count,
    /// Number of planes, P; divides T.
    pub planes: Count,
    /// Phasing between neighbouring planes, F; less than P.
    pub phasing: u32,
    /// Inclination of all planes.
    pub inclination_deg: Inclination,
    /// Height of all orbits above the equatorial radius.
    pub altitude_km: AltitudeKm,
    /// How the planes are spread.
    pub pattern: Pattern,
    /// Least height above a station's horizon at which a satellite is seen.
    pub min_elevation_deg: Elevation,
    /// Longest link between satellites; there are none when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub inter_satellite_km: Option<Kilometres>,
    /// How often positions are compared; passes shorter than this may be missed.
    #[serde(default = "default_step_ms")]
    pub step_ms: Millis,
    /// The places on the ground.
    #[serde(default)]
    pub ground_stations: Vec<GroundStation>,
}

fn default_step_ms() -> Millis {
    Millis::try_from(10_000).expect("ten seconds are within a day")
}

/// How the planes of a constellation are spread.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Pattern {
    /// Ascending nodes all round the equator, as inclined constellations have.
    Delta,
    /// Ascending nodes over half of it, as polar constellations have.
    Star,
}

/// A place on the ground.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GroundStation {
    /// North of the equator.
    pub latitude_deg: Latitude,
    /// East of Greenwich.
    pub longitude_deg: Longitude,
}

pub(super) fn generate(spec: &Walker, spans: &mut Spans) -> Result<(), PlanError> {
    let (satellites, stations) = (spec.satellites(), spec.stations());
    let step_us = u64::from(spec.step_ms.get()) * 1_000;
    let until_us = spans.until_us();
    affordable(spec, until_us)?;
    if let Some(reach_m) = spec.satellite_reach_m() {
        let half_turn_us = spec.half_turn_us();
        let sampling = Sampling { step_us, until_us: us_ceil(half_turn_us) };
        for (a, one) in (0..=u16::MAX).zip(&satellites) {
            for (b, other) in (0..=u16::MAX).zip(&satellites).skip(usize::from(a) + 1) {
                let windows = windows([one, other], reach_m, sampling);
                repeat([a, b], &windows, half_turn_us, spans)?;
            }
        }
    }
    let ground_reach_m = spec.ground_reach_m();
    let sampling = Sampling { step_us, until_us };
    for (a, satellite) in (0..=u16::MAX).zip(&satellites) {
        let first = u16::try_from(satellites.len()).expect("as many as there are peers");
        for (b, station) in (first..=u16::MAX).zip(&stations) {
            for [from_us, to_us] in windows([satellite, station], ground_reach_m, sampling) {
                spans.meet([a, b], from_us, to_us)?;
            }
        }
    }
    Ok(())
}

/// Adds the windows of one period again and again until the plan ends.
fn repeat(
    pair: [u16; 2],
    windows: &[[u64; 2]],
    period_us: f64,
    spans: &mut Spans,
) -> Result<(), PlanError> {
    let (Some(first), Some(last)) = (windows.first(), windows.last()) else { return Ok(()) };
    let end_us = us_ceil(period_us);
    let mut windows = windows.to_vec();
    if first[0] == 0 && last[1] == end_us {
        // One window goes across the ends of periods.
        spans.meet(pair, 0, first[1])?;
        let across = [last[0], end_us + first[1]];
        if windows.len() == 1 {
            return spans.meet(pair, 0, spans.until_us());
        }
        windows.pop();
        windows[0] = across;
    }
    for turn in 0_u32.. {
        let start_us = us_ceil(f64::from(turn) * period_us);
        if start_us >= spans.until_us() {
            break;
        }
        for [from_us, to_us] in &windows {
            spans.meet(pair, start_us + from_us, start_us + to_us)?;
        }
    }
    Ok(())
}

/// The next whole microsecond.
fn us_ceil(us: f64) -> u64 {
    // Not negative; the cast saturates.
    us.ceil() as u64
}

fn affordable(spec: &Walker, until_us: u64) -> Result<(), PlanError> {
    let satellites = u64::from(spec.satellites.get());
    let stations = u64::try_from(spec.ground_stations.len()).unwrap_or(u64::MAX);
    let links = spec.inter_satellite_km.map_or(0, |_| satellites * (satellites - 1) / 2);
    let half_turn_us = us_ceil(spec.half_turn_us()).min(until_us);
    // What is looked at, in microseconds of a pair.
    let looked_us = until_us
        .saturating_mul(satellites.saturating_mul(stations))
        .saturating_add(half_turn_us.saturating_mul(links));
    let step_us = u64::from(spec.step_ms.get()) * 1_000;
    let needed = looked_us.div_ceil(step_us);
    if needed <= LOOKS_MAX {
        return Ok(());
    }
    let step_ms = looked_us.div_ceil(LOOKS_MAX).div_ceil(1_000);
    Err(PlanError::TooManySteps { needed, limit: LOOKS_MAX, step_ms })
}

impl Walker {
    /// From the Earth's centre to each satellite.
    fn radius_m(&self) -> f64 {
        EARTH_RADIUS_M + self.altitude_km.get() * 1_000.0
    }

    /// Radians per second of every satellite.
    fn rate(&self) -> f64 {
        let radius_m = self.radius_m();
        (GRAVITY / (radius_m * radius_m * radius_m)).sqrt()
    }

    /// Half an orbit, after which every two satellites are as far apart again:
    /// each is then opposite to where it was.
    fn half_turn_us(&self) -> f64 {
        PI / self.rate() * US_PER_SECOND as f64
    }

    fn satellites(&self) -> Vec<Circle> {
        let per_plane = self.satellites.get() / self.planes.get();
        let places =
            (0..self.planes.get()).flat_map(|plane| (0..per_plane).map(move |slot| (plane, slot)));
        places.map(|(plane, slot)| self.satellite(plane, slot)).collect()
    }

    fn satellite(&self, plane: u32, slot: u32) -> Circle {
        let [satellites, planes] = [self.satellites, self.planes].map(|it| f64::from(it.get()));
        let spread_deg = match self.pattern {
            Pattern::Delta => 360.0,
            Pattern::Star => 180.0,
        };
        let node_deg = f64::from(plane) * spread_deg / planes;
        let slots_deg = f64::from(slot) * 360.0 * planes / satellites;
        let ahead_deg = f64::from(plane) * f64::from(self.phasing) * 360.0 / satellites;
        let (node_sin, node_cos) = sin_cos_degrees(node_deg);
        let (tilt_sin, tilt_cos) = sin_cos_degrees(self.inclination_deg.get());
        let (sine, cosine) = sin_cos_degrees(slots_deg + ahead_deg);
        // Towards the ascending node, and a quarter turn further in the plane.
        let node = [node_cos, node_sin, 0.0];
        let top = [-node_sin * tilt_cos, node_cos * tilt_cos, tilt_sin];
        let radius_m = self.radius_m();
        let turned = |one: f64, other: f64| {
            let along = |axis: usize| radius_m * (node[axis] * one + top[axis] * other);
            [along(0), along(1), along(2)]
        };
        Circle {
            centre: [0.0; 3],
            start: turned(cosine, sine),
            quarter: turned(-sine, cosine),
            rate: self.rate(),
        }
    }

    fn stations(&self) -> Vec<Circle> {
        self.ground_stations.iter().map(GroundStation::circle).collect()
    }

    /// How far a satellite that stands just high enough is from a station.
    fn ground_reach_m(&self) -> f64 {
        let (sine, cosine) = sin_cos_degrees(self.min_elevation_deg.get());
        let (radius_m, near_m) = (self.radius_m(), EARTH_RADIUS_M * cosine);
        (radius_m * radius_m - near_m * near_m).sqrt() - EARTH_RADIUS_M * sine
    }

    /// How far two satellites that see each other are apart at most.
    fn satellite_reach_m(&self) -> Option<f64> {
        let (radius_m, top_m) = (self.radius_m(), EARTH_RADIUS_M + ATMOSPHERE_M);
        let sight_m = 2.0 * (radius_m * radius_m - top_m * top_m).sqrt();
        self.inter_satellite_km.map(|range| sight_m.min(range.get() * 1_000.0))
    }
}

impl GroundStation {
    fn circle(&self) -> Circle {
        let (latitude_sin, latitude_cos) = sin_cos_degrees(self.latitude_deg.get());
        let (sine, cosine) = sin_cos_degrees(self.longitude_deg.get());
        let axis_m = EARTH_RADIUS_M * latitude_cos;
        Circle {
            centre: [0.0, 0.0, EARTH_RADIUS_M * latitude_sin],
            start: [axis_m * cosine, axis_m * sine, 0.0],
            quarter: [-axis_m * sine, axis_m * cosine, 0.0],
            rate: EARTH_RATE,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::contacts::orbit::dot;
    use crate::contacts::{Contact, Contacts, PlanInput, plan};

    const IRIDIUM: &str = "satellites = 66\nplanes = 6\nphasing = 2\ninclination_deg = 86.4\n\
        altitude_km = 780\npattern = \"star\"\nmin_elevation_deg = 8.2\n";

    fn spec(text: &str) -> Walker {
        toml::from_str(text).expect("a specification")
    }

    fn contacts(spec: Walker, minutes: u32) -> Vec<Contact> {
        let peers = spec.satellites.get() as usize + spec.ground_stations.len();
        let input = PlanInput {
            peers: peers as u16,
            epochs_total: minutes,
            epoch_us: 60_000_000,
            seed: 0,
            drain_from_us: None,
            file: None,
        };
        plan(&Contacts::Walker(spec), &input).expect("a plan")
    }

    #[test]
    fn satellites_keep_their_height_and_their_period() {
        let spec = spec(IRIDIUM);
        let satellites = spec.satellites();
        assert_eq!(satellites.len(), 66);
        for body in &satellites {
            let (start, quarter) = (dot(body.start, body.start), dot(body.quarter, body.quarter));
            assert!((start.sqrt() - 7_158_137.0).abs() < 1e-6);
            assert!((quarter.sqrt() - 7_158_137.0).abs() < 1e-6);
            assert!(dot(body.start, body.quarter).abs() < 1.0);
        }
        // The published period of the constellation is 100.4 minutes.
        let minutes = 2.0 * spec.half_turn_us() / 6e7;
        assert!((minutes - 100.45).abs() < 0.1, "{minutes} min");
    }

    #[test]
    fn planes_and_slots_are_even() {
        let spec = Walker { pattern: Pattern::Delta, ..spec(IRIDIUM) };
        let satellites = spec.satellites();
        let radius_m = 7_158_137.0;
        for (plane, slot) in [(0, 0), (0, 1), (1, 0), (2, 3), (5, 10)] {
            let node = (f64::from(plane) * 60.0).to_radians();
            let ahead =
                (f64::from(slot) * 360.0 / 11.0 + f64::from(plane) * 720.0 / 66.0).to_radians();
            let tilt = 86.4_f64.to_radians();
            let expected = [
                node.cos() * ahead.cos() - node.sin() * ahead.sin() * tilt.cos(),
                node.sin() * ahead.cos() + node.cos() * ahead.sin() * tilt.cos(),
                ahead.sin() * tilt.sin(),
            ];
            let found = satellites[11 * plane as usize + slot as usize].start;
            for axis in 0..3 {
                assert!((found[axis] / radius_m - expected[axis]).abs() < 1e-12, "{plane} {slot}");
            }
        }
    }

    #[test]
    fn reaches_follow_from_triangles() {
        let spec = spec(&format!("{IRIDIUM}inter_satellite_km = 200000\n"));
        let degrees = 8.2_f64.to_radians();
        // The law of sines in the triangle of centre, station and satellite.
        let at_satellite = (EARTH_RADIUS_M * degrees.cos() / 7_158_137.0).asin();
        let at_centre = std::f64::consts::FRAC_PI_2 - degrees - at_satellite;
        let expected = at_centre.sin() / degrees.cos() * 7_158_137.0;
        assert!((spec.ground_reach_m() - expected).abs() < 1e-3);
        let half = ((EARTH_RADIUS_M + ATMOSPHERE_M) / 7_158_137.0_f64).acos();
        let expected = 2.0 * 7_158_137.0 * half.sin();
        let reach_m = spec.satellite_reach_m().expect("a range");
        assert!((reach_m - expected).abs() < 1e-3);
    }

    #[test]
    fn a_pole_sees_every_plane_of_a_polar_constellation() {
        let text = format!("{IRIDIUM}[[ground_stations]]\nlatitude_deg = 90\nlongitude_deg = 0\n");
        let contacts = contacts(spec(&text), 202);
        // Two periods: every satellite passes the pole twice, ten minutes each.
        assert_eq!(contacts.len(), 2 * 66 + contacts.iter().filter(|it| it.from_us == 0).count());
        let whole = |it: &&Contact| it.from_us > 0 && it.to_us < 202 * 60_000_000;
        for contact in contacts.iter().filter(whole) {
            let minutes = contact.duration_us() as f64 / 6e7;
            assert!((9.0..12.5).contains(&minutes), "{minutes} min");
        }
    }

    #[test]
    fn iridium_covers_the_globe() {
        for latitude in [0, 30, 60, 85] {
            let text = format!(
                "{IRIDIUM}[[ground_stations]]\nlatitude_deg = {latitude}\nlongitude_deg = 13.4\n"
            );
            let contacts = contacts(spec(&text), 200);
            let mut covered_us = 0;
            for contact in contacts {
                assert!(contact.from_us <= covered_us, "a gap at {covered_us} us");
                covered_us = covered_us.max(contact.to_us);
            }
            assert_eq!(covered_us, 200 * 60_000_000);
        }
    }

    #[test]
    fn geostationary_satellites_stand_still() {
        let text = "satellites = 3\nplanes = 1\nphasing = 0\ninclination_deg = 0\n\
            altitude_km = 35786.034\npattern = \"delta\"\nmin_elevation_deg = 5\n\
            [[ground_stations]]\nlatitude_deg = 40\nlongitude_deg = 10\n";
        let contacts = contacts(spec(text), 1_440);
        let seen: Vec<_> = contacts.iter().map(|it| (it.a, it.b, it.from_us, it.to_us)).collect();
        assert_eq!(seen, [(0, 3, 0, 86_400_000_000)]);
    }

    #[test]
    fn links_repeat_every_half_orbit() {
        let spec = spec(&format!("{IRIDIUM}inter_satellite_km = 4500\n"));
        let reach_m = spec.satellite_reach_m().expect("a range");
        let satellites = spec.satellites();
        let sampling = Sampling { step_us: 10_000_000, until_us: 200 * 60_000_000 };
        let contacts = contacts(spec, 200);
        for (a, b) in [(0, 11), (3, 40), (12, 64), (21, 55)] {
            let repeated = contacts.iter().filter(|it| (it.a, it.b) == (a, b));
            let repeated: Vec<_> = repeated.map(|it| [it.from_us, it.to_us]).collect();
            let pair = [a, b].map(|it| &satellites[usize::from(it)]);
            let searched = windows(pair, reach_m, sampling);
            assert_eq!(repeated.len(), searched.len(), "{a} {b}");
            for (one, other) in repeated.iter().flatten().zip(searched.iter().flatten()) {
                assert!(one.abs_diff(*other) <= 20_000, "{a} {b}: {one} {other}");
            }
        }
    }

    #[test]
    fn satellites_of_one_plane_keep_their_links() {
        let contacts = contacts(spec(&format!("{IRIDIUM}inter_satellite_km = 4500\n")), 120);
        let in_plane = contacts.iter().filter(|it| it.a / 11 == it.b / 11);
        let in_plane: Vec<_> = in_plane.collect();
        assert_eq!(in_plane.len(), 66);
        assert!(in_plane.iter().all(|it| it.duration_us() == 120 * 60_000_000));
        assert!(contacts.len() > 500, "{} contacts", contacts.len());
    }
}
