//! Fresh: files that are there whole or not at all.
//!
//! What a command writes for its user goes to another name first and gets its own once it is durable: a
//! disk that is full leaves nothing behind that looks like the file.

use std::fs::{self, File, OpenOptions};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

use anyhow::{Context, ensure};

/// Who may read what is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::shell) enum Readers {
    /// Whoever the process's mask lets.
    Any,
    /// The owner alone.
    Owner,
}

/// Writes a file that must not exist.
pub(in crate::shell) fn write_new(
    path: &Path,
    bytes: &[u8],
    readers: Readers,
) -> anyhow::Result<()> {
    ensure!(!path.exists(), "{} exists; name another file", path.display());
    replace(path, readers, |out| Ok(out.write_all(bytes)?)).map(|_| ())
}

/// Writes a file in place of what is there, if anything is.
pub(in crate::shell) fn replace<T>(
    path: &Path,
    readers: Readers,
    write: impl FnOnce(&mut dyn Write) -> anyhow::Result<T>,
) -> anyhow::Result<T> {
    let mut name = path.as_os_str().to_owned();
    name.push(".part");
    let part = PathBuf::from(name);
    let named = || format!("write {}", path.display());
    let written = write_part(&part, readers, write).and_then(|written| {
        fs::rename(&part, path)?;
        Ok(written)
    });
    if written.is_err() {
        // The error that led here is the one to tell.
        let _ = fs::remove_file(&part);
    }
    written.with_context(named)
}

fn write_part<T>(
    part: &Path,
    readers: Readers,
    write: impl FnOnce(&mut dyn Write) -> anyhow::Result<T>,
) -> anyhow::Result<T> {
    let mut out = BufWriter::new(open(part, readers)?);
    let written = write(&mut out)?;
    out.into_inner().map_err(io::IntoInnerError::into_error)?.sync_all()?;
    Ok(written)
}

fn open(part: &Path, readers: Readers) -> io::Result<File> {
    if readers == Readers::Owner {
        // One left behind by a crash may be anybody's to read.
        let _ = fs::remove_file(part);
    }
    let mut options = OpenOptions::new();
    options.write(true).create(true).truncate(true);
    #[cfg(unix)]
    if readers == Readers::Owner {
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    }
    options.open(part)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_write_that_fails_leaves_what_was_there_and_nothing_beside_it() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("file");
        replace(&path, Readers::Any, |out| Ok(out.write_all(b"old")?)).expect("room");
        let failed: anyhow::Result<()> = replace(&path, Readers::Any, |out| {
            out.write_all(b"half")?;
            anyhow::bail!("no space left")
        });
        let why = format!("{:#}", failed.expect_err("it failed"));
        assert!(why.contains("file") && why.contains("no space"), "{why}");
        assert_eq!(fs::read(&path).expect("still there"), b"old");
        assert_eq!(fs::read_dir(folder.path()).expect("ours").count(), 1);
    }

    #[test]
    fn a_new_file_is_never_written_over_another() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("file");
        write_new(&path, b"one", Readers::Any).expect("room");
        assert!(write_new(&path, b"two", Readers::Any).is_err());
        assert_eq!(fs::read(&path).expect("still there"), b"one");
        assert!(write_new(&folder.path().join("none/file"), b"", Readers::Any).is_err());
    }

    #[cfg(unix)]
    #[test]
    fn what_is_for_its_owner_nobody_else_can_read() {
        use std::os::unix::fs::PermissionsExt;
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("secret");
        fs::write(folder.path().join("secret.part"), b"left behind").expect("ours");
        write_new(&path, b"secret", Readers::Owner).expect("room");
        let mode = fs::metadata(&path).expect("there").permissions().mode() & 0o777;
        assert_eq!(mode, 0o600);
    }
}
