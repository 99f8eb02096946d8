//! Sans-IO TURN core (RFC 8656): datagrams in, [`Action`]s and [`Effect`]s out. The caller passes
//! the time and the random seeds.
//!
//! One [`Relay`] belongs to one shard, which owns it and calls it with `&mut`. State that all
//! shards of a server share is in [`Shared`]. Its locks are taken only when an allocation begins or
//! ends.
//!
//! ```text
//! client_datagram ──┬─► Action::ToPeer     send the span from the relay socket
//! peer_datagram   ──┼─► Action::ToClient   wrap the span, send it over the client's link
//! peer_unreachable ─┼─► Action::Reply      send the reply over the client's link
//!                   ├─► Action::Wait       an Effect follows
//!                   └─► Action::Drop       count it
//! next_effect     ──► BindRelay ─► relay_bound ─► Action::Reply
//! next_record     ──► Began, Ended with its traffic, Refused
//! ```

mod accounting;
mod allocate;
mod allocation;
mod auth;
mod bandwidth;
mod binding;
mod challenge;
mod channel_bind;
mod create_permission;
mod data;
mod discovery;
mod drop_reason;
mod expiry;
mod host;
mod icmp;
mod nonce;
mod peer_policy;
mod ports;
mod quota;
mod refresh;
mod relayed;
mod request;
mod reserve;
mod route;
mod rules;
mod shared;
mod table;

use std::collections::VecDeque;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use stun::message::{CLASS_INDICATION, CLASS_REQUEST, METHOD_BINDING, METHOD_SEND};

use crate::closed_set;
use crate::prng::Prng;
use crate::rate_limit::Gcra;
use crate::time::Now;
use crate::wire::{
    AddressFamily, ChannelNumber, Encapsulation, ErrorCode, Kind, Message, ParseError, Reply, Span, classify,
};

pub use accounting::{Account, EndCause, Record, RefusedRequest, Traffic, Usage};
pub use allocation::{
    CHANNEL_LIFETIME, CHANNEL_REST, DEFAULT_LIFETIME, MAX_ALLOCATION_AGE, MAX_CHANNELS, MAX_LIFETIME,
    MAX_PERMISSIONS, PERMISSION_LIFETIME,
};
pub use discovery::Discovery;
pub use drop_reason::DropReason;
pub use host::{HostAddresses, RelayAddress};
pub use peer_policy::{Denied, Peer, PeerPolicy, is_special_purpose};
pub use quota::Quota;
pub use rules::Rules;
pub use shared::{Settings, Shared};

use data::Delivery;
use expiry::Wheel;
use relayed::Relayed;
use reserve::Reserved;
use shared::CachedRules;
use table::Table;

/// Identifies a UDP listener of the server by its position in the configuration. It is the same on
/// every shard.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ListenerId(pub u16);

/// Identifies a connection of one shard. An identifier is never reused for another connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct StreamId {
    /// Shard that owns the connection.
    pub shard: u16,
    /// Slot in that shard; slots are reused.
    pub slot: u32,
    /// Running number of the connection in its shard.
    pub generation: u32,
}

/// Transport between client and server (RFC 8656 section 2.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Transport {
    /// UDP, through this listener.
    Udp(ListenerId),
    /// A TCP or TLS connection. The allocation ends with the connection.
    Stream(StreamId),
}

/// Client address, server address and transport, which identify an allocation (RFC 8656 section
/// 2.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct FiveTuple {
    /// Client's transport address as the server sees it. A link-local address carries its scope.
    pub client: SocketAddr,
    /// Server address that the client sent to. The port is the listener's.
    pub server: IpAddr,
    /// Transport between the two.
    pub transport: Transport,
}

/// Identifies an allocation of one shard. An identifier is never reused for another allocation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct AllocationId {
    /// Slot in the shard's table; slots are reused.
    pub slot: u32,
    /// Running number of the allocation in its shard; it wraps.
    pub generation: u32,
}

/// Identifies a relay socket of an allocation. A dual allocation has two.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct RelayId {
    /// Allocation that owns the socket.
    pub allocation: AllocationId,
    /// Address family of the socket and of its peers.
    pub family: AddressFamily,
}

