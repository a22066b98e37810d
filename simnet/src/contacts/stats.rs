//! Figures of a contact plan, to see what a scenario asks for before it runs.

use std::collections::BTreeSet;
use std::fmt;

use super::Contact;
use super::maths::US_PER_SECOND;

/// Figures of a contact plan.
#[derive(Debug, Clone, PartialEq)]
pub struct ContactStats {
    /// Number of peers.
    pub peers: u16,
    /// Number of contacts.
    pub contacts: usize,
    /// Pairs that ever meet.
    pub pairs: usize,
    /// Contacts in which only one side can send.
    pub one_way: usize,
    /// Mean length of a contact; 0 when there is none.
    pub mean_duration_s: f64,
    /// Contacts that a peer has on average.
    pub contacts_per_peer: f64,
    /// Other peers that a peer ever meets on average.
    pub partners_per_peer: f64,
    /// Peers that never meet anybody.
    pub isolated_peers: usize,
    /// Groups of two or more peers between which there is no way at all, even in
    /// unlimited time and regardless of order; 1 in a plan that holds together.
    pub parts: usize,
    /// Time between two contacts of the same pair on average; absent when no
    /// pair meets twice.
    pub mean_gap_s: Option<f64>,
    /// The gap that half of the gaps do not exceed.
    pub median_gap_s: Option<f64>,
    /// When the first contact begins.
    pub first_s: f64,
    /// When the last contact ends.
    pub last_s: f64,
}

impl ContactStats {
    /// The figures of `contacts` among `peers`.
    pub fn of(contacts: &[Contact], peers: u16) -> Self {
        let pairs: BTreeSet<_> = contacts.iter().map(|it| (it.a, it.b)).collect();
        let (parts, isolated_peers) = parts(&pairs, peers);
        let mut gaps_us = gaps_us(contacts);
        gaps_us.sort_unstable();
        let sum_us: u64 = contacts.iter().map(Contact::duration_us).sum();
        let each = |count: usize| 2.0 * count as f64 / f64::from(peers.max(1));
        Self {
            peers,
            contacts: contacts.len(),
            pairs: pairs.len(),
            one_way: contacts.iter().filter(|it| it.one_way).count(),
            mean_duration_s: seconds(sum_us) / contacts.len().max(1) as f64,
            contacts_per_peer: each(contacts.len()),
            partners_per_peer: each(pairs.len()),
            isolated_peers,
            parts,
            mean_gap_s: mean(&gaps_us).map(|us| us / US_PER_SECOND as f64),
            median_gap_s: gaps_us.get(gaps_us.len().saturating_sub(1) / 2).map(|&us| seconds(us)),
            first_s: contacts.iter().map(|it| it.from_us).min().map_or(0.0, seconds),
            last_s: contacts.iter().map(|it| it.to_us).max().map_or(0.0, seconds),
        }
    }
}

/// Times from the end of a pair's contact to the beginning of its next.
fn gaps_us(contacts: &[Contact]) -> Vec<u64> {
    let mut times: Vec<_> = contacts.iter().map(|it| (it.a, it.b, it.from_us, it.to_us)).collect();
    times.sort_unstable();
    let mut gaps = Vec::new();
    for of_pair in times.chunk_by(|one, next| (one.0, one.1) == (next.0, next.1)) {
        let mut ended_us = None::<u64>;
        for &(_, _, from_us, to_us) in of_pair {
            gaps.extend(ended_us.and_then(|ended| from_us.checked_sub(ended)));
            ended_us = Some(ended_us.map_or(to_us, |ended| ended.max(to_us)));
        }
    }
    gaps
}

