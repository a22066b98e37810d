//! Subsets: all of one size, in lexicographic order.

/// Calls `visit` for each subset of `size` of `0..count`, in lexicographic order, until it
/// says no.
pub(super) fn each(count: usize, size: usize, mut visit: impl FnMut(&[usize]) -> bool) {
    let mut chosen: Vec<usize> = (0..size).collect();
    if size > count {
        return;
    }
    while visit(&chosen) {
        let may_rise = |place: &usize| chosen[*place] < count - size + *place;
        let Some(place) = (0..size).rev().find(may_rise) else { return };
        let from = chosen[place] + 1;
        (place..size).for_each(|it| chosen[it] = from + it - place);
    }
}

/// The number of such subsets; the largest number where it is larger.
pub(super) fn number(count: usize, size: usize) -> u64 {
    let size = size.min(count - size.min(count));
    let step = |all: u128, it: usize| all.saturating_mul((count - it) as u128) / (it as u128 + 1);
    u64::try_from((0..size).fold(1_u128, step)).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_are_as_many_as_the_binomial_says() {
        for count in 0..9 {
            for size in 0..=count {
                let mut all: Vec<Vec<usize>> = Vec::new();
                each(count, size, |chosen| {
                    all.push(chosen.to_vec());
                    true
                });
                assert_eq!(all.len() as u64, number(count, size), "{count} {size}");
                assert!(all.is_sorted_by(|one, next| one < next));
                assert!(all.iter().flatten().all(|&it| it < count));
            }
        }
        assert_eq!((number(64, 16), number(3, 5)), (488_526_937_079_580, 1));
        assert_eq!(number(5_000, 2_500), u64::MAX);
    }
}
