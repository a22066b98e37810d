//! Aggregates: a bucket's updates as one sum, taken from whoever made it, and all that is refused.

use std::sync::LazyLock;

use longhaul_aggregation::compress::{SumScale, SumsError, decode_sums, encode_sums};
use longhaul_aggregation::{
    Admitted, Buckets, Clip, Epoch, Fold, HeaderHash, HeaderKind, MemberIndex, Previous, Recipe,
    Refusal, Rule, SumInserted, Update, admit as admit_update,
};
use longhaul_dtn::bundle::BundleHead;
use longhaul_dtn::hash::ContentHash;
use longhaul_proofs::s2::SumError;
use longhaul_proofs::update::AggregateError;
use longhaul_registry::aggregate::{HEADS_MIN, admit, make};
use longhaul_registry::{
    Aggregate, AggregateHeader, AggregateRefusal, FederationId, HeadRefusal, MakeAggregateError,
    Manifest, ProofCurve, ProofRefusal, SignedManifest, TermsError,
};
use proptest::prelude::*;

use crate::proving::{prove, proven, prover};
use crate::world::{Author, Published, key, manifest, prepare, private, seal};

const EPOCH: Epoch = Epoch::new(0);

/// A federation whose buckets are known by their sums.
fn bucketed(manifest: Manifest) -> Manifest {
    let recipe = Recipe { buckets: Buckets::Drawn(2), ..Recipe::plain(Rule::Mean, Clip::None, 3) };
    Manifest { recipe, attacker_share_permille: 0, aggregates: Some(2), ..manifest }
}

/// Five members' updates of epoch 0, and who holds them all.
struct World {
    manifest: SignedManifest,
    made: Vec<(Published, Admitted)>,
    full: Fold,
}

static WORLD: LazyLock<World> = LazyLock::new(|| World::new(ProofCurve::Bn254));

impl World {
    fn new(curve: ProofCurve) -> Self {
        let manifest = bucketed(proven(manifest(), curve)).sign(&key(1)).unwrap();
        let mut full = manifest.fold();
        let mut made = Vec::new();
        for number in 1..=5 {
            let published = Author::new(number).publish(&manifest, &mut manifest.fold(), 0, 0);
            let admitted = admitted(&manifest, &published);
            full.insert(admitted.clone());
            made.push((published, admitted));
        }
        Self { manifest, made, full }
    }

    /// The updates of the larger bucket (three) or the smaller one (two).
    fn bucket(&self, larger: bool) -> Vec<(&BundleHead, &Update)> {
        let mut buckets = self.full.buckets(EPOCH);
        buckets.sort_by_key(|it| it.slots.len());
        let bucket = if larger { buckets.pop() } else { buckets.into_iter().next() }.unwrap();
        assert!(bucket.is_whole());
        let find = |(member, _): &(_, _)| {
            let (published, admitted) =
                self.made.iter().find(|(_, it)| it.author == *member).unwrap();
            (&published.head, &admitted.update)
        };
        bucket.slots.iter().map(find).collect()
    }

    fn make(&self, updates: &[(&BundleHead, &Update)]) -> Result<Vec<u8>, MakeAggregateError> {
        make(&self.manifest, &*prover(&self.manifest), EPOCH, updates).map(|it| it.0)
    }

    /// The aggregate of the larger bucket.
    fn good(&self) -> Aggregate {
        let bytes = self.make(&self.bucket(true)).unwrap();
        Aggregate::decode(&bytes, &self.manifest).unwrap()
    }

    fn refused(&self, aggregate: &Aggregate) -> AggregateRefusal {
        admit(&self.manifest, &*prover(&self.manifest), &aggregate.encode()).unwrap_err()
    }

    /// What is said of the good aggregate with another head in the second place.
    fn with_head(&self, head: Vec<u8>) -> AggregateRefusal {
        let mut aggregate = self.good();
        aggregate.heads[1] = head;
        self.refused(&aggregate)
    }

    /// The key of the second member of the larger bucket, and its update.
    fn second(&self) -> (u8, &Published, &Admitted) {
        let (head, _) = self.bucket(true)[1];
        let find = |(published, _): &&(Published, Admitted)| published.head == *head;
        let (published, admitted) = self.made.iter().find(find).unwrap();
        let number = (1..=5).find(|&number| key(number).peer_id() == head.signer()).unwrap();
        (number, published, admitted)
    }
}

