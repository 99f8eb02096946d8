//! The sans-IO TURN core (RFC 8656): datagrams in, [`Action`]s and [`Effect`]s out, time and
//! randomness handed in.
//!
//! One [`Relay`] belongs to one shard and is owned with `&mut`. What the shards of a server hold in
//! common is in [`Shared`]; its locks are taken only when an allocation begins or ends.
//!
//! ```text
//! client_datagram ──┬─► Action::ToPeer     send the span from the relay socket
//! peer_datagram   ──┼─► Action::ToClient   wrap the span, send it over the client's link
//! peer_unreachable ─┼─► Action::Reply      send the reply over the client's link
//!                   ├─► Action::Wait       an Effect follows
//!                   └─► Action::Drop       count it
//! next_effect     ──► BindRelay ─► relay_bound ─► Action::Reply
//! ```

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
mod shared;
mod table;

use std::collections::VecDeque;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use stun::message::{CLASS_INDICATION, CLASS_REQUEST, METHOD_BINDING, METHOD_SEND};

use crate::prng::Prng;
use crate::time::Now;
use crate::wire::{
    AddressFamily, ChannelNumber, Encapsulation, ErrorCode, Kind, Message, ParseError, Reply, Span, classify,
};

pub use allocation::{
    CHANNEL_LIFETIME, CHANNEL_REST, DEFAULT_LIFETIME, MAX_ALLOCATION_AGE, MAX_CHANNELS, MAX_LIFETIME,
    MAX_PERMISSIONS, PERMISSION_LIFETIME,
};
pub use discovery::Discovery;
pub use drop_reason::DropReason;
pub use host::{HostAddresses, RelayAddress};
pub use peer_policy::{Denied, Peer, PeerPolicy, is_special_purpose};
pub use quota::Quota;
pub use shared::{Settings, Shared};

use expiry::Wheel;
use relayed::Relayed;
use reserve::Reserved;
use shared::CachedView;
use table::Table;

/// Which of the server's UDP listeners, by its place in the configuration; the same on every shard.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ListenerId(pub u16);

/// Names a connection of one shard; never used again for another.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct StreamId {
    /// The shard it lives on.
    pub shard: u16,
    /// Its place there; places are used again.
    pub slot: u32,
    /// How often the shard has taken in a connection.
    pub generation: u32,
}

/// What a client and the server talk over (RFC 8656 section 2.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Transport {
    /// Datagrams, from and to this listener.
    Udp(ListenerId),
    /// A TCP or TLS connection. Its allocation ends with it.
    Stream(StreamId),
}

/// Client address, server address and transport: what an allocation is known by (RFC 8656 section
/// 2.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct FiveTuple {
    /// The client's transport address, as the server sees it; a transport-local one with its scope.
    pub client: SocketAddr,
    /// The server's address that the client sent to. Its port is the listener's.
    pub server: IpAddr,
    /// What is between them.
    pub transport: Transport,
}

/// Names an allocation of one shard; never used again for another.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct AllocationId {
    /// Its place; places are used again.
    pub slot: u32,
    /// How often the shard has begun an allocation.
    pub generation: u32,
}

/// Names the relay socket of an allocation; a dual allocation has two.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct RelayId {
    /// Whose.
    pub allocation: AllocationId,
    /// The address family that it relays to and from.
    pub family: AddressFamily,
}

/// What to do with a datagram, now. Small and `Copy`; a payload is a span of the datagram handed
/// in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// Send the payload to the peer from the relay socket.
    ToPeer {
        /// This one.
        relay: RelayId,
        /// Whither.
        peer: Peer,
        /// What.
        payload: Span,
        /// Whether the client asks for an IPv4 header with DF, or for no Fragment header.
        dont_fragment: bool,
    },
    /// Wrap the payload and send it over the client's [`Transport`].
    ToClient {
        /// Whither; after [`Relay::client_datagram`] it is another client of this server, whose
        /// peer this one is.
        five_tuple: FiveTuple,
        /// In what.
        encapsulation: Encapsulation,
        /// What.
        payload: Span,
    },
    /// Send the [`Reply`] over the client's [`Transport`].
    Reply {
        /// Whither.
        five_tuple: FiveTuple,
        /// What it says, for counting.
        answer: Answer,
    },
    /// Nothing yet: take the effects.
    Wait,
    /// Nothing at all.
    Drop(DropReason),
}

