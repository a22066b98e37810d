//! Peers as machines, joined by a tiny virtual network: what they agree on,
//! what they refuse, and what they remember.

mod world;

use std::sync::Arc;

use longhaul_aggregation::compress::{Levels, Share};
use longhaul_aggregation::{
    Cohorts, Compressor, Encoding, Epoch, Init, Minimum, Parameters, Schema, Slot, Small,
    TensorSpec, UpdateHeader,
};
use longhaul_dtn::agent::Held;
use longhaul_dtn::bundle::{BundleDraft, BundleHead};
use longhaul_dtn::eid::Eid;
use longhaul_dtn::hash::ContentHash;
use longhaul_dtn::time::Span;
use longhaul_node::peer::{Event, Peer, PeerConfig, PeerError, Restored, TrainRequest};
use longhaul_registry::{Committee, Record};
use proptest::prelude::*;
use world::{World, key};

/// Epochs of the test federation.
const EPOCHS: u32 = 6;

#[test]
fn peers_in_contact_end_with_one_model() {
    let mut world = World::new(3, EPOCHS);
    world.connect_all();
    world.run_to_end();
    world.assert_equal();
    assert_eq!(world.peer(0).fold().slot_count(), 3 * EPOCHS as usize);
}

#[test]
fn a_peer_that_was_away_catches_up_with_one_contact() {
    let mut world = World::new(3, EPOCHS);
    world.connect(0, 1);
    world.run_to_end();
    assert_ne!(world.model_id(0), world.model_id(2));
    world.connect(1, 2);
    world.settle();
    world.assert_equal();
}

#[test]
fn a_cut_federation_heals_by_set_union() {
    let mut world = World::new(4, EPOCHS);
    world.connect(0, 1);
    world.connect(2, 3);
    world.run_to_end();
    assert_ne!(world.model_id(0), world.model_id(2));
    world.connect(0, 2);
    world.settle();
    world.assert_equal();
}

/// Epochs of the updates that a peer took from others, in their order.
fn taken(world: &World, index: usize) -> Vec<u32> {
    let epoch = |event: &Event| match event {
        Event::Accepted { epoch, .. } => Some(epoch.get()),
        _ => None,
    };
    world.events(index).iter().filter_map(epoch).collect()
}

#[test]
fn a_contact_that_is_cut_brought_what_is_worth_most() {
    // Each update has six groups, so that they do not come all at once.
    let mut world = World::with(2, EPOCHS, |manifest| {
        let weights = TensorSpec::new("weights", vec![300, 300], Init::Zero).unwrap();
        manifest.schema = Arc::new(Schema::new(vec![weights]).unwrap());
        manifest.bounds.payload_bytes_max = 100_000;
    });
    world.run_to_end();
    world.connect(0, 1);
    while taken(&world, 1).len() < 2 {
        world.deliver(1);
    }
    world.cut(0, 1);
    assert_eq!(taken(&world, 1), [EPOCHS - 1, EPOCHS - 2], "the newest first");
    world.connect(0, 1);
    world.settle();
    world.assert_equal();
}

#[test]
fn nothing_leaves_before_it_is_durable() {
    let mut world = World::new(2, EPOCHS);
    world.connect(0, 1);
    world.stop_disk(0);
    world.run_to_end();
    let held = world.peer(1).fold().authors(Epoch::new(1)).count();
    assert_eq!(held, 1, "peer 1 has only its own update");
    world.start_disk(0);
    world.settle();
    world.assert_equal();
}

#[test]
fn a_restarted_peer_has_its_model_and_signs_no_slot_again() {
    let mut world = World::new(2, EPOCHS);
    world.connect_all();
    world.run_until(EPOCHS / 2);
    let before = world.model_id(0);
    world.restart(0);
    assert_eq!(world.model_id(0), before);
    world.connect_all();
    world.run_to_end();
    world.assert_equal();
    assert!(world.peer(0).fold().equivocations().is_empty());
}

#[test]
fn a_lost_payload_is_fetched_again_and_an_own_slot_is_not_signed_again() {
    let mut world = World::new(2, EPOCHS);
    world.connect_all();
    world.run_until(EPOCHS / 2);
    world.lose_payloads(0);
    world.restart(0);
    assert_eq!(world.peer(0).fold().slot_count(), 0);
    world.connect_all();
    world.run_to_end();
    world.assert_equal();
    world.assert_replays(0);
    assert!(world.peer(0).fold().equivocations().is_empty());
}

