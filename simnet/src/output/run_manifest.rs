//! The manifest of a run: what ran, what came out, and the hash of every file.
//!
//! It stands beside the files of a run as pretty JSON, so that a reader of a
//! result can tell whether the files are the ones that the run wrote, and
//! someone else can run the same scenario with the same seed and compare the
//! digest. It holds no time of day: the same run gives the same manifest.

use std::io::{self, Read};

use blake3::Hash;
use serde::{Deserialize, Serialize};

/// The version of the format that is written and read.
pub const MANIFEST_VERSION: u32 = 1;

/// Most bytes of a manifest's JSON.
pub const MANIFEST_BYTES_MAX: usize = 4 << 20;

/// Most bytes of a file's name.
pub const NAME_BYTES_MAX: usize = 255;

/// What a run was and what it left behind.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RunManifest {
    /// [`MANIFEST_VERSION`].
    pub format_version: u32,
    /// The version of the program that ran.
    pub program_version: String,
    /// The scenario's name.
    pub scenario_name: String,
    /// blake3 of the resolved scenario, see [`scenario_hash`].
    #[serde(with = "hex")]
    pub scenario_hash: Hash,
    /// The seed.
    pub seed: u64,
    /// blake3 over everything that happened.
    #[serde(with = "hex")]
    pub trace_digest: Hash,
    /// Number of events.
    pub events: u64,
    /// Simulated time in milliseconds.
    pub simulated_ms: u64,
    /// What had to hold, and whether it did.
    pub checks: Vec<ManifestCheck>,
    /// The files beside the manifest, in the order of their names.
    pub files: Vec<ManifestFile>,
}

/// The outcome of one check.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ManifestCheck {
    /// What had to hold.
    pub name: String,
    /// Whether it did.
    pub passed: bool,
}

/// One file of a run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ManifestFile {
    /// Its name, with `/` between folders, relative to the manifest.
    pub name: String,
    /// Its length in bytes.
    pub bytes: u64,
    /// Its blake3, which `b3sum` checks.
    #[serde(with = "hex")]
    pub blake3: Hash,
}

/// Why a manifest is refused.
#[derive(Debug, thiserror::Error)]
pub enum ManifestError {
    /// The text is too long; holds its length.
    #[error("a manifest has at most {MANIFEST_BYTES_MAX} bytes, not {0}")]
    TooLong(usize),
    /// The version is another; holds it.
    #[error("manifest version {0} is not supported; this program knows {MANIFEST_VERSION}")]
    Version(u32),
    /// The text is not a manifest.
    #[error("not a run manifest: {0}")]
    Json(#[from] serde_json::Error),
    /// A name that could lead out of the folder, or is no name; holds it.
    #[error("`{0}` is no name for a file of a run; use a relative path with `/`")]
    Name(String),
    /// The files are not in the order of their names; holds the first that is not.
    #[error("file `{0}` is listed twice or out of order; sort the files by name")]
    Order(String),
}

/// What is wrong with a file of a run.
#[derive(Debug, thiserror::Error)]
pub enum FileProblem {
    /// It is not there.
    #[error("`{name}` is missing")]
    Missing {
        /// The file.
        name: String,
    },
    /// Its length is another.
    #[error("`{name}` has {}{found} bytes, not {expected}", at_least(*found > *expected))]
    Length {
        /// The file.
        name: String,
        /// The manifest's length in bytes.
        expected: u64,
        /// What was found; one more than expected stands for all that is longer.
        found: u64,
    },
    /// Its length is right and its content is not.
    #[error("`{name}` has changed: its blake3 is another")]
    Changed {
        /// The file.
        name: String,
    },
    /// It cannot be read.
    #[error("`{name}` cannot be read: {error}")]
    Unreadable {
        /// The file.
        name: String,
        /// Why.
        error: io::Error,
    },
}

/// The hash of a scenario: plain blake3 of its resolved TOML text.
pub fn scenario_hash(resolved_toml: &str) -> Hash {
    blake3::hash(resolved_toml.as_bytes())
}

impl RunManifest {
    /// Reads a manifest; refuses unknown and missing fields, other versions,
    /// and names that lead out of the folder.
    pub fn from_json(json: &str) -> Result<Self, ManifestError> {
        if json.len() > MANIFEST_BYTES_MAX {
            return Err(ManifestError::TooLong(json.len()));
        }
        let VersionOnly { format_version } = serde_json::from_str(json)?;
        if format_version != MANIFEST_VERSION {
            return Err(ManifestError::Version(format_version));
        }
        let manifest: Self = serde_json::from_str(json)?;
        manifest.check()?;
        Ok(manifest)
    }

