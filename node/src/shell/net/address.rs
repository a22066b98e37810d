//! Address: who a peer is and where it may be reached.
//!
//! A Longhaul peer id is an Ed25519 public key, and so is the key behind a
//! libp2p peer id; this file is the bridge between the two names. People write
//! `<peer id>@<multiaddr>`, with the 52-character id that every other command
//! prints, and literal IP addresses: nothing here asks a name server. A relay or
//! a rendezvous point is nobody's peer; it is written as the multiaddr that
//! `longhaul relay` prints, with its libp2p peer id at the end.

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
    /// The address of a service does not end in its id.
    #[error(
        "expected the address that `longhaul relay` prints, as in /ip4/192.0.2.1/tcp/4001/p2p/12D3…, found {0}"
    )]
    Service(Multiaddr),
}

/// How a connection reaches the other peer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Route {
    /// From socket to socket.
    Direct,
    /// Over a circuit through a relay, which sees how much is sent and to whom.
    Relayed,
}

impl Route {
    /// The route that an address stands for.
    pub(super) fn of(address: &Multiaddr) -> Self {
        match address.iter().any(|part| part == Protocol::P2pCircuit) {
            true => Self::Relayed,
            false => Self::Direct,
        }
    }
}

/// A relay or rendezvous point, `/ip4/…/tcp/…/p2p/<libp2p peer id>`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct ServiceAddress {
    id: libp2p::PeerId,
    address: Multiaddr,
}

impl ServiceAddress {
    /// Pairs a service with an address; refuses kinds that cannot be dialled.
    pub fn new(id: libp2p::PeerId, address: Multiaddr) -> Result<Self, AddressError> {
        Ok(Self { id, address: check(address)? })
    }

    /// Who listens there.
    pub const fn id(&self) -> libp2p::PeerId {
        self.id
    }

    /// Where it listens, without its id.
    pub const fn address(&self) -> &Multiaddr {
        &self.address
    }

    /// Where a peer can be dialled that has a reservation at this relay.
    pub(super) fn circuit(&self) -> Multiaddr {
        self.address.clone().with(Protocol::P2p(self.id)).with(Protocol::P2pCircuit)
    }

    /// The relay in the address of a circuit.
    pub(super) fn of_circuit(address: &Multiaddr) -> Option<Self> {
        let relay = address.iter().take_while(|part| *part != Protocol::P2pCircuit).collect();
        (Route::of(address) == Route::Relayed).then(|| service(relay).ok()).flatten()
    }
}

impl FromStr for ServiceAddress {
    type Err = AddressError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        service(parse_multiaddr(text)?)
    }
}

impl fmt::Display for ServiceAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/p2p/{}", self.address, self.id)
    }
}

fn service(mut address: Multiaddr) -> Result<ServiceAddress, AddressError> {
    let whole = address.clone();
    match address.pop() {
        Some(Protocol::P2p(id)) => ServiceAddress::new(id, address),
        _ => Err(AddressError::Service(whole)),
    }
}

impl PeerAddress {
    /// Pairs a peer with an address; refuses kinds that cannot be dialled.
    pub fn new(peer: PeerId, address: Multiaddr) -> Result<Self, AddressError> {
        let address = check_dialled(address)?;
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
        Self::new(peer.parse()?, parse_multiaddr(address)?)
    }
}

impl fmt::Display for PeerAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}@{}", self.peer, self.address)
    }
}

/// Reads an address of a kind that a peer can listen at.
pub fn parse_address(text: &str) -> Result<Multiaddr, AddressError> {
    check(parse_multiaddr(text)?)
}

fn parse_multiaddr(text: &str) -> Result<Multiaddr, AddressError> {
    text.parse().map_err(|error| AddressError::Multiaddr(format!("{error}")))
}

/// An address to dial a peer at: one to listen at, or a circuit through a relay
/// that is at such an address.
fn check_dialled(address: Multiaddr) -> Result<Multiaddr, AddressError> {
    match ServiceAddress::of_circuit(&address) {
        Some(relay) if relay.circuit() == address => Ok(address),
        _ => check(address),
    }
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
    let mut address = address.clone();
    if matches!(address.iter().last(), Some(Protocol::P2p(_))) {
        address.pop();
    }
    address
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
    fn strips_the_appended_peer_and_no_relay() {
        let relay = relay("/ip4/192.0.2.1/tcp/1");
        for plain in [relay.address().clone(), relay.circuit()] {
            let long = plain.clone().with(Protocol::P2p(to_libp2p(&peer(1))));
            assert_eq!(without_peer(&long), plain);
            assert_eq!(without_peer(&plain), plain);
        }
    }

    fn relay(address: &str) -> ServiceAddress {
        format!("{address}/p2p/{}", to_libp2p(&peer(7))).parse().expect("well-formed")
    }

    #[test]
    fn reads_back_a_service() {
        for address in ["/ip4/192.0.2.1/tcp/4242", "/ip6/2001:db8::1/udp/9/quic-v1"] {
            let service = relay(address);
            assert_eq!(service.id(), to_libp2p(&peer(7)));
            assert_eq!(service.address().to_string(), address);
            assert_eq!(service.to_string().parse(), Ok(service));
        }
    }

    #[test]
    fn refuses_a_service_without_id_or_place() {
        let id = to_libp2p(&peer(7));
        for (text, expected) in [
            ("/ip4/192.0.2.1/tcp/1".to_owned(), "`longhaul relay` prints"),
            (format!("/ip4/192.0.2.1/udp/1/p2p/{id}"), "expected /ip4 or /ip6"),
            (format!("/p2p/{id}"), "expected /ip4 or /ip6"),
            (format!("/ip4/192.0.2.1/tcp/1/p2p/{id}/p2p-circuit"), "`longhaul relay` prints"),
            (format!("/ip4/192.0.2.1/tcp/1/p2p/{id}/p2p-circuit/p2p/{id}"), "expected /ip4 or"),
            ("192.0.2.1:1".to_owned(), "not a multiaddr"),
        ] {
            let error = text.parse::<ServiceAddress>().expect_err(&text).to_string();
            assert!(error.contains(expected), "{text}: {error}");
        }
    }

    #[test]
    fn dials_a_peer_through_a_relay_but_does_not_listen_so() {
        let circuit = relay("/ip4/192.0.2.1/tcp/1").circuit();
        assert_eq!(Route::of(&circuit), Route::Relayed);
        assert_eq!(ServiceAddress::of_circuit(&circuit), Some(relay("/ip4/192.0.2.1/tcp/1")));
        let text = format!("{}@{circuit}", peer(1));
        let read: PeerAddress = text.parse().expect("well-formed");
        assert_eq!((read.address(), read.to_string()), (&circuit, text));
        assert!(parse_address(&circuit.to_string()).is_err());
    }

    #[test]
    fn refuses_a_circuit_that_says_more_than_its_relay() {
        let circuit = relay("/ip4/192.0.2.1/tcp/1").circuit();
        let longer = circuit.clone().with(Protocol::P2p(to_libp2p(&peer(1))));
        let twice = circuit.with(Protocol::P2pCircuit);
        for address in [longer, twice, Multiaddr::from(Protocol::P2pCircuit)] {
            assert!(PeerAddress::new(peer(1), address.clone()).is_err(), "{address}");
        }
    }

    #[test]
    fn tells_direct_addresses_from_circuits() {
        let direct = relay("/ip4/192.0.2.1/udp/1/quic-v1").address().clone();
        assert_eq!(Route::of(&direct), Route::Direct);
        assert_eq!(ServiceAddress::of_circuit(&direct), None);
    }
}
