//! Everything of a peer that touches the world: disk, network, clock, entropy
//! and the command line. Only here may time be read or a file opened.

pub mod bundles;
pub mod clock;
pub mod courier;
pub mod entropy;
#[cfg(feature = "train")]
mod fresh;
mod lock;
pub mod net;
mod plain;
mod private;
pub mod store;
mod tally;

#[cfg(feature = "train")]
mod ceremony;
#[cfg(feature = "train")]
pub mod cli;
#[cfg(feature = "train")]
pub mod config;
#[cfg(feature = "train")]
#[expect(clippy::disallowed_methods, reason = "the demo watches real processes in real time")]
mod demo;
#[cfg(feature = "train")]
pub mod driver;
#[cfg(feature = "train")]
mod folder;
#[cfg(feature = "train")]
mod pipe;
#[cfg(feature = "train")]
mod proving_keys;
#[cfg(feature = "train")]
mod report;
#[cfg(feature = "train")]
mod room;
pub mod size;
#[cfg(feature = "train")]
mod task;
#[cfg(feature = "train")]
mod when;
