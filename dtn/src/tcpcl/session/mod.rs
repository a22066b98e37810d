//! Session: one session of TCPCL, from contact header to close.
//!
//! Drive it with [`Session::handle`], then [`Session::poll`] until it gives
//! nothing, then wait for an input or for [`Session::wake_at`]. What another
//! side says wrong is answered as RFC 9174 says and ends the session at worst;
//! what the carrier asks for at the wrong time is an [`InputError`] and
//! changes nothing.
//!
//! **Sending.** After [`Input::Offer`], give [`Input::Data`] of at most
//! [`Session::send_window`] bytes; each becomes one segment. The window is zero
//! while `transmit_bytes_max` bytes wait in the queue of outputs: so write what
//! a [`Output::Transmit`] holds before taking the next output. Take all outputs
//! before giving data: the transfer may have been refused.
//!
//! **Receiving.** Data come out as they come in. Intermediate segments are
//! acknowledged when their data are given out; the last one, which tells the
//! sender that it may forget the bundle, after [`Input::Stored`] only (section
//! 5.2.3: "after the segment has been fully processed"). Answers keep the
//! order of their segments, so that each refusal follows the answers to all
//! transfers before it (section 5.2.4). Do not read from the connection while
//! [`Session::wants_bytes`] is false or while bytes cannot be written.

mod cause;
mod clock;
mod contact;
mod event;
mod farewell;
mod incoming;
mod outgoing;
mod upkeep;

use std::collections::VecDeque;

pub use self::cause::{CloseCause, InputError};
pub use self::event::{By, Input, Output, Peer};

use self::clock::Clock;
use self::incoming::Incoming;
use self::outgoing::Outgoing;
use super::config::SessionConfig;
use super::decoder::{Decoder, Piece};
use super::message::Message;
use crate::time::{Span, Timestamp};

/// Who opened the TCP connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Role {
    Active,
    Passive,
}

/// How far a session is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    /// There is no connection yet.
    Start,
    /// The other side's contact header has not come.
    Contact,
    /// TLS is being established.
    Tls,
    /// The other side's SESS_INIT has not come.
    Init,
    /// Transfers may begin.
    Open,
    /// We said goodbye; the other side has not answered.
    Leaving,
    /// Both said goodbye; what is under way may finish.
    Ending,
    /// It is over.
    Closed,
}

/// One session. See the module for how to drive it.
#[derive(Debug)]
pub struct Session {
    role: Role,
    config: SessionConfig,
    stage: Stage,
    decoder: Decoder,
    /// Bytes that wait until answers do not.
    unread: Vec<u8>,
    incoming: Incoming,
    outgoing: Outgoing,
    clock: Clock,
    /// Messages out of place so far.
    rejects: u32,
    outputs: VecDeque<Output>,
    /// Bytes to transmit in `outputs`.
    queued_bytes: usize,
}

impl Session {
    /// A session over a connection that we open.
    pub fn active(config: SessionConfig) -> Self {
        Self::new(Role::Active, config)
    }

    /// A session over a connection that we accept.
    pub fn passive(config: SessionConfig) -> Self {
        Self::new(Role::Passive, config)
    }

    fn new(role: Role, config: SessionConfig) -> Self {
        Self {
            role,
            stage: Stage::Start,
            decoder: Decoder::new(config.limits()),
            unread: vec![],
            incoming: Incoming::default(),
            outgoing: Outgoing::default(),
            clock: Clock::default(),
            rejects: 0,
            outputs: VecDeque::new(),
            queued_bytes: 0,
            config,
        }
    }

    /// Takes what happened at `now`.
    pub fn handle(&mut self, now: Timestamp, input: Input<'_>) -> Result<(), InputError> {
        let taken = self.take(now, input);
        self.read_on(now, &[]);
        self.close_if_done();
        self.check_clock(now);
        taken
    }

    /// Sets the idle timeout anew: how long the other side may idle can depend on who it is, which is
    /// known once the session is established.
    pub const fn set_idle_timeout(&mut self, idle_timeout: Option<Span>) {
        self.config.idle_timeout = idle_timeout;
    }

    /// The next thing to do; none until the next input.
    pub fn poll(&mut self) -> Option<Output> {
        let output = self.outputs.pop_front()?;
        if let Output::Transmit(bytes) = &output {
            self.queued_bytes -= bytes.len();
        }
        Some(output)
    }

    /// Bytes of the bundle being sent that may be given now.
    pub fn send_window(&self) -> usize {
        let full = self.queued_bytes >= self.config.bounds.transmit_bytes_max;
        if full { 0 } else { self.outgoing.window() }
    }

    /// True when another bundle may be offered, as far as its length allows.
    pub fn may_offer(&self) -> bool {
        self.stage == Stage::Open && self.outgoing.has_room(&self.config.bounds)
    }

