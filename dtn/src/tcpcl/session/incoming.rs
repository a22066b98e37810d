//! Incoming: transfers from the other side, and our answers in their order
//! (sections 5.2.2 to 5.2.4).

use std::collections::VecDeque;

use super::{InputError, Output, Session, Stage};
use crate::tcpcl::code::{RefuseReason, SegmentFlags, TransferId};
use crate::tcpcl::message::{Ack, Message, SegmentHead, XFER_SEGMENT};
use crate::time::Timestamp;

/// What comes, and what we owe for what came.
#[derive(Debug, Default)]
pub(super) struct Incoming {
    current: Option<Arriving>,
    /// The flags of the segment under way, if its data are wanted.
    segment: Option<SegmentFlags>,
    /// What was refused last: more of its segments may be under way.
    refused: Option<(TransferId, RefuseReason)>,
    /// Answers in the order of their segments; the first one is not ready.
    answers: VecDeque<Answer>,
    /// The highest id that ever waited for the store.
    last_waiting: Option<TransferId>,
}

/// A transfer that is not complete.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Arriving {
    id: TransferId,
    /// Its length, where the other side told it.
    length: Option<u64>,
    received: u64,
}

/// An answer to a segment or to a transfer.
#[derive(Debug)]
enum Answer {
    /// It waits until the bundle is stored.
    Waiting(Ack),
    /// It waits for its turn only.
    Ready(Message),
}

/// What becomes of a segment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fate {
    /// Its data are wanted; they belong to this transfer.
    Take(Arriving),
    /// Its transfer is refused.
    Refuse(RefuseReason),
    /// It belongs nowhere.
    Reject,
}

impl Incoming {
    /// Answers that wait.
    pub fn waiting(&self) -> usize {
        self.answers.len()
    }

    /// True when nothing comes and nothing is owed.
    pub fn is_idle(&self) -> bool {
        self.current.is_none() && self.answers.is_empty()
    }

    /// Forgets all; gives the transfer that will not finish.
    pub fn lose(&mut self) -> Option<TransferId> {
        std::mem::take(self).current.map(|arriving| arriving.id)
    }

    fn fate(&self, head: &SegmentHead, transfer_mru: u64, is_ending: bool) -> Fate {
        let current = self.current.filter(|arriving| arriving.id == head.id);
        if !head.flags.starts() {
            let refused = self.refused.filter(|&(id, _)| id == head.id);
            return match (current, refused) {
                (Some(arriving), _) => arriving.take(head, transfer_mru),
                (None, Some((_, reason))) => Fate::Refuse(reason),
                (None, None) => Fate::Reject,
            };
        }
        if self.awaits(head.id) {
            // A refusal would be one of the transfer that had this id before.
            return Fate::Reject;
        }
        if self.current.is_some() {
            // Started twice, or between the segments of another.
            return Fate::Refuse(RefuseReason::NOT_ACCEPTABLE);
        }
        if is_ending {
            return Fate::Refuse(RefuseReason::SESSION_TERMINATING);
        }
        match head.extensions.transfer_length() {
            Ok(length) => Arriving { id: head.id, length, received: 0 }.take(head, transfer_mru),
            Err(_) => Fate::Refuse(RefuseReason::EXTENSION_FAILURE),
        }
    }

    /// True when a transfer of this id came whole and is not stored.
    fn awaits(&self, id: TransferId) -> bool {
        // Ids ascend, as a rule.
        self.last_waiting.is_some_and(|last| id <= last)
            && self
                .answers
                .iter()
                .any(|answer| matches!(answer, Answer::Waiting(ack) if ack.id == id))
    }

    /// Drops the transfer if it is the current one; true when it was.
    fn drop_current(&mut self, id: TransferId) -> bool {
        let was_current = self.current.is_some_and(|arriving| arriving.id == id);
        if was_current {
            (self.current, self.segment) = (None, None);
        }
        was_current
    }

    /// Makes the waiting answer for a transfer ready; none if there is none.
    fn settle(&mut self, id: TransferId, message: impl Fn(Ack) -> Message) -> Option<()> {
        let answer = self.answers.iter_mut().find_map(|answer| match answer {
            Answer::Waiting(ack) if ack.id == id => Some((message(*ack), answer)),
            _ => None,
        });
        let (message, answer) = answer?;
        *answer = Answer::Ready(message);
        Some(())
    }

