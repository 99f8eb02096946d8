//! The TLS port: each connection is let in, shakes hands, and goes to whom it wants to speak to.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use byway_turn::wire::{Kind, classify};
use rustls::{HandshakeKind, ServerConfig};
use tokio::io::AsyncBufReadExt as _;
use tokio::net::TcpStream;
use tokio::runtime::Handle;
use tokio::task::JoinSet;
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

use super::TlsCounters;
use super::handshake::Bounded;
use super::{H2, Outcome, STUN_TURN};
use crate::dataplane::TurnStream;
use crate::http::serve::{Pages, Protocol};
use crate::net::accept::{self, Accepted, Listeners};
use crate::net::connection_limit::ConnectionCounters;
use crate::net::connection_limit::{ConnectionLimiter, PER_ADDRESS};
use crate::net::memory_budget::MemoryBudget;

/// Bytes that a connection takes until it is known what it speaks: what its client may send for that, and the library's
/// state beside it.
const HANDSHAKE: usize = 32 * 1024;

/// Bytes that wait encrypted for a client of HTTP that does not read; 64 KiB is the library's own limit, which TURN keeps.
const UNREAD: usize = 16 * 1024;

/// What bounds a connection until it is known what it speaks.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// How many there may be at one time; one more ends the oldest of the network that has the most.
    pub undecided: usize,
    /// How long a handshake may take.
    pub handshake_within: Duration,
    /// How long a client that offered no ALPN may then take over its first byte.
    pub first_byte_within: Duration,
}

impl Limits {
    /// The limits where `connections` connections are admitted. Half of them are for those that have decided, so that silent
    /// ones give way before anybody is turned away.
    #[must_use]
    pub fn within(connections: usize) -> Self {
        Self {
            undecided: (connections / 2).min(1_024),
            handshake_within: Duration::from_secs(5),
            first_byte_within: Duration::from_secs(5),
        }
    }
}

/// What the port leads to.
#[derive(Debug)]
pub struct Front<H> {
    /// Who we are, and what we speak.
    pub config: Arc<ServerConfig>,
    /// Where HTTP goes.
    pub pages: Pages,
    /// Bounds connections of HTTP, shared with the plain listeners. Whoever takes them all keeps nobody from TURN.
    pub http_limiter: Arc<ConnectionLimiter>,
    /// Where TURN goes.
    pub hand_over: H,
    /// The threads of handshakes. Their tasks would stand in one queue with signals otherwise, and each takes the time of
    /// dozens of those.
    pub handshakes: Handle,
    /// Counts the connections until it is known what they speak.
    pub undecided: Arc<ConnectionCounters>,
    /// What is counted.
    pub counters: Arc<TlsCounters>,
    /// What is bounded.
    pub limits: Limits,
}

/// Serves all `listeners` until `shutdown`, then lets what HTTP has under way finish. TURN is not ours by then.
pub async fn serve<H>(listeners: Listeners, front: Front<H>, shutdown: impl Future<Output = ()>)
where
    H: Fn(TurnStream) + Send + Sync + 'static,
{
    let undecided = MemoryBudget::new(front.limits.undecided * HANDSHAKE);
    // Those that have not decided make room for each other before this many are there.
    let limiter = ConnectionLimiter::new(2 * front.limits.undecided, PER_ADDRESS, front.undecided.clone());
    let front = Arc::new(front);
    let serve = move |accepted| {
        let (front, undecided) = (front.clone(), undecided.clone());
        async move { front.serve(&undecided, accepted).await }
    };
    accept::accept_all(listeners, limiter, serve, shutdown).await;
}

/// What a client speaks.
enum Speaks {
    Http(Protocol),
    Turn,
}

/// A connection whose handshake is complete.
type Stream = TlsStream<Bounded<TcpStream>>;

/// Why that is not known.
struct Failure(Outcome, io::Error);

