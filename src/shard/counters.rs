//! Counters of one shard. Only its thread writes them, so counting needs no locked instruction.

use std::fmt;
use std::sync::Arc;

use byway_turn::closed_set;
use byway_turn::server::{Answer, CapacityCause, DropReason};
use byway_turn::wire::ErrorCode as TurnError;

use crate::metrics::{Count, Counters, Family, Page};
use crate::net::connection_limit::ConnectionCounters;

/// Counters of one shard. Their alignment keeps two shards from sharing a cache line.
#[derive(Debug, Default)]
#[repr(align(128))]
pub struct ShardCounters {
    /// Live allocations.
    pub allocations: Count,
    /// Bound channels.
    pub channels: Count,
    /// Allocations granted.
    pub allocations_granted: Count,
    /// Allocations ended because their name was revoked: the member left its room or was removed.
    pub allocations_revoked: Count,
    /// Relay sockets held in reserve. The count of one shard may be negative, because another shard
    /// may receive the token.
    pub reserved_ports: Count,
    /// Relay ports that another program used.
    pub port_collisions: Count,
    /// Relay ports reused before their rest time had passed.
    pub unrested_ports: Count,
    /// Allocate requests refused because the machine lacks the relay address.
    pub address_refusals: Count,
    /// Relayed transport addresses ended because the machine lost the address.
    pub addresses_lost: Count,
    /// Binding responses sent.
    pub bindings: Count,
    /// TURN success responses sent.
    pub successes: Count,
    /// Challenges sent: responses that ask for credentials or a fresh nonce.
    pub challenges: Count,
    /// ICMP errors reported to clients.
    pub icmp_errors: Count,
    /// Open connections.
    pub connections: Count,
    /// UDP datagrams received joined with others of their flow (GRO).
    pub received_joined: Count,
    /// UDP datagrams received one at a time.
    pub received_alone: Count,
    /// System calls that received UDP datagrams.
    pub receive_calls: Count,
    /// UDP datagrams sent as segments of a joined message (GSO).
    pub sent_segmented: Count,
    /// UDP datagrams sent one at a time.
    pub sent_alone: Count,
    /// System calls that sent UDP datagrams.
    pub send_calls: Count,
    /// Joined messages that a device refused to segment. Their datagrams were sent one by one.
    pub segmentation_refused: Count,
    /// Sleeps during which datagrams gathered.
    pub naps: Count,
    /// 1 while receive offload (GRO) is on, else 0.
    pub receive_offload: Count,
    /// 1 while send offload (GSO) is on, else 0.
    pub send_offload: Count,
    connections_ended: Family<ConnectionEnd, Count>,
    errors: Family<TurnError, Count>,
    no_capacity: Family<CapacityCause, Count>,
    packets: Family<Direction, Count>,
    bytes: Family<Direction, Count>,
    drops: Family<DropReason, Count>,
    bind_failures: Family<BindFailure, Count>,
}

impl ShardCounters {
    /// Counts relayed payloads with `bytes` bytes in total.
    pub fn relayed(&self, direction: Direction, payloads: u64, bytes: u64) {
        self.packets[direction].add(payloads);
        self.bytes[direction].add(bytes);
    }

    /// Counts dropped datagrams.
    pub fn dropped(&self, reason: DropReason, datagrams: u64) {
        self.drops[reason].add(datagrams);
    }

    /// Counts one sent response or indication.
    pub(super) fn answered(&self, answer: Answer) {
        match answer {
            Answer::Binding => self.bindings.add(1),
            Answer::Success => self.successes.add(1),
            Answer::Challenge => self.challenges.add(1),
            Answer::Icmp => self.icmp_errors.add(1),
            Answer::Error(code) => self.refused(code),
            Answer::NoCapacity(cause) => {
                self.refused(TurnError::InsufficientCapacity);
                self.no_capacity[cause].add(1);
            }
            Answer::AddressMissing => {
                self.refused(TurnError::AddressFamilyNotSupported);
                self.address_refusals.add(1);
            }
        }
    }

    /// Counts one relay socket that could not be bound.
    pub fn bind_failed(&self, reason: BindFailure) {
        self.bind_failures[reason].add(1);
    }

    /// Counts one ended connection.
    pub fn connection_ended(&self, end: ConnectionEnd) {
        self.connections_ended[end].add(1);
    }

