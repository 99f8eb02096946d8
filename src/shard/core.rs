//! Everything that a datagram touches: what the core decides is done here.

use std::collections::VecDeque;
use std::io;
use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::os::fd::AsRawFd as _;
use std::sync::Arc;
use std::time::Duration;

use byway_turn::server::{
    Action, Answer, BindError, DropReason, Effect, FiveTuple, ListenerId, Pairing, Relay, RelayId, Transport,
};
use byway_turn::time::Now;
use byway_turn::wire::{AddressFamily, ErrorCode, Reply, Span};
use byway_udp::{
    Destination, Flushed, Inbox, Outbox, Outcome, Transmit, UNMARKED, join_received, may_segment,
};
use mio::Interest;
use mio::unix::SourceFd;
use socket2::SockRef;

use super::connection::Urgency;
use super::connections::{STREAM_ROOM, Streams};
use super::counters::{Direction, ShardCounters};
use super::mailbox::AddressNews;
use super::poll_loop::Shard;
use super::poll_token::Source;
use super::reserved::ReservedSockets;
use super::schedule::BATCHES;
use super::sockets::bind_relay;
use super::tuning::Tuning;

/// A shard at work. It does not leave its thread.
pub(super) struct Core {
    pub(super) relay: Relay,
    /// By [`ListenerId`]; `None` where the machine does not have the address yet.
    pub(super) listeners: Vec<Option<Listener>>,
    /// The core that this shard is pinned to, if it is.
    cpu: Option<usize>,
    /// By the slots of their allocations, IPv4 and IPv6 beside each other.
    pub(super) relays: Vec<Option<RelaySocket>>,
    /// Of all shards.
    reserved: ReservedSockets,
    pub(super) streams: Streams,
    /// What may have something waiting, each once. Readiness is told once (edge-triggered), so a source stays here until
    /// it has been read dry. Listeners have a queue of their own, for they are few and what they bring is everybody's.
    pub(super) ready_listeners: VecDeque<Source>,
    pub(super) ready: VecDeque<Source>,
    /// Letters may be waiting.
    pub(super) has_mail: bool,
    pub(super) registry: mio::Registry,
    pub(super) counters: Arc<ShardCounters>,
    /// What is being served; streams are read into its own bytes.
    pub(super) inbox: Inbox,
    /// What has been served and not been sent yet. Its payloads are in the inbox.
    pub(super) outbox: Outbox<Exit, Cargo>,
    pub(super) reply: Reply,
    /// Relay sockets join what they receive.
    joins: bool,
    tuning: Tuning,
}

/// A UDP socket that clients send to.
pub(super) struct Listener {
    pub(super) socket: UdpSocket,
    pub(super) address: IpAddr,
    pub(super) ready: bool,
}

impl Listener {
    /// A listener that is named ready by the poll of `registry`.
    pub(super) fn new(socket: UdpSocket, place: usize, registry: &mio::Registry) -> io::Result<Self> {
        let token = Source::Listener(place).into();
        registry.register(&mut SourceFd(&socket.as_raw_fd()), token, Interest::READABLE)?;
        let address = socket.local_addr()?.ip();
        Ok(Self { socket, address, ready: false })
    }

    /// Has the kernel prefer it for datagrams that come in on a core (SO_INCOMING_CPU).
    pub(super) fn prefer(&self, core: usize) -> io::Result<()> {
        SockRef::from(&self.socket).set_cpu_affinity(core)
    }

    /// The way to the client of a 5-tuple, from the address that it has sent to (RFC 8656 section 12.7, RFC 8489 section
    /// 6.3): a wildcard has many.
    fn way_to(&self, five_tuple: FiveTuple, traffic_class: u8) -> Destination {
        let source = self.address.is_unspecified().then_some(five_tuple.server);
        Destination { address: five_tuple.client, source, traffic_class, dont_fragment: false }
    }
}

/// A UDP socket that the peers of an allocation send to.
pub(super) struct RelaySocket {
    pub(super) socket: UdpSocket,
    pub(super) id: RelayId,
    pub(super) ready: bool,
    /// ICMP errors may be waiting.
    pub(super) has_errors: bool,
}

/// The socket that something leaves by.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Exit {
    Listener(ListenerId),
    Relay(RelayId),
}

