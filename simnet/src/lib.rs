//! A world of peers: the shipping peer under a virtual clock.
//!
//! A [`Scenario`] says who takes part, who meets whom, what goes wrong and what
//! must hold; [`run`] drives `longhaul_node::peer::Peer`, the code that ships,
//! through it and gives a [`RunReport`]. All order comes from one event heap
//! and all randomness from ChaCha streams per (seed, node, purpose), so the
//! same scenario and seed give the same trace digest, whatever the number of
//! workers.
//!
//! There is no clock, network or disk here: links and disks are arithmetic,
//! and training is an effect that is joined at its modelled completion.

mod adversary;
pub mod bench;
pub mod builtin;
mod checks;
mod clock;
pub mod contacts;
mod delivery;
mod disk;
mod engine;
mod faults;
mod federation;
mod host;
pub mod html;
mod lane;
mod learner;
mod links;
mod machine;
pub mod metrics;
mod network;
pub mod output;
mod page_data;
mod pair;
mod pool;
mod proofs;
mod queue;
mod report;
mod run;
pub mod scenario;
mod seals;
mod seeds;
pub mod shrink;
pub mod snapshot;
mod terms;
#[cfg(test)]
mod testing;
mod trace;

pub use checks::CheckOutcome;
pub use clock::SimTime;
pub use delivery::DeliveryReport;
pub use engine::{Progress, Watch};
pub use faults::{FaultCount, FaultKind, FaultSpan};
pub use federation::{FederationError, check_federation};
pub use learner::{LearnerError, Score, data_content, data_folder};
pub use metrics::MetricTable;
pub use network::NetworkCounts;
pub use page_data::{Detail, page_data};
pub use pool::WorkerLost;
pub use proofs::{AggregateCounts, ProofCounts};
pub use report::{EpochReport, PeerReport, RefusalReport, RunReport};
pub use run::{RunError, RunOptions, RunOutcome, contacts_of, run, run_watched};
pub use scenario::{Scenario, ScenarioError};
pub use trace::{Kind, Record, Sink};
