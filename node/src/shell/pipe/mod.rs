//! Pipe: contacts over whatever moves bytes both ways in order.
//!
//! A pipe is a device or named pipe that is opened for reading and writing (a
//! serial line), the standard input and output, or a command that is started
//! and spoken to over its own (`ssh`, `socat`). The frames on it are those of
//! every contact; [`greeting`] tells the ends who they are.
//!
//! Each pipe has two threads, since reads of such files block. What is read
//! waits for the driver, so that a fast line fills no memory; what is to be
//! written is bounded, and a pipe that falls behind is begun anew.

mod ends;
mod greeting;

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use longhaul_dtn::agent::{LINK_QUEUE_BYTES_MAX, LinkId};
use longhaul_dtn::frame::delimit;
use longhaul_dtn::identity::{PeerId, SecretKey};
use tokio::sync::mpsc;

use super::entropy;
use ends::{Ends, Writer};
use greeting::{Greeting, PipeInput};

pub(in crate::shell) use ends::PipeAddress;

/// Links of pipes have the highest bit, those of the network never.
const FIRST_LINK: u64 = 1 << 63;
/// How often a hello is said.
const HELLO_EVERY: Duration = Duration::from_secs(2);
/// Pause before a pipe is opened again.
const REOPEN_AFTER: Duration = Duration::from_secs(2);
/// Events that wait for the driver; a reader waits behind them.
const EVENTS_MAX: usize = 64;
/// Bytes of one read.
const READ_BYTES: usize = 64 * 1024;

/// What happened on a pipe.
#[derive(Debug)]
pub(in crate::shell) enum PipeEvent {
    /// The other end has shown who it is.
    LinkUp { link: LinkId, peer: PeerId },
    /// A frame came.
    Frame { link: LinkId, bytes: Vec<u8> },
    /// The contact ended, and why.
    LinkDown { link: LinkId, why: String },
    /// A pipe could not be opened, or gave something else than a peer.
    Failed { address: PipeAddress, why: String },
    /// The contact over the standard input ended: there will be no other.
    Closed,
}

/// The live contacts over pipes, to send on.
#[derive(Debug, Clone, Default)]
pub(in crate::shell) struct PipeLinks {
    writers: Arc<Mutex<BTreeMap<LinkId, Writer>>>,
    next: Arc<AtomicU64>,
}

/// What happens on all pipes.
#[derive(Debug)]
pub(in crate::shell) struct PipeEvents {
    receiver: mpsc::Receiver<PipeEvent>,
    /// Kept so that the receiver does not end where there is no pipe.
    _sender: mpsc::Sender<PipeEvent>,
}

/// Opens the pipes, and opens them again whenever they end.
pub(in crate::shell) fn start(
    addresses: Vec<PipeAddress>,
    key: &SecretKey,
) -> (PipeLinks, PipeEvents) {
    let (sender, receiver) = mpsc::channel(EVENTS_MAX);
    let links = PipeLinks::default();
    for address in addresses {
        let (key, links, events) = (key.clone(), links.clone(), sender.clone());
        let serving = Serving { address, key, links, events };
        std::thread::spawn(move || serving.serve());
    }
    (links, PipeEvents { receiver, _sender: sender })
}

impl PipeEvents {
    /// What happens next.
    pub async fn next(&mut self) -> PipeEvent {
        match self.receiver.recv().await {
            Some(event) => event,
            None => std::future::pending().await,
        }
    }
}

impl PipeLinks {
    /// True for a link of a pipe.
    pub const fn has(link: LinkId) -> bool {
        link.0 >= FIRST_LINK
    }

    /// Queues a frame; a pipe that is too far behind ends.
    pub fn send(&self, link: LinkId, frame: &[u8]) {
        let mut links = self.lock();
        let Some(writer) = links.get(&link) else { return };
        let sent = delimit(frame).is_ok_and(|bytes| writer.queue(bytes, LINK_QUEUE_BYTES_MAX));
        if !sent {
            writer.close();
            links.remove(&link);
        }
    }

