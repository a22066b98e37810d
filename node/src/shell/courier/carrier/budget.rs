//! Budget: the bytes of all sessions that wait to be whole or durable, and who holds them.
//!
//! Whoever connects can begin a bundle and take its time, so that the bound for all is not enough: a
//! few such would hold every byte, and nothing would come from anybody. So strangers at one address
//! may hold a quarter, and more only while a quarter stays free for others; and where somebody waits
//! for long, the bundle of a stranger that comes slowest is refused, those first that hold more than their
//! quarter. Who waits longest is served first.

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::{Notify, watch};
use tokio::time::Instant;

use crate::shell::courier::agent::LinkId;
use crate::shell::net::subscriber;

/// Quarters: what strangers at one address may hold.
const SHARES: usize = 4;

/// The bytes of all sessions.
#[derive(Debug)]
pub(super) struct Budget {
    most: usize,
    accounts: Mutex<BTreeMap<LinkId, Holding>>,
    /// Says that there may be room, to those that wait for it.
    freed: watch::Sender<()>,
}

/// What one session holds; all of it is free again when this is dropped.
#[derive(Debug)]
pub(super) struct Account {
    budget: Arc<Budget>,
    link: LinkId,
    freed: watch::Receiver<()>,
    called: Arc<Notify>,
}

#[derive(Debug)]
struct Holding {
    /// The address whose share this is of; none for whom we dialled or believe.
    stranger: Option<IpAddr>,
    bytes: usize,
    /// Bytes of the bundle that is not whole.
    unfinished: usize,
    pace: Pace,
    wants: Option<Want>,
    /// The bundle that is not whole has to go.
    is_called: bool,
    called: Arc<Notify>,
}

#[derive(Debug, Clone, Copy)]
struct Want {
    since: Instant,
    more: usize,
}

/// How fast bytes came lately: each second halves what was before.
#[derive(Debug, Clone, Copy)]
struct Pace {
    bytes: f64,
    at: Instant,
}

impl Pace {
    fn at(self, now: Instant) -> f64 {
        self.bytes * (-now.duration_since(self.at).as_secs_f64()).exp2()
    }

    fn count(&mut self, bytes: usize, now: Instant) {
        let count = u32::try_from(bytes).unwrap_or(u32::MAX);
        *self = Self { bytes: self.at(now) + f64::from(count), at: now };
    }
}

impl Budget {
    pub fn new(most: usize) -> Arc<Self> {
        let (freed, _) = watch::channel(());
        Arc::new(Self { most, accounts: Mutex::default(), freed })
    }

