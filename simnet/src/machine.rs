//! The machine in a host: the shipping peer, or its contact machine alone.
//!
//! In transport mode there is no federation to train: the agent of `dtn` runs
//! by itself and publishes a bundle of random bytes whenever an epoch begins.

use std::collections::VecDeque;
use std::sync::Arc;

use longhaul_aggregation::{Epoch, MemberIndex, ModelId};
use longhaul_dtn::agent::{self, Agent, AgentConfig, Held};
use longhaul_dtn::bundle::{BundleDraft, BundleHead};
use longhaul_dtn::eid::Eid;
use longhaul_dtn::hash::ContentHash;
use longhaul_dtn::identity::SecretKey;
use longhaul_dtn::time::{Span, Timestamp};
use longhaul_node::peer::{Event, Input, Output, Peer};

/// What a host runs.
#[derive(Debug)]
pub enum Machine {
    /// The peer that ships.
    Peer(Box<Peer>),
    /// Its contact machine alone.
    Carrier(Box<Carrier>),
}

/// An agent that accepts everything.
#[derive(Debug)]
pub struct Carrier {
    agent: Agent,
    key: SecretKey,
    lifetime: Span,
    outputs: VecDeque<Output>,
}

/// What the sampler asks of a machine.
#[derive(Debug, Clone, Copy)]
pub struct Look {
    /// The newest epoch with a term.
    pub term_newest: Option<Epoch>,
    /// Updates (or bundles) held.
    pub updates: usize,
    /// Those that are open, so that they are kept in memory.
    pub held: usize,
    /// The set of updates.
    pub set: ContentHash,
    /// The shared model.
    pub model: ModelId,
}

impl Machine {
    /// Takes what happened.
    pub fn handle(&mut self, now: Timestamp, input: Input) {
        match self {
            Self::Peer(peer) => peer.handle(now, input),
            Self::Carrier(carrier) => carrier.handle(now, input),
        }
    }

    /// The next thing to do.
    pub fn poll(&mut self) -> Option<Output> {
        match self {
            Self::Peer(peer) => peer.poll(),
            Self::Carrier(carrier) => carrier.outputs.pop_front(),
        }
    }

    /// When to wake it.
    pub fn wake_at(&self) -> Option<Timestamp> {
        match self {
            Self::Peer(peer) => peer.wake_at(),
            Self::Carrier(carrier) => carrier.agent.wake_at(),
        }
    }

    /// The peer, unless this is a bare carrier.
    pub fn peer(&mut self) -> Option<&mut Peer> {
        match self {
            Self::Peer(peer) => Some(peer),
            Self::Carrier(_) => None,
        }
    }

    /// The carrier, unless this is a peer.
    pub fn carrier(&mut self) -> Option<&mut Carrier> {
        match self {
            Self::Peer(_) => None,
            Self::Carrier(carrier) => Some(carrier),
        }
    }

    /// What the sampler wants to know.
    pub fn look(&mut self) -> Look {
        match self {
            Self::Peer(peer) => {
                let term_newest = peer.newest_term();
                let fold = peer.fold();
                Look {
                    term_newest,
                    updates: fold.slot_count(),
                    held: fold.open_count(),
                    set: fold.set_root(),
                    model: fold.model_id(),
                }
            }
            Self::Carrier(carrier) => {
                let nothing = ContentHash::from_bytes([0; 32]);
                let updates = carrier.agent.len();
                Look {
                    term_newest: None,
                    updates,
                    held: updates,
                    set: nothing,
                    model: ModelId::from_hash(nothing),
                }
            }
        }
    }
}

impl Carrier {
    /// A carrier that holds nothing; its bundles live for `lifetime`.
    pub fn new(config: AgentConfig, key: SecretKey, lifetime: Span) -> Self {
        Self { agent: Agent::new(config), key, lifetime, outputs: VecDeque::new() }
    }

    /// Makes the bundle of `epoch` out of `payload` and offers it.
    pub fn publish(&mut self, now: Timestamp, epoch: Epoch, author: MemberIndex, payload: &[u8]) {
        // The header says whose the bundle is, for the delivery statistics.
        let header = [&author.get().to_be_bytes()[..], &epoch.get().to_be_bytes()].concat();
        let draft = BundleDraft {
            destination: Eid::dtn("transport", "updates").expect("a sound endpoint id"),
            created: now,
            sequence: u64::from(epoch.get()),
            lifetime: self.lifetime,
            hop_limit: u8::MAX,
            header,
            payload,
        };
        let head = BundleHead::seal(draft, &self.key).expect("a sound draft");
        let bundle = head.id();
        self.agent.handle(
            now,
            agent::Input::Publish(Held { head: Arc::new(head), payload: payload.into() }),
        );
        self.outputs.push_back(Output::Event(Event::Published { epoch, bundle }));
        self.drain(now);
    }

    fn handle(&mut self, now: Timestamp, input: Input) {
        let input = match input {
            Input::LinkUp { link, peer } => agent::Input::LinkUp { link, peer },
            Input::LinkDown { link } => agent::Input::LinkDown { link },
            Input::Frame { link, bytes } => agent::Input::Frame { link, bytes },
            Input::Bundle { bytes } => agent::Input::Carried { bytes },
            Input::Wake => agent::Input::Wake,
            Input::Start
            | Input::Trained(_)
            | Input::Proven(_)
            | Input::Verified(_)
            | Input::Summed(_)
            | Input::SumChecked(_)
            | Input::TrainingFailed { .. }
            | Input::Persisted { .. } => return,
        };
        self.agent.handle(now, input);
        self.drain(now);
    }

    fn drain(&mut self, now: Timestamp) {
        while let Some(output) = self.agent.poll() {
            match output {
                agent::Output::Transmit { link, frame } => {
                    self.outputs.push_back(Output::Transmit { link, frame });
                }
                agent::Output::Close { link, reason } => {
                    let reason = reason.to_string();
                    self.outputs.push_back(Output::Close { link, reason });
                }
                agent::Output::Arriving { .. } | agent::Output::Met { .. } => {}
                agent::Output::Judge { held, from } => {
                    let id = held.head.id();
                    if let Some((author, epoch)) = slot_of(held.head.header()) {
                        let event = Event::Accepted { epoch, author, from };
                        self.outputs.push_back(Output::Event(event));
                    }
                    let verdict = agent::Verdict::Accept;
                    self.agent.handle(now, agent::Input::Judged { id, verdict });
                }
                agent::Output::Refused { from, reason, .. } => {
                    let (code, reason) = (reason.code(), reason.to_string());
                    let event = Event::Refused { bundle: None, from, author: None, code, reason };
                    self.outputs.push_back(Output::Event(event));
                }
            }
        }
    }
}

/// The author and the epoch that a carrier's header names.
fn slot_of(header: &[u8]) -> Option<(MemberIndex, Epoch)> {
    let (author, rest) = header.split_first_chunk()?;
    let epoch = rest.first_chunk()?;
    Some((MemberIndex::new(u16::from_be_bytes(*author)), Epoch::new(u32::from_be_bytes(*epoch))))
}
