//! Sending: the bundles that one session is to send, in order.

use std::collections::{BTreeMap, VecDeque};

use longhaul_dtn::tcpcl::{Input, InputError, Session, TransferId};
use longhaul_dtn::time::Timestamp;

use crate::shell::bundles::BundleKey;
use crate::shell::courier::relay::Parcel;

/// What one session sends.
#[derive(Debug, Default)]
pub(super) struct Sending {
    waiting: VecDeque<(BundleKey, Parcel)>,
    /// The bundle that goes out, and how many of its bytes did.
    current: Option<(TransferId, Parcel, usize)>,
    /// Bundles that went out, wholly or in part, and are not answered.
    unanswered: BTreeMap<TransferId, BundleKey>,
    /// Room for bytes over the seam of a parcel.
    joined: Vec<u8>,
}

impl Sending {
    pub fn push(&mut self, key: BundleKey, parcel: Parcel) {
        self.waiting.push_back((key, parcel));
    }

    /// Offers the next bundle if the session takes it; gives one that it will never take.
    pub fn offer(&mut self, session: &mut Session, now: Timestamp) -> Option<BundleKey> {
        if self.current.is_some() || !session.may_offer() {
            return None;
        }
        let length = self.waiting.front()?.1.len() as u64;
        match session.handle(now, Input::Offer { length }) {
            // Answered by `offered`.
            Ok(()) => None,
            Err(InputError::TooLong(_)) => self.waiting.pop_front().map(|(key, _)| key),
            // The session is ending: all that waits is lost with it.
            Err(_) => None,
        }
    }

    /// The session took an offer.
    pub fn offered(&mut self, id: TransferId) {
        if let Some((key, parcel)) = self.waiting.pop_front() {
            self.unanswered.insert(id, key);
            self.current = Some((id, parcel, 0));
        }
    }

    /// Gives the session the next segment, if it has room; false if there was nothing to do.
    pub fn feed(&mut self, session: &mut Session, now: Timestamp) -> bool {
        let window = session.send_window();
        let Some((id, parcel, sent)) = self.current.as_mut().filter(|_| window > 0) else {
            return false;
        };
        let bytes = parcel.piece(*sent, window, &mut self.joined);
        let (id, count) = (*id, bytes.len());
        let taken = session.handle(now, Input::Data { id, bytes });
        *sent += count;
        if *sent == parcel.len() || taken.is_err() {
            self.current = None;
        }
        true
    }

    /// A bundle was answered; gives its name.
    pub fn answered(&mut self, id: TransferId) -> Option<BundleKey> {
        self.current.take_if(|current| current.0 == id);
        self.unanswered.remove(&id)
    }

    /// Gives up what was not begun; gives the names.
    pub fn give_up(&mut self) -> Vec<BundleKey> {
        self.waiting.drain(..).map(|(key, _)| key).collect()
    }
}
