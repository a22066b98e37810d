//! Outgoing: transfers to the other side, until it answers for them
//! (sections 5.2.1 to 5.2.4).

use std::collections::VecDeque;

use super::{InputError, Output, Peer, Session, Stage};
use crate::tcpcl::code::{RefuseReason, SegmentFlags, TerminateReason, TransferId};
use crate::tcpcl::config::SessionBounds;
use crate::tcpcl::extension::ExtensionList;
use crate::tcpcl::message::{Ack, Message, SegmentHead, XFER_ACK, XFER_REFUSE};
use crate::time::Timestamp;

/// What is sent, and what the other side has not answered for.
#[derive(Debug)]
pub(super) struct Outgoing {
    /// The id of the next transfer; none when all are used.
    next: Option<TransferId>,
    /// In the order of their ids; only the last one may be under way.
    transfers: VecDeque<Sending>,
    segment_bytes_max: u64,
    transfer_mru: u64,
}

/// A transfer that is not answered for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Sending {
    id: TransferId,
    length: u64,
    sent: u64,
    acked: u64,
    state: State,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// Bytes are missing.
    Open,
    /// All of it was sent.
    Sent,
    /// Its end was sent although bytes were missing.
    CutShort,
}

/// What an acknowledgement means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Meaning {
    Part,
    Whole,
    CutShort,
}

impl Default for Outgoing {
    fn default() -> Self {
        let next = Some(TransferId::FIRST);
        Self { next, transfers: VecDeque::new(), segment_bytes_max: 0, transfer_mru: 0 }
    }
}

impl Outgoing {
    /// The session is established.
    pub fn open(&mut self, peer: &Peer, bounds: &SessionBounds) {
        let ours = u64::try_from(bounds.segment_bytes_max).unwrap_or(u64::MAX).max(1);
        self.segment_bytes_max = peer.segment_mru.min(ours);
        self.transfer_mru = peer.transfer_mru;
    }

    /// True when one more transfer may begin.
    pub fn has_room(&self, bounds: &SessionBounds) -> bool {
        self.under_way().is_none() && self.transfers.len() < bounds.offers_max.max(1)
    }

    /// Bytes of the next segment at most.
    pub fn window(&self) -> usize {
        let left = self.under_way().map_or(0, |sending| sending.length - sending.sent);
        usize::try_from(left.min(self.segment_bytes_max)).unwrap_or(usize::MAX)
    }

    /// True when nothing is sent and all is answered for.
    pub fn is_idle(&self) -> bool {
        self.transfers.is_empty()
    }

    /// Forgets all; gives the transfers that nobody answered for.
    pub fn lose(&mut self) -> Vec<TransferId> {
        self.transfers.drain(..).map(|sending| sending.id).collect()
    }

    /// Forgets a transfer of which nothing was sent.
    pub fn drop_unbegun(&mut self) -> Option<TransferId> {
        self.under_way().filter(|sending| sending.sent == 0)?;
        self.transfers.pop_back().map(|sending| sending.id)
    }

    fn under_way(&self) -> Option<&Sending> {
        self.transfers.back().filter(|sending| sending.state == State::Open)
    }

    fn under_way_of(&mut self, id: TransferId) -> Result<&mut Sending, InputError> {
        let last = self.transfers.back_mut();
        last.filter(|sending| sending.state == State::Open && sending.id == id)
            .ok_or(InputError::NoTransfer)
    }

    /// Notes an acknowledgement; none if it fits nothing that was sent. One of all bytes is the last
    /// one whatever its flags are, since only the last segment completes them: dtnd 0.21 sets none.
    fn acknowledge(&mut self, ack: Ack) -> Option<Meaning> {
        let at = self.transfers.iter().position(|sending| sending.id == ack.id)?;
        let sending = self.transfers.get_mut(at)?;
        if ack.length < sending.acked || ack.length > sending.sent {
            return None;
        }
        sending.acked = ack.length;
        let meaning = match sending.state {
            State::Sent if ack.length == sending.length => Meaning::Whole,
            _ if !ack.flags.ends() => return Some(Meaning::Part),
            State::CutShort if ack.length == sending.sent => Meaning::CutShort,
            _ => return None,
        };
        self.transfers.remove(at);
        Some(meaning)
    }

