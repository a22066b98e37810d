//! Link: frames over one contact stream, bounded in both directions.
//!
//! A frame is a length (u32, big-endian) and that many bytes. Towards the peer
//! frames wait in a queue that is bounded in bytes: a remote that reads too
//! slowly loses the contact, not our memory. From the peer the next frame is
//! read only after the driver took the last one, so a remote that writes too
//! fast is slowed down by its own transport. What frames mean is for the
//! contact machine of `longhaul-dtn`.

use std::fmt;
use std::io;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use futures::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use longhaul_dtn::agent::LinkId;
use longhaul_dtn::frame::FRAME_BYTES_MAX;
use longhaul_dtn::frame::PREFIX_BYTES;
use longhaul_dtn::identity::PeerId;
use tokio::sync::{mpsc, oneshot, watch};

use super::NetEvent;

/// How long a closing link may take to send what is queued.
const FLUSH_MAX: Duration = Duration::from_secs(2);

/// Why a link ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LinkEnd {
    /// This peer closed it.
    Here,
    /// The other peer closed it.
    There,
    /// The connection broke; holds the transport's words.
    Broken(String),
    /// The other peer stopped answering.
    Silent,
    /// The other peer announced a frame of a length that none can have.
    FrameLength(u32),
    /// The other peer reads too slowly; holds the bytes that were waiting.
    Slow(usize),
    /// A newer or a direct connection with the same peer took its place.
    Replaced,
    /// The peer was cut off by [`super::NetHandle::cut`].
    Cut,
    /// The network is shutting down.
    Shutdown,
}

impl fmt::Display for LinkEnd {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Here => write!(f, "closed by this peer"),
            Self::There => write!(f, "closed by the other peer"),
            Self::Broken(why) => write!(f, "the connection broke: {why}"),
            Self::Silent => write!(f, "the other peer stopped answering"),
            Self::FrameLength(length) => {
                write!(
                    f,
                    "a frame of {length} bytes was announced, 1 to {FRAME_BYTES_MAX} are allowed"
                )
            }
            Self::Slow(bytes) => {
                write!(f, "the other peer reads too slowly, {bytes} bytes were waiting")
            }
            Self::Replaced => write!(f, "replaced by another connection"),
            Self::Cut => write!(f, "cut off"),
            Self::Shutdown => write!(f, "the network is shutting down"),
        }
    }
}

/// Why a frame was not queued.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SendError {
    /// The link has ended or is ending.
    #[error("the link has ended")]
    Ended,
    /// The frame is empty or above [`FRAME_BYTES_MAX`]; holds its length.
    #[error("a frame of {0} bytes, 1 to {FRAME_BYTES_MAX} are allowed")]
    Length(usize),
    /// The queue is full: the link is being closed as too slow.
    #[error("the other peer reads too slowly, the link is being closed")]
    Slow,
}

/// What a waiting frame costs besides its bytes: its prefix and its place in
/// the queue. Keeps a flood of tiny frames within the bound, too.
const FRAME_COST_BYTES: usize = 64;

/// A batch that has this many bytes takes no further frame: four groups of payload.
const BATCH_BYTES: usize = 64 * 1024;
/// What has to make way within [`LinkLimits::stall_max`]: as much as Yamux sends at once.
const PART_BYTES: usize = 16 * 1024;

/// Bounds of one link.
#[derive(Debug, Clone, Copy)]
pub(super) struct LinkLimits {
    /// Most bytes waiting to be sent.
    pub queue_bytes_max: usize,
    /// Longest time in which a frame makes no way.
    pub stall_max: Duration,
}

/// How a link is told to end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stop {
    /// Send what is queued first, for at most [`FLUSH_MAX`].
    Flush,
    /// At once.
    Abort,
}

/// The sending side of a link, shared by the driver and the network.
#[derive(Debug, Clone)]
pub(super) struct LinkSender {
    queue: mpsc::UnboundedSender<Vec<u8>>,
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    waiting_bytes: AtomicUsize,
    /// Frames that went either way so far.
    moved: AtomicU64,
    limits: LinkLimits,
    end: OnceLock<LinkEnd>,
    stop: watch::Sender<Option<Stop>>,
}