impl<H: Fn(TurnStream)> Front<H> {
    async fn serve(&self, undecided: &Arc<MemoryBudget>, accepted: Accepted) {
        let Accepted { stream, client, permit, mut stopping } = accepted;
        let (reservation, shed) = undecided.reserve(client.ip(), HANDSHAKE);
        // A set ends its task when it is dropped.
        let mut handshake = JoinSet::new();
        handshake.spawn_on(
            decide(self.config.clone(), self.counters.clone(), self.limits, stream),
            &self.handshakes,
        );
        let decided = tokio::select! {
            decided = handshake.join_next() => match decided {
                Some(Ok(decided)) => decided,
                // A panic, which has been told.
                Some(Err(_)) | None => return,
            },
            _ = shed => Err(Failure(Outcome::Shed, io::ErrorKind::ConnectionAborted.into())),
            _ = stopping.changed() => return,
        };
        drop((reservation, permit));
        match decided {
            Ok((Speaks::Http(protocol), mut stream)) => {
                stream.get_mut().1.set_buffer_limit(Some(UNREAD));
                self.counters.became(if protocol == Protocol::Http2 {
                    Outcome::Http2
                } else {
                    Outcome::Http1
                });
                if let Some(permit) = self.http_limiter.admit(client.ip()) {
                    self.pages.connection(stream, client, protocol, permit, stopping).await;
                }
            }
            Ok((Speaks::Turn, stream)) => {
                self.counters.became(Outcome::Turn);
                self.hand_over(stream, client);
            }
            Err(Failure(outcome, error)) => {
                self.counters.became(outcome);
                tracing::debug!(%client, ?outcome, %error, "a connection to the TLS port failed");
            }
        }
    }

    /// Gives a connection to the data plane, with what has been read of it already.
    fn hand_over(&self, stream: Stream, client: SocketAddr) {
        let (socket, tls) = stream.into_inner();
        let socket = socket.into_inner();
        let plain = socket.local_addr().and_then(|server| Ok((server, socket.into_std()?)));
        match plain {
            Ok((server, socket)) => {
                (self.hand_over)(TurnStream { socket, tls: Some(Box::new(tls)), client, server });
            }
            Err(error) => tracing::debug!(%client, %error, "a TURN connection broke"),
        }
    }
}

/// Shakes hands, and finds out what the client speaks.
async fn decide(
    config: Arc<ServerConfig>,
    counters: Arc<TlsCounters>,
    limits: Limits,
    stream: TcpStream,
) -> Result<(Speaks, Stream), Failure> {
    let Limits { handshake_within, first_byte_within, .. } = limits;
    let acceptor = TlsAcceptor::from(config);
    let mut stream = within(handshake_within, acceptor.accept(Bounded::new(stream))).await?;
    stream.get_mut().0.release();
    let tls = stream.get_ref().1;
    if tls.handshake_kind() == Some(HandshakeKind::Resumed) {
        counters.resumed.add(1);
    }
    let speaks = match tls.alpn_protocol() {
        Some(STUN_TURN) => Speaks::Turn,
        Some(H2) => Speaks::Http(Protocol::Http2),
        Some(_) => Speaks::Http(Protocol::Https),
        // Browsers offer no ALPN for TURN. Its first message is always STUN: ChannelData needs a channel, which needs
        // an allocation, which a new connection does not have. Nothing of HTTP begins like it.
        None => match classify(&[within(first_byte_within, first_byte(&mut stream)).await?]) {
            Kind::Stun => Speaks::Turn,
            Kind::ChannelData | Kind::Other => Speaks::Http(Protocol::Https),
        },
    };
    Ok((speaks, stream))
}

/// The first byte of what the client says, which stays to be read.
async fn first_byte(stream: &mut Stream) -> io::Result<u8> {
    stream.fill_buf().await?.first().copied().ok_or_else(|| io::ErrorKind::UnexpectedEof.into())
}

async fn within<T>(time: Duration, work: impl Future<Output = io::Result<T>>) -> Result<T, Failure> {
    match timeout(time, work).await {
        Ok(done) => done.map_err(|error| Failure(Outcome::of(&error), error)),
        Err(late) => Err(Failure(Outcome::Timeout, late.into())),
    }
}
