//! One shard: one thread, one runtime, one relay.

use std::collections::VecDeque;
use std::io;
use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::os::fd::AsRawFd as _;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::time::Duration;

use mio::unix::SourceFd;
use mio::{Events, Interest, Poll};
use tokio::io::unix::AsyncFd;
use tokio::sync::watch;
use tokio::task::yield_now;
use tokio::time::{Sleep, sleep};

use super::datagram::{self, Outgoing, Received, UNMARKED};
use super::error_queue::{Undelivered, receive_error};
use super::mailbox::{Mailbox, Slot};
use super::sockets::{Listeners, bind_relay};
use super::source::Source;
use super::stream::Urgency;
use super::streams::{STREAM_ROOM, Streams};
use crate::admission::Admissions;
use crate::clock::{Clock, Now};
use crate::metrics::{Direction, ShardCounters};
use crate::relay::{Action, Answer, BindError, Effect, FiveTuple, Link, ListenerId, Reason, Relay, RelayId};
use crate::wire::{AddressFamily, HEADROOM, Reply, Span, TAILROOM};

/// Datagrams of one socket, or messages of one connection, that may be served before it is the next one's turn: one greedy
/// flow delays the others by this many, however much it sends.
pub(super) const BURST: usize = 32;

/// Rounds over the ready sockets before the runtime gets its turn.
const ROUNDS: usize = 16;

/// Sockets that the kernel names ready at a time.
const EVENTS: usize = 1024;

/// The longest UDP payload.
const MAX_DATAGRAM: usize = 65_535;

/// A shard on its sockets.
pub(super) struct Shard {
    core: Core,
    poll: Poll,
    events: Events,
}

/// What a shard is made of.
pub(super) struct Parts {
    pub(super) index: u16,
    pub(super) listeners: Listeners,
    pub(super) relay: Relay,
    pub(super) counters: Arc<ShardCounters>,
    pub(super) clock: Clock,
    pub(super) poll: Poll,
    pub(super) mailbox: Mailbox,
    /// The mailboxes of all shards.
    pub(super) slots: Arc<[Slot]>,
    pub(super) admissions: Arc<Admissions>,
}

impl Shard {
    pub(super) fn new(parts: Parts) -> io::Result<Self> {
        let Parts { index, listeners, relay, counters, clock, poll, mailbox, slots, admissions } = parts;
        let registry = poll.registry().try_clone()?;
        let mut udp = Vec::new();
        for (place, socket) in listeners.udp.into_iter().enumerate() {
            let token = Source::Listener(place).into();
            registry.register(&mut SourceFd(&socket.as_raw_fd()), token, Interest::READABLE)?;
            let address = socket.local_addr()?.ip();
            udp.push(Listener { socket, address, ready: false });
        }
        let streams = Streams::new(index, listeners.tcp, mailbox, slots, admissions, &registry)?;
        let core = Core {
            relay,
            listeners: udp,
            relays: Vec::new(),
            streams,
            ready: VecDeque::new(),
            registry,
            counters,
            clock,
            buffer: vec![0; HEADROOM + MAX_DATAGRAM.max(STREAM_ROOM) + TAILROOM].into_boxed_slice(),
            reply: Reply::new(),
        };
        Ok(Self { core, poll, events: Events::with_capacity(EVENTS) })
    }

