//! Bounded updates and their sums, honest and not, over small shapes of both curves.

use std::sync::LazyLock;

use ark_bls12_381::Bls12_381;
use ark_bn254::{Bn254, Fr};
use ark_ff::{BigInteger, PrimeField};
use longhaul_aggregation::{Epoch, NormBound};
use longhaul_dtn::hash::ContentHash;
use longhaul_dtn::identity::SecretKey;
use longhaul_proofs::cp::{Basis, ProveError, VerifyError, development_key};
use longhaul_proofs::curve::{Curve, Scalar};
use longhaul_proofs::s1::{
    BoundedError, Bounds, ChunkProof, ChunkProver, ChunkVerifier, Exponent, NormView, Opening,
    Shape, SquaredNorm, Statement, Subject, Summand, TotalClaim, TotalError, TotalProof, circuit,
    prove_total, verify_total, verify_totals,
};
use longhaul_proofs::s2::{
    SumClaim, SumError, Term, Weight, commitment_of, sum_blinder, verify_sum, verify_sums,
};
use longhaul_proofs::seed::{Secret, Seed};

static SMALL: LazyLock<ChunkProver<Bn254>> = LazyLock::new(|| prover(20));
static LARGE: LazyLock<ChunkProver<Bn254>> = LazyLock::new(|| prover(50));

fn prover<E: Curve>(entries: usize) -> ChunkProver<E> {
    prover_of(entries, 1)
}

/// A prover under the key of this seed.
fn prover_of<E: Curve>(entries: usize, byte: u8) -> ChunkProver<E> {
    let shape = Shape::new(entries).expect("made for the test");
    let key = development_key(&circuit(shape), &Seed::from_bytes([byte; 32]));
    ChunkProver::new(shape, key).expect("made for the test")
}

fn subject(author: u8) -> Subject {
    Subject {
        federation: ContentHash::of(b"federation"),
        author: SecretKey::from_seed(&[author; 32]).peer_id(),
        epoch: Epoch::new(12),
        base: ContentHash::of(b"base"),
        payload: ContentHash::of(&[author]),
    }
}

fn statement(author: u8, chunk: u32, entries: usize) -> Statement {
    let exponent = Exponent::new(4).expect("made for the test");
    let bounds = Bounds { squared_norm: Some(40_000), zeros: Some(15), ..Bounds::default() };
    Statement { subject: subject(author), chunk, entries, exponent, bounds }
}

fn entries(author: u8, count: usize) -> Vec<i8> {
    let value = |k: usize| ((k * 7 + usize::from(author) * 13) % 41) as i8 - 20;
    (0..count).map(value).collect()
}

/// The entries that a statement of these tests is about.
fn entries_of(statement: &Statement) -> Vec<i8> {
    entries(statement.subject.author.as_bytes()[0], statement.entries)
}

fn seed(number: u64) -> Seed {
    Seed::from_bytes([5; 32]).derive("test", number)
}

fn prove<E: Curve>(
    prover: &ChunkProver<E>,
    statement: &Statement,
    view: NormView,
) -> (ChunkProof<E>, Opening<E>) {
    let number =
        u64::from(statement.subject.author.as_bytes()[0]) * 100 + u64::from(statement.chunk);
    prover.prove(statement, &entries_of(statement), view, seed(number)).expect("made for the test")
}

fn round_trip<E: Curve>(prover: &ChunkProver<E>, sizes: [usize; 2]) {
    let statement = statement(1, 0, 18);
    for (view, size) in [NormView::Shown, NormView::Hidden].into_iter().zip(sizes) {
        let (proof, opening) = prove(prover, &statement, view);
        let bytes = proof.encode();
        let read = ChunkProof::decode(&bytes).expect("made for the test");
        assert_eq!((bytes.len(), &read), (size, &proof));
        assert_eq!(prover.verifier().verify(&statement, &read), Ok(()));
        let shown = proof.shown_norm();
        assert_eq!(shown.unwrap_or(opening.squared_norm), opening.squared_norm);
        assert_eq!(shown.is_none(), proof.hidden_norm().is_some());
        for cut in 0..bytes.len() {
            assert!(ChunkProof::<E>::decode(&bytes[..cut]).is_err(), "cut at {cut}");
        }
    }
}