/// One link's task, before it runs.
pub(super) struct Link<S> {
    pub id: LinkId,
    pub peer: PeerId,
    pub stream: S,
    pub events: mpsc::Sender<NetEvent>,
    /// Resolves when the link that this one replaces has ended.
    pub after: Option<oneshot::Receiver<()>>,
    /// Dropped when this link has ended.
    pub done: oneshot::Sender<()>,
    queue: mpsc::UnboundedReceiver<Vec<u8>>,
    shared: Arc<Shared>,
}

impl LinkSender {
    /// Queues a frame; never waits. A full queue ends the link.
    pub(super) fn send(&self, frame: Vec<u8>) -> Result<(), SendError> {
        let length = frame.len();
        if length == 0 || length > FRAME_BYTES_MAX {
            return Err(SendError::Length(length));
        }
        if self.shared.end.get().is_some() {
            return Err(SendError::Ended);
        }
        let cost = FRAME_COST_BYTES + length;
        let waiting = self.shared.waiting_bytes.fetch_add(cost, Ordering::Relaxed);
        if waiting + cost > self.shared.limits.queue_bytes_max {
            self.shared.waiting_bytes.fetch_sub(cost, Ordering::Relaxed);
            self.abort(LinkEnd::Slow(waiting));
            return Err(SendError::Slow);
        }
        self.queue.send(frame).map_err(|_| SendError::Ended)
    }

    /// How many frames went either way so far; a link on which this does not change
    /// and nothing waits is at rest.
    pub(super) fn moved(&self) -> u64 {
        self.shared.moved.load(Ordering::Relaxed)
    }

    /// Whether frames wait to be sent.
    pub(super) fn is_waiting(&self) -> bool {
        self.shared.waiting_bytes.load(Ordering::Relaxed) > 0
    }

    /// Ends the link after what is queued was sent.
    pub(super) fn close(&self, end: LinkEnd) {
        self.stop(end, Stop::Flush);
    }

    /// Ends the link at once.
    pub(super) fn abort(&self, end: LinkEnd) {
        self.stop(end, Stop::Abort);
    }

    fn stop(&self, end: LinkEnd, stop: Stop) {
        // The first reason stands; a later abort still hurries a flush.
        let _ = self.shared.end.set(end);
        self.shared.stop.send_if_modified(|current| {
            let changes = *current != Some(Stop::Abort) && *current != Some(stop);
            if changes {
                *current = Some(stop);
            }
            changes
        });
    }
}

/// Makes the two sides of a link.
pub(super) fn link<S>(
    (id, peer, stream): (LinkId, PeerId, S),
    events: mpsc::Sender<NetEvent>,
    after: Option<oneshot::Receiver<()>>,
    limits: LinkLimits,
) -> (LinkSender, Link<S>, oneshot::Receiver<()>) {
    let (sender, queue) = mpsc::unbounded_channel();
    let (done, ended) = oneshot::channel();
    let shared = Arc::new(Shared {
        waiting_bytes: AtomicUsize::new(0),
        moved: AtomicU64::new(0),
        limits,
        end: OnceLock::new(),
        stop: watch::Sender::new(None),
    });
    let task = Link { id, peer, stream, events, after, done, queue, shared: shared.clone() };
    (LinkSender { queue: sender, shared }, task, ended)
}

impl<S: AsyncRead + AsyncWrite + Unpin> Link<S> {
    /// Runs the link to its end: one `LinkUp`, its frames, one `LinkDown`.
    pub(super) async fn run(self) -> (PeerId, LinkId, LinkEnd) {
        let Self { id, peer, stream, events, after, done, queue, shared } = self;
        if let Some(after) = after {
            let _ = after.await;
        }
        let mut end = LinkEnd::Shutdown;
        if events.send(NetEvent::LinkUp { link: id, peer }).await.is_ok() {
            let (reader, writer) = stream.split();
            let found = tokio::select! {
                end = read_frames(reader, id, &events, &shared) => end,
                end = write_frames(writer, queue, &shared) => end,
                () = stopped(&shared) => LinkEnd::Here,
            };
            end = shared.end.get_or_init(|| found).clone();
            let _ = events.send(NetEvent::LinkDown { link: id, end: end.clone() }).await;
        }
        drop(done);
        (peer, id, end)
    }
}