    /// The next answer whose turn it is.
    fn next_answer(&mut self) -> Option<Message> {
        match self.answers.pop_front()? {
            Answer::Ready(message) => Some(message),
            waiting => {
                self.answers.push_front(waiting);
                None
            }
        }
    }
}

impl Arriving {
    /// The transfer with the head's segment, if that fits: the length that was
    /// told is authoritative (section 5.2.5.1).
    fn take(mut self, head: &SegmentHead, transfer_mru: u64) -> Fate {
        self.received = self.received.saturating_add(head.data_bytes);
        let length = self.length.unwrap_or(self.received);
        if length > transfer_mru {
            return Fate::Refuse(RefuseReason::NO_RESOURCES);
        }
        if self.received > length || head.flags.ends() && self.received < length {
            return Fate::Refuse(RefuseReason::NOT_ACCEPTABLE);
        }
        Fate::Take(self)
    }
}

impl Session {
    pub(super) fn on_segment(&mut self, now: Timestamp, head: &SegmentHead) {
        let is_ending = self.stage != Stage::Open;
        match self.incoming.fate(head, self.config.transfer_mru, is_ending) {
            Fate::Take(arriving) => {
                self.incoming.current = Some(arriving);
                self.incoming.segment = Some(head.flags);
                if head.flags.starts() {
                    let Arriving { id, length, .. } = arriving;
                    self.outputs.push_back(Output::TransferStarted { id, length });
                }
            }
            Fate::Refuse(reason) => {
                if self.incoming.drop_current(head.id) {
                    self.outputs.push_back(Output::TransferFailed { id: head.id });
                }
                self.incoming.segment = None;
                self.refuse(now, head.id, reason);
            }
            Fate::Reject => {
                self.incoming.segment = None;
                self.reject(now, XFER_SEGMENT);
            }
        }
    }

    pub(super) fn on_segment_data(&mut self, bytes: &[u8]) {
        if let (Some(arriving), Some(_)) = (self.incoming.current, self.incoming.segment) {
            let (id, bytes) = (arriving.id, bytes.to_vec());
            self.outputs.push_back(Output::TransferData { id, bytes });
        }
    }

    pub(super) fn on_segment_end(&mut self, now: Timestamp) {
        let Some((flags, arriving)) = self.incoming.segment.take().zip(self.incoming.current)
        else {
            return;
        };
        let Arriving { id, received, .. } = arriving;
        let ack = Ack { flags, id, length: received };
        if flags.ends() {
            self.incoming.current = None;
            self.incoming.answers.push_back(Answer::Waiting(ack));
            self.incoming.last_waiting = self.incoming.last_waiting.max(Some(id));
            self.outputs.push_back(Output::TransferFinished { id, length: received });
        } else {
            self.incoming.answers.push_back(Answer::Ready(Message::Ack(ack)));
        }
        self.answer(now);
    }

    pub(super) fn on_stored(&mut self, now: Timestamp, id: TransferId) -> Result<(), InputError> {
        self.incoming.settle(id, Message::Ack).ok_or(InputError::NoTransfer)?;
        self.clock.restart(now);
        self.answer(now);
        Ok(())
    }

    pub(super) fn on_refuse(
        &mut self,
        now: Timestamp,
        id: TransferId,
        reason: RefuseReason,
    ) -> Result<(), InputError> {
        if self.incoming.drop_current(id) {
            self.refuse(now, id, reason);
            return Ok(());
        }
        let refusal = |_| Message::Refuse { reason, id };
        self.incoming.settle(id, refusal).ok_or(InputError::NoTransfer)?;
        self.clock.restart(now);
        self.answer(now);
        Ok(())
    }

    fn refuse(&mut self, now: Timestamp, id: TransferId, reason: RefuseReason) {
        self.incoming.refused = Some((id, reason));
        self.incoming.answers.push_back(Answer::Ready(Message::Refuse { reason, id }));
        self.answer(now);
    }

    /// Gives the answers whose turn it is.
    fn answer(&mut self, now: Timestamp) {
        while let Some(message) = self.incoming.next_answer() {
            self.say(now, &message);
        }
    }
}
