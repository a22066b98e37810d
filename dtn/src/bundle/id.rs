//! Bundle id: the name of a bundle on every contact, log and index.

use std::fmt;

use super::integrity::Integrity;
use crate::hash::ContentHash;

const ID_CONTEXT: &str = "longhaul 2026 bundle id v1";

/// The name of a bundle: a hash over what its author signed, and the signature.
///
/// Hop count and age are not part of it; copies of a bundle that took different
/// ways have one id.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct BundleId(ContentHash);

impl BundleId {
    pub(super) fn of(integrity: &Integrity) -> Self {
        Self(ContentHash::derive(ID_CONTEXT, &integrity.encode()))
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
