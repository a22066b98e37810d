//! Bundle id: the name of a bundle on every contact, log and index.

use std::fmt;

use crate::hash::ContentHash;
use crate::identity::Signature;

const ID_CONTEXT: &str = "longhaul 2026 bundle id v2";

/// The name of a bundle: a hash over what its author signed, and the signature.
///
/// Hop count and age are not part of it; copies of a bundle that took different
/// ways have one id.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct BundleId(ContentHash);

impl BundleId {
    /// The name of a bundle: blake3 derive-key under `"longhaul 2026 bundle id v2"` over the blake3
    /// hash of the encoded primary block, the data of the integrity block and the signature.
    pub(super) fn of(primary: &[u8], claims: &[u8], signature: &Signature) -> Self {
        let primary = ContentHash::of(primary);
        let parts = [&primary.as_bytes()[..], claims, signature.as_bytes()];
        Self(ContentHash::derive(ID_CONTEXT, &parts.concat()))
    }

    /// The hash, for the wire and for indexes.
    pub const fn as_hash(&self) -> &ContentHash {
        &self.0
    }

    /// Takes a hash that is a bundle id already, as read from the wire.
    pub const fn from_hash(hash: ContentHash) -> Self {
        Self(hash)
    }

    /// The first 10 hexadecimal digits, for people; never compare these.
    pub fn short(&self) -> String {
        self.0.short()
    }
}

impl fmt::Display for BundleId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Debug for BundleId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "BundleId({})", self.short())
    }
}