#[test]
fn refuses_a_log_of_another_federation() {
    let mut world = World::new(2, EPOCHS);
    world.run_to_end();
    let entries = world.entries(0).to_vec();
    let other = World::new(2, EPOCHS + 1);
    let config =
        PeerConfig { manifest: other.manifest(), key: world.key(0), nonce: [0; 32], memo: None };
    let found = Peer::new(config, Restored { entries, ..Restored::default() });
    assert!(matches!(found, Err(PeerError::ForeignLog { .. })), "{found:?}");
}

#[test]
fn refuses_a_key_that_is_no_member() {
    let world = World::new(2, EPOCHS);
    let config = PeerConfig { manifest: world.manifest(), key: key(9), nonce: [0; 32], memo: None };
    let found = Peer::new(config, Restored::default());
    assert!(matches!(found, Err(PeerError::NotAMember(_))), "{found:?}");
}

/// A bundle made by hand from an honest one of member 1.
fn forged(world: &mut World, change: impl Fn(&mut UpdateHeader, &mut Vec<u8>), signer: u8) -> Held {
    let (head, payload) = world.own_bundle(1);
    let limits = world.manifest().admission_policy().header_limits();
    let mut header = UpdateHeader::decode(head.header(), &limits).expect("test values are valid");
    let mut payload = payload.to_vec();
    change(&mut header, &mut payload);
    let draft = BundleDraft {
        destination: Eid::dtn("federation", "updates").expect("test values are valid"),
        created: head.created(),
        sequence: head.sequence() + 100,
        lifetime: head.lifetime(),
        hop_limit: 1,
        header: header.encode(),
        payload: &payload,
    };
    let head = BundleHead::seal(draft, &key(signer)).expect("test values are valid");
    Held { head: Arc::new(head), payload: payload.into() }
}

#[test]
fn refuses_bad_bundles_with_a_recorded_reason_and_goes_on() {
    type Change = fn(&mut UpdateHeader, &mut Vec<u8>);
    let rehash: Change = |header, payload| header.payload = ContentHash::of(payload);
    let cases: [(&str, u8, Change); 5] = [
        ("not a member", 9, rehash),
        ("federation", 1, |header, _| header.federation = ContentHash::of(b"other")),
        ("epoch", 1, |header, _| header.epoch = Epoch::new(u32::MAX)),
        ("payload", 1, |header, payload| {
            payload.pop();
            header.payload = ContentHash::of(payload);
        }),
        ("hash", 1, |header, _| header.payload = ContentHash::of(b"something else")),
    ];
    for (name, signer, change) in cases {
        let mut world = World::new(2, EPOCHS);
        world.run_until(2);
        let bundle = forged(&mut world, change, signer);
        let before = world.model_id(0);
        world.hand_over(0, 1, bundle);
        let refusals = world.events(0).iter().filter(|it| matches!(it, Event::Refused { .. }));
        assert_eq!(refusals.count(), 1, "{name}: {:?}", world.events(0));
        let recorded = |record: &Record| matches!(record, Record::Refuse { .. });
        assert!(world.entries(0).iter().any(|entry| recorded(entry.record())), "{name}");
        assert_eq!(world.model_id(0), before, "{name}");
        world.connect_all();
        world.run_to_end();
        world.assert_equal();
    }
}

#[test]
fn a_twin_voids_its_slot_everywhere_and_a_third_changes_nothing() {
    let mut world = World::new(3, EPOCHS);
    world.connect_all();
    world.run_to_end();
    let before = world.model_id(0);
    let twin = forged(&mut world, |header, _| header.samples += 1, 1);
    world.hand_over(0, 1, twin);
    world.settle();
    world.assert_equal();
    assert_ne!(world.model_id(0), before);
    let voided = world.model_id(0);
    let third = forged(&mut world, |header, _| header.samples += 2, 1);
    world.hand_over(2, 1, third);
    world.settle();
    world.assert_equal();
    assert_eq!(world.model_id(0), voided);
}

#[test]
fn refuses_an_expired_bundle() {
    let mut world = World::new(2, EPOCHS);
    world.run_until(2);
    let bundle = forged(&mut world, |_, _| (), 1);
    world.skip(Span::from_ms(25 * 3_600_000));
    world.hand_over(0, 1, bundle);
    let refused = world
        .events(0)
        .iter()
        .any(|it| matches!(it, Event::Refused { reason, .. } if reason.contains("expired")));
    assert!(refused, "{:?}", world.events(0));
}

