//! Counters of one shard. Its thread is the only one that writes, so that counting costs it no
//! locked instruction.

use std::fmt;
use std::sync::Arc;

use byway_turn::closed_set;
use byway_turn::server::{Answer, DropReason};
use byway_turn::wire::ErrorCode as TurnError;

use crate::metrics::{Count, Counters, Family, Page};
use crate::net::connection_limit::ConnectionCounters;

/// Counters of one shard of the data plane. Aligned, so that two shards never share a cache line.
#[derive(Debug, Default)]
#[repr(align(128))]
pub struct ShardCounters {
    /// Live allocations.
    pub allocations: Count,
    /// Bound channels.
    pub channels: Count,
    /// Allocations ever granted.
    pub allocations_granted: Count,
    /// Allocations ended because their name was revoked: its member has left, or was sent away.
    pub allocations_revoked: Count,
    /// Allocate requests refused because the server is about to end.
    pub draining_refusals: Count,
    /// Relay sockets held in reserve; of one shard it may be negative, for another may be given the
    /// token.
    pub reserved_ports: Count,
    /// Relay ports that another program had.
    pub port_collisions: Count,
    /// Relay ports that were given before they had rested.
    pub unrested_ports: Count,
    /// Allocate requests refused because the machine lacks the address to relay from.
    pub address_refusals: Count,
    /// Relayed transport addresses that ended because the machine lost the address.
    pub addresses_lost: Count,
    /// Binding responses sent.
    pub bindings: Count,
    /// TURN success responses sent.
    pub successes: Count,
    /// Responses sent that ask for credentials or a fresh nonce.
    pub challenges: Count,
    /// ICMP errors that clients were told of.
    pub icmp_errors: Count,
    /// Open connections.
    pub connections: Count,
    /// UDP datagrams that the kernel handed over joined with others of their flow (GRO).
    pub received_joined: Count,
    /// UDP datagrams that came one at a time.
    pub received_alone: Count,
    /// System calls that asked for UDP datagrams.
    pub receive_calls: Count,
    /// UDP datagrams that left as segments of a joined message (GSO).
    pub sent_segmented: Count,
    /// UDP datagrams that left one at a time.
    pub sent_alone: Count,
    /// System calls that sent UDP datagrams.
    pub send_calls: Count,
    /// Joined messages that a device refused to segment, and that were then sent one by one.
    pub segmentation_refused: Count,
    /// Waits in which datagrams were left to gather.
    pub naps: Count,
    /// 1 while the kernel may hand over joined datagrams, else 0.
    pub receive_offload: Count,
    /// 1 while the kernel is given joined datagrams to segment, else 0.
    pub send_offload: Count,
    connections_ended: Family<ConnectionEnd, Count>,
    errors: Family<TurnError, Count>,
    packets: Family<Direction, Count>,
    bytes: Family<Direction, Count>,
    drops: Family<DropReason, Count>,
}

impl ShardCounters {
    /// Counts so many relayed payloads of `bytes` bytes together.
    pub fn relayed(&self, direction: Direction, payloads: u64, bytes: u64) {
        self.packets[direction].add(payloads);
        self.bytes[direction].add(bytes);
    }

    /// Counts so many dropped datagrams.
    pub fn dropped(&self, reason: DropReason, datagrams: u64) {
        self.drops[reason].add(datagrams);
    }

    /// Counts one response, or indication, that was sent.
    pub(super) fn answered(&self, answer: Answer) {
        match answer {
            Answer::Binding => self.bindings.add(1),
            Answer::Success => self.successes.add(1),
            Answer::Challenge => self.challenges.add(1),
            Answer::Icmp => self.icmp_errors.add(1),
            Answer::Error(code) => self.refused(code),
            Answer::Draining => {
                self.refused(TurnError::InsufficientCapacity);
                self.draining_refusals.add(1);
            }
            Answer::AddressMissing => {
                self.refused(TurnError::AddressFamilyNotSupported);
                self.address_refusals.add(1);
            }
        }
    }

    /// Counts one connection that ended.
    pub fn connection_ended(&self, end: ConnectionEnd) {
        self.connections_ended[end].add(1);
    }

    /// Connections that ended for one reason.
    #[must_use]
    pub fn connections_ended_so_far(&self, end: ConnectionEnd) -> u64 {
        self.connections_ended[end].get()
    }

    /// Counts one TURN or STUN error response.
    pub fn refused(&self, code: TurnError) {
        self.errors[code].add(1);
    }

    /// Payloads and their bytes relayed in one direction.
    #[must_use]
    pub fn relayed_so_far(&self, direction: Direction) -> (u64, u64) {
        (self.packets[direction].get(), self.bytes[direction].get())
    }

