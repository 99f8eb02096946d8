//! Plain HTTP connections: accepted, bounded in number, size and time, and closed in good order.
//!
//! `axum::serve` sets none of these limits, so connections are handed to hyper here.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::pin::pin;
use std::sync::{Arc, Mutex, PoisonError};
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

use crate::metrics::HttpCounters;
use crate::subscriber::Subscriber;

/// What bounds HTTP connections.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Connections at one time, WebSockets among them.
    pub connections: usize,
    /// Connections of one address (v6: of one /64) at one time. High enough for a carrier's address with thousands of
    /// honest clients behind it, most of whom are between two requests. Loopback is exempt: that is a reverse proxy,
    /// which has limits of its own.
    pub connections_per_address: usize,
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
            connections: 8_192,
            connections_per_address: 1_024,
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
    counters: Arc<HttpCounters>,
    shutdown: impl Future<Output = ()>,
) {
    let admissions = Arc::new(Admissions { limits, counters, open: Mutex::default() });
    let (stop, stopping) = watch::channel(());
    let mut doors = JoinSet::new();
    for listener in listeners {
        doors.spawn(accept(listener, router.clone(), admissions.clone(), stopping.clone()));
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
                if let Some(slot) = Admissions::admit(&admissions, peer.ip()) {
                    tokio::spawn(connection(stream, slot, router.clone(), stopping.clone()));
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

async fn connection(stream: TcpStream, slot: Arc<Slot>, router: Router, mut stopping: watch::Receiver<()>) {
    let limits = slot.admissions.limits;
    // Signals are small and urgent; and for a client that does not read, the kernel would hold megabytes beyond the
    // queues that we bound ourselves. A socket that refuses the options is merely slower or dearer.
    let _ = stream.set_nodelay(true);
    let _ = SockRef::from(&stream).set_tcp_notsent_lowat(limits.max_unsent);
    let service = service_fn(move |mut request: hyper::Request<Incoming>| {
        request.extensions_mut().insert(slot.clone());
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

/// Counts connections, and admits as many as the limits allow.
#[derive(Debug)]
struct Admissions {
    limits: Limits,
    counters: Arc<HttpCounters>,
    /// A `std` mutex: held for a look-up, never across an await.
    open: Mutex<Open>,
}

#[derive(Debug, Default)]
struct Open {
    total: usize,
    by_address: BTreeMap<Subscriber, usize>,
}

/// A connection's place among those counted; given back when the last owner drops it.
#[derive(Debug)]
pub(super) struct Slot {
    admissions: Arc<Admissions>,
    address: Subscriber,
}

impl Admissions {
    fn admit(admissions: &Arc<Self>, ip: IpAddr) -> Option<Arc<Slot>> {
        let address = Subscriber::of(ip);
        let mut open = admissions.open.lock().unwrap_or_else(PoisonError::into_inner);
        if open.total >= admissions.limits.connections {
            admissions.counters.refused_total.add(1);
            return None;
        }
        let of_address = open.by_address.get(&address).copied().unwrap_or(0);
        if of_address >= admissions.limits.connections_per_address && !address.is_loopback() {
            admissions.counters.refused_address.add(1);
            return None;
        }
        open.total += 1;
        open.by_address.insert(address, of_address + 1);
        admissions.counters.connections.add(1);
        Some(Arc::new(Slot { admissions: admissions.clone(), address }))
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        let mut open = self.admissions.open.lock().unwrap_or_else(PoisonError::into_inner);
        open.total -= 1;
        self.admissions.counters.connections.subtract(1);
        if let Some(of_address) = open.by_address.get_mut(&self.address) {
            *of_address -= 1;
            if *of_address == 0 {
                open.by_address.remove(&self.address);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn admissions(connections: usize, connections_per_address: usize) -> Arc<Admissions> {
        let limits = Limits { connections, connections_per_address, ..Limits::default() };
        Arc::new(Admissions { limits, counters: Arc::default(), open: Mutex::default() })
    }

    fn admit(admissions: &Arc<Admissions>, ip: &str) -> Option<Arc<Slot>> {
        Admissions::admit(admissions, ip.parse().unwrap())
    }

    #[test]
    fn one_address_cannot_take_all_places() {
        let admissions = admissions(9, 2);
        let slots = [admit(&admissions, "192.0.2.1"), admit(&admissions, "::ffff:192.0.2.1")];
        assert!(slots.iter().all(Option::is_some));
        assert!(admit(&admissions, "192.0.2.1").is_none());
        assert!(admit(&admissions, "192.0.2.2").is_some());
        let v6 = [admit(&admissions, "2001:db8::1"), admit(&admissions, "2001:db8::ffff:2")];
        assert!(v6.iter().all(Option::is_some));
        assert!(admit(&admissions, "2001:db8::3").is_none());
        assert!(admit(&admissions, "2001:db8:0:1::3").is_some());
        let proxied: Vec<_> = (0..4).map(|_| admit(&admissions, "127.0.0.1")).collect();
        assert!(proxied.iter().all(Option::is_some));
        assert_eq!(admissions.counters.refused_address.get(), 2);
    }

    #[test]
    fn places_are_given_back_and_nothing_is_kept() {
        let admissions = admissions(2, 2);
        let slots = [admit(&admissions, "127.0.0.1"), admit(&admissions, "192.0.2.1")];
        assert!(admit(&admissions, "192.0.2.2").is_none());
        assert_eq!((admissions.counters.connections.get(), admissions.counters.refused_total.get()), (2, 1));
        drop(slots);
        assert!(admit(&admissions, "192.0.2.2").is_some());
        assert_eq!(admissions.counters.connections.get(), 0);
        assert!(admissions.open.lock().unwrap().by_address.is_empty());
    }
}
