//! Claim: one run or sweep at a time in a folder, and no run in that of a sweep.
//!
//! The file `lock` in it is locked by the system for as long as the process lives,
//! however that ends; it stays there and holds nothing.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::path::Path;

use anyhow::{Context, Result, bail};

use super::folder::{EVENTS, MANIFEST, PAGE_DATA, SWEEP_DATA};
use super::snapshot::SNAPSHOT;

/// The file that is locked.
const LOCK: &str = "lock";
/// The finished runs of a sweep.
pub const CELLS: &str = "cells";

/// A folder that is written by this process alone.
#[derive(Debug)]
pub struct Claim {
    _file: File,
}

impl Claim {
    /// Claims `folder`, which is made if it is not there, for a run.
    pub fn for_run(folder: &Path) -> Result<Self> {
        refuse(folder, &[CELLS, SWEEP_DATA], "a sweep")?;
        Self::take(folder)
    }

    /// Claims `folder`, which is made if it is not there, for a sweep.
    pub fn for_sweep(folder: &Path) -> Result<Self> {
        refuse(folder, &[SNAPSHOT, EVENTS, PAGE_DATA, MANIFEST], "a run")?;
        Self::take(folder)
    }

    /// Claims `folder` for what it holds already.
    pub fn take(folder: &Path) -> Result<Self> {
        fs::create_dir_all(folder).with_context(|| format!("cannot make {}", folder.display()))?;
        let path = folder.join(LOCK);
        let mut options = OpenOptions::new();
        let file = options.write(true).create(true).truncate(false).open(&path);
        let file = file.with_context(|| format!("cannot open {}", path.display()))?;
        match file.try_lock() {
            Ok(()) => Ok(Self { _file: file }),
            Err(TryLockError::WouldBlock) => bail!(
                "{} is locked: another longhaul-simnet writes into {} now; wait for its end, or \
                 name another folder",
                path.display(),
                folder.display()
            ),
            Err(TryLockError::Error(error)) => {
                Err(error).with_context(|| format!("cannot lock {}", path.display()))
            }
        }
    }
}

/// Refuses a folder that holds one of `files`, which `owner` leaves.
fn refuse(folder: &Path, files: &[&str], owner: &str) -> Result<()> {
    let Some(found) = files.iter().map(|name| folder.join(name)).find(|path| path.exists()) else {
        return Ok(());
    };
    bail!(
        "{} is of {owner}: runs and sweeps are not mixed in one folder; name another --out, or \
         delete {}",
        found.display(),
        folder.display()
    )
}
