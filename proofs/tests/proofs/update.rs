//! Proofs about whole updates as bundles carry them: what holds, what is refused, and what a holder of the payload finds.

use std::sync::LazyLock;

use ark_bn254::Bn254;
use longhaul_aggregation::{Compressor, Init, NormBound, Parameters, Schema, TensorSpec, Update};
use longhaul_dtn::hash::ContentHash;
use longhaul_dtn::identity::SecretKey;
use longhaul_proofs::cp::development_key;
use longhaul_proofs::s1::{ChunkProver, Shape, Subject, TotalError, circuit};
use longhaul_proofs::seed::Seed;
use longhaul_proofs::update::{
    ProveUpdateError, ProveUpdates, UpdateKeysError, UpdateProof, UpdateProofError, UpdateProver,
    UpdateShape, VerifyUpdates, opening_seed, subject,
};

static SMALL: LazyLock<ChunkProver<Bn254>> = LazyLock::new(|| prover(Shape::STANDARD[0]));
static MIDDLE: LazyLock<ChunkProver<Bn254>> = LazyLock::new(|| prover(Shape::STANDARD[1]));

fn prover(shape: Shape) -> ChunkProver<Bn254> {
    let key = development_key(&circuit(shape), &Seed::from_bytes([1; 32]));
    ChunkProver::new(shape, key).expect("made for the test")
}

fn schema(sizes: &[u32]) -> Schema {
    let tensor = |&size: &u32| TensorSpec::new(format!("t{size}"), vec![size], Init::Zero);
    let tensors: Result<_, _> = sizes.iter().map(tensor).collect();
    Schema::new(tensors.expect("made for the test")).expect("made for the test")
}

fn norm_max() -> NormBound {
    NormBound::from_milli(10_000)
}

/// A federation whose updates have these tensors.
pub fn federation(sizes: &[u32]) -> UpdateProver<Bn254> {
    let shape = UpdateShape::new(&schema(sizes), norm_max());
    UpdateProver::new(shape, [SMALL.clone(), MIDDLE.clone()]).expect("both keys are there")
}

pub fn update(sizes: &[u32], salt: usize) -> Update {
    let schema = schema(sizes);
    let value = |k: usize| ((k * 31 + salt * 17) % 255) as i64 * 20_000 - 2_500_000;
    let delta = (0..sizes.iter().sum::<u32>() as usize).map(value).collect();
    Compressor::new(&schema).compress(&Parameters::from_units(delta), norm_max())
}

pub fn about(author: u8) -> Subject {
    let signer = SecretKey::from_seed(&[author; 32]).peer_id();
    let hashes = [ContentHash::of(b"header"), ContentHash::of(b"payload")];
    subject(ContentHash::of(b"federation"), signer, 12, hashes).expect("an epoch")
}

pub fn seed(update: &Update) -> Seed {
    opening_seed(update.payload(), &ContentHash::of(b"header"), None)
}

pub const FORMS: [&[u32]; 3] = [&[900], &[40, 1_000], &[40, 1_200, 900]];

/// A proof of so many bytes is made, read back and verified; what is cut is refused.
fn round_trip(sizes: &[u32], bytes: usize) {
    let (prover, update) = (federation(sizes), update(sizes, 1));
    let proof = prover.prove(&about(1), &update, &seed(&update)).unwrap();
    let encoded = proof.encode();
    let shape = prover.verifier().shape();
    assert_eq!(encoded.len(), bytes, "{sizes:?}");
    assert!(encoded.len() <= shape.proof_bytes_max());
    let read = UpdateProof::decode(&encoded, shape).unwrap();
    assert_eq!(read, proof);
    assert_eq!(prover.verifier().verify(&about(1), &read), Ok(()));
    assert_eq!(prover.check_commitments(&about(1), &read, &update, &seed(&update)), Ok(()));
    for end in 0..encoded.len() {
        assert!(UpdateProof::<Bn254>::decode(&encoded[..end], shape).is_err(), "cut at {end}");
    }
}