    /// Runs until told to stop.
    pub(super) fn run(self, stop: watch::Receiver<bool>) -> io::Result<()> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        runtime.block_on(self.serve(stop))
    }

    async fn serve(self, mut stop: watch::Receiver<bool>) -> io::Result<()> {
        let Self { mut core, poll, mut events } = self;
        #[expect(unsafe_code, reason = "the runtime waits on the descriptor of the poll")]
        // SAFETY: the poll's descriptor is open for as long as the poll is, which the `AsyncFd` owns until it is dropped.
        let mut poll = unsafe { AsyncFd::register_with_interest(poll, tokio::io::Interest::READABLE) }?;
        let mut stopped = pin!(stop.wait_for(|stop| *stop));
        let mut alarm = Alarm { deadline: None, sleep: Box::pin(sleep(Duration::ZERO)) };
        loop {
            let mut round = 0;
            let (now, is_quiet) = loop {
                round += 1;
                poll.get_mut().poll(&mut events, Some(Duration::ZERO)).or_else(ignore_interrupt)?;
                for event in &events {
                    let source = event.token().into();
                    if event.is_error() {
                        core.note_error(source);
                    }
                    core.make_ready(source);
                }
                // One clock read for the whole round.
                let now = core.clock.now();
                core.serve_ready(now);
                // The kernel has named all that was ready, and all of that has been read dry: whatever comes from now on
                // makes the poll itself readable anew.
                let is_quiet = core.ready.is_empty() && events.iter().count() < EVENTS;
                if is_quiet || round == ROUNDS {
                    break (now, is_quiet);
                }
            };
            core.expire(now);
            let is_quiet = is_quiet && core.ready.is_empty();
            alarm.set(now, core.next_deadline());
            tokio::select! {
                biased;
                // First, so that a shard whose sockets never run dry hears it, too.
                _ = &mut stopped => return Ok(()),
                guard = poll.readable() => guard?.clear_ready(),
                () = alarm.sleep.as_mut(), if alarm.deadline.is_some() => alarm.deadline = None,
                () = yield_now(), if !is_quiet => {}
            }
        }
    }
}

/// A timer that is only touched when its deadline moves.
struct Alarm {
    deadline: Option<Duration>,
    sleep: Pin<Box<Sleep>>,
}

impl Alarm {
    fn set(&mut self, now: Now, deadline: Option<Duration>) {
        if let Some(deadline) = deadline.filter(|deadline| self.deadline != Some(*deadline)) {
            self.sleep.set(sleep(deadline.saturating_sub(now.mono)));
        }
        self.deadline = deadline;
    }
}

/// Everything that a datagram touches.
pub(super) struct Core {
    pub(super) relay: Relay,
    listeners: Vec<Listener>,
    /// By the slots of their allocations, IPv4 and IPv6 beside each other.
    relays: Vec<Option<RelaySocket>>,
    pub(super) streams: Streams,
    /// What may have something waiting, each once. Readiness is told once (edge-triggered), so a source stays here until
    /// it has been read dry.
    ready: VecDeque<Source>,
    pub(super) registry: mio::Registry,
    pub(super) counters: Arc<ShardCounters>,
    clock: Clock,
    /// Room for a header, what was received, room for padding.
    pub(super) buffer: Box<[u8]>,
    pub(super) reply: Reply,
}

/// A UDP socket that clients send to.
struct Listener {
    socket: UdpSocket,
    address: IpAddr,
    ready: bool,
}

impl Listener {
    /// Sends to the client of a 5-tuple, from the address that it has sent to (RFC 8656 section 12.7, RFC 8489 section
    /// 6.3): a wildcard has many.
    fn send(&self, five_tuple: FiveTuple, message: &[u8], traffic_class: u8) -> Result<(), Reason> {
        let from = self.address.is_unspecified().then_some(five_tuple.server);
        let outgoing = Outgoing { to: five_tuple.client, from, traffic_class, dont_fragment: false };
        send(&self.socket, message, outgoing)
    }
}

/// A UDP socket that the peers of an allocation send to.
struct RelaySocket {
    socket: UdpSocket,
    id: RelayId,
    ready: bool,
    /// ICMP errors may be waiting.
    has_errors: bool,
}

impl Core {
    /// Puts a source into the queue, if it is there and not in the queue yet.
    pub(super) fn make_ready(&mut self, source: Source) {
        let is_new = match self.ready(source) {
            Some(ready) => !std::mem::replace(ready, true),
            None => source == Source::Mailbox && !self.ready.contains(&source),
        };
        if is_new {
            self.ready.push_back(source);
        }
    }

