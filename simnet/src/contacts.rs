//! Who meets whom, and when: the contacts of one epoch, drawn per peer.

use rand_chacha::ChaCha20Rng;

use crate::clock::SimTime;
use crate::scenario::{Contacts, Scenario};
use crate::seeds::{self, Node, Purpose};

/// Two peers, the smaller index first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Pair {
    first: u16,
    second: u16,
}

/// One planned contact.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Contact {
    /// Who meets.
    pub pair: Pair,
    /// When it begins.
    pub from: SimTime,
    /// When it ends; never when absent.
    pub to: Option<SimTime>,
}

/// Draws contacts epoch by epoch.
#[derive(Debug)]
pub struct ContactPlan {
    kind: Contacts,
    peers: u16,
    epoch_us: u64,
    epochs: u32,
    streams: Vec<ChaCha20Rng>,
}

impl Pair {
    /// The pair of `a` and `b`; nobody meets itself.
    pub fn new(a: u16, b: u16) -> Option<Self> {
        (a != b).then(|| Self { first: a.min(b), second: a.max(b) })
    }

    /// Both peers, the smaller index first.
    pub const fn peers(self) -> [u16; 2] {
        [self.first, self.second]
    }
}

impl ContactPlan {
    /// The plan of `scenario`.
    pub fn new(scenario: &Scenario) -> Self {
        let stream = |peer| seeds::stream(scenario.seed, Node::Peer(peer), Purpose::Contacts);
        Self {
            kind: scenario.contacts.clone(),
            peers: scenario.peers.get(),
            epoch_us: scenario.epoch_us(),
            epochs: scenario.epochs.get(),
            streams: (0..scenario.peers.get()).map(stream).collect(),
        }
    }

    /// The contacts that begin in `epoch`; ask for every epoch once, in order.
    pub fn draw(&mut self, epoch: u32) -> Vec<Contact> {
        let start = SimTime::from_us(u64::from(epoch) * self.epoch_us);
        let draining = epoch == self.epochs;
        match &self.kind {
            Contacts::AllPairs if epoch == 0 => self.all_pairs(start),
            Contacts::RandomPairwise { .. } if draining => self.all_pairs(start),
            Contacts::RandomPairwise { probability, duration_ms } if epoch < self.epochs => {
                let (probability, duration_ms) = (probability.get(), duration_ms.get());
                (0..self.peers)
                    .filter_map(|peer| self.meeting(peer, start, probability, duration_ms))
                    .collect()
            }
            _ => Vec::new(),
        }
    }

    fn all_pairs(&self, from: SimTime) -> Vec<Contact> {
        let partners = |a| (a + 1..self.peers).filter_map(move |b| Pair::new(a, b));
        let contact = |pair| Contact { pair, from, to: None };
        (0..self.peers).flat_map(partners).map(contact).collect()
    }

    /// Every peer draws the same number of values in every epoch, whether it
    /// meets anybody or not.
    fn meeting(
        &mut self,
        peer: u16,
        start: SimTime,
        probability: f64,
        duration_ms: u32,
    ) -> Option<Contact> {
        let duration_us = u64::from(duration_ms) * 1_000;
        let slack_us = self.epoch_us.saturating_sub(duration_us);
        let stream = &mut self.streams[usize::from(peer)];
        let meets = seeds::unit(stream) < probability;
        let drawn = seeds::below(stream, u64::from(self.peers) - 1);
        let offset_us = seeds::below(stream, slack_us + 1);
        let other = u16::try_from(drawn).expect("drawn below the number of peers");
        let other = if other >= peer { other + 1 } else { other };
        let from = start.plus_us(offset_us);
        let pair = Pair::new(peer, other)?;
        meets.then_some(Contact { pair, from, to: Some(from.plus_us(duration_us)) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scenario::{Millis, Probability};
    use crate::testing;

    fn pairwise(probability: f64) -> Scenario {
        let mut scenario = testing::scenario();
        scenario.contacts = Contacts::RandomPairwise {
            probability: Probability::try_from(probability).expect("a probability"),
            duration_ms: Millis::try_from(300).expect("a duration"),
        };
        scenario
    }

    #[test]
    fn all_pairs_meet_once_and_for_good() {
        let mut plan = ContactPlan::new(&testing::scenario());
        let contacts = plan.draw(0);
        assert_eq!(contacts.len(), 6);
        assert!(contacts.iter().all(|contact| contact.to.is_none()));
        assert!(plan.draw(1).is_empty() && plan.draw(3).is_empty());
    }

    #[test]
    fn pairwise_contacts_stay_inside_their_epoch() {
        let scenario = pairwise(1.0);
        let mut plan = ContactPlan::new(&scenario);
        for epoch in 0..scenario.epochs.get() {
            let start = u64::from(epoch) * scenario.epoch_us();
            let contacts = plan.draw(epoch);
            assert_eq!(contacts.len(), usize::from(scenario.peers.get()));
            for contact in contacts {
                let to = contact.to.expect("a pairwise contact ends");
                assert_eq!(to.us() - contact.from.us(), 300_000);
                assert!(contact.from.us() >= start && to.us() <= start + scenario.epoch_us());
            }
        }
    }

    #[test]
    fn everybody_meets_when_draining_begins() {
        let scenario = pairwise(0.0);
        let mut plan = ContactPlan::new(&scenario);
        let drawn: Vec<_> =
            (0..scenario.epochs_total()).map(|epoch| plan.draw(epoch).len()).collect();
        assert_eq!(drawn, [0, 0, 0, 6, 0]);
    }

    #[test]
    fn contacts_are_as_likely_as_declared() {
        let mut scenario = pairwise(0.25);
        scenario.epochs = 2_000.try_into().expect("a number of epochs");
        let mut plan = ContactPlan::new(&scenario);
        let drawn: usize = (0..2_000).map(|epoch| plan.draw(epoch).len()).sum();
        assert!((1_850..2_150).contains(&drawn), "{drawn} of 8000");
    }

    #[test]
    fn nobody_meets_itself() {
        assert_eq!(Pair::new(3, 3), None);
        assert_eq!(Pair::new(3, 1), Pair::new(1, 3));
    }
}
