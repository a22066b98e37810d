//! Sums of proven updates: what opens, and each way in which a sum is not that of the updates.

use std::collections::BTreeSet;
use std::sync::LazyLock;

use ark_bn254::{Bn254, Fr};
use ark_ff::{One, Zero};
use longhaul_aggregation::{Epoch, Update};
use longhaul_dtn::hash::ContentHash;
use longhaul_proofs::s1::Subject;
use longhaul_proofs::s2::SumError;
use longhaul_proofs::seed::{Secret, Seed};
use longhaul_proofs::update::{
    AggregateError, AggregateOpening, ProveUpdates, SUMMED_MAX, UpdateProof, UpdateProofError,
    UpdateProver, VerifyUpdates,
};

use crate::update::{FORMS, about, federation, seed, update};

/// Updates of distinct authors, proven and summed.
struct Summed {
    prover: UpdateProver<Bn254>,
    updates: Vec<(Subject, Update, Seed)>,
    proofs: Vec<(Subject, UpdateProof<Bn254>)>,
    sums: Vec<i64>,
    opening: AggregateOpening<Bn254>,
}

/// Four updates of three chunks of two shapes, with different exponents.
static FOUR: LazyLock<Summed> = LazyLock::new(|| Summed::new(FORMS[2], 4));

impl Summed {
    fn new(sizes: &[u32], count: usize) -> Self {
        let prover = federation(sizes);
        let updates: Vec<_> = (0..count)
            .map(|k| {
                let update = match k {
                    1 => quieter(sizes, k),
                    _ => update(sizes, k),
                };
                let seed = seed(&update);
                (about(k as u8 + 1), update, seed)
            })
            .collect();
        let proofs = updates.iter().map(|(subject, update, seed)| {
            (*subject, prover.prove(subject, update, seed).unwrap())
        });
        let proofs = proofs.collect();
        let sums = sum(&updates);
        let opening = prover.aggregate(&borrowed(&updates)).unwrap();
        Self { prover, updates, proofs, sums, opening }
    }

    fn check(
        &self,
        proofs: &[(&Subject, &UpdateProof<Bn254>)],
        sums: &[i64],
    ) -> Result<(), AggregateError> {
        self.prover.verify_aggregate(proofs, sums, &self.opening)
    }

    fn proofs(&self) -> Vec<(&Subject, &UpdateProof<Bn254>)> {
        self.proofs.iter().map(|(subject, proof)| (subject, proof)).collect()
    }
}

fn borrowed(updates: &[(Subject, Update, Seed)]) -> Vec<(Subject, &Update, &Seed)> {
    updates.iter().map(|(subject, update, seed)| (*subject, update, seed)).collect()
}

fn sum(updates: &[(Subject, Update, Seed)]) -> Vec<i64> {
    let mut sums = vec![0; updates[0].1.parameter_count()];
    for (_, update, _) in updates {
        for chunk in update.values() {
            let places = sums[chunk.range.clone()].iter_mut();
            places.zip(chunk.units()).for_each(|(sum, entry)| *sum += entry);
        }
    }
    sums
}

/// An update with smaller exponents than the others.
fn quieter(sizes: &[u32], salt: usize) -> Update {
    use longhaul_aggregation::{Compressor, Init, NormBound, Parameters, Schema, TensorSpec};
    let tensor = |&size: &u32| TensorSpec::new(format!("t{size}"), vec![size], Init::Zero).unwrap();
    let schema = Schema::new(sizes.iter().map(tensor).collect()).unwrap();
    let value = |k: usize| ((k * 29 + salt * 13) % 201) as i64 * 300 - 30_000;
    let delta = (0..schema.parameter_count()).map(value).collect();
    Compressor::new(&schema).compress(&Parameters::from_units(delta), NormBound::from_milli(10_000))
}

fn wrong(chunk: usize) -> Result<(), AggregateError> {
    Err(AggregateError::Chunk { chunk, error: SumError::Wrong })
}

#[test]
fn a_sum_of_updates_with_several_chunks_and_exponents_opens() {
    let exponents = |place: usize| {
        FOUR.updates[place].1.values().map(|chunk| chunk.exponent).collect::<Vec<_>>()
    };
    assert_ne!(exponents(0), exponents(1));
    assert_eq!(FOUR.check(&FOUR.proofs(), &FOUR.sums), Ok(()));
}

#[test]
fn a_sum_of_updates_of_one_chunk_opens() {
    let two = Summed::new(FORMS[0], 2);
    assert_eq!(two.check(&two.proofs(), &two.sums), Ok(()));
}

#[test]
fn the_sum_of_one_update_is_the_update() {
    let one = Summed::new(FORMS[1], 1);
    assert_eq!(one.check(&one.proofs(), &one.sums), Ok(()));
}

