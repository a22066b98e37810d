//! The beginning of a session: who the other side is, and what that means for it.

use longhaul_dtn::bpv7::EndpointId;
use longhaul_dtn::tcpcl::{Input, Peer, TerminateReason};
use tokio::time::Instant;

use super::Conversation;
use crate::shell::courier::carrier::Event;
use crate::shell::courier::carrier::end::{End, judge, node_of};
use crate::shell::courier::tls::Tls;
use crate::shell::courier::trust::{Evidence, Standing};
use crate::shell::plain;

impl Conversation {
    pub(super) fn on_established(&mut self, peer: Peer) {
        let node = peer.node_id.as_ref().and_then(|id| node_of(id.as_str()));
        let (node, standing) = match self.judge(node) {
            Ok(judged) => judged,
            Err(end) => return self.refuse(end, TerminateReason::CONTACT_FAILURE),
        };
        self.standing = standing;
        let is_named = self.is_believed();
        if let Some(place) = &mut self.place
            && let Err(why) = place.settle(is_named)
        {
            return self.refuse(End::NoPlace(why), TerminateReason::BUSY);
        }
        if is_named {
            self.session.set_idle_timeout(None);
            self.arriving.believe();
        }
        let claims = peer.node_id.as_ref().map(|id| plain::brief(id.as_str()));
        self.say_who_it_is(&claims.unwrap_or_default());
        if let Some(sender) = self.sender.take() {
            self.is_up = true;
            let (link, bundle_bytes_max) = (self.link, peer.transfer_mru);
            self.events.push(Event::Up { link, node, standing, bundle_bytes_max, sender });
        }
    }

    /// True for whom we dialled, and for those that the operator named.
    pub fn is_believed(&self) -> bool {
        self.standing == Standing::Neighbour
    }

    fn refuse(&mut self, end: End, reason: TerminateReason) {
        self.end = Some(end);
        self.give(Input::Terminate(reason));
    }

    /// A line for each session that is believed; of the others there may be any number.
    fn say_who_it_is(&self, claims: &str) {
        let (link, is_plain) = (self.link.0, self.wire.is_plain());
        let key = self.proof.key.map(|key| key.short());
        match self.standing {
            Standing::Neighbour => {
                tracing::info!(link, claims, key, is_plain, "session established");
            }
            standing => {
                if let Some(sessions) = self.shared.note_stranger(Instant::now()) {
                    tracing::info!(
                        sessions,
                        last_claims = claims,
                        last_key = key,
                        last_is = ?standing,
                        "sessions with strangers: they may give, and are given nothing but what is for a key of theirs"
                    );
                }
            }
        }
    }

    /// The node behind the session, as far as it is believed, and what it counts as.
    fn judge(&self, claimed: Option<EndpointId>) -> Result<(Option<EndpointId>, Standing), End> {
        let config = &self.shared.config;
        let evidence = Evidence {
            from: self.from,
            key: self.proof.key,
            may_prove: !matches!(config.tls, Tls::Off),
            insists: matches!(config.tls, Tls::Required(_)),
            is_wanted: self.wanted.is_some(),
        };
        let wanted = self.wanted.as_ref();
        judge(claimed, wanted, &self.proof.names, &evidence, &config.trust)
    }
}
