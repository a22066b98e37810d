//! One session on one connection.

mod bytes;
mod greeting;

use std::collections::VecDeque;
use std::io;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use longhaul_dtn::bpv7::EndpointId;
use longhaul_dtn::tcpcl::{Input, Output, RefuseReason, Session, TerminateReason};
use longhaul_dtn::time::{Span, Timestamp};
use tokio::io::Interest;
use tokio::net::TcpStream;
use tokio::sync::mpsc;
use tokio::time::Instant;

use super::arriving::Arriving;
use super::end::End;
use super::places::Place;
use super::sending::Sending;
use super::wire::Wire;
use super::{Command, Event, LinkSender, Shared};
use crate::shell::courier::agent::{Arrival, LinkId, SendOutcome};
use crate::shell::courier::tls::Proof;
use crate::shell::courier::trust::Standing;

/// Bytes of one read.
const READ_BYTES: usize = 256 << 10;
/// No further segment is made while so many bytes are not written.
const UNWRITTEN_BYTES_MAX: usize = 512 << 10;
/// Pause after a burst that the connection took whole, unless something comes before. Without it
/// the buffers of the connection fill up, which takes twice the time on one machine; with it a
/// session sends 500 MB/s at most.
const BURST_PAUSE: Duration = Duration::from_millis(1);
/// Most commands taken at once.
const COMMANDS_MAX: usize = 256;
/// How long each step of a connection that is on trial may take until it is known who is there.
const TRIAL_MAX: Span = Span::from_ms(10_000);
/// How long the last bytes may take.
const FLUSH_MAX: Duration = Duration::from_secs(5);

/// One session, before and while it runs.
pub(super) struct Conversation {
    shared: Arc<Shared>,
    link: LinkId,
    session: Session,
    stream: TcpStream,
    wire: Wire,
    /// What TLS has shown of the other side.
    proof: Proof,
    wanted: Option<EndpointId>,
    /// Where the connection comes from; none for one that we opened.
    from: Option<IpAddr>,
    /// Among those that were accepted, if it was.
    place: Option<Place>,
    standing: Standing,
    /// Bytes to be written, and how many of the first piece were.
    unwritten: VecDeque<Vec<u8>>,
    unwritten_bytes: usize,
    written_of_first: usize,
    /// The connection took a whole burst, and there is more to send.
    may_go_on: bool,
    /// When bytes were last written, or there were none to write.
    wrote_at: Instant,
    sending: Sending,
    arriving: Arriving,
    commands: mpsc::UnboundedReceiver<Command>,
    /// Given away when the session is established.
    sender: Option<LinkSender>,
    is_up: bool,
    events: Vec<Event>,
    end: Option<End>,
    /// When the run began: what its clock counts from.
    began: Instant,
    buffer: Vec<u8>,
}

impl Conversation {
    /// Over a connection that we opened, to `wanted` if that is given.
    pub fn active(shared: &Arc<Shared>, stream: TcpStream, wanted: Option<EndpointId>) -> Self {
        let session = Session::active(shared.config.session());
        Self { wanted, ..Self::new(shared, stream, session, None) }
    }

    /// Over a connection that we accepted.
    pub fn passive(shared: &Arc<Shared>, stream: TcpStream, from: IpAddr, place: Place) -> Self {
        // Without it acknowledgements wait for one another; nothing else depends on it.
        let _ = stream.set_nodelay(true);
        let mut config = shared.config.session();
        // Until it is known to be no stranger.
        let idle_ms = u64::try_from(shared.config.idle_max.as_millis()).unwrap_or(u64::MAX);
        config.idle_timeout = Some(Span::from_ms(idle_ms));
        if place.is_on_trial() {
            config.contact_timeout = TRIAL_MAX;
        }
        let session = Session::passive(config);
        Self { place: Some(place), ..Self::new(shared, stream, session, Some(from)) }
    }

