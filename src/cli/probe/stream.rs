//! Datagrams for `turn::client` over a byte stream: TCP, or TLS over it.
//!
//! `turn::client` supports datagrams only. In a stream each message states its length
//! (`wire::frame_length`). The end of a stream is reported separately, because `turn::client` would
//! only time out.

use std::future::pending;
use std::io;
use std::net::SocketAddr;

use async_trait::async_trait;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _, ReadHalf, WriteHalf, split};
use tokio::sync::{Mutex, watch};
use webrtc_util::Conn;

use byway_turn::wire::{NotTurn, frame_length, frame_padding};

use super::error::{ProbeError, Speaks};
use super::reason::make_legible;

/// Byte stream: TCP, or TLS over it.
pub(in crate::cli) trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}

impl<S: AsyncRead + AsyncWrite + Send + Unpin> Stream for S {}

type Result<T> = std::result::Result<T, webrtc_util::Error>;

/// Messages to and from a server in a byte stream.
pub(in crate::cli) struct FramedConn {
    local: SocketAddr,
    server: SocketAddr,
    incoming: Mutex<Incoming>,
    outgoing: Mutex<WriteHalf<Box<dyn Stream>>>,
    ended: watch::Sender<Option<ProbeError>>,
}

/// Handle that reports the end of a connection and its cause.
#[derive(Clone, Debug)]
pub(in crate::cli) struct Ended(watch::Receiver<Option<ProbeError>>);

impl Ended {
    /// Creates the handle, and the sender that reports to it.
    pub(in crate::cli) fn new() -> (watch::Sender<Option<ProbeError>>, Self) {
        let (ended, hears) = watch::channel(None);
        (ended, Self(hears))
    }

    /// Waits for the end of the connection, and returns its cause.
    pub(in crate::cli) async fn trouble(&self) -> ProbeError {
        let mut ended = self.0.clone();
        let trouble = ended.wait_for(Option::is_some).await.ok().and_then(|trouble| trouble.clone());
        match trouble {
            Some(trouble) => trouble,
            // The connection was dropped without a cause.
            None => pending().await,
        }
    }
}

impl FramedConn {
    pub(in crate::cli) fn new(
        stream: Box<dyn Stream>,
        local: SocketAddr,
        server: SocketAddr,
    ) -> (Self, Ended) {
        let (stream, outgoing) = split(stream);
        let (ended, hears) = Ended::new();
        let incoming = Mutex::new(Incoming { stream, buffer: Vec::new() });
        (Self { local, server, incoming, outgoing: Mutex::new(outgoing), ended }, hears)
    }
}

#[async_trait]
impl Conn for FramedConn {
    async fn connect(&self, _: SocketAddr) -> Result<()> {
        Ok(())
    }

    async fn recv(&self, message: &mut [u8]) -> Result<usize> {
        let next = self.incoming.lock().await.next(message).await;
        next.inspect(|&length| make_legible(&mut message[..length])).map_err(|trouble| {
            let told = io::Error::other(trouble.to_string());
            self.ended.send_replace(Some(trouble));
            told.into()
        })
    }

    async fn recv_from(&self, message: &mut [u8]) -> Result<(usize, SocketAddr)> {
        Ok((self.recv(message).await?, self.server))
    }

    async fn send(&self, message: &[u8]) -> Result<usize> {
        let framed = [message, frame_padding(message.len())].concat();
        let mut outgoing = self.outgoing.lock().await;
        outgoing.write_all(&framed).await?;
        outgoing.flush().await?;
        Ok(message.len())
    }

    async fn send_to(&self, message: &[u8], _: SocketAddr) -> Result<usize> {
        self.send(message).await
    }

    fn local_addr(&self) -> Result<SocketAddr> {
        Ok(self.local)
    }

    fn remote_addr(&self) -> Option<SocketAddr> {
        Some(self.server)
    }

    async fn close(&self) -> Result<()> {
        Ok(self.outgoing.lock().await.shutdown().await?)
    }

    fn as_any(&self) -> &(dyn std::any::Any + Send + Sync) {
        self
    }
}

/// Bytes received and not yet consumed.
struct Incoming {
    stream: ReadHalf<Box<dyn Stream>>,
    buffer: Vec<u8>,
}

