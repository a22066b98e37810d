//! The agent: a machine that conducts contacts.
//!
//! Bundles spread by pulling. On a new link both sides say hello and find out
//! what either lacks, by sketches or lists; each asks for what it lacks: heads,
//! then groups of payload. A whole bundle, its signature and payload hash checked, goes out
//! as [`Output::Judge`] and is neither held nor offered before
//! [`Input::Judged`] comes back. What is accepted is announced on all other
//! links. At start, [`Input::Publish`] everything that is held.
//!
//! Drive it with [`Agent::handle`], then [`Agent::poll`] until it gives
//! nothing, then wait for an input or for [`Agent::wake_at`]. Bad input from a
//! peer costs that peer its link and nothing else.
//!
//! What a stranger can make an agent keep is bounded by [`AgentBounds`]. Each
//! frame is answered by at most one frame of [`FRAME_BYTES_MAX`] and a few
//! small ones, and an honest peer has few questions open; so a carrier should
//! close a link whose send queue exceeds [`LINK_QUEUE_BYTES_MAX`].
//!
//! Not here: judging, storing, custody, routing.
//!
//! [`FRAME_BYTES_MAX`]: crate::frame::FRAME_BYTES_MAX

mod choose;
mod config;
mod contact;
mod fetch;
mod inventory;
mod link;
mod reason;
mod reconcile;
mod refusals;
mod serve;
mod transfer;
mod trees;
mod wants;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::fmt;
use std::sync::Arc;

pub use self::config::{AgentBounds, AgentConfig};
pub use self::inventory::{Audience, Held};
pub use self::reason::{CloseReason, RefuseReason};

use self::inventory::Inventory;
use self::link::Link;
use self::refusals::Refusals;
use self::transfer::Transfers;
use self::trees::Trees;
use self::wants::Wants;
use crate::bundle::{BundleHead, BundleId};
use crate::frame::{Frame, Terms};
use crate::identity::PeerId;
use crate::routing::quota::Value;
use crate::time::Timestamp;

/// A send queue that an honest peer never causes: 64 groups are 1 MiB.
pub const LINK_QUEUE_BYTES_MAX: usize = 4 * 1024 * 1024;

/// The carrier's name for one link; never used again after the link is down.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LinkId(pub u64);

/// Something that happened.
#[derive(Debug, Clone)]
pub enum Input {
    /// A link to an authenticated peer is up.
    LinkUp {
        /// The new link.
        link: LinkId,
        /// Who is at its other end.
        peer: PeerId,
    },
    /// A link is down, also after [`Output::Close`].
    LinkDown {
        /// The link.
        link: LinkId,
    },
    /// A frame came, without its length prefix.
    Frame {
        /// The link it came on.
        link: LinkId,
        /// The frame.
        bytes: Vec<u8>,
    },
    /// A whole bundle came by another way than a contact: a file, or a daemon that speaks
    /// another protocol. Give one only while [`Agent::has_room`]; without room it is dropped.
    Carried {
        /// The bundle as RFC 9171 has it, payload included.
        bytes: Vec<u8>,
    },
    /// A bundle is durable and accepted already, own or restored: offer it.
    Publish(Held),
    /// The answer to [`Output::Judge`].
    Judged {
        /// Which bundle.
        id: BundleId,
        /// The answer.
        verdict: Verdict,
    },
    /// Bundles that are not needed any more: they are held and offered no longer, their
    /// transfers end, and they are not fetched again.
    Retire {
        /// Which.
        ids: Vec<BundleId>,
        /// Why, as a refusal would say: the reason's stable code, 100 or above.
        code: u16,
    },
    /// Bundles that were refused or retired and may be wanted after all: they are fetched again when a contact offers them.
    Forget {
        /// Which.
        ids: Vec<BundleId>,
    },
    /// What the payload of a bundle is worth whose head came: of two that lack, the one of more
    /// value per byte is asked for first. May change while it is not fetched.
    Worth {
        /// Which bundle.
        id: BundleId,
        /// More is better, and that is all.
        value: Value,
    },
    /// From now on a bundle is offered to these peers alone, as if nobody else were to have it, or to everybody
    /// again. Who asks for it by its id gets it. Ends with the bundle; give it before the bundle is held.
    Audience {
        /// Which bundle.
        id: BundleId,
        /// To whom; none for everybody.
        to: Option<Audience>,
    },
    /// The time given by [`Agent::wake_at`] has come.
    Wake,
}

