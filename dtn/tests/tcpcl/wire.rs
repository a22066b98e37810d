//! A wire between two sessions: bytes arrive in cuts of any length, and time
//! passes when told.

use std::collections::{BTreeMap, VecDeque};

use longhaul_dtn::tcpcl::{
    CloseCause, Input, InputError, NodeId, Output, Peer, RefuseReason, Session, SessionConfig,
    TerminateReason, TlsPolicy, TransferId,
};
use longhaul_dtn::time::{Span, Timestamp};

pub const ACTIVE: usize = 0;
pub const PASSIVE: usize = 1;

/// One end of the wire and what its carrier remembers.
pub struct End {
    pub session: Session,
    /// Bytes on their way to this end.
    pub pipe: VecDeque<u8>,
    /// All that the session gave out but bytes and data.
    pub outputs: Vec<Output>,
    /// All that it transmitted.
    pub said: Vec<u8>,
    /// Bundles that came whole, in order.
    pub finished: Vec<(TransferId, Vec<u8>)>,
    /// Whether what comes is stored at once.
    pub stores: bool,
    arriving: BTreeMap<TransferId, Vec<u8>>,
    bundles: VecDeque<Vec<u8>>,
    sending: Option<(TransferId, Vec<u8>)>,
    wants_tls: bool,
    is_gone: bool,
}

/// Two ends and the time.
pub struct Wire {
    pub ends: [End; 2],
    pub now: Timestamp,
    /// Most bytes that arrive at once.
    pub cut: usize,
}

/// A configuration without TLS and with small limits.
pub fn plain(name: &str) -> SessionConfig {
    let node_id = Some(NodeId::new(&format!("dtn://{name}/")).unwrap());
    SessionConfig { node_id, tls: TlsPolicy::Never, ..SessionConfig::default() }
}

/// A bundle of `len` bytes that differ.
pub fn bundle(len: usize) -> Vec<u8> {
    (0..len).map(|at| (at * 31 + len) as u8).collect()
}

pub fn id(number: u64) -> TransferId {
    TransferId::from_number(number)
}

impl End {
    pub fn new(session: Session) -> Self {
        Self {
            session,
            pipe: VecDeque::new(),
            outputs: vec![],
            said: vec![],
            finished: vec![],
            stores: true,
            arriving: BTreeMap::new(),
            bundles: VecDeque::new(),
            sending: None,
            wants_tls: false,
            is_gone: false,
        }
    }

    pub fn input(&mut self, now: Timestamp, input: Input<'_>) -> Result<(), InputError> {
        self.session.handle(now, input)
    }

    /// Does what the session says; gives what it transmits.
    pub fn drain(&mut self, now: Timestamp) -> Vec<u8> {
        let mut bytes = vec![];
        while let Some(output) = self.session.poll() {
            match &output {
                Output::Transmit(more) => bytes.extend(more),
                Output::TransferData { id, bytes } => {
                    self.arriving.entry(*id).or_default().extend(bytes);
                }
                _ => {}
            }
            self.note(now, output);
        }
        self.said.extend(&bytes);
        bytes
    }

    fn note(&mut self, now: Timestamp, output: Output) {
        match &output {
            Output::StartTls => self.wants_tls = true,
            Output::Close(_) => self.is_gone = true,
            Output::Offered { id } => {
                let bundle = self.bundles.pop_front().unwrap_or_default();
                self.sending = Some((*id, bundle));
            }
            Output::Refused { id, .. } | Output::Lost { id }
                if self.sending.as_ref().is_some_and(|(sending, _)| sending == id) =>
            {
                self.sending = None;
            }
            Output::TransferFailed { id } => drop(self.arriving.remove(id)),
            Output::TransferFinished { id, length } => {
                let bytes = self.arriving.remove(id).unwrap_or_default();
                assert_eq!(bytes.len() as u64, *length);
                self.finished.push((*id, bytes));
                if self.stores {
                    let stored = self.input(now, Input::Stored { id: *id });
                    assert!(stored.is_ok() || stored == Err(InputError::Closed));
                }
            }
            _ => {}
        }
        if !matches!(output, Output::Transmit(_) | Output::TransferData { .. }) {
            self.outputs.push(output);
        }
    }

    /// Gives the next bytes of what is being sent; true when there were any.
    fn feed(&mut self, now: Timestamp) -> bool {
        let window = self.session.send_window();
        let Some((id, rest)) = self.sending.as_mut().filter(|_| window > 0) else {
            return false;
        };
        let (id, bytes) = (*id, rest.drain(..window.min(rest.len())).collect::<Vec<u8>>());
        if bytes.is_empty() {
            return false;
        }
        // The refusal of a transfer may wait among the outputs, not seen yet.
        let taken = self.input(now, Input::Data { id, bytes: &bytes });
        assert!(taken.is_ok() || taken == Err(InputError::NoTransfer));
        true
    }

