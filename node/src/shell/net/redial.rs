//! Redial: which known peer to dial next, by which route, and when.
//!
//! A table without IO: the moment comes in, due dials go out. The pause after
//! a failure doubles from `first` to `longest` and is spread by a quarter in
//! both directions, so that two peers that lost each other do not keep dialling
//! in step. The spread is derived from a seed, not drawn.
//!
//! A peer that can be reached in both ways is dialled directly first, and through
//! a relay right after that failed. Relays count the circuits that somebody asks
//! for, so those dials have longer pauses of their own. A relayed link is tried
//! to be replaced by a direct one, ever more rarely.

use std::collections::BTreeMap;
use std::time::Duration;

use libp2p::Multiaddr;
use longhaul_dtn::hash::ContentHash;
use longhaul_dtn::identity::PeerId;
use tokio::time::Instant;

use super::address::Route;

/// Most addresses remembered for one peer; further ones are ignored.
pub(super) const ADDRESSES_MAX: usize = 16;
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

impl RedialPolicy {
    /// Pauses between dials through a relay, 2 s to 60 s by default.
    pub(super) fn through_relays(self) -> Self {
        Self { first: self.first.saturating_mul(4), longest: self.longest.saturating_mul(12) }
    }

    /// Pauses between attempts to replace a relayed link, 30 s to 10 min by default.
    fn upgrade(self) -> Self {
        Self { first: self.first.saturating_mul(60), longest: self.longest.saturating_mul(120) }
    }

    /// The pause after so many failures in a row, times `spread`.
    pub(in crate::shell) fn pause(self, failures: u32, spread: f64) -> Duration {
        let doubled = self.first.saturating_mul(1 << failures.min(DOUBLINGS_MAX));
        doubled.min(self.longest).mul_f64(spread)
    }
}

/// Where an address comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Source {
    /// The operator.
    Given,
    /// The local network.
    Discovered,
    /// A record that the peer signed, from a rendezvous point.
    Registered,
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
    /// Failures of direct dials in a row.
    failures: u32,
    /// Failures of dials through relays in a row.
    circuit_failures: u32,
    /// No relay is asked for the peer before this moment.
    circuit_after: Instant,
    /// The route that is dialled next, or is being dialled.
    turn: Route,
    state: State,
}

#[derive(Debug, Clone, Copy)]
enum State {
    Due(Instant),
    Dialling,
    Linked(Linked),
    Cut,
}

#[derive(Debug, Clone, Copy)]
struct Linked {
    since: Instant,
    route: Route,
    /// When a relayed link is next tried to be replaced.
    upgrade: Instant,
    /// How often that was tried.
    upgrades: u32,
}

impl Redial {
    pub(super) fn new(policy: RedialPolicy, seed: [u8; 32]) -> Self {
        Self { policy, seed, peers: BTreeMap::new() }
    }

    /// Remembers where a peer listens; an unlinked peer becomes due at once. True if
    /// that is new.
    pub(super) fn learn(
        &mut self,
        peer: PeerId,
        address: Multiaddr,
        source: Source,
        now: Instant,
    ) -> bool {
        let target = self.target(peer, now);
        let full = target.addresses.len() >= ADDRESSES_MAX;
        match target.addresses.get_mut(&address) {
            Some(known) => {
                if source == Source::Given {
                    *known = source;
                }
                false
            }
            None if full => false,
            None => {
                target.addresses.insert(address, source);
                target.hurry(now);
                true
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

    /// Takes these for the addresses that a peer has registered, instead of those
    /// that it had before. True if one is new.
    pub(super) fn registered(
        &mut self,
        peer: PeerId,
        addresses: Vec<Multiaddr>,
        now: Instant,
    ) -> bool {
        self.target(peer, now)
            .addresses
            .retain(|address, source| *source != Source::Registered || addresses.contains(address));
        let new = |address| self.learn(peer, address, Source::Registered, now);
        addresses.into_iter().map(new).filter(|new| *new).count() > 0
    }

    /// The earliest moment at which a peer becomes due.
    pub(super) fn next_due(&self) -> Option<Instant> {
        self.peers.values().filter_map(Target::due).min()
    }

    /// The peers to dial now, each by one route; each then counts as being dialled
    /// unless it is linked and the dial is to replace its link.
    pub(super) fn take_due(&mut self, now: Instant) -> Vec<(PeerId, Vec<Multiaddr>)> {
        let upgrade = self.policy.upgrade();
        let due = |target: &Target| target.due().is_some_and(|moment| moment <= now);
        self.peers
            .iter_mut()
            .filter(|(_, target)| due(target))
            .map(|(&peer, target)| (peer, target.take(now, upgrade)))
            .collect()
    }

    /// A dial failed, or led to a connection without a contact.
    pub(super) fn failed(&mut self, peer: PeerId, now: Instant) {
        let Some((pause, circuit_pause)) = self.pauses(peer) else { return };
        if let Some(target) = self.peers.get_mut(&peer)
            && matches!(target.state, State::Dialling)
        {
            target.failed(now, pause, circuit_pause);
        }
    }

    /// A contact with the peer began, whoever dialled.
    pub(super) fn linked(&mut self, peer: PeerId, route: Route, now: Instant) {
        let upgrade = now + self.policy.upgrade().first;
        let target = self.target(peer, now);
        if !matches!(target.state, State::Cut) {
            target.state = State::Linked(Linked { since: now, route, upgrade, upgrades: 0 });
        }
    }

    /// The contact with the peer ended.
    pub(super) fn unlinked(&mut self, peer: PeerId, now: Instant) {
        let Some(target) = self.peers.get_mut(&peer) else { return };
        let State::Linked(linked) = target.state else { return };
        if now.duration_since(linked.since) >= CONTACT_MIN {
            target.failures = 0;
            target.circuit_failures = 0;
        }
        target.state = State::Dialling;
        target.turn = linked.route;
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
            target.hurry(now);
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
            circuit_failures: 0,
            circuit_after: now,
            turn: Route::Direct,
            state: State::Due(now),
        })
    }

    /// The pauses after a failure now, of a direct dial and of one through a relay.
    fn pauses(&self, peer: PeerId) -> Option<(Duration, Duration)> {
        let target = self.peers.get(&peer)?;
        let pause = |policy: RedialPolicy, failures| {
            policy.pause(failures, spread(&self.seed, peer.as_bytes(), failures))
        };
        let circuit = pause(self.policy.through_relays(), target.circuit_failures);
        Some((pause(self.policy, target.failures), circuit))
    }
}

/// A factor from 0.75 to 1.25, different for each peer and failure.
pub(in crate::shell) fn spread(seed: &[u8; 32], peer: &[u8], failures: u32) -> f64 {
    let bytes = [&seed[..], peer, &failures.to_be_bytes()].concat();
    let hash = ContentHash::derive("longhaul 2026 node redial spread v1", &bytes);
    0.75 + f64::from(hash.as_bytes()[0]) / 510.0
}

impl Target {
    fn has(&self, route: Route) -> bool {
        self.addresses.keys().any(|address| Route::of(address) == route)
    }

