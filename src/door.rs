//! TCP listeners on the runtime: each connection that is admitted gets a task of its own.

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

use crate::admission::{Admissions, Place};

/// Bytes that the kernel takes for a connection beyond what is on its way (TCP_NOTSENT_LOWAT).
const MAX_UNSENT: u32 = 128 * 1_024;

/// A connection that was let in.
#[derive(Debug)]
pub struct Arrival {
    /// The connection.
    pub stream: TcpStream,
    /// Its client's address.
    pub client: SocketAddr,
    /// Its place among those admitted.
    pub place: Place,
    /// Changes when it is time to end. Whoever holds it is waited for.
    pub stopping: watch::Receiver<()>,
}

/// The listeners of one door. One whose address comes late is sent when it is there.
pub type Listeners = mpsc::UnboundedReceiver<TcpListener>;

/// Lets connections in at all `listeners` until `shutdown`, then waits for those that hold their [`Arrival::stopping`].
pub async fn open<W, T>(
    mut listeners: Listeners,
    admissions: Arc<Admissions>,
    welcome: W,
    shutdown: impl Future<Output = ()>,
) where
    W: Fn(Arrival) -> T + Clone + Send + 'static,
    T: Future<Output = ()> + Send + 'static,
{
    let (stop, stopping) = watch::channel(());
    let mut doors = JoinSet::new();
    let mut shutdown = pin!(shutdown);
    loop {
        tokio::select! {
            Some(listener) = listeners.recv() => {
                doors.spawn(keep_accepting(listener, admissions.clone(), welcome.clone(), stopping.clone()));
            }
            () = &mut shutdown => break,
        }
    }
    drop(stopping);
    // The doors hold a receiver, too.
    stop.send_replace(());
    stop.closed().await;
}

/// Accepts until `stopping` changes, also after a panic, of which the log tells: without this loop, a listener would look
/// alive to clients and never answer.
async fn keep_accepting<W, T>(
    listener: TcpListener,
    admissions: Arc<Admissions>,
    welcome: W,
    stopping: watch::Receiver<()>,
) where
    W: Fn(Arrival) -> T + Clone,
    T: Future<Output = ()> + Send + 'static,
{
    loop {
        let accepting = accept(&listener, &admissions, welcome.clone(), stopping.clone());
        match AssertUnwindSafe(accepting).catch_unwind().await {
            Ok(()) => return,
            Err(_) => sleep(Duration::from_secs(1)).await,
        }
    }
}

async fn accept<W, T>(
    listener: &TcpListener,
    admissions: &Arc<Admissions>,
    welcome: W,
    mut stopping: watch::Receiver<()>,
) where
    W: Fn(Arrival) -> T,
    T: Future<Output = ()> + Send + 'static,
{
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            _ = stopping.changed() => return,
        };
        match accepted {
            Ok((stream, client)) => {
                let Some(place) = admissions.admit(client.ip()) else { continue };
                // Signals are small and urgent; and for a client that does not read, the kernel would hold megabytes
                // beyond the queues that we bound ourselves. A socket that refuses the options is merely slower or
                // dearer.
                let _ = stream.set_nodelay(true);
                let _ = SockRef::from(&stream).set_tcp_notsent_lowat(MAX_UNSENT);
                tokio::spawn(welcome(Arrival { stream, client, place, stopping: stopping.clone() }));
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
        let welcome = {
            let panicked = panicked.clone();
            move |arrival: Arrival| {
                assert!(panicked.swap(true, Relaxed), "the first connection hits a fault");
                async move { drop(arrival) }
            }
        };
        let clients = tokio::task::spawn_blocking(move || {
            for _ in 0..2 {
                let mut client = std::net::TcpStream::connect(address).unwrap();
                client.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
                // It is closed: by the fault, or by who has been welcomed.
                assert_eq!(client.read(&mut [0]).unwrap(), 0);
            }
        });
        let end = async { clients.await.unwrap() };
        let (listeners, later) = mpsc::unbounded_channel();
        listeners.send(listener).unwrap();
        open(later, Admissions::new(8, 8, Arc::default()), welcome, end).await;
        assert!(panicked.load(Relaxed));
    }
}