/// Action to take on a datagram at once. It is small and `Copy`; a payload is a span of the
/// datagram that was passed in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// Send the payload to the peer from the relay socket.
    ToPeer {
        /// Relay socket to send from.
        relay: RelayId,
        /// Destination.
        peer: Peer,
        /// Payload, as a span of the client's datagram.
        payload: Span,
        /// Whether the client asks for an IPv4 header with DF set, or an IPv6 packet without a
        /// Fragment header.
        dont_fragment: bool,
    },
    /// Wrap the payload and send it over the client's [`Transport`].
    ToClient {
        /// Client to send to. After [`Relay::client_datagram`] this is another client of this
        /// server, whose relay port is the sender's peer.
        five_tuple: FiveTuple,
        /// Message to wrap the payload in: ChannelData or a Data indication.
        encapsulation: Encapsulation,
        /// Payload, as a span of the datagram that was passed in.
        payload: Span,
    },
    /// Send the [`Reply`] over the client's [`Transport`].
    Reply {
        /// Client to send to.
        five_tuple: FiveTuple,
        /// Kind of the reply, for metrics.
        answer: Answer,
    },
    /// Send nothing yet: an [`Effect`] follows.
    Wait,
    /// Drop the datagram.
    Drop(DropReason),
}

/// Kind of a reply, by which metrics count it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    /// A Binding success response.
    Binding,
    /// A TURN success response.
    Success,
    /// A challenge: 401 to a request without credentials, or 438. Every client's first request gets
    /// one.
    Challenge,
    /// A Data indication that reports an ICMP error; it is not a response.
    Icmp,
    /// An error response. 401 here means that the credentials are wrong, expired or revoked.
    Error(ErrorCode),
    /// 508.
    NoCapacity(CapacityCause),
    /// 440 to an Allocate request, because the machine lacks an address that the configuration
    /// relays from.
    AddressMissing,
}

closed_set! {
    /// Cause of a 508 (Insufficient Capacity).
    pub enum CapacityCause {
        /// Allocate: the server is draining.
        Draining = "draining",
        /// Allocate: no relay port is free, or the server's limit of them is reached.
        Ports = "ports",
        /// Allocate: other programs use the relay ports that were tried.
        PortsInUse = "ports_in_use",
        /// Allocate: the kernel opens no more sockets.
        Sockets = "sockets",
        /// Allocate: no port is in reserve under this RESERVATION-TOKEN.
        Reservation = "reservation",
        /// CreatePermission: the allocation has as many permissions as it may.
        Permissions = "permissions",
        /// ChannelBind: the allocation has as many channels or permissions as it may.
        Channels = "channels",
    }
}

/// Infrequent work that the core leaves to its driver; see [`Relay::next_effect`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Effect {
    /// Bind a relay socket, then call [`Relay::relay_bound`].
    BindRelay {
        /// Relay socket to bind.
        relay: RelayId,
        /// Local address to bind it to.
        address: SocketAddr,
        /// Relation to a port in reserve.
        pairing: Pairing,
        /// Whether the port is reused before its rest time is over, because no other port was left.
        unrested: bool,
    },
    /// Close a relay socket. Its allocation, or its half of a dual allocation, has ended.
    CloseRelay {
        /// Relay socket to close.
        relay: RelayId,
    },
    /// Close a socket that was held in reserve: its reservation ended before its token was used.
    CloseReserved {
        /// Local address of the socket.
        address: SocketAddr,
    },
    /// A channel was bound. A data path below the core may take it over.
    ChannelBound {
        /// Allocation that bound the channel.
        allocation: AllocationId,
        /// Channel number.
        number: ChannelNumber,
        /// Peer that the channel is bound to.
        peer: Peer,
    },
    /// A channel binding ended.
    ChannelUnbound {
        /// Allocation that had bound the channel.
        allocation: AllocationId,
        /// Channel number.
        number: ChannelNumber,
    },
}

/// Relation of a relay socket to a port in reserve (EVEN-PORT and RESERVATION-TOKEN, RFC 8656
/// section 7.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pairing {
    /// No relation: bind this socket alone.
    Alone,
    /// Bind the next higher port, too, and hold its socket for 30 seconds for the shard that
    /// redeems its token. Bind both sockets or neither.
    WithNext,
    /// The socket is held already, perhaps bound by another shard: take it over.
    Held,
}

/// Reason for which a relay socket could not be bound.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BindError {
    /// Another program uses the port. Another port can work.
    #[error("the port is in use")]
    PortInUse,
    /// The kernel refuses for another reason, such as a lack of file descriptors or memory. No port
    /// can work.
    #[error("no socket can be opened")]
    Exhausted,
    /// The machine does not have the address, or has lost it. No port can work.
    #[error("no interface has the address")]
    AddressGone,
}

/// TURN server of one shard.
pub struct Relay {
    shared: Arc<Shared>,
    delivery: Delivery,
    /// Rules for answers to clients without credentials, which are the frequent requests.
    rules: CachedRules,
    table: Table,
    wheel: Wheel,
    effects: VecDeque<Effect>,
    /// Reservations that this shard made, in the order in which they end. Reservations whose token
    /// was used stay until then.
    reserved: VecDeque<Reserved>,
    /// Records that the driver has not taken yet; `None` if it takes none.
    records: Option<VecDeque<Record>>,
    /// Rate limiter of the records of refused requests from clients without an allocation.
    stray_refusals: Gcra,
}

