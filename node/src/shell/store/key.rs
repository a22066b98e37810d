//! Key: the file that holds the peer's secret.
//!
//! 64 hexadecimal digits and a line end, readable by the owner alone. A key
//! that others may have read is refused, not repaired: whoever runs the peer
//! has to know.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use longhaul_dtn::hash::ContentHash;
use longhaul_dtn::identity::SecretKey;

use super::disk::{Access, Disk, replace};
use super::error::{StoreError, io_error};

/// Bytes of a key file that are read at most; a key has 65.
const KEY_BYTES_MAX: u64 = 128;

/// Where the key lies in a data directory.
pub(super) fn path(dir: &Path) -> PathBuf {
    dir.join("key")
}

/// Stores a new key.
pub(super) fn save(disk: &mut dyn Disk, dir: &Path, key: &SecretKey) -> Result<(), StoreError> {
    let text = format!("{}\n", ContentHash::from_bytes(key.to_seed()));
    let path = path(dir);
    replace(disk, &path, text.as_bytes(), Access::Private).map_err(io_error("write", &path))
}

/// Reads the key.
pub(super) fn load(dir: &Path) -> Result<SecretKey, StoreError> {
    let path = path(dir);
    let meta = match fs::metadata(&path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            return Err(StoreError::Absent(dir.to_path_buf()));
        }
        other => other.map_err(io_error("open", &path))?,
    };
    check_private(&path, &meta)?;
    if meta.len() > KEY_BYTES_MAX {
        return Err(StoreError::KeyMalformed(path));
    }
    let bytes = fs::read(&path).map_err(io_error("read", &path))?;
    // A seed and a hash have the same text form: 64 lower-case digits.
    let seed = std::str::from_utf8(&bytes).ok().and_then(|text| text.trim_end().parse().ok());
    match seed {
        Some(seed) => Ok(SecretKey::from_seed(ContentHash::as_bytes(&seed))),
        None => Err(StoreError::KeyMalformed(path)),
    }
}

#[cfg(unix)]
fn check_private(path: &Path, meta: &fs::Metadata) -> Result<(), StoreError> {
    use std::os::unix::fs::PermissionsExt;
    let mode = meta.permissions().mode() & 0o777;
    if mode & 0o077 != 0 {
        return Err(StoreError::KeyPermissions { path: path.to_path_buf(), mode });
    }
    Ok(())
}

#[cfg(not(unix))]
fn check_private(_: &Path, _: &fs::Metadata) -> Result<(), StoreError> {
    Ok(())
}
