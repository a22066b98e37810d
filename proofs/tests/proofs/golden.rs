//! Bytes that others keep, pin or sign: who changes them changes what they mean to those who have them.

use std::num::NonZeroUsize;

use crate::common::{draft, finished, peer, powers, proof, prover, seed, total};
use ark_bls12_381::Bls12_381;
use ark_bn254::Bn254;
use longhaul_dtn::hash::ContentHash;
use longhaul_proofs::ceremony::Policy;
use longhaul_proofs::curve::Curve;
use longhaul_proofs::s1::NormView;

/// The first half of the blake3 of what a small shape's keys and proofs and a small ceremony write.
fn written<E: Curve>() -> Vec<(&'static str, String)> {
    let prover = prover::<E>();
    let key = prover.prover().key();
    let (shown, hidden) = (proof(&prover, NormView::Shown), proof(&prover, NormView::Hidden));
    let (powers, draft) = (powers::<E>(), draft::<E>());
    let policy = Policy { contributors_min: NonZeroUsize::MIN };
    let made = draft.finish(policy).expect("one contributed");
    let bytes = [
        ("verifying key", key.verifying().encode()),
        ("proving key", key.encode()),
        ("proof, norm shown", shown.0.encode()),
        ("proof, norm hidden", hidden.0.encode()),
        ("total", total(&prover, &hidden).1.encode()),
        ("phase 1 contribution", powers.contribute(peer(2), seed(2))),
        ("powers", finished::<E>().powers().encode()),
        ("phase 2 contribution", draft.contribute(peer(2), seed(2))),
        ("key of a ceremony", made.encode()),
    ];
    let name = |bytes: &[u8]| ContentHash::of(bytes).to_string()[..16].to_owned();
    let mut names: Vec<_> = bytes.map(|(what, bytes)| (what, name(&bytes))).to_vec();
    // Names that are no plain hash of bytes.
    let statement = prover.verifier().statement_id(&crate::common::statement()).expect("it fits");
    let hashes = [
        ("circuit", key.verifying().circuit().hash()),
        ("statement", statement.hash()),
        ("hash of the powers", finished::<E>().powers().hash()),
        ("phase 1", powers.ceremony()),
        ("phase 1, head", powers.head()),
        ("phase 2", draft.ceremony()),
    ];
    names.extend(hashes.map(|(what, hash)| (what, hash.to_string()[..16].to_owned())));
    names
}

#[track_caller]
fn check<E: Curve>(pinned: &[(&str, &str)]) {
    let written = written::<E>();
    let found: Vec<_> = written.iter().map(|(what, name)| (*what, name.as_str())).collect();
    assert_eq!(found, pinned);
}

#[test]
fn bytes_over_bn254_are_pinned() {
    check::<Bn254>(&[
        ("verifying key", "613254ce0a4c7309"),
        ("proving key", "373a1536b0ec18ff"),
        ("proof, norm shown", "88fdefe0359d0e71"),
        ("proof, norm hidden", "5283892e93c73b3a"),
        ("total", "9186525f9e7611b9"),
        ("phase 1 contribution", "1024388e3b766bf1"),
        ("powers", "1aa418f8b2b055a5"),
        ("phase 2 contribution", "570630b549ffeee2"),
        ("key of a ceremony", "1384356ce355d41b"),
        ("circuit", "4a274142489f4895"),
        ("statement", "fbcdd7d23f4e281a"),
        ("hash of the powers", "efd63f076b8efe60"),
        ("phase 1", "6e6621e411159c4d"),
        ("phase 1, head", "dfda2312f0976fc7"),
        ("phase 2", "26e9657ba0e562d6"),
    ]);
}

#[test]
fn bytes_over_bls12_381_are_pinned() {
    check::<Bls12_381>(&[
        ("verifying key", "d0d32161701bfa2b"),
        ("proving key", "7ff0b52c0d4bf14c"),
        ("proof, norm shown", "c5357fd5be82ba09"),
        ("proof, norm hidden", "6f1ae58821358c29"),
        ("total", "9aeea7163762e73e"),
        ("phase 1 contribution", "d9ee28805ff55029"),
        ("powers", "7dfd5e45c27d7dca"),
        ("phase 2 contribution", "2f99b49a24fe651a"),
        ("key of a ceremony", "2e8d824bb48e9f71"),
        ("circuit", "80b793a708fba9ab"),
        ("statement", "0841f2fa66de4bca"),
        ("hash of the powers", "69d14b87e939f112"),
        ("phase 1", "076d7c4bdd30347b"),
        ("phase 1, head", "deb461a20f6e1077"),
        ("phase 2", "88a8c43a613a4555"),
    ]);
}
