//! Disk: the few operations that change the store's directory.
//!
//! Every change goes through this trait, so that a test can record the changes
//! and build what a power loss may leave of them, or let one fail. Reading needs
//! no such care and uses the standard library directly.

use std::fmt;
use std::fs::{self, File, OpenOptions};
use std::io::{self, IoSlice, Write};
use std::path::{Path, PathBuf};

/// Changes to files and directories. What a call names as durable survives a
/// power loss after it returned.
pub(super) trait Disk: fmt::Debug + Send {
    /// Makes a directory and its missing parents; not durable by itself.
    fn make_dir(&mut self, path: &Path) -> io::Result<()>;
    /// Makes an empty file, or empties one; not durable by itself.
    fn create(&mut self, path: &Path) -> io::Result<()>;
    /// Appends to a file; not durable by itself.
    fn append(&mut self, path: &Path, parts: &[&[u8]]) -> io::Result<()>;
    /// Makes the content of a file durable. After an error the content is
    /// unknown: a second call may succeed without having written anything.
    fn sync(&mut self, path: &Path) -> io::Result<()>;
    /// Cuts a file to `len` bytes; durable.
    fn truncate(&mut self, path: &Path, len: u64) -> io::Result<()>;
    /// Gives a file another name; not durable by itself.
    fn rename(&mut self, from: &Path, to: &Path) -> io::Result<()>;
    /// Removes a file; not durable by itself.
    fn remove(&mut self, path: &Path) -> io::Result<()>;
    /// Makes the names in a directory durable.
    fn sync_dir(&mut self, path: &Path) -> io::Result<()>;
}

/// The file system.
#[derive(Debug, Default)]
pub(super) struct RealDisk {
    /// The file written last. Write and sync go through one handle: a later
    /// one may not be told of a write error.
    held: Option<(PathBuf, File)>,
}

impl RealDisk {
    fn hold(&mut self, path: &Path) -> io::Result<&mut File> {
        let held = match self.held.take() {
            Some((held, file)) if held == path => (held, file),
            _ => (path.to_path_buf(), OpenOptions::new().append(true).open(path)?),
        };
        Ok(&mut self.held.insert(held).1)
    }

    fn let_go(&mut self, path: &Path) {
        self.held.take_if(|(held, _)| held == path);
    }
}

impl Disk for RealDisk {
    fn make_dir(&mut self, path: &Path) -> io::Result<()> {
        crate::shell::private::make_dir(path)
    }

    fn create(&mut self, path: &Path) -> io::Result<()> {
        // Truncation and appending cannot be asked for at once.
        File::create(path)?;
        self.let_go(path);
        self.hold(path).map(drop)
    }

    fn append(&mut self, path: &Path, parts: &[&[u8]]) -> io::Result<()> {
        let file = self.hold(path)?;
        let mut slices: Vec<_> = parts.iter().map(|part| IoSlice::new(part)).collect();
        let mut left = &mut slices[..];
        IoSlice::advance_slices(&mut left, 0);
        while !left.is_empty() {
            match file.write_vectored(left) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(written) => IoSlice::advance_slices(&mut left, written),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    fn sync(&mut self, path: &Path) -> io::Result<()> {
        self.hold(path)?.sync_data()
    }

    fn truncate(&mut self, path: &Path, len: u64) -> io::Result<()> {
        let file = self.hold(path)?;
        file.set_len(len)?;
        file.sync_data()
    }

    fn rename(&mut self, from: &Path, to: &Path) -> io::Result<()> {
        self.let_go(from);
        fs::rename(from, to)
    }

    fn remove(&mut self, path: &Path) -> io::Result<()> {
        self.let_go(path);
        fs::remove_file(path)
    }

    fn sync_dir(&mut self, path: &Path) -> io::Result<()> {
        File::open(path)?.sync_all()
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::Folder;
    use super::*;

    fn file(folder: &Folder) -> PathBuf {
        folder.0.join("file")
    }

    #[test]
    fn appends_parts_in_their_order_however_many() {
        let folder = Folder::new();
        let file = file(&folder);
        let mut disk = RealDisk::default();
        disk.create(&file).expect("our own folder");
        // More than the system takes at once, empty ones among them.
        let parts: Vec<Vec<u8>> =
            (0..3_000_usize).map(|number| number.to_le_bytes()[..number % 4].to_vec()).collect();
        let slices: Vec<_> = parts.iter().map(Vec::as_slice).collect();
        disk.append(&file, &slices).expect("room on the disk");
        disk.append(&file, &[]).expect("nothing to do");
        disk.append(&file, &[&[], b"end"]).expect("room on the disk");
        disk.sync(&file).expect("a disk that works");
        let expected = [parts.concat(), b"end".to_vec()].concat();
        assert_eq!(fs::read(&file).expect("our own file"), expected);
    }

    #[test]
    fn creating_empties_a_file() {
        let folder = Folder::new();
        let file = file(&folder);
        fs::write(&file, b"old").expect("our own folder");
        let mut disk = RealDisk::default();
        disk.create(&file).and_then(|()| disk.append(&file, &[b"new"])).expect("our own file");
        assert_eq!(fs::read(&file).expect("our own file"), b"new");
    }

    #[test]
    fn goes_on_at_the_end_after_a_cut() {
        let folder = Folder::new();
        let file = file(&folder);
        fs::write(&file, b"0123456789").expect("our own folder");
        let mut disk = RealDisk::default();
        disk.truncate(&file, 4).and_then(|()| disk.append(&file, &[b"x"])).expect("our own file");
        assert_eq!(fs::read(&file).expect("our own file"), b"0123x");
    }

    #[test]
    fn never_writes_to_a_file_under_its_old_name() {
        let folder = Folder::new();
        let (file, other) = (file(&folder), folder.0.join("other"));
        let mut disk = RealDisk::default();
        disk.create(&file).and_then(|()| disk.rename(&file, &other)).expect("our own folder");
        assert!(disk.append(&file, &[b"x"]).is_err());
        disk.append(&other, &[b"x"]).and_then(|()| disk.remove(&other)).expect("our own file");
        assert!(disk.append(&other, &[b"x"]).is_err());
    }
}
