//! Reach: the relays where this peer has itself reached, and the rendezvous
//! points where it registers and looks for others.
//!
//! A table without IO, as [`super::redial`] is: the moment comes in, what to do
//! goes out. A reservation that was lost is asked for again, with pauses that
//! double. Whether a rendezvous point still knows this peer shows in its answers,
//! which list everybody, so that a point that was restarted is noticed. Registering
//! comes before asking, and points are asked more rarely while nobody is missed.

use std::time::Duration;

use libp2p::PeerId;
use libp2p::core::transport::ListenerId;
use tokio::time::Instant;

use super::address::ServiceAddress;
use super::redial::{RedialPolicy, spread};

/// Pauses between attempts to get a reservation or an answer. A relay that is down
/// leaves every peer behind a NAT alone, so it is asked often.
const AGAIN: RedialPolicy =
    RedialPolicy { first: Duration::from_secs(1), longest: Duration::from_secs(30) };
/// Pauses between questions to a rendezvous point while somebody is missed.
const ASK: RedialPolicy =
    RedialPolicy { first: Duration::from_secs(10), longest: Duration::from_secs(60) };
/// The same while nobody is missed.
const ASK_AT_REST: Duration = Duration::from_secs(300);
/// How long a registration is to hold, in seconds. Each answer of a point makes its
/// asker remember every registration on it for that long, so this is short.
pub(super) const REGISTRATION_S: u64 = 1_200;
/// When a registration is renewed.
const REGISTER_EVERY: Duration = Duration::from_secs(REGISTRATION_S * 2 / 5);

/// What has to be done now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Task {
    /// Ask this relay for a reservation, then [`Reach::asked`] or [`Reach::failed`].
    Reserve(ServiceAddress),
    /// Connect to this rendezvous point, then [`Reach::connected`] or [`Reach::failed`].
    Meet(ServiceAddress),
}

/// The next word with a rendezvous point.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Question {
    /// Register first; then [`Reach::registered`].
    Register,
    /// Who is there; then [`Reach::answered`].
    WhoIsThere,
}

/// The relays and rendezvous points of this peer.
#[derive(Debug)]
pub(super) struct Reach {
    seed: [u8; 32],
    relays: Vec<Relay>,
    points: Vec<Point>,
}

#[derive(Debug)]
struct Relay {
    address: ServiceAddress,
    failures: u32,
    state: RelayState,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum RelayState {
    Due(Instant),
    Asked(ListenerId),
    Held(ListenerId),
}

#[derive(Debug)]
struct Point {
    address: ServiceAddress,
    failures: u32,
    /// Answers in a row that brought nothing new.
    quiet: u32,
    /// Something changed while an answer was waited for, which may not speak of it.
    hurried: bool,
    /// When this peer registered, while the point lists it.
    registered: Option<Instant>,
    state: PointState,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum PointState {
    Due(Instant),
    Connecting,
    Asked,
}

impl Reach {
    pub(super) fn new(
        relays: Vec<ServiceAddress>,
        points: Vec<ServiceAddress>,
        seed: [u8; 32],
        now: Instant,
    ) -> Self {
        let relay = |address| Relay { address, failures: 0, state: RelayState::Due(now) };
        let point = |address| Point {
            address,
            failures: 0,
            quiet: 0,
            hurried: false,
            registered: None,
            state: PointState::Due(now),
        };
        Self {
            seed,
            relays: relays.into_iter().map(relay).collect(),
            points: points.into_iter().map(point).collect(),
        }
    }

    /// The earliest moment at which something has to be done.
    pub(super) fn next_due(&self) -> Option<Instant> {
        let relays = self.relays.iter().filter_map(|relay| match relay.state {
            RelayState::Due(moment) => Some(moment),
            RelayState::Asked(_) | RelayState::Held(_) => None,
        });
        let points = self.points.iter().filter_map(|point| match point.state {
            PointState::Due(moment) => Some(moment),
            PointState::Connecting | PointState::Asked => None,
        });
        relays.chain(points).min()
    }

