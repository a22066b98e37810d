//! A row of the metrics: one value of one metric of one peer at one time.
//!
//! The long form keeps the columns the same whatever is measured; pandas'
//! `pivot` or SQL makes it wide. CSV and Parquet hold the same rows.

/// One measured value.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct MetricRow<'a> {
    /// When, in milliseconds since the start of the run.
    pub time_ms: u64,
    /// The epoch that ends.
    pub epoch: u32,
    /// The peer, by its index in the scenario.
    pub peer: u16,
    /// The scenario's group that the peer belongs to.
    pub group: &'a str,
    /// What was measured.
    pub metric: &'a str,
    /// What was found.
    pub value: f64,
}

#[cfg(test)]
pub(super) mod testing {
    use proptest::prelude::*;

    use super::MetricRow;

    /// What a row owns: time, epoch, peer, group, metric and value.
    pub type OwnedRow = (u64, u32, u16, String, String, f64);

    /// Fewer than `count` rows that every format takes.
    pub fn arb_rows(count: usize) -> impl Strategy<Value = Vec<OwnedRow>> {
        let text = || prop_oneof!["[a-c]{0,2}", "[é鳥🛰\",\n]{1,3}"];
        let (time_ms, epoch) = (0..=u64::MAX / 2, 0..=u32::MAX / 2);
        let value = prop_oneof![any::<f64>(), (0..100_u8).prop_map(f64::from)];
        prop::collection::vec((time_ms, epoch, any::<u16>(), text(), text(), value), 0..count)
    }

    /// Borrows `rows`.
    pub fn borrowed(rows: &[OwnedRow]) -> impl Iterator<Item = MetricRow<'_>> {
        rows.iter().map(|(time_ms, epoch, peer, group, metric, value)| {
            let (time_ms, epoch, peer, value) = (*time_ms, *epoch, *peer, *value);
            MetricRow { time_ms, epoch, peer, group, metric, value }
        })
    }
}
