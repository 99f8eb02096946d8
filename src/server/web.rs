//! The HTTP service on all of its listeners.

use std::sync::Arc;

use axum::http::HeaderName;
use tokio::runtime::{Handle, Runtime};
use tokio::task::JoinSet;

use super::admin_socket::AdminSockets;
use super::relaying::Relaying;
use super::sockets::Files;
use super::tcp_listener;
use super::tls_listener::{self, TlsListener};
use super::{ServerError, runtime, system};
use crate::config::{Config, ProxiedListener};
use crate::http::admin::{Admin, OperatorRequests};
use crate::http::limits::HttpLimits;
use crate::http::serve::{self, Pages};
use crate::http::{Site, admin_router, operator_router, public_router};
use crate::live::Live;
use crate::net::accept;
use crate::net::connection_limit::{ConnectionCounters, ConnectionLimiter, PER_ADDRESS};
use crate::net::proxy_protocol::{ProxyCounters, ProxyProtocol};
use crate::net::trusted_proxies::TrustedProxies;
use crate::phase::PhaseWatch;
use crate::tls::pending::PendingLimits;
use crate::tls::{self, Identity, TlsCounters};

/// Simultaneous HTTP connections, including WebSockets and connections to the TLS port that no
/// shard has yet. This bounds their memory. An idle one takes 6 KiB, or 25 KiB once it has sent and
/// received a description. At worst, one holds a message of the largest size and four that wait to
/// be read. That is 320 KiB by default, and as much again in the kernel. One address may have
/// [`PER_ADDRESS`].
const MAX_HTTP: usize = 16_384;

/// Simultaneous connections of the admin sockets. Root and the server's own user share them.
const MAX_OPERATORS: usize = 64;

/// Simultaneous connections of `tcp` listeners whose PROXY header is still to come.
const MAX_HEADERS: usize = 1_024;

/// The listeners, by the key under `[listen]`.
pub(super) struct WebListeners {
    /// Those behind a proxy; the shards accept the others.
    pub(super) tcp: accept::ListenerQueue,
    pub(super) tls: accept::ListenerQueue,
    pub(super) http: accept::ListenerQueue,
    pub(super) admin: accept::ListenerQueue,
}

/// Threads for TLS handshakes. A flood of handshakes takes one core at most, and does not delay
/// signals (`docs/performance-log.md`, section 10).
const HANDSHAKE_THREADS: usize = 1;

/// Parts of the HTTP service.
pub(super) struct WebParts {
    pub(super) listeners: WebListeners,
    pub(super) files: Files,
    pub(super) site: Site,
    pub(super) admin: Admin,
    /// Identity for TLS clients.
    pub(super) tls: (Arc<Identity>, Arc<TlsCounters>),
    pub(super) proxies: Proxies,
    /// Field in which the proxies name a client's region.
    pub(super) region_header: Option<HeaderName>,
    pub(super) sockets: Arc<AdminSockets>,
    /// Requests of the operator, which come through the sockets.
    pub(super) requests: OperatorRequests,
    pub(super) phase: PhaseWatch,
}

/// Proxies in front, which a reload may change.
#[derive(Clone)]
pub(super) struct Proxies {
    trusted: Live<TrustedProxies>,
    /// Those that do not share the limit of one address at the TLS listeners.
    before_tls: Live<TrustedProxies>,
    tcp: Arc<ProxyProtocol>,
    tls: Arc<ProxyProtocol>,
    http: Arc<ProxyProtocol>,
}

impl Proxies {
    pub(super) fn new(config: &Config, counters: &Arc<ProxyCounters>) -> Self {
        let trusted = Live::new(config.listen.trusted_proxies.clone());
        let tcp = ProxyProtocol::new(trusted.clone(), counters.clone());
        let (tls, http) = (tcp.another(), tcp.another());
        let proxies = Self { trusted, before_tls: Live::default(), tcp, tls, http };
        proxies.configure(config);
        proxies
    }

    /// Takes in new settings, for connections from now on.
    pub(super) fn configure(&self, config: &Config) {
        let listen = &config.listen;
        let is_on = |kind| listen.proxy_protocol.contains(&kind);
        self.trusted.store(listen.trusted_proxies.clone());
        self.before_tls.store(match is_on(ProxiedListener::Tls) {
            true => listen.trusted_proxies.clone(),
            false => TrustedProxies::default(),
        });
        // Its listeners are handed to the shards otherwise.
        self.tcp.expect(true);
        self.tls.expect(is_on(ProxiedListener::Tls));
        self.http.expect(is_on(ProxiedListener::Http));
    }
}

