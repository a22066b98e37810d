//! `longhaul courier`.

use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::ensure;
use clap::{Args, value_parser};
use longhaul_dtn::bpv7::EndpointId;
use longhaul_dtn::routing::spray::Copies;
use longhaul_dtn::time::Span;

use super::say;
use crate::shell::clock;
use crate::shell::courier::carrier::PeerAddress;
use crate::shell::courier::{
    self, Allowed, CourierOptions, Deliver, Report, Routing, TlsMode, Trust,
};
use crate::shell::size::{Size, SizeError};

/// What every address of a carrier may begin with.
const SCHEME: &str = "tcpcl:";
/// Least quota: below, a store has no room for its segments and a bundle.
const QUOTA_BYTES_MIN: u64 = 1 << 20;
/// Milliseconds of a day.
const DAY_MS: u64 = 86_400_000;

fn quota(text: &str) -> Result<Size, String> {
    let size: Size = text.parse().map_err(|error: SizeError| error.to_string())?;
    match size.bytes() >= QUOTA_BYTES_MIN {
        true => Ok(size),
        false => Err(format!("{} or more", Size::from_bytes(QUOTA_BYTES_MIN).rounded_up())),
    }
}

/// Arguments of `courier`.
#[derive(Debug, Args)]
pub(super) struct CourierArgs {
    /// Listen here, as tcpcl:HOST:PORT; may be repeated.
    #[arg(long, value_name = "ADDRESS", value_parser = address, required_unless_present = "peer")]
    listen: Vec<String>,
    /// The node id of this courier, as dtn://NAME/ or ipn:NUMBER.0.
    #[arg(long, value_name = "NODE-ID", value_parser = node_id)]
    node_id: EndpointId,
    /// Keep a session to this node, as HOST:PORT or HOST:PORT=NODE-ID; may be repeated.
    #[arg(long, value_name = "PEER", value_parser = peer)]
    peer: Vec<PeerAddress>,
    /// Believe those with this key, or who connect from here, that they are the node they say:
    /// KEY, ADDRESS or ADDRESS/BITS, with or without =NODE-ID behind it; may be repeated. Who is
    /// not believed may give bundles and is given none, but for those that are for dtn://KEY/ if that is
    /// its key. A node with a KEY is believed with it alone, and KEY alone takes no name that another
    /// KEY=NODE-ID, a key or a --peer has.
    #[arg(long, value_name = "WHO")]
    allow: Vec<Allowed>,
    /// Believe everybody who connects: whoever takes a node's name is handed its bundles.
    #[arg(long)]
    trust_claims: bool,
    /// Encrypt sessions, and prove this courier's key in them: not at all, with nodes that can, or
    /// always, and then believe nobody who has not proven a key that --allow names, or that its node
    /// id is, where --peer or --allow names that.
    #[arg(long, value_enum, default_value_t = TlsArg::Offered)]
    tls: TlsArg,
    /// Most sessions that are accepted at a time; those with --peer do not count.
    #[arg(long, value_name = "N", default_value_t = 64, value_parser = value_parser!(u32).range(1..=65_536))]
    sessions: u32,
    /// Most of them from one IPv4 address or one IPv6 network.
    #[arg(long, value_name = "N", default_value_t = 8, value_parser = value_parser!(u32).range(1..=65_536))]
    per_address: u32,
    /// The directory for bundles; made if it is missing.
    #[arg(long, value_name = "DIR")]
    dir: PathBuf,
    /// Most room for bundles held, such as '2 GiB', with those in DIR/delivered that nobody took away. What was
    /// delivered gives way first, then what strangers gave, who have half; then new bundles are
    /// refused. Nothing in DIR/delivered is deleted.
    #[arg(long, value_name = "SIZE", default_value = "10 GiB", value_parser = quota)]
    quota: Size,
    /// Keep a bundle for so many days at most, however long it lives.
    #[arg(long, value_name = "DAYS", default_value_t = 30, value_parser = value_parser!(u64).range(1..=36_500))]
    keep: u64,
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

/// Whether sessions are encrypted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(super) enum TlsArg {
    Off,
    Offered,
    Required,
}

impl From<TlsArg> for TlsMode {
    fn from(arg: TlsArg) -> Self {
        match arg {
            TlsArg::Off => Self::Off,
            TlsArg::Offered => Self::Offered,
            TlsArg::Required => Self::Required,
        }
    }
}

