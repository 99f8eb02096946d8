//! Messages to a shard from other threads: connections that are handed over, messages for the clients behind them,
//! names whose allocations are to end, the question whether it answers, and news of the machine's addresses.
//!
//! UDP needs neither of the first two: every shard can send from every listener. A connection lives on one shard alone.

use std::io;
use std::net::{SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::mpsc::{Receiver, Sender, SyncSender, TrySendError, channel, sync_channel};

use mio::{Poll, Token, Waker};
use tokio::sync::oneshot;

use byway_turn::server::{ListenerId, StreamId};

/// How many connections and how many messages may wait for a shard. Beyond that they are closed and dropped. Each kind has
/// room of its own: whoever fills one with media keeps nobody's connection out.
const CAPACITY: usize = 1024;

/// Bytes of messages that may wait for a shard, which are datagrams of up to 64 KiB: of those of a video call, a thousand.
const MAX_BYTES: usize = 2 * 1024 * 1024;

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
    /// A name whose allocations are to end.
    End(Arc<str>),
    /// Somebody who wants to hear whether clients are answered.
    Ask(oneshot::Sender<()>),
    /// The machine's addresses have changed.
    Addresses(AddressNews),
}

/// News of the machine's addresses.
pub(super) enum AddressNews {
    /// The relay has new ones: what they no longer allow is to end.
    Changed,
    /// A UDP listener whose address has come.
    Udp(ListenerId, UdpSocket),
    /// The same of TCP.
    Tcp(TcpListener),
}

/// Where a shard reads its letters.
pub(super) struct Mailbox {
    addresses: Receiver<AddressNews>,
    names: Receiver<Arc<str>>,
    questions: Receiver<oneshot::Sender<()>>,
    streams: Receiver<TurnStream>,
    messages: Receiver<(StreamId, Box<[u8]>)>,
    /// Bytes of `messages`.
    bytes: Arc<AtomicUsize>,
}

impl Mailbox {
    /// The next letter, if there is one; addresses and names come first and then connections, for they are few.
    pub(super) fn next(&self) -> Option<Letter> {
        let news = self.addresses.try_recv().map(Letter::Addresses);
        let letter = news.or_else(|_| self.names.try_recv().map(Letter::End));
        let letter = letter.or_else(|_| self.questions.try_recv().map(Letter::Ask));
        let letter = letter.or_else(|_| self.streams.try_recv().map(Letter::Stream));
        let message = || {
            self.messages.try_recv().map(|(to, message)| {
                self.bytes.fetch_sub(message.len(), Relaxed);
                Letter::Message(to, message)
            })
        };
        letter.or_else(|_| message()).ok()
    }
}

/// Where the others put them.
#[derive(Clone)]
pub(super) struct Slot {
    addresses: Sender<AddressNews>,
    names: Sender<Arc<str>>,
    questions: SyncSender<oneshot::Sender<()>>,
    streams: SyncSender<TurnStream>,
    messages: SyncSender<(StreamId, Box<[u8]>)>,
    bytes: Arc<AtomicUsize>,
    waker: Arc<Waker>,
}

impl Slot {
    /// A mailbox whose letters make `poll` name `token`.
    pub(super) fn new(poll: &Poll, token: Token) -> io::Result<(Self, Mailbox)> {
        let (addresses, news) = channel();
        let (names, to_end) = channel();
        // While a shard is silent, questions do not gather.
        let (questions, to_answer) = sync_channel(1);
        let (streams, to_take_in) = sync_channel(CAPACITY);
        let (messages, to_send) = sync_channel(CAPACITY);
        let waker = Arc::new(Waker::new(poll.registry(), token)?);
        let bytes = Arc::<AtomicUsize>::default();
        let mailbox = Mailbox {
            addresses: news,
            names: to_end,
            questions: to_answer,
            streams: to_take_in,
            messages: to_send,
            bytes: bytes.clone(),
        };
        Ok((Self { addresses, names, questions, streams, messages, bytes, waker }, mailbox))
    }

    /// Has the shard look around, at whatever it is told elsewhere.
    pub(super) fn wake(&self) {
        // One that cannot be woken is awake, or has ended.
        let _ = self.waker.wake();
    }

    /// Has the shard end the allocations of a name. There is always room: to lose this would be to let somebody stay who was
    /// sent away.
    pub(super) fn end(&self, name: Arc<str>) {
        // A shard that has ended has ended its allocations.
        let _ = self.names.send(name);
        self.wake();
    }

    /// Asks the shard whether it answers clients. What is yielded fails where it is too busy with the last question, or ends.
    pub(super) fn ask(&self) -> oneshot::Receiver<()> {
        let (question, answer) = oneshot::channel();
        let _ = self.questions.try_send(question);
        self.wake();
        answer
    }

