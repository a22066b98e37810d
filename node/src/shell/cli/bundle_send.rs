//! `longhaul bundle new` and `send`: bundles of any DTN node, over TCPCLv4.

use std::fs::File;
use std::io::{Read, Write};
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context, ensure};
use clap::{Args, value_parser};
use longhaul_dtn::bpv7::{
    CreationTimestamp, Draft, EndpointId, Extension, PrimaryBlock, StreamWriter,
};
use longhaul_dtn::time::Span;

use super::bundle_look::write_new;
use super::courier::{TlsArg, node_id, peer};
use super::say;
use crate::shell::courier::carrier::PeerAddress;
use crate::shell::courier::{Allowed, BUNDLE_BYTES_MAX, SendOptions, send};
use crate::shell::{clock, plain};

/// Hops that a new bundle may take.
const HOPS_MAX: u8 = 32;
/// Longest lifetime, a hundred years: what an endpoint's clock can still add up.
const LIFETIME_S_MAX: u64 = 100 * 365 * 86_400;
/// Bytes of one read.
const READ_BYTES: usize = 64 << 10;

/// Arguments of `bundle new`.
#[derive(Debug, Args)]
pub(super) struct NewArgs {
    /// Who sends it.
    #[arg(long, value_name = "ENDPOINT")]
    source: EndpointId,
    /// Whom it is for.
    #[arg(long, value_name = "ENDPOINT")]
    destination: EndpointId,
    /// How long it lives, in seconds.
    #[arg(long, value_name = "SECONDS", default_value_t = 86_400,
        value_parser = value_parser!(u64).range(1..=LIFETIME_S_MAX))]
    lifetime: u64,
    /// Tells it from others of the same source and millisecond.
    #[arg(long, value_name = "NUMBER", default_value_t = 0)]
    sequence: u64,
    /// Where to write it; the file must not be there yet.
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
    /// What it carries.
    payload: PathBuf,
}

/// Arguments of `bundle send`.
#[derive(Debug, Args)]
pub(super) struct SendArgs {
    /// The node to send to, as HOST:PORT or HOST:PORT=NODE-ID.
    #[arg(long, value_name = "ADDRESS", value_parser = peer)]
    to: PeerAddress,
    /// Encrypt the session: not at all, if the node can, or always, and then it has to prove that
    /// it is who it says: that it has a key that --allow names.
    #[arg(long, value_enum, default_value_t = TlsArg::Offered)]
    tls: TlsArg,
    /// The key of the node, as KEY or KEY=NODE-ID; may be repeated.
    #[arg(long, value_name = "KEY")]
    allow: Vec<Allowed>,
    /// The node id to send under, as dtn://NAME/ or ipn:NUMBER.0.
    #[arg(long, value_name = "NODE-ID", value_parser = node_id)]
    node_id: EndpointId,
    /// Print the result as JSON.
    #[arg(long)]
    json: bool,
    /// Files that hold one bundle each.
    #[arg(required = true)]
    files: Vec<PathBuf>,
}

/// Makes a bundle of a file.
pub(super) fn new(args: &NewArgs) -> anyhow::Result<ExitCode> {
    let from = || plain::path(&args.payload);
    let mut payload = File::open(&args.payload).with_context(|| format!("open {}", from()))?;
    let meta = payload.metadata().with_context(|| format!("look at {}", from()))?;
    ensure!(meta.is_file(), "{} is no file whose length is known", from());
    let created = CreationTimestamp { time: clock::now(), sequence: args.sequence };
    let lifetime = Span::from_ms(1_000).times(args.lifetime);
    let (source, destination) = (args.source.clone(), args.destination.clone());
    let mut draft = Draft::new(PrimaryBlock::new(source, destination, created, lifetime));
    draft.set(&Extension::HopCount { limit: HOPS_MAX, count: 0 });
    let begun = StreamWriter::new(&draft, meta.len()).context("make the bundle")?;
    if meta.len() > BUNDLE_BYTES_MAX {
        eprintln!("A courier takes no bundle above {BUNDLE_BYTES_MAX} bytes; other nodes may.");
    }
    write_new(&args.out, |out| {
        pack(begun, &mut payload, out).with_context(|| format!("pack {}", from()))
    })?;
    say!("{}", plain::path(&args.out));
    Ok(ExitCode::SUCCESS)
}

