//! Metrics as CSV in long form, for a spreadsheet or a quick look.

use std::io::{self, BufWriter, Write};

use super::csv::{BUFFER_BYTES, Number, Text};
use super::metric_row::MetricRow;

/// The first line.
const HEAD: &str = "time_ms,epoch,peer,group,metric,value";

/// Writes `rows` below a line of column names and flushes `out`; gives their number.
pub fn write_metrics_csv<'a, W: Write>(
    out: W,
    rows: impl IntoIterator<Item = MetricRow<'a>>,
) -> io::Result<u64> {
    let mut out = BufWriter::with_capacity(BUFFER_BYTES, out);
    writeln!(out, "{HEAD}")?;
    let mut count = 0;
    for MetricRow { time_ms, epoch, peer, group, metric, value } in rows {
        let (group, metric, value) = (Text(group), Text(metric), Number(value));
        writeln!(out, "{time_ms},{epoch},{peer},{group},{metric},{value}")?;
        count += 1;
    }
    out.flush()?;
    Ok(count)
}

#[cfg(test)]
mod tests {
    use super::super::csv::split;
    use super::super::metric_row::testing::{arb_rows, borrowed};
    use super::*;
    use proptest::prelude::*;

    fn csv<'a>(rows: impl IntoIterator<Item = MetricRow<'a>>) -> String {
        let mut bytes = Vec::new();
        write_metrics_csv(&mut bytes, rows).expect("memory can be written");
        String::from_utf8(bytes).expect("CSV is text")
    }

    proptest! {
        #[test]
        fn a_row_reads_back_as_it_went(rows in arb_rows(2)) {
            let text = csv(borrowed(&rows));
            let lines = text.strip_prefix("time_ms,epoch,peer,group,metric,value\n");
            let lines = lines.expect("a line of names");
            for row in borrowed(&rows) {
                let fields = split(lines.strip_suffix('\n').expect("a whole line"));
                prop_assert_eq!(fields[0].parse(), Ok(row.time_ms));
                prop_assert_eq!(fields[1].parse(), Ok(row.epoch));
                prop_assert_eq!(fields[2].parse(), Ok(row.peer));
                prop_assert_eq!([&fields[3], &fields[4]], [row.group, row.metric]);
                prop_assert_eq!(fields[5].parse(), Ok(row.value));
                prop_assert_eq!(fields.len(), 6);
            }
        }
    }

    #[test]
    fn writes_one_value_a_line() {
        let row = |metric, value| MetricRow {
            time_ms: 2_000,
            epoch: 1,
            peer: 3,
            group: "vans, north",
            metric,
            value,
        };
        let text = csv([row("accuracy", 0.5), row("bytes_sent", 100.0)]);
        let expected = "time_ms,epoch,peer,group,metric,value\n\
                        2000,1,3,\"vans, north\",accuracy,0.5\n\
                        2000,1,3,\"vans, north\",bytes_sent,100\n";
        assert_eq!(text, expected);
    }

    #[test]
    fn no_rows_leave_the_names() {
        assert_eq!(csv([]), "time_ms,epoch,peer,group,metric,value\n");
    }

    #[test]
    fn a_full_disk_is_an_error() {
        assert!(write_metrics_csv(&mut [0; 20][..], []).is_err());
    }
}
