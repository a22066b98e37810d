//! Looking at bundles in files, piece by piece: any bundle of RFC 9171, however long.
//!
//! What is no bundle is refused at the byte that says so, and a payload is never in memory as a
//! whole. `longhaul bundle show` tells what one says and takes its payload out; `ls` uses the same
//! reader. Nothing is decrypted and no signature is checked here.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, ensure};
use clap::Args;
use longhaul_dtn::bpv7::{
    BlockType, Draft, Extension, Limits, NewBlock, StreamEvent, StreamReader,
};
use longhaul_dtn::time::Timestamp;
use serde::Serialize;

use super::say;
use crate::shell::{clock, plain};

/// Bytes of one read.
const READ_BYTES: usize = 64 << 10;
/// A payload is read in pieces, so that its length costs nothing.
const LIMITS: Limits = Limits {
    blocks_max: 256,
    block_bytes_max: 1 << 20,
    head_bytes_max: 4 << 20,
    payload_bytes_max: u64::MAX,
};
/// Block types that only updates of a peer have (docs/wire.md).
const UPDATE_KINDS: [u64; 2] = [192, 193];

/// Arguments of `bundle show`.
#[derive(Debug, Args)]
pub(super) struct ShowArgs {
    /// A file that holds one bundle.
    file: PathBuf,
    /// Write what it carries here, `-` for the standard output; a file must not be there yet.
    #[arg(long, value_name = "FILE")]
    payload: Option<PathBuf>,
    /// Print what it says as one JSON object.
    #[arg(long)]
    json: bool,
}

/// What stands before the data of a payload, and how long that is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Looked {
    /// The blocks before it.
    pub head: Draft,
    /// Bytes of the payload.
    pub payload_len: u64,
}

impl Looked {
    /// True if it has blocks of a peer's update.
    pub fn is_update(&self) -> bool {
        self.head.blocks.iter().any(|block| UPDATE_KINDS.contains(&block.kind.code()))
    }

    /// When it expires; none where only its age, as it was when it was written, says so.
    pub fn expires(&self) -> Option<Timestamp> {
        let primary = &self.head.primary;
        (!primary.is_clockless()).then(|| primary.created.time.plus(primary.lifetime))
    }
}

/// Reads what stands before the payload's data.
pub(super) fn head(path: &Path) -> anyhow::Result<Looked> {
    pass(path, true, &mut |_| Ok(()))
}

/// Reads all of it; `take` gets the payload in pieces, which count only if this succeeds.
pub(super) fn whole(
    path: &Path,
    take: &mut dyn FnMut(&[u8]) -> io::Result<()>,
) -> anyhow::Result<Looked> {
    pass(path, false, take)
}

fn pass(
    path: &Path,
    ends_at_payload: bool,
    take: &mut dyn FnMut(&[u8]) -> io::Result<()>,
) -> anyhow::Result<Looked> {
    let failed = |what: &str| format!("{what} {}", plain::path(path));
    let mut file = File::open(path).with_context(|| failed("open"))?;
    let (mut reader, mut looked) = (StreamReader::new(LIMITS), None);
    let mut buffer = vec![0; READ_BYTES];
    loop {
        let count = match file.read(&mut buffer) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            read => read.with_context(|| failed("read"))?,
        };
        if count == 0 {
            ensure!(reader.is_ended(), "not a bundle: it was cut short");
            return looked.context("not a bundle: it was cut short");
        }
        for event in reader.push(&buffer[..count]).context("not a bundle")? {
            match event {
                StreamEvent::Head { head, payload_len } => {
                    let found = Looked { head: *head, payload_len };
                    if ends_at_payload {
                        return Ok(found);
                    }
                    looked = Some(found);
                }
                StreamEvent::Payload(piece) => take(piece).context("write the payload")?,
                StreamEvent::End => {}
            }
        }
    }
}

/// Creates a file that must not be there yet.
pub(super) fn create_new(path: &Path) -> anyhow::Result<File> {
    match OpenOptions::new().write(true).create_new(true).open(path) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
            anyhow::bail!("{} is there already; name another file or delete it", plain::path(path))
        }
        opened => opened.with_context(|| format!("create {}", plain::path(path))),
    }
}

/// Writes a new file by `write`; what could not be written whole is not left behind.
pub(super) fn write_new<T>(
    path: &Path,
    write: impl FnOnce(&mut File) -> anyhow::Result<T>,
) -> anyhow::Result<T> {
    let mut file = create_new(path)?;
    let synced =
        |file: &File| file.sync_all().with_context(|| format!("write {}", plain::path(path)));
    let written = write(&mut file).and_then(|value| synced(&file).map(|()| value));
    if written.is_err() {
        let _ = fs::remove_file(path);
    }
    written
}

