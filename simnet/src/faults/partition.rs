//! Partitions: which peers are kept apart, in the shapes of Jepsen's nemeses.

use crate::scenario::{PartitionFault, Scenario, Shape};
use crate::seeds::{self, Node, Purpose};

/// The partitions of a run and which of them are on.
#[derive(Debug)]
pub struct Partitions {
    cuts: Vec<Cut>,
    on: usize,
}

#[derive(Debug)]
struct Cut {
    shape: Shape,
    wall: Option<Wall>,
    /// Contacts that it ended or prevented, or frames that it lost.
    hits: u64,
}

/// What a partition that is on keeps apart.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Wall {
    /// Peers in different parts; part 0 sees everybody.
    Parts(Vec<usize>),
    /// Peers farther apart on the ring than this.
    Ring { peers: u16, reach: u16 },
    /// Frames of the marked peers to the others are lost.
    OneWay(Vec<bool>),
}

impl Partitions {
    /// The partitions of `scenario`, all off.
    pub fn new(scenario: &Scenario) -> Self {
        let cut = |fault: &PartitionFault| Cut { shape: fault.shape.clone(), wall: None, hits: 0 };
        Self { cuts: scenario.faults.partition.iter().map(cut).collect(), on: 0 }
    }

    /// Switches one on, for the time number `round`, or off.
    pub fn switch(&mut self, scenario: &Scenario, index: u16, round: u16, on: bool) {
        let Some(cut) = self.cuts.get_mut(usize::from(index)) else { return };
        cut.wall = on.then(|| wall(scenario, &cut.shape, index, round));
        self.on = self.cuts.iter().filter(|cut| cut.wall.is_some()).count();
    }

    /// True when some partition that is on separates `a` and `b`.
    pub fn separates(&self, a: u16, b: u16) -> bool {
        self.on > 0 && self.cuts.iter().any(|cut| cut.separates(a, b))
    }

    /// True when a frame from `from` to `to` is lost; counts it.
    pub fn swallows(&mut self, from: u16, to: u16) -> bool {
        if self.on == 0 {
            return false;
        }
        let mut lost = false;
        for cut in &mut self.cuts {
            if let Some(Wall::OneWay(marked)) = &cut.wall
                && marked[usize::from(from)]
                && !marked[usize::from(to)]
            {
                cut.hits += 1;
                lost = true;
            }
        }
        lost
    }

    /// Counts a contact between `a` and `b` as cut by each partition that
    /// separates them.
    pub fn count_hit(&mut self, a: u16, b: u16) {
        for cut in self.cuts.iter_mut().filter(|cut| cut.separates(a, b)) {
            cut.hits += 1;
        }
    }

    /// Counts a contact between `a` and `b` as cut by one partition, if that
    /// one separates them.
    pub fn count_hit_of(&mut self, index: u16, a: u16, b: u16) {
        let cut = self.cuts.get_mut(usize::from(index));
        if let Some(cut) = cut.filter(|cut| cut.separates(a, b)) {
            cut.hits += 1;
        }
    }

    /// What each partition ended, prevented or lost, in the order of the scenario.
    pub fn hits(&self) -> Vec<u64> {
        self.cuts.iter().map(|cut| cut.hits).collect()
    }
}

impl Cut {
    fn separates(&self, a: u16, b: u16) -> bool {
        match &self.wall {
            Some(Wall::Parts(part_of)) => {
                let (a, b) = (part_of[usize::from(a)], part_of[usize::from(b)]);
                a != b && a != 0 && b != 0
            }
            Some(Wall::Ring { peers, reach }) => {
                let gap = a.abs_diff(b);
                gap.min(peers - gap) > *reach
            }
            Some(Wall::OneWay(_)) | None => false,
        }
    }
}

