//! Working days: home by night, the office by day, some evenings in town.
//!
//! After the working day movement model of Ekman, Keränen, Karvo and Ott
//! (MobilityModels 2008), whose contacts resemble recorded ones because people
//! sleep at home, sit at a desk and go out in groups. Ours is simpler: it knows
//! who stays where and when, not the ways between; nobody meets on the road.
//! Every day is a working day, and all live by the same hours, each a little
//! earlier or later.
//!
//! Who shares a home is in contact all the time that both are in, and so are
//! colleagues whose desks are within range and friends who go out together.
//! Others at the same office or spot meet now and then: after an exponentially
//! distributed gap, for a second and an exponentially distributed time. All these
//! are drawn from the world's stream in the order in which people meet.
//!
//! Cost: in proportion to the contacts. 1,000 peers in 20 offices for 24 h have
//! 176,000 contacts and take 0.1 s.

use rand_chacha::ChaCha20Rng;
use serde::{Deserialize, Serialize};

use super::copresence::{Meeting, Stay, Stays};
use super::maths::{US_PER_SECOND, us};
use super::pairwise::{between, lasting_us, waiting_us};
use super::spans::Spans;
use super::{Hour, MeanSeconds, Metres, MetresPerSecond, Places, PlanError, PlanInput};
use crate::scenario::{Count, Probability};
use crate::seeds::{self, Node, Purpose};

const HOUR_S: f64 = 3_600.0;
const DAY_S: f64 = 86_400.0;
/// Shortest and longest evening out, as in the paper.
const EVENING_S: [f64; 2] = [3_600.0, 7_200.0];

/// Homes by night, offices by day, and some evenings in town.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WorkingDay {
    /// Number of homes; peers are dealt out at random.
    pub homes: Places,
    /// Number of offices, likewise.
    pub offices: Places,
    /// Number of spots in town; everybody has a favourite.
    pub spots: Places,
    /// Width and height of the area over which all these are spread.
    pub area_m: [Metres; 2],
    /// When work begins and ends.
    pub office_hours: [Hour; 2],
    /// How much earlier or later somebody may come and go; drawn evenly and
    /// anew for each day.
    #[serde(default = "default_spread_h")]
    pub spread_h: Hour,
    /// Chance of going out after work.
    pub evening_probability: Probability,
    /// Most people who go out together.
    #[serde(default = "default_group")]
    pub group: Count,
    /// Distance up to which two desks are in contact.
    pub range_m: Metres,
    /// Side of an office; desks lie in it at random.
    #[serde(default = "default_office_m")]
    pub office_m: Metres,
    /// Speed of the way between places.
    #[serde(default = "default_travel_mps")]
    pub travel_mps: MetresPerSecond,
    /// Mean gap between two contacts of those who are not close.
    #[serde(default = "default_gap_s")]
    pub gap_s: MeanSeconds,
    /// Mean length of such a contact.
    #[serde(default = "default_contact_s")]
    pub contact_s: MeanSeconds,
    /// Time of the day when the run begins.
    #[serde(default = "default_begins_at_h")]
    pub begins_at_h: Hour,
}

const fn default_spread_h() -> Hour {
    Hour::new(1.0)
}

const fn default_group() -> Count {
    Count::new(3)
}

const fn default_office_m() -> Metres {
    Metres::new(100.0)
}

const fn default_travel_mps() -> MetresPerSecond {
    MetresPerSecond::new(8.0)
}

const fn default_gap_s() -> MeanSeconds {
    MeanSeconds::new(3_600.0)
}

const fn default_contact_s() -> MeanSeconds {
    MeanSeconds::new(300.0)
}

const fn default_begins_at_h() -> Hour {
    Hour::new(0.0)
}

impl WorkingDay {
    /// Hours that the longest day leaves between coming home and setting out
    /// again; negative when somebody would have to be at two places.
    pub(super) fn night_h(&self) -> f64 {
        let [begins, ends] = self.office_hours.map(Hour::get);
        let across = distance([0.0; 2], self.area_m.map(Metres::get));
        let travel_h = across / self.travel_mps.get() / HOUR_S;
        let home_at = ends + self.spread_h.get() + EVENING_S[1] / HOUR_S + 2.0 * travel_h;
        24.0 + begins - self.spread_h.get() - travel_h - home_at
    }
}

/// A place, by kind and number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Place {
    Home(u64),
    Office(u64),
    /// A spot on one evening, counted in days.
    Spot(u64, u32),
}

/// Where the places are.
#[derive(Debug)]
struct Town {
    homes: Vec<[f64; 2]>,
    offices: Vec<[f64; 2]>,
    spots: Vec<[f64; 2]>,
}

/// Where a peer lives, works, sits and goes out, by number.
#[derive(Debug)]
struct Person {
    peer: u16,
    home: u64,
    office: u64,
    desk_m: [f64; 2],
    spot: u64,
    home_to_office_s: f64,
    office_to_spot_s: f64,
    spot_to_home_s: f64,
}

