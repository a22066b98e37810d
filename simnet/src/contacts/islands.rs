//! Islands: groups of peers that never meet, and ferries between them.
//!
//! Peers are dealt out to the islands in contiguous blocks; the last peers of
//! the scenario are the ferries. A ferry visits the islands of its route in
//! turn, and while it is docked it is in contact with all who are there, other
//! ferries included. On the water it meets nobody. This is the message ferrying
//! of Zhao, Ammar and Zegura (MobiHoc 2004), with contacts instead of motion.

use std::ops::Range;

use serde::{Deserialize, Serialize};

use super::copresence::{Stay, Stays};
use super::pairwise::{Poisson, poisson_among};
use super::spans::{Spans, Terms};
use super::{PerHour, PlanError, PlanInput};
use crate::scenario::{Count, Millis};
use crate::seeds::{self, Node, Purpose};

/// Islands of peers with ferries between them.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Islands {
    /// Number of islands; the first ones get a peer more where it does not
    /// come out even.
    pub islands: Count,
    /// How the peers of one island meet.
    pub inside: Inside,
    /// One for each of the last peers.
    #[serde(default)]
    pub ferries: Vec<Ferry>,
}

/// How the peers of one island meet.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub enum Inside {
    /// All are in contact all the time.
    Always,
    /// Two of them at a time, at random.
    Poisson {
        /// Contacts in an hour on each island, on average.
        contacts_per_hour: PerHour,
        /// Mean length of a contact, at least 1,000.
        duration_ms: Millis,
    },
}

/// A peer that goes from island to island.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Ferry {
    /// The islands in the order of its visits, over and over; it is docked at
    /// the first when the run begins.
    pub route: Vec<u16>,
    /// How long it is docked.
    pub dwell_ms: Millis,
    /// How long it takes from one to the next.
    pub travel_ms: Millis,
    /// How many of an island's peers, the first ones, it meets there; all when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub meets: Option<Count>,
    /// Bytes per second of its contacts in each direction; as the scenario's links when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rate_bytes_per_s: Option<Count>,
}

impl Islands {
    /// The peers of one island out of `members`, who are not ferries.
    fn block(&self, island: u16, members: u16) -> Range<u16> {
        let count = u16::try_from(self.islands.get()).unwrap_or(u16::MAX);
        let (least, rest) = (members / count, members % count);
        let from = island * least + island.min(rest);
        from..from + least + u16::from(island < rest)
    }
}

pub(super) fn generate(
    spec: &Islands,
    input: &PlanInput<'_>,
    spans: &mut Spans,
) -> Result<(), PlanError> {
    let ferries = u16::try_from(spec.ferries.len()).unwrap_or(u16::MAX);
    let members = input.peers.saturating_sub(ferries);
    let islands = u16::try_from(spec.islands.get()).unwrap_or(u16::MAX);
    let until_us = spans.until_us();
    let mut stays = Stays::new(until_us);
    for island in 0..islands {
        let block = spec.block(island, members);
        for peer in block.clone() {
            stays.add(Stay { place: island, from_us: 0, to_us: until_us, peer })?;
        }
        if let Inside::Poisson { contacts_per_hour, duration_ms } = spec.inside {
            let node = Node::Peer(block.start);
            let mut stream = seeds::stream(input.seed, node, Purpose::Contacts);
            let rate = Poisson::new(contacts_per_hour, duration_ms);
            poisson_among(&rate, block, &mut stream, spans)?;
        }
    }
    for (peer, ferry) in (members..input.peers).zip(&spec.ferries) {
        ferry.dock(peer, &mut stays, until_us)?;
    }
    stays.for_each_meeting(|met| {
        let pair = met.stays.map(|stay| stay.peer);
        let [lower, higher] = [pair[0].min(pair[1]), pair[0].max(pair[1])];
        let ferry = |peer: u16| spec.ferries.get(usize::from(peer.checked_sub(members)?));
        let place = lower.saturating_sub(spec.block(met.stays[0].place, members).start);
        let terms = match (ferry(lower), ferry(higher)) {
            (_, None) if spec.inside != Inside::Always => return Ok(()),
            (_, None) => Terms::default(),
            (None, Some(ferry)) if !ferry.meets_place(place) => return Ok(()),
            (None, Some(ferry)) => ferry.terms(),
            (Some(one), Some(other)) => one.terms_with(other),
        };
        spans.meet_under(terms, [lower, higher], met.from_us, met.to_us)
    })
}

impl Ferry {
    /// True if the peer at this place of an island comes to the pier.
    fn meets_place(&self, place: u16) -> bool {
        self.meets.is_none_or(|most| u32::from(place) < most.get())
    }

    fn terms(&self) -> Terms {
        let rate_bps = self.rate_bytes_per_s.map(|rate| u64::from(rate.get()));
        Terms { rate_bps, ..Terms::default() }
    }

    /// Two ferries are in contact at the rate of the slower.
    fn terms_with(&self, other: &Self) -> Terms {
        let (own, others) = (self.terms().rate_bps, other.terms().rate_bps);
        Terms { rate_bps: own.into_iter().chain(others).min(), ..Terms::default() }
    }