pub(super) fn courier(args: &CourierArgs) -> anyhow::Result<ExitCode> {
    super::up::start_log(&args.log, false)?;
    let count = |count: u32| usize::try_from(count).expect("at most 65,536");
    let node = args.node_id.clone();
    ensure!(
        !(args.trust_claims && matches!(args.tls, TlsArg::Required)),
        "--tls required believes proven keys alone, --trust-claims everybody: leave out one of them"
    );
    let plan = args.plan.as_ref().map(|file| courier::plan::read(file, &node, clock::now()));
    let plan = plan.transpose()?;
    let copies = Copies::new(args.copies).expect("one or more");
    let options = CourierOptions {
        routing: (plan.is_some() || args.spray).then_some(Routing { plan, copies }),
        node,
        listen: args.listen.clone(),
        peers: args.peer.clone(),
        dir: args.dir.clone(),
        quota_bytes: args.quota.bytes(),
        keep_max: Span::from_ms(DAY_MS).times(args.keep),
        deliver: match args.deliver {
            DeliverArg::Files => Deliver::Files,
            DeliverArg::Count => Deliver::Count,
        },
        tls: args.tls.into(),
        sessions_max: count(args.sessions),
        sessions_per_address_max: count(args.per_address),
        trust: Trust { everyone: args.trust_claims, allowed: args.allow.clone(), dialled: vec![] },
    };
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
            Report::Key { key } => say!("key {key}"),
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

/// Reads a node id: an endpoint that names a node.
pub(super) fn node_id(text: &str) -> anyhow::Result<EndpointId> {
    let id: EndpointId = text.parse()?;
    ensure!(
        !id.is_none() && id.is_same(&id.node()),
        "{id} names no node; write dtn://NAME/ or ipn:NUMBER.0"
    );
    Ok(id)
}

/// Reads host and port of an address with or without its scheme.
pub(super) fn address(text: &str) -> anyhow::Result<String> {
    let place = text.strip_prefix(SCHEME).unwrap_or(text);
    let port = place.rsplit_once(':').filter(|(host, _)| !host.is_empty()).map(|(_, port)| port);
    ensure!(
        port.is_some_and(|port| port.parse::<u16>().is_ok()),
        "{text} is no address; write HOST:PORT, as in 10.0.0.7:4556"
    );
    Ok(place.to_owned())
}

/// Reads an address with or without the node that is there.
pub(super) fn peer(text: &str) -> anyhow::Result<PeerAddress> {
    let (place, node) = match text.split_once('=') {
        None => (text, None),
        Some((place, node)) => (place, Some(node_id(node)?)),
    };
    Ok(PeerAddress { address: address(place)?, node })
}

#[cfg(test)]
mod tests {
    use clap::Parser;

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

    #[derive(Debug, Parser)]
    struct Courier {
        #[command(flatten)]
        args: CourierArgs,
    }

    fn parse(more: &[&str]) -> Result<CourierArgs, clap::Error> {
        let words = ["courier", "--node-id", "dtn://a/", "--dir", "d"].iter().chain(more);
        Courier::try_parse_from(words).map(|courier| courier.args)
    }

    #[test]
    fn wrong_usage_is_refused_with_the_option_that_is_wrong() {
        let listen = ["--listen", "tcpcl:127.0.0.1:0"];
        let args = parse(&[&listen[..], &["--peer", "[2001:db8::7]:4556"]].concat());
        let args = args.expect("well-formed");
        assert_eq!(
            (&*args.listen[0], &*args.peer[0].address),
            ("127.0.0.1:0", "[2001:db8::7]:4556")
        );
        for wrong in [
            ["--peer", "foo"],
            ["--peer", ":4556"],
            ["--peer", "b:65536"],
            ["--peer", "b:1=dtn://b/service"],
            ["--listen", "127.0.0.1"],
            ["--quota", "0"],
            ["--node-id", "dtn://a/service"],
            ["--allow", "b.example"],
        ] {
            let error = parse(&[&listen[..], &wrong].concat()).expect_err(wrong[1]);
            assert_eq!(error.exit_code(), 2);
            assert!(error.to_string().contains(wrong[0]), "{error}");
        }
        let error = parse(&[]).expect_err("it would meet nobody");
        assert!(error.to_string().contains("--listen"), "{error}");
    }
}
