//! Plain HTTP connections: accepted, bounded in size and time, and closed in good order.
//!
//! `axum::serve` sets none of these limits, so connections are handed to hyper here.

use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use socket2::SockRef;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};
use tower::ServiceExt as _;

use crate::admission::{Admissions, Place};

/// What bounds HTTP connections.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Bytes of a request's head. hyper takes no less than 8 KiB.
    pub max_head: usize,
    /// Bytes that the kernel takes for a connection beyond what is on its way (TCP_NOTSENT_LOWAT).
    pub max_unsent: u32,
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
            max_unsent: 128 * 1_024,
            head_within: Duration::from_secs(5),
            max_age: Duration::from_secs(60),
            close_within: Duration::from_secs(5),
        }
    }
}

/// Serves `router` on all `listeners` until `shutdown`, then lets what is under way finish.
///
/// WebSockets have left HTTP by then: [`crate::signaling::Hub::shut_down`] says goodbye to them.
pub async fn serve(
    listeners: Vec<TcpListener>,
    router: Router,
    limits: Limits,
    admissions: Arc<Admissions>,
    shutdown: impl Future<Output = ()>,
) {
    let (stop, stopping) = watch::channel(());
    let mut doors = JoinSet::new();
    for listener in listeners {
        doors.spawn(accept(listener, router.clone(), limits, admissions.clone(), stopping.clone()));
    }
    drop(stopping);
    shutdown.await;
    // The doors and every connection hold a receiver until they are done.
    stop.send_replace(());
    stop.closed().await;
}

async fn accept(
    listener: TcpListener,
    router: Router,
    limits: Limits,
    admissions: Arc<Admissions>,
    mut stopping: watch::Receiver<()>,
) {
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            _ = stopping.changed() => return,
        };
        match accepted {
            Ok((stream, peer)) => {
                if let Some(place) = admissions.admit(peer.ip()) {
                    tokio::spawn(connection(stream, limits, place, router.clone(), stopping.clone()));
                }
            }
            // Most likely out of file descriptors. The connection stays in the backlog, so without a pause this loop
            // would spin until another one closes.
            Err(error) => {
                tracing::debug!(%error, "cannot accept an HTTP connection");
                sleep(Duration::from_millis(50)).await;
            }
        }
    }
}

async fn connection(
    stream: TcpStream,
    limits: Limits,
    place: Place,
    router: Router,
    mut stopping: watch::Receiver<()>,
) {
    // Signals are small and urgent; and for a client that does not read, the kernel would hold megabytes beyond the
    // queues that we bound ourselves. A socket that refuses the options is merely slower or dearer.
    let _ = stream.set_nodelay(true);
    let _ = SockRef::from(&stream).set_tcp_notsent_lowat(limits.max_unsent);
    let place = Arc::new(place);
    let service = service_fn(move |mut request: hyper::Request<Incoming>| {
        request.extensions_mut().insert(place.clone());
        router.clone().oneshot(request)
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(limits.head_within)
        .max_buf_size(limits.max_head)
        .serve_connection(TokioIo::new(stream), service)
        .with_upgrades();
    let mut connection = pin!(connection);
    tokio::select! {
        // Errors are the client's: a head too large or too slow, or a connection that broke. hyper has answered.
        _ = &mut connection => return,
        () = sleep(limits.max_age) => {}
        _ = stopping.changed() => {}
    }
    connection.as_mut().graceful_shutdown();
    let _ = timeout(limits.close_within, connection).await;
}
