//! Plans without places: everybody at once, one other per epoch, or pairs at
//! random times.

use std::ops::Range;

use rand_chacha::ChaCha20Rng;

use super::maths::US_PER_SECOND;
use super::spans::Spans;
use super::{PerHour, PlanError, PlanInput};
use crate::scenario::Millis;
use crate::seeds::{self, Node, Purpose};

/// Shortest contact that a mean length allows.
const SHORTEST_US: f64 = US_PER_SECOND as f64;

/// Memoryless contacts among some peers.
#[derive(Debug, Clone, Copy)]
pub(super) struct Poisson {
    gap_us: f64,
    duration_us: f64,
}

impl Poisson {
    /// As declared; the mean length is at least a second.
    pub(super) fn new(contacts_per_hour: PerHour, duration_ms: Millis) -> Self {
        Self {
            gap_us: 3_600.0 * US_PER_SECOND as f64 / contacts_per_hour.get(),
            duration_us: f64::from(duration_ms.get()) * 1_000.0,
        }
    }
}

/// Everybody meets everybody from `from_us` on.
pub(super) fn all_pairs(peers: u16, from_us: u64, spans: &mut Spans) -> Result<(), PlanError> {
    for a in 0..peers {
        for b in a + 1..peers {
            spans.meet([a, b], from_us, spans.until_us())?;
        }
    }
    Ok(())
}

/// In each epoch every peer may start one contact.
///
/// Every peer draws the same three values from its own stream in every epoch,
/// whether it meets anybody or not: whether, whom, and how late in the epoch.
pub(super) fn random(
    probability: f64,
    duration_ms: u32,
    input: &PlanInput<'_>,
    spans: &mut Spans,
) -> Result<(), PlanError> {
    let duration_us = u64::from(duration_ms) * 1_000;
    let slack_us = input.epoch_us.saturating_sub(duration_us);
    for peer in 0..input.peers {
        let mut stream = seeds::stream(input.seed, Node::Peer(peer), Purpose::Contacts);
        for epoch in 0..input.epochs_total {
            let start_us = u64::from(epoch).saturating_mul(input.epoch_us);
            if start_us >= spans.until_us() {
                break;
            }
            let meets = seeds::unit(&mut stream) < probability;
            let other = below(&mut stream, input.peers - 1);
            let offset_us = seeds::below(&mut stream, slack_us.saturating_add(1));
            let other = if other >= peer { other + 1 } else { other };
            let from_us = start_us.saturating_add(offset_us);
            if meets {
                spans.meet([peer, other], from_us, from_us.saturating_add(duration_us))?;
            }
        }
    }
    Ok(())
}

/// Contacts of the whole network, drawn from the world's stream.
pub(super) fn poisson(
    rate: &Poisson,
    input: &PlanInput<'_>,
    spans: &mut Spans,
) -> Result<(), PlanError> {
    let mut stream = seeds::stream(input.seed, Node::World, Purpose::Contacts);
    poisson_among(rate, 0..input.peers, &mut stream, spans)
}

/// Contacts among some peers; nobody meets where there is only one.
///
/// Draws for every contact: the gap before it, two peers, its length.
pub(super) fn poisson_among(
    rate: &Poisson,
    members: Range<u16>,
    stream: &mut ChaCha20Rng,
    spans: &mut Spans,
) -> Result<(), PlanError> {
    let count = members.end - members.start;
    if count < 2 {
        return Ok(());
    }
    let mut from_us = 0_u64;
    loop {
        from_us = from_us.saturating_add(waiting_us(stream, rate.gap_us));
        if from_us >= spans.until_us() {
            return Ok(());
        }
        let first = below(stream, count);
        let second = below(stream, count - 1);
        let second = if second >= first { second + 1 } else { second };
        let lasts_us = lasting_us(stream, rate.duration_us);
        let pair = [members.start + first, members.start + second];
        spans.meet(pair, from_us, from_us.saturating_add(lasts_us))?;
    }
}

/// Length of a contact: a second, and what makes up the mean.
pub(super) fn lasting_us(stream: &mut ChaCha20Rng, mean_us: f64) -> u64 {
    waiting_us(stream, (mean_us - SHORTEST_US).max(0.0)).saturating_add(US_PER_SECOND)
}

/// An exponentially distributed time.
pub(super) fn waiting_us(stream: &mut ChaCha20Rng, mean_us: f64) -> u64 {
    // Not negative; the cast saturates.
    seeds::exponential(stream, mean_us).round() as u64
}

/// A number in `0..count`; `count` must not be zero.
pub(super) fn below(stream: &mut ChaCha20Rng, count: u16) -> u16 {
    let drawn = seeds::below(stream, u64::from(count));
    u16::try_from(drawn).expect("drawn below a 16-bit count")
}

