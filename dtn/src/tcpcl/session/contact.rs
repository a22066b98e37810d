//! Contact: from the TCP connection to an established session (section 4).

use super::{CloseCause, Output, Peer, Role, Session, Stage};
use crate::tcpcl::code::RejectReason;
use crate::tcpcl::config::TlsPolicy;
use crate::tcpcl::decoder::DecodeError;
use crate::tcpcl::extension::ExtensionList;
use crate::tcpcl::message::{ContactHeader, Message, SessionInit, VERSION, XFER_SEGMENT};
use crate::time::{Span, Timestamp};

impl Session {
    /// The active side speaks first; the passive side keeps nothing and says
    /// nothing before the other's header has come (section 4.1).
    pub(super) fn on_connected(&mut self, now: Timestamp) {
        self.enter(now, Stage::Contact);
        if self.role == Role::Active {
            self.greet(now);
        }
    }

    /// Negotiates version and TLS (section 4.3).
    pub(super) fn on_contact(&mut self, now: Timestamp, header: ContactHeader, behind: &[u8]) {
        if self.role == Role::Passive {
            self.greet(now);
        }
        let both_can_tls = header.can_tls && self.config.tls != TlsPolicy::Never;
        if header.version != VERSION {
            return self.fail_contact(now, CloseCause::Version(header.version));
        }
        if self.config.tls == TlsPolicy::Require && !header.can_tls {
            return self.fail(now, CloseCause::TlsRequired);
        }
        if !both_can_tls {
            return self.begin_init(now);
        }
        // TLS begins with the next byte: one that came with the header is either
        // not TLS or was slipped in by somebody else.
        if !behind.is_empty() {
            return self.close(CloseCause::Unprotected);
        }
        self.enter(now, Stage::Tls);
        self.outputs.push_back(Output::StartTls);
    }

    pub(super) fn on_tls_established(&mut self, now: Timestamp) {
        self.begin_init(now);
    }

    /// Negotiates the session (sections 4.7 and 4.8).
    pub(super) fn on_init(&mut self, now: Timestamp, init: SessionInit) {
        if let Err(error) = init.extensions.check_session() {
            return self.fail(now, CloseCause::Extension(error));
        }
        if init.segment_mru == 0 {
            return self.fail(now, CloseCause::SegmentMru);
        }
        if self.role == Role::Passive {
            self.say_init(now);
        }
        let keepalive_s = init.keepalive_s.min(self.config.keepalive_s);
        let keepalive = Span::from_ms(1_000).times(keepalive_s.into());
        let peer = Peer {
            node_id: init.node_id,
            keepalive: (keepalive_s > 0).then_some(keepalive),
            segment_mru: init.segment_mru,
            transfer_mru: init.transfer_mru,
        };
        self.enter(now, Stage::Open);
        self.clock.keepalive = peer.keepalive;
        self.outgoing.open(&peer, &self.config.bounds);
        self.outputs.push_back(Output::Established(peer));
    }

    /// What came cannot be read on.
    pub(super) fn on_decode_error(&mut self, now: Timestamp, error: DecodeError) {
        match error {
            DecodeError::Kind(kind) => {
                let reason = RejectReason::TYPE_UNKNOWN;
                self.say(now, &Message::Reject { reason, kind });
            }
            DecodeError::TransferExtensions(_) | DecodeError::SegmentLength(_) => {
                let reason = RejectReason::UNSUPPORTED;
                self.say(now, &Message::Reject { reason, kind: XFER_SEGMENT });
            }
            _ => {}
        }
        self.fail(now, CloseCause::Decode(error));
    }

    pub(super) fn enter(&mut self, now: Timestamp, stage: Stage) {
        self.stage = stage;
        self.clock.restart(now);
    }

    /// The active side learns of another version from the header and closes; the
    /// passive side says so (section 4.3).
    fn fail_contact(&mut self, now: Timestamp, cause: CloseCause) {
        match self.role {
            Role::Active => self.close(cause),
            Role::Passive => self.fail(now, cause),
        }
    }

    fn greet(&mut self, now: Timestamp) {
        let can_tls = self.config.tls != TlsPolicy::Never;
        let header = ContactHeader { version: VERSION, can_tls };
        self.transmit(now, header.encode().to_vec());
    }

    fn begin_init(&mut self, now: Timestamp) {
        self.enter(now, Stage::Init);
        if self.role == Role::Active {
            self.say_init(now);
        }
    }

    fn say_init(&mut self, now: Timestamp) {
        let init = SessionInit {
            keepalive_s: self.config.keepalive_s,
            segment_mru: self.config.segment_mru,
            transfer_mru: self.config.transfer_mru,
            node_id: self.config.node_id.clone(),
            extensions: ExtensionList::default(),
        };
        self.say(now, &Message::Init(init));
    }
}
