//! Delivery: bundles for our own node, as files.
//!
//! One file for each bundle, named by its hash, written whole or not at all and durable before it
//! counts as delivered. One that was written before a crash is written again, under the same name.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};

use anyhow::Context;
use longhaul_dtn::hash::ContentHash;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

use crate::shell::bundles::BundleKey;
use crate::shell::private;

/// Most files of one sync of their directory.
const GROUP_MAX: usize = 256;

/// A bundle to be delivered.
pub(super) type Parcel = (BundleKey, Arc<Vec<u8>>);
/// Bundles that were delivered, or why none can be any more.
pub(super) type Done = io::Result<Vec<BundleKey>>;

/// The way to the thread that writes the files, which ends with it.
#[derive(Debug)]
pub(super) struct Delivery(Sender<Parcel>);

impl Delivery {
    /// Starts the thread; it writes into `dir`.
    pub fn start(dir: &Path) -> io::Result<(Self, UnboundedReceiver<Done>)> {
        private::make_dir(dir)?;
        let dir = dir.to_path_buf();
        let (parcels, incoming) = channel();
        let (answers, done) = unbounded_channel();
        std::thread::spawn(move || serve(&dir, &incoming, &answers));
        Ok((Self(parcels), done))
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

fn serve(dir: &Path, parcels: &Receiver<Parcel>, answers: &UnboundedSender<Done>) {
    while let Ok(first) = parcels.recv() {
        let mut group = vec![first];
        group.extend(parcels.try_iter().take(GROUP_MAX - 1));
        let done = write_all(dir, &group).or_else(|error| match error.kind() {
            // Whoever takes the bundles away may take their folder, too.
            io::ErrorKind::NotFound => private::make_dir(dir).and_then(|()| write_all(dir, &group)),
            _ => Err(error),
        });
        let failed = done.is_err();
        let keys = done.map(|()| group.iter().map(|(key, _)| *key).collect());
        if answers.send(keys).is_err() || failed {
            return;
        }
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
        let (delivery, mut done) = Delivery::start(&dir).expect("a temporary directory");
        for n in 0..3 {
            delivery.deliver((key(n), Arc::new(vec![n; 10]))).expect("it runs");
        }
        let mut keys = Vec::new();
        while keys.len() < 3 {
            keys.extend(done.blocking_recv().expect("it runs").expect("room on the disk"));
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
        let (delivery, mut done) = Delivery::start(&dir).expect("a temporary directory");
        for _ in 0..2 {
            fs::remove_dir_all(&dir).expect("our own directory");
            delivery.deliver((key, Arc::new(vec![7; 10]))).expect("it runs");
            done.blocking_recv().expect("it runs").expect("room on the disk");
            assert_eq!(fs::read(file_of(&dir, key)).expect("written"), [7; 10]);
        }
        fs::remove_dir_all(dir).expect("our own directory");
    }
}
