//! Output: the files that a run leaves behind, as bytes.
//!
//! One format a module: the event log (everything that happened, in order),
//! metrics as CSV and as Parquet, contacts as CSV, and the manifest that names
//! all files with their hashes. Nothing here opens a file: writers take a
//! [`std::io::Write`], readers a [`std::io::Read`], and the command line knows
//! the folder. The same run gives the same bytes.

pub mod contacts_csv;
mod csv;
pub mod event_log;
pub mod measured;
pub mod metric_row;
pub mod metrics_csv;
pub mod metrics_parquet;
pub mod run_manifest;