#[test]
fn an_update_of_one_chunk_is_proved_read_and_verified() {
    round_trip(FORMS[0], 206);
}

#[test]
fn an_update_of_two_chunks_is_proved_read_and_verified() {
    round_trip(FORMS[1], 586);
}

#[test]
fn an_update_of_three_chunks_of_two_shapes_is_proved_read_and_verified() {
    round_trip(FORMS[2], 914);
}

#[test]
fn a_proof_is_about_one_bundle() {
    let sizes = FORMS[1];
    let (prover, update) = (federation(sizes), update(sizes, 1));
    let proof = prover.prove(&about(1), &update, &seed(&update)).unwrap();
    let good = about(1);
    let other = ContentHash::of(b"another");
    for subject in [
        Subject { federation: other, ..good },
        about(2),
        Subject { epoch: longhaul_aggregation::Epoch::new(13), ..good },
        Subject { base: other, ..good },
        Subject { payload: other, ..good },
    ] {
        let found = prover.verifier().verify(&subject, &proof);
        assert_eq!(found, Err(UpdateProofError::Invalid(0)), "{subject:?}");
    }
    assert_eq!(subject(other, good.author, 1 << 32, [other; 2]), None);
}

#[test]
fn a_batch_names_the_bad_ones_and_what_is_wrong() {
    let sizes = FORMS[2];
    let prover = federation(sizes);
    let made: Vec<_> = (0..6)
        .map(|k| {
            let update = update(sizes, k);
            let subject = about(k as u8 + 1);
            let proof = prover.prove(&subject, &update, &seed(&update)).unwrap();
            (subject, proof)
        })
        .collect();
    let mut batch: Vec<_> = made.iter().map(|(subject, proof)| (subject, proof)).collect();
    assert!(prover.verifier().verify_batch(&batch).iter().all(Result::is_ok));
    assert!(prover.verifier().verify_batch(&[]).is_empty());
    // The proof of another author's update.
    batch[2].1 = &made[3].1;
    batch[5].1 = &made[0].1;
    let found = prover.verifier().verify_batch(&batch);
    let bad: Vec<_> = (0..6).filter(|&k| found[k].is_err()).collect();
    assert_eq!(bad, [2, 5]);
    assert_eq!(found[2], Err(UpdateProofError::Invalid(0)));
}

#[test]
fn every_changed_byte_is_refused() {
    let sizes = FORMS[1];
    let (prover, update) = (federation(sizes), update(sizes, 1));
    let proof = prover.prove(&about(1), &update, &seed(&update)).unwrap();
    let (good, shape) = (proof.encode(), prover.verifier().shape());
    let mut read = Vec::new();
    for at in 0..good.len() {
        let mut bytes = good.clone();
        bytes[at] ^= 1;
        if let Ok(proof) = UpdateProof::<Bn254>::decode(&bytes, shape) {
            assert_eq!(proof.encode(), bytes, "at {at}");
            read.push(proof);
        }
    }
    assert!(!read.is_empty());
    let subject = about(1);
    let batch: Vec<_> = read.iter().map(|proof| (&subject, proof)).collect();
    assert!(prover.verifier().verify_batch(&batch).iter().all(Result::is_err));
}

/// An update above the bound has no proof, and one that a laxer federation allows is refused.
fn above_the_bound(sizes: &[u32]) {
    let update = update(sizes, 1);
    let norm = NormBound::from_units(update.squared_norm().isqrt() as u64);
    let strict = UpdateShape::new(&schema(sizes), NormBound::from_units(norm.units() / 2));
    let strict = UpdateProver::new(strict, [SMALL.clone(), MIDDLE.clone()]).unwrap();
    let found = strict.prove(&about(1), &update, &seed(&update)).unwrap_err();
    assert!(matches!(found, ProveUpdateError::Total(TotalError::Bound { .. })), "{found}");
    // One that a laxer federation allows is refused by a stricter.
    let proof = federation(sizes).prove(&about(1), &update, &seed(&update)).unwrap();
    let found = strict.verifier().verify(&about(1), &proof).unwrap_err();
    assert!(matches!(found, UpdateProofError::Total(TotalError::Bound { .. })), "{found}");
}

