//! What the page of a run shows of seals: plain numbers, nothing drawn.
//!
//! Peers are honest peers. Times are simulated seconds since the start of the run.

use serde::{Deserialize, Serialize};

/// What was sealed in a run whose scenario seals.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Seals {
    /// How far back an epoch lies before it may be sealed.
    pub window_epochs: u32,
    /// Epochs from one attempt to the next.
    pub every_epochs: u32,
    /// Number of peers.
    pub peers: u32,
    /// The seals, in order of their ends.
    pub seals: Vec<Seal>,
    /// How far the peers had sealed, in order of time.
    pub progress: Vec<SealPoint>,
    /// Seals that peers went on from with a snapshot, since their own sets said something
    /// else, by the first epoch that they left open.
    pub adopted: Vec<SealCount>,
    /// Own updates that came too late for a seal, by their epoch.
    pub too_late: Vec<SealCount>,
    /// How many updates the peers held, in order of time.
    pub held: Vec<HeldPoint>,
}

/// One seal.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Seal {
    /// The first epoch that it left open.
    pub end_epoch: u32,
    /// When the first peer had closed what lies before.
    pub first_s: f64,
    /// When half of the peers had, if they ever did.
    pub half_s: Option<f64>,
    /// Number of peers that had at the end of the run.
    pub peers: u32,
}

/// How far the peers had sealed at one moment: the first open epoch.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct SealPoint {
    /// When.
    pub at_s: f64,
    /// Of the median peer.
    pub median: u32,
    /// Of the peer that is furthest behind.
    pub least: u32,
}

/// How often something happened to an epoch within one epoch of the clock.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct SealCount {
    /// When first.
    pub at_s: f64,
    /// The epoch it happened to.
    pub epoch: u32,
    /// How often.
    pub count: u32,
}

/// How many updates the peers held at one moment.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct HeldPoint {
    /// When.
    pub at_s: f64,
    /// Updates whose effect is in the model: the mean over the peers.
    pub updates_mean: f64,
    /// Those of them in open epochs, which take memory: the mean.
    pub held_mean: f64,
    /// The same of the peer that holds most.
    pub held_max: f64,
}

impl Seals {
    /// The first epoch that some peer has open at the end.
    pub fn sealed_by_all(&self) -> u32 {
        self.progress.last().map_or(0, |point| point.least)
    }

    /// How often peers went on from a snapshot, over all.
    pub fn adopted_times(&self) -> u64 {
        self.adopted.iter().map(|it| u64::from(it.count)).sum()
    }

    /// Own updates that came too late, over all.
    pub fn too_late_times(&self) -> u64 {
        self.too_late.iter().map(|it| u64::from(it.count)).sum()
    }
}
