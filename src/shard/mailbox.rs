//! Mailbox of a shard: messages from other threads. They are:
//!
//! - connections,
//! - messages for the clients of connections,
//! - names whose allocations must end,
//! - questions about allocations,
//! - health checks,
//! - changes of the machine's addresses and of the configuration.
//!
//! UDP does not need the first two, because every shard can send from every listener. A connection
//! lives on one shard only.

use std::io;
use std::net::{SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::mpsc::{Receiver, Sender, SyncSender, TrySendError, channel, sync_channel};

use mio::{Poll, Token, Waker};
use tokio::sync::{mpsc, oneshot};

use byway_turn::server::{ListenerId, StreamId};
use byway_turn::time::Now;

use super::accept::ACCEPTS;
use super::accounts::Question;
use super::connection::Urgency;
use super::poll_loop::{Buffers, Shard};
use super::poll_token::PollToken;

/// Maximum number of queued connections, and of queued messages to clients, for a shard. Beyond
/// that connections are closed and messages are dropped. Each kind has its own queue, so a flood of
/// media does not block connections.
const CAPACITY: usize = 1024;

/// Maximum number of queued questions for a shard.
const QUESTIONS: usize = 4;

/// Maximum bytes of queued messages for a shard. A message is a datagram of up to 64 KiB. This is a
/// thousand datagrams of a video call.
const MAX_BYTES: usize = 2 * 1024 * 1024;

/// Connection on which a client speaks TURN.
pub struct TurnConnection {
    /// Non-blocking socket of the connection.
    pub socket: TcpStream,
    /// TLS session after its handshake. Its reader holds the bytes decrypted so far.
    pub tls: Option<Box<rustls::ServerConnection>>,
    /// Transport address of the client.
    pub client: SocketAddr,
    /// Transport address of the server.
    pub server: SocketAddr,
}

/// Message to a shard.
pub(super) enum Message {
    /// A connection that the shard now owns.
    Connection(TurnConnection),
    /// A message for the client of one of the shard's connections.
    ToClient {
        /// Connection to send it on.
        connection: StreamId,
        message: Box<[u8]>,
    },
    /// A name whose allocations must end.
    EndAllocations(Arc<str>),
    /// A question about the shard's allocations.
    Question(Question),
    /// A health check. It is answered if the shard answers clients.
    Ping(oneshot::Sender<()>),
    /// The machine's addresses or the configuration have changed.
    Update(ShardUpdate),
}

/// Change of the machine's addresses or of the configuration.
pub(super) enum ShardUpdate {
    /// The relay has new addresses or rules. The shard must end what they forbid.
    Changed,
    /// A UDP listener that was added.
    UdpListener(ListenerId, UdpSocket),
    /// A TCP listener that was added.
    TcpListener(TcpListener),
    /// A UDP listener to close, with the allocations of its clients.
    CloseUdp(ListenerId, Closing),
    /// The address of a TCP listener to close. Its connections go on.
    CloseTcp(SocketAddr, Closing),
    /// A question whether the updates before it are applied.
    Applied(Closing),
}

/// Dropped by a shard once it has closed a listener, or applied all updates before.
pub(super) type Closing = mpsc::Sender<()>;

/// Receiving end of a shard's messages.
pub(super) struct Mailbox {
    updates: Receiver<ShardUpdate>,
    names: Receiver<Arc<str>>,
    questions: Receiver<Question>,
    pings: Receiver<oneshot::Sender<()>>,
    connections: Receiver<TurnConnection>,
    to_clients: Receiver<(StreamId, Box<[u8]>)>,
    /// Total bytes in `to_clients`.
    bytes: Arc<AtomicUsize>,
}

impl Mailbox {
    /// Returns the next message, if any. Updates and names come first, then health checks,
    /// questions and connections, because they are few.
    pub(super) fn next(&self) -> Option<Message> {
        let update = self.updates.try_recv().map(Message::Update);
        let next = update.or_else(|_| self.names.try_recv().map(Message::EndAllocations));
        let next = next.or_else(|_| self.pings.try_recv().map(Message::Ping));
        let next = next.or_else(|_| self.questions.try_recv().map(Message::Question));
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
    updates: Sender<ShardUpdate>,
    names: Sender<Arc<str>>,
    questions: SyncSender<Question>,
    pings: SyncSender<oneshot::Sender<()>>,
    connections: SyncSender<TurnConnection>,
    to_clients: SyncSender<(StreamId, Box<[u8]>)>,
    bytes: Arc<AtomicUsize>,
    waker: Arc<Waker>,
}

impl MailboxSender {
    /// Creates a mailbox whose messages wake `poll` with `token`.
    pub(super) fn new(poll: &Poll, token: Token) -> io::Result<(Self, Mailbox)> {
        let (updates, received_updates) = channel();
        let (names, received_names) = channel();
        let (questions, received_questions) = sync_channel(QUESTIONS);
        // Health checks do not accumulate while a shard does not respond.
        let (pings, received_pings) = sync_channel(1);
        let (connections, received_connections) = sync_channel(CAPACITY);
        let (to_clients, received_to_clients) = sync_channel(CAPACITY);
        let waker = Arc::new(Waker::new(poll.registry(), token)?);
        let bytes = Arc::<AtomicUsize>::default();
        let mailbox = Mailbox {
            updates: received_updates,
            names: received_names,
            questions: received_questions,
            pings: received_pings,
            connections: received_connections,
            to_clients: received_to_clients,
            bytes: bytes.clone(),
        };
        Ok((Self { updates, names, questions, pings, connections, to_clients, bytes, waker }, mailbox))
    }

    /// Wakes the shard, so that it checks its mailbox and the stop flag.
    pub(super) fn wake(&self) {
        // On failure the shard is already awake, or has ended.
        let _ = self.waker.wake();
    }

    /// Asks the shard to end the allocations of a name. This queue is unbounded: a lost message
    /// would leave a removed member on the relay.
    pub(super) fn end_allocations(&self, name: Arc<str>) {
        // A send fails only if the shard, and with it its allocations, has ended.
        let _ = self.names.send(name);
        self.wake();
    }

    /// Asks the shard a question. If its queue is full, the question is dropped, and with it the
    /// place for its answer.
    pub(super) fn ask(&self, question: Question) {
        let _ = self.questions.try_send(question);
        self.wake();
    }

    /// Asks the shard whether it answers clients. The receiver fails if the previous check is still
    /// queued, or if the shard ends.
    pub(super) fn ping(&self) -> oneshot::Receiver<()> {
        let (ping, answer) = oneshot::channel();
        let _ = self.pings.try_send(ping);
        self.wake();
        answer
    }

    /// Sends the shard an update. This queue is unbounded, because updates are few.
    fn send_update(&self, update: ShardUpdate) {
        // A send fails only if the shard, with its listeners and allocations, has ended.
        let _ = self.updates.send(update);
        self.wake();
    }

    /// Queues a message to the client of one of the shard's connections. Returns false if the queue
    /// is full.
    pub(super) fn send_to_client(&self, connection: StreamId, message: Box<[u8]>) -> bool {
        let length = message.len();
        // Count before sending, because the shard may read the message at once.
        let fits = self.bytes.fetch_add(length, Relaxed) + length <= MAX_BYTES;
        if !(fits && self.to_clients.try_send((connection, message)).is_ok()) {
            self.bytes.fetch_sub(length, Relaxed);
            return false;
        }
        // A wake fails if the eventfd is full of wakes, or the shard has ended.
        self.waker.wake().is_ok()
    }
}

/// Round-robin sender of connections to the shards.
#[derive(Clone)]
pub struct ConnectionSender {
    mailboxes: Arc<[MailboxSender]>,
    next: Arc<AtomicUsize>,
}

impl ConnectionSender {
    pub(super) fn new(mailboxes: Arc<[MailboxSender]>) -> Self {
        Self { mailboxes, next: Arc::default() }
    }

    /// Passes a connection to a shard whose queue has room. If every queue is full, closes the
    /// connection and returns false.
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

/// Sender of changes to all shards.
#[derive(Clone)]
pub struct ShardUpdates {
    mailboxes: Arc<[MailboxSender]>,
}

impl ShardUpdates {
    pub(super) fn new(mailboxes: Arc<[MailboxSender]>) -> Self {
        Self { mailboxes }
    }

    /// Makes every shard end, within one round, whatever
    /// [`byway_turn::server::Shared::set_host_addresses`] or the rules forbid now.
    pub fn changed(&self) {
        self.mailboxes.iter().for_each(|mailbox| mailbox.send_update(ShardUpdate::Changed));
    }

    /// Passes each shard its socket of a UDP listener that was added.
    pub fn listen_udp(&self, listener: ListenerId, sockets: Vec<UdpSocket>) {
        for (mailbox, socket) in self.mailboxes.iter().zip(sockets) {
            mailbox.send_update(ShardUpdate::UdpListener(listener, socket));
        }
    }

    /// Passes each shard its socket of a TCP listener that was added.
    pub fn listen_tcp(&self, sockets: Vec<TcpListener>) {
        for (mailbox, socket) in self.mailboxes.iter().zip(sockets) {
            mailbox.send_update(ShardUpdate::TcpListener(socket));
        }
    }

    /// Makes every shard close a UDP listener and end the allocations of its clients. The receiver
    /// ends once all have.
    #[must_use]
    pub fn close_udp(&self, listener: ListenerId) -> mpsc::Receiver<()> {
        self.close(|closing| ShardUpdate::CloseUdp(listener, closing))
    }

    /// Makes every shard close a TCP listener. Its connections go on. The receiver ends once all
    /// have.
    #[must_use]
    pub fn close_tcp(&self, listener: SocketAddr) -> mpsc::Receiver<()> {
        self.close(|closing| ShardUpdate::CloseTcp(listener, closing))
    }

    /// Returns a receiver that ends once every shard has applied the updates before.
    #[must_use]
    pub fn applied(&self) -> mpsc::Receiver<()> {
        self.close(ShardUpdate::Applied)
    }

    fn close(&self, update: impl Fn(Closing) -> ShardUpdate) -> mpsc::Receiver<()> {
        let (closing, closed) = mpsc::channel(1);
        self.mailboxes.iter().for_each(|mailbox| mailbox.send_update(update(closing.clone())));
        closed
    }

    /// Returns the number of shards, each of which needs a socket.
    #[must_use]
    pub fn shards(&self) -> usize {
        self.mailboxes.len()
    }
}

impl Shard {
    /// Serves up to [`ACCEPTS`] messages of other threads. Returns true once the mailbox is empty.
    pub(super) fn serve_mailbox(&mut self, now: Now, buffers: &mut Buffers) -> bool {
        for _ in 0..ACCEPTS {
            match self.mailbox.next() {
                Some(Message::Connection(connection)) => {
                    // The poll does not report bytes that are already decrypted.
                    if let Some(place) = self.admit(now, buffers, connection) {
                        self.make_ready(PollToken::Connection(place));
                    }
                }
                Some(Message::ToClient { connection, message }) => {
                    if let Err(reason) = self.connections.send(connection, [&message, &[]], Urgency::Media) {
                        self.counters.dropped(reason, 1);
                    }
                }
                Some(Message::Update(update)) => self.apply_update(now, buffers, update),
                Some(Message::EndAllocations(name)) => {
                    let ended = self.relay.end_all_of(now, &name);
                    self.counters.allocations_revoked.add(ended as u64);
                    self.take_effects(now, buffers);
                }
                Some(Message::Question(question)) => self.answer(now, buffers, question),
                // The send fails if the health check has timed out.
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
        assert!(put(), "one message was read");
    }

    #[test]
    fn threat_29_what_waits_for_a_shard_is_bounded_by_bytes() {
        let (sender, mailbox) = MailboxSender::new(&Poll::new().unwrap(), Token(0)).unwrap();
        let to = StreamId { shard: 0, slot: 0, generation: 0 };
        let put = || sender.send_to_client(to, vec![0; 64 * 1024].into());
        assert_eq!((0..CAPACITY).filter(|_| put()).count(), MAX_BYTES / (64 * 1024));
        assert!(matches!(mailbox.next(), Some(Message::ToClient { .. })));
        assert_eq!([put(), put()], [true, false], "one message was read");
        while mailbox.next().is_some() {}
        assert_eq!(sender.bytes.load(Relaxed), 0);
    }
}
