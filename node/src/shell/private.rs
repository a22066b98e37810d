//! Private: directories that nobody but their owner can look into.
//!
//! What a peer or a courier keeps (updates, logs, other people's bundles) is as public as its
//! directory is, whatever the umask. A directory that is there already stays as its owner made it.

use std::fs::DirBuilder;
use std::io;
use std::path::Path;

/// Makes a directory, and those above it that are missing, for its owner alone.
pub(in crate::shell) fn make_dir(path: &Path) -> io::Result<()> {
    let mut builder = DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(path)
}

#[cfg(all(test, unix))]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn what_it_makes_is_its_owners_alone_and_what_is_there_stays() {
        let folder = tempfile::tempdir().expect("a folder");
        let mode = |path: &Path| {
            std::fs::metadata(path).expect("it is there").permissions().mode() & 0o777
        };
        let (open, new) = (folder.path().join("open"), folder.path().join("open/new/in"));
        std::fs::create_dir(&open).expect("a folder");
        std::fs::set_permissions(&open, PermissionsExt::from_mode(0o755)).expect("our own");
        make_dir(&new).expect("a folder");
        make_dir(&new).expect("it is there");
        assert_eq!((mode(&open), mode(&new)), (0o755, 0o700));
    }
}
