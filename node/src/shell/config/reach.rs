//! Reach: how a peer gets through NATs, and what it does for others behind them.
//!
//! The sections `relay`, `rendezvous` and `autonat` of the configuration. Without
//! them a peer uses no relay and serves nobody.

use std::time::Duration;

use longhaul_registry::FederationId;
use serde::{Deserialize, Serialize};

use super::ConfigError;
use super::file::{parse, value, within};
use crate::shell::net::{ReachConfig, RelayLimits, ServiceAddress, parse_address};

/// Most relays, and most rendezvous points, of one peer.
const SERVICES_MAX: usize = 16;

/// How a peer gets through NATs. Addresses are texts that [`super::Config::net`] checks.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ReachOptions {
    /// Relays at which to reserve a place.
    pub via: Vec<String>,
    /// Relay circuits for other members.
    pub serves_relay: bool,
    /// What these may make this peer hold and move.
    pub limits: RelayLimits,
    /// Rendezvous points at which to register and to look for members.
    pub rendezvous: Vec<String>,
    /// Be a rendezvous point for other members.
    pub serves_rendezvous: bool,
    /// Dial other members back that ask whether they can be reached.
    pub answers_probes: bool,
}

impl ReachOptions {
    /// What the network has to know, for a member of this federation; `announce` are
    /// the addresses at which others reach it.
    pub(super) fn net(
        &self,
        federation: FederationId,
        announce: &[String],
    ) -> Result<ReachConfig, ConfigError> {
        let announce = announce.iter().map(|text| {
            parse_address(text).map_err(|why| value("announce", format!("{text}: {why}")))
        });
        Ok(ReachConfig {
            via: services("relay.via", &self.via)?,
            rendezvous: services("rendezvous.at", &self.rendezvous)?,
            namespace: format!("longhaul/1/{federation}"),
            announce: announce.collect::<Result<_, _>>()?,
            relay: self.serves_relay.then_some(self.limits),
            serves_rendezvous: self.serves_rendezvous,
            answers_probes: self.answers_probes,
        })
    }
}

/// Reads the addresses of services; one that is named twice would be asked twice.
fn services(key: &'static str, texts: &[String]) -> Result<Vec<ServiceAddress>, ConfigError> {
    if texts.len() > SERVICES_MAX {
        return Err(value(key, format!("{} of them, at most {SERVICES_MAX}", texts.len())));
    }
    let mut services: Vec<ServiceAddress> = Vec::new();
    for text in texts {
        let service: ServiceAddress = parse(key, text)?;
        if services.iter().any(|known| known.id() == service.id()) {
            return Err(value(key, format!("{text}: {} is named twice", service.id())));
        }
        services.push(service);
    }
    Ok(services)
}

#[derive(Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct RelaySection {
    via: Vec<String>,
    serve: bool,
    reservations: usize,
    circuits: usize,
    circuits_per_peer: usize,
    circuit_mib: u64,
    circuit_s: u64,
}

#[derive(Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct RendezvousSection {
    at: Vec<String>,
    serve: bool,
}

#[derive(Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct AutonatSection {
    answer: bool,
}

impl Default for RelaySection {
    fn default() -> Self {
        of(&ReachOptions::default()).0
    }
}

impl Default for RendezvousSection {
    fn default() -> Self {
        of(&ReachOptions::default()).1
    }
}

impl Default for AutonatSection {
    fn default() -> Self {
        of(&ReachOptions::default()).2
    }
}

/// The sections as they are written.
pub(super) fn of(reach: &ReachOptions) -> (RelaySection, RendezvousSection, AutonatSection) {
    let relay = RelaySection {
        via: reach.via.clone(),
        serve: reach.serves_relay,
        reservations: reach.limits.reservations_max,
        circuits: reach.limits.circuits_max,
        circuits_per_peer: reach.limits.circuits_per_peer_max,
        circuit_mib: reach.limits.circuit_bytes_max >> 20,
        circuit_s: reach.limits.circuit_time_max.as_secs(),
    };
    let (at, serve) = (reach.rendezvous.clone(), reach.serves_rendezvous);
    (relay, RendezvousSection { at, serve }, AutonatSection { answer: reach.answers_probes })
}

