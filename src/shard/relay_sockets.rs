//! Relay sockets: the shard opens, reserves and closes them as the relay's [`Effect`]s demand.

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
use super::counters::BindFailure;
use super::poll_loop::{Buffers, Shard};
use super::poll_token::PollToken;
use super::sockets::bind_relay;

/// A UDP socket that the peers of an allocation send to.
pub(super) struct RelaySocket {
    pub(super) socket: UdpSocket,
    pub(super) id: RelayId,
    /// Whether the socket is in the queue of ready sockets.
    pub(super) ready: bool,
    /// Whether ICMP errors may be pending.
    pub(super) has_errors: bool,
}

/// Sockets of a new relayed transport address.
struct Bound {
    socket: UdpSocket,
    /// Socket of the next port, to hold in reserve, and its address.
    next: Option<(SocketAddr, UdpSocket)>,
}

impl Shard {
    /// Carries out the relay's pending effects.
    pub(super) fn take_effects(&mut self, now: Now, buffers: &mut Buffers) {
        while let Some(effect) = self.relay.next_effect() {
            match effect {
                Effect::BindRelay { relay, address, pairing, unrested } => {
                    self.counters.unrested_ports.add(unrested.into());
                    let bound = self.open_relay_socket(relay, address, pairing);
                    self.answer_bound(now, buffers, relay, bound);
                }
                Effect::CloseRelay { relay } => {
                    // Datagrams received before the end are still sent.
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
        self.send_records(now);
    }

    /// Returns a relay socket, unless it was never opened or another allocation has its slot now.
    pub(super) fn relay_socket(&self, id: RelayId) -> Option<&RelaySocket> {
        self.relay_sockets.get(place(id))?.as_ref().filter(|relay| relay.id == id)
    }

    /// Reports to the relay whether its socket is open, and answers the client that requested it.
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
            tracing::debug!(%error, port = address.port(), "a relay socket cannot be opened");
            let failure = BindFailure::of(&error);
            self.counters.bind_failed(failure);
            failure.for_relay()
        })?;
        if self.relay_sockets.len() <= place {
            self.relay_sockets.resize_with(place + 1, || None);
        }
        self.relay_sockets[place] = Some(RelaySocket { socket, id, ready: false, has_errors: false });
        Ok(())
    }

    /// Binds a relay socket, and with it one to reserve, or takes a reserved one.
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

    /// Registers a relay socket with the poll, and reserves the one of the next port.
    fn register(&self, place: usize, Bound { socket, next }: Bound) -> io::Result<UdpSocket> {
        if self.offload.receive {
            // On failure datagrams arrive one by one.
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

    /// Closes a relay socket, which also removes it from the poll. Does nothing if it was never
    /// opened or another allocation has its slot now.
    fn close_relay_socket(&mut self, id: RelayId) {
        if let Some(relay) = self.relay_sockets.get_mut(place(id))
            && relay.as_ref().is_some_and(|relay| relay.id == id)
        {
            *relay = None;
        }
    }
}

impl BindFailure {
    fn of(error: &io::Error) -> Self {
        use libc::{EACCES, EADDRINUSE, EADDRNOTAVAIL, EMFILE, ENFILE, ENOBUFS, ENOMEM, EPERM};
        match error.raw_os_error() {
            Some(EADDRINUSE) => Self::PortInUse,
            Some(EADDRNOTAVAIL) => Self::AddressMissing,
            Some(EMFILE | ENFILE) => Self::Descriptors,
            Some(ENOBUFS | ENOMEM) => Self::Memory,
            Some(EACCES | EPERM) => Self::Denied,
            _ => Self::Other,
        }
    }

    /// Returns the reason that the relay distinguishes. A lack of capacity is 508 (RFC 8656 section
    /// 7.2). A missing address is 440, because capacity is not the cause.
    fn for_relay(self) -> BindError {
        match self {
            Self::PortInUse => BindError::PortInUse,
            Self::AddressMissing => BindError::AddressGone,
            Self::Descriptors | Self::Memory | Self::Denied | Self::Other => BindError::Exhausted,
        }
    }
}

/// Returns the index of a relay socket in its shard.
fn place(id: RelayId) -> usize {
    2 * id.allocation.slot as usize + usize::from(id.family == AddressFamily::V6)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn threat_35_each_refusal_of_the_kernel_has_its_reason_and_its_error() {
        for (errno, failure, error) in [
            (libc::EADDRINUSE, BindFailure::PortInUse, BindError::PortInUse),
            (libc::EADDRNOTAVAIL, BindFailure::AddressMissing, BindError::AddressGone),
            (libc::EMFILE, BindFailure::Descriptors, BindError::Exhausted),
            (libc::ENFILE, BindFailure::Descriptors, BindError::Exhausted),
            (libc::ENOBUFS, BindFailure::Memory, BindError::Exhausted),
            (libc::EPERM, BindFailure::Denied, BindError::Exhausted),
            (libc::EINVAL, BindFailure::Other, BindError::Exhausted),
        ] {
            let of_errno = BindFailure::of(&io::Error::from_raw_os_error(errno));
            assert_eq!((of_errno, of_errno.for_relay()), (failure, error), "{errno}");
        }
    }
}
