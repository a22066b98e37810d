//! Muxer: a connection that does not take for ever to close.
//!
//! libp2p counts a connection as open until it has been closed in order. On a
//! dead TCP link with data in flight that lasts until the kernel gives up,
//! about 15 minutes, and every cut would leave one such connection behind. This
//! wrapper gives the orderly close a moment and then drops the connection.

use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use libp2p::core::muxing::{StreamMuxer, StreamMuxerBox, StreamMuxerEvent, SubstreamBox};
use tokio::time::Sleep;

/// Longest time for an orderly close.
const CLOSE_MAX: Duration = Duration::from_secs(2);

/// A multiplexed connection whose close is bounded in time.
pub(super) struct PromptMuxer {
    inner: StreamMuxerBox,
    deadline: Option<Pin<Box<Sleep>>>,
}

impl PromptMuxer {
    /// Wraps a connection.
    pub(super) fn new<M>(muxer: M) -> Self
    where
        M: StreamMuxer + Send + 'static,
        M::Substream: Send + 'static,
        M::Error: Send + Sync + 'static,
    {
        Self { inner: StreamMuxerBox::new(muxer), deadline: None }
    }
}

impl StreamMuxer for PromptMuxer {
    type Substream = SubstreamBox;
    type Error = std::io::Error;

    fn poll_inbound(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Result<Self::Substream, Self::Error>> {
        Pin::new(&mut self.get_mut().inner).poll_inbound(cx)
    }

    fn poll_outbound(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Result<Self::Substream, Self::Error>> {
        Pin::new(&mut self.get_mut().inner).poll_outbound(cx)
    }

    fn poll_close(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        let this = self.get_mut();
        if let Poll::Ready(result) = Pin::new(&mut this.inner).poll_close(cx) {
            return Poll::Ready(result);
        }
        let deadline = this.deadline.get_or_insert_with(|| Box::pin(tokio::time::sleep(CLOSE_MAX)));
        deadline.as_mut().poll(cx).map(Ok)
    }

    fn poll(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Result<StreamMuxerEvent, Self::Error>> {
        Pin::new(&mut self.get_mut().inner).poll(cx)
    }
}
