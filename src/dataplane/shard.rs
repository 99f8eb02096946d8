//! One shard: one thread, one runtime, one relay.

use std::collections::VecDeque;
use std::io;
use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::os::fd::AsRawFd as _;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::time::Duration;

use mio::unix::SourceFd;
use mio::{Events, Interest, Poll, Token};
use tokio::io::unix::AsyncFd;
use tokio::sync::watch;
use tokio::task::yield_now;
use tokio::time::{Sleep, sleep};

use super::sockets::{Listeners, bind_relay};
use crate::clock::{Clock, Now};
use crate::metrics::{Direction, ShardCounters};
use crate::relay::{Action, Answer, BindError, Effect, FiveTuple, Link, ListenerId, Reason, Relay, RelayId};
use crate::wire::{AddressFamily, HEADROOM, Reply, Span, TAILROOM};

/// Datagrams that one socket may have served before it is the next one's turn: one greedy flow delays the others by
/// this many, however much it sends.
const BURST: usize = 32;

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
    /// Sockets that may have datagrams waiting, each once. Readiness is told once (edge-triggered), so a socket stays
    /// here until it has been read dry.
    ready: VecDeque<usize>,
}

impl Shard {
    pub(super) fn new(
        Listeners(listeners): Listeners,
        relay: Relay,
        counters: Arc<ShardCounters>,
        clock: Clock,
    ) -> io::Result<Self> {
        let poll = Poll::new()?;
        let mut sockets = Vec::new();
        for (token, socket) in listeners.into_iter().enumerate() {
            poll.registry().register(&mut SourceFd(&socket.as_raw_fd()), Token(token), Interest::READABLE)?;
            let owner = Owner::Listener(socket.local_addr()?.ip());
            sockets.push(Some(Socket { socket, owner, ready: false }));
        }
        let core = Core {
            listeners: sockets.len(),
            registry: poll.registry().try_clone()?,
            sockets,
            relay,
            counters,
            clock,
            buffer: vec![0; HEADROOM + MAX_DATAGRAM + TAILROOM].into_boxed_slice(),
            reply: Reply::new(),
        };
        Ok(Self { core, poll, events: Events::with_capacity(EVENTS), ready: VecDeque::new() })
    }

    /// Runs until told to stop.
    pub(super) fn run(self, stop: watch::Receiver<bool>) -> io::Result<()> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        runtime.block_on(self.serve(stop))
    }

    async fn serve(self, mut stop: watch::Receiver<bool>) -> io::Result<()> {
        let Self { mut core, poll, mut events, mut ready } = self;
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
                    core.make_ready(event.token().0, &mut ready);
                }
                // One clock read for the whole round.
                let now = core.clock.now();
                core.serve_ready(now, &mut ready);
                // The kernel has named all that was ready, and all of that has been read dry: whatever comes from now on
                // makes the poll itself readable anew.
                let is_quiet = ready.is_empty() && events.iter().count() < EVENTS;
                if is_quiet || round == ROUNDS {
                    break (now, is_quiet);
                }
            };
            core.expire(now);
            alarm.set(now, core.relay.next_deadline());
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
struct Core {
    relay: Relay,
    /// The listeners, then the relay sockets by the slots of their allocations, IPv4 and IPv6 beside each other.
    sockets: Vec<Option<Socket>>,
    listeners: usize,
    registry: mio::Registry,
    counters: Arc<ShardCounters>,
    clock: Clock,
    /// Room for a header, the datagram, room for padding.
    buffer: Box<[u8]>,
    reply: Reply,
}

struct Socket {
    socket: UdpSocket,
    owner: Owner,
    /// It is in the queue of ready sockets.
    ready: bool,
}

/// Whose datagrams a socket receives.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Owner {
    /// Clients', at this address.
    Listener(IpAddr),
    /// The peers' of an allocation.
    Relay(RelayId),
}

impl Core {
    fn make_ready(&mut self, token: usize, ready: &mut VecDeque<usize>) {
        if let Some(socket) = self.sockets.get_mut(token).and_then(Option::as_mut)
            && !std::mem::replace(&mut socket.ready, true)
        {
            ready.push_back(token);
        }
    }

    /// Gives each ready socket one turn.
    fn serve_ready(&mut self, now: Now, ready: &mut VecDeque<usize>) {
        for _ in 0..ready.len() {
            let Some(token) = ready.pop_front() else { return };
            let is_dry = self.serve_socket(now, token);
            // It may have been closed by its own datagram.
            if let Some(socket) = self.sockets.get_mut(token).and_then(Option::as_mut) {
                socket.ready = !is_dry;
                if !is_dry {
                    ready.push_back(token);
                }
            }
        }
    }

    /// Serves up to [`BURST`] datagrams; true when the socket is dry.
    fn serve_socket(&mut self, now: Now, token: usize) -> bool {
        for _ in 0..BURST {
            let Some(Socket { socket, owner, .. }) = self.sockets.get(token).and_then(Option::as_ref) else {
                return true;
            };
            let owner = *owner;
            let room = &mut self.buffer[HEADROOM..HEADROOM + MAX_DATAGRAM];
            match socket.recv_from(room) {
                Ok((length, from)) => match owner {
                    Owner::Relay(id) => self.serve_peer(now, id, from, length),
                    Owner::Listener(address) => self.serve_client(now, token, address, from, length),
                },
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return true,
                // An interrupt, or a pending error of the socket, which is cleared by being told.
                Err(error) => tracing::trace!(%error, "receiving"),
            }
        }
        false
    }

