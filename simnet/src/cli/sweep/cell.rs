//! Cells: one run of a sweep each, kept by the hash of all that it depends on.

use std::collections::BTreeMap;
use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context, Result};
use longhaul_dtn::hash::ContentHash;
use longhaul_simnet::scenario::Cell;
use longhaul_simnet::{RunOptions, data_content, data_folder, run};
use serde::{Deserialize, Serialize};

use super::METRICS;
use crate::cli::input::{self, Source};

/// What is kept of one run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CellResult {
    /// For each axis the place of its value.
    pub at: Vec<usize>,
    /// The seed of the run.
    pub seed: u64,
    /// Its trace digest.
    pub digest: String,
    /// The checks that failed, by name.
    pub failed: Vec<String>,
    /// Values in the order of [`METRICS`]; none where nothing was measured.
    pub values: Vec<Option<f64>>,
}

/// The file of a cell.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct CellFile {
    /// blake3 of the cell's name and of the result as JSON without spaces.
    check: String,
    result: CellResult,
}

/// What the folder has of a cell.
pub enum Kept {
    /// Its result.
    Whole(CellResult),
    /// A file that cannot be used; says why.
    Damaged(String),
    /// Nothing.
    None,
}

/// A cell, how it is run, and its name.
pub struct Place {
    cell: Cell,
    options: RunOptions,
    /// blake3 of the program's version, the scenario, the data and the contacts file.
    name: String,
}

/// Reads what the cells depend on besides their scenarios, each file once.
pub fn places(source: &Source, cells: Vec<Cell>, data: Option<&Path>) -> Result<Vec<Place>> {
    let options = RunOptions { workers: 1, ..input::options(source, None, data)? };
    let mut contents: BTreeMap<PathBuf, ContentHash> = BTreeMap::new();
    let mut files: BTreeMap<PathBuf, (Arc<[u8]>, ContentHash)> = BTreeMap::new();
    let mut places = Vec::new();
    for cell in cells {
        let mut hasher = blake3::Hasher::new();
        hasher.update(env!("CARGO_PKG_VERSION").as_bytes());
        hasher.update(blake3::hash(cell.scenario.to_toml().as_bytes()).as_bytes());
        let mut options = options.clone();
        if let Some(folder) = data_folder(&cell.scenario, data)? {
            let content = match contents.get(&folder) {
                Some(content) => *content,
                None => data_content(&folder)?,
            };
            contents.insert(folder, content);
            hasher.update(b"data").update(content.as_bytes());
        }
        if let Some(file) = cell.scenario.contacts.file() {
            if !files.contains_key(file) {
                let bytes = input::contacts_file(file, &source.folder, data)?;
                let hash = ContentHash::of(&bytes);
                files.insert(file.to_path_buf(), (bytes, hash));
            }
            let (bytes, hash) = &files[file];
            options.contacts_file = Some(bytes.clone());
            hasher.update(b"contacts").update(hash.as_bytes());
        }
        let name = hasher.finalize().to_string();
        places.push(Place { cell, options, name });
    }
    Ok(places)
}

impl Place {
    /// What an earlier sweep left of this cell in `folder`.
    pub fn kept(&self, folder: &Path) -> Kept {
        let path = self.path(folder);
        let damaged = |why: &str| {
            Kept::Damaged(format!(
                "{} {why}: it was damaged or edited, and is computed again",
                path.display()
            ))
        };
        let text = match fs::read_to_string(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == ErrorKind::NotFound => return Kept::None,
            Err(error) => return damaged(&format!("cannot be read ({error})")),
        };
        let Ok(CellFile { check, result }) = serde_json::from_str(&text) else {
            return damaged("is not the result of a run");
        };
        if self.check(&result).is_none_or(|known| known != check) {
            return damaged("is not what was written there");
        }
        Kept::Whole(CellResult { at: self.cell.at.clone(), ..result })
    }

    /// Runs the cell and keeps its result in `folder`.
    pub fn run(&self, folder: &Path) -> Result<CellResult> {
        let report = run(&self.cell.scenario, &self.options)?;
        let failed = report.checks.iter().filter(|check| !check.passed);
        let result = CellResult {
            at: self.cell.at.clone(),
            seed: report.seed,
            digest: report.digest.clone(),
            failed: failed.map(|check| check.name.clone()).collect(),
            values: METRICS.iter().map(|(.., measure)| measure(&report)).collect(),
        };
        let check = self.check(&result).context("a result has a JSON form")?;
        let file = CellFile { check, result };
        // Whole or not at all: a sweep may be stopped at any moment.
        let (path, part) = (self.path(folder), folder.join(format!("{}.part", self.name)));
        fs::write(&part, serde_json::to_string_pretty(&file)?)
            .and_then(|()| fs::rename(&part, &path))
            .with_context(|| format!("cannot write {}", path.display()))?;
        Ok(file.result)
    }

    fn path(&self, folder: &Path) -> PathBuf {
        folder.join(format!("{}.json", self.name))
    }

    /// The check of a result of this cell. Its place in the sweep is left out: the same
    /// run may have another in a sweep with more values.
    fn check(&self, result: &CellResult) -> Option<String> {
        let result = CellResult { at: Vec::new(), ..result.clone() };
        let json = serde_json::to_string(&result).ok()?;
        Some(blake3::hash(format!("{} {json}", self.name).as_bytes()).to_string())
    }
}
