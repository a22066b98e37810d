//! Proofs of gradient steps, honest and not: what a verifier accepts, and what it does not.

use std::sync::LazyLock;

use ark_bls12_381::Bls12_381;
use ark_bn254::{Bn254, Fr};
use ark_ec::CurveGroup;
use ark_ff::PrimeField;
use longhaul_aggregation::Epoch;
use longhaul_dtn::hash::ContentHash;
use longhaul_dtn::identity::SecretKey;
use longhaul_proofs::cp::{
    KeyError, PointError, ProveError, VerifyError, VerifyingKey, development_key,
};
use longhaul_proofs::curve::Curve;
use longhaul_proofs::s1::{Exponent, Subject};
use longhaul_proofs::s2::{SumClaim, Term, Weight, commitment_of, sum_blinder, verify_sum};
use longhaul_proofs::s3::{
    BATCH, Base, Batch, CLASSES, DataRoot, DataSet, GradientError, INPUTS, Label, Rate, Sample,
    Statement, StepOpening, StepProof, StepProver, StepVerifier, WEIGHTS, circuit, gradient_step,
    least_exponent,
};
use longhaul_proofs::seed::Seed;

static PROVER: LazyLock<StepProver<Bn254>> = LazyLock::new(prover);
static DATA: LazyLock<DataSet<Fr>> = LazyLock::new(|| data::<Fr>(12, 1));

fn prover<E: Curve>() -> StepProver<E> {
    let key = development_key(&circuit(), &Seed::from_bytes([1; 32]));
    StepProver::new(key).expect("made for the test")
}

fn batch(salt: usize) -> Batch {
    let sample = |index: usize| {
        let value =
            |k: usize| i8::try_from((k * 31 + index * 17 + salt * 7) % 97).expect("below 97") - 48;
        let label = Label::new(u8::try_from((index * 3 + salt) % CLASSES).expect("below 10"));
        let inputs: [i8; INPUTS] = std::array::from_fn(value);
        Sample::new(inputs, label.expect("a class")).expect("within bounds")
    };
    Batch::new((0..BATCH).map(sample).collect()).expect("as many as a batch has")
}

fn data<F: PrimeField>(batches: usize, salt: u8) -> DataSet<F> {
    let batches = (0..batches).map(batch).collect();
    DataSet::commit(batches, Seed::from_bytes([salt; 32])).expect("within bounds")
}

fn base(salt: i32) -> Base {
    let weight = |k: i32| (k * 7_919 + salt * 104_729) % 40_001 - 20_000;
    Base::new((0..640).map(weight).collect()).expect("within bounds")
}

fn rate() -> Rate {
    Rate::new(3_277).expect("not zero")
}

fn statement<F: PrimeField>(author: u8, data: &DataSet<F>) -> Statement<F> {
    let subject = Subject {
        federation: ContentHash::of(b"federation"),
        author: SecretKey::from_seed(&[author; 32]).peer_id(),
        epoch: Epoch::new(12),
        base: ContentHash::of(b"base"),
        payload: ContentHash::of(&[author]),
    };
    let exponent = Exponent::new(17).expect("at most 24");
    let mut statement = Statement { subject, chunk: 0, exponent, rate: rate(), data: data.root() };
    let member = data.member(statement.leaf());
    statement.exponent =
        least_exponent(&base(1), member.batch(), rate()).expect("made for the test");
    statement
}

fn prove(author: u8) -> (Statement<Fr>, StepProof<Bn254>, StepOpening<Bn254>) {
    let statement = statement(author, &DATA);
    let member = DATA.member(statement.leaf());
    let seed = Seed::from_bytes([author; 32]).derive("test", 0);
    let (proof, opening) =
        PROVER.prove(&statement, &base(1), &member, seed).expect("made for the test");
    (statement, proof, opening)
}