    fn serve_client(&mut self, now: Now, token: usize, server: IpAddr, from: SocketAddr, length: usize) {
        let listener =
            ListenerId(u16::try_from(token).expect("the configuration holds fewer than 2^16 listeners"));
        // A scope or a flow label is no part of a transport address: SocketAddr::new drops them.
        let client = SocketAddr::new(from.ip(), from.port());
        let five_tuple = FiveTuple { client, server, link: Link::Udp(listener) };
        let datagram = &self.buffer[HEADROOM..HEADROOM + length];
        let action = self.relay.client_datagram(now, five_tuple, datagram, &mut self.reply);
        self.act(action, Direction::BetweenClients);
        self.take_effects(now);
    }

    fn serve_peer(&mut self, now: Now, id: RelayId, from: SocketAddr, length: usize) {
        let action = self.relay.peer_datagram(now, id, from, length);
        self.act(action, Direction::ToClient);
    }

    fn expire(&mut self, now: Now) {
        self.relay.expire(now);
        self.take_effects(now);
    }

    /// Does what the core says with the datagram in the buffer. `to_client` is what delivery to a client counts as.
    fn act(&mut self, action: Action, to_client: Direction) {
        let (sent, direction, bytes) = match action {
            Action::Wait => return,
            Action::Drop(reason) => return self.counters.dropped(reason),
            Action::Reply { five_tuple, answer } => {
                let sent = send(self.listener(five_tuple), self.reply.as_bytes(), five_tuple.client);
                return match sent {
                    Ok(()) => self.count_answer(answer),
                    Err(reason) => self.counters.dropped(reason),
                };
            }
            Action::ToPeer { relay, peer, payload } => {
                let socket = self.relay_socket(relay);
                let datagram = &self.buffer[in_buffer(payload).range()];
                (send(socket, datagram, peer.address()), Direction::ToPeer, payload.len())
            }
            Action::ToClient { five_tuple, encapsulation, payload } => {
                let sent = match encapsulation.wrap(&mut self.buffer, in_buffer(payload)) {
                    Some(message) => {
                        send(self.listener(five_tuple), &self.buffer[message.range()], five_tuple.client)
                    }
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

    fn take_effects(&mut self, now: Now) {
        while let Some(effect) = self.relay.next_effect() {
            match effect {
                Effect::BindRelay { relay, address } => {
                    let bound = self.open_relay(relay, address);
                    let action = self.relay.relay_bound(now, relay, bound, &mut self.reply);
                    self.act(action, Direction::ToClient);
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
        let token = self.token(id);
        let opened = bind_relay(address).and_then(|socket| {
            self.registry.register(&mut SourceFd(&socket.as_raw_fd()), Token(token), Interest::READABLE)?;
            Ok(socket)
        });
        let socket = opened.map_err(|error| {
            tracing::debug!(%error, port = address.port(), "no relay socket");
            if error.kind() == io::ErrorKind::AddrInUse { BindError::PortInUse } else { BindError::Exhausted }
        })?;
        if self.sockets.len() <= token {
            self.sockets.resize_with(token + 1, || None);
        }
        self.sockets[token] = Some(Socket { socket, owner: Owner::Relay(id), ready: false });
        Ok(())
    }

    /// Closing a socket takes it off the poll, too. One that was never opened, or whose slot is another's by now, is
    /// left alone.
    fn close_relay(&mut self, id: RelayId) {
        let token = self.token(id);
        if let Some(socket) = self.sockets.get_mut(token)
            && socket.as_ref().is_some_and(|socket| socket.owner == Owner::Relay(id))
        {
            *socket = None;
        }
    }

    fn relay_socket(&self, id: RelayId) -> Option<&UdpSocket> {
        let socket = self.sockets.get(self.token(id))?.as_ref()?;
        (socket.owner == Owner::Relay(id)).then_some(&socket.socket)
    }

    fn listener(&self, five_tuple: FiveTuple) -> Option<&UdpSocket> {
        let Link::Udp(ListenerId(index)) = five_tuple.link else { return None };
        Some(&self.sockets.get(usize::from(index))?.as_ref()?.socket)
    }

    fn token(&self, id: RelayId) -> usize {
        self.listeners + 2 * id.allocation.slot as usize + usize::from(id.family == AddressFamily::V6)
    }

    fn count_answer(&self, answer: Answer) {
        match answer {
            Answer::Binding => self.counters.bindings.add(1),
            Answer::Success => self.counters.successes.add(1),
            Answer::Challenge => self.counters.challenges.add(1),
            Answer::Error(code) => self.counters.refused(code),
        }
    }
}

/// Where a span of the datagram lies in the buffer.
fn in_buffer(span: Span) -> Span {
    Span { start: HEADROOM + span.start, end: HEADROOM + span.end }
}

/// Sends, or says why not. A send that fails concerns this datagram alone: one peer that cannot be reached ends neither
/// its allocation nor its shard.
fn send(socket: Option<&UdpSocket>, datagram: &[u8], to: SocketAddr) -> Result<(), Reason> {
    let socket = socket.ok_or(Reason::NoAllocation)?;
    match socket.send_to(datagram, to) {
        Ok(_) => Ok(()),
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
