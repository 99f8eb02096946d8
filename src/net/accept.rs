//! Accept loops of TCP listeners. Each connection within the limits gets its own task.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt as _;
use socket2::SockRef;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::JoinHandle;
use tokio::time::sleep;

use crate::net::connection_limit::{ConnectionLimiter, ConnectionPermit};
use crate::phase::{Phase, PhaseWatch};

/// Unsent bytes that the kernel buffers for a connection (TCP_NOTSENT_LOWAT).
const MAX_UNSENT: u32 = 128 * 1_024;

/// Connection within the limits.
#[derive(Debug)]
pub struct Accepted {
    /// The connection.
    pub stream: TcpStream,
    /// Its client's address.
    pub client: SocketAddr,
    /// Its permit, which counts it as open.
    pub permit: ConnectionPermit,
    /// Signal to end. The server waits until it is dropped.
    pub stopping: Stopping,
}

/// Signal between a connection's task and the accept loops. It tells the task when to end, and the
/// accept loops when it has ended.
#[derive(Clone, Debug)]
pub struct Stopping {
    phase: PhaseWatch,
    _open: watch::Receiver<()>,
}

impl Stopping {
    /// For a connection of a server in `phase`. `open` is [closed](watch::Sender::closed) when the
    /// last signal is dropped.
    #[must_use]
    pub fn new(phase: PhaseWatch, open: &watch::Sender<()>) -> Self {
        Self { phase, _open: open.subscribe() }
    }

    /// Waits until the server stops.
    pub async fn requested(&mut self) {
        self.phase.reached(Phase::Stopping).await;
    }
}

/// Change of the listeners of one kind.
#[derive(Debug)]
pub enum ListenerChange {
    /// A listener to accept at.
    Open(TcpListener),
    /// The address of a listener to close. The sender is dropped once it is closed. Connections
    /// that it has accepted go on.
    Close(SocketAddr, oneshot::Sender<()>),
}

impl From<TcpListener> for ListenerChange {
    fn from(listener: TcpListener) -> Self {
        Self::Open(listener)
    }
}

/// Queue of changes of the listeners of one kind. A listener whose address appears late is sent
/// then.
pub type ListenerQueue = mpsc::UnboundedReceiver<ListenerChange>;

/// Accepts connections at all `listeners` until the server stops, then waits until every
/// [`Accepted::stopping`] is dropped.
pub async fn accept_all<S, T>(
    mut listeners: ListenerQueue,
    limiter: Arc<ConnectionLimiter>,
    serve: S,
    mut phase: PhaseWatch,
) where
    S: Fn(Accepted) -> T + Clone + Send + Sync + 'static,
    T: Future<Output = ()> + Send + 'static,
{
    let open = watch::Sender::new(());
    let stopping = Stopping::new(phase.clone(), &open);
    let mut loops = BTreeMap::<SocketAddr, JoinHandle<()>>::new();
    loop {
        let change = tokio::select! {
            Some(change) = listeners.recv() => change,
            () = phase.reached(Phase::Stopping) => break,
        };
        match change {
            ListenerChange::Open(listener) => {
                // The kernel knows the address of every bound socket.
                let Ok(address) = listener.local_addr() else { continue };
                let accepting = keep_accepting(listener, limiter.clone(), serve.clone(), stopping.clone());
                loops.insert(address, tokio::spawn(accepting));
            }
            ListenerChange::Close(address, closed) => {
                if let Some(accepting) = loops.remove(&address) {
                    accepting.abort();
                    // An error says that it was aborted, and its listener dropped.
                    let _ = accepting.await;
                }
                drop(closed);
            }
        }
    }
    drop(stopping);
    // The accept loops also hold one.
    open.closed().await;
}

/// Accepts until the server stops, even after a panic, which is logged. Without this loop, clients
/// could connect to the listener but would get no answer.
async fn keep_accepting<S, T>(
    listener: TcpListener,
    limiter: Arc<ConnectionLimiter>,
    serve: S,
    stopping: Stopping,
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
    mut stopping: Stopping,
) where
    S: Fn(Accepted) -> T,
    T: Future<Output = ()> + Send + 'static,
{
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            () = stopping.requested() => return,
        };
        match accepted {
            Ok((stream, client)) => {
                let Some(permit) = limiter.admit(client.ip()) else { continue };
                // Signals are small and urgent. For a client that does not read, the kernel would
                // buffer megabytes beyond the server's bounded queues. A socket that refuses the
                // options is only slower or takes more memory.
                let _ = stream.set_nodelay(true);
                let _ = SockRef::from(&stream).set_tcp_notsent_lowat(MAX_UNSENT);
                tokio::spawn(serve(Accepted { stream, client, permit, stopping: stopping.clone() }));
            }
            // The process is probably out of file descriptors. The connection stays in the backlog,
            // so without a pause this loop would spin until another connection closes.
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
    use crate::phase::PhaseSender;

    #[tokio::test]
    async fn threat_30_an_accept_loop_that_panicked_goes_on_accepting() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let panicked = Arc::new(AtomicBool::new(false));
        let serve = {
            let panicked = panicked.clone();
            move |accepted: Accepted| {
                assert!(panicked.swap(true, Relaxed), "the first connection hits a fault");
                async move { drop(accepted) }
            }
        };
        let clients = tokio::task::spawn_blocking(move || {
            for _ in 0..2 {
                let mut client = std::net::TcpStream::connect(address).unwrap();
                client.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
                // The connection is closed, by the panic or by its task.
                assert_eq!(client.read(&mut [0]).unwrap(), 0);
            }
        });
        let sender = PhaseSender::new();
        let phase = sender.watch();
        let end = async {
            clients.await.unwrap();
            sender.enter(Phase::Stopping);
        };
        let (listeners, later) = mpsc::unbounded_channel();
        listeners.send(listener.into()).unwrap();
        let accepting = accept_all(later, ConnectionLimiter::new(8, 8, Arc::default()), serve, phase);
        tokio::join!(accepting, end);
        assert!(panicked.load(Relaxed));
    }
}
