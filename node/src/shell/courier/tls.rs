//! TLS of TCPCL sessions: says which key is at the other end (RFC 9174 section 4.4).
//!
//! Each side shows a certificate that it signed itself, with its Ed25519 key and its node id as the
//! RFC names it (a `bundleEID` in the subject's alternative names), and proves that it has the key.
//! No authority vouches for names: which key is which node is for [`super::Trust`] to know. So a
//! certificate is not looked at further, and one of another kind of key proves nothing. TLS 1.3 only.

use std::net::IpAddr;
use std::sync::Arc;

use longhaul_dtn::identity::{PeerId, SecretKey};
use longhaul_dtn::tcpcl::NodeId;
use rcgen::{CertificateParams, CustomExtension, DnType, KeyPair, PKCS_ED25519};
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer, ServerName, UnixTime};
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::version::TLS13;
use rustls::{
    ClientConfig, ClientConnection, Connection, DigitallySignedStruct, DistinguishedName, Error,
    PeerMisbehaved, ServerConfig, ServerConnection, SignatureScheme,
};
use x509_parser::extensions::GeneralName;
use x509_parser::oid_registry::{OID_SIG_ED25519, Oid};

/// The subject's alternative names.
const SUBJECT_ALT_NAME: [u64; 4] = [2, 5, 29, 17];
/// `bundleEID` (RFC 9174 section 4.4.1), encoded with its tag.
const BUNDLE_EID: [u8; 10] = [0x06, 8, 0x2b, 6, 1, 5, 5, 7, 8, 11];
/// What stands before the seed in the PKCS #8 form of an Ed25519 key (RFC 8410).
const PKCS8_BEFORE_SEED: [u8; 16] =
    *b"\x30\x2e\x02\x01\x00\x30\x05\x06\x03\x2b\x65\x70\x04\x22\x04\x20";

/// Whether sessions are encrypted, and their ends proven.
#[derive(Debug, Clone)]
pub enum Tls {
    /// No session is.
    Off,
    /// Those with whoever can.
    Offered(Identity),
    /// All are; others are refused.
    Required(Identity),
}

/// Our key, as TLS uses it.
#[derive(Debug, Clone)]
pub struct Identity {
    key: PeerId,
    client: Arc<ClientConfig>,
    server: Arc<ServerConfig>,
}

/// Why a key cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// No certificate could be made.
    #[error("make a certificate: {0}")]
    Certificate(#[from] rcgen::Error),
    /// It could not be used.
    #[error("set TLS up: {0}")]
    Setup(#[from] Error),
}

/// What the other end has proven, and what it says.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Proof {
    /// The key that it has; none if it showed no certificate of such a key.
    pub key: Option<PeerId>,
    /// The node ids in its certificate.
    pub names: Vec<String>,
}

impl Tls {
    /// Our identity, where there is one.
    pub(super) const fn identity(&self) -> Option<&Identity> {
        match self {
            Self::Off => None,
            Self::Offered(identity) | Self::Required(identity) => Some(identity),
        }
    }
}

impl Identity {
    /// The identity of the node that has `key`.
    pub fn new(key: &SecretKey, node: &NodeId) -> Result<Self, TlsError> {
        let pkcs8 = [&PKCS8_BEFORE_SEED[..], &key.to_seed()].concat();
        let pkcs8 = PrivatePkcs8KeyDer::from(pkcs8);
        let pair = KeyPair::from_pkcs8_der_and_sign_algo(&pkcs8, &PKCS_ED25519)?;
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, key.peer_id().to_string());
        let names = alternative_names(node.as_str());
        let names = CustomExtension::from_oid_content(&SUBJECT_ALT_NAME, names);
        params.custom_extensions.push(names);
        let chain = vec![params.self_signed(&pair)?.der().clone()];
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let verifier = Arc::new(AnyKey(provider.clone()));
        let client = ClientConfig::builder_with_provider(provider.clone())
            .with_protocol_versions(&[&TLS13])?
            .dangerous()
            .with_custom_certificate_verifier(verifier.clone())
            .with_client_auth_cert(chain.clone(), PrivateKeyDer::Pkcs8(pkcs8.clone_key()))?;
        let server = ServerConfig::builder_with_provider(provider)
            .with_protocol_versions(&[&TLS13])?
            .with_client_cert_verifier(verifier)
            .with_single_cert(chain, PrivateKeyDer::Pkcs8(pkcs8))?;
        let (client, server) = (Arc::new(client), Arc::new(server));
        Ok(Self { key: key.peer_id(), client, server })
    }

    /// The key that others see.
    pub const fn key(&self) -> PeerId {
        self.key
    }

    /// A connection with who is at `ip`; the one who opened it is TLS's client.
    pub(super) fn connect(&self, is_active: bool, ip: IpAddr) -> Result<Connection, Error> {
        Ok(if is_active {
            ClientConnection::new(self.client.clone(), ServerName::IpAddress(ip.into()))?.into()
        } else {
            ServerConnection::new(self.server.clone())?.into()
        })
    }
}

impl Proof {
    /// What the other end of a connection has shown in its handshake.
    pub fn of(connection: &Connection) -> Self {
        let first = connection.peer_certificates().and_then(<[_]>::first);
        first.map_or_else(Self::default, Self::read)
    }

    fn read(certificate: &CertificateDer<'_>) -> Self {
        let Ok((_, certificate)) = x509_parser::parse_x509_certificate(certificate) else {
            return Self::default();
        };
        let public = certificate.public_key();
        let is_ed25519 = public.algorithm.algorithm == OID_SIG_ED25519;
        let bytes = Some(&*public.subject_public_key.data).filter(|_| is_ed25519);
        let key = bytes.and_then(|bytes| PeerId::from_bytes(bytes.try_into().ok()?).ok());
        let names = certificate.subject_alternative_name().ok().flatten();
        let names = names.map_or_else(Vec::new, |names| {
            names.value.general_names.iter().filter_map(bundle_eid).collect()
        });
        Self { key, names }
    }
}

