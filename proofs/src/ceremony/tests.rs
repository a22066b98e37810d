//! Ceremonies of small circuits on both curves: honest ones, and every way to cheat that has a name.

use std::collections::BTreeSet;
use std::num::NonZeroUsize;
use std::sync::LazyLock;

use ark_bls12_381::Bls12_381;
use ark_bn254::{Bn254, Fr};
use ark_ec::{AffineRepr, CurveGroup};
use ark_ff::{AdditiveGroup, One};
use longhaul_aggregation::Epoch;
use longhaul_dtn::hash::ContentHash;
use longhaul_dtn::identity::{PeerId, SecretKey};
use proptest::prelude::*;

use super::contribution::{Header, seal, statement};
use super::knowledge::Knowledge;
use super::*;
use crate::cp::{KeyError, Layout, Origin, PointError, ProvingKey, R1cs, Wire};
use crate::curve::{Curve, PointOne, PointTwo, Scalar};
use crate::s1::{Bounds, ChunkProver, Exponent, NormView, Shape, Statement, Subject, circuit};
use crate::seed::{Secret, Seed};

/// A circuit of 20 entries has some 375 rows.
const SIZE: u32 = 9;

fn seed(byte: u8) -> Seed {
    Seed::from_bytes([byte; 32])
}

fn peer(byte: u8) -> PeerId {
    SecretKey::from_seed(&[byte; 32]).peer_id()
}

fn members() -> BTreeSet<PeerId> {
    (1..10).map(peer).collect()
}

fn policy(contributors: usize) -> Policy {
    Policy { contributors_min: NonZeroUsize::new(contributors).expect("made for the test") }
}

fn system<E: Curve>() -> R1cs<Scalar<E>> {
    circuit(Shape::new(20).expect("made for the test"))
}

/// A chain of which each peer in turn makes a contribution.
fn grow<S: Stage>(mut chain: Chain<S>, peers: &[u8]) -> Chain<S> {
    for &byte in peers {
        let bytes = chain.contribute(peer(byte), seed(byte));
        assert_eq!(bytes.len(), chain.contribution_bytes());
        let step = chain.extend(&bytes, peer(byte), &seed(99)).expect("an honest contribution");
        assert_eq!((step.contributor, step.hash), (peer(byte), chain.head()));
    }
    chain
}

fn powers<E: Curve>(log: u32) -> FinishedPowers<E> {
    let start = Chain::powers(LogSize::new(log).expect("made for the test"), members());
    grow(start, &[1, 2]).finish(policy(2)).expect("two contributed")
}

fn draft<E: Curve>() -> Chain<Draft<E>> {
    Chain::circuit(&system::<E>(), &powers(SIZE), members()).expect("the powers are large enough")
}

/// Phase 2 with one contribution, so that nothing is the generator any more.
static DRAFT: LazyLock<Chain<Draft<Bn254>>> = LazyLock::new(|| grow(tiny_draft(), &[1]));
static TAU: LazyLock<Chain<Powers<Bn254>>> = LazyLock::new(|| grow(tiny_powers(), &[1]));

fn tiny_powers() -> Chain<Powers<Bn254>> {
    Chain::powers(LogSize::new(3).expect("made for the test"), members())
}

/// `challenge * block 1 = free` and `free * block 2 = free`; a third free wire is not used.
fn tiny() -> R1cs<Fr> {
    let mut system = R1cs::new(Layout { public: 0, blocks: vec![1, 1], showable: 1, free: 3 });
    let at = |position| vec![(Wire::at(position), Fr::one())];
    system.push(at(1), at(2), at(4));
    system.push(at(4), at(3), at(5));
    system
}

fn tiny_draft() -> Chain<Draft<Bn254>> {
    Chain::circuit(&tiny(), &powers(3), members()).expect("the powers are large enough")
}

fn proves<E: Curve>() {
    let chain = grow(draft::<E>(), &[3, 4, 5]);
    assert_eq!(chain.steps().len(), 3);
    let key: ProvingKey<E> = chain.finish(policy(3)).expect("three contributed");
    assert_eq!(key.verifying().origin(), Origin::Ceremony);
    assert_eq!((key.verifying().check(), key.verifying().require_ceremony()), (Ok(()), Ok(())));
    let bytes = key.encode();
    assert_eq!(
        ProvingKey::decode(&bytes, &system::<E>(), ContentHash::of(&bytes)),
        Ok(key.clone())
    );
    let prover = ChunkProver::new(Shape::new(20).expect("made for the test"), key).unwrap();
    let entries: Vec<i8> = (-9..9).collect();
    let statement = bounded_by(600, entries.len());
    let (proof, _) = prover.prove(&statement, &entries, NormView::Shown, seed(6)).unwrap();
    assert_eq!(prover.verifier().verify(&statement, &proof), Ok(()));
    assert!(prover.verifier().verify(&bounded_by(601, entries.len()), &proof).is_err());
}