    /// Returns the number of connections ended for one reason.
    #[must_use]
    pub fn connections_ended_so_far(&self, end: ConnectionEnd) -> u64 {
        self.connections_ended[end].get()
    }

    /// Counts one TURN or STUN error response.
    pub fn refused(&self, code: TurnError) {
        self.errors[code].add(1);
    }

    /// Returns the payloads relayed in one direction, and their bytes.
    #[must_use]
    pub fn relayed_so_far(&self, direction: Direction) -> (u64, u64) {
        (self.packets[direction].get(), self.bytes[direction].get())
    }

    /// Returns the number of error responses sent with one code.
    #[must_use]
    pub fn refused_so_far(&self, code: TurnError) -> u64 {
        self.errors[code].get()
    }

    /// Returns the number of datagrams dropped for one reason.
    #[must_use]
    pub fn dropped_so_far(&self, reason: DropReason) -> u64 {
        self.drops[reason].get()
    }
}

closed_set! {
    /// Reason for the end of a connection to TURN.
    pub enum ConnectionEnd {
        /// The client closed it.
        Client = "client",
        /// The connection or TLS failed.
        Broken = "broken",
        /// The client sent a byte that no message can have at its position.
        Garbage = "garbage",
        /// The client had no allocation for too long.
        Idle = "idle",
        /// It was evicted as the oldest connection without an allocation. No permit was left, or
        /// unauthenticated connections held too much memory.
        Shed = "shed",
    }
}

closed_set! {
    /// Reason for which a relay socket could not be bound.
    pub enum BindFailure {
        /// Another program uses the port. The relay tries another one.
        PortInUse = "port_in_use",
        /// The machine does not have the address, or has lost it.
        AddressMissing = "address_missing",
        /// The file descriptors of the process or the machine are used up.
        Descriptors = "descriptors",
        /// The kernel has no memory for the socket.
        Memory = "memory",
        /// A security policy forbids it.
        Denied = "denied",
        /// The kernel gave another reason.
        Other = "other",
    }
}

closed_set! {
    /// Direction in which a payload was relayed.
    pub enum Direction {
        /// From a client out through its relay socket.
        ToPeer = "to_peer",
        /// From a relay socket to its client.
        ToClient = "to_client",
        /// From one client of this server to another, in memory.
        BetweenClients = "between_clients",
    }
}

/// Counters of all shards and their connections.
#[derive(Debug)]
pub struct RelayCounters {
    /// Counters of each shard, summed at scrape time.
    pub shards: Vec<Arc<ShardCounters>>,
    /// TCP and TLS connections to TURN.
    pub connections: Arc<ConnectionCounters>,
}

impl RelayCounters {
    /// Returns the relay sockets that could not be bound for one reason, on all shards.
    #[must_use]
    pub fn bind_failures(&self, reason: BindFailure) -> u64 {
        self.shards.iter().map(|shard| shard.bind_failures[reason].get()).fold(0, u64::wrapping_add)
    }
}

