//! Copies of one bundle among nodes whose contacts are cut before, during and after a transfer.

use longhaul_dtn::bpv7::EndpointId;
use longhaul_dtn::bundle::BundleId;
use longhaul_dtn::hash::ContentHash;
use longhaul_dtn::routing::spray::{
    Acknowledged, Copies, Give, Received, Spray, SprayLimits, TransferNumber,
};
use longhaul_dtn::time::Timestamp;
use proptest::prelude::*;

const NODES: usize = 6;
/// Never met by the others in these runs, so that all copies stay countable.
const DESTINATION: usize = 99;
const LATE: Timestamp = Timestamp::from_dtn_ms(1_000);

#[derive(Debug, Clone, Copy)]
enum Step {
    /// One node offers to another.
    Offer(usize, usize),
    /// The transfer of this number, as far as there is one, ends so.
    End(usize, End),
    /// A node stops and comes back with what it wrote down.
    Restart(usize),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum End {
    Acknowledged,
    /// Before the other side has stored it.
    CutBefore,
    /// After it has stored it and before the acknowledgement arrives.
    AckLost,
}

/// All nodes, and the transfers under way.
struct World {
    nodes: Vec<Spray>,
    /// Giver, receiver, copies, number.
    under_way: Vec<(usize, usize, Copies, TransferNumber)>,
    /// Copies whose acknowledgement was lost.
    lost: u32,
    restarts: u64,
}

fn id() -> BundleId {
    BundleId::from_hash(ContentHash::of(b"a bundle"))
}

fn node(number: usize) -> EndpointId {
    EndpointId::ipn(1 + number as u32, 0)
}

impl World {
    fn new(copies: u16) -> Self {
        let mut nodes: Vec<Spray> =
            (0..NODES).map(|_| Spray::new(SprayLimits::default(), TransferNumber(0))).collect();
        assert!(nodes[0].insert(id(), node(DESTINATION), LATE, Copies::new(copies).unwrap()));
        Self { nodes, under_way: Vec::new(), lost: 0, restarts: 0 }
    }

    fn total(&self) -> u32 {
        self.nodes.iter().filter_map(|it| it.copies(&id())).map(|it| u32::from(it.get())).sum()
    }

    fn step(&mut self, step: Step) {
        match step {
            Step::Offer(from, to) if from != to => {
                let give = self.nodes[from].offer(&id(), &node(to));
                if let Some(Give::Copies(copies, number)) = give {
                    self.under_way.push((from, to, copies, number));
                }
            }
            Step::Offer(..) => {}
            Step::End(which, end) => {
                if !self.under_way.is_empty() {
                    let transfer = self.under_way.remove(which % self.under_way.len());
                    self.end(transfer, end);
                }
            }
            Step::Restart(at) => self.restart(at),
        }
    }

    fn end(
        &mut self,
        (from, to, copies, number): (usize, usize, Copies, TransferNumber),
        end: End,
    ) {
        if end != End::CutBefore {
            let (destination, expires) = (node(DESTINATION), LATE);
            let from = node(from);
            let received = Received { id: id(), destination, expires, from, copies, number };
            self.nodes[to].receive(&received).unwrap();
        }
        match end {
            End::Acknowledged => {
                let found = self.nodes[from].acknowledged(&id(), &node(to));
                assert!(matches!(found, Acknowledged::Given(_)), "{found:?}");
            }
            End::CutBefore => self.nodes[from].cut(&node(to)),
            End::AckLost => {
                self.lost += u32::from(copies.get());
                self.nodes[from].cut(&node(to));
            }
        }
    }

    fn restart(&mut self, at: usize) {
        self.restarts += 1;
        let mut fresh = Spray::new(SprayLimits::default(), TransferNumber(1000 * self.restarts));
        if let Some(copies) = self.nodes[at].copies(&id()) {
            assert!(fresh.insert(id(), node(DESTINATION), LATE, copies));
        }
        self.nodes[at] = fresh;
        // The other sides see their contacts cut.
        self.under_way.retain(|&(from, to, ..)| from != at && to != at);
        let neighbour = node(at);
        self.nodes.iter_mut().for_each(|it| it.cut(&neighbour));
    }
}

fn arb_end() -> impl Strategy<Value = End> {
    prop_oneof![2 => Just(End::Acknowledged), 1 => Just(End::CutBefore), 1 => Just(End::AckLost)]
}

fn arb_steps(restarts: u32) -> impl Strategy<Value = Vec<Step>> {
    let offer = (0..NODES, 0..NODES).prop_map(|(from, to)| Step::Offer(from, to));
    let end = (0..NODES, arb_end()).prop_map(|(which, end)| Step::End(which, end));
    let restart = (0..NODES).prop_map(Step::Restart);
    let step = prop_oneof![6 => offer, 6 => end, restarts => restart];
    prop::collection::vec(step, 0..60)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1000))]

    #[test]
    fn cut_contacts_never_lose_copies(copies in 1_u16..40, steps in arb_steps(1)) {
        let mut world = World::new(copies);
        for step in steps {
            world.step(step);
            let (total, most) = (world.total(), u32::from(copies) + world.lost);
            prop_assert!(total >= u32::from(copies), "{total} of {copies} copies are left");
            prop_assert!(total <= most, "{total} copies where {most} can be");
        }
    }

    #[test]
    fn without_lost_acknowledgements_there_are_as_many_as_the_source_gave(copies in 1_u16..40, steps in arb_steps(0)) {
        let mut world = World::new(copies);
        for step in steps {
            let step = match step {
                Step::End(which, End::AckLost) => Step::End(which, End::CutBefore),
                step => step,
            };
            world.step(step);
            prop_assert_eq!(world.total(), u32::from(copies));
        }
    }
}

#[test]
fn a_lost_acknowledgement_is_made_good_when_the_two_meet_again() {
    let mut world = World::new(8);
    for (end, total) in [(End::AckLost, 12), (End::Acknowledged, 8)] {
        world.step(Step::Offer(0, 1));
        world.step(Step::End(0, end));
        assert_eq!(world.total(), total, "after {end:?}");
    }
    assert_eq!(world.nodes[1].copies(&id()), Copies::new(4));
}
