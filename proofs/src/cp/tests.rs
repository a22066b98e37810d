//! Tests of commit-and-prove as a whole, honest and not, over a circuit of six rows.

use ark_bls12_381::Bls12_381;
use ark_bn254::Bn254;
use ark_ec::{AffineRepr, CurveGroup};
use ark_ff::{Field, One, Zero};
use longhaul_dtn::hash::ContentHash;

use super::*;
use crate::curve::{Curve, Scalar};
use crate::seed::Seed;

/// `1 X p | u1 u2 | w | f0 f1`: `u1 u2 = w`, `X u1 = f0`, `X (f0 + u2) = f1`, `w + u1 = p`.
fn system<E: Curve>() -> R1cs<Scalar<E>> {
    let layout = Layout { public: 1, blocks: vec![2, 1], showable: 1, free: 2 };
    let mut system = R1cs::new(layout);
    let sum = |wires: &[usize]| wires.iter().map(|&w| (Wire::at(w), Scalar::<E>::one())).collect();
    system.push(sum(&[3]), sum(&[4]), sum(&[5]));
    system.push(sum(&[3]), sum(&[1]), sum(&[6]));
    system.push(sum(&[6, 4]), sum(&[1]), sum(&[7]));
    system.push(sum(&[5, 3]), sum(&[0]), sum(&[2]));
    system
}

fn prover<E: Curve>() -> Prover<E> {
    let system = system::<E>();
    let key = development_key(&system, &Seed::from_bytes([1; 32]));
    Prover::new(system, key).unwrap()
}

fn values<E: Curve>(numbers: &[u64]) -> Vec<Scalar<E>> {
    numbers.iter().map(|&number| Scalar::<E>::from(number)).collect()
}

fn witness<E: Curve>(u: [u64; 2], challenge: Scalar<E>) -> Vec<Scalar<E>> {
    let [one, two] = u.map(Scalar::<E>::from);
    let (product, scaled) = (one * two, challenge * one);
    let last = challenge * (scaled + two);
    vec![Scalar::<E>::one(), challenge, product + one, one, two, product, scaled, last]
}

fn claim<E: Curve>(u: [u64; 2], shown: bool, context: u8) -> Claim<E> {
    let product = u[0] * u[1];
    let shown = if shown { vec![values::<E>(&[product])] } else { Vec::new() };
    Claim { public: values::<E>(&[product + u[0]]), shown, context: vec![context; 5] }
}

fn commit<E: Curve>(prover: &Prover<E>, u: [u64; 2], shown: bool, seed: u8) -> Committed<E> {
    let blocks = [values::<E>(&u), values::<E>(&[u[0] * u[1]])];
    let blocks = blocks.each_ref().map(Vec::as_slice);
    prover.commit(&blocks, usize::from(shown), Seed::from_bytes([seed; 32])).unwrap()
}

fn prove<E: Curve>(prover: &Prover<E>, u: [u64; 2], shown: bool, seed: u8) -> (Claim<E>, Proof<E>) {
    let claim = claim(u, shown, 7);
    let committed = commit(prover, u, shown, seed);
    let proof = prover.prove(&claim, committed, |challenge| Some(witness::<E>(u, challenge)));
    (claim, proof.unwrap())
}

fn round_trip<E: Curve>(sizes: [usize; 2]) {
    let prover = prover::<E>();
    for (shown, size) in [false, true].into_iter().zip(sizes) {
        let (claim, proof) = prove(&prover, [3, 5], shown, 9);
        let bytes = proof.encode();
        assert_eq!((bytes.len(), Proof::<E>::size_bytes(2 - usize::from(shown))), (size, size));
        let read = Proof::<E>::decode(&bytes, 2 - usize::from(shown)).unwrap();
        assert_eq!((prover.verifier().verify(&claim, &read), &read), (Ok(()), &proof));
    }
}

#[test]
fn proofs_of_bn254_verify_and_travel_in_192_bytes() {
    round_trip::<Bn254>([192, 160]);
}

#[test]
fn proofs_of_bls12_381_verify_and_travel() {
    round_trip::<Bls12_381>([288, 240]);
}