/// Says what a bundle says, and takes its payload out.
pub(super) fn show(args: &ShowArgs) -> anyhow::Result<ExitCode> {
    let name = || plain::path(&args.file);
    // All of it is looked at before any of it is used.
    let looked = whole(&args.file, &mut |_| Ok(())).with_context(name)?;
    let is_piped = args.payload.as_deref() == Some(Path::new("-"));
    match args.payload.as_deref() {
        None => {}
        Some(_) if is_piped => {
            let mut out = io::stdout().lock();
            whole(&args.file, &mut |piece| out.write_all(piece)).with_context(name)?;
            out.flush()?;
        }
        Some(path) => {
            write_new(path, |out| whole(&args.file, &mut |piece| out.write_all(piece)))
                .with_context(name)?;
        }
    }
    let shown = Shown::of(&looked, clock::now());
    if is_piped {
        return Ok(ExitCode::SUCCESS);
    }
    if args.json {
        say!("{}", serde_json::to_string_pretty(&shown)?);
    } else {
        shown.lines().iter().try_for_each(|line| -> anyhow::Result<()> {
            say!("{line}");
            Ok(())
        })?;
    }
    Ok(ExitCode::SUCCESS)
}

/// What `show` prints.
#[derive(Debug, Serialize)]
struct Shown {
    source: String,
    destination: String,
    report_to: String,
    created_unix_ms: Option<u64>,
    sequence: u64,
    lifetime_ms: u64,
    expires_in_s: Option<i64>,
    flags: u64,
    fragment_offset: Option<u64>,
    fragment_of: Option<u64>,
    payload_bytes: u64,
    blocks: Vec<ShownBlock>,
}

#[derive(Debug, Serialize)]
struct ShownBlock {
    number: u64,
    kind: u64,
    name: &'static str,
    flags: u64,
    bytes: usize,
    says: Option<String>,
}

impl Shown {
    fn of(looked: &Looked, now: Timestamp) -> Self {
        let primary = &looked.head.primary;
        Self {
            source: primary.source.to_string(),
            destination: primary.destination.to_string(),
            report_to: primary.report_to.to_string(),
            created_unix_ms: (!primary.is_clockless()).then(|| primary.created.time.unix_ms()),
            sequence: primary.created.sequence,
            lifetime_ms: primary.lifetime.ms(),
            expires_in_s: looked.expires().map(|at| seconds_left(at, now)),
            flags: primary.flags_written().bits(),
            fragment_offset: primary.fragment.map(|it| it.offset),
            fragment_of: primary.fragment.map(|it| it.total),
            payload_bytes: looked.payload_len,
            blocks: looked.head.blocks.iter().map(ShownBlock::of).collect(),
        }
    }

    fn lines(&self) -> Vec<String> {
        let created = self.created_unix_ms.map_or("by a source without a clock".to_owned(), |ms| {
            format!("at {ms} ms since 1970")
        });
        let left = match self.expires_in_s {
            None => "from when it was made".to_owned(),
            Some(left) if left > 0 => format!("{left} s left"),
            Some(late) => format!("expired {} s ago", -late),
        };
        let mut lines = vec![
            format!("source       {}", self.source),
            format!("destination  {}", self.destination),
            format!("report to    {}", self.report_to),
            format!("created      {created}, number {}", self.sequence),
            format!("lifetime     {} ms, {left}", self.lifetime_ms),
            format!("flags        {:#x}", self.flags),
        ];
        if let (Some(offset), Some(total)) = (self.fragment_offset, self.fragment_of) {
            let end = offset.saturating_add(self.payload_bytes);
            lines.push(format!("fragment     bytes {offset} to {end} of {total}"));
        }
        lines.extend(self.blocks.iter().map(|block| {
            let says = block.says.as_ref().map_or(String::new(), |says| format!(": {says}"));
            let ShownBlock { number, kind, name, flags, bytes, .. } = block;
            format!("block {number:<6} type {kind} ({name}), flags {flags:#x}, {bytes} bytes{says}")
        }));
        lines.push(format!("payload      {} bytes", self.payload_bytes));
        lines
    }
}

impl ShownBlock {
    fn of(block: &NewBlock) -> Self {
        let name = match block.kind {
            BlockType::PREVIOUS_NODE => "previous node",
            BlockType::BUNDLE_AGE => "bundle age",
            BlockType::HOP_COUNT => "hop count",
            BlockType::INTEGRITY => "integrity, BPSec",
            BlockType::CONFIDENTIALITY => "confidentiality, BPSec",
            kind if UPDATE_KINDS.contains(&kind.code()) => "of an update",
            _ => "unknown",
        };
        let says = match Extension::decode(block.kind, block.number, &block.data) {
            Ok(Some(Extension::PreviousNode(node))) => Some(node.to_string()),
            Ok(Some(Extension::BundleAge(age))) => Some(format!("{} ms", age.ms())),
            Ok(Some(Extension::HopCount { limit, count })) => {
                Some(format!("{count} of {limit} hops taken"))
            }
            // It may be encrypted.
            Ok(None) | Err(_) => None,
        };
        let (number, kind, flags) = (block.number, block.kind.code(), block.flags.bits());
        Self { number, kind, name, flags, bytes: block.data.len(), says }
    }
}

