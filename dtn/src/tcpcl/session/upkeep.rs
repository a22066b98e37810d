//! Upkeep: keepalives, timeouts and rejections (section 5.1).

use super::{CloseCause, Session, Stage};
use crate::tcpcl::code::{RejectReason, TerminateReason};
use crate::tcpcl::message::Message;
use crate::time::Timestamp;

/// What falls due.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Due {
    Keepalive,
    Silence,
    Idle,
    Fail(CloseCause),
}

impl Session {
    /// When to give [`super::Input::Wake`] if nothing else happens before.
    pub fn wake_at(&self) -> Option<Timestamp> {
        self.dues().into_iter().flatten().map(|(at, _)| at).min()
    }

    /// Does what is due. Saying a keepalive puts off the next; all else closes
    /// or changes the stage, so this is done once.
    pub(super) fn check_clock(&mut self, now: Timestamp) {
        for (_, due) in self.dues().into_iter().flatten().filter(|&(at, _)| at <= now) {
            match due {
                _ if self.stage == Stage::Closed => {}
                // What waits to be transmitted says that we are there.
                Due::Keepalive if self.queued_bytes > 0 => self.clock.said(now),
                Due::Keepalive => self.say(now, &Message::Keepalive),
                Due::Silence => self.fail(now, CloseCause::Silence),
                Due::Idle if self.stage == Stage::Open => {
                    self.say_goodbye(now, TerminateReason::IDLE_TIMEOUT);
                }
                Due::Idle => {}
                // Before its header, nothing is said to who says nothing (figure 5).
                Due::Fail(cause) if self.stage == Stage::Contact => self.close(cause),
                Due::Fail(cause) => self.fail(now, cause),
            }
        }
    }

    /// Answers a message that is out of place.
    pub(super) fn reject(&mut self, now: Timestamp, kind: u8) {
        self.say(now, &Message::Reject { reason: RejectReason::UNEXPECTED, kind });
        self.rejects += 1;
        if self.rejects >= self.config.bounds.rejects_max {
            self.fail(now, CloseCause::Rejects);
        }
    }

    /// What falls due when, worst first. While the store owes an answer, that
    /// nothing comes is no fault of the other side.
    fn dues(&self) -> [Option<(Timestamp, Due)>; 3] {
        let clock = &self.clock;
        let is_waiting = self.incoming.waiting() > 0;
        let silence = clock.silent_at().filter(|_| self.is_established() && !self.is_stalled());
        let keepalive = clock.keepalive_at().filter(|_| self.is_established());
        let stuck = match self.stage {
            Stage::Start | Stage::Closed => None,
            Stage::Contact | Stage::Tls | Stage::Init => {
                let at = clock.stuck_at(self.config.contact_timeout);
                Some((at, Due::Fail(CloseCause::ContactTimeout)))
            }
            Stage::Open | Stage::Leaving | Stage::Ending if is_waiting => None,
            Stage::Open => self.config.idle_timeout.map(|span| (clock.stuck_at(span), Due::Idle)),
            Stage::Leaving | Stage::Ending => {
                let at = clock.stuck_at(self.config.ending_timeout);
                Some((at, Due::Fail(CloseCause::EndingTimeout)))
            }
        };
        [silence.map(|at| (at, Due::Silence)), stuck, keepalive.map(|at| (at, Due::Keepalive))]
    }

    pub(super) fn is_established(&self) -> bool {
        matches!(self.stage, Stage::Open | Stage::Leaving | Stage::Ending)
    }
}
