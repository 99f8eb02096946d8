//! Pending connections, whose protocol is not known yet. Time and bytes of each are bounded.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use byway_turn::wire::{Kind, classify};
use rustls::{HandshakeKind, ServerConfig};
use tokio::io::AsyncBufReadExt as _;
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

use super::handshake::Bounded;
use super::{ACME_TLS, H2, STUN_TURN, TlsCounters, TlsOutcome};

/// Bytes of a pending connection: those that its client may send until its protocol is known, and
/// the library's state.
pub const PENDING: usize = 32 * 1024;

/// Limits of pending connections.
#[derive(Clone, Copy, Debug)]
pub struct PendingLimits {
    /// Simultaneous pending connections. A further one evicts the oldest of the network that has
    /// the most.
    pub connections: usize,
    /// Longest duration of a handshake.
    pub handshake_within: Duration,
    /// Longest wait for the first byte of a client that offered no ALPN.
    pub first_byte_within: Duration,
}

impl PendingLimits {
    /// The limits for `connections` admitted ones. Half of them are reserved for connections whose
    /// protocol is known, so that pending ones are evicted before any client is refused.
    #[must_use]
    pub fn within(connections: usize) -> Self {
        Self {
            connections: (connections / 2).min(1_024),
            handshake_within: Duration::from_secs(5),
            first_byte_within: Duration::from_secs(5),
        }
    }
}

/// Protocol of a client inside TLS.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Application {
    /// HTTP/1.1.
    Http1,
    /// HTTP/2 (RFC 9113).
    Http2,
    /// TURN (RFC 7443, RFC 8656).
    Turn,
    /// Nothing more: an ACME authority has seen its certificate (RFC 8737 section 3).
    Challenge,
}

/// Connection with a completed handshake.
pub type TlsConnection = TlsStream<Bounded<TcpStream>>;

/// Failure of a pending connection.
#[derive(Debug)]
pub struct Failure(pub TlsOutcome, pub io::Error);

/// Completes the handshake and detects the client's protocol.
///
/// # Errors
/// [`Failure`]: the client was too slow, sent too much, or broke the protocol.
pub async fn complete(
    config: Arc<ServerConfig>,
    counters: Arc<TlsCounters>,
    limits: PendingLimits,
    stream: TcpStream,
) -> Result<(Application, TlsConnection), Failure> {
    let acceptor = TlsAcceptor::from(config);
    let mut stream = within(limits.handshake_within, acceptor.accept(Bounded::new(stream))).await?;
    stream.get_mut().0.release();
    let tls = stream.get_ref().1;
    if tls.handshake_kind() == Some(HandshakeKind::Resumed) {
        counters.resumed.add(1);
    }
    let application = match tls.alpn_protocol() {
        Some(STUN_TURN) => Application::Turn,
        Some(H2) => Application::Http2,
        Some(ACME_TLS) => Application::Challenge,
        Some(_) => Application::Http1,
        // Browsers offer no ALPN for TURN. A TURN client's first message is always STUN:
        // ChannelData needs an allocation, which a new connection does not have. HTTP never begins
        // with these bytes.
        None => match classify(&[within(limits.first_byte_within, first_byte(&mut stream)).await?]) {
            Kind::Stun => Application::Turn,
            Kind::ChannelData | Kind::Other => Application::Http1,
        },
    };
    Ok((application, stream))
}

/// Peeks at the first byte that the client sends.
async fn first_byte(stream: &mut TlsConnection) -> io::Result<u8> {
    stream.fill_buf().await?.first().copied().ok_or_else(|| io::ErrorKind::UnexpectedEof.into())
}

async fn within<T>(time: Duration, work: impl Future<Output = io::Result<T>>) -> Result<T, Failure> {
    match timeout(time, work).await {
        Ok(done) => done.map_err(|error| Failure(TlsOutcome::of(&error), error)),
        Err(late) => Err(Failure(TlsOutcome::Timeout, late.into())),
    }
}
