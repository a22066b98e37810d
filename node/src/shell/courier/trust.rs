//! Trust: whose word a courier takes for the node that it says it is.
//!
//! A node id in TCPCL is a claim (RFC 9174 section 4.4): whoever connects can make it. A courier
//! hands bundles for a node to whoever it believes to be that node, or on the way to it, and is done
//! with them when they are acknowledged. TLS proves a key and no name, so names of keys are what the
//! operator says (`KEY=NODE-ID`), but for `dtn://KEY/`, which says it itself. A node whose key is
//! known is believed with that key and never without, and with no other one that is allowed.
//!
//! Who a node is and what it is given are two questions. Everybody can make a key and the name that goes
//! with it, so that such a name is an identity and no trust: whom nobody named is given the bundles for
//! itself and no others ([`Standing::Itself`]).
//!
//! Where nothing proves a claim, one that comes with a connection from outside counts only if the
//! operator says so: for all, or for addresses that others cannot take. Who is not believed may give
//! bundles, as anybody may, and is given none. Connections that we open lead to addresses that the
//! operator named, and are believed, unless every claim has to be proven.

use std::net::IpAddr;
use std::str::FromStr;

use longhaul_dtn::bpv7::EndpointId;
use longhaul_dtn::identity::PeerId;

/// Whom to believe.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Trust {
    /// Everybody.
    pub everyone: bool,
    /// Those at these addresses, or with these keys.
    pub allowed: Vec<Allowed>,
    /// Nodes that we dial by their names: a key that is allowed under any name is none of them.
    pub dialled: Vec<EndpointId>,
}

/// What the other end of a session counts as.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Standing {
    /// Nothing proves who it is: it may give bundles, and is given none.
    Stranger,
    /// It has the key that it is named after, and nobody named it: it is given its own bundles.
    Itself,
    /// It is believed, and given what a neighbour is given.
    Neighbour,
}

/// Addresses, or a key, whose claims are believed: all of them, or one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Allowed {
    who: Who,
    node: Option<EndpointId>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Who {
    /// An address of which so many leading bits have to be the same.
    Network(IpAddr, u32),
    /// Who has this key.
    Key(PeerId),
}

/// What is known of the other end of a session.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Evidence {
    /// Where it connected from; none if we opened the connection.
    pub from: Option<IpAddr>,
    /// The key that it has proven.
    pub key: Option<PeerId>,
    /// Whether it could have proven one.
    pub may_prove: bool,
    /// Whether a claim that is not proven counts for nothing.
    pub insists: bool,
    /// Whether we opened the connection to that very node.
    pub is_wanted: bool,
}

/// Why a text names nobody.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AllowedError {
    /// It does not begin with an address or a key.
    #[error(
        "{0:?} is no IP address and no key; write ADDRESS, ADDRESS/BITS or KEY, with or without =NODE-ID behind it"
    )]
    Address(String),
    /// The number of bits is none, or too large for the address.
    #[error("/{0} is no length of a network of that address")]
    Bits(String),
    /// What follows names no node.
    #[error("{0} names no node; write dtn://NAME/ or ipn:NUMBER.0")]
    Node(String),
}

impl Trust {
    /// What whoever is at the other end counts as, as far as can be known.
    pub fn standing(&self, evidence: &Evidence, claimed: &EndpointId) -> Standing {
        let shown = evidence.key;
        let has_key = |key| self.allowed.iter().any(|it| it.has_key(key, claimed));
        let is_allowed = shown.is_some_and(has_key);
        match self.has_known_key(evidence, claimed) {
            // With a known key it would have proven it.
            Some(false) => Standing::Stranger,
            Some(true) if is_allowed || self.speaks_for(evidence, claimed) => Standing::Neighbour,
            Some(true) => Standing::Itself,
            None if is_allowed && !self.is_elsewhere(evidence, claimed) => Standing::Neighbour,
            None if evidence.insists => Standing::Stranger,
            None if self.speaks_for(evidence, claimed) => Standing::Neighbour,
            None => Standing::Stranger,
        }
    }

    /// True if a connection from `from` may turn out to be that of a node that the operator named.
    pub fn expects(&self, from: IpAddr) -> bool {
        self.allowed.iter().any(|it| it.has_address(from))
    }

