//! The forecast: traffic and disk of a federation, before joining it.
//!
//! A member takes every update once and hands each on about once: in a federation of N members an update is
//! transferred N - 1 times, by whomever. With
//!
//! ```text
//! A = ceil(members x committee share)      updates of an epoch
//! E = 86,400,000 / epoch in ms             epochs of a day, not rounded
//! B = head bytes + payload bytes           of one update
//!
//! in per day          = E x A x B x (N - 1) / N
//! out per day         = in per day                 on average over the members
//! out per day at most = E x A x B x neighbours     if this one alone serves all whom it meets
//! open on disk        = (window + 1) x A x B       payloads that may not be evicted
//! growth per day      = E x A x head bytes         once epochs are sealed: heads and log stay
//!                       E x A x B                  without a window: everything stays
//! disk after d days   = open + d x growth          with a window
//!                       d x growth                 without
//! ```
//!
//! Everything is rounded up, and as if every drawn member published in every epoch; so a federation uses
//! less. Not in it: late epochs that a long cut keeps open beyond the window, and what is carried for others
//! beside it; a quota should leave room for both.

use crate::time::Span;

const DAY_MS: u64 = 86_400_000;
const PARTS: u128 = 1_000_000;

/// A part of a whole in millionths, at most all of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Share(u32);

/// What of a federation makes traffic.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Federation {
    /// Members, this one included.
    pub members: u32,
    /// The length of an epoch.
    pub epoch: Span,
    /// Which part of the members publishes in an epoch.
    pub committee: Share,
    /// Bytes of an update's head, of its log entry and of what else stays of it.
    pub head_bytes: u64,
    /// Bytes of its payload as it travels.
    pub payload_bytes: u64,
    /// Epochs whose slots stay open before they are sealed; none if they are never sealed.
    pub window_epochs: Option<u64>,
    /// Members that this one meets in a day.
    pub neighbours: u32,
}

/// Bytes that a member must reckon with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Forecast {
    /// Received in a day.
    pub in_per_day: u64,
    /// Sent in a day, on average over the members.
    pub out_per_day: u64,
    /// Sent in a day by a member that serves all whom it meets.
    pub out_per_day_max: u64,
    /// On the disk at all times, once the window is full; zero without a window.
    pub open: u64,
    /// Added to the disk in a day for good.
    pub growth_per_day: u64,
}

/// Why a quota is too small to join with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "a quota of {quota} bytes is too small for {days} days, which take {needed}: raise it to that"
)]
pub struct QuotaTooSmall {
    /// The quota.
    pub quota: u64,
    /// The days that it should last.
    pub days: u32,
    /// The bytes that they take.
    pub needed: u64,
}

impl Share {
    /// All of it.
    pub const ALL: Self = Self(1_000_000);

    /// So many millionths; none above one.
    pub const fn from_millionths(parts: u32) -> Option<Self> {
        if parts > 1_000_000 { None } else { Some(Self(parts)) }
    }
}

impl Federation {
    /// Updates of an epoch.
    pub fn updates_per_epoch(&self) -> u64 {
        let drawn = u128::from(self.members) * u128::from(self.committee.0);
        bytes(drawn.div_ceil(PARTS))
    }

    /// What a member must reckon with. An epoch of no length counts as a millisecond.
    pub fn forecast(&self) -> Forecast {
        let updates = u128::from(self.updates_per_epoch());
        let update_bytes = u128::from(self.head_bytes) + u128::from(self.payload_bytes);
        let epoch_bytes = updates.saturating_mul(update_bytes);
        let members = u128::from(self.members.max(1));
        // Rounded up, and without a product that could overflow.
        let others = epoch_bytes - epoch_bytes / members;
        let served = epoch_bytes.saturating_mul(u128::from(self.neighbours));
        let heads = updates * u128::from(self.head_bytes);
        let window = self.window_epochs.map(|it| u128::from(it) + 1);
        let stays = if window.is_some() { heads } else { epoch_bytes };
        Forecast {
            in_per_day: self.per_day(others),
            out_per_day: self.per_day(others),
            out_per_day_max: self.per_day(served),
            open: bytes(epoch_bytes.saturating_mul(window.unwrap_or(0))),
            growth_per_day: self.per_day(stays),
        }
    }