#[test]
fn without_blocks_it_is_the_stock_proof() {
    let layout = Layout { public: 1, blocks: vec![], showable: 0, free: 1 };
    let mut system = R1cs::new(layout);
    let wire = |wire| vec![(Wire::at(wire), ark_bn254::Fr::one())];
    system.push(wire(3), wire(3), wire(2));
    let key = development_key::<Bn254>(&system, &Seed::from_bytes([1; 32]));
    let prover = Prover::new(system, key).unwrap();
    let claim = Claim::<Bn254> { public: values::<Bn254>(&[49]), shown: vec![], context: vec![] };
    let committed = prover.commit(&[], 0, Seed::from_bytes([2; 32])).unwrap();
    let complete = |x| Some([values::<Bn254>(&[1]), vec![x], values::<Bn254>(&[49, 7])].concat());
    let proof = prover.prove(&claim, committed, complete).unwrap();
    let key = prover.key().verifying();
    let stock = ark_groth16::VerifyingKey::<Bn254> {
        alpha_g1: key.alpha,
        beta_g2: key.beta,
        gamma_g2: key.gamma,
        delta_g2: key.delta,
        gamma_abc_g1: key.inputs.clone(),
    };
    let challenge = claim.challenge(key, key.hash(), &[]);
    let proof = ark_groth16::Proof { a: proof.a, b: proof.b, c: proof.c };
    let prepared = ark_groth16::prepare_verifying_key(&stock);
    let verify = ark_groth16::Groth16::<Bn254>::verify_proof;
    assert!(verify(&prepared, &proof, &[challenge, 49.into()]).unwrap());
    assert!(!verify(&prepared, &proof, &[challenge, 50.into()]).unwrap());
}

#[test]
fn a_proof_shows_its_own_claim_only() {
    let prover = prover::<Bn254>();
    let (good, proof) = prove(&prover, [3, 5], true, 9);
    let (hidden, _) = prove(&prover, [3, 5], false, 9);
    let count = |found| VerifyError::PublicCount { found, expected: 1 };
    let public = |public: &[u64]| Claim { public: values::<Bn254>(public), ..good.clone() };
    let shown = |shown| Claim { shown, ..good.clone() };
    for (claim, error) in [
        (public(&[17]), VerifyError::Invalid),
        (public(&[]), count(0)),
        (public(&[18, 0]), count(2)),
        (claim([3, 5], true, 8), VerifyError::Invalid),
        (shown(vec![values::<Bn254>(&[16])]), VerifyError::Invalid),
        (shown(vec![values::<Bn254>(&[15, 0])]), VerifyError::Blocks),
        (shown(vec![values::<Bn254>(&[15]); 2]), VerifyError::Blocks),
        (hidden, VerifyError::Blocks),
    ] {
        assert_eq!(prover.verifier().verify(&claim, &proof), Err(error), "{claim:?}");
    }
}

#[test]
fn a_proof_under_another_key_is_refused() {
    let prover = prover::<Bn254>();
    let other = development_key::<Bn254>(&system::<Bn254>(), &Seed::from_bytes([2; 32]));
    let (claim, proof) = prove(&prover, [3, 5], false, 9);
    let other = Verifier::new(other.verifying().clone()).unwrap();
    assert_eq!(other.verify(&claim, &proof), Err(VerifyError::Invalid));
}

#[test]
fn two_proofs_of_one_witness_share_no_point() {
    let prover = prover::<Bn254>();
    let (_, one) = prove(&prover, [3, 5], false, 1);
    let (_, two) = prove(&prover, [3, 5], false, 2);
    assert!(one.a != two.a && one.b != two.b && one.c != two.c);
    assert!(one.blocks[0] != two.blocks[0] && one.blocks[1] != two.blocks[1]);
    assert_ne!(
        one.blocks[0],
        prover
            .key()
            .basis(0)
            .commit(&values::<Bn254>(&[3, 5]), &crate::seed::Secret::new(Zero::zero()))
            .into_affine()
    );
}

#[test]
fn a_rerandomised_proof_has_the_same_statement() {
    let prover = prover::<Bn254>();
    let (claim, proof) = prove(&prover, [3, 5], false, 9);
    let (r, s) = (ark_bn254::Fr::from(11), ark_bn254::Fr::from(13));
    let again = Proof::<Bn254> {
        a: (proof.a * r.inverse().unwrap()).into_affine(),
        b: (proof.b * r + prover.key().verifying().delta * (r * s)).into_affine(),
        c: (proof.c + proof.a * s).into_affine(),
        blocks: proof.blocks.clone(),
    };
    assert_ne!(again, proof);
    assert_eq!(prover.verifier().verify(&claim, &again), Ok(()));
    let (same, _) = prove(&prover, [3, 5], true, 4);
    let id = |claim: &Claim<Bn254>| prover.verifier().statement_id(claim);
    assert_eq!(id(&claim), id(&same), "neither blinders nor what is shown name a statement");
    assert_ne!(id(&claim), id(&self::claim([3, 5], false, 8)));
    assert_ne!(id(&claim), id(&self::claim([3, 6], false, 7)));
}

