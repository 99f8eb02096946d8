//! Unauthenticated connections: those whose client has no allocation are limited in time and
//! memory, and evicted first.

use std::time::Duration;

use byway_turn::server::StreamId;
use byway_turn::time::Now;

use super::counters::ConnectionEnd;
use super::poll_loop::{Buffers, Shard};

/// Time that a connection may be without an allocation: a few round trips over a bad network, and
/// no more than that for clients that open connections to hold them.
pub(super) const UNAUTHENTICATED_WITHIN: Duration = Duration::from_secs(10);

/// Bytes that all connections without an allocation may hold together, on all shards; then the
/// oldest of them end. This counts what each may hold, so nothing is counted as messages come and
/// go.
pub(super) const UNAUTHENTICATED_BYTES: usize = 64 * 1024 * 1024;

impl Shard {
    /// Closes the connections that have had no allocation since their last check.
    pub(super) fn check_connections(&mut self, now: Now, buffers: &mut Buffers) {
        let is_due = |(at, _): &mut (Duration, StreamId)| *at <= now.mono;
        while let Some((_, id)) = self.connections.first_checks.pop_front_if(is_due) {
            self.check_connection(now, buffers, id);
        }
        while let Some((_, id)) = self.connections.later_checks.pop_front_if(is_due) {
            self.check_connection(now, buffers, id);
        }
    }

    fn check_connection(&mut self, now: Now, buffers: &mut Buffers, id: StreamId) {
        let Some(connection) = self.connections.get_mut(id) else { return };
        let has_allocation = self.relay.serves(now, connection.five_tuple);
        // Its buffers may have been empty since.
        connection.give_back();
        // One whose allocation has just ended has as long again for another.
        if std::mem::replace(&mut connection.had_allocation, has_allocation) || has_allocation {
            self.connections.later_checks.push_back((now.mono + UNAUTHENTICATED_WITHIN, id));
            self.set_has_allocation(now, buffers, id, has_allocation);
        } else {
            self.close(now, buffers, id, ConnectionEnd::Idle);
        }
    }

    /// Closes the oldest connection without an allocation that has not been checked yet; returns
    /// whether there was one. Each is passed by once.
    pub(super) fn evict_unauthenticated(&mut self, now: Now, buffers: &mut Buffers) -> bool {
        while let Some((_, id)) = self.connections.first_checks.pop_front() {
            let Some(connection) = self.connections.get_mut(id) else { continue };
            if self.relay.serves(now, connection.five_tuple) {
                self.check_connection(now, buffers, id);
                continue;
            }
            self.close(now, buffers, id, ConnectionEnd::Shed);
            return true;
        }
        false
    }

    /// Notes whether the client of a connection has an allocation. Without, it counts as
    /// unauthenticated (again).
    pub(super) fn set_has_allocation(
        &mut self,
        now: Now,
        buffers: &mut Buffers,
        id: StreamId,
        has_allocation: bool,
    ) {
        let Some(connection) = self.connections.get_mut(id) else { return };
        if std::mem::replace(&mut connection.has_allocation, has_allocation) == has_allocation {
            return;
        }
        let may_hold = connection.may_hold();
        if has_allocation {
            self.connections.unauthenticated_bytes -= may_hold;
            return;
        }
        self.connections.unauthenticated_bytes += may_hold;
        // Those that had an allocation have been checked, and may be all that there is.
        if !self.limit_unauthenticated(now, buffers) {
            self.close(now, buffers, id, ConnectionEnd::Shed);
        }
    }

    /// Evicts connections until those without an allocation hold no more than they may; returns
    /// whether they do then.
    pub(super) fn limit_unauthenticated(&mut self, now: Now, buffers: &mut Buffers) -> bool {
        while self.connections.unauthenticated_bytes > self.connections.unauthenticated_bytes_max {
            if !self.evict_unauthenticated(now, buffers) {
                return false;
            }
        }
        true
    }

    /// Closes a connection, and ends the allocation of its client.
    pub(super) fn close(&mut self, now: Now, buffers: &mut Buffers, id: StreamId, end: ConnectionEnd) {
        let Some(connection) = self.connections.remove(id) else { return };
        let five_tuple = connection.five_tuple;
        // Counted before its client can see the end.
        self.counters.connection_ended(end);
        self.counters.connections.set(self.connections.count() as u64);
        connection.close();
        self.relay.client_gone(now, five_tuple);
        self.take_effects(now, buffers);
    }
}
