//! HTTP connections, plain or within TLS: bounded in size and time, and closed in good order.
//!
//! `axum::serve` sets none of these limits, so connections are handed to hyper here.

use std::convert::Infallible;
use std::future::poll_fn;
use std::net::SocketAddr;
use std::pin::{Pin, pin};
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Arc, Once};
use std::task::Poll;
use std::time::Duration;

use axum::Router;
use axum::http::{HeaderValue, Request, header};
use axum::response::{IntoResponse as _, Response};
use hyper::body::Incoming;
use hyper::server::conn::{http1, http2};
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::watch;
use tokio::time::{sleep, timeout};
use tower::ServiceExt as _;

use super::peer::Peer;
use super::problem::{Code, Problem};
use super::target::{X_FORWARDED_PREFIX, X_FORWARDED_PROTO};
use crate::admission::{Admissions, Place};
use crate::clock::{Clock, Now};
use crate::door::{self, Arrival, Listeners};
use crate::ice::{LATEST_DATE, imf_fixdate};
use crate::proxies::TrustedProxies;

/// What bounds an HTTP connection.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Bytes of a request's head. hyper takes no less than 8 KiB over HTTP/1.1.
    pub max_head: u16,
    /// Requests under way at one time on an HTTP/2 connection. A page and its files are a dozen.
    pub max_streams: u32,
    /// How long a client may take over a request's head, and how long a connection may wait for the next one.
    pub head_within: Duration,
    /// How long a connection that is no WebSocket may live, whatever the client does.
    pub max_age: Duration,
    /// How long a connection may take over its last response when it has to end.
    pub close_within: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            max_head: 8 * 1_024,
            max_streams: 64,
            head_within: Duration::from_secs(5),
            max_age: Duration::from_secs(60),
            close_within: Duration::from_secs(5),
        }
    }
}

/// What a connection speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Protocol {
    /// HTTP/1.1 as it is.
    Http,
    /// HTTP/1.1 within TLS.
    Https,
    /// HTTP/2 within TLS, where both ends agreed on it. Without RFC 8441: for a WebSocket, browsers then open a
    /// connection of the kind above.
    Http2,
}

/// When a proxy's client whose share of connections is full may ask again.
const RETRY_AFTER: Duration = Duration::from_secs(1);

/// What is served, to every connection alike.
#[derive(Clone, Debug)]
pub struct Pages {
    router: Router,
    limits: Limits,
    proxies: Arc<TrustedProxies>,
    clock: Clock,
}

/// Serves `router` without TLS on all `listeners` until `shutdown`, then lets what is under way finish.
///
/// WebSockets have left HTTP by then: [`crate::signaling::Connections::shut_down`] says goodbye to them.
pub async fn serve(
    listeners: Listeners,
    pages: Pages,
    admissions: Arc<Admissions>,
    shutdown: impl Future<Output = ()>,
) {
    let welcome = move |Arrival { stream, client, place, stopping }: Arrival| {
        let pages = pages.clone();
        async move { pages.connection(stream, client, Protocol::Http, place, stopping).await }
    };
    door::open(listeners, admissions, welcome, shutdown).await;
}

impl Pages {
    /// `router` under `limits`.
    #[must_use]
    pub fn new(router: Router, limits: Limits) -> Self {
        Self { router, limits, proxies: Arc::default(), clock: Clock::start() }
    }

    /// The same behind `proxies`, whose `X-Forwarded-*` fields count.
    #[must_use]
    pub fn behind(self, proxies: Arc<TrustedProxies>) -> Self {
        Self { proxies, ..self }
    }

