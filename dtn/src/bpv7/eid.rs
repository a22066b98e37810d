//! Endpoint ids (RFC 9171 section 4.2.5; RFC 9758 for `ipn`).
//!
//! A value keeps the form in which it came, since `ipn` endpoints have two: of two elements,
//! where the allocator is the upper half of the node number, and of three. Both name one endpoint:
//! [`EndpointId::is_same`]. Nodes of the default allocator, zero, have the first form alone, which
//! RFC 9758 section 6.1.2 recommends for them.

use std::fmt;
use std::str::FromStr;

use crate::codec::{CodecError, Reader, Writer};

const SCHEME_DTN: u64 = 1;
const SCHEME_IPN: u64 = 2;
/// Longest `dtn` endpoint, in bytes behind the scheme.
const DTN_BYTES_MAX: usize = 1024;
/// The node number of whoever reads it (RFC 9758 section 3.4.2).
const LOCAL_NODE: u32 = u32::MAX;

/// An endpoint id.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum EndpointId {
    /// `dtn:none`.
    None,
    /// `dtn://node/demux`; holds what stands behind `//`.
    Dtn(DtnName),
    /// `ipn:allocator.node.service`.
    Ipn {
        /// Who gave the node its number; zero by default.
        allocator: u32,
        /// The node.
        node: u32,
        /// The service.
        service: u32,
        /// How it is written.
        form: IpnForm,
    },
}

/// How an `ipn` endpoint is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum IpnForm {
    /// `[allocator * 2^32 + node, service]`.
    Two,
    /// `[allocator, node, service]`.
    Three,
}

/// What stands behind `dtn://`: the node's name, a slash and the demux part.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct DtnName(String);

/// Why a text or values are no endpoint id.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "use dtn:none, dtn://NODE/DEMUX of visible ASCII, ipn:NODE.SERVICE or ipn:ALLOCATOR.NODE.SERVICE"
)]
pub struct EndpointIdError;

impl EndpointId {
    /// `dtn://<node>/<demux>`; the node has letters, digits, `-`, `.`, `_` and `~`, the demux part
    /// visible ASCII.
    pub fn dtn(node: &str, demux: &str) -> Result<Self, EndpointIdError> {
        let name = format!("{node}/{demux}");
        let is_sound = is_node(node) && is_demux(demux) && name.len() + 2 <= DTN_BYTES_MAX;
        if is_sound { Ok(Self::Dtn(DtnName(name))) } else { Err(EndpointIdError) }
    }

    /// `ipn:<node>.<service>` of the default allocator.
    pub const fn ipn(node: u32, service: u32) -> Self {
        Self::Ipn { allocator: 0, node, service, form: IpnForm::Two }
    }

    /// True for an endpoint that nobody is registered in.
    pub const fn is_none(&self) -> bool {
        matches!(self, Self::None | Self::Ipn { allocator: 0, node: 0, service: 0, .. })
    }

    /// True for an endpoint of whichever node reads it, which means nothing to another (RFC 9758
    /// section 3.4.2).
    pub const fn is_local_node(&self) -> bool {
        matches!(self, Self::Ipn { allocator: 0, node: LOCAL_NODE, .. })
    }

    /// True if both name one endpoint.
    pub fn is_same(&self, other: &Self) -> bool {
        self.is_none() && other.is_none() || self.in_two() == other.in_two()
    }

    /// The endpoint with an `ipn` of two elements.
    fn in_two(&self) -> Self {
        match *self {
            Self::Ipn { allocator, node, service, .. } => {
                Self::Ipn { allocator, node, service, form: IpnForm::Two }
            }
            _ => self.clone(),
        }
    }

    /// The node: `dtn://<node>/` or `ipn:<node>.0`.
    pub fn node(&self) -> Self {
        match self {
            Self::None => Self::None,
            Self::Dtn(name) => Self::Dtn(DtnName(format!("{}/", name.node()))),
            &Self::Ipn { allocator, node, .. } => {
                Self::Ipn { allocator, node, service: 0, form: IpnForm::Two }
            }
        }
    }

    /// Writes the endpoint id.
    pub fn write(&self, writer: &mut Writer) {
        writer.array(2);
        match *self {
            Self::None => writer.unsigned(SCHEME_DTN).unsigned(0),
            Self::Dtn(ref name) => writer.unsigned(SCHEME_DTN).text(&format!("//{}", name.0)),
            Self::Ipn { allocator, node, service, form }
                if form == IpnForm::Two || allocator == 0 =>
            {
                let number = u64::from(allocator) << 32 | u64::from(node);
                writer.unsigned(SCHEME_IPN).array(2).unsigned(number).unsigned(service.into())
            }
            Self::Ipn { allocator, node, service, .. } => {
                writer.unsigned(SCHEME_IPN).array(3);
                writer.unsigned(allocator.into()).unsigned(node.into()).unsigned(service.into())
            }
        };
    }