    fn new(
        shared: &Arc<Shared>,
        stream: TcpStream,
        session: Session,
        from: Option<IpAddr>,
    ) -> Self {
        let (sender, commands) = mpsc::unbounded_channel();
        let link = shared.new_link();
        Self {
            link,
            arriving: Arriving::new(shared.budget.open(link, from), &shared.config),
            shared: shared.clone(),
            session,
            stream,
            wire: Wire::default(),
            proof: Proof::default(),
            wanted: None,
            from,
            place: None,
            standing: Standing::Stranger,
            unwritten: VecDeque::new(),
            unwritten_bytes: 0,
            written_of_first: 0,
            may_go_on: false,
            wrote_at: Instant::now(),
            sending: Sending::default(),
            commands,
            sender: Some(LinkSender(sender)),
            is_up: false,
            events: Vec::new(),
            end: None,
            began: Instant::now(),
            buffer: vec![0; READ_BYTES],
        }
    }

    /// Runs the session to its end: one `Up`, what happens, one `Down`.
    pub async fn run(&mut self) -> End {
        self.give(Input::Connected);
        let end = loop {
            self.refuse_due();
            let is_full = self.advance();
            if let Err(error) = self.write() {
                break End::Broken(error);
            }
            self.may_go_on = is_full && self.unwritten.is_empty();
            if !self.report().await {
                break End::Abandoned;
            }
            if let Some(end) = self.end.take() {
                break end;
            }
            if let Err(end) = self.wait().await {
                break end;
            }
        };
        // A farewell that is not read is no loss.
        let patience = FLUSH_MAX.min(self.shared.config.stall_max);
        let _ = tokio::time::timeout(patience, self.flush()).await;
        if self.is_up {
            let _ = self.shared.events.send(Event::Down(self.link)).await;
        }
        end
    }

    /// Time as the session sees it: it only has to go on evenly.
    fn now(&self) -> Timestamp {
        let ms = self.began.elapsed().as_millis();
        Timestamp::from_dtn_ms(u64::try_from(ms).unwrap_or(u64::MAX))
    }

    fn give(&mut self, input: Input<'_>) {
        let now = self.now();
        if let Err(error) = self.session.handle(now, input) {
            tracing::debug!(link = self.link.0, %error, "an input came too late");
        }
    }

    /// Does what the session says and gives it what is to be sent; true when it stopped because
    /// enough waits to be written.
    fn advance(&mut self) -> bool {
        let now = self.now();
        loop {
            while let Some(output) = self.session.poll() {
                self.act(output);
            }
            if self.unwritten_bytes >= UNWRITTEN_BYTES_MAX {
                self.arriving.pay();
                return true;
            }
            if let Some(key) = self.sending.offer(&mut self.session, now) {
                let (link, reason) = (self.link, RefuseReason::NOT_ACCEPTABLE);
                let outcome = SendOutcome::Refused(reason);
                self.events.push(Event::Sent { link, key, outcome });
                continue;
            }
            while let Some(output) = self.session.poll() {
                self.act(output);
            }
            if !self.sending.feed(&mut self.session, now) {
                self.arriving.pay();
                return false;
            }
        }
    }

    fn act(&mut self, output: Output) {
        match output {
            Output::Transmit(bytes) => self.transmit(bytes),
            Output::StartTls => self.start_tls(),
            Output::Established(peer) => self.on_established(peer),
            Output::Offered { id } => self.sending.offered(id),
            Output::Delivered { id } => self.on_answer(id, SendOutcome::Acknowledged),
            Output::Refused { id, reason } => self.on_answer(id, SendOutcome::Refused(reason)),
            Output::Lost { id } => self.on_answer(id, SendOutcome::Lost),
            Output::TransferStarted { id, length } => self.arriving.start(id, length),
            Output::TransferData { bytes, .. } => self.arriving.data(bytes),
            Output::TransferFinished { id, .. } => {
                let arrival = Arrival { link: self.link, transfer: id };
                let bytes = self.arriving.finish(id);
                self.events.push(Event::Received { arrival, bytes });
            }
            Output::TransferFailed { id } => self.arriving.fail(id),
            Output::Rejected { reason, kind } => {
                tracing::debug!(link = self.link.0, %reason, kind, "a message of ours was rejected");
            }
            Output::Terminating { reason, .. } => {
                tracing::debug!(link = self.link.0, %reason, "session ending");
                for key in self.sending.give_up() {
                    let (link, outcome) = (self.link, SendOutcome::Lost);
                    self.events.push(Event::Sent { link, key, outcome });
                }
            }
            Output::Close(cause) => self.end = self.end.take().or(Some(End::Closed(cause))),
            Output::Acked { .. } => {}
        }
    }