    /// Serves one connection of `client` until it ends or `stopping` changes.
    pub async fn connection(
        &self,
        stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
        client: SocketAddr,
        protocol: Protocol,
        place: Place,
        mut stopping: watch::Receiver<()>,
    ) {
        let (router, limits, place) = (self.router.clone(), self.limits, Arc::new(place));
        let asked = Arc::new(AtomicBool::new(false));
        let has_asked = asked.clone();
        let (proxies, clock) = (self.proxies.clone(), self.clock);
        let service = service_fn(move |mut request: Request<Incoming>| {
            asked.store(true, Relaxed);
            normalise(&mut request, protocol, proxies.trust(client.ip()));
            let peer = Peer::of(client.ip(), request.headers(), &proxies);
            let has_room = !proxies.trust(client.ip()) || place.speaks_for(peer.0);
            request.extensions_mut().insert(peer);
            request.extensions_mut().insert(place.clone());
            let answer = has_room.then(|| router.clone().oneshot(request));
            async move {
                let mut response = match answer {
                    Some(answer) => answer.await?,
                    None => Problem::for_now(Code::RateLimited, RETRY_AFTER).into_response(),
                };
                date(&mut response, clock.now());
                Ok::<_, Infallible>(response)
            }
        });
        let stream = TokioIo::new(stream);
        // What was agreed on is held to: hyper's own choice by the first bytes would let a client of HTTP/1.1 speak HTTP/2
        // and the other way round, where all that is said of the one here would be done to the other.
        match protocol {
            Protocol::Http | Protocol::Https => {
                let connection = http1(&limits).serve_connection(stream, service).with_upgrades();
                run(
                    connection,
                    http1::UpgradeableConnection::graceful_shutdown,
                    limits,
                    &has_asked,
                    &mut stopping,
                    clock,
                )
                .await;
            }
            Protocol::Http2 => {
                let connection = http2(&limits).serve_connection(stream, service);
                run(
                    connection,
                    http2::Connection::graceful_shutdown,
                    limits,
                    &has_asked,
                    &mut stopping,
                    clock,
                )
                .await;
            }
        }
    }
}

/// Runs a connection until it ends, or has to.
async fn run<C: Future>(
    connection: C,
    graceful_shutdown: impl FnOnce(Pin<&mut C>),
    limits: Limits,
    has_asked: &AtomicBool,
    stopping: &mut watch::Receiver<()>,
    clock: Clock,
) {
    let mut connection = pin!(connection);
    let unix = || clock.now().unix;
    tokio::select! {
        // Errors are the client's: a head too large or too slow, or a connection that broke. hyper has answered.
        () = dated(unix, connection.as_mut()) => return,
        // Over HTTP/2, hyper has no timeout for heads.
        () = never_asked(limits.head_within, has_asked) => return,
        () = sleep(limits.max_age) => {}
        _ = stopping.changed() => {}
    }
    graceful_shutdown(connection.as_mut());
    let _ = timeout(limits.close_within, dated(unix, connection)).await;
}

/// Runs a connection of hyper until it ends, or until the clock is beyond the year 9999: hyper then panics at each poll, for
/// it formats the time of its `Date` field whether it sends one or not.
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

fn http1(limits: &Limits) -> http1::Builder {
    let mut builder = http1::Builder::new();
    builder
        .timer(TokioTimer::new())
        .header_read_timeout(limits.head_within)
        .max_buf_size(limits.max_head.into());
    builder
}

fn http2(limits: &Limits) -> http2::Builder<TokioExecutor> {
    /// A body is read to 4 KiB, and the pages are static: what waits to be sent is not copied.
    const WINDOW: u16 = 32 * 1_024;
    let mut builder = http2::Builder::new(TokioExecutor::new());
    builder
        .timer(TokioTimer::new())
        // It would come from the tasks of the streams, which `dated` does not guard.
        .auto_date_header(false)
        .max_concurrent_streams(limits.max_streams)
        .max_header_list_size(limits.max_head.into())
        .initial_stream_window_size(u32::from(WINDOW))
        .initial_connection_window_size(u32::from(u16::MAX))
        .max_send_buf_size(WINDOW.into());
    builder
}

/// What the protocols say in different ways is said in one, and what a client says in a proxy's place is taken off.
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
    // HTTP/2 has an authority where HTTP/1.1 has `Host`, which must not count beside it (RFC 9113 section 8.3.1).
    let authority = request.uri().authority().filter(|_| protocol == Protocol::Http2);
    if let Some(host) = authority.and_then(|authority| HeaderValue::from_str(authority.as_str()).ok()) {
        request.headers_mut().insert(header::HOST, host);
    }
}

/// Dates a response (RFC 9110 section 6.6.1).
fn date(response: &mut Response, now: Now) {
    if let Some(date) = imf_fixdate(now.unix).and_then(|date| HeaderValue::from_str(&date).ok()) {
        response.headers_mut().insert(header::DATE, date);
    }
}

/// Ends if nothing was asked `within` the time for a first request.
async fn never_asked(within: Duration, asked: &AtomicBool) {
    sleep(within).await;
    if asked.load(Relaxed) {
        std::future::pending().await
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicU64;

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
