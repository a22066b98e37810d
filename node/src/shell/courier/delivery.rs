//! Delivery: bundles for our own node, as files.
//!
//! One file for each bundle, named by its hash, written whole or not at all and durable before it
//! counts as delivered. One that was written before a crash is written again, under the same name.
//!
//! Files stay until somebody takes them away. How many bytes lie there is counted, and looked at again while
//! nothing is delivered and the folder has changed.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::time::{Duration, SystemTime};

use anyhow::Context;
use longhaul_dtn::hash::ContentHash;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

use crate::shell::bundles::BundleKey;
use crate::shell::private;

/// Most files of one sync of their directory.
const GROUP_MAX: usize = 256;
/// Pause without a delivery after which the folder is looked at.
const LOOK_PAUSE: Duration = Duration::from_secs(1);

/// A bundle to be delivered.
pub(super) type Parcel = (BundleKey, Arc<Vec<u8>>);
/// What is done.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Done {
    /// Bundles that were delivered; none where somebody took some away.
    pub keys: Vec<BundleKey>,
    /// Bytes that lie there now.
    pub untaken: u64,
}

/// The folder, and what lies in it.
struct Folder {
    dir: PathBuf,
    untaken: u64,
    /// When it had last changed, as it was looked at.
    changed: Option<SystemTime>,
}

/// The way to the thread that writes the files, which ends with it.
#[derive(Debug)]
pub(super) struct Delivery(Sender<Parcel>);

impl Delivery {
    /// Starts the thread, which writes into `dir`; says how many bytes lie there.
    pub fn start(dir: &Path) -> io::Result<(Self, u64, UnboundedReceiver<io::Result<Done>>)> {
        private::make_dir(dir)?;
        let mut folder = Folder { dir: dir.to_path_buf(), untaken: 0, changed: None };
        folder.look()?;
        let untaken = folder.untaken;
        let (parcels, incoming) = channel();
        let (answers, done) = unbounded_channel();
        std::thread::spawn(move || serve(folder, &incoming, &answers));
        Ok((Self(parcels), untaken, done))
    }

    /// Queues a bundle.
    pub fn deliver(&self, parcel: Parcel) -> anyhow::Result<()> {
        self.0.send(parcel).context("the delivery thread ended")
    }
}

/// The file of a bundle.
pub(super) fn file_of(dir: &Path, key: BundleKey) -> PathBuf {
    dir.join(format!("{}.bundle", ContentHash::from_bytes(*key.as_bytes())))
}

fn serve(
    mut folder: Folder,
    parcels: &Receiver<Parcel>,
    answers: &UnboundedSender<io::Result<Done>>,
) {
    loop {
        let done = match parcels.recv_timeout(LOOK_PAUSE) {
            Ok(first) => {
                let mut group = vec![first];
                group.extend(parcels.try_iter().take(GROUP_MAX - 1));
                folder.take(&group)
            }
            Err(RecvTimeoutError::Timeout) => {
                let before = folder.untaken;
                // What cannot be looked at is still there.
                if folder.look().is_err() || folder.untaken == before {
                    continue;
                }
                Ok(Done { keys: vec![], untaken: folder.untaken })
            }
            Err(RecvTimeoutError::Disconnected) => return,
        };
        let failed = done.is_err();
        if answers.send(done).is_err() || failed {
            return;
        }
    }
}

impl Folder {
    fn take(&mut self, group: &[Parcel]) -> io::Result<Done> {
        let dir = &self.dir;
        write_all(dir, group).or_else(|error| match error.kind() {
            // Whoever takes the bundles away may take their folder, too.
            io::ErrorKind::NotFound => private::make_dir(dir).and_then(|()| write_all(dir, group)),
            _ => Err(error),
        })?;
        self.untaken += group.iter().map(|(_, bytes)| bytes.len() as u64).sum::<u64>();
        let keys = group.iter().map(|(key, _)| *key).collect();
        Ok(Done { keys, untaken: self.untaken })
    }

