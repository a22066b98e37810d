//! Couriers that route: three of them over sockets, and a node that comes later.

use longhaul_dtn::routing::plan::{Plan, PlanLimits};
use longhaul_dtn::routing::spray::Copies;

use super::*;

fn by_plan(text: &str) -> Option<Routing> {
    let plan = Plan::read_ion(text, clock::now(), &PlanLimits::default()).expect("a plan").plan;
    Some(Routing { plan: Some(plan), copies: Copies::ONE })
}

/// Whoever connects is believed.
fn all() -> Trust {
    Trust { everyone: true, ..Trust::default() }
}

fn sprayed(copies: u16) -> Option<Routing> {
    Some(Routing { plan: None, copies: Copies::new(copies).expect("some") })
}

/// From a to b at once and from b to z; x has contacts with a only.
const PLAN: &str = "\
a contact +0 +3600 dtn://a/ dtn://b/ 1000000
a contact +0 +3600 dtn://b/ dtn://a/ 1000000
a contact +0 +3600 dtn://a/ dtn://x/ 1000000
a contact +0 +3600 dtn://b/ dtn://z/ 1000000
";

#[tokio::test]
async fn a_bundle_goes_by_the_plan_and_to_nobody_else() {
    let folder = Folder::new();
    let dir = folder.0.as_path();
    let local = LocalSet::new();
    local
        .run_until(async {
            let mut x = start_with("x", dir, &[], Deliver::Count, (by_plan(PLAN), all())).await;
            let mut b = start_with("b", dir, &[], Deliver::Count, (by_plan(PLAN), all())).await;
            let mut a =
                start_with("a", dir, &[&x, &b], Deliver::Count, (by_plan(PLAN), all())).await;
            let files = (0..20).map(|n| write(dir, n, "dtn://z/in", &[7; 5_000]));
            assert_eq!(hand_over(&a, files.collect()).await.acknowledged, 20);
            a.reaches(|counts, _| counts.forwarded == 20).await;
            b.reaches(|counts, held| counts.received == 20 && held == 20).await;
            // Its destination comes, and has a contact with b.
            let mut z = start("z", dir, &[&b], Deliver::Files).await;
            z.reaches(|counts, _| counts.delivered == 20 && counts.duplicates == 0).await;
            b.reaches(|counts, _| counts.forwarded == 20).await;
            // A bundle for all still goes to all.
            hand_over(&a, vec![write(dir, 99, "dtn://all/~news", b"for all")]).await;
            for courier in [&mut x, &mut b] {
                courier.reaches(|counts, held| counts.received >= 1 && held >= 1).await;
            }
            x.reaches(|counts, _| counts.received == 1).await;
            for courier in [a, b, x, z] {
                courier.ends().await;
            }
        })
        .await;
}

#[tokio::test]
async fn a_sprayed_bundle_has_as_many_holders_as_copies_until_it_meets_its_node() {
    let folder = Folder::new();
    let dir = folder.0.as_path();
    let local = LocalSet::new();
    local
        .run_until(async {
            let mut b = start_with("b", dir, &[], Deliver::Count, (sprayed(2), all())).await;
            let mut x = start_with("x", dir, &[], Deliver::Count, (sprayed(2), all())).await;
            let mut a = start_with("a", dir, &[&b, &x], Deliver::Count, (sprayed(2), all())).await;
            // Both are there before the bundle comes, and one more for all says so.
            hand_over(&a, vec![write(dir, 99, "dtn://all/~news", b"for all")]).await;
            a.reaches(|counts, _| counts.forwarded == 2).await;
            hand_over(&a, vec![write(dir, 1, "dtn://z/in", b"for one")]).await;
            a.reaches(|counts, _| counts.forwarded == 3).await;
            let held = |running: &Running| match &*running.status.borrow() {
                Some(Report::Status { held, .. }) => *held,
                _ => 0,
            };
            let mut z = start("z", dir, &[&b, &x, &a], Deliver::Files).await;
            z.reaches(|counts, _| counts.delivered == 1 && counts.received >= 2).await;
            b.reaches(|counts, _| counts.received >= 1).await;
            x.reaches(|counts, _| counts.received >= 1).await;
            assert_eq!(held(&b) + held(&x), 3, "the one for all each, and one copy");
            assert_eq!(delivered(dir, "z"), [b"for one"]);
            for courier in [a, b, x, z] {
                courier.ends().await;
            }
        })
        .await;
}

#[tokio::test]
async fn a_routed_bundle_is_on_its_way_again_after_a_restart() {
    let folder = Folder::new();
    let dir = folder.0.as_path();
    let local = LocalSet::new();
    local
        .run_until(async {
            let first = start_with("a", dir, &[], Deliver::Count, (by_plan(PLAN), all())).await;
            let files = (0..3).map(|n| write(dir, n, "dtn://z/in", &[7; 5_000]));
            assert_eq!(hand_over(&first, files.collect()).await.acknowledged, 3);
            first.ends().await;
            let mut b = start_with("b", dir, &[], Deliver::Count, (by_plan(PLAN), all())).await;
            let mut x = start_with("x", dir, &[], Deliver::Count, (by_plan(PLAN), all())).await;
            let mut again =
                start_with("a", dir, &[&x, &b], Deliver::Count, (by_plan(PLAN), all())).await;
            b.reaches(|counts, held| counts.received == 3 && held == 3).await;
            again.reaches(|counts, _| counts.forwarded == 3).await;
            x.reaches(|counts, held| counts.received == 0 && held == 0).await;
            for courier in [again, b, x] {
                courier.ends().await;
            }
        })
        .await;
}