    fn on_answer(&mut self, id: longhaul_dtn::tcpcl::TransferId, outcome: SendOutcome) {
        if let Some(key) = self.sending.answered(id) {
            self.events.push(Event::Sent { link: self.link, key, outcome });
        }
    }

    /// Tells what happened; false when nobody listens any more.
    async fn report(&mut self) -> bool {
        for event in self.events.drain(..) {
            if self.shared.events.send(event).await.is_err() {
                return false;
            }
        }
        true
    }

    /// Waits until there is something to do, and takes it in.
    async fn wait(&mut self) -> Result<(), End> {
        let may_read = (self.session.wants_bytes() || self.wire.is_shaking())
            && !self.arriving.is_full(&self.shared.config)
            && self.unwritten_bytes < UNWRITTEN_BYTES_MAX;
        if !may_read {
            self.arriving.rest();
        }
        let interest = match (may_read, !self.unwritten.is_empty()) {
            (true, true) => Some(Interest::READABLE | Interest::WRITABLE),
            (true, false) => Some(Interest::READABLE),
            (false, true) => Some(Interest::WRITABLE),
            (false, false) => None,
        };
        let stalled_at = self.stalled_at(may_read);
        let wake_at = self.session.wake_at().map(|at| self.instant(at));
        let starved_at = self.arriving.due_at(&self.shared.config);
        let go_on_at = self.may_go_on.then(|| Instant::now() + BURST_PAUSE);
        let due = [wake_at, stalled_at, starved_at, go_on_at].into_iter().flatten().min();
        let mut commands = Vec::new();
        tokio::select! {
            count = self.commands.recv_many(&mut commands, COMMANDS_MAX) => {
                if count == 0 && self.is_up {
                    self.give(Input::Terminate(TerminateReason::UNKNOWN));
                    return Err(End::Abandoned);
                }
                commands.into_iter().for_each(|command| self.obey(command));
            }
            () = self.arriving.news() => {}
            ready = ready(&self.stream, interest) => {
                if ready.map_err(End::Broken)? && may_read {
                    self.read()?;
                }
            }
            () = sleep_until(due) => {
                if stalled_at.is_some_and(|at| at <= Instant::now()) {
                    self.give(Input::Terminate(TerminateReason::IDLE_TIMEOUT));
                    return Err(End::Stalled);
                }
                self.give(Input::Wake);
            }
        }
        Ok(())
    }

    /// Refuses the bundle that comes where it waits for its payment for too long, or goes for others.
    fn refuse_due(&mut self) {
        if let Some(id) = self.arriving.due(&self.shared.config, Instant::now()) {
            self.arriving.fail(id);
            self.give(Input::Refuse { id, reason: RefuseReason::NO_RESOURCES });
        }
    }

    /// When the other side has taken or given nothing for too long.
    fn stalled_at(&self, may_read: bool) -> Option<Instant> {
        let config = &self.shared.config;
        let gives_at = self.arriving.stalled_at(config).filter(|_| may_read);
        let takes_at = (!self.unwritten.is_empty()).then(|| self.wrote_at + config.stall_max);
        [gives_at, takes_at].into_iter().flatten().min()
    }

    fn instant(&self, at: Timestamp) -> Instant {
        // The session's clock counts whole milliseconds from the beginning.
        let ms = at.since(Timestamp::default()).ms();
        self.began + Duration::from_millis(ms)
    }

    fn obey(&mut self, command: Command) {
        match command {
            Command::Send { key, parcel } => self.sending.push(key, parcel),
            Command::Accept(id) => {
                self.arriving.answered(id);
                self.give(Input::Stored { id });
            }
            Command::Refuse { transfer: id, reason } => {
                self.arriving.answered(id);
                self.give(Input::Refuse { id, reason });
            }
            Command::End => self.give(Input::Terminate(TerminateReason::UNKNOWN)),
        }
    }
}

/// True when the connection can be read; false when it can only be written.
async fn ready(stream: &TcpStream, interest: Option<Interest>) -> io::Result<bool> {
    match interest {
        Some(interest) => stream.ready(interest).await.map(|ready| ready.is_readable()),
        None => std::future::pending().await,
    }
}

async fn sleep_until(due: Option<Instant>) {
    match due {
        Some(due) => tokio::time::sleep_until(due).await,
        None => std::future::pending().await,
    }
}
