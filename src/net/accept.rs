//! Accept loops of TCP listeners: each connection within the limits gets a task of its own.

use std::net::SocketAddr;
use std::panic::AssertUnwindSafe;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt as _;
use socket2::SockRef;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;
use tokio::time::sleep;

use crate::net::connection_limit::{ConnectionLimiter, ConnectionPermit};

/// Bytes that the kernel takes for a connection beyond what is on its way (TCP_NOTSENT_LOWAT).
const MAX_UNSENT: u32 = 128 * 1_024;

/// Connection within the limits.
#[derive(Debug)]
pub struct Accepted {
    /// The connection.
    pub stream: TcpStream,
    /// Its client's address.
    pub client: SocketAddr,
    /// Its permit, which counts it among the open ones.
    pub permit: ConnectionPermit,
    /// Changes when it is time to end. Whoever holds it is waited for.
    pub stopping: watch::Receiver<()>,
}

/// Listeners of one kind. One whose address comes late is sent when it is there.
pub type Listeners = mpsc::UnboundedReceiver<TcpListener>;

/// Accepts connections at all `listeners` until `shutdown`, then waits for those that hold their [`Accepted::stopping`].
pub async fn accept_all<S, T>(
    mut listeners: Listeners,
    limiter: Arc<ConnectionLimiter>,
    serve: S,
    shutdown: impl Future<Output = ()>,
) where
    S: Fn(Accepted) -> T + Clone + Send + 'static,
    T: Future<Output = ()> + Send + 'static,
{
    let (stop, stopping) = watch::channel(());
    let mut loops = JoinSet::new();
    let mut shutdown = pin!(shutdown);
    loop {
        tokio::select! {
            Some(listener) = listeners.recv() => {
                loops.spawn(keep_accepting(listener, limiter.clone(), serve.clone(), stopping.clone()));
            }
            () = &mut shutdown => break,
        }
    }
    drop(stopping);
    // The accept loops hold a receiver, too.
    stop.send_replace(());
    stop.closed().await;
}

/// Accepts until `stopping` changes, also after a panic, of which the log tells: without this loop, a listener would look
/// alive to clients and never answer.
async fn keep_accepting<S, T>(
    listener: TcpListener,
    limiter: Arc<ConnectionLimiter>,
    serve: S,
    stopping: watch::Receiver<()>,
) where
    S: Fn(Accepted) -> T + Clone,
    T: Future<Output = ()> + Send + 'static,
{
    loop {
        let accepting = accept(&listener, &limiter, serve.clone(), stopping.clone());
        match AssertUnwindSafe(accepting).catch_unwind().await {
            Ok(()) => return,
            Err(_) => sleep(Duration::from_secs(1)).await,
        }
    }
}

async fn accept<S, T>(
    listener: &TcpListener,
    limiter: &Arc<ConnectionLimiter>,
    serve: S,
    mut stopping: watch::Receiver<()>,
) where
    S: Fn(Accepted) -> T,
    T: Future<Output = ()> + Send + 'static,
{
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            _ = stopping.changed() => return,
        };
        match accepted {
            Ok((stream, client)) => {
                let Some(permit) = limiter.admit(client.ip()) else { continue };
                // Signals are small and urgent; and for a client that does not read, the kernel would hold megabytes
                // beyond the queues that we bound ourselves. A socket that refuses the options is merely slower or
                // dearer.
                let _ = stream.set_nodelay(true);
                let _ = SockRef::from(&stream).set_tcp_notsent_lowat(MAX_UNSENT);
                tokio::spawn(serve(Accepted { stream, client, permit, stopping: stopping.clone() }));
            }
            // Most likely out of file descriptors. The connection stays in the backlog, so without a pause this loop
            // would spin until another one closes.
            Err(error) => {
                tracing::debug!(%error, "cannot accept a connection");
                sleep(Duration::from_millis(50)).await;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read as _;
    use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

    use super::*;

    #[tokio::test]
    async fn threat_30_an_accept_loop_that_panicked_goes_on_accepting() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let panicked = Arc::new(AtomicBool::new(false));
        let serve = {
            let panicked = panicked.clone();
            move |arrival: Accepted| {
                assert!(panicked.swap(true, Relaxed), "the first connection hits a fault");
                async move { drop(arrival) }
            }
        };
        let clients = tokio::task::spawn_blocking(move || {
            for _ in 0..2 {
                let mut client = std::net::TcpStream::connect(address).unwrap();
                client.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
                // It is closed: by the fault, or by the task that serves it.
                assert_eq!(client.read(&mut [0]).unwrap(), 0);
            }
        });
        let end = async { clients.await.unwrap() };
        let (listeners, later) = mpsc::unbounded_channel();
        listeners.send(listener).unwrap();
        accept_all(later, ConnectionLimiter::new(8, 8, Arc::default()), serve, end).await;
        assert!(panicked.load(Relaxed));
    }
}