impl Incoming {
    /// Returns the length of the next message, padding included. Cancelling the wait loses no data.
    async fn next(&mut self, message: &mut [u8]) -> std::result::Result<usize, ProbeError> {
        loop {
            if let Some(length) = message_at_front(&self.buffer)? {
                let room = message.get_mut(..length).ok_or(ProbeError::Foreign(Speaks::Other))?;
                room.copy_from_slice(&self.buffer[..length]);
                self.buffer.drain(..length);
                return Ok(length);
            }
            match self.stream.read_buf(&mut self.buffer).await {
                Ok(0) => return Err(ProbeError::Closed { step: None }),
                Ok(_) => {}
                Err(error) => return Err(ProbeError::broken(&error)),
            }
        }
    }
}

/// Returns the length of the first message if it is complete.
fn message_at_front(stream: &[u8]) -> std::result::Result<Option<usize>, ProbeError> {
    // `H` could begin ChannelData of a channel that this client did not bind. Its length field
    // would then mean a long wait.
    if stream.starts_with(b"HTTP/") {
        return Err(ProbeError::Foreign(Speaks::Http));
    }
    // RFC 8446 section 5.1: an alert or a handshake record, each with the legacy version.
    if stream.starts_with(b"\x15\x03") || stream.starts_with(b"\x16\x03") {
        return Err(ProbeError::Foreign(Speaks::Tls));
    }
    match frame_length(stream) {
        Ok(length) => Ok(length.filter(|length| *length <= stream.len())),
        // A record may arrive in pieces; its first byte alone does not identify it.
        Err(NotTurn) if matches!(stream, b"\x15" | b"\x16") => Ok(None),
        Err(NotTurn) => Err(ProbeError::Foreign(Speaks::Other)),
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{DuplexStream, duplex};

    use super::*;

    const ANY: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::LOCALHOST), 1);
    const BINDING: [u8; 20] = *b"\x00\x01\x00\x00\x21\x12\xa4\x42transaction!";

    fn conn() -> (FramedConn, Ended, DuplexStream) {
        let (near, far) = duplex(3); // pieces, not messages
        let (conn, ended) = FramedConn::new(Box::new(near), ANY, ANY);
        (conn, ended, far)
    }

    #[tokio::test]
    async fn messages_are_told_apart_and_padded() {
        let (conn, _, mut far) = conn();
        let sent = async {
            conn.send(b"\x40\x00\x00\x05hello").await.unwrap();
            conn.send(&BINDING).await.unwrap();
        };
        let mut stream = [0; 32];
        let (_, read) = tokio::join!(sent, far.read_exact(&mut stream));
        read.unwrap();
        assert_eq!(&stream[..], [&b"\x40\x00\x00\x05hello\0\0\0"[..], &BINDING].concat());

        let heard = async {
            let mut message = [0; 64];
            let first = conn.recv(&mut message).await.unwrap();
            assert_eq!(&message[..first], b"\x40\x00\x00\x05hello\0\0\0");
            let second = conn.recv(&mut message).await.unwrap();
            assert_eq!(message[..second], BINDING);
        };
        let (_, written) = tokio::join!(heard, far.write_all(&stream));
        written.unwrap();
    }

    #[tokio::test]
    async fn why_a_stream_ends_is_told_beside_the_client() {
        for (said, trouble) in [
            (&b""[..], ProbeError::Closed { step: None }),
            (&BINDING[..7], ProbeError::Closed { step: None }),
            (b"HTTP/1.1 400 Bad Request\r\n", ProbeError::Foreign(Speaks::Http)),
            (b"\x15\x03\x01\x00\x02", ProbeError::Foreign(Speaks::Tls)),
            (b"220 mail.example.org ESMTP\r\n", ProbeError::Foreign(Speaks::Other)),
        ] {
            let (conn, ended, mut far) = conn();
            let speak = async {
                let _ = far.write_all(said).await;
                drop(far);
            };
            let hear = async {
                let heard = conn.recv(&mut [0; 64]).await;
                let why = ended.trouble().await;
                drop(conn); // unread data needs no receiver
                (heard, why)
            };
            let (_, (heard, why)) = tokio::join!(speak, hear);
            assert!(heard.is_err());
            assert_eq!(why, trouble, "{said:?}");
        }
    }
}
