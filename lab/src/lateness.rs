//! Lateness: how many epochs peers are behind, and who of them is admitted.
//!
//! Some peers are always later than others, and each is later at some times. A peer forgets
//! nothing: it falls behind by one epoch in an epoch at most.

use crate::draw::Draws;

/// The distribution of staleness: log-normal, cut at the largest.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Lateness {
    /// Its median before the limit on how fast peers fall behind, in epochs; with zero nobody is late.
    pub median: f64,
    /// Its largest, in epochs.
    pub most: usize,
    /// Standard deviation of its logarithm.
    pub spread: f64,
}

/// Epochs after which a peer is late by another number.
const CHANGE: usize = 15;

/// How much of the spread is that of peers, and of times.
const OF_PEERS: f64 = 0.9;
const OF_TIMES: f64 = 0.436;

impl Lateness {
    /// Nobody is late.
    pub const NONE: Self = Self { median: 0.0, most: 0, spread: 0.0 };
    /// At most fifty epochs. Falling behind takes time: drawn around twelve, the median of what comes
    /// about in 300 epochs is ten or eleven.
    pub const LONG: Self = Self { median: 12.0, most: 50, spread: 1.0 };
}

/// How late each peer is.
#[derive(Debug)]
pub(crate) struct Clocks {
    lateness: Lateness,
    draws: Draws,
    /// How late each is by nature, in deviations.
    peers: Vec<f64>,
    /// How late each would be.
    wanted: Vec<usize>,
    /// The number of terms that each knows.
    known: Vec<usize>,
}

impl Clocks {
    pub fn new(lateness: Lateness, peers: usize, seed: u64) -> Self {
        let mut draws = Draws::new(seed, 3);
        let mut peers: Vec<f64> = (0..peers).map(|_| draws.normal()).collect();
        // The median is the one asked for, whatever was drawn.
        let mut sorted = peers.clone();
        sorted.sort_by(f64::total_cmp);
        let median = sorted.get(sorted.len() / 2).copied().unwrap_or(0.0);
        peers.iter_mut().for_each(|it| *it -= median);
        let count = peers.len();
        Self { lateness, draws, peers, wanted: vec![0; count], known: vec![0; count] }
    }

    /// How many epochs each is behind in `epoch`; epochs follow each other.
    pub fn behind(&mut self, epoch: usize) -> Vec<usize> {
        let Lateness { median, most, spread } = self.lateness;
        for (peer, nature) in self.peers.iter().enumerate() {
            if (epoch + peer).is_multiple_of(CHANGE) || epoch == 0 {
                let deviations = OF_PEERS * nature + OF_TIMES * self.draws.normal();
                let late = median * (spread * deviations).exp();
                self.wanted[peer] = (late.round() as usize).min(most);
            }
        }
        for (known, &late) in self.known.iter_mut().zip(&self.wanted) {
            *known = (*known).max(epoch.saturating_sub(late));
        }
        self.known.iter().map(|known| epoch - known).collect()
    }
}

/// Shares of updates, 0 to 1; one where there are none.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Admitted {
    /// Of fresh ones, up to two epochs behind.
    pub fresh: f64,
    /// Of stale ones, more than ten epochs behind.
    pub stale: f64,
    /// Of all.
    pub all: f64,
}

/// What is counted while a run goes on.
#[derive(Debug, Default)]
pub(crate) struct Counts {
    fresh: Share,
    stale: Share,
    all: Share,
    staleness: Vec<usize>,
}

#[derive(Debug, Default)]
struct Share {
    admitted: u64,
    all: u64,
}

impl Share {
    fn count(&mut self, admitted: bool) {
        self.admitted += u64::from(admitted);
        self.all += 1;
    }

    fn share(&self) -> f64 {
        if self.all == 0 { 1.0 } else { self.admitted as f64 / self.all as f64 }
    }
}

impl Counts {
    /// Counts the weights of updates; of attackers there is no lateness.
    pub fn count(&mut self, weights: &[f64], lateness: &[Option<usize>]) {
        let equal = weights.iter().sum::<f64>() / weights.len() as f64;
        for (weight, late) in weights.iter().zip(lateness) {
            let Some(late) = *late else { continue };
            self.staleness.push(late);
            let admitted = *weight >= equal / 2.0;
            self.all.count(admitted);
            match late {
                0..=2 => self.fresh.count(admitted),
                3..=10 => {}
                _ => self.stale.count(admitted),
            }
        }
    }

    /// Shares of those admitted.
    pub fn admitted(&self) -> Admitted {
        let [fresh, stale, all] = [&self.fresh, &self.stale, &self.all].map(Share::share);
        Admitted { fresh, stale, all }
    }

    /// The median staleness of honest updates, and the largest.
    pub fn staleness(&mut self) -> (usize, usize) {
        self.staleness.sort_unstable();
        let median = self.staleness.get(self.staleness.len() / 2).copied().unwrap_or(0);
        (median, self.staleness.last().copied().unwrap_or(0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nobody_forgets_and_the_median_is_the_one_asked_for() {
        let mut clocks = Clocks::new(Lateness::LONG, 40, 1);
        let (mut all, mut before): (Vec<usize>, _) = (Vec::new(), vec![0; 40]);
        for epoch in 0..400 {
            let behind = clocks.behind(epoch);
            assert!(behind.iter().zip(&before).all(|(now, before)| *now <= before + 1));
            assert!(behind.iter().all(|&it| it <= epoch.min(50)));
            all.extend(&behind);
            before = behind;
        }
        all.sort_unstable();
        let at = |share: f64| all[(share * (all.len() - 1) as f64) as usize];
        assert!((9..=13).contains(&at(0.5)), "{}", at(0.5));
        assert!(at(0.03) <= 2 && at(0.99) >= 45, "{} {}", at(0.03), at(0.99));
        assert_eq!(Clocks::new(Lateness::NONE, 3, 1).behind(7), [0; 3]);
    }

    #[test]
    fn half_an_equal_share_is_admitted() {
        let mut counts = Counts::default();
        counts.count(&[1.0, 0.4, 0.6, 2.0], &[Some(0), Some(2), Some(30), None]);
        counts.count(&[1.0, 0.6, 1.4], &[Some(5), Some(11), None]);
        assert_eq!(counts.admitted(), Admitted { fresh: 0.5, stale: 1.0, all: 0.8 });
        assert_eq!(counts.staleness(), (5, 30));
    }
}