/// Connected parts of two or more peers, and peers without any pair.
fn parts(pairs: &BTreeSet<(u16, u16)>, peers: u16) -> (usize, usize) {
    let last = pairs.iter().map(|pair| pair.1).max().unwrap_or(0);
    let mut leader: Vec<usize> = (0..usize::from(peers.max(last)) + 1).collect();
    let mut met = BTreeSet::new();
    for &(a, b) in pairs {
        let [one, other] = [a, b].map(|peer| find(&mut leader, usize::from(peer)));
        leader[one.max(other)] = one.min(other);
        met.extend([a, b]);
    }
    let leaders: BTreeSet<_> =
        met.iter().map(|&peer| find(&mut leader, usize::from(peer))).collect();
    (leaders.len(), usize::from(peers).saturating_sub(met.len()))
}

fn find(leader: &mut [usize], mut at: usize) -> usize {
    while leader[at] != at {
        leader[at] = leader[leader[at]];
        at = leader[at];
    }
    at
}

fn mean(values: &[u64]) -> Option<f64> {
    let sum: f64 = values.iter().map(|&it| it as f64).sum();
    (!values.is_empty()).then(|| sum / values.len() as f64)
}

fn seconds(us: u64) -> f64 {
    us as f64 / US_PER_SECOND as f64
}

impl fmt::Display for ContactStats {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let gap = |gap_s: Option<f64>| gap_s.map_or("none".to_owned(), |it| format!("{it:.1} s"));
        writeln!(out, "contacts   {} of {:.1} s on average", self.contacts, self.mean_duration_s)?;
        writeln!(out, "one-way    {}", self.one_way)?;
        writeln!(out, "time       {:.1} s to {:.1} s", self.first_s, self.last_s)?;
        let possible = u32::from(self.peers) * u32::from(self.peers.saturating_sub(1)) / 2;
        writeln!(out, "pairs      {} of {possible} ever meet", self.pairs)?;
        writeln!(
            out,
            "each peer  {:.1} contacts with {:.1} others on average",
            self.contacts_per_peer, self.partners_per_peer
        )?;
        writeln!(
            out,
            "gaps       {} on average, median {}",
            gap(self.mean_gap_s),
            gap(self.median_gap_s)
        )?;
        write!(
            out,
            "reach      {} connected part(s), {} of {} peers meet nobody",
            self.parts, self.isolated_peers, self.peers
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn contact(a: u16, b: u16, from_s: u64, to_s: u64) -> Contact {
        let [from_us, to_us] = [from_s, to_s].map(|it| it * US_PER_SECOND);
        let (rate_bps, rate_back_bps, latency_us) = (None, None, None);
        Contact { a, b, from_us, to_us, rate_bps, rate_back_bps, latency_us, one_way: false }
    }

    #[test]
    fn counts_what_happens() {
        let contacts = [
            contact(0, 1, 0, 10),
            contact(2, 3, 5, 7),
            contact(0, 1, 30, 34),
            contact(0, 4, 50, 60),
        ];
        let stats = ContactStats::of(&contacts, 7);
        assert_eq!((stats.contacts, stats.pairs, stats.one_way), (4, 3, 0));
        assert_eq!((stats.parts, stats.isolated_peers), (2, 2));
        assert_eq!(stats.mean_duration_s, 6.5);
        assert_eq!((stats.mean_gap_s, stats.median_gap_s), (Some(20.0), Some(20.0)));
        assert_eq!((stats.first_s, stats.last_s), (0.0, 60.0));
        assert_eq!(stats.contacts_per_peer, 8.0 / 7.0);
    }

    #[test]
    fn overlapping_contacts_leave_no_gap() {
        let contacts = [contact(0, 1, 0, 50), contact(0, 1, 10, 20), contact(0, 1, 60, 70)];
        assert_eq!(ContactStats::of(&contacts, 2).mean_gap_s, Some(10.0));
    }

    #[test]
    fn an_empty_plan_has_figures_too() {
        let stats = ContactStats::of(&[], 3);
        assert_eq!((stats.contacts, stats.isolated_peers, stats.parts), (0, 3, 0));
        assert_eq!(stats.mean_gap_s, None);
        assert!(stats.to_string().contains("3 of 3 peers meet nobody"));
    }
}