    fn due(&self) -> Option<Instant> {
        match self.state {
            State::Due(moment) if self.has(Route::Direct) => Some(moment),
            State::Due(moment) if self.has(Route::Relayed) => Some(moment.max(self.circuit_after)),
            State::Linked(Linked { route: Route::Relayed, upgrade, .. })
                if self.has(Route::Direct) =>
            {
                Some(upgrade)
            }
            State::Due(_) | State::Dialling | State::Linked(_) | State::Cut => None,
        }
    }

    /// The addresses of the route whose turn it is; only for a target that is due.
    fn take(&mut self, now: Instant, policy: RedialPolicy) -> Vec<Multiaddr> {
        let route = match &mut self.state {
            State::Linked(linked) => {
                linked.upgrades = linked.upgrades.saturating_add(1);
                linked.upgrade = now + policy.pause(linked.upgrades, 1.0);
                Route::Direct
            }
            _ => {
                self.turn = self.next_route(now);
                self.state = State::Dialling;
                self.turn
            }
        };
        self.addresses.keys().filter(|address| Route::of(address) == route).cloned().collect()
    }

    fn next_route(&self, now: Instant) -> Route {
        let relayed = self.has(Route::Relayed) && self.circuit_after <= now;
        match (self.has(Route::Direct), self.turn) {
            (true, Route::Relayed) if relayed => Route::Relayed,
            (true, _) => Route::Direct,
            (false, _) => Route::Relayed,
        }
    }

    fn failed(&mut self, now: Instant, pause: Duration, circuit_pause: Duration) {
        let relay_is_next = self.has(Route::Relayed) && self.circuit_after <= now;
        if self.turn == Route::Direct && relay_is_next {
            self.turn = Route::Relayed;
            self.state = State::Due(now);
            return;
        }
        if self.turn == Route::Relayed {
            self.circuit_failures = self.circuit_failures.saturating_add(1);
            self.circuit_after = now + circuit_pause;
        }
        self.failures = self.failures.saturating_add(1);
        self.turn = Route::Direct;
        self.state = State::Due(now + pause);
    }