    /// Tells the shard of the machine's addresses. There is always room, for there are few.
    fn tell(&self, news: AddressNews) {
        // A shard that has ended has neither listeners nor allocations.
        let _ = self.addresses.send(news);
        self.wake();
    }

    /// Puts a message in, if there is room; whether there was.
    pub(super) fn put(&self, to: StreamId, message: Box<[u8]>) -> bool {
        let length = message.len();
        // Counted before it is sent: its shard may have read it before this goes on.
        let fits = self.bytes.fetch_add(length, Relaxed) + length <= MAX_BYTES;
        if !(fits && self.messages.try_send((to, message)).is_ok()) {
            self.bytes.fetch_sub(length, Relaxed);
            return false;
        }
        // A poll that cannot be woken has its eventfd full of wakes, or its shard has ended.
        self.waker.wake().is_ok()
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

    /// Gives a connection to a shard that has room for it, if there is one; whether there was. Without, it is closed.
    pub fn hand_over(&self, mut stream: TurnStream) -> bool {
        let first = self.next.fetch_add(1, Relaxed) % self.slots.len().max(1);
        for slot in self.slots.iter().cycle().skip(first).take(self.slots.len()) {
            stream = match slot.streams.try_send(stream) {
                Ok(()) => return slot.waker.wake().is_ok(),
                Err(TrySendError::Full(stream) | TrySendError::Disconnected(stream)) => stream,
            };
        }
        false
    }
}

/// Tells all shards of addresses that come and go.
#[derive(Clone)]
pub struct AddressDoor {
    slots: Arc<[Slot]>,
}

impl AddressDoor {
    pub(super) fn new(slots: Arc<[Slot]>) -> Self {
        Self { slots }
    }

    /// Has every shard end what [`byway_turn::server::Shared::set_host_addresses`] no longer allows; it is gone within a round of
    /// the shards.
    pub fn changed(&self) {
        self.slots.iter().for_each(|slot| slot.tell(AddressNews::Changed));
    }

    /// Gives each shard its socket of a UDP listener whose address has come.
    pub fn listen_udp(&self, listener: ListenerId, sockets: Vec<UdpSocket>) {
        for (slot, socket) in self.slots.iter().zip(sockets) {
            slot.tell(AddressNews::Udp(listener, socket));
        }
    }

    /// The same of a TCP listener.
    pub fn listen_tcp(&self, sockets: Vec<TcpListener>) {
        for (slot, socket) in self.slots.iter().zip(sockets) {
            slot.tell(AddressNews::Tcp(socket));
        }
    }

    /// Number of shards, each of which needs a socket.
    #[must_use]
    pub fn shards(&self) -> usize {
        self.slots.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mailbox_full_of_media_has_room_for_a_connection_and_for_names() {
        let (slot, mailbox) = Slot::new(&Poll::new().unwrap(), Token(0)).unwrap();
        let to = StreamId { shard: 0, slot: 0, generation: 0 };
        let put = || slot.put(to, Box::default());
        assert_eq!((0..2 * CAPACITY).filter(|_| put()).count(), CAPACITY);

        let door = TcpListener::bind("127.0.0.1:0").unwrap();
        let server = door.local_addr().unwrap();
        let socket = TcpStream::connect(server).unwrap();
        let client = socket.local_addr().unwrap();
        let door = StreamDoor::new(Arc::new([slot.clone()]));
        assert!(door.hand_over(TurnStream { socket, tls: None, client, server }));
        (0..2 * CAPACITY).for_each(|_| slot.end("alice".into()));
        assert!((0..2 * CAPACITY).all(|_| matches!(mailbox.next(), Some(Letter::End(_)))));
        assert!(matches!(mailbox.next(), Some(Letter::Stream(stream)) if stream.client == client));
        assert!(matches!(mailbox.next(), Some(Letter::Message(..))));
        assert!(put(), "one has been read");
    }

    #[test]
    fn threat_29_what_waits_for_a_shard_is_bounded_by_bytes() {
        let (slot, mailbox) = Slot::new(&Poll::new().unwrap(), Token(0)).unwrap();
        let to = StreamId { shard: 0, slot: 0, generation: 0 };
        let put = || slot.put(to, vec![0; 64 * 1024].into());
        assert_eq!((0..CAPACITY).filter(|_| put()).count(), MAX_BYTES / (64 * 1024));
        assert!(matches!(mailbox.next(), Some(Letter::Message(..))));
        assert_eq!([put(), put()], [true, false], "one has been read");
        while mailbox.next().is_some() {}
        assert_eq!(slot.bytes.load(Relaxed), 0);
    }
}
