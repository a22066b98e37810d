//! `longhaul courier`.

use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context, ensure};
use clap::Args;
use longhaul_dtn::bpv7::EndpointId;
use longhaul_dtn::routing::spray::Copies;

use super::say;
use crate::shell::clock;
use crate::shell::courier::carrier::PeerAddress;
use crate::shell::courier::{self, CourierOptions, Deliver, Report, Routing};

/// What every address of a carrier may begin with.
const SCHEME: &str = "tcpcl:";

/// Arguments of `courier`.
#[derive(Debug, Args)]
pub(super) struct CourierArgs {
    /// Listen here, as tcpcl:HOST:PORT; may be repeated.
    #[arg(long, value_name = "ADDRESS")]
    listen: Vec<String>,
    /// The node id of this courier, as dtn://NAME/ or ipn:NUMBER.0.
    #[arg(long, value_name = "NODE-ID")]
    node_id: EndpointId,
    /// Keep a session to this node, as HOST:PORT or HOST:PORT=NODE-ID; may be repeated.
    #[arg(long, value_name = "PEER")]
    peer: Vec<String>,
    /// The directory for bundles; made if it is missing.
    #[arg(long, value_name = "DIR")]
    dir: PathBuf,
    /// Most bytes of bundles held. What was delivered gives way first; then new bundles are refused.
    #[arg(long, value_name = "BYTES", default_value_t = 10 << 30)]
    quota: u64,
    /// What becomes of bundles for this node: a file each in DIR/delivered, or a count.
    #[arg(long, value_enum, default_value_t = DeliverArg::Files)]
    deliver: DeliverArg,
    /// Give bundles for one other node to the neighbour that the best route of this contact plan
    /// begins with: ION's text form or JSON. What it has no route for is sprayed.
    #[arg(long, value_name = "FILE")]
    plan: Option<PathBuf>,
    /// Spray bundles for one other node without a plan: a few copies instead of one for every
    /// neighbour.
    #[arg(long)]
    spray: bool,
    /// Copies of a bundle that is sprayed, where it comes without.
    #[arg(long, value_name = "N", default_value_t = 8, value_parser = clap::value_parser!(u16).range(1..=64))]
    copies: u16,
    /// Print a report per line on stdout as JSON.
    #[arg(long)]
    json: bool,
    /// What to log on stderr: error, warn, info, debug, trace, or a tracing filter.
    #[arg(long, value_name = "FILTER", default_value = "info")]
    log: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum DeliverArg {
    Files,
    Count,
}

pub(super) fn courier(args: &CourierArgs) -> anyhow::Result<ExitCode> {
    super::up::start_log(&args.log, false)?;
    let node = node_id(&args.node_id)?;
    let plan = args.plan.as_ref().map(|file| courier::plan::read(file, &node, clock::now()));
    let plan = plan.transpose()?;
    let copies = Copies::new(args.copies).expect("one or more");
    let options = CourierOptions {
        routing: (plan.is_some() || args.spray).then_some(Routing { plan, copies }),
        node,
        listen: args.listen.iter().map(|it| address(it).to_owned()).collect(),
        peers: args.peer.iter().map(|text| peer(text)).collect::<anyhow::Result<_>>()?,
        dir: args.dir.clone(),
        quota_bytes: args.quota,
        deliver: match args.deliver {
            DeliverArg::Files => Deliver::Files,
            DeliverArg::Count => Deliver::Count,
        },
    };
    ensure!(
        !options.listen.is_empty() || !options.peers.is_empty(),
        "a courier without --listen and --peer meets nobody; give one of them"
    );
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let stop = crate::shell::driver::signal();
    runtime.block_on(courier::run(&options, stop, |report| tell(report, args.json)))?;
    Ok(ExitCode::SUCCESS)
}

fn tell(report: &Report, json: bool) -> anyhow::Result<()> {
    if json {
        say!("{}", serde_json::to_string(report)?);
    } else {
        match report {
            Report::Listening { address } => say!("listening at {address}"),
            Report::Opened { bundles } => say!("opened with {bundles} bundles"),
            Report::Status { links, held, held_bytes, counts } => say!(
                "{links} sessions, {held} bundles ({held_bytes} bytes) held, {} received, {} delivered, {} forwarded, {} refused, {} expired",
                counts.received,
                counts.delivered,
                counts.forwarded,
                counts.refused,
                counts.expired
            ),
        }
    }
    std::io::stdout().flush()?;
    Ok(())
}

/// Checks that an endpoint names a node, as a node id does.
pub(super) fn node_id(id: &EndpointId) -> anyhow::Result<EndpointId> {
    ensure!(
        !id.is_none() && id.is_same(&id.node()),
        "{id} names no node; write dtn://NAME/ or ipn:NUMBER.0"
    );
    Ok(id.clone())
}

/// Host and port of an address with or without its scheme.
pub(super) fn address(text: &str) -> &str {
    text.strip_prefix(SCHEME).unwrap_or(text)
}

fn peer(text: &str) -> anyhow::Result<PeerAddress> {
    let (place, node) = match text.split_once('=') {
        None => (text, None),
        Some((place, node)) => {
            let id = node.parse().with_context(|| format!("read --peer {text}"))?;
            (place, Some(node_id(&id)?))
        }
    };
    Ok(PeerAddress { address: address(place).to_owned(), node })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_peers_with_and_without_a_node_id() {
        let found = peer("tcpcl:10.0.0.7:4556=dtn://b/").expect("well-formed");
        assert_eq!(found.address, "10.0.0.7:4556");
        assert_eq!(found.node.map(|node| node.to_string()), Some("dtn://b/".to_owned()));
        assert_eq!(peer("b.example:4556").expect("well-formed").node, None);
        assert!(peer("b:1=b").is_err());
        assert!(peer("b:1=dtn://b/service").is_err());
        assert!(peer("b:1=dtn:none").is_err());
    }
}
