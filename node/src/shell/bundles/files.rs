//! Files: the names in a store's directory.
//!
//! `NUMBER.seg` is a segment, `NUMBER.idx` its index, `NUMBER.one` holds one large
//! bundle, `NUMBER.part` is one that is being written; a number has 16 hexadecimal
//! digits. `lock` is the lock, `aside` keeps torn ends.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use super::error::{BundleStoreError, io_error};
use super::types::SegmentId;

/// What a file is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum FileKind {
    /// A segment of many records.
    Log,
    /// The index of one.
    Index,
    /// A segment of one large bundle.
    Single,
    /// Such a segment that is not whole yet.
    Part,
}

impl FileKind {
    const ALL: [(Self, &'static str); 4] =
        [(Self::Log, "seg"), (Self::Index, "idx"), (Self::Single, "one"), (Self::Part, "part")];

    fn extension(self) -> &'static str {
        Self::ALL.into_iter().find(|&(kind, _)| kind == self).expect("all kinds have one").1
    }
}

/// Where a file of this number lies.
pub(super) fn path(dir: &Path, id: SegmentId, kind: FileKind) -> PathBuf {
    dir.join(format!("{:016x}.{}", id.0, kind.extension()))
}

/// The store's files in a directory, with their sizes in bytes.
#[derive(Debug, Default)]
pub(super) struct Listing {
    pub logs: BTreeMap<SegmentId, u64>,
    pub indexes: BTreeMap<SegmentId, u64>,
    pub singles: BTreeMap<SegmentId, u64>,
    pub parts: BTreeMap<SegmentId, u64>,
}

impl Listing {
    /// Lists a directory; other files in it are left out.
    pub fn read(dir: &Path) -> Result<Self, BundleStoreError> {
        let mut listing = Self::default();
        for entry in fs::read_dir(dir).map_err(io_error("list", dir))? {
            let entry = entry.map_err(io_error("list", dir))?;
            let name = entry.file_name();
            let Some((id, kind)) = name.to_str().and_then(parse) else { continue };
            let meta = entry.metadata().map_err(io_error("look at", &entry.path()))?;
            let files = match kind {
                FileKind::Log => &mut listing.logs,
                FileKind::Index => &mut listing.indexes,
                FileKind::Single => &mut listing.singles,
                FileKind::Part => &mut listing.parts,
            };
            files.insert(id, meta.len());
        }
        Ok(listing)
    }

    /// A number that no file has, nor any before it.
    pub fn next_number(&self) -> u64 {
        let kinds = [&self.logs, &self.indexes, &self.singles, &self.parts];
        let last = kinds.into_iter().filter_map(|files| files.keys().last()).max();
        last.map_or(1, |id| id.0.saturating_add(1))
    }
}

fn parse(name: &str) -> Option<(SegmentId, FileKind)> {
    let (number, extension) = name.split_once('.')?;
    let kind = FileKind::ALL.into_iter().find(|(_, it)| *it == extension)?.0;
    let id = SegmentId(u64::from_str_radix(number, 16).ok()?);
    // Only the form that we write: no sign, no capitals, all digits.
    (format!("{:016x}", id.0) == number).then_some((id, kind))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read_as_they_are_written() {
        for (kind, _) in FileKind::ALL {
            let path = path(Path::new("store"), SegmentId(0xbeef), kind);
            let name = path.file_name().and_then(|name| name.to_str()).expect("a name");
            assert_eq!(parse(name), Some((SegmentId(0xbeef), kind)));
        }
    }

    #[test]
    fn other_names_are_not_ours() {
        let short = "beef.seg";
        for name in ["lock", short, "+00000000000beef.seg", "000000000000BEEF.seg", "0.idx", ""] {
            assert_eq!(parse(name), None, "{name}");
        }
        assert_eq!(parse("000000000000beef.seg.old"), None);
    }
}
