//! Stream of a handshake. It fails if the client sends more bytes than any handshake needs.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// Bytes that a client may send until its handshake is complete. The library would join a message
/// of up to 64 KiB from records of any size. A ClientHello with a key share of ML-KEM, a ticket and
/// every extension takes 3 KiB.
const LONGEST: usize = 16 * 1024;

/// A stream with a byte limit during the handshake.
#[derive(Debug)]
pub struct Bounded<S> {
    stream: S,
    /// Remaining bytes, while they are counted.
    left: Option<usize>,
}

impl<S> Bounded<S> {
    /// Wraps a stream and begins to count.
    pub(super) fn new(stream: S) -> Self {
        Self { stream, left: Some(LONGEST) }
    }

    /// Stops counting, because the handshake is complete.
    pub(super) fn release(&mut self) {
        self.left = None;
    }

    /// The stream.
    pub fn into_inner(self) -> S {
        self.stream
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Bounded<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        ready!(Pin::new(&mut self.stream).poll_read(cx, buf))?;
        let read = buf.filled().len() - before;
        if let Some(left) = &mut self.left {
            let too_long =
                || io::Error::other(rustls::Error::General("the handshake is too long".to_owned()));
            *left = left.checked_sub(read).ok_or_else(too_long)?;
        }
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Bounded<S> {
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
