//! HTTP connections, plain or within TLS: bounded in size and time, and closed in good order.
//!
//! `axum::serve` sets none of these limits, so connections are handed to hyper here.

use std::convert::Infallible;
use std::future::poll_fn;
use std::net::SocketAddr;
use std::pin::{Pin, pin};
use std::sync::{Arc, Once};
use std::task::Poll;
use std::time::Duration;

use axum::Router;
use axum::body::HttpBody as _;
use axum::http::{HeaderMap, HeaderName, HeaderValue, Request, Response, StatusCode, Uri, header};
use axum::response::IntoResponse as _;
use hyper::body::Incoming;
use hyper::server::conn::{http1, http2};
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::{sleep, timeout};
use tower::ServiceExt as _;

use super::HttpCounters;
use super::client_ip::{ClientIp, UnlistedProxies};
use super::client_region::ClientRegion;
use super::limits::{HttpLimits, Protocol};
use super::metered_stream::Metered;
use super::problem::{Code, Problem};
use super::state::{ConnectionState, Sending, Switch};
use super::streams::{Streams, WithStreams};
use super::target::{X_FORWARDED_PREFIX, X_FORWARDED_PROTO};
use super::upgrade::ConnectionShare;
use crate::clock::Clock;
use crate::ice::LATEST_DATE;
use crate::live::Live;
use crate::net::accept::{self, Accepted, ListenerQueue, Stopping};
use crate::net::connection_limit::{ConnectionLimiter, ConnectionPermit};
use crate::net::memory_budget::MemoryBudget;
use crate::net::proxy_protocol::{self, ProxyProtocol};
use crate::net::trusted_proxies::TrustedProxies;
use crate::phase::PhaseWatch;

/// Time after which a client whose share is full may ask again.
const RETRY_AFTER: Duration = Duration::from_secs(1);

/// Pages that are served, to every connection alike.
#[derive(Clone, Debug)]
pub struct Pages {
    router: Router,
    limits: HttpLimits,
    proxies: Live<TrustedProxies>,
    region_header: Option<HeaderName>,
    unlisted: Arc<UnlistedProxies>,
    clock: Clock,
    memory: Arc<MemoryBudget>,
    counters: Arc<HttpCounters>,
}

/// Serves `router` without TLS on all `listeners` until the server stops, then waits for running
/// requests. Connections begin with a PROXY header if `proxied` reads it.
///
/// WebSockets are no longer part of HTTP: [`crate::signaling::SignalingConnections`] ends them.
pub async fn serve(
    listeners: ListenerQueue,
    pages: Pages,
    limiter: Arc<ConnectionLimiter>,
    proxied: Option<Arc<ProxyProtocol>>,
    phase: PhaseWatch,
) {
    let serve = move |Accepted { stream, client, permit, stopping }: Accepted| {
        let pages = pages.clone();
        async move { pages.connection(stream, client, Protocol::Http, permit, stopping).await }
    };
    accept::accept_all(listeners, limiter, proxy_protocol::behind(proxied, serve), phase).await;
}

impl Pages {
    /// `router` under `limits`, which all connections to these pages share.
    #[must_use]
    pub fn new(router: Router, limits: HttpLimits, counters: Arc<HttpCounters>) -> Self {
        let memory = MemoryBudget::new(limits.memory);
        Self {
            router,
            limits,
            proxies: Live::default(),
            region_header: None,
            unlisted: Arc::default(),
            clock: Clock::start(),
            memory,
            counters,
        }
    }

    /// The same behind `proxies`, whose `X-Forwarded-*` fields count.
    #[must_use]
    pub fn behind(self, proxies: Live<TrustedProxies>) -> Self {
        Self { proxies, ..self }
    }

    /// The same with the field in which those proxies name the region of a client, if there is one.
    #[must_use]
    pub fn with_region_header(self, region_header: Option<HeaderName>) -> Self {
        Self { region_header, ..self }
    }

