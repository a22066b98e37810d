//! What must hold for a run to pass.

use serde::{Deserialize, Serialize};

use super::{Count, Probability, Weight};

/// What must hold for the run to pass.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Checks {
    /// What must hold at the end of every epoch.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub always: Option<AlwaysCheck>,
    /// What must hold at the end, after draining.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub by_end: Option<EndCheck>,
    /// What must hold at the end of given epochs.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub at_epoch: Vec<EpochCheck>,
    /// How far the run may fall behind the same run without partitions.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub uncut: Vec<UncutCheck>,
}

/// What must hold at the end of every epoch, for honest peers.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AlwaysCheck {
    /// The mean accuracy never falls by more than this from one sample to the
    /// next.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub accuracy_drop_max: Option<Probability>,
    /// No peer's model lags further behind than this many epochs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lag_max: Option<Count>,
}

/// What must hold at the end, after draining.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EndCheck {
    /// Least accuracy of every sampled honest peer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub accuracy_min: Option<Probability>,
    /// All honest peers (sampled or not) hold the same model.
    #[serde(default)]
    pub equal_models: bool,
    /// Least mean lag in epochs over all peers and training epochs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mean_lag_min: Option<Weight>,
    /// Least share of the deliveries that could be made: every update at every
    /// other peer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub delivered_min: Option<Probability>,
    /// Least number of seals that every honest peer went on from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seals_min: Option<Count>,
    /// Least number of seals over all honest peers that one's own set did not say, so that
    /// it went on from a snapshot.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub adopted_min: Option<Count>,
    /// Least number of own updates that honest peers reported as too late.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub too_late_min: Option<Count>,
    /// Most slots that all honest peers together saw turn void.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub voided_max: Option<u32>,
    /// Most updates in open epochs that any honest peer holds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub held_max: Option<u32>,
    /// Most bytes on links between peers of different groups.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub between_groups_bytes_max: Option<u64>,
}

/// What must hold at the end of an epoch.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EpochCheck {
    /// The epoch.
    pub epoch: u32,
    /// Least accuracy of every sampled honest peer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub accuracy_min: Option<Probability>,
    /// Most accuracy of any sampled honest peer, to show that a fault hurts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub accuracy_max: Option<Probability>,
    /// All honest peers (sampled or not) hold the same model.
    #[serde(default)]
    pub equal_models: bool,
    /// Least number of different models among all honest peers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub models_min: Option<Count>,
}

/// Compares with the same run without partitions, at the end of an epoch.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct UncutCheck {
    /// The epoch.
    pub epoch: u32,
    /// How far the mean accuracy may lie below.
    pub accuracy_below_max: Probability,
}