impl Relay {
    /// Creates a relay without allocations. `seed` must differ from shard to shard.
    #[must_use]
    pub fn new(shared: Arc<Shared>, seed: &[u8; 32]) -> Self {
        let random = Prng::new(seed, "relay");
        let table = Table::new(random.number());
        let indications = u128::from(random.number()) << 32;
        let (effects, reserved) = (VecDeque::new(), VecDeque::new());
        let delivery = Delivery::new(shared.cached_view(), indications);
        let rules = shared.cached_rules();
        Self {
            shared,
            delivery,
            rules,
            table,
            wheel: Wheel::new(),
            effects,
            reserved,
            records: None,
            stray_refusals: Gcra::default(),
        }
    }

    /// Handles a datagram from a client: ChannelData, a request or an indication. Effects may
    /// follow, whatever the action.
    pub fn client_datagram(
        &mut self,
        now: Now,
        five_tuple: FiveTuple,
        datagram: &[u8],
        reply: &mut Reply,
    ) -> Action {
        if five_tuple.client.port() == 0 {
            return Action::Drop(DropReason::PortZero);
        }
        match classify(datagram) {
            Kind::ChannelData => self.channel_data(now, five_tuple, datagram),
            Kind::Stun => match Message::parse(datagram) {
                Ok(message) => self.message(now, five_tuple, &message, reply),
                Err(ParseError::Fingerprint) => Action::Drop(DropReason::BadFingerprint),
                Err(_) => Action::Drop(DropReason::Malformed),
            },
            Kind::Other => Action::Drop(DropReason::NotTurn),
        }
    }

    fn message(
        &mut self,
        now: Now,
        five_tuple: FiveTuple,
        message: &Message<'_>,
        reply: &mut Reply,
    ) -> Action {
        match (message.class(), message.method()) {
            (CLASS_REQUEST, METHOD_BINDING) => self.binding(now, five_tuple, message, reply),
            (CLASS_REQUEST, _) => self.request(now, five_tuple, message, reply),
            (CLASS_INDICATION, METHOD_SEND) => self.send_indication(now, five_tuple, message),
            // Never answer responses and other indications, so that no loop can begin here.
            _ => Action::Drop(DropReason::Unexpected),
        }
    }

    /// Returns the next effect, in order.
    pub fn next_effect(&mut self) -> Option<Effect> {
        self.effects.pop_front()
    }

    /// Returns the time at which to call [`Relay::expire`] next, on the clock of `Now::mono`.
    /// Look-ups check expiry themselves, so a late call extends no lifetime.
    #[must_use]
    pub fn next_deadline(&self) -> Option<Duration> {
        self.wheel.next().into_iter().chain(self.next_reservation_end()).min()
    }

    /// Ends allocations, permissions, channels and reservations that have expired. Effects follow.
    pub fn expire(&mut self, now: Now) {
        while let Some(slot) = self.wheel.pop(now.mono) {
            if let Some(id) = self.table.id_at(slot) {
                self.prune(now, id);
            }
        }
        self.expire_reservations(now);
    }

    /// Ends the allocation of a connection that was closed (RFC 8656 section 3.1). Effects follow.
    pub fn client_gone(&mut self, now: Now, five_tuple: FiveTuple) {
        if let Some((allocation, _)) = self.table.find(&five_tuple) {
            self.end_whole(now, allocation, EndCause::Disconnected);
        }
    }

    /// Ends the allocations of a name, those still being bound included, and its reservations on
    /// this shard. The name is the username without its expiry. Returns the number of allocations
    /// ended. Effects follow.
    ///
    /// The name can begin other allocations unless [`Settings::revocations`] already rejects it.
    pub fn end_all_of(&mut self, now: Now, name: &str) -> usize {
        let named = self.table.named(name);
        named.iter().for_each(|allocation| self.end_whole(now, *allocation, EndCause::Revoked));
        self.end_reservations_of(now, name);
        named.len()
    }