#[test]
fn nine_chunks_of_one_shape_are_checked_together() {
    let many = Summed::new(&[11, 12, 13, 14, 15, 16, 17, 18, 19], 2);
    assert_eq!(many.check(&many.proofs(), &many.sums), Ok(()));
    let mut sums = many.sums.clone();
    sums[11 + 12 + 3] += 1;
    assert_eq!(many.check(&many.proofs(), &sums), wrong(2));
}

#[test]
fn the_order_of_updates_does_not_matter() {
    let mut proofs = FOUR.proofs();
    proofs.reverse();
    assert_eq!(FOUR.check(&proofs, &FOUR.sums), Ok(()));
}

#[test]
fn a_sum_that_is_off_by_one_anywhere_is_refused() {
    let [first, second, _] = FORMS[2] else { panic!("three chunks") };
    let (first, second) = (*first as usize, *second as usize);
    let ends = [0, first - 1, first, first + second - 1, first + second, FOUR.sums.len() - 1];
    for (number, place) in ends.into_iter().enumerate() {
        for off in [-1, 1, 1 << 40] {
            let mut sums = FOUR.sums.clone();
            sums[place] += off;
            assert_eq!(FOUR.check(&FOUR.proofs(), &sums), wrong(number / 2), "at {place}");
        }
    }
}

#[test]
fn two_entries_that_are_swapped_are_refused() {
    let mut sums = FOUR.sums.clone();
    assert_ne!(sums[0], sums[1]);
    sums.swap(0, 1);
    assert_eq!(FOUR.check(&FOUR.proofs(), &sums), wrong(0));
}

#[test]
fn another_blinder_is_refused() {
    for chunk in 0..3 {
        let mut blinders = FOUR.opening.blinders().to_vec();
        blinders[chunk] = Secret::new(*blinders[chunk].reveal() + Fr::one());
        let opening = AggregateOpening::new(blinders);
        let found = FOUR.prover.verify_aggregate(&FOUR.proofs(), &FOUR.sums, &opening);
        assert_eq!(found, wrong(chunk));
    }
    let short = AggregateOpening::new(FOUR.opening.blinders()[..2].to_vec());
    let found = FOUR.prover.verify_aggregate(&FOUR.proofs(), &FOUR.sums, &short);
    assert_eq!(found, Err(AggregateError::Opening));
}

#[test]
fn an_update_more_or_less_is_refused() {
    let proofs = FOUR.proofs();
    assert!(FOUR.check(&proofs[..3], &FOUR.sums).is_err());
    let five = Summed::new(FORMS[2], 5);
    let more: Vec<_> = proofs.into_iter().chain([five.proofs()[4]]).collect();
    assert!(FOUR.check(&more, &FOUR.sums).is_err());
}

#[test]
fn an_author_counts_once() {
    let mut proofs = FOUR.proofs();
    proofs[2] = proofs[0];
    assert_eq!(FOUR.check(&proofs, &FOUR.sums), Err(AggregateError::Author(2)));
    let mut updates = borrowed(&FOUR.updates);
    updates[3] = updates[1];
    let found = FOUR.prover.aggregate(&updates).unwrap_err();
    assert_eq!(found, AggregateError::Author(3));
}

#[test]
fn a_commitment_counts_once() {
    // Another member passes a proof off as its own: that it does not hold is for the batch of proofs to say.
    let mut proofs = FOUR.proofs();
    proofs[3].1 = proofs[1].1;
    let repeated = AggregateError::Chunk { chunk: 0, error: SumError::Repeated(1, 3) };
    assert_eq!(FOUR.check(&proofs, &FOUR.sums), Err(repeated));
}

#[test]
fn subjects_are_of_one_federation_and_epoch() {
    let other = ContentHash::of(b"another");
    let changes: [fn(Subject, ContentHash) -> Subject; 2] = [
        |subject, other| Subject { federation: other, ..subject },
        |subject, _| Subject { epoch: Epoch::new(13), ..subject },
    ];
    for change in changes {
        let foreign = change(FOUR.proofs[2].0, other);
        let mut proofs = FOUR.proofs();
        proofs[2].0 = &foreign;
        assert_eq!(FOUR.check(&proofs, &FOUR.sums), Err(AggregateError::Foreign(2)));
        let mut updates = borrowed(&FOUR.updates);
        updates[2].0 = foreign;
        let found = FOUR.prover.aggregate(&updates).unwrap_err();
        assert_eq!(found, AggregateError::Foreign(2));
    }
}

#[test]
fn there_is_at_least_one_update_and_not_too_many() {
    assert_eq!(FOUR.check(&[], &FOUR.sums), Err(AggregateError::Updates(0)));
    assert_eq!(FOUR.prover.aggregate(&[]).unwrap_err(), AggregateError::Updates(0));
    let many = vec![FOUR.proofs()[0]; SUMMED_MAX + 1];
    assert_eq!(FOUR.check(&many, &FOUR.sums), Err(AggregateError::Updates(SUMMED_MAX + 1)));
}

