//! The progress bar: simulated time and rate, on stderr, for people only.
//!
//! indicatif draws nothing when stderr is no terminal, and it keeps the wall
//! time, so that nothing else here reads a clock.

use std::cell::Cell;
use std::fmt::Write;

use indicatif::{ProgressBar, ProgressState, ProgressStyle};
use longhaul_simnet::Progress;
use serde::Serialize;

const TEMPLATE: &str = "{bar:30} {simulated} simulated at {rate}, {msg}, {elapsed} passed";

/// A progress bar over simulated milliseconds.
#[derive(Debug)]
pub struct Bar {
    bar: ProgressBar,
    first_event_s: Cell<Option<f64>>,
}

/// How long a run took on this machine; no part of its outcome.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Wall {
    /// From the start of the program until everything was set up and the first event
    /// happened.
    pub first_event_s: f64,
    /// Until the end.
    pub total_s: f64,
    /// Threads that trained.
    pub workers: usize,
}

impl Bar {
    /// A bar that starts now.
    pub fn new() -> Self {
        let bar = ProgressBar::new(0);
        let style = ProgressStyle::with_template(TEMPLATE)
            .expect("the template is well-formed")
            .with_key("simulated", |state: &ProgressState, out: &mut dyn Write| {
                // Drawing to a string cannot fail.
                let _ = write!(out, "{:.0} s", state.pos() as f64 / 1_000.0);
            })
            .with_key("rate", |state: &ProgressState, out: &mut dyn Write| {
                let _ = write!(out, "{:.0}x", state.per_sec() / 1_000.0);
            });
        bar.set_style(style);
        Self { bar, first_event_s: Cell::new(None) }
    }

    /// Shows where the run stands.
    pub fn show(&self, progress: Progress) {
        if self.first_event_s.get().is_none() {
            self.first_event_s.set(Some(self.elapsed_s()));
        }
        self.bar.set_length(progress.end.ms());
        self.bar.set_message(format!("epoch {}, {} events", progress.epoch, progress.events));
        self.bar.set_position(progress.now.ms());
    }

    /// Takes the bar away; gives the wall times.
    pub fn finish(&self, workers: usize) -> Wall {
        let total_s = self.elapsed_s();
        self.bar.finish_and_clear();
        let first_event_s = self.first_event_s.get().unwrap_or(total_s);
        Wall { first_event_s, total_s, workers }
    }

    fn elapsed_s(&self) -> f64 {
        self.bar.elapsed().as_secs_f64()
    }
}
