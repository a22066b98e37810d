//! File: one bundle in a folder.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use longhaul_dtn::agent::Held;
use longhaul_dtn::bundle::{BundleHead, BundleId, BundleLimits};
use longhaul_dtn::hash::ContentHash;

/// The ending of a bundle's file.
pub(in crate::shell) const ENDING: &str = "bundle";
const PART_ENDING: &str = "part";
/// What a store keeps in its data directory.
const STORE_FOLDERS: [&str; 4] = ["log", "payload", "index", "bundles"];
/// What is around a payload in a bundle, at most: blocks, header, security.
const AROUND_BYTES_MAX: u64 = 64 * 1024;

/// A file that is named like a bundle.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::shell) struct BundleFile {
    /// Where it is.
    pub path: PathBuf,
    /// Its size.
    pub bytes: u64,
    /// The id that its name claims; none for a name that claims none.
    pub claimed: Option<BundleId>,
}

/// Why a folder or a file cannot be used.
#[derive(Debug, thiserror::Error)]
pub(in crate::shell) enum FolderError {
    /// The operating system says no.
    #[error("cannot {what} {path}: {error}")]
    Io {
        /// What was tried.
        what: &'static str,
        /// On what.
        path: PathBuf,
        /// Why not.
        error: io::Error,
    },
    /// The folder is the peer's own.
    #[error("{0} belongs to the data directory of this peer; name a folder of its own for bundles")]
    Own(PathBuf),
    /// The file is larger than any bundle of the federation.
    #[error("{path} has {bytes} bytes; a bundle has at most {max}")]
    TooLarge {
        /// The file.
        path: PathBuf,
        /// Its size.
        bytes: u64,
        /// The most that a bundle has.
        max: u64,
    },
}

/// Refuses a folder that is the data directory or one that the store keeps in it: bundles of others
/// would lie among the peer's own files.
pub(in crate::shell) fn check_place(folder: &Path, dir: &Path) -> Result<(), FolderError> {
    // A disk that is not there is none of ours.
    let (Ok(folder), Ok(dir)) = (fs::canonicalize(folder), fs::canonicalize(dir)) else {
        return Ok(());
    };
    let is_own = STORE_FOLDERS.iter().any(|name| folder.starts_with(dir.join(name)));
    if folder == dir || is_own {
        return Err(FolderError::Own(folder));
    }
    Ok(())
}

fn failed(what: &'static str, path: &Path) -> impl FnOnce(io::Error) -> FolderError {
    let path = path.to_path_buf();
    move |error| FolderError::Io { what, path, error }
}

/// The bundle files of a folder, by name; at most `files_max` of them. Removes remains.
pub(in crate::shell) fn list(
    folder: &Path,
    files_max: usize,
) -> Result<Vec<BundleFile>, FolderError> {
    let entries = fs::read_dir(folder).map_err(failed("list", folder))?;
    let mut files = vec![];
    for entry in entries {
        let path = entry.map_err(failed("list", folder))?.path();
        let ending = path.extension().and_then(|ending| ending.to_str());
        match ending {
            Some(ENDING) if files.len() < files_max => files.extend(bundle_file(path)),
            Some(PART_ENDING) if is_own_part(&path) => {
                // Another process may be writing it: then its rename fails and it says so.
                let _ = fs::remove_file(&path);
            }
            _ => {}
        }
    }
    files.sort_by(|one, other| one.path.cmp(&other.path));
    Ok(files)
}

/// Only a file whose owner has gone is a remain: one that has not changed for a minute.
fn is_own_part(path: &Path) -> bool {
    let named = path.file_stem().map(Path::new).and_then(claimed).is_some();
    let old = fs::metadata(path)
        .and_then(|meta| meta.modified())
        .is_ok_and(|at| at.elapsed().is_ok_and(|age| age >= std::time::Duration::from_secs(60)));
    named && old
}

fn bundle_file(path: PathBuf) -> Option<BundleFile> {
    let meta = fs::metadata(&path).ok().filter(fs::Metadata::is_file)?;
    let claimed = path.file_stem().map(Path::new).and_then(claimed);
    Some(BundleFile { path, bytes: meta.len(), claimed })
}