#[test]
fn refuses_a_bundle_that_lives_shorter_than_the_federation_says() {
    let mut world = World::new(2, EPOCHS);
    world.run_until(2);
    let honest = forged(&mut world, |header, _| header.samples += 1, 1);
    let draft = BundleDraft {
        destination: Eid::dtn("federation", "updates").expect("test values are valid"),
        created: honest.head.created(),
        sequence: 7,
        lifetime: Span::from_ms(10_000),
        hop_limit: 8,
        header: honest.head.header().to_vec(),
        payload: &honest.payload,
    };
    let head = BundleHead::seal(draft, &key(1)).expect("test values are valid");
    let before = world.model_id(0);
    world.hand_over(0, 1, Held { head: Arc::new(head), payload: honest.payload.clone() });
    let lives =
        |it: &Event| matches!(it, Event::Refused { reason, .. } if reason.contains("lives"));
    assert!(world.events(0).iter().any(lives), "{:?}", world.events(0));
    assert_eq!(world.model_id(0), before);
}

#[test]
fn sleeps_when_the_federation_is_over() {
    let mut world = World::new(2, EPOCHS);
    world.run_until(2);
    world.skip(Span::from_ms(3_600_000));
    let now = world.now();
    assert!(world.peer(0).wake_at().is_none_or(|at| at > now));
}

#[test]
fn trains_no_epoch_in_which_its_log_was_cut_off() {
    let mut world = World::new(2, EPOCHS);
    world.run_until(2);
    world.tear_log(0);
    world.run_until(2);
    let own = world.own_slots(0);
    assert!(!own.contains(&2), "{own:?}");
    world.connect_all();
    world.run_to_end();
    world.assert_equal();
    assert!(world.peer(0).fold().equivocations().is_empty());
}

#[test]
fn garbage_frames_end_only_their_contact() {
    let mut world = World::new(3, EPOCHS);
    world.connect_all();
    world.run_until(2);
    world.inject(0, 1, vec![0xff; 300]);
    world.run_to_end();
    world.connect(0, 1);
    world.settle();
    world.assert_equal();
}

/// Four cut two against two, later all together, with updates in `encoding`.
fn encoded(encoding: Encoding, epochs: u32) -> World {
    let mut world = World::with(4, epochs, |manifest| manifest.encoding = encoding);
    world.connect(0, 1);
    world.connect(2, 3);
    world
}

#[test]
fn peers_agree_on_one_model_with_every_encoding() {
    let half = Share::new(5_000).expect("a share");
    let mut models = std::collections::BTreeSet::new();
    for encoding in [
        Encoding::Int8,
        Encoding::Int8Coded,
        Encoding::Int4,
        Encoding::TERNARY,
        Encoding::RandK { share: half, levels: Levels::Seven },
        Encoding::RAND_K,
        Encoding::TOP_K,
    ] {
        let mut world = encoded(encoding, EPOCHS);
        world.run_until(EPOCHS / 2);
        assert_ne!(world.model_id(0), world.model_id(2), "{encoding}");
        world.restart(1);
        world.connect_all();
        world.run_to_end();
        world.assert_equal();
        assert_eq!(world.peer(0).fold().slot_count(), 4 * EPOCHS as usize, "{encoding}");
        for index in 0..4 {
            world.assert_replays(index);
            let refused = |it: &Event| matches!(it, Event::Refused { .. } | Event::Skipped { .. });
            assert!(!world.events(index).iter().any(refused), "{encoding}");
        }
        models.insert(world.model_id(0));
    }
    // Int8 and its coded form say the same change; the federation's id is another.
    assert_eq!(models.len(), 6, "int8 and int8-coded end with one model");
}

/// The newest own bundle of member 1 with the payload that another encoding, or the mask of
/// another epoch, makes.
fn disguised(world: &mut World, encoding: Encoding, of_epoch: u32) -> Held {
    let manifest = world.manifest();
    let schema = manifest.manifest().schema.clone();
    let key = manifest.admission_policy().mask_key(Epoch::new(of_epoch));
    let delta = (0..schema.parameter_count()).map(|at| 1_000 * (at as i64 % 7 - 3)).collect();
    let delta = Parameters::from_units(delta);
    let norm_max = manifest.manifest().bounds.norm_max;
    let update = Compressor::with(&schema, encoding).compress_in(&key, &delta, norm_max);
    let change = |header: &mut UpdateHeader, payload: &mut Vec<u8>| {
        *payload = update.payload().to_vec();
        header.payload = ContentHash::of(payload);
    };
    forged(world, change, 1)
}