    /// Reads an endpoint id, strictly.
    pub fn read(reader: &mut Reader<'_>) -> Result<Self, CodecError> {
        reader.tuple(2)?;
        let at = reader.invalid("the scheme dtn (1) or ipn (2)");
        match reader.unsigned(u64::MAX)? {
            SCHEME_DTN => Self::read_dtn(reader),
            SCHEME_IPN => Self::read_ipn(reader),
            _ => Err(at),
        }
    }

    fn read_dtn(reader: &mut Reader<'_>) -> Result<Self, CodecError> {
        if reader.clone().unsigned(0).is_ok() {
            reader.unsigned(0)?;
            return Ok(Self::None);
        }
        let at = reader.invalid("//NODE/DEMUX of visible ASCII");
        let text = reader.text(DTN_BYTES_MAX)?;
        let parts = text.strip_prefix("//").and_then(|name| name.split_once('/'));
        parts.and_then(|(node, demux)| Self::dtn(node, demux).ok()).ok_or(at)
    }

    fn read_ipn(reader: &mut Reader<'_>) -> Result<Self, CodecError> {
        let at = reader.invalid("two or three numbers");
        let small = |reader: &mut Reader<'_>| {
            let at = reader.invalid("a number of 32 bits");
            u32::try_from(reader.unsigned(u32::MAX.into())?).map_err(|_| at)
        };
        let found = match reader.array(3)? {
            2 => {
                let number = reader.unsigned(u64::MAX)?;
                // Halves of 64 bits.
                let (allocator, node) = ((number >> 32) as u32, number as u32);
                let service = small(reader)?;
                Self::Ipn { allocator, node, service, form: IpnForm::Two }
            }
            3 => {
                let default = reader.invalid("an allocator other than 0, which goes without");
                let (allocator, node) = (small(reader)?, small(reader)?);
                if allocator == 0 {
                    return Err(default);
                }
                let service = small(reader)?;
                Self::Ipn { allocator, node, service, form: IpnForm::Three }
            }
            _ => return Err(at),
        };
        // The null endpoint has service 0 (RFC 9758 section 3.4.1).
        match found {
            Self::Ipn { allocator: 0, node: 0, service: 1.., .. } => Err(at),
            found => Ok(found),
        }
    }
}

impl DtnName {
    /// The node's name.
    pub fn node(&self) -> &str {
        self.0.split_once('/').map_or("", |(node, _)| node)
    }

    /// The part behind it.
    pub fn demux(&self) -> &str {
        self.0.split_once('/').map_or("", |(_, demux)| demux)
    }
}

fn is_node(text: &str) -> bool {
    let allowed = |c: u8| c.is_ascii_alphanumeric() || matches!(c, b'-' | b'.' | b'_' | b'~');
    !text.is_empty() && text.bytes().all(allowed)
}

fn is_demux(text: &str) -> bool {
    text.bytes().all(|c| c.is_ascii_graphic() && c != b'%')
}

impl fmt::Display for EndpointId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::None => f.write_str("dtn:none"),
            Self::Dtn(ref name) => write!(f, "dtn://{}", name.0),
            Self::Ipn { allocator: 0, node: LOCAL_NODE, service, .. } => {
                write!(f, "ipn:!.{service}")
            }
            Self::Ipn { allocator: 0, node, service, .. } => write!(f, "ipn:{node}.{service}"),
            Self::Ipn { allocator, node, service, .. } => {
                write!(f, "ipn:{allocator}.{node}.{service}")
            }
        }
    }
}

impl FromStr for EndpointId {
    type Err = EndpointIdError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text.split_once(':').ok_or(EndpointIdError)? {
            ("dtn", "none") => Ok(Self::None),
            ("dtn", name) => {
                let name = name.strip_prefix("//").and_then(|name| name.split_once('/'));
                let (node, demux) = name.ok_or(EndpointIdError)?;
                Self::dtn(node, demux)
            }
            ("ipn", numbers) => parse_ipn(numbers).ok_or(EndpointIdError),
            _ => Err(EndpointIdError),
        }
    }
}

