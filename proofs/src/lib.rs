//! How an update is proven: statements that hold for who may not see what they are about.
//!
//! [`s1`] shows that an update's entries are int8 values within a policy's bounds, to a relay or an auditor that cannot read it.
//! [`s2`] shows that an aggregate is exactly the weighted sum of proven updates, to a peer that has none of them.
//! Both rest on [`cp`], Groth16 with commitments, over BN254 or BLS12-381 ([`curve`]), and their keys come from a [`ceremony`].
//!
//! A proof says what it says and no more: a bounded update is not an honest one. Nothing here draws
//! entropy ([`seed`]), reads a clock or does IO; sums run on the threads of the caller's rayon pool, and their results
//! do not depend on how many there are.

#![forbid(unsafe_code)]

pub mod ceremony;
pub mod cp;
pub mod curve;
pub mod s1;
pub mod s2;
pub mod s3;
pub mod seed;
pub mod update;