/// What a reply says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    /// A Binding success response.
    Binding,
    /// A TURN success response.
    Success,
    /// A 401 to a request without credentials, or a 438: asks for them, as every client's first
    /// request is answered.
    Challenge,
    /// No response: a Data indication that tells of an ICMP error.
    Icmp,
    /// An error response; 401 here means credentials that are wrong, expired or revoked.
    Error(ErrorCode),
    /// A 508 to an Allocate request, because the server is about to end.
    Draining,
    /// A 440 to an Allocate request, because the machine lacks an address that the configuration
    /// relays from.
    AddressMissing,
}

/// Rare work that leaves the core; see [`Relay::next_effect`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Effect {
    /// Bind a relay socket, then call [`Relay::relay_bound`].
    BindRelay {
        /// This one.
        relay: RelayId,
        /// Here.
        address: SocketAddr,
        /// Whether a port in reserve is concerned.
        pairing: Pairing,
        /// The port had not rested its time: no other was left.
        unrested: bool,
    },
    /// Close a relay socket, whose allocation or half of a dual allocation has ended.
    CloseRelay {
        /// This one.
        relay: RelayId,
    },
    /// Close a socket that was held in reserve: nobody has used its token.
    CloseReserved {
        /// Its address.
        address: SocketAddr,
    },
    /// A channel is bound: a data path below this one may take it over.
    ChannelBound {
        /// Of this allocation.
        allocation: AllocationId,
        /// Its number.
        number: ChannelNumber,
        /// Its peer.
        peer: Peer,
    },
    /// A channel is bound no longer.
    ChannelUnbound {
        /// Of this allocation.
        allocation: AllocationId,
        /// Its number.
        number: ChannelNumber,
    },
}

/// Relation of a relay socket to a port in reserve (EVEN-PORT and RESERVATION-TOKEN).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pairing {
    /// No relation: bind the socket alone.
    Alone,
    /// Bind the next higher port, too, and hold that socket for 30 seconds, for whichever shard is
    /// given its token. Both are bound or neither.
    WithNext,
    /// The socket is held, perhaps since another shard bound it: take it over.
    Held,
}

/// Why a relay socket could not be bound.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BindError {
    /// Another program has the port: another will do.
    #[error("the port is in use")]
    PortInUse,
    /// No port will do: out of file descriptors or memory.
    #[error("no socket to be had")]
    Exhausted,
    /// No port will do: the machine does not have the address, or not any more.
    #[error("no interface has the address")]
    AddressGone,
}

/// The TURN server of one shard.
pub struct Relay {
    shared: Arc<Shared>,
    /// For datagrams; what is rare asks `shared`.
    view: CachedView,
    table: Table,
    wheel: Wheel,
    effects: VecDeque<Effect>,
    /// The reservations that this shard has made, those whose token was used among them, in the
    /// order of their ends.
    reserved: VecDeque<Reserved>,
    /// Transaction IDs of Data indications count up from a random start.
    indications: u128,
}

impl Relay {
    /// A relay without allocations. `seed` differs from shard to shard.
    #[must_use]
    pub fn new(shared: Arc<Shared>, seed: &[u8; 32]) -> Self {
        let random = Prng::new(seed, "relay");
        let table = Table::new(random.number());
        let indications = u128::from(random.number()) << 32;
        let (effects, reserved) = (VecDeque::new(), VecDeque::new());
        let view = shared.cached_view();
        Self { shared, view, table, wheel: Wheel::new(), effects, reserved, indications }
    }

