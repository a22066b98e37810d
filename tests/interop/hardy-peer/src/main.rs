//! A node of the hardy crates (hardy-bpa over hardy-tcpclv4), which tests/interop/tcpcl.py talks to.
//!
//!     hardy-peer NODE-ID LISTEN OUT [--connect ADDRESS] [--send DESTINATION FILE]...
//!
//! Registers the service `in`, writes each payload that comes to a file in OUT, sends each FILE as
//! the payload of a bundle, and runs until it is interrupted.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use anyhow::{Context, bail};
use hardy_bpa::bpa::{Bpa, BpaRegistration};
use hardy_bpa::node_ids::NodeIds;
use hardy_bpa::services::{self, Application, ApplicationSink, StatusNotify};
use hardy_bpa::{Bytes, async_trait};
use hardy_bpv7::eid::{Eid, NodeId, Service};
use hardy_tcpclv4::{Cla, config::Config};

const LIFETIME: Duration = Duration::from_secs(3600);

struct Options {
    node: NodeId,
    listen: SocketAddr,
    out: PathBuf,
    connect: Option<SocketAddr>,
    send: Vec<(Eid, PathBuf)>,
}

/// Writes payloads to files.
struct Inbox {
    out: PathBuf,
    count: AtomicUsize,
    sink: OnceLock<Box<dyn ApplicationSink>>,
}

#[async_trait]
impl Application for Inbox {
    async fn on_register(&self, _source: &Eid, sink: Box<dyn ApplicationSink>) {
        let _ = self.sink.set(sink);
    }

    async fn on_unregister(&self) {}

    async fn on_receive(
        &self,
        _source: Eid,
        _expiry: time::OffsetDateTime,
        _ack_requested: bool,
        payload: Bytes,
    ) -> services::Result<()> {
        let number = self.count.fetch_add(1, Ordering::Relaxed);
        let part = self.out.join(format!("{number}.part"));
        std::fs::write(&part, &payload)
            .and_then(|()| std::fs::rename(&part, self.out.join(format!("{number}.payload"))))
            .map_err(|error| services::Error::Internal(error.into()))
    }

    async fn on_status_notify(
        &self,
        _bundle: &hardy_bpv7::bundle::Id,
        _from: &Eid,
        _kind: StatusNotify,
        _reason: hardy_bpv7::status_report::ReasonCode,
        _timestamp: Option<time::OffsetDateTime>,
    ) {
    }
}

fn options() -> anyhow::Result<Options> {
    let mut args = std::env::args().skip(1);
    let mut next = |what: &str| args.next().with_context(|| format!("{what} is missing"));
    let node = next("NODE-ID")?.parse().map_err(|error| anyhow::anyhow!("NODE-ID: {error}"))?;
    let listen = next("LISTEN")?.parse().context("LISTEN")?;
    let out = PathBuf::from(next("OUT")?);
    let (mut connect, mut send) = (None, Vec::new());
    while let Ok(option) = next("an option") {
        match option.as_str() {
            "--connect" => connect = Some(next("ADDRESS")?.parse().context("ADDRESS")?),
            "--send" => {
                let to = next("DESTINATION")?;
                let to = to.parse().map_err(|error| anyhow::anyhow!("DESTINATION: {error}"))?;
                send.push((to, PathBuf::from(next("FILE")?)));
            }
            other => bail!("unknown option {other}"),
        }
    }
    Ok(Options { node, listen, out, connect, send })
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    tracing_subscriber::fmt()
        .with_env_filter(tracing_subscriber::EnvFilter::from_default_env())
        .with_writer(std::io::stderr)
        .init();
    let options = options()?;
    std::fs::create_dir_all(&options.out)?;
    let node_ids = NodeIds::try_from([options.node].as_slice())?;
    let built = Bpa::builder().node_ids(node_ids).build().await;
    let bpa = built.map_err(|error| anyhow::anyhow!("build the node: {error}"))?;
    bpa.start(false);
    let inbox = Inbox { out: options.out, count: AtomicUsize::new(0), sink: OnceLock::new() };
    let inbox = Arc::new(inbox);
    bpa.register_application(Service::Dtn("in".into()), inbox.clone()).await?;
    let config = Config { address: Some(options.listen), ..Config::default() };
    let cla = Arc::new(Cla::new(&config)?);
    bpa.register_cla("tcp".to_owned(), cla.clone(), None).await?;
    if let Some(address) = &options.connect {
        cla.connect(address).await?;
    }
    println!("ready");
    let sink = inbox.sink.get().context("the service was not registered")?;
    for (to, file) in options.send {
        let payload = std::fs::read(&file).with_context(|| format!("read {}", file.display()))?;
        sink.send(to, payload.into(), LIFETIME, None).await?;
    }
    tokio::signal::ctrl_c().await?;
    bpa.shutdown().await;
    Ok(())
}