#[test]
fn proofs_of_bn254_verify_and_travel() {
    round_trip(&*SMALL, [198, 228]);
}

#[test]
fn proofs_of_bls12_381_verify_and_travel() {
    round_trip(&prover::<Bls12_381>(20), [295, 341]);
}

#[test]
fn a_proof_is_bound_to_its_whole_statement() {
    let good = statement(1, 0, 18);
    let (proof, _) = prove(&SMALL, &good, NormView::Shown);
    let verifier = SMALL.verifier();
    let bounds = |bounds| Statement { bounds, ..good };
    let about = |subject| Statement { subject, ..good };
    for wrong in [
        about(Subject { federation: ContentHash::of(b"other"), ..good.subject }),
        about(Subject { author: subject(2).author, ..good.subject }),
        about(Subject { epoch: Epoch::new(13), ..good.subject }),
        about(Subject { base: ContentHash::of(b"other"), ..good.subject }),
        about(Subject { payload: ContentHash::of(b"other"), ..good.subject }),
        Statement { chunk: 1, ..good },
        Statement { entries: 17, ..good },
        Statement { exponent: Exponent::new(3).unwrap(), ..good },
        Statement { entries: 21, ..good },
        bounds(Bounds { squared_norm: Some(39_999), ..good.bounds }),
        bounds(Bounds { squared_norm: None, ..good.bounds }),
        bounds(Bounds { zeros: Some(14), ..good.bounds }),
        bounds(Bounds { absolute_sum: Some(2_000), ..good.bounds }),
        bounds(Bounds { nonzeros: Some(19), ..good.bounds }),
    ] {
        assert_eq!(verifier.verify(&wrong, &proof), Err(VerifyError::Invalid), "{wrong:?}");
    }
    assert_eq!(verifier.verify(&good, &proof), Ok(()));
    let id = verifier.statement_id(&good);
    let (again, _) = SMALL.prove(&good, &entries(1, 18), NormView::Hidden, seed(9)).unwrap();
    assert_eq!(verifier.verify(&good, &again), Ok(()));
    assert_eq!(verifier.statement_id(&good), id);
    assert_ne!(verifier.statement_id(&Statement { chunk: 1, ..good }), id);
    let long = Statement { entries: usize::MAX, ..good };
    assert_eq!(verifier.statement_id(&long), Err(VerifyError::Invalid));
}

#[test]
fn an_update_out_of_bounds_has_no_proof() {
    let good = statement(1, 0, 18);
    let bounded = |bounds| Statement { bounds, ..good };
    let norm: u64 = entries(1, 18).iter().map(|&v| u64::from(v.unsigned_abs()).pow(2)).sum();
    let attempt = |statement: &Statement| {
        SMALL.prove(statement, &entries(1, 18), NormView::Hidden, seed(3)).map(drop)
    };
    let exact = Bounds { squared_norm: Some(norm), ..Bounds::default() };
    assert_eq!(attempt(&bounded(exact)), Ok(()));
    let broken = bounded(Bounds { squared_norm: Some(norm - 1), ..Bounds::default() });
    let refused = attempt(&broken);
    assert!(matches!(refused, Err(BoundedError::Prove(ProveError::Unsatisfied(_)))), "{refused:?}");
    assert_eq!(attempt(&Statement { entries: 17, ..good }), Err(BoundedError::Entries));
    let least = SMALL.prove(&Statement { entries: 1, ..good }, &[-128], NormView::Shown, seed(4));
    assert!(matches!(least, Err(BoundedError::Chunk(_))));
}

#[test]
fn a_claimed_norm_is_the_proven_one() {
    let good = statement(1, 0, 18);
    let (proof, _) = prove(&SMALL, &good, NormView::Shown);
    let mut bytes = proof.encode();
    assert_eq!(bytes[1], 0x19, "a norm of two bytes");
    bytes[3] ^= 1;
    let lied = ChunkProof::<Bn254>::decode(&bytes).unwrap();
    assert_eq!(SMALL.verifier().verify(&good, &lied), Err(VerifyError::Invalid));
}