    /// The manifest as indented JSON with a line feed at the end; fails where
    /// [`Self::from_json`] would.
    pub fn to_json(&self) -> Result<String, ManifestError> {
        self.check()?;
        let mut json = serde_json::to_string_pretty(self)?;
        json.push('\n');
        if json.len() > MANIFEST_BYTES_MAX {
            return Err(ManifestError::TooLong(json.len()));
        }
        Ok(json)
    }

    /// Whether every check passed.
    pub fn passed(&self) -> bool {
        self.checks.iter().all(|check| check.passed)
    }

    /// Reads every listed file and tells what is wrong; nothing is, if empty.
    ///
    /// `open` gives the file of a name, as bytes or a reader, or none if there
    /// is no such file. Files that are not listed are not looked for.
    pub fn verify<R: Read>(&self, mut open: impl FnMut(&str) -> Option<R>) -> Vec<FileProblem> {
        let problem = |file: &ManifestFile| match open(&file.name) {
            Some(content) => file.problem(content),
            None => Some(FileProblem::Missing { name: file.name.clone() }),
        };
        self.files.iter().filter_map(problem).collect()
    }

    fn check(&self) -> Result<(), ManifestError> {
        if self.format_version != MANIFEST_VERSION {
            return Err(ManifestError::Version(self.format_version));
        }
        if let Some(file) = self.files.iter().find(|file| !is_name(&file.name)) {
            return Err(ManifestError::Name(file.name.clone()));
        }
        let unordered = self.files.windows(2).find(|pair| pair[0].name >= pair[1].name);
        unordered.map_or(Ok(()), |pair| Err(ManifestError::Order(pair[1].name.clone())))
    }
}

impl ManifestFile {
    /// The line about a file called `name` that holds `content`.
    pub fn of(name: &str, content: impl Read) -> io::Result<Self> {
        let (bytes, blake3) = measure(content)?;
        Ok(Self { name: name.to_owned(), bytes, blake3 })
    }

    fn problem(&self, content: impl Read) -> Option<FileProblem> {
        let (name, expected) = (self.name.clone(), self.bytes);
        match measure(content.take(expected.saturating_add(1))) {
            Err(error) => Some(FileProblem::Unreadable { name, error }),
            Ok((found, _)) if found != expected => {
                Some(FileProblem::Length { name, expected, found })
            }
            Ok((_, hash)) => (hash != self.blake3).then_some(FileProblem::Changed { name }),
        }
    }
}

/// The part of a manifest that all versions have.
#[derive(Deserialize)]
struct VersionOnly {
    format_version: u32,
}

fn measure(content: impl Read) -> io::Result<(u64, Hash)> {
    let mut hasher = blake3::Hasher::new();
    hasher.update_reader(content)?;
    Ok((hasher.count(), hasher.finalize()))
}

const fn at_least(is_cut: bool) -> &'static str {
    if is_cut { "at least " } else { "" }
}

/// Whether `name` is a relative path that stays below its folder everywhere.
fn is_name(name: &str) -> bool {
    let is_part = |part: &str| !matches!(part, "" | "." | "..");
    let is_foreign = |character: char| character.is_control() || matches!(character, '\\' | ':');
    name.len() <= NAME_BYTES_MAX && name.split('/').all(is_part) && !name.contains(is_foreign)
}

