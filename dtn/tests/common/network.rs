//! A virtual network of agents: links are pairs of queues that keep their
//! order, and are cut with everything that is on its way.

use std::collections::{BTreeMap, VecDeque};

use longhaul_dtn::agent::{
    Agent, AgentBounds, AgentConfig, CloseReason, Held, Input, LinkId, Output, RefuseReason,
    Verdict,
};
use longhaul_dtn::bundle::BundleId;
use longhaul_dtn::frame::Frame;
use longhaul_dtn::hash::ContentHash;
use longhaul_dtn::routing::quota::Value;
use longhaul_dtn::time::{Span, Timestamp};

use super::{Dice, LIMITS, START, key};

/// How a verdict comes about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Judge {
    /// At once: accept.
    AtOnce,
    /// When the test says so.
    Later,
}

/// A direction of a link: the agent that receives.
type Lane = (LinkId, usize);

/// Agents, their links, and a record of what happened.
pub struct Network {
    pub agents: Vec<Agent>,
    pub now: Timestamp,
    pub judge: Judge,
    /// Ids in judgement, by agent.
    pub judging: VecDeque<(usize, BundleId)>,
    /// How often each agent was asked to judge each bundle.
    pub judged: BTreeMap<(usize, BundleId), u32>,
    /// Payload bytes put on the wire, by link.
    pub group_bytes_sent: BTreeMap<LinkId, u64>,
    /// Bytes of frames put on the wire by their kind.
    pub sent: BTreeMap<&'static str, u64>,
    /// Payload bytes that arrived, by link.
    pub group_bytes_delivered: BTreeMap<LinkId, u64>,
    pub closed: Vec<(usize, LinkId, CloseReason)>,
    pub refused: Vec<(usize, Option<BundleId>, RefuseReason)>,
    /// Large bundles announced, and the code with which all are turned away, if they are.
    pub arriving: Vec<(usize, BundleId)>,
    pub unwanted: Option<u16>,
    /// What bundles are worth, for agents that ask.
    pub values: BTreeMap<BundleId, u64>,
    ends: BTreeMap<LinkId, [usize; 2]>,
    lanes: BTreeMap<Lane, VecDeque<Vec<u8>>>,
    next_link: u64,
}

/// The configuration of the agent `number`.
pub fn config(number: usize, bounds: AgentBounds) -> AgentConfig {
    let number = u8::try_from(number + 1).unwrap();
    let scope = ContentHash::of(b"federation");
    let config = AgentConfig::new(key(number).peer_id(), scope, LIMITS, [number; 32]);
    AgentConfig { bounds, ..config }
}

impl Network {
    /// `count` agents without links; agent 0 has the key 1, and so on.
    pub fn new(count: usize, bounds: AgentBounds) -> Self {
        Self {
            agents: (0..count).map(|number| Agent::new(config(number, bounds))).collect(),
            now: START.plus(Span::from_ms(1_000_000)),
            judge: Judge::AtOnce,
            judging: VecDeque::new(),
            judged: BTreeMap::new(),
            group_bytes_sent: BTreeMap::new(),
            group_bytes_delivered: BTreeMap::new(),
            sent: BTreeMap::new(),
            closed: vec![],
            refused: vec![],
            arriving: vec![],
            unwanted: None,
            values: BTreeMap::new(),
            ends: BTreeMap::new(),
            lanes: BTreeMap::new(),
            next_link: 1,
        }
    }

    /// Gives `input` to an agent and does what it says.
    pub fn handle(&mut self, agent: usize, input: Input) {
        self.agents[agent].handle(self.now, input);
        while let Some(output) = self.agents[agent].poll() {
            self.perform(agent, output);
        }
    }

    pub fn publish(&mut self, agent: usize, held: Held) {
        self.handle(agent, Input::Publish(held));
    }

    pub fn connect(&mut self, a: usize, b: usize) -> LinkId {
        let link = LinkId(self.next_link);
        self.next_link += 1;
        self.ends.insert(link, [a, b]);
        self.lanes.insert((link, a), VecDeque::new());
        self.lanes.insert((link, b), VecDeque::new());
        for (end, other) in [(a, b), (b, a)] {
            let peer = key(u8::try_from(other + 1).unwrap()).peer_id();
            self.handle(end, Input::LinkUp { link, peer });
        }
        link
    }

