//! Arriving: what comes in one session, and what it costs of the budget.
//!
//! Bytes are paid for when they came. What cannot be paid stops the reading of the session until it
//! can. So that nobody holds the budget for ever, a bundle that comes slower than
//! `CarrierConfig::rate_min_bytes_per_s` over `CarrierConfig::stall_max` ends its session, one that could not
//! be paid for as long is refused, and one that waits for a tenth of that has another one refused
//! ([`super::budget`]).

use std::collections::BTreeMap;
use std::time::Duration;

use longhaul_dtn::tcpcl::TransferId;
use tokio::time::Instant;

use super::CarrierConfig;
use super::budget::Account;

/// Bytes that a new bundle has room for before they came.
const RESERVE_BYTES_MAX: u64 = 1 << 20;
/// What is waited before others are refused for it, as a part of `stall_max`.
const CALLS: u32 = 10;

/// What comes in one session.
pub(super) struct Arriving {
    account: Account,
    /// Bytes that have to come within `stall_max`.
    least: usize,
    /// The bundle that comes.
    current: Option<Current>,
    /// Bytes of bundles that came whole and wait for an answer.
    unanswered: BTreeMap<TransferId, usize>,
    /// Bytes of all of these.
    bytes: usize,
    /// Since when they could not be paid, and when others were last called for it.
    unpaid: Option<(Instant, Instant)>,
}

struct Current {
    id: TransferId,
    length: Option<u64>,
    bytes: Vec<u8>,
    /// When it was last as fast as it has to be, and what came since.
    moved: Instant,
    came: usize,
}

impl Arriving {
    pub fn new(account: Account, config: &CarrierConfig) -> Self {
        let (unanswered, least) = (BTreeMap::new(), config.least_bytes());
        Self { account, least, current: None, unanswered, bytes: 0, unpaid: None }
    }

    pub fn start(&mut self, id: TransferId, length: Option<u64>) {
        let moved = Instant::now();
        self.current = Some(Current { id, length, bytes: Vec::new(), moved, came: 0 });
    }

    /// Whoever gives is no stranger.
    pub fn believe(&self) {
        self.account.believe();
    }

    /// Takes bytes of the bundle that comes.
    pub fn data(&mut self, bytes: Vec<u8>) {
        let Some(current) = &mut self.current else { return };
        let now = Instant::now();
        current.came += bytes.len();
        if current.came >= self.least {
            (current.moved, current.came) = (now, 0);
        }
        self.account.came(bytes.len(), now);
        self.bytes += bytes.len();
        if current.bytes.is_empty() {
            let room = current.length.unwrap_or(0).min(RESERVE_BYTES_MAX);
            current.bytes = bytes;
            let more = usize::try_from(room).unwrap_or(0).saturating_sub(current.bytes.len());
            current.bytes.reserve(more);
        } else {
            current.bytes.extend_from_slice(&bytes);
        }
    }

    /// Nothing is read now: that nothing comes is our own doing.
    pub fn rest(&mut self) {
        if let Some(current) = &mut self.current {
            (current.moved, current.came) = (Instant::now(), 0);
        }
    }

    /// The bundle came whole: its bytes.
    pub fn finish(&mut self, id: TransferId) -> Vec<u8> {
        let bytes = self.current.take().map_or_else(Vec::new, |current| current.bytes);
        self.unanswered.insert(id, bytes.len());
        bytes
    }

    /// The bundle will not come whole.
    pub fn fail(&mut self, id: TransferId) {
        if let Some(current) = self.current.take_if(|current| current.id == id) {
            self.give_back(current.bytes.len());
        }
    }

    /// A bundle was answered.
    pub fn answered(&mut self, id: TransferId) {
        if let Some(bytes) = self.unanswered.remove(&id) {
            self.give_back(bytes);
        }
    }

    /// True while this session should not read.
    pub fn is_full(&self, config: &CarrierConfig) -> bool {
        // A bundle that comes must be able to end, however long it is.
        let waiting = self.bytes - self.unfinished();
        self.unpaid.is_some()
            || self.unanswered.len() >= config.session_bundles_max
            || waiting >= config.session_bytes_max
    }

    /// When a bundle that is too slow has been so for too long.
    pub fn stalled_at(&self, config: &CarrierConfig) -> Option<Instant> {
        self.current.as_ref().map(|current| current.moved + config.stall_max)
    }

    /// When what could not be paid calls for another bundle to go, or for its own.
    pub fn due_at(&self, config: &CarrierConfig) -> Option<Instant> {
        let (since, called) = self.unpaid?;
        let own = self.current.as_ref().map(|_| since + config.stall_max);
        [Some(called + call_after(config)), own].into_iter().flatten().min()
    }