#[test]
fn a_step_is_proven_and_travels_in_192_bytes() {
    let (statement, proof, opening) = prove(1);
    let bytes = proof.encode();
    let read = StepProof::decode(&bytes);
    assert_eq!((bytes.len(), read.as_ref()), (192, Ok(&proof)));
    assert_eq!(PROVER.verifier().verify(&statement, &base(1), &proof), Ok(()));
    let batch = batch(statement.leaf().get() as usize);
    let plain = gradient_step(&base(1), &batch, rate(), statement.exponent);
    assert_eq!(plain.as_ref(), Ok(&opening.entries));
    assert!(opening.entries.iter().any(|it| it.unsigned_abs() > 63));
    assert_eq!(StepProof::<Bn254>::decode(&bytes[..191]), Err(PointError::Length));
    assert_eq!(format!("{opening:?}"), "StepOpening(..)");
}

#[test]
fn steps_are_proven_on_bls12_381() {
    let (prover, data) = (prover::<Bls12_381>(), data(3, 1));
    let statement = statement(1, &data);
    let member = data.member(statement.leaf());
    let made = prover.prove(&statement, &base(1), &member, Seed::from_bytes([7; 32]));
    let (proof, _) = made.expect("made for the test");
    assert_eq!(prover.verifier().verify(&statement, &base(1), &proof), Ok(()));
    assert_eq!(proof.encode().len(), 288);
}

#[test]
fn a_proof_is_bound_to_its_whole_statement_and_its_base() {
    let (good, proof, _) = prove(1);
    let verifier = PROVER.verifier();
    let about = |subject| Statement { subject, ..good };
    let subject = good.subject;
    let exponent = Exponent::new(good.exponent.get() + 1).expect("at most 24");
    let leaves = DataRoot::new(good.data.node(), 13).expect("within bounds");
    for wrong in [
        about(Subject { federation: ContentHash::of(b"other"), ..subject }),
        about(Subject { author: SecretKey::from_seed(&[2; 32]).peer_id(), ..subject }),
        about(Subject { epoch: Epoch::new(13), ..subject }),
        about(Subject { base: ContentHash::of(b"other"), ..subject }),
        about(Subject { payload: ContentHash::of(b"other"), ..subject }),
        Statement { chunk: 1, ..good },
        Statement { exponent, ..good },
        Statement { exponent: Exponent::new(0).expect("at most 24"), ..good },
        Statement { rate: Rate::new(3_278).expect("not zero"), ..good },
        Statement { rate: Rate::new(1).expect("not zero"), ..good },
        Statement { data: data::<Fr>(12, 2).root(), ..good },
        Statement { data: leaves, ..good },
    ] {
        let found = verifier.verify(&wrong, &base(1), &proof);
        assert_eq!(found, Err(VerifyError::Invalid), "{wrong:?}");
    }
    let mut weights = base(1).weights().to_vec();
    weights[WEIGHTS - 1] += 1;
    let almost = Base::new(weights).expect("within bounds");
    for wrong in [base(2), almost.clone()] {
        assert_eq!(verifier.verify(&good, &wrong, &proof), Err(VerifyError::Invalid));
    }
    assert_eq!(verifier.verify(&good, &base(1), &proof), Ok(()));
    let id = |base: &Base| verifier.statement_id(&good, base);
    assert!(id(&base(1)).is_ok() && id(&base(1)) != id(&almost));
}

#[test]
fn a_batch_that_is_not_drawn_or_not_committed_to_has_no_proof() {
    let statement = statement(1, &DATA);
    let attempt = |member| {
        let seed = Seed::from_bytes([3; 32]);
        PROVER.prove(&statement, &base(1), &member, seed).map(drop)
    };
    let drawn = statement.leaf();
    let others = (2..50).map(|author| self::statement(author, &DATA).leaf());
    let other = others.into_iter().find(|leaf| *leaf != drawn).expect("twelve leaves are drawn");
    let refused = GradientError::Leaf { found: other.get(), drawn: drawn.get() };
    assert_eq!(attempt(DATA.member(other)), Err(refused));
    let outside = data::<Fr>(12, 2).member(drawn);
    let refused = attempt(outside);
    assert!(
        matches!(refused, Err(GradientError::Prove(ProveError::Unsatisfied(_)))),
        "{refused:?}"
    );
    assert_eq!(attempt(DATA.member(drawn)), Ok(()));
}

