//! The live table of the demo: one row per peer, drawn in place on a terminal
//! and as plain lines elsewhere.

use std::io::{IsTerminal, Write};

use crate::shell::report::NodeReport;

/// Plain mode: one line per this many draws, so that a log stays readable.
const PLAIN_EVERY: u32 = 10;

/// Draws the rows again and again on stderr.
#[derive(Debug)]
pub(super) struct Table {
    in_place: bool,
    lines_drawn: usize,
    draws: u32,
}

impl Table {
    pub(super) fn new() -> Self {
        Self { in_place: std::io::stderr().is_terminal(), lines_drawn: 0, draws: 0 }
    }

    /// Draws `title` and one row per peer.
    pub(super) fn draw(&mut self, title: &str, rows: &[Option<NodeReport>]) {
        if self.in_place {
            self.redraw(&full(title, rows));
        } else if self.draws.is_multiple_of(PLAIN_EVERY) {
            eprintln!("{}", line(title, rows));
        }
        self.draws = self.draws.wrapping_add(1);
    }

    /// Leaves the last drawing on the screen; what follows goes below.
    pub(super) fn finish(&mut self, title: &str, rows: &[Option<NodeReport>]) {
        if self.in_place {
            self.redraw(&full(title, rows));
            self.lines_drawn = 0;
        } else {
            full(title, rows).iter().for_each(|line| eprintln!("{line}"));
        }
    }

    fn redraw(&mut self, lines: &[String]) {
        let mut out = String::new();
        if self.lines_drawn > 0 {
            out.push_str(&format!("\x1b[{}A", self.lines_drawn));
        }
        for line in lines {
            out.push_str("\x1b[2K");
            out.push_str(line);
            out.push('\n');
        }
        self.lines_drawn = lines.len();
        // A terminal that went away must not end the demo.
        let _ = std::io::stderr().write_all(out.as_bytes());
    }
}

fn full(title: &str, rows: &[Option<NodeReport>]) -> Vec<String> {
    let mut lines = vec![
        title.to_owned(),
        "  peer   epoch  contacts  updates  waiting  together   alone  model".to_owned(),
    ];
    lines.extend(rows.iter().enumerate().map(|(index, row)| full_row(index, row.as_ref())));
    lines
}

fn full_row(index: usize, row: Option<&NodeReport>) -> String {
    let Some(row) = row else { return format!("  {index:>4}   starting") };
    format!(
        "  {index:>4}  {:>6}  {:>8}  {:>7}  {:>7}  {:>8}  {:>6}  {}",
        row.epoch.map_or("-".to_owned(), |epoch| epoch.to_string()),
        row.contacts,
        row.updates,
        row.waiting,
        percent(row.accuracy),
        percent(row.alone),
        row.model.get(..10).unwrap_or("-"),
    )
}

fn line(title: &str, rows: &[Option<NodeReport>]) -> String {
    let mean = |value: fn(&NodeReport) -> Option<f64>| {
        let known: Vec<f64> = rows.iter().flatten().filter_map(value).collect();
        let sum: f64 = known.iter().sum();
        percent((!known.is_empty()).then(|| sum / known.len() as f64))
    };
    let waiting: usize = rows.iter().flatten().map(|row| row.waiting).sum();
    let models: std::collections::BTreeSet<&str> =
        rows.iter().flatten().map(|row| row.model.as_str()).collect();
    format!(
        "{title} | together {} | alone {} | waiting {waiting} | model ids {}",
        mean(|row| row.accuracy).trim(),
        mean(|row| row.alone).trim(),
        models.len(),
    )
}

pub(super) fn percent(share: Option<f64>) -> String {
    share.map_or("-".to_owned(), |share| format!("{:.1} %", 100.0 * share))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shows_a_row_per_peer_whether_it_runs_or_not() {
        let lines = full("epoch 1", &[None, Some(NodeReport::default())]);
        assert_eq!(lines.len(), 4);
        assert!(lines[2].contains("starting"));
    }

    #[test]
    fn sums_up_in_one_plain_line() {
        let report = |accuracy: f64, model: &str| {
            let model = model.to_owned();
            Some(NodeReport { accuracy: Some(accuracy), model, waiting: 2, ..Default::default() })
        };
        let text = line("x", &[report(0.5, "a"), report(1.0, "b"), None]);
        assert!(text.contains("together 75.0 %"), "{text}");
        assert!(text.contains("waiting 4") && text.contains("model ids 2"), "{text}");
    }
}
