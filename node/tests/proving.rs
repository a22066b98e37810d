//! Federations whose updates are proved: peers prove and check, couriers filter what they cannot read.

#![allow(clippy::unwrap_used, reason = "a helper that fails fails its test")]

mod world;

#[path = "proving/aggregates.rs"]
mod aggregates;

use std::sync::Arc;

use longhaul_aggregation::{Compressor, Parameters, Update, UpdateHeader};
use longhaul_dtn::agent::Held;
use longhaul_dtn::bundle::{BundleDraft, BundleHead, Encryption, Prepared};
use longhaul_dtn::eid::Eid;
use longhaul_dtn::hash::ContentHash;
use longhaul_dtn::keyring::FederationKey;
use longhaul_node::peer::{Event, Input, Output};
use longhaul_proofs::update::{opening_seed, subject};
use longhaul_registry::{FraudProof, KeyGrant, Privacy, Record};
use world::{World, courier, key, prover};

fn shared() -> FederationKey {
    FederationKey::from_bytes([77; 32])
}

fn clear(members: u8, epochs: u32) -> World {
    World::with(members, epochs, |manifest| manifest.proofs = Some(world::proofs()))
}

/// A private federation with one courier, behind the members.
fn private(members: u8, epochs: u32) -> World {
    World::with(members, epochs, |manifest| {
        manifest.proofs = Some(world::proofs());
        let grant = KeyGrant::wrap(&shared(), &key(200), &manifest.members, |_| true);
        manifest.privacy = Some(Privacy { couriers: vec![courier(0).peer_id()], grant });
    })
}

fn codes(world: &World, index: usize) -> Vec<u16> {
    let code = |event: &Event| match event {
        Event::Refused { code, .. } => Some(*code),
        _ => None,
    };
    world.events(index).iter().filter_map(code).collect()
}

/// Number of frauds that a peer reports, each of which convinces whoever has the proving keys.
fn frauds(world: &World, index: usize) -> usize {
    let manifest = world.manifest();
    let prover = prover(&manifest).unwrap();
    let shown = |event: &&Event| match event {
        Event::Fraud { proof, .. } => {
            let read = FraudProof::decode(proof, &manifest).unwrap();
            read.check(&manifest, &*prover).unwrap();
            true
        }
        _ => false,
    };
    world.events(index).iter().filter(shown).count()
}

fn count(world: &World, index: usize, kind: &str) -> usize {
    world.entries(index).iter().filter(|entry| entry.record().kind() == kind).count()
}

/// Every head in a peer's log.
fn heads(world: &World, index: usize) -> Vec<BundleHead> {
    let limits = world.manifest().bundle_limits();
    let head = |record: &Record| match record {
        Record::Update { head } | Record::Accept { head, .. } | Record::Carry { head, .. } => {
            Some(BundleHead::decode(head, &limits).unwrap())
        }
        _ => None,
    };
    world.entries(index).iter().filter_map(|entry| head(entry.record())).collect()
}

/// What a hostile member 0 may do to a bundle for epoch 7.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Forgery {
    /// All is well.
    None,
    /// There is no proof.
    Missing,
    /// Bytes that are none.
    Garbage,
    /// The proof of another bundle.
    Stolen,
    /// A proof about another update than the payload.
    Other,
    /// The payload is above the bound, the proof is about one within.
    AboveBound,
    /// The bundle's number, and the proof's, is another epoch than the header's.
    Number,
    /// The blinders are not those that follow from the payload.
    Blinder,
}

fn update(world: &World, scale: i64) -> Update {
    let manifest = world.manifest();
    let terms = manifest.manifest();
    let values = (0..terms.schema.parameter_count() as i64).map(|k| (k * 77 % 25 - 12) * scale);
    let norm = longhaul_aggregation::NormBound::from_milli(1_000_000_000);
    Compressor::new(&terms.schema).compress(&Parameters::from_units(values.collect()), norm)
}

