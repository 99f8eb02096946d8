//! ICMP errors caused by datagrams to peers (RFC 8656 section 11.5).

use std::net::SocketAddr;
use std::time::Duration;

use super::bandwidth::DEPTH;
use super::{Action, Answer, DropReason, Relay, RelayId};
use crate::time::Now;
use crate::wire::{Icmp, Reply, write_icmp_indication};

/// ICMP errors per second that are reported to the client of one allocation, with a burst of one
/// second. The limit loses little, because one error says as much as a hundred. It also bounds
/// forged errors from anyone who knows a relay port.
const PER_SECOND: u32 = 10;

/// Cost of one ICMP error to the rate limiter.
const COST: Duration = Duration::from_nanos(1_000_000_000 / PER_SECOND as u64);

impl Relay {
    /// Handles an ICMP error caused by a datagram from a relay socket to `peer`. If permitted, it
    /// goes to the client in a Data indication without DATA. `peer` has port 0 if its port is not
    /// known.
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
        let dropped = |reason| {
            allocation.usage.dropped(reason);
            Action::Drop(reason)
        };
        let Some(icmp) = told(peer, icmp) else { return dropped(DropReason::Icmp) };
        // The permission of the peer decides, not that of the host that sent the error.
        if !allocation.permits(now.mono, peer.ip()) {
            return dropped(DropReason::NoPermission);
        }
        if allocation.icmp.take(now.mono, COST, DEPTH).is_err() {
            return dropped(DropReason::Icmp);
        }
        let five_tuple = allocation.five_tuple;
        write_icmp_indication(self.delivery.next_indication(), peer, icmp, reply);
        Action::Reply { five_tuple, answer: Answer::Icmp }
    }
}

/// Returns the error to report to the client, if any. Destination unreachable, time exceeded and
/// packet too big are reported; IPv4 counts the last among the first. Only packet too big carries
/// its MTU (section 18.13).
fn told(peer: SocketAddr, icmp: Icmp) -> Option<Icmp> {
    let is_too_big = match (peer.is_ipv4(), icmp.kind, icmp.code) {
        (true, 3, 4) | (false, 2, _) => true,
        (true, 3 | 11, _) | (false, 1 | 3, _) => false,
        _ => return None,
    };
    Some(if is_too_big { icmp } else { Icmp { data: 0, ..icmp } })
}
