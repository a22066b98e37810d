//! Judging by held-out samples, ours: a neighbour is heard while moving halfway towards it
//! helps on samples that the peer does not train on.
//!
//! The gain of a neighbour is the own loss less the loss halfway to its vector. It is heard if
//! its gain is positive, and if its score, the sum of its gains with older ones decaying, is
//! not negative; the output is the mean of the own vector and all that are heard. Where peers
//! nearly agree, the sign of a gain is chance and about half are heard, which is enough to mix;
//! where an attacker drives peers apart its loss grows with the square of the distance. The
//! score outlasts batches that happen to like an attacker, and a gain counts one nat at most,
//! so that a peer can be heard again after some rounds.
//!
//! In its first rounds a peer hears nobody: while its loss is that of a guess, shrinking the
//! model towards zero, as inner-product manipulation does, helps, and ends where there is no
//! gradient.
//!
//! The samples must be held out: on its own training samples a peer that has fitted them finds
//! every move harmful, honest or not (UBAR's failure under dissensus). They must also look
//! like what all learn; where labels are skewed so that peers disagree on them, a peer comes
//! to be alone. Bears any number of attackers while that holds: whoever is heard lowers the
//! held-out loss. Cost: a loss and a pass for each neighbour.

use super::{Memory, Neighbourhood, OwnLoss, Real, RobustError, asked, share};

/// By what the difference to each neighbour is taken.
pub(super) fn factors<T: Real>(
    hood: &Neighbourhood<'_, T>,
    (decay, alone): (f64, u64),
    memory: &mut Memory,
    loss: &mut OwnLoss<'_, T>,
) -> Result<Vec<f64>, RobustError> {
    let decay = share("the decay of scores", decay)?;
    if memory.rounds <= alone {
        return Ok(vec![0.0; hood.count()]);
    }
    let own = asked(loss, hood.own());
    let mut heard = vec![false; hood.count()];
    for (index, heard) in heard.iter_mut().enumerate() {
        let mut half = vec![0.0; hood.count()];
        half[index] = 0.5;
        let there = asked(loss, &hood.moved(&half));
        let gain = if there == own { 0.0 } else { (own - there).clamp(-1.0, 1.0) };
        let score = memory.score(hood.numbers()[index]);
        *score = decay * *score + gain;
        *heard = gain > 0.0 && *score >= 0.0;
    }
    let each = 1.0 / (1 + heard.iter().filter(|it| **it).count()) as f64;
    Ok(heard.into_iter().map(|it| if it { each } else { 0.0 }).collect())
}

#[cfg(test)]
mod tests {
    use super::super::LocalRule;
    use super::super::tests::hood;
    use super::*;

    fn mixed(others: &[Vec<f64>], memory: &mut Memory, best: f64) -> Vec<f64> {
        memory.rounds += 1;
        let mut loss = |it: &[f64]| (it[0] - best).powi(2);
        factors(&hood(&[0.0], others), (0.5, 0), memory, &mut loss).expect("a share")
    }

    #[test]
    fn whoever_helps_halfway_is_heard() {
        let others = [vec![1.0], vec![-0.1], vec![2.5], vec![f64::MAX], vec![0.0]];
        let third = 1.0 / 3.0;
        // The fourth is unsound, and the last gains nothing.
        assert_eq!(mixed(&others, &mut Memory::default(), 1.0), [third, 0.0, third, 0.0]);
    }

    #[test]
    fn harm_is_remembered_for_some_rounds() {
        let mut memory = Memory::default();
        assert_eq!(mixed(&[vec![-4.0], vec![0.4]], &mut memory, 0.2), [0.0, 0.5]);
        let helps = [vec![0.4], vec![0.4]];
        // A gain of 0.04 against a harm of one that halves each round: 0.5, 0.25, 0.125.
        for _ in 0..3 {
            assert_eq!(mixed(&helps, &mut memory, 0.2), [0.0, 0.5]);
        }
        assert_eq!(mixed(&helps, &mut memory, 0.2), [1.0 / 3.0; 2]);
    }

    #[test]
    fn nobody_is_heard_in_the_first_rounds() {
        let mut memory = Memory::default();
        let rule = LocalRule::Judged { decay: 0.5, alone: 2 };
        let others = [vec![1.0]];
        let mut next = || rule.mix(&hood(&[0.0], &others), &mut memory, &mut |it| -it[0]);
        assert_eq!([next(), next(), next()], [Ok(vec![0.0]), Ok(vec![0.0]), Ok(vec![0.5])]);
    }

    #[test]
    fn scores_follow_the_number_of_a_neighbour() {
        let mut memory = Memory::default();
        assert_eq!(mixed(&[vec![f64::NAN], vec![-4.0], vec![0.4]], &mut memory, 0.2), [0.0, 0.5]);
        assert_eq!(
            mixed(&[vec![0.4], vec![0.4], vec![0.4]], &mut memory, 0.2),
            [1.0 / 3.0, 0.0, 1.0 / 3.0]
        );
    }

    #[test]
    fn infinite_losses_leave_no_trace_that_is_not_a_number() {
        let others = [vec![1.0]];
        let mut memory = Memory { rounds: 1, ..Memory::default() };
        let hood = hood(&[0.0], &others);
        let mut by = |loss: fn(&[f64]) -> f64| {
            factors(&hood, (0.5, 0), &mut memory, &mut |it: &[f64]| loss(it)).expect("a share")
        };
        assert_eq!(by(|_| f64::NAN), [0.0]);
        assert_eq!(by(|it| if it[0] == 0.0 { f64::INFINITY } else { 0.0 }), [0.5]);
        assert!(factors(&hood, (1.5, 0), &mut memory, &mut |_| 0.0).is_err());
    }
}