fn bounded_by(squared_norm: u64, entries: usize) -> Statement {
    let hash = ContentHash::of(b"test");
    let epoch = Epoch::new(1);
    let subject = Subject { federation: hash, author: peer(1), epoch, base: hash, payload: hash };
    let bounds = Bounds { squared_norm: Some(squared_norm), ..Bounds::default() };
    let exponent = Exponent::new(4).expect("made for the test");
    Statement { subject, chunk: 0, entries, exponent, bounds }
}

#[test]
fn a_key_of_three_contributors_proves_on_bn254() {
    proves::<Bn254>();
}

#[test]
fn a_key_of_three_contributors_proves_on_bls12_381() {
    proves::<Bls12_381>();
}

/// The queries are those of a setup that knows its secrets.
#[test]
fn a_draft_begins_as_the_development_setup_does() {
    let (tau, alpha, beta) = (Fr::from(1_234_567), Fr::from(77), Fr::from(91));
    let start = Powers::<Bn254>::start(LogSize::new(4).unwrap());
    let powers = powers::FinishedPowers(start.scaled(&[tau, alpha, beta].map(Secret::new)));
    let separators = [3_u64, 5, 7, 11].map(|it| Secret::new(Fr::from(it)));
    let chain = Chain::circuit(&tiny(), &powers, members()).unwrap();
    let made = chain.stage().scaled(&separators).key().unwrap();
    let [gamma, delta, blocks @ ..] = &separators;
    let toxic = [&alpha, &beta, gamma.reveal(), delta.reveal(), &tau].map(|it| Secret::new(*it));
    let mut expected = crate::cp::key_of_secrets(&tiny(), toxic, blocks.to_vec());
    expected.verifying.origin = Origin::Ceremony;
    assert_eq!(made, expected);
}

#[test]
fn the_same_seed_gives_the_same_bytes() {
    let make = |byte| DRAFT.contribute(peer(2), seed(byte));
    assert_eq!(make(7), make(7));
    assert_ne!(make(7), make(8));
    let secrets_differ = DRAFT.contribute(peer(3), seed(7));
    assert_ne!(make(7)[200..], secrets_differ[200..], "a seed used by two gives other secrets");
    let make = |byte| TAU.contribute(peer(2), seed(byte));
    assert_eq!(make(7), make(7));
}

#[test]
fn powers_are_read_as_they_are_written() {
    let finished = powers::<Bn254>(3);
    let powers = finished.powers();
    let bytes = powers.encode();
    let read = Powers::decode(powers.size(), &bytes, &seed(1)).unwrap();
    assert_eq!(read.clone().pinned(powers.hash()), Ok(finished.clone()));
    let (found, pinned) = (powers.hash(), ContentHash::of(b"other powers"));
    assert_eq!(read.pinned(pinned), Err(BeginError::Pinned { found, pinned }));
    let length = Err(Refusal::Point(PointError::Length));
    assert_eq!(Powers::<Bn254>::decode(powers.size(), &bytes[1..], &seed(1)), length);
    let smaller = LogSize::new(2).unwrap();
    assert!(Powers::<Bn254>::decode(smaller, &bytes, &seed(1)).is_err());
    let mut swapped = bytes.clone();
    swapped[32..96].rotate_left(32);
    let refusal = Err(Refusal::Ratio(Part::Tau));
    assert_eq!(Powers::<Bn254>::decode(powers.size(), &swapped, &seed(1)), refusal);
    assert_eq!((LogSize::new(0), LogSize::new(LOG_SIZE_MAX + 1)), (None, None));
}

#[test]
fn powers_without_a_contribution_begin_nothing() {
    let start = powers::FinishedPowers(Powers::<Bn254>::start(LogSize::new(3).unwrap()));
    assert_eq!(Chain::circuit(&tiny(), &start, members()).err(), Some(BeginError::Tau));
    let small = powers::<Bn254>(SIZE - 1);
    let error = Some(BeginError::Size { circuit: 512, powers: 256 });
    assert_eq!(Chain::circuit(&system::<Bn254>(), &small, members()).err(), error);
}