/// Writes a bundle around what `payload` gives, piece by piece.
fn pack(
    (mut writer, head): (StreamWriter, Vec<u8>),
    payload: &mut File,
    out: &mut File,
) -> anyhow::Result<()> {
    out.write_all(&head)?;
    let mut buffer = vec![0; READ_BYTES];
    loop {
        let count = payload.read(&mut buffer)?;
        if count == 0 {
            // It says so if the file has changed its length.
            out.write_all(&writer.finish()?)?;
            return Ok(());
        }
        writer.payload(&buffer[..count]);
        out.write_all(&buffer[..count])?;
    }
}

/// Sends bundles and waits for the answers.
pub(super) fn send_all(args: &SendArgs) -> anyhow::Result<ExitCode> {
    super::up::start_log("warn", false)?;
    let options = SendOptions {
        to: args.to.clone(),
        tls: args.tls.into(),
        allowed: args.allow.clone(),
        node: args.node_id.clone(),
        files: args.files.clone(),
    };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let report = runtime.block_on(send(&options))?;
    if args.json {
        say!("{}", serde_json::to_string(&report)?);
    } else {
        say!("{} acknowledged, {} refused", report.acknowledged, report.refused);
    }
    Ok(if report.refused == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

#[cfg(test)]
mod tests {
    use clap::Parser;
    use longhaul_dtn::bpv7::{Bundle, Limits};

    use super::*;

    #[derive(Debug, Parser)]
    struct New {
        #[command(flatten)]
        args: NewArgs,
    }

    fn parse(out: &str, payload: &str, more: &[&str]) -> Result<NewArgs, clap::Error> {
        let words = [
            "new",
            "--source",
            "dtn://a/out",
            "--destination",
            "dtn://b/in",
            "--out",
            out,
            payload,
        ];
        New::try_parse_from(words.iter().chain(more)).map(|new| new.args)
    }

    #[test]
    fn packs_a_file_piece_by_piece_and_writes_over_nothing() {
        let folder = tempfile::tempdir().expect("a folder");
        let [out, payload] = ["x.bundle", "x"].map(|name| folder.path().join(name));
        let content: Vec<u8> = (0..3 * READ_BYTES + 1).map(|n| n.to_le_bytes()[0]).collect();
        std::fs::write(&payload, &content).expect("a file");
        let text = |path: &std::path::Path| path.to_str().expect("plain").to_owned();
        let args = parse(&text(&out), &text(&payload), &[]).expect("well-formed");
        new(&args).expect("room on the disk");
        let bytes = std::fs::read(&out).expect("written");
        let bundle = Bundle::decode(&bytes, &Limits::default()).expect("a bundle");
        assert_eq!(bundle.payload(), content);
        assert_eq!(bundle.to_draft().encode(&content).expect("a bundle"), bytes);
        let error = new(&args).expect_err("it is there").to_string();
        assert!(error.contains("is there already"), "{error}");
        assert_eq!(std::fs::read(&out).expect("left alone"), bytes);
    }

    #[test]
    fn takes_no_payload_without_a_length_and_leaves_nothing_behind() {
        let folder = tempfile::tempdir().expect("a folder");
        let out = folder.path().join("x.bundle");
        let here = folder.path().to_str().expect("plain");
        let args = parse(out.to_str().expect("plain"), here, &[]).expect("well-formed");
        let error = new(&args).expect_err("a folder").to_string();
        assert!(error.contains("no file whose length is known"), "{error}");
        assert!(!out.exists());
    }

    #[test]
    fn refuses_lifetimes_that_are_none() {
        assert!(parse("o", "p", &["--lifetime", "0"]).is_err());
        assert!(parse("o", "p", &["--lifetime", "18446744073709551615"]).is_err());
        assert!(parse("o", "p", &["--lifetime", "1"]).is_ok());
    }
}