fn admitted(manifest: &SignedManifest, made: &Published) -> Admitted {
    let author = manifest.manifest().member_index(&made.head.author());
    let policy = manifest.admission_policy();
    let mut admitted =
        admit_update(&policy, author, made.head.header(), made.clear.clone()).unwrap();
    admitted.header_hash = manifest.slot_name(&made.head, admitted.header_hash).unwrap();
    admitted
}

fn head_refused(error: HeadRefusal) -> AggregateRefusal {
    AggregateRefusal::Head { at: 1, error }
}

fn heads_and_sums_make_the_model(world: &World) {
    let prover = prover(&world.manifest);
    let mut bare = world.manifest.fold();
    for larger in [true, false] {
        let bytes = world.make(&world.bucket(larger)).unwrap();
        assert!(bytes.len() <= world.manifest.aggregate_bytes_max());
        let found = admit(&world.manifest, &*prover, &bytes).unwrap();
        assert_eq!(found.heads.len(), if larger { 3 } else { 2 });
        for (head, admitted) in found.heads {
            assert_eq!(head.signer(), world.manifest.manifest().members[admitted.author.index()]);
            bare.insert_head(admitted);
        }
        assert_eq!(bare.insert_sum(found.sum), Ok(SumInserted::New));
    }
    assert_eq!(bare.set_root(), world.full.set_root());
    assert_eq!(bare.complete_model_id(), Some(world.full.clone().model_id()));
}

#[test]
fn who_gets_aggregates_holds_the_model_of_who_holds_payloads() {
    heads_and_sums_make_the_model(&WORLD);
}

#[test]
fn the_same_holds_on_the_other_curve() {
    heads_and_sums_make_the_model(&World::new(ProofCurve::Bls12381));
}

#[test]
fn an_aggregate_has_one_form_whoever_makes_it() {
    let mut updates = WORLD.bucket(true);
    let bytes = WORLD.make(&updates).unwrap();
    updates.reverse();
    assert_eq!(WORLD.make(&updates), Ok(bytes.clone()));
    let read = Aggregate::decode(&bytes, &WORLD.manifest).unwrap();
    assert_eq!((read.epoch, read.federation), (EPOCH, WORLD.manifest.id()));
    assert_eq!(read.encode(), bytes);
    assert_eq!(bytes[..12], *b"\x87\x69aggregate\x01");
}

#[test]
fn federations_that_ask_for_none_have_no_aggregates() {
    let without = Manifest { aggregates: None, ..bucketed(proven(manifest(), ProofCurve::Bn254)) };
    let without = without.sign(&key(1)).unwrap();
    assert_eq!((without.takes_aggregates(), without.aggregate_bytes_max()), (false, 0));
    let found = admit(&without, &*prover(&without), &WORLD.make(&WORLD.bucket(true)).unwrap());
    assert_eq!(found.map(drop), Err(AggregateRefusal::NoAggregates));
    assert!(WORLD.manifest.takes_aggregates());
    assert_eq!(WORLD.manifest.manifest().aggregates, Some(2));
}

#[test]
fn aggregates_are_for_federations_with_sums_and_proofs_in_clear() {
    let good = || bucketed(proven(manifest(), ProofCurve::Bn254));
    let recipe = Recipe { buckets: Buckets::None, ..good().recipe };
    let seal = longhaul_aggregation::SealPolicy { window_epochs: 1, every_epochs: 1 };
    for (wrong, manifest) in [
        ("more of a bucket", Manifest { recipe, ..good() }),
        ("not proved", Manifest { proofs: None, ..good() }),
        ("private", bucketed(proven(private(), ProofCurve::Bn254))),
        ("at least one epoch", Manifest { aggregates: Some(0), ..good() }),
        ("no longer than", Manifest { aggregates: Some(good().epochs + 1), ..good() }),
        ("sealed", Manifest { seal: Some(seal), ..good() }),
    ] {
        let found = manifest.sign(&key(1)).map(drop).unwrap_err().to_string();
        assert!(found.contains(wrong), "{wrong}: {found}");
    }
    // It is part of what is signed.
    let other = Manifest { aggregates: Some(3), ..good() }.sign(&key(1)).unwrap();
    assert_ne!(other.id(), WORLD.manifest.id());
    let read = SignedManifest::decode(other.as_bytes()).unwrap();
    assert_eq!(read.manifest().aggregates, Some(3));
}