    /// Cuts a link; what is on its way is lost.
    pub fn cut(&mut self, link: LinkId) {
        for end in self.ends.remove(&link).into_iter().flatten() {
            self.lanes.remove(&(link, end));
            self.handle(end, Input::LinkDown { link });
        }
    }

    pub fn links(&self) -> Vec<LinkId> {
        self.ends.keys().copied().collect()
    }

    /// Delivers the next frame of one lane, chosen by `dice`; false when no
    /// frame is on its way.
    pub fn deliver(&mut self, dice: &mut Dice) -> bool {
        let busy: Vec<Lane> = self
            .lanes
            .iter()
            .filter(|(_, queue)| !queue.is_empty())
            .map(|(&lane, _)| lane)
            .collect();
        if busy.is_empty() {
            return false;
        }
        let lane @ (link, end) = busy[dice.below(busy.len())];
        let bytes = self.lanes.get_mut(&lane).and_then(VecDeque::pop_front).unwrap();
        *self.group_bytes_delivered.entry(link).or_default() += group_len(&bytes);
        self.handle(end, Input::Frame { link, bytes });
        true
    }

    /// Delivers up to `frames` frames.
    pub fn deliver_some(&mut self, frames: usize, dice: &mut Dice) {
        for _ in 0..frames {
            self.deliver(dice);
        }
    }

    /// Delivers until nothing is on its way.
    pub fn settle(&mut self, dice: &mut Dice) {
        let mut steps = 0;
        while self.deliver(dice) {
            steps += 1;
            assert!(steps < 2_000_000, "the network does not come to rest");
        }
    }

    /// Answers the judgement that waits longest.
    pub fn answer(&mut self, verdict: Verdict) {
        let (agent, id) = self.judging.pop_front().unwrap();
        self.handle(agent, Input::Judged { id, verdict });
    }

    /// Lets `span` pass and wakes every agent whose time has come.
    pub fn pass(&mut self, span: Span) {
        self.now = self.now.plus(span);
        for agent in 0..self.agents.len() {
            if self.agents[agent].wake_at().is_some_and(|at| at <= self.now) {
                self.handle(agent, Input::Wake);
            }
        }
    }

    fn perform(&mut self, agent: usize, output: Output) {
        match output {
            Output::Transmit { link, frame } => self.send(agent, link, frame),
            Output::Close { link, reason } => self.closed.push((agent, link, reason)),
            Output::Judge { held, .. } => {
                let id = held.head.id();
                *self.judged.entry((agent, id)).or_default() += 1;
                match self.judge {
                    Judge::AtOnce => {
                        let input = Input::Judged { id, verdict: Verdict::Accept };
                        self.agents[agent].handle(self.now, input);
                    }
                    Judge::Later => self.judging.push_back((agent, id)),
                }
            }
            Output::Arriving { head, .. } => {
                self.arriving.push((agent, head.id()));
                if let Some(code) = self.unwanted {
                    let input = Input::Retire { ids: vec![head.id()], code };
                    self.agents[agent].handle(self.now, input);
                } else if let Some(&value) = self.values.get(&head.id()) {
                    let input = Input::Worth { id: head.id(), value: Value(value) };
                    self.agents[agent].handle(self.now, input);
                }
            }
            Output::Met { .. } => {}
            Output::Refused { id, reason, .. } => self.refused.push((agent, id, reason)),
        }
    }

    fn send(&mut self, from: usize, link: LinkId, frame: Vec<u8>) {
        let Some([a, b]) = self.ends.get(&link) else { return };
        let to = if *a == from { *b } else { *a };
        *self.sent.entry(Frame::kind_of(&frame)).or_default() += frame.len() as u64;
        *self.group_bytes_sent.entry(link).or_default() += group_len(&frame);
        self.lanes.entry((link, to)).or_default().push_back(frame);
    }
}

fn group_len(frame: &[u8]) -> u64 {
    match Frame::decode(frame) {
        Ok(Frame::Group { bytes, .. }) => bytes.len() as u64,
        _ => 0,
    }
}
