//! UDP listeners of a shard: the initial ones, and those whose address is added later.

use std::io;
use std::net::{IpAddr, UdpSocket};
use std::os::fd::AsRawFd as _;

use byway_turn::server::{DropReason, FiveTuple, ListenerId};
use byway_turn::time::Now;
use byway_udp::{Destination, join_received, may_segment};
use mio::Interest;
use mio::unix::SourceFd;
use socket2::SockRef;

use super::mailbox::ShardUpdate;
use super::poll_loop::{Buffers, Shard};
use super::poll_token::PollToken;
use super::tuning::Tuning;

/// A UDP socket that clients send to.
pub(super) struct UdpListener {
    pub(super) socket: UdpSocket,
    pub(super) address: IpAddr,
    /// Whether the listener is in the queue of ready listeners.
    pub(super) ready: bool,
}

impl UdpListener {
    /// Creates a listener and registers it with the poll of `registry`.
    pub(super) fn new(socket: UdpSocket, place: usize, registry: &mio::Registry) -> io::Result<Self> {
        let token = PollToken::UdpListener(place).into();
        registry.register(&mut SourceFd(&socket.as_raw_fd()), token, Interest::READABLE)?;
        let address = socket.local_addr()?.ip();
        Ok(Self { socket, address, ready: false })
    }

    /// Makes the kernel prefer this listener for datagrams that arrive on `core` (SO_INCOMING_CPU).
    pub(super) fn prefer(&self, core: usize) -> io::Result<()> {
        SockRef::from(&self.socket).set_cpu_affinity(core)
    }

    /// Returns the destination of a datagram to the client of a 5-tuple. Its source is the address
    /// that the client has sent to (RFC 8656 section 12.7, RFC 8489 section 6.3). A wildcard
    /// listener must state it, because it has many addresses.
    pub(super) fn destination(&self, five_tuple: FiveTuple, traffic_class: u8) -> Destination {
        let source = self.address.is_unspecified().then_some(five_tuple.server);
        Destination { address: five_tuple.client, source, traffic_class, dont_fragment: false }
    }
}

/// Kernel offloads that a shard uses. They are the same for all of its sockets.
#[derive(Clone, Copy)]
pub(super) struct Offload {
    /// Whether sockets join what they receive (GRO).
    pub(super) receive: bool,
    /// Whether sockets segment what they send (GSO).
    pub(super) send: bool,
}

impl Offload {
    /// Enables GRO on the listeners, as far as `tuning` and the kernel allow.
    pub(super) fn enable(listeners: &[Option<UdpListener>], tuning: &Tuning) -> Self {
        let sockets = || listeners.iter().flatten().map(|listener| &listener.socket);
        Self {
            receive: tuning.offload && sockets().all(|socket| join_received(socket).is_ok()),
            send: tuning.offload && sockets().all(may_segment),
        }
    }
}

impl Shard {
    /// Returns the listener with this ID if the machine has its address.
    pub(super) fn listener(&self, ListenerId(place): ListenerId) -> Result<&UdpListener, DropReason> {
        self.listeners.get(usize::from(place)).and_then(Option::as_ref).ok_or(DropReason::NoAllocation)
    }

    /// Applies a change of the machine's addresses or of the configuration.
    pub(super) fn apply_update(&mut self, now: Now, buffers: &mut Buffers, update: ShardUpdate) {
        let listening = match update {
            ShardUpdate::Changed => {
                let ended = self.relay.enforce(now);
                self.counters.addresses_lost.add(ended as u64);
                self.take_effects(now, buffers);
                Ok(())
            }
            ShardUpdate::UdpListener(id, socket) => self.listen_udp(id, socket),
            ShardUpdate::TcpListener(listener) => self.tcp_listeners.add(listener, self.poll.registry()),
            ShardUpdate::CloseUdp(id, _closing) => {
                self.close_udp(now, buffers, id);
                Ok(())
            }
            ShardUpdate::Applied(_applied) => Ok(()),
            ShardUpdate::CloseTcp(address, _closing) => {
                self.tcp_listeners.close(address);
                Ok(())
            }
        };
        if let Err(error) = listening {
            tracing::error!(%error, "a shard cannot serve a listener");
        }
    }

    fn listen_udp(&mut self, ListenerId(place): ListenerId, socket: UdpSocket) -> io::Result<()> {
        let place = usize::from(place);
        let listener = UdpListener::new(socket, place, self.poll.registry())?;
        if self.offload.receive {
            // On failure datagrams arrive one by one.
            let _ = join_received(&listener.socket);
        }
        if let Some(core) = self.cpu {
            let _ = listener.prefer(core);
        }
        let known = self.listeners.len().max(place + 1);
        self.listeners.resize_with(known, || None);
        self.listeners[place] = Some(listener);
        Ok(())
    }

    /// Closes a listener. Its clients' allocations end, because no other socket has the address
    /// that these clients send to.
    fn close_udp(&mut self, now: Now, buffers: &mut Buffers, id: ListenerId) {
        // These datagrams were accepted before.
        self.flush(buffers);
        self.relay.listener_gone(now, id);
        self.take_effects(now, buffers);
        if let Some(listener) = self.listeners.get_mut(usize::from(id.0)) {
            *listener = None;
        }
    }
}
