//! Proving keys: files named by their hash, from which a member makes proofs and compares others' with payloads.
//!
//! They are large (0.7, 5.4 and 45 MB on BN254), so manifests name them by hash and they travel as files. `join` copies
//! those that the manifest names into the data directory; what has the hash is right, wherever it came from.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context, bail, ensure};
use longhaul_aggregation::MemberIndex;
use longhaul_dtn::hash::ContentHash;
use longhaul_proofs::s1::Shape;
use longhaul_proofs::seed::Seed;
use longhaul_proofs::update::ProveUpdates;
use longhaul_proofs::update::keys::development_keys;
use longhaul_registry::{Manifest, ProofCurve, ProofKey, ProofPolicy, SignedManifest};

use super::fresh::{self, Readers};
use super::plain;

/// Where a data directory keeps them.
const FOLDER: &str = "proving";
const EXTENSION: &str = "proving";
/// Largest file that is read: twice the largest key on any curve.
const KEY_BYTES_MAX: u64 = 160 << 20;
/// Most files of a folder that are looked at.
const FILES_MAX: usize = 64;

fn file_name(hash: &ContentHash) -> String {
    format!("{hash}.{EXTENSION}")
}

fn read(path: &Path) -> anyhow::Result<Vec<u8>> {
    let found = fs::metadata(path).with_context(|| format!("open {}", plain::path(path)))?;
    ensure!(found.is_file(), "{} is no file", plain::path(path));
    let size = found.len();
    ensure!(
        size <= KEY_BYTES_MAX,
        "{} is no proving key: it has {size} bytes, the largest {KEY_BYTES_MAX}",
        plain::path(path)
    );
    fs::read(path).with_context(|| format!("read {}", plain::path(path)))
}

/// What proves and checks for a member of this federation, from the keys in its data directory; none for couriers, and where
/// the federation has no proofs.
pub(super) fn prover(
    dir: &Path,
    manifest: &SignedManifest,
    me: Option<MemberIndex>,
) -> anyhow::Result<Option<Arc<dyn ProveUpdates>>> {
    if me.is_none() {
        return Ok(None);
    }
    let folder = dir.join(FOLDER);
    manifest.proof_prover(|hash| read(&folder.join(file_name(hash))).ok()).with_context(|| {
        format!(
            "load the proving keys from {}; get them from the federation's creator, then \
             longhaul join FILE --proving-keys DIR",
            plain::path(&folder)
        )
    })
}

/// Copies the keys that the manifest names from `source` into the data directory, those that are there already left as they are.
pub(super) fn install(
    dir: &Path,
    manifest: &Manifest,
    source: Option<&Path>,
) -> anyhow::Result<()> {
    let Some(policy) = &manifest.proofs else { return Ok(()) };
    let folder = dir.join(FOLDER);
    fs::create_dir_all(&folder).with_context(|| format!("create {}", plain::path(&folder)))?;
    for key in &policy.keys {
        let name = file_name(&key.proving);
        let place = folder.join(&name);
        if read(&place).is_ok_and(|bytes| ContentHash::of(&bytes) == key.proving) {
            continue;
        }
        let Some(source) = source else {
            bail!(
                "updates of this federation are proved, and the proving key {name} is not in {}; \
                 name the folder that holds it: --proving-keys DIR",
                plain::path(&folder)
            );
        };
        let from = source.join(&name);
        let bytes = read(&from).context(
            "the proving key that the manifest names; get the file of this name from a member or the \
             federation's creator",
        )?;
        ensure!(
            ContentHash::of(&bytes) == key.proving,
            "{} is not the key that the manifest names: it was cut short or changed; copy it again",
            plain::path(&from)
        );
        write(&folder, &bytes)?;
    }
    Ok(())
}

/// The policy of a federation with this schema's shapes, from the proving keys in a folder.
pub(super) fn policy(
    folder: &Path,
    shapes: impl IntoIterator<Item = Shape>,
    development: bool,
) -> anyhow::Result<ProofPolicy> {
    let mut found: Vec<(ProofCurve, ProofKey)> = Vec::new();
    let entries =
        fs::read_dir(folder).with_context(|| format!("look into {}", plain::path(folder)))?;
    let mut paths: Vec<PathBuf> = entries
        .take(FILES_MAX)
        .map(|entry| entry.map(|it| it.path()))
        .collect::<Result<_, _>>()
        .with_context(|| format!("look into {}", plain::path(folder)))?;
    paths.retain(|path| path.extension().is_some_and(|it| it == EXTENSION));
    paths.sort();
    for path in paths {
        let bytes = read(&path)?;
        let name = path.file_name().unwrap_or_default();
        ensure!(
            name == file_name(&ContentHash::of(&bytes)).as_str(),
            "{} is not the key of its name: it was cut short or changed; copy it again",
            plain::path(&path)
        );
        found.push(ProofKey::of(&bytes).with_context(|| plain::path(&path))?);
    }
    let curve = found.first().map_or_else(ProofCurve::default, |it| it.0);
    ensure!(
        found.iter().all(|it| it.0 == curve),
        "{} holds proving keys on two curves; leave those of one",
        plain::path(folder)
    );
    let mut keys = Vec::new();
    for shape in shapes {
        let mut fitting = found.iter().filter(|it| it.0 == curve && it.1.shape == shape);
        let key = fitting.next().with_context(|| {
            format!(
                "no proving key for chunks of up to {} entries in {}",
                shape.entries(),
                plain::path(folder)
            )
        })?;
        ensure!(
            fitting.next().is_none(),
            "{} holds several proving keys for chunks of up to {} entries; leave one",
            plain::path(folder),
            shape.entries()
        );
        keys.push(key.1.clone());
    }
    Ok(ProofPolicy { curve, keys, development })
}

/// Writes a key into a folder, under the name that its hash gives it.
pub(super) fn write(folder: &Path, bytes: &[u8]) -> anyhow::Result<(PathBuf, ContentHash)> {
    fs::create_dir_all(folder).with_context(|| format!("create {}", plain::path(folder)))?;
    let hash = ContentHash::of(bytes);
    let path = folder.join(file_name(&hash));
    fresh::replace(&path, Readers::Any, |out| Ok(out.write_all(bytes)?))?;
    Ok((path, hash))
}

/// A development key that was written.
pub(super) struct Made {
    /// Its shape.
    pub shape: Shape,
    /// Where it is.
    pub path: PathBuf,
    /// Its length.
    pub bytes: usize,
}

/// Makes keys that whoever made them can forge proofs with, and writes them into a folder.
pub(super) fn make_development_keys(
    folder: &Path,
    curve: ProofCurve,
    shapes: impl IntoIterator<Item = Shape>,
    seed: &Seed,
) -> anyhow::Result<Vec<Made>> {
    let mut made = Vec::new();
    for shape in shapes {
        let seed = seed.derive("development key", shape.entries() as u64);
        let (_, bytes) = development_keys(curve, shape, &seed);
        let (path, _) = write(folder, &bytes)?;
        made.push(Made { shape, path, bytes: bytes.len() });
    }
    Ok(made)
}