#[test]
fn an_update_of_one_chunk_above_the_bound_has_no_proof() {
    above_the_bound(FORMS[0]);
}

#[test]
fn an_update_of_several_chunks_above_the_bound_has_no_proof() {
    above_the_bound(FORMS[2]);
}

#[test]
fn whoever_has_the_payload_sees_what_was_committed_to() {
    let sizes = FORMS[2];
    let (prover, honest) = (federation(sizes), update(sizes, 1));
    let proof = prover.prove(&about(1), &honest, &seed(&honest)).unwrap();
    // Another update, or another blinder: the proof holds, and is not about this payload.
    let other = update(sizes, 2);
    assert_eq!(
        prover.check_commitments(&about(1), &proof, &other, &seed(&honest)),
        Err(UpdateProofError::Commitment(0))
    );
    assert_eq!(
        prover.check_commitments(&about(1), &proof, &honest, &seed(&other)),
        Err(UpdateProofError::Commitment(0))
    );
    let cheat = prover.prove(&about(1), &other, &seed(&honest)).unwrap();
    assert_eq!(prover.verifier().verify(&about(1), &cheat), Ok(()));
    assert!(prover.check_commitments(&about(1), &cheat, &honest, &seed(&honest)).is_err());
}

#[test]
fn blinders_follow_from_payload_header_and_salt() {
    let commitments = |seed: &Seed| -> Vec<_> {
        let update = update(FORMS[0], 1);
        let prover = federation(FORMS[0]);
        prover.prove(&about(1), &update, seed).unwrap().commitments().collect()
    };
    let (payload, header) = (&b"payload"[..], ContentHash::of(b"header"));
    let seeds = [
        opening_seed(payload, &header, None),
        opening_seed(b"Payload", &header, None),
        opening_seed(payload, &ContentHash::of(b"Header"), None),
        opening_seed(payload, &header, Some(&[0; 32])),
        opening_seed(payload, &header, Some(&[1; 32])),
    ];
    let found: Vec<_> = seeds.iter().map(commitments).collect();
    for (k, one) in found.iter().enumerate() {
        assert!(found[..k].iter().all(|other| other != one), "{k}");
    }
    assert_eq!(commitments(&opening_seed(payload, &header, None)), found[0]);
}

#[test]
fn bytes_are_judged_as_what_they_are_read_to() {
    let sizes = FORMS[0];
    let (prover, update) = (federation(sizes), update(sizes, 1));
    let any: &dyn ProveUpdates = &prover;
    let bytes = any.prove(&about(1), &update, &seed(&update)).unwrap();
    assert_eq!(any.check_commitments(&about(1), &bytes, &update, &seed(&update)), Ok(()));
    assert!(any.check_commitments(&about(1), &bytes[1..], &update, &seed(&update)).is_err());
    let verifier: &dyn VerifyUpdates = prover.verifier();
    let batch = [(about(1), &bytes[..]), (about(1), &[]), (about(2), &bytes), (about(1), &bytes)];
    let found = verifier.verify_batch(&batch);
    assert_eq!((&found[0], &found[3]), (&Ok(()), &Ok(())));
    assert!(matches!(found[1], Err(UpdateProofError::Malformed(_))), "{found:?}");
    assert_eq!(found[2], Err(UpdateProofError::Invalid(0)));
}

#[test]
fn a_key_that_lacks_is_named() {
    let shape = UpdateShape::new(&schema(FORMS[2]), norm_max());
    let found = UpdateProver::new(shape, [SMALL.clone()]).unwrap_err();
    assert_eq!(found, UpdateKeysError::Missing(7_800));
}