/// The judgement of a bundle.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// Accepted, and stored durably.
    Accept,
    /// Refused for good.
    Refuse {
        /// The reason's stable code, 100 or above.
        code: u16,
    },
}

/// Something to do.
#[derive(Debug, Clone)]
pub enum Output {
    /// Send a frame.
    Transmit {
        /// On this link.
        link: LinkId,
        /// The frame, without a length prefix.
        frame: Vec<u8>,
    },
    /// Send what is queued, then close the link; the agent has forgotten it.
    Close {
        /// The link.
        link: LinkId,
        /// Why.
        reason: CloseReason,
    },
    /// Both sides have said hello, and agree.
    Met {
        /// The link.
        link: LinkId,
        /// Who is at its other end.
        peer: PeerId,
        /// What it brings, by its own words.
        terms: Terms,
    },
    /// Judge a whole bundle: signature and payload hash are right, its meaning
    /// is unknown. Answer with [`Input::Judged`].
    Judge {
        /// The bundle.
        held: Held,
        /// Who gave it; this peer itself where it was carried.
        from: PeerId,
    },
    /// The head of a bundle with a payload beyond
    /// [`AgentConfig::payload_bytes_unasked`] came, its signature is right, and its payload
    /// is being fetched. If it is not wanted, answer with [`Input::Retire`]. With
    /// [`AgentConfig::appraises`] this comes for every bundle whose payload has not come with its
    /// head, and the answer is [`Input::Worth`] else; before it nothing more is asked for.
    Arriving {
        /// The head.
        head: Arc<BundleHead>,
        /// Who gives it.
        from: PeerId,
    },
    /// Record that transport refused a bundle.
    Refused {
        /// Who offered or sent it.
        from: PeerId,
        /// Which bundle, where that is known.
        id: Option<BundleId>,
        /// Why.
        reason: RefuseReason,
    },
}

/// The contact machine of one peer. See the module for how to drive it.
#[derive(Debug)]
pub struct Agent {
    config: AgentConfig,
    links: BTreeMap<LinkId, Link>,
    inventory: Inventory,
    wants: Wants,
    transfers: Transfers,
    refusals: Refusals,
    trees: Trees,
    /// The earliest deadline of a link, as of the last input.
    deadline: Option<Timestamp>,
    outputs: VecDeque<Output>,
}

impl Agent {
    /// An agent without links that holds nothing.
    pub fn new(config: AgentConfig) -> Self {
        let transfers = Transfers::new(config.transfers_max());
        let refusals = Refusals::new(config.bounds.refusals_max);
        Self {
            config,
            links: BTreeMap::new(),
            inventory: Inventory::default(),
            wants: Wants::default(),
            transfers,
            refusals,
            trees: Trees::default(),
            deadline: None,
            outputs: VecDeque::new(),
        }
    }

    /// Takes what happened at `now`.
    pub fn handle(&mut self, now: Timestamp, input: Input) {
        // A peer whose clock is behind may offer it still: do not fetch it again.
        for id in self.inventory.expire(now) {
            self.refusals.insert(id, RefuseReason::Expired.code());
        }
        match input {
            Input::LinkUp { link, peer } => self.on_link_up(now, link, peer),
            Input::LinkDown { link } => self.on_link_down(now, link),
            Input::Frame { link, bytes } => self.on_frame(now, link, &bytes),
            Input::Carried { bytes } => self.on_carried(now, &bytes),
            Input::Publish(held) => self.on_publish(now, held),
            Input::Judged { id, verdict } => self.on_judged(now, id, verdict),
            Input::Retire { ids, code } => self.on_retire(now, &ids, code),
            Input::Forget { ids } => ids.iter().for_each(|id| self.refusals.forget(id)),
            Input::Worth { id, value } => self.on_worth(now, &id, value),
            Input::Audience { id, to } => self.on_audience(id, to),
            Input::Wake => {}
        }
        self.check_deadlines(now);
    }

    /// The next thing to do; none until the next input.
    pub fn poll(&mut self) -> Option<Output> {
        self.outputs.pop_front()
    }

    /// When to give [`Input::Wake`] if nothing else happens before.
    pub fn wake_at(&self) -> Option<Timestamp> {
        self.deadline.into_iter().chain(self.inventory.next_expiry()).min()
    }

    /// Bundles that a live link offers, that are under way or in judgement,
    /// and that are not yet accepted or refused; for each sketch that is not decoded
    /// yet, one more.
    pub fn waiting(&self) -> usize {
        let unnamed = |link: &Link| link.sketch.unresolved() + usize::from(link.sketch.is_owed());
        let unnamed: usize = self.links.values().map(unnamed).sum();
        let offered = self.links.values().flat_map(|link| link.offers.ids());
        let ids: BTreeSet<&BundleId> = offered.chain(self.transfers.busy_ids()).collect();
        unnamed + ids.into_iter().filter(|id| !self.is_settled(id)).count()
    }

