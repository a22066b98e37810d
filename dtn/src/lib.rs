//! How an update travels: signed bundles, contacts, and the vocabulary that
//! every crate to the right shares (content hash, identity, codec, time).
//!
//! Nothing here reads a clock, a file, a socket or entropy, and nothing is
//! async: the contact protocol is a machine that takes inputs and gives
//! outputs. dtn judges nothing: value and meaning of a bundle belong to the
//! crates to the right.

pub mod agent;
pub mod bpsec;
pub mod bpv7;
pub mod bundle;
pub mod codec;
pub mod eid;
pub mod frame;
pub mod groups;
pub mod hash;
pub mod identity;
pub mod keyring;
pub mod routing;
pub mod sketch;
pub mod tcpcl;
pub mod time;