/// What it is, for counting.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Cargo {
    Media(Direction),
    Reply(Answer),
}

impl Core {
    pub(super) fn new(shard: Shard, cpu: Option<usize>) -> Self {
        let Shard { listeners, reserved, streams, registry, relay, counters, tuning, .. } = shard;
        // One kernel serves all sockets: what it does for one, it does for all.
        let sockets = || listeners.iter().flatten().map(|listener| &listener.socket);
        let joins = tuning.offload && sockets().all(|socket| join_received(socket).is_ok());
        let segments = tuning.offload && sockets().all(may_segment);
        counters.receive_offload.set(joins.into());
        counters.send_offload.set(segments.into());
        Self {
            relay,
            listeners,
            cpu,
            relays: Vec::new(),
            reserved,
            streams,
            ready_listeners: VecDeque::new(),
            ready: VecDeque::new(),
            has_mail: false,
            registry,
            counters,
            inbox: Inbox::new(BATCHES, STREAM_ROOM),
            outbox: Outbox::new(segments),
            reply: Reply::new(),
            joins,
            tuning,
        }
    }

    /// Ends what is over.
    pub(super) fn expire(&mut self, now: Now) {
        self.relay.expire(now);
        self.take_effects(now);
        self.look_at_streams(now);
        self.flush();
        self.streams.flush();
    }

    /// When to call [`Core::expire`] next.
    pub(super) fn next_deadline(&self) -> Option<Duration> {
        self.relay.next_deadline().into_iter().chain(self.streams.next_look()).min()
    }

    /// Does what the core says with the message at `at` in the inbox, whose DSCP and ECN go with it (RFC 8656 section
    /// 14). `to_client` is what delivery to a client counts as.
    pub(super) fn act(&mut self, action: Action, at: usize, traffic_class: u8, to_client: Direction) {
        let in_inbox = |span: Span| Span { start: at + span.start, end: at + span.end };
        let done = match action {
            Action::Wait => Ok(()),
            Action::Drop(reason) => Err(reason),
            Action::Reply { five_tuple, answer } => self.reply_to(five_tuple, answer),
            Action::ToPeer { relay, peer, payload, dont_fragment } => {
                let way = Destination { address: peer.address(), source: None, traffic_class, dont_fragment };
                let cargo = Cargo::Media(Direction::ToPeer);
                self.put((Exit::Relay(relay), cargo), way, (&[], in_inbox(payload), 0));
                Ok(())
            }
            Action::ToClient { five_tuple, encapsulation, payload } => {
                let (span, direction) = (in_inbox(payload), to_client);
                match (encapsulation.around(payload.len()), five_tuple.transport) {
                    (None, _) => Err(DropReason::TooLong),
                    (Some(header), Transport::Udp(id)) => {
                        let way =
                            self.listener(id).map(|listener| listener.way_to(five_tuple, traffic_class));
                        let parts = (header.as_bytes(), span, header.padding());
                        way.map(|way| self.put((Exit::Listener(id), Cargo::Media(direction)), way, parts))
                    }
                    (Some(header), Transport::Stream(id)) => {
                        let payload = &self.inbox.bytes()[span.range()];
                        let sent = self.streams.send(id, [header.as_bytes(), payload], Urgency::Media);
                        sent.map(|()| self.counters.relayed(direction, 1, payload.len() as u64))
                    }
                }
            }
        };
        if let Err(reason) = done {
            self.counters.dropped(reason, 1);
        }
    }

    fn reply_to(&mut self, five_tuple: FiveTuple, answer: Answer) -> Result<(), DropReason> {
        match five_tuple.transport {
            Transport::Udp(id) => {
                let way = self.listener(id)?.way_to(five_tuple, UNMARKED);
                self.make_room_for(self.reply.as_bytes().len());
                // It is written anew for the next request, so the outbox keeps a copy.
                self.outbox.push(Transmit {
                    socket: Exit::Listener(id),
                    tag: Cargo::Reply(answer),
                    destination: way,
                    header: self.reply.as_bytes(),
                    payload: 0..0,
                    padding: 0,
                });
            }
            Transport::Stream(id) => {
                self.streams.send(id, [self.reply.as_bytes(), &[]], Urgency::Response)?;
                count_answer(&self.counters, answer);
            }
        }
        Ok(())
    }