/// What the sections say.
pub(super) fn check(
    (relay, rendezvous, autonat): (RelaySection, RendezvousSection, AutonatSection),
) -> Result<ReachOptions, ConfigError> {
    let count = |key, count| within(key, count, 1..=65_536_usize);
    let circuit_mib = within("relay.circuit_mib", relay.circuit_mib, 1..=1 << 20)?;
    let circuit_s = within("relay.circuit_s", relay.circuit_s, 10..=604_800)?;
    Ok(ReachOptions {
        via: relay.via,
        serves_relay: relay.serve,
        limits: RelayLimits {
            reservations_max: count("relay.reservations", relay.reservations)?,
            circuits_max: count("relay.circuits", relay.circuits)?,
            circuits_per_peer_max: count("relay.circuits_per_peer", relay.circuits_per_peer)?,
            circuit_bytes_max: circuit_mib << 20,
            circuit_time_max: Duration::from_secs(circuit_s),
        },
        rendezvous: rendezvous.at,
        serves_rendezvous: rendezvous.serve,
        answers_probes: autonat.answer,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use longhaul_dtn::hash::ContentHash;

    const RELAY: &str =
        "/ip4/192.0.2.9/tcp/4001/p2p/12D3KooWDpJ7As7BWAwRMfu1VU2WCqNjvq387JEYKDBj4kx6nXTN";

    fn federation() -> FederationId {
        FederationId::from_hash(ContentHash::from_bytes([7; 32]))
    }

    #[test]
    fn the_default_uses_nobody_and_serves_nobody() {
        let net = ReachOptions::default().net(federation(), &[]).expect("well-formed");
        let namespace = net.namespace.clone();
        assert_eq!(net, ReachConfig { namespace, ..ReachConfig::default() });
    }

    #[test]
    fn a_federation_has_a_name_of_its_own_that_a_rendezvous_point_takes() {
        let name = |byte| {
            let federation = FederationId::from_hash(ContentHash::from_bytes([byte; 32]));
            ReachOptions::default().net(federation, &[]).expect("well-formed").namespace
        };
        assert_ne!(name(1), name(2));
        assert!(name(1).len() <= 255, "{}", name(1));
    }

    #[test]
    fn reads_relays_and_rendezvous_points() {
        let options = ReachOptions {
            via: vec![RELAY.to_owned()],
            rendezvous: vec![RELAY.to_owned()],
            ..ReachOptions::default()
        };
        let net = options.net(federation(), &["/ip4/192.0.2.1/tcp/1".to_owned()]);
        let net = net.expect("well-formed");
        let relay: ServiceAddress = RELAY.parse().expect("well-formed");
        assert_eq!((&net.via, &net.rendezvous), (&vec![relay.clone()], &vec![relay]));
        assert_eq!(net.announce.len(), 1);
        assert_eq!(net.relay, None);
    }

    #[test]
    fn names_the_key_of_an_address_that_is_none() {
        let many = vec![RELAY; SERVICES_MAX + 1];
        for (key, texts) in [
            ("relay.via", vec!["192.0.2.9:4001"]),
            ("relay.via", vec!["/ip4/192.0.2.9/tcp/4001"]),
            ("relay.via", vec![RELAY, RELAY]),
            ("rendezvous.at", many),
        ] {
            let texts: Vec<_> = texts.into_iter().map(str::to_owned).collect();
            let error = services(key, &texts).expect_err(key).to_string();
            assert!(error.contains(&format!("{key}: ")), "{error}");
        }
        let error = ReachOptions::default().net(federation(), &["nowhere".to_owned()]);
        assert!(error.expect_err("no address").to_string().contains("announce: "));
    }
}
