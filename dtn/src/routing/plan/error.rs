//! Errors: why a file is not a contact plan, where, and what to do.

use std::fmt;

/// Why something is not a contact plan.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{place}: {kind}")]
pub struct PlanError {
    /// Where.
    pub place: Place,
    /// Why.
    pub kind: PlanErrorKind,
}

/// A place in a plan.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Place {
    /// The file as a whole.
    File,
    /// A place in a text.
    Text {
        /// The line, from 1 on.
        line: usize,
        /// The byte in the line, from 1 on.
        column: usize,
    },
    /// The contact of this index.
    Contact(usize),
    /// The range of this index.
    Range(usize),
}

/// What can be wrong with a contact plan.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PlanErrorKind {
    /// More bytes than the limit; holds it.
    #[error("more than {0} bytes: leave out contacts that are over, or raise the limit")]
    TooLong(usize),
    /// More contacts than the limit; holds it.
    #[error("more than {0} contacts: leave out those that are over, or raise the limit")]
    TooManyContacts(usize),
    /// More ranges than the limit; holds it.
    #[error("more than {0} ranges: leave out those that are over, or raise the limit")]
    TooManyRanges(usize),
    /// More nodes than the limit; holds it.
    #[error("more than {0} nodes: divide the plan, or raise the limit")]
    TooManyNodes(usize),
    /// A line that is no command.
    #[error("not a command: use `a contact`, `a range`, `@` or `#`")]
    Command,
    /// A command with too few fields.
    #[error("{0} is missing: use {1}")]
    Missing(&'static str, &'static str),
    /// A command with too many fields.
    #[error("one field too many: use {0}")]
    Extra(&'static str),
    /// A field that is not what it should be.
    #[error("{field}: use {should_be}")]
    Field {
        /// Which.
        field: &'static str,
        /// What it should be.
        should_be: &'static str,
    },
    /// Another character of JSON should stand here.
    #[error("expected {0}")]
    Expected(&'static str),
    /// A key that has no meaning here.
    #[error("unknown key: use {0}")]
    UnknownKey(&'static str),
    /// A key that was there before.
    #[error("the key {0} stands here a second time: remove one")]
    Twice(&'static str),
    /// An end that is not after the start.
    #[error("the end is not after the start")]
    EndsBeforeStart,
    /// A time that has no date.
    #[error("the end is after the year 9999")]
    TooLate,
    /// A node and itself.
    #[error("from and to are the same node")]
    WithItself,
    /// The null endpoint, the local node, or an endpoint with a service.
    #[error("not a node: use its number above 0, ipn:NODE.0 or dtn://NAME/")]
    NotANode,
    /// The pair has a contact or range at that time already; holds where.
    #[error("overlaps with the one at {0} between the same nodes: shorten or remove one")]
    Overlap(Place),
}

impl Place {
    /// An error at this place.
    pub(super) const fn error(self, kind: PlanErrorKind) -> PlanError {
        PlanError { place: self, kind }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File => f.write_str("contact plan"),
            Self::Text { line, column } => write!(f, "line {line}, column {column}"),
            Self::Contact(index) => write!(f, "contact {index}"),
            Self::Range(index) => write!(f, "range {index}"),
        }
    }
}
