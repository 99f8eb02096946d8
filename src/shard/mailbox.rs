//! Mailbox of a shard: messages from other threads, such as connections, messages for the clients
//! behind connections, names whose allocations are to end, health checks, and changes of the
//! machine's addresses.
//!
//! UDP needs neither of the first two: every shard can send from every listener. A connection lives
//! on one shard alone.

use std::io;
use std::net::{SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::mpsc::{Receiver, Sender, SyncSender, TrySendError, channel, sync_channel};

use mio::{Poll, Token, Waker};
use tokio::sync::oneshot;

use byway_turn::server::{ListenerId, StreamId};
use byway_turn::time::Now;

use super::accept::ACCEPTS;
use super::connection::Urgency;
use super::poll_loop::{Buffers, Shard};
use super::poll_token::PollToken;

/// Connections, and messages to clients, that may wait for a shard. Beyond that they are closed and
/// dropped. Each kind has room of its own, so media that fills one keeps no connection out.
const CAPACITY: usize = 1024;

/// Bytes of messages that may wait for a shard, which are datagrams of up to 64 KiB: of those of a
/// video call, a thousand.
const MAX_BYTES: usize = 2 * 1024 * 1024;

/// A connection on which a client speaks TURN.
pub struct TurnConnection {
    /// Socket of the connection, not blocking.
    pub socket: TcpStream,
    /// TLS over it, its handshake done. What has been decrypted already waits in its reader.
    pub tls: Option<Box<rustls::ServerConnection>>,
    /// The client's transport address.
    pub client: SocketAddr,
    /// The server's.
    pub server: SocketAddr,
}

/// A message to a shard.
pub(super) enum Message {
    /// A connection that is the shard's from now on.
    Connection(TurnConnection),
    /// A message for the client behind one of its connections.
    ToClient {
        /// Connection to send it on.
        connection: StreamId,
        message: Box<[u8]>,
    },
    /// A name whose allocations are to end.
    EndAllocations(Arc<str>),
    /// A health check, which is answered if clients are.
    Ping(oneshot::Sender<()>),
    /// The machine's addresses have changed.
    AddressUpdate(AddressUpdate),
}

/// A change of the machine's addresses.
pub(super) enum AddressUpdate {
    /// The relay has new addresses: what they no longer allow is to end.
    Changed,
    /// A UDP listener whose address has come.
    UdpListener(ListenerId, UdpSocket),
    /// A TCP listener whose address has come.
    TcpListener(TcpListener),
}

/// Receiving end of a shard's messages.
pub(super) struct Mailbox {
    address_updates: Receiver<AddressUpdate>,
    names: Receiver<Arc<str>>,
    pings: Receiver<oneshot::Sender<()>>,
    connections: Receiver<TurnConnection>,
    to_clients: Receiver<(StreamId, Box<[u8]>)>,
    /// Bytes of `to_clients`.
    bytes: Arc<AtomicUsize>,
}

impl Mailbox {
    /// Returns the next message, if there is one. Addresses and names come first and then
    /// connections, for they are few.
    pub(super) fn next(&self) -> Option<Message> {
        let update = self.address_updates.try_recv().map(Message::AddressUpdate);
        let next = update.or_else(|_| self.names.try_recv().map(Message::EndAllocations));
        let next = next.or_else(|_| self.pings.try_recv().map(Message::Ping));
        let next = next.or_else(|_| self.connections.try_recv().map(Message::Connection));
        let to_client = || {
            self.to_clients.try_recv().map(|(connection, message)| {
                self.bytes.fetch_sub(message.len(), Relaxed);
                Message::ToClient { connection, message }
            })
        };
        next.or_else(|_| to_client()).ok()
    }
}

/// Sending end of a shard's messages.
#[derive(Clone)]
pub(super) struct MailboxSender {
    address_updates: Sender<AddressUpdate>,
    names: Sender<Arc<str>>,
    pings: SyncSender<oneshot::Sender<()>>,
    connections: SyncSender<TurnConnection>,
    to_clients: SyncSender<(StreamId, Box<[u8]>)>,
    bytes: Arc<AtomicUsize>,
    waker: Arc<Waker>,
}

impl MailboxSender {
    /// Creates a mailbox whose messages make `poll` name `token`.
    pub(super) fn new(poll: &Poll, token: Token) -> io::Result<(Self, Mailbox)> {
        let (address_updates, received_updates) = channel();
        let (names, received_names) = channel();
        // While a shard is silent, health checks do not gather.
        let (pings, received_pings) = sync_channel(1);
        let (connections, received_connections) = sync_channel(CAPACITY);
        let (to_clients, received_to_clients) = sync_channel(CAPACITY);
        let waker = Arc::new(Waker::new(poll.registry(), token)?);
        let bytes = Arc::<AtomicUsize>::default();
        let mailbox = Mailbox {
            address_updates: received_updates,
            names: received_names,
            pings: received_pings,
            connections: received_connections,
            to_clients: received_to_clients,
            bytes: bytes.clone(),
        };
        Ok((Self { address_updates, names, pings, connections, to_clients, bytes, waker }, mailbox))
    }

    /// Wakes the shard, so that it looks at its mailbox and whether it is to stop.
    pub(super) fn wake(&self) {
        // One that cannot be woken is awake, or has ended.
        let _ = self.waker.wake();
    }

    /// Has the shard end the allocations of a name. There is always room: a message that is lost
    /// would leave a member on the relay that was removed.
    pub(super) fn end_allocations(&self, name: Arc<str>) {
        // A shard that has ended has ended its allocations.
        let _ = self.names.send(name);
        self.wake();
    }

    /// Asks the shard whether it answers clients. The receiver fails where the shard is busy with
    /// the last check, or ends.
    pub(super) fn ping(&self) -> oneshot::Receiver<()> {
        let (ping, answer) = oneshot::channel();
        let _ = self.pings.try_send(ping);
        self.wake();
        answer
    }

    /// Tells the shard of the machine's addresses. There is always room, for such updates are few.
    fn update_addresses(&self, update: AddressUpdate) {
        // A shard that has ended has neither listeners nor allocations.
        let _ = self.address_updates.send(update);
        self.wake();
    }

    /// Sends a message to the client behind a connection of the shard, if there is room; returns
    /// whether there was.
    pub(super) fn send_to_client(&self, connection: StreamId, message: Box<[u8]>) -> bool {
        let length = message.len();
        // Counted before it is sent: its shard may have read it before this goes on.
        let fits = self.bytes.fetch_add(length, Relaxed) + length <= MAX_BYTES;
        if !(fits && self.to_clients.try_send((connection, message)).is_ok()) {
            self.bytes.fetch_sub(length, Relaxed);
            return false;
        }
        // A poll that cannot be woken has its eventfd full of wakes, or its shard has ended.
        self.waker.wake().is_ok()
    }
}

/// Hands connections over to the shards, one after the other.
#[derive(Clone)]
pub struct ConnectionSender {
    mailboxes: Arc<[MailboxSender]>,
    next: Arc<AtomicUsize>,
}

impl ConnectionSender {
    pub(super) fn new(mailboxes: Arc<[MailboxSender]>) -> Self {
        Self { mailboxes, next: Arc::default() }
    }

    /// Gives a connection to a shard that has room for it; returns whether there was one. Without,
    /// it is closed.
    pub fn hand_over(&self, mut connection: TurnConnection) -> bool {
        let first = self.next.fetch_add(1, Relaxed) % self.mailboxes.len().max(1);
        for mailbox in self.mailboxes.iter().cycle().skip(first).take(self.mailboxes.len()) {
            connection = match mailbox.connections.try_send(connection) {
                Ok(()) => return mailbox.waker.wake().is_ok(),
                Err(TrySendError::Full(connection) | TrySendError::Disconnected(connection)) => connection,
            };
        }
        false
    }
}

/// Tells all shards of addresses that come and go.
#[derive(Clone)]
pub struct AddressUpdates {
    mailboxes: Arc<[MailboxSender]>,
}

impl AddressUpdates {
    pub(super) fn new(mailboxes: Arc<[MailboxSender]>) -> Self {
        Self { mailboxes }
    }

    /// Has every shard end what [`byway_turn::server::Shared::set_host_addresses`] no longer
    /// allows; it is gone within a round of the shards.
    pub fn changed(&self) {
        self.mailboxes.iter().for_each(|mailbox| mailbox.update_addresses(AddressUpdate::Changed));
    }

    /// Gives each shard its socket of a UDP listener whose address has come.
    pub fn listen_udp(&self, listener: ListenerId, sockets: Vec<UdpSocket>) {
        for (mailbox, socket) in self.mailboxes.iter().zip(sockets) {
            mailbox.update_addresses(AddressUpdate::UdpListener(listener, socket));
        }
    }

    /// Gives each shard its socket of a TCP listener whose address has come.
    pub fn listen_tcp(&self, sockets: Vec<TcpListener>) {
        for (mailbox, socket) in self.mailboxes.iter().zip(sockets) {
            mailbox.update_addresses(AddressUpdate::TcpListener(socket));
        }
    }

    /// Number of shards, each of which needs a socket.
    #[must_use]
    pub fn shards(&self) -> usize {
        self.mailboxes.len()
    }
}

impl Shard {
    /// Serves the messages of other threads, up to [`ACCEPTS`]; returns true when nothing is left.
    pub(super) fn serve_mailbox(&mut self, now: Now, buffers: &mut Buffers) -> bool {
        for _ in 0..ACCEPTS {
            match self.mailbox.next() {
                Some(Message::Connection(connection)) => {
                    // The poll does not tell of what has been decrypted already.
                    if let Some(place) = self.admit(now, buffers, connection) {
                        self.make_ready(PollToken::Connection(place));
                    }
                }
                Some(Message::ToClient { connection, message }) => {
                    if let Err(reason) = self.connections.send(connection, [&message, &[]], Urgency::Media) {
                        self.counters.dropped(reason, 1);
                    }
                }
                Some(Message::AddressUpdate(update)) => self.apply_address_update(now, buffers, update),
                Some(Message::EndAllocations(name)) => {
                    let ended = self.relay.end_all_of(now, &name);
                    self.counters.allocations_revoked.add(ended as u64);
                    self.take_effects(now, buffers);
                }
                // The health check may have given up.
                Some(Message::Ping(ping)) if self.answers_a_binding(now, buffers) => {
                    let _ = ping.send(());
                }
                Some(Message::Ping(_)) => {}
                None => return true,
            }
        }
        false
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mailbox_full_of_media_has_room_for_a_connection_and_for_names() {
        let (sender, mailbox) = MailboxSender::new(&Poll::new().unwrap(), Token(0)).unwrap();
        let to = StreamId { shard: 0, slot: 0, generation: 0 };
        let put = || sender.send_to_client(to, Box::default());
        assert_eq!((0..2 * CAPACITY).filter(|_| put()).count(), CAPACITY);

        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let server = listener.local_addr().unwrap();
        let socket = TcpStream::connect(server).unwrap();
        let client = socket.local_addr().unwrap();
        let connections = ConnectionSender::new(Arc::new([sender.clone()]));
        assert!(connections.hand_over(TurnConnection { socket, tls: None, client, server }));
        (0..2 * CAPACITY).for_each(|_| sender.end_allocations("alice".into()));
        assert!((0..2 * CAPACITY).all(|_| matches!(mailbox.next(), Some(Message::EndAllocations(_)))));
        assert!(
            matches!(mailbox.next(), Some(Message::Connection(connection)) if connection.client == client)
        );
        assert!(matches!(mailbox.next(), Some(Message::ToClient { .. })));
        assert!(put(), "one has been read");
    }

    #[test]
    fn threat_29_what_waits_for_a_shard_is_bounded_by_bytes() {
        let (sender, mailbox) = MailboxSender::new(&Poll::new().unwrap(), Token(0)).unwrap();
        let to = StreamId { shard: 0, slot: 0, generation: 0 };
        let put = || sender.send_to_client(to, vec![0; 64 * 1024].into());
        assert_eq!((0..CAPACITY).filter(|_| put()).count(), MAX_BYTES / (64 * 1024));
        assert!(matches!(mailbox.next(), Some(Message::ToClient { .. })));
        assert_eq!([put(), put()], [true, false], "one has been read");
        while mailbox.next().is_some() {}
        assert_eq!(sender.bytes.load(Relaxed), 0);
    }
}
