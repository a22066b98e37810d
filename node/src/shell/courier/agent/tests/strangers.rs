//! Nodes that are themselves and nobody's neighbours, and bundles that look like others.

use longhaul_dtn::routing::spray::{Copies, TransferNumber};

use super::*;

#[test]
fn who_is_itself_alone_is_given_the_bundles_for_it_and_no_others() {
    let copies = Copies::new(8).expect("some");
    for routing in
        [None, Some(RoutingConfig { graph: None, copies, next_transfer: TransferNumber(1) })]
    {
        let mut world = World::with(|config| config.routing.clone_from(&routing));
        world.up(1, "dtn://a/");
        let (own, other) = (draft(1, "dtn://b/in"), draft(2, "dtn://z/in"));
        world.take(1, &own);
        world.take(1, &other);
        world.take(1, &draft(3, "dtn://all/~news"));
        let outputs = world.up_as(2, Some("dtn://b/"), Standing::Itself);
        assert_eq!(sent(&outputs), [(2, key(&own))], "not sprayed, not flooded");
        let outputs = world.answer(2, &own, SendOutcome::Acknowledged);
        assert_eq!(sent(&outputs), []);
        // It is done: nobody else is given it.
        let given: Vec<_> = sent(&world.up(3, "dtn://c/")).into_iter().map(|it| it.1).collect();
        assert!(!given.contains(&key(&own)) && given.contains(&key(&other)));
        // What comes later reaches it, too.
        let later = draft(4, "dtn://b/in");
        assert!(sent(&world.take(1, &later)).contains(&(2, key(&later))));
    }
}

#[test]
fn a_contact_as_a_neighbour_comes_before_one_as_itself() {
    let mut world = World::new();
    world.up(1, "dtn://a/");
    world.up_as(2, Some("dtn://b/"), Standing::Itself);
    world.up(3, "dtn://b/");
    let bundle = draft(1, "dtn://z/in");
    assert_eq!(sent(&world.take(1, &bundle)), [(3, key(&bundle))]);
}

#[test]
fn a_forged_bundle_does_not_take_the_place_of_the_real_one() {
    let real = draft(1, "dtn://z/in");
    let mut elsewhere = real.clone();
    elsewhere.primary.destination = endpoint("dtn://nowhere/in");
    let mut shorter = real.clone();
    shorter.primary.lifetime = Span::from_ms(1_000);
    let signed = |byte| {
        let mut signed = real.clone();
        signed.blocks.push(NewBlock {
            // One of those of an update.
            kind: BlockType::from_code(193),
            number: 2,
            flags: BlockFlags::NONE,
            crc: CrcType::Crc16,
            data: vec![byte; 40],
        });
        signed
    };
    for forged in [elsewhere, shorter, signed(1), signed(2)] {
        let mut world = World::new();
        world.up(1, "dtn://a/");
        world.up_as(9, None, Standing::Stranger);
        assert_ne!(key(&forged), key(&real));
        world.take(9, &forged);
        // Another payload under the same name.
        let other = Arc::new(real.encode(&[8; 100]).expect("a bundle"));
        let arrival = Arrival { link: LinkId(9), transfer: TransferId::from_number(99) };
        let outputs = world.give(0, Input::Received { arrival, bytes: other });
        assert!(matches!(outputs[..], [Output::Store { .. }]), "{outputs:?}");
        // The real one is stored before it is acknowledged.
        let (arrival, outputs) = world.receive(1, &real);
        assert!(matches!(outputs[..], [Output::Store { .. }]), "{outputs:?}");
        let outputs = world.give(0, Input::Stored(vec![key(&real)]));
        assert!(outputs.contains(&Output::Accept(arrival)));
    }
    assert_ne!(key(&signed(1)), key(&signed(2)), "a signature that was changed");
}

#[test]
fn two_nodes_have_two_numbers() {
    let a = NodeNumber::of(&endpoint("dtn://a/"));
    assert_eq!(a, NodeNumber::of(&endpoint("dtn://a/in")), "a node is its endpoints'");
    assert!(a.number() > u128::from(u64::MAX), "a number of sixteen bytes");
    // With 32 bits, two of so many would have had the same by now.
    let numbers: std::collections::BTreeSet<_> =
        (0..200_000).map(|n| NodeNumber::of(&endpoint(&format!("dtn://n{n}/")))).collect();
    assert_eq!(numbers.len(), 200_000);
}
