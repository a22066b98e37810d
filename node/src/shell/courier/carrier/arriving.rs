//! Arriving: what comes in one session, and what it costs of the budget.
//!
//! Bytes are paid for when they came. What cannot be paid stops the reading of the session until it
//! can. So that nobody holds the budget for ever, a bundle that stands still for too long ends its
//! session (`CarrierConfig::stall_max`), and one that could not be paid for as long is refused:
//! sessions that wait for one another's bytes give way.

use std::collections::BTreeMap;
use std::pin::Pin;
use std::sync::Arc;

use longhaul_dtn::tcpcl::TransferId;
use tokio::sync::{AcquireError, OwnedSemaphorePermit, Semaphore};
use tokio::time::Instant;

use super::{CarrierConfig, UNIT_BYTES};

type Payment = Pin<Box<dyn Future<Output = Result<OwnedSemaphorePermit, AcquireError>> + Send>>;

/// Bytes that a new bundle has room for before they came.
const RESERVE_BYTES_MAX: u64 = 1 << 20;

/// What comes in one session.
pub(super) struct Arriving {
    budget: Arc<Semaphore>,
    /// The bundle that comes.
    current: Option<Current>,
    /// Bytes of bundles that came whole and wait for an answer.
    unanswered: BTreeMap<TransferId, usize>,
    /// Bytes of all of these.
    bytes: usize,
    /// What is paid of them.
    paid: Option<OwnedSemaphorePermit>,
    /// What is to be paid, and since when.
    payment: Option<(Payment, Instant)>,
}

struct Current {
    id: TransferId,
    length: Option<u64>,
    bytes: Vec<u8>,
    /// When the last bytes came.
    moved: Instant,
}

impl Arriving {
    pub fn new(budget: Arc<Semaphore>) -> Self {
        let unanswered = BTreeMap::new();
        Self { budget, current: None, unanswered, bytes: 0, paid: None, payment: None }
    }

    pub fn start(&mut self, id: TransferId, length: Option<u64>) {
        let moved = Instant::now();
        self.current = Some(Current { id, length, bytes: Vec::new(), moved });
    }

    /// Takes bytes of the bundle that comes.
    pub fn data(&mut self, bytes: Vec<u8>) {
        let Some(current) = &mut self.current else { return };
        current.moved = Instant::now();
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
        let waiting = self.bytes - self.current.as_ref().map_or(0, |it| it.bytes.len());
        self.payment.is_some()
            || self.unanswered.len() >= config.session_bundles_max
            || waiting >= config.session_bytes_max
    }

    /// When a bundle that stands still has done so for too long.
    pub fn stalled_at(&self, config: &CarrierConfig) -> Option<Instant> {
        self.current.as_ref().map(|current| current.moved + config.stall_max)
    }

    /// The bundle that comes, and when it has waited for its payment for too long.
    pub fn starved_at(&self, config: &CarrierConfig) -> Option<(TransferId, Instant)> {
        let since = self.payment.as_ref().map(|&(_, since)| since)?;
        self.current.as_ref().map(|current| (current.id, since + config.stall_max))
    }

    /// Pays for what came; what cannot be paid at once is a payment to wait for.
    pub fn pay(&mut self) {
        let paid = self.paid.as_ref().map_or(0, OwnedSemaphorePermit::num_permits);
        let owed = self.bytes.div_ceil(UNIT_BYTES).saturating_sub(paid);
        if owed == 0 || self.payment.is_some() {
            return;
        }
        let owed = u32::try_from(owed).unwrap_or(u32::MAX);
        match self.budget.clone().try_acquire_many_owned(owed) {
            Ok(permit) => self.add(permit),
            Err(_) => {
                let payment = self.budget.clone().acquire_many_owned(owed);
                self.payment = Some((Box::pin(payment), Instant::now()));
            }
        }
    }

    /// Waits for the payment; for ever if there is none.
    pub async fn payment(&mut self) {
        let Some((payment, _)) = &mut self.payment else { return std::future::pending().await };
        let paid = payment.await;
        self.payment = None;
        if let Ok(permit) = paid {
            self.add(permit);
        }
    }

    fn add(&mut self, permit: OwnedSemaphorePermit) {
        match &mut self.paid {
            Some(paid) => paid.merge(permit),
            None => self.paid = Some(permit),
        }
    }

    fn give_back(&mut self, bytes: usize) {
        self.bytes -= bytes;
        // Less is owed now; `pay` looks again.
        self.payment = None;
        let Some(paid) = &mut self.paid else { return };
        let spare = paid.num_permits().saturating_sub(self.bytes.div_ceil(UNIT_BYTES));
        drop(paid.split(spare));
    }
}

#[cfg(test)]
mod tests {
    use longhaul_dtn::tcpcl::NodeId;

    use super::*;

    fn config() -> CarrierConfig {
        CarrierConfig::new(NodeId::new("dtn://a/").expect("a node id"), 1 << 20)
    }

    fn arriving(units: usize) -> (Arriving, Arc<Semaphore>) {
        let budget = Arc::new(Semaphore::new(units));
        (Arriving::new(budget.clone()), budget)
    }

    #[tokio::test]
    async fn pays_for_what_came_until_it_is_answered() {
        let (mut arriving, budget) = arriving(10);
        arriving.start(TransferId::FIRST, Some(3_000));
        arriving.data(vec![1; 1_500]);
        arriving.data(vec![2; 1_500]);
        arriving.pay();
        assert_eq!(budget.available_permits(), 7);
        let bytes = arriving.finish(TransferId::FIRST);
        assert_eq!(bytes, [vec![1; 1_500], vec![2; 1_500]].concat());
        arriving.pay();
        assert_eq!(budget.available_permits(), 7);
        arriving.answered(TransferId::FIRST);
        assert_eq!(budget.available_permits(), 10);
    }

    #[tokio::test]
    async fn a_bundle_that_fails_gives_back_what_it_paid() {
        let (mut arriving, budget) = arriving(10);
        arriving.start(TransferId::FIRST, None);
        arriving.data(vec![0; 5_000]);
        arriving.pay();
        arriving.fail(TransferId::from_number(7));
        assert_eq!(budget.available_permits(), 5);
        arriving.fail(TransferId::FIRST);
        assert_eq!(budget.available_permits(), 10);
    }

    #[tokio::test]
    async fn waits_for_the_bytes_of_others() {
        let (mut arriving, budget) = arriving(4);
        let others = budget.clone().try_acquire_many_owned(3).expect("free");
        arriving.start(TransferId::FIRST, None);
        arriving.data(vec![0; 2_048]);
        arriving.pay();
        assert!(arriving.is_full(&config()));
        let (id, _) = arriving.starved_at(&config()).expect("it waits");
        assert_eq!(id, TransferId::FIRST);
        drop(others);
        arriving.payment().await;
        assert!(!arriving.is_full(&config()));
        assert_eq!(budget.available_permits(), 2);
    }
}
