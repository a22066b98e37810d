//! Wire: what stands between a session and its connection: nothing, or TLS.
//!
//! The session begins TLS once both sides have said that they can, behind the contact headers, and
//! goes on when the handshake is through. No IO here: bytes of the connection go in and out.

use std::io::{self, Read, Write};
use std::net::IpAddr;

use rustls::{Connection, Error};

use crate::shell::courier::tls::{Identity, Proof};

/// The way from a session to its connection.
#[derive(Debug, Default)]
pub(super) enum Wire {
    /// Bytes as they are.
    #[default]
    Plain,
    /// Bytes within TLS.
    Tls(Box<Connection>),
}

/// What came in.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Opened {
    /// The handshake is through, and what it has shown.
    pub proof: Option<Proof>,
    /// Bytes for the session.
    pub bytes: Vec<u8>,
    /// The other side said that nothing follows.
    pub is_over: bool,
}

impl Wire {
    /// Begins TLS with who is at `ip`.
    pub fn begin(&mut self, identity: &Identity, is_active: bool, ip: IpAddr) -> Result<(), Error> {
        let mut connection = identity.connect(is_active, ip)?;
        // What waits is bounded by the session, which stops reading and sending before.
        connection.set_buffer_limit(None);
        *self = Self::Tls(Box::new(connection));
        Ok(())
    }

    /// True while the handshake is under way.
    pub fn is_shaking(&self) -> bool {
        matches!(self, Self::Tls(connection) if connection.is_handshaking())
    }

    /// True for bytes that go through as they are.
    pub const fn is_plain(&self) -> bool {
        matches!(self, Self::Plain)
    }

    /// Bytes of the session as they go out; those of a handshake with nothing given.
    pub fn seal(&mut self, bytes: Vec<u8>) -> io::Result<Vec<u8>> {
        let Self::Tls(connection) = self else { return Ok(bytes) };
        connection.writer().write_all(&bytes)?;
        drain(connection)
    }

    /// The last bytes: that nothing follows.
    pub fn end(&mut self) -> io::Result<Vec<u8>> {
        let Self::Tls(connection) = self else { return Ok(Vec::new()) };
        connection.send_close_notify();
        drain(connection)
    }

    /// Takes bytes of the connection; whatever the outcome, there may be some to go out.
    pub fn open(&mut self, mut bytes: &[u8]) -> Result<Opened, Error> {
        let mut opened = Opened::default();
        let Self::Tls(connection) = self else { return Ok(opened) };
        while !bytes.is_empty() {
            let was_shaking = connection.is_handshaking();
            if connection.read_tls(&mut bytes).is_err() {
                return Err(Error::General("more came than was taken".to_owned()));
            }
            let state = connection.process_new_packets()?;
            if was_shaking && !connection.is_handshaking() {
                opened.proof = Some(Proof::of(connection));
            }
            opened.is_over |= state.peer_has_closed();
            let came = state.plaintext_bytes_to_read() as u64;
            let read = connection.reader().take(came).read_to_end(&mut opened.bytes);
            debug_assert!(read.is_ok(), "it was said to be there");
            if state.peer_has_closed() {
                break;
            }
        }
        Ok(opened)
    }
}

fn drain(connection: &mut Connection) -> io::Result<Vec<u8>> {
    let mut out = Vec::new();
    while connection.wants_write() {
        connection.write_tls(&mut out)?;
    }
    Ok(out)
}

#[cfg(test)]
mod tests {
    use longhaul_dtn::identity::SecretKey;
    use longhaul_dtn::tcpcl::NodeId;

    use super::*;

    fn wire(byte: u8, is_active: bool) -> Wire {
        let node = NodeId::new("dtn://a/").expect("a node id");
        let identity = Identity::new(&SecretKey::from_seed(&[byte; 32]), &node);
        let mut wire = Wire::default();
        let ip = IpAddr::from([127, 0, 0, 1]);
        wire.begin(&identity.expect("a certificate"), is_active, ip).expect("a connection");
        wire
    }

    /// Two ends whose handshake is through; `piece` bytes arrive at once.
    fn shaken(piece: usize) -> (Wire, Wire) {
        let (mut a, mut b) = (wire(1, true), wire(2, false));
        let (mut to_b, mut proofs) = (a.seal(Vec::new()).expect("memory"), 0);
        for _ in 0..4 {
            for piece in to_b.chunks(piece) {
                proofs += usize::from(b.open(piece).expect("a handshake").proof.is_some());
            }
            let to_a = b.seal(Vec::new()).expect("memory");
            for piece in to_a.chunks(piece) {
                proofs += usize::from(a.open(piece).expect("a handshake").proof.is_some());
            }
            to_b = a.seal(Vec::new()).expect("memory");
        }
        assert_eq!(proofs, 2, "each end once");
        assert!(!a.is_shaking() && !b.is_shaking());
        (a, b)
    }

    #[test]
    fn carries_bytes_once_both_ends_have_shown_who_they_are() {
        for piece in [1, 100, usize::MAX] {
            let (mut a, mut b) = shaken(piece);
            let sent = vec![7; 300_000];
            let sealed = a.seal(sent.clone()).expect("memory");
            assert!(sealed.len() > sent.len());
            let mut found = Vec::new();
            for piece in sealed.chunks(piece.clamp(1_000, 256 << 10)) {
                found.extend(b.open(piece).expect("sound").bytes);
            }
            assert_eq!(found, sent);
            let over = b.open(&a.end().expect("memory")).expect("sound");
            assert!(over.is_over && over.bytes.is_empty());
        }
    }

    #[test]
    fn a_changed_byte_ends_it() {
        let (mut a, mut b) = shaken(usize::MAX);
        let mut sealed = a.seal(b"a bundle".to_vec()).expect("memory");
        let last = sealed.len() - 1;
        sealed[last] ^= 1;
        assert!(b.open(&sealed).is_err());
        assert!(wire(3, false).open(b"\x07\x00\x1e\x00\x00\x00\x00").is_err(), "no TLS at all");
    }

    #[test]
    fn without_tls_bytes_are_as_they_are() {
        let mut wire = Wire::default();
        assert!(wire.is_plain() && !wire.is_shaking());
        assert_eq!(wire.seal(vec![1, 2]).expect("nothing to fail"), [1, 2]);
        assert!(wire.end().expect("nothing to fail").is_empty());
    }
}