fn claimed(stem: &Path) -> Option<BundleId> {
    let hash: ContentHash = stem.to_str()?.trim_end_matches(".bundle").parse().ok()?;
    Some(BundleId::from_hash(hash))
}

/// True if a file holds a bundle, as far as can be told without reading it all: it is as long as
/// the bundle, and begins and ends like one. Bundles of other peers may be a few bytes shorter in
/// their unsigned fields; a file that is shorter is read.
pub(super) fn holds(file: &BundleFile, held: &Held) -> bool {
    let wanted = bytes_of(held);
    if file.bytes >= wanted {
        return begins_and_ends(file).unwrap_or(false);
    }
    let limits = BundleLimits {
        header_bytes_max: held.head.header().len(),
        proof_bytes_max: held.head.proof().map_or(0, <[u8]>::len),
        payload_bytes_max: held.head.payload_len(),
        lifetime_max: held.head.lifetime(),
    };
    let bytes = read(&file.path, wanted).ok();
    let found = bytes.and_then(|bytes| BundleHead::from_bundle(&bytes, &limits).ok());
    found.is_some_and(|(head, _)| head.id() == held.head.id())
}

/// Bytes of a bundle in a file.
fn bytes_of(held: &Held) -> u64 {
    let len = held.payload.len() as u64;
    // CBOR's length of the payload; that of no bytes takes one.
    let longer = match len {
        0..24 => 0,
        24..0x100 => 1,
        0x100..0x1_0000 => 2,
        0x1_0000..0x1_0000_0000 => 4,
        _ => 8,
    };
    held.head.to_bundle(&[]).len() as u64 + longer + len
}

/// True if the first and the last byte of a file are those of an array without a length.
fn begins_and_ends(file: &BundleFile) -> io::Result<bool> {
    let mut open = File::open(&file.path)?;
    let mut byte = [0];
    open.read_exact(&mut byte)?;
    let begins = byte == [0x9f];
    open.seek(SeekFrom::End(-1))?;
    open.read_exact(&mut byte)?;
    Ok(begins && byte == [0xff])
}

/// Most bytes of a bundle whose payload has at most `payload_bytes_max`.
pub(in crate::shell) const fn bundle_bytes_max(payload_bytes_max: u64) -> u64 {
    payload_bytes_max.saturating_add(AROUND_BYTES_MAX)
}

/// Reads a file of at most `bytes_max` bytes.
pub(in crate::shell) fn read(path: &Path, bytes_max: u64) -> Result<Vec<u8>, FolderError> {
    let file = File::open(path).map_err(failed("open", path))?;
    let len = file.metadata().map_err(failed("look at", path))?.len();
    if len > bytes_max {
        return Err(FolderError::TooLarge { path: path.to_path_buf(), bytes: len, max: bytes_max });
    }
    let mut bytes = vec![];
    // The file may grow while it is read.
    file.take(bytes_max.saturating_add(1)).read_to_end(&mut bytes).map_err(failed("read", path))?;
    if bytes.len() as u64 > bytes_max {
        let bytes = fs::metadata(path).map_or(bytes.len() as u64, |meta| meta.len());
        return Err(FolderError::TooLarge { path: path.to_path_buf(), bytes, max: bytes_max });
    }
    Ok(bytes)
}