    /// True if the operator named anybody who may connect.
    pub fn names_somebody(&self) -> bool {
        !self.allowed.is_empty()
    }

    /// Whether the key of a node was shown, where it is known which one that is.
    fn has_known_key(&self, evidence: &Evidence, claimed: &EndpointId) -> Option<bool> {
        if let Some(key) = key_of_name(claimed).filter(|_| evidence.may_prove) {
            return Some(evidence.key == Some(key));
        }
        let mut keys = self.allowed.iter().filter_map(|it| it.key_of(claimed)).peekable();
        keys.peek()?;
        Some(keys.any(|key| evidence.key == Some(key)))
    }

    /// True if the operator has a word for the connection, whatever is proven on it.
    fn speaks_for(&self, evidence: &Evidence, claimed: &EndpointId) -> bool {
        let is_from = |from| self.allowed.iter().any(|it| it.covers(from, claimed));
        match evidence.from {
            // Where all has to be proven, an address that we dialled is no proof of a name.
            None => evidence.is_wanted || !evidence.insists || self.everyone,
            Some(from) => self.everyone || is_from(from),
        }
    }

    /// True for a node that is dialled, by its name, and now seems to connect from somewhere: a key
    /// that is allowed whatever it calls itself does not make it that node.
    fn is_elsewhere(&self, evidence: &Evidence, claimed: &EndpointId) -> bool {
        evidence.from.is_some() && self.dialled.iter().any(|node| node.is_same(claimed))
    }
}

impl Allowed {
    fn is_about(&self, claimed: &EndpointId) -> bool {
        self.node.as_ref().is_none_or(|node| node.is_same(claimed))
    }

    fn has_key(&self, key: PeerId, claimed: &EndpointId) -> bool {
        self.who == Who::Key(key) && self.is_about(claimed)
    }

    /// The key of this node, where it says which one that is.
    fn key_of(&self, claimed: &EndpointId) -> Option<PeerId> {
        let Who::Key(key) = self.who else { return None };
        self.node.as_ref().filter(|node| node.is_same(claimed)).map(|_| key)
    }

    fn covers(&self, from: IpAddr, claimed: &EndpointId) -> bool {
        self.is_about(claimed) && self.has_address(from)
    }

    fn has_address(&self, from: IpAddr) -> bool {
        let Who::Network(network, bits) = self.who else { return false };
        prefix(network, bits) == prefix(from.to_canonical(), bits)
    }
}

/// The key that a node is named after, as peers are.
fn key_of_name(node: &EndpointId) -> Option<PeerId> {
    let text = node.node().to_string();
    text.strip_prefix("dtn://")?.strip_suffix('/')?.parse().ok()
}

/// The leading bits of an address, with its kind.
fn prefix(address: IpAddr, bits: u32) -> (bool, u128) {
    let (value, len) = match address {
        IpAddr::V4(it) => (u128::from(it.to_bits()), 32),
        IpAddr::V6(it) => (it.to_bits(), 128),
    };
    let behind: u32 = len - bits.min(len);
    (address.is_ipv4(), value.checked_shr(behind).unwrap_or(0))
}

impl FromStr for Allowed {
    type Err = AllowedError;

