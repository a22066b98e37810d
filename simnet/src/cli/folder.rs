//! The folder of a run: what is written there, and how it is read again.

use std::fs::{self, File};
use std::io::{BufReader, BufWriter, ErrorKind, Write};
use std::path::{Component, Path, PathBuf};

use anyhow::{Context, Result, anyhow, bail};
use longhaul_simnet::html::{ReportData, SweepData, page, sweep_page};
use longhaul_simnet::output::contacts_csv::{ContactRow, write_contacts_csv};
use longhaul_simnet::output::event_log::{Ending, EventLogReader, EventLogWriter, EventRecord};
use longhaul_simnet::output::metrics_csv::write_metrics_csv;
use longhaul_simnet::output::metrics_parquet::write_metrics_parquet;
use longhaul_simnet::output::run_manifest::{
    MANIFEST_VERSION, ManifestCheck, ManifestFile, RunManifest, scenario_hash,
};
use longhaul_simnet::{MetricTable, Record, RunOutcome, RunReport, Scenario, page_data};
use serde::Serialize;

use super::claim::Claim;
use super::input::Source;
use super::progress::Wall;
use super::snapshot::SNAPSHOT;

/// The resolved scenario.
pub const SCENARIO: &str = "scenario.toml";
/// Everything that happened, in order.
pub const EVENTS: &str = "events.log";
/// The data of report.html.
pub const PAGE_DATA: &str = "report-data.json";
/// The data of a sweep's report.html.
pub const SWEEP_DATA: &str = "sweep.json";
/// What the run was, and the hash of every file.
pub const MANIFEST: &str = "manifest.json";
/// The models that peers ended with.
const MODELS: &str = "models";
const MODEL_ENDING: &str = "f32";
const PAGE: &str = "report.html";

/// Writes the events of a run as they come.
pub struct EventFile(EventLogWriter<BufWriter<File>>);

impl EventFile {
    /// An empty log in `folder`, which is made if it is not there.
    pub fn create(folder: &Path) -> Result<Self> {
        fs::create_dir_all(folder).with_context(|| format!("cannot make {}", folder.display()))?;
        let path = folder.join(EVENTS);
        let file =
            File::create(&path).with_context(|| format!("cannot make {}", path.display()))?;
        Ok(Self(EventLogWriter::new(BufWriter::new(file))?))
    }

    /// Appends an event.
    pub fn append(&mut self, record: &Record) -> Result<()> {
        Ok(self.0.append(&event_record(record))?)
    }

    /// Ends the log.
    pub fn finish(self) -> Result<()> {
        let (mut out, _) = self.0.finish()?;
        Ok(out.flush()?)
    }
}

/// The form of an event in the log: its content by the first eight bytes of its
/// hash.
pub fn event_record(record: &Record) -> EventRecord {
    let (content, _) = record.content.split_first_chunk().expect("a hash has 32 bytes");
    EventRecord {
        at_us: record.at_us,
        kind: record.kind as u8,
        peer: record.peer,
        a: record.a,
        b: record.b,
        content: u64::from_le_bytes(*content),
    }
}

/// The log of a run folder.
pub type EventReader = EventLogReader<BufReader<File>>;

/// The scenario of a run folder.
pub fn own_scenario(folder: &Path) -> Result<Source> {
    let path = folder.join(SCENARIO);
    if !path.is_file() {
        bail!(
            "{} is no folder of a run: there is no {SCENARIO} in it; `longhaul-simnet run … --out \
             DIR` makes one",
            folder.display()
        );
    }
    super::input::scenario(&path.to_string_lossy())
}

/// That the scenario in a run folder is not the one that was run, if so.
pub fn edited_scenario(folder: &Path, scenario: &Scenario) -> Option<String> {
    let manifest = fs::read_to_string(folder.join(MANIFEST)).ok()?;
    let manifest = RunManifest::from_json(&manifest).ok()?;
    let (path, now) = (folder.join(SCENARIO), scenario_hash(&scenario.to_toml()));
    (now != manifest.scenario_hash).then(|| {
        format!(
            "{} is not the scenario that was run: its hash is {now}, {} says {}",
            path.display(),
            MANIFEST,
            manifest.scenario_hash
        )
    })
}

/// Opens the log of a run folder that was written to its end, and reads all of it once:
/// only that shows that its blocks are those of its digests.
pub fn whole_events(folder: &Path) -> Result<EventReader> {
    let mut log = open_events(folder)?;
    cut_off(folder, &log).map_or(Ok(()), Err)?;
    log.verify().with_context(|| cannot_use(folder))?;
    Ok(log)
}

/// That the log of a run folder cannot be used.
pub fn cannot_use(folder: &Path) -> String {
    format!("cannot use {}", folder.join(EVENTS).display())
}