#[test]
fn too_few_contributors_make_no_key() {
    let chain = grow(tiny_draft(), &[3, 4]);
    let error = FinishError::Contributors { found: 2, needed: 3 };
    assert_eq!(chain.finish(policy(3)), Err(error.clone()));
    assert!(chain.finish(policy(2)).is_ok());
    assert_eq!(
        TAU.clone().finish(policy(2)).err(),
        Some(FinishError::Contributors { found: 1, needed: 2 })
    );
    let none = tiny_draft().finish(policy(1)).err();
    assert_eq!(none, Some(FinishError::Contributors { found: 0, needed: 1 }));
    assert_eq!(tiny_draft().stage().key().err(), Some(KeyError::Generator));
}

#[test]
fn forks_are_resolved_by_the_number_of_members() {
    let short = grow(DRAFT.clone(), &[2]);
    let three = grow(DRAFT.clone(), &[2, 3]);
    let others = grow(DRAFT.clone(), &[3, 2]);
    let ceremony = DRAFT.ceremony();
    let best = |chains: &[&Chain<Draft<Bn254>>]| {
        super::best(ceremony, chains.iter().map(|chain| (*chain).clone())).map(|it| it.head())
    };
    assert_eq!(best(&[&DRAFT, &short]), Some(short.head()));
    assert_eq!(best(&[&short, &three, &DRAFT]), Some(three.head()));
    let tie = Some(three.head().min(others.head()));
    assert_eq!((best(&[&three, &others]), best(&[&others, &three])), (tie, tie));
    let foreign = Chain::circuit(&tiny(), &powers(4), members()).unwrap();
    assert_eq!(best(&[&foreign]), None);
}

#[test]
fn only_members_contribute_each_once_and_under_their_own_signature() {
    let take = |contributor: u8, signer: u8| {
        let bytes = DRAFT.contribute(peer(contributor), seed(contributor));
        DRAFT.clone().extend(&bytes, peer(signer), &seed(50)).map(|step| step.contributor)
    };
    let signer = Refusal::Signer { named: peer(2), signed_by: peer(3) };
    assert_eq!(take(2, 2), Ok(peer(2)));
    assert_eq!(take(2, 3), Err(signer.clone()));
    assert_eq!(take(40, 40), Err(Refusal::Member(peer(40))));
    assert_eq!(take(1, 1), Err(Refusal::Again(peer(1))), "the chain has one by this member");
    let named = [signer, Refusal::Member(peer(2)), Refusal::Again(peer(2))];
    assert!(named.iter().all(|it| it.to_string().contains(&peer(2).to_string())));
    let alone = Chain::circuit(&tiny(), &powers::<Bn254>(3), BTreeSet::from([peer(5)])).unwrap();
    assert_eq!(grow(alone, &[5]).finish(policy(1)).map(drop), Ok(()));
}

/// A message of the right length costs no more than its separators, until its maker shows that it knows its factors.
#[test]
fn junk_is_refused_before_its_points_are_read() {
    let mut bytes = DRAFT.contribute(peer(2), seed(2));
    let Points { ones, .. } = grow(DRAFT.clone(), &[2]).stage().points();
    let written = crate::cp::points::Form::Uncompressed;
    let mut point = Vec::new();
    crate::cp::points::write(&ones[1..2], written, &mut point);
    let place = bytes.windows(64).position(|window| window == point).unwrap();
    bytes[place..place + 64].fill(0xff);
    assert_eq!(refusal(&DRAFT, &bytes), Some(Refusal::Knowledge));
}

#[test]
fn a_whole_chain_is_verified_and_its_fault_located() {
    let mut chain = tiny_draft();
    let mut all = Vec::new();
    for byte in [4, 5, 6] {
        all.push((peer(byte), chain.contribute(peer(byte), seed(byte))));
        chain.extend(&all[all.len() - 1].1, peer(byte), &seed(9)).unwrap();
    }
    let verify = |all: &[(PeerId, Vec<u8>)]| {
        let signed = all.iter().map(|(signed_by, bytes)| (*signed_by, bytes.as_slice()));
        tiny_draft().verify(signed, &seed(8))
    };
    assert_eq!(verify(&all), Ok(chain));
    let skipped = verify(&[all[0].clone(), all[2].clone()]).unwrap_err();
    assert_eq!(skipped.position, 1);
    assert!(matches!(skipped.refusal, Refusal::Predecessor { .. }));
    let header = Header::peek::<Bn254>(&all[1].1).unwrap();
    assert_eq!(header.contributor, peer(5));
    assert_eq!(Header::peek::<Bls12_381>(&all[1].1), Err(Refusal::Curve("bls12-381")));
}