#[test]
fn cut_and_longer_bytes_are_refused() {
    let bytes = WORLD.good().encode();
    let prover = prover(&WORLD.manifest);
    for end in 0..bytes.len() {
        let found = Aggregate::decode(&bytes[..end], &WORLD.manifest).unwrap_err();
        assert_eq!(found.code(), 220, "cut at {end}: {found}");
    }
    let longer = [&bytes[..], &[0]].concat();
    assert_eq!(admit(&WORLD.manifest, &*prover, &longer).unwrap_err().code(), 220);
    let most = WORLD.manifest.aggregate_bytes_max();
    let found = admit(&WORLD.manifest, &*prover, &vec![0; most + 1]);
    assert_eq!(found, Err(AggregateRefusal::Size(most + 1)));
}

#[test]
fn another_word_version_or_federation_is_refused() {
    let good = WORLD.good();
    let bytes = good.encode();
    for at in [2, 11] {
        let mut bytes = bytes.clone();
        bytes[at] ^= 2;
        let found = Aggregate::decode(&bytes, &WORLD.manifest).unwrap_err();
        assert_eq!(found.code(), 220, "{found}");
    }
    let federation = FederationId::from_hash(ContentHash::of(b"another"));
    let found = WORLD.refused(&Aggregate { federation, ..good });
    assert_eq!(found, AggregateRefusal::Foreign(federation));
}

#[test]
fn the_sum_of_one_or_of_too_many_is_refused() {
    let mut aggregate = WORLD.good();
    let (one, six) = (aggregate.heads[..1].to_vec(), vec![aggregate.heads[0].clone(); 6]);
    for (heads, count) in [(Vec::new(), 0), (one, 1), (six, 6)] {
        aggregate.heads = heads;
        assert_eq!(WORLD.refused(&aggregate), AggregateRefusal::Heads(count));
    }
    let alone = WORLD.make(&WORLD.bucket(false)[..1]);
    assert_eq!(alone, Err(MakeAggregateError::Refused(AggregateRefusal::Heads(1))));
    assert_eq!(HEADS_MIN, 2);
}

#[test]
fn members_are_strictly_ascending() {
    let (good, mut swapped) = (WORLD.good(), WORLD.good());
    swapped.heads.swap(0, 1);
    let mut twice = good;
    twice.heads[1] = twice.heads[0].clone();
    for aggregate in [swapped, twice] {
        assert_eq!(WORLD.refused(&aggregate), head_refused(HeadRefusal::Order));
    }
    let mut updates = WORLD.bucket(true);
    updates[2] = updates[0];
    let found = WORLD.make(&updates).unwrap_err();
    assert!(matches!(found, MakeAggregateError::Sum(AggregateError::Author(_))), "{found}");
}

#[test]
fn a_slot_less_or_more_is_another_sum() {
    let mut aggregate = WORLD.good();
    aggregate.heads.pop();
    let found = WORLD.refused(&aggregate);
    assert!((227..=228).contains(&found.code()), "{found}");
}

#[test]
fn members_of_several_buckets_are_refused() {
    let mixed = [WORLD.bucket(true)[0], WORLD.bucket(false)[0]];
    let found = WORLD.make(&mixed);
    assert_eq!(found, Err(MakeAggregateError::Refused(AggregateRefusal::Buckets(EPOCH))));
}

#[test]
fn a_changed_head_is_refused() {
    let (_, published, _) = WORLD.second();
    let head = published.head.encode();
    let mut changed = head.clone();
    *changed.last_mut().unwrap() ^= 1;
    for bytes in [changed, head[..head.len() - 1].to_vec(), Vec::new()] {
        let found = WORLD.with_head(bytes);
        assert_eq!(found.code(), 224, "{found}");
        let AggregateRefusal::Head { at: 1, error } = found else { panic!("{found}") };
        assert!(matches!(error, HeadRefusal::Bundle(_)), "{error}");
    }
}