    /// Forgets a transfer that was refused; true if it was known.
    fn refused(&mut self, id: TransferId) -> bool {
        let before = self.transfers.len();
        self.transfers.retain(|sending| sending.id != id);
        self.transfers.len() < before
    }

    /// True for an id that was given to a transfer.
    fn was_used(&self, id: TransferId) -> bool {
        self.next.is_none_or(|next| id < next)
    }
}

impl Sending {
    /// The head of the next segment, of `data_bytes`. A first segment that is
    /// not the last tells the length (section 5.2.5.1).
    fn segment(&mut self, data_bytes: u64) -> SegmentHead {
        let is_first = self.sent == 0;
        self.sent += data_bytes;
        let is_last = self.sent == self.length;
        let mut flags = if is_first { SegmentFlags::START } else { SegmentFlags::MIDDLE };
        let mut extensions = ExtensionList::default();
        if is_last {
            flags = flags.and(SegmentFlags::END);
            self.state = State::Sent;
        } else if is_first {
            extensions = ExtensionList::of_length(self.length);
        }
        SegmentHead { flags, id: self.id, extensions, data_bytes }
    }
}

impl Session {
    pub(super) fn on_offer(&mut self, now: Timestamp, length: u64) -> Result<(), InputError> {
        match self.stage {
            Stage::Open => {}
            Stage::Leaving | Stage::Ending => return Err(InputError::Ending),
            _ => return Err(InputError::Unexpected),
        }
        if length > self.outgoing.transfer_mru {
            return Err(InputError::TooLong(self.outgoing.transfer_mru));
        }
        if !self.outgoing.has_room(&self.config.bounds) {
            return Err(InputError::Busy);
        }
        let Some(id) = self.outgoing.next else {
            self.say_goodbye(now, TerminateReason::RESOURCE_EXHAUSTION);
            return Err(InputError::Exhausted);
        };
        self.outgoing.next = id.next();
        let sending = Sending { id, length, sent: 0, acked: 0, state: State::Open };
        self.outgoing.transfers.push_back(sending);
        self.outputs.push_back(Output::Offered { id });
        if length == 0 {
            self.send(now, id, &[])?;
        }
        Ok(())
    }

    pub(super) fn on_data(
        &mut self,
        now: Timestamp,
        id: TransferId,
        bytes: &[u8],
    ) -> Result<(), InputError> {
        self.outgoing.under_way_of(id)?;
        let window = self.send_window();
        if bytes.len() > window {
            return Err(InputError::Window(window));
        }
        if bytes.is_empty() {
            return Ok(());
        }
        self.send(now, id, bytes)
    }

    pub(super) fn on_end(&mut self, now: Timestamp, id: TransferId) -> Result<(), InputError> {
        let sending = self.outgoing.under_way_of(id)?;
        if sending.sent == 0 {
            // Nobody knows of it.
            self.outgoing.drop_unbegun();
            self.outputs.push_back(Output::Lost { id });
            return Ok(());
        }
        sending.state = State::CutShort;
        let (flags, extensions) = (SegmentFlags::END, ExtensionList::default());
        self.say(now, &Message::Segment(SegmentHead { flags, id, extensions, data_bytes: 0 }));
        Ok(())
    }

    pub(super) fn on_ack(&mut self, now: Timestamp, ack: Ack) {
        let Ack { id, length, .. } = ack;
        let output = match self.outgoing.acknowledge(ack) {
            Some(Meaning::Part) => Output::Acked { id, length },
            Some(Meaning::Whole) => Output::Delivered { id },
            // Who takes what is not whole has not got the bundle.
            Some(Meaning::CutShort) => Output::Lost { id },
            None => return self.reject(now, XFER_ACK),
        };
        self.outputs.push_back(output);
    }

    /// Refusals of one transfer may come once per segment (section 5.2.4).
    pub(super) fn on_refusal(&mut self, now: Timestamp, id: TransferId, reason: RefuseReason) {
        if self.outgoing.refused(id) {
            self.outputs.push_back(Output::Refused { id, reason });
        } else if !self.outgoing.was_used(id) {
            self.reject(now, XFER_REFUSE);
        }
    }

