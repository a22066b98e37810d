//! One session on one connection.

use std::collections::VecDeque;
use std::io::{self, IoSlice};
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use longhaul_dtn::bpv7::EndpointId;
use longhaul_dtn::tcpcl::{Input, Output, Peer, RefuseReason, Session, TerminateReason};
use longhaul_dtn::time::Timestamp;
use tokio::io::{AsyncWriteExt, Interest};
use tokio::net::TcpStream;
use tokio::sync::mpsc;
use tokio::time::Instant;

use super::arriving::Arriving;
use super::end::{End, judge, node_of};
use super::sending::Sending;
use super::wire::Wire;
use super::{Command, Event, LinkSender, Shared};
use crate::shell::courier::agent::{Arrival, LinkId, SendOutcome};
use crate::shell::courier::tls::{Proof, Tls};
use crate::shell::courier::trust::Evidence;

/// Bytes of one read.
const READ_BYTES: usize = 256 << 10;
/// No further segment is made while so many bytes are not written.
const UNWRITTEN_BYTES_MAX: usize = 512 << 10;
/// Pause after a burst that the connection took whole, unless something comes before. Without it
/// the buffers of the connection fill up, which takes twice the time on one machine; with it a
/// session sends 500 MB/s at most.
const BURST_PAUSE: Duration = Duration::from_millis(1);
/// Most pieces of one write.
const PIECES_MAX: usize = 64;
/// Most commands taken at once.
const COMMANDS_MAX: usize = 256;
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
        Self { wanted, ..Self::new(shared, stream, session) }
    }

    /// Over a connection that we accepted.
    pub fn passive(shared: &Arc<Shared>, stream: TcpStream, from: IpAddr) -> Self {
        // Without it acknowledgements wait for one another; nothing else depends on it.
        let _ = stream.set_nodelay(true);
        let session = Session::passive(shared.config.session());
        Self { from: Some(from), ..Self::new(shared, stream, session) }
    }

    fn new(shared: &Arc<Shared>, stream: TcpStream, session: Session) -> Self {
        let (sender, commands) = mpsc::unbounded_channel();
        Self {
            link: shared.new_link(),
            arriving: Arriving::new(shared.budget.clone()),
            shared: shared.clone(),
            session,
            stream,
            wire: Wire::default(),
            proof: Proof::default(),
            wanted: None,
            from: None,
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
    pub async fn run(mut self) -> End {
        self.give(Input::Connected);
        let end = loop {
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
                tracing::warn!(link = self.link.0, %reason, kind, "a message of ours was rejected");
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

    /// Queues bytes of the session, or of TLS alone if there are none.
    fn transmit(&mut self, bytes: Vec<u8>) {
        match self.wire.seal(bytes) {
            Ok(sealed) if sealed.is_empty() => {}
            Ok(sealed) => {
                self.unwritten_bytes += sealed.len();
                self.unwritten.push_back(sealed);
            }
            Err(error) => self.end = self.end.take().or(Some(End::Broken(error))),
        }
    }

    fn start_tls(&mut self) {
        let shared = self.shared.clone();
        let Some(identity) = shared.config.tls.identity() else { return };
        let begun = match self.stream.peer_addr() {
            Ok(other) => {
                self.wire.begin(identity, self.from.is_none(), other.ip()).map_err(End::Insecure)
            }
            Err(error) => Err(End::Broken(error)),
        };
        match begun {
            Ok(()) => self.transmit(Vec::new()),
            Err(end) => self.end = Some(end),
        }
    }

    fn on_established(&mut self, peer: Peer) {
        let node = peer.node_id.as_ref().and_then(|id| node_of(id.as_str()));
        let node = match self.judge(node) {
            Ok(node) => node,
            Err(end) => {
                self.end = Some(end);
                return self.give(Input::Terminate(TerminateReason::CONTACT_FAILURE));
            }
        };
        let key = self.proof.key.map(|key| key.short());
        let is_plain = self.wire.is_plain();
        tracing::info!(link = self.link.0, claims = ?peer.node_id, ?node, key, is_plain, "session established");
        if let Some(sender) = self.sender.take() {
            self.is_up = true;
            let (link, bundle_bytes_max) = (self.link, peer.transfer_mru);
            self.events.push(Event::Up { link, node, bundle_bytes_max, sender });
        }
    }

    /// The node behind the session, as far as it is believed.
    fn judge(&self, claimed: Option<EndpointId>) -> Result<Option<EndpointId>, End> {
        let config = &self.shared.config;
        let evidence = Evidence {
            from: self.from,
            key: self.proof.key,
            may_prove: !matches!(config.tls, Tls::Off),
            insists: matches!(config.tls, Tls::Required(_)),
        };
        let wanted = self.wanted.as_ref();
        judge(claimed, wanted, &self.proof.names, &evidence, &config.trust)
    }

    fn on_answer(&mut self, id: longhaul_dtn::tcpcl::TransferId, outcome: SendOutcome) {
        if let Some(key) = self.sending.answered(id) {
            self.events.push(Event::Sent { link: self.link, key, outcome });
        }
    }

    /// Writes what the connection takes now.
    fn write(&mut self) -> io::Result<()> {
        if self.unwritten_bytes == 0 {
            self.wrote_at = Instant::now();
        }
        while !self.unwritten.is_empty() {
            let mut slices = [IoSlice::new(&[]); PIECES_MAX];
            let mut count = 0;
            for (slice, piece) in slices.iter_mut().zip(&self.unwritten) {
                let skip = if count == 0 { self.written_of_first } else { 0 };
                *slice = IoSlice::new(&piece[skip..]);
                count += 1;
            }
            match self.stream.try_write_vectored(&slices[..count]) {
                Ok(bytes) => self.wrote(bytes),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    fn wrote(&mut self, bytes: usize) {
        self.wrote_at = Instant::now();
        self.written_of_first += bytes;
        while let Some(first) = self.unwritten.front()
            && first.len() <= self.written_of_first
        {
            self.written_of_first -= first.len();
            self.unwritten_bytes -= first.len();
            self.unwritten.pop_front();
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
        let interest = match (may_read, !self.unwritten.is_empty()) {
            (true, true) => Some(Interest::READABLE | Interest::WRITABLE),
            (true, false) => Some(Interest::READABLE),
            (false, true) => Some(Interest::WRITABLE),
            (false, false) => None,
        };
        let stalled_at = self.stalled_at(may_read);
        let wake_at = self.session.wake_at().map(|at| self.instant(at));
        let starved = self.arriving.starved_at(&self.shared.config);
        let starved_at = starved.map(|(_, at)| at);
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
            () = self.arriving.payment() => {}
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
                if let Some((id, _)) = starved.filter(|&(_, at)| at <= Instant::now()) {
                    self.arriving.fail(id);
                    self.give(Input::Refuse { id, reason: RefuseReason::NO_RESOURCES });
                }
                self.give(Input::Wake);
            }
        }
        Ok(())
    }

    /// When the other side has taken or given nothing for too long.
    fn stalled_at(&self, may_read: bool) -> Option<Instant> {
        let config = &self.shared.config;
        // While we do not read, that nothing comes is our own doing.
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

    fn read(&mut self) -> Result<(), End> {
        let mut buffer = std::mem::take(&mut self.buffer);
        let found = self.stream.try_read(&mut buffer);
        let outcome = match found {
            Ok(0) => {
                self.give(Input::Closed);
                Err(End::Gone)
            }
            Ok(count) if self.wire.is_plain() => {
                self.give(Input::Received(&buffer[..count]));
                Ok(())
            }
            Ok(count) => self.open(&buffer[..count]),
            Err(error)
                if matches!(
                    error.kind(),
                    io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted
                ) =>
            {
                Ok(())
            }
            Err(error) => Err(End::Broken(error)),
        };
        self.buffer = buffer;
        outcome
    }

    /// Takes bytes within TLS.
    fn open(&mut self, bytes: &[u8]) -> Result<(), End> {
        let opened = self.wire.open(bytes);
        // Its answers and its alert go out, whatever came.
        self.transmit(Vec::new());
        let opened = opened.map_err(|error| {
            self.give(Input::Closed);
            End::Insecure(error)
        })?;
        if let Some(proof) = opened.proof {
            self.proof = proof;
            self.give(Input::TlsEstablished);
        }
        if !opened.bytes.is_empty() {
            self.give(Input::Received(&opened.bytes));
        }
        if opened.is_over {
            self.give(Input::Closed);
            return Err(End::Gone);
        }
        Ok(())
    }

    /// Writes the last words, then closes with a FIN.
    async fn flush(&mut self) -> io::Result<()> {
        while let Some(output) = self.session.poll() {
            if let Output::Transmit(bytes) = output {
                self.transmit(bytes);
            }
        }
        let last = self.wire.end()?;
        self.unwritten.push_back(last);
        for (at, piece) in std::mem::take(&mut self.unwritten).into_iter().enumerate() {
            let skip = if at == 0 { self.written_of_first } else { 0 };
            self.stream.write_all(&piece[skip..]).await?;
        }
        self.stream.shutdown().await
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