    fn per_day(&self, per_epoch: u128) -> u64 {
        let epoch_ms = u128::from(self.epoch.ms().max(1));
        bytes(per_epoch.saturating_mul(u128::from(DAY_MS)).div_ceil(epoch_ms))
    }
}

impl Forecast {
    /// Bytes on the disk after so many days.
    pub fn disk_after(&self, days: u32) -> u64 {
        self.open.saturating_add(self.growth_per_day.saturating_mul(u64::from(days)))
    }

    /// Checks that a quota lasts for so many days.
    pub fn check(&self, quota: u64, days: u32) -> Result<(), QuotaTooSmall> {
        let needed = self.disk_after(days);
        if quota < needed { Err(QuotaTooSmall { quota, days, needed }) } else { Ok(()) }
    }
}

fn bytes(count: u128) -> u64 {
    u64::try_from(count).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// 20 members, an epoch of an hour, updates of 100 kB and heads of 500 bytes.
    fn federation() -> Federation {
        Federation {
            members: 20,
            epoch: Span::from_ms(3_600_000),
            committee: Share::ALL,
            head_bytes: 500,
            payload_bytes: 100_000,
            window_epochs: Some(10),
            neighbours: 4,
        }
    }

    #[test]
    fn is_the_formula() {
        let found = federation().forecast();
        assert_eq!(found.in_per_day, 24 * 19 * 100_500);
        assert_eq!(found.out_per_day, found.in_per_day);
        assert_eq!(found.out_per_day_max, 24 * 20 * 100_500 * 4);
        assert_eq!(found.open, 11 * 20 * 100_500);
        assert_eq!(found.growth_per_day, 24 * 20 * 500);
        assert_eq!(found.disk_after(30), found.open + 30 * 24 * 20 * 500);
    }

    #[test]
    fn a_committee_divides_all_of_it() {
        let quarter = Share::from_millionths(250_000).expect("a quarter");
        let few = Federation { committee: quarter, ..federation() };
        assert_eq!(few.updates_per_epoch(), 5);
        assert_eq!(few.forecast().open * 4, federation().forecast().open);
        let one = Share::from_millionths(1).expect("a millionth");
        assert_eq!(
            Federation { committee: one, ..federation() }.updates_per_epoch(),
            1,
            "rounded up"
        );
        assert_eq!(Share::from_millionths(1_000_001), None);
    }

    #[test]
    fn without_a_window_everything_stays() {
        let found = Federation { window_epochs: None, ..federation() }.forecast();
        assert_eq!((found.open, found.growth_per_day), (0, 24 * 20 * 100_500));
    }

    #[test]
    fn a_small_quota_is_refused_with_the_bytes_that_lack() {
        let forecast = federation().forecast();
        let needed = forecast.disk_after(365);
        assert_eq!(forecast.check(needed, 365), Ok(()));
        let error = forecast.check(needed - 1, 365).expect_err("a byte less");
        assert_eq!(
            error.to_string(),
            format!(
                "a quota of {} bytes is too small for 365 days, which take {needed}: raise it to that",
                needed - 1
            )
        );
    }

    #[test]
    fn a_federation_of_one_has_no_traffic_and_one_of_none_no_bytes() {
        let alone = Federation { members: 1, neighbours: 0, ..federation() }.forecast();
        assert_eq!((alone.in_per_day, alone.out_per_day, alone.out_per_day_max), (0, 0, 0));
        assert_eq!(alone.open, 11 * 100_500, "its own updates");
        let none = Federation { members: 0, epoch: Span::from_ms(0), ..federation() }.forecast();
        assert_eq!(none.disk_after(1000), 0);
    }

    proptest! {
        #[test]
        fn any_federation_has_a_forecast_that_grows_with_it(
            members: u32, epoch: u64, parts in 0_u32..=1_000_000, head_bytes: u64, payload_bytes: u64,
            window in prop::option::of(any::<u64>()), neighbours: u32, days: u32,
        ) {
            let one = Federation {
                members,
                epoch: Span::from_ms(epoch),
                committee: Share::from_millionths(parts).expect("a share"),
                head_bytes,
                payload_bytes,
                window_epochs: window,
                neighbours,
            };
            let more = Federation { members: members.saturating_add(1), ..one };
            let (one, more) = (one.forecast(), more.forecast());
            prop_assert!(one.in_per_day <= more.in_per_day && one.open <= more.open);
            prop_assert!(one.disk_after(days) <= more.disk_after(days));
        }
    }
}
