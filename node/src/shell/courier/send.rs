//! Send: hands bundles from files to a node, and waits until it answers for them.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context, bail, ensure};
use longhaul_dtn::bpv7::{Bundle, EndpointId, Limits};
use longhaul_dtn::identity::SecretKey;
use longhaul_dtn::tcpcl::NodeId;
use tokio::sync::mpsc::Receiver;

use super::agent::{SendOutcome, key_of};
use super::carrier::{Carrier, CarrierConfig, Command, Event, LinkSender, PeerAddress};
use super::driver::TlsMode;
use super::relay::Parcel;
use super::tls::Identity;
use super::trust::{Allowed, Trust};
use crate::shell::bundles::BundleKey;
use crate::shell::{entropy, plain};

/// Most bundles that are read and not answered.
const WINDOW: usize = 4_096;
/// No more bundles are read while so many bytes are not answered.
const WINDOW_BYTES: usize = 24 << 20;

/// What to send, and where.
#[derive(Debug, Clone)]
pub struct SendOptions {
    /// The node.
    pub to: PeerAddress,
    /// Whether the session is within TLS, with a key that is thrown away.
    pub tls: TlsMode,
    /// Whose key is known.
    pub allowed: Vec<Allowed>,
    /// Our node id.
    pub node: EndpointId,
    /// Files that hold one bundle each.
    pub files: Vec<PathBuf>,
}

/// What became of the bundles.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, serde::Serialize)]
pub struct SendReport {
    /// The node answers for these.
    pub acknowledged: usize,
    /// The node has no use for these.
    pub refused: usize,
}

/// Sends bundles; fails when the session ends before all are answered for.
pub async fn send(options: &SendOptions) -> anyhow::Result<SendReport> {
    let node_id = NodeId::new(&options.node.to_string())?;
    // Zero: nothing is taken from the node.
    let key = SecretKey::from_seed(&entropy::nonce()?);
    let tls = options.tls.with(Identity::new(&key, &node_id)?);
    let trust = Trust { allowed: options.allowed.clone(), ..Trust::default() };
    let config = CarrierConfig { tls, trust, ..CarrierConfig::new(node_id, 0) };
    let (carrier, mut events) = Carrier::new(config);
    carrier.dial(options.to.clone(), entropy::nonce()?);
    let (link, bytes_max) = loop {
        match events.recv().await.context("the carrier ended")? {
            Event::Up { sender, bundle_bytes_max, .. } => break (sender, bundle_bytes_max),
            Event::Missed { address, why } => bail!("reach {address}: {why}"),
            _ => {}
        }
    };
    let report = exchange(options, &link, bytes_max, &mut events).await?;
    link.tell(Command::End);
    while let Some(event) = events.recv().await {
        if matches!(event, Event::Down(_)) {
            break;
        }
    }
    Ok(report)
}

async fn exchange(
    options: &SendOptions,
    link: &LinkSender,
    bytes_max: u64,
    events: &mut Receiver<Event>,
) -> anyhow::Result<SendReport> {
    let mut report = SendReport::default();
    let mut under_way: std::collections::BTreeMap<BundleKey, (usize, &Path)> =
        std::collections::BTreeMap::new();
    let (mut files, mut bytes) = (options.files.iter(), 0);
    loop {
        while under_way.len() < WINDOW
            && bytes < WINDOW_BYTES
            && let Some(file) = files.next()
        {
            let (key, parcel) = read(file, bytes_max)?;
            bytes += parcel.len();
            let before = under_way.insert(key, (parcel.len(), file));
            ensure!(before.is_none(), "{} holds a bundle that another file has", plain::path(file));
            link.tell(Command::Send { key, parcel });
        }
        if under_way.is_empty() {
            return Ok(report);
        }
        match events.recv().await.context("the carrier ended")? {
            Event::Sent { key, outcome, .. } => {
                let Some((len, file)) = under_way.remove(&key) else { continue };
                bytes -= len;
                match outcome {
                    SendOutcome::Acknowledged => report.acknowledged += 1,
                    SendOutcome::Refused(reason) => {
                        tracing::warn!(file = plain::path(file), %reason, "bundle refused");
                        report.refused += 1;
                    }
                    SendOutcome::Lost | SendOutcome::Unreadable => {
                        bail!("the session ended before {} was answered for", plain::path(file))
                    }
                }
            }
            Event::Down(_) => bail!(
                "the session ended with {} bundles acknowledged and {} not answered for; send these again",
                report.acknowledged,
                under_way.len()
            ),
            _ => {}
        }
    }
}

fn read(file: &Path, bytes_max: u64) -> anyhow::Result<(BundleKey, Parcel)> {
    let limits = Limits::default();
    let size =
        std::fs::metadata(file).with_context(|| format!("open {}", plain::path(file)))?.len();
    ensure!(
        size <= bytes_max,
        "{} has {size} bytes; the node takes {bytes_max} at most",
        plain::path(file)
    );
    // A node may take whatever is sent; a bundle is in memory while it is.
    let most = limits.payload_bytes_max + limits.head_bytes_max as u64;
    ensure!(size <= most, "{} has {size} bytes; {most} can be sent at most", plain::path(file));
    let bytes = std::fs::read(file).with_context(|| format!("read {}", plain::path(file)))?;
    let bundle = Bundle::decode(&bytes, &limits)
        .with_context(|| format!("{} holds no bundle", plain::path(file)))?;
    let key = key_of(&bundle);
    Ok((key, Parcel::whole(Arc::new(bytes))))
}
