//! What of the quota strangers have, what gives way to whom, and what nobody took away.

use super::*;

fn length() -> u64 {
    bytes(&draft(1, "dtn://me/in")).len() as u64
}

/// An agent with room for `bundles` that counts what is not taken away; link 1 is a neighbour's.
fn world(bundles: u64) -> World {
    let mut world = World::with(|config| {
        config.quota_bytes = bundles * length();
        config.counts_untaken = true;
    });
    world.up(1, "dtn://a/");
    world.up_as(9, None, Standing::Stranger);
    world
}

fn why(outputs: &[Output]) -> Option<Unfit> {
    outputs.iter().find_map(|output| match output {
        Output::Refuse { why, .. } => Some(why.clone()),
        _ => None,
    })
}

#[test]
fn strangers_have_half_of_the_quota_and_give_way_to_who_is_believed() {
    let mut world = world(8);
    let junk: Vec<Draft> = (0..4).map(|n| draft(n, "dtn://z/in")).collect();
    junk.iter().for_each(|bundle| _ = world.take(9, bundle));
    let (_, outputs) = world.receive(9, &draft(4, "dtn://z/in"));
    assert_eq!(why(&outputs), Some(Unfit::Share));
    for n in 10..14 {
        world.take(1, &draft(n, "dtn://z/in"));
    }
    // The quota is used up: what strangers gave goes first.
    for n in 14..18 {
        let (_, outputs) = world.receive(1, &draft(n, "dtn://z/in"));
        let gone = matches!(outputs[..], [Output::Delete(_), Output::Store { .. }]);
        assert!(gone, "{outputs:?}");
        world.give(0, Input::Stored(vec![key(&draft(n, "dtn://z/in"))]));
    }
    let (_, outputs) = world.receive(1, &draft(18, "dtn://z/in"));
    assert_eq!(why(&outputs), Some(Unfit::Quota));
    let (_, outputs) = world.receive(9, &draft(19, "dtn://z/in"));
    assert_eq!(why(&outputs), Some(Unfit::Quota));
    assert_eq!(Unfit::Share.reason(), RefuseReason::NO_RESOURCES);
}

#[test]
fn what_somebody_believed_gave_too_is_no_stranger_s() {
    let mut world = world(4);
    let bundle = draft(1, "dtn://z/in");
    world.take(9, &bundle);
    world.receive(1, &bundle);
    for n in 2..5 {
        world.take(1, &draft(n, "dtn://z/in"));
    }
    let (_, outputs) = world.receive(1, &draft(5, "dtn://z/in"));
    assert_eq!(why(&outputs), Some(Unfit::Quota));
}

#[test]
fn a_restart_knows_what_strangers_gave() {
    let mut before = world(4);
    let bundle = draft(1, "dtn://z/in");
    let outputs = before.take(9, &bundle);
    let note = Output::Note { key: key(&bundle), node: NodeNumber::STRANGER };
    assert!(outputs.contains(&note), "{outputs:?}");
    let mut world = world(1);
    let entry = Entry { bytes: length(), expires: at(60_000), order: 0 };
    let holders = vec![NodeNumber::STRANGER];
    world.give(0, Input::Restored { key: key(&bundle), entry, holders });
    world.give(0, Input::Loaded { key: key(&bundle), bytes: Some(bytes(&bundle)) });
    let (_, outputs) = world.receive(1, &draft(2, "dtn://z/in"));
    assert!(outputs.contains(&Output::Delete(key(&bundle))), "{outputs:?}");
}

#[test]
fn what_was_delivered_and_not_taken_away_counts() {
    let mut world = world(8);
    let here = draft(1, "dtn://me/in");
    // A quarter is two bundles of strangers.
    world.take(9, &here);
    world.take(9, &draft(2, "dtn://me/in"));
    let (_, outputs) = world.receive(9, &draft(3, "dtn://me/in"));
    assert_eq!(why(&outputs), Some(Unfit::Untaken), "one that waits to be delivered counts");
    world.give(0, Input::Untaken(2 * length()));
    world.give(0, Input::Delivered(vec![key(&here), key(&draft(2, "dtn://me/in"))]));
    let (_, outputs) = world.receive(9, &draft(3, "dtn://me/in"));
    assert_eq!(why(&outputs), Some(Unfit::Untaken));
    // Others deliver on, until all of it is used.
    world.take(1, &draft(4, "dtn://me/in"));
    world.give(0, Input::Untaken(7 * length()));
    let (_, outputs) = world.receive(1, &draft(5, "dtn://me/in"));
    assert_eq!(why(&outputs), Some(Unfit::Untaken));
    assert_eq!(Unfit::Untaken.reason(), RefuseReason::NO_RESOURCES);
    // Somebody takes them away.
    world.give(0, Input::Untaken(0));
    world.take(9, &draft(3, "dtn://me/in"));
}

#[test]
fn keeps_no_bundle_for_longer_than_it_is_told() {
    let keep_max = Span::from_ms(10_000);
    let mut world = World::with(|config| config.keep_max = keep_max);
    world.up(1, "dtn://a/");
    let mut endless = draft(1, "dtn://z/in");
    endless.primary.lifetime = Span::from_ms(1 << 63);
    world.take(1, &endless);
    assert_eq!(world.agent.wake_at(), Some(at(10_000)));
    assert_eq!(world.give(10_000, Input::Wake), [Output::Delete(key(&endless))]);
    // So it is with one that an earlier version stored.
    let entry = Entry { bytes: 100, expires: Timestamp::from_dtn_ms(u64::MAX), order: 0 };
    world.give(0, Input::Restored { key: key(&endless), entry, holders: vec![] });
    assert_eq!(world.agent.wake_at(), Some(at(10_000)));
}