    /// False while the other side should wait: too many answers or bytes do.
    pub fn wants_bytes(&self) -> bool {
        !self.is_stalled() && self.queued_bytes < self.config.bounds.transmit_bytes_max
    }

    /// True after [`Output::Close`] or [`Input::Closed`].
    pub fn is_closed(&self) -> bool {
        self.stage == Stage::Closed
    }

    fn take(&mut self, now: Timestamp, input: Input<'_>) -> Result<(), InputError> {
        match (self.stage, input) {
            (_, Input::Wake) => {}
            (_, Input::Closed) => self.on_closed(),
            (Stage::Closed, _) => return Err(InputError::Closed),
            (Stage::Start, Input::Connected) => self.on_connected(now),
            (Stage::Tls, Input::TlsEstablished) => self.on_tls_established(now),
            (Stage::Start | Stage::Tls, Input::Received(_))
            | (_, Input::Connected | Input::TlsEstablished) => return Err(InputError::Unexpected),
            (_, Input::Received(bytes)) => self.on_received(now, bytes),
            (_, Input::Offer { length }) => self.on_offer(now, length)?,
            (_, Input::Data { id, bytes }) => self.on_data(now, id, bytes)?,
            (_, Input::End { id }) => self.on_end(now, id)?,
            (_, Input::Stored { id }) => self.on_stored(now, id)?,
            (_, Input::Refuse { id, reason }) => self.on_refuse(now, id, reason)?,
            (_, Input::Terminate(reason)) => self.on_terminate(now, reason),
        }
        Ok(())
    }

    fn on_received(&mut self, now: Timestamp, bytes: &[u8]) {
        if bytes.is_empty() {
            return;
        }
        self.clock.heard(now);
        self.read_on(now, bytes);
        if self.unread.len() > self.config.bounds.unread_bytes_max {
            self.fail(now, CloseCause::Backlog);
        }
    }

    /// Reads what waits, then `bytes`; keeps what must wait.
    fn read_on(&mut self, now: Timestamp, bytes: &[u8]) {
        if self.is_stalled() || self.unread.is_empty() && bytes.is_empty() {
            return self.unread.extend_from_slice(bytes);
        }
        let kept = std::mem::take(&mut self.unread);
        let joined: Vec<u8>;
        let mut rest = if kept.is_empty() {
            bytes
        } else {
            joined = [&kept, bytes].concat();
            &joined
        };
        while self.can_read() {
            match self.decoder.next_piece(&mut rest) {
                Ok(Some(piece)) => self.on_piece(now, piece, rest),
                Ok(None) => break,
                Err(error) => self.on_decode_error(now, error),
            }
        }
        if self.stage != Stage::Closed {
            self.unread = rest.to_vec();
        }
    }

    /// `behind`: what came in one read with the piece, behind it.
    fn on_piece(&mut self, now: Timestamp, piece: Piece<'_>, behind: &[u8]) {
        if piece != Piece::Message(Message::Keepalive) {
            self.clock.progressed(now);
        }
        match piece {
            Piece::Contact(header) => self.on_contact(now, header, behind),
            Piece::Message(message) => self.on_message(now, message),
            Piece::Data(bytes) => self.on_segment_data(bytes),
            Piece::SegmentEnd => self.on_segment_end(now),
        }
    }

    fn on_message(&mut self, now: Timestamp, message: Message) {
        let is_open = matches!(self.stage, Stage::Open | Stage::Leaving | Stage::Ending);
        match message {
            Message::Init(init) if self.stage == Stage::Init => self.on_init(now, init),
            Message::Segment(head) if is_open => self.on_segment(now, &head),
            Message::Ack(ack) if is_open => self.on_ack(now, ack),
            Message::Refuse { reason, id } if is_open => self.on_refusal(now, id, reason),
            Message::Keepalive if is_open => {}
            Message::Terminate { reason, .. } if self.stage != Stage::Ending => {
                self.on_goodbye(now, reason);
            }
            Message::Reject { reason, kind } => {
                self.outputs.push_back(Output::Rejected { reason, kind });
            }
            unexpected => self.reject(now, unexpected.kind()),
        }
    }

    /// True while bytes must wait until answers do not.
    fn is_stalled(&self) -> bool {
        self.incoming.waiting() >= self.config.bounds.answers_max.max(1)
    }

    fn can_read(&self) -> bool {
        !self.is_stalled() && !matches!(self.stage, Stage::Tls | Stage::Closed)
    }

    fn transmit(&mut self, now: Timestamp, bytes: Vec<u8>) {
        self.clock.said(now);
        self.queued_bytes += bytes.len();
        self.outputs.push_back(Output::Transmit(bytes));
    }

    fn say(&mut self, now: Timestamp, message: &Message) {
        self.transmit(now, message.encode());
    }
}
