//! Event loop of one shard: its thread, its poll and its rounds.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::thread;
use std::time::Duration;

use byway_turn::server::Relay;
use byway_turn::time::Now;
use byway_turn::wire::Reply;
use byway_udp::{Inbox, Outbox};
use mio::{Events, Poll};

use super::accept::TcpListeners;
use super::accounts::Accounts;
use super::connections::Connections;
use super::counters::ShardCounters;
use super::flush::{SocketId, TrafficKind};
use super::idle::IdleStrategy;
use super::listener::{Offload, UdpListener};
use super::mailbox::{Mailbox, MailboxSender};
use super::pinning::pin;
use super::receive_stream::CONNECTION_ROOM;
use super::relay_sockets::RelaySocket;
use super::reserved::ReservedSockets;
use super::schedule::{BATCHES, ReadyQueues};
use super::sockets::ShardListeners;
use super::timer::Timer;
use super::tuning::Tuning;
use crate::clock::Clock;
use crate::events::EventSender;
use crate::net::connection_limit::ConnectionLimiter;

/// Maximum number of events that one poll returns.
const EVENTS: usize = 1024;

/// Configuration of one shard.
pub struct ShardConfig {
    /// Sockets that the shard listens on.
    pub listeners: ShardListeners,
    /// Relay that decides on everything the shard receives.
    pub relay: Relay,
    /// Counters that the shard's thread writes.
    pub counters: Arc<ShardCounters>,
    /// Sender of what happens to allocations.
    pub events: EventSender,
    /// Limiter of the shard's connections. Each shard has its own, because it can evict only its
    /// own connections.
    pub limiter: Arc<ConnectionLimiter>,
}

/// Parts that all shards share.
#[derive(Clone)]
pub(super) struct Common {
    /// Mailboxes by shard index.
    pub(super) mailboxes: Arc<[MailboxSender]>,
    pub(super) reserved: ReservedSockets,
    pub(super) tuning: Tuning,
    pub(super) clock: Clock,
}

/// A shard: one relay, and every socket that the shard serves.
pub(super) struct Shard {
    pub(super) index: u16,
    clock: Clock,
    pub(super) tuning: Tuning,
    pub(super) offload: Offload,
    /// Core that the shard's thread is pinned to, if any.
    pub(super) cpu: Option<usize>,
    pub(super) poll: Poll,
    pub(super) relay: Relay,
    pub(super) counters: Arc<ShardCounters>,
    pub(super) accounts: Accounts,
    /// UDP listeners by [`ListenerId`](byway_turn::server::ListenerId). `None` if the machine does
    /// not have the address yet.
    pub(super) listeners: Vec<Option<UdpListener>>,
    pub(super) tcp_listeners: TcpListeners,
    /// Relay sockets by allocation slot, IPv4 and IPv6 side by side.
    pub(super) relay_sockets: Vec<Option<RelaySocket>>,
    /// Reserved sockets of all shards.
    pub(super) reserved: ReservedSockets,
    pub(super) connections: Connections,
    pub(super) mailbox: Mailbox,
    pub(super) ready: ReadyQueues,
}

/// Memory of a round. It is separate from the shard because it is allocated on the shard's thread
/// and never leaves it.
pub(super) struct Buffers {
    /// Batches being served. Connections are read into its scratch bytes.
    pub(super) inbox: Inbox,
    /// Datagrams to send. Their payloads are in the inbox.
    pub(super) outbox: Outbox<SocketId, TrafficKind>,
    /// Latest response of the relay.
    pub(super) reply: Reply,
}

impl Buffers {
    fn new(offload: Offload) -> Self {
        Self {
            inbox: Inbox::new(BATCHES, CONNECTION_ROOM),
            outbox: Outbox::new(offload.send),
            reply: Reply::new(),
        }
    }
}

