//! Imported plans: recorded traces of contacts and missions' contact plans.
//!
//! The caller reads and unpacks the file; here its text becomes contacts. Nodes
//! have names in these files, and peers have numbers: names are taken in
//! ascending order, by value where all of them are whole numbers and by their
//! bytes otherwise. The first contact begins at zero unless `keep_time` says
//! that the file's zero is the run's.
//!
//! A file is input that nobody here wrote: its size, its lines and its names
//! have limits, and an error says in which line.

mod csv;
mod directed;
mod draft;
mod hdtn;
mod ion;
mod one;
mod recorded;
mod text;
mod tvg;

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::spans::Spans;
use super::{Contact, Contacts, PlanError, PlanInput, ShiftSeconds};
use crate::contacts::MeanSeconds;
use draft::{Draft, Shift};

/// Largest text that is imported, in bytes.
pub const TEXT_BYTES_MAX: usize = 64 << 20;
/// Most lines of a text.
pub const LINES_MAX: usize = 5_000_000;
/// Most names in a text, one for each number that a peer can have.
pub const NAMES_MAX: usize = 65_535;

/// A recorded trace of contacts.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TraceFile {
    /// The file, seen from the working folder.
    pub file: PathBuf,
    /// How it is written.
    pub format: TraceFormat,
    /// What its times count; `csv` counts seconds.
    #[serde(default)]
    pub time_unit: TimeUnit,
    /// Added to every time after the first contact was moved to zero; negative
    /// to leave out the beginning.
    #[serde(default = "no_shift")]
    pub offset_s: ShiftSeconds,
    /// Whether the file's zero is the run's.
    #[serde(default)]
    pub keep_time: bool,
    /// For `tij`: how long before its time a line's contact began; 20 s when
    /// absent, as the SocioPatterns sensors count.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub slot_s: Option<MeanSeconds>,
}

/// A mission's contact plan.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PlanFile {
    /// The file, seen from the working folder.
    pub file: PathBuf,
    /// How it is written.
    pub format: PlanFormat,
    /// As in [`TraceFile`].
    #[serde(default = "no_shift")]
    pub offset_s: ShiftSeconds,
    /// As in [`TraceFile`].
    #[serde(default)]
    pub keep_time: bool,
}

fn no_shift() -> ShiftSeconds {
    ShiftSeconds::try_from(0.0).expect("no shift is in range")
}

/// How a trace is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum TraceFormat {
    /// SocioPatterns: `t i j`, active in the slot that ends at `t`.
    Tij,
    /// The ONE's standard events: `time CONN a b up` and `down`.
    One,
    /// Haggle and CRAWDAD's other imote traces: `a b start end`.
    Haggle,
    /// A header `from_s,to_s,a,b[,rate_bps,latency_ms]`; the rate in bytes.
    Csv,
}

/// How a contact plan is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum PlanFormat {
    /// `a contact` and `a range` commands of NASA JPL's ION.
    Ion,
    /// The JSON of NASA Glenn's HDTN.
    Hdtn,
    /// The time-varying graph of dtn-tvg-util and pydtnsim, as JSON.
    Tvg,
}

/// What a file's times count.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum TimeUnit {
    /// Milliseconds.
    Ms,
    /// Seconds.
    #[default]
    S,
    /// Minutes.
    Min,
    /// Hours.
    H,
}

impl TimeUnit {
    const fn us(self) -> f64 {
        match self {
            Self::Ms => 1e3,
            Self::S => 1e6,
            Self::Min => 60e6,
            Self::H => 3_600e6,
        }
    }
}

/// What a file says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ImportedContacts {
    /// The name of each peer, by its number.
    pub names: Vec<String>,
    /// The contacts in order, merged, from the run's start on.
    pub contacts: Vec<Contact>,
}

/// Why a file is not understood.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ImportError {
    /// More bytes than [`TEXT_BYTES_MAX`]; holds how many.
    #[error("the file has {0} bytes, the limit is {TEXT_BYTES_MAX}; cut it into parts")]
    TooLarge(usize),
    /// More lines than [`LINES_MAX`].
    #[error("the file has more than {LINES_MAX} lines; cut it into parts")]
    TooManyLines,
    /// More names than [`NAMES_MAX`].
    #[error("the file names more than {NAMES_MAX} nodes; leave some out")]
    TooManyNames,
    /// More contacts than a plan may have.
    #[error("the file has too many contacts; cut it into parts")]
    TooManyContacts,
    /// Not text.
    #[error("line {line}: not UTF-8; if the file is compressed, unpack it first")]
    NotText {
        /// The line, from 1.
        line: usize,
    },
    /// A line that is not as its format wants it.
    #[error("line {line}: {what}")]
    Line {
        /// The line, from 1.
        line: usize,
        /// What is wrong with it.
        what: String,
    },
    /// Not JSON, or not of the shape; the message has line and column.
    #[error("{0}")]
    Json(String),
    /// A contact in JSON whose values make no sense.
    #[error("contact {index}: {what}")]
    Item {
        /// Its place among all contacts of the file, from 0.
        index: usize,
        /// What is wrong with it.
        what: String,
    },
    /// Nothing found.
    #[error("the file has no contact; is it of another format?")]
    Empty,
    /// The specification does not name a file.
    #[error("these contacts are not imported")]
    NotImported,
}