    fn hurry(&mut self, now: Instant) {
        match &mut self.state {
            State::Due(_) => {
                self.state = State::Due(now);
                self.failures = 0;
                self.circuit_failures = 0;
                self.circuit_after = now;
                self.turn = Route::Direct;
            }
            State::Linked(linked) => {
                linked.upgrade = now;
                linked.upgrades = 0;
            }
            State::Dialling | State::Cut => {}
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
        assert!(
            (spread(&[1; 32], peer(1).as_bytes(), 0) - spread(&[1; 32], peer(2).as_bytes(), 0))
                .abs()
                > 0.001
        );
        assert!(
            (spread(&[1; 32], peer(1).as_bytes(), 0) - spread(&[1; 32], peer(1).as_bytes(), 1))
                .abs()
                > 0.001
        );
    }

    #[test]
    fn starts_over_after_a_lasting_contact() {
        let now = Instant::now();
        let mut redial = knowing(&[peer(1)], now);
        for _ in 0..6 {
            redial.take_due(now + 100 * SECOND);
            redial.failed(peer(1), now);
        }
        redial.linked(peer(1), Route::Direct, now);
        redial.unlinked(peer(1), now + 60 * SECOND);
        let pause = redial.next_due().expect("due again") - (now + 60 * SECOND);
        assert!(pause < SECOND, "{pause:?}");
    }

    #[test]
    fn backs_off_from_a_peer_that_hangs_up() {
        let now = Instant::now();
        let mut redial = knowing(&[peer(1)], now);
        for _ in 0..6 {
            redial.linked(peer(1), Route::Direct, now);
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

    fn circuit(port: u16) -> Multiaddr {
        let relay = "12D3KooWDpJ7As7BWAwRMfu1VU2WCqNjvq387JEYKDBj4kx6nXTN";
        let text = format!("/ip4/192.0.2.9/tcp/{port}/p2p/{relay}/p2p-circuit");
        text.parse().expect("well-formed")
    }

    /// Knows one peer directly and through a relay.
    fn with_relay(now: Instant) -> Redial {
        let mut redial = knowing(&[peer(1)], now);
        redial.learn(peer(1), circuit(1), Source::Given, now);
        redial
    }

    #[test]
    fn dials_directly_first_and_through_the_relay_right_after() {
        let now = Instant::now();
        let mut redial = with_relay(now);
        assert_eq!(redial.take_due(now), vec![(peer(1), vec![address(1)])]);
        redial.failed(peer(1), now);
        assert_eq!(redial.take_due(now), vec![(peer(1), vec![circuit(1)])]);
        redial.failed(peer(1), now);
        assert_eq!(redial.take_due(now), vec![]);
    }

    #[test]
    fn asks_a_relay_more_rarely_than_the_peer_itself() {
        let mut now = Instant::now();
        let (mut redial, mut direct, mut relayed) = (with_relay(now), 0, 0);
        let end = now + 600 * SECOND;
        while let Some(due) = redial.next_due().filter(|due| *due <= end) {
            now = now.max(due);
            for (_, addresses) in redial.take_due(now) {
                match Route::of(&addresses[0]) {
                    Route::Direct => direct += 1,
                    Route::Relayed => relayed += 1,
                }
                redial.failed(peer(1), now);
            }
        }
        assert!((8..=20).contains(&relayed), "{relayed} in ten minutes");
        assert!(direct > 5 * relayed, "{direct} direct, {relayed} relayed");
    }

    #[test]
    fn waits_for_the_relay_when_there_is_no_other_way() {
        let now = Instant::now();
        let mut redial = knowing(&[], now);
        redial.learn(peer(1), circuit(1), Source::Given, now);
        assert_eq!(redial.take_due(now).len(), 1);
        redial.failed(peer(1), now);
        assert!(redial.next_due().expect("due again") - now >= SECOND);
        redial.hurry(now);
        assert_eq!(redial.next_due(), Some(now));
    }

    #[test]
    fn tries_to_replace_a_relayed_link_ever_more_rarely() {
        let mut now = Instant::now();
        let mut redial = with_relay(now);
        redial.linked(peer(1), Route::Relayed, now);
        let mut pauses = Vec::new();
        for _ in 0..6 {
            let due = redial.next_due().expect("to be replaced");
            pauses.push((due - now).as_secs());
            now = due;
            assert_eq!(redial.take_due(now), vec![(peer(1), vec![address(1)])]);
            redial.failed(peer(1), now);
        }
        assert_eq!(pauses, [30, 60, 120, 240, 480, 600]);
        redial.linked(peer(1), Route::Direct, now);
        assert_eq!(redial.next_due(), None);
    }

    #[test]
    fn a_new_direct_address_hurries_the_replacement() {
        let now = Instant::now();
        let mut redial = knowing(&[], now);
        redial.learn(peer(1), circuit(1), Source::Given, now);
        redial.linked(peer(1), Route::Relayed, now);
        assert_eq!(redial.next_due(), None);
        redial.learn(peer(1), address(1), Source::Discovered, now);
        assert_eq!(redial.take_due(now), vec![(peer(1), vec![address(1)])]);
    }

    #[test]
    fn a_registration_replaces_the_one_before_it_and_nothing_else() {
        let now = Instant::now();
        let mut redial = knowing(&[peer(1)], now);
        assert!(redial.registered(peer(1), vec![address(2), address(3)], now));
        assert!(!redial.registered(peer(1), vec![address(3), address(1)], now));
        assert_eq!(redial.take_due(now), vec![(peer(1), vec![address(1), address(3)])]);
        redial.registered(peer(1), vec![], now);
        redial.hurry(now);
        assert_eq!(redial.peers[&peer(1)].addresses.len(), 1);
    }
}