    /// Puts a datagram into the outbox: a header, a payload in the inbox, padding.
    fn put(&mut self, what: (Exit, Cargo), way: Destination, parts: (&[u8], Span, usize)) {
        self.make_room_for(parts.0.len());
        let (socket, tag) = what;
        let (header, payload, padding) = (parts.0, parts.1.range(), parts.2);
        self.outbox.push(Transmit { socket, tag, destination: way, header, payload, padding });
    }

    /// Makes room in the outbox for one more datagram with so many bytes of header.
    fn make_room_for(&mut self, head: usize) {
        if !self.outbox.has_room(head) {
            self.flush();
        }
    }

    /// Sends what is in the outbox. A send that fails concerns its datagrams alone: one peer that cannot be reached ends
    /// neither its allocation nor its shard.
    pub(super) fn flush(&mut self) {
        let Self { outbox, inbox, listeners, relays, counters, .. } = self;
        if outbox.is_empty() {
            return;
        }
        let find = |exit| match exit {
            Exit::Listener(ListenerId(place)) => {
                listeners.get(usize::from(place))?.as_ref().map(|listener| &listener.socket)
            }
            Exit::Relay(id) => {
                let relay = relays.get(place(id))?.as_ref();
                relay.filter(|relay| relay.id == id).map(|relay| &relay.socket)
            }
        };
        let Flushed { stats, outcomes } = outbox.flush(inbox.bytes(), find);
        for Outcome { tag, datagrams, bytes, result } in outcomes {
            match (result, tag) {
                (Ok(()), Cargo::Media(direction)) => counters.relayed(direction, datagrams, bytes),
                (Ok(()), Cargo::Reply(answer)) => (0..datagrams).for_each(|_| count_answer(counters, answer)),
                (Err(error), _) => counters.dropped(reason_of(&error), datagrams),
            }
        }
        counters.send_calls.add(stats.calls);
        counters.sent_alone.add(stats.alone);
        counters.sent_segmented.add(stats.segmented);
        counters.segmentation_refused.add(stats.refused);
    }

    /// Sends what is in the outbox, and forgets what was received, all of which has been served.
    pub(super) fn send_all(&mut self) {
        self.flush();
        self.inbox.clear();
    }

    /// Makes room for so many batches.
    pub(super) fn make_room(&mut self, batches: usize) {
        if self.inbox.room() < batches {
            self.send_all();
        }
    }

    pub(super) fn take_effects(&mut self, now: Now) {
        while let Some(effect) = self.relay.next_effect() {
            match effect {
                Effect::BindRelay { relay, address, pairing, unrested } => {
                    let bound = self.open_relay(relay, address, pairing);
                    self.counters.unrested_ports.add(unrested.into());
                    self.counters.port_collisions.add((bound == Err(BindError::PortInUse)).into());
                    let action = self.relay.relay_bound(now, relay, bound, &mut self.reply);
                    self.act(action, 0, UNMARKED, Direction::ToClient);
                    if matches!(action, Action::Reply { answer: Answer::Success, .. }) {
                        self.counters.allocations_granted.add(1);
                    }
                }
                Effect::CloseRelay { relay } => {
                    // What came before the end still leaves.
                    self.flush();
                    self.close_relay(relay);
                }
                Effect::CloseReserved { address } => {
                    self.reserved.close(address);
                    self.counters.reserved_ports.subtract(1);
                }
                Effect::ChannelBound { .. } => self.counters.channels.add(1),
                Effect::ChannelUnbound { .. } => self.counters.channels.subtract(1),
            }
            self.counters.allocations.set(self.relay.allocations() as u64);
        }
    }

