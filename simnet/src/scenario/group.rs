//! Groups: peers that are alike in data, pace, clock and reliability.

use std::num::NonZeroU16;

use serde::{Deserialize, Serialize};

use super::{Count, Epochs, Label, Millis, Peers, Probability, Scenario, Weight};

/// A group of peers.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Group {
    /// Names the group in tables, metrics and selections.
    pub name: Label,
    /// Number of peers.
    pub peers: Count,
    /// Modelled time of one training step, instead of `training.pace_ms`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pace_ms: Option<Millis>,
    /// How far the peers' clocks are off.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub clock: Option<ClockModel>,
    /// How often the peers are switched off.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub churn: Option<Churn>,
    /// Bytes of storage that each peer has. Members never evict open slots, so a
    /// quota below what the manifest may need is refused, as `longhaul join` does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub store_quota_bytes: Option<u64>,
    /// Share of its own samples that each peer keeps, drawn between this and 1
    /// (quantity skew).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub quantity_min: Option<Probability>,
    /// Largest gain and offset error of a peer's inputs, as a share of their
    /// range (feature shift).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub feature_shift: Option<Weight>,
    /// Epochs after which a peer's data has changed for other samples of its own
    /// (time drift): in each stretch of this length it trains on another quarter.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub drift_epochs: Option<Epochs>,
    /// The number of the trust root under which the manifest lists the peers; none when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trust_root: Option<NonZeroU16>,
}

/// How far a peer's clock may be off the true time.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ClockModel {
    /// Largest offset at the start; each peer draws its own, early or late.
    #[serde(default)]
    pub skew_ms: u32,
    /// Largest drift in parts per million; each peer draws its own.
    #[serde(default)]
    pub drift_ppm: u32,
}

/// How often a peer is switched off and on again, with its disk intact.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Churn {
    /// Mean time up, in epochs; exponentially distributed.
    pub up_epochs: Weight,
    /// Mean time down, in epochs; exponentially distributed.
    pub down_epochs: Weight,
}

impl Scenario {
    /// The groups, or one of all peers.
    pub fn groups(&self) -> Vec<Group> {
        if !self.group.is_empty() {
            return self.group.clone();
        }
        let name = Label::try_from("all".to_owned()).expect("a plain name");
        vec![Group::plain(name, self.peers)]
    }

    /// The group of each peer, as an index into [`Scenario::groups`].
    pub fn group_of_peers(&self) -> Vec<usize> {
        let of = |(index, group): (usize, Group)| {
            std::iter::repeat_n(index, usize::try_from(group.peers.get()).unwrap_or(usize::MAX))
        };
        let peers = usize::from(self.peers.get());
        self.groups().into_iter().enumerate().flat_map(of).take(peers).collect()
    }
}

impl Group {
    /// A group of `peers` without anything special.
    fn plain(name: Label, peers: Peers) -> Self {
        Self {
            name,
            peers: Count::new(u32::from(peers.get())),
            pace_ms: None,
            clock: None,
            churn: None,
            store_quota_bytes: None,
            quantity_min: None,
            feature_shift: None,
            drift_epochs: None,
            trust_root: None,
        }
    }
}
