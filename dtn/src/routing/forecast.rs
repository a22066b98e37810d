//! The forecast: traffic and disk of a federation, before joining it.
//!
//! A member takes every update once and hands each on about once: in a federation of N members an update is
//! transferred N - 1 times, by whomever. With
//!
//! ```text
//! A = ceil(members x committee share)                    updates of an epoch
//! T = A x (head bytes + payload bytes) + record bytes    what travels of an epoch
//!
//! in of an epoch          = T x (N - 1) / N
//! out of an epoch         = in of an epoch               on average over the members
//! out of an epoch at most = T x neighbours               if this one alone serves all whom it meets
//! stays of an epoch       = A x entry bytes + record bytes
//! open of an epoch        = A x stored bytes + spare bytes
//! disk after n epochs     = standing + n x stays + min(n, window + 1) x open     with a window
//!                           standing + n x (stays + open)                        without
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

/// What of a federation makes traffic and takes room.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Federation {
    /// Members, this one included.
    pub members: u32,
    /// The length of an epoch.
    pub epoch: Span,
    /// How many epochs it has.
    pub epochs: u32,
    /// Which part of the members publishes in an epoch.
    pub committee: Share,
    /// Bytes of an update's head as it travels.
    pub head_bytes: u64,
    /// Bytes of its payload as it travels.
    pub payload_bytes: u64,
    /// Bytes that stay of an update for good, such as its log entry.
    pub entry_bytes: u64,
    /// Bytes that its payload takes on the disk while its slot is open.
    pub stored_bytes: u64,
    /// Bytes of an epoch's other bundles, such as votes, which travel and stay.
    pub record_bytes: u64,
    /// Bytes that attackers may add to an epoch, such as second updates for their slots.
    pub spare_bytes: u64,
    /// Bytes that are on the disk at all times.
    pub standing_bytes: u64,
    /// Epochs whose slots stay open before they are sealed; none if they are never sealed.
    pub window_epochs: Option<u64>,
    /// Members that this one meets in an epoch.
    pub neighbours: u32,
}

/// Bytes that a member must reckon with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Forecast {
    /// What it receives.
    pub received: Traffic,
    /// What it sends, on average over the members.
    pub sent: Traffic,
    /// What it sends if it alone serves all whom it meets.
    pub sent_max: Traffic,
    /// On the disk for the open slots of an epoch.
    pub open_per_epoch: u64,
    /// Added to the disk by an epoch for good.
    pub stays_per_epoch: u64,
    standing: u64,
    window: Option<u64>,
    epochs: u32,
}

/// Bytes on the links of a member.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Traffic {
    /// In an epoch.
    pub per_epoch: u64,
    /// In a day.
    pub per_day: u64,
    /// In all epochs together.
    pub total: u64,
}

/// Why a quota is too small to join with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "a quota of {quota} bytes is too small for {epochs} epochs, which take {needed}: raise it to that"
)]
pub struct QuotaTooSmall {
    /// The quota.
    pub quota: u64,
    /// The epochs that it should last.
    pub epochs: u32,
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
        let of_all = |each: u64| updates.saturating_mul(u128::from(each));
        let records = u128::from(self.record_bytes);
        let travels = of_all(self.head_bytes) + of_all(self.payload_bytes) + records;
        let members = u128::from(self.members.max(1));
        // Rounded up, and without a product that could overflow.
        let others = travels - travels / members;
        Forecast {
            received: self.traffic(others),
            sent: self.traffic(others),
            sent_max: self.traffic(travels.saturating_mul(u128::from(self.neighbours))),
            open_per_epoch: bytes(of_all(self.stored_bytes) + u128::from(self.spare_bytes)),
            stays_per_epoch: bytes(of_all(self.entry_bytes) + records),
            standing: self.standing_bytes,
            window: self.window_epochs,
            epochs: self.epochs,
        }
    }

    fn traffic(&self, per_epoch: u128) -> Traffic {
        let epoch_ms = u128::from(self.epoch.ms().max(1));
        let per_day = per_epoch.saturating_mul(u128::from(DAY_MS)).div_ceil(epoch_ms);
        let total = per_epoch.saturating_mul(u128::from(self.epochs));
        Traffic { per_epoch: bytes(per_epoch), per_day: bytes(per_day), total: bytes(total) }
    }
}

impl Forecast {
    /// Bytes on the disk for open slots, once the window is full; those of all epochs without one.
    pub fn open(&self) -> u64 {
        self.open_per_epoch.saturating_mul(self.open_epochs(self.epochs))
    }

    /// Bytes on the disk after so many epochs.
    pub fn disk_after(&self, epochs: u32) -> u64 {
        let stays = self.stays_per_epoch.saturating_mul(u64::from(epochs));
        let open = self.open_per_epoch.saturating_mul(self.open_epochs(epochs));
        self.standing.saturating_add(stays).saturating_add(open)
    }

    /// Bytes on the disk after all epochs: what a member needs.
    pub fn disk(&self) -> u64 {
        self.disk_after(self.epochs)
    }