fn wall(scenario: &Scenario, shape: &Shape, index: u16, round: u16) -> Wall {
    let peers = scenario.peers.get();
    let half = peers / 2;
    let salt = u64::from(index) << 32 | u64::from(round) << 16 | 1;
    let mut stream = seeds::stream(scenario.seed ^ salt, Node::World, Purpose::Faults);
    let parts = |part: &mut dyn FnMut(u16) -> usize| Wall::Parts((0..peers).map(part).collect());
    match shape {
        Shape::Halves => parts(&mut |peer| 1 + usize::from(peer >= half)),
        Shape::Random => {
            let mut drawn: Vec<usize> =
                (0..peers).map(|_| 1 + usize::from(seeds::below(&mut stream, 2) == 1)).collect();
            // Both parts have somebody.
            (drawn[0], drawn[1]) = (1, 2);
            Wall::Parts(drawn)
        }
        Shape::Isolate { peer } => {
            let drawn = seeds::below(&mut stream, u64::from(peers));
            let alone = peer.unwrap_or(u16::try_from(drawn).unwrap_or_default());
            parts(&mut |peer| 1 + usize::from(peer == alone))
        }
        Shape::Bridge => parts(&mut |peer| match peer {
            _ if peer == half => 0,
            _ => 1 + usize::from(peer > half),
        }),
        Shape::MajorityRing => Wall::Ring { peers, reach: peers.div_ceil(4) },
        Shape::OneWay { from } => {
            let marked = |peer| match from {
                Some(from) => from.contains(&peer),
                None => peer < half,
            };
            Wall::OneWay((0..peers).map(marked).collect())
        }
        Shape::Groups(groups) => {
            let part_of = groups_by_peer(groups, usize::from(peers));
            Wall::Parts(part_of.into_iter().map(|group| group + 1).collect())
        }
    }
}

/// Turns groups of peers into the group of each peer; peers in no group share
/// one of their own.
pub fn groups_by_peer(groups: &[Vec<u16>], peers: usize) -> Vec<usize> {
    let mut group_of = vec![groups.len(); peers];
    for (index, group) in groups.iter().enumerate() {
        for &peer in group {
            if let Some(slot) = group_of.get_mut(usize::from(peer)) {
                *slot = index;
            }
        }
    }
    group_of
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing;

    fn scenario(shapes: Vec<Shape>) -> Scenario {
        let mut scenario = testing::scenario();
        let epoch = |at: f64| at.try_into().expect("a time");
        let fault = |shape| PartitionFault {
            shape,
            at_epoch: epoch(0.0),
            for_epochs: epoch(1.0),
            every_epochs: None,
        };
        scenario.faults.partition = shapes.into_iter().map(fault).collect();
        scenario
    }

    /// Who is kept from whom among four peers.
    fn separated(shape: Shape) -> Vec<(u16, u16)> {
        let scenario = scenario(vec![shape]);
        let mut partitions = Partitions::new(&scenario);
        partitions.switch(&scenario, 0, 0, true);
        let pairs = (0..4).flat_map(|a| (a + 1..4).map(move |b| (a, b)));
        pairs.filter(|&(a, b)| partitions.separates(a, b)).collect()
    }

    #[test]
    fn each_shape_separates_as_it_says() {
        let across = [(0, 2), (0, 3), (1, 2), (1, 3)];
        assert_eq!(separated(Shape::Halves), across);
        assert_eq!(separated(Shape::Groups(vec![vec![0, 1], vec![2, 3]])), across);
        assert_eq!(separated(Shape::Isolate { peer: Some(1) }), [(0, 1), (1, 2), (1, 3)]);
        assert_eq!(separated(Shape::Bridge), [(0, 3), (1, 3)]);
        assert_eq!(separated(Shape::MajorityRing), [(0, 2), (1, 3)]);
        assert_eq!(separated(Shape::OneWay { from: None }), []);
        assert!(separated(Shape::Random).len() >= 3);
        assert_eq!(separated(Shape::Isolate { peer: None }).len(), 3);
    }

    #[test]
    fn one_way_loses_frames_in_one_direction() {
        let scenario = scenario(vec![Shape::OneWay { from: Some(vec![3]) }]);
        let mut partitions = Partitions::new(&scenario);
        assert!(!partitions.swallows(3, 0));
        partitions.switch(&scenario, 0, 0, true);
        assert!(partitions.swallows(3, 0));
        assert!(!partitions.swallows(0, 3) && !partitions.swallows(0, 1));
        assert_eq!(partitions.hits(), [1]);
    }

    #[test]
    fn a_partition_separates_only_while_on() {
        let scenario = scenario(vec![Shape::Halves]);
        let mut partitions = Partitions::new(&scenario);
        assert!(!partitions.separates(0, 2));
        partitions.switch(&scenario, 0, 0, true);
        assert!(partitions.separates(0, 2));
        partitions.switch(&scenario, 0, 0, false);
        assert!(!partitions.separates(0, 2));
    }

    #[test]
    fn counts_a_hit_for_each_partition_that_separates() {
        let shapes = vec![Shape::Halves, Shape::Groups(vec![vec![0, 2], vec![1, 3]])];
        let scenario = scenario(shapes);
        let mut partitions = Partitions::new(&scenario);
        partitions.switch(&scenario, 0, 0, true);
        partitions.switch(&scenario, 1, 0, true);
        partitions.count_hit(0, 3);
        partitions.count_hit(0, 1);
        assert_eq!(partitions.hits(), [1, 2]);
    }
}
