//! Refusal: why a contribution does not count, in words for the one who sent it.

use std::fmt;

use longhaul_dtn::codec::CodecError;
use longhaul_dtn::hash::ContentHash;
use longhaul_dtn::identity::{IdentityError, PeerId};

use crate::cp::{KeyError, PointError};

/// What a contribution multiplies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    /// Phase 1: the powers of tau in G1.
    Tau,
    /// Phase 1: the powers of tau in G2.
    TauTwo,
    /// Phase 1: alpha and its powers.
    Alpha,
    /// Phase 1: beta and its powers, and beta in G2.
    Beta,
    /// Phase 2: gamma, and the queries of public inputs.
    Gamma,
    /// Phase 2: delta, and the queries of free wires and of the quotient.
    Delta,
    /// Phase 2: the delta of a block, counted from zero, and the block's bases.
    Block(usize),
}

/// Why a contribution is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// The bytes are not those of a contribution.
    #[error("not a well-formed contribution: {0}")]
    Malformed(#[from] CodecError),
    /// A point is not one, or there are too few or too many.
    #[error("a point of the contribution: {0}")]
    Point(#[from] PointError),
    /// A scalar is not below the group's order.
    #[error("a scalar of the contribution is not in its canonical form")]
    Scalar,
    /// The contribution is on another curve.
    #[error("the contribution is not on {0}")]
    Curve(&'static str),
    /// The contributor's name is no key.
    #[error("the contributor is no peer: {0}")]
    Contributor(#[from] IdentityError),
    /// It names another contributor than who signed it.
    #[error("the contribution is {named}'s by its own word, and {signed_by} signed it")]
    Signer {
        /// Who it says made it.
        named: PeerId,
        /// Whose signature is around it.
        signed_by: PeerId,
    },
    /// Its contributor is not of those who may contribute.
    #[error("{0} is not a member who may contribute")]
    Member(PeerId),
    /// Its contributor has contributed to this chain before.
    #[error("{0} has contributed to this chain already")]
    Again(PeerId),
    /// It is to another ceremony: another phase, size, circuit or other powers of tau.
    #[error("the contribution is to the ceremony {found}, this one is {expected}")]
    Ceremony {
        /// The ceremony it names.
        found: ContentHash,
        /// This ceremony.
        expected: ContentHash,
    },
    /// It does not follow the chain's head.
    #[error("the contribution follows {found}, the head of the chain is {expected}")]
    Predecessor {
        /// The predecessor it names.
        found: ContentHash,
        /// The head.
        expected: ContentHash,
    },
    /// The chain is as long as a chain gets.
    #[error("the chain has {0} contributions, the most there can be")]
    Full(usize),
    /// The contributor has not shown that it knows its factors, here and for these points.
    #[error("the proof of knowledge does not hold for this contributor, position and these points")]
    Knowledge,
    /// A separator, or tau, alpha or beta, is what it was before.
    #[error("{0} is unchanged")]
    Unchanged(Part),
    /// Separators are known, or repeat each other.
    #[error("the separators: {0}")]
    Separators(KeyError),
    /// Points are not all the multiple that they should be.
    #[error("the points under {0} are not all multiplied alike")]
    Ratio(Part),
}

impl fmt::Display for Part {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tau => f.write_str("tau in G1"),
            Self::TauTwo => f.write_str("tau in G2"),
            Self::Alpha => f.write_str("alpha"),
            Self::Beta => f.write_str("beta"),
            Self::Gamma => f.write_str("gamma"),
            Self::Delta => f.write_str("delta"),
            Self::Block(block) => write!(f, "the delta of block {block}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refusals_name_the_part() {
        for (part, text) in [
            (Part::Tau, "tau in G1 is unchanged"),
            (Part::Block(2), "the delta of block 2 is unchanged"),
        ] {
            assert_eq!(Refusal::Unchanged(part).to_string(), text);
        }
    }
}
