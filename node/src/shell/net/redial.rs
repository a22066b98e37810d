//! Redial: which known peer to dial next, and when.
//!
//! A table without IO: the moment comes in, due dials go out. The pause after
//! a failure doubles from `first` to `longest` and is spread by a quarter in
//! both directions, so that two peers that lost each other do not keep dialling
//! in step. The spread is derived from a seed, not drawn.

use std::collections::BTreeMap;
use std::time::Duration;

use libp2p::Multiaddr;
use longhaul_dtn::hash::ContentHash;
use longhaul_dtn::identity::PeerId;
use tokio::time::Instant;

/// Most addresses remembered for one peer; further ones are ignored.
const ADDRESSES_MAX: usize = 16;
/// A contact that ends sooner than this counts as a failed dial: a peer that
/// accepts and hangs up must not be dialled in a tight loop.
const CONTACT_MIN: Duration = Duration::from_secs(5);
/// Doublings after which the pause stays as it is; keeps the shift in range.
const DOUBLINGS_MAX: u32 = 16;

/// How long to pause between dials of one peer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RedialPolicy {
    /// Pause after the first failure.
    pub first: Duration,
    /// Longest pause. A contact may last only seconds and a dial costs one
    /// packet, so this is short.
    pub longest: Duration,
}

impl Default for RedialPolicy {
    fn default() -> Self {
        Self { first: Duration::from_millis(500), longest: Duration::from_secs(5) }
    }
}

/// Whether an address was given by the operator or found on the local network.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Source {
    Given,
    Discovered,
}

/// The known peers and the state of each.
#[derive(Debug)]
pub(super) struct Redial {
    policy: RedialPolicy,
    seed: [u8; 32],
    peers: BTreeMap<PeerId, Target>,
}

#[derive(Debug)]
struct Target {
    addresses: BTreeMap<Multiaddr, Source>,
    failures: u32,
    state: State,
}

#[derive(Debug, Clone, Copy)]
enum State {
    Due(Instant),
    Dialling,
    Linked(Instant),
    Cut,
}

impl Redial {
    pub(super) fn new(policy: RedialPolicy, seed: [u8; 32]) -> Self {
        Self { policy, seed, peers: BTreeMap::new() }
    }

    /// Remembers where a peer listens; an unlinked peer becomes due at once.
    pub(super) fn learn(&mut self, peer: PeerId, address: Multiaddr, source: Source, now: Instant) {
        let target = self.target(peer, now);
        let full = target.addresses.len() >= ADDRESSES_MAX;
        match target.addresses.get_mut(&address) {
            Some(known) if source == Source::Given => *known = source,
            Some(_) => {}
            None if full => {}
            None => {
                target.addresses.insert(address, source);
                target.hurry(now);
            }
        }
    }

    /// Drops an address that was found on the network and is there no longer.
    pub(super) fn forget(&mut self, peer: PeerId, address: &Multiaddr) {
        if let Some(target) = self.peers.get_mut(&peer)
            && target.addresses.get(address) == Some(&Source::Discovered)
        {
            target.addresses.remove(address);
        }
    }

    /// The earliest moment at which a peer becomes due.
    pub(super) fn next_due(&self) -> Option<Instant> {
        self.peers.values().filter_map(Target::due).min()
    }

    /// The peers to dial now; each then counts as being dialled.
    pub(super) fn take_due(&mut self, now: Instant) -> Vec<(PeerId, Vec<Multiaddr>)> {
        let due = |target: &Target| target.due().is_some_and(|moment| moment <= now);
        self.peers
            .iter_mut()
            .filter(|(_, target)| due(target))
            .map(|(&peer, target)| {
                target.state = State::Dialling;
                (peer, target.addresses.keys().cloned().collect())
            })
            .collect()
    }

    /// A dial failed, or led to a connection without a contact.
    pub(super) fn failed(&mut self, peer: PeerId, now: Instant) {
        let pause = self.pause(peer);
        if let Some(target) = self.peers.get_mut(&peer)
            && matches!(target.state, State::Dialling)
        {
            target.failures = target.failures.saturating_add(1);
            target.state = State::Due(now + pause);
        }
    }

    /// A contact with the peer began, whoever dialled.
    pub(super) fn linked(&mut self, peer: PeerId, now: Instant) {
        let target = self.target(peer, now);
        if !matches!(target.state, State::Cut) {
            target.state = State::Linked(now);
        }
    }

    /// The contact with the peer ended.
    pub(super) fn unlinked(&mut self, peer: PeerId, now: Instant) {
        let Some(target) = self.peers.get_mut(&peer) else { return };
        let State::Linked(since) = target.state else { return };
        if now.duration_since(since) >= CONTACT_MIN {
            target.failures = 0;
        }
        target.state = State::Dialling;
        self.failed(peer, now);
    }

    /// Stops dialling the peer until [`Redial::heal`].
    pub(super) fn cut(&mut self, peer: PeerId, now: Instant) {
        self.target(peer, now).state = State::Cut;
    }

    /// Ends a cut; the peer is due at once.
    pub(super) fn heal(&mut self, peer: PeerId, now: Instant) {
        let target = self.target(peer, now);
        if matches!(target.state, State::Cut) {
            target.state = State::Due(now);
            target.failures = 0;
        }
    }

    /// The network changed under us: every peer without a contact is due at once.
    pub(super) fn hurry(&mut self, now: Instant) {
        self.peers.values_mut().for_each(|target| target.hurry(now));
    }