    /// Serves one connection of `client` until it ends or the server stops.
    pub async fn connection(
        &self,
        stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
        client: SocketAddr,
        protocol: Protocol,
        permit: ConnectionPermit,
        stopping: Stopping,
    ) {
        let (limits, permit, counters) = (self.limits, Arc::new(permit), self.counters.connections.clone());
        let reserved = self.memory.reserve(client.ip(), protocol.base());
        let state = ConnectionState::new(limits, protocol, client.ip(), reserved);
        let stream = Metered::new(stream, protocol, state.clone(), self.memory.clone(), self.clock, counters);
        let (pages, of_connection) = (self.clone(), state.clone());
        let service =
            service_fn(move |request| pages.answer(request, client, protocol, &of_connection, &permit));
        let ends = Ends { limits, clock: self.clock, state, stopping, counters: self.counters.clone() };
        let stream = TokioIo::new(stream);
        // The negotiated protocol is enforced. hyper's detection by the first bytes would let a
        // client of HTTP/1.1 speak HTTP/2, and the reverse, past the limits of that protocol.
        match protocol {
            Protocol::Http | Protocol::Https => {
                let connection = http1(&limits).serve_connection(stream, service).with_upgrades();
                run(connection, http1::UpgradeableConnection::graceful_shutdown, ends).await;
            }
            Protocol::Http2 => {
                let streams = Streams::default();
                let connection = http2(&limits, streams.clone()).serve_connection(stream, service);
                let close = |mut both: Pin<&mut WithStreams<_>>| {
                    http2::Connection::graceful_shutdown(both.connection());
                };
                run(WithStreams::new(connection, streams), close, ends).await;
            }
        }
    }

    /// Answers a request. Its head is dealt with at once, before the next one is read.
    fn answer(
        &self,
        mut request: Request<Incoming>,
        client: SocketAddr,
        protocol: Protocol,
        state: &Arc<ConnectionState>,
        permit: &Arc<ConnectionPermit>,
    ) -> impl Future<Output = Result<Response<Sending>, Infallible>> + Send + use<> {
        let under_way = state.begin();
        // hyper may have taken away a Content-Length beside it (RFC 9112 section 6.1): another
        // reader of this stream may see its end elsewhere. HTTP/2 does not have this field.
        let is_last = request.headers().contains_key(header::TRANSFER_ENCODING);
        let has_body = !request.body().is_end_stream();
        // Over HTTP/1.1, hyper has refused it already.
        let admitted = match request.headers().len() <= self.limits.max_fields {
            true => Ok(()),
            false => Err(Problem::from(Code::HeadTooLarge)),
        };
        let admitted = admitted.and_then(|()| {
            let proxies = self.proxies.load();
            let by_proxy = proxies.trust(client.ip());
            normalise(&mut request, protocol, by_proxy);
            let by = ClientIp::of(client.ip(), request.headers(), &proxies);
            if by_proxy {
                if !permit.speaks_for(by.0) {
                    return Err(Problem::for_now(Code::RateLimited, RETRY_AFTER));
                }
                state.speaks_for(by.0);
                let name = self.region_header.as_ref();
                if let Some(region) = name.and_then(|name| ClientRegion::of(request.headers(), name)) {
                    request.extensions_mut().insert(region);
                }
            } else {
                self.unlisted.note(client.ip(), request.headers(), &proxies);
            }
            if request.extensions().get::<ClientRegion>().is_none()
                && let Some(region) = ClientRegion::asked(request.uri().query())
            {
                request.extensions_mut().insert(region);
            }
            request.extensions_mut().insert(by);
            request
                .extensions_mut()
                .insert(ConnectionShare { permit: permit.clone(), memory: state.memory() });
            if request.body().is_end_stream() {
                return Ok((request, None));
            }
            if protocol == Protocol::Http2 {
                unshare(&mut request);
            }
            let held = state.hold(&request).ok_or_else(|| {
                let detail = "Too many requests of this connection wait for their bodies; finish some first.";
                Problem::for_now(Code::RateLimited, RETRY_AFTER).with_detail(detail)
            })?;
            Ok((request, Some(held)))
        });
        let (router, counters) = (self.router.clone(), self.counters.clone());
        let state = state.clone();
        async move {
            let response = match admitted {
                Ok((request, held)) => {
                    let Ok(response) = router.oneshot(request).await;
                    drop(held);
                    response
                }
                Err(problem) => refusal(problem, &counters),
            };
            let response = match protocol {
                Protocol::Http2 => {
                    state.answered();
                    response
                }
                Protocol::Http | Protocol::Https => switched(response, has_body, is_last, &state, &counters),
            };
            let status = response.status();
            if !status.is_client_error() && !status.is_server_error() {
                state.vouch();
            }
            Ok(response.map(|body| Sending::new(body, under_way)))
        }
    }
}

