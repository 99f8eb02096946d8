//! The HTTP service on all of its listeners.

use std::sync::Arc;

use tokio::runtime::{Handle, Runtime};
use tokio::task::JoinSet;

use super::relaying::Relaying;
use super::sockets::Files;
use super::tls_listener::{self, TlsListener};
use super::{ServerError, runtime, system};
use crate::http::admin::Admin;
use crate::http::limits::HttpLimits;
use crate::http::serve::{self, Pages};
use crate::http::{Site, admin_router, public_router};
use crate::net::accept;
use crate::net::connection_limit::{ConnectionCounters, ConnectionLimiter, PER_ADDRESS};
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

/// The listeners, by the key under `[listen]`.
pub(super) struct WebListeners {
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
    /// Identity for TLS clients, if there is a certificate.
    pub(super) tls: Option<(Arc<Identity>, Arc<TlsCounters>)>,
    pub(super) proxies: Arc<TrustedProxies>,
    pub(super) phase: PhaseWatch,
}

/// The running HTTP service.
pub(super) struct Web {
    handshakes: Handshakes,
    served: JoinSet<&'static str>,
    /// Counts of all connections, including those to TURN.
    pub(super) connections: [Arc<ConnectionCounters>; 3],
}

impl Web {
    /// Serves all listeners.
    pub(super) fn open(parts: WebParts, relaying: &Relaying) -> Result<Self, ServerError> {
        let WebParts { listeners, files, site, admin, tls: identity, proxies, phase } = parts;
        let handshakes = Handshakes::start()?;
        let mut served = JoinSet::new();
        let (counters, operators) = (site.counters.clone(), admin.counters.clone());
        let http = counters.connections.clone();
        let pending = Arc::<ConnectionCounters>::default();
        let connections = [http.clone(), pending.clone(), relaying.counters.connections.clone()];
        let places = files.http.min(MAX_HTTP);
        let public = ConnectionLimiter::behind(proxies.clone(), places, PER_ADDRESS, http.clone());
        let pages = Pages::new(public_router(site), HttpLimits::default(), counters).behind(proxies.clone());
        served
            .spawn(named("http", serve::serve(listeners.http, pages.clone(), public.clone(), phase.clone())));
        if let Some((identity, counters)) = identity {
            let (streams, refused) =
                (relaying.data_plane.connection_sender(), relaying.counters.connections.clone());
            let listener = TlsListener {
                config: tls::server_config(identity),
                pages,
                http_limiter: public,
                hand_over: move |stream| {
                    if !streams.hand_over(stream) {
                        refused.refused_total.add(1);
                    }
                },
                handshakes: handshakes.handle(),
                pending,
                counters,
                limits: PendingLimits::within(places),
            };
            served.spawn(named("tls", tls_listener::serve(listeners.tls, listener, phase.clone())));
        }
        let admin = serve::serve(
            listeners.admin,
            Pages::new(admin_router(admin), HttpLimits::default(), operators).behind(proxies.clone()),
            ConnectionLimiter::behind(proxies.clone(), files.admin.min(MAX_HTTP), PER_ADDRESS, http),
            phase.clone(),
        );
        served.spawn(named("admin", admin));
        Ok(Self { handshakes, served, connections })
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