    /// Enforces a change of the machine's addresses or of the rules. Ends relayed transport
    /// addresses that the machine no longer has, and permissions and channels whose peer is now
    /// denied. Applies the bandwidth cap. Returns the number of relayed transport addresses ended.
    /// Effects follow.
    ///
    /// Call it on every shard after [`Shared::set_host_addresses`]. Requests check the peer policy
    /// themselves. A channel does not for each datagram, so without this call it would go on for
    /// ten minutes.
    pub fn enforce(&mut self, now: Now) -> usize {
        let shared = self.shared.clone();
        let (view, rules) = (shared.view(), shared.rules());
        let mut ended = 0;
        for id in self.table.ids() {
            self.prune(now, id);
            for family in AddressFamily::ALL {
                let relayed = self.table.get(id).and_then(|allocation| allocation.relayed.get(family));
                if relayed.is_some_and(|relayed| !view.has(relayed.bind)) {
                    self.end(now, RelayId { allocation: id, family }, EndCause::Server);
                    ended += 1;
                }
            }
            let Some(allocation) = self.table.get_mut(id) else { continue };
            let is_live = allocation.live;
            let cap = allocation.bandwidth.as_ref().map_or(0, |cap| cap.bytes_per_second());
            if cap != rules.bytes_per_second() {
                allocation.bandwidth = rules.bandwidth();
            }
            if allocation.restrict(now.mono, |ip| view.permission(ip).is_ok(), |peer| view.still_allows(peer))
            {
                self.prune(now, id);
            }
            // A permitted address may have become a relay address since.
            if is_live {
                self.publish(id);
            }
        }
        ended
    }

    /// Ends the allocations whose clients use a UDP listener that is closed. Returns their number.
    /// Effects follow.
    pub fn listener_gone(&mut self, now: Now, listener: ListenerId) -> usize {
        let uses = |id: &AllocationId| {
            let allocation = self.table.get(*id);
            allocation.is_some_and(|found| found.five_tuple.transport == Transport::Udp(listener))
        };
        let over_it: Vec<_> = self.table.ids().into_iter().filter(uses).collect();
        over_it.iter().for_each(|allocation| self.end_whole(now, *allocation, EndCause::Server));
        over_it.len()
    }

    /// Whether a client has an allocation, or one that is being bound.
    #[must_use]
    pub fn serves(&self, now: Now, five_tuple: FiveTuple) -> bool {
        self.table.find(&five_tuple).is_some_and(|(_, allocation)| !allocation.has_expired(now.mono))
    }

    /// Returns the number of allocations on this shard.
    #[must_use]
    pub fn allocations(&self) -> usize {
        self.table.len()
    }

    fn end_whole(&mut self, now: Now, allocation: AllocationId, cause: EndCause) {
        for family in AddressFamily::ALL {
            self.end(now, RelayId { allocation, family }, cause);
        }
    }

    /// Ends a relayed transport address, and its allocation if this was the last one. The port is
    /// left to rest.
    fn end(&mut self, now: Now, relay: RelayId, cause: EndCause) {
        let client = self.table.get(relay.allocation).map(|allocation| allocation.five_tuple.client.ip());
        if let Some(client) = client
            && let Some(relayed) = self.take_down(relay, cause)
        {
            relayed.addresses().for_each(|address| self.shared.give_port_back(now, address, client));
        }
    }

    /// Removes a relayed transport address from this shard, with the permissions and channels of
    /// its family. Those of the other family stay (RFC 8656 section 8.1).
    fn take_down(&mut self, relay: RelayId, cause: EndCause) -> Option<Relayed> {
        let RelayId { allocation: id, family } = relay;
        let allocation = self.table.get_mut(id)?;
        let relayed = allocation.relayed.take(family)?;
        for number in allocation.forget(family) {
            self.effects.push_back(Effect::ChannelUnbound { allocation: id, number });
        }
        self.effects.push_back(Effect::CloseRelay { relay });
        if relayed.with_next {
            self.shared.give_reserve_back(&allocation.account());
        }
        if allocation.relayed.iter().next().is_none() {
            self.shared.give_back(allocation);
            self.wheel.remove(id.slot as usize);
            if let Some(ended) = self.table.remove(id).filter(|ended| ended.live) {
                let usage = || Box::new(ended.usage.usage());
                self.record(|| Record::Ended { allocation: id, cause, usage: usage() });
            }
        }
        Some(relayed)
    }

    /// Ends and removes the expired parts of an allocation, and sets its next deadline.
    fn prune(&mut self, now: Now, id: AllocationId) {
        for family in AddressFamily::ALL {
            let relayed = self.table.get(id).and_then(|allocation| allocation.relayed.get(family));
            if relayed.is_some_and(|relayed| relayed.has_expired(now.mono)) {
                self.end(now, RelayId { allocation: id, family }, EndCause::Expired);
            }
        }
        let Some(allocation) = self.table.get_mut(id) else { return };
        for number in allocation.prune(now.mono) {
            self.effects.push_back(Effect::ChannelUnbound { allocation: id, number });
        }
        self.wheel.set(id.slot as usize, now.mono, allocation.next_deadline());
    }

    /// Publishes the route by which relay ports of this server deliver to an allocation's client.
    fn publish(&self, id: AllocationId) {
        if let Some(allocation) = self.table.get(id) {
            self.shared.publish(allocation);
        }
    }
}