/// What is wrong with a log that was not written to its end.
pub fn cut_off(folder: &Path, log: &EventReader) -> Option<anyhow::Error> {
    let Ending::CutOff { unread_bytes } = log.ending() else { return None };
    Some(anyhow!(
        "{} was cut off: its first {} events can be read, the last {unread_bytes} bytes cannot; {}",
        folder.join(EVENTS).display(),
        log.len(),
        go_on(folder)
    ))
}

/// How to bring a run to its end that was not ended.
fn go_on(folder: &Path) -> String {
    let (scenario, folder_name) = (folder.join(SCENARIO), folder.display());
    if folder.join(SNAPSHOT).is_file() {
        format!("go on with `longhaul-simnet resume {folder_name}`, for there is a snapshot")
    } else {
        format!(
            "make the run again with `longhaul-simnet run {} --out {folder_name}`, for there is no \
             snapshot to go on from",
            scenario.display()
        )
    }
}

/// Opens the log of a run folder, whether or not it was written to its end.
pub fn open_events(folder: &Path) -> Result<EventReader> {
    let path = folder.join(EVENTS);
    let file = File::open(&path).with_context(|| {
        let how = match folder.join(SCENARIO).is_file() {
            true => go_on(folder),
            false => format!("`longhaul-simnet run … --out {}` writes it", folder.display()),
        };
        format!("cannot read {}; {how}", path.display())
    })?;
    EventLogReader::open(BufReader::new(file)).with_context(|| cannot_use(folder))
}

/// Removes what an earlier run left in `folder`, so that nothing of it stays beside the
/// new one: what its manifest lists, and models by their names. The scenario stays, since
/// a run that goes on has it from there.
pub fn clear(folder: &Path) -> Result<()> {
    let manifest = fs::read_to_string(folder.join(MANIFEST)).ok();
    let manifest = manifest.and_then(|text| RunManifest::from_json(&text).ok());
    let listed = manifest.into_iter().flat_map(|it| it.files).map(|file| folder.join(file.name));
    let is_id = |name: &str| name.len() == 64 && name.bytes().all(|it| it.is_ascii_hexdigit());
    let is_model = |path: &Path| {
        path.extension().is_some_and(|it| it == MODEL_ENDING)
            && path.file_stem().and_then(|it| it.to_str()).is_some_and(is_id)
    };
    let entries = fs::read_dir(folder.join(MODELS)).into_iter().flatten().flatten();
    let models = entries.map(|entry| entry.path()).filter(|path| is_model(path));
    let scenario = folder.join(SCENARIO);
    let old = [folder.join(MANIFEST), folder.join(PAGE), folder.join(PAGE_DATA)];
    for path in old.into_iter().chain(listed).chain(models).filter(|path| *path != scenario) {
        match fs::remove_file(&path) {
            Err(error) if error.kind() != ErrorKind::NotFound => {
                return Err(error).with_context(|| format!("cannot remove {}", path.display()));
            }
            _ => {}
        }
    }
    Ok(())
}

/// Writes everything but the events, which are there already, and the manifest
/// last.
pub fn write(folder: &Path, scenario: &Scenario, outcome: &RunOutcome, wall: Wall) -> Result<()> {
    let toml = scenario.to_toml();
    let (total_s, workers) = (Some(wall.total_s), wall.workers);
    let data = page_data(scenario, &outcome.report, &outcome.detail, total_s, workers);
    put_scenario(folder, scenario)?;
    let mut files = vec![EVENTS.to_owned(), SCENARIO.to_owned()];
    let mut put = |name: &str, bytes: &[u8]| -> Result<()> {
        put_file(folder, name, bytes)?;
        files.push(name.to_owned());
        Ok(())
    };
    put("report.json", report_json(&outcome.report, wall)?.as_bytes())?;
    put(PAGE_DATA, data.to_json()?.as_bytes())?;
    put(PAGE, page(&data).as_bytes())?;
    let table = MetricTable::new(scenario, &outcome.report.samples);
    let mut csv = Vec::new();
    write_metrics_csv(&mut csv, table.rows())?;
    put("metrics.csv", &csv)?;
    let mut parquet = Vec::new();
    write_metrics_parquet(&mut parquet, table.rows())?;
    put("metrics.parquet", &parquet)?;
    let mut contacts = Vec::new();
    write_contacts_csv(&mut contacts, contact_rows(outcome))?;
    put("contacts.csv", &contacts)?;
    fs::create_dir_all(folder.join(MODELS))?;
    for (id, model) in &outcome.models {
        let bytes: Vec<u8> = model.iter().flat_map(|value| value.to_le_bytes()).collect();
        put(&format!("{MODELS}/{id}.{MODEL_ENDING}"), &bytes)?;
    }
    files.sort();
    let manifest = manifest(folder, &toml, outcome, files)?;
    put_file(folder, MANIFEST, manifest.to_json()?.as_bytes())
}

