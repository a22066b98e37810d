//! Endpoint ids of the `dtn` scheme (RFC 9171 section 4.2.5.1.1).
//!
//! A peer is `dtn://<peer id>/…`; the null endpoint is `dtn:none`. The `ipn`
//! scheme is not spoken. The accepted alphabet is narrower than the RFC's so
//! that one endpoint has one spelling: no percent-encoding, no capitals in the
//! authority.

use std::fmt;

use crate::codec::{CodecError, Reader, Writer};
use crate::identity::PeerId;

/// Longest endpoint id, in bytes of its scheme-specific part.
pub const EID_BYTES_MAX: usize = 255;

/// The code of the `dtn` scheme (IANA, Bundle Protocol URI Scheme Types).
const SCHEME_DTN: u64 = 1;

/// An endpoint id: `dtn:none` or `dtn://<authority>/<path>`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Eid(Option<Name>);

#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Name {
    authority: String,
    path: String,
}

/// Why something is not an endpoint id that Longhaul speaks.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EidError {
    /// Neither `dtn:none` nor `dtn://<authority>/<path>`.
    #[error("an endpoint id is dtn:none or dtn://<authority>/<path>")]
    Form,
    /// The authority is empty or has characters outside `a-z0-9-._`.
    #[error("the authority of an endpoint id is made of a-z, 0-9, '-', '.' and '_'")]
    Authority,
    /// The path has characters that are not visible ASCII.
    #[error("the path of an endpoint id is made of visible ASCII characters")]
    Path,
    /// Longer than [`EID_BYTES_MAX`]; holds its length.
    #[error("an endpoint id has at most {EID_BYTES_MAX} bytes, found {0}")]
    Length(usize),
}

impl Eid {
    /// The null endpoint, `dtn:none`.
    pub const fn none() -> Self {
        Self(None)
    }

    /// The endpoint `dtn://<authority>/<path>`.
    pub fn dtn(authority: &str, path: &str) -> Result<Self, EidError> {
        let len = authority.len() + path.len() + "///".len();
        if len > EID_BYTES_MAX {
            return Err(EidError::Length(len));
        }
        let allowed = |c: u8| matches!(c, b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_');
        if authority.is_empty() || !authority.bytes().all(allowed) {
            return Err(EidError::Authority);
        }
        if !path.bytes().all(|c| c.is_ascii_graphic()) {
            return Err(EidError::Path);
        }
        Ok(Self(Some(Name { authority: authority.to_owned(), path: path.to_owned() })))
    }

    /// The endpoint `dtn://<peer id>/<path>`.
    pub fn of_peer(peer: &PeerId, path: &str) -> Result<Self, EidError> {
        Self::dtn(&peer.to_string(), path)
    }

    /// The part before the path; none for `dtn:none`.
    pub fn authority(&self) -> Option<&str> {
        self.0.as_ref().map(|name| name.authority.as_str())
    }

    /// The part behind the authority; none for `dtn:none`.
    pub fn path(&self) -> Option<&str> {
        self.0.as_ref().map(|name| name.path.as_str())
    }

    /// The peer whose id is the authority, if it is one.
    pub fn peer(&self) -> Option<PeerId> {
        self.authority()?.parse().ok()
    }

    /// Writes the endpoint id (RFC 9171 section 4.2.5.1).
    pub fn write(&self, writer: &mut Writer) {
        writer.array(2).unsigned(SCHEME_DTN);
        match &self.0 {
            None => writer.unsigned(0),
            Some(name) => writer.text(&format!("//{}/{}", name.authority, name.path)),
        };
    }

    /// Reads an endpoint id, strictly.
    pub fn read(reader: &mut Reader<'_>) -> Result<Self, CodecError> {
        reader.tuple(2)?;
        let at = reader.invalid("the dtn scheme");
        if reader.unsigned(u64::MAX)? != SCHEME_DTN {
            return Err(at);
        }
        if reader.clone().unsigned(0).is_ok() {
            reader.unsigned(0)?;
            return Ok(Self::none());
        }
        let at = reader.invalid("an endpoint id of the accepted alphabet");
        let text = reader.text(EID_BYTES_MAX)?;
        Self::from_specific_part(text).map_err(|_| at)
    }

    fn from_specific_part(text: &str) -> Result<Self, EidError> {
        let text = text.strip_prefix("//").ok_or(EidError::Form)?;
        let (authority, path) = text.split_once('/').ok_or(EidError::Form)?;
        Self::dtn(authority, path)
    }
}

impl fmt::Display for Eid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            None => f.write_str("dtn:none"),
            Some(name) => write!(f, "dtn://{}/{}", name.authority, name.path),
        }
    }
}