    fn target(&mut self, peer: PeerId, now: Instant) -> &mut Target {
        self.peers.entry(peer).or_insert_with(|| Target {
            addresses: BTreeMap::new(),
            failures: 0,
            state: State::Due(now),
        })
    }

    fn pause(&self, peer: PeerId) -> Duration {
        let failures = self.peers.get(&peer).map_or(0, |target| target.failures);
        let doubled = self.policy.first.saturating_mul(1 << failures.min(DOUBLINGS_MAX));
        doubled.min(self.policy.longest).mul_f64(self.spread(peer, failures))
    }

    /// A factor from 0.75 to 1.25, different for each peer and failure.
    fn spread(&self, peer: PeerId, failures: u32) -> f64 {
        let bytes = [&self.seed[..], peer.as_bytes(), &failures.to_be_bytes()].concat();
        let hash = ContentHash::derive("longhaul 2026 node redial spread v1", &bytes);
        0.75 + f64::from(hash.as_bytes()[0]) / 510.0
    }
}

impl Target {
    fn due(&self) -> Option<Instant> {
        match self.state {
            State::Due(moment) if !self.addresses.is_empty() => Some(moment),
            State::Due(_) | State::Dialling | State::Linked(_) | State::Cut => None,
        }
    }

    fn hurry(&mut self, now: Instant) {
        if matches!(self.state, State::Due(_)) {
            self.state = State::Due(now);
            self.failures = 0;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use longhaul_dtn::identity::SecretKey;

    const SECOND: Duration = Duration::from_secs(1);

    fn peer(byte: u8) -> PeerId {
        SecretKey::from_seed(&[byte; 32]).peer_id()
    }

    fn address(port: u16) -> Multiaddr {
        format!("/ip4/192.0.2.1/tcp/{port}").parse().expect("well-formed")
    }

    fn knowing(peers: &[PeerId], now: Instant) -> Redial {
        let mut redial = Redial::new(RedialPolicy::default(), [1; 32]);
        for &peer in peers {
            redial.learn(peer, address(1), Source::Given, now);
        }
        redial
    }

    #[test]
    fn dials_a_new_peer_at_once_and_only_once() {
        let now = Instant::now();
        let mut redial = knowing(&[peer(1)], now);
        assert_eq!(redial.take_due(now), vec![(peer(1), vec![address(1)])]);
        assert_eq!(redial.take_due(now + 100 * SECOND), vec![]);
        assert_eq!(redial.next_due(), None);
    }

    #[test]
    fn doubles_the_pause_up_to_the_longest() {
        let mut now = Instant::now();
        let mut redial = knowing(&[peer(1)], now);
        for expected_ms in [500, 1_000, 2_000, 4_000, 5_000, 5_000] {
            assert_eq!(redial.take_due(now).len(), 1);
            redial.failed(peer(1), now);
            let pause = redial.next_due().expect("due again") - now;
            let expected = Duration::from_millis(expected_ms);
            assert!(pause >= expected * 3 / 4 && pause <= expected * 5 / 4, "{pause:?}");
            now += pause;
        }
    }

    #[test]
    fn spreads_two_peers_apart() {
        let redial = knowing(&[], Instant::now());
        assert!((redial.spread(peer(1), 0) - redial.spread(peer(2), 0)).abs() > 0.001);
        assert!((redial.spread(peer(1), 0) - redial.spread(peer(1), 1)).abs() > 0.001);
    }

    #[test]
    fn starts_over_after_a_lasting_contact() {
        let now = Instant::now();
        let mut redial = knowing(&[peer(1)], now);
        for _ in 0..6 {
            redial.take_due(now + 100 * SECOND);
            redial.failed(peer(1), now);
        }
        redial.linked(peer(1), now);
        redial.unlinked(peer(1), now + 60 * SECOND);
        let pause = redial.next_due().expect("due again") - (now + 60 * SECOND);
        assert!(pause < SECOND, "{pause:?}");
    }

    #[test]
    fn backs_off_from_a_peer_that_hangs_up() {
        let now = Instant::now();
        let mut redial = knowing(&[peer(1)], now);
        for _ in 0..6 {
            redial.linked(peer(1), now);
            redial.unlinked(peer(1), now);
        }
        assert!(redial.next_due().expect("due again") - now > 3 * SECOND);
    }

    #[test]
    fn leaves_a_cut_peer_alone_until_it_heals() {
        let now = Instant::now();
        let mut redial = knowing(&[peer(1)], now);
        redial.cut(peer(1), now);
        redial.hurry(now);
        redial.learn(peer(1), address(2), Source::Given, now);
        assert_eq!(redial.take_due(now + 100 * SECOND), vec![]);
        redial.heal(peer(1), now);
        assert_eq!(redial.take_due(now).len(), 1);
    }

    #[test]
    fn forgets_discovered_addresses_only() {
        let now = Instant::now();
        let mut redial = knowing(&[peer(1)], now);
        redial.learn(peer(1), address(2), Source::Discovered, now);
        redial.forget(peer(1), &address(1));
        redial.forget(peer(1), &address(2));
        assert_eq!(redial.take_due(now), vec![(peer(1), vec![address(1)])]);
    }

    #[test]
    fn remembers_a_bounded_number_of_addresses() {
        let now = Instant::now();
        let mut redial = knowing(&[], now);
        for port in 0..1_000 {
            redial.learn(peer(1), address(port), Source::Discovered, now);
        }
        assert_eq!(redial.take_due(now)[0].1.len(), ADDRESSES_MAX);
    }
}