/// The report and how long it took to make.
#[derive(Serialize)]
struct Timed<'a> {
    #[serde(flatten)]
    report: &'a RunReport,
    wall: Wall,
}

/// The report as indented JSON, with the wall times of this machine under `wall`.
pub fn report_json(report: &RunReport, wall: Wall) -> Result<String> {
    Ok(serde_json::to_string_pretty(&Timed { report, wall })?)
}

fn contact_rows(outcome: &RunOutcome) -> impl Iterator<Item = ContactRow<'_>> {
    outcome.detail.links.iter().map(|link| {
        let [a, b] = link.pair.peers();
        let [bytes_ab, bytes_ba] = link.carried.bytes;
        ContactRow {
            from_us: link.carried.began.us(),
            to_us: link.ended.us(),
            a,
            b,
            bytes_ab,
            bytes_ba,
            frames: link.carried.frames,
            ended_by: "link-down",
        }
    })
}

fn manifest(
    folder: &Path,
    toml: &str,
    outcome: &RunOutcome,
    names: Vec<String>,
) -> Result<RunManifest> {
    let report = &outcome.report;
    let mut files = Vec::new();
    for name in names {
        let path = folder.join(&name);
        let file = File::open(&path).with_context(|| format!("cannot read {}", path.display()))?;
        files.push(ManifestFile::of(&name, BufReader::new(file))?);
    }
    let check = |check: &longhaul_simnet::CheckOutcome| ManifestCheck {
        name: check.name.clone(),
        passed: check.passed,
    };
    Ok(RunManifest {
        format_version: MANIFEST_VERSION,
        program_version: env!("CARGO_PKG_VERSION").to_owned(),
        scenario_name: report.name.clone(),
        scenario_hash: scenario_hash(toml),
        seed: report.seed,
        trace_digest: report.digest.parse().context("the digest is hexadecimal")?,
        events: report.events,
        simulated_ms: report.simulated_ms,
        checks: report.checks.iter().map(check).collect(),
        files,
    })
}

/// Writes the scenario, unless it is there: a run that goes on must not lose it.
pub fn put_scenario(folder: &Path, scenario: &Scenario) -> Result<()> {
    let toml = scenario.to_toml();
    let known = fs::read_to_string(folder.join(SCENARIO));
    if known.is_ok_and(|known| known == toml) {
        return Ok(());
    }
    put_file(folder, SCENARIO, toml.as_bytes())
}

/// Writes a file of the folder.
pub fn put_file(folder: &Path, name: &str, bytes: &[u8]) -> Result<()> {
    let path = folder.join(name);
    fs::write(&path, bytes).with_context(|| format!("cannot write {}", path.display()))
}

/// Reads a file of the folder.
pub fn get_file(folder: &Path, name: &str) -> Result<String> {
    let path: PathBuf = folder.join(name);
    fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))
}

/// The path without links and `..`, as far as it exists.
///
/// Making `F/new/..` gives `F`, so a folder that is to be made has to be looked for there.
pub fn resolved(path: &Path) -> Result<PathBuf> {
    let whole = std::path::absolute(path)
        .with_context(|| format!("cannot tell where {} is", path.display()))?;
    let mut real = PathBuf::new();
    for part in whole.components() {
        if part == Component::ParentDir {
            real.pop();
        } else {
            real.push(part);
            real = real.canonicalize().unwrap_or(real);
        }
    }
    Ok(real)
}

/// Builds report.html anew from the data beside it.
pub fn rebuild_page(folder: &Path) -> Result<bool> {
    let _claim = folder.is_dir().then(|| Claim::take(folder)).transpose()?;
    let html = if folder.join(PAGE_DATA).is_file() {
        page(&ReportData::from_json(&get_file(folder, PAGE_DATA)?)?)
    } else if folder.join(SWEEP_DATA).is_file() {
        sweep_page(&SweepData::from_json(&get_file(folder, SWEEP_DATA)?)?)
    } else if folder.join(EVENTS).is_file() || folder.join(SNAPSHOT).is_file() {
        bail!(
            "{} is not there, since its run was not ended: {}",
            folder.join(PAGE_DATA).display(),
            go_on(folder)
        );
    } else {
        bail!(
            "{} holds neither {PAGE_DATA} nor {SWEEP_DATA}: it is no folder of a run or a sweep",
            folder.display()
        );
    };
    put_file(folder, PAGE, html.as_bytes())?;
    super::input::say(&format!("{}\n", folder.join(PAGE).display()))?;
    Ok(true)
}