    /// Counts what lies there, if the folder has changed since the last time.
    fn look(&mut self) -> io::Result<()> {
        let changed = match fs::metadata(&self.dir) {
            Ok(meta) => meta.modified().ok(),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                (self.untaken, self.changed) = (0, None);
                return Ok(());
            }
            Err(error) => return Err(error),
        };
        if changed.is_some() && changed == self.changed {
            return Ok(());
        }
        let mut untaken = 0;
        for file in fs::read_dir(&self.dir)? {
            // Somebody may be taking it.
            untaken += file?.metadata().map_or(0, |meta| meta.len());
        }
        (self.untaken, self.changed) = (untaken, changed);
        Ok(())
    }
}

fn write_all(dir: &Path, group: &[Parcel]) -> io::Result<()> {
    let part = |key: &BundleKey| file_of(dir, *key).with_extension("part");
    let mut files = Vec::new();
    for (key, bytes) in group {
        let mut file = File::create(part(key))?;
        file.write_all(bytes)?;
        files.push(file);
    }
    // All are written before the first is synced: they share what that costs.
    files.iter().try_for_each(File::sync_data)?;
    for (key, _) in group {
        fs::rename(part(key), file_of(dir, *key))?;
    }
    File::open(dir)?.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn writes_each_bundle_whole_under_its_name() {
        let dir = std::env::temp_dir().join(format!("longhaul-delivery-{}", std::process::id()));
        let key = |n| BundleKey::from_bytes([n; 32]);
        let (delivery, _, mut done) = Delivery::start(&dir).expect("a temporary directory");
        for n in 0..3 {
            delivery.deliver((key(n), Arc::new(vec![n; 10]))).expect("it runs");
        }
        let mut keys = Vec::new();
        while keys.len() < 3 {
            let done = done.blocking_recv().expect("it runs").expect("room on the disk");
            keys.extend(done.keys);
        }
        assert_eq!(keys, [key(0), key(1), key(2)]);
        assert_eq!(fs::read(file_of(&dir, key(2))).expect("written"), [2; 10]);
        assert_eq!(fs::read_dir(&dir).expect("a directory").count(), 3);
        fs::remove_dir_all(dir).expect("our own directory");
    }

    #[test]
    fn makes_its_folder_again_when_somebody_took_it() {
        let dir = std::env::temp_dir().join(format!("longhaul-delivery-{}-b", std::process::id()));
        let key = BundleKey::from_bytes([7; 32]);
        let (delivery, _, mut done) = Delivery::start(&dir).expect("a temporary directory");
        for _ in 0..2 {
            fs::remove_dir_all(&dir).expect("our own directory");
            delivery.deliver((key, Arc::new(vec![7; 10]))).expect("it runs");
            done.blocking_recv().expect("it runs").expect("room on the disk");
            assert_eq!(fs::read(file_of(&dir, key)).expect("written"), [7; 10]);
        }
        fs::remove_dir_all(dir).expect("our own directory");
    }

    #[test]
    fn counts_what_nobody_took() {
        let dir = std::env::temp_dir().join(format!("longhaul-delivery-{}-c", std::process::id()));
        let key = |n| BundleKey::from_bytes([n; 32]);
        let (delivery, untaken, mut done) = Delivery::start(&dir).expect("a temporary directory");
        assert_eq!(untaken, 0);
        delivery.deliver((key(1), Arc::new(vec![1; 10]))).expect("it runs");
        let mut next = || done.blocking_recv().expect("it runs").expect("room on the disk");
        assert_eq!(next(), Done { keys: vec![key(1)], untaken: 10 });
        fs::remove_file(file_of(&dir, key(1))).expect("our own file");
        assert_eq!(next(), Done { keys: vec![], untaken: 0 });
        delivery.deliver((key(2), Arc::new(vec![2; 20]))).expect("it runs");
        assert_eq!(next().untaken, 20);
        drop(delivery);
        assert_eq!(Delivery::start(&dir).expect("it is there").1, 20, "after a restart");
        fs::remove_dir_all(dir).expect("our own directory");
    }
}