    /// What to do now. A relay stays due until its answer is known.
    pub(super) fn take_due(&mut self, now: Instant) -> Vec<Task> {
        let mut tasks = Vec::new();
        for relay in &self.relays {
            if matches!(relay.state, RelayState::Due(moment) if moment <= now) {
                tasks.push(Task::Reserve(relay.address.clone()));
            }
        }
        for point in &mut self.points {
            if matches!(point.state, PointState::Due(moment) if moment <= now) {
                point.state = PointState::Connecting;
                tasks.push(Task::Meet(point.address.clone()));
            }
        }
        tasks
    }

    /// A relay is being asked; the listener ends when there is no reservation, or
    /// no longer.
    pub(super) fn asked(&mut self, address: &ServiceAddress, listener: ListenerId) {
        for relay in self.relays.iter_mut().filter(|relay| relay.address == *address) {
            relay.state = RelayState::Asked(listener);
        }
    }

    /// A relay made a reservation; all that is wanted of it, if it has two addresses.
    pub(super) fn held(&mut self, id: &PeerId) {
        for relay in self.relays.iter_mut().filter(|relay| relay.address.id() == *id) {
            if let RelayState::Asked(listener) = relay.state {
                relay.state = RelayState::Held(listener);
                relay.failures = 0;
            }
        }
    }

    /// Whether an answer of this relay is waited for: it is being connected to.
    pub(super) fn is_asking(&self, id: &PeerId) -> bool {
        let asks = |relay: &Relay| matches!(relay.state, RelayState::Asked(_));
        self.relays.iter().any(|relay| relay.address.id() == *id && asks(relay))
    }

    /// A listener ended; the relay whose reservation that was, or would have been,
    /// is asked again after a pause. Says how often that has happened in a row.
    pub(super) fn lost(
        &mut self,
        listener: ListenerId,
        now: Instant,
    ) -> Option<(&ServiceAddress, u32)> {
        let seed = self.seed;
        let relay = self.relays.iter_mut().find(|relay| match relay.state {
            RelayState::Asked(id) | RelayState::Held(id) => id == listener,
            RelayState::Due(_) => false,
        })?;
        relay.again(&seed, now);
        Some((&relay.address, relay.failures))
    }

    /// A relay could not be asked.
    pub(super) fn not_asked(&mut self, address: &ServiceAddress, now: Instant) {
        let seed = self.seed;
        for relay in self.relays.iter_mut().filter(|relay| relay.address == *address) {
            relay.again(&seed, now);
        }
    }

    /// A service is connected; what to say to it if that was waited for.
    pub(super) fn connected(&mut self, id: &PeerId, now: Instant) -> Option<Question> {
        let point = self.waiting(id, PointState::Connecting)?;
        point.state = PointState::Asked;
        let due = |at: Instant| now.duration_since(at) >= REGISTER_EVERY;
        Some(match point.registered.is_none_or(due) {
            true => Question::Register,
            false => Question::WhoIsThere,
        })
    }

    /// A rendezvous point took the registration.
    pub(super) fn registered(&mut self, id: &PeerId, now: Instant) {
        for point in self.points.iter_mut().filter(|point| point.address.id() == *id) {
            point.registered = Some(now);
        }
    }

    /// A rendezvous point said who is there.
    pub(super) fn answered(&mut self, id: &PeerId, answer: Answer, now: Instant) {
        let seed = self.seed;
        let Some(point) = self.waiting(id, PointState::Asked) else { return };
        point.failures = 0;
        point.quiet = if answer.is_new { 0 } else { point.quiet.saturating_add(1) };
        if !answer.lists_me {
            point.registered = None;
        }
        let pause = match answer.misses_somebody {
            _ if std::mem::take(&mut point.hurried) => AGAIN.first,
            true => ASK.pause(point.quiet, spread(&seed, &id.to_bytes(), point.quiet)),
            false => ASK_AT_REST,
        };
        point.state = PointState::Due(now + pause);
    }