/// A number between two others, evenly.
pub(super) fn between(stream: &mut ChaCha20Rng, [low, high]: [f64; 2]) -> f64 {
    low + (high - low) * seeds::unit(stream)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::contacts::{Contact, Contacts, plan};
    use crate::scenario::Probability;

    const INPUT: PlanInput<'_> = PlanInput {
        peers: 4,
        epochs_total: 5,
        epoch_us: 1_000_000,
        seed: 7,
        drain_from_us: Some(3_000_000),
        file: None,
    };

    fn pairwise(probability: f64, input: &PlanInput<'_>) -> Vec<Contact> {
        let spec = Contacts::RandomPairwise {
            probability: Probability::try_from(probability).expect("a probability"),
            duration_ms: Millis::try_from(300).expect("a duration"),
        };
        plan(&spec, input).expect("a plan")
    }

    fn poisson(per_hour: f64, duration_ms: u32, input: &PlanInput<'_>) -> Vec<Contact> {
        let spec = Contacts::PoissonPairwise {
            contacts_per_hour: PerHour::try_from(per_hour).expect("a rate"),
            duration_ms: Millis::try_from(duration_ms).expect("a duration"),
        };
        plan(&spec, input).expect("a plan")
    }

    #[test]
    fn all_pairs_meet_once_and_for_good() {
        let contacts = plan(&Contacts::AllPairs, &INPUT).expect("a plan");
        assert_eq!(contacts.len(), 6);
        assert!(contacts.iter().all(|it| (it.from_us, it.to_us) == (0, 5_000_000)));
    }

    #[test]
    fn everybody_meets_when_draining_begins() {
        let contacts = pairwise(0.0, &INPUT);
        assert_eq!(contacts.len(), 6);
        assert!(contacts.iter().all(|it| (it.from_us, it.to_us) == (3_000_000, 5_000_000)));
        assert!(pairwise(0.0, &PlanInput { drain_from_us: None, ..INPUT }).is_empty());
    }

    /// The draws as the engine made them epoch by epoch before there were plans.
    fn drawn_by_epoch(input: &PlanInput<'_>, epochs: u32, probability: f64) -> Vec<[u64; 4]> {
        let open = |peer| seeds::stream(input.seed, Node::Peer(peer), Purpose::Contacts);
        let mut streams: Vec<_> = (0..input.peers).map(open).collect();
        let mut drawn = Vec::new();
        for epoch in 0..epochs {
            for (peer, stream) in (0..).zip(&mut streams) {
                let meets = seeds::unit(stream) < probability;
                let other = seeds::below(stream, u64::from(input.peers) - 1);
                let offset_us = seeds::below(stream, input.epoch_us - 300_000 + 1);
                let other = if other >= peer { other + 1 } else { other };
                let from_us = u64::from(epoch) * input.epoch_us + offset_us;
                if meets {
                    drawn.push([from_us, peer.min(other), peer.max(other), from_us + 300_000]);
                }
            }
        }
        drawn.sort_unstable();
        drawn
    }

    #[test]
    fn random_pairwise_keeps_the_draws_of_existing_runs() {
        let input = PlanInput { peers: 50, epochs_total: 42, ..INPUT };
        let input = PlanInput { drain_from_us: Some(40_000_000), ..input };
        let contacts = pairwise(0.2, &input);
        let own = contacts.iter().filter(|it| it.from_us < 40_000_000);
        let own: Vec<_> =
            own.map(|it| [it.from_us, u64::from(it.a), u64::from(it.b), it.to_us]).collect();
        let drawn = drawn_by_epoch(&input, 40, 0.2);
        assert!(own.len() > 300);
        let kept = own.iter().filter(|it| drawn.contains(it)).count();
        // Two draws of the same pair may overlap and become one.
        assert!(kept + 4 >= own.len() && own.len() + 4 >= drawn.len(), "{kept} {}", drawn.len());
    }

    #[test]
    fn pairwise_contacts_stay_inside_their_epoch() {
        let contacts = pairwise(1.0, &PlanInput { drain_from_us: None, ..INPUT });
        assert!(contacts.len() > 10);
        for contact in contacts {
            assert_eq!(contact.from_us / 1_000_000, (contact.to_us - 1) / 1_000_000);
        }
    }

    #[test]
    fn poisson_contacts_are_as_many_and_as_long_as_declared() {
        let input = PlanInput { peers: 1_000, epochs_total: 24, drain_from_us: None, ..INPUT };
        let input = PlanInput { epoch_us: 3_600_000_000, ..input };
        let contacts = poisson(1_000.0, 60_000, &input);
        assert!((23_500..24_500).contains(&contacts.len()), "{} contacts", contacts.len());
        let sum_us: u64 = contacts.iter().map(Contact::duration_us).sum();
        let mean_s = sum_us as f64 / contacts.len() as f64 / 1e6;
        assert!((59.0..61.0).contains(&mean_s), "{mean_s} s");
        let ended = |it: &&Contact| it.to_us < input.end_us();
        assert!(contacts.iter().filter(ended).all(|it| it.duration_us() >= US_PER_SECOND));
    }

    #[test]
    fn poisson_contacts_spread_over_all_pairs() {
        let input = PlanInput { peers: 5, epochs_total: 3_600_000, drain_from_us: None, ..INPUT };
        let contacts = poisson(10.0, 1_000, &input);
        for a in 0..5 {
            for b in a + 1..5 {
                let met = contacts.iter().filter(|it| (it.a, it.b) == (a, b)).count();
                assert!((850..1_150).contains(&met), "{a} {b}: {met}");
            }
        }
    }

    #[test]
    fn a_plan_repeats_itself_and_its_seed_matters() {
        let input = PlanInput { epochs_total: 3_600, drain_from_us: None, ..INPUT };
        assert_eq!(poisson(100.0, 5_000, &input), poisson(100.0, 5_000, &input));
        let other = PlanInput { seed: 8, ..input };
        assert_ne!(poisson(100.0, 5_000, &input), poisson(100.0, 5_000, &other));
    }

    #[test]
    fn a_plan_has_a_limit() {
        let input = PlanInput { epochs_total: 360_000, drain_from_us: None, ..INPUT };
        let spec = Contacts::PoissonPairwise {
            contacts_per_hour: PerHour::try_from(1e7).expect("a rate"),
            duration_ms: Millis::try_from(1_000).expect("a duration"),
        };
        assert_eq!(plan(&spec, &input), Err(PlanError::TooManyContacts));
    }
}
