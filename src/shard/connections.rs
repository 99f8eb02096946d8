//! Connections of a shard: their table, messages to them, and the memory that unauthenticated ones
//! may hold.

use std::collections::VecDeque;
use std::io;
use std::os::fd::AsRawFd as _;
use std::sync::Arc;
use std::time::Duration;

use byway_turn::server::{DropReason, FiveTuple, StreamId, Transport};
use byway_turn::time::Now;
use mio::unix::SourceFd;
use mio::{Interest, Registry};
use slab::Slab;

use super::connection::{Connection, Urgency};
use super::mailbox::{MailboxSender, TurnConnection};
use super::poll_token::PollToken;
use super::unauthenticated::{UNAUTHENTICATED_BYTES, UNAUTHENTICATED_WITHIN};
use crate::events::ClientTransport;
use crate::net::connection_limit::{ConnectionLimiter, ConnectionPermit};

/// Connection table of a shard.
pub(super) struct Connections {
    shard: u16,
    generation: u32,
    slab: Slab<(StreamId, Connection)>,
    pub(super) limiter: Arc<ConnectionLimiter>,
    /// Mailboxes of all shards.
    mailboxes: Arc<[MailboxSender]>,
    /// Connections with data to send.
    unsent: Vec<StreamId>,
    /// Bytes that unauthenticated connections may hold.
    pub(super) unauthenticated_bytes: usize,
    /// Limit of `unauthenticated_bytes`.
    pub(super) unauthenticated_bytes_max: usize,
    /// Time of the first check of each connection. It is also the eviction order: the oldest first.
    /// Closed connections stay until their check.
    pub(super) first_checks: VecDeque<(Duration, StreamId)>,
    /// Time of the next check of every other connection. The interval is constant, so this queue is
    /// ordered, too.
    pub(super) later_checks: VecDeque<(Duration, StreamId)>,
}

impl Connections {
    pub(super) fn new(shard: u16, mailboxes: Arc<[MailboxSender]>, limiter: Arc<ConnectionLimiter>) -> Self {
        Self {
            shard,
            generation: 0,
            slab: Slab::new(),
            limiter,
            unsent: Vec::new(),
            unauthenticated_bytes: 0,
            unauthenticated_bytes_max: UNAUTHENTICATED_BYTES / mailboxes.len().max(1),
            mailboxes,
            first_checks: VecDeque::new(),
            later_checks: VecDeque::new(),
        }
    }

    /// Returns the number of open connections.
    pub(super) fn count(&self) -> usize {
        self.slab.len()
    }

    /// Returns the flag that marks a connection as queued.
    pub(super) fn ready(&mut self, place: usize) -> Option<&mut bool> {
        self.slab.get_mut(place).map(|(_, connection)| &mut connection.ready)
    }

    /// Returns the time of the next check.
    pub(super) fn next_check(&self) -> Option<Duration> {
        let checks = [self.first_checks.front(), self.later_checks.front()].into_iter().flatten();
        checks.map(|(at, _)| *at).min()
    }

    /// Sends a message to the client of a connection, through its shard.
    pub(super) fn send(
        &mut self,
        to: StreamId,
        message: [&[u8]; 2],
        urgency: Urgency,
    ) -> Result<(), DropReason> {
        if to.shard != self.shard {
            let mailbox = self.mailboxes.get(usize::from(to.shard)).ok_or(DropReason::NoAllocation)?;
            let sent = mailbox.send_to_client(to, message.concat().into());
            return if sent { Ok(()) } else { Err(DropReason::SendFull) };
        }
        let connection = self.get_mut(to).ok_or(DropReason::NoAllocation)?;
        if connection.put(message, urgency).is_err() {
            // One round may exceed the outbox even if the client reads fast enough.
            if !connection.is_blocked {
                let _ = connection.flush();
            }
            connection.put(message, urgency)?;
        }
        if !std::mem::replace(&mut connection.unsent, true) {
            self.unsent.push(to);
        }
        Ok(())
    }

    /// Sends all gathered messages of a round, in as few segments as possible.
    pub(super) fn flush(&mut self) {
        while let Some(id) = self.unsent.pop() {
            if let Some(connection) = self.get_mut(id) {
                connection.unsent = false;
                // A broken connection is readable, and reading closes it.
                let _ = connection.flush();
            }
        }
    }

    /// Returns the transport of a connection.
    pub(super) fn transport(&mut self, id: StreamId) -> Option<ClientTransport> {
        let is_tls = self.get_mut(id)?.is_tls();
        Some(if is_tls { ClientTransport::Tls } else { ClientTransport::Tcp })
    }

    pub(super) fn get_mut(&mut self, id: StreamId) -> Option<&mut Connection> {
        let (found, connection) = self.slab.get_mut(id.slot as usize)?;
        (*found == id).then_some(connection)
    }

    /// Returns the connection at a place, and its ID.
    pub(super) fn at(&mut self, place: usize) -> Option<(StreamId, &mut Connection)> {
        self.slab.get_mut(place).map(|(id, connection)| (*id, connection))
    }

    /// Adds a connection, and returns its place.
    pub(super) fn insert(
        &mut self,
        now: Now,
        connection: TurnConnection,
        permit: ConnectionPermit,
        registry: &Registry,
    ) -> io::Result<usize> {
        let entry = self.slab.vacant_entry();
        let place = entry.key();
        let slot = u32::try_from(place).expect("fewer than 2^32 connections have a descriptor");
        self.generation = self.generation.wrapping_add(1);
        let id = StreamId { shard: self.shard, slot, generation: self.generation };
        let (client, server) = (connection.client, connection.server.ip());
        let five_tuple = FiveTuple { client, server, transport: Transport::Stream(id) };
        let connection = Connection::new(connection, five_tuple, permit);
        registry.register(
            &mut SourceFd(&connection.socket().as_raw_fd()),
            PollToken::Connection(place).into(),
            Interest::READABLE | Interest::WRITABLE,
        )?;
        self.unauthenticated_bytes += connection.may_hold();
        entry.insert((id, connection));
        self.first_checks.push_back((now.mono + UNAUTHENTICATED_WITHIN, id));
        Ok(place)
    }

    /// Removes a connection if it exists.
    pub(super) fn remove(&mut self, id: StreamId) -> Option<Connection> {
        self.get_mut(id)?;
        let (_, connection) = self.slab.remove(id.slot as usize);
        if !connection.has_allocation {
            self.unauthenticated_bytes -= connection.may_hold();
        }
        Some(connection)
    }
}
