//! Release: what momentum holds back of the last terms.
//!
//! A term is as old as the last epoch that has a term is later than its own (its last one, where
//! epochs are pooled). What is sealed is released.

use std::sync::Arc;

use super::refresh::Term;
use crate::parameters::Parameters;
use crate::rule::Outer;
use crate::slot::Epoch;

/// The model without what is held back of its terms. Cost: one pass over each term that is young
/// enough, none without momentum.
pub(super) fn released<'a>(
    model: Parameters,
    outer: Outer,
    terms: impl Iterator<Item = &'a Term>,
) -> Parameters {
    let terms: Vec<(Epoch, &Arc<[i32]>)> = terms.filter_map(dated).collect();
    let newest = terms.iter().map(|&(epoch, _)| epoch).max().unwrap_or(Epoch::FIRST);
    let mut released = model;
    for (epoch, entries) in terms {
        let share = outer.held_back(newest.get() - epoch.get());
        if share > 0 {
            let held = released.as_mut_slice().iter_mut().zip(entries.iter());
            held.for_each(|(units, &entry)| *units -= Outer::share_of(entry, share));
        }
    }
    released
}

/// The last epoch of a term and its entries, if anything counts.
fn dated(term: &Term) -> Option<(Epoch, &Arc<[i32]>)> {
    let (_, entries) = term.entries.as_ref()?;
    Some((*term.standing.epochs.last()?, entries))
}
