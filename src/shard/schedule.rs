//! Whose turn it is: bounded work for each ready source, so that nobody's flood starves the others.

use std::net::IpAddr;

use byway_turn::server::{FiveTuple, ListenerId, RelayId, Transport};
use byway_turn::time::Now;
use byway_turn::wire::Icmp;
use byway_udp::{Batch, UNMARKED, Undelivered, receive_error};

use super::core::{Core, RelaySocket};
use super::counters::{Direction, ShardCounters};
use super::poll_token::Source;

/// Batches that the inbox holds: what relay sockets bring gathers there for the listeners, so that one call sends it to
/// many clients.
pub(super) const BATCHES: usize = 16;

/// Batches of one listener that are served in a turn, from as many clients perhaps.
const LISTENER_BATCHES: usize = 8;

/// Batches of one relay socket that are served before it is the next one's turn: one greedy peer delays the others by so
/// many, however much it sends.
const RELAY_BATCHES: usize = 4;

/// Bytes that are sent although more might gather: what the fastest cache holds. Beyond that, a payload has left it by the
/// time that the kernel copies it.
const WARM: usize = 32 * 1024;

/// Bytes from others that are sent before it is the listeners' turn again, whoever is left to wait: a fraction of a
/// millisecond's work, in which a listener's buffer does not run over.
const ROUND: usize = 256 * 1024;

/// Times that a relay socket is read although it tells of errors, each of which is cleared by being told.
const TRIES: usize = 8;

/// Relay sockets, connections and the like that have a turn before it is the listeners' again.
const TURNS: usize = 16;

/// ICMP errors of one relay socket that are told in one turn.
const ERRORS: usize = 32;

impl Core {
    /// Whether nothing is known to wait.
    pub(super) fn is_idle(&self) -> bool {
        self.ready_listeners.is_empty() && self.ready.is_empty() && !self.has_mail
    }

    /// Puts a source into its queue, if it is there and not in the queue yet.
    pub(super) fn make_ready(&mut self, source: Source) {
        match source {
            Source::Mailbox => return self.has_mail = true,
            // Whatever is over is ended in each round.
            Source::Alarm => return,
            _ => {}
        }
        if self.ready(source).is_some_and(|ready| !std::mem::replace(ready, true)) {
            let queue = match source {
                Source::Listener(_) => &mut self.ready_listeners,
                _ => &mut self.ready,
            };
            queue.push_back(source);
        }
    }

    /// Notes that a source has errors waiting. Only relay sockets keep any.
    pub(super) fn note_error(&mut self, source: Source) {
        if let Source::Relay(slot) = source
            && let Some(Some(relay)) = self.relays.get_mut(slot)
        {
            relay.has_errors = true;
        }
    }

    /// Whether a source is in its queue.
    fn ready(&mut self, source: Source) -> Option<&mut bool> {
        match source {
            Source::Listener(place) => {
                self.listeners.get_mut(place)?.as_mut().map(|listener| &mut listener.ready)
            }
            Source::Relay(place) => self.relays.get_mut(place)?.as_mut().map(|relay| &mut relay.ready),
            Source::Door(_) | Source::Stream(_) => self.streams.ready(source),
            Source::Mailbox | Source::Alarm => None,
        }
    }

    /// Gives each ready listener one turn, then some of the others; yields how many batches that served.
    pub(super) fn serve_round(&mut self, now: Now) -> usize {
        let (mut batches, mut bytes) = (0, 0);
        for _ in 0..self.ready_listeners.len() {
            let Some(source) = self.ready_listeners.pop_front() else { break };
            batches += self.serve(now, source);
            // Each of these goes to a socket of its own, or is an answer: nothing is won by letting it wait for more.
            self.send_all();
        }
        for _ in 0..self.ready.len().min(TURNS) {
            let Some(source) = self.ready.pop_front() else { break };
            batches += self.serve(now, source);
            if self.outbox.bytes() >= WARM {
                bytes += self.outbox.bytes();
                self.send_all();
            }
            if bytes >= ROUND {
                break;
            }
        }
        if self.has_mail {
            self.has_mail = !self.serve_mailbox(now);
        }
        self.send_all();
        self.streams.flush();
        batches
    }

    /// Gives a source its turn; yields how many batches that served.
    fn serve(&mut self, now: Now, source: Source) -> usize {
        let (batches, is_dry) = match source {
            Source::Listener(place) => self.serve_listener(now, place),
            Source::Relay(place) => self.serve_relay(now, place),
            Source::Door(place) => (0, self.serve_door(now, place)),
            Source::Stream(place) => (1, self.serve_stream(now, place)),
            Source::Mailbox | Source::Alarm => (0, true),
        };
        // It may have been closed by what it received.
        if let Some(ready) = self.ready(source) {
            *ready = false;
        }
        if !is_dry {
            self.make_ready(source);
        }
        batches
    }

