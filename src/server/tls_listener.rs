//! TLS listeners. Each connection completes its handshake and continues at HTTP or at a shard.

use std::net::SocketAddr;
use std::sync::Arc;

use tokio::runtime::Handle;
use tokio::task::JoinSet;

use crate::http::limits::Protocol;
use crate::http::serve::Pages;
use crate::live::Live;
use crate::net::accept::{self, Accepted, ListenerQueue};
use crate::net::connection_limit::{ConnectionCounters, ConnectionLimiter, PER_ADDRESS};
use crate::net::memory_budget::MemoryBudget;
use crate::net::proxy_protocol::{self, ProxyProtocol};
use crate::net::trusted_proxies::TrustedProxies;
use crate::phase::PhaseWatch;
use crate::shard::TurnConnection;
use crate::tls::pending::{self, Application, Failure, PENDING, PendingLimits, TlsConnection};
use crate::tls::{ServerConfigs, TlsCounters, TlsOutcome};

/// Encrypted bytes that are buffered for an HTTP client that does not read. TURN keeps the
/// library's limit of 64 KiB.
const UNREAD: usize = 16 * 1024;

/// Services behind the TLS listeners.
#[derive(Debug)]
pub(super) struct TlsListener<H> {
    /// Certificate and protocols of this server.
    pub(super) configs: ServerConfigs,
    /// HTTP service.
    pub(super) pages: Pages,
    /// Limit of HTTP connections, shared with the plain listeners. A client that exhausts it does
    /// not affect TURN.
    pub(super) http_limiter: Arc<ConnectionLimiter>,
    /// Hands TURN connections over to the shards.
    pub(super) hand_over: H,
    /// Runtime for handshakes. On the signaling threads, each handshake would delay dozens of
    /// signals.
    pub(super) handshakes: Handle,
    /// Counts pending connections.
    pub(super) pending: Arc<ConnectionCounters>,
    pub(super) counters: Arc<TlsCounters>,
    pub(super) limits: PendingLimits,
    /// Proxies that may be in front, which do not share the limit of one address.
    pub(super) proxies: Live<TrustedProxies>,
    /// Reader of PROXY headers, where connections begin with one.
    pub(super) proxied: Arc<ProxyProtocol>,
}

/// Serves all `listeners` until the server stops, then lets open HTTP requests finish. TURN
/// connections belong to the shards.
pub(super) async fn serve<H>(listeners: ListenerQueue, listener: TlsListener<H>, phase: PhaseWatch)
where
    H: Fn(TurnConnection) + Send + Sync + 'static,
{
    let memory = MemoryBudget::new(listener.limits.connections * PENDING);
    // Pending connections evict each other before this limit is reached.
    let (total, pending) = (2 * listener.limits.connections, listener.pending.clone());
    let limiter = ConnectionLimiter::behind(listener.proxies.clone(), total, PER_ADDRESS, pending);
    let proxied = Some(listener.proxied.clone());
    let listener = Arc::new(listener);
    let serve = move |accepted| {
        let (listener, memory) = (listener.clone(), memory.clone());
        async move { listener.serve(&memory, accepted).await }
    };
    accept::accept_all(listeners, limiter, proxy_protocol::behind(proxied, serve), phase).await;
}

impl<H: Fn(TurnConnection)> TlsListener<H> {
    async fn serve(&self, memory: &Arc<MemoryBudget>, accepted: Accepted) {
        let Accepted { stream, client, permit, mut stopping } = accepted;
        let (reservation, evicted) = memory.reserve(client.ip(), PENDING);
        // Dropping the set aborts its task.
        let mut handshake = JoinSet::new();
        handshake.spawn_on(
            pending::complete(self.configs.current(), self.counters.clone(), self.limits, stream),
            &self.handshakes,
        );
        let completed = tokio::select! {
            completed = handshake.join_next() => match completed {
                Some(Ok(completed)) => completed,
                // The task panicked, which is logged.
                Some(Err(_)) | None => return,
            },
            _ = evicted => Err(Failure(TlsOutcome::Shed, std::io::ErrorKind::ConnectionAborted.into())),
            () = stopping.requested() => return,
        };
        drop((reservation, permit));
        let (protocol, mut stream) = match completed {
            Ok((Application::Http1, stream)) => (Protocol::Https, stream),
            Ok((Application::Http2, stream)) => (Protocol::Http2, stream),
            Ok((Application::Turn, stream)) => {
                self.counters.became(TlsOutcome::Turn);
                return self.hand_over(stream, client);
            }
            Ok((Application::Challenge, _)) => return self.counters.became(TlsOutcome::Challenge),
            Err(Failure(outcome, error)) => {
                let outcome = match outcome {
                    TlsOutcome::Invalid if !self.configs.has_certificate() => TlsOutcome::NoCertificate,
                    outcome => outcome,
                };
                self.counters.became(outcome);
                return tracing::debug!(%client, ?outcome, %error, "a connection to the TLS port failed");
            }
        };
        self.counters.became(if protocol == Protocol::Http2 { TlsOutcome::Http2 } else { TlsOutcome::Http1 });
        stream.get_mut().1.set_buffer_limit(Some(UNREAD));
        if let Some(permit) = self.http_limiter.admit(client.ip()) {
            self.pages.connection(stream, client, protocol, permit, stopping).await;
        }
    }

    /// Hands a connection over to a shard, with the bytes that are already decrypted.
    fn hand_over(&self, stream: TlsConnection, client: SocketAddr) {
        let (socket, tls) = stream.into_inner();
        let socket = socket.into_inner();
        let plain = socket.local_addr().and_then(|server| Ok((server, socket.into_std()?)));
        match plain {
            Ok((server, socket)) => {
                (self.hand_over)(TurnConnection { socket, tls: Some(Box::new(tls)), client, server });
            }
            Err(error) => tracing::debug!(%client, %error, "a TURN connection broke"),
        }
    }
}
