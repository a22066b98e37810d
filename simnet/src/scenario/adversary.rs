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
    /// Inner product manipulation by the factor with which the federation's recipe, run over what
    /// it sees, ends farthest from the honest mean (line search, Allouah et al. 2023).
    OptimalIpm,
    /// A little is enough by the number of deviations that does likewise.
    OptimalAlie,
    /// As far from the honest mean, along the reversed deviations, as keeps the largest distance
    /// to an honest change within those between honest ones (Shejwalkar and Houmansadr 2021).
    MinMax,
    /// Likewise with sums of squared distances.
    MinSum,
    /// Dissensus (He, Karimireddy and Jaggi 2022) in a mean over all: a peer's change less
    /// `epsilon` times what the others move it by, spread over the attackers. With epsilon one
    /// nothing but that peer's change is left of the mean.
    Dissensus {
        /// The factor.
        epsilon: f64,
        /// Whose change is to be all that is left.
        peer: u16,
    },
    /// Relocated orthogonal perturbation (Ozfatura et al. 2022): a place between the honest mean
    /// and that of the epoch before, moved at an angle to another such place.
    Rop {
        /// How far it moves, in lengths of the honest mean.
        z: f64,
        /// The share of the epoch before in what the angle is to.
        lambda: f64,
        /// The share of the epoch before in the place that is moved.
        pi: f64,
        /// The angle, in degrees.
        degrees: f64,
    },
    /// Publishes the change of one honest peer again (Karimireddy et al. 2022).
    Mimic {
        /// Whose.
        peer: u16,
    },
    /// As `sybil`, each name with noise of its own: of so many standard deviations of the honest
    /// changes that it knows of, entry by entry.
    SybilJittered {
        /// The factor.
        factor: f64,
        /// The deviations.
        share: f64,
    },
    /// Trains on its samples with all labels 0, and publishes the change at this share of the
    /// median length of the honest ones, so that clipping does not shorten it.
    SlowPoisoning {
        /// The share; just under one.
        share: f64,
    },
    /// Trains with class c labelled as the last but c.
    LabelFlip,
    /// Trains with a trigger in every second sample (Gu et al. 2017): its first inputs are one
    /// value and its label is the wanted one; the change is multiplied (Bagdasaryan et al. 2020).
    Backdoor {
        /// The wanted class.
        class: u8,
        /// How many inputs.
        inputs: u16,
        /// Their value.
        value: f32,
        /// The factor.
        factor: f64,
    },
    /// Publishes a change of nothing.
    FreeRider,
    /// Signs a payload that no compressor would write.
    Payload {
        /// What is in it.
        form: Form,
    },
}

/// What a hostile payload holds: the extremes that its bytes can express. There are no floats in
/// it, so that "not finite" is bytes that mean nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Form {
    /// All values and exponents are the largest; refused for its norm.
    Largest,
    /// Entries of one unit, 2^-24, with signs in turn; admitted.
    Smallest,
    /// Floats that are not a number in place of chunks; refused.
    NotANumber,
    /// The value -128, which has no opposite; refused.
    Unpaired,
    /// The exponent 25; refused.
    Exponent,
    /// An honest payload without its last byte; refused.
    Cut,
    /// All chunks but the last; refused.
    Short,
    /// Chunks twice; refused for its size before it is read.
    Twice,
    /// The first honest payload again in each epoch, bit for bit; admitted.
    Duplicate,
}

impl Form {
    /// True for those that honest peers admit in a plain encoding; sparse encodings may refuse
    /// one of them.
    pub const fn is_admitted(self) -> bool {
        matches!(self, Self::Smallest | Self::Duplicate)
    }
}

impl Attack {
    /// True if it trains on samples that it has changed.
    pub const fn trains_on_lies(&self) -> bool {
        matches!(self, Self::SlowPoisoning { .. } | Self::LabelFlip | Self::Backdoor { .. })
    }

    /// True if it knows the honest changes of its epoch.
    pub const fn is_omniscient(&self) -> bool {
        matches!(
            self,
            Self::Alie { .. }
                | Self::Ipm { .. }
                | Self::OptimalIpm
                | Self::OptimalAlie
                | Self::MinMax
                | Self::MinSum
                | Self::Dissensus { .. }
                | Self::Rop { .. }
                | Self::Mimic { .. }
                | Self::SybilJittered { .. }
                | Self::SlowPoisoning { .. }
        )
    }

    /// True if what the first name of an adversary chose in an epoch binds the others.
    pub const fn is_agreed(&self) -> bool {
        matches!(
            self,
            Self::Sybil { .. } | Self::SybilJittered { .. } | Self::OptimalIpm | Self::OptimalAlie
        )
    }

    /// The peer whose change it is about.
    pub const fn about(&self) -> Option<u16> {
        match self {
            Self::Dissensus { peer, .. } | Self::Mimic { peer } => Some(*peer),
            _ => None,
        }
    }

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
            Self::OptimalIpm => "optimal-ipm",
            Self::OptimalAlie => "optimal-alie",
            Self::MinMax => "min-max",
            Self::MinSum => "min-sum",
            Self::Dissensus { .. } => "dissensus",
            Self::Rop { .. } => "rop",
            Self::Mimic { .. } => "mimic",
            Self::SybilJittered { .. } => "sybil-jittered",
            Self::SlowPoisoning { .. } => "slow-poisoning",
            Self::LabelFlip => "label-flip",
            Self::Backdoor { .. } => "backdoor",
            Self::FreeRider => "free-rider",
            Self::Payload { .. } => "payload",
        }
    }
}