/// A contribution by somebody who knows `secrets`, and then changes points before proving so.
fn forged<S: Stage>(
    chain: &Chain<S>,
    secrets: &[Secret<Scalar<S::Curve>>],
    change: impl FnOnce(&mut Points<S::Curve>),
) -> Vec<u8> {
    let header =
        Header { ceremony: chain.ceremony(), predecessor: chain.head(), contributor: peer(7) };
    let mut points = chain.stage().scaled(secrets).points();
    change(&mut points);
    let statement = statement(&header, &points);
    let bases = chain.stage().separators();
    let knowledge = Knowledge::<S::Curve>::prove(&bases, secrets, &statement, &seed(7));
    seal(statement, &knowledge)
}

fn secrets(values: &[u64]) -> Vec<Secret<Fr>> {
    values.iter().map(|value| Secret::new(Fr::from(*value))).collect()
}

/// Why a contribution is refused that is signed by whom it names.
fn refusal<S: Stage>(chain: &Chain<S>, bytes: &[u8]) -> Option<Refusal> {
    let named = Header::peek::<S::Curve>(bytes).map(|header| header.contributor);
    chain.clone().extend(bytes, named.unwrap_or(peer(2)), &seed(50)).err()
}

fn double<G: AffineRepr>(point: &mut G) {
    *point = point.into_group().double().into_affine();
}

type Change = fn(&mut Points<Bn254>);

#[test]
fn changed_points_of_a_key_are_refused_and_named() {
    // Gamma and 2 inputs; delta, 2 free wires and 3 of the quotient; each block's delta and its base.
    let honest = forged(&DRAFT, &secrets(&[3, 5, 7, 11]), |_| {});
    assert_eq!(refusal(&DRAFT, &honest), None);
    let cases: [(Change, Refusal); 8] = [
        (|it| double(&mut it.ones[1]), Refusal::Ratio(Part::Gamma)),
        (|it| double(&mut it.ones[4]), Refusal::Ratio(Part::Delta)),
        (|it| it.ones.swap(4, 5), Refusal::Ratio(Part::Delta)),
        (|it| it.ones.last_mut().into_iter().for_each(double), Refusal::Ratio(Part::Block(1))),
        (|it| double(&mut it.twos[0]), Refusal::Ratio(Part::Gamma)),
        (|it| double(&mut it.twos[2]), Refusal::Ratio(Part::Block(0))),
        (|it| double(&mut it.ones[0]), Refusal::Knowledge),
        (
            |it| it.twos[1] = PointTwo::<Bn254>::generator(),
            Refusal::Separators(KeyError::Generator),
        ),
    ];
    for (number, (change, expected)) in cases.into_iter().enumerate() {
        let bytes = forged(&DRAFT, &secrets(&[3, 5, 7, 11]), change);
        assert_eq!(refusal(&DRAFT, &bytes), Some(expected), "case {number}");
    }
}

#[test]
fn a_query_under_another_scalar_is_refused() {
    let scaled = |it: &mut Points<Bn254>| {
        let factor = Fr::from(9);
        it.ones[4..8].iter_mut().for_each(|point| *point = (*point * factor).into_affine());
    };
    let bytes = forged(&DRAFT, &secrets(&[3, 5, 7, 11]), scaled);
    assert_eq!(refusal(&DRAFT, &bytes), Some(Refusal::Ratio(Part::Delta)));
}

/// Whoever changes any one point and proves knowledge over the changed message is refused all the same.
#[test]
fn every_point_alone_is_held() {
    fn check<S: Stage<Curve = Bn254>>(chain: &Chain<S>, factors: &[u64]) {
        let counts = chain.stage().point_counts();
        for index in 0..counts.ones + counts.twos {
            let change = |it: &mut Points<Bn254>| match index.checked_sub(counts.ones) {
                None => double(&mut it.ones[index]),
                Some(index) => double(&mut it.twos[index]),
            };
            let bytes = forged(chain, &secrets(factors), change);
            assert!(refusal(chain, &bytes).is_some(), "point {index}");
        }
    }
    check(&DRAFT, &[3, 5, 7, 11]);
    check(&TAU, &[3, 5, 7]);
}