    /// True when the bundle is accepted and not expired.
    pub fn holds(&self, id: &BundleId) -> bool {
        self.inventory.contains(id)
    }

    /// The bundle with this id, if it is accepted and not expired.
    pub fn get(&self, id: &BundleId) -> Option<&Held> {
        self.inventory.get(id)
    }

    /// The bundles accepted and not expired, in the order of their ids.
    pub fn held(&self) -> impl Iterator<Item = &Held> {
        self.inventory.held()
    }

    /// The heads at hand of bundles whose payloads have not come whole.
    pub fn heads(&self) -> impl Iterator<Item = &Arc<BundleHead>> {
        self.wants.heads().chain(self.transfers.heads())
    }

    /// True when a carried bundle can be taken.
    pub fn has_room(&self) -> bool {
        self.transfers.has_room()
    }

    /// Number of bundles accepted and not expired.
    pub fn len(&self) -> usize {
        self.inventory.len()
    }

    /// True when nothing is held.
    pub fn is_empty(&self) -> bool {
        self.inventory.len() == 0
    }

    /// Number of live links.
    pub fn links(&self) -> usize {
        self.links.len()
    }

    /// True when the bundle is held or known to be refused.
    fn is_settled(&self, id: &BundleId) -> bool {
        self.inventory.contains(id) || self.refusals.code(id).is_some()
    }

    fn on_publish(&mut self, now: Timestamp, held: Held) {
        let id = held.head.id();
        self.refusals.forget(&id);
        self.transfers.forget(&id);
        self.accept(now, held);
        self.ask_all(now);
    }

    fn on_retire(&mut self, now: Timestamp, ids: &[BundleId], code: u16) {
        for &id in ids {
            self.inventory.remove(&id);
            self.wants.take(&id);
            self.transfers.forget(&id);
            self.refusals.insert(id, code);
            // A verdict that comes later finds nothing.
            if let Some(judging) = self.transfers.judged(&id) {
                self.answer(judging.link, &Frame::Refused { id, code });
            }
        }
        self.ask_all(now);
    }

    fn on_judged(&mut self, now: Timestamp, id: BundleId, verdict: Verdict) {
        let Some(judging) = self.transfers.judged(&id) else {
            return;
        };
        match verdict {
            Verdict::Accept => {
                self.accept(now, judging.held);
                self.answer(judging.link, &Frame::Ack(id));
            }
            Verdict::Refuse { code } => {
                self.wants.take(&id);
                self.refusals.insert(id, code);
                self.answer(judging.link, &Frame::Refused { id, code });
            }
        }
        self.ask_all(now);
    }

    /// Offers a bundle to these, or to everybody: who may not know of it is told.
    fn on_audience(&mut self, id: BundleId, to: Option<Audience>) {
        let before = self.inventory.set_audience(id, to);
        if let Some(before) = before.filter(|_| self.inventory.offers(&id)) {
            self.announce(id, |peer| !before.contains(peer));
        }
    }

    /// Holds a bundle and announces it where it is not known.
    fn accept(&mut self, now: Timestamp, held: Held) {
        let (id, expires) = (held.head.id(), held.head.expires());
        self.wants.take(&id);
        if expires <= now {
            return self.refusals.insert(id, RefuseReason::Expired.code());
        }
        if !self.inventory.insert(held) {
            return;
        }
        if self.inventory.offers(&id) {
            self.announce(id, |_| true);
        }
        self.links.values_mut().for_each(|link| link.offers.remove(&id));
    }

    /// Tells the link that a bundle came on, if it came on one.
    fn answer(&mut self, link: Option<LinkId>, frame: &Frame) {
        if let Some(link) = link {
            self.transmit(link, frame);
        }
    }

    /// Sends a frame if the link is still up.
    fn transmit(&mut self, link: LinkId, frame: &Frame) {
        self.transmit_bytes(link, frame.encode());
    }

    /// Sends the bytes of a frame if the link is still up.
    fn transmit_bytes(&mut self, link: LinkId, frame: Vec<u8>) {
        if self.links.contains_key(&link) {
            self.outputs.push_back(Output::Transmit { link, frame });
        }
    }
}

impl fmt::Display for LinkId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "link {}", self.0)
    }
}
