//! Scan: one look at a folder, and what to take from it and add to it.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use longhaul_dtn::agent::Held;
use longhaul_dtn::bundle::BundleId;

use super::file::{self, BundleFile, FolderError};

/// What one scan does at most.
#[derive(Debug, Clone, Copy)]
pub(in crate::shell) struct ScanBounds {
    /// Files looked at. 65,536 by default: somebody else may write into the folder.
    pub files_max: usize,
    /// Bundles read.
    pub reads_max: usize,
    /// Bytes of a bundle.
    pub bundle_bytes_max: u64,
}

/// Files that were read before and need not be read again, by path and size.
pub(in crate::shell) type Seen = BTreeSet<(PathBuf, u64)>;

/// A bundle that was read.
#[derive(Debug)]
pub(in crate::shell) struct Found {
    /// Where.
    pub path: PathBuf,
    /// The bundle, not checked yet.
    pub bytes: Vec<u8>,
}

/// What a scan did.
#[derive(Debug, Default)]
pub(in crate::shell) struct Scan {
    /// Bundles that the folder has and the peer lacks.
    pub found: Vec<Found>,
    /// Bundles written.
    pub written: usize,
    /// True when there is more to read than one scan does.
    pub more: bool,
    /// What went wrong; each file is named once.
    pub problems: Vec<FolderError>,
}

/// Looks at a folder once: reads what is not in `held` nor in `seen`, and writes what the
/// folder lacks.
pub(in crate::shell) fn scan(
    folder: &Path,
    held: &[Held],
    seen: &mut Seen,
    bounds: &ScanBounds,
) -> Result<Scan, FolderError> {
    let files = file::list(folder, bounds.files_max)?;
    let mut scan = Scan::default();
    let ids: BTreeSet<BundleId> = held.iter().map(|held| held.head.id()).collect();
    let lacked = |file: &BundleFile| !file.claimed.is_some_and(|id| ids.contains(&id));
    // A name that was reused for other bytes is read again.
    seen.retain(|(path, bytes)| {
        path.parent() != Some(folder)
            || files.iter().any(|file| file.path == *path && file.bytes == *bytes)
    });
    for file in files.iter().filter(|file| lacked(file)) {
        let key = (file.path.clone(), file.bytes);
        if seen.contains(&key) {
            continue;
        }
        if scan.found.len() == bounds.reads_max {
            scan.more = true;
            break;
        }
        seen.insert(key);
        match file::read(&file.path, bounds.bundle_bytes_max) {
            Ok(bytes) => scan.found.push(Found { path: file.path.clone(), bytes }),
            Err(error) => scan.problems.push(error),
        }
    }
    let written = write_lacked(folder, &files, held);
    scan.written = written.bundles;
    scan.problems.extend(written.problem);
    Ok(scan)
}

/// What was written into a folder.
#[derive(Debug, Default)]
pub(in crate::shell) struct Written {
    /// Number of bundles.
    pub bundles: usize,
    /// Bytes of all of them.
    pub bytes: u64,
    /// What ended it: a full or write-protected disk fails for all that follow.
    pub problem: Option<FolderError>,
}

/// Writes those of `held` into a folder that its files do not claim to be.
pub(in crate::shell) fn write_lacked(
    folder: &Path,
    files: &[BundleFile],
    held: &[Held],
) -> Written {
    let there: BTreeSet<BundleId> = files.iter().filter_map(|file| file.claimed).collect();
    let mut written = Written::default();
    for held in held.iter().filter(|held| !there.contains(&held.head.id())) {
        let bytes = held.head.to_bundle(&held.payload);
        if let Err(error) = file::write(folder, &held.head.id(), &bytes) {
            written.problem = Some(error);
            break;
        }
        written.bundles += 1;
        written.bytes += bytes.len() as u64;
    }
    written
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use longhaul_dtn::bundle::{BundleDraft, BundleHead};
    use longhaul_dtn::eid::Eid;
    use longhaul_dtn::identity::SecretKey;
    use longhaul_dtn::time::{Span, Timestamp};

    use super::*;

    const BOUNDS: ScanBounds = ScanBounds { files_max: 100, reads_max: 3, bundle_bytes_max: 900 };

    fn held(number: u64) -> Held {
        let draft = BundleDraft {
            destination: Eid::none(),
            created: Timestamp::from_dtn_ms(1),
            sequence: number,
            lifetime: Span::from_ms(9),
            hop_limit: 9,
            header: vec![],
            payload: b"payload",
        };
        let head = BundleHead::seal(draft, &SecretKey::from_seed(&[1; 32])).unwrap();
        Held { head: Arc::new(head), payload: b"payload".as_slice().into() }
    }

    #[test]
    fn two_peers_that_see_a_disk_in_turn_are_in_contact() {
        let disk = tempfile::tempdir().unwrap();
        let (ours, theirs) = ([held(1), held(2)], [held(2), held(3)]);
        let (mut seen, mut seen_there) = (Seen::new(), Seen::new());
        let first = scan(disk.path(), &ours, &mut seen, &BOUNDS).unwrap();
        assert_eq!((first.found.len(), first.written), (0, 2));
        let second = scan(disk.path(), &theirs, &mut seen_there, &BOUNDS).unwrap();
        assert_eq!((second.found.len(), second.written), (1, 1));
        assert_eq!(second.found[0].bytes, ours[0].head.to_bundle(&ours[0].payload));
        let back = scan(disk.path(), &ours, &mut seen, &BOUNDS).unwrap();
        assert_eq!((back.found.len(), back.written), (1, 0));
        assert_eq!(back.found[0].bytes, theirs[1].head.to_bundle(&theirs[1].payload));
        let again = scan(disk.path(), &ours, &mut seen, &BOUNDS).unwrap();
        assert!(again.found.is_empty() && !again.more, "what was read is not read again");
    }

    #[test]
    fn reads_many_files_in_several_scans_and_strange_ones_once() {
        let disk = tempfile::tempdir().unwrap();
        for name in ["a", "b", "c", "d"] {
            std::fs::write(disk.path().join(format!("{name}.bundle")), name).unwrap();
        }
        std::fs::write(disk.path().join("e.bundle"), vec![0; 901]).unwrap();
        let mut seen = Seen::new();
        let first = scan(disk.path(), &[], &mut seen, &BOUNDS).unwrap();
        assert!(first.more && first.found.len() == 3);
        let second = scan(disk.path(), &[], &mut seen, &BOUNDS).unwrap();
        assert!(!second.more && second.found.len() == 1 && second.problems.len() == 1);
        std::fs::write(disk.path().join("a.bundle"), "other").unwrap();
        let third = scan(disk.path(), &[], &mut seen, &BOUNDS).unwrap();
        assert_eq!((third.found.len(), third.problems.len()), (1, 0), "a changed file is new");
    }

    #[test]
    fn a_disk_that_is_not_there_is_an_error_and_nothing_more() {
        let gone = Path::new("/nonexistent/disk");
        assert!(scan(gone, &[held(1)], &mut Seen::new(), &BOUNDS).is_err());
    }
}