    /// Notes that a source has errors waiting. Only relay sockets keep any.
    fn note_error(&mut self, source: Source) {
        if let Source::Relay(slot) = source
            && let Some(Some(relay)) = self.relays.get_mut(slot)
        {
            relay.has_errors = true;
        }
    }

    /// Whether a source is in the queue.
    fn ready(&mut self, source: Source) -> Option<&mut bool> {
        match source {
            Source::Listener(place) => self.listeners.get_mut(place).map(|listener| &mut listener.ready),
            Source::Relay(place) => self.relays.get_mut(place)?.as_mut().map(|relay| &mut relay.ready),
            Source::Door(_) | Source::Stream(_) => self.streams.ready(source),
            Source::Mailbox => None,
        }
    }

    /// Gives each ready source one turn.
    fn serve_ready(&mut self, now: Now) {
        for _ in 0..self.ready.len() {
            let Some(source) = self.ready.pop_front() else { break };
            let is_dry = match source {
                Source::Listener(place) => self.serve_listener(now, place),
                Source::Relay(place) => self.serve_relay(now, place),
                Source::Door(place) => self.serve_door(now, place),
                Source::Stream(place) => self.serve_stream(now, place),
                Source::Mailbox => self.serve_mailbox(now),
            };
            // It may have been closed by what it received.
            if let Some(ready) = self.ready(source) {
                *ready = false;
            }
            if !is_dry {
                self.make_ready(source);
            }
        }
        self.streams.flush();
    }

    /// Serves up to [`BURST`] datagrams of clients; true when there are no more.
    fn serve_listener(&mut self, now: Now, place: usize) -> bool {
        for _ in 0..BURST {
            let Some(Listener { socket, address, .. }) = self.listeners.get(place) else { return true };
            let server = *address;
            match receive_behind_headroom(socket, &mut self.buffer) {
                Ok(Some(received)) => self.serve_client(now, place, server, received),
                Ok(None) => return true,
                Err(error) => tracing::trace!(%error, "receiving"),
            }
        }
        false
    }

    /// Serves up to [`BURST`] datagrams of an allocation's peers, and as many errors; true when there are no more.
    fn serve_relay(&mut self, now: Now, place: usize) -> bool {
        let has_errors = !self.serve_errors(now, place);
        for _ in 0..BURST {
            let Some(Some(RelaySocket { socket, id, .. })) = self.relays.get(place) else { return true };
            let id = *id;
            match receive_behind_headroom(socket, &mut self.buffer) {
                Ok(Some(received)) => self.serve_peer(now, id, received),
                Ok(None) => return !has_errors,
                Err(error) => tracing::trace!(%error, "receiving"),
            }
        }
        false
    }

    /// Tells the client of up to [`BURST`] ICMP errors; true when there are no more. Left where they are, they would take
    /// the room of datagrams.
    fn serve_errors(&mut self, now: Now, place: usize) -> bool {
        for _ in 0..BURST {
            let Some(Some(relay)) = self.relays.get_mut(place) else { return true };
            if !relay.has_errors {
                return true;
            }
            match receive_error(&relay.socket) {
                Ok(Some(Undelivered { to, icmp })) => {
                    let id = relay.id;
                    let action = self.relay.peer_unreachable(now, id, to, icmp, &mut self.reply);
                    self.act(action, HEADROOM, UNMARKED, Direction::ToClient);
                }
                Ok(None) => {}
                Err(_) => relay.has_errors = false,
            }
        }
        false
    }

    fn serve_client(&mut self, now: Now, listener: usize, server: IpAddr, received: Received) {
        let listener =
            ListenerId(u16::try_from(listener).expect("the configuration holds fewer than 2^16 listeners"));
        let Received { length, from, to, traffic_class } = received;
        // Two link-local clients with one address on two links are two clients: the scope is part of theirs.
        let five_tuple = FiveTuple { client: from, server: to.unwrap_or(server), link: Link::Udp(listener) };
        let datagram = &self.buffer[HEADROOM..HEADROOM + length];
        let action = self.relay.client_datagram(now, five_tuple, datagram, &mut self.reply);
        self.act(action, HEADROOM, traffic_class, Direction::BetweenClients);
        self.take_effects(now);
    }