pub(super) fn generate(
    spec: &WorkingDay,
    input: &PlanInput<'_>,
    spans: &mut Spans,
) -> Result<(), PlanError> {
    let mut world = seeds::stream(input.seed, Node::World, Purpose::Contacts);
    let town = Town::draw(spec, &mut world);
    let mut stays = Stays::new(spans.until_us());
    let mut desks_m = Vec::with_capacity(usize::from(input.peers));
    for peer in 0..input.peers {
        let mut stream = seeds::stream(input.seed, Node::Peer(peer), Purpose::Contacts);
        let person = Person::draw(spec, &town, peer, &mut stream);
        desks_m.push(person.desk_m);
        person.live(spec, &mut stream, &mut stays, spans.until_us())?;
    }
    stays.for_each_meeting(|met| {
        let pair = met.stays.map(|stay| stay.peer);
        if is_close(spec, &met, &desks_m) {
            return spans.meet(pair, met.from_us, met.to_us);
        }
        now_and_then(spec, &mut world, pair, [met.from_us, met.to_us], spans)
    })
}

/// Whether two are in contact all the time that they share.
fn is_close(spec: &WorkingDay, met: &Meeting<'_, Place>, desks_m: &[[f64; 2]]) -> bool {
    match met.stays[0].place {
        Place::Home(_) => true,
        Place::Office(_) => {
            let [one, other] = met.stays.map(|stay| desks_m[usize::from(stay.peer)]);
            distance(one, other) <= spec.range_m.get()
        }
        Place::Spot(..) => {
            // Whoever comes next joins the last group that has room.
            let group = usize::try_from(spec.group.get()).unwrap_or(usize::MAX);
            met.ranks[0] / group == met.ranks[1] / group
        }
    }
}

/// Contacts of two who are at the same place, but not close.
fn now_and_then(
    spec: &WorkingDay,
    stream: &mut ChaCha20Rng,
    pair: [u16; 2],
    [from_us, to_us]: [u64; 2],
    spans: &mut Spans,
) -> Result<(), PlanError> {
    let gap_us = spec.gap_s.get() * US_PER_SECOND as f64;
    let contact_us = spec.contact_s.get() * US_PER_SECOND as f64;
    let mut now_us = from_us;
    loop {
        now_us = now_us.saturating_add(waiting_us(stream, gap_us));
        if now_us >= to_us {
            return Ok(());
        }
        let ends_us = now_us.saturating_add(lasting_us(stream, contact_us)).min(to_us);
        spans.meet(pair, now_us, ends_us)?;
        now_us = ends_us;
    }
}

impl Town {
    fn draw(spec: &WorkingDay, stream: &mut ChaCha20Rng) -> Self {
        let mut places =
            |count: Places| (0..count.get()).map(|_| point(spec.area_m, stream)).collect();
        Self { homes: places(spec.homes), offices: places(spec.offices), spots: places(spec.spots) }
    }
}

impl Person {
    fn draw(spec: &WorkingDay, town: &Town, peer: u16, stream: &mut ChaCha20Rng) -> Self {
        let (home, home_at) = choose(&town.homes, stream);
        let (office, office_at) = choose(&town.offices, stream);
        let (spot, spot_at) = choose(&town.spots, stream);
        let desk_m = point([spec.office_m; 2], stream);
        let takes_s = |from, to| distance(from, to) / spec.travel_mps.get();
        Self {
            peer,
            home,
            office,
            desk_m,
            spot,
            home_to_office_s: takes_s(home_at, office_at),
            office_to_spot_s: takes_s(office_at, spot_at),
            spot_to_home_s: takes_s(spot_at, home_at),
        }
    }

    /// Adds the stays of all days, the first of which began at midnight before
    /// the run.
    ///
    /// Draws for each day: when it comes, when it goes, whether it goes out, and
    /// for how long.
    fn live(
        &self,
        spec: &WorkingDay,
        stream: &mut ChaCha20Rng,
        stays: &mut Stays<Place>,
        until_us: u64,
    ) -> Result<(), PlanError> {
        let run_starts_s = spec.begins_at_h.get() * HOUR_S;
        let mut add = |place, from_s: f64, to_s: f64| {
            let [from_us, to_us] = [from_s, to_s].map(|at_s| us(at_s - run_starts_s));
            stays.add(Stay { place, from_us, to_us, peer: self.peer })
        };
        let spread_s = spec.spread_h.get() * HOUR_S;
        let mut home_from_s = run_starts_s;
        for day in 0.. {
            let midnight_s = f64::from(day) * DAY_S;
            if us(midnight_s - run_starts_s) >= until_us {
                break;
            }
            let [comes_s, goes_s] = spec.office_hours.map(|hour| {
                midnight_s + hour.get() * HOUR_S + between(stream, [-spread_s, spread_s])
            });
            let goes_out = seeds::unit(stream) < spec.evening_probability.get();
            let evening_s = between(stream, EVENING_S);
            add(Place::Home(self.home), home_from_s, comes_s - self.home_to_office_s)?;
            add(Place::Office(self.office), comes_s, goes_s)?;
            home_from_s = goes_s + self.home_to_office_s;
            if goes_out {
                let arrives_s = goes_s + self.office_to_spot_s;
                let leaves_s = arrives_s + evening_s;
                add(Place::Spot(self.spot, day), arrives_s, leaves_s)?;
                home_from_s = leaves_s + self.spot_to_home_s;
            }
        }
        add(Place::Home(self.home), home_from_s, f64::MAX)
    }
}