#[test]
fn refuses_a_payload_of_another_encoding_and_says_why() {
    for (encoding, other, says) in [
        (Encoding::TERNARY, Encoding::Int8, "not a well-formed payload"),
        (Encoding::Int8, Encoding::TERNARY, "not a well-formed payload"),
        (Encoding::RAND_K, Encoding::Int4, "not a well-formed payload"),
        (Encoding::Int4, Encoding::RAND_K, "the coded values are not well-formed"),
    ] {
        let mut world = encoded(encoding, EPOCHS);
        world.run_until(2);
        let before = world.model_id(0);
        let bundle = disguised(&mut world, other, 1);
        world.hand_over(0, 1, bundle);
        let why = |it: &Event| match it {
            Event::Refused { reason, code: 109, .. } => Some(reason.clone()),
            _ => None,
        };
        let found: Vec<_> = world.events(0).iter().filter_map(why).collect();
        assert_eq!(found.len(), 1, "{other} where {encoding} is agreed on: {:?}", world.events(0));
        assert!(found[0].starts_with(says), "{other} where {encoding} is agreed on: {found:?}");
        assert_eq!(world.model_id(0), before);
        world.connect_all();
        world.run_to_end();
        world.assert_equal();
    }
}

#[test]
fn a_payload_for_the_mask_of_another_epoch_harms_nobody_but_its_author() {
    let mut world = encoded(Encoding::RAND_K, EPOCHS);
    world.connect_all();
    world.run_until(2);
    // It reads as entries of the right mask: a twin like any other, void everywhere.
    let bundle = disguised(&mut world, Encoding::RAND_K, 0);
    world.hand_over(0, 1, bundle);
    world.connect_all();
    world.run_to_end();
    world.assert_equal();
    (0..4).for_each(|index| world.assert_replays(index));
    assert_eq!(world.peer(0).fold().equivocations().len(), 1);
}

const COMMITTEE: Committee = Committee { size: 2, nonce: [4; 32], accumulate_epochs_max: 40 };

fn drawn(epochs: u32, accumulate_epochs_max: u16) -> World {
    World::with(6, epochs, |manifest| {
        manifest.recipe.quorum = 1;
        manifest.committee = Some(Committee { accumulate_epochs_max, ..COMMITTEE });
    })
}

#[test]
fn a_peer_publishes_in_the_epochs_that_it_is_drawn_for() {
    let mut world = drawn(24, 40);
    world.connect_all();
    world.run_to_end();
    world.assert_equal();
    world.assert_replays(0);
    let sortition = world.manifest().admission_policy().sortition.expect("a committee");
    for index in 0..6 {
        let member = world.peer(index).member().expect("a member");
        let may = |&epoch: &u32| sortition.draws(Slot { member, epoch: Epoch::new(epoch) });
        let expected: Vec<u32> = (0..24).filter(may).collect();
        assert_eq!(world.own_slots(index), expected);
        assert_eq!(world.requests(index).len(), 24, "it trains in every epoch");
    }
    assert!(world.events(0).iter().all(|it| !matches!(it, Event::Skipped { .. })));
}

/// What training changed in an epoch.
fn change(request: &TrainRequest) -> Vec<f64> {
    let trained = world::trained(request).parameters;
    trained
        .iter()
        .zip(request.base.iter())
        .map(|(after, before)| f64::from(after - before))
        .collect()
}

#[test]
fn an_update_is_the_whole_change_since_the_last_one() {
    let mut world = drawn(24, 40);
    world.run_to_end();
    let slots = world.own_slots(1);
    assert!((3..20).contains(&slots.len()), "drawn in {slots:?}");
    // Alone and with a quorum of one, a peer's terms are its own updates.
    let last = *slots.last().expect("a slot") as usize;
    let requests = world.requests(1).to_vec();
    let start = requests[0].shared.clone();
    let model = world.peer(1).model().to_f32();
    for (entry, (&found, &start)) in model.iter().zip(start.iter()).enumerate() {
        let gathered: f64 = requests[..=last].iter().map(|it| change(it)[entry]).sum();
        assert!((f64::from(found - start) - gathered).abs() < 0.02, "entry {entry}");
    }
    // And an epoch starts where the one before ended, published or not.
    for pair in requests.windows(2) {
        let ended = world::trained(&pair[0]).parameters;
        for (ended, started) in ended.iter().zip(pair[1].base.iter()) {
            assert!((ended - started).abs() < 0.02, "{ended} and {started}");
        }
    }
}

#[test]
fn refuses_an_update_of_who_was_not_drawn() {
    let mut world = drawn(24, 40);
    world.connect_all();
    world.run_until(20);
    let sortition = world.manifest().admission_policy().sortition.expect("a committee");
    let author = key(1).peer_id();
    let member = world.manifest().manifest().member_index(&author).expect("a member");
    // From the window's length on every summary has as many rows.
    let other = (12..24).map(Epoch::new).find(|&epoch| !sortition.draws(Slot { member, epoch }));
    let other = other.expect("an epoch without this author");
    let bundle = forged(&mut world, |header, _| (header.epoch, header.previous) = (other, None), 1);
    world.hand_over(0, 1, bundle);
    let code = |it: &Event| matches!(it, Event::Refused { code: 116, author: Some(_), .. });
    assert!(world.events(0).iter().any(code), "{:?}", world.events(0).last());
}