#[test]
fn a_stranger_has_no_head() {
    let (_, published, admitted) = WORLD.second();
    let made = seal(&WORLD.manifest, &key(9), &admitted.header, &published.clear);
    let found = WORLD.with_head(made.head.encode());
    assert_eq!(found, head_refused(HeadRefusal::Admission(Refusal::NotAMember)));
}

#[test]
fn heads_are_of_the_epoch() {
    let (number, _, admitted) = WORLD.second();
    let mut author = Author::new(number);
    let previous = Previous { epoch: EPOCH, header: admitted.header_hash };
    author.publish(&WORLD.manifest, &mut WORLD.manifest.fold(), 0, 0);
    let later = author.publish(&WORLD.manifest, &mut WORLD.manifest.fold(), 1, 0);
    let header = longhaul_aggregation::UpdateHeader::decode(
        later.head.header(),
        &WORLD.manifest.admission_policy().header_limits(),
    );
    assert_eq!(header.unwrap().previous, Some(previous));
    let found = WORLD.with_head(later.head.encode());
    assert_eq!(found, head_refused(HeadRefusal::Epoch(Epoch::new(1))));
    let found = WORLD.refused(&Aggregate { epoch: Epoch::new(1), ..WORLD.good() });
    let other = AggregateRefusal::Head { at: 0, error: HeadRefusal::Epoch(EPOCH) };
    assert_eq!(found, other);
}

#[test]
fn an_update_that_nobody_would_admit_is_refused() {
    let (number, published, admitted) = WORLD.second();
    let mut header = admitted.header.clone();
    header.steps = 1_000_000;
    let made = seal(&WORLD.manifest, &key(number), &header, &published.clear);
    let found = WORLD.with_head(made.head.encode());
    let AggregateRefusal::Head { at: 1, error: HeadRefusal::Admission(refusal) } = found else {
        panic!("{found}")
    };
    assert!(matches!(refusal, Refusal::Steps { .. }), "{refusal}");
}

#[test]
fn header_and_bundle_name_one_payload() {
    let (number, published, admitted) = WORLD.second();
    let mut header = admitted.header.clone();
    header.payload = ContentHash::of(b"another");
    let made = seal(&WORLD.manifest, &key(number), &header, &published.clear);
    assert_eq!(WORLD.with_head(made.head.encode()), head_refused(HeadRefusal::Payload));
}

#[test]
fn a_head_of_other_terms_is_refused() {
    let earlier = Manifest { start: longhaul_dtn::time::Timestamp::from_dtn_ms(1), ..manifest() };
    let earlier = bucketed(proven(earlier, ProofCurve::Bn254)).sign(&key(1)).unwrap();
    let (number, published, admitted) = WORLD.second();
    let made = seal(&earlier, &key(number), &admitted.header, &published.clear);
    let found = WORLD.with_head(made.head.encode());
    assert_eq!(found, head_refused(HeadRefusal::Terms(TermsError::TooEarly)));
}

#[test]
fn heads_without_a_proof_that_holds_are_refused() {
    let (number, published, admitted) = WORLD.second();
    let prepared = || prepare(&WORLD.manifest, &key(number), &admitted.header, &published.clear).0;
    let stolen = WORLD.bucket(true)[0].0.proof().unwrap();
    for (proof, code) in [(None, 204), (Some(&b"none"[..]), 206), (Some(stolen), 206)] {
        let head = prepared().sign(proof).unwrap();
        let found = WORLD.with_head(head.encode());
        assert_eq!(found.code(), 226);
        let AggregateRefusal::Proof { at: 1, error } = found else { panic!("{found}") };
        assert_eq!(error.code(), code, "{error}");
    }
}

