//! Routing and custody: routes against a search of all ways, cases by hand, and contacts that are cut.

#![allow(clippy::unwrap_used, reason = "a helper that fails fails its test")]

mod brute;
mod plan;
mod policy;
mod sabr;
mod spray;
