//! Sums up what a simulator collects (contacts, delays, bytes of links) into what
//! a page shows, within limits that do not grow with the run.

use super::data::{ContactStrip, DelayPoint, Delivery, KindBytes, LinkBytes, Traffic};

impl ContactStrip {
    /// Makes a strip of `bins` bins of `bin_s` seconds from the contacts of one
    /// peer, each from its first to its second time in seconds. They may
    /// overlap and stand in any order.
    pub fn from_intervals(
        peer: &str,
        group: &str,
        intervals: &[(f64, f64)],
        (bins, bin_s): (usize, f64),
    ) -> Self {
        let mut busy_s = vec![0.0; bins];
        for (from, to) in merged(intervals) {
            let first = (from / bin_s).max(0.0) as usize;
            for (index, busy) in busy_s.iter_mut().enumerate().skip(first) {
                let begin = index as f64 * bin_s;
                if begin >= to {
                    break;
                }
                *busy += (to.min(begin + bin_s) - from.max(begin)).max(0.0);
            }
        }
        let share = |busy: f64| if bin_s > 0.0 { (busy / bin_s).min(1.0) as f32 } else { 0.0 };
        let share = busy_s.into_iter().map(share).collect();
        Self { peer: peer.to_owned(), group: group.to_owned(), share }
    }
}

/// The union of `intervals` as intervals that do not touch, in order.
fn merged(intervals: &[(f64, f64)]) -> Vec<(f64, f64)> {
    let finite = |it: &&(f64, f64)| it.0.is_finite() && it.1.is_finite() && it.0 < it.1;
    let mut sorted: Vec<_> = intervals.iter().filter(finite).copied().collect();
    sorted.sort_by(|a, b| a.0.total_cmp(&b.0));
    let mut union: Vec<(f64, f64)> = Vec::new();
    for (from, to) in sorted {
        match union.last_mut() {
            Some(last) if from <= last.1 => last.1 = last.1.max(to),
            _ => union.push((from, to)),
        }
    }
    union
}

impl Delivery {
    /// Most points that [`Delivery::from_delays`] keeps.
    pub const POINTS_MAX: usize = 1_000;

    /// The distribution of `delays_s`, the delays in seconds of all delivered
    /// pairs in any order, out of `deliverable` pairs.
    pub fn from_delays(mut delays_s: Vec<f64>, deliverable: u64) -> Self {
        delays_s.retain(|delay| delay.is_finite());
        delays_s.sort_by(f64::total_cmp);
        let delivered = delays_s.len() as u64;
        let deliverable = deliverable.max(delivered);
        let stride = delays_s.len().div_ceil(Self::POINTS_MAX).max(1);
        let is_kept = |rank: usize| rank.is_multiple_of(stride) || rank == delays_s.len();
        let point = |(index, &delay_s): (usize, &f64)| {
            let rank = index + 1;
            let share = rank as f64 / deliverable as f64;
            (is_kept(rank) || rank == 1).then_some(DelayPoint { delay_s, share })
        };
        let points = delays_s.iter().enumerate().filter_map(point).collect();
        Self { points, deliverable, delivered }
    }
}

impl Traffic {
    /// Most links whose bytes [`Traffic::from_links`] keeps.
    pub const LINKS_MAX: usize = 2_000;
    /// How many of the busiest links are named.
    pub const TOP: usize = 10;

    /// Sums up `links`, one entry for each pair that was ever in contact.
    pub fn from_links(mut links: Vec<LinkBytes>, by_kind: Vec<KindBytes>) -> Self {
        links.sort_by(|a, b| b.bytes.cmp(&a.bytes).then_with(|| (&a.a, &a.b).cmp(&(&b.a, &b.b))));
        let kept = links.len().min(Self::LINKS_MAX);
        let rank =
            |index: usize| index * links.len().saturating_sub(1) / kept.max(2).saturating_sub(1);
        let bytes_per_link = (0..kept).map(|index| links[rank(index)].bytes).collect();
        let count = links.len() as u64;
        links.truncate(Self::TOP);
        Self { links: count, bytes_per_link, top: links, by_kind }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn overlapping_contacts_count_once() {
        let intervals = [(5.0, 15.0), (0.0, 2.0), (12.0, 20.0), (30.0, f64::NAN)];
        let strip = ContactStrip::from_intervals("p", "g", &intervals, (3, 10.0));
        assert_eq!(strip.share, [0.7, 1.0, 0.0]);
    }

    #[test]
    fn delays_become_shares_of_all_deliverable_pairs() {
        let delivery = Delivery::from_delays(vec![3.0, 1.0, f64::INFINITY, 2.0], 6);
        let shares: Vec<_> = delivery.points.iter().map(|it| (it.delay_s, it.share)).collect();
        assert_eq!(shares, [(1.0, 1.0 / 6.0), (2.0, 2.0 / 6.0), (3.0, 0.5)]);
        assert_eq!((delivery.delivered, delivery.deliverable), (3, 6));
    }

    #[test]
    fn many_delays_are_thinned_to_their_ends() {
        let delivery = Delivery::from_delays((1..=12_345).map(f64::from).collect(), 12_345);
        assert!(delivery.points.len() <= Delivery::POINTS_MAX + 2);
        assert_eq!(delivery.points.first().map(|it| it.delay_s), Some(1.0));
        assert_eq!(delivery.points.last().map(|it| (it.delay_s, it.share)), Some((12_345.0, 1.0)));
    }

    #[test]
    fn links_are_ranked_and_thinned() {
        let link = |bytes| LinkBytes { a: "a".into(), b: "b".into(), contacts: 1, bytes };
        let traffic = Traffic::from_links((0..5_000).map(link).collect(), Vec::new());
        assert_eq!(
            (traffic.links, traffic.bytes_per_link.len(), traffic.top.len()),
            (5_000, 2_000, 10)
        );
        assert_eq!((traffic.bytes_per_link[0], traffic.bytes_per_link[1_999]), (4_999, 0));
        assert_eq!(traffic.top[9].bytes, 4_990);
        assert_eq!(Traffic::from_links(Vec::new(), Vec::new()), Traffic::default());
        assert_eq!(Traffic::from_links(vec![link(7)], Vec::new()).bytes_per_link, [7]);
    }
}