    /// `ADDRESS`, `ADDRESS/BITS` or `KEY`, each with or without `=NODE-ID` behind it.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (place, node) = match text.split_once('=') {
            None => (text, None),
            Some((place, node)) => {
                let read = node.parse().ok();
                let is_node = |id: &EndpointId| !id.is_none() && id.is_same(&id.node());
                let id = read.filter(is_node).ok_or_else(|| AllowedError::Node(node.to_owned()))?;
                (place, Some(id))
            }
        };
        if let Ok(key) = place.parse() {
            return Ok(Self { who: Who::Key(key), node });
        }
        let (address, bits) = match place.split_once('/') {
            None => (place, None),
            Some((address, bits)) => (address, Some(bits)),
        };
        let network: IpAddr =
            address.parse().map_err(|_| AllowedError::Address(place.to_owned()))?;
        let most = if network.is_ipv4() { 32 } else { 128 };
        let bits = bits.map_or(Ok(most), |bits| match bits.parse() {
            Ok(found) if found <= most => Ok(found),
            _ => Err(AllowedError::Bits(bits.to_owned())),
        })?;
        Ok(Self { who: Who::Network(network, bits), node })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn believes(allowed: &str, from: &str, claimed: &str) -> bool {
        let allowed = vec![allowed.parse().expect("well-formed")];
        let trust = Trust { allowed, ..Trust::default() };
        let from = Some(from.parse().expect("an address"));
        trust.believes(&Evidence { from, ..UNPROVEN }, &claimed.parse().expect("a node id"))
    }

    const UNPROVEN: Evidence =
        Evidence { from: None, key: None, may_prove: true, insists: false, is_wanted: false };

    impl Trust {
        fn believes(&self, evidence: &Evidence, claimed: &EndpointId) -> bool {
            self.standing(evidence, claimed) == Standing::Neighbour
        }
    }

    /// What whoever connects from outside counts as, by what it has shown.
    fn standing(allowed: &[String], shown: u8, claimed: &str, insists: bool) -> Standing {
        let allowed = allowed.iter().map(|text| text.parse().expect("well-formed"));
        let trust = Trust { allowed: allowed.collect(), ..Trust::default() };
        let from = Some(IpAddr::from([192, 0, 2, 7]));
        let evidence = Evidence { from, key: Some(key(shown)), insists, ..UNPROVEN };
        trust.standing(&evidence, &claimed.parse().expect("a node id"))
    }

    #[test]
    fn a_fresh_key_is_itself_and_nobody_s_neighbour() {
        let name = format!("dtn://{}/", key(1));
        for insists in [false, true] {
            assert_eq!(standing(&[], 1, &name, insists), Standing::Itself);
            assert_eq!(standing(&[], 2, &name, insists), Standing::Stranger, "another key");
            for named in [key(1).to_string(), format!("{}={name}", key(1)), "192.0.2.7".into()] {
                assert_eq!(standing(&[named], 1, &name, insists), Standing::Neighbour);
            }
        }
        let claimed = name.parse().expect("a node id");
        let everyone = Trust { everyone: true, ..Trust::default() };
        let evidence = Evidence { key: Some(key(1)), insists: true, ..UNPROVEN };
        assert!(everyone.believes(&evidence, &claimed));
        assert!(Trust::default().believes(&Evidence { is_wanted: true, ..evidence }, &claimed));
        // Who stands between answers a dial with a key of its own.
        assert!(!Trust::default().believes(&evidence, &claimed));
    }

    #[test]
    fn a_key_that_is_allowed_takes_no_name_that_is_that_of_another() {
        let pinned = [format!("{}=dtn://b/", key(1)), key(2).to_string()];
        for insists in [false, true] {
            assert_eq!(standing(&pinned, 1, "dtn://b/", insists), Standing::Neighbour);
            assert_eq!(standing(&pinned, 2, "dtn://b/", insists), Standing::Stranger);
            assert_eq!(standing(&pinned, 2, "dtn://c/", insists), Standing::Neighbour);
            let own_name = format!("dtn://{}/", key(1));
            assert_eq!(standing(&pinned, 2, &own_name, insists), Standing::Stranger);
            // Two keys of one node, as while they change.
            let both = [format!("{}=dtn://b/", key(1)), format!("{}=dtn://b/", key(2))];
            assert_eq!(standing(&both, 2, "dtn://b/", insists), Standing::Neighbour);
        }
        let b: EndpointId = "dtn://b/".parse().expect("a node id");
        let allowed = vec![key(2).to_string().parse().expect("well-formed")];
        let trust = Trust { allowed, dialled: vec![b.clone()], ..Trust::default() };
        let evidence = Evidence { key: Some(key(2)), insists: true, ..UNPROVEN };
        assert!(trust.believes(&evidence, &b), "whom we dialled");
        let from = Some(IpAddr::from([192, 0, 2, 7]));
        assert!(!trust.believes(&Evidence { from, ..evidence }, &b), "it is where we dial it");
    }

    fn key(byte: u8) -> PeerId {
        longhaul_dtn::identity::SecretKey::from_seed(&[byte; 32]).peer_id()
    }

    #[test]
    fn a_node_whose_key_is_known_is_believed_with_it_and_never_without() {
        let (known, other) = (key(1), key(2));
        let from = Some(IpAddr::from([192, 0, 2, 7]));
        let allowed = [format!("{known}=dtn://b/"), "192.0.2.7".to_owned()];
        let allowed = allowed.map(|text| text.parse().expect("well-formed")).to_vec();
        let trust = Trust { everyone: true, allowed, ..Trust::default() };
        let believes = |from, key, claimed: &str| {
            let claimed = claimed.parse().expect("a node id");
            trust.believes(&Evidence { from, key, ..UNPROVEN }, &claimed)
        };
        for from in [None, from] {
            assert!(believes(from, Some(known), "dtn://b/"));
            assert!(!believes(from, Some(other), "dtn://b/"), "another key");
            assert!(!believes(from, None, "dtn://b/"), "no key");
            assert!(believes(from, None, "dtn://c/"), "of others no key is known");
            let own_name = format!("dtn://{other}/");
            assert!(believes(from, Some(other), &own_name));
            assert!(!believes(from, None, &own_name) && !believes(from, Some(known), &own_name));
        }
    }

    #[test]
    fn who_insists_believes_nothing_that_is_not_proven() {
        let insists = Evidence { insists: true, ..UNPROVEN };
        let claimed = "dtn://b/".parse().expect("a node id");
        let mut trust = Trust { everyone: true, ..Trust::default() };
        assert!(!trust.believes(&insists, &claimed) && trust.believes(&UNPROVEN, &claimed));
        let proven = Evidence { key: Some(key(1)), ..insists };
        assert!(!trust.believes(&proven, &claimed), "whose key is it?");
        trust.allowed.push(key(1).to_string().parse().expect("well-formed"));
        assert!(trust.believes(&proven, &claimed));
    }

    #[test]
    fn without_tls_a_name_that_is_a_key_is_a_name() {
        let claimed = format!("dtn://{}/", key(1)).parse().expect("a node id");
        let trust = Trust::default();
        assert!(!trust.believes(&UNPROVEN, &claimed));
        assert!(trust.believes(&Evidence { may_prove: false, ..UNPROVEN }, &claimed));
    }

    #[test]
    fn nobody_is_believed_unless_the_operator_says_so() {
        let claimed = "dtn://b/".parse().expect("a node id");
        let evidence = Evidence { from: Some(IpAddr::from([127, 0, 0, 1])), ..UNPROVEN };
        assert!(!Trust::default().believes(&evidence, &claimed));
        assert!(Trust::default().believes(&UNPROVEN, &claimed), "whom we dialled");
        assert!(Trust { everyone: true, ..Trust::default() }.believes(&evidence, &claimed));
    }

    #[test]
    fn believes_an_address_a_network_and_one_node_alone() {
        assert!(believes("192.0.2.7", "192.0.2.7", "dtn://b/"));
        assert!(!believes("192.0.2.7", "192.0.2.8", "dtn://b/"));
        assert!(believes("192.0.2.7=dtn://b/", "192.0.2.7", "dtn://b/"));
        assert!(!believes("192.0.2.7=dtn://b/", "192.0.2.7", "dtn://c/"));
        assert!(believes("192.0.2.0/24=ipn:5.0", "192.0.2.200", "ipn:5.0"));
        assert!(!believes("192.0.2.0/25", "192.0.2.200", "ipn:5.0"));
        assert!(believes("2001:db8::/32", "2001:db8:1::9", "dtn://b/"));
        assert!(!believes("2001:db8::/32", "2001:db9::9", "dtn://b/"));
        assert!(believes("0.0.0.0/0", "192.0.2.7", "dtn://b/"));
        assert!(!believes("0.0.0.0/0", "2001:db8::9", "dtn://b/"), "another kind of address");
    }

    #[test]
    fn an_ipv4_address_is_the_same_on_a_socket_of_both_kinds() {
        assert!(believes("192.0.2.7", "::ffff:192.0.2.7", "dtn://b/"));
    }

    #[test]
    fn refuses_what_names_no_addresses() {
        let parse = |text: &str| text.parse::<Allowed>().expect_err("not addresses").to_string();
        assert!(parse("b.example").contains("no IP address and no key"));
        assert!(parse("192.0.2.7/33").starts_with("/33 is no length"));
        assert!(parse("192.0.2.7/x").starts_with("/x is no length"));
        assert!(parse("192.0.2.7=dtn://b/in").contains("names no node"));
        assert!(parse("192.0.2.7=dtn:none").contains("names no node"));
    }
}
