//! Address: who a peer is and where it may be reached.
//!
//! A Longhaul peer id is an Ed25519 public key, and so is the key behind a
//! libp2p peer id; this file is the bridge between the two names. People write
//! `<peer id>@<multiaddr>`, with the 52-character id that every other command
//! prints, and literal IP addresses: nothing here asks a name server.

use std::fmt;
use std::str::FromStr;

use libp2p::Multiaddr;
use libp2p::identity::{Keypair, PublicKey, ed25519};
use libp2p::multiaddr::Protocol;
use longhaul_dtn::identity::{IdentityError, PeerId, SecretKey};

/// A peer and one place where it listens, `<peer id>@/ip4/…/tcp/…`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct PeerAddress {
    peer: PeerId,
    address: Multiaddr,
}

/// Why a text is not an address to dial or to listen at.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AddressError {
    /// There is no `@` between peer id and address.
    #[error("expected <peer id>@<address>, as in abcd…@/ip4/192.0.2.1/tcp/4242")]
    Form,
    /// The part before the `@` is not a peer id.
    #[error("the part before the @ is not a peer id: {0}")]
    Peer(#[from] IdentityError),
    /// The address is not a multiaddr; holds the parser's words.
    #[error("not a multiaddr: {0}")]
    Multiaddr(String),
    /// The address is none of the kinds that a peer can dial.
    #[error(
        "expected /ip4 or /ip6 with /tcp/<port> or /udp/<port>/quic-v1, and nothing more, found {0}"
    )]
    Unsupported(Multiaddr),
}

impl PeerAddress {
    /// Pairs a peer with an address; refuses kinds that cannot be dialled.
    pub fn new(peer: PeerId, address: Multiaddr) -> Result<Self, AddressError> {
        let address = check(address)?;
        Ok(Self { peer, address })
    }

    /// Who listens there.
    pub const fn peer(&self) -> PeerId {
        self.peer
    }

    /// Where it listens.
    pub const fn address(&self) -> &Multiaddr {
        &self.address
    }
}

impl FromStr for PeerAddress {
    type Err = AddressError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (peer, address) = text.split_once('@').ok_or(AddressError::Form)?;
        Ok(Self { peer: peer.parse()?, address: parse_address(address)? })
    }
}

impl fmt::Display for PeerAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}@{}", self.peer, self.address)
    }
}

/// Reads an address of a kind that a peer can dial or listen at.
pub fn parse_address(text: &str) -> Result<Multiaddr, AddressError> {
    let address = text.parse().map_err(|error| AddressError::Multiaddr(format!("{error}")))?;
    check(address)
}

fn check(address: Multiaddr) -> Result<Multiaddr, AddressError> {
    let parts: Vec<_> = address.iter().collect();
    match parts.as_slice() {
        [Protocol::Ip4(_) | Protocol::Ip6(_), Protocol::Tcp(_)] => Ok(address),
        [Protocol::Ip4(_) | Protocol::Ip6(_), Protocol::Udp(_), Protocol::QuicV1] => Ok(address),
        _ => Err(AddressError::Unsupported(address)),
    }
}

/// The same address without the libp2p peer id that some sources append.
pub(super) fn without_peer(address: &Multiaddr) -> Multiaddr {
    address.iter().filter(|part| !matches!(part, Protocol::P2p(_))).collect()
}

/// The libp2p key pair of the same Ed25519 seed.
pub(super) fn keypair(key: &SecretKey) -> Keypair {
    Keypair::ed25519_from_bytes(key.to_seed()).expect("an Ed25519 seed is any 32 bytes")
}

/// The libp2p name of a peer.
pub(super) fn to_libp2p(peer: &PeerId) -> libp2p::PeerId {
    let key = ed25519::PublicKey::try_from_bytes(peer.as_bytes())
        .expect("a peer id is checked to be a public key when made");
    PublicKey::from(key).to_peer_id()
}

/// The peer behind a libp2p name; `None` if its key is not Ed25519.
pub(super) fn from_libp2p(peer: &libp2p::PeerId) -> Option<PeerId> {
    let key = PublicKey::try_decode_protobuf(peer.as_ref().digest()).ok()?;
    let key = key.try_into_ed25519().ok()?;
    PeerId::from_bytes(key.to_bytes()).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn peer(byte: u8) -> PeerId {
        SecretKey::from_seed(&[byte; 32]).peer_id()
    }

    #[test]
    fn maps_to_libp2p_and_back() {
        for byte in 0..=255 {
            assert_eq!(from_libp2p(&to_libp2p(&peer(byte))), Some(peer(byte)));
        }
    }

    #[test]
    fn uses_one_key_for_both_names() {
        let key = SecretKey::from_seed(&[9; 32]);
        assert_eq!(keypair(&key).public().to_peer_id(), to_libp2p(&key.peer_id()));
    }

    #[test]
    fn knows_no_peer_for_a_foreign_kind_of_key() {
        let hashed = libp2p::PeerId::from_multihash(
            libp2p::multihash::Multihash::wrap(0x12, &[7; 32]).expect("32 bytes fit"),
        )
        .expect("SHA-256 names a peer");
        assert_eq!(from_libp2p(&hashed), None);
    }

    #[test]
    fn reads_back_what_it_shows() {
        for address in ["/ip4/192.0.2.1/tcp/4242", "/ip6/2001:db8::1/udp/9/quic-v1"] {
            let text = format!("{}@{address}", peer(1));
            let read: PeerAddress = text.parse().expect("well-formed");
            assert_eq!((read.peer(), read.to_string()), (peer(1), text));
        }
    }

    #[test]
    fn refuses_what_cannot_be_dialled() {
        let id = peer(1);
        for (text, expected) in [
            ("/ip4/192.0.2.1/tcp/1".to_owned(), "expected <peer id>@"),
            ("abc@/ip4/192.0.2.1/tcp/1".to_owned(), "the part before the @"),
            (format!("{id}@192.0.2.1:4242"), "not a multiaddr"),
            (format!("{id}@/dns4/example.org/tcp/1"), "expected /ip4 or /ip6"),
            (format!("{id}@/ip4/192.0.2.1/udp/1"), "expected /ip4 or /ip6"),
            (format!("{id}@/ip4/192.0.2.1/tcp/1/p2p/{}", to_libp2p(&id)), "nothing more"),
        ] {
            let error = text.parse::<PeerAddress>().expect_err(&text).to_string();
            assert!(error.contains(expected), "{text}: {error}");
        }
    }

    #[test]
    fn strips_the_appended_peer() {
        let plain: Multiaddr = "/ip4/192.0.2.1/tcp/1".parse().expect("well-formed");
        let long = plain.clone().with(Protocol::P2p(to_libp2p(&peer(1))));
        assert_eq!(without_peer(&long), plain);
    }
}
