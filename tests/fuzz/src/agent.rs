//! Fuzz body of the agent as a whole: a hostile peer does what the bytes say, beside an honest one.
//!
//! It is run like those of `dtn.rs`.

use std::collections::{BTreeSet, VecDeque};
use std::sync::{Arc, OnceLock};

use longhaul_dtn::agent::{
    Agent, AgentBounds, AgentConfig, CloseReason, Held, Input, LinkId, Output, Verdict,
};
use longhaul_dtn::bundle::{BundleDraft, BundleHead, BundleId, BundleLimits};
use longhaul_dtn::eid::Eid;
use longhaul_dtn::frame::{FRAME_BYTES_MAX, Frame, Page, PageStart, Terms, Versions};
use longhaul_dtn::groups::{GroupIndex, GroupTree};
use longhaul_dtn::hash::ContentHash;
use longhaul_dtn::identity::{PeerId, SecretKey};
use longhaul_dtn::sketch::{CellCount, Encoder, KeyedIds, SketchKey, Symbol};
use longhaul_dtn::time::{Span, Timestamp};

const START: Timestamp = Timestamp::from_dtn_ms(840_000_000_000);
const LIMITS: BundleLimits = BundleLimits {
    header_bytes_max: 64,
    proof_bytes_max: 0,
    payload_bytes_max: 48 * 1024,
    lifetime_max: Span::from_ms(1_000_000),
};
/// Small, so that mutants reach them.
const BOUNDS: AgentBounds = AgentBounds {
    links_max: 5,
    wants_per_link: 4,
    offers_per_link: 600,
    sketch_ids_max: 100,
    refusals_max: 8,
    transfer_bytes_max: 200 * 1024,
    transfers_max: 4,
    unrequested_max: 3,
    hello_timeout: Span::from_ms(3_000),
    stall_timeout: Span::from_ms(5_000),
};
/// The link between the agent and its honest peer.
const HONEST: LinkId = LinkId(1);
const LINKS: u64 = 6;
/// Bundles that exist: the honest peer's, then the attacker's.
const BUNDLES: usize = 24;
const HONEST_BUNDLES: usize = 12;
/// What one input may make the agent say: an answer, and wants on every link.
const SAID_BYTES_MAX: usize = FRAME_BYTES_MAX + 64 * 1024;

fn bundles() -> &'static [Held] {
    static MADE: OnceLock<Vec<Held>> = OnceLock::new();
    MADE.get_or_init(|| (0..BUNDLES).map(made).collect())
}

fn made(number: usize) -> Held {
    let payload = vec![number as u8; [10, 40_000, 0, 20_000][number % 4]];
    let draft = BundleDraft {
        destination: Eid::none(),
        created: START,
        sequence: number as u64,
        lifetime: Span::from_ms(600_000),
        hop_limit: 9,
        header: vec![number as u8; 5],
        payload: &payload,
    };
    let author = SecretKey::from_seed(&[if number < HONEST_BUNDLES { 2 } else { 3 }; 32]);
    let head = BundleHead::seal(draft, &author).expect("a good draft");
    Held { head: Arc::new(head), payload: payload.into() }
}

fn peer(number: u8) -> PeerId {
    SecretKey::from_seed(&[number; 32]).peer_id()
}

fn agent(number: u8, bounds: AgentBounds) -> Agent {
    let config = AgentConfig::new(peer(number), scope(), LIMITS, [number; 32]);
    Agent::new(AgentConfig { bounds, ..config })
}

fn scope() -> ContentHash {
    ContentHash::of(b"federation")
}

/// The bytes, as numbers to choose by.
struct Script<'a>(&'a [u8]);

impl<'a> Script<'a> {
    fn byte(&mut self) -> u8 {
        let Some((first, rest)) = self.0.split_first() else { return 0 };
        self.0 = rest;
        *first
    }