#[test]
fn a_commitment_cannot_be_moved_into_b() {
    let prover = prover::<Bn254>();
    let (claim, proof) = prove(&prover, [3, 5], false, 9);
    let y = ark_bn254::Fr::from(17);
    let mut moved = proof.clone();
    moved.b = (proof.b + prover.key().verifying().block_deltas[0] * y).into_affine();
    moved.blocks[0] = (proof.blocks[0] + proof.a * y).into_affine();
    assert_eq!(prover.verifier().verify(&claim, &moved), Err(VerifyError::Invalid));
}

/// What a dishonest caller does to a witness.
type Change = fn(&mut Vec<ark_bn254::Fr>);

#[test]
fn the_prover_refuses_what_does_not_fit() {
    let prover = prover::<Bn254>();
    let good = claim::<Bn254>([3, 5], true, 7);
    let attempt = |claim: &Claim<Bn254>, shown, change: Change| {
        prover.prove(claim, commit(&prover, [3, 5], shown, 9), |challenge| {
            let mut witness = witness::<Bn254>([3, 5], challenge);
            change(&mut witness);
            Some(witness)
        })
    };
    assert!(attempt(&good, true, |_| ()).is_ok());
    let unsatisfied = |row| ProveError::Unsatisfied(Unsatisfied { row });
    let cases: [(Change, ProveError); 7] = [
        (|witness| witness.truncate(7), ProveError::Count("wires")),
        (|witness| witness[0] += ark_bn254::Fr::one(), ProveError::Inputs),
        (|witness| witness[1] += ark_bn254::Fr::one(), ProveError::Inputs),
        (|witness| witness[2] += ark_bn254::Fr::one(), ProveError::Inputs),
        (|witness| witness[4] += ark_bn254::Fr::one(), ProveError::Changed),
        (|witness| witness[6] += ark_bn254::Fr::one(), unsatisfied(1)),
        (|witness| witness[7] += ark_bn254::Fr::one(), unsatisfied(2)),
    ];
    for (change, error) in cases {
        assert_eq!(attempt(&good, true, change).unwrap_err(), error);
    }
    let other = Claim { public: values::<Bn254>(&[19]), ..good.clone() };
    assert_eq!(attempt(&other, true, |_| ()).unwrap_err(), ProveError::Inputs);
    let long = Claim { public: values::<Bn254>(&[18, 0]), ..good.clone() };
    assert_eq!(attempt(&long, true, |_| ()).unwrap_err(), ProveError::Count("public inputs"));
    assert_eq!(attempt(&good, false, |_| ()).unwrap_err(), ProveError::Shown);
    let committed = commit(&prover, [3, 5], true, 9);
    assert_eq!(prover.prove(&good, committed, |_| None).unwrap_err(), ProveError::Challenge);
    let short = prover.commit(&[&values::<Bn254>(&[3])], 0, Seed::from_bytes([0; 32]));
    assert_eq!(short.unwrap_err(), ProveError::Count("blocks"));
    assert!(!format!("{:?}", commit(&prover, [3, 5], true, 9)).contains("values"));
}

/// A proof by a prover that checks nothing, under a challenge of its own making.
fn forge(
    prover: &Prover<Bn254>,
    committed: &Committed<Bn254>,
    challenge: ark_bn254::Fr,
    u: [u64; 2],
) -> Proof<Bn254> {
    prover.assemble(committed, challenge, &witness::<Bn254>(u, challenge)).unwrap()
}

#[test]
fn a_witness_changed_after_commitment_is_refused() {
    let prover = prover::<Bn254>();
    let committed = commit(&prover, [3, 5], false, 9);
    let key = prover.key().verifying();
    let claim = claim::<Bn254>([2, 8], false, 7);
    let challenge = claim.challenge(key, key.hash(), committed.points());
    let proof = forge(&prover, &committed, challenge, [2, 8]);
    assert_eq!(prover.verifier().verify(&claim, &proof), Err(VerifyError::Invalid));
}

