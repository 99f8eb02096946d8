//! ICMP errors that come back from peers (RFC 8656 section 11.5).

use std::net::SocketAddr;
use std::time::Duration;

use super::bandwidth::DEPTH;
use super::{Action, Answer, DropReason, Relay, RelayId};
use crate::time::Now;
use crate::wire::{Icmp, Reply, write_icmp_indication};

/// How often the client of one allocation is told, a second's worth at once. One is news, and a
/// hundred are the same news; and whoever knows a relay port can forge them.
const PER_SECOND: u32 = 10;

/// What ICMP error is told.
const COST: Duration = Duration::from_nanos(1_000_000_000 / PER_SECOND as u64);

impl Relay {
    /// Takes in an ICMP error that a datagram from a relay socket to `peer` has met. What is
    /// permitted goes to the client, in a Data indication without DATA. A peer whose port is not
    /// known has port 0.
    pub fn peer_unreachable(
        &mut self,
        now: Now,
        relay: RelayId,
        peer: SocketAddr,
        icmp: Icmp,
        reply: &mut Reply,
    ) -> Action {
        let Some(allocation) = self.table.living(now, relay) else {
            return Action::Drop(DropReason::NoAllocation);
        };
        let Some(icmp) = told(peer, icmp) else { return Action::Drop(DropReason::Icmp) };
        // Whoever reports it, the peer is whose permission counts.
        if !allocation.permits(now.mono, peer.ip()) {
            return Action::Drop(DropReason::NoPermission);
        }
        if allocation.icmp.take(now.mono, COST, DEPTH).is_err() {
            return Action::Drop(DropReason::Icmp);
        }
        let five_tuple = allocation.five_tuple;
        write_icmp_indication(self.next_indication(), peer, icmp, reply);
        Action::Reply { five_tuple, answer: Answer::Icmp }
    }
}

/// What the client is told of an error. Destination unreachable and time exceeded are told, and
/// packet too big, which IPv4 counts among the first; the MTU goes with the latter alone (section
/// 18.13).
fn told(peer: SocketAddr, icmp: Icmp) -> Option<Icmp> {
    let is_too_big = match (peer.is_ipv4(), icmp.kind, icmp.code) {
        (true, 3, 4) | (false, 2, _) => true,
        (true, 3 | 11, _) | (false, 1 | 3, _) => false,
        _ => return None,
    };
    Some(if is_too_big { icmp } else { Icmp { data: 0, ..icmp } })
}