#[test]
fn every_author_draws_its_own_batches() {
    let leaves = (1..40).map(|author| statement(author, &DATA).leaf().get());
    let drawn: std::collections::BTreeSet<u32> = leaves.collect();
    assert!(drawn.len() > 8 && drawn.iter().all(|&leaf| leaf < 12), "{drawn:?}");
    let good = statement(1, &DATA);
    let paid = Subject { payload: ContentHash::of(b"other"), ..good.subject };
    assert_eq!(
        Statement { subject: paid, ..good }.leaf(),
        good.leaf(),
        "no payload chooses a batch"
    );
}

#[test]
fn a_commitment_to_a_step_opens_and_adds_up() {
    let basis = PROVER.prover().key().basis(0);
    let steps: Vec<_> = (1..4).map(prove).collect();
    let mut sums = vec![0; WEIGHTS];
    let (mut terms, mut weights, mut blinders) = (Vec::new(), Vec::new(), Vec::new());
    for (statement, proof, opening) in &steps {
        let made = commitment_of(&basis, &opening.entries, &opening.blinder);
        assert_eq!(made, Ok(proof.update()));
        let mut poisoned = opening.entries.clone();
        poisoned[100] = -poisoned[100] + 1;
        assert_ne!(commitment_of(&basis, &poisoned, &opening.blinder), Ok(proof.update()));
        let weight = Weight::new(1, statement.exponent).expect("not zero");
        terms.push(Term { weight, commitment: proof.update() });
        weights.push(weight);
        blinders.push(opening.blinder.clone());
        let entries = opening.entries.iter().map(|&it| weight.get() * i64::from(it));
        sums.iter_mut().zip(entries).for_each(|(sum, it)| *sum += it);
    }
    let blinder = sum_blinder(&weights, &blinders);
    let claim = SumClaim::<Bn254> { terms: &terms, sums: &sums, blinder: &blinder };
    assert_eq!(verify_sum(&basis, &claim), Ok(()));
    let zero = basis.commit_entries(&[], &blinders[0]).into_affine();
    assert_ne!(zero, steps[0].1.update());
}

#[test]
fn keys_travel_and_are_of_this_circuit() {
    let key = PROVER.prover().key().verifying().clone();
    let bytes = key.encode();
    let read = VerifyingKey::<Bn254>::decode(&bytes).expect("its own bytes");
    assert!(StepVerifier::new(read).is_ok());
    let shape = longhaul_proofs::s1::Shape::new(5).expect("within bounds");
    let other =
        development_key::<Bn254>(&longhaul_proofs::s1::circuit(shape), &Seed::from_bytes([1; 32]));
    let refused = StepVerifier::new(other.verifying().clone()).map(drop);
    assert_eq!(refused, Err(KeyError::Circuit));
    assert_eq!(StepProver::new(other).map(drop), Err(KeyError::Circuit));
}

#[test]
fn every_flipped_bit_of_a_proof_is_refused() {
    let (statement, proof, _) = prove(2);
    let (bytes, verifier) = (proof.encode(), PROVER.verifier());
    for bit in (0..bytes.len() * 8).step_by(97) {
        let mut changed = bytes.clone();
        changed[bit / 8] ^= 1 << (bit % 8);
        if let Ok(read) = StepProof::decode(&changed) {
            assert!(verifier.verify(&statement, &base(1), &read).is_err(), "bit {bit}");
        }
    }
}

#[test]
fn no_other_update_can_be_put_into_a_proof() {
    let ((statement, proof, _), (_, other, _)) = (prove(1), prove(2));
    let hidden = 128..160;
    let mut bytes = proof.encode();
    bytes[hidden.clone()].copy_from_slice(&other.encode()[hidden]);
    let swapped = StepProof::decode(&bytes).expect("points of two proofs");
    assert_eq!(swapped.update(), other.update());
    let found = PROVER.verifier().verify(&statement, &base(1), &swapped);
    assert_eq!(found, Err(VerifyError::Invalid));
}