/// Hashes as 64 lower-case hexadecimal digits.
mod hex {
    use blake3::Hash;
    use serde::{Deserialize, Deserializer, Serializer, de::Error};

    pub fn serialize<S: Serializer>(hash: &Hash, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&hash.to_hex())
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Hash, D::Error> {
        let text = String::deserialize(deserializer)?;
        let hash = Hash::from_hex(&text).ok().filter(|hash| hash.to_hex().as_str() == text);
        hash.ok_or_else(|| D::Error::custom("a hash has 64 lower-case hexadecimal digits"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn file(name: &str, content: &[u8]) -> ManifestFile {
        ManifestFile::of(name, content).expect("memory can be read")
    }

    fn manifest() -> RunManifest {
        RunManifest {
            format_version: MANIFEST_VERSION,
            program_version: "0.1.0".to_owned(),
            scenario_name: "two islands".to_owned(),
            scenario_hash: scenario_hash("name = \"two islands\"\n"),
            seed: u64::MAX,
            trace_digest: blake3::hash(b"trace"),
            events: 12,
            simulated_ms: 60_000,
            checks: vec![ManifestCheck { name: "all 4 peers trained".to_owned(), passed: true }],
            files: vec![file("events.lhlog", b"events"), file("tables/metrics.csv", b"metrics")],
        }
    }

    fn arb_manifest() -> impl Strategy<Value = RunManifest> {
        let hash = || any::<[u8; 32]>().prop_map(Hash::from_bytes);
        let checks = prop::collection::vec((any::<String>(), any::<bool>()), 0..3);
        let files =
            prop::collection::btree_map("[a-zé]{1,8}(/[a-z.]{3,5})?", (any::<u64>(), hash()), 0..4);
        (any::<[String; 2]>(), hash(), hash(), any::<[u64; 3]>(), checks, files).prop_map(
            |(
                [program_version, scenario_name],
                scenario_hash,
                trace_digest,
                numbers,
                checks,
                files,
            )| {
                let [seed, events, simulated_ms] = numbers;
                let check = |(name, passed)| ManifestCheck { name, passed };
                let file = |(name, (bytes, blake3))| ManifestFile { name, bytes, blake3 };
                RunManifest {
                    format_version: MANIFEST_VERSION,
                    program_version,
                    scenario_name,
                    scenario_hash,
                    seed,
                    trace_digest,
                    events,
                    simulated_ms,
                    checks: checks.into_iter().map(check).collect(),
                    files: files.into_iter().map(file).collect(),
                }
            },
        )
    }

    proptest! {
        #[test]
        fn a_manifest_reads_back_as_it_was(manifest in arb_manifest()) {
            let json = manifest.to_json().expect("a sound manifest");
            prop_assert_eq!(RunManifest::from_json(&json).expect("its JSON"), manifest);
        }

        #[test]
        fn text_never_panics(at in any::<prop::sample::Index>(), text in any::<String>()) {
            let json = manifest().to_json().expect("a sound manifest");
            let (kept, rest) = json.split_at(at.index(json.len()));
            for text in [&text[..], &format!("{kept}{text}"), &format!("{kept}{text}{rest}")] {
                let _ = RunManifest::from_json(text);
            }
        }
    }

    #[test]
    fn json_cut_anywhere_is_refused() {
        let json = manifest().to_json().expect("a sound manifest");
        for cut in 0..json.len() - 1 {
            assert!(RunManifest::from_json(&json[..cut]).is_err(), "{cut}");
        }
    }

    #[test]
    fn the_json_is_as_documented() {
        let json = manifest().to_json().expect("a sound manifest");
        assert!(
            json.starts_with("{\n  \"format_version\": 1,\n  \"program_version\": \"0.1.0\",\n")
        );
        assert!(json.contains("\"seed\": 18446744073709551615,\n"), "{json}");
        let csv =
            "      \"name\": \"tables/metrics.csv\",\n      \"bytes\": 7,\n      \"blake3\": \"";
        assert!(json.contains(csv) && json.ends_with("\n}\n"), "{json}");
    }

    #[test]
    fn other_json_is_refused() {
        let json = manifest().to_json().expect("a sound manifest");
        let hash = blake3::hash(b"trace").to_hex().to_string();
        for (from, to, error) in [
            ("\"seed\"", "\"sed\"", "unknown field `sed`"),
            ("\"bytes\": 6", "\"bytes\": 6, \"mode\": 7", "unknown field `mode`"),
            ("\"events\": 12,", "", "missing field `events`"),
            ("\"events\": 12,", "\"events\": 12, \"events\": 12,", "duplicate field `events`"),
            ("\"events\": 12", "\"events\": -1", "at line 8"),
            (&hash, &hash.to_uppercase(), "64 lower-case hexadecimal digits"),
            (&hash, &hash[1..], "64 lower-case hexadecimal digits"),
            ("\"format_version\": 1", "\"format_version\": 2", "version 2 is not supported"),
            ("events.lhlog", "../events", "`../events` is no name"),
            ("events.lhlog", "tables/metrics.csv", "listed twice"),
            ("events.lhlog", "zebra", "out of order"),
        ] {
            let changed = json.replacen(from, to, 1);
            assert_ne!(changed, json, "{from}");
            let found = RunManifest::from_json(&changed).expect_err(to).to_string();
            assert!(found.contains(error), "{found}");
        }
        let long = " ".repeat(MANIFEST_BYTES_MAX + 1);
        assert!(matches!(RunManifest::from_json(&long), Err(ManifestError::TooLong(_))));
    }

    #[test]
    fn names_stay_below_the_folder() {
        for name in ["a", "metrics.csv", "a/b.c", "..a", "ü"] {
            assert!(is_name(name), "{name}");
        }
        let long = "x".repeat(NAME_BYTES_MAX + 1);
        for name in ["", "/a", "a/", "a//b", ".", "a/../b", "..", "a\\b", "c:a", "a\nb", &long] {
            assert!(!is_name(name), "{name:?}");
        }
    }

    #[test]
    fn an_unsound_manifest_is_not_written() {
        let mut manifest = manifest();
        manifest.files.reverse();
        assert!(matches!(manifest.to_json(), Err(ManifestError::Order(_))));
    }

    #[test]
    fn verification_tells_what_is_wrong() {
        let manifest = manifest();
        let problems = |events: Option<&'static [u8]>| -> Vec<_> {
            let open =
                |name: &str| if name == "events.lhlog" { events } else { Some(&b"metrics"[..]) };
            manifest.verify(open).iter().map(FileProblem::to_string).collect()
        };
        assert!(problems(Some(b"events")).is_empty());
        for (events, expected) in [
            (None, "`events.lhlog` is missing"),
            (Some(&b"event"[..]), "`events.lhlog` has 5 bytes, not 6"),
            (Some(&b"events and more"[..]), "`events.lhlog` has at least 7 bytes, not 6"),
            (Some(&b"EVENTS"[..]), "`events.lhlog` has changed: its blake3 is another"),
        ] {
            assert_eq!(problems(events), [expected]);
        }
    }

    #[test]
    fn an_unreadable_file_is_a_problem() {
        struct Broken;
        impl Read for Broken {
            fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
                Err(io::Error::other("no such sector"))
            }
        }
        let problems = manifest().verify(|_| Some(Broken));
        assert_eq!(problems.len(), 2);
        assert!(problems[0].to_string().ends_with("cannot be read: no such sector"));
    }

    #[test]
    fn a_run_passes_if_every_check_does() {
        let mut manifest = manifest();
        assert!(manifest.passed());
        manifest.checks.push(ManifestCheck { name: "end".to_owned(), passed: false });
        assert!(!manifest.passed());
    }
}