/// Writes a bundle so that it is there whole or not at all, and durably.
pub(in crate::shell) fn write(
    folder: &Path,
    id: &BundleId,
    bytes: &[u8],
) -> Result<PathBuf, FolderError> {
    let path = folder.join(format!("{id}.{ENDING}"));
    let part = path.with_extension(format!("{ENDING}.{PART_ENDING}"));
    let mut file = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .open(&part)
        .map_err(failed("create", &part))?;
    let written = file.write_all(bytes).and_then(|()| file.sync_all());
    if let Err(error) = written {
        // What could not be written whole must not fill the disk.
        let _ = fs::remove_file(&part);
        return Err(failed("write", &part)(error));
    }
    fs::rename(&part, &path).map_err(failed("rename", &part))?;
    // Not every file system of a removable disk can sync a folder.
    let _ = File::open(folder).and_then(|folder| folder.sync_all());
    Ok(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(byte: u8) -> BundleId {
        BundleId::from_hash(ContentHash::from_bytes([byte; 32]))
    }

    #[test]
    fn lists_what_is_named_like_a_bundle_and_nothing_else() {
        let folder = tempfile::tempdir().unwrap();
        let path = write(folder.path(), &id(1), b"one").unwrap();
        fs::write(folder.path().join("note.txt"), b"x").unwrap();
        fs::write(folder.path().join("foreign.bundle"), b"four").unwrap();
        fs::create_dir(folder.path().join("dir.bundle")).unwrap();
        let young = folder.path().join(format!("{}.bundle.part", id(2)));
        fs::write(&young, b"x").unwrap();
        let files = list(folder.path(), 10).unwrap();
        let claims: Vec<_> = files.iter().map(|file| (file.claimed, file.bytes)).collect();
        assert_eq!(claims, [(Some(id(1)), 3), (None, 4)]);
        assert_eq!(files[0].path, path);
        assert!(young.exists(), "somebody may be writing it");
        assert_eq!(list(folder.path(), 1).unwrap().len(), 1);
    }

    #[test]
    fn removes_remains_that_are_old_and_its_own() {
        let folder = tempfile::tempdir().unwrap();
        let old = std::time::SystemTime::UNIX_EPOCH;
        let [own, other] = [format!("{}.bundle.part", id(2)), "film.part".to_owned()].map(|name| {
            let path = folder.path().join(name);
            let file = File::create(&path).unwrap();
            file.set_modified(old).unwrap();
            path
        });
        assert_eq!(list(folder.path(), 10).unwrap(), []);
        assert!(!own.exists() && other.exists());
    }

    #[test]
    fn reads_no_more_than_a_bundle_may_have() {
        let folder = tempfile::tempdir().unwrap();
        let path = write(folder.path(), &id(1), &[7; 100]).unwrap();
        assert_eq!(read(&path, 100).unwrap(), [7; 100]);
        let error = read(&path, 99).unwrap_err().to_string();
        assert!(error.ends_with("has 100 bytes; a bundle has at most 99"), "{error}");
        assert!(read(&folder.path().join("none"), 9).is_err());
    }

    #[test]
    fn knows_how_long_a_bundle_of_any_payload_is() {
        for len in [0, 1, 23, 24, 255, 256, 65_535, 65_536] {
            let payload = vec![7; len];
            let draft = longhaul_dtn::bundle::BundleDraft {
                destination: longhaul_dtn::eid::Eid::none(),
                created: longhaul_dtn::time::Timestamp::from_dtn_ms(1),
                sequence: 0,
                lifetime: longhaul_dtn::time::Span::from_ms(9),
                hop_limit: 9,
                header: vec![],
                payload: &payload,
            };
            let key = longhaul_dtn::identity::SecretKey::from_seed(&[1; 32]);
            let head = std::sync::Arc::new(BundleHead::seal(draft, &key).unwrap());
            let held = Held { head, payload: payload.as_slice().into() };
            assert_eq!(bytes_of(&held), held.head.to_bundle(&payload).len() as u64, "{len}");
        }
    }

    #[test]
    fn a_data_directory_is_no_folder_for_bundles() {
        let dir = tempfile::tempdir().unwrap();
        let check = |name: &str| check_place(&dir.path().join(name), dir.path());
        for name in ["log/x", "payload", "disk"] {
            fs::create_dir_all(dir.path().join(name)).unwrap();
        }
        for own in [".", "", "disk/..", "log", "log/x", "payload"] {
            let error = check(own).unwrap_err().to_string();
            assert!(error.contains("name a folder of its own"), "{own}: {error}");
        }
        for other in ["disk", "absent", ".."] {
            check(other).unwrap();
        }
    }

    #[test]
    fn names_what_it_could_not_write() {
        let folder = tempfile::tempdir().unwrap();
        let missing = folder.path().join("gone");
        let error = write(&missing, &id(1), b"x").unwrap_err().to_string();
        assert!(error.starts_with("cannot create ") && error.contains("gone"), "{error}");
        assert!(list(&missing, 1).is_err());
    }
}
