//! Fraud proofs, kept in the data directory for whoever is to be convinced.

use std::path::Path;

use longhaul_dtn::bundle::BundleId;

use crate::shell::fresh::{self, Readers};
use crate::shell::plain;

/// Where they are kept.
const FOLDER: &str = "fraud";
/// Most files that are kept: one shows what a member is, and each holds a payload.
const FILES_MAX: usize = 256;

/// Keeps a fraud proof as `fraud/<bundle id>.fraud`; says where it is, or why it is nowhere.
pub(super) fn keep(dir: &Path, bundle: &BundleId, proof: &[u8]) {
    let folder = dir.join(FOLDER);
    let path = folder.join(format!("{bundle}.fraud"));
    match write(&folder, &path, proof) {
        Ok(true) => tracing::error!(
            path = plain::path(&path),
            "kept what shows it to anybody with the proving keys (it holds the payload): longhaul-audit fraud FILE"
        ),
        Ok(false) => tracing::warn!(
            folder = plain::path(&folder),
            "{FILES_MAX} fraud proofs are kept already, this one is not"
        ),
        Err(error) => tracing::error!(error = %error, "the fraud proof could not be kept"),
    }
}

fn write(folder: &Path, path: &Path, proof: &[u8]) -> anyhow::Result<bool> {
    std::fs::create_dir_all(folder)?;
    if path.exists() {
        return Ok(true);
    }
    if std::fs::read_dir(folder)?.take(FILES_MAX).count() == FILES_MAX {
        return Ok(false);
    }
    fresh::write_new(path, proof, Readers::Owner)?;
    Ok(true)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn is_kept_once_and_up_to_a_number_of_files() {
        let dir = tempfile::tempdir().expect("a folder");
        let folder = dir.path().join(FOLDER);
        let path = |name: usize| folder.join(format!("{name}.fraud"));
        for name in 0..FILES_MAX {
            assert!(write(&folder, &path(name), b"proof").expect("room"));
        }
        assert!(write(&folder, &path(7), b"another").expect("room"));
        assert_eq!(std::fs::read(path(7)).expect("kept"), b"proof");
        assert!(!write(&folder, &path(FILES_MAX), b"proof").expect("room"));
        assert!(!path(FILES_MAX).exists());
    }
}