/// One of `places` by number, and where it is.
fn choose(places: &[[f64; 2]], stream: &mut ChaCha20Rng) -> (u64, [f64; 2]) {
    let count = u64::try_from(places.len()).expect("a count that was 32 bits wide");
    let chosen = seeds::below(stream, count);
    (chosen, places[usize::try_from(chosen).expect("below a length")])
}

fn point(sides: [Metres; 2], stream: &mut ChaCha20Rng) -> [f64; 2] {
    sides.map(|side| between(stream, [0.0, side.get()]))
}

fn distance(one: [f64; 2], other: [f64; 2]) -> f64 {
    let [dx, dy] = [one[0] - other[0], one[1] - other[1]];
    (dx * dx + dy * dy).sqrt()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::contacts::{Contact, ContactStats, Contacts, plan};

    const HOUR_US: u64 = 3_600_000_000;

    fn spec() -> WorkingDay {
        toml::from_str(
            "homes = 40\noffices = 4\nspots = 2\narea_m = [3000, 3000]\n\
             office_hours = [8, 17]\nevening_probability = 0.5\nrange_m = 10",
        )
        .expect("a specification")
    }

    fn places(count: u32) -> Places {
        Places::try_from(count).expect("a number of places")
    }

    fn contacts(spec: WorkingDay, hours: u32) -> Vec<Contact> {
        let input = PlanInput {
            peers: 100,
            epochs_total: hours,
            epoch_us: HOUR_US,
            seed: 5,
            drain_from_us: None,
            file: None,
        };
        plan(&Contacts::WorkingDay(spec), &input).expect("a plan")
    }

    fn begin_between(contacts: &[Contact], hours: [u64; 2]) -> usize {
        let within = |it: &&Contact| (hours[0]..hours[1]).contains(&(it.from_us / HOUR_US));
        contacts.iter().filter(within).count()
    }

    #[test]
    fn most_contacts_are_made_at_work() {
        let contacts = contacts(spec(), 48);
        assert_eq!(begin_between(&contacts, [1, 6]), 0);
        let (work, evening) =
            (begin_between(&contacts, [9, 16]), begin_between(&contacts, [19, 24]));
        assert!(work > 5_000 && evening > 20 && evening < work / 10, "{work} {evening}");
        let again = begin_between(&contacts, [33, 40]);
        assert!(work.abs_diff(again) < work / 10, "{work} {again}");
    }

    #[test]
    fn the_night_is_spent_with_those_at_home() {
        let night = contacts(spec(), 4);
        assert!(!night.is_empty());
        assert!(night.iter().all(|it| (it.from_us, it.to_us) == (0, 4 * HOUR_US)));
        let alone = WorkingDay { homes: places(1_000_000), ..spec() };
        assert!(contacts(alone, 4).is_empty());
    }

    #[test]
    fn a_run_may_begin_at_work() {
        let day = WorkingDay { begins_at_h: Hour::new(12.0), ..spec() };
        let contacts = contacts(day, 3);
        assert!(begin_between(&contacts, [0, 3]) > 2_000);
        assert!(contacts.iter().any(|it| it.from_us == 0), "some desks are close");
    }

    #[test]
    fn nobody_goes_out_when_the_chance_is_none() {
        let probability = Probability::try_from(0.0).expect("a probability");
        let at_home = WorkingDay { evening_probability: probability, ..spec() };
        let contacts = contacts(at_home, 24);
        let pairs = ContactStats::of(&contacts, 100).pairs;
        // Colleagues and those who live together, and no others.
        assert!((900..1_700).contains(&pairs), "{pairs} pairs");
    }

    #[test]
    fn friends_who_go_out_together_share_the_evening() {
        let probability = Probability::try_from(1.0).expect("a probability");
        let out = WorkingDay {
            evening_probability: probability,
            homes: places(1_000_000),
            offices: places(1_000_000),
            spots: places(1),
            ..spec()
        };
        let contacts = contacts(out, 24);
        let long = contacts.iter().filter(|it| it.duration_us() > HOUR_US / 4).count();
        assert!(long > 60, "{long} of {}", contacts.len());
        assert!(contacts.iter().all(|it| it.duration_us() <= 2 * HOUR_US));
    }
}