#[test]
fn a_challenge_that_omits_a_part_is_refused() {
    let prover = prover::<Bn254>();
    let key = prover.key().verifying();
    let committed = commit(&prover, [3, 5], false, 9);
    let claim = claim::<Bn254>([3, 5], false, 7);
    let points = committed.points();
    let other_context = Claim { context: vec![], ..claim.clone() };
    let other_public = Claim { public: vec![], ..claim.clone() };
    let hash = key.hash();
    let right = claim.challenge(key, hash, points);
    let verify = |challenge| {
        prover.verifier().verify(&claim, &forge(&prover, &committed, challenge, [3, 5]))
    };
    assert_eq!(verify(right), Ok(()));
    for challenge in [
        claim.challenge(key, hash, &points[..1]),
        claim.challenge(key, hash, &points[1..]),
        claim.challenge(key, ContentHash::of(b"another key"), points),
        other_context.challenge(key, hash, points),
        other_public.challenge(key, hash, points),
        ark_bn254::Fr::from(5),
    ] {
        assert_eq!(verify(challenge), Err(VerifyError::Invalid));
    }
}

#[test]
fn every_flipped_bit_of_a_proof_is_refused() {
    let prover = prover::<Bn254>();
    let (claim, proof) = prove(&prover, [3, 5], false, 9);
    let bytes = proof.encode();
    for bit in (0..bytes.len() * 8).step_by(5) {
        let mut changed = bytes.clone();
        changed[bit / 8] ^= 1 << (bit % 8);
        if let Ok(read) = Proof::<Bn254>::decode(&changed, 2) {
            assert!(prover.verifier().verify(&claim, &read).is_err(), "bit {bit}");
        }
    }
    assert_eq!(Proof::<Bn254>::decode(&bytes[..191], 2), Err(PointError::Length));
    assert_eq!(Proof::<Bn254>::decode(&[&bytes[..], &[0]].concat(), 2), Err(PointError::Length));
    assert_eq!(Proof::<Bn254>::decode(&bytes, 1), Err(PointError::Length));
    assert_eq!(Proof::<Bn254>::decode(&bytes, usize::MAX), Err(PointError::Length));
}

#[test]
fn a_batch_names_the_bad_ones() {
    let prover = prover::<Bn254>();
    let made: Vec<_> =
        (0..5).map(|k| prove(&prover, [u64::from(k) + 2, 5], k % 2 == 0, k)).collect();
    let wrong = claim::<Bn254>([2, 5], true, 99);
    let short = Claim { public: vec![], ..wrong.clone() };
    for bad in [vec![], vec![0], vec![57], vec![99], vec![3, 4, 64], (0..100).collect::<Vec<_>>()] {
        let batch: Vec<_> = (0..100)
            .map(|index| {
                let (claim, proof) = &made[index % 5];
                let claim = match (bad.contains(&index), index % 2 == 0) {
                    (false, _) => claim,
                    (true, true) => &wrong,
                    (true, false) => &short,
                };
                (claim, proof)
            })
            .collect();
        let found: Vec<usize> = prover.verifier().verify_batch(&batch).into_iter().collect();
        assert_eq!(found, bad);
    }
    assert!(prover.verifier().verify_batch(&[]).is_empty());
}

#[test]
fn errors_that_cancel_out_are_found() {
    let prover = prover::<Bn254>();
    let (one_claim, mut one) = prove(&prover, [3, 5], false, 1);
    let (two_claim, mut two) = prove(&prover, [4, 5], false, 2);
    let change = ark_bn254::G1Affine::generator();
    one.c = (one.c + change).into_affine();
    two.c = (two.c - change).into_affine();
    let bad = prover.verifier().verify_batch(&[(&one_claim, &one), (&two_claim, &two)]);
    assert_eq!(bad.into_iter().collect::<Vec<_>>(), [0, 1]);
}