/// Returns when the link has to end whatever its reader and writer do.
async fn stopped(shared: &Shared) {
    let mut stop = shared.stop.subscribe();
    let told = stop.wait_for(Option::is_some).await.map(|stop| *stop);
    if matches!(told, Ok(Some(Stop::Flush))) {
        let abort = stop.wait_for(|stop| *stop == Some(Stop::Abort));
        let _ = tokio::time::timeout(FLUSH_MAX, abort).await;
    }
}

async fn read_frames(
    mut reader: impl AsyncRead + Unpin,
    link: LinkId,
    events: &mpsc::Sender<NetEvent>,
    shared: &Shared,
) -> LinkEnd {
    loop {
        let bytes = match read_frame(&mut reader).await {
            Ok(bytes) => bytes,
            Err(end) => return end,
        };
        // A link that this side closed says nothing more to the driver.
        if shared.end.get().is_some() {
            continue;
        }
        tracing::trace!(?link, bytes = bytes.len(), "frame received");
        shared.moved.fetch_add(1, Ordering::Relaxed);
        if events.send(NetEvent::Frame { link, bytes }).await.is_err() {
            return LinkEnd::Shutdown;
        }
    }
}

async fn read_frame(reader: &mut (impl AsyncRead + Unpin)) -> Result<Vec<u8>, LinkEnd> {
    let mut prefix = [0; PREFIX_BYTES];
    reader.read_exact(&mut prefix).await.map_err(broken)?;
    let announced = u32::from_be_bytes(prefix);
    let length = usize::try_from(announced).unwrap_or(usize::MAX);
    if length == 0 || length > FRAME_BYTES_MAX {
        return Err(LinkEnd::FrameLength(announced));
    }
    let mut bytes = vec![0; length];
    reader.read_exact(&mut bytes).await.map_err(broken)?;
    Ok(bytes)
}

fn broken(error: io::Error) -> LinkEnd {
    match error.kind() {
        io::ErrorKind::UnexpectedEof => LinkEnd::There,
        _ => LinkEnd::Broken(error.to_string()),
    }
}

/// Frames that go to the transport together, each behind its length: whatever is written by
/// itself is encrypted and sent by itself.
#[derive(Debug, Default)]
struct Batch {
    bytes: Vec<u8>,
    frames: usize,
}

impl Batch {
    fn clear(&mut self) {
        self.bytes.clear();
        self.frames = 0;
    }

    fn push(&mut self, frame: &[u8]) {
        let length = u32::try_from(frame.len()).expect("a queued frame is below its limit");
        self.bytes.extend_from_slice(&length.to_be_bytes());
        self.bytes.extend_from_slice(frame);
        self.frames += 1;
    }

    /// Adds what waits until the batch is full.
    fn fill(&mut self, queue: &mut mpsc::UnboundedReceiver<Vec<u8>>) {
        while self.bytes.len() < BATCH_BYTES
            && let Ok(frame) = queue.try_recv()
        {
            self.push(&frame);
        }
    }

    /// What its frames cost in the queue.
    fn cost(&self) -> usize {
        self.bytes.len() + self.frames * (FRAME_COST_BYTES - PREFIX_BYTES)
    }
}

async fn write_frames(
    mut writer: impl AsyncWrite + Unpin,
    mut queue: mpsc::UnboundedReceiver<Vec<u8>>,
    shared: &Shared,
) -> LinkEnd {
    let mut stop = shared.stop.subscribe();
    let mut batch = Batch::default();
    loop {
        batch.clear();
        batch.fill(&mut queue);
        if batch.frames == 0 {
            // A link at rest keeps no buffer.
            batch = Batch::default();
            if let Err(end) = in_time(writer.flush(), shared).await {
                return end;
            }
            let frame = tokio::select! {
                biased;
                frame = queue.recv() => frame,
                _ = stop.wait_for(Option::is_some) => None,
            };
            let Some(frame) = frame else {
                let _ = in_time(writer.close(), shared).await;
                // Whoever hears of the end ends its side too, which the reader sees. A stream
                // that is dropped before that may take the word of its end with it.
                tokio::time::sleep(FLUSH_MAX).await;
                return LinkEnd::Here;
            };
            batch.push(&frame);
            batch.fill(&mut queue);
        }
        if let Err(end) = write_batch(&mut writer, &batch, shared).await {
            return end;
        }
    }
}

