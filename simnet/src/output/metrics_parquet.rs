//! Metrics as Parquet, for pandas, pyarrow, DuckDB and whatever else reads it.
//!
//! The rows of the CSV with types: `time_ms` INT64, `epoch` and `peer` INT32,
//! `group` and `metric` strings, `value` DOUBLE, none of them ever null. Pages
//! are gzipped; all columns but `value` are dictionary-encoded.
//!
//! The writing is the `parquet` crate's, without arrow and with the deflate
//! that is in the program anyway. It adds six crates to the simulator and about
//! 70 CPU seconds to a cold build, which is less than a writer of our own costs
//! in upkeep. The crate's hash tables are seeded at random, but number their
//! values in order of appearance, so the same rows give the same bytes.

use std::collections::BTreeMap;
use std::io::Write;
use std::sync::Arc;

use parquet::basic::{Compression, GzipLevel};
use parquet::data_type::{ByteArray, ByteArrayType, DataType, DoubleType, Int32Type, Int64Type};
use parquet::errors::ParquetError;
use parquet::file::properties::{EnabledStatistics, WriterProperties};
use parquet::file::writer::{SerializedFileWriter, SerializedRowGroupWriter};
use parquet::schema::parser::parse_message_type;
use parquet::schema::types::ColumnPath;

use super::metric_row::MetricRow;

/// Rows of a row group, which are held in memory: some 32 MB.
pub const GROUP_ROWS_MAX: usize = 1_000_000;

/// Names that are handed to the encoder at once.
const BATCH_ROWS: usize = 8_192;

/// Deflate's effort; more shrinks the file little.
const GZIP_LEVEL: u32 = 1;

const SCHEMA: &str = "message metrics {
    REQUIRED INT64 time_ms;
    REQUIRED INT32 epoch;
    REQUIRED INT32 peer;
    REQUIRED BYTE_ARRAY group (STRING);
    REQUIRED BYTE_ARRAY metric (STRING);
    REQUIRED DOUBLE value;
}";

/// Why metrics cannot be written as Parquet.
#[derive(Debug, thiserror::Error)]
pub enum MetricsParquetError {
    /// A time does not fit into a signed 64-bit number.
    #[error("row {row} is at {time_ms} ms; Parquet's INT64 ends at {}", i64::MAX)]
    Time {
        /// The row, from 0.
        row: u64,
        /// Its time in milliseconds.
        time_ms: u64,
    },
    /// An epoch does not fit into a signed 32-bit number.
    #[error("row {row} is of epoch {epoch}; Parquet's INT32 ends at {}", i32::MAX)]
    Epoch {
        /// The row, from 0.
        row: u64,
        /// Its epoch.
        epoch: u32,
    },
    /// The file below cannot be written, or a limit of the format is passed.
    #[error("the Parquet file failed: {0}")]
    Parquet(#[from] ParquetError),
}

/// Writes `rows` as one Parquet file and flushes `out`; gives their number.
pub fn write_metrics_parquet<'a, W: Write + Send>(
    out: W,
    rows: impl IntoIterator<Item = MetricRow<'a>>,
) -> Result<u64, MetricsParquetError> {
    let schema = parse_message_type(SCHEMA).expect("the schema is a constant that parses");
    let mut file = SerializedFileWriter::new(out, Arc::new(schema), Arc::new(properties()))?;
    let (mut columns, mut count) = (Columns::default(), 0);
    for row in rows {
        columns.push(count, &row)?;
        count += 1;
        if columns.values.len() == GROUP_ROWS_MAX {
            columns.write(&mut file)?;
            columns = Columns::default();
        }
    }
    if !columns.values.is_empty() {
        columns.write(&mut file)?;
    }
    file.close()?;
    Ok(count)
}

fn properties() -> WriterProperties {
    let level = GzipLevel::try_new(GZIP_LEVEL).expect("gzip has this level");
    WriterProperties::builder()
        .set_created_by(concat!("longhaul-simnet version ", env!("CARGO_PKG_VERSION")).to_owned())
        .set_compression(Compression::GZIP(level))
        .set_statistics_enabled(EnabledStatistics::Chunk)
        .set_column_dictionary_enabled(ColumnPath::from("value"), false)
        .build()
}