impl std::str::FromStr for Eid {
    type Err = EidError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text.strip_prefix("dtn:") {
            Some("none") => Ok(Self::none()),
            Some(specific) => Self::from_specific_part(specific),
            None => Err(EidError::Form),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::identity::SecretKey;
    use proptest::prelude::*;

    fn encoded(eid: &Eid) -> Vec<u8> {
        let mut writer = Writer::new();
        eid.write(&mut writer);
        writer.into_bytes()
    }

    #[test]
    fn encodes_the_null_endpoint_as_zero() {
        assert_eq!(encoded(&Eid::none()), [0x82, 0x01, 0x00]);
        assert_eq!(Eid::read(&mut Reader::new(&[0x82, 0x01, 0x00])), Ok(Eid::none()));
    }

    #[test]
    fn names_the_peer_it_belongs_to() {
        let peer = SecretKey::from_seed(&[1; 32]).peer_id();
        let eid = Eid::of_peer(&peer, "updates").unwrap();
        assert_eq!(eid.to_string(), format!("dtn://{peer}/updates"));
        assert_eq!(eid.peer(), Some(peer));
        assert_eq!(Eid::none().peer(), None);
        assert_eq!(Eid::dtn("somewhere", "").unwrap().peer(), None);
    }

    #[test]
    fn refuses_malformed_texts() {
        for (text, error) in [
            ("ipn:1.2", EidError::Form),
            ("dtn:", EidError::Form),
            ("dtn://a", EidError::Form),
            ("dtn:/a/b", EidError::Form),
            ("dtn:///b", EidError::Authority),
            ("dtn://A/b", EidError::Authority),
            ("dtn://a%41/b", EidError::Authority),
            ("dtn://a/b c", EidError::Path),
            ("dtn://a/ü", EidError::Path),
        ] {
            assert_eq!(text.parse::<Eid>(), Err(error), "{text}");
        }
        assert_eq!(Eid::dtn("a", &"b".repeat(252)), Err(EidError::Length(256)));
        assert!(Eid::dtn("a", &"b".repeat(251)).is_ok());
    }

    #[test]
    fn refuses_other_schemes_and_spellings_on_the_wire() {
        for bytes in [
            &[0x82, 0x02, 0x82, 0x01, 0x01][..],
            &[0x82, 0x01, 0x01],
            &[0x82, 0x01, 0x64, b'n', b'o', b'n', b'e'],
            &[0x82, 0x18, 0x01, 0x00],
            &[0x83, 0x01, 0x00, 0x00],
            &[0x9f, 0x01, 0x00, 0xff],
        ] {
            assert!(Eid::read(&mut Reader::new(bytes)).is_err(), "{bytes:x?}");
        }
    }

    proptest! {
        #[test]
        fn reads_back_both_forms(authority in "[a-z0-9._-]{1,60}", path in "[!-~]{0,60}") {
            let eid = Eid::dtn(&authority, &path).unwrap();
            prop_assert_eq!(eid.to_string().parse(), Ok(eid.clone()));
            let bytes = encoded(&eid);
            let mut reader = Reader::new(&bytes);
            prop_assert_eq!(Eid::read(&mut reader), Ok(eid));
            prop_assert!(reader.is_at_end());
        }
    }
}