#[test]
fn a_proof_of_another_shape_is_refused() {
    let good = statement(1, 0, 18);
    let (proof, _) = prove(&SMALL, &good, NormView::Shown);
    assert_eq!(LARGE.verifier().verify(&good, &proof), Err(VerifyError::Invalid));
    let key = SMALL.prover().key().verifying().clone();
    assert!(ChunkVerifier::new(LARGE.shape(), key.clone()).is_err());
    assert!(ChunkVerifier::new(SMALL.shape(), key).is_ok());
}

#[test]
fn a_batch_names_all_bad_proofs_wherever_they_are() {
    let verifier = SMALL.verifier();
    let statements: Vec<_> = (1..=2).map(|author| statement(author, 0, 18)).collect();
    let proofs: Vec<_> =
        statements.iter().map(|it| prove(&SMALL, it, NormView::Hidden).0).collect();
    let patterns: [fn(usize) -> bool; 6] =
        [|_| true, |k| k % 2 == 0, |k| k < 20, |k| k % 9 == 4, |k| k % 9 != 4, |k| k == 63];
    for (number, is_bad) in patterns.into_iter().enumerate() {
        let batch: Vec<_> =
            (0..64).map(|k| (&statements[0], &proofs[usize::from(is_bad(k))])).collect();
        let found: Vec<usize> = verifier.verify_batch(&batch).into_iter().collect();
        let bad: Vec<usize> = (0..64).filter(|&k| is_bad(k)).collect();
        assert_eq!(found, bad, "pattern {number}");
    }
}

#[test]
fn a_batch_names_the_one_bad_proof() {
    let verifier = SMALL.verifier();
    let statements: Vec<_> = (1..=6).map(|author| statement(author, 0, 18)).collect();
    let proofs: Vec<_> =
        statements.iter().map(|it| prove(&SMALL, it, NormView::Hidden).0).collect();
    let mut batch: Vec<_> = (0..100).map(|k| (&statements[k % 6], &proofs[k % 6])).collect();
    assert!(verifier.verify_batch(&batch).is_empty());
    batch[41].1 = &proofs[0];
    assert_eq!(verifier.verify_batch(&batch).into_iter().collect::<Vec<_>>(), [41]);
    let long = Statement { entries: 21, ..statements[0] };
    batch[8].0 = &long;
    assert_eq!(verifier.verify_batch(&batch).into_iter().collect::<Vec<_>>(), [8, 41]);
}

/// An update of three chunks over two shapes, exponents 0, 3 and 5.
struct Update {
    subject: Subject,
    verifiers: [ChunkVerifier<Bn254>; 2],
    proofs: Vec<ChunkProof<Bn254>>,
    openings: Vec<Opening<Bn254>>,
}

const EXPONENTS: [u8; 3] = [0, 3, 5];

impl Update {
    fn new(author: u8, views: [NormView; 3]) -> Self {
        let provers = [&*SMALL, &*SMALL, &*LARGE];
        let chunk = |k: usize| {
            let exponent = Exponent::new(EXPONENTS[k]).expect("made for the test");
            let bounds = Bounds::default();
            let entries = provers[k].shape().entries();
            let chunk = k as u32;
            Statement { exponent, bounds, ..statement(author, chunk, entries) }
        };
        let made = (0..3).map(|k| prove(provers[k], &chunk(k), views[k]));
        let (proofs, openings) = made.unzip();
        let verifiers = [SMALL.verifier(), LARGE.verifier()];
        Self { subject: subject(author), verifiers, proofs, openings }
    }

    fn claim<'a>(
        &'a self,
        total: SquaredNorm,
        proof: &'a TotalProof<Bn254>,
    ) -> TotalClaim<'a, Bn254> {
        TotalClaim { subject: &self.subject, summands: self.summands(), total, proof }
    }

    fn summands(&self) -> Vec<Summand<'_, Bn254>> {
        let exponent = |k: usize| Exponent::new(EXPONENTS[k]).expect("made for the test");
        (0..3)
            .map(|k| Summand {
                verifier: &self.verifiers[k / 2],
                exponent: exponent(k),
                proof: &self.proofs[k],
            })
            .collect()
    }

    fn norm(&self) -> u128 {
        let weighed = self.openings.iter().zip(EXPONENTS);
        weighed.map(|(it, e)| u128::from(it.squared_norm) << (2 * e)).sum()
    }
}

