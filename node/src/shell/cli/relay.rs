//! `longhaul relay`.

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context;
use clap::{Args, value_parser};
use longhaul_dtn::identity::SecretKey;

use super::up::{QUIET, start_log};
use crate::shell::cli::say;
use crate::shell::net::{RelayConfig, RelayLimits, RelayServer, ServiceAddress, parse_address};
use crate::shell::{entropy, store};

pub(super) const EXAMPLES: &str = "\
Examples:
  longhaul relay --listen /ip4/0.0.0.0/tcp/4001
  longhaul relay --listen /ip4/0.0.0.0/tcp/4001 --listen /ip4/0.0.0.0/udp/4001/quic-v1 --rendezvous
  longhaul relay --listen /ip4/10.0.0.7/tcp/4001 --announce /ip4/203.0.113.9/tcp/4001

Prints where it is reached, /ip4/…/tcp/…/p2p/ID. Members put that into `relay.via`, and with
--rendezvous into `rendezvous.at`, of their longhaul.toml.";

/// Arguments of `relay`.
#[derive(Debug, Args)]
pub(super) struct RelayArgs {
    /// The directory with the relay's key; made if there is none.
    #[arg(long, value_name = "DIR", default_value = "longhaul-relay")]
    dir: PathBuf,
    /// Listen here; may be repeated.
    #[arg(long, value_name = "MULTIADDR", required = true)]
    listen: Vec<String>,
    /// Tell peers this address instead of those listened at; may be repeated.
    #[arg(long, value_name = "MULTIADDR")]
    announce: Vec<String>,
    /// Be a rendezvous point, too: list who has registered.
    #[arg(long)]
    rendezvous: bool,
    /// Dial those back that ask whether they can be reached (AutoNAT): lets strangers
    /// make this process connect to addresses that they name.
    #[arg(long)]
    autonat: bool,
    /// Most peers that are reached through this relay.
    #[arg(long, value_name = "N", default_value_t = 128, value_parser = value_parser!(u32).range(1..=65_536))]
    reservations: u32,
    /// Most circuits at a time.
    #[arg(long, value_name = "N", default_value_t = 128, value_parser = value_parser!(u32).range(1..=65_536))]
    circuits: u32,
    /// Most circuits at a time with one peer at an end.
    #[arg(long, value_name = "N", default_value_t = 16, value_parser = value_parser!(u32).range(1..=65_536))]
    circuits_per_peer: u32,
    /// Most that one circuit moves, in MiB; peers then make another.
    #[arg(long, value_name = "MIB", default_value_t = 256, value_parser = value_parser!(u64).range(1..=1 << 20))]
    circuit_mib: u64,
    /// Longest time of one circuit, in seconds; peers then make another.
    #[arg(long, value_name = "S", default_value_t = 3_600, value_parser = value_parser!(u64).range(10..=604_800))]
    circuit_s: u64,
    /// Most connections at a time.
    #[arg(long, value_name = "N", default_value_t = 512, value_parser = value_parser!(u32).range(1..=65_536))]
    connections: u32,
    /// Most connections at a time from one IPv4 address or one IPv6 network.
    #[arg(long, value_name = "N", default_value_t = 64, value_parser = value_parser!(u32).range(1..=65_536))]
    per_address: u32,
    /// Print each address as a JSON object.
    #[arg(long)]
    json: bool,
    /// What to log: error, warn, info, debug, trace, or a tracing filter.
    #[arg(long, value_name = "FILTER", default_value = "info")]
    log: String,
}

/// Above this size of the process no connection is accepted.
const MEMORY_BYTES_MAX: usize = 1 << 30;

impl RelayArgs {
    fn config(&self, key: SecretKey) -> anyhow::Result<RelayConfig> {
        let addresses = |texts: &[String]| {
            let read = |text: &String| parse_address(text).with_context(|| text.clone());
            texts.iter().map(read).collect::<anyhow::Result<Vec<_>>>()
        };
        let count = |count: u32| usize::try_from(count).expect("at most 65,536");
        Ok(RelayConfig {
            key,
            listen: addresses(&self.listen)?,
            announce: addresses(&self.announce)?,
            limits: RelayLimits {
                reservations_max: count(self.reservations),
                circuits_max: count(self.circuits),
                circuits_per_peer_max: count(self.circuits_per_peer),
                circuit_bytes_max: self.circuit_mib << 20,
                circuit_time_max: Duration::from_secs(self.circuit_s),
            },
            rendezvous: self.rendezvous,
            answers_probes: self.autonat,
            connections_max: self.connections,
            connections_per_address_max: count(self.per_address),
            memory_bytes_max: MEMORY_BYTES_MAX,
        })
    }

    fn show(&self, address: &ServiceAddress) -> anyhow::Result<()> {
        if self.json {
            let peer_id = address.id().to_string();
            say!("{}", serde_json::json!({ "peer_id": peer_id, "address": address.to_string() }));
        } else {
            say!("{address}");
        }
        Ok(())
    }
}

pub(super) fn relay(args: &RelayArgs) -> anyhow::Result<ExitCode> {
    start_log(&format!("{},{QUIET}", args.log), false)?;
    let fresh = SecretKey::from_seed(&entropy::nonce()?);
    // Held for as long as the relay runs.
    let held = store::relay_key(&args.dir, &fresh)?;
    let config = args.config(held.key.clone())?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .context("start the runtime")?;
    runtime.block_on(serve(args, config))?;
    Ok(ExitCode::SUCCESS)
}

async fn serve(args: &RelayArgs, config: RelayConfig) -> anyhow::Result<()> {
    let mut server = RelayServer::start(config)?;
    let mut hang_up = std::pin::pin!(crate::shell::driver::signal());
    loop {
        tokio::select! {
            address = server.next() => args.show(&address)?,
            () = &mut hang_up => return Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;

    #[derive(Debug, Parser)]
    struct Relay {
        #[command(flatten)]
        args: RelayArgs,
    }

    fn parse(words: &[&str]) -> Result<RelayArgs, clap::Error> {
        let words = ["relay", "--listen", "/ip4/127.0.0.1/tcp/0"].iter().chain(words);
        Relay::try_parse_from(words).map(|relay| relay.args)
    }

    #[test]
    fn what_is_left_out_has_the_default_of_a_serving_member() {
        let args = parse(&[]).expect("well-formed");
        let config = args.config(SecretKey::from_seed(&[1; 32])).expect("well-formed");
        assert_eq!(config.limits, RelayLimits::default());
        assert!(!config.rendezvous && !config.answers_probes);
    }

    #[test]
    fn refuses_limits_without_meaning_and_addresses_that_are_none() {
        for words in [["--reservations", "0"], ["--circuit-mib", "0"], ["--circuit-s", "1"]] {
            assert!(parse(&words).is_err(), "{words:?}");
        }
        let args = parse(&["--announce", "example.org:4001"]).expect("a text");
        let error = args.config(SecretKey::from_seed(&[1; 32])).expect_err("no multiaddr");
        assert!(format!("{error:#}").contains("example.org"), "{error:#}");
    }
}