    /// The account of a session, with whom we dialled or who connects from an address.
    pub fn open(self: &Arc<Self>, link: LinkId, from: Option<IpAddr>) -> Account {
        let called = Arc::new(Notify::new());
        let holding = Holding {
            stranger: from.map(subscriber),
            bytes: 0,
            unfinished: 0,
            pace: Pace { bytes: 0.0, at: Instant::now() },
            wants: None,
            is_called: false,
            called: called.clone(),
        };
        self.lock().insert(link, holding);
        Account { budget: self.clone(), link, freed: self.freed.subscribe(), called }
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<LinkId, Holding>> {
        self.accounts.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether so many bytes more may be held.
    fn fits(&self, accounts: &BTreeMap<LinkId, Holding>, of: &Holding, more: usize) -> bool {
        let used: usize = accounts.values().map(|it| it.bytes).sum();
        let Some(left) = self.most.checked_sub(used + more) else { return false };
        left >= self.most / SHARES || self.is_within_share(accounts, of, more)
    }

    fn is_within_share(
        &self,
        accounts: &BTreeMap<LinkId, Holding>,
        of: &Holding,
        more: usize,
    ) -> bool {
        let Some(address) = of.stranger else { return true };
        let same = accounts.values().filter(|it| it.stranger == Some(address));
        same.map(|it| it.bytes).sum::<usize>() + more <= self.most / SHARES
    }

    /// True where somebody who could be served waits for longer.
    fn is_outranked(&self, accounts: &BTreeMap<LinkId, Holding>, link: LinkId) -> bool {
        let since = accounts.get(&link).and_then(|it| it.wants).map(|want| (want.since, link));
        accounts.iter().any(|(other, it)| {
            it.wants.is_some_and(|want| {
                since.is_some_and(|since| (want.since, *other) < since)
                    && self.fits(accounts, it, want.more)
            })
        })
    }
}

impl Account {
    /// Holds so many bytes from now on, of them some of a bundle that is not whole; false, and no more
    /// than before, while there is no room.
    pub fn hold(&mut self, bytes: usize, unfinished: usize, now: Instant) -> bool {
        // What is freed from here on is news.
        self.freed.mark_unchanged();
        let mut accounts = self.budget.lock();
        let Some(mine) = accounts.get_mut(&self.link) else { return false };
        mine.unfinished = unfinished;
        mine.is_called &= unfinished > 0;
        let more = bytes.saturating_sub(mine.bytes);
        if more == 0 {
            let is_less = bytes < mine.bytes || mine.wants.is_some();
            (mine.bytes, mine.wants) = (bytes, None);
            if is_less && accounts.values().any(|it| it.wants.is_some()) {
                self.budget.freed.send_replace(());
            }
            return true;
        }
        let since = mine.wants.map_or(now, |want| want.since);
        mine.wants = Some(Want { since, more });
        let mine = &accounts[&self.link];
        let fits = self.budget.fits(&accounts, mine, more)
            && !self.budget.is_outranked(&accounts, self.link);
        if fits && let Some(mine) = accounts.get_mut(&self.link) {
            (mine.bytes, mine.wants) = (bytes, None);
            // Who comes next may have waited for this one alone.
            if accounts.values().any(|it| it.wants.is_some()) {
                self.budget.freed.send_replace(());
            }
        }
        fits
    }

    /// Bytes came.
    pub fn came(&self, bytes: usize, now: Instant) {
        if let Some(mine) = self.budget.lock().get_mut(&self.link) {
            mine.pace.count(bytes, now);
        }
    }

    /// It is no stranger's any more.
    pub fn believe(&self) {
        if let Some(mine) = self.budget.lock().get_mut(&self.link) {
            mine.stranger = None;
        }
        self.budget.freed.send_replace(());
    }

    /// True when the bundle that comes has to go for others.
    pub fn is_called(&self) -> bool {
        self.budget.lock().get(&self.link).is_some_and(|it| it.is_called)
    }

    /// Waits until there may be room, if that is waited for, or the bundle that comes has to go.
    pub async fn news(&mut self, is_waiting: bool) {
        tokio::select! {
            () = self.called.notified() => {}
            changed = self.freed.changed(), if is_waiting => {
                debug_assert!(changed.is_ok(), "the budget lives as long as its accounts");
            }
        }
    }

    /// Has the bundle go that comes slowest. Who has more than its share itself has nobody go, and
    /// strangers go for those who are none, never the other way.
    pub fn call_slowest(&self, now: Instant) {
        let mut accounts = self.budget.lock();
        let Some(mine) = accounts.get(&self.link) else { return };
        let more = mine.wants.map_or(0, |want| want.more);
        let is_modest = self.budget.is_within_share(&accounts, mine, more);
        if more == 0 || !is_modest || accounts.values().any(|it| it.is_called) {
            return;
        }
        let is_stranger = mine.stranger.is_some();
        let others = accounts.iter().filter(|&(link, it)| {
            *link != self.link && it.unfinished > 0 && (it.stranger.is_some() || !is_stranger)
        });
        let rank = |it: &Holding| {
            let is_modest = self.budget.is_within_share(&accounts, it, 0);
            (it.stranger.is_none(), is_modest, it.wants.is_some())
        };
        let slowest = others.min_by(|(_, a), (_, b)| {
            let paces = a.pace.at(now).total_cmp(&b.pace.at(now));
            let sizes = Reverse(a.unfinished).cmp(&Reverse(b.unfinished));
            rank(a).cmp(&rank(b)).then(paces).then(sizes)
        });
        if let Some(link) = slowest.map(|(link, _)| *link)
            && let Some(it) = accounts.get_mut(&link)
        {
            it.is_called = true;
            it.called.notify_one();
        }
    }
}

impl Drop for Account {
    fn drop(&mut self) {
        self.budget.lock().remove(&self.link);
        self.budget.freed.send_replace(());
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    const BYTES: usize = 4_000;

    fn accounts(addresses: &[Option<u8>]) -> (Arc<Budget>, Vec<Account>) {
        let budget = Budget::new(BYTES);
        let open = |(link, last): (u64, &Option<u8>)| {
            let from = last.map(|last| IpAddr::from([192, 0, 2, last]));
            budget.open(LinkId(link), from)
        };
        let opened = (0..).zip(addresses).map(open).collect();
        (budget, opened)
    }

    #[tokio::test]
    async fn strangers_at_one_address_leave_a_quarter_to_others() {
        let (_budget, mut all) = accounts(&[Some(1), Some(1), Some(2), None]);
        let now = Instant::now();
        assert!(all[0].hold(2_000, 2_000, now) && all[1].hold(1_000, 1_000, now));
        assert!(!all[1].hold(1_001, 1_001, now), "a quarter is left");
        assert!(all[2].hold(600, 600, now), "another address");
        assert!(all[3].hold(400, 400, now), "one that is believed");
        assert!(!all[3].hold(401, 401, now), "there is no more");
        // What one gives back the one that waits gets, and is told of.
        assert!(all[0].hold(0, 0, now));
        tokio::time::timeout(Duration::from_secs(9), all[1].news(true)).await.expect("told");
        assert!(all[1].hold(1_001, 1_001, now));
    }

    #[tokio::test]
    async fn who_waits_longest_is_served_first() {
        let (_budget, mut all) = accounts(&[None, None, None]);
        let now = Instant::now();
        assert!(all[0].hold(BYTES, 0, now));
        assert!(!all[1].hold(3_000, 0, now));
        assert!(!all[2].hold(2_000, 0, now + Duration::from_secs(1)));
        assert!(all[0].hold(0, 0, now));
        assert!(!all[2].hold(2_000, 0, now), "the other one waits for longer");
        assert!(all[1].hold(3_000, 0, now));
        assert!(!all[2].hold(2_000, 0, now));
        drop(all.remove(1));
        assert!(all[1].hold(2_000, 0, now));
    }

    #[tokio::test]
    async fn the_slowest_of_those_with_too_much_goes_for_one_that_waits() {
        let (_budget, mut all) = accounts(&[Some(1), Some(2), Some(3), Some(4), None]);
        let (now, later) = (Instant::now(), Instant::now() + Duration::from_secs(3));
        // Somebody slow and honest, two that hold what they can, and one that we dialled.
        assert!(all[2].hold(10, 10, now));
        assert!(all[4].hold(500, 500, now));
        assert!(all[0].hold(1_400, 1_400, now) && all[1].hold(1_000, 1_000, now));
        assert!(all[0].hold(1_490, 1_490, now) && !all[3].hold(1_001, 1_001, now));
        all[3].call_slowest(later);
        assert!(all.iter().all(|it| !it.is_called()), "it wants more than its share");
        assert!(!all[4].hold(3_000, 3_000, now));
        all[4].call_slowest(later);
        assert!(all[0].is_called(), "it has more than its share");
        assert!(all[0].hold(0, 0, later) && !all[0].is_called());
        all[1].came(100_000, later);
        all[4].call_slowest(later);
        assert!(all[2].is_called() && !all[1].is_called(), "the slowest");
    }
}
