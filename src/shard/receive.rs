//! Receiving: batches of datagrams from clients and peers, and ICMP errors.

use std::net::IpAddr;

use byway_turn::server::{FiveTuple, ListenerId, RelayId, Transport};
use byway_turn::time::Now;
use byway_turn::wire::Icmp;
use byway_udp::{Batch, Undelivered, receive_error};

use super::act::Received;
use super::counters::{Direction, ShardCounters};
use super::poll_loop::{Buffers, Shard};
use super::relay_sockets::RelaySocket;
use super::schedule::Served;

/// Maximum number of batches of one listener per turn. Each may come from another client.
const LISTENER_BATCHES: usize = 8;

/// Maximum number of batches of one relay socket per turn. It bounds the delay that a greedy peer
/// causes to others.
const RELAY_BATCHES: usize = 4;

/// Attempts to read a relay socket that reports errors. Each read clears one error.
const ATTEMPTS: usize = 8;

/// Maximum number of ICMP errors of one relay socket reported per turn.
const ERRORS: usize = 32;

impl Shard {
    /// Serves up to [`LISTENER_BATCHES`] batches of clients.
    pub(super) fn serve_udp_listener(&mut self, now: Now, buffers: &mut Buffers, place: usize) -> Served {
        self.make_room_for_batches(buffers, LISTENER_BATCHES);
        let Some(Some(listener)) = self.listeners.get(place) else { return Served::DRY };
        let server = listener.address;
        self.counters.receive_calls.add(1);
        match buffers.inbox.receive(&listener.socket, LISTENER_BATCHES) {
            Ok(places) => {
                let batches = places.len();
                for received in places {
                    if let Some(batch) = buffers.inbox.batch(received) {
                        self.serve_client_batch(now, buffers, place, server, batch);
                    }
                }
                Served { batches, is_dry: batches < LISTENER_BATCHES }
            }
            Err(error) => {
                tracing::trace!(%error, "receiving failed");
                Served { batches: 0, is_dry: false }
            }
        }
    }

    /// Passes the datagrams of one client to the relay, and executes its actions.
    fn serve_client_batch(
        &mut self,
        now: Now,
        buffers: &mut Buffers,
        listener: usize,
        server: IpAddr,
        batch: Batch,
    ) {
        let listener =
            ListenerId(u16::try_from(listener).expect("the configuration holds fewer than 2^16 listeners"));
        // The scope is part of a link-local client's address: the same address on two links means
        // two clients.
        let server = batch.destination.unwrap_or(server);
        let five_tuple = FiveTuple { client: batch.source, server, transport: Transport::Udp(listener) };
        self.count_batch(batch);
        for span in batch.datagrams() {
            let start = span.start;
            let datagram = &buffers.inbox.bytes()[span];
            let action = self.relay.client_datagram(now, five_tuple, datagram, &mut buffers.reply);
            let traffic_class = batch.traffic_class;
            let received = Received { start, traffic_class, to_client: Direction::BetweenClients };
            self.act(buffers, action, received);
            self.take_effects(now, buffers);
        }
    }

    /// Serves up to [`RELAY_BATCHES`] batches of an allocation's peers, and up to [`ERRORS`] ICMP
    /// errors.
    pub(super) fn serve_relay_socket(&mut self, now: Now, buffers: &mut Buffers, place: usize) -> Served {
        let has_errors = !self.serve_icmp_errors(now, buffers, place);
        self.make_room_for_batches(buffers, RELAY_BATCHES);
        let Some(Some(RelaySocket { socket, id, .. })) = self.relay_sockets.get(place) else {
            return Served::DRY;
        };
        let id = *id;
        let mut received = buffers.inbox.receive(socket, RELAY_BATCHES);
        let mut calls = 1;
        // Forged ICMP errors must not prevent the shard from reading datagrams.
        while received.is_err() && calls < ATTEMPTS {
            received = buffers.inbox.receive(socket, RELAY_BATCHES);
            calls += 1;
        }
        self.counters.receive_calls.add(calls as u64);
        match received {
            Ok(places) => {
                let batches = places.len();
                for received in places {
                    if let Some(batch) = buffers.inbox.batch(received) {
                        self.serve_peer_batch(now, buffers, id, batch);
                    }
                }
                Served { batches, is_dry: batches < RELAY_BATCHES && !has_errors }
            }
            Err(error) => {
                tracing::trace!(%error, "receiving failed");
                Served { batches: 0, is_dry: false }
            }
        }
    }

    /// Passes the datagrams of one peer to the relay, and executes its actions.
    fn serve_peer_batch(&mut self, now: Now, buffers: &mut Buffers, id: RelayId, batch: Batch) {
        self.count_batch(batch);
        for span in batch.datagrams() {
            let action = self.relay.peer_datagram(now, id, batch.source, span.len());
            let traffic_class = batch.traffic_class;
            let received = Received { start: span.start, traffic_class, to_client: Direction::ToClient };
            self.act(buffers, action, received);
        }
    }

    fn count_batch(&self, batch: Batch) {
        let ShardCounters { received_joined, received_alone, .. } = &*self.counters;
        let received = if batch.is_joined() { received_joined } else { received_alone };
        received.add(batch.count() as u64);
    }

    /// Reports up to [`ERRORS`] ICMP errors to the client. Returns true once none remain. Unread
    /// errors would occupy the receive buffer of datagrams.
    fn serve_icmp_errors(&mut self, now: Now, buffers: &mut Buffers, place: usize) -> bool {
        for _ in 0..ERRORS {
            let Some(Some(relay)) = self.relay_sockets.get_mut(place) else { return true };
            if !relay.has_errors {
                return true;
            }
            match receive_error(&relay.socket) {
                Ok(Some(Undelivered { to, kind, code, information })) => {
                    let icmp = Icmp { kind, code, data: information };
                    let id = relay.id;
                    let action = self.relay.peer_unreachable(now, id, to, icmp, &mut buffers.reply);
                    self.act(buffers, action, Received::NOTHING);
                }
                Ok(None) => {}
                Err(_) => relay.has_errors = false,
            }
        }
        false
    }

    /// Makes room in the inbox for `batches` batches.
    fn make_room_for_batches(&self, buffers: &mut Buffers, batches: usize) {
        if buffers.inbox.room() < batches {
            self.flush_and_clear(buffers);
        }
    }
}