fn guarded(epochs: u32) -> World {
    World::with(4, epochs, |manifest| {
        manifest.recipe.cohorts = Some(Cohorts {
            threshold_permille: Cohorts::THRESHOLD_PERMILLE,
            minimum: Minimum::Fixed(1),
            small: Small::Vouch,
        });
    })
}

/// Four peers, F = 1, cut in halves in epoch 4; the shared model is ruined for peer 0
/// from epoch 6 to 9.
fn ruined_half() -> World {
    let mut world = guarded(14);
    world.connect_all();
    world.set_shared_loss(
        |peer, epoch| if peer == 0 && (6..10).contains(&epoch) { 9.0 } else { 1.0 },
    );
    world.run_until(4);
    for (a, b) in [(0, 2), (0, 3), (1, 2), (1, 3)] {
        world.cut(a, b);
    }
    world.run_to_end();
    world
}

fn assert_near(found: &[f32], expected: &[f32], what: &str) {
    for (found, expected) in found.iter().zip(expected) {
        assert!((found - expected).abs() < 0.01, "{what}: {found} and {expected}");
    }
}

#[test]
fn goes_on_from_its_own_fork_while_the_shared_model_is_ruined() {
    let world = ruined_half();
    let epochs = |index| -> Vec<u32> {
        world.requests(index).iter().map(|request| request.epoch.get()).collect()
    };
    assert_eq!(epochs(0), [0, 1, 2, 3, 4, 5, 6, 6, 7, 8, 9, 10, 11, 12, 13], "epoch 6 twice");
    assert_eq!(epochs(1), (0..14).collect::<Vec<_>>());
    let requests = world.requests(0);
    // Requests 0 to 5 are of these epochs, 6 is of the ruined model, 7 of the fork.
    for at in [7, 8, 9, 10, 11] {
        let before = if at == 7 { &requests[5] } else { &requests[at - 1] };
        let expected = world::trained(before).parameters;
        assert_near(&requests[at].base, &expected, &format!("request {at}"));
    }
    // Back on the shared model, without what was made from the fork.
    assert_near(&requests[12].base, &requests[12].shared, "epoch 11");
}

#[test]
fn speaks_of_what_its_fork_contains_and_does_not_vouch() {
    let mut world = ruined_half();
    let headers = world.own_headers(0);
    let vouched: Vec<bool> = headers.iter().map(|header| header.vouch).collect();
    let expected: Vec<bool> = (0..14).map(|epoch| !(6..10).contains(&epoch)).collect();
    assert_eq!(vouched, expected);
    let me = world.peer(0).member().expect("a member");
    for header in &headers[6..10] {
        for (epoch, row) in header.base.summary.epochs(header.epoch) {
            let expected = if epoch.get() < 5 { 2 } else { 1 };
            assert!(row.len() >= expected, "epoch {epoch}");
            assert!(epoch.get() < 5 || row == [me], "epoch {epoch}");
        }
        assert_eq!(header.base.model, headers[5].base.model);
    }
    world.connect_all();
    world.settle();
    world.assert_equal();
    world.assert_replays(0);
}

/// A step of a random history: what happens between which two peers.
type Step = (usize, usize, u8);

fn arb_steps() -> impl Strategy<Value = Vec<Step>> {
    proptest::collection::vec((0usize..3, 0usize..3, 0u8..4), 1..40)
}

/// Random sets reach three peers in random order with random cuts; when all
/// meet at last, they hold one set and one model.
fn check_random_history(epochs: u32, steps: Vec<Step>) {
    let mut world = World::new(3, epochs);
    for (a, b, what) in steps {
        match what {
            0 if a != b => world.connect(a, b),
            1 if a != b => world.cut(a, b),
            2 => world.deliver(1 + a + 3 * b),
            _ => world.advance(),
        }
    }
    world.run_to_end();
    world.connect_all();
    world.settle();
    world.assert_equal();
}

// 10,000 cases, in two halves that run side by side.
proptest! {
    #![proptest_config(ProptestConfig::with_cases(5_000))]

    #[test]
    fn random_contacts_and_cuts_end_equal(steps in arb_steps()) {
        check_random_history(2, steps);
    }

    #[test]
    fn random_contacts_and_cuts_in_a_longer_federation_end_equal(steps in arb_steps()) {
        check_random_history(4, steps);
    }
}