fn parse_ipn(text: &str) -> Option<EndpointId> {
    let number = |text: &str| {
        let plain =
            text == "0" || !text.starts_with('0') && text.bytes().all(|c| c.is_ascii_digit());
        text.parse::<u64>().ok().filter(|_| plain)
    };
    let node = |text: &str| match text {
        "!" => Some(LOCAL_NODE),
        text => number(text).and_then(|it| u32::try_from(it).ok()),
    };
    let parts: Vec<&str> = text.split('.').collect();
    let (allocator, node, service) = match parts[..] {
        [one, service] => (0, node(one)?, number(service)?.try_into().ok()?),
        [allocator, one, service] => {
            let small = |text: &str| number(text).and_then(|it| u32::try_from(it).ok());
            (small(allocator)?, small(one)?, small(service)?)
        }
        _ => return None,
    };
    let nobody = allocator == 0 && node == 0 && service > 0;
    (!nobody).then_some(EndpointId::Ipn { allocator, node, service, form: IpnForm::Two })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn bytes(eid: &EndpointId) -> Vec<u8> {
        let mut writer = Writer::new();
        eid.write(&mut writer);
        writer.into_bytes()
    }

    #[test]
    fn writes_the_encodings_of_rfc_9171_and_rfc_9758() {
        let three =
            EndpointId::Ipn { allocator: 977_000, node: 5279, service: 1, form: IpnForm::Three };
        let two =
            EndpointId::Ipn { allocator: 977_000, node: 5279, service: 1, form: IpnForm::Two };
        for (eid, expected) in [
            (EndpointId::None, &[0x82, 1, 0][..]),
            (EndpointId::ipn(0, 0), &[0x82, 2, 0x82, 0, 0]),
            (EndpointId::ipn(1, 2), &[0x82, 2, 0x82, 1, 2]),
            (two.clone(), &[0x82, 2, 0x82, 0x1b, 0, 0x0e, 0xe8, 0x68, 0, 0, 0x14, 0x9f, 1]),
            (three.clone(), &[0x82, 2, 0x83, 0x1a, 0, 0x0e, 0xe8, 0x68, 0x19, 0x14, 0x9f, 1]),
        ] {
            assert_eq!(bytes(&eid), expected, "{eid}");
            assert_eq!(EndpointId::read(&mut Reader::new(expected)), Ok(eid));
        }
        assert!(two.is_same(&three) && two != three && two.to_string() == three.to_string());
        assert!(EndpointId::None.is_same(&EndpointId::ipn(0, 0)));
        assert!(!EndpointId::None.is_same(&EndpointId::ipn(1, 0)));
    }

    #[test]
    fn reads_and_writes_texts() {
        for text in [
            "dtn:none",
            "dtn://a-B.c_~9/",
            "dtn://n/x/y?z=1",
            "ipn:0.0",
            "ipn:1.2",
            "ipn:!.7",
            "ipn:3.4.5",
        ] {
            let eid: EndpointId = text.parse().expect(text);
            assert_eq!(eid.to_string(), text);
        }
        for text in [
            "",
            "dtn:",
            "dtn://",
            "dtn://a",
            "dtn:///b",
            "dtn://ü/",
            "dtn://a/b c",
            "dtn://a/%20",
            "ipn:1",
            "ipn:1.2.3.4",
            "ipn:01.2",
            "ipn:+1.2",
            "ipn:4294967296.1",
            "ipn:0.1",
            "mailto:x",
        ] {
            assert_eq!(text.parse::<EndpointId>(), Err(EndpointIdError), "{text}");
        }
        let node = |text: &str| text.parse::<EndpointId>().expect(text).node().to_string();
        assert_eq!(
            (node("dtn://a/b"), node("ipn:5.6")),
            ("dtn://a/".to_owned(), "ipn:5.0".to_owned())
        );
    }

    #[test]
    fn refuses_other_schemes_lengths_and_values() {
        for bytes in [
            &[0x82, 0, 0][..],
            &[0x82, 3, 0],
            &[0x82, 1, 1],
            &[0x82, 1, 0x64, b'n', b'o', b'n', b'e'],
            &[0x82, 1, 0x62, b'/', b'/'],
            &[0x82, 2, 0x81, 1],
            &[0x82, 2, 0x84, 0, 1, 2, 3],
            &[0x82, 2, 0x82, 0, 1],
            &[0x82, 2, 0x83, 0, 5, 1],
            &[0x82, 2, 0x83, 0x1b, 0, 0, 0, 1, 0, 0, 0, 0, 1, 1],
            &[0x82, 2, 0x9f, 1, 1, 0xff],
            &[0x83, 1, 0, 0],
        ] {
            assert!(EndpointId::read(&mut Reader::new(bytes)).is_err(), "{bytes:02x?}");
        }
    }

    proptest! {
        #[test]
        fn reads_back_what_it_writes(
            allocator in 1_u32.., node in 1_u32.., service: u32, three: bool,
            name in "[a-zA-Z0-9._~-]{1,40}", demux in "[!-$&-~]{0,40}",
        ) {
            let form = if three { IpnForm::Three } else { IpnForm::Two };
            let ipn = EndpointId::Ipn { allocator, node, service, form };
            let dtn = EndpointId::dtn(&name, &demux).expect("of the alphabet");
            for eid in [ipn, dtn] {
                prop_assert_eq!(EndpointId::read(&mut Reader::new(&bytes(&eid))), Ok(eid.clone()));
                let text: EndpointId = eid.to_string().parse().expect("what it says");
                prop_assert!(text.is_same(&eid));
            }
        }
    }
}