    fn offer(&mut self, now: Timestamp) -> bool {
        let Some(length) = self.bundles.front().map(|bundle| bundle.len() as u64) else {
            return false;
        };
        let taken = self.session.may_offer();
        if taken {
            self.input(now, Input::Offer { length }).unwrap();
        }
        taken
    }

    pub fn closed(&self) -> Option<CloseCause> {
        self.outputs.iter().find_map(|output| match output {
            Output::Close(cause) => Some(*cause),
            _ => None,
        })
    }

    pub fn peer(&self) -> Option<&Peer> {
        self.outputs.iter().find_map(|output| match output {
            Output::Established(peer) => Some(peer),
            _ => None,
        })
    }

    pub fn terminated(&self) -> Option<TerminateReason> {
        self.outputs.iter().find_map(|output| match output {
            Output::Terminating { reason, .. } => Some(*reason),
            _ => None,
        })
    }

    pub fn delivered(&self) -> Vec<TransferId> {
        let ids = self.outputs.iter().filter_map(|output| match output {
            Output::Delivered { id } => Some(*id),
            _ => None,
        });
        ids.collect()
    }

    pub fn refused(&self) -> Vec<(TransferId, RefuseReason)> {
        let refusals = self.outputs.iter().filter_map(|output| match output {
            Output::Refused { id, reason } => Some((*id, *reason)),
            _ => None,
        });
        refusals.collect()
    }
}

impl Wire {
    /// A connection that was just opened.
    pub fn new(active: SessionConfig, passive: SessionConfig) -> Self {
        let ends = [End::new(Session::active(active)), End::new(Session::passive(passive))];
        let mut wire = Self { ends, now: Timestamp::from_dtn_ms(1_000_000), cut: 1_000 };
        for end in &mut wire.ends {
            end.input(wire.now, Input::Connected).unwrap();
        }
        wire
    }

    /// Two sessions without TLS, established.
    pub fn established() -> Self {
        let mut wire = Self::new(plain("a"), plain("b"));
        wire.settle();
        assert!(wire.ends.iter().all(|end| end.peer().is_some()));
        wire
    }

    pub fn send(&mut self, from: usize, bundle: Vec<u8>) {
        self.ends[from].bundles.push_back(bundle);
    }

    pub fn input(&mut self, end: usize, input: Input<'_>) -> Result<(), InputError> {
        self.ends[end].input(self.now, input)
    }

    /// Lets everything happen that happens without time passing.
    pub fn settle(&mut self) {
        while self.step() {}
    }

    /// Lets some of it happen; false when nothing is left.
    pub fn step(&mut self) -> bool {
        let mut moved = false;
        for at in [ACTIVE, PASSIVE] {
            let bytes = self.ends[at].drain(self.now);
            moved |= !bytes.is_empty();
            self.ends[1 - at].pipe.extend(bytes);
        }
        moved |= self.shake_hands();
        for at in [ACTIVE, PASSIVE] {
            moved |= self.deliver(at);
            let end = &mut self.ends[at];
            moved |= end.offer(self.now) | end.feed(self.now);
        }
        moved
    }

    /// Both ends began TLS.
    fn shake_hands(&mut self) -> bool {
        let both = self.ends.iter().all(|end| end.wants_tls);
        if both {
            for end in &mut self.ends {
                end.wants_tls = false;
                end.input(self.now, Input::TlsEstablished).unwrap();
            }
        }
        both
    }

    fn deliver(&mut self, at: usize) -> bool {
        let other_is_gone = self.ends[1 - at].is_gone;
        let end = &mut self.ends[at];
        if end.session.is_closed() {
            end.pipe.clear();
            return false;
        }
        if end.pipe.is_empty() && other_is_gone {
            end.input(self.now, Input::Closed).unwrap();
            return true;
        }
        if end.pipe.is_empty() || !end.session.wants_bytes() {
            return false;
        }
        let len = self.cut.min(end.pipe.len());
        let bytes: Vec<u8> = end.pipe.drain(..len).collect();
        end.input(self.now, Input::Received(&bytes)).unwrap();
        true
    }

    /// Lets time pass up to the next wake-up or `span`, whichever is first.
    pub fn pass(&mut self, span: Span) {
        let until = self.now.plus(span);
        while self.now < until {
            let wakes = self.ends.iter().filter_map(|end| end.session.wake_at());
            self.now = wakes.min().map_or(until, |wake| wake.max(self.now).min(until));
            for at in [ACTIVE, PASSIVE] {
                self.input(at, Input::Wake).unwrap();
                let due = self.ends[at].session.wake_at();
                assert!(due.is_none_or(|due| due > self.now), "wakes for nothing");
            }
            self.settle();
        }
    }
}

pub fn seconds(seconds: u64) -> Span {
    Span::from_ms(seconds * 1_000)
}