    /// A rendezvous point cannot be connected to, or does not answer.
    pub(super) fn failed(&mut self, id: &PeerId, now: Instant) {
        let seed = self.seed;
        let waits = |point: &&mut Point| !matches!(point.state, PointState::Due(_));
        let points = self.points.iter_mut().filter(|point| point.address.id() == *id);
        for point in points.filter(waits) {
            let pause = AGAIN.pause(point.failures, spread(&seed, &id.to_bytes(), point.failures));
            point.failures = point.failures.saturating_add(1);
            point.state = PointState::Due(now + pause);
        }
    }

    /// Somebody is missed, or this peer's addresses changed: asks points soon.
    pub(super) fn hurry(&mut self, now: Instant) {
        for point in &mut self.points {
            point.quiet = 0;
            match point.state {
                PointState::Due(moment) => {
                    point.state = PointState::Due(moment.min(now + AGAIN.first));
                }
                PointState::Connecting => {}
                PointState::Asked => point.hurried = true,
            }
        }
    }

    fn waiting(&mut self, id: &PeerId, state: PointState) -> Option<&mut Point> {
        let mut points = self.points.iter_mut();
        points.find(|point| point.address.id() == *id && point.state == state)
    }
}

/// What the answer of a rendezvous point was worth.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Answer {
    /// This peer is on the list.
    pub lists_me: bool,
    /// An address was learnt.
    pub is_new: bool,
    /// There is a member without a contact.
    pub misses_somebody: bool,
}

impl Relay {
    fn again(&mut self, seed: &[u8; 32], now: Instant) {
        let id = self.address.id().to_bytes();
        let pause = AGAIN.pause(self.failures, spread(seed, &id, self.failures));
        self.failures = self.failures.saturating_add(1);
        self.state = RelayState::Due(now + pause);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);
    const NOTHING_NEW: Answer = Answer { lists_me: true, is_new: false, misses_somebody: true };

    fn service() -> ServiceAddress {
        "/ip4/192.0.2.9/tcp/4001/p2p/12D3KooWDpJ7As7BWAwRMfu1VU2WCqNjvq387JEYKDBj4kx6nXTN"
            .parse()
            .expect("well-formed")
    }

    fn relays(now: Instant) -> Reach {
        Reach::new(vec![service()], vec![], [1; 32], now)
    }

    fn points(now: Instant) -> Reach {
        Reach::new(vec![], vec![service()], [1; 32], now)
    }

    #[test]
    fn asks_a_relay_once_and_keeps_what_it_got() {
        let now = Instant::now();
        let mut reach = relays(now);
        assert_eq!(reach.take_due(now), [Task::Reserve(service())]);
        reach.asked(&service(), ListenerId::next());
        assert!(reach.is_asking(&service().id()));
        reach.held(&service().id());
        assert!(!reach.is_asking(&service().id()));
        assert_eq!((reach.take_due(now + 9_999 * SECOND), reach.next_due()), (vec![], None));
    }

    #[test]
    fn asks_again_with_pauses_that_double_and_start_over_once_it_holds() {
        let mut now = Instant::now();
        let mut reach = relays(now);
        let mut pauses = Vec::new();
        for round in 0..9 {
            assert_eq!(reach.take_due(now).len(), 1);
            let listener = ListenerId::next();
            reach.asked(&service(), listener);
            if round == 7 {
                reach.held(&service().id());
            }
            assert_eq!(reach.lost(listener, now).map(|lost| lost.0), Some(&service()));
            let due = reach.next_due().expect("asks again");
            pauses.push((due - now).as_secs_f64());
            now = due;
        }
        for (pause, expected) in pauses.iter().zip([1.0, 2.0, 4.0, 8.0, 16.0, 30.0, 30.0, 1.0, 2.0])
        {
            assert!((0.74..1.26).contains(&(pause / expected)), "{pauses:?}");
        }
    }

