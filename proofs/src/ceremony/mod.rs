//! Ceremony: how a federation makes a key that nobody has to be trusted for.
//!
//! Two phases, each a [`Chain`] of contributions that peers make one after the other, on whatever links they have. Phase
//! 1 ([`Powers`]) is for all circuits; phase 2 ([`Draft`]) turns its result into the key of one. A key is sound if, in
//! each phase, one contributor drew its secrets at random and forgot them.
//!
//! ```text
//! Chain::powers(size, members)           -> contribute, extend, ..  -> finish(policy): FinishedPowers
//! Chain::circuit(r1cs, powers, members)  -> contribute, extend, ..  -> finish(policy): ProvingKey, Origin::Ceremony
//! ```
//!
//! Powers that are read from bytes or from a file of others begin no key until a pinned hash vouches for them: to look at points
//! does not tell who knows their tau.
//!
//! After BGM17 (Bowe, Gabizon and Miers, eprint 2017/1050), without its random beacon: Kohlweiss, Maller, Siim and Volkhov
//! (2021/219) prove Groth16 sound with such a setup, although the last contributor can bias it. Contributions are checked by
//! random combination, and each names its predecessor.
//!
//! Pure: seeds are inputs, contributions are bytes. Nothing here signs, sends, stores or waits; whoever takes a contribution out of
//! something signed says who signed it, and that has to be the contributor named inside, a member, once. Multiplication is not constant in time, and
//! scratch memory is not wiped: contribute on a machine of your own.

mod assemble;
mod chain;
mod compiled;
mod contribution;
mod draft;
mod explore;
mod knowledge;
mod lagrange;
mod multiply;
mod powers;
mod ptau;
mod ratio;
mod refusal;
mod stage;
#[cfg(test)]
mod tests;

pub use assemble::BeginError;
pub use chain::{Broken, CONTRIBUTIONS_MAX, Chain, FinishError, Policy, Step, best};
pub use compiled::{CompiledCurve, Compiles};
pub use contribution::{Header, hash as contribution_hash};
pub use draft::{Draft, circuit_ceremony, circuit_contribution_bytes_max};
pub use explore::{Fate, Held, explore};
pub use powers::{FinishedPowers, LOG_SIZE_MAX, LogSize, Powers};
pub use ptau::PtauError;
pub use ratio::Coefficients;
pub use refusal::{Part, Refusal};
pub use stage::{PointCounts, Points, Stage};
