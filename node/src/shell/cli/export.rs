//! `longhaul export`: the auditor's file.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, ensure};
use clap::Args;
use longhaul_registry::audit::{self, Exported};

use super::DirArg;
use crate::shell::fresh::{self, Readers};
use crate::shell::store::{Snapshot, Store};

/// Arguments of `export`.
#[derive(Debug, Args)]
pub(super) struct ExportArgs {
    #[command(flatten)]
    dir: DirArg,
    /// Where to write the file.
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
    /// Leaves the payloads out, for an auditor who must not see updates: signatures, chain and proofs
    /// can be checked, the model cannot be derived.
    #[arg(long)]
    without_payloads: bool,
}

/// Writes the log up to its newest version record, with all payloads or none.
///
/// Works beside a running peer: the log only ever grows.
pub(in crate::shell) fn export_audit_file(
    dir: &Path,
    out: &Path,
    with_payloads: bool,
) -> anyhow::Result<Exported> {
    write(&Store::read(dir)?, dir, out, with_payloads)
}

fn write(
    snapshot: &Snapshot,
    dir: &Path,
    out: &Path,
    with_payloads: bool,
) -> anyhow::Result<Exported> {
    keep_out_of(dir, out)?;
    let me = Store::key(dir)?.peer_id();
    ensure!(
        !snapshot.manifest.manifest().is_courier(&me),
        "this peer is a courier: it has no model, and so nothing to audit; a member exports"
    );
    let (manifest, entries) = (&snapshot.manifest, &snapshot.restored.entries);
    let payloads = &snapshot.restored.payloads;
    fresh::replace(out, Readers::Any, |mut writer| {
        let find = |hash: &_| Ok(payloads.get(hash).cloned());
        Ok(match with_payloads {
            true => audit::export(manifest, entries, find, &mut writer)?,
            false => audit::export_without_payloads(manifest, entries, &mut writer)?,
        })
    })
}

/// Refuses to write over what a data directory is made of.
pub(super) fn keep_out_of(dir: &Path, out: &Path) -> anyhow::Result<()> {
    const OWN: [&str; 7] =
        ["key", "key-number", "manifest", "longhaul.toml", "status.json", "lock", "index"];
    let parent = out.parent().filter(|parent| !parent.as_os_str().is_empty());
    let parent = parent.unwrap_or(Path::new(".")).canonicalize();
    let parent = parent.with_context(|| format!("open the folder of {}", out.display()))?;
    let dir = dir.canonicalize().with_context(|| format!("open {}", dir.display()))?;
    let name = out.file_name().and_then(|name| name.to_str()).unwrap_or_default();
    let own = match parent.strip_prefix(&dir) {
        Err(_) => false,
        Ok(inside) if inside.as_os_str().is_empty() => OWN.contains(&name),
        Ok(inside) => {
            ["log", "payload", "index", "proving"].iter().any(|own| inside.starts_with(own))
        }
    };
    ensure!(!own, "{} is part of the data directory; name another file", out.display());
    Ok(())
}

pub(super) fn export(args: &ExportArgs) -> anyhow::Result<ExitCode> {
    let snapshot = Store::read(&args.dir.dir)?;
    let exported = write(&snapshot, &args.dir.dir, &args.out, !args.without_payloads)?;
    if args.without_payloads {
        let (entries, bytes, out) = (exported.entries, exported.bytes, args.out.display());
        eprintln!("{entries} log entries, {bytes} bytes, no payloads");
        eprintln!("Wrote {out}. Next: longhaul-audit verify {out}");
        return Ok(ExitCode::SUCCESS);
    }
    eprintln!(
        "{} log entries, {} payloads, {} bytes; {} payloads are missing",
        exported.entries,
        exported.payloads,
        exported.bytes,
        exported.missing.len()
    );
    if exported.sealed > 0 {
        eprintln!(
            "{} payloads of sealed updates are gone; the audit begins with a cosigned snapshot",
            exported.sealed
        );
    }
    let (out, dir) = (args.out.display(), args.dir.dir.display());
    if snapshot.manifest.manifest().is_private() {
        eprintln!("Wrote {out}. Next: longhaul keys export --dir {dir} --out KEYS, and");
        eprintln!("  longhaul-audit replay {out} --keys KEYS");
    } else {
        eprintln!("Wrote {out}. Next: longhaul-audit replay {out}");
    }
    Ok(ExitCode::SUCCESS)
}
