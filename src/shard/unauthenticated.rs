//! Unauthenticated connections: those whose client has no allocation. They are limited in time and
//! memory, and evicted first.

use std::time::Duration;

use byway_turn::server::StreamId;
use byway_turn::time::Now;

use super::counters::ConnectionEnd;
use super::poll_loop::{Buffers, Shard};

/// Time that a connection may exist without an allocation. It allows a few round trips over a bad
/// network, and limits clients that only hold connections open.
pub(super) const UNAUTHENTICATED_WITHIN: Duration = Duration::from_secs(10);

/// Maximum bytes that all connections without an allocation may hold, on all shards together.
/// Beyond that the oldest are evicted. Each connection is charged its maximum, so messages change
/// no count.
pub(super) const UNAUTHENTICATED_BYTES: usize = 64 * 1024 * 1024;

impl Shard {
    /// Closes the connections without an allocation since their last check.
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
        // The buffers may have emptied since the last check.
        connection.give_back();
        // A client whose allocation has ended gets the same time again for a new one.
        if std::mem::replace(&mut connection.had_allocation, has_allocation) || has_allocation {
            self.connections.later_checks.push_back((now.mono + UNAUTHENTICATED_WITHIN, id));
            self.set_has_allocation(now, buffers, id, has_allocation);
        } else {
            self.close(now, buffers, id, ConnectionEnd::Idle);
        }
    }

    /// Closes the oldest connection without an allocation among those before their first check.
    /// Returns whether there was one. Each connection is visited once.
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

    /// Records whether the client of a connection has an allocation. Without one the connection
    /// counts as unauthenticated (again).
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
        // Connections that had an allocation are past their first check, so there may be none to
        // evict.
        if !self.limit_unauthenticated(now, buffers) {
            self.close(now, buffers, id, ConnectionEnd::Shed);
        }
    }

    /// Evicts connections until those without an allocation are within their memory limit. Returns
    /// whether they are.
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
        // Count before the client can notice the end.
        self.counters.connection_ended(end);
        self.counters.connections.set(self.connections.count() as u64);
        connection.close();
        self.relay.client_gone(now, five_tuple);
        self.take_effects(now, buffers);
    }
}