#[test]
fn separators_that_stay_or_meet_are_refused() {
    for (values, expected) in [
        ([1, 5, 7, 11], Refusal::Unchanged(Part::Gamma)),
        ([3, 1, 7, 11], Refusal::Unchanged(Part::Delta)),
        ([3, 5, 7, 1], Refusal::Unchanged(Part::Block(1))),
    ] {
        let bytes = forged(&DRAFT, &secrets(&values), |_| {});
        assert_eq!(refusal(&DRAFT, &bytes), Some(expected), "{values:?}");
    }
    let start = tiny_draft();
    let equal = forged(&start, &secrets(&[3, 3, 7, 11]), |_| {});
    assert_eq!(refusal(&start, &equal), Some(Refusal::Separators(KeyError::Repeated)));
    let opposite = [Fr::from(3), Fr::from(5), Fr::from(7), -Fr::from(5)].map(Secret::new);
    let opposite = forged(&start, &opposite, |_| {});
    assert_eq!(refusal(&start, &opposite), Some(Refusal::Separators(KeyError::Repeated)));
}

#[test]
fn changed_powers_are_refused_and_named() {
    // 14 powers, 8 times alpha, 8 times beta; in G2 7 powers and beta.
    let cases: [(Change, Refusal); 8] = [
        (|it| double(&mut it.ones[5]), Refusal::Ratio(Part::Tau)),
        (|it| double(&mut it.ones[13]), Refusal::Ratio(Part::Tau)),
        (|it| double(&mut it.ones[15]), Refusal::Ratio(Part::Alpha)),
        (|it| double(&mut it.ones[29]), Refusal::Ratio(Part::Beta)),
        (|it| double(&mut it.twos[3]), Refusal::Ratio(Part::TauTwo)),
        (|it| double(&mut it.twos[0]), Refusal::Ratio(Part::Tau)),
        (|it| double(&mut it.twos[7]), Refusal::Ratio(Part::Beta)),
        (|it| double(&mut it.ones[14]), Refusal::Knowledge),
    ];
    assert_eq!(refusal(&TAU, &forged(&TAU, &secrets(&[3, 5, 7]), |_| {})), None);
    for (number, (change, expected)) in cases.into_iter().enumerate() {
        let bytes = forged(&TAU, &secrets(&[3, 5, 7]), change);
        assert_eq!(refusal(&TAU, &bytes), Some(expected), "case {number}");
    }
    for (values, part) in
        [([1, 5, 7], Part::Tau), ([3, 1, 7], Part::Alpha), ([3, 5, 1], Part::Beta)]
    {
        let bytes = forged(&TAU, &secrets(&values), |_| {});
        assert_eq!(refusal(&TAU, &bytes), Some(Refusal::Unchanged(part)));
    }
}

/// The bytes of a contribution with another contributor, without a new proof.
fn renamed(bytes: &[u8], from: PeerId, to: PeerId) -> Vec<u8> {
    let place = bytes.windows(32).position(|window| window == from.as_bytes()).unwrap();
    let mut renamed = bytes.to_vec();
    renamed[place..place + 32].copy_from_slice(to.as_bytes());
    renamed
}

#[test]
fn proofs_of_knowledge_serve_one_contributor_and_place() {
    let bytes = DRAFT.contribute(peer(2), seed(2));
    assert_eq!(refusal(&DRAFT, &renamed(&bytes, peer(2), peer(3))), Some(Refusal::Knowledge));
    let other = DRAFT.contribute(peer(3), seed(3));
    let proofs = bytes.len() - (4 * 64 + 4);
    for (left, right) in [(&bytes, &other), (&other, &bytes)] {
        let swapped = [&left[..proofs], &right[proofs..]].concat();
        assert_eq!(refusal(&DRAFT, &swapped), Some(Refusal::Knowledge));
    }
    let mut next = DRAFT.clone();
    next.extend(&bytes, peer(2), &seed(1)).unwrap();
    let found = DRAFT.head();
    let expected = next.head();
    assert_eq!(refusal(&next, &bytes), Some(Refusal::Again(peer(2))));
    assert_eq!(refusal(&next, &other), Some(Refusal::Predecessor { found, expected }));
    let place = other.windows(32).position(|window| window == found.as_bytes()).unwrap();
    let mut moved = other.clone();
    moved[place..place + 32].copy_from_slice(expected.as_bytes());
    assert_eq!(refusal(&next, &moved), Some(Refusal::Knowledge));
}