    /// Serves up to [`LISTENER_BATCHES`] batches of clients; yields how many, and whether there are no more.
    fn serve_listener(&mut self, now: Now, place: usize) -> (usize, bool) {
        self.make_room(LISTENER_BATCHES);
        let Some(Some(listener)) = self.listeners.get(place) else { return (0, true) };
        let server = listener.address;
        self.counters.receive_calls.add(1);
        match self.inbox.receive(&listener.socket, LISTENER_BATCHES) {
            Ok(places) => {
                let count = places.len();
                for place in places {
                    if let Some(batch) = self.inbox.batch(place) {
                        self.serve_client(now, place, server, batch);
                    }
                }
                (count, count < LISTENER_BATCHES)
            }
            Err(error) => {
                tracing::trace!(%error, "receiving");
                (0, false)
            }
        }
    }

    fn serve_client(&mut self, now: Now, listener: usize, server: IpAddr, batch: Batch) {
        let listener =
            ListenerId(u16::try_from(listener).expect("the configuration holds fewer than 2^16 listeners"));
        // Two link-local clients with one address on two links are two clients: the scope is part of theirs.
        let server = batch.destination.unwrap_or(server);
        let five_tuple = FiveTuple { client: batch.source, server, transport: Transport::Udp(listener) };
        self.count_batch(batch);
        for span in batch.datagrams() {
            let datagram = &self.inbox.bytes()[span.clone()];
            let action = self.relay.client_datagram(now, five_tuple, datagram, &mut self.reply);
            self.act(action, span.start, batch.traffic_class, Direction::BetweenClients);
            self.take_effects(now);
        }
    }

    /// Serves up to [`RELAY_BATCHES`] batches of an allocation's peers, and some errors; yields how many batches, and whether
    /// there is nothing more.
    fn serve_relay(&mut self, now: Now, place: usize) -> (usize, bool) {
        let has_errors = !self.serve_errors(now, place);
        self.make_room(RELAY_BATCHES);
        let Some(Some(RelaySocket { socket, id, .. })) = self.relays.get(place) else { return (0, true) };
        let id = *id;
        let mut received = self.inbox.receive(socket, RELAY_BATCHES);
        let mut calls = 1;
        // Whoever can forge ICMP must not keep what else has come from being read.
        while received.is_err() && calls < TRIES {
            received = self.inbox.receive(socket, RELAY_BATCHES);
            calls += 1;
        }
        self.counters.receive_calls.add(calls as u64);
        match received {
            Ok(places) => {
                let count = places.len();
                for place in places {
                    if let Some(batch) = self.inbox.batch(place) {
                        self.serve_peer(now, id, batch);
                    }
                }
                (count, count < RELAY_BATCHES && !has_errors)
            }
            Err(error) => {
                tracing::trace!(%error, "receiving");
                (0, false)
            }
        }
    }

    fn serve_peer(&mut self, now: Now, id: RelayId, batch: Batch) {
        self.count_batch(batch);
        for span in batch.datagrams() {
            let action = self.relay.peer_datagram(now, id, batch.source, span.len());
            self.act(action, span.start, batch.traffic_class, Direction::ToClient);
        }
    }

    fn count_batch(&self, batch: Batch) {
        let ShardCounters { received_joined, received_alone, .. } = &*self.counters;
        let received = if batch.is_joined() { received_joined } else { received_alone };
        received.add(batch.count() as u64);
    }

    /// Tells the client of some ICMP errors; true when there are no more. Left where they are, they would take the room of
    /// datagrams.
    fn serve_errors(&mut self, now: Now, place: usize) -> bool {
        for _ in 0..ERRORS {
            let Some(Some(relay)) = self.relays.get_mut(place) else { return true };
            if !relay.has_errors {
                return true;
            }
            match receive_error(&relay.socket) {
                Ok(Some(Undelivered { to, kind, code, information })) => {
                    let icmp = Icmp { kind, code, data: information };
                    let id = relay.id;
                    let action = self.relay.peer_unreachable(now, id, to, icmp, &mut self.reply);
                    self.act(action, 0, UNMARKED, Direction::ToClient);
                }
                Ok(None) => {}
                Err(_) => relay.has_errors = false,
            }
        }
        false
    }
}
