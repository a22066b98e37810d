//! Outer optimisers in the fold: what they are, and that they are functions of the set.

mod common;

use common::{Author, MEAN, fold_of, schema};
use longhaul_aggregation::{Admitted, Outer, Recipe};
use proptest::prelude::*;

const NESTEROV: Recipe =
    Recipe { outer: Outer { rate_milli: 700, momentum_permille: 800 }, ..MEAN };

/// Updates of one member in these epochs, all entries with the value.
fn published(epochs: &[(u32, i8)]) -> Vec<Admitted> {
    let mut author = Author::new(&schema(&[3]), 0);
    epochs.iter().map(|&(epoch, value)| author.publish(epoch, value)).collect()
}

/// The model of Nesterov's momentum, one step for each epoch up to the last.
fn nesterov(epochs: &[(u32, i8)]) -> f64 {
    let (mut velocity, mut model) = (0.0, 0.0);
    let last = epochs.last().map_or(0, |&(epoch, _)| epoch);
    for epoch in 0..=last {
        let here = epochs.iter().find(|&&(it, _)| it == epoch);
        let term = here.map_or(0.0, |&(_, value)| f64::from(value));
        velocity = 0.8 * velocity + term;
        model += 0.7 * (term + 0.8 * velocity);
    }
    model
}

fn arb_epochs() -> impl Strategy<Value = Vec<(u32, i8)>> {
    prop::collection::btree_map(0_u32..60, -127_i8..=127, 1..12)
        .prop_map(|epochs| epochs.into_iter().collect())
}

proptest! {
    #[test]
    fn the_model_is_that_of_nesterov_whatever_the_order(
        (epochs, order) in arb_epochs().prop_flat_map(|epochs| {
            let order: Vec<usize> = (0..epochs.len()).collect();
            (Just(epochs), Just(order).prop_shuffle())
        }),
        ask in any::<bool>(),
    ) {
        let schema = schema(&[3]);
        let updates = published(&epochs);
        let mut fold = fold_of(&schema, NESTEROV, &[]);
        for &at in &order {
            fold.insert(updates[at].clone());
            if ask {
                fold.model_id();
            }
        }
        let found = fold.model().as_slice()[0];
        // Each term is rounded, and what is held back of it is.
        let expected = nesterov(&epochs);
        prop_assert!((found as f64 - expected).abs() <= 1.1 * epochs.len() as f64, "{} {}", found, expected);
        let mut together = fold_of(&schema, NESTEROV, &updates);
        prop_assert_eq!(together.model(), fold.model());
        prop_assert_eq!(together.model_id(), fold.model_id());
        prop_assert_eq!(together.model_f32(), fold.model_f32());
        let plain = Recipe { outer: Outer::PLAIN, ..NESTEROV };
        prop_assert_ne!(plain.id(), NESTEROV.id());
    }
}

#[test]
fn a_later_term_releases_the_ones_before() {
    let schema = schema(&[3]);
    let mut fold = fold_of(&schema, NESTEROV, &published(&[(0, 100)]));
    // In the end 0.7 / (1 - 0.8) = 3.5; at once all but 0.8^2 of that.
    assert_eq!(fold.model().as_slice(), [126; 3]);
    let mut author = Author::new(&schema, 1);
    fold.insert(author.publish(80, 0));
    assert_eq!(fold.model().as_slice(), [350; 3]);
    let slow = Recipe { outer: Outer { rate_milli: 250, ..Outer::PLAIN }, ..MEAN };
    assert_eq!(fold_of(&schema, slow, &published(&[(0, 100)])).model().as_slice(), [25; 3]);
}