#[test]
fn weak_keys_are_refused() {
    let good = prover::<Bn254>().key().verifying().clone();
    let generator = ark_bn254::G2Affine::generator();
    let zero = ark_bn254::G2Affine::zero();
    let (gamma, delta) = (good.gamma, good.delta);
    let change = |change: &dyn Fn(&mut VerifyingKey<Bn254>)| {
        let mut key = good.clone();
        change(&mut key);
        assert_eq!(Verifier::new(key.clone()).map(drop), key.check());
        assert!(VerifyingKey::<Bn254>::decode(&key.encode()).is_err() == key.check().is_err());
        key.check()
    };
    let identity = Err(KeyError::Point(PointError::Identity));
    assert_eq!(change(&|_| ()), Ok(()));
    assert_eq!(change(&|key| key.gamma = delta), Err(KeyError::Repeated));
    assert_eq!(change(&|key| key.gamma = -delta), Err(KeyError::Repeated));
    assert_eq!(change(&|key| key.block_deltas[0] = gamma), Err(KeyError::Repeated));
    assert_eq!(change(&|key| key.block_deltas[1] = key.block_deltas[0]), Err(KeyError::Repeated));
    assert_eq!(change(&|key| key.delta = generator), Err(KeyError::Generator));
    assert_eq!(change(&|key| key.block_deltas[1] = -generator), Err(KeyError::Generator));
    assert_eq!(change(&|key| key.gamma = zero), identity);
    assert_eq!(change(&|key| key.beta = zero), identity);
    assert_eq!(change(&|key| key.inputs[1] = AffineRepr::zero()), identity);
    assert_eq!(change(&|key| key.blinding = AffineRepr::zero()), identity);
}

#[test]
fn keys_say_that_they_are_for_development() {
    let mut key = prover::<Bn254>().key().verifying().clone();
    let development = key.hash();
    assert_eq!(key.require_ceremony(), Err(KeyError::Development));
    key.origin = Origin::Ceremony;
    assert_eq!(key.require_ceremony(), Ok(()));
    assert_ne!(key.hash(), development, "the flag is part of what is pinned");
    assert_eq!(VerifyingKey::<Bn254>::decode(&key.encode()), Ok(key));
}

#[test]
fn a_pinned_hash_is_compared_before_anything_is_read() {
    let key = prover::<Bn254>().key().verifying().clone();
    let (bytes, pinned) = (key.encode(), key.hash());
    assert_eq!(VerifyingKey::<Bn254>::decode_pinned(&bytes, pinned), Ok(key.clone()));
    let mut vouching = key;
    vouching.origin = Origin::Ceremony;
    for other in [vouching.encode(), bytes[1..].to_vec(), Vec::new()] {
        let refused = VerifyingKey::<Bn254>::decode_pinned(&other, pinned);
        assert_eq!(refused, Err(KeyError::Pinned { found: ContentHash::of(&other), pinned }));
    }
}

#[test]
fn keys_travel_and_are_pinned() {
    let key = prover::<Bls12_381>().key().clone();
    let (bytes, system) = (key.encode(), system::<Bls12_381>());
    let pinned = ContentHash::of(&bytes);
    assert_eq!(ProvingKey::<Bls12_381>::decode(&bytes, &system, pinned), Ok(key.clone()));
    let other = ContentHash::of(b"");
    let refused = ProvingKey::<Bls12_381>::decode(&bytes, &system, other);
    assert_eq!(refused, Err(KeyError::Pinned { found: pinned, pinned: other }));
    let cut = &bytes[..bytes.len() - 1];
    assert!(ProvingKey::<Bls12_381>::decode(cut, &system, ContentHash::of(cut)).is_err());
    let mut larger = system.clone();
    larger.push(vec![], vec![], vec![]);
    let refused = ProvingKey::<Bls12_381>::decode(&bytes, &larger, pinned);
    assert_eq!(refused, Err(KeyError::Circuit));
    assert_eq!(Prover::new(larger, key.clone()).map(drop), Err(KeyError::Circuit));
    let verifying = key.verifying().encode();
    let wrong_curve = VerifyingKey::<Bn254>::decode(&verifying);
    assert_eq!(wrong_curve, Err(KeyError::Curve("bn254")));
}

#[test]
fn no_cut_or_flip_of_a_key_is_read_as_it() {
    let key = prover::<Bn254>().key().verifying().clone();
    let bytes = key.encode();
    for cut in 0..bytes.len() {
        assert!(VerifyingKey::<Bn254>::decode(&bytes[..cut]).is_err(), "cut at {cut}");
    }
    for bit in (0..bytes.len() * 8).step_by(7) {
        let mut changed = bytes.clone();
        changed[bit / 8] ^= 1 << (bit % 8);
        assert_ne!(VerifyingKey::<Bn254>::decode(&changed).as_ref(), Ok(&key), "bit {bit}");
    }
}
