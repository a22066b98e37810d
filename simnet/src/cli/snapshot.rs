//! The snapshot beside a run: begun, compared and marked while the run goes on.

use std::cell::{Cell, RefCell};
use std::fs::{self, File, OpenOptions};
use std::ops::ControlFlow;
use std::path::Path;
use std::sync::Arc;

use anyhow::{Context, Result, anyhow, bail};
use longhaul_dtn::hash::ContentHash;
use longhaul_simnet::output::run_manifest::scenario_hash;
use longhaul_simnet::snapshot::{Answers, Counts, Mark, Origin};
use longhaul_simnet::{Progress, Scenario};

use super::folder::{SCENARIO, put_file, resolved};

/// What a run was told so far.
pub const SNAPSHOT: &str = "snapshot";

/// Keeps the snapshot of a run, or compares the run with it.
pub struct Keeper {
    answers: Arc<Answers>,
    every_epochs: u32,
    /// Where the run of the same scenario stood.
    known: Vec<Mark>,
    /// Counts the runs of this session, from 1.
    run: Cell<u8>,
    failed: RefCell<Option<anyhow::Error>>,
}

/// Whether a snapshot is gone on with or only read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Use {
    /// New answers are appended.
    GoOn,
    /// It stays as it is.
    Read,
}

/// Refuses to write a run into a folder that holds the snapshot of one.
pub fn refuse_kept(folder: &Path) -> Result<()> {
    let path = resolved(folder)?.join(SNAPSHOT);
    if path.symlink_metadata().is_err() {
        return Ok(());
    }
    bail!(
        "{} is the snapshot of a run: `longhaul-simnet resume {}` goes on with it; name another \
         --out, or delete it to begin again",
        folder.join(SNAPSHOT).display(),
        folder.display()
    )
}

impl Keeper {
    /// Begins a snapshot in `folder`, with the scenario beside it.
    pub fn begin(folder: &Path, scenario: &Scenario, every_epochs: u32) -> Result<Self> {
        fs::create_dir_all(folder).with_context(|| format!("cannot make {}", folder.display()))?;
        put_file(folder, SCENARIO, scenario.to_toml().as_bytes())?;
        let path = folder.join(SNAPSHOT);
        let mut options = OpenOptions::new();
        let file = options.read(true).write(true).create_new(true).open(&path);
        let file = file.with_context(|| format!("cannot make {}", path.display()))?;
        let origin = Origin { scenario: name(scenario), every_epochs };
        Ok(Self::new(Answers::create(Box::new(file), origin)?, every_epochs, Vec::new()))
    }

    /// Opens the snapshot in `folder` for a run of `scenario`; marks count if it is
    /// the same.
    pub fn open(folder: &Path, scenario: &Scenario, using: Use) -> Result<Self> {
        let path = folder.join(SNAPSHOT);
        let file = match using {
            Use::GoOn => OpenOptions::new().read(true).write(true).open(&path),
            Use::Read => File::open(&path),
        };
        let file = file.with_context(|| {
            format!("cannot open {}; `run --snapshot-epochs K` writes one", path.display())
        })?;
        let (answers, origin, marks) = Answers::open(Box::new(file), using == Use::GoOn)
            .with_context(|| format!("cannot use {}", path.display()))?;
        let same = origin.scenario == name(scenario);
        if using == Use::GoOn && !same {
            bail!(
                "{} is not the scenario of the snapshot beside it: give a changed one with \
                 --scenario FILE --out OTHER",
                folder.join(SCENARIO).display()
            );
        }
        let known = if same { marks } else { Vec::new() };
        Ok(Self::new(answers, origin.every_epochs, known))
    }

    fn new(answers: Answers, every_epochs: u32, known: Vec<Mark>) -> Self {
        Self {
            answers: Arc::new(answers),
            every_epochs: every_epochs.max(1),
            known,
            run: Cell::new(0),
            failed: RefCell::default(),
        }
    }

    /// The answers, for the run.
    pub fn answers(&self) -> Arc<Answers> {
        self.answers.clone()
    }

    /// Compares with a mark or makes one; ends the run if either fails.
    pub fn watch(&self, progress: &Progress) -> ControlFlow<()> {
        if progress.events == 0 {
            self.run.set(self.run.get().saturating_add(1));
            return ControlFlow::Continue(());
        }
        match self.stand(progress) {
            Ok(()) => ControlFlow::Continue(()),
            Err(error) => {
                *self.failed.borrow_mut() = Some(error);
                ControlFlow::Break(())
            }
        }
    }

    fn stand(&self, progress: &Progress) -> Result<()> {
        let Progress { epoch, events, digest, .. } = *progress;
        let here = Mark { run: self.run.get(), epoch, events, digest };
        let known = self.known.iter().find(|it| (it.run, it.epoch) == (here.run, here.epoch));
        if let Some(known) = known.filter(|known| **known != here) {
            return Err(anyhow!(
                "the run is not that of the snapshot: after epoch {epoch} it has {events} events and \
                 digest {digest}, the snapshot says {} and {}; was it made with other data or another \
                 version of the program?",
                known.events,
                known.digest
            ));
        }
        if known.is_none() && (epoch + 1).is_multiple_of(self.every_epochs) {
            self.answers.mark(here).context("cannot write the snapshot")?;
        }
        Ok(())
    }

    /// What the answers did; fails if the run was ended.
    pub fn finish(self) -> Result<Counts> {
        match self.failed.into_inner() {
            Some(error) => Err(error),
            None => Ok(self.answers.counts()),
        }
    }
}

fn name(scenario: &Scenario) -> ContentHash {
    ContentHash::from_bytes(*scenario_hash(&scenario.to_toml()).as_bytes())
}
