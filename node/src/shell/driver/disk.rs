//! The disk thread: makes persist requests durable, in order, in groups.

use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::JoinHandle;

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
pub(in crate::shell) struct Disk {
    /// Taken when it ends.
    requests: Option<Sender<PersistRequest>>,
    thread: Option<JoinHandle<()>>,
}

impl Disk {
    /// Starts the thread; it owns the store and ends with this value, which waits for that: the store
    /// writes its index when it is closed.
    pub(in crate::shell) fn start(store: Store) -> (Self, UnboundedReceiver<Stored>) {
        let (requests, incoming) = channel();
        let (answers, stored) = unbounded_channel();
        let thread = std::thread::spawn(move || serve(store, &incoming, &answers));
        (Self { requests: Some(requests), thread: Some(thread) }, stored)
    }

    /// Queues a request; the number in flight is bounded by what the contact
    /// machine lets neighbours have in judgement.
    pub(in crate::shell) fn persist(&self, request: PersistRequest) -> anyhow::Result<()> {
        let requests = self.requests.as_ref().expect("it is taken when this value ends");
        requests.send(request).context("the disk thread ended")
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        drop(self.requests.take());
        // A thread that panicked has said so.
        let _ = self.thread.take().map(JoinHandle::join);
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