    /// Sends a segment.
    fn send(&mut self, now: Timestamp, id: TransferId, data: &[u8]) -> Result<(), InputError> {
        let head = self.outgoing.under_way_of(id)?.segment(data.len() as u64);
        let mut bytes = Message::Segment(head).encode();
        bytes.extend_from_slice(data);
        self.transmit(now, bytes);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tcpcl::config::{SessionConfig, TlsPolicy};
    use crate::tcpcl::message::{ContactHeader, SessionInit, VERSION};
    use crate::tcpcl::session::{By, Input};

    fn established() -> Session {
        let config = SessionConfig { tls: TlsPolicy::Never, ..SessionConfig::default() };
        let mut session = Session::active(config);
        let now = Timestamp::default();
        session.handle(now, Input::Connected).unwrap();
        let header = ContactHeader { version: VERSION, can_tls: false };
        session.handle(now, Input::Received(&header.encode())).unwrap();
        let init = Message::Init(SessionInit {
            keepalive_s: 0,
            segment_mru: 10,
            transfer_mru: 100,
            node_id: None,
            extensions: ExtensionList::default(),
        });
        session.handle(now, Input::Received(&init.encode())).unwrap();
        while session.poll().is_some() {}
        session
    }

    #[test]
    fn ends_the_session_when_transfer_ids_are_exhausted() {
        let mut session = established();
        let (now, last) = (Timestamp::default(), TransferId::from_number(u64::MAX));
        session.outgoing.next = Some(last);
        session.handle(now, Input::Offer { length: 1 }).unwrap();
        session.handle(now, Input::Data { id: last, bytes: b"x" }).unwrap();
        let refused = session.handle(now, Input::Offer { length: 1 });
        assert_eq!(refused, Err(InputError::Exhausted));
        let reason = TerminateReason::RESOURCE_EXHAUSTION;
        let outputs: Vec<Output> = std::iter::from_fn(|| session.poll()).collect();
        assert!(outputs.contains(&Output::Terminating { reason, by: By::Us }));
        assert!(outputs.contains(&Output::Transmit(vec![5, 0, 5])));
    }

    #[test]
    fn believes_only_acknowledgements_of_what_was_sent() {
        let mut session = established();
        let (now, id) = (Timestamp::default(), TransferId::FIRST);
        session.handle(now, Input::Offer { length: 15 }).unwrap();
        session.handle(now, Input::Data { id, bytes: &[0; 10] }).unwrap();
        let outgoing = &mut session.outgoing;
        let mut ack = |length, flags| outgoing.acknowledge(Ack { flags, id, length });
        assert_eq!(ack(11, SegmentFlags::START), None);
        assert_eq!(ack(10, SegmentFlags::END), None);
        assert_eq!(ack(10, SegmentFlags::START), Some(Meaning::Part));
        assert_eq!(ack(9, SegmentFlags::MIDDLE), None);
        session.handle(now, Input::Data { id, bytes: &[0; 5] }).unwrap();
        let outgoing = &mut session.outgoing;
        let mut ack = |length, flags| outgoing.acknowledge(Ack { flags, id, length });
        assert_eq!(ack(14, SegmentFlags::END), None);
        assert_eq!(ack(15, SegmentFlags::END), Some(Meaning::Whole));
        assert_eq!(ack(15, SegmentFlags::END), None);
    }

    #[test]
    fn takes_an_acknowledgement_of_all_bytes_for_the_last_one_without_its_flag() {
        let mut session = established();
        let (now, id) = (Timestamp::default(), TransferId::FIRST);
        session.handle(now, Input::Offer { length: 15 }).unwrap();
        session.handle(now, Input::Data { id, bytes: &[0; 10] }).unwrap();
        session.handle(now, Input::Data { id, bytes: &[0; 5] }).unwrap();
        let outgoing = &mut session.outgoing;
        let mut ack =
            |length| outgoing.acknowledge(Ack { flags: SegmentFlags::MIDDLE, id, length });
        assert_eq!(ack(10), Some(Meaning::Part));
        assert_eq!(ack(15), Some(Meaning::Whole));
        assert_eq!(ack(15), None);
    }
}
