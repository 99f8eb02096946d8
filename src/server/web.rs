//! The pages, on every listener that speaks HTTP.

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

/// HTTP connections at one time, WebSockets and those to the TLS port that are not yet a shard's
/// among them: an upper bound of their memory. One that waits takes 6 KiB, or 25 once it has sent
/// and received a description. Where a client does all it can, one takes a message of the largest
/// size and four that wait to be read, which is 320 KiB by default, and as much again in the
/// kernel; of one address there are [`PER_ADDRESS`].
const MAX_HTTP: usize = 16_384;

/// The listeners, by the key under `[listen]`.
pub(super) struct WebListeners {
    pub(super) tls: accept::ListenerQueue,
    pub(super) http: accept::ListenerQueue,
    pub(super) admin: accept::ListenerQueue,
}

/// Threads for handshakes with TLS. A flood of them takes one core at most, and signals wait behind
/// none of them (`docs/performance-log.md`, section 10).
const HANDSHAKE_THREADS: usize = 1;

/// Parts that the pages are made from.
pub(super) struct WebParts {
    pub(super) listeners: WebListeners,
    pub(super) files: Files,
    pub(super) site: Site,
    pub(super) admin: Admin,
    /// Identity to TLS clients, if there is a certificate.
    pub(super) tls: Option<(Arc<Identity>, Arc<TlsCounters>)>,
    pub(super) proxies: Arc<TrustedProxies>,
    pub(super) phase: PhaseWatch,
}

/// The pages, as they are served.
pub(super) struct Web {
    handshakes: Handshakes,
    served: JoinSet<&'static str>,
    /// Counts of all connections, TURN's among them.
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

    /// Waits until listeners are served no more although nobody has asked for that; yields which.
    pub(super) async fn ended(&mut self) -> &'static str {
        match self.served.join_next().await {
            Some(ended) => ended.unwrap_or("of HTTP"),
            None => std::future::pending().await,
        }
    }

    /// Lets what is under way finish, once the server stops.
    pub(super) async fn close(mut self) {
        // A task that panicked has said so; there is nothing left to do for it.
        while self.served.join_next().await.is_some() {}
        drop(self.handshakes);
    }
}

/// The threads of handshakes.
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
        // Waiting for its threads is not for a task to do.
        if let Some(runtime) = self.0.take() {
            runtime.shutdown_background();
        }
    }
}

/// A future that yields a name when it has ended.
async fn named(name: &'static str, future: impl Future<Output = ()>) -> &'static str {
    future.await;
    name
}
