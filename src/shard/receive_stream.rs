//! Receiving on a connection: the shard reads a chunk, passes its messages to the relay, and keeps
//! the rest.

use std::io::ErrorKind;

use byway_turn::server::{Action, DropReason, FiveTuple, StreamId};
use byway_turn::time::Now;
use byway_turn::wire::{FRAME_MAX, Kind, classify, frame_length};
use byway_udp::UNMARKED;

use super::act::Received;
use super::connection::Read;
use super::counters::{ConnectionEnd, Direction};
use super::poll_loop::{Buffers, Shard};
use super::schedule::Served;

/// Maximum number of messages of one connection per turn. It bounds the delay that a greedy flow
/// causes to others.
const BURST: usize = 32;

/// Bytes that one read of a connection takes at most: the contents of one TLS record.
const CHUNK: usize = 16 * 1024;

/// Maximum number of messages per turn of a connection without an allocation. It bounds the
/// responses, of up to [`REPLY_MAX`](byway_turn::wire::REPLY_MAX) bytes, that wait for a client
/// that does not read.
const UNAUTHENTICATED_BURST: usize = 8;

/// Bytes of a chunk of a connection without an allocation.
const UNAUTHENTICATED_CHUNK: usize = 4 * 1024;

/// Maximum bytes of a message from a client without an allocation: an Allocate request with every
/// attribute and the longest username.
const UNAUTHENTICATED_FRAME_MAX: usize = 2048;

/// Scratch bytes of the inbox: the beginning of a message from the previous read, and a chunk
/// behind it.
pub(super) const CONNECTION_ROOM: usize = FRAME_MAX + CHUNK;

/// Bytes of a connection at the beginning of the inbox.
struct Chunk {
    connection: StreamId,
    five_tuple: FiveTuple,
    /// Number of bytes.
    length: usize,
    /// Maximum number of its messages to serve in this turn.
    burst: usize,
}

/// Complete message at the beginning of some bytes.
struct Frame {
    length: usize,
    is_channel_data: bool,
}

/// Result of serving a chunk.
struct Progress {
    /// Number of bytes of the served messages.
    served: usize,
    /// Whether complete messages may remain because the burst limit was reached.
    is_behind: bool,
}

impl Shard {
    /// Reads one chunk of a connection, and serves up to [`BURST`] of its complete messages. A
    /// chunk can hold thousands, so the remaining ones are served before the next read.
    ///
    /// A client without an allocation must read its responses before it is served again.
    pub(super) fn serve_connection(&mut self, now: Now, buffers: &mut Buffers, place: usize) -> Served {
        let Some(chunk) = self.read_chunk(now, buffers, place) else {
            return Served { batches: 1, is_dry: true };
        };
        let served = self.serve_messages(now, buffers, &chunk);
        // Payloads to send as datagrams lie in the scratch bytes that the next connection
        // overwrites.
        self.flush(buffers);
        let is_dry = served.is_err();
        match served {
            Ok(progress) => self.keep_rest(now, buffers, &chunk, &progress),
            Err(end) => self.close(now, buffers, chunk.connection, end),
        }
        Served { batches: 1, is_dry }
    }

    /// Reads a chunk behind the bytes that are left of the last one. Returns `None` if nothing has
    /// arrived, the client must read first, or the connection has ended and is closed.
    fn read_chunk(&mut self, now: Now, buffers: &mut Buffers, place: usize) -> Option<Chunk> {
        let (id, connection) = self.connections.at(place)?;
        // The kernel may have room again for the outbox.
        let _ = connection.flush();
        let has_allocation = connection.has_allocation;
        if connection.is_blocked && !has_allocation {
            return None;
        }
        let (most, burst) =
            if has_allocation { (CHUNK, BURST) } else { (UNAUTHENTICATED_CHUNK, UNAUTHENTICATED_BURST) };
        let kept = connection.inbox.len();
        let room = buffers.inbox.scratch();
        let is_behind = connection.is_behind;
        let read = if is_behind { Ok(Read::Bytes(0)) } else { connection.read(&mut room[kept..kept + most]) };
        match read {
            Ok(Read::Bytes(read)) => {
                room[..kept].copy_from_slice(&connection.inbox);
                let five_tuple = connection.five_tuple;
                Some(Chunk { connection: id, five_tuple, length: kept + read, burst })
            }
            Ok(Read::WouldBlock) => None,
            Err(error) => {
                let is_end = matches!(error.kind(), ErrorKind::UnexpectedEof | ErrorKind::ConnectionReset);
                let end = if is_end { ConnectionEnd::Client } else { ConnectionEnd::Broken };
                self.close(now, buffers, id, end);
                None
            }
        }
    }

    /// Serves the first messages of a chunk.
    fn serve_messages(
        &mut self,
        now: Now,
        buffers: &mut Buffers,
        chunk: &Chunk,
    ) -> Result<Progress, ConnectionEnd> {
        let Chunk { five_tuple, length, burst, .. } = *chunk;
        let mut served = 0;
        for _ in 0..burst {
            let rest = &buffers.inbox.bytes()[served..length];
            let Some(Frame { length, is_channel_data }) = self.next_frame(now, rest, five_tuple)? else {
                return Ok(Progress { served, is_behind: false });
            };
            let message = &rest[..length];
            let action = self.relay.client_datagram(now, five_tuple, message, &mut buffers.reply);
            // Use the relay's own look-up, so that media is looked up only once.
            if is_channel_data && action == Action::Drop(DropReason::NoAllocation) {
                return Err(ConnectionEnd::Garbage);
            }
            let to_client = Direction::BetweenClients;
            self.act(buffers, action, Received { start: served, traffic_class: UNMARKED, to_client });
            self.take_effects(now, buffers);
            served += length;
        }
        Ok(Progress { served, is_behind: true })
    }

    /// Returns the message at the start of `bytes`, or `None` if it is incomplete.
    fn next_frame(
        &self,
        now: Now,
        bytes: &[u8],
        five_tuple: FiveTuple,
    ) -> Result<Option<Frame>, ConnectionEnd> {
        let Some(length) = frame_length(bytes).map_err(|_| ConnectionEnd::Garbage)? else { return Ok(None) };
        let is_whole = length <= bytes.len();
        // A client without an allocation has no channel, and needs no message of this length.
        let is_channel_data = classify(bytes) == Kind::ChannelData;
        let is_odd = length > UNAUTHENTICATED_FRAME_MAX || (is_channel_data && !is_whole);
        if is_odd && !self.relay.serves(now, five_tuple) {
            return Err(ConnectionEnd::Garbage);
        }
        Ok(is_whole.then_some(Frame { length, is_channel_data }))
    }

    /// Keeps the unserved bytes of a chunk.
    fn keep_rest(&mut self, now: Now, buffers: &mut Buffers, chunk: &Chunk, progress: &Progress) {
        let has_allocation = self.relay.serves(now, chunk.five_tuple);
        let rest = &buffers.inbox.bytes()[progress.served..chunk.length];
        if let Some(connection) = self.connections.get_mut(chunk.connection) {
            connection.is_behind = progress.is_behind;
            connection.inbox.clear();
            connection.inbox.extend_from_slice(rest);
            if !has_allocation {
                connection.give_back();
            }
        }
        self.set_has_allocation(now, buffers, chunk.connection, has_allocation);
    }
}
