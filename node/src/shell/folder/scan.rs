//! Scan: one look at a folder, and what to take from it and add to it.

use std::collections::{BTreeMap, BTreeSet};
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

/// What is known of files from earlier scans, by path and size.
#[derive(Debug, Default)]
pub(in crate::shell) struct Seen {
    /// Files that were read and need not be read again.
    read: BTreeSet<(PathBuf, u64)>,
    /// Files that are the bundle that they claim to be, as far as is looked at.
    whole: BTreeSet<(PathBuf, u64)>,
}

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
    seen.forget_changed(folder, &files);
    for file in files.iter().filter(|file| lacked(file)) {
        let key = (file.path.clone(), file.bytes);
        if seen.read.contains(&key) {
            continue;
        }
        if scan.found.len() == bounds.reads_max {
            scan.more = true;
            break;
        }
        seen.read.insert(key);
        match file::read(&file.path, bounds.bundle_bytes_max) {
            Ok(bytes) => scan.found.push(Found { path: file.path.clone(), bytes }),
            Err(error) => scan.problems.push(error),
        }
    }
    let written = write_lacked(folder, &files, held, seen);
    scan.written = written.bundles;
    scan.problems.extend(written.problem);
    Ok(scan)
}

impl Seen {
    /// Forgets what is not as it was: a name that was reused for other bytes is read again.
    fn forget_changed(&mut self, folder: &Path, files: &[BundleFile]) {
        let there: BTreeSet<(&Path, u64)> =
            files.iter().map(|file| (file.path.as_path(), file.bytes)).collect();
        for known in [&mut self.read, &mut self.whole] {
            known.retain(|(path, bytes)| {
                path.parent() != Some(folder) || there.contains(&(path.as_path(), *bytes))
            });
        }
    }

    /// True if a file is the bundle that its name claims.
    fn is_whole(&mut self, file: &BundleFile, held: &Held) -> bool {
        let key = (file.path.clone(), file.bytes);
        if self.whole.contains(&key) {
            return true;
        }
        let is_whole = file::holds(file, held);
        if is_whole {
            self.whole.insert(key);
        }
        is_whole
    }
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

/// Writes those of `held` into a folder that are not among its files; one whose file was cut short
/// or zeroed by a disk that went too early takes that file's place.
pub(in crate::shell) fn write_lacked(
    folder: &Path,
    files: &[BundleFile],
    held: &[Held],
    seen: &mut Seen,
) -> Written {
    let claims = files.iter().filter_map(|file| Some((file.claimed?, file)));
    let there: BTreeMap<BundleId, &BundleFile> = claims.collect();
    let mut written = Written::default();
    for held in held {
        let file = there.get(&held.head.id());
        if file.is_some_and(|file| seen.is_whole(file, held)) {
            continue;
        }
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

    use longhaul_dtn::bundle::{BundleDraft, BundleHead, BundleLimits};
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
        let (mut seen, mut seen_there) = (Seen::default(), Seen::default());
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
        let mut seen = Seen::default();
        let first = scan(disk.path(), &[], &mut seen, &BOUNDS).unwrap();
        assert!(first.more && first.found.len() == 3);
        let second = scan(disk.path(), &[], &mut seen, &BOUNDS).unwrap();
        assert!(!second.more && second.found.len() == 1 && second.problems.len() == 1);
        std::fs::write(disk.path().join("a.bundle"), "other").unwrap();
        let third = scan(disk.path(), &[], &mut seen, &BOUNDS).unwrap();
        assert_eq!((third.found.len(), third.problems.len()), (1, 0), "a changed file is new");
    }

    #[test]
    fn a_file_that_was_cut_or_zeroed_is_written_again() {
        let disk = tempfile::tempdir().unwrap();
        let ours = [held(1), held(2), held(3)];
        let mut seen = Seen::default();
        assert_eq!(scan(disk.path(), &ours, &mut seen, &BOUNDS).unwrap().written, 3);
        let wanted = ours[0].head.to_bundle(&ours[0].payload);
        let path = disk.path().join(format!("{}.bundle", ours[0].head.id()));
        let len = wanted.len();
        for damaged in [&wanted[..len - 1], &wanted[..9], &[], &vec![0; len][..]] {
            std::fs::write(&path, damaged).unwrap();
            for mut knows in [Seen::default(), std::mem::take(&mut seen)] {
                std::fs::write(&path, damaged).unwrap();
                let scan = scan(disk.path(), &ours, &mut knows, &BOUNDS).unwrap();
                assert_eq!((scan.written, scan.found.len()), (1, 0), "{} bytes", damaged.len());
                assert_eq!(std::fs::read(&path).unwrap(), wanted);
            }
        }
    }

    #[test]
    fn a_shorter_form_of_the_same_bundle_stays() {
        let disk = tempfile::tempdir().unwrap();
        let theirs = held(1);
        let before = theirs.head.to_bundle(&theirs.payload);
        let path = file::write(disk.path(), &theirs.head.id(), &before).unwrap();
        // Ours came over a hop and says so: its unsigned fields take more bytes.
        let aged = theirs.head.encode_for_next_hop(Timestamp::from_dtn_ms(1 << 40)).unwrap();
        let limits = BundleLimits {
            header_bytes_max: 0,
            proof_bytes_max: 0,
            payload_bytes_max: 9,
            lifetime_max: Span::from_ms(9),
        };
        let head = Arc::new(BundleHead::decode(&aged, &limits).unwrap());
        assert!(head.to_bundle(&theirs.payload).len() > before.len());
        let ours = Held { head, payload: theirs.payload };
        let scan = scan(disk.path(), &[ours], &mut Seen::default(), &BOUNDS).unwrap();
        assert_eq!(scan.written, 0);
        assert_eq!(std::fs::read(&path).unwrap(), before);
    }

    #[test]
    fn a_disk_that_is_not_there_is_an_error_and_nothing_more() {
        let gone = Path::new("/nonexistent/disk");
        assert!(scan(gone, &[held(1)], &mut Seen::default(), &BOUNDS).is_err());
    }
}
