//! The progress bar: simulated time and rate, on stderr, for people only.
//!
//! indicatif draws nothing when stderr is no terminal, and it keeps the wall
//! time, so that nothing else here reads a clock.

use std::fmt::Write;

use indicatif::{ProgressBar, ProgressState, ProgressStyle};
use longhaul_simnet::Progress;

const TEMPLATE: &str = "{bar:30} {simulated} simulated at {rate}, {msg}, {elapsed} passed";

/// A progress bar over simulated milliseconds.
#[derive(Debug)]
pub struct Bar(ProgressBar);

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
        Self(bar)
    }

    /// Shows where the run stands.
    pub fn show(&self, progress: Progress) {
        self.0.set_length(progress.end.ms());
        self.0.set_message(format!("epoch {}, {} events", progress.epoch, progress.events));
        self.0.set_position(progress.now.ms());
    }

    /// Takes the bar away; gives the wall time in seconds.
    pub fn finish(&self) -> f64 {
        let wall_s = self.0.elapsed().as_secs_f64();
        self.0.finish_and_clear();
        wall_s
    }
}