fn forged(world: &mut World, epoch: u32, forgery: Forgery) -> Held {
    let manifest = world.manifest();
    let terms = manifest.manifest();
    let proved = update(world, 1 << 16);
    let payload = match forgery {
        Forgery::Other => update(world, 3 << 15),
        Forgery::AboveBound => update(world, 1 << 24),
        _ => proved.clone(),
    };
    let number = if forgery == Forgery::Number { epoch + 1 } else { epoch };
    let mut fold = manifest.fold();
    let header = UpdateHeader {
        federation: manifest.id().hash(),
        epoch: longhaul_aggregation::Epoch::new(epoch),
        previous: None,
        base: longhaul_aggregation::BaseClaim {
            model: fold.model_id(),
            summary: fold.base_summary(longhaul_aggregation::Epoch::new(epoch), 12),
        },
        vouch: false,
        payload: ContentHash::of(payload.payload()),
        samples: 1,
        steps: 1,
    };
    let draft = BundleDraft {
        destination: Eid::dtn(&manifest.id().to_string(), "updates").unwrap(),
        created: terms.start,
        sequence: number.into(),
        lifetime: terms.bounds.bundle_lifetime,
        hop_limit: 9,
        header: header.encode(),
        payload: payload.payload(),
    };
    let (prepared, travels) = match terms.is_private() {
        false => (Prepared::clear(draft, &key(0)).unwrap(), payload.payload().to_vec()),
        true => {
            let (author, pseudonym, shared) = (key(0), key(60 + epoch as u8), shared());
            let encryption = Encryption { author: &author, pseudonym: &pseudonym, key: &shared };
            Prepared::encrypted(draft, &encryption).unwrap()
        }
    };
    let mut hashes = [prepared.header_hash(), prepared.payload_hash()];
    if forgery == Forgery::Stolen {
        hashes[1] = ContentHash::of(b"another payload");
    }
    let about = subject(manifest.id().hash(), prepared.signer(), number.into(), hashes).unwrap();
    let salt = prepared.salt();
    let seed = match forgery {
        Forgery::Blinder => opening_seed(b"something else", &hashes[0], salt.as_ref()),
        _ => opening_seed(payload.payload(), &hashes[0], salt.as_ref()),
    };
    let proof = match forgery {
        Forgery::Missing => None,
        Forgery::Garbage => Some(b"no proof".to_vec()),
        _ => Some(prover(&manifest).unwrap().prove(&about, &proved, &seed).unwrap()),
    };
    let head = prepared.sign(proof.as_deref()).unwrap();
    // It comes as anything else comes: unopened.
    let head = BundleHead::decode(&head.encode(), &manifest.bundle_limits()).unwrap();
    Held { head: Arc::new(head), payload: travels.into() }
}

#[test]
fn peers_prove_verify_and_end_with_one_model() {
    for mut world in [clear(3, 5), private(3, 5)] {
        for (a, b) in [(0, 1), (0, 2), (1, 2)] {
            world.connect(a, b);
        }
        world.run_to_end();
        let model = world.model_id(0);
        for index in 0..3 {
            assert_eq!(world.model_id(index), model);
            assert_eq!(world.peer(index).fold().slot_count(), 15);
            assert_eq!(codes(&world, index), [0_u16; 0]);
            let heads = heads(&world, index);
            assert_eq!(heads.len(), 15);
            let verdicts = world.manifest().check_proofs(&heads.iter().collect::<Vec<_>>());
            assert!(verdicts.iter().all(Result::is_ok), "{verdicts:?}");
            assert!(heads.iter().all(|head| head.proof().is_some()));
        }
    }
}

/// A member that is handed a bundle refuses it with this code, or accepts it, and tells a fraud.
fn judged_by_a_member(mut world: World, forgery: Forgery, code: Option<u16>) {
    let bundle = forged(&mut world, 7, forgery);
    let target = (0..2).find(|&index| world.key(index).peer_id() != key(0).peer_id()).unwrap();
    world.hand_over(target, 1 - target, bundle);
    assert_eq!(codes(&world, target), Vec::from_iter(code));
    assert_eq!(count(&world, target, "refuse"), usize::from(code.is_some()));
    let contradicts = matches!(forgery, Forgery::Other | Forgery::Blinder | Forgery::AboveBound);
    assert_eq!(frauds(&world, target), usize::from(contradicts));
    assert_eq!(count(&world, target, "accept"), usize::from(code.is_none()));
}

