//! Unpublished change: what a peer learnt since its last update.
//!
//! Where a committee is drawn, a peer has a slot only now and then. It trains in
//! every epoch all the same, its training base contains what it has not published
//! yet, and its next update is the whole of that. The norm bound of an update does
//! not grow with the time gathered (design rule 8); what exceeds it is error feedback
//! like any other.
//!
//! The manifest limits how many epochs are gathered. Beyond that old change fades:
//! before each further epoch the sum is scaled by (limit - 1) / limit, cut towards
//! zero. That needs one vector, where dropping the oldest epoch would need one for
//! each, and like it bounds the sum by the limit times a typical epoch's change.

use longhaul_aggregation::Parameters;
use longhaul_registry::plan::SAMPLES_MAX;

/// The sum of the changes of the epochs without a slot.
#[derive(Debug, Default)]
pub(super) struct Unpublished {
    change: Option<Parameters>,
    epochs: u32,
    samples: u32,
}

/// What an update is made from.
#[derive(Debug, PartialEq)]
pub(super) struct Gathered {
    /// The change since the last update, in units of 2^-24.
    pub change: Parameters,
    /// Epochs of training in it, at most the limit.
    pub epochs: u32,
    /// Samples drawn in them.
    pub samples: u32,
}

impl Unpublished {
    /// Adds the change of one more epoch; `epochs_max` is at least one.
    pub fn add(&mut self, change: Parameters, samples: u32, epochs_max: u32) {
        let mut sum = change;
        if let Some(before) = self.change.take() {
            let before = if self.epochs < epochs_max { before } else { faded(&before, epochs_max) };
            sum.add(&before);
        }
        self.change = Some(sum);
        self.epochs = epochs_max.min(self.epochs + 1);
        self.samples = self.samples.saturating_add(samples).min(SAMPLES_MAX);
    }

    /// Gives out everything, if there is anything.
    pub fn take(&mut self) -> Option<Gathered> {
        let Self { change, epochs, samples } = std::mem::take(self);
        Some(Gathered { change: change?, epochs, samples })
    }

    /// Adds the change to a training base.
    pub fn add_to(&self, base: &mut Parameters) {
        if let Some(change) = &self.change {
            base.add(change);
        }
    }
}

/// The change scaled by (limit - 1) / limit, cut towards zero.
fn faded(change: &Parameters, epochs_max: u32) -> Parameters {
    // Changes are below 2^41 and limits at most 2^10, so this stays below 2^62.
    let (kept, all) = (i64::from(epochs_max) - 1, i64::from(epochs_max));
    Parameters::from_units(change.as_slice().iter().map(|&units| units * kept / all).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn change(units: i64) -> Parameters {
        Parameters::from_units(vec![units, -units])
    }

    #[test]
    fn gathers_up_to_the_limit_and_fades_beyond() {
        let mut unpublished = Unpublished::default();
        for (epochs, expected) in [(1, 90), (2, 180), (3, 270), (3, 270), (3, 270)] {
            unpublished.add(change(90), 7, 3);
            let mut base = change(0);
            unpublished.add_to(&mut base);
            assert_eq!((unpublished.epochs, base), (epochs, change(expected)));
        }
        let gathered = Gathered { change: change(270), epochs: 3, samples: 35 };
        assert_eq!(unpublished.take(), Some(gathered));
        assert_eq!(unpublished.take(), None);
    }

    #[test]
    fn a_limit_of_one_keeps_the_last_epoch_alone() {
        let mut unpublished = Unpublished::default();
        unpublished.add(change(1_000), u32::MAX, 1);
        unpublished.add(change(3), u32::MAX, 1);
        let gathered = Gathered { change: change(3), epochs: 1, samples: SAMPLES_MAX };
        assert_eq!(unpublished.take(), Some(gathered));
    }

    #[test]
    fn the_largest_changes_do_not_overflow() {
        let mut unpublished = Unpublished::default();
        for _ in 0..3_000 {
            unpublished.add(change(1 << 41), 1, 1_024);
        }
        let gathered = unpublished.take().expect("something was added");
        assert!(gathered.change.as_slice()[0] <= 1_024 << 41);
    }
}