const HIDDEN: [NormView; 3] = [NormView::Hidden; 3];

#[test]
fn the_total_norm_alone_is_shown() {
    for views in
        [HIDDEN, [NormView::Shown, NormView::Hidden, NormView::Hidden], [NormView::Shown; 3]]
    {
        let update = Update::new(1, views);
        let made = prove_total(&update.subject, &update.summands(), &update.openings, seed(1));
        let (total, proof) = made.unwrap();
        assert_eq!(total.units(), update.norm());
        let keys = [2, 2, 0][views.iter().filter(|&&view| view == NormView::Shown).count().min(2)];
        let read = TotalProof::<Bn254>::decode(&proof.encode(), keys).unwrap();
        assert!(proof.encode().len() <= 5 + 96 * 2 && read == proof);
        let bound = NormBound::from_units(total.units().isqrt() as u64 + 1);
        let claim = update.claim(total, &read);
        let verify = |bound| verify_total(&claim, bound);
        assert_eq!(verify(bound), Ok(()));
        let bound = NormBound::from_units(total.units().isqrt() as u64 - 1);
        assert_eq!(verify(bound), Err(TotalError::Bound { total, bound }));
    }
}

#[test]
fn a_wrong_total_is_refused() {
    let update = Update::new(1, HIDDEN);
    let (total, proof) =
        prove_total(&update.subject, &update.summands(), &update.openings, seed(1)).unwrap();
    let bound = NormBound::from_units(u64::MAX);
    let summands = update.summands();
    let refused =
        |subject: &Subject, summands: &[Summand<'_, Bn254>], total, proof: &TotalProof<_>| {
            let claim = TotalClaim { subject, summands: summands.to_vec(), total, proof };
            let verdict = verify_total(&claim, bound);
            assert_eq!(verdict, Err(TotalError::Invalid));
        };
    let units = |units| SquaredNorm::from_units(units);
    refused(&update.subject, &summands, units(total.units() - 1), &proof);
    refused(&update.subject, &summands, units(0), &proof);
    refused(&subject(2), &summands, total, &proof);
    refused(&update.subject, &summands[1..], total, &proof);
    refused(&update.subject, &[&summands[..], &summands[..1]].concat(), total, &proof);
    let mut lighter = update.summands();
    lighter[2].exponent = Exponent::new(0).unwrap();
    refused(&update.subject, &lighter, total, &proof);
    let other = Update::new(2, HIDDEN);
    refused(&update.subject, &other.summands(), total, &proof);
    let bytes = proof.encode();
    for byte in 3..bytes.len() {
        let mut changed = bytes.clone();
        changed[byte] ^= 1;
        if let Ok(read) = TotalProof::<Bn254>::decode(&changed, 2) {
            refused(&update.subject, &summands, total, &read);
        }
    }
    assert!(TotalProof::<Bn254>::decode(&bytes, 1).is_err());
}

#[test]
fn bad_totals_among_many_are_found() {
    let updates: Vec<Update> = (1..8).map(|author| Update::new(author, HIDDEN)).collect();
    let made: Vec<_> = updates
        .iter()
        .map(|it| prove_total(&it.subject, &it.summands(), &it.openings, seed(1)).unwrap())
        .collect();
    let claims = || updates.iter().zip(&made).map(|(it, (total, proof))| it.claim(*total, proof));
    let bound = NormBound::from_units(u64::MAX);
    assert_eq!(verify_totals(&claims().collect::<Vec<_>>(), bound), vec![Ok(()); 7]);
    let mut some: Vec<_> = claims().collect();
    // Two with the proof of another, one with a lower total, one with chunks of another update.
    (some[0].proof, some[1].proof) = (&made[1].1, &made[0].1);
    some[3].total = SquaredNorm::from_units(some[3].total.units() - 1);
    some[6].summands = updates[2].summands();
    let verdicts = verify_totals(&some, bound);
    let bad: Vec<_> = (0..7).filter(|&k| verdicts[k] == Err(TotalError::Invalid)).collect();
    assert_eq!(bad, [0, 1, 3, 6]);
    assert!([2, 4, 5].iter().all(|&k| verdicts[k] == Ok(())));
    assert_eq!(verify_totals::<Bn254>(&[], bound), []);
}

