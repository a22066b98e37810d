//! Commit-and-prove Groth16 over any [`Curve`](crate::curve::Curve), with several committed blocks.
//!
//! Groth16 (eprint 2016/260) whose witness is `public inputs | block 1 | .. | block k | free`. Each block has a secret
//! `delta_j` of its own, as the free part has `delta` and the inputs have `gamma`. With `q_i = beta A_i + alpha B_i + C_i` at `tau`:
//!
//! ```text
//! D_j = sum over block j of w_i [q_i / delta_j]  +  v_j [delta]
//! A   = [alpha + sum w_i A_i + r delta]      B = [beta + sum w_i B_i + s delta]
//! C   = sum over free of w_i [q_i / delta]  +  [h z / delta]  +  s A + r B - r s [delta]  -  sum v_j [delta_j]
//! e(A, B) = e(alpha, beta) e(inputs, gamma) prod e(D_j, delta_j) e(C, delta)
//! ```
//!
//! Expanding the last line, `delta_j D_j` gives `sum w_i q_i + v_j delta delta_j`, and `delta C` gives `- v_j delta delta_j`: the blinders
//! cancel, and what is left is Groth16's equation. So `D_j` is a Pedersen commitment to the block
//! in the bases `[q_i / delta_j]` and `[delta]`, in which it can be opened and added outside of the proof. With
//! `v_j` uniform it is uniform, whatever the block: perfectly hiding. `r` and `s` make `A` and `B` uniform and
//! the equation fixes `C`, so proofs are perfectly zero-knowledge as Groth16's are.
//!
//! The idea of committing through the proof's own key is LegoSNARK's (eprint 2019/142, ccGroth16); several parts and
//! a challenge drawn from one are Mirage's (2020/278) and BSB22's (2022/1072). Here the blinders' base is `[delta]`,
//! which every key has, and `[delta_j]` in G1 is the only thing that a key has in addition. `docs/proofs.md` has the
//! soundness argument, with what a malicious prover can still put into a `D_j`.
//!
//! The proof system is written here and not called, since the stock prover sums one query after the other and knows
//! nothing of repeated values; tests hold it against ark-groth16, whose verifier accepts our proofs without blocks.
//!
//! Rules, each with its test: the challenge covers everything ([`Claim`]); public inputs are counted; a witness is
//! checked against the constraints, and a proof is verified, before it leaves ([`Prover`]); every hidden block is blinded;
//! points are read strictly ([`Proof::decode`]); keys with known or repeated separators are refused
//! ([`VerifyingKey::check`]); a proof's bytes name nothing ([`StatementId`]).

pub(crate) mod affine;
mod claim;
mod key;
pub(crate) mod msm;
pub(crate) mod points;
mod proof;
mod prover;
mod proving;
pub(crate) mod quotient;
mod r1cs;
mod setup;
#[cfg(test)]
mod tests;
mod verifier;

pub(crate) use key::check_separators;
pub(crate) use r1cs::Matrix;
#[cfg(test)]
pub(crate) use setup::key_of_secrets;
pub(crate) use verifier::coefficients;

pub use claim::{Claim, StatementId};
pub use key::{BLOCKS_MAX, CircuitId, INPUTS_MAX, KeyError, Origin, SHOWN_WIRES_MAX, VerifyingKey};
pub use msm::{Grouped, sum_wide};
pub use points::PointError;
pub use proof::Proof;
pub use prover::{Committed, ProveError, Prover};
pub use proving::{Basis, ProvingKey};
pub use r1cs::{Combination, Layout, R1cs, Unsatisfied, Wire};
pub use setup::development_key;
pub use verifier::{Claimed, Verifier, VerifyError};
