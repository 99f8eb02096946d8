//! The stream beneath HTTP: charges every frame that a client sends, and sees when a request
//! begins.

use std::io::{self, ErrorKind, IoSlice};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::frames::{Http1, Http2, WebSocket};
use super::limits::Protocol;
use super::state::ConnectionState;
use crate::clock::Clock;
use crate::net::connection_limit::ConnectionCounters;
use crate::net::memory_budget::{Eviction, MemoryBudget, Reservation};

/// Bytes of an unfinished WebSocket message that need no reservation. Most messages of the
/// signaling are shorter.
const SMALL_MESSAGE: usize = 4 * 1024;

/// Steps in which an unfinished message is reserved.
const STEP: usize = 16 * 1024;

/// Time for a WebSocket message, from its first byte to its last: 64 KiB over the slowest of
/// networks.
const MESSAGE_WITHIN: Duration = Duration::from_secs(30);

/// A stream of a client, whose frames are charged as they are read.
pub(super) struct Metered<S> {
    stream: S,
    speaks: Speaks,
    state: Arc<ConnectionState>,
    memory: Arc<MemoryBudget>,
    clock: Clock,
    counters: Arc<ConnectionCounters>,
}

enum Speaks {
    Http1(Http1),
    Http2(Http2),
    WebSocket(WebSocket, Option<Unfinished>),
}

/// A WebSocket message that has begun and is no small one.
struct Unfinished {
    reservation: Reservation,
    reserved: usize,
    eviction: Eviction,
    end_by: Duration,
}

/// Resources that a client used up. The connection ends: for its owner, as if it had broken.
#[derive(Clone, Copy, Debug, thiserror::Error)]
enum Excess {
    #[error("too many frames")]
    Frames,
    #[error("memory of unfinished messages used up")]
    Memory,
    #[error("memory of connections in no room used up")]
    Strangers,
    #[error("a message took too long")]
    Time,
}

impl From<Excess> for io::Error {
    fn from(excess: Excess) -> Self {
        // Signaling chooses the message to the client by the kind of this error.
        let kind = match excess {
            Excess::Frames => ErrorKind::QuotaExceeded,
            Excess::Memory => ErrorKind::StorageFull,
            Excess::Strangers => ErrorKind::ResourceBusy,
            Excess::Time => ErrorKind::TimedOut,
        };
        Self::new(kind, excess)
    }
}

impl<S> Metered<S> {
    pub(super) fn new(
        stream: S,
        protocol: Protocol,
        state: Arc<ConnectionState>,
        memory: Arc<MemoryBudget>,
        clock: Clock,
        counters: Arc<ConnectionCounters>,
    ) -> Self {
        let speaks = match protocol {
            Protocol::Http | Protocol::Https => Speaks::Http1(Http1::default()),
            Protocol::Http2 => Speaks::Http2(Http2::new()),
        };
        Self { stream, speaks, state, memory, clock, counters }
    }

    /// Takes in bytes that the client sent.
    fn take(&mut self, bytes: &[u8]) -> Result<(), Excess> {
        if bytes.is_empty() {
            return Ok(());
        }
        if matches!(self.speaks, Speaks::Http1(_)) && self.state.is_websocket() {
            self.speaks = Speaks::WebSocket(WebSocket::default(), None);
        }
        let frames = match &mut self.speaks {
            Speaks::Http1(heads) => {
                let passed_an_upgrade = heads.take(bytes);
                self.state.read_http1(heads.end(), passed_an_upgrade, heads.unfinished());
                return Ok(());
            }
            Speaks::Http2(walker) => {
                let frames = walker.take(bytes);
                self.state.read(walker.unfinished());
                frames
            }
            Speaks::WebSocket(walker, _) => walker.take(bytes),
        };
        let now = self.clock.now().mono;
        if frames > 0 && !self.state.charge(now, frames) {
            return Err(Excess::Frames);
        }
        self.reserve(now)
    }

    /// Reserves what the library holds of a message.
    fn reserve(&mut self, now: Duration) -> Result<(), Excess> {
        let Speaks::WebSocket(walker, unfinished) = &mut self.speaks else { return Ok(()) };
        let bytes = walker.unfinished();
        if bytes <= SMALL_MESSAGE {
            *unfinished = None;
            return Ok(());
        }
        let wanted = bytes.next_multiple_of(STEP);
        let message = unfinished.get_or_insert_with(|| {
            let (reservation, eviction) = self.memory.reserve(self.state.client(), wanted);
            Unfinished { reservation, reserved: wanted, eviction, end_by: now + MESSAGE_WITHIN }
        });
        if message.reserved < wanted {
            message.reserved = wanted;
            message.reservation.resize(wanted);
        }
        if message.end_by < now { Err(Excess::Time) } else { Ok(()) }
    }

    /// Memory of a WebSocket that others need. [`serve`](super::serve) looks for it before there is
    /// one.
    fn evicted(&mut self, cx: &mut Context<'_>) -> Option<Excess> {
        if self.state.is_websocket() && self.state.poll_evicted(cx).is_ready() {
            return Some(Excess::Strangers);
        }
        let Speaks::WebSocket(_, Some(message)) = &mut self.speaks else { return None };
        Pin::new(&mut message.eviction).poll(cx).is_ready().then_some(Excess::Memory)
    }

    fn count(&self, excess: Excess) {
        match excess {
            Excess::Frames => &self.counters.ended_flood,
            Excess::Memory | Excess::Strangers => &self.counters.ended_memory,
            Excess::Time => &self.counters.ended_slow,
        }
        .add(1);
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Metered<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let me = &mut *self;
        if let Some(excess) = me.evicted(cx) {
            me.count(excess);
            return Poll::Ready(Err(excess.into()));
        }
        if matches!(me.speaks, Speaks::Http1(_)) && me.state.is_over() {
            return Poll::Ready(Ok(()));
        }
        let before = buf.filled().len();
        ready!(Pin::new(&mut me.stream).poll_read(cx, buf))?;
        let taken = me.take(&buf.filled()[before..]);
        Poll::Ready(taken.map_err(|excess| {
            me.count(excess);
            excess.into()
        }))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Metered<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }
}
