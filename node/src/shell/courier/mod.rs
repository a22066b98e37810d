//! Courier: a bundle agent for any node of a DTN, over TCPCL version 4.
//!
//! [`agent`] decides what goes to whom and does no IO; [`carrier`] has the sessions; [`relay`] says
//! what changes in a bundle on its way. [`run`] joins them with the store of bundles, in one task
//! beside the sessions and a thread for the disk; [`send`] hands over bundles from files. Whom a
//! courier believes is in [`Trust`].

pub mod agent;
mod cache;
pub mod carrier;
mod delivery;
mod disk;
mod driver;
pub mod plan;
pub mod relay;
mod send;
#[cfg(test)]
mod tests;
mod tls;
mod trust;

pub use driver::{BUNDLE_BYTES_MAX, CourierOptions, Deliver, Report, TlsMode, run};
pub use plan::Routing;
pub use send::{SendOptions, SendReport, send};
pub use tls::{Identity, Tls, TlsError};
pub use trust::{Allowed, AllowedError, Evidence, Standing, Trust};