/// The rows of one row group, by columns.
#[derive(Debug, Default)]
struct Columns {
    times_ms: Vec<i64>,
    epochs: Vec<i32>,
    peers: Vec<i32>,
    groups: Names,
    metrics: Names,
    values: Vec<f64>,
}

impl Columns {
    fn push(&mut self, index: u64, row: &MetricRow<'_>) -> Result<(), MetricsParquetError> {
        let MetricRow { time_ms, epoch, .. } = *row;
        let time = time_ms.try_into();
        let epoch_signed = epoch.try_into();
        self.times_ms.push(time.map_err(|_| MetricsParquetError::Time { row: index, time_ms })?);
        self.epochs
            .push(epoch_signed.map_err(|_| MetricsParquetError::Epoch { row: index, epoch })?);
        self.peers.push(i32::from(row.peer));
        self.groups.push(row.group);
        self.metrics.push(row.metric);
        self.values.push(row.value);
        Ok(())
    }

    fn write<W: Write + Send>(
        &self,
        file: &mut SerializedFileWriter<W>,
    ) -> Result<(), ParquetError> {
        let mut group = file.next_row_group()?;
        write_column::<Int64Type, _>(&mut group, [&self.times_ms[..]])?;
        write_column::<Int32Type, _>(&mut group, [&self.epochs[..]])?;
        write_column::<Int32Type, _>(&mut group, [&self.peers[..]])?;
        write_column::<ByteArrayType, _>(&mut group, self.groups.batches())?;
        write_column::<ByteArrayType, _>(&mut group, self.metrics.batches())?;
        write_column::<DoubleType, _>(&mut group, [&self.values[..]])?;
        group.close()?;
        Ok(())
    }
}

/// Writes the row group's next column.
fn write_column<T: DataType, W: Write + Send>(
    group: &mut SerializedRowGroupWriter<'_, W>,
    batches: impl IntoIterator<Item: AsRef<[T::T]>>,
) -> Result<(), ParquetError> {
    let mut column = group.next_column()?.expect("the schema has as many columns");
    for batch in batches {
        column.typed::<T>().write_batch(batch.as_ref(), None, None)?;
    }
    column.close()
}

/// A column of names of which few are different.
#[derive(Debug, Default)]
struct Names {
    numbers: BTreeMap<Box<str>, usize>,
    /// The different names, in order of appearance.
    names: Vec<ByteArray>,
    /// The name of each row.
    rows: Vec<usize>,
}

impl Names {
    fn push(&mut self, name: &str) {
        let number = self.numbers.get(name).copied().unwrap_or_else(|| {
            let number = self.names.len();
            self.numbers.insert(name.into(), number);
            self.names.push(ByteArray::from(name));
            number
        });
        self.rows.push(number);
    }

