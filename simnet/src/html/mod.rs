//! One HTML file that shows a run, and one that shows a sweep.
//!
//! A page needs nothing but itself: no network, no fonts, no scripts from
//! elsewhere (its content security policy forbids them), figures as inline SVG.
//! It reads complete without its small script, which only adds values under the
//! pointer and buttons that save a figure. Every figure carries its caption and
//! the run's identity (version, scenario hash, seed, trace digest) in its SVG,
//! so that a figure in a talk can be traced to the run that made it.
//!
//! A page is a pure function of its data: the same data gives the same bytes.
//! All text from scenario files is escaped where it is written.

mod axis;
mod chart;
mod collect;
mod data;
mod document;
mod figures;
mod legend;
mod number;
mod page;
mod paint;
mod seals;
mod student;
mod svg;
mod sweep_data;
mod sweep_page;
#[cfg(test)]
mod testing;
mod thin;
mod timeline;

pub use data::{
    Accuracy, Adversary, AgreementPoint, BandPoint, CheckLine, ContactStrip, Contacts, DataError,
    DelayPoint, Delivery, FaultKind, FaultLine, FaultMark, GroupSeries, Header, JSON_BYTES_MAX,
    KindBytes, LinkBytes, Partition, Reference, Rejection, ReportData, Staleness, Traffic,
};
pub use page::page;
pub use seals::{HeldPoint, Seal, SealCount, SealPoint, Seals};
pub use student::{Interval, t_quantile};
pub use sweep_data::{
    Better, FailedCheck, SeedValue, SweepCell, SweepData, SweepHeader, SweepMetric, Swept,
};
pub use sweep_page::sweep_page;