/// If one coefficient served all equations, two wrong answers could make up for each other.
#[test]
fn errors_of_two_totals_do_not_cancel() {
    let update = Update::new(1, HIDDEN);
    let (total, proof) =
        prove_total(&update.subject, &update.summands(), &update.openings, seed(1)).unwrap();
    let bytes = proof.encode();
    let shifted = |by: Fr| {
        // The blinder's answer for the last key, by so much more.
        let mut bytes = bytes.clone();
        let place = bytes.len() - 32;
        let changed = Fr::from_le_bytes_mod_order(&bytes[place..]) + by;
        bytes[place..].copy_from_slice(&changed.into_bigint().to_bytes_le());
        TotalProof::<Bn254>::decode(&bytes, 2).unwrap()
    };
    let (more, less) = (shifted(Fr::from(5)), shifted(-Fr::from(5)));
    let bound = NormBound::from_units(u64::MAX);
    let verdicts = verify_totals(&[&more, &less].map(|it| update.claim(total, it)), bound);
    assert_eq!(verdicts, vec![Err(TotalError::Invalid); 2]);
}

#[test]
fn a_total_needs_the_chunks_own_openings() {
    let update = Update::new(1, HIDDEN);
    let other = Update::new(2, HIDDEN);
    let prove = |openings| prove_total(&update.subject, &update.summands(), openings, seed(1));
    assert_eq!(prove(&other.openings).map(drop), Err(TotalError::Opening));
    assert_eq!(prove(&update.openings[1..]).map(drop), Err(TotalError::Opening));
    for views in [[NormView::Shown; 3], [NormView::Shown, NormView::Hidden, NormView::Hidden]] {
        let mut update = Update::new(1, views);
        update.openings[0].squared_norm = 0;
        let made = prove_total(&update.subject, &update.summands(), &update.openings, seed(1));
        assert_eq!(made.map(drop), Err(TotalError::Opening), "less than what is shown");
    }
}

/// Chunks of one shape under two keys, with what opens their norms.
#[test]
fn norms_are_joined_under_their_own_keys() {
    let provers = [20, 21, 22, 23].map(|byte| prover_of::<Bn254>(20, byte));
    let statement = Statement { bounds: Bounds::default(), ..statement(1, 0, 20) };
    let made = provers.iter().map(|it| prove(it, &statement, NormView::Hidden));
    let (proofs, openings): (Vec<_>, Vec<_>) = made.unzip();
    let verifiers = provers.each_ref().map(ChunkProver::verifier);
    let exponent = statement.exponent;
    let summands: Vec<_> = verifiers
        .iter()
        .zip(&proofs)
        .map(|(verifier, proof)| Summand { verifier, exponent, proof })
        .collect();
    let subject = statement.subject;
    let bound = NormBound::from_units(u64::MAX);
    for keys in 1..=3 {
        let (summands, openings) = (&summands[..keys], &openings[..keys]);
        let (total, proof) = prove_total(&subject, summands, openings, seed(1)).unwrap();
        let read = TotalProof::decode(&proof.encode(), keys).unwrap();
        let mut claim =
            TotalClaim { subject: &subject, summands: summands.to_vec(), total, proof: &read };
        assert_eq!(verify_total(&claim, bound), Ok(()));
        claim.summands[0].verifier = &verifiers[3];
        assert_eq!(verify_total(&claim, bound), Err(TotalError::Invalid));
    }
    let four = prove_total(&subject, &summands, &openings, seed(1));
    assert_eq!(four.map(drop), Err(TotalError::Keys));
}