/// Reads the unpacked `bytes` of the file that `spec` names.
///
/// [`super::plan`] does this by itself; this is for those who want the names.
pub fn import(spec: &Contacts, bytes: &[u8]) -> Result<ImportedContacts, ImportError> {
    let mut spans = Spans::new(u64::MAX);
    let (draft, shift) = read(spec, bytes)?;
    let names = draft.settle(shift, &mut spans)?;
    Ok(ImportedContacts { names, contacts: spans.into_contacts() })
}

pub(super) fn generate(
    spec: &Contacts,
    input: &PlanInput<'_>,
    spans: &mut Spans,
) -> Result<(), PlanError> {
    let path = || spec.file().map(|path| path.display().to_string()).unwrap_or_default();
    let bytes = input.file.ok_or_else(|| PlanError::NoFile(path()))?;
    let (draft, shift) = read(spec, bytes)?;
    if draft.names() > usize::from(input.peers) {
        return Err(PlanError::TooFewPeers { names: draft.names(), peers: input.peers });
    }
    draft.settle(shift, spans)?;
    Ok(())
}

fn read(spec: &Contacts, bytes: &[u8]) -> Result<(Draft, Shift), ImportError> {
    let text = text::text(bytes)?;
    let (draft, offset_s, keep_time) = match spec {
        Contacts::Trace(spec) => (read_trace(spec, text)?, spec.offset_s, spec.keep_time),
        Contacts::Plan(spec) => {
            let draft = match spec.format {
                PlanFormat::Ion => ion::read(text),
                PlanFormat::Hdtn => hdtn::read(text),
                PlanFormat::Tvg => tvg::read(text),
            };
            (draft?, spec.offset_s, spec.keep_time)
        }
        _ => return Err(ImportError::NotImported),
    };
    if draft.is_empty() {
        return Err(ImportError::Empty);
    }
    // At most 10^10 s, so the cast keeps the value.
    let offset_us = (offset_s.get() * TimeUnit::S.us()).round() as i64;
    Ok((draft, Shift { offset_us, keep_time }))
}