fn refusal(problem: Problem, counters: &HttpCounters) -> axum::response::Response {
    let response = problem.into_response();
    counters.responded(response.status().as_u16());
    response
}

/// Allows a WebSocket only if its frames are separable from the bytes before them. Allows no other
/// request after one that `is_last`.
fn switched(
    mut response: axum::response::Response,
    has_body: bool,
    is_last: bool,
    state: &ConnectionState,
    counters: &HttpCounters,
) -> axum::response::Response {
    let granted = response.status() == StatusCode::SWITCHING_PROTOCOLS;
    let switch = state.switch(granted, has_body);
    if switch == Switch::Refused && granted {
        let detail =
            "A WebSocket's opening handshake has no body, and its client has to wait for the answer.";
        response = refusal(Problem::new(Code::BadRequest, detail), counters);
    }
    if switch == Switch::Refused || is_last && switch != Switch::Granted {
        response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
    }
    response
}

/// Events that end a connection beside its client.
struct Ends {
    limits: HttpLimits,
    clock: Clock,
    state: Arc<ConnectionState>,
    stopping: Stopping,
    counters: Arc<HttpCounters>,
}

/// Runs a connection until it ends, or has to.
async fn run<C: Future>(connection: C, graceful_shutdown: impl FnOnce(Pin<&mut C>), ends: Ends) {
    let Ends { limits, clock, state, mut stopping, counters } = ends;
    let unix = || clock.now().unix;
    let counters = &counters.connections;
    let mut connection = pin!(connection);
    let mut alarm = pin!(sleep(limits.head_within));
    let mut changes = 0;
    let at_work = async {
        let mut guarded = pin!(dated(unix, connection.as_mut()));
        poll_fn(|cx| {
            if guarded.as_mut().poll(cx).is_ready() {
                return Poll::Ready(true);
            }
            let (now, patience) = state.patience();
            if std::mem::replace(&mut changes, now) != now {
                alarm.set(sleep(patience));
            }
            alarm.as_mut().poll(cx).map(|()| false)
        })
        .await
    };
    tokio::select! {
        // Errors are the client's: a head too large, or a connection that broke. hyper has
        // answered.
        has_ended = at_work => {
            if has_ended {
                return;
            }
            // A known and idle connection is closed in the regular way.
            if !(state.is_idle() && state.is_known()) {
                counters.ended_slow.add(1);
                return;
            }
        }
        () = poll_fn(|cx| state.poll_evicted(cx)) => {
            counters.ended_memory.add(1);
            return;
        }
        () = still_unknown(limits.stranger_age, &state) => {
            counters.ended_slow.add(1);
            return;
        }
        () = sleep(limits.max_age) => {}
        () = stopping.requested() => {}
    }
    graceful_shutdown(connection.as_mut());
    let _ = timeout(limits.close_within, dated(unix, connection)).await;
}

/// Runs a connection of hyper until it ends, or until the clock is beyond the year 9999: hyper then
/// panics at each poll, for it formats the time of its `Date` field whether it sends one or not.
async fn dated<C: Future>(unix: impl Fn() -> u64, mut connection: Pin<&mut C>) {
    static LOGGED: Once = Once::new();
    poll_fn(|context| {
        if unix() <= LATEST_DATE {
            return connection.as_mut().poll(context).map(drop);
        }
        LOGGED.call_once(|| {
            tracing::error!(
                "the system clock is beyond the year 9999: HTTP connections are closed; set the clock (`timedatectl`)"
            );
        });
        Poll::Ready(())
    })
    .await;
}

fn http1(limits: &HttpLimits) -> http1::Builder {
    let mut builder = http1::Builder::new();
    // Its timeout for heads counts from the last response on: `ConnectionState` tells a head from a
    // wait for the next one.
    builder
        .timer(TokioTimer::new())
        .header_read_timeout(None)
        .max_headers(limits.max_fields)
        .max_buf_size(limits.max_head.into());
    builder
}

