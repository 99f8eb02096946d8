//! The connections of a shard: taken in, read, and closed when they are of no use.

use std::collections::VecDeque;
use std::io::{self, ErrorKind};
use std::net::TcpListener;
use std::os::fd::AsRawFd as _;
use std::sync::Arc;
use std::time::Duration;

use byway_turn::server::{Action, DropReason, FiveTuple, StreamId, Transport};
use byway_turn::time::Now;
use byway_turn::wire::{FRAME_MAX, Kind, classify, frame_length};
use byway_udp::UNMARKED;
use mio::unix::SourceFd;
use mio::{Interest, Registry};
use slab::Slab;

use super::connection::{Read, Stream, Urgency};
use super::core::Core;
use super::counters::{Direction, StreamEnd};
use super::mailbox::{Letter, Mailbox, Slot, TurnStream};
use super::poll_token::Source;
use crate::net::connection_limit::{ConnectionLimiter, ConnectionPermit};

/// How long a connection may be without an allocation: time for a few round trips over a bad network, and no more than
/// that for whoever opens connections to hold them.
const STRANGER_WITHIN: Duration = Duration::from_secs(10);

/// Bytes of the longest message from a client without an allocation: an Allocate request with every attribute that there
/// is, and the longest username.
const STRANGER_FRAME_MAX: usize = 2048;

/// Bytes that all connections without an allocation may hold together, on all shards; then the oldest of them end. This
/// counts what each may hold, so nothing is counted as messages come and go.
const STRANGERS_HOLD: usize = 64 * 1024 * 1024;

/// Connections that one listener may take in before it is the next source's turn.
const ACCEPTS: usize = 32;

/// How long a listener waits for a descriptor, or memory, that somebody else gives back.
const DOORS_AGAIN: Duration = Duration::from_millis(50);

/// Messages of one connection that are served before it is the next one's turn: one greedy flow delays the others by so
/// many, however much it sends.
const BURST: usize = 32;

/// Bytes that are read from a connection at a time: what a record of TLS holds.
const CHUNK: usize = 16 * 1024;

/// Messages of one turn where there is no allocation: as many answers of up to [`REPLY_MAX`](byway_turn::wire::REPLY_MAX) wait
/// where the client does not read.
const STRANGER_BURST: usize = 8;

/// Bytes of a chunk there.
const STRANGER_CHUNK: usize = 4 * 1024;

/// Room for a chunk behind the beginning of a message that has come before.
pub(super) const STREAM_ROOM: usize = FRAME_MAX + CHUNK;

/// The connections of a shard, and where they come from.
pub(super) struct Streams {
    shard: u16,
    generation: u32,
    slab: Slab<(StreamId, Stream)>,
    doors: Vec<(TcpListener, bool)>,
    mailbox: Mailbox,
    limiter: Arc<ConnectionLimiter>,
    /// When to try again to accept, for want of room.
    doors_again: Option<Duration>,
    /// The mailboxes of all shards.
    slots: Arc<[Slot]>,
    /// Bytes that those without an allocation may hold.
    strangers: usize,
    /// The most that these may be.
    strangers_max: usize,
    /// When to look at each connection for the first time, and who makes room for others: the oldest first. Closed ones
    /// stay until then.
    newcomers: VecDeque<(Duration, StreamId)>,
    /// When to look at each of the others next. Every look is as far ahead, so this is in order, too.
    looks: VecDeque<(Duration, StreamId)>,
    /// Those with something to send.
    unsent: Vec<StreamId>,
}

impl Streams {
    /// No connection yet; `doors` are named ready by the poll of `registry`.
    pub(super) fn new(
        shard: u16,
        doors: Vec<TcpListener>,
        mailbox: Mailbox,
        slots: Arc<[Slot]>,
        limiter: Arc<ConnectionLimiter>,
        registry: &Registry,
    ) -> io::Result<Self> {
        let mut streams = Self {
            shard,
            generation: 0,
            slab: Slab::new(),
            doors: Vec::new(),
            mailbox,
            limiter,
            doors_again: None,
            strangers: 0,
            strangers_max: STRANGERS_HOLD / slots.len().max(1),
            slots,
            newcomers: VecDeque::new(),
            looks: VecDeque::new(),
            unsent: Vec::new(),
        };
        doors.into_iter().try_for_each(|door| streams.listen(door, registry))?;
        Ok(streams)
    }

