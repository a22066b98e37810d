//! One agent whose peers the test plays itself, frame by frame.

use longhaul_dtn::agent::{
    Agent, AgentBounds, CloseReason, Held, Input, LinkId, Output, RefuseReason, Verdict,
};
use longhaul_dtn::bundle::BundleId;
use longhaul_dtn::frame::{Frame, Page, Terms, Versions};
use longhaul_dtn::groups::GroupTree;
use longhaul_dtn::hash::ContentHash;
use longhaul_dtn::time::{Span, Timestamp};

use super::network::config;
use super::{START, key};

/// The agent 0 and what it said since the last question.
pub struct Host {
    pub agent: Agent,
    pub now: Timestamp,
    outputs: Vec<Output>,
}

impl Host {
    pub fn new(bounds: AgentBounds) -> Self {
        let now = START.plus(Span::from_ms(1_000_000));
        Self { agent: Agent::new(config(0, bounds)), now, outputs: vec![] }
    }

    pub fn handle(&mut self, input: Input) {
        self.agent.handle(self.now, input);
        while let Some(output) = self.agent.poll() {
            if !matches!(output, Output::Met { .. }) {
                self.outputs.push(output);
            }
        }
    }

    /// Lets time pass and wakes the agent, if it wants to be.
    pub fn pass(&mut self, span: Span) {
        self.now = self.now.plus(span);
        if self.agent.wake_at().is_some_and(|at| at <= self.now) {
            self.handle(Input::Wake);
        }
    }

    /// Brings up `link` to the peer with key `peer`, without a hello.
    pub fn up(&mut self, link: u64, peer: u8) -> LinkId {
        let link = LinkId(link);
        self.handle(Input::LinkUp { link, peer: key(peer).peer_id() });
        link
    }

    /// Brings up `link` and says hello; forgets what was said until then.
    pub fn contact(&mut self, link: u64, peer: u8) -> LinkId {
        let link = self.up(link, peer);
        self.send(link, &hello());
        self.outputs.clear();
        link
    }

    pub fn send(&mut self, link: LinkId, frame: &Frame) {
        self.send_bytes(link, frame.encode());
    }

    pub fn send_bytes(&mut self, link: LinkId, bytes: Vec<u8>) {
        self.handle(Input::Frame { link, bytes });
    }

    pub fn offer(&mut self, link: LinkId, held: &Held) {
        self.send(link, &Frame::Have { ids: vec![held.head.id()], page: Page::Last });
    }

    /// Offers a bundle and answers what is asked about it, as an honest peer.
    pub fn give(&mut self, link: LinkId, held: &Held) {
        self.offer(link, held);
        self.serve(link, held);
    }

    /// Answers everything asked on `link` from `held`, until nothing is asked.
    pub fn serve(&mut self, link: LinkId, held: &Held) {
        loop {
            let frames = self.frames(link);
            if !frames.iter().any(is_want) {
                break;
            }
            for frame in frames {
                if let Some(answer) = answer(self.now, &frame, held) {
                    self.send(link, &answer);
                }
            }
        }
    }

    /// Everything said since the last question, but for greetings.
    pub fn outputs(&mut self) -> Vec<Output> {
        std::mem::take(&mut self.outputs)
    }

    /// The frames sent on `link` since the last question; keeps the rest.
    pub fn frames(&mut self, link: LinkId) -> Vec<Frame> {
        let mut frames = vec![];
        self.outputs.retain(|output| match output {
            Output::Transmit { link: at, frame } if *at == link => {
                frames.push(Frame::decode(frame).unwrap());
                false
            }
            _ => true,
        });
        frames
    }

    pub fn judge_requests(&mut self) -> Vec<Held> {
        let mut found = vec![];
        self.outputs.retain(|output| match output {
            Output::Judge { held, .. } => {
                found.push(held.clone());
                false
            }
            _ => true,
        });
        found
    }

    pub fn refusals(&mut self) -> Vec<RefuseReason> {
        let mut found = vec![];
        self.outputs.retain(|output| match output {
            Output::Refused { reason, .. } => {
                found.push(reason.clone());
                false
            }
            _ => true,
        });
        found
    }

    pub fn closes(&mut self) -> Vec<(LinkId, CloseReason)> {
        let mut found = vec![];
        self.outputs.retain(|output| match output {
            Output::Close { link, reason } => {
                found.push((*link, reason.clone()));
                false
            }
            _ => true,
        });
        found
    }

    pub fn judged(&mut self, id: BundleId, verdict: Verdict) {
        self.handle(Input::Judged { id, verdict });
    }
}

pub fn hello() -> Frame {
    let scope = ContentHash::of(b"federation");
    let terms = Terms::default();
    Frame::Hello { versions: Versions::SPOKEN, scope, nonce: [9; 32], terms }
}

pub fn is_want(frame: &Frame) -> bool {
    matches!(frame, Frame::WantHead(_) | Frame::WantGroup { .. })
}

/// What an honest peer that holds `held` answers.
pub fn answer(now: Timestamp, frame: &Frame, held: &Held) -> Option<Frame> {
    match frame {
        Frame::WantHead(id) if *id == held.head.id() => {
            Some(Frame::Head { id: *id, head: held.head.encode_for_next_hop(now)? })
        }
        Frame::WantGroup { id, index } if *id == held.head.id() => {
            let proof = GroupTree::of(&held.payload).proof(*index)?;
            let start = usize::try_from(index.offset()).ok()?;
            let len = index.len_in(held.payload.len() as u64)?;
            let bytes = held.payload[start..][..len as usize].to_vec();
            Some(Frame::Group { id: *id, index: *index, proof, bytes })
        }
        Frame::WantHead(id) | Frame::WantGroup { id, .. } => Some(Frame::Gone(*id)),
        _ => None,
    }
}