    fn batches(&self) -> impl Iterator<Item = Vec<ByteArray>> {
        let name = |&number: &usize| self.names[number].clone();
        self.rows.chunks(BATCH_ROWS).map(move |rows| rows.iter().map(name).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::super::metric_row::testing::{OwnedRow, arb_rows, borrowed};
    use super::*;
    use bytes::Bytes;
    use parquet::file::reader::{FileReader, SerializedFileReader};
    use parquet::record::RowAccessor;
    use proptest::prelude::*;

    fn write(rows: &[OwnedRow]) -> Vec<u8> {
        let mut bytes = Vec::new();
        let count = write_metrics_parquet(&mut bytes, borrowed(rows)).expect("rows that fit");
        assert_eq!(count, rows.len() as u64);
        bytes
    }

    fn reader(bytes: Vec<u8>) -> SerializedFileReader<Bytes> {
        SerializedFileReader::new(Bytes::from(bytes)).expect("a Parquet file")
    }

    fn read(bytes: Vec<u8>) -> Vec<OwnedRow> {
        let reader = reader(bytes);
        let rows = reader.get_row_iter(None).expect("a schema of plain columns").map(|row| {
            let row = row?;
            let text = |column| row.get_string(column).map(ToOwned::to_owned);
            let [epoch, peer] = [row.get_int(1)?, row.get_int(2)?];
            let peer = peer.try_into().expect("a peer");
            let (time_ms, epoch) = (row.get_long(0)?.try_into()?, epoch.try_into()?);
            Ok((time_ms, epoch, peer, text(3)?, text(4)?, row.get_double(5)?))
        });
        rows.collect::<Result<_, ParquetError>>().expect("readable rows")
    }

    fn row(time_ms: u64, epoch: u32) -> OwnedRow {
        (time_ms, epoch, 1, "vans".to_owned(), "lag".to_owned(), 0.5)
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn rows_come_back_as_they_went(rows in arb_rows(60)) {
            prop_assert_eq!(read(write(&rows)), rows);
        }

        #[test]
        fn the_same_rows_give_the_same_bytes(rows in arb_rows(60)) {
            prop_assert_eq!(write(&rows), write(&rows));
        }
    }

    #[test]
    fn the_schema_has_the_types_of_the_csv() {
        let reader = reader(write(&[row(1, 2)]));
        let schema = reader.metadata().file_metadata().schema_descr();
        let columns: Vec<_> = schema
            .columns()
            .iter()
            .map(|column| (column.name().to_owned(), column.physical_type().to_string()))
            .collect();
        let expected = [
            ("time_ms", "INT64"),
            ("epoch", "INT32"),
            ("peer", "INT32"),
            ("group", "BYTE_ARRAY"),
            ("metric", "BYTE_ARRAY"),
            ("value", "DOUBLE"),
        ];
        assert_eq!(columns, expected.map(|(name, kind)| (name.to_owned(), kind.to_owned())));
        assert!((0..6).all(|column| schema.column(column).max_def_level() == 0), "never null");
    }

    #[test]
    fn names_are_written_once() {
        let rows = vec![row(1, 2); 20_000];
        let reader = reader(write(&rows));
        let group = reader.metadata().row_group(0);
        for column in [3, 4] {
            let chunk = group.column(column);
            assert!(chunk.dictionary_page_offset().is_some());
            assert!(chunk.uncompressed_size() < 300, "{}", chunk.uncompressed_size());
        }
    }

    #[test]
    fn no_rows_make_a_file_without_row_groups() {
        let reader = reader(write(&[]));
        assert_eq!((reader.num_row_groups(), reader.metadata().file_metadata().num_rows()), (0, 0));
    }

    #[test]
    fn a_row_group_has_a_million_rows() {
        let one = [row(1, 2)];
        let repeated = std::iter::repeat_n(borrowed(&one).next(), GROUP_ROWS_MAX + 1);
        let mut bytes = Vec::new();
        let count = write_metrics_parquet(&mut bytes, repeated.flatten()).expect("rows that fit");
        assert_eq!(count, 1_000_001);
        let reader = reader(bytes);
        let rows = [0, 1].map(|group| reader.metadata().row_group(group).num_rows());
        assert_eq!(rows, [1_000_000, 1]);
    }

    #[test]
    fn numbers_that_do_not_fit_are_refused() {
        let refusal = |bad: OwnedRow| {
            let rows = [row(1, 2), bad];
            write_metrics_parquet(Vec::new(), borrowed(&rows)).expect_err("a refusal").to_string()
        };
        assert!(refusal(row(1 << 63, 2)).starts_with("row 1 is at 9223372036854775808 ms"));
        assert!(refusal(row(1, 1 << 31)).starts_with("row 1 is of epoch 2147483648"));
    }

    #[test]
    fn a_full_disk_is_an_error() {
        let outcome = write_metrics_parquet(&mut [0; 50][..], borrowed(&[row(1, 2)]));
        assert!(matches!(outcome, Err(MetricsParquetError::Parquet(_))));
    }
}
