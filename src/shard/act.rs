//! Execution of the relay's [`Action`]s on datagrams and messages.

use std::ops::Range;

use byway_turn::server::{Action, Answer, DropReason, FiveTuple, RelayId, Transport};
use byway_turn::wire::{Header, Span};
use byway_udp::{Destination, Transmit, UNMARKED};

use super::connection::Urgency;
use super::counters::Direction;
use super::flush::{SocketId, TrafficKind};
use super::poll_loop::{Buffers, Shard};

/// Datagram or message in the inbox that an action refers to.
#[derive(Clone, Copy)]
pub(super) struct Received {
    /// Offset of its first byte in the inbox.
    pub(super) start: usize,
    /// DSCP and ECN, which are relayed with its payload (RFC 8656 section 14).
    pub(super) traffic_class: u8,
    /// Direction under which delivery to a client is counted.
    pub(super) to_client: Direction,
}

impl Received {
    /// Placeholder for an action without a datagram: the relay answers an event of this machine.
    pub(super) const NOTHING: Self =
        Self { start: 0, traffic_class: UNMARKED, to_client: Direction::ToClient };
}

impl Shard {
    /// Executes an action of the relay on what was `received`.
    pub(super) fn act(&mut self, buffers: &mut Buffers, action: Action, received: Received) {
        let Received { start, traffic_class, .. } = received;
        let in_inbox = |span: Span| start + span.start..start + span.end;
        let done = match action {
            Action::Wait => Ok(()),
            Action::Drop(reason) => Err(reason),
            Action::Reply { five_tuple, answer } => self.send_reply(buffers, five_tuple, answer),
            Action::ToPeer { relay, peer, payload, dont_fragment } => {
                let payload = in_inbox(payload);
                let address = peer.address();
                let destination = Destination { address, source: None, traffic_class, dont_fragment };
                self.send_to_peer(buffers, relay, destination, payload);
                Ok(())
            }
            Action::ToClient { five_tuple, encapsulation, payload } => {
                let payload = in_inbox(payload);
                match encapsulation.around(payload.len()) {
                    Some(header) => self.send_to_client(buffers, five_tuple, &header, payload, received),
                    None => Err(DropReason::TooLong),
                }
            }
        };
        if let Err(reason) = done {
            self.counters.dropped(reason, 1);
        }
    }

    fn send_to_peer(
        &self,
        buffers: &mut Buffers,
        relay: RelayId,
        destination: Destination,
        payload: Range<usize>,
    ) {
        self.make_room_for_header(buffers, 0);
        buffers.outbox.push(Transmit {
            socket: SocketId::Relay(relay),
            tag: TrafficKind::Relayed(Direction::ToPeer),
            destination,
            header: &[],
            payload,
            padding: 0,
        });
    }

    fn send_to_client(
        &mut self,
        buffers: &mut Buffers,
        five_tuple: FiveTuple,
        header: &Header,
        payload: Range<usize>,
        received: Received,
    ) -> Result<(), DropReason> {
        let Received { traffic_class, to_client, .. } = received;
        match five_tuple.transport {
            Transport::Udp(id) => {
                let destination = self.listener(id)?.destination(five_tuple, traffic_class);
                self.make_room_for_header(buffers, header.as_bytes().len());
                buffers.outbox.push(Transmit {
                    socket: SocketId::Listener(id),
                    tag: TrafficKind::Relayed(to_client),
                    destination,
                    header: header.as_bytes(),
                    payload,
                    padding: header.padding(),
                });
            }
            Transport::Stream(id) => {
                let payload = &buffers.inbox.bytes()[payload];
                self.connections.send(id, [header.as_bytes(), payload], Urgency::Media)?;
                self.counters.relayed(to_client, 1, payload.len() as u64);
            }
        }
        Ok(())
    }

    fn send_reply(
        &mut self,
        buffers: &mut Buffers,
        five_tuple: FiveTuple,
        answer: Answer,
    ) -> Result<(), DropReason> {
        match five_tuple.transport {
            Transport::Udp(id) => {
                let destination = self.listener(id)?.destination(five_tuple, UNMARKED);
                self.make_room_for_header(buffers, buffers.reply.as_bytes().len());
                buffers.outbox.push(Transmit {
                    socket: SocketId::Listener(id),
                    tag: TrafficKind::Response(answer),
                    destination,
                    // The next request overwrites the reply, so the outbox keeps a copy.
                    header: buffers.reply.as_bytes(),
                    payload: 0..0,
                    padding: 0,
                });
            }
            Transport::Stream(id) => {
                self.connections.send(id, [buffers.reply.as_bytes(), &[]], Urgency::Response)?;
                self.counters.answered(answer);
            }
        }
        Ok(())
    }

    /// Flushes the outbox unless it has room for one more datagram with `header` bytes of header.
    fn make_room_for_header(&self, buffers: &mut Buffers, header: usize) {
        if !buffers.outbox.has_room(header) {
            self.flush(buffers);
        }
    }
}
