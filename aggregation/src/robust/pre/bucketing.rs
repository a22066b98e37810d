//! Bucketing (Karimireddy et al., ICLR 2022, arXiv 2006.09365).
//!
//! The vectors, in an order that nobody chose, are averaged s at a time; the last bucket may be
//! smaller. f attackers spoil at most f buckets. The order is given: where the output must be the same for
//! everybody, it is drawn from the inputs' hashes.

use super::super::RobustError;
use super::super::mixing::Mixing;

/// The means of the buckets.
pub(super) fn mixing(
    count: usize,
    size: usize,
    order: Option<&[usize]>,
) -> Result<Mixing, RobustError> {
    if size == 0 {
        let (what, range) = ("the size of a bucket", "at least one");
        return Err(RobustError::Parameter { what, value: size.to_string(), range });
    }
    let order = order.map_or_else(|| (0..count).collect(), <[usize]>::to_vec);
    let mut sorted = order.clone();
    sorted.sort_unstable();
    if sorted != (0..count).collect::<Vec<_>>() {
        return Err(RobustError::Order(count));
    }
    Ok(Mixing::means(&order.chunks(size).map(<[usize]>::to_vec).collect::<Vec<_>>()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn buckets_follow_the_order() {
        let found = mixing(5, 2, Some(&[4, 0, 3, 1, 2])).expect("a permutation");
        assert_eq!((found.count(), found.row(2)), (3, &[(2, 1.0)][..]));
        assert_eq!(found.row(0), [(4, 0.5), (0, 0.5)]);
        assert_eq!(mixing(5, 9, None).map(|it| it.count()), Ok(1));
        assert_eq!(mixing(3, 2, Some(&[0, 0, 2])), Err(RobustError::Order(3)));
        assert!(mixing(3, 0, None).is_err());
    }
}