#[test]
fn there_is_a_sum_for_each_parameter() {
    let expected = FOUR.sums.len();
    for found in [0, expected - 1, expected + 1] {
        let mut sums = FOUR.sums.clone();
        sums.resize(found, 0);
        let refused = Err(AggregateError::Sums { found, expected });
        assert_eq!(FOUR.check(&FOUR.proofs(), &sums), refused);
    }
}

#[test]
fn an_update_of_another_schema_is_not_summed() {
    let other = update(FORMS[1], 2);
    let mut updates = borrowed(&FOUR.updates);
    updates[1].1 = &other;
    let found = FOUR.prover.aggregate(&updates).unwrap_err();
    assert!(matches!(found, AggregateError::Update { update: 1, .. }), "{found}");
}

#[test]
fn what_is_summed_is_what_was_proven() {
    // Another payload than the proof's, or another seed: what comes out opens nothing.
    let other = update(FORMS[2], 9);
    let (mut payload, mut salted) = (borrowed(&FOUR.updates), borrowed(&FOUR.updates));
    payload[1].1 = &other;
    let wrong_seed = seed(&other);
    salted[1].2 = &wrong_seed;
    for updates in [payload, salted] {
        let opening = FOUR.prover.aggregate(&updates).unwrap();
        let found = FOUR.prover.verify_aggregate(&FOUR.proofs(), &FOUR.sums, &opening);
        assert_eq!(found, wrong(0));
    }
}

#[test]
fn an_opening_is_written_in_one_form() {
    let (shape, bytes) = (FOUR.prover.verifier().shape(), FOUR.opening.encode());
    assert_eq!((bytes.len(), AggregateOpening::<Bn254>::bytes(shape)), (96, 96));
    assert_eq!(AggregateOpening::decode(&bytes, shape), Ok(FOUR.opening.clone()));
    let read = |bytes: &[u8]| AggregateOpening::<Bn254>::decode(bytes, shape);
    for length in (0..96).chain([97]) {
        let mut bytes = bytes.clone();
        bytes.resize(length, 0);
        assert_eq!(read(&bytes), Err(AggregateError::Opening), "{length}");
    }
    // The order itself is zero in another form.
    let mut order = AggregateOpening::<Bn254>::new(vec![Secret::new(-Fr::one()); 3]).encode();
    assert!(read(&order).is_ok());
    order[31] += 1;
    assert_eq!(read(&order), Err(AggregateError::Opening));
    let zeros = AggregateOpening::<Bn254>::new(vec![Secret::new(Fr::zero()); 3]).encode();
    assert_eq!(zeros, [0; 96]);
    assert!(read(&[255; 96]).is_err());
}

#[test]
fn an_opening_prints_nothing() {
    assert_eq!(format!("{:?}", FOUR.opening), "AggregateOpening(..)");
}

#[test]
fn the_same_holds_over_bytes() {
    let prover: &dyn ProveUpdates = &FOUR.prover;
    let verifier: &dyn VerifyUpdates = FOUR.prover.verifier();
    let opening = prover.aggregate(&borrowed(&FOUR.updates)).unwrap();
    assert_eq!(opening.len(), verifier.opening_bytes());
    assert_eq!(opening, FOUR.opening.encode());
    let encoded: Vec<_> = FOUR.proofs.iter().map(|(subject, it)| (*subject, it.encode())).collect();
    let proofs: Vec<_> = encoded.iter().map(|(subject, it)| (*subject, it.as_slice())).collect();
    assert_eq!(prover.verify_aggregate(&proofs, &FOUR.sums, &opening), Ok(()));
    for ((_, bytes), (_, update, _)) in proofs.iter().zip(&FOUR.updates) {
        let exponents: Vec<u8> = update.values().map(|chunk| chunk.exponent).collect();
        assert_eq!(verifier.shown(bytes).unwrap().exponents, exponents);
    }
    assert!(verifier.shown(&[]).is_err());
    let digests: BTreeSet<_> =
        proofs.iter().map(|(_, bytes)| verifier.shown(bytes).unwrap().commitments).collect();
    assert_eq!(digests.len(), proofs.len(), "each is of another update");
    let (subject, update, seed) = &FOUR.updates[0];
    let again = prover.prove(subject, update, seed).unwrap();
    assert_eq!(verifier.shown(&again), verifier.shown(proofs[0].1), "proved again, it is the same");
    let mut cut = proofs.clone();
    cut[2].1 = &cut[2].1[..9];
    let found = prover.verify_aggregate(&cut, &FOUR.sums, &opening).unwrap_err();
    let malformed =
        matches!(found, AggregateError::Proof { update: 2, error: UpdateProofError::Malformed(_) });
    assert!(malformed, "{found}");
    let found = prover.verify_aggregate(&proofs, &FOUR.sums, &opening[1..]);
    assert_eq!(found, Err(AggregateError::Opening));
    let mut off = FOUR.sums.clone();
    off[0] -= 1;
    assert_eq!(prover.verify_aggregate(&proofs, &off, &opening), wrong(0));
}