    fn serve_peer(&mut self, now: Now, id: RelayId, received: Received) {
        let action = self.relay.peer_datagram(now, id, received.from, received.length);
        self.act(action, HEADROOM, received.traffic_class, Direction::ToClient);
    }

    /// Ends what is over.
    fn expire(&mut self, now: Now) {
        self.relay.expire(now);
        self.take_effects(now);
        self.look_at_streams(now);
        self.streams.flush();
    }

    /// When to call [`Core::expire`] next.
    fn next_deadline(&self) -> Option<Duration> {
        self.relay.next_deadline().into_iter().chain(self.streams.next_look()).min()
    }

    /// Does what the core says with the message at `at` in the buffer, whose DSCP and ECN go with it (RFC 8656 section
    /// 14). `to_client` is what delivery to a client counts as.
    pub(super) fn act(&mut self, action: Action, at: usize, traffic_class: u8, to_client: Direction) {
        let in_buffer = |span: Span| Span { start: at + span.start, end: at + span.end };
        let (sent, direction, bytes) = match action {
            Action::Wait => return,
            Action::Drop(reason) => return self.counters.dropped(reason),
            Action::Reply { five_tuple, answer } => {
                let reply = self.reply.as_bytes();
                let sent = match five_tuple.link {
                    Link::Udp(id) => self.listener(id).and_then(|to| to.send(five_tuple, reply, UNMARKED)),
                    Link::Stream(id) => self.streams.send(id, reply, Urgency::Response),
                };
                return match sent {
                    Ok(()) => self.count_answer(answer),
                    Err(reason) => self.counters.dropped(reason),
                };
            }
            Action::ToPeer { relay, peer, payload, dont_fragment } => {
                let datagram = &self.buffer[in_buffer(payload).range()];
                let outgoing = Outgoing { to: peer.address(), from: None, traffic_class, dont_fragment };
                let sent = self.relay_socket(relay).and_then(|socket| send(socket, datagram, outgoing));
                (sent, Direction::ToPeer, payload.len())
            }
            Action::ToClient { five_tuple, encapsulation, payload } => {
                let sent = match encapsulation.wrap(&mut self.buffer, in_buffer(payload)) {
                    Some(message) => self.send_to_client(five_tuple, message, traffic_class),
                    None => Err(Reason::TooLong),
                };
                (sent, to_client, payload.len())
            }
        };
        match sent {
            Ok(()) => self.counters.relayed(direction, bytes),
            Err(reason) => self.counters.dropped(reason),
        }
    }

    fn send_to_client(
        &mut self,
        five_tuple: FiveTuple,
        message: Span,
        traffic_class: u8,
    ) -> Result<(), Reason> {
        let message = &self.buffer[message.range()];
        match five_tuple.link {
            Link::Udp(id) => self.listener(id)?.send(five_tuple, message, traffic_class),
            Link::Stream(id) => self.streams.send(id, message, Urgency::Media),
        }
    }

    pub(super) fn take_effects(&mut self, now: Now) {
        while let Some(effect) = self.relay.next_effect() {
            match effect {
                Effect::BindRelay { relay, address } => {
                    let bound = self.open_relay(relay, address);
                    let action = self.relay.relay_bound(now, relay, bound, &mut self.reply);
                    self.act(action, HEADROOM, UNMARKED, Direction::ToClient);
                    if matches!(action, Action::Reply { answer: Answer::Success, .. }) {
                        self.counters.allocations_granted.add(1);
                    }
                }
                Effect::CloseRelay { relay } => self.close_relay(relay),
                Effect::ChannelBound { .. } => self.counters.channels.add(1),
                Effect::ChannelUnbound { .. } => self.counters.channels.subtract(1),
            }
            self.counters.allocations.set(self.relay.allocations() as u64);
        }
    }

