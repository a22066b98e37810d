//! Explore: the chains that a heap of contributions makes.
//!
//! Contributions come in any order, follow whatever their makers held, and some are junk. All chains that they make
//! are walked, each contribution is checked once, and what became of it is said. Which chain counts is
//! the visitor's to say ([`best`](super::best) has the rule).

use std::collections::BTreeMap;

use longhaul_dtn::hash::ContentHash;
use longhaul_dtn::identity::PeerId;

use super::chain::Chain;
use super::contribution::{self, Header};
use super::refusal::Refusal;
use super::stage::Stage;
use crate::seed::Seed;

/// A contribution as somebody holds it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Held<'a> {
    /// Whose signature around it was verified.
    pub signed_by: PeerId,
    /// The contribution.
    pub bytes: &'a [u8],
}

/// What became of a contribution.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fate {
    /// It holds, and is named by this hash.
    Holds(ContentHash),
    /// It does not.
    Broken(Refusal),
    /// What it follows is not held, or does not hold itself: names that.
    Unlinked(ContentHash),
}

/// A chain with what follows it and was not looked at yet.
struct Branch<S: Stage> {
    chain: Chain<S>,
    next: Vec<usize>,
}

/// Walks all chains from `start`, and shows each to `visit`, the one without contributions included. Says what became of each contribution, in
/// the order of `held`.
///
/// Two contributions with the same bytes count as one. The seed is as for [`Chain::extend`]. A chain is kept in memory
/// for each fork that is under way.
pub fn explore<S: Stage>(
    start: Chain<S>,
    held: &[Held<'_>],
    seed: &Seed,
    mut visit: impl FnMut(&Chain<S>),
) -> Vec<Fate> {
    let mut fates = Vec::with_capacity(held.len());
    let mut followers: BTreeMap<ContentHash, Vec<usize>> = BTreeMap::new();
    for (index, it) in held.iter().enumerate() {
        fates.push(match Header::peek::<S::Curve>(it.bytes) {
            Ok(header) => {
                followers.entry(header.predecessor).or_default().push(index);
                Fate::Unlinked(header.predecessor)
            }
            Err(refusal) => Fate::Broken(refusal),
        });
    }
    // A chain is found by its head, once; so what follows it is taken out.
    let mut branch = |chain: Chain<S>| {
        visit(&chain);
        let next = followers.remove(&chain.head()).unwrap_or_default();
        Branch { chain, next }
    };
    let mut branches = vec![branch(start)];
    while let Some(mut from) = branches.pop() {
        let Some(index) = from.next.pop() else { continue };
        let Held { signed_by, bytes } = held[index];
        let hash = contribution::hash(bytes);
        // The last one takes the chain, so that nothing is copied where there is no fork.
        let mut chain = from.chain;
        if !from.next.is_empty() {
            branches.push(Branch { chain: chain.clone(), next: from.next });
        }
        match chain.extend(bytes, signed_by, seed) {
            Ok(_) => {
                fates[index] = Fate::Holds(hash);
                branches.push(branch(chain));
            }
            Err(refusal) => fates[index] = Fate::Broken(refusal),
        }
    }
    fates
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use longhaul_dtn::identity::SecretKey;

    use super::*;
    use crate::ceremony::{LogSize, Powers, circuit_contribution_bytes_max};
    use crate::curve::{Bls12_381, Bn254, Curve};
    use crate::s1::{Shape, circuit};

    fn peer(number: u8) -> PeerId {
        SecretKey::from_seed(&[number; 32]).peer_id()
    }

    fn seed(byte: u8) -> Seed {
        Seed::from_bytes([byte; 32])
    }

    fn start() -> Chain<Powers<Bn254>> {
        let members: BTreeSet<PeerId> = (1..6).map(peer).collect();
        Chain::powers(LogSize::new(2).expect("sound"), members)
    }

    /// The contributions of these members, each after the one before.
    fn grown(from: &Chain<Powers<Bn254>>, by: &[u8]) -> Vec<(PeerId, Vec<u8>)> {
        let mut chain = from.clone();
        let make = |&number: &u8| {
            let bytes = chain.contribute(peer(number), seed(number));
            chain.extend(&bytes, peer(number), &seed(9)).expect("honest");
            (peer(number), bytes)
        };
        by.iter().map(make).collect()
    }

    fn explored(all: &[(PeerId, Vec<u8>)]) -> (Vec<Fate>, Vec<Vec<PeerId>>) {
        let held: Vec<_> =
            all.iter().map(|(signed_by, bytes)| Held { signed_by: *signed_by, bytes }).collect();
        let mut chains = Vec::new();
        let fates = explore(start(), &held, &seed(8), |chain| {
            chains.push(chain.steps().iter().map(|step| step.contributor).collect());
        });
        chains.sort_unstable();
        (fates, chains)
    }

    #[test]
    fn finds_every_chain_in_whatever_order_contributions_are_held() {
        let mut all = grown(&start(), &[1, 2, 3]);
        let first = start().verify([(all[0].0, &all[0].1[..])], &seed(7)).expect("honest");
        all.extend(grown(&first, &[4]));
        let (_, forward) = explored(&all);
        all.reverse();
        let (fates, backward) = explored(&all);
        let mut chains: Vec<Vec<PeerId>> = [&[][..], &[1], &[1, 2], &[1, 2, 3], &[1, 4]]
            .map(|by| by.iter().copied().map(peer).collect())
            .into();
        chains.sort_unstable();
        assert_eq!((&forward, &backward), (&chains, &chains));
        assert!(fates.iter().all(|fate| matches!(fate, Fate::Holds(_))), "{fates:?}");
    }

    #[test]
    fn says_what_is_broken_and_what_hangs_in_the_air() {
        let mut all = grown(&start(), &[1, 2, 3]);
        *all[1].1.last_mut().expect("bytes") ^= 1;
        all.push((peer(4), b"junk".to_vec()));
        all.push((peer(4), all[0].1.clone()));
        let (fates, chains) = explored(&all);
        assert_eq!(chains.len(), 2, "the start and one contribution");
        assert!(matches!(fates[0], Fate::Holds(_)));
        assert!(matches!(fates[1], Fate::Broken(_)));
        assert!(matches!(fates[2], Fate::Unlinked(_)), "it follows what does not hold");
        assert!(matches!(fates[3], Fate::Broken(Refusal::Malformed(_))));
        assert!(matches!(fates[4], Fate::Broken(Refusal::Signer { .. })), "signed by another");
    }

    #[test]
    fn a_contribution_that_is_held_twice_is_one() {
        let mut all = grown(&start(), &[1, 2]);
        all.push(all[0].clone());
        let (fates, chains) = explored(&all);
        assert_eq!(chains.len(), 4, "the second walk finds its head and nothing behind it");
        assert!(fates.iter().all(|fate| matches!(fate, Fate::Holds(_))));
    }

    /// What is said of lengths without a chain, against chains.
    fn lengths_hold<E: Curve>() {
        let system = circuit(Shape::new(20).expect("made for the test"));
        let size = LogSize::fitting(&system).expect("it is small");
        assert_eq!(size.log(), 9);
        let chain = Chain::<Powers<E>>::powers(size, [peer(1)].into());
        assert_eq!(chain.contribution_bytes(), size.contribution_bytes::<E>());
        assert_eq!(chain.ceremony(), size.ceremony::<E>());
        let bytes = chain.contribute(peer(1), seed(1));
        assert_eq!(bytes.len(), size.contribution_bytes::<E>());
        let chain = chain.verify([(peer(1), &bytes[..])], &seed(2)).expect("honest");
        let policy = crate::ceremony::Policy { contributors_min: std::num::NonZeroUsize::MIN };
        let powers = chain.finish(policy).expect("one contributed");
        let named = crate::ceremony::circuit_ceremony::<E>(system.id(), powers.powers().hash());
        let chain = Chain::circuit(&system, &powers, [peer(1)].into()).expect("it fits");
        assert_eq!(chain.ceremony(), named);
        let (len, max) = (chain.contribution_bytes(), circuit_contribution_bytes_max::<E>(&system));
        assert!(len <= max && max < len + len / 10, "{len} of at most {max}");
    }

    #[test]
    fn lengths_and_names_are_known_before_there_is_a_chain() {
        lengths_hold::<Bn254>();
        lengths_hold::<Bls12_381>();
    }
}