    fn bytes(&mut self) -> &'a [u8] {
        let len = usize::from(self.byte()).min(self.0.len());
        let (some, rest) = self.0.split_at(len);
        self.0 = rest;
        some
    }

    fn held(&mut self) -> &'static Held {
        &bundles()[usize::from(self.byte()) % BUNDLES]
    }

    /// A frame that a peer could send, mostly out of place.
    fn frame(&mut self) -> Vec<u8> {
        let held = self.held();
        let id = held.head.id();
        let frame = match self.byte() % 14 {
            0 => return self.bytes().to_vec(),
            1 => {
                let terms = Terms { held: self.byte().into(), ..Terms::default() };
                let nonce = [self.byte(); 32];
                Frame::Hello { versions: Versions::SPOKEN, scope: scope(), nonce, terms }
            }
            2 => {
                let some = usize::from(self.byte()) % BUNDLES;
                let ids = bundles()[some..].iter().map(|held| held.head.id()).collect();
                Frame::Have { ids, page: self.page() }
            }
            3 => Frame::Have { ids: self.strange_ids(), page: self.page() },
            4 => Frame::More {
                from: if self.byte().is_multiple_of(2) {
                    PageStart::Newest
                } else {
                    PageStart::AfterLast
                },
            },
            5 => Frame::WantHead(id),
            6 => Frame::WantGroup { id, index: self.index() },
            7 => {
                let mut head = held.head.encode();
                let at = usize::from(self.byte()) * 4;
                if let Some(byte) = head.get_mut(at) {
                    *byte ^= self.byte();
                }
                Frame::Head { id: self.held().head.id(), head }
            }
            8 => return self.group(held),
            9 => Frame::Gone(id),
            10 => Frame::MoreCells(CellCount::new(u32::from(self.byte()) + 1).expect("small")),
            11 => return self.cells(),
            12 => {
                let symbols = vec![Symbol::from_bytes([self.byte(); 8]); self.byte().into()];
                Frame::Resolve { symbols, page: self.page() }
            }
            _ => Frame::List,
        };
        frame.encode()
    }

    fn page(&mut self) -> Page {
        if self.byte().is_multiple_of(2) { Page::Last } else { Page::Continued }
    }

    fn index(&mut self) -> GroupIndex {
        GroupIndex::new((self.byte() % 4).into()).expect("small")
    }

    fn strange_ids(&mut self) -> Vec<BundleId> {
        let (first, count) = (self.byte(), self.byte());
        let id = |it: u8| BundleId::from_hash(ContentHash::of(&[first, it]));
        (0..count).map(id).collect()
    }

    /// A group as it should be, or with another byte, index or proof.
    fn group(&mut self, held: &Held) -> Vec<u8> {
        let (id, index) = (held.head.id(), self.index());
        let tree = GroupTree::of(&held.payload);
        let of = if self.byte().is_multiple_of(4) { self.index() } else { index };
        let proof = tree.proof(of).unwrap_or_default();
        let start = usize::try_from(index.offset()).expect("small").min(held.payload.len());
        let end = (start + 16 * 1024).min(held.payload.len());
        let mut bytes = held.payload[start..end].to_vec();
        let at = usize::from(self.byte()) * 64;
        if let Some(byte) = bytes.get_mut(at) {
            *byte ^= self.byte() % 2;
        }
        Frame::Group { id, index, proof, bytes }.encode()
    }

    fn cells(&mut self) -> Vec<u8> {
        let key = SketchKey::between(&[self.byte(); 32], &[self.byte(); 32]);
        let ids = self.strange_ids();
        let mut encoder = Encoder::new(KeyedIds::new(key, ids).expect("a small set"));
        let count = CellCount::new(u32::from(self.byte()) + 1).expect("small");
        let first = encoder.batch(count).expect("cells");
        let later = self.byte().is_multiple_of(2);
        Frame::Cells(if later { encoder.batch(count).expect("cells") } else { first }).encode()
    }
}

/// The agent under attack, its honest peer, and what is between them.
struct World {
    now: Timestamp,
    agents: [Agent; 2],
    /// Frames to each of them over the honest link.
    lanes: [VecDeque<Vec<u8>>; 2],
    judging: VecDeque<BundleId>,
    refused: BTreeSet<BundleId>,
    said_bytes: usize,
}

impl World {
    fn give(&mut self, to: usize, input: Input) {
        self.agents[to].handle(self.now, input);
        while let Some(output) = self.agents[to].poll() {
            self.perform(to, output);
        }
    }

    fn perform(&mut self, of: usize, output: Output) {
        match output {
            Output::Transmit { link, frame } => {
                assert!(frame.len() <= FRAME_BYTES_MAX);
                if of == 0 {
                    self.said_bytes += frame.len();
                }
                if link == HONEST {
                    self.lanes[1 - of].push_back(frame);
                }
            }
            Output::Close { link, reason } => {
                let late = matches!(
                    reason,
                    CloseReason::Stalled | CloseReason::NoHello | CloseReason::Bye(5 | 10)
                );
                assert!(link != HONEST || late, "an honest contact is closed: {reason}");
            }
            Output::Judge { held, .. } => {
                let known = bundles().iter().find(|it| it.head.id() == held.head.id());
                let known = known.expect("a bundle that somebody signed");
                assert_eq!(known.payload, held.payload, "another payload");
                if of == 0 {
                    self.judging.push_back(held.head.id());
                } else {
                    let id = held.head.id();
                    self.agents[1].handle(self.now, Input::Judged { id, verdict: Verdict::Accept });
                }
            }
            Output::Met { .. } | Output::Arriving { .. } | Output::Refused { .. } => {}
        }
    }

