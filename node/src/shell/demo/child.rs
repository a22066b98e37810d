//! One peer of the demo: a child process, its report stream and its controls.

use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::Sender;
use std::time::{Duration, Instant};

use anyhow::Context;

use crate::shell::report::NodeReport;

/// How long a peer may take to end by itself after it was asked to.
const END_MAX: Duration = Duration::from_secs(10);
/// How often the end is looked for.
const END_POLL: Duration = Duration::from_millis(20);

/// What a child's report stream gives.
#[derive(Debug)]
pub(super) enum ChildEvent {
    /// A new report of peer `index`.
    Report { index: usize, report: Box<NodeReport> },
    /// The stream of peer `index` ended: the process is gone.
    Gone { index: usize },
}

/// A running peer.
#[derive(Debug)]
pub(super) struct Peer {
    process: Child,
    controls: ChildStdin,
}

impl Peer {
    /// Starts `longhaul up` on `dir`; its log goes to `peer.log` there.
    pub(super) fn start(
        index: usize,
        dir: &Path,
        events: Sender<ChildEvent>,
    ) -> anyhow::Result<Self> {
        let program = std::env::current_exe().context("find the longhaul program")?;
        let log = std::fs::File::create(dir.join("peer.log")).context("create peer.log")?;
        let mut process = Command::new(program)
            .args(["up", "--events", "--control", "--alone", "--dir"])
            .arg(dir)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(log)
            .spawn()
            .context("start a peer process")?;
        let controls = process.stdin.take().context("the peer's stdin is not piped")?;
        let reports = process.stdout.take().context("the peer's stdout is not piped")?;
        std::thread::spawn(move || {
            for line in BufReader::new(reports).lines().map_while(Result::ok) {
                let Ok(report) = serde_json::from_str(&line) else { continue };
                if events.send(ChildEvent::Report { index, report: Box::new(report) }).is_err() {
                    return;
                }
            }
            // The receiver is gone only when the demo itself ends.
            let _ = events.send(ChildEvent::Gone { index });
        });
        Ok(Self { process, controls })
    }

    /// Sends one control line, see [`crate::shell::driver`].
    pub(super) fn tell(&mut self, line: &str) -> anyhow::Result<()> {
        writeln!(self.controls, "{line}").context("send a control line to a peer")
    }

    /// Asks the peer to end, and kills it if it does not.
    pub(super) fn end(&mut self) {
        // A peer that ended by itself has closed its stdin.
        let _ = self.tell("stop");
        let asked = Instant::now();
        while asked.elapsed() < END_MAX {
            if !matches!(self.process.try_wait(), Ok(None)) {
                return;
            }
            std::thread::sleep(END_POLL);
        }
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        if matches!(self.process.try_wait(), Ok(None)) {
            let _ = self.process.kill();
            let _ = self.process.wait();
        }
    }
}
