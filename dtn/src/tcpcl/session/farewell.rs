//! Farewell: how a session ends, in good order or not (section 6).

use super::{By, CloseCause, Output, Session, Stage};
use crate::tcpcl::code::TerminateReason;
use crate::tcpcl::message::{Farewell, Message};
use crate::time::Timestamp;

impl Session {
    pub(super) fn on_terminate(&mut self, now: Timestamp, reason: TerminateReason) {
        match self.stage {
            Stage::Open => self.say_goodbye(now, reason),
            Stage::Leaving | Stage::Ending | Stage::Closed => {}
            _ => {
                if self.may_terminate() {
                    self.say_terminate(now, Farewell::First, reason);
                }
                self.close(CloseCause::Abandoned);
            }
        }
    }

    /// The other side says goodbye or answers ours. Two that cross answer each
    /// other.
    pub(super) fn on_goodbye(&mut self, now: Timestamp, reason: TerminateReason) {
        match self.stage {
            Stage::Leaving => self.stage = Stage::Ending,
            stage => {
                self.say_terminate(now, Farewell::Reply, reason);
                self.begin_ending(now, Stage::Ending, reason, By::Peer);
                if stage != Stage::Open {
                    self.close(CloseCause::Ended);
                }
            }
        }
    }

    /// The connection is gone.
    pub(super) fn on_closed(&mut self) {
        self.lose_transfers();
        self.unread = vec![];
        self.stage = Stage::Closed;
    }

    /// Asks for an end in good order.
    pub(super) fn say_goodbye(&mut self, now: Timestamp, reason: TerminateReason) {
        self.say_terminate(now, Farewell::First, reason);
        self.begin_ending(now, Stage::Leaving, reason, By::Us);
    }

    /// Says why, where that may be said, and closes at once.
    pub(super) fn fail(&mut self, now: Timestamp, cause: CloseCause) {
        if let Some(reason) = cause.reason().filter(|_| self.may_terminate()) {
            self.say_terminate(now, Farewell::First, reason);
            self.outputs.push_back(Output::Terminating { reason, by: By::Us });
        }
        self.close(cause);
    }

    /// Closes at once.
    pub(super) fn close(&mut self, cause: CloseCause) {
        if self.stage != Stage::Closed {
            self.on_closed();
            self.outputs.push_back(Output::Close(cause));
        }
    }

    /// Closes when both said goodbye and nothing is under way.
    pub(super) fn close_if_done(&mut self) {
        let is_done = self.incoming.is_idle() && self.outgoing.is_idle();
        if self.stage == Stage::Ending && is_done {
            self.close(CloseCause::Ended);
        }
    }

    /// After our contact header, outside TLS's handshake, and once (section 6.1).
    fn may_terminate(&self) -> bool {
        match self.stage {
            Stage::Contact => self.clock.has_said(),
            Stage::Init | Stage::Open => true,
            _ => false,
        }
    }

    fn say_terminate(&mut self, now: Timestamp, farewell: Farewell, reason: TerminateReason) {
        self.say(now, &Message::Terminate { farewell, reason });
    }

    fn begin_ending(&mut self, now: Timestamp, stage: Stage, reason: TerminateReason, by: By) {
        self.enter(now, stage);
        // An offer of which nothing went out must not begin any more.
        if let Some(id) = self.outgoing.drop_unbegun() {
            self.outputs.push_back(Output::Lost { id });
        }
        self.outputs.push_back(Output::Terminating { reason, by });
    }

    fn lose_transfers(&mut self) {
        if let Some(id) = self.incoming.lose() {
            self.outputs.push_back(Output::TransferFailed { id });
        }
        let lost = self.outgoing.lose();
        self.outputs.extend(lost.into_iter().map(|id| Output::Lost { id }));
    }
}
