//! The tidy rules: what a reader of this workspace may rely on, as checks.
//!
//! A rule takes source text and returns [`Violation`]s. Reading is in
//! [`workspace`], what counts as code is in [`mask`] and [`source`], and each
//! other file holds the rules about one noun. The scanners are small and
//! written by hand: they know as much of Rust as the rules need (comments,
//! literals, braces) and do not expand macros.

pub mod counts;
pub mod dependencies;
pub mod line;
pub mod links;
pub mod mask;
pub mod places;
pub mod privacy;
pub mod shape;
pub mod source;
pub mod workspace;

use std::fmt;

/// One place that breaks a rule.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Violation {
    file: String,
    line: usize,
    what: String,
}

impl Violation {
    /// Records that `file` breaks a rule at `line` (counted from 1).
    pub fn new(file: &str, line: usize, what: impl Into<String>) -> Self {
        Self { file: file.to_owned(), line, what: what.into() }
    }

    /// The line, counted from 1.
    pub fn line(&self) -> usize {
        self.line
    }
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}: {}", self.file, self.line, self.what)
    }
}

/// Lists violations one a line, for an assertion's message.
pub fn listing(violations: &[Violation]) -> String {
    violations.iter().map(|violation| format!("  {violation}\n")).collect()
}
