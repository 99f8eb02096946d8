//! Flows: sender, receiver, encapsulation, and the stamp in each payload.

use std::net::SocketAddr;
use std::time::Duration;

use byway_turn::wire::{ChannelData, Encapsulation, Kind, Message, classify};
use stun::message::{BINDING_REQUEST, BINDING_SUCCESS, CLASS_INDICATION, MAGIC_COOKIE, METHOD_DATA};

use super::client::{CHANNEL, send_head};

/// Bytes of a [`Stamp`], which is the minimum size of a payload.
pub(super) const STAMP: usize = 24;

/// Datagrams from one sender to one receiver.
pub(super) struct Flow {
    /// Index of the sender.
    pub(super) from: usize,
    pub(super) to: SocketAddr,
    /// Bytes in front of each payload.
    head: Vec<u8>,
    /// Number of zero bytes behind each payload.
    pub(super) padding: usize,
    /// Whether its datagrams are Binding requests.
    asks: bool,
}

/// Header at the beginning of each payload.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Stamp {
    /// Identifier of the measurement.
    pub(super) run: u32,
    /// Index of the flow.
    pub(super) flow: u32,
    /// Sequence number within the flow, from 1.
    pub(super) number: u64,
    /// Time of transmission.
    pub(super) sent: Duration,
}

impl Flow {
    /// Creates a flow from a client through its allocation to `peer`.
    pub(super) fn relayed(
        from: usize,
        server: SocketAddr,
        peer: SocketAddr,
        size: usize,
        indications: bool,
    ) -> Self {
        let (head, padding) = if indications {
            send_head(peer, size)
        } else {
            let around = Encapsulation::Channel(CHANNEL).around(size).expect("a payload fits a datagram");
            (around.as_bytes().to_vec(), around.padding())
        };
        Self { from, to: server, head, padding, asks: false }
    }

    /// Creates a flow from a peer to a relayed address.
    pub(super) fn bare(from: usize, to: SocketAddr) -> Self {
        Self { from, to, head: Vec::new(), padding: 0, asks: false }
    }

    /// Creates a flow of Binding requests to the server.
    pub(super) fn of_questions(from: usize, server: SocketAddr) -> Self {
        Self { from, to: server, head: Vec::new(), padding: 0, asks: true }
    }

    /// Writes the bytes up to and including the stamp. A Binding request has nothing after them.
    pub(super) fn write_head(&self, stamp: Stamp, out: &mut Vec<u8>) {
        out.clear();
        if self.asks {
            out.extend_from_slice(&BINDING_REQUEST.value().to_be_bytes());
            out.extend_from_slice(&[0, 0]);
            out.extend_from_slice(&MAGIC_COOKIE.to_be_bytes());
            // The transaction ID, which the response repeats.
            out.extend_from_slice(&stamp.run.to_be_bytes());
            out.extend_from_slice(&nanoseconds(stamp.sent).to_be_bytes());
        } else {
            out.extend_from_slice(&self.head);
            out.extend_from_slice(&stamp.run.to_be_bytes());
            out.extend_from_slice(&stamp.flow.to_be_bytes());
            out.extend_from_slice(&stamp.number.to_be_bytes());
            out.extend_from_slice(&nanoseconds(stamp.sent).to_be_bytes());
        }
    }

    /// Returns the bytes of a payload behind its stamp.
    pub(super) fn rest(&self, size: usize) -> usize {
        if self.asks { 0 } else { size - STAMP }
    }
}

impl Stamp {
    /// Reads the stamp at the beginning of a payload.
    pub(super) fn read(payload: &[u8]) -> Option<Self> {
        let (&run, rest) = payload.split_first_chunk()?;
        let (&flow, rest) = rest.split_first_chunk()?;
        let (&number, rest) = rest.split_first_chunk()?;
        let (&sent, _) = rest.split_first_chunk()?;
        Some(Self {
            run: u32::from_be_bytes(run),
            flow: u32::from_be_bytes(flow),
            number: u64::from_be_bytes(number),
            sent: Duration::from_nanos(u64::from_be_bytes(sent)),
        })
    }

    /// Reads the stamp in a message from the server: in a relayed payload or in the transaction ID
    /// of a Binding response. The latter does not identify the flow.
    pub(super) fn of_message(message: &[u8]) -> Option<Self> {
        match classify(message) {
            Kind::ChannelData => Self::read(&message[ChannelData::parse(message)?.payload.range()]),
            Kind::Stun => {
                let stun = Message::parse(message).ok()?;
                if (stun.method(), stun.class()) == (BINDING_SUCCESS.method, BINDING_SUCCESS.class) {
                    let [r0, r1, r2, r3, sent @ ..] = stun.transaction();
                    let sent = Duration::from_nanos(u64::from_be_bytes(sent));
                    return Some(Self {
                        run: u32::from_be_bytes([r0, r1, r2, r3]),
                        flow: u32::MAX,
                        number: 0,
                        sent,
                    });
                }
                let is_data = (stun.method(), stun.class()) == (METHOD_DATA, CLASS_INDICATION);
                let data = stun.attributes().data().filter(|_| is_data)?;
                Self::read(&message[data.range()])
            }
            Kind::Other => None,
        }
    }
}

fn nanoseconds(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    const STAMPED: Stamp =
        Stamp { run: 7, flow: 3, number: 9, sent: Duration::from_nanos(1_234_567_891_011) };

    fn written(flow: &Flow, size: usize) -> Vec<u8> {
        let mut message = Vec::new();
        flow.write_head(STAMPED, &mut message);
        message.resize(message.len() + flow.rest(size) + flow.padding, 0);
        message
    }

    #[test]
    fn what_a_client_sends_is_whole() {
        let (server, peer) = ("127.0.0.1:3478".parse().unwrap(), "[2001:db8::1]:9".parse().unwrap());
        for size in STAMP..STAMP + 5 {
            let message = written(&Flow::relayed(0, server, peer, size, false), size);
            assert_eq!(ChannelData::parse(&message).map(|data| data.payload.len()), Some(size));
            assert_eq!(Stamp::of_message(&message), Some(STAMPED));
            let message = written(&Flow::relayed(0, server, peer, size, true), size);
            let data = Message::parse(&message).unwrap().attributes().data().unwrap();
            assert_eq!((data.len(), Stamp::read(&message[data.range()])), (size, Some(STAMPED)));
        }
    }

    #[test]
    fn a_data_indication_and_a_binding_response_tell_when_it_was_sent() {
        let payload = written(&Flow::bare(0, "127.0.0.1:9".parse().unwrap()), 30);
        let peer = "127.0.0.1:9".parse().unwrap();
        let data = Encapsulation::Data { peer, transaction: [0; 12] }.around(payload.len()).unwrap();
        assert_eq!(Stamp::of_message(&data.with(&payload)), Some(STAMPED));

        let request = written(&Flow::of_questions(0, peer), 30);
        let head = Message::parse(&request).unwrap().head();
        let mut reply = byway_turn::wire::Reply::new();
        byway_turn::wire::write_binding_response(head, peer, &mut reply);
        let stamp = Stamp::of_message(reply.as_bytes()).unwrap();
        assert_eq!((stamp.run, stamp.sent), (STAMPED.run, STAMPED.sent));
    }

    #[test]
    fn what_others_say_is_no_stamp() {
        for message in [&b""[..], b"x", &[0x40, 0, 0, 4, 1, 2, 3, 4], &[0; 40], &[0xFF; 40]] {
            assert_eq!(Stamp::of_message(message), None);
        }
    }
}
