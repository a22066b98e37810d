//! Graphs: links that are there all the time, and a carrier between two halves.
//!
//! For tests of protocols: a ring shows how far news has to go, a dumbbell what
//! a single bridge does. With a carrier the dumbbell has no bridge; the last
//! peer visits one half and then the other, once in every period.

use serde::{Deserialize, Serialize};

use super::spans::Spans;
use super::{PlanError, PlanInput};
use crate::scenario::{Count, Millis};

/// Permanent links; either `edges` or `shape`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Graph {
    /// Pairs of peers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub edges: Option<Vec<[u16; 2]>>,
    /// A shape over all peers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub shape: Option<Shape>,
    /// For a dumbbell: the last peer goes between the halves instead of a link.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub carrier: Option<Carrier>,
}

/// A shape over all peers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Shape {
    /// Each with the next, the last with the first.
    Ring,
    /// Each with the next.
    Line,
    /// The first with all others.
    Star,
    /// Rows of the square root of the number of peers, each with its neighbours
    /// to the right and below.
    Grid,
    /// Two halves, everybody with everybody inside each, and one link between
    /// the last of the first and the first of the second.
    Dumbbell,
    /// Everybody with everybody.
    Complete,
}

/// A peer that goes between the halves of a dumbbell.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Carrier {
    /// Epochs from one visit to the first half to the next; it visits the
    /// second half in the middle.
    pub period_epochs: Count,
    /// How long it is in contact with all of a half; at most half the period.
    pub visit_ms: Millis,
}

pub(super) fn generate(
    spec: &Graph,
    input: &PlanInput<'_>,
    spans: &mut Spans,
) -> Result<(), PlanError> {
    for &pair in spec.edges.iter().flatten() {
        spans.meet(pair, 0, spans.until_us())?;
    }
    let carrier = u16::from(spec.carrier.is_some());
    if let Some(shape) = spec.shape {
        shape.link(input.peers - carrier, carrier == 0, &mut |pair| {
            spans.meet(pair, 0, spans.until_us())
        })?;
    }
    spec.carrier.iter().try_for_each(|carrier| carrier.travel(input, spans))
}

/// Takes one edge.
type Link<'a> = dyn FnMut([u16; 2]) -> Result<(), PlanError> + 'a;

impl Shape {
    /// Calls `link` with every edge over `peers`; `bridged` tells whether the
    /// halves of a dumbbell are linked.
    fn link(self, peers: u16, bridged: bool, link: &mut Link<'_>) -> Result<(), PlanError> {
        let middle = halves(peers);
        match self {
            Self::Ring => {
                line(peers, link)?;
                if peers > 2 {
                    link([0, peers - 1])?;
                }
                Ok(())
            }
            Self::Line => line(peers, link),
            Self::Star => (1..peers).try_for_each(|peer| link([0, peer])),
            Self::Grid => grid(peers, link),
            Self::Dumbbell => {
                clique(0, middle, link)?;
                clique(middle, peers, link)?;
                if bridged { link([middle - 1, middle]) } else { Ok(()) }
            }
            Self::Complete => clique(0, peers, link),
        }
    }
}

/// Where the second half begins; the first is the larger one.
const fn halves(peers: u16) -> u16 {
    peers.div_ceil(2)
}

fn line(peers: u16, link: &mut Link<'_>) -> Result<(), PlanError> {
    (1..peers).try_for_each(|peer| link([peer - 1, peer]))
}

fn clique(from: u16, to: u16, link: &mut Link<'_>) -> Result<(), PlanError> {
    (from..to).try_for_each(|a| (a + 1..to).try_for_each(|b| link([a, b])))
}

fn grid(peers: u16, link: &mut Link<'_>) -> Result<(), PlanError> {
    let columns = (1..=256_u32).find(|&side| side * side >= u32::from(peers)).unwrap_or(256);
    let columns = u16::try_from(columns).expect("at most 256");
    for peer in 0..peers {
        if (peer + 1) % columns != 0 && peer + 1 < peers {
            link([peer, peer + 1])?;
        }
        if let Some(below) = peer.checked_add(columns).filter(|&below| below < peers) {
            link([peer, below])?;
        }
    }
    Ok(())
}

