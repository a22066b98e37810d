//! The figures, one noun per file. Each is a pure function from data to a
//! [`super::document::Figure`], or to HTML where it is a table.

pub mod accuracy;
pub mod actors;
pub mod agreement;
pub mod bars;
pub mod contacts;
pub mod delivery;
pub mod headline;
pub mod heat;
pub mod rejections;
pub mod seals;
pub mod staleness;
pub mod sweep_line;
pub mod traffic;