    /// Takes connections in at one more listener.
    pub(super) fn listen(&mut self, door: TcpListener, registry: &Registry) -> io::Result<()> {
        let token = Source::Door(self.doors.len()).into();
        registry.register(&mut SourceFd(&door.as_raw_fd()), token, Interest::READABLE)?;
        self.doors.push((door, false));
        Ok(())
    }

    /// Whether a connection, or a listener, is in the queue of ready sources.
    pub(super) fn ready(&mut self, source: Source) -> Option<&mut bool> {
        match source {
            Source::Door(place) => self.doors.get_mut(place).map(|(_, ready)| ready),
            Source::Stream(place) => self.slab.get_mut(place).map(|(_, stream)| &mut stream.ready),
            _ => None,
        }
    }

    /// When to call [`Core::look_at_streams`] next.
    pub(super) fn next_look(&self) -> Option<Duration> {
        let looks = [self.newcomers.front(), self.looks.front()].into_iter().flatten();
        looks.map(|(at, _)| *at).chain(self.doors_again).min()
    }

    /// Sends a message to the client behind a connection, by way of its shard.
    pub(super) fn send(
        &mut self,
        to: StreamId,
        message: [&[u8]; 2],
        urgency: Urgency,
    ) -> Result<(), DropReason> {
        if to.shard != self.shard {
            let slot = self.slots.get(usize::from(to.shard)).ok_or(DropReason::NoAllocation)?;
            let sent = slot.put(to, message.concat().into());
            return if sent { Ok(()) } else { Err(DropReason::SendFull) };
        }
        let stream = self.get_mut(to).ok_or(DropReason::NoAllocation)?;
        if stream.put(message, urgency).is_err() {
            // A round may bring more than the outbox holds to a client that reads as fast.
            if !stream.is_stuck {
                let _ = stream.flush();
            }
            stream.put(message, urgency)?;
        }
        if !std::mem::replace(&mut stream.unsent, true) {
            self.unsent.push(to);
        }
        Ok(())
    }

    /// Sends what has gathered: all messages of a round in as few segments as they fit.
    pub(super) fn flush(&mut self) {
        while let Some(id) = self.unsent.pop() {
            if let Some(stream) = self.get_mut(id) {
                stream.unsent = false;
                // A connection that has broken is readable, and ends there.
                let _ = stream.flush();
            }
        }
    }

    fn get_mut(&mut self, id: StreamId) -> Option<&mut Stream> {
        let (found, stream) = self.slab.get_mut(id.slot as usize)?;
        (*found == id).then_some(stream)
    }

    /// Takes a connection in; yields its place.
    fn insert(
        &mut self,
        now: Now,
        stream: TurnStream,
        held: ConnectionPermit,
        registry: &Registry,
    ) -> io::Result<usize> {
        let entry = self.slab.vacant_entry();
        let place = entry.key();
        let slot = u32::try_from(place).expect("fewer than 2^32 connections have a descriptor");
        self.generation = self.generation.wrapping_add(1);
        let id = StreamId { shard: self.shard, slot, generation: self.generation };
        let five_tuple =
            FiveTuple { client: stream.client, server: stream.server.ip(), transport: Transport::Stream(id) };
        let stream = Stream::new(stream, five_tuple, held);
        let interest = Interest::READABLE | Interest::WRITABLE;
        registry.register(
            &mut SourceFd(&stream.socket().as_raw_fd()),
            Source::Stream(place).into(),
            interest,
        )?;
        self.strangers += stream.may_hold();
        entry.insert((id, stream));
        self.newcomers.push_back((now.mono + STRANGER_WITHIN, id));
        Ok(place)
    }
}