#[test]
fn sums_that_are_off_by_one_are_refused() {
    let good = WORLD.good();
    let schema = &WORLD.manifest.manifest().schema;
    let updates = WORLD.bucket(true);
    let exponents: Vec<Vec<u8>> = updates
        .iter()
        .map(|(_, update)| update.values().map(|chunk| chunk.exponent).collect())
        .collect();
    let scale = |chunk: usize| SumScale::of(exponents.iter().map(|it| it[chunk])).unwrap();
    let scales: Vec<SumScale> = (0..schema.chunks().len()).map(scale).collect();
    let sums = decode_sums(schema, &scales, &good.sums).unwrap();
    for (chunk, range) in schema.chunks().iter().enumerate() {
        let unit = 1 << exponents.iter().map(|it| it[chunk]).min().unwrap();
        for place in [range.start, range.end - 1] {
            let mut sums = sums.clone();
            sums[place] += unit;
            let sums = encode_sums(schema, &scales, &sums).unwrap();
            let found = WORLD.refused(&Aggregate { sums, ..good.clone() });
            let wrong = AggregateError::Chunk { chunk, error: SumError::Wrong };
            assert_eq!(found, AggregateRefusal::Sum(wrong));
        }
    }
}

#[test]
fn sums_are_in_their_one_form() {
    let good = WORLD.good();
    let changes: [fn(&mut Vec<u8>); 3] =
        [|it| it.push(0), |it| it.truncate(it.len() - 1), |it| it.truncate(2)];
    for change in changes {
        let mut aggregate = good.clone();
        change(&mut aggregate.sums);
        let found = WORLD.refused(&aggregate);
        assert!(matches!(found, AggregateRefusal::Sums(SumsError::Coded(_))), "{found}");
    }
}

#[test]
fn another_opening_is_refused() {
    let good = WORLD.good();
    for at in 0..good.opening.len() {
        let mut aggregate = good.clone();
        aggregate.opening[at] ^= 1;
        assert_eq!(WORLD.refused(&aggregate).code(), 228, "at {at}");
    }
    let mut short = good;
    short.opening.pop();
    assert_eq!(WORLD.refused(&short), AggregateRefusal::Sum(AggregateError::Opening));
}

#[test]
fn a_proof_about_another_update_makes_no_aggregate() {
    let (number, published, admitted) = WORLD.second();
    let (prepared, _) = prepare(&WORLD.manifest, &key(number), &admitted.header, &published.clear);
    let updates = WORLD.bucket(true);
    let cheat = prove(&WORLD.manifest, prepared, &published.clear, updates[0].1);
    let mut updates = updates;
    updates[1].0 = &cheat;
    let found = WORLD.make(&updates).unwrap_err();
    assert!(
        matches!(found, MakeAggregateError::Refused(AggregateRefusal::Sum(_))),
        "its commitment is not to its payload: {found}"
    );
}

#[test]
fn updates_without_proofs_make_none() {
    let (number, published, admitted) = WORLD.second();
    let (prepared, _) = prepare(&WORLD.manifest, &key(number), &admitted.header, &published.clear);
    let bare = prepared.sign(None).unwrap();
    let mut updates = WORLD.bucket(true);
    updates[1].0 = &bare;
    assert_eq!(WORLD.make(&updates), Err(MakeAggregateError::Proof(ProofRefusal::Missing)));
}

#[test]
fn every_refusal_has_a_code_and_a_name() {
    let names: std::collections::BTreeSet<_> =
        (218..=231).map(|code| AggregateRefusal::name_of(code).unwrap()).collect();
    assert_eq!(names.len(), 14);
    assert_eq!((AggregateRefusal::name_of(217), AggregateRefusal::name_of(232)), (None, None));
    assert!(
        (200..=231).all(|code| ProofRefusal::name_of(code).is_none()
            || AggregateRefusal::name_of(code).is_none())
    );
}

/// The bundle of the larger bucket's aggregate, signed by a member, and its payload.
fn sent(world: &World) -> (BundleHead, Vec<u8>) {
    let bytes = world.make(&world.bucket(true)).unwrap();
    let found = admit(&world.manifest, &*prover(&world.manifest), &bytes).unwrap();
    let now = world.manifest.manifest().epoch_start(Epoch::new(1));
    let head = world.manifest.aggregate_bundle(&key(5), (&bytes, &found), 3, now).unwrap();
    (head, bytes)
}

