//! Relay sockets: opened, held in reserve and closed as the relay's [`Effect`]s say.

use std::io;
use std::net::{SocketAddr, UdpSocket};
use std::os::fd::AsRawFd as _;

use byway_turn::server::{Action, Answer, BindError, Effect, Pairing, RelayId};
use byway_turn::time::Now;
use byway_turn::wire::AddressFamily;
use byway_udp::join_received;
use mio::Interest;
use mio::unix::SourceFd;

use super::act::Received;
use super::poll_loop::{Buffers, Shard};
use super::poll_token::PollToken;
use super::sockets::bind_relay;

/// A UDP socket that the peers of an allocation send to.
pub(super) struct RelaySocket {
    pub(super) socket: UdpSocket,
    pub(super) id: RelayId,
    /// Whether it is in the queue of ready sockets.
    pub(super) ready: bool,
    /// Whether ICMP errors may be waiting.
    pub(super) has_errors: bool,
}

/// Sockets of a relayed transport address that is being opened.
struct Bound {
    socket: UdpSocket,
    /// Socket of the next port, to be held in reserve at its address.
    next: Option<(SocketAddr, UdpSocket)>,
}

impl Shard {
    /// Carries out the effects of what the relay was told.
    pub(super) fn take_effects(&mut self, now: Now, buffers: &mut Buffers) {
        while let Some(effect) = self.relay.next_effect() {
            match effect {
                Effect::BindRelay { relay, address, pairing, unrested } => {
                    self.counters.unrested_ports.add(unrested.into());
                    let bound = self.open_relay_socket(relay, address, pairing);
                    self.answer_bound(now, buffers, relay, bound);
                }
                Effect::CloseRelay { relay } => {
                    // What came before the end still leaves.
                    self.flush(buffers);
                    self.close_relay_socket(relay);
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

    /// Returns a relay socket, unless it was never opened or its slot is another's by now.
    pub(super) fn relay_socket(&self, id: RelayId) -> Option<&RelaySocket> {
        self.relay_sockets.get(place(id))?.as_ref().filter(|relay| relay.id == id)
    }

    /// Tells the relay whether its socket is open, and answers the client that has asked for it.
    fn answer_bound(&mut self, now: Now, buffers: &mut Buffers, id: RelayId, bound: Result<(), BindError>) {
        self.counters.port_collisions.add((bound == Err(BindError::PortInUse)).into());
        let action = self.relay.relay_bound(now, id, bound, &mut buffers.reply);
        self.act(buffers, action, Received::NOTHING);
        if matches!(action, Action::Reply { answer: Answer::Success, .. }) {
            self.counters.allocations_granted.add(1);
        }
    }

    fn open_relay_socket(
        &mut self,
        id: RelayId,
        address: SocketAddr,
        pairing: Pairing,
    ) -> Result<(), BindError> {
        let place = place(id);
        let opened = self.bind_relay_sockets(address, pairing).and_then(|bound| self.register(place, bound));
        let socket = opened.map_err(|error| {
            tracing::debug!(%error, port = address.port(), "no relay socket");
            match error.kind() {
                io::ErrorKind::AddrInUse => BindError::PortInUse,
                io::ErrorKind::AddrNotAvailable => BindError::AddressGone,
                _ => BindError::Exhausted,
            }
        })?;
        if self.relay_sockets.len() <= place {
            self.relay_sockets.resize_with(place + 1, || None);
        }
        self.relay_sockets[place] = Some(RelaySocket { socket, id, ready: false, has_errors: false });
        Ok(())
    }

    /// Binds a relay socket, and with it one to be held in reserve, or takes over one that is held.
    fn bind_relay_sockets(&self, address: SocketAddr, pairing: Pairing) -> io::Result<Bound> {
        let bind = |address| bind_relay(address, &self.tuning);
        match pairing {
            Pairing::Alone => Ok(Bound { socket: bind(address)?, next: None }),
            Pairing::WithNext => {
                let next = SocketAddr::new(address.ip(), address.port() + 1);
                Ok(Bound { socket: bind(address)?, next: Some((next, bind(next)?)) })
            }
            Pairing::Held => {
                let socket = self.reserved.take(address).ok_or(io::ErrorKind::NotFound)?;
                self.counters.reserved_ports.subtract(1);
                Ok(Bound { socket, next: None })
            }
        }
    }

    /// Has the poll name a relay socket ready, and holds the one beside it in reserve.
    fn register(&self, place: usize, Bound { socket, next }: Bound) -> io::Result<UdpSocket> {
        if self.offload.receive {
            // Without, datagrams come one by one.
            let _ = join_received(&socket);
        }
        let token = PollToken::RelaySocket(place).into();
        self.poll.registry().register(&mut SourceFd(&socket.as_raw_fd()), token, Interest::READABLE)?;
        if let Some((address, next)) = next {
            self.reserved.hold(address, next);
            self.counters.reserved_ports.add(1);
        }
        Ok(socket)
    }

    /// Closes a relay socket, which takes it off the poll, too. One that was never opened, or whose
    /// slot is another's by now, is left alone.
    fn close_relay_socket(&mut self, id: RelayId) {
        if let Some(relay) = self.relay_sockets.get_mut(place(id))
            && relay.as_ref().is_some_and(|relay| relay.id == id)
        {
            *relay = None;
        }
    }
}

/// Returns the place of a relay socket among those of its shard.
fn place(id: RelayId) -> usize {
    2 * id.allocation.slot as usize + usize::from(id.family == AddressFamily::V6)
}