#[test]
fn contributions_to_another_ceremony_are_refused() {
    let mut other_system = tiny();
    other_system.push(vec![], vec![], vec![]);
    let powers = powers::<Bn254>(3);
    let other = Chain::circuit(&other_system, &powers, members()).unwrap();
    let bytes = other.contribute(peer(2), seed(2));
    let mine = Chain::circuit(&tiny(), &powers, members()).unwrap();
    let (found, expected) = (other.ceremony(), mine.ceremony());
    assert_eq!(refusal(&mine, &bytes), Some(Refusal::Ceremony { found, expected }));
    let phase_one = TAU.contribute(peer(2), seed(2));
    assert!(matches!(refusal(&DRAFT, &phase_one), Some(Refusal::Ceremony { .. })));
}

#[test]
fn points_are_read_strictly() {
    let bytes = DRAFT.contribute(peer(2), seed(2));
    let mut first = Vec::new();
    let points = grow(DRAFT.clone(), &[2]).stage().points();
    crate::cp::points::write(&points.ones[..1], crate::cp::points::Form::Uncompressed, &mut first);
    let place = bytes.windows(64).position(|window| window == first).unwrap();
    let with = |point: [u8; 64]| {
        let mut changed = bytes.clone();
        changed[place..place + 64].copy_from_slice(&point);
        refusal(&DRAFT, &changed)
    };
    let mut identity = [0; 64];
    identity[63] = 0x40;
    assert_eq!(with(identity), Some(Refusal::Point(PointError::Identity)));
    assert_eq!(with([0xff; 64]), Some(Refusal::Point(PointError::NotInGroup)));
    // What is no separator is read behind a proof of knowledge that covers it.
    let header =
        Header { ceremony: DRAFT.ceremony(), predecessor: DRAFT.head(), contributor: peer(7) };
    let factors = secrets(&[3, 5, 7, 11]);
    let mut statement = statement(&header, &DRAFT.stage().scaled(&factors).points());
    let last = statement.len() - (4 * 128 + 3) - 64;
    statement[last..last + 64].copy_from_slice(&identity);
    let bases = DRAFT.stage().separators();
    let knowledge = Knowledge::<Bn254>::prove(&bases, &factors, &statement, &seed(7));
    let sealed = seal(statement, &knowledge);
    assert_eq!(refusal(&DRAFT, &sealed), Some(Refusal::Point(PointError::Identity)));
    let mut scalar = bytes.clone();
    let end = scalar.len();
    scalar[end - 32..].fill(0xff);
    assert_eq!(refusal(&DRAFT, &scalar), Some(Refusal::Scalar));
}

#[test]
fn no_prefix_of_a_contribution_is_one() {
    let bytes = DRAFT.contribute(peer(2), seed(2));
    for len in 0..bytes.len() {
        let error = refusal(&DRAFT, &bytes[..len]).expect("a prefix is refused");
        assert!(matches!(error, Refusal::Malformed(_)), "{len}: {error}");
    }
    let longer = [&bytes[..], &[0]].concat();
    assert!(matches!(refusal(&DRAFT, &longer), Some(Refusal::Malformed(_))));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn a_changed_byte_is_refused(place in any::<prop::sample::Index>(), with in 1_u8..) {
        let bytes = DRAFT.contribute(peer(2), seed(2));
        let mut changed = bytes;
        let place = place.index(changed.len());
        changed[place] ^= with;
        prop_assert!(refusal(&DRAFT, &changed).is_some(), "byte {place}");
    }

    #[test]
    fn any_bytes_are_refused_without_a_panic(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
        prop_assert!(refusal(&DRAFT, &bytes).is_some());
        prop_assert!(refusal(&TAU, &bytes).is_some());
    }
}

#[test]
fn generators_are_never_sent() {
    let points: Points<Bn254> = TAU.stage().points();
    assert!(!points.ones.contains(&PointOne::<Bn254>::generator()));
    let counts = TAU.stage().point_counts();
    assert_eq!((points.ones.len(), points.twos.len()), (counts.ones, counts.twos));
}
