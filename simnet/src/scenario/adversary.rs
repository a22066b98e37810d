//! Adversaries: members that do not play by the rules.
//!
//! An adversary is a member with a good key: what it does, it can sign. It
//! keeps contacts as everybody does and uses nothing that a hostile member
//! could not do; the attacks that know the honest updates of their epoch say so.

use serde::{Deserialize, Serialize};

use super::{Count, EpochTime, Select};

/// Hostile members and what they do.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Adversary {
    /// What they do.
    pub attack: Attack,
    /// Which peers.
    pub peers: Select,
    /// When they begin; honest before.
    #[serde(default)]
    pub at_epoch: EpochTime,
    /// How long; to the end when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub for_epochs: Option<EpochTime>,
}

/// What an adversary does in its slot.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub enum Attack {
    /// Publishes its honest change times `factor` (-4 is the usual one).
    Scale {
        /// The factor.
        factor: f64,
    },
    /// A little is enough (Baruch et al. 2019): the mean of the honest changes of
    /// the epoch that it knows of, moved by `z` standard deviations in each entry.
    Alie {
        /// Standard deviations.
        z: f64,
    },
    /// Inner product manipulation (Xie et al. 2019): the mean of the honest
    /// changes of the epoch that it knows of, times `-epsilon`.
    Ipm {
        /// The factor.
        epsilon: f64,
    },
    /// Publishes the change that it made `epochs` ago, again and again.
    StaleReplay {
        /// How old.
        epochs: Count,
    },
    /// Signs two headers for each slot and hands out the second so many epochs
    /// later.
    Equivocate {
        /// When the twin comes out.
        release_epochs: EpochTime,
    },
    /// The scaled change under a base summary that claims to know nothing.
    FalseBase {
        /// The factor.
        factor: f64,
    },
    /// The scaled change under a base summary that names every slot, so that it
    /// fits every cohort.
    BridgingBase {
        /// The factor.
        factor: f64,
    },
    /// All of them sign one and the same scaled change: one attacker with many
    /// names.
    Sybil {
        /// The factor.
        factor: f64,
    },
    /// Honest changes under a base summary that names every slot, with the vouch
    /// bit set: it vouches for whatever other adversaries do.
    FalseVouch,
}

impl Attack {
    /// The word for tables and reports.
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Scale { .. } => "scale",
            Self::Alie { .. } => "alie",
            Self::Ipm { .. } => "ipm",
            Self::StaleReplay { .. } => "stale-replay",
            Self::Equivocate { .. } => "equivocate",
            Self::FalseBase { .. } => "false-base",
            Self::BridgingBase { .. } => "bridging-base",
            Self::Sybil { .. } => "sybil",
            Self::FalseVouch => "false-vouch",
        }
    }
}