    /// Takes in a datagram from a client. Effects may follow, whatever the action.
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
            // Responses and other indications are never answered: no loop can begin here.
            _ => Action::Drop(DropReason::Unexpected),
        }
    }

    /// The next piece of rare work, in order.
    pub fn next_effect(&mut self) -> Option<Effect> {
        self.effects.pop_front()
    }

    /// When to call [`Relay::expire`] next. Look-ups check for themselves, so a late call extends
    /// nothing.
    #[must_use]
    pub fn next_deadline(&self) -> Option<Duration> {
        self.wheel.next().into_iter().chain(self.next_reservation_end()).min()
    }

    /// Ends what is over. Effects follow.
    pub fn expire(&mut self, now: Now) {
        while let Some(slot) = self.wheel.pop(now.mono) {
            if let Some(id) = self.table.id_at(slot) {
                self.prune(now, id);
            }
        }
        self.expire_reservations(now);
    }

    /// Ends the allocation of a connection that is no more (RFC 8656 section 3.1). Effects follow.
    pub fn client_gone(&mut self, now: Now, five_tuple: FiveTuple) {
        if let Some((allocation, _)) = self.table.find(&five_tuple) {
            self.end_whole(now, allocation);
        }
    }

    /// Ends the allocations of a name, the part of a username beside its expiry, those that are
    /// about to be, and what it has in reserve; yields how many allocations. Effects follow. Others
    /// begin unless [`Settings::revocations`] knows by now that the name is not good.
    pub fn end_all_of(&mut self, now: Now, name: &str) -> usize {
        let named = self.table.named(name);
        named.iter().for_each(|allocation| self.end_whole(now, *allocation));
        self.end_reservations_of(now, name);
        named.len()
    }

    /// Ends what the machine's addresses no longer allow: relayed transport addresses that it does
    /// not have any more, and permissions and channels whose peer has become its own. Yields how
    /// many of the former. Effects follow.
    ///
    /// To be called on every shard after [`Shared::set_host_addresses`]. Requests ask the peer
    /// policy for themselves; a channel does not for each datagram, so without this one would go on
    /// for ten minutes.
    pub fn enforce(&mut self, now: Now) -> usize {
        let shared = self.shared.clone();
        let view = shared.view();
        let mut ended = 0;
        for id in self.table.ids() {
            self.prune(now, id);
            for family in AddressFamily::ALL {
                let relayed = self.table.get(id).and_then(|allocation| allocation.relayed.get(family));
                if relayed.is_some_and(|relayed| !view.has(relayed.bind)) {
                    self.end(now, RelayId { allocation: id, family });
                    ended += 1;
                }
            }
            let Some(allocation) = self.table.get_mut(id) else { continue };
            let is_live = allocation.live;
            if allocation.restrict(now.mono, |ip| view.permission(ip).is_ok(), |peer| view.still_allows(peer))
            {
                self.prune(now, id);
            }
            // What it permits may have become a relay address since.
            if is_live {
                self.publish(id);
            }
        }
        ended
    }

    /// Whether a client has an allocation, or is about to.
    #[must_use]
    pub fn serves(&self, now: Now, five_tuple: FiveTuple) -> bool {
        self.table.find(&five_tuple).is_some_and(|(_, allocation)| !allocation.has_expired(now.mono))
    }

    /// How many allocations there are.
    #[must_use]
    pub fn allocations(&self) -> usize {
        self.table.len()
    }

    fn end_whole(&mut self, now: Now, allocation: AllocationId) {
        for family in AddressFamily::ALL {
            self.end(now, RelayId { allocation, family });
        }
    }

    /// Ends a relayed transport address, and with the last one its allocation. Its port is left to
    /// rest.
    fn end(&mut self, now: Now, relay: RelayId) {
        let client = self.table.get(relay.allocation).map(|allocation| allocation.five_tuple.client.ip());
        if let Some(client) = client
            && let Some(relayed) = self.take_down(relay)
        {
            relayed.addresses().for_each(|address| self.shared.give_port_back(now, address, client));
        }
    }

    /// Takes a relayed transport address out of everything that is this shard's own, and all that
    /// goes with it: nothing of the other family (RFC 8656 section 8.1).
    fn take_down(&mut self, relay: RelayId) -> Option<Relayed> {
        let RelayId { allocation: id, family } = relay;
        let allocation = self.table.get_mut(id)?;
        let relayed = allocation.relayed.take(family)?;
        for number in allocation.forget(family) {
            self.effects.push_back(Effect::ChannelUnbound { allocation: id, number });
        }
        self.effects.push_back(Effect::CloseRelay { relay });
        if relayed.with_next {
            self.shared.give_reserve_back(allocation.name());
        }
        if allocation.relayed.iter().next().is_none() {
            self.shared.give_back(allocation);
            self.wheel.remove(id.slot as usize);
            self.table.remove(id);
        }
        Some(relayed)
    }

    /// Ends and forgets what of an allocation is over, and sets its next deadline.
    fn prune(&mut self, now: Now, id: AllocationId) {
        for family in AddressFamily::ALL {
            let relayed = self.table.get(id).and_then(|allocation| allocation.relayed.get(family));
            if relayed.is_some_and(|relayed| relayed.has_expired(now.mono)) {
                self.end(now, RelayId { allocation: id, family });
            }
        }
        let Some(allocation) = self.table.get_mut(id) else { return };
        for number in allocation.prune(now.mono) {
            self.effects.push_back(Effect::ChannelUnbound { allocation: id, number });
        }
        self.wheel.set(id.slot as usize, now.mono, allocation.next_deadline());
    }

    /// Publishes what the relay ports of this server may deliver to an allocation's client.
    fn publish(&self, id: AllocationId) {
        if let Some(allocation) = self.table.get(id) {
            self.shared.publish(allocation);
        }
    }
}