    /// Ends a contact once what is queued was written.
    pub fn close(&self, link: LinkId) {
        if let Some(writer) = self.lock().remove(&link) {
            writer.close();
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, BTreeMap<LinkId, Writer>> {
        self.writers.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn is_live(&self, link: LinkId) -> bool {
        self.lock().contains_key(&link)
    }

    fn insert(&self, writer: Writer) -> LinkId {
        let link = LinkId(FIRST_LINK + self.next.fetch_add(1, Ordering::Relaxed));
        self.lock().insert(link, writer);
        link
    }
}

/// The thread of one pipe.
struct Serving {
    address: PipeAddress,
    key: SecretKey,
    links: PipeLinks,
    events: mpsc::Sender<PipeEvent>,
}

impl Serving {
    #[expect(clippy::disallowed_methods, reason = "the thread of a pipe waits in real time")]
    fn serve(self) {
        let mut said = None;
        loop {
            let failed = self.attempt().err();
            // A command that fails each time is said once.
            if let Some(why) = failed.clone().filter(|_| failed != said) {
                let address = self.address.clone();
                if self.events.blocking_send(PipeEvent::Failed { address, why }).is_err() {
                    return;
                }
            }
            said = failed;
            // Whoever started this process starts another one.
            if self.address == PipeAddress::Standard {
                let _ = self.events.blocking_send(PipeEvent::Closed);
                return;
            }
            std::thread::sleep(REOPEN_AFTER);
        }
    }

    /// Opens the pipe and serves one contact, to its end.
    fn attempt(&self) -> Result<(), String> {
        let nonce = entropy::nonce().map_err(|error| error.to_string())?;
        let Ends { mut reader, writer, child } = self.address.open()?;
        let _child = child;
        let mut greeting = Greeting::new(self.key.clone(), nonce);
        writer.say_every(HELLO_EVERY, greeting.hello().unwrap_or_default());
        let (mut link, mut buffer) = (None, vec![0; READ_BYTES]);
        let ended = loop {
            let read = match reader.read(&mut buffer) {
                Ok(0) => break Ok("the pipe ended".to_owned()),
                Ok(read) => &buffer[..read],
                Err(error) if error.kind() == std::io::ErrorKind::Interrupted => continue,
                Err(error) => break Err(error.to_string()),
            };
            if link.is_some_and(|link| !self.links.is_live(link)) {
                break Ok("closed here".to_owned());
            }
            match greeting.push(read) {
                Ok(inputs) => {
                    if inputs.into_iter().any(|input| !self.take(input, &writer, &mut link)) {
                        break Ok("the peer ended".to_owned());
                    }
                }
                Err(error) => break Err(error.to_string()),
            }
        };
        writer.close();
        match (link, ended) {
            (Some(link), Ok(why) | Err(why)) => {
                self.links.close(link);
                let _ = self.events.blocking_send(PipeEvent::LinkDown { link, why });
                Ok(())
            }
            (None, Ok(why)) => Err(format!("{why} before a peer said who it is")),
            (None, Err(why)) => Err(why),
        }
    }

    /// False when the driver has gone.
    fn take(&self, input: PipeInput, writer: &Writer, link: &mut Option<LinkId>) -> bool {
        let event = match (input, *link) {
            (PipeInput::Say(line), _) => {
                writer.say_once(line.into_bytes());
                return true;
            }
            (PipeInput::Up(peer), None) => {
                let new = self.links.insert(writer.clone());
                *link = Some(new);
                PipeEvent::LinkUp { link: new, peer }
            }
            (PipeInput::Frame(bytes), Some(link)) => PipeEvent::Frame { link, bytes },
            (PipeInput::Up(_), Some(_)) | (PipeInput::Frame(_), None) => return true,
        };
        self.events.blocking_send(event).is_ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use longhaul_dtn::frame::Frame;

    async fn next(events: &mut PipeEvents) -> PipeEvent {
        let waited = tokio::time::timeout(Duration::from_secs(30), events.next());
        waited.await.expect("in time")
    }

    fn runtime() -> tokio::runtime::Runtime {
        tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime")
    }

    #[test]
    fn a_pipe_that_does_not_open_is_said_with_its_address() {
        let address = PipeAddress::Path("/nonexistent/tty".into());
        let (_links, mut events) = start(vec![address.clone()], &SecretKey::from_seed(&[1; 32]));
        let PipeEvent::Failed { address: found, why } = runtime().block_on(next(&mut events))
        else {
            panic!("a failure");
        };
        assert_eq!(found, address);
        assert!(why.contains("cannot open"), "{why}");
    }

    #[test]
    fn a_pipe_that_leads_back_is_refused() {
        let address = PipeAddress::Command("cat".to_owned());
        let (_links, mut events) = start(vec![address], &SecretKey::from_seed(&[1; 32]));
        let PipeEvent::Failed { why, .. } = runtime().block_on(next(&mut events)) else {
            panic!("a failure");
        };
        assert_eq!(why, "the other end is this peer itself");
    }

    #[test]
    fn a_pipe_that_ends_without_a_word_is_said_and_once() {
        for address in ["exec:false", "/dev/null"] {
            let address: PipeAddress = address.parse().expect("well-formed");
            let (_links, mut events) = start(vec![address], &SecretKey::from_seed(&[1; 32]));
            let PipeEvent::Failed { why, .. } = runtime().block_on(next(&mut events)) else {
                panic!("a failure");
            };
            assert_eq!(why, "the pipe ended before a peer said who it is");
            // It is opened again by then, and ends again.
            let again = async {
                tokio::time::timeout(REOPEN_AFTER + HELLO_EVERY, events.next()).await.is_err()
            };
            assert!(runtime().block_on(again));
        }
    }

    #[test]
    fn links_of_pipes_are_no_links_of_the_network() {
        let links = PipeLinks::default();
        let link = links.insert(Writer::default());
        assert!(PipeLinks::has(link) && !PipeLinks::has(LinkId(7)));
        assert!(links.is_live(link));
        links.send(link, &Frame::List.encode());
        links.send(LinkId(7), &Frame::List.encode());
        links.close(link);
        assert!(!links.is_live(link));
        assert_ne!(links.insert(Writer::default()), link, "a name is not used again");
    }

    #[test]
    fn a_pipe_too_far_behind_is_closed() {
        let links = PipeLinks::default();
        let link = links.insert(Writer::default());
        let frame = vec![0; 60_000];
        (0..LINK_QUEUE_BYTES_MAX / frame.len()).for_each(|_| links.send(link, &frame));
        assert!(links.is_live(link));
        links.send(link, &frame);
        assert!(!links.is_live(link));
    }
}
