//! Key: the file that holds the secret of a peer, a relay or a courier.
//!
//! 64 hexadecimal digits and a line end, readable by the owner alone. A key
//! that others may have read is refused, not repaired: whoever runs the peer
//! has to know.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use longhaul_dtn::hash::ContentHash;
use longhaul_dtn::identity::SecretKey;

use super::disk::{Access, Disk, RealDisk, replace};
use super::error::{StoreError, io_error};
use super::lock::{self, Lock};

/// Bytes of a key file that are read at most; a key has 65.
const KEY_BYTES_MAX: u64 = 128;

/// Where the key lies in a data directory.
pub(super) fn path(dir: &Path) -> PathBuf {
    dir.join("key")
}

/// Stores a new key of a peer.
pub(super) fn save(disk: &mut dyn Disk, dir: &Path, key: &SecretKey) -> Result<(), StoreError> {
    write(disk, &path(dir), key)
}

/// Reads the key of a peer.
pub(super) fn load(dir: &Path) -> Result<SecretKey, StoreError> {
    read(path(dir))?.ok_or_else(|| StoreError::Absent(dir.to_path_buf()))
}

/// The key of a relay, and its directory, which is held until this is dropped.
#[derive(Debug)]
pub struct RelayKey {
    /// The key.
    pub key: SecretKey,
    _lock: Lock,
}

/// Locks the directory of a relay, which is made if it is missing, and reads its key; if there is
/// none, stores `fresh` in it.
pub fn relay_key(dir: &Path, fresh: &SecretKey) -> Result<RelayKey, StoreError> {
    let path = dir.join("relay.key");
    RealDisk.make_dir(dir).map_err(io_error("create", dir))?;
    let _lock = lock::take(dir)?;
    let key = own_key(&path, fresh)?;
    Ok(RelayKey { key, _lock })
}

/// Reads the key of the courier in `dir`, which somebody holds; if there is none, stores `fresh`.
pub fn courier_key(dir: &Path, fresh: &SecretKey) -> Result<SecretKey, StoreError> {
    own_key(&dir.join("courier.key"), fresh)
}

fn own_key(path: &Path, fresh: &SecretKey) -> Result<SecretKey, StoreError> {
    if let Some(key) = read(path.to_path_buf())? {
        return Ok(key);
    }
    write(&mut RealDisk, path, fresh)?;
    Ok(fresh.clone())
}

fn write(disk: &mut dyn Disk, path: &Path, key: &SecretKey) -> Result<(), StoreError> {
    let text = format!("{}\n", ContentHash::from_bytes(key.to_seed()));
    replace(disk, path, text.as_bytes(), Access::Private).map_err(io_error("write", path))
}

/// The key in a file; `None` if there is no such file.
fn read(path: PathBuf) -> Result<Option<SecretKey>, StoreError> {
    let meta = match fs::metadata(&path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
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
        Some(seed) => Ok(Some(SecretKey::from_seed(ContentHash::as_bytes(&seed)))),
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

#[cfg(test)]
mod tests {
    use super::*;

    fn key(byte: u8) -> SecretKey {
        SecretKey::from_seed(&[byte; 32])
    }

    #[test]
    fn a_relay_keeps_the_key_that_it_began_with() {
        let dir = std::env::temp_dir().join(format!("longhaul-relay-key-{}", std::process::id()));
        let first = relay_key(&dir, &key(1)).expect("our own folder");
        let error = relay_key(&dir, &key(2)).expect_err("a relay runs in it");
        assert!(matches!(error, StoreError::Locked { .. }), "{error}");
        let first = { first }.key;
        let second = relay_key(&dir, &key(2)).expect("our own folder").key;
        assert_eq!((first.peer_id(), second.peer_id()), (key(1).peer_id(), key(1).peer_id()));
        let file = dir.join("relay.key");
        check_private(&file, &fs::metadata(&file).expect("it was stored")).expect("mode 0600");
        fs::write(&file, "no key").expect("our own folder");
        assert!(matches!(relay_key(&dir, &key(3)), Err(StoreError::KeyMalformed(_))));
        fs::remove_dir_all(&dir).expect("our own folder");
    }
}