/// Seconds to a time; none or fewer once it is over.
pub(super) fn seconds_left(at: Timestamp, now: Timestamp) -> i64 {
    // A thousandth of any number of milliseconds has room for a sign.
    let [left, late] = [at.since(now), now.since(at)].map(|it| (it.ms() / 1_000).cast_signed());
    if left > 0 { left } else { -late }
}

#[cfg(test)]
mod tests {
    use longhaul_dtn::bpv7::{CreationTimestamp, PrimaryBlock};
    use longhaul_dtn::time::Span;

    use super::*;

    fn bundle(payload: &[u8]) -> Vec<u8> {
        let created = CreationTimestamp { time: Timestamp::from_dtn_ms(1_000), sequence: 7 };
        let [source, destination] =
            ["dtn://a/out", "ipn:5.1"].map(|text| text.parse().expect("an endpoint id"));
        let lifetime = Span::from_ms(60_000);
        let mut draft = Draft::new(PrimaryBlock::new(source, destination, created, lifetime));
        draft.set(&Extension::HopCount { limit: 9, count: 2 });
        draft.encode(payload).expect("a bundle")
    }

    fn file(bytes: &[u8]) -> (tempfile::TempDir, PathBuf) {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("x.bundle");
        fs::write(&path, bytes).expect("a file");
        (folder, path)
    }

    #[test]
    fn says_what_any_bundle_says_and_takes_its_payload_out() {
        let payload = vec![7; 3 * READ_BYTES];
        let (folder, path) = file(&bundle(&payload));
        let (out, json) = (folder.path().join("out"), false);
        let args = ShowArgs { file: path.clone(), payload: Some(out.clone()), json };
        show(&args).expect("a bundle");
        assert_eq!(fs::read(&out).expect("written"), payload);
        let error = show(&args).expect_err("it is there");
        assert!(format!("{error:#}").contains("is there already"), "{error:#}");
        let looked = head(&path).expect("a bundle");
        assert!(!looked.is_update());
        let lines = Shown::of(&looked, Timestamp::from_dtn_ms(2_000)).lines().join("\n");
        for line in ["dtn://a/out", "ipn:5.1", "59 s left", "2 of 9 hops taken", "196608 bytes"] {
            assert!(lines.contains(line), "{line} in {lines}");
        }
    }

    #[test]
    fn a_lifetime_without_end_is_not_over() {
        let now = Timestamp::from_dtn_ms(1_000_000);
        let never = Timestamp::from_dtn_ms(u64::MAX);
        assert!(seconds_left(never, now) > 1 << 53);
        assert_eq!(seconds_left(now, now), 0);
        assert_eq!(seconds_left(now, now.plus(Span::from_ms(5_000))), -5);
        assert!(seconds_left(Timestamp::default(), never) < -(1 << 53));
        let [source, destination] =
            ["dtn://a/out", "ipn:5.1"].map(|text| text.parse().expect("an endpoint id"));
        let created = CreationTimestamp { time: now, sequence: 1 };
        let primary = PrimaryBlock::new(source, destination, created, Span::from_ms(u64::MAX));
        let looked = Looked { head: Draft::new(primary), payload_len: 1 };
        let lines = Shown::of(&looked, now).lines().join("\n");
        assert!(lines.contains(" s left") && !lines.contains("expired"), "{lines}");
    }

    #[test]
    fn leaves_no_payload_of_a_bundle_that_is_damaged() {
        let mut bytes = bundle(&vec![7; 2 * READ_BYTES]);
        let at = bytes.len() - 100;
        bytes[at] ^= 1;
        for bytes in [&bytes[..], &bytes[..at]] {
            let (folder, path) = file(bytes);
            let out = folder.path().join("out");
            let args = ShowArgs { file: path.clone(), payload: Some(out.clone()), json: false };
            let error = show(&args).expect_err("damaged");
            assert!(format!("{error:#}").contains("x.bundle: not a bundle"), "{error:#}");
            assert!(!out.exists());
        }
    }

    #[test]
    fn a_hostile_name_is_not_obeyed() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("\x1b[2Jok\n.bundle");
        fs::write(&path, b"no bundle").expect("a file");
        let args = ShowArgs { file: path.clone(), payload: None, json: false };
        let error = format!("{:#}", show(&args).expect_err("no bundle"));
        assert!(error.contains("\\u{1b}[2Jok\\n.bundle: not a bundle"), "{error}");
        assert!(!error.contains(char::is_control));
        let error = create_new(&path).expect_err("it is there").to_string();
        assert!(!error.contains(char::is_control), "{error:?}");
    }

    #[test]
    fn refuses_a_huge_file_that_is_none_at_its_first_bytes() {
        let (_folder, path) = file(b"PK");
        // Sparse: as long as it claims, and nothing on the disk.
        let file = OpenOptions::new().write(true).open(&path).expect("a file");
        file.set_len(1 << 40).expect("a sparse file");
        assert!(whole(&path, &mut |_| Ok(())).is_err() && head(&path).is_err());
    }
}
