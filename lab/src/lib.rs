//! Learning experiments with robust rules and attacks, without a network.
//!
//! Synchronous rounds of a small perceptron among peers with skewed labels, so that a table of
//! rules against attacks takes minutes. What a federation does over a real network is the
//! simulator's to say; here the question is which rule to put into a manifest.

pub mod adversary;
pub mod catalogue;
pub mod defence;
pub mod draw;
pub mod gossip;
pub mod lateness;
pub mod local_sgd;
pub mod momentum_sgd;
pub mod network;
pub mod samples;
pub mod stale_sgd;
pub mod stretch;
pub mod table;
pub mod wire;
