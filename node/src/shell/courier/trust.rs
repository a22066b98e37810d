//! Trust: whose word a courier takes for the node that it says it is.
//!
//! A node id in TCPCL is a claim (RFC 9174 section 4.4): whoever connects can make it. A courier
//! hands bundles for a node to whoever it believes to be that node, or on the way to it, and is done
//! with them when they are acknowledged. So where nothing proves a claim, one that comes with a
//! connection from outside counts only if the operator says so: for all, or for addresses that
//! others cannot take. Who is not believed may give bundles, as anybody may, and is given none.
//!
//! Connections that we open lead to addresses that the operator named, and are believed.

use std::net::IpAddr;
use std::str::FromStr;

use longhaul_dtn::bpv7::EndpointId;

/// Whom to believe who connects to us.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Trust {
    /// Everybody.
    pub everyone: bool,
    /// Those at these addresses.
    pub allowed: Vec<Allowed>,
}

/// Addresses whose claims are believed: all of them, or one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Allowed {
    network: IpAddr,
    /// Leading bits of the address that have to be the same.
    bits: u32,
    node: Option<EndpointId>,
}

/// Why a text names no addresses.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AllowedError {
    /// It does not begin with an address.
    #[error(
        "{0:?} is no IP address; write ADDRESS, ADDRESS/BITS or either with =NODE-ID behind it"
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
    /// True if whoever connects from `from` is the node that it says.
    pub fn believes(&self, from: IpAddr, claimed: &EndpointId) -> bool {
        self.everyone || self.allowed.iter().any(|it| it.covers(from, claimed))
    }
}

impl Allowed {
    fn covers(&self, from: IpAddr, claimed: &EndpointId) -> bool {
        let is_named = self.node.as_ref().is_none_or(|node| node.is_same(claimed));
        is_named && prefix(self.network, self.bits) == prefix(from.to_canonical(), self.bits)
    }
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

    /// `ADDRESS`, `ADDRESS/BITS`, and either with `=NODE-ID` behind it.
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
        Ok(Self { network, bits, node })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn believes(allowed: &str, from: &str, claimed: &str) -> bool {
        let allowed = vec![allowed.parse().expect("well-formed")];
        let trust = Trust { everyone: false, allowed };
        trust.believes(from.parse().expect("an address"), &claimed.parse().expect("a node id"))
    }

    #[test]
    fn nobody_is_believed_unless_the_operator_says_so() {
        let (from, claimed) = (IpAddr::from([127, 0, 0, 1]), "dtn://b/".parse().expect("an id"));
        assert!(!Trust::default().believes(from, &claimed));
        assert!(Trust { everyone: true, allowed: vec![] }.believes(from, &claimed));
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
        assert!(parse("b.example").contains("no IP address"));
        assert!(parse("192.0.2.7/33").starts_with("/33 is no length"));
        assert!(parse("192.0.2.7/x").starts_with("/x is no length"));
        assert!(parse("192.0.2.7=dtn://b/in").contains("names no node"));
        assert!(parse("192.0.2.7=dtn:none").contains("names no node"));
    }
}
