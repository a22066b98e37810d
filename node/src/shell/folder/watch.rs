//! Watch: a thread that scans folders when it is told to.
//!
//! The driver says what the peer holds, the thread reads and writes, and says
//! what it found. There is one scan at a time, so that memory is bounded by one
//! scan's reads, and a slow disk slows nothing else down.

use std::path::PathBuf;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};

use anyhow::Context;
use longhaul_dtn::agent::Held;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

use super::file::bundle_bytes_max;
use super::scan::{Found, Scan, ScanBounds, Seen, scan};

/// Bundles that one scan of one folder reads.
const READS_MAX: usize = 32;
/// Files that a scan looks at in a folder.
const FILES_MAX: usize = 65_536;

/// The scan of all folders.
#[derive(Debug, Default)]
pub(in crate::shell) struct Scanned {
    /// Bundles that the peer lacks.
    pub found: Vec<Found>,
    /// Bundles written into folders.
    pub written: usize,
    /// True when the next scan has work at once.
    pub more: bool,
    /// What went wrong, for the log.
    pub problems: Vec<String>,
}

/// The way to the thread.
#[derive(Debug)]
pub(in crate::shell) struct Watch {
    requests: Option<SyncSender<Vec<Held>>>,
    scanned: UnboundedReceiver<Scanned>,
    is_busy: bool,
}

impl Watch {
    /// Starts the thread, if there are folders; it ends with this value.
    pub fn start(folders: Vec<PathBuf>, payload_bytes_max: u64) -> Self {
        let (answers, scanned) = unbounded_channel();
        if folders.is_empty() {
            return Self { requests: None, scanned, is_busy: false };
        }
        let (requests, incoming) = sync_channel(1);
        let bounds = ScanBounds {
            files_max: FILES_MAX,
            reads_max: READS_MAX,
            bundle_bytes_max: bundle_bytes_max(payload_bytes_max),
        };
        std::thread::spawn(move || serve(&folders, bounds, &incoming, &answers));
        Self { requests: Some(requests), scanned, is_busy: false }
    }

    /// True when a scan can be asked for.
    pub const fn is_idle(&self) -> bool {
        self.requests.is_some() && !self.is_busy
    }

    /// Asks for a scan; `held` is what the peer holds.
    pub fn scan(&mut self, held: Vec<Held>) -> anyhow::Result<()> {
        if let Some(requests) = self.requests.as_ref().filter(|_| !self.is_busy) {
            requests.send(held).context("the folder thread ended")?;
            self.is_busy = true;
        }
        Ok(())
    }

    /// The answer to the scan asked for; never, where there is no folder.
    pub async fn next(&mut self) -> Option<Scanned> {
        if self.requests.is_none() {
            return std::future::pending().await;
        }
        let scanned = self.scanned.recv().await;
        self.is_busy = false;
        scanned
    }
}

fn serve(
    folders: &[PathBuf],
    bounds: ScanBounds,
    requests: &Receiver<Vec<Held>>,
    answers: &UnboundedSender<Scanned>,
) {
    let (mut seen, mut absent) = (Seen::default(), vec![false; folders.len()]);
    while let Ok(held) = requests.recv() {
        let mut all = Scanned::default();
        for (folder, absent) in folders.iter().zip(&mut absent) {
            match scan(folder, &held, &mut seen, &bounds) {
                Ok(scan) => {
                    *absent = false;
                    all.add(scan);
                }
                // A disk that is not there now is what such a folder is for: said once.
                Err(error) if !*absent => {
                    *absent = true;
                    all.problems.push(format!("{error}; it is looked for again at each scan"));
                }
                Err(_) => {}
            }
        }
        if answers.send(all).is_err() {
            return;
        }
    }
}

impl Scanned {
    fn add(&mut self, scan: Scan) {
        self.found.extend(scan.found);
        self.written += scan.written;
        self.more |= scan.more;
        self.problems.extend(scan.problems.iter().map(ToString::to_string));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn runtime() -> tokio::runtime::Runtime {
        tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime")
    }

    /// One scan of `folders` by a peer that holds nothing.
    fn scanned(watch: &mut Watch) -> Scanned {
        assert!(watch.is_idle());
        watch.scan(vec![]).expect("the thread runs");
        assert!(!watch.is_idle(), "one scan at a time");
        runtime().block_on(watch.next()).expect("an answer")
    }

    #[test]
    fn without_folders_there_is_nothing_to_wait_for() {
        let mut watch = Watch::start(vec![], 10);
        assert!(!watch.is_idle());
        watch.scan(vec![]).expect("nothing is asked");
        let waited = std::time::Duration::from_millis(1);
        let next = async { tokio::time::timeout(waited, watch.next()).await.is_err() };
        assert!(runtime().block_on(next));
    }

    #[test]
    fn a_disk_that_is_away_is_said_once_and_found_when_it_comes() {
        let root = tempfile::tempdir().expect("a folder");
        let disk = root.path().join("disk");
        let mut watch = Watch::start(vec![disk.clone()], 10);
        let problems = scanned(&mut watch).problems;
        assert!(problems[0].ends_with("it is looked for again at each scan"), "{problems:?}");
        assert!(scanned(&mut watch).problems.is_empty());
        std::fs::create_dir(&disk).expect("a folder");
        std::fs::write(disk.join("x.bundle"), b"bundle").expect("a file");
        let found = scanned(&mut watch).found;
        assert_eq!(found.len(), 1);
        assert_eq!(found[0].bytes, b"bundle");
        assert!(scanned(&mut watch).found.is_empty());
    }

    #[test]
    fn reads_what_is_many_in_several_scans() {
        let disk = tempfile::tempdir().expect("a folder");
        for name in 0..READS_MAX + 3 {
            std::fs::write(disk.path().join(format!("{name}.bundle")), b"x").expect("a file");
        }
        let mut watch = Watch::start(vec![disk.path().to_path_buf()], 10);
        let first = scanned(&mut watch);
        assert!(first.more && first.found.len() == READS_MAX);
        let second = scanned(&mut watch);
        assert!(!second.more && second.found.len() == 3);
    }
}