fn read_trace(spec: &TraceFile, text: &str) -> Result<Draft, ImportError> {
    let unit_us = spec.time_unit.us();
    match spec.format {
        TraceFormat::Tij => recorded::tij(text, unit_us, spec.slot_s),
        TraceFormat::Haggle => recorded::haggle(text, unit_us),
        TraceFormat::One => one::read(text, unit_us),
        TraceFormat::Csv => csv::read(text),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::contacts::plan;
    use proptest::prelude::*;

    fn spec(kind: &str, format: &str, rest: &str) -> Contacts {
        let text = format!("[{kind}]\nfile = \"x\"\nformat = \"{format}\"\n{rest}");
        toml::from_str(&text).unwrap_or_else(|error| panic!("{text}\n{error}"))
    }

    /// Every format by kind and name.
    const FORMATS: [(&str, &str); 7] = [
        ("trace", "tij"),
        ("trace", "one"),
        ("trace", "haggle"),
        ("trace", "csv"),
        ("plan", "ion"),
        ("plan", "hdtn"),
        ("plan", "tvg"),
    ];

    fn times(text: &str, rest: &str) -> Vec<(u64, u64)> {
        let found = import(&spec("trace", "haggle", rest), text.as_bytes()).expect("contacts");
        found.contacts.iter().map(|it| (it.from_us / 1_000, it.to_us / 1_000)).collect()
    }

    #[test]
    fn the_first_contact_begins_at_zero_unless_times_are_kept() {
        const TEXT: &str = "1 2 100 110\n1 2 200 230\n";
        for (rest, expected) in [
            ("", [(0, 10_000), (100_000, 130_000)]),
            ("keep_time = true", [(100_000, 110_000), (200_000, 230_000)]),
            ("offset_s = 5.5", [(5_500, 15_500), (105_500, 135_500)]),
            ("offset_s = -4", [(0, 6_000), (96_000, 126_000)]),
            ("time_unit = \"ms\"", [(0, 10), (100, 130)]),
        ] {
            assert_eq!(times(TEXT, rest), expected.map(|(from, to)| (from, to)), "{rest}");
        }
        assert_eq!(times(TEXT, "offset_s = -10"), [(90_000, 120_000)]);
    }

    #[test]
    fn names_become_peers_in_ascending_order() {
        for (text, expected) in [
            ("10 9 0 1\n100 9 0 1\n", ["9", "10", "100"]),
            ("b10 b9 0 1\nb10 a 0 1\n", ["a", "b10", "b9"]),
            ("10 9 0 1\n9 x 0 1\n", ["10", "9", "x"]),
        ] {
            let found = import(&spec("trace", "haggle", ""), text.as_bytes()).expect("contacts");
            assert_eq!(found.names, expected, "{text}");
        }
    }

    #[test]
    fn a_plan_needs_its_file_and_enough_peers() {
        let spec = spec("trace", "haggle", "");
        let input = PlanInput {
            peers: 2,
            epochs_total: 10,
            epoch_us: 1_000_000,
            seed: 0,
            drain_from_us: None,
            file: None,
        };
        assert_eq!(plan(&spec, &input), Err(PlanError::NoFile("x".to_owned())));
        let input = PlanInput { file: Some(b"1 2 0 5\n1 3 0 5\n"), ..input };
        assert_eq!(plan(&spec, &input), Err(PlanError::TooFewPeers { names: 3, peers: 2 }));
        let contacts = plan(&spec, &PlanInput { peers: 9, ..input }).expect("a plan");
        assert_eq!(contacts.len(), 2);
    }

    #[test]
    fn imported_contacts_are_clipped_to_the_run_and_end_with_the_drain() {
        let input = PlanInput {
            peers: 2,
            epochs_total: 10,
            epoch_us: 1_000_000,
            seed: 0,
            drain_from_us: Some(8_000_000),
            file: Some(b"from_s,to_s,a,b,rate_bps\n0,9,x,y,50\n8.5,20,x,y,50\n"),
        };
        let contacts = plan(&spec("trace", "csv", ""), &input).expect("a plan");
        let seen: Vec<_> = contacts.iter().map(|it| (it.from_us, it.to_us, it.rate_bps)).collect();
        assert_eq!(seen, [(0, 8_000_000, Some(50)), (8_000_000, 10_000_000, None)]);
    }

    #[test]
    fn every_format_refuses_a_file_without_contacts() {
        for (kind, format) in FORMATS {
            let text = match format {
                "csv" => "from_s,to_s,a,b\n",
                "hdtn" => "{\"contacts\": []}",
                "tvg" => "{\"vertices\": [], \"edges\": []}",
                _ => "# nothing\n\n",
            };
            let refused = import(&spec(kind, format, ""), text.as_bytes());
            assert_eq!(refused, Err(ImportError::Empty), "{format}");
        }
    }

    #[test]
    fn what_is_not_imported_is_refused() {
        assert_eq!(import(&Contacts::AllPairs, b""), Err(ImportError::NotImported));
    }

    /// Texts made of pieces that formats use, and others.
    fn arb_text() -> impl Strategy<Value = String> {
        let piece = prop::sample::select(vec![
            "a contact ",
            "a range ",
            "@ ",
            "+0 ",
            "+10 ",
            "2026/01/01-00:00:00 ",
            "-1 ",
            "1 ",
            "2 ",
            "CONN ",
            "up",
            "down",
            "\n",
            "\n",
            " ",
            ",",
            "1e300 ",
            "nan ",
            "-5 ",
            "from_s,to_s,a,b\n",
            "{",
            "}",
            "[",
            "]",
            "\"contacts\"",
            ":",
            "\"edges\"",
            "\"vertices\"",
            "#",
            "\u{e9}",
        ]);
        prop::collection::vec(piece, 0..60).prop_map(|pieces| pieces.concat())
    }

    proptest! {
        #[test]
        fn no_text_makes_an_importer_panic(
            text in arb_text(),
            (kind, format) in prop::sample::select(FORMATS.to_vec()),
        ) {
            let found = import(&spec(kind, format, "offset_s = -3"), text.as_bytes());
            if let Ok(ImportedContacts { names, contacts }) = found {
                let sound = |it: &Contact| {
                    it.a < it.b && usize::from(it.b) < names.len() && it.from_us < it.to_us
                };
                prop_assert!(contacts.iter().all(sound));
                prop_assert!(contacts.is_sorted_by_key(|it| (it.from_us, it.a, it.b, it.to_us)));
            }
        }

        #[test]
        fn no_bytes_make_an_importer_panic(
            bytes in prop::collection::vec(any::<u8>(), 0..200),
            (kind, format) in prop::sample::select(FORMATS.to_vec()),
        ) {
            let _ = import(&spec(kind, format, ""), &bytes);
        }
    }
}
