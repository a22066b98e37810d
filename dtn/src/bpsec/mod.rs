//! BPSec with COSE: who signed which blocks of a bundle, and who may read them.
//!
//! RFC 9172 has the security blocks, draft-ietf-dtn-bpsec-cose-16 the context (number 3) that puts
//! COSE messages (RFC 9052) into them: an integrity block holds a COSE_Sign1 for each target,
//! signed with Ed25519 (algorithm -19, RFC 9864), a confidentiality block a COSE_Encrypt0 (AES-256-GCM,
//! algorithm 3). Payloads are detached: the target's data are what is signed, or what
//! stands there encrypted. What else a signature binds is the [`AadScope`]: by default the
//! primary block and what stands before the data of the target and of the security block.
//!
//! [`operation`] gives the structure that any COSE algorithm signs, tags or encrypts, so that
//! messages of other algorithms can be checked by who has them.
//!
//! Not here: certificates, COSE messages of several layers (COSE_Sign, COSE_Mac, COSE_Encrypt).

mod confidentiality;
mod integrity;
mod message;
mod operation;
mod scope;

pub(crate) use self::confidentiality::{A256GCM, NONCE_BYTES};
pub use self::confidentiality::{ContentKey, Nonce, decrypt, encrypt};
pub use self::integrity::{ED25519, Signed, sign, verify};
pub use self::message::{CoseMessage, MessageKind};
pub(crate) use self::operation::{Covering, Seen, View};
pub use self::operation::{Operation, operation};
pub use self::scope::{AadScope, Covered, ScopeKey};

use crate::bpv7::BundleError;
use crate::codec::CodecError;

/// The security context of COSE.
pub const COSE_CONTEXT: u64 = 3;

/// Why a security operation can't be made or does not hold.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SecurityError {
    /// There is no such block.
    #[error("there is no block {0}")]
    NoBlock(u64),
    /// The block is no security block of the COSE context, or not of this kind.
    #[error("block {0} is no such block of the COSE context")]
    NotCose(u64),
    /// The block says nothing about that target.
    #[error("block {block} says nothing about block {target}")]
    NotTarget {
        /// The security block.
        block: u64,
        /// The target.
        target: u64,
    },
    /// A parameter, a result or a message is malformed.
    #[error("malformed COSE: {0}")]
    Malformed(#[from] CodecError),
    /// A message says that something has to be understood that is not.
    #[error("a COSE message with a critical header")]
    Critical,
    /// A message of an algorithm or a key that is not known here.
    #[error("COSE algorithm {0} is not known here")]
    Algorithm(i64),
    /// A message does not say whose key it is, or not so that it can be used.
    #[error("no usable key identifier in the COSE message")]
    Key,
    /// The scope speaks of a block that is not there, or of data that cannot be covered.
    #[error("the scope of what is covered names block {0}, which it can't")]
    Scope(i64),
    /// The signature does not hold.
    #[error("the signature of block {block} over block {target} does not match")]
    Signature {
        /// The security block.
        block: u64,
        /// The target.
        target: u64,
    },
    /// The data cannot be decrypted with this key, or were changed.
    #[error("block {0} cannot be decrypted with this key")]
    Decryption(u64),
    /// The bundle would be none with the block.
    #[error(transparent)]
    Bundle(#[from] BundleError),
}