#[test]
fn one_seed_for_two_statements_shows_nothing_of_either() {
    let (one, two) = (statement(1, 0, 18), statement(1, 1, 18));
    let prove = |statement: &Statement, entries: &[i8], view| {
        SMALL.prove(statement, entries, view, seed(1)).unwrap()
    };
    let (first, second) = (entries(1, 18), entries(2, 18));
    let (proof, opening) = prove(&one, &first, NormView::Shown);
    let (same, _) = prove(&one, &first, NormView::Hidden);
    assert_eq!(same.entries(), proof.entries(), "an author makes one commitment for a statement");
    assert_ne!(prove(&two, &first, NormView::Shown).0.entries(), proof.entries());
    // If both had one blinder, their difference would commit to that of the entries without one.
    let (other, other_opening) = prove(&one, &second, NormView::Shown);
    assert_ne!(opening.entries, other_opening.entries);
    let differences: Vec<i8> = first.iter().zip(&second).map(|(a, b)| a - b).collect();
    let basis = SMALL.prover().key().basis(0);
    let unblinded = commitment_of(&basis, &differences, &Secret::new(0.into())).unwrap();
    assert_ne!(proof.entries() - other.entries(), unblinded);
}

#[test]
fn one_seed_for_two_totals_shows_no_blinder() {
    let chunk = Statement { bounds: Bounds::default(), ..statement(1, 0, 20) };
    let (proof, opening) = prove(&SMALL, &chunk, NormView::Hidden);
    let verifier = SMALL.verifier();
    let summand = Summand { verifier: &verifier, exponent: chunk.exponent, proof: &proof };
    let scalar = |bytes: &[u8]| Fr::from_le_bytes_mod_order(bytes);
    let answers = [1, 2].map(|author| {
        let openings = std::slice::from_ref(&opening);
        let made = prove_total(&subject(author), &[summand], openings, seed(1));
        let (total, proof) = made.unwrap();
        let bytes = proof.encode();
        let answers = &bytes[bytes.len() - 64..];
        // The first answer is the challenge times the total.
        (scalar(&answers[..32]) / Fr::from(total.units()), scalar(&answers[32..]))
    });
    let [(first, one), (second, two)] = answers;
    let weight = Fr::from(chunk.exponent.square_weight());
    assert_ne!(first, second, "two challenges");
    assert_ne!(one - two, (first - second) * weight * opening.norm.reveal());
}

/// What a bucket's aggregate consists of.
struct Aggregate<E: Curve> {
    basis: Basis<E>,
    terms: Vec<Term<E>>,
    weights: Vec<Weight>,
    blinders: Vec<Secret<Scalar<E>>>,
    sums: Vec<i64>,
}

impl<E: Curve> Aggregate<E> {
    fn new(prover: &ChunkProver<E>, authors: std::ops::Range<u8>) -> Self {
        let count = prover.shape().entries();
        let weight = |author: u8| {
            Weight::new(i32::from(author) - 3, Exponent::new(4).expect("made for the test"))
        };
        let authors: Vec<_> = authors.filter(|&author| weight(author).is_some()).collect();
        let weights: Vec<_> =
            authors.iter().map(|&author| weight(author).expect("made for the test")).collect();
        let basis = prover.prover().key().basis(0);
        let blinders: Vec<_> = authors
            .iter()
            .map(|&author| Secret::new(Scalar::<E>::from(u64::from(author) + 77)))
            .collect();
        let commitment =
            |(&author, blinder)| commitment_of(&basis, &entries(author, count), blinder);
        let commitments = authors.iter().zip(&blinders).map(commitment);
        let commitments: Vec<_> = commitments.collect::<Result<_, _>>().expect("they fit");
        let terms = weights.iter().zip(commitments);
        let terms = terms.map(|(&weight, commitment)| Term { weight, commitment }).collect();
        let mut sums = vec![0; count];
        for (author, weight) in authors.iter().zip(&weights) {
            let entries = entries(*author, count);
            sums.iter_mut().zip(entries).for_each(|(sum, it)| *sum += weight.get() * i64::from(it));
        }
        Self { basis, terms, weights, blinders, sums }
    }

