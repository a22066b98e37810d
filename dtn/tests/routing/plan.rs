//! Both readers of plans on any plan and on any text.

use longhaul_dtn::bpv7::EndpointId;
use longhaul_dtn::routing::plan::{
    ByteRate, Confidence, Contact, Place, Plan, PlanErrorKind, PlanLimits, Range,
};
use longhaul_dtn::time::{Span, Timestamp};
use proptest::prelude::*;

const START: Timestamp = Timestamp::from_dtn_ms(840_000_000_000);

fn limits() -> PlanLimits {
    PlanLimits::default()
}

fn arb_node() -> impl Strategy<Value = EndpointId> {
    prop_oneof![
        (1_u32..5).prop_map(|it| EndpointId::ipn(it, 0)),
        (1_u64..1 << 40)
            .prop_map(|it| format!("ipn:{}.{}.0", it >> 32, it % (1 << 32)).parse().unwrap()),
        "[a-z0-9.]{1,6}".prop_map(|it| EndpointId::dtn(&it, "").unwrap()),
    ]
    .prop_filter("a node", |it| !it.is_none() && !it.is_local_node())
}

/// Contacts and ranges of at most one for each pair, so that none overlap.
fn arb_plan() -> impl Strategy<Value = Plan> {
    let times = (0_u64..1 << 47, 1_u64..1 << 40);
    let contact = (arb_node(), arb_node(), times.clone(), 1_u64.., 1_u32..=1_000_000);
    let range = (arb_node(), arb_node(), times, any::<u64>());
    (prop::collection::vec(contact, 0..12), prop::collection::vec(range, 0..8)).prop_map(
        |(contacts, ranges)| {
            let at = |start: u64, len: u64| {
                (Timestamp::from_dtn_ms(start), Timestamp::from_dtn_ms(start + len))
            };
            let mut pairs = std::collections::BTreeSet::new();
            let mut is_new = |kind: u8, from: &EndpointId, to: &EndpointId| {
                from != to && pairs.insert((kind, from.clone(), to.clone()))
            };
            let mut made = (Vec::new(), Vec::new());
            for (from, to, (start, len), rate, parts) in contacts {
                let (start, end) = at(start, len);
                let (rate, confidence) = (ByteRate::new(rate), Confidence::from_millionths(parts));
                let (rate, confidence) = (rate.unwrap(), confidence.unwrap());
                if is_new(0, &from, &to) {
                    made.0.push(Contact { from, to, start, end, rate, confidence });
                }
            }
            for (from, to, (start, len), light) in ranges {
                let (start, end) = at(start, len);
                let light_time = Span::from_ms(light);
                if is_new(1, &from, &to) {
                    made.1.push(Range { from, to, start, end, light_time });
                }
            }
            Plan::new(made.0, made.1, &limits()).unwrap()
        },
    )
}

proptest! {
    #[test]
    fn both_forms_read_back_what_they_write(plan in arb_plan(), later in 0_u64..1 << 40) {
        // Written times are absolute, so it does not matter when they are read.
        let reference = START.plus(Span::from_ms(later));
        let file = Plan::read_ion(&plan.to_ion(), reference, &limits()).unwrap();
        prop_assert_eq!((&file.plan, file.ignored_total), (&plan, 0));
        prop_assert_eq!(Plan::read_json(&plan.to_json(), reference, &limits()), Ok(plan));
    }

    #[test]
    fn a_json_text_that_is_cut_is_refused(plan in arb_plan(), share in 0_usize..1000) {
        let text = plan.to_json();
        let whole = text.trim_end().len();
        let cut = &text[..whole * share / 1000];
        let error = Plan::read_json(cut, START, &limits()).unwrap_err();
        prop_assert!(matches!(error.place, Place::Text { .. }), "{}", error);
    }

    #[test]
    fn lines_that_look_like_commands_are_read_or_refused_in_their_line(
        lines in prop::collection::vec("(a contact|a range|@|d contact|x|#)( (\\+[0-9.]{1,4}|[0-9]{1,3}|-1|dtn://[a-c]/)){0,6}", 0..8),
    ) {
        if let Err(error) = Plan::read_ion(&lines.join("\n"), START, &limits()) {
            let Place::Text { line, column } = error.place else { panic!("{error}") };
            prop_assert!((1..=lines[line - 1].len() + 1).contains(&column), "{}", error);
        }
    }
}

#[test]
fn more_nodes_than_the_limit_are_named_where_they_are_too_many() {
    let text = "a contact +0 +9 1 2 9\na contact +0 +9 2 1 9\na range +0 +9 1 3 9\n";
    let limits = PlanLimits { nodes_max: 2, ..PlanLimits::default() };
    let error = Plan::read_ion(text, START, &limits).unwrap_err();
    assert_eq!(error.place, Place::Text { line: 3, column: 1 });
    assert_eq!(error.kind, PlanErrorKind::TooManyNodes(2));
}