impl Core {
    /// Takes in the connections that wait at a listener; true when none is left.
    pub(super) fn serve_door(&mut self, now: Now, place: usize) -> bool {
        for _ in 0..ACCEPTS {
            let Some((door, _)) = self.streams.doors.get(place) else { return true };
            match door.accept() {
                Ok((socket, client)) => {
                    let taken = socket.set_nonblocking(true).and_then(|()| socket.local_addr());
                    if let Ok(server) = taken {
                        self.take_in(now, TurnStream { socket, tls: None, client, server });
                    }
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => return true,
                Err(error) if is_out_of_room(&error) => {
                    // With nobody to make room, the connection waits until somebody else does.
                    if !self.shed_a_stranger(now) {
                        self.streams.doors_again = Some(now.mono + DOORS_AGAIN);
                        return true;
                    }
                }
                // A connection that ended while it waited.
                Err(error) => tracing::trace!(%error, "accepting"),
            }
        }
        false
    }

    /// Reads what other threads have sent; true when nothing is left.
    pub(super) fn serve_mailbox(&mut self, now: Now) -> bool {
        for _ in 0..ACCEPTS {
            match self.streams.mailbox.next() {
                Some(Letter::Stream(stream)) => {
                    // What has been decrypted already, no poll tells of.
                    if let Some(place) = self.take_in(now, stream) {
                        self.make_ready(Source::Stream(place));
                    }
                }
                Some(Letter::Message(to, message)) => {
                    if let Err(reason) = self.streams.send(to, [&message, &[]], Urgency::Media) {
                        self.counters.dropped(reason, 1);
                    }
                }
                Some(Letter::Addresses(news)) => self.heed(now, news),
                Some(Letter::End(name)) => {
                    let ended = self.relay.end_all_of(now, &name);
                    self.counters.allocations_revoked.add(ended as u64);
                    self.take_effects(now);
                }
                // Who asked may have given up.
                Some(Letter::Ask(question)) if self.answers_a_binding(now) => {
                    let _ = question.send(());
                }
                Some(Letter::Ask(_)) => {}
                None => return true,
            }
        }
        false
    }

    fn take_in(&mut self, now: Now, stream: TurnStream) -> Option<usize> {
        // Whoever comes may be honest; who has been here longest without an allocation is likely not.
        let limiter = self.streams.limiter.clone();
        let held = limiter.admit_or(stream.client.ip(), || self.shed_a_stranger(now))?;
        let taken = self.streams.insert(now, stream, held, &self.registry);
        self.bound_strangers(now);
        self.counters.streams.set(self.streams.slab.len() as u64);
        taken.inspect_err(|error| tracing::debug!(%error, "no place for a connection")).ok()
    }

    /// Takes in one chunk of a connection, and up to [`BURST`] of the messages that are whole with it; true when there is
    /// nothing more. A chunk can hold thousands: those that are left are served before the next one is read.
    ///
    /// A client without an allocation reads its answers before it is served again.
    pub(super) fn serve_stream(&mut self, now: Now, place: usize) -> bool {
        let Some((id, stream)) = self.streams.slab.get_mut(place) else { return true };
        let id = *id;
        // The kernel may have room again for what waits.
        let _ = stream.flush();
        if stream.is_stuck && !stream.is_in_use {
            return true;
        }
        let (most, burst) = if stream.is_in_use { (CHUNK, BURST) } else { (STRANGER_CHUNK, STRANGER_BURST) };
        let kept = stream.inbox.len();
        let room = self.inbox.scratch();
        let chunk = &mut room[kept..kept + most];
        let read = if stream.is_behind { Ok(Read::Bytes(0)) } else { stream.read(chunk) };
        let read = match read {
            Ok(Read::Bytes(read)) => read,
            Ok(Read::Dry) => return true,
            Err(error) => {
                let is_end = matches!(error.kind(), ErrorKind::UnexpectedEof | ErrorKind::ConnectionReset);
                self.close(now, id, if is_end { StreamEnd::Client } else { StreamEnd::Broken });
                return true;
            }
        };
        room[..kept].copy_from_slice(&stream.inbox);
        let five_tuple = stream.five_tuple;
        let served = self.serve_messages(now, five_tuple, kept + read, burst);
        // What leaves as datagrams lies where the next connection is read to.
        self.flush();
        match served {
            Ok((end, is_behind)) => {
                let is_in_use = self.relay.serves(now, five_tuple);
                let left = &self.inbox.bytes()[end..kept + read];
                if let Some(stream) = self.streams.get_mut(id) {
                    stream.is_behind = is_behind;
                    stream.inbox.clear();
                    stream.inbox.extend_from_slice(left);
                    if !is_in_use {
                        stream.give_back();
                    }
                }
                self.set_in_use(now, id, is_in_use);
                false
            }
            Err(end) => {
                self.close(now, id, end);
                true
            }
        }
    }

    /// Serves up to `burst` messages of those before `end` in the inbox; yields where the first one begins that it has
    /// not served, and whether that is because there were so many.
    fn serve_messages(
        &mut self,
        now: Now,
        five_tuple: FiveTuple,
        end: usize,
        burst: usize,
    ) -> Result<(usize, bool), StreamEnd> {
        let mut at = 0;
        for _ in 0..burst {
            let stream = &self.inbox.bytes()[at..end];
            let Some(length) = frame_length(stream).map_err(|_| StreamEnd::Garbage)? else {
                return Ok((at, false));
            };
            let is_whole = length <= stream.len();
            // Without an allocation there is no channel, and nothing that takes so many bytes to say.
            let is_channel_data = classify(stream) == Kind::ChannelData;
            let is_odd = length > STRANGER_FRAME_MAX || (is_channel_data && !is_whole);
            if is_odd && !self.relay.serves(now, five_tuple) {
                return Err(StreamEnd::Garbage);
            }
            if !is_whole {
                return Ok((at, false));
            }
            let message = &self.inbox.bytes()[at..at + length];
            let action = self.relay.client_datagram(now, five_tuple, message, &mut self.reply);
            // Media is looked up once: the core has just done it.
            if is_channel_data && action == Action::Drop(DropReason::NoAllocation) {
                return Err(StreamEnd::Garbage);
            }
            self.act(action, at, UNMARKED, Direction::BetweenClients);
            self.take_effects(now);
            at += length;
        }
        Ok((at, true))
    }

    /// Closes the connections that have been of no use since they were looked at last.
    pub(super) fn look_at_streams(&mut self, now: Now) {
        if self.streams.doors_again.is_some_and(|at| at <= now.mono) {
            self.streams.doors_again = None;
            (0..self.streams.doors.len()).for_each(|place| self.make_ready(Source::Door(place)));
        }
        let is_due = |(at, _): &mut (Duration, StreamId)| *at <= now.mono;
        while let Some((_, id)) = self.streams.newcomers.pop_front_if(is_due) {
            self.look_at(now, id);
        }
        while let Some((_, id)) = self.streams.looks.pop_front_if(is_due) {
            self.look_at(now, id);
        }
    }

    fn look_at(&mut self, now: Now, id: StreamId) {
        let Some(stream) = self.streams.get_mut(id) else { return };
        let has_allocation = self.relay.serves(now, stream.five_tuple);
        // It may have had no use for them since.
        stream.give_back();
        // One whose allocation has just ended has as long again for another.
        if std::mem::replace(&mut stream.had_allocation, has_allocation) || has_allocation {
            self.streams.looks.push_back((now.mono + STRANGER_WITHIN, id));
            self.set_in_use(now, id, has_allocation);
        } else {
            self.close(now, id, StreamEnd::Idle);
        }
    }

    /// Closes the oldest newcomer without an allocation; whether there was one. Each newcomer is passed by once.
    fn shed_a_stranger(&mut self, now: Now) -> bool {
        while let Some((_, id)) = self.streams.newcomers.pop_front() {
            let Some(stream) = self.streams.get_mut(id) else { continue };
            if self.relay.serves(now, stream.five_tuple) {
                self.look_at(now, id);
                continue;
            }
            self.close(now, id, StreamEnd::Shed);
            return true;
        }
        false
    }

    /// Notes whether the client of a connection has an allocation. One whose allocation has ended is a stranger again.
    fn set_in_use(&mut self, now: Now, id: StreamId, is_in_use: bool) {
        let Some(stream) = self.streams.get_mut(id) else { return };
        if std::mem::replace(&mut stream.is_in_use, is_in_use) == is_in_use {
            return;
        }
        let may_hold = stream.may_hold();
        if is_in_use {
            self.streams.strangers -= may_hold;
            return;
        }
        self.streams.strangers += may_hold;
        // Those that had an allocation are no newcomers, and may be all that there is.
        if !self.bound_strangers(now) {
            self.close(now, id, StreamEnd::Shed);
        }
    }

    /// Closes the oldest newcomers without an allocation until the others hold no more than they may; whether they do then.
    fn bound_strangers(&mut self, now: Now) -> bool {
        while self.streams.strangers > self.streams.strangers_max {
            if !self.shed_a_stranger(now) {
                return false;
            }
        }
        true
    }

    fn close(&mut self, now: Now, id: StreamId, end: StreamEnd) {
        let Some(stream) = self.streams.get_mut(id) else { return };
        let five_tuple = stream.five_tuple;
        let (_, stream) = self.streams.slab.remove(id.slot as usize);
        if !stream.is_in_use {
            self.streams.strangers -= stream.may_hold();
        }
        // Counted before its client can see the end.
        self.counters.stream_ended(end);
        self.counters.streams.set(self.streams.slab.len() as u64);
        stream.close();
        self.relay.client_gone(now, five_tuple);
        self.take_effects(now);
    }
}

/// Whether what is lacking, descriptors or memory, is what connections give back.
fn is_out_of_room(error: &io::Error) -> bool {
    matches!(error.raw_os_error(), Some(libc::EMFILE | libc::ENFILE | libc::ENOBUFS | libc::ENOMEM))
}
