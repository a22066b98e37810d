//! The disk thread: makes persist requests durable, in order, in groups.

use std::sync::mpsc::{Receiver, Sender, channel};

use anyhow::Context;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

use crate::peer::{PersistRequest, Ticket};
use crate::shell::store::{Store, StoreError};

/// Most requests that one fsync of the log covers.
const GROUP_MAX: usize = 64;

/// Tickets that are durable now, or why nothing can be stored any more.
pub(in crate::shell) type Stored = Result<Vec<Ticket>, StoreError>;

/// The way to the disk thread.
#[derive(Debug)]
pub(in crate::shell) struct Disk(Sender<PersistRequest>);

impl Disk {
    /// Starts the thread; it owns the store and ends with this value.
    pub(in crate::shell) fn start(store: Store) -> (Self, UnboundedReceiver<Stored>) {
        let (requests, incoming) = channel();
        let (answers, stored) = unbounded_channel();
        std::thread::spawn(move || serve(store, &incoming, &answers));
        (Self(requests), stored)
    }

    /// Queues a request; the number in flight is bounded by what the contact
    /// machine lets neighbours have in judgement.
    pub(in crate::shell) fn persist(&self, request: PersistRequest) -> anyhow::Result<()> {
        self.0.send(request).context("the disk thread ended")
    }
}

fn serve(mut store: Store, requests: &Receiver<PersistRequest>, answers: &UnboundedSender<Stored>) {
    while let Ok(first) = requests.recv() {
        let mut group = vec![first];
        group.extend(requests.try_iter().take(GROUP_MAX - 1));
        let stored = store.persist_all(&group);
        let failed = stored.is_err();
        let tickets = stored.map(|()| group.iter().map(|request| request.ticket).collect());
        if answers.send(tickets).is_err() || failed {
            return;
        }
    }
}
