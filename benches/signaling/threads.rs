//! The floor on threads like Byway's: the same copying by tasks of a runtime with one worker, or
//! with two that share the core. It separates the cost of the runtime and its threads from that of
//! the signaling.

use std::collections::HashMap;
use std::io;
use std::net::SocketAddr;
use std::os::fd::{AsRawFd, RawFd};
use std::sync::{Arc, Mutex, PoisonError};

use mio::net::TcpStream;
use tokio::io::unix::AsyncFd;
use tokio::net::TcpListener;
use tokio::sync::mpsc::{UnboundedSender, unbounded_channel};

use crate::floor::{ANSWER, listen};
use crate::websocket::{Heard, Side, WebSocket};

/// Argument that starts the bench as this floor. The address to listen on and the number of workers
/// follow.
pub(crate) const ARGUMENT: &str = "--floor-of-threads";

/// Clients that wait for a second one, by room.
type Waiting = Arc<Mutex<HashMap<String, (usize, UnboundedSender<News>)>>>;

/// Message from one task to another.
enum News {
    /// Channel to the other client in the room.
    Peer(UnboundedSender<News>),
    /// Message from the other client.
    Text(Vec<u8>),
}

/// A socket that the runtime polls.
struct Polled(WebSocket);

impl AsRawFd for Polled {
    fn as_raw_fd(&self) -> RawFd {
        self.0.stream.as_raw_fd()
    }
}

pub(crate) fn run(address: SocketAddr, workers: usize) -> io::Result<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(workers).enable_all().build()?;
    runtime.block_on(async {
        let listener = TcpListener::from_std(listen(address)?)?;
        let waiting = Waiting::default();
        for number in 0.. {
            let (stream, _) = listener.accept().await?;
            let socket = WebSocket::new(TcpStream::from_std(stream.into_std()?), Side::Server);
            #[expect(
                deprecated,
                reason = "its successor is unsafe, which only crates/udp may use; this owns its descriptor"
            )]
            let socket = AsyncFd::new(Polled(socket))?;
            let waiting = waiting.clone();
            tokio::spawn(async move {
                // A broken connection simply ends.
                let _ = serve(socket, number, waiting).await;
            });
        }
        Ok(())
    })
}

async fn serve(mut socket: AsyncFd<Polled>, number: usize, waiting: Waiting) -> io::Result<()> {
    let (own, mut inbox) = unbounded_channel();
    let (mut room, mut peer): (Option<String>, Option<UnboundedSender<News>>) = (None, None);
    let lock = || waiting.lock().unwrap_or_else(PoisonError::into_inner);
    loop {
        let (mut has_met, mut has_ended, mut texts) = (false, false, Vec::new());
        tokio::select! {
            news = inbox.recv() => match news {
                Some(News::Text(text)) => socket.get_mut().0.text(&text),
                Some(News::Peer(met)) => peer = Some(met),
                None => {}
            },
            ready = socket.readable_mut() => {
                let mut ready = ready?;
                // Reads until the socket is empty; then the kernel reports new data.
                ready.get_inner_mut().0.read(&mut [0; 8 * 1024], true, |heard| match heard {
                    Heard::Head(_) => has_met = true,
                    Heard::Text(text) => texts.push(text.to_vec()),
                    Heard::Close | Heard::End => has_ended = true,
                });
                ready.clear_ready();
            }
        }
        if has_met {
            socket.get_mut().0.head(ANSWER);
        }
        for text in texts {
            if room.is_some() {
                if let Some(peer) = &peer {
                    let _ = peer.send(News::Text(text));
                }
                continue;
            }
            let name = String::from_utf8_lossy(&text).into_owned();
            socket.get_mut().0.text(b"joined");
            let mut waiting = lock();
            match waiting.remove(&name) {
                None => _ = waiting.insert(name.clone(), (number, own.clone())),
                Some((_, met)) => {
                    let _ = met.send(News::Peer(own.clone()));
                    peer = Some(met);
                }
            }
            room = Some(name);
        }
        if has_ended {
            socket.get_mut().0.close();
            if let Some(room) = room {
                let mut waiting = lock();
                if waiting.get(&room).is_some_and(|(who, _)| *who == number) {
                    waiting.remove(&room);
                }
            }
            return Ok(());
        }
    }
}
