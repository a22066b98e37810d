//! Values of contact plans that have a range, checked while they are read.

use serde::{Deserialize, Serialize};

use crate::scenario::values::ranged;

ranged! {
    /// Contacts in an hour, on average.
    PerHour: f64, "f64" in (0.000_001..=10_000_000.0), "between 0.000001 and 10000000 an hour"
}
ranged! {
    /// A number of places of one kind.
    Places: u32, "u32" in (1..=1_000_000), "between 1 and 1000000"
}
ranged! {
    /// A length on the ground.
    Metres: f64, "f64" in (0.1..=1_000_000.0), "between 0.1 and 1000000 metres"
}
ranged! {
    /// A speed; never zero, so that who sets out arrives.
    MetresPerSecond: f64, "f64" in (0.01..=1_000.0), "between 0.01 and 1000 m/s"
}
ranged! {
    /// A pause, at most a day.
    Seconds: f64, "f64" in (0.0..=86_400.0), "between 0 and 86400 seconds"
}
ranged! {
    /// A mean time that is not nothing, at most ten days.
    MeanSeconds: f64, "f64" in (1.0..=864_000.0), "between 1 and 864000 seconds"
}
ranged! {
    /// A time of the day.
    Hour: f64, "f64" in (0.0..=24.0), "an hour between 0 and 24"
}
ranged! {
    /// A distance in space.
    Kilometres: f64, "f64" in (1.0..=200_000.0), "between 1 and 200000 km"
}
ranged! {
    /// Height of an orbit above the equatorial radius.
    AltitudeKm: f64, "f64" in (160.0..=50_000.0), "between 160 and 50000 km"
}
ranged! {
    /// Degrees north of the equator.
    Latitude: f64, "f64" in (-90.0..=90.0), "between -90 and 90 degrees"
}
ranged! {
    /// Degrees east of Greenwich.
    Longitude: f64, "f64" in (-180.0..=360.0), "between -180 and 360 degrees"
}
ranged! {
    /// Angle between an orbit and the equator.
    Inclination: f64, "f64" in (0.0..=180.0), "between 0 and 180 degrees"
}
ranged! {
    /// Angle above the horizon.
    Elevation: f64, "f64" in (0.0..=90.0), "between 0 and 90 degrees"
}
ranged! {
    /// A shift in time, either way.
    ShiftSeconds: f64, "f64" in (-10_000_000_000.0..=10_000_000_000.0), "at most 10000000000 s"
}

impl MeanSeconds {
    /// A mean that the program itself gives; must be at least one second.
    pub const fn new(value: f64) -> Self {
        assert!(value >= 1.0, "a mean is at least one second");
        Self(value)
    }
}

impl Metres {
    /// A length that the program itself gives; must be at least 0.1 m.
    pub const fn new(value: f64) -> Self {
        assert!(value >= 0.1, "a length is at least 0.1 m");
        Self(value)
    }
}

impl MetresPerSecond {
    /// A speed that the program itself gives; must be at least 0.01 m/s.
    pub const fn new(value: f64) -> Self {
        assert!(value >= 0.01, "a speed is at least 0.01 m/s");
        Self(value)
    }
}

impl Hour {
    /// An hour that the program itself gives; must be within a day.
    pub const fn new(value: f64) -> Self {
        assert!(value >= 0.0 && value <= 24.0, "an hour of the day");
        Self(value)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_moves_has_a_speed() {
        assert!(MetresPerSecond::try_from(0.0).is_err());
        assert!(MetresPerSecond::try_from(f64::NAN).is_err());
        assert!(Metres::try_from(-1.0).is_err());
    }

    #[test]
    fn the_globe_has_ends() {
        for (degrees, fits) in [(-90.0, true), (90.0, true), (90.1, false), (f64::NAN, false)] {
            assert_eq!(Latitude::try_from(degrees).is_ok(), fits, "{degrees}");
        }
        assert!(Longitude::try_from(360.0).is_ok() && Longitude::try_from(-181.0).is_err());
    }
}
