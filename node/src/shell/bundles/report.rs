//! Reports: what was found in a store's directory.

use std::fmt;
use std::path::PathBuf;

/// A place of a file that does not hold what was written there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Damage {
    /// The file.
    pub file: PathBuf,
    /// Where in it, in bytes.
    pub offset: u64,
    /// What is wrong there.
    pub why: &'static str,
}

impl fmt::Display for Damage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} is damaged at byte {} ({})", self.file.display(), self.offset, self.why)
    }
}

/// The end of a file whose write was cut short. It was never acknowledged.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TornEnd {
    /// The file.
    pub file: PathBuf,
    /// Where the torn end begins, in bytes.
    pub offset: u64,
    /// How many bytes it has.
    pub bytes: u64,
    /// Where a copy of it is kept; none of one that holds zeros alone, or where
    /// nothing was repaired.
    pub kept: Option<PathBuf>,
}

impl fmt::Display for TornEnd {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { file, offset, bytes, kept } = self;
        write!(f, "{}: {bytes} bytes from byte {offset} on never arrived whole", file.display())?;
        kept.as_ref().map_or(Ok(()), |kept| write!(f, ", kept as {}", kept.display()))
    }
}

/// What opening a store found and put right.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct OpenReport {
    /// Live bundles.
    pub bundles: u64,
    /// Segment files, and files of one large bundle.
    pub files: u64,
    /// Segments without a valid index, which were read whole.
    pub scanned: u64,
    /// Ends that a power loss tore; they were cut.
    pub torn: Vec<TornEnd>,
    /// Damage, found so far; files with damage are left as they are.
    pub damaged: Vec<Damage>,
}

impl OpenReport {
    /// What somebody should look at, one line each; none if all is well.
    pub fn lines(&self) -> impl Iterator<Item = String> {
        let torn = self.torn.iter().map(ToString::to_string);
        torn.chain(self.damaged.iter().map(ToString::to_string))
    }
}

/// What a store's directory holds, every byte checked.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct CheckReport {
    /// Live bundles.
    pub bundles: u64,
    /// Bytes of their records.
    pub live_bytes: u64,
    /// Bytes of all segments and indexes.
    pub total_bytes: u64,
    /// Segment files, and files of one large bundle.
    pub files: u64,
    /// An end that a power loss tore or that another process is writing;
    /// opening the store cuts it.
    pub torn: Vec<TornEnd>,
    /// Index files that do not fit their segment; opening the store reads the
    /// segment instead, [`rebuild`](super::BundleStore::rebuild) writes them again.
    pub invalid_indexes: Vec<PathBuf>,
    /// Damage.
    pub damaged: Vec<Damage>,
}

impl CheckReport {
    /// Whether everything that was ever acknowledged is there.
    pub fn is_sound(&self) -> bool {
        self.damaged.is_empty()
    }

    /// What somebody should look at, one line each; none if all is well.
    pub fn lines(&self) -> impl Iterator<Item = String> {
        let indexes = self
            .invalid_indexes
            .iter()
            .map(|path| format!("{} does not fit its segment; run a rebuild", path.display()));
        let torn = self.torn.iter().map(ToString::to_string);
        self.damaged.iter().map(ToString::to_string).chain(torn).chain(indexes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn says_what_is_where() {
        let damage = Damage { file: "a.seg".into(), offset: 7, why: "the CRC is wrong" };
        assert_eq!(damage.to_string(), "a.seg is damaged at byte 7 (the CRC is wrong)");
        let mut torn = TornEnd { file: "a.seg".into(), offset: 9, bytes: 3, kept: None };
        assert_eq!(torn.to_string(), "a.seg: 3 bytes from byte 9 on never arrived whole");
        torn.kept = Some("aside/torn".into());
        assert!(torn.to_string().ends_with(", kept as aside/torn"));
    }

    #[test]
    fn a_report_has_a_line_for_each_finding() {
        let damage = Damage { file: "a.seg".into(), offset: 7, why: "the CRC is wrong" };
        let torn = TornEnd { file: "b.seg".into(), offset: 9, bytes: 3, kept: None };
        let report = CheckReport {
            damaged: vec![damage.clone()],
            torn: vec![torn.clone()],
            invalid_indexes: vec!["a.idx".into()],
            ..CheckReport::default()
        };
        assert_eq!((report.lines().count(), report.is_sound()), (3, false));
        let report =
            OpenReport { damaged: vec![damage], torn: vec![torn], ..OpenReport::default() };
        assert_eq!(report.lines().count(), 2);
    }
}