    fn open_relay(&mut self, id: RelayId, address: SocketAddr) -> Result<(), BindError> {
        let place = place(id);
        let opened = bind_relay(address).and_then(|socket| {
            let token = Source::Relay(place).into();
            self.registry.register(&mut SourceFd(&socket.as_raw_fd()), token, Interest::READABLE)?;
            Ok(socket)
        });
        let socket = opened.map_err(|error| {
            tracing::debug!(%error, port = address.port(), "no relay socket");
            if error.kind() == io::ErrorKind::AddrInUse { BindError::PortInUse } else { BindError::Exhausted }
        })?;
        if self.relays.len() <= place {
            self.relays.resize_with(place + 1, || None);
        }
        self.relays[place] = Some(RelaySocket { socket, id, ready: false, has_errors: false });
        Ok(())
    }

    /// Closing a socket takes it off the poll, too. One that was never opened, or whose slot is another's by now, is
    /// left alone.
    fn close_relay(&mut self, id: RelayId) {
        if let Some(relay) = self.relays.get_mut(place(id))
            && relay.as_ref().is_some_and(|relay| relay.id == id)
        {
            *relay = None;
        }
    }

    fn relay_socket(&self, id: RelayId) -> Result<&UdpSocket, Reason> {
        let relay = self.relays.get(place(id)).and_then(Option::as_ref);
        let relay = relay.filter(|relay| relay.id == id).ok_or(Reason::NoAllocation)?;
        Ok(&relay.socket)
    }

    fn listener(&self, ListenerId(place): ListenerId) -> Result<&Listener, Reason> {
        self.listeners.get(usize::from(place)).ok_or(Reason::NoAllocation)
    }

    fn count_answer(&self, answer: Answer) {
        match answer {
            Answer::Binding => self.counters.bindings.add(1),
            Answer::Success => self.counters.successes.add(1),
            Answer::Challenge => self.counters.challenges.add(1),
            Answer::Icmp => self.counters.icmp_errors.add(1),
            Answer::Error(code) => self.counters.refused(code),
        }
    }
}

/// Receives a datagram behind the [`HEADROOM`]; `None` when there is none.
///
/// # Errors
/// An interrupt, or a pending error of the socket, which is cleared by being told.
fn receive_behind_headroom(socket: &UdpSocket, buffer: &mut [u8]) -> io::Result<Option<Received>> {
    match datagram::receive(socket, &mut buffer[HEADROOM..HEADROOM + MAX_DATAGRAM]) {
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(None),
        received => received.map(Some),
    }
}

/// Where among the relay sockets one has its place.
fn place(id: RelayId) -> usize {
    2 * id.allocation.slot as usize + usize::from(id.family == AddressFamily::V6)
}

/// Sends, or says why not. A send that fails concerns this datagram alone: one peer that cannot be reached ends neither
/// its allocation nor its shard.
fn send(socket: &UdpSocket, datagram: &[u8], outgoing: Outgoing) -> Result<(), Reason> {
    match datagram::send(socket, datagram, outgoing) {
        Ok(()) => Ok(()),
        Err(error) if is_full(&error) => Err(Reason::SendFull),
        Err(error) => {
            tracing::trace!(%error, "sending");
            Err(Reason::SendFailed)
        }
    }
}

fn is_full(error: &io::Error) -> bool {
    // ENOBUFS, a full queue of the device, has no kind of its own.
    error.kind() == io::ErrorKind::WouldBlock || error.raw_os_error() == Some(libc::ENOBUFS)
}

fn ignore_interrupt(error: io::Error) -> io::Result<()> {
    if error.kind() == io::ErrorKind::Interrupted { Ok(()) } else { Err(error) }
}
