//! Input: scenarios by file or name, and the files that they name.

use std::fs;
use std::io::{self, Read, Write};
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context, Result, bail};
use flate2::read::GzDecoder;
use longhaul_simnet::contacts::TEXT_BYTES_MAX;
use longhaul_simnet::scenario::FILE_BYTES_MAX;
use longhaul_simnet::{RunOptions, Scenario, builtin};

/// Threads or runs at one time that may be asked for.
pub const THREADS: RangeInclusive<i64> = 1..=1_024;

/// Threads for this machine, where nobody asks for another number.
pub fn processors() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}

/// A scenario and where it came from.
pub struct Source {
    /// The scenario.
    pub scenario: Scenario,
    /// Its text.
    pub text: String,
    /// The folder from which it names files.
    pub folder: PathBuf,
}

/// Reads a scenario from a file or, if there is none, from the built-in ones.
pub fn scenario(name: &str) -> Result<Source> {
    let path = Path::new(name);
    let text = match builtin::text(name) {
        _ if path.is_file() => read_text(path)?,
        Some(text) => text.to_owned(),
        None => bail!(
            "{name} is neither a file nor a built-in scenario; \
             `longhaul-simnet list-scenarios` shows those"
        ),
    };
    let scenario =
        Scenario::from_toml(&text).with_context(|| format!("cannot use scenario {name}"))?;
    let folder = path.parent().filter(|_| path.is_file()).map(Path::to_path_buf);
    Ok(Source { scenario, text, folder: folder.unwrap_or_default() })
}

/// Reads a text of limited size.
pub fn read_text(path: &Path) -> Result<String> {
    let size_bytes = fs::metadata(path).map_or(0, |metadata| metadata.len());
    if size_bytes > FILE_BYTES_MAX as u64 {
        bail!("{} has {size_bytes} bytes; a scenario has at most {FILE_BYTES_MAX}", path.display());
    }
    fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))
}

/// How to run `source`: with `workers`, and with data and traces from `data`.
pub fn options(source: &Source, workers: Option<u16>, data: Option<&Path>) -> Result<RunOptions> {
    if let Some(folder) = data.filter(|folder| !folder.is_dir()) {
        bail!(
            "{} is no folder: --data names the one that holds the IDX files and traces",
            folder.display()
        );
    }
    let contacts_file = match source.scenario.contacts.file() {
        Some(file) => Some(contacts_file(file, &source.folder, data)?),
        None => None,
    };
    Ok(RunOptions {
        workers: workers.map_or_else(processors, usize::from),
        data_dir: data.map(Path::to_path_buf),
        contacts_file,
        ..RunOptions::default()
    })
}

/// The trace or plan that a scenario names: beside the scenario, in the data
/// folder or seen from here; gzip is unpacked.
pub fn contacts_file(file: &Path, folder: &Path, data: Option<&Path>) -> Result<Arc<[u8]>> {
    let places = [Some(folder.join(file)), data.map(|data| data.join(file)), Some(file.into())];
    let found = places.into_iter().flatten().find(|place| place.is_file());
    let Some(place) = found else {
        bail!(
            "the scenario's contacts are in {}, which is not there: name its folder with --data DIR",
            file.display()
        );
    };
    let bytes = fs::read(&place).with_context(|| format!("cannot read {}", place.display()))?;
    let limit = TEXT_BYTES_MAX as u64 + 1;
    let mut unpacked = Vec::new();
    if bytes.starts_with(&[0x1f, 0x8b]) {
        let mut decoder = GzDecoder::new(bytes.as_slice()).take(limit);
        decoder
            .read_to_end(&mut unpacked)
            .with_context(|| format!("cannot unpack {}", place.display()))?;
    } else {
        unpacked = bytes;
    }
    Ok(unpacked.into())
}

/// Prints to stdout; a reader that has gone away is no error worth a panic.
pub fn say(text: &str) -> Result<()> {
    let mut out = io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => Err(error.into()),
        _ => Ok(()),
    }
}