impl Counters for RelayCounters {
    fn encode(&self, page: &mut Page<'_>) -> fmt::Result {
        let sum = |read: &dyn Fn(&ShardCounters) -> u64| {
            self.shards.iter().map(|shard| read(shard)).fold(0, u64::wrapping_add)
        };
        page.gauge("allocations", "Live TURN allocations.", sum(&|s| s.allocations.get()))?;
        page.gauge("turn_streams", "Open TCP and TLS connections to TURN.", sum(&|s| s.connections.get()))?;
        page.family(
            "turn_streams_closed",
            "TCP and TLS connections to TURN that ended, by reason.",
            "reason",
            |end| sum(&|s| s.connections_ended_so_far(end)),
        )?;
        page.gauge("channels", "Bound TURN channels.", sum(&|s| s.channels.get()))?;
        page.counter(
            "allocations_granted",
            "TURN allocations granted.",
            sum(&|s| s.allocations_granted.get()),
        )?;
        page.counter(
            "allocations_revoked",
            "TURN allocations ended because their name was revoked: the member left its room or was removed.",
            sum(&|s| s.allocations_revoked.get()),
        )?;
        page.counter(
            "draining_refusals",
            "Allocate requests refused because the server is shutting down. Each is also a 508 in turn_errors.",
            sum(&|s| s.no_capacity[CapacityCause::Draining].get()),
        )?;
        page.gauge(
            "relay_ports_reserved",
            "Relay ports held in reserve for the client with the token (EVEN-PORT, RESERVATION-TOKEN).",
            sum(&|s| s.reserved_ports.get()),
        )?;
        page.counter(
            "relay_port_collisions",
            "Relay ports that another program used. The server tried another port each time.",
            sum(&|s| s.port_collisions.get()),
        )?;
        page.family(
            "relay_bind_failures",
            "Relay sockets that could not be bound, by reason. port_in_use: another port was tried; \
         address_missing: the client got 440; otherwise: the client got 508.",
            "reason",
            |reason| self.bind_failures(reason),
        )?;
        page.counter(
            "relay_ports_unrested",
            "Relay ports reused before relay.port_rest had passed, because no rested port was left.",
            sum(&|s| s.unrested_ports.get()),
        )?;
        page.counter(
        "address_refusals",
        "Allocate requests refused because the machine lacks the relay address. Each is also a 440 in turn_errors.",
        sum(&|s| s.address_refusals.get()),
    )?;
        page.counter(
            "relayed_addresses_lost",
            "Relayed transport addresses ended because the machine lost their address.",
            sum(&|s| s.addresses_lost.get()),
        )?;
        page.family("relayed_packets", "Payloads relayed, by direction.", "direction", |direction| {
            sum(&|s| s.relayed_so_far(direction).0)
        })?;
        page.family(
            "relayed_bytes",
            "Bytes of relayed payloads without headers, by direction.",
            "direction",
            |direction| sum(&|s| s.relayed_so_far(direction).1),
        )?;
        page.family("dropped_packets", "Datagrams dropped, by reason.", "reason", |reason| {
            sum(&|s| s.dropped_so_far(reason))
        })?;
        page.counter("stun_bindings", "STUN Binding responses sent.", sum(&|s| s.bindings.get()))?;
        page.counter("turn_successes", "TURN success responses sent.", sum(&|s| s.successes.get()))?;
        page.counter(
            "turn_challenges",
            "Challenges sent for credentials or a fresh nonce. Every client's first TURN request gets one.",
            sum(&|s| s.challenges.get()),
        )?;
        page.family(
            "turn_errors",
            "Error responses sent, by code. 401: wrong or expired credentials; 403: refused peer; \
         486: quota reached; 508: no port, socket or capacity for another allocation.",
            "code",
            |code| sum(&|s| s.refused_so_far(code)),
        )?;
        page.family(
            "turn_no_capacity",
            "Requests answered with 508, by cause. Each is also a 508 in turn_errors. ports: no relay port is free, \
             or the limit of the server is reached; sockets: byway_relay_bind_failures has the reason.",
            "cause",
            |cause| sum(&|s| s.no_capacity[cause].get()),
        )?;
        page.counter(
            "icmp_errors",
            "ICMP errors on the path to a peer that were reported to clients.",
            sum(&|s| s.icmp_errors.get()),
        )?;
        page.counters(
        "datagrams_received",
        "UDP datagrams received, by path. joined: together with others of their flow (GRO); alone: one at a time.",
        "path",
        [("joined", sum(&|s| s.received_joined.get())), ("alone", sum(&|s| s.received_alone.get()))],
    )?;
        page.counters(
        "datagrams_sent",
        "UDP datagrams sent, by path. segmented: together with others of their flow (GSO); alone: one at a time.",
        "path",
        [("segmented", sum(&|s| s.sent_segmented.get())), ("alone", sum(&|s| s.sent_alone.get()))],
    )?;
        page.counter(
            "receive_calls",
            "System calls that received UDP datagrams.",
            sum(&|s| s.receive_calls.get()),
        )?;
        page.counter("send_calls", "System calls that sent UDP datagrams.", sum(&|s| s.send_calls.get()))?;
        page.counter(
            "segmentation_refused",
            "Joined messages that a device refused to segment. Their datagrams were sent one by one.",
            sum(&|s| s.segmentation_refused.get()),
        )?;
        page.counter(
            "naps",
            "Sleeps during which a shard let datagrams gather (relay.nap).",
            sum(&|s| s.naps.get()),
        )?;
        page.gauges(
            "offload",
            "Shards with receive offload (GRO) or send offload (GSO).",
            "kind",
            [("receive", sum(&|s| s.receive_offload.get())), ("send", sum(&|s| s.send_offload.get()))],
        )?;
        page.counters(
            "turn_streams_refused",
            "TCP and TLS connections to TURN refused, by limit reached.",
            "limit",
            self.connections.refused(),
        )
    }
}