/// The running HTTP service.
pub(super) struct Web {
    handshakes: Handshakes,
    served: JoinSet<&'static str>,
    sockets: Arc<AdminSockets>,
    /// Counts of all connections, including those to TURN.
    pub(super) connections: [Arc<ConnectionCounters>; 3],
}

impl Web {
    /// Serves all listeners.
    pub(super) fn open(parts: WebParts, relaying: &Relaying) -> Result<Self, ServerError> {
        let WebParts { listeners, files, site, admin, tls: (identity, tls_counters), proxies, .. } = parts;
        let (sockets, requests, phase) = (parts.sockets, parts.requests, parts.phase);
        let Proxies { trusted, before_tls, tcp: tcp_reader, tls: tls_reader, http: http_reader } = proxies;
        let handshakes = Handshakes::start()?;
        let mut served = JoinSet::new();
        let (counters, operators) = (site.counters.clone(), admin.counters.clone());
        let http = counters.connections.clone();
        let pending = Arc::<ConnectionCounters>::default();
        let connections = [http.clone(), pending.clone(), relaying.counters.connections.clone()];
        let places = files.http.min(MAX_HTTP);
        let public = ConnectionLimiter::behind(trusted.clone(), places, PER_ADDRESS, http.clone());
        let pages = Pages::new(public_router(site), HttpLimits::default(), counters)
            .behind(trusted.clone())
            .with_region_header(parts.region_header);
        let (streams, refused) =
            (relaying.data_plane.connection_sender(), relaying.counters.connections.clone());
        let hand_over = move |stream| {
            if !streams.hand_over(stream) {
                refused.refused_total.add(1);
            }
        };
        let reader = Some(http_reader);
        let serving = serve::serve(listeners.http, pages.clone(), public.clone(), reader, phase.clone());
        served.spawn(named("http", serving));
        let headers = files.streams.min(MAX_HEADERS);
        let limiter = ConnectionLimiter::behind(trusted.clone(), headers, PER_ADDRESS, pending.clone());
        let serving =
            tcp_listener::serve(listeners.tcp, tcp_reader, limiter, hand_over.clone(), phase.clone());
        served.spawn(named("tcp", serving));
        let listener = TlsListener {
            configs: tls::server_configs(identity),
            pages,
            http_limiter: public,
            hand_over,
            handshakes: handshakes.handle(),
            pending,
            counters: tls_counters,
            limits: PendingLimits::within(places),
            proxies: before_tls,
            proxied: tls_reader,
        };
        served.spawn(named("tls", tls_listener::serve(listeners.tls, listener, phase.clone())));
        let limiter =
            ConnectionLimiter::behind(trusted.clone(), files.admin.min(MAX_HTTP), PER_ADDRESS, http.clone());
        // Any user of this machine can take all places of the TCP listener.
        let operators_own = ConnectionLimiter::new(MAX_OPERATORS, MAX_OPERATORS, http);
        let trusting =
            |router| Pages::new(router, HttpLimits::default(), operators.clone()).behind(trusted.clone());
        sockets.serve(trusting(operator_router(admin.clone(), requests)), operators_own, phase.clone());
        let serving = serve::serve(listeners.admin, trusting(admin_router(admin)), limiter, None, phase);
        served.spawn(named("admin", serving));
        Ok(Self { handshakes, served, sockets, connections })
    }

    /// Waits until the accept loop of some listeners ends unexpectedly. Returns their name.
    pub(super) async fn ended(&mut self) -> &'static str {
        match self.served.join_next().await {
            Some(ended) => ended.unwrap_or("of HTTP"),
            None => std::future::pending().await,
        }
    }

    /// Lets open connections finish once the server stops.
    pub(super) async fn close(mut self) {
        self.sockets.close();
        // A panic of a task is already logged.
        while self.served.join_next().await.is_some() {}
        drop(self.handshakes);
    }
}

/// The runtime for handshakes.
struct Handshakes(Option<Runtime>);

impl Handshakes {
    fn start() -> Result<Self, ServerError> {
        let threads = runtime("handshakes", HANDSHAKE_THREADS);
        threads.map(|runtime| Self(Some(runtime))).map_err(system("start the threads of TLS handshakes"))
    }

    fn handle(&self) -> Handle {
        self.0.as_ref().expect("there until it is dropped").handle().clone()
    }
}

impl Drop for Handshakes {
    fn drop(&mut self) {
        // A task must not wait for the runtime's threads.
        if let Some(runtime) = self.0.take() {
            runtime.shutdown_background();
        }
    }
}

/// Runs a future and returns `name`.
async fn named(name: &'static str, future: impl Future<Output = ()>) -> &'static str {
    future.await;
    name
}