/// A bundle of member 5 around an aggregate, with another header.
fn relabelled(change: impl FnOnce(&mut AggregateHeader)) -> BundleHead {
    let (head, bytes) = sent(&WORLD);
    let mut header = AggregateHeader::decode(head.header()).unwrap();
    change(&mut header);
    let draft = WORLD.manifest.draft((head.created(), head.sequence()), header.encode(), &bytes);
    BundleHead::seal(draft.unwrap(), &key(5)).unwrap()
}

#[test]
fn an_aggregate_travels_in_a_bundle_of_any_member() {
    let (head, bytes) = sent(&WORLD);
    let read = BundleHead::decode(&head.encode(), &WORLD.manifest.bundle_limits()).unwrap();
    assert_eq!(read.sequence(), 1 << 60 | 3);
    assert!(
        HeaderKind::of(read.header()) == HeaderKind::Aggregate
            && !WORLD.manifest.needs_proof(&read)
    );
    assert_eq!(WORLD.manifest.check_proofs(&[&read]), [Ok(())]);
    let header = WORLD.manifest.screen_aggregate(&read).unwrap();
    assert_eq!((header.slots.len(), header.epoch), (3, EPOCH));
    assert_eq!(header.payload, ContentHash::of(&bytes));
    let prover = prover(&WORLD.manifest);
    let found = WORLD.manifest.admit_aggregate(&*prover, &read, &bytes).unwrap();
    assert_eq!(found.sum.slots, header.slots);
    assert!(HeaderKind::of(WORLD.made[0].0.head.header()) != HeaderKind::Aggregate);
}

#[test]
fn its_header_has_one_form() {
    let (head, _) = sent(&WORLD);
    let (bytes, header) = (head.header(), AggregateHeader::decode(head.header()).unwrap());
    assert_eq!(header.encode(), bytes);
    assert!(bytes.len() <= WORLD.manifest.bundle_limits().header_bytes_max);
    for end in 0..bytes.len() {
        assert!(AggregateHeader::decode(&bytes[..end]).is_err(), "cut at {end}");
    }
    for at in 0..bytes.len() {
        let mut bytes = bytes.to_vec();
        bytes[at] ^= 1;
        if let Ok(found) = AggregateHeader::decode(&bytes) {
            assert_eq!(found.encode(), bytes, "at {at}");
            assert_ne!(found, header);
        }
    }
    let mut descending = header.clone();
    descending.slots.reverse();
    let mut twice = header;
    twice.slots[1] = twice.slots[0];
    for header in [descending, twice] {
        assert!(AggregateHeader::decode(&header.encode()).is_err());
    }
}

#[test]
fn a_head_that_promises_no_aggregate_is_refused() {
    let other = FederationId::from_hash(ContentHash::of(b"another"));
    let code = |change: &dyn Fn(&mut AggregateHeader)| {
        WORLD.manifest.screen_aggregate(&relabelled(change)).unwrap_err().code()
    };
    assert_eq!(code(&|it| it.federation = other), 222);
    assert_eq!(code(&|it| it.slots.truncate(1)), 223);
    assert_eq!(
        code(&|it| it.slots = (0..4).map(|k| (MemberIndex::new(k), it.slots[0].1)).collect()),
        223
    );
    let of = |(head, _): (&BundleHead, _)| {
        WORLD.manifest.manifest().member_index(&head.signer()).unwrap()
    };
    let mut mixed = [of(WORLD.bucket(true)[0]), of(WORLD.bucket(false)[0])];
    mixed.sort_unstable();
    assert_eq!(code(&|it| it.slots = mixed.map(|member| (member, it.slots[0].1)).to_vec()), 225);
    assert_eq!(code(&|it| it.slots[2].0 = MemberIndex::new(5)), 230);
    assert_eq!(code(&|it| it.epoch = Epoch::new(8)), 230);
    assert_eq!(code(&|it| it.payload = ContentHash::of(b"another")), 230);
    assert_eq!(WORLD.manifest.screen_aggregate(&relabelled(|_| {})).map(|_| ()), Ok(()));
    let update = WORLD.manifest.screen_aggregate(&WORLD.made[0].0.head).unwrap_err();
    assert_eq!(update.code(), 220);
}