fn http2(limits: &HttpLimits, streams: Streams) -> http2::Builder<Streams> {
    /// A body is read to 4 KiB, and the pages are static: what waits to be sent is not copied.
    const SEND: usize = 32 * 1_024;
    /// Bytes of one body that a client may send ahead: as much as is read of it.
    const WINDOW: u16 = super::params::LONGEST_BODY;
    /// Bytes that each field counts for beyond its text (RFC 9113 section 6.5.2).
    const FIELD: usize = 32;
    let max_list = usize::from(limits.max_head) + FIELD * limits.max_fields;
    let mut builder = http2::Builder::new(streams);
    builder
        .timer(TokioTimer::new())
        .max_concurrent_streams(limits.max_streams)
        .max_header_list_size(u32::try_from(max_list).unwrap_or(u32::MAX))
        .initial_stream_window_size(u32::from(WINDOW))
        .initial_connection_window_size(u32::from(u16::MAX))
        .max_send_buf_size(SEND);
    builder
}

/// Copies a head that will wait for its body. HTTP/2's fields are views of whole frames, which
/// would be kept for them.
fn unshare(request: &mut Request<Incoming>) {
    let mut copied = HeaderMap::with_capacity(request.headers().len());
    for (name, value) in request.headers() {
        // Both were valid before.
        let name = HeaderName::from_bytes(name.as_str().as_bytes());
        if let (Ok(name), Ok(value)) = (name, HeaderValue::from_bytes(value.as_bytes())) {
            copied.append(name, value);
        }
    }
    *request.headers_mut() = copied;
    if let Ok(uri) = Uri::try_from(request.uri().to_string()) {
        *request.uri_mut() = uri;
    }
}

/// Brings the protocols' requests into one form, and removes the fields of a proxy that a client
/// has written itself.
fn normalise(request: &mut Request<Incoming>, protocol: Protocol, by_proxy: bool) {
    if !by_proxy {
        request.headers_mut().remove(X_FORWARDED_PROTO);
        request.headers_mut().remove(X_FORWARDED_PREFIX);
    }
    if protocol == Protocol::Http {
        return;
    }
    // We are the proxy that ends TLS: what another would tell us, we know.
    request.headers_mut().insert(X_FORWARDED_PROTO, HeaderValue::from_static("https"));
    // HTTP/2 has an authority where HTTP/1.1 has `Host`, which must not count beside it (RFC 9113
    // section 8.3.1).
    let authority = request.uri().authority().filter(|_| protocol == Protocol::Http2);
    if let Some(host) = authority.and_then(|authority| HeaderValue::from_str(authority.as_str()).ok()) {
        request.headers_mut().insert(header::HOST, host);
    }
}

/// Ends if no request was answered well `within` a time.
async fn still_unknown(within: Duration, state: &ConnectionState) {
    sleep(within).await;
    if state.is_known() {
        std::future::pending().await
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

    use super::*;

    #[tokio::test]
    async fn threat_43_a_connection_is_not_polled_beyond_9999() {
        // As hyper's: it panics at each poll while it cannot format the time.
        async fn run_until(latest: u64, unix: &AtomicU64) -> u32 {
            let mut polls = 0;
            let connection = poll_fn(|context| {
                assert!(unix.fetch_add(1, Relaxed) <= LATEST_DATE, "date must be before year 9999");
                polls += 1;
                context.waker().wake_by_ref();
                if polls == 5 { Poll::Ready(()) } else { Poll::Pending }
            });
            unix.store(latest, Relaxed);
            dated(|| unix.load(Relaxed), pin!(connection)).await;
            polls
        }
        let unix = AtomicU64::new(0);
        assert_eq!(run_until(LATEST_DATE - 10, &unix).await, 5, "it ends by itself");
        assert_eq!(run_until(LATEST_DATE - 1, &unix).await, 2, "the clock moves on meanwhile");
        assert_eq!(run_until(LATEST_DATE + 1, &unix).await, 0);
    }
}