    /// Error responses sent with one code.
    #[must_use]
    pub fn refused_so_far(&self, code: TurnError) -> u64 {
        self.errors[code].get()
    }

    /// Datagrams dropped for one reason.
    #[must_use]
    pub fn dropped_so_far(&self, reason: DropReason) -> u64 {
        self.drops[reason].get()
    }
}

closed_set! {
    /// Reason for the end of a connection to TURN.
    pub enum ConnectionEnd {
        /// Its client closed it.
        Client = "client",
        /// It broke, or TLS did.
        Broken = "broken",
        /// A byte that no message has there.
        Garbage = "garbage",
        /// Too long without an allocation.
        Idle = "idle",
        /// It made room for another, as the oldest without an allocation when there was no permit
        /// left, or no memory for unauthenticated connections.
        Shed = "shed",
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
    /// One of each shard; summed at scrape time.
    pub shards: Vec<Arc<ShardCounters>>,
    /// TCP and TLS connections to TURN.
    pub connections: Arc<ConnectionCounters>,
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
        "TURN allocations ended because their name was revoked: a member that left its room or was removed.",
        sum(&|s| s.allocations_revoked.get()),
    )?;
        page.counter(
        "draining_refusals",
        "Allocate requests refused because the server is told to stop; each is a 508 among turn_errors, too.",
        sum(&|s| s.draining_refusals.get()),
    )?;
        page.gauge(
            "relay_ports_reserved",
            "Relay ports held in reserve for whoever has the token (EVEN-PORT, RESERVATION-TOKEN).",
            sum(&|s| s.reserved_ports.get()),
        )?;
        page.counter(
            "relay_port_collisions",
            "Relay ports that another program had, so that another one was tried.",
            sum(&|s| s.port_collisions.get()),
        )?;
        page.counter(
            "relay_ports_unrested",
            "Relay ports given before they had rested for relay.port_rest, because no other was left.",
            sum(&|s| s.unrested_ports.get()),
        )?;
        page.counter(
        "address_refusals",
        "Allocate requests refused because the machine lacks the address to relay from; each is a 440 among turn_errors, too.",
        sum(&|s| s.address_refusals.get()),
    )?;
        page.counter(
            "relayed_addresses_lost",
            "Relayed transport addresses that ended because the machine lost the address beneath them.",
            sum(&|s| s.addresses_lost.get()),
        )?;
        page.family("relayed_packets", "Payloads relayed, by direction.", "direction", |direction| {
            sum(&|s| s.relayed_so_far(direction).0)
        })?;
        page.family(
            "relayed_bytes",
            "Bytes of payload relayed, without headers, by direction.",
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
            "Responses that ask for credentials or a fresh nonce, as to every client's first request.",
            sum(&|s| s.challenges.get()),
        )?;
        page.family(
            "turn_errors",
            "Error responses sent, by code. 401: wrong or expired credentials; 403: a peer that is refused; \
         486: quota; 508: no port, socket or room for another allocation.",
            "code",
            |code| sum(&|s| s.refused_so_far(code)),
        )?;
        page.counter(
            "icmp_errors",
            "ICMP errors from the way to a peer that clients were told of.",
            sum(&|s| s.icmp_errors.get()),
        )?;
        page.counters(
        "datagrams_received",
        "UDP datagrams received, by how the kernel handed them over. joined: with others of their flow, as one (GRO).",
        "path",
        [("joined", sum(&|s| s.received_joined.get())), ("alone", sum(&|s| s.received_alone.get()))],
    )?;
        page.counters(
        "datagrams_sent",
        "UDP datagrams sent, by how the kernel was given them. segmented: with others of their flow, as one (GSO).",
        "path",
        [("segmented", sum(&|s| s.sent_segmented.get())), ("alone", sum(&|s| s.sent_alone.get()))],
    )?;
        page.counter(
            "receive_calls",
            "System calls that asked for UDP datagrams.",
            sum(&|s| s.receive_calls.get()),
        )?;
        page.counter("send_calls", "System calls that sent UDP datagrams.", sum(&|s| s.send_calls.get()))?;
        page.counter(
            "segmentation_refused",
            "Joined datagrams that a device did not take as one, so that they were sent one by one.",
            sum(&|s| s.segmentation_refused.get()),
        )?;
        page.counter(
            "naps",
            "Times that a shard let datagrams gather before it looked again.",
            sum(&|s| s.naps.get()),
        )?;
        page.gauges(
            "offload",
            "Shards on which the kernel joins what is received (GRO), or segments what is sent (GSO).",
            "kind",
            [("receive", sum(&|s| s.receive_offload.get())), ("send", sum(&|s| s.send_offload.get()))],
        )?;
        page.counters(
            "turn_streams_refused",
            "TCP and TLS connections to TURN refused, by the limit reached.",
            "limit",
            self.connections.refused(),
        )
    }
}