    fn verify(&self) -> Result<(), SumError> {
        let blinder = sum_blinder(&self.weights, &self.blinders);
        let claim = SumClaim { terms: &self.terms, sums: &self.sums, blinder: &blinder };
        verify_sum(&self.basis, &claim)
    }
}

#[test]
fn a_sum_of_commitments_opens_to_the_sum() {
    assert_eq!(Aggregate::new(&*SMALL, 0..20).verify(), Ok(()));
    assert_eq!(Aggregate::new(&prover::<Bls12_381>(9), 0..6).verify(), Ok(()));
}

#[test]
fn tampered_aggregates_are_refused() {
    let check = |error, tamper: &dyn Fn(&mut Aggregate<Bn254>)| {
        let mut aggregate = Aggregate::new(&*SMALL, 0..20);
        tamper(&mut aggregate);
        assert_eq!(aggregate.verify(), Err(error));
    };
    let heavier = Weight::new(9, Exponent::new(0).unwrap()).unwrap();
    check(SumError::Wrong, &|it| it.sums[3] += 1);
    check(SumError::Wrong, &|it| it.sums.swap(0, 1));
    check(SumError::Wrong, &|it| it.sums.truncate(19));
    check(SumError::Wrong, &|it| it.terms.truncate(18));
    check(SumError::Wrong, &|it| it.terms[2].weight = heavier);
    check(SumError::Wrong, &|it| it.blinders[0] = Secret::new(5.into()));
    check(SumError::Wrong, &|it| it.terms[1].commitment = -it.terms[1].commitment);
    check(SumError::Repeated(4, 5), &|it| it.terms[5] = it.terms[4]);
    check(SumError::Entries { found: 21, entries: 20 }, &|it| it.sums.push(0));
    check(SumError::Terms(0), &|it| it.terms.clear());
    let wide = Weight::new(i32::MAX, Exponent::new(24).unwrap()).unwrap();
    check(SumError::Wide, &|it| it.terms.iter_mut().for_each(|term| term.weight = wide));
}

#[test]
fn epochs_are_checked_together() {
    let aggregates: Vec<_> = (0..9).map(|k| Aggregate::new(&*SMALL, k..k + 9)).collect();
    let blinders: Vec<_> =
        aggregates.iter().map(|it| sum_blinder(&it.weights, &it.blinders)).collect();
    let mut sums: Vec<_> = aggregates.iter().map(|it| it.sums.clone()).collect();
    let verify = |count: usize, sums: &[Vec<i64>]| {
        let claims = aggregates.iter().zip(sums).zip(&blinders).take(count);
        let claims =
            claims.map(|((it, sums), blinder)| SumClaim { terms: &it.terms, sums, blinder });
        verify_sums(&aggregates[0].basis, &claims.collect::<Vec<_>>())
    };
    assert_eq!((verify(3, &sums), verify(9, &sums)), (Ok(()), Ok(())));
    sums[2][7] -= 1;
    sums[6][7] += 1;
    assert_eq!(verify(3, &sums), Err((2, SumError::Wrong)));
    assert_eq!(verify(9, &sums), Err((2, SumError::Wrong)));
}

#[test]
fn a_payload_that_was_not_proven_is_found() {
    let statement = statement(1, 0, 18);
    let (proof, opening) = prove(&SMALL, &statement, NormView::Shown);
    let basis = SMALL.prover().key().basis(0);
    let mut payload = entries_of(&statement);
    assert_eq!(commitment_of(&basis, &payload, &opening.entries), Ok(proof.entries()));
    payload[4] += 1;
    assert_ne!(commitment_of(&basis, &payload, &opening.entries), Ok(proof.entries()));
    let long = commitment_of(&basis, &[0; 21], &opening.entries);
    assert_eq!(long, Err(SumError::Entries { found: 21, entries: 20 }));
    assert_eq!(format!("{opening:?}"), "Opening(..)");
}

#[test]
fn a_sum_needs_weights_that_count() {
    let exponent = |it| Exponent::new(it).unwrap();
    assert_eq!(Weight::new(0, exponent(3)), None);
    assert_eq!(Weight::new(-5, exponent(3)).map(Weight::get), Some(-40));
}