#[test]
fn a_member_in_clear_accepts_what_is_proved() {
    judged_by_a_member(clear(2, 9), Forgery::None, None);
}

#[test]
fn a_member_in_clear_refuses_what_has_no_proof() {
    judged_by_a_member(clear(2, 9), Forgery::Missing, Some(204));
}

#[test]
fn a_member_in_clear_refuses_bytes_that_are_no_proof() {
    judged_by_a_member(clear(2, 9), Forgery::Garbage, Some(206));
}

#[test]
fn a_member_in_clear_refuses_the_proof_of_another_bundle() {
    judged_by_a_member(clear(2, 9), Forgery::Stolen, Some(206));
}

#[test]
fn a_member_in_clear_refuses_a_number_that_is_not_the_epoch() {
    judged_by_a_member(clear(2, 9), Forgery::Number, Some(206));
}

#[test]
fn a_member_in_clear_refuses_a_proof_about_another_update() {
    judged_by_a_member(clear(2, 9), Forgery::Other, Some(207));
}

#[test]
fn a_member_in_clear_refuses_blinders_of_its_own() {
    judged_by_a_member(clear(2, 9), Forgery::Blinder, Some(207));
}

#[test]
fn a_member_in_clear_refuses_what_is_above_the_bound() {
    judged_by_a_member(clear(2, 9), Forgery::AboveBound, Some(113));
}

#[test]
fn a_member_in_private_accepts_what_is_proved() {
    judged_by_a_member(private(2, 9), Forgery::None, None);
}

#[test]
fn a_member_in_private_refuses_what_has_no_proof() {
    judged_by_a_member(private(2, 9), Forgery::Missing, Some(204));
}

#[test]
fn a_member_in_private_refuses_bytes_that_are_no_proof() {
    judged_by_a_member(private(2, 9), Forgery::Garbage, Some(206));
}

#[test]
fn a_member_in_private_refuses_the_proof_of_another_bundle() {
    judged_by_a_member(private(2, 9), Forgery::Stolen, Some(206));
}

#[test]
fn a_member_in_private_refuses_a_number_that_is_not_the_epoch() {
    judged_by_a_member(private(2, 9), Forgery::Number, Some(206));
}

#[test]
fn a_member_in_private_refuses_a_proof_about_another_update() {
    judged_by_a_member(private(2, 9), Forgery::Other, Some(207));
}

#[test]
fn a_member_in_private_refuses_blinders_of_its_own() {
    judged_by_a_member(private(2, 9), Forgery::Blinder, Some(207));
}

#[test]
fn a_member_in_private_refuses_what_is_above_the_bound() {
    judged_by_a_member(private(2, 9), Forgery::AboveBound, Some(113));
}

/// A courier that reads nothing carries a bundle, or refuses it.
fn judged_by_a_courier(forgery: Forgery, carried: bool) {
    let mut world = private(2, 9);
    let bundle = forged(&mut world, 7, forgery);
    world.hand_over(2, 0, bundle);
    assert_eq!(count(&world, 2, "carry"), usize::from(carried));
    assert_eq!(count(&world, 2, "refuse"), usize::from(!carried));
    assert_eq!(world.peer(2).carried().0, usize::from(carried));
    assert!(world.peer(2).keyring().is_empty());
}

#[test]
fn a_courier_carries_what_is_proved() {
    judged_by_a_courier(Forgery::None, true);
}

#[test]
fn a_courier_drops_what_has_no_proof() {
    judged_by_a_courier(Forgery::Missing, false);
}

#[test]
fn a_courier_drops_bytes_that_are_no_proof() {
    judged_by_a_courier(Forgery::Garbage, false);
}

#[test]
fn a_courier_drops_the_proof_of_another_bundle() {
    judged_by_a_courier(Forgery::Stolen, false);
}

/// To whoever cannot read it, such a proof is as good as any: readers find it out.
#[test]
fn a_courier_carries_a_proof_about_another_update() {
    judged_by_a_courier(Forgery::Other, true);
}

