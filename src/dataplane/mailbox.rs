//! What reaches a shard from other threads: connections that are handed over, and messages for the clients behind them.
//!
//! UDP needs neither: every shard can send from every listener. A connection lives on one shard alone.

use std::io;
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};

use mio::{Poll, Token, Waker};

use crate::relay::StreamId;

/// What may wait for a shard. Beyond it connections are closed and media is dropped.
const CAPACITY: usize = 1024;

/// A connection on which TURN is spoken.
pub struct TurnStream {
    /// Not blocking.
    pub socket: TcpStream,
    /// TLS over it, its handshake done. What has been decrypted already waits in its reader.
    pub tls: Option<Box<rustls::ServerConnection>>,
    /// The client's transport address.
    pub client: SocketAddr,
    /// The server's.
    pub server: SocketAddr,
}

/// A letter to a shard.
pub(super) enum Letter {
    /// A connection that is the shard's from now on.
    Stream(TurnStream),
    /// A message for the client behind one of its connections.
    Message(StreamId, Box<[u8]>),
}

/// Where a shard reads its letters.
pub(super) type Mailbox = Receiver<Letter>;

/// Where the others put them.
#[derive(Clone)]
pub(super) struct Slot {
    letters: SyncSender<Letter>,
    waker: Arc<Waker>,
}

impl Slot {
    /// A mailbox whose letters make `poll` name `token`.
    pub(super) fn new(poll: &Poll, token: Token) -> io::Result<(Self, Mailbox)> {
        let (letters, mailbox) = sync_channel(CAPACITY);
        Ok((Self { letters, waker: Arc::new(Waker::new(poll.registry(), token)?) }, mailbox))
    }

    /// Puts a letter in, if there is room; whether there was.
    pub(super) fn put(&self, letter: Letter) -> bool {
        // A poll that cannot be woken has its eventfd full of wakes, or its shard has ended.
        self.letters.try_send(letter).is_ok() && self.waker.wake().is_ok()
    }
}

/// Hands connections over to the shards, one after the other.
#[derive(Clone)]
pub struct StreamDoor {
    slots: Arc<[Slot]>,
    next: Arc<AtomicUsize>,
}

impl StreamDoor {
    pub(super) fn new(slots: Arc<[Slot]>) -> Self {
        Self { slots, next: Arc::default() }
    }

    /// Gives a connection to a shard. One for which there is no room is closed.
    pub fn hand_over(&self, stream: TurnStream) {
        let next = self.next.fetch_add(1, Relaxed);
        if let Some(slot) = self.slots.get(next % self.slots.len().max(1))
            && !slot.put(Letter::Stream(stream))
        {
            tracing::debug!("a shard has no room for one more connection");
        }
    }
}
