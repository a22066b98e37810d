//! Thins long series for drawing, without losing their extremes.

use super::data::BandPoint;

/// Most points that a drawn series has.
pub const POINTS_MAX: usize = 2_000;

/// How many points a series has at most on `width` pixels: two per pixel.
pub fn points_max(width: f64) -> usize {
    ((width * 2.0).clamp(2.0, POINTS_MAX as f64)) as usize
}

/// Keeps at most `points_max` points: of each run of neighbours the lowest and
/// the highest, in their order. The first and the last point stay.
pub fn line(points: &[(f64, f64)], points_max: usize) -> Vec<(f64, f64)> {
    let (Some(&first), Some(&last)) = (points.first(), points.last()) else {
        return Vec::new();
    };
    if points.len() <= points_max {
        return points.to_vec();
    }
    let runs = (points_max.saturating_sub(2) / 2).max(1);
    let inner = &points[1..points.len() - 1];
    let mut kept = vec![first];
    for run in inner.chunks(inner.len().div_ceil(runs).max(1)) {
        kept.extend(extremes(run));
    }
    kept.push(last);
    kept
}

/// The lowest and the highest of `run` in the order in which they stand.
fn extremes(run: &[(f64, f64)]) -> Vec<(f64, f64)> {
    let by_value = |a: &usize, b: &usize| run[*a].1.total_cmp(&run[*b].1);
    let lowest = (0..run.len()).min_by(by_value);
    let highest = (0..run.len()).max_by(by_value);
    let mut places: Vec<_> = lowest.into_iter().chain(highest).collect();
    places.sort_unstable();
    places.dedup();
    places.into_iter().map(|place| run[place]).collect()
}

/// Keeps at most `points_max` points: each run of neighbours becomes one, with
/// the mean of the means, the least of the least and the most of the most, at
/// the time of the run's last point.
pub fn band(points: &[BandPoint], points_max: usize) -> Vec<BandPoint> {
    let run = points.len().div_ceil(points_max.max(1)).max(1);
    let runs = points.chunks(run);
    runs.filter_map(|run| {
        let last = run.last()?;
        Some(BandPoint {
            at_s: last.at_s,
            mean: run.iter().map(|it| it.mean).sum::<f64>() / run.len() as f64,
            min: run.iter().map(|it| it.min).fold(f64::INFINITY, f64::min),
            max: run.iter().map(|it| it.max).fold(f64::NEG_INFINITY, f64::max),
        })
    })
    .collect()
}

/// The points whose values are all finite.
pub fn finite(points: &[BandPoint]) -> Vec<BandPoint> {
    let is_finite =
        |it: &&BandPoint| [it.at_s, it.mean, it.min, it.max].into_iter().all(f64::is_finite);
    points.iter().filter(is_finite).copied().collect()
}

/// Joins neighbouring `values` to at most `bins_max` sums; also gives how many
/// neighbours make one sum: 1, 2 or 5 times a power of ten.
pub fn histogram(values: &[u64], bins_max: usize) -> (usize, Vec<u64>) {
    let fits = |width: &usize| values.len().div_ceil(*width) <= bins_max.max(1);
    let widths = (0..18_u32).flat_map(|power| [1, 2, 5].map(|it| it * 10_usize.pow(power)));
    let width = widths.into_iter().find(fits).unwrap_or(values.len().max(1));
    let sum = |run: &[u64]| run.iter().fold(0, |sum: u64, &it| sum.saturating_add(it));
    (width, values.chunks(width).map(sum).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn short_series_stay_as_they_are() {
        let points = [(0.0, 1.0), (1.0, 2.0)];
        assert_eq!(line(&points, 2_000), points);
        assert!(line(&[], 2_000).is_empty());
    }

    #[test]
    fn one_spike_in_a_long_series_survives() {
        let mut points: Vec<_> = (0..100_000).map(|it| (f64::from(it), 1.0)).collect();
        points[54_321].1 = 9.0;
        points[54_987].1 = -9.0;
        let kept = line(&points, 2_000);
        assert!(kept.len() <= 2_000, "{}", kept.len());
        assert!(kept.contains(&(54_321.0, 9.0)) && kept.contains(&(54_987.0, -9.0)));
    }

    #[test]
    fn a_band_keeps_its_range() {
        let point = |at| BandPoint { at_s: f64::from(at), mean: 1.0, min: 0.0, max: f64::from(at) };
        let points: Vec<_> = (0..5_000).map(point).collect();
        let kept = band(&points, 2_000);
        assert!(kept.len() <= 2_000);
        assert_eq!(kept.last().map(|it| (it.at_s, it.max, it.min)), Some((4_999.0, 4_999.0, 0.0)));
        assert!(band(&[], 2_000).is_empty());
    }

    #[test]
    fn points_that_are_not_finite_are_left_out() {
        let good = BandPoint { at_s: 0.0, mean: 1.0, min: 1.0, max: 1.0 };
        let bad = BandPoint { max: f64::NAN, ..good };
        assert_eq!(finite(&[good, bad]), [good]);
    }

    #[test]
    fn bins_join_to_round_widths() {
        assert_eq!(histogram(&[1; 7], 10), (1, vec![1; 7]));
        assert_eq!(histogram(&[1; 45], 10), (5, vec![5; 9]));
        assert_eq!(histogram(&[u64::MAX; 3], 1), (5, vec![u64::MAX]));
        assert_eq!(histogram(&[], 10), (1, vec![]));
    }

    proptest! {
        #[test]
        fn thinning_keeps_ends_order_and_extremes(
            values in prop::collection::vec(-1e6..1e6_f64, 1..3_000),
            points_max in 4..200_usize,
        ) {
            let points: Vec<_> =
                values.iter().enumerate().map(|(at, &it)| (at as f64, it)).collect();
            let kept = line(&points, points_max);
            prop_assert!(kept.len() <= points_max.max(4));
            prop_assert_eq!((kept[0], kept.last()), (points[0], points.last()));
            prop_assert!(kept.is_sorted_by(|a, b| a.0 < b.0) || kept.len() == 2);
            let top = |it: &[(f64, f64)]| it.iter().map(|it| it.1).fold(f64::MIN, f64::max);
            prop_assert_eq!(top(&kept), top(&points));
        }
    }
}