async fn write_batch(
    writer: &mut (impl AsyncWrite + Unpin),
    batch: &Batch,
    shared: &Shared,
) -> Result<(), LinkEnd> {
    for part in batch.bytes.chunks(PART_BYTES) {
        in_time(writer.write_all(part), shared).await?;
    }
    shared.waiting_bytes.fetch_sub(batch.cost(), Ordering::Relaxed);
    shared.moved.fetch_add(batch.frames as u64, Ordering::Relaxed);
    Ok(())
}

async fn in_time<T>(
    work: impl Future<Output = io::Result<T>>,
    shared: &Shared,
) -> Result<T, LinkEnd> {
    match tokio::time::timeout(shared.limits.stall_max, work).await {
        Ok(result) => result.map_err(broken),
        Err(_) => Err(LinkEnd::Slow(shared.waiting_bytes.load(Ordering::Relaxed))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures::io::Cursor;
    use longhaul_dtn::identity::SecretKey;

    const LIMITS: LinkLimits =
        LinkLimits { queue_bytes_max: 1_000, stall_max: Duration::from_secs(20) };

    /// Runs a link over what the remote wrote before it hung up.
    async fn run_over(bytes: Vec<u8>) -> (Vec<Vec<u8>>, LinkEnd) {
        let (events, mut received) = mpsc::channel(64);
        let peer = SecretKey::from_seed(&[1; 32]).peer_id();
        // The empty writer never fails and never blocks.
        let stream = Half { reader: Cursor::new(bytes), writer: futures::io::sink() };
        let (_sender, task, _ended) = link((LinkId(7), peer, stream), events, None, LIMITS);
        let (_, _, end) = task.run().await;
        let mut frames = Vec::new();
        assert_eq!(received.recv().await, Some(NetEvent::LinkUp { link: LinkId(7), peer }));
        while let Some(NetEvent::Frame { bytes, .. }) = received.recv().await {
            frames.push(bytes);
        }
        (frames, end)
    }

    /// A stream that reads from one thing and writes to another.
    struct Half<R, W> {
        reader: R,
        writer: W,
    }

    impl<R: AsyncRead + Unpin, W: Unpin> AsyncRead for Half<R, W> {
        fn poll_read(
            mut self: std::pin::Pin<&mut Self>,
            cx: &mut std::task::Context<'_>,
            buffer: &mut [u8],
        ) -> std::task::Poll<io::Result<usize>> {
            std::pin::Pin::new(&mut self.reader).poll_read(cx, buffer)
        }
    }

    impl<R: Unpin, W: AsyncWrite + Unpin> AsyncWrite for Half<R, W> {
        fn poll_write(
            mut self: std::pin::Pin<&mut Self>,
            cx: &mut std::task::Context<'_>,
            bytes: &[u8],
        ) -> std::task::Poll<io::Result<usize>> {
            std::pin::Pin::new(&mut self.writer).poll_write(cx, bytes)
        }

        fn poll_flush(
            mut self: std::pin::Pin<&mut Self>,
            cx: &mut std::task::Context<'_>,
        ) -> std::task::Poll<io::Result<()>> {
            std::pin::Pin::new(&mut self.writer).poll_flush(cx)
        }

        fn poll_close(
            mut self: std::pin::Pin<&mut Self>,
            cx: &mut std::task::Context<'_>,
        ) -> std::task::Poll<io::Result<()>> {
            std::pin::Pin::new(&mut self.writer).poll_close(cx)
        }
    }

    fn framed(frames: &[&[u8]]) -> Vec<u8> {
        let frame = |frame: &&[u8]| [&(frame.len() as u32).to_be_bytes()[..], frame].concat();
        frames.iter().flat_map(frame).collect()
    }

    #[tokio::test]
    async fn hands_on_whole_frames() {
        let (frames, end) = run_over(framed(&[b"one", b"two"])).await;
        assert_eq!((frames, end), (vec![b"one".to_vec(), b"two".to_vec()], LinkEnd::There));
    }

    #[tokio::test]
    async fn drops_a_frame_that_was_cut_off() {
        let whole = framed(&[b"one", b"two"]);
        let (frames, end) = run_over(whole[..whole.len() - 1].to_vec()).await;
        assert_eq!((frames, end), (vec![b"one".to_vec()], LinkEnd::There));
    }

    #[tokio::test]
    async fn ends_at_a_garbage_length() {
        for length in [0, 1 + FRAME_BYTES_MAX as u32, u32::MAX] {
            let bytes = [&framed(&[b"one"])[..], &length.to_be_bytes(), &[0; 64]].concat();
            let (frames, end) = run_over(bytes).await;
            assert_eq!((frames, end), (vec![b"one".to_vec()], LinkEnd::FrameLength(length)));
        }
    }

    #[tokio::test]
    async fn counts_what_is_waiting_and_ends_when_it_is_too_much() {
        let (events, _received) = mpsc::channel(64);
        let peer = SecretKey::from_seed(&[1; 32]).peer_id();
        let stream = Half { reader: Cursor::new(Vec::<u8>::new()), writer: futures::io::sink() };
        let (sender, _task, _ended) = link((LinkId(7), peer, stream), events, None, LIMITS);
        assert_eq!(sender.send(vec![0; 436]), Ok(()));
        assert_eq!(sender.send(vec![0; 436]), Ok(()));
        assert_eq!(sender.send(vec![0; 1]), Err(SendError::Slow));
        assert_eq!(sender.send(vec![0; 1]), Err(SendError::Ended));
        assert_eq!(sender.shared.end.get(), Some(&LinkEnd::Slow(1_000)));
    }

    /// A writer that notes how much it is given at once.
    #[derive(Default)]
    struct Noting {
        all: Vec<u8>,
        writes: Vec<usize>,
    }

    impl AsyncWrite for Noting {
        fn poll_write(
            mut self: std::pin::Pin<&mut Self>,
            _: &mut std::task::Context<'_>,
            bytes: &[u8],
        ) -> std::task::Poll<io::Result<usize>> {
            self.all.extend_from_slice(bytes);
            self.writes.push(bytes.len());
            std::task::Poll::Ready(Ok(bytes.len()))
        }

        fn poll_flush(
            self: std::pin::Pin<&mut Self>,
            _: &mut std::task::Context<'_>,
        ) -> std::task::Poll<io::Result<()>> {
            std::task::Poll::Ready(Ok(()))
        }

        fn poll_close(
            self: std::pin::Pin<&mut Self>,
            _: &mut std::task::Context<'_>,
        ) -> std::task::Poll<io::Result<()>> {
            std::task::Poll::Ready(Ok(()))
        }
    }

    /// Sends frames that wait all at once; gives the sizes of the writes.
    async fn writes_of(frames: &[&[u8]]) -> Vec<usize> {
        let (events, _received) = mpsc::channel(64);
        let peer = SecretKey::from_seed(&[1; 32]).peer_id();
        let limits = LinkLimits { queue_bytes_max: 1 << 20, ..LIMITS };
        let (sender, mut task, _ended) = link((LinkId(7), peer, ()), events, None, limits);
        frames.iter().for_each(|frame| sender.send(frame.to_vec()).expect("room in the queue"));
        let (mut writer, mut batch) = (Noting::default(), Batch::default());
        while sender.is_waiting() {
            batch.clear();
            batch.fill(&mut task.queue);
            write_batch(&mut writer, &batch, &task.shared).await.expect("it takes all");
        }
        assert_eq!((writer.all, sender.moved()), (framed(frames), frames.len() as u64));
        writer.writes
    }

    #[tokio::test]
    async fn frames_that_wait_are_written_together() {
        assert_eq!(writes_of(&[&b"a"[..]; 100]).await, [500]);
        let group = vec![7; 16_600];
        let batch = [PART_BYTES, PART_BYTES, PART_BYTES, PART_BYTES, 4 * 16_604 - 4 * PART_BYTES];
        let ends = [16_604 + 6 - PART_BYTES];
        let expected = [&batch[..], &[PART_BYTES], &ends].concat();
        let frames = [&group[..], &group, &group, &group, &group, b"ok"];
        assert_eq!(writes_of(&frames).await, expected);
    }
}