    fn open_relay(&mut self, id: RelayId, address: SocketAddr, pairing: Pairing) -> Result<(), BindError> {
        let place = place(id);
        let opened = self.relay_sockets(address, pairing).and_then(|(socket, next)| {
            if self.joins {
                // Without, they come one by one.
                let _ = join_received(&socket);
            }
            let token = Source::Relay(place).into();
            self.registry.register(&mut SourceFd(&socket.as_raw_fd()), token, Interest::READABLE)?;
            if let Some((address, next)) = next {
                self.reserved.hold(address, next);
                self.counters.reserved_ports.add(1);
            }
            Ok(socket)
        });
        let socket = opened.map_err(|error| {
            tracing::debug!(%error, port = address.port(), "no relay socket");
            match error.kind() {
                io::ErrorKind::AddrInUse => BindError::PortInUse,
                io::ErrorKind::AddrNotAvailable => BindError::AddressGone,
                _ => BindError::Exhausted,
            }
        })?;
        if self.relays.len() <= place {
            self.relays.resize_with(place + 1, || None);
        }
        self.relays[place] = Some(RelaySocket { socket, id, ready: false, has_errors: false });
        Ok(())
    }

    /// Binds a relay socket, and with it one to be held in reserve at its address, or takes over one that is held.
    fn relay_sockets(
        &self,
        address: SocketAddr,
        pairing: Pairing,
    ) -> io::Result<(UdpSocket, Option<(SocketAddr, UdpSocket)>)> {
        let bind = |address| bind_relay(address, &self.tuning);
        match pairing {
            Pairing::Alone => Ok((bind(address)?, None)),
            Pairing::WithNext => {
                let next = SocketAddr::new(address.ip(), address.port() + 1);
                Ok((bind(address)?, Some((next, bind(next)?))))
            }
            Pairing::Held => {
                let socket = self.reserved.take(address).ok_or(io::ErrorKind::NotFound)?;
                self.counters.reserved_ports.subtract(1);
                Ok((socket, None))
            }
        }
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

    fn listener(&self, ListenerId(place): ListenerId) -> Result<&Listener, DropReason> {
        self.listeners.get(usize::from(place)).and_then(Option::as_ref).ok_or(DropReason::NoAllocation)
    }

    /// Takes in what has become of the machine's addresses.
    pub(super) fn heed(&mut self, now: Now, news: AddressNews) {
        match news {
            AddressNews::Changed => {
                let ended = self.relay.enforce(now);
                self.counters.addresses_lost.add(ended as u64);
                self.take_effects(now);
            }
            AddressNews::Udp(id, socket) => {
                if let Err(error) = self.listen(id, socket) {
                    tracing::error!(%error, "a listener is not served by one of the shards");
                }
            }
            AddressNews::Tcp(listener) => {
                if let Err(error) = self.streams.listen(listener, &self.registry) {
                    tracing::error!(%error, "a listener is not served by one of the shards");
                }
            }
        }
    }

    fn listen(&mut self, ListenerId(place): ListenerId, socket: UdpSocket) -> io::Result<()> {
        let place = usize::from(place);
        let listener = Listener::new(socket, place, &self.registry)?;
        if self.joins {
            // Without, datagrams come one by one.
            let _ = join_received(&listener.socket);
        }
        if let Some(core) = self.cpu {
            let _ = listener.prefer(core);
        }
        if let Some(vacant) = self.listeners.get_mut(place) {
            *vacant = Some(listener);
        }
        Ok(())
    }
}

fn count_answer(counters: &ShardCounters, answer: Answer) {
    match answer {
        Answer::Binding => counters.bindings.add(1),
        Answer::Success => counters.successes.add(1),
        Answer::Challenge => counters.challenges.add(1),
        Answer::Icmp => counters.icmp_errors.add(1),
        Answer::Error(code) => counters.refused(code),
        Answer::Draining => {
            counters.refused(ErrorCode::InsufficientCapacity);
            counters.draining_refusals.add(1);
        }
        Answer::AddressMissing => {
            counters.refused(ErrorCode::AddressFamilyNotSupported);
            counters.address_refusals.add(1);
        }
    }
}

/// Where among the relay sockets one has its place.
fn place(id: RelayId) -> usize {
    2 * id.allocation.slot as usize + usize::from(id.family == AddressFamily::V6)
}

/// Why a datagram was not sent.
fn reason_of(error: &io::Error) -> DropReason {
    // ENOBUFS, a full queue of the device, has no kind of its own.
    if error.kind() == io::ErrorKind::WouldBlock || error.raw_os_error() == Some(libc::ENOBUFS) {
        return DropReason::SendFull;
    }
    tracing::trace!(%error, "sending");
    DropReason::SendFailed
}