    /// Checks that a quota lasts for all epochs.
    pub fn check(&self, quota: u64) -> Result<(), QuotaTooSmall> {
        let (needed, epochs) = (self.disk(), self.epochs);
        if quota < needed { Err(QuotaTooSmall { quota, epochs, needed }) } else { Ok(()) }
    }

    /// How many of so many epochs are open at the end of them.
    fn open_epochs(&self, epochs: u32) -> u64 {
        let epochs = u64::from(epochs);
        self.window.map_or(epochs, |it| it.saturating_add(1).min(epochs))
    }
}

fn bytes(count: u128) -> u64 {
    u64::try_from(count).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// 20 members, 100 epochs of an hour, updates of 100 kB and heads of 500 bytes.
    fn federation() -> Federation {
        Federation {
            members: 20,
            epoch: Span::from_ms(3_600_000),
            epochs: 100,
            committee: Share::ALL,
            head_bytes: 500,
            payload_bytes: 100_000,
            entry_bytes: 700,
            stored_bytes: 102_400,
            record_bytes: 300,
            spare_bytes: 204_800,
            standing_bytes: 1_000,
            window_epochs: Some(10),
            neighbours: 4,
        }
    }

    #[test]
    fn is_the_formula() {
        let found = federation().forecast();
        let travels = 20 * 100_500 + 300;
        let others = travels - travels / 20;
        assert_eq!(
            found.received,
            Traffic { per_epoch: others, per_day: 24 * others, total: 100 * others }
        );
        assert_eq!(found.sent, found.received);
        assert_eq!(found.sent_max.per_epoch, travels * 4);
        assert_eq!(found.open(), 11 * (20 * 102_400 + 204_800));
        assert_eq!(found.stays_per_epoch, 20 * 700 + 300);
        assert_eq!(found.disk_after(30), 1_000 + found.open() + 30 * found.stays_per_epoch);
        assert_eq!(found.disk(), found.disk_after(100));
    }

    #[test]
    fn fewer_epochs_than_the_window_are_open() {
        let short = Federation { epochs: 3, ..federation() }.forecast();
        assert_eq!(short.open(), 3 * short.open_per_epoch);
        assert!(federation().forecast().disk_after(3) == short.disk());
    }

    #[test]
    fn a_committee_divides_all_of_it() {
        let quarter = Share::from_millionths(250_000).expect("a quarter");
        let all = Federation { spare_bytes: 0, ..federation() };
        let few = Federation { committee: quarter, ..all };
        assert_eq!(few.updates_per_epoch(), 5);
        assert_eq!(few.forecast().open() * 4, all.forecast().open());
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
        let each = found.open_per_epoch + found.stays_per_epoch;
        assert_eq!(found.disk_after(7), 1_000 + 7 * each);
        assert_eq!(found.open(), 100 * found.open_per_epoch);
    }

    #[test]
    fn a_small_quota_is_refused_with_the_bytes_that_lack() {
        let forecast = federation().forecast();
        let needed = forecast.disk();
        assert_eq!(forecast.check(needed), Ok(()));
        let error = forecast.check(needed - 1).expect_err("a byte less");
        assert_eq!(
            error.to_string(),
            format!(
                "a quota of {} bytes is too small for 100 epochs, which take {needed}: raise it to that",
                needed - 1
            )
        );
    }

    #[test]
    fn a_federation_of_one_has_no_traffic_and_one_of_none_no_updates() {
        let plain = Federation { record_bytes: 0, spare_bytes: 0, neighbours: 0, ..federation() };
        let alone = Federation { members: 1, ..plain }.forecast();
        let nothing = Traffic { per_epoch: 0, per_day: 0, total: 0 };
        assert_eq!((alone.received, alone.sent, alone.sent_max), (nothing, nothing, nothing));
        assert_eq!(alone.open(), 11 * 102_400, "its own updates");
        let none = Federation { members: 0, epoch: Span::from_ms(0), ..plain }.forecast();
        assert_eq!(none.disk_after(1000), 1_000);
    }

    proptest! {
        #[test]
        fn any_federation_has_a_forecast_that_grows_with_it(
            numbers in any::<[u64; 6]>(), (members, epochs, neighbours) in any::<(u32, u32, u32)>(),
            epoch: u64, parts in 0_u32..=1_000_000, window in prop::option::of(any::<u64>()),
        ) {
            let [head_bytes, payload_bytes, entry_bytes, stored_bytes, record_bytes, spare_bytes] =
                numbers;
            let one = Federation {
                members,
                epoch: Span::from_ms(epoch),
                epochs,
                committee: Share::from_millionths(parts).expect("a share"),
                head_bytes,
                payload_bytes,
                entry_bytes,
                stored_bytes,
                record_bytes,
                spare_bytes,
                standing_bytes: head_bytes,
                window_epochs: window,
                neighbours,
            };
            let more = Federation { members: members.saturating_add(1), ..one };
            let (one, more) = (one.forecast(), more.forecast());
            prop_assert!(one.received.total <= more.received.total && one.open() <= more.open());
            prop_assert!(one.disk() <= more.disk());
            prop_assert!(one.disk_after(epochs / 2) <= one.disk());
        }
    }
}
