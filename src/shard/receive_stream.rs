//! Receiving on a connection: a chunk of bytes is read, its messages are given to the relay, and
//! the rest is kept.

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

/// Messages of one connection that are served before it is the next one's turn: one greedy flow
/// delays the others by so many, however much it sends.
const BURST: usize = 32;

/// Bytes that are read from a connection at a time: what a record of TLS holds.
const CHUNK: usize = 16 * 1024;

/// Messages of one turn where there is no allocation: as many answers of up to
/// [`REPLY_MAX`](byway_turn::wire::REPLY_MAX) wait where the client does not read.
const UNAUTHENTICATED_BURST: usize = 8;

/// Bytes of a chunk where there is no allocation.
const UNAUTHENTICATED_CHUNK: usize = 4 * 1024;

/// Bytes of the longest message from a client without an allocation: an Allocate request with every
/// attribute that there is, and the longest username.
const UNAUTHENTICATED_FRAME_MAX: usize = 2048;

/// Scratch bytes of the inbox: a chunk behind the beginning of a message that has come before.
pub(super) const CONNECTION_ROOM: usize = FRAME_MAX + CHUNK;

/// Bytes of a connection that lie at the beginning of the inbox.
struct Chunk {
    connection: StreamId,
    five_tuple: FiveTuple,
    /// Number of bytes.
    length: usize,
    /// Messages of it that are served in this turn at most.
    burst: usize,
}

/// A whole message at the beginning of some bytes.
struct Frame {
    length: usize,
    is_channel_data: bool,
}

/// Result of serving a chunk.
struct Progress {
    /// Number of bytes whose messages have been served.
    served: usize,
    /// Whether whole messages are left, because the burst was over.
    is_behind: bool,
}

impl Shard {
    /// Serves one chunk of a connection, and up to [`BURST`] of the messages that are whole with
    /// it. A chunk can hold thousands: those that are left are served before the next one is read.
    ///
    /// A client without an allocation reads its answers before it is served again.
    pub(super) fn serve_connection(&mut self, now: Now, buffers: &mut Buffers, place: usize) -> Served {
        let Some(chunk) = self.read_chunk(now, buffers, place) else {
            return Served { batches: 1, is_dry: true };
        };
        let served = self.serve_messages(now, buffers, &chunk);
        // Payloads that leave as datagrams lie where the next connection is read to.
        self.flush(buffers);
        let is_dry = served.is_err();
        match served {
            Ok(progress) => self.keep_rest(now, buffers, &chunk, &progress),
            Err(end) => self.close(now, buffers, chunk.connection, end),
        }
        Served { batches: 1, is_dry }
    }

    /// Reads a chunk behind the bytes that are left of the last one. `None`: nothing more has come,
    /// the client is to read first, or the connection has ended and is closed.
    fn read_chunk(&mut self, now: Now, buffers: &mut Buffers, place: usize) -> Option<Chunk> {
        let (id, connection) = self.connections.at(place)?;
        // The kernel may have room again for what waits.
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
            // Media is looked up once: the relay has just done it.
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

    /// Returns the message that `bytes` begin with; `None` if it is not whole yet.
    fn next_frame(
        &self,
        now: Now,
        bytes: &[u8],
        five_tuple: FiveTuple,
    ) -> Result<Option<Frame>, ConnectionEnd> {
        let Some(length) = frame_length(bytes).map_err(|_| ConnectionEnd::Garbage)? else { return Ok(None) };
        let is_whole = length <= bytes.len();
        // Without an allocation there is no channel, and nothing that takes so many bytes to say.
        let is_channel_data = classify(bytes) == Kind::ChannelData;
        let is_odd = length > UNAUTHENTICATED_FRAME_MAX || (is_channel_data && !is_whole);
        if is_odd && !self.relay.serves(now, five_tuple) {
            return Err(ConnectionEnd::Garbage);
        }
        Ok(is_whole.then_some(Frame { length, is_channel_data }))
    }

    /// Keeps the bytes of a chunk that have not been served.
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