    fn judge(&mut self, verdict: Verdict) {
        if let Some(id) = self.judging.pop_front() {
            if matches!(verdict, Verdict::Refuse { .. }) {
                self.refused.insert(id);
            }
            self.give(0, Input::Judged { id, verdict });
        }
    }

    /// Carries up to `frames` frames over the honest link.
    fn carry(&mut self, frames: usize) -> bool {
        for _ in 0..frames {
            let Some(to) = (0..2).find(|&to| !self.lanes[to].is_empty()) else { return false };
            let bytes = self.lanes[to].pop_front().expect("it is not empty");
            self.give(to, Input::Frame { link: HONEST, bytes });
        }
        true
    }

    fn meet(&mut self) {
        self.lanes = Default::default();
        for (to, other) in [(0, 2), (1, 1)] {
            self.give(to, Input::LinkDown { link: HONEST });
            self.give(to, Input::LinkUp { link: HONEST, peer: peer(other) });
        }
    }

    fn step(&mut self, script: &mut Script<'_>) {
        let link = LinkId(2 + u64::from(script.byte()) % LINKS);
        self.said_bytes = 0;
        match script.byte() % 10 {
            0 => self.give(0, Input::LinkUp { link, peer: peer(script.byte() % 5) }),
            1 => self.give(0, Input::LinkDown { link }),
            2 => {
                self.now = self.now.plus(Span::from_ms(u64::from(script.byte()) * 40));
                self.give(0, Input::Wake);
            }
            3 => self.judge(match script.byte() % 3 {
                0 => Verdict::Refuse { code: 100 },
                _ => Verdict::Accept,
            }),
            4 => {
                let held = script.held();
                let mut bytes = held.head.to_bundle(&held.payload);
                let at = usize::from(script.byte()) * 8;
                if let Some(byte) = bytes.get_mut(at) {
                    *byte ^= script.byte() % 2;
                }
                self.give(0, Input::Carried { bytes });
            }
            5 => drop(self.carry(script.byte().into())),
            _ => {
                let bytes = script.frame();
                self.give(0, Input::Frame { link, bytes });
            }
        }
        // Frames of the honest link answer each other, and are not counted here.
        assert!(self.said_bytes <= SAID_BYTES_MAX * 255, "{} bytes said", self.said_bytes);
        let agent = &self.agents[0];
        assert!(agent.links() <= BOUNDS.links_max);
        let offers = BOUNDS.offers_per_link * BOUNDS.links_max;
        assert!(agent.waiting() <= offers + BOUNDS.transfers_max + 4096, "{}", agent.waiting());
        assert!(self.judging.len() <= BOUNDS.transfers_max, "{} in judgement", self.judging.len());
        assert!(agent.len() <= BUNDLES);
    }
}

/// An agent that a hostile peer talks to on several links, while an honest one does, too.
///
/// Promised: no input makes it panic; links, offers, transfers and judgements keep their bounds;
/// what is judged is what somebody signed; an honest contact is closed only for being late; and
/// when the attack is over, agent and honest peer end with the same bundles.
pub fn agent_under_attack(data: &[u8]) {
    let agents = [agent(1, BOUNDS), agent(2, AgentBounds::default())];
    let (now, judging) = (START.plus(Span::from_ms(1)), VecDeque::new());
    let (lanes, refused) = Default::default();
    let mut world = World { now, agents, lanes, judging, refused, said_bytes: 0 };
    for held in &bundles()[..HONEST_BUNDLES] {
        world.give(1, Input::Publish(held.clone()));
    }
    world.meet();
    let mut script = Script(data);
    while !script.0.is_empty() {
        world.step(&mut script);
    }
    // The attacker goes; what was refused on its account is refused.
    (0..LINKS).for_each(|link| world.give(0, Input::LinkDown { link: LinkId(2 + link) }));
    world.meet();
    let mut rounds = 0;
    while world.carry(1_000) || !world.judging.is_empty() {
        world.judge(Verdict::Accept);
        rounds += 1;
        assert!(rounds < 10_000, "the agents do not come to rest");
    }
    assert!(world.agents[0].waiting() == 0, "{} are waiting", world.agents[0].waiting());
    for held in bundles() {
        let id = held.head.id();
        let [agent, honest] = &world.agents;
        assert!(!agent.holds(&id) || honest.holds(&id), "the honest peer lacks {}", id.short());
        let is_excused = world.refused.contains(&id) || held.head.expires() <= world.now;
        assert!(!honest.holds(&id) || agent.holds(&id) || is_excused, "it lacks {}", id.short());
    }
}