impl Shard {
    /// Creates a shard and registers its listeners with its poll.
    pub(super) fn new(
        index: u16,
        poll: Poll,
        mailbox: Mailbox,
        config: ShardConfig,
        common: &Common,
    ) -> io::Result<Self> {
        let ShardConfig { listeners: ShardListeners { udp, tcp }, mut relay, counters, events, limiter } =
            config;
        let Common { mailboxes, reserved, tuning, clock } = common.clone();
        let mut listeners = Vec::new();
        for (place, socket) in udp.into_iter().enumerate() {
            listeners
                .push(socket.map(|socket| UdpListener::new(socket, place, poll.registry())).transpose()?);
        }
        let mut tcp_listeners = TcpListeners::default();
        for listener in tcp {
            tcp_listeners.add(listener, poll.registry())?;
        }
        relay.keep_records();
        let offload = Offload::enable(&listeners, &tuning);
        counters.receive_offload.set(offload.receive.into());
        counters.send_offload.set(offload.send.into());
        Ok(Self {
            index,
            clock,
            tuning,
            offload,
            cpu: None,
            poll,
            relay,
            counters,
            accounts: Accounts::new(events),
            listeners,
            tcp_listeners,
            relay_sockets: Vec::new(),
            reserved,
            connections: Connections::new(index, mailboxes, limiter),
            mailbox,
            ready: ReadyQueues::default(),
        })
    }

    /// Runs until `stop` is set. The caller must then wake the mailbox.
    ///
    /// # Errors
    /// The kernel refuses to poll.
    pub(super) fn run(mut self, stop: &AtomicBool) -> io::Result<()> {
        self.cpu = self.tuning.incoming_cpu.then(|| self.keep_to_a_core()).flatten();
        let mut events = Events::with_capacity(EVENTS);
        let mut idle = IdleStrategy::new(self.tuning.nap, self.tuning.busy_poll);
        let mut timer = Timer::new(self.poll.registry())?;
        // Allocate the buffers on this thread: memory is local to the core that first touches it.
        let mut buffers = Buffers::new(self.offload);
        let mut now = self.clock.now();
        while !stop.load(Relaxed) {
            let polls_again = self.has_work() || idle.is_busy_polling(now);
            timer.set(now, self.next_deadline())?;
            self.poll.poll(&mut events, polls_again.then_some(Duration::ZERO)).or_else(ignore_interrupt)?;
            self.take_events(&events);
            // Read the clock once per round.
            now = self.clock.now();
            let batches = self.serve_round(now, &mut buffers);
            self.expire(now, &mut buffers);
            if let Some(nap) = idle.after_round(now, batches).filter(|_| !self.has_work()) {
                self.counters.naps.add(1);
                thread::sleep(nap);
            }
        }
        self.relay.end_all(now);
        self.take_effects(now, &mut buffers);
        Ok(())
    }

    /// Queues every socket that the kernel reports ready.
    fn take_events(&mut self, events: &Events) {
        for event in events {
            let token = event.token().into();
            if event.is_error() {
                self.note_error(token);
            }
            self.make_ready(token);
        }
    }

    /// Expires allocations, connections and delays.
    fn expire(&mut self, now: Now, buffers: &mut Buffers) {
        self.relay.expire(now);
        self.take_effects(now, buffers);
        self.resume_accepting(now);
        self.check_connections(now, buffers);
        self.flush(buffers);
        self.connections.flush();
    }

    /// Returns the next deadline.
    fn next_deadline(&self) -> Option<Duration> {
        let deadlines =
            [self.relay.next_deadline(), self.connections.next_check(), self.tcp_listeners.resume_at()];
        deadlines.into_iter().flatten().min()
    }

    /// Pins this thread to a core, and makes the listeners prefer datagrams that arrive there.
    /// Returns that core.
    fn keep_to_a_core(&self) -> Option<usize> {
        let listeners = || self.listeners.iter().flatten();
        let pinned = pin(self.index).and_then(|core| {
            listeners().try_for_each(|listener| listener.prefer(core))?;
            Ok(core)
        });
        let unpinned = |error: &io::Error| {
            tracing::warn!(%error, shard = self.index, "relay.incoming_cpu: this shard is not pinned to a core");
        };
        pinned.inspect_err(unpinned).ok()
    }
}

fn ignore_interrupt(error: io::Error) -> io::Result<()> {
    if error.kind() == io::ErrorKind::Interrupted { Ok(()) } else { Err(error) }
}