#[test]
fn strangers_send_no_aggregates() {
    let (head, bytes) = sent(&WORLD);
    let number = (head.created(), head.sequence());
    let draft = WORLD.manifest.draft(number, head.header().to_vec(), &bytes).unwrap();
    let stranger = BundleHead::seal(draft, &key(9)).unwrap();
    let refused = AggregateRefusal::Stranger(key(9).peer_id());
    assert_eq!(WORLD.manifest.screen_aggregate(&stranger), Err(refused));
}

#[test]
fn head_and_payload_speak_of_the_same_updates() {
    let (_, bytes) = sent(&WORLD);
    let subset = relabelled(|it| it.slots.truncate(2));
    let prover = prover(&WORLD.manifest);
    let found = WORLD.manifest.admit_aggregate(&*prover, &subset, &bytes).unwrap_err();
    assert_eq!(found, AggregateRefusal::Header("the updates of others"));
    // Of the same members, and of other updates.
    let other = HeaderHash::from_hash(ContentHash::of(b"another update"));
    let renamed = relabelled(|it| it.slots[1].1 = other);
    let found = WORLD.manifest.admit_aggregate(&*prover, &renamed, &bytes).unwrap_err();
    assert_eq!(found, AggregateRefusal::Header("the updates of others"));
}

/// One header, and proofs about two updates: two names, so that whoever hears of both knows its author for a liar.
#[test]
fn two_proofs_under_one_header_are_two_updates() {
    let (number, published, admitted) = WORLD.second();
    let named = |manifest: &SignedManifest, head: &BundleHead| {
        manifest.slot_name(head, HeaderHash::of(head.header())).unwrap()
    };
    let again = |about: &Update| {
        let (prepared, _) =
            prepare(&WORLD.manifest, &key(number), &admitted.header, &published.clear);
        prove(&WORLD.manifest, prepared, &published.clear, about)
    };
    let (same, other) = (again(&admitted.update), again(WORLD.bucket(true)[0].1));
    assert_eq!(same.header(), other.header());
    assert_eq!(named(&WORLD.manifest, &same), admitted.header_hash);
    assert_ne!(named(&WORLD.manifest, &other), admitted.header_hash);
    let mut fold = WORLD.manifest.fold();
    fold.insert(admitted.clone());
    let mut twin = longhaul_aggregation::HeadOnly::from(admitted);
    twin.header_hash = named(&WORLD.manifest, &other);
    fold.insert_head(twin);
    assert!(fold.void(admitted.author, EPOCH).is_some());
    // Where no sum stands in for an update, its header says which it is: readers refuse the other.
    let plain = Manifest { aggregates: None, ..WORLD.manifest.manifest().clone() };
    let plain = plain.sign(&key(1)).unwrap();
    assert_eq!(named(&plain, &other), HeaderHash::of(other.header()));
    let bare = BundleHead::seal(
        plain.draft((other.created(), 0), other.header().to_vec(), b"x").unwrap(),
        &key(number),
    );
    let found = WORLD.manifest.slot_name(&bare.unwrap(), admitted.header_hash);
    assert_eq!(found, Err(ProofRefusal::Missing));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    /// Whatever is changed on the way, nothing panics, and what is taken is the true sum (of a head, the hops that it
    /// has travelled are nobody's word).
    #[test]
    fn changed_bytes_give_nothing_or_the_same(
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..4),
        cut in prop::option::weighted(0.2, any::<prop::sample::Index>()),
    ) {
        static GOOD: LazyLock<Vec<u8>> = LazyLock::new(|| WORLD.good().encode());
        let prover = prover(&WORLD.manifest);
        let truth = admit(&WORLD.manifest, &*prover, &GOOD).unwrap().sum;
        let mut bytes = GOOD.clone();
        for (at, change) in changes {
            let at = at.index(bytes.len());
            bytes[at] ^= change;
        }
        if let Some(cut) = cut {
            bytes.truncate(cut.index(bytes.len()));
        }
        if let Ok(read) = Aggregate::decode(&bytes, &WORLD.manifest) {
            prop_assert_eq!(read.encode(), bytes.clone());
        }
        if let Ok(found) = admit(&WORLD.manifest, &*prover, &bytes) {
            prop_assert_eq!(found.sum, truth);
        }
    }
}