impl Carrier {
    fn travel(&self, input: &PlanInput<'_>, spans: &mut Spans) -> Result<(), PlanError> {
        let carrier = input.peers - 1;
        let middle = halves(carrier);
        let period_us = u64::from(self.period_epochs.get()).saturating_mul(input.epoch_us);
        let visit_us = u64::from(self.visit_ms.get()) * 1_000;
        let mut start_us = 0_u64;
        while start_us < spans.until_us() {
            for (half, from_us) in
                [(0..middle, start_us), (middle..carrier, start_us.saturating_add(period_us / 2))]
            {
                for peer in half {
                    spans.meet([peer, carrier], from_us, from_us.saturating_add(visit_us))?;
                }
            }
            start_us = start_us.saturating_add(period_us);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::contacts::{Contact, ContactStats, Contacts, plan};
    use proptest::prelude::*;

    fn contacts(text: &str, peers: u16) -> Vec<Contact> {
        let spec = Contacts::Graph(toml::from_str(text).expect("a graph"));
        let input = PlanInput {
            peers,
            epochs_total: 10,
            epoch_us: 1_000_000,
            seed: 0,
            drain_from_us: None,
            file: None,
        };
        plan(&spec, &input).expect("a plan")
    }

    fn edges(text: &str, peers: u16) -> Vec<(u16, u16)> {
        contacts(text, peers).iter().map(|it| (it.a, it.b)).collect()
    }

    #[test]
    fn shapes_have_the_edges_of_their_name() {
        for (shape, peers, expected) in [
            ("ring", 4, vec![(0, 1), (0, 3), (1, 2), (2, 3)]),
            ("ring", 2, vec![(0, 1)]),
            ("line", 4, vec![(0, 1), (1, 2), (2, 3)]),
            ("star", 4, vec![(0, 1), (0, 2), (0, 3)]),
            ("grid", 5, vec![(0, 1), (0, 3), (1, 2), (1, 4), (3, 4)]),
            ("dumbbell", 5, vec![(0, 1), (0, 2), (1, 2), (2, 3), (3, 4)]),
            ("complete", 3, vec![(0, 1), (0, 2), (1, 2)]),
        ] {
            assert_eq!(edges(&format!("shape = \"{shape}\""), peers), expected, "{shape}");
        }
    }

    #[test]
    fn edges_are_taken_in_either_order_and_once() {
        assert_eq!(edges("edges = [[2, 0], [0, 2], [1, 2]]", 3), [(0, 2), (1, 2)]);
    }

    #[test]
    fn a_carrier_visits_both_halves_once_a_period() {
        let contacts =
            contacts("shape = \"dumbbell\"\ncarrier = { period_epochs = 4, visit_ms = 500 }", 5);
        let of = |peer: u16| -> Vec<_> {
            let meets = contacts.iter().filter(|it| it.b == 4 && it.a == peer);
            meets.map(|it| (it.from_us, it.to_us)).collect()
        };
        let first = [0, 4_000_000, 8_000_000].map(|from| (from, from + 500_000));
        assert_eq!(of(0), first);
        assert_eq!(of(1), first);
        let second = [2_000_000, 6_000_000].map(|from| (from, from + 500_000));
        assert_eq!(of(2), second);
        assert!(!contacts.iter().any(|it| it.a < 2 && (2..4).contains(&it.b)));
    }

    const SHAPES: [&str; 6] = ["ring", "line", "star", "grid", "dumbbell", "complete"];

    proptest! {
        #[test]
        fn every_shape_is_connected(
            shape in prop::sample::select(SHAPES.to_vec()),
            peers in 2_u16..40,
        ) {
            let contacts = contacts(&format!("shape = \"{shape}\""), peers);
            let stats = ContactStats::of(&contacts, peers);
            prop_assert_eq!((stats.parts, stats.isolated_peers), (1, 0));
        }
    }
}