    #[test]
    fn another_listener_is_none_of_its_business() {
        let now = Instant::now();
        let mut reach = relays(now);
        reach.asked(&service(), ListenerId::next());
        assert_eq!(reach.lost(ListenerId::next(), now), None);
        assert_eq!(reach.next_due(), None);
    }

    #[test]
    fn registers_before_it_asks_and_not_again_while_it_is_listed() {
        let mut now = Instant::now();
        let mut reach = points(now);
        let id = service().id();
        let mut said = Vec::new();
        for _ in 0..3 {
            assert_eq!(reach.take_due(now), [Task::Meet(service())]);
            said.extend(reach.connected(&id, now));
            reach.registered(&id, now);
            reach.answered(&id, NOTHING_NEW, now);
            now = reach.next_due().expect("asks again");
        }
        assert_eq!(said, [Question::Register, Question::WhoIsThere, Question::WhoIsThere]);
    }

    #[test]
    fn registers_again_with_a_point_that_forgot_it_and_before_it_runs_out() {
        let now = Instant::now();
        let id = service().id();
        for (answer, later, question) in [
            (NOTHING_NEW, 100 * SECOND, Question::WhoIsThere),
            (Answer { lists_me: false, ..NOTHING_NEW }, 100 * SECOND, Question::Register),
            (NOTHING_NEW, REGISTER_EVERY, Question::Register),
        ] {
            let mut reach = points(now);
            reach.take_due(now);
            reach.connected(&id, now);
            reach.registered(&id, now);
            reach.answered(&id, answer, now);
            reach.take_due(now + later);
            assert_eq!(reach.connected(&id, now + later), Some(question));
        }
    }

    #[test]
    fn asks_more_rarely_while_nothing_is_new_and_nobody_is_missed() {
        let now = Instant::now();
        let id = service().id();
        let mut reach = points(now);
        let mut pause_after = |answer| {
            reach.hurry(now);
            reach.take_due(now + 9_999 * SECOND);
            reach.connected(&id, now);
            reach.answered(&id, answer, now);
            reach.next_due().expect("asks again") - now
        };
        let at_rest = pause_after(Answer { misses_somebody: false, ..NOTHING_NEW });
        let missed = pause_after(NOTHING_NEW);
        let learnt = pause_after(Answer { is_new: true, ..NOTHING_NEW });
        assert!(at_rest > missed && missed > learnt, "{at_rest:?} {missed:?} {learnt:?}");
    }

    #[test]
    fn asks_soon_when_somebody_is_missed() {
        let now = Instant::now();
        let mut reach = points(now);
        reach.take_due(now);
        reach.connected(&service().id(), now);
        reach.answered(&service().id(), Answer { misses_somebody: false, ..NOTHING_NEW }, now);
        reach.hurry(now);
        assert_eq!(reach.next_due(), Some(now + AGAIN.first));
    }

    #[test]
    fn asks_again_soon_when_something_changed_before_the_answer() {
        let now = Instant::now();
        let mut reach = points(now);
        for soon in [true, false] {
            reach.take_due(now + 9_999 * SECOND);
            reach.connected(&service().id(), now);
            if soon {
                reach.hurry(now);
            }
            reach.answered(&service().id(), NOTHING_NEW, now);
            let pause = reach.next_due().expect("asks again") - now;
            assert_eq!(pause == AGAIN.first, soon, "{pause:?}");
        }
    }

    #[test]
    fn a_point_that_does_not_answer_is_asked_again() {
        let now = Instant::now();
        let mut reach = points(now);
        reach.take_due(now);
        assert_eq!(reach.next_due(), None);
        reach.failed(&service().id(), now);
        let due = reach.next_due().expect("asks again");
        reach.failed(&service().id(), now);
        assert_eq!(reach.next_due(), Some(due), "only what was asked can fail");
        assert_eq!(reach.connected(&service().id(), now), None, "nothing was waited for");
    }
}