#[test]
fn members_who_only_meet_a_courier_get_what_it_verified() {
    let mut world = private(3, 5);
    (0..3).for_each(|member| world.connect(member, 3));
    world.run_to_end();
    let model = world.model_id(0);
    for index in 0..3 {
        assert_eq!((world.model_id(index), world.peer(index).fold().slot_count()), (model, 15));
    }
    assert_eq!((count(&world, 3, "carry"), world.batches(3).iter().sum::<usize>()), (15, 15));
}

#[test]
fn what_comes_while_a_batch_is_verified_makes_the_next() {
    let mut world = private(2, 40);
    world.stop_verifier(2);
    for epoch in 0..20 {
        let bundle = forged(&mut world, epoch, Forgery::None);
        world.hand_over(2, 0, bundle);
    }
    assert_eq!((world.peer(2).unverified(), world.peer(2).carried().0), (20, 0));
    world.start_verifier(2);
    assert_eq!(world.batches(2), [1, 19]);
    assert_eq!((world.peer(2).unverified(), world.peer(2).carried().0), (0, 20));
}

#[test]
fn nothing_is_signed_before_its_proof_and_one_that_is_late_is_not_signed_twice() {
    let world = clear(2, 9);
    let mut peer = {
        let config = longhaul_node::peer::PeerConfig {
            manifest: world.manifest(),
            key: world.key(0),
            nonce: [1; 32],
            memo: None,
        };
        longhaul_node::peer::Peer::new(config, Default::default()).unwrap()
    };
    peer.set_prover(prover(&world.manifest()));
    let start = world.manifest().manifest().start;
    peer.handle(start, Input::Start);
    let mut proofs = Vec::new();
    let mut records = Vec::new();
    let mut now = start;
    for _ in 0..40 {
        while let Some(output) = peer.poll() {
            match output {
                Output::Train(request) => {
                    peer.handle(now, Input::Trained(world::trained(&request)));
                }
                Output::Prove(request) => proofs.push(request),
                Output::Persist(request) => {
                    records.extend(request.entries.iter().map(|it| it.record().kind().to_owned()));
                    peer.handle(now, Input::Persisted { ticket: request.ticket });
                }
                _ => {}
            }
        }
        now = peer.wake_at().unwrap_or(now).max(now);
        peer.handle(now, Input::Wake);
    }
    // One proof is under way, and so no further training was asked for.
    assert_eq!(proofs.len(), 1);
    assert!(!records.contains(&"update".to_owned()), "{records:?}");
    let answer = || proofs[0].carry_out();
    for signed in [1, 1] {
        peer.handle(now, answer());
        while let Some(output) = peer.poll() {
            if let Output::Persist(request) = output {
                records.extend(request.entries.iter().map(|it| it.record().kind().to_owned()));
            }
        }
        assert_eq!(records.iter().filter(|kind| *kind == "update").count(), signed);
    }
}

#[test]
fn a_member_without_proving_keys_publishes_nothing_and_says_why() {
    let mut world = clear(2, 4);
    // Epoch 0 is proved already.
    world.peer(0).set_prover(None);
    world.connect_all();
    world.run_until(3);
    assert_eq!(count(&world, 0, "update"), 1);
    let why = world.events(0).iter().find_map(|event| match event {
        Event::Skipped { why, .. } => Some(why.clone()),
        _ => None,
    });
    assert_eq!(why.as_deref(), Some("there are no proving keys"));
    assert!(codes(&world, 0).iter().all(|&code| code == 208));
}

#[test]
fn a_peer_that_starts_again_still_holds_what_was_proved() {
    let mut world = private(2, 6);
    world.connect_all();
    world.run_until(3);
    let before = (world.model_id(0), world.peer(0).fold().slot_count());
    world.restart(0);
    assert_eq!((world.model_id(0), world.peer(0).fold().slot_count()), before);
    world.connect_all();
    world.run_to_end();
    assert_eq!(world.model_id(0), world.model_id(1));
    assert_eq!(world.peer(0).fold().slot_count(), 12);
}
