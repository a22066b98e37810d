//! Federation id: the name of a manifest.
//!
//! A federation is nothing but its manifest, so its id is the hash of the
//! manifest's canonical body (design: "its hash is the federation id"). Two
//! manifests that differ in one bit are two federations.

use std::fmt;

use longhaul_dtn::codec::{CodecError, Reader, Writer};
use longhaul_dtn::hash::{ContentHash, ParseHashError};

/// The hash of a manifest's canonical body. Shown as 64 hexadecimal digits.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct FederationId(ContentHash);

impl FederationId {
    const CONTEXT: &'static str = "longhaul 2026 federation id v1";

    /// The id of the federation whose manifest has this canonical body.
    pub(crate) fn of_body(body: &[u8]) -> Self {
        Self(ContentHash::derive(Self::CONTEXT, body))
    }

    /// Takes a hash that names a federation already, as read from the wire.
    pub const fn from_hash(hash: ContentHash) -> Self {
        Self(hash)
    }

    /// The hash, for the wire.
    pub const fn as_hash(&self) -> &ContentHash {
        &self.0
    }

    /// The hash, copied: the opaque scope of contacts and update headers.
    pub const fn hash(&self) -> ContentHash {
        self.0
    }

    /// The first 10 hexadecimal digits, for people; never compare these.
    pub fn short(&self) -> String {
        self.0.short()
    }
}

impl fmt::Display for FederationId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Debug for FederationId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "FederationId({})", self.short())
    }
}

impl std::str::FromStr for FederationId {
    type Err = ParseHashError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        text.parse().map(Self)
    }
}

/// The version of messages that begin with tag, version and federation.
const FRONT_VERSION: u64 = 1;

/// Writes how a message for one federation begins: what [`read_front`] reads.
pub(crate) fn write_front<'a>(
    writer: &'a mut Writer,
    tag: &str,
    federation: &FederationId,
) -> &'a mut Writer {
    writer.text(tag).unsigned(FRONT_VERSION).bytes(federation.as_hash().as_bytes())
}

/// Reads how a message for one federation begins: its tag, version 1 and the federation. `word` is what to expect instead of another
/// tag, for people.
pub(crate) fn read_front(
    reader: &mut Reader<'_>,
    (tag, word): (&str, &'static str),
) -> Result<FederationId, CodecError> {
    let other = reader.invalid(word);
    if reader.text(tag.len())? != tag {
        return Err(other);
    }
    let other = reader.invalid("version 1");
    if reader.unsigned(u64::MAX)? != FRONT_VERSION {
        return Err(other);
    }
    Ok(FederationId::from_hash(ContentHash::from_bytes(reader.fixed()?)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_back_the_text_form() {
        let id = FederationId::of_body(b"body");
        assert_eq!(id.to_string().parse(), Ok(id));
        assert!("body".parse::<FederationId>().is_err());
    }

    #[test]
    fn is_no_plain_content_hash() {
        assert_ne!(FederationId::of_body(b"body").as_hash(), &ContentHash::of(b"body"));
    }
}