    /// What is to be refused now: a bundle that waits for its payment for too long, or that goes for others.
    /// Has another one refused where that is due.
    pub fn due(&mut self, config: &CarrierConfig, now: Instant) -> Option<TransferId> {
        let id = self.current.as_ref().map(|current| current.id);
        if let Some((since, called)) = &mut self.unpaid {
            if id.is_some() && *since + config.stall_max <= now {
                return id;
            }
            if *called + call_after(config) <= now {
                *called = now;
                self.account.call_slowest(now);
            }
        }
        id.filter(|_| self.account.is_called())
    }

    /// Pays for what came; what cannot be paid at once is waited for.
    pub fn pay(&mut self) {
        let now = Instant::now();
        self.unpaid = match self.account.hold(self.bytes, self.unfinished(), now) {
            true => None,
            false => self.unpaid.or(Some((now, now))),
        };
    }

    /// Waits until more can be paid, or the bundle that comes has to go.
    pub async fn news(&mut self) {
        self.account.news(self.unpaid.is_some()).await;
        self.pay();
    }

    fn unfinished(&self) -> usize {
        self.current.as_ref().map_or(0, |current| current.bytes.len())
    }

    fn give_back(&mut self, bytes: usize) {
        self.bytes -= bytes;
        self.pay();
    }
}

/// How long a payment is waited for before others go for it.
fn call_after(config: &CarrierConfig) -> Duration {
    config.stall_max / CALLS
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use longhaul_dtn::tcpcl::NodeId;

    use super::super::budget::Budget;
    use super::*;
    use crate::shell::courier::agent::LinkId;

    fn config() -> CarrierConfig {
        CarrierConfig::new(NodeId::new("dtn://a/").expect("a node id"), 1 << 20)
    }

    fn arriving(budget: &Arc<Budget>, link: u64) -> Arriving {
        Arriving::new(budget.open(LinkId(link), None), &config())
    }

    /// True if so many bytes are free, and no more.
    fn has_free(budget: &Arc<Budget>, bytes: usize) -> bool {
        let mut probe = budget.open(LinkId(99), None);
        let now = Instant::now();
        probe.hold(bytes, 0, now) && !probe.hold(bytes + 1, 0, now)
    }

    #[tokio::test]
    async fn pays_for_what_came_until_it_is_answered() {
        let budget = Budget::new(10_000);
        let mut arriving = arriving(&budget, 1);
        arriving.start(TransferId::FIRST, Some(3_000));
        arriving.data(vec![1; 1_500]);
        arriving.data(vec![2; 1_500]);
        arriving.pay();
        assert!(has_free(&budget, 7_000));
        let bytes = arriving.finish(TransferId::FIRST);
        assert_eq!(bytes, [vec![1; 1_500], vec![2; 1_500]].concat());
        arriving.pay();
        assert!(has_free(&budget, 7_000));
        arriving.answered(TransferId::FIRST);
        assert!(has_free(&budget, 10_000));
    }

    #[tokio::test]
    async fn a_bundle_that_fails_gives_back_what_it_paid() {
        let budget = Budget::new(10_000);
        let mut arriving = arriving(&budget, 1);
        arriving.start(TransferId::FIRST, None);
        arriving.data(vec![0; 5_000]);
        arriving.pay();
        arriving.fail(TransferId::from_number(7));
        assert!(has_free(&budget, 5_000));
        arriving.fail(TransferId::FIRST);
        assert!(has_free(&budget, 10_000));
    }

    #[tokio::test]
    async fn waits_for_the_bytes_of_others() {
        let budget = Budget::new(4_000);
        let mut others = budget.open(LinkId(2), None);
        assert!(others.hold(3_000, 0, Instant::now()));
        let mut arriving = arriving(&budget, 1);
        arriving.start(TransferId::FIRST, None);
        arriving.data(vec![0; 2_048]);
        arriving.pay();
        assert!(arriving.is_full(&config()));
        let late = Instant::now() + config().stall_max;
        assert_eq!(arriving.due(&config(), late), Some(TransferId::FIRST));
        drop(others);
        arriving.news().await;
        assert!(!arriving.is_full(&config()) && arriving.due(&config(), late).is_none());
        assert!(has_free(&budget, 1_952));
    }

    #[tokio::test]
    async fn a_trickle_does_not_count_as_progress() {
        let budget = Budget::new(1 << 20);
        let mut arriving = arriving(&budget, 1);
        arriving.start(TransferId::FIRST, None);
        let stalled_at = arriving.stalled_at(&config());
        arriving.data(vec![0; config().least_bytes() - 1]);
        assert_eq!(arriving.stalled_at(&config()), stalled_at);
        arriving.data(vec![0; 1]);
        assert!(arriving.stalled_at(&config()) > stalled_at);
        // Somebody in need has it refused; itself it waits for nothing.
        let mut needy = budget.open(LinkId(2), None);
        let now = Instant::now();
        arriving.pay();
        assert!(!needy.hold(1 << 20, 0, now) && arriving.due(&config(), now).is_none());
        needy.call_slowest(now);
        arriving.news().await;
        assert_eq!(arriving.due(&config(), now), Some(TransferId::FIRST));
    }
}