fn bundle_eid(name: &GeneralName<'_>) -> Option<String> {
    let GeneralName::OtherName(oid, value) = name else { return None };
    let is_eid = *oid == Oid::new(BUNDLE_EID[2..].into());
    // [0] around an IA5String.
    let value = undo(0xa0, value).and_then(|value| undo(0x16, value)).filter(|_| is_eid)?;
    String::from_utf8(value.to_vec()).ok()
}

/// The subject's alternative names with one node id, DER.
fn alternative_names(node: &str) -> Vec<u8> {
    let value = der(0xa0, &der(0x16, node.as_bytes()));
    der(0x30, &der(0xa0, &[&BUNDLE_EID[..], &value].concat()))
}

/// A value of DER with its tag and length.
fn der(tag: u8, content: &[u8]) -> Vec<u8> {
    let len = content.len().to_be_bytes();
    let len = &len[len.iter().position(|&byte| byte > 0).unwrap_or(len.len() - 1)..];
    let mut bytes = vec![tag];
    if len.len() > 1 || len[0] > 0x7f {
        // At most eight bytes of length.
        bytes.push(0x80 | len.len().to_le_bytes()[0]);
    }
    [&bytes[..], len, content].concat()
}

/// The content of a value of DER that takes all bytes, at most 65,535 of them.
fn undo(tag: u8, bytes: &[u8]) -> Option<&[u8]> {
    let (len, content) = match bytes {
        [found, 0x81, len, content @ ..] if *found == tag => (usize::from(*len), content),
        [found, 0x82, high, low, content @ ..] if *found == tag => {
            (usize::from(u16::from_be_bytes([*high, *low])), content)
        }
        [found, len @ ..=0x7f, content @ ..] if *found == tag => (usize::from(*len), content),
        _ => return None,
    };
    Some(content).filter(|content| content.len() == len)
}

/// Takes every certificate whose key signed the handshake.
#[derive(Debug)]
struct AnyKey(Arc<CryptoProvider>);

impl AnyKey {
    fn verify(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = &self.0.signature_verification_algorithms;
        verify_tls13_signature(message, certificate, signature, algorithms)
    }

    fn schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}

/// TLS 1.2 is not spoken.
fn too_old() -> Result<HandshakeSignatureValid, Error> {
    Err(PeerMisbehaved::SignedHandshakeWithUnadvertisedSigScheme.into())
}

impl ServerCertVerifier for AnyKey {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        too_old()
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.verify(message, certificate, signature)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.schemes()
    }
}

impl ClientCertVerifier for AnyKey {
    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &[]
    }

    /// Nodes of other makes may have no certificate: they prove nothing.
    fn client_auth_mandatory(&self) -> bool {
        false
    }

    fn verify_client_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        Ok(ClientCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        too_old()
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.verify(message, certificate, signature)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.schemes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    pub(super) fn identity(byte: u8, node: &str) -> Identity {
        let node = NodeId::new(node).expect("a node id");
        Identity::new(&SecretKey::from_seed(&[byte; 32]), &node).expect("a certificate")
    }

    /// Carries the handshake of both ends through.
    fn shake(active: &mut Connection, passive: &mut Connection) {
        for _ in 0..8 {
            for turn in 0..2 {
                let (from, to) = if turn == 0 {
                    (&mut *active, &mut *passive)
                } else {
                    (&mut *passive, &mut *active)
                };
                let mut bytes = Vec::new();
                while from.wants_write() {
                    from.write_tls(&mut bytes).expect("memory");
                }
                let mut rest = &bytes[..];
                while !rest.is_empty() {
                    to.read_tls(&mut rest).expect("memory");
                    to.process_new_packets().expect("a good handshake");
                }
            }
        }
    }

    #[test]
    fn both_ends_prove_their_keys_and_name_their_nodes() {
        let long = format!("dtn://{}/", "b".repeat(300));
        let (a, b) = (identity(1, "dtn://a/"), identity(2, &long));
        let ip = IpAddr::from([127, 0, 0, 1]);
        let mut active = a.connect(true, ip).expect("a connection");
        let mut passive = b.connect(false, ip).expect("a connection");
        shake(&mut active, &mut passive);
        assert!(!active.is_handshaking() && !passive.is_handshaking());
        assert_eq!(Proof::of(&active), Proof { key: Some(b.key()), names: vec![long] });
        let names = vec!["dtn://a/".to_owned()];
        assert_eq!(Proof::of(&passive), Proof { key: Some(a.key()), names });
    }

    #[test]
    fn der_of_any_length_can_be_undone() {
        for len in [0, 1, 127, 128, 255, 256, 65_535] {
            let content = vec![7; len];
            let bytes = der(0x16, &content);
            assert_eq!(undo(0x16, &bytes), Some(&content[..]), "{len}");
            assert_eq!(undo(0xa0, &bytes), None);
            assert_eq!(undo(0x16, &bytes[..bytes.len() - 1]).filter(|_| len > 0), None);
        }
        assert_eq!(undo(0x16, &[]), None);
    }

    #[test]
    fn what_is_no_certificate_of_ours_proves_nothing() {
        assert_eq!(Proof::read(&CertificateDer::from(vec![0x30, 0])), Proof::default());
        let pair = KeyPair::generate().expect("a key");
        let params = CertificateParams::new(vec!["b.example".to_owned()]).expect("a name");
        let other = params.self_signed(&pair).expect("a certificate");
        assert_eq!(Proof::read(other.der()), Proof::default());
    }
}
