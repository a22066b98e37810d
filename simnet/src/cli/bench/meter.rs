//! Meter: what a measured piece of work took of this machine.
//!
//! Processor time and memory come from Linux's /proc; elsewhere they are not told.
//! The wall time is indicatif's, as everywhere in the command line.

use std::fs;

use indicatif::ProgressBar;
use serde::{Deserialize, Serialize};

/// Clock ticks in a second as /proc counts them; USER_HZ is 100 on every Linux.
const TICKS_PER_S: f64 = 100.0;
/// Fields of /proc/self/stat between the name in brackets and the user time.
const FIELDS_BEFORE_TIMES: usize = 11;

/// Measures from when it is made.
#[derive(Debug)]
pub struct Meter {
    watch: ProgressBar,
    cpu_s: Option<f64>,
}

/// What the work took.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Used {
    /// Wall time.
    pub wall_s: f64,
    /// User and system time of all threads, in steps of 10 ms.
    pub cpu_s: Option<f64>,
    /// Most memory that the process ever had resident.
    pub peak_mib: Option<f64>,
}

impl Meter {
    /// Begins to measure.
    pub fn start() -> Self {
        Self { watch: ProgressBar::hidden(), cpu_s: cpu_s() }
    }

    /// What was used since the start.
    pub fn used(&self) -> Used {
        let cpu_s = cpu_s().zip(self.cpu_s).map(|(now, start)| now - start);
        Used { wall_s: self.watch.elapsed().as_secs_f64(), cpu_s, peak_mib: peak_mib() }
    }
}

fn cpu_s() -> Option<f64> {
    cpu_of(&fs::read_to_string("/proc/self/stat").ok()?)
}

fn peak_mib() -> Option<f64> {
    peak_of(&fs::read_to_string("/proc/self/status").ok()?)
}

fn cpu_of(stat: &str) -> Option<f64> {
    // The name may hold blanks and brackets; the last one ends it.
    let (_, fields) = stat.rsplit_once(')')?;
    let mut times = fields.split_whitespace().skip(FIELDS_BEFORE_TIMES);
    let ticks = |field: &str| field.parse::<u64>().ok();
    let (user, system) = (ticks(times.next()?)?, ticks(times.next()?)?);
    Some((user + system) as f64 / TICKS_PER_S)
}

fn peak_of(status: &str) -> Option<f64> {
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    let kib: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kib as f64 / 1024.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_linux_tells() {
        let stat = "7 (a (b) c) R 1 7 7 0 -1 4194304 100 0 0 0 250 30 0 0 20 0 3 0 99 1 2";
        assert_eq!(cpu_of(stat), Some(2.8));
        let status = "Name:\tx\nVmPeak:\t  9999 kB\nVmHWM:\t    2048 kB\n";
        assert_eq!(peak_of(status), Some(2.0));
        for text in ["", "7 (x) R", "VmHWM:\tmuch kB", ") a b c d e f g h i j k l m"] {
            assert_eq!((cpu_of(text), peak_of(text)), (None, None), "{text}");
        }
    }
}