    fn dock(&self, peer: u16, stays: &mut Stays<u16>, until_us: u64) -> Result<(), PlanError> {
        let dwell_us = u64::from(self.dwell_ms.get()) * 1_000;
        let travel_us = u64::from(self.travel_ms.get()) * 1_000;
        let mut from_us = 0_u64;
        for &place in self.route.iter().cycle() {
            if from_us >= until_us {
                break;
            }
            stays.add(Stay { place, from_us, to_us: from_us.saturating_add(dwell_us), peer })?;
            from_us = from_us.saturating_add(dwell_us + travel_us);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::contacts::{Contact, Contacts, plan};

    fn contacts(text: &str, peers: u16) -> Vec<Contact> {
        let spec = Contacts::Islands(toml::from_str(text).expect("a specification"));
        let input = PlanInput {
            peers,
            epochs_total: 10,
            epoch_us: 1_000_000,
            seed: 1,
            drain_from_us: None,
            file: None,
        };
        plan(&spec, &input).expect("a plan")
    }

    fn times(contacts: &[Contact], a: u16, b: u16) -> Vec<(u64, u64)> {
        let of_pair = contacts.iter().filter(|it| (it.a, it.b) == (a, b));
        of_pair.map(|it| (it.from_us / 1_000, it.to_us / 1_000)).collect()
    }

    #[test]
    fn peers_are_dealt_out_in_blocks() {
        let spec: Islands = toml::from_str("islands = 3\ninside = \"always\"").expect("islands");
        let blocks: Vec<_> = (0..3).map(|island| spec.block(island, 8)).collect();
        assert_eq!(blocks, [0..3, 3..6, 6..8]);
        let contacts = contacts("islands = 3\ninside = \"always\"", 8);
        assert_eq!(contacts.len(), 3 + 3 + 1);
        assert_eq!(times(&contacts, 3, 5), [(0, 10_000)]);
        assert_eq!(times(&contacts, 2, 3), []);
    }

    #[test]
    fn a_ferry_meets_all_of_an_island_while_docked() {
        let contacts = contacts(
            "islands = 2\ninside = \"always\"\n\
             ferries = [{ route = [1, 0], dwell_ms = 1000, travel_ms = 2500 }]",
            5,
        );
        for peer in [2, 3] {
            assert_eq!(times(&contacts, peer, 4), [(0, 1_000), (7_000, 8_000)]);
        }
        for peer in [0, 1] {
            assert_eq!(times(&contacts, peer, 4), [(3_500, 4_500)]);
        }
    }

    #[test]
    fn ferries_meet_where_both_are_docked() {
        let contacts = contacts(
            "islands = 2\ninside = \"always\"\n\
             ferries = [{ route = [0, 1], dwell_ms = 1000, travel_ms = 3000 },\
                        { route = [0], dwell_ms = 700, travel_ms = 800 }]",
            4,
        );
        assert_eq!(times(&contacts, 2, 3), [(0, 700), (8_000, 8_200)]);
    }

    #[test]
    fn an_island_may_meet_at_random() {
        let text = "islands = 2\n[inside.poisson]\ncontacts_per_hour = 3600\nduration_ms = 1000";
        let contacts = contacts(text, 8);
        assert!((8..=32).contains(&contacts.len()), "{} contacts", contacts.len());
        assert!(contacts.iter().all(|it| (it.a < 4) == (it.b < 4)));
    }

    #[test]
    fn a_ferry_may_meet_few_and_slowly() {
        let contacts = contacts(
            "islands = 2\ninside = \"always\"\n\
             ferries = [{ route = [1, 0], dwell_ms = 1000, travel_ms = 2500, meets = 1,\
                          rate_bytes_per_s = 500 }]",
            5,
        );
        assert_eq!(times(&contacts, 2, 4), [(0, 1_000), (7_000, 8_000)]);
        assert_eq!(times(&contacts, 0, 4), [(3_500, 4_500)]);
        assert_eq!((times(&contacts, 1, 4), times(&contacts, 3, 4)), (vec![], vec![]));
        let rate = |a: u16, b: u16| contacts.iter().find(|it| (it.a, it.b) == (a, b))?.rate_bps;
        assert_eq!((rate(2, 4), rate(0, 1)), (Some(500), None));
    }

    #[test]
    fn two_ferries_talk_as_fast_as_the_slower() {
        let ferry = |rate: Option<u32>| Ferry {
            route: vec![0],
            dwell_ms: 1_000.try_into().expect("a time"),
            travel_ms: 1_000.try_into().expect("a time"),
            meets: None,
            rate_bytes_per_s: rate.map(Count::new),
        };
        let between = |one, other| ferry(one).terms_with(&ferry(other)).rate_bps;
        assert_eq!(between(Some(7), Some(3)), Some(3));
        assert_eq!((between(Some(7), None), between(None, None)), (Some(7), None));
        assert!(ferry(None).meets_place(9));
    }
}
