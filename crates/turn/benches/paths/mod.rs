//! Paths of a packet through the core, prepared so that only the packets remain to be measured.
//!
//! Time and seeds are inputs, so each run is identical.

use std::hint::black_box;
use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use byway_test_support::turn::bare::{Bare, NOW, five_tuple, sign};
use byway_test_support::turn::{Request, at, channel_data};
use byway_turn::server::{Action, Answer, Effect, FiveTuple, RelayId};
use byway_turn::wire::{
    ChannelData, ChannelNumber, Encapsulation, Kind, Message, Reply, classify, write_binding_response,
};

/// Serves one packet.
pub(crate) type Packet = Box<dyn FnMut()>;

/// Payload of the size of a video packet.
const PAYLOAD: [u8; 1200] = [7; 1200];
/// Peer with a channel.
const ON_CHANNEL: &str = "8.8.8.8:53";
/// Peer with a permission only.
const PERMITTED: &str = "8.8.4.4:53";

/// Parses a ChannelData message.
pub(crate) fn parse_channel_data() -> Packet {
    let datagram = channel_data(0x4000, &PAYLOAD);
    Box::new(move || {
        let datagram = black_box(&*datagram);
        assert_eq!(classify(datagram), Kind::ChannelData);
        assert!(black_box(ChannelData::parse(datagram)).is_some());
    })
}

/// Parses a Send indication.
pub(crate) fn parse_send() -> Packet {
    parse(Request::send(at(ON_CHANNEL), &PAYLOAD).encode([3; 12], None))
}

/// Parses a signed Allocate request.
pub(crate) fn parse_allocate() -> Packet {
    parse(sign(&Request::allocate(), b"obMatJos2gAAAabcdefg"))
}

fn parse(datagram: Vec<u8>) -> Packet {
    Box::new(move || {
        let datagram = black_box(&*datagram);
        assert_eq!(classify(datagram), Kind::Stun);
        assert!(black_box(Message::parse(datagram)).is_ok());
    })
}

/// Writes the header of ChannelData.
pub(crate) fn write_channel_header() -> Packet {
    write(Encapsulation::Channel(ChannelNumber::new(0x4000).unwrap()))
}

/// Writes the header of a Data indication.
pub(crate) fn write_data_header() -> Packet {
    write(Encapsulation::Data { peer: at(PERMITTED), transaction: [3; 12] })
}

fn write(encapsulation: Encapsulation) -> Packet {
    Box::new(move || assert!(black_box(black_box(encapsulation).around(black_box(PAYLOAD.len()))).is_some()))
}

/// Writes a Binding response with FINGERPRINT, as browsers receive it.
pub(crate) fn write_binding() -> Packet {
    let request = Request::binding().fingerprint().encode([3; 12], None);
    let head = Message::parse(&request).unwrap().head();
    let (mapped, mut reply) = (at("203.0.113.9:5000"), Reply::new());
    Box::new(move || {
        write_binding_response(black_box(head), black_box(mapped), &mut reply);
        black_box(reply.as_bytes());
    })
}

/// Relays ChannelData from a client to its peer.
pub(crate) fn channel_to_peer(crowd: Crowd) -> Packet {
    from_client(crowd, channel_data(0x4000, &PAYLOAD))
}

/// Relays a Send indication from a client to its peer.
pub(crate) fn send_to_peer(crowd: Crowd) -> Packet {
    from_client(crowd, Request::send(at(ON_CHANNEL), &PAYLOAD).encode([3; 12], None))
}

fn from_client(crowd: Crowd, datagram: Vec<u8>) -> Packet {
    let (mut bare, mut turns) = crowd.gather();
    Box::new(move || {
        let (client, _) = turns.next();
        let action = bare.client(client, black_box(&datagram));
        assert!(matches!(black_box(action), Action::ToPeer { .. }));
    })
}

/// Relays a peer's datagram to the client on a channel.
pub(crate) fn peer_to_channel(crowd: Crowd) -> Packet {
    from_peer(crowd, at(ON_CHANNEL))
}

/// Relays a peer's datagram to the client in a Data indication.
pub(crate) fn peer_to_data(crowd: Crowd) -> Packet {
    from_peer(crowd, at(PERMITTED))
}

fn from_peer(crowd: Crowd, peer: SocketAddr) -> Packet {
    let (mut bare, mut turns) = crowd.gather();
    Box::new(move || {
        let (_, relay) = turns.next();
        let action = bare.shards[0].peer_datagram(NOW, relay, black_box(peer), PAYLOAD.len());
        assert!(matches!(black_box(action), Action::ToClient { .. }));
    })
}

/// Relays ChannelData from a client to a peer that is a client of the same server, and on its
/// channel.
pub(crate) fn client_to_client(crowd: Crowd) -> Packet {
    let (mut bare, mut turns) = crowd.pair_up();
    let datagram = channel_data(0x4000, &PAYLOAD);
    Box::new(move || {
        let (client, _) = turns.next();
        let action = bare.client(client, black_box(&datagram));
        assert!(matches!(
            black_box(action),
            Action::ToClient { encapsulation: Encapsulation::Channel(_), .. }
        ));
    })
}

/// Answers a Binding request.
pub(crate) fn binding() -> Packet {
    let mut bare = Bare::new();
    let datagram = Request::binding().fingerprint().encode([3; 12], None);
    let (client, mut now) = (nth_client(0), NOW);
    Box::new(move || {
        // The time in which the rate limit regains one response.
        now.mono += Duration::from_millis(5);
        let action = bare.shards[0].client_datagram(now, client, black_box(&datagram), &mut bare.reply);
        assert!(matches!(black_box(action), Action::Reply { answer: Answer::Binding, .. }));
    })
}

/// Serves a whole allocation: 401, Allocate, CreatePermission and Refresh with a lifetime of zero.
/// All requests but the first are signed.
pub(crate) fn allocation_cycle() -> Packet {
    let mut bare = Bare::new();
    let cycle = |n| {
        let client = nth_client(n);
        let nonce = bare.nonce(0, client);
        let unsigned = Request::allocate().encode([1; 12], None);
        let signed = [Request::allocate(), Request::permission(at(PERMITTED)), Request::refresh(0)];
        let [allocate, permission, refresh] = signed.map(|request| sign(&request, &nonce));
        let answers = [Answer::Challenge, Answer::Success, Answer::Success, Answer::Success];
        (client, [unsigned, allocate, permission, refresh].into_iter().zip(answers).collect::<Vec<_>>())
    };
    let cycles: Vec<_> = (0..1000).map(cycle).collect();
    let (mut now, mut next) = (NOW, 0);
    Box::new(move || {
        // Ports finish their rest and rate limits recover. Nonces and credentials use the other
        // clock and stay valid.
        now.mono += Duration::from_millis(10);
        let (client, messages) = &cycles[next];
        next = (next + 1) % cycles.len();
        for (datagram, expected) in messages {
            let relay = &mut bare.shards[0];
            let mut action = relay.client_datagram(now, *client, black_box(datagram), &mut bare.reply);
            while let Some(effect) = relay.next_effect() {
                if let Effect::BindRelay { relay: bound, .. } = effect {
                    action = relay.relay_bound(now, bound, Ok(()), &mut bare.reply);
                }
            }
            assert!(matches!(black_box(action), Action::Reply { answer, .. } if answer == *expected));
        }
    })
}

/// Number of allocations, and number of consecutive datagrams of one allocation.
#[derive(Clone, Copy)]
pub(crate) struct Crowd {
    pub(crate) allocations: u32,
    pub(crate) train: u32,
}

impl Crowd {
    /// Creates allocations that each permit both peers, one of them on channel 0x4000.
    fn gather(self) -> (Bare, Turns) {
        let mut bare = Bare::new();
        let clients: Vec<_> = (0..self.allocations).map(nth_client).collect();
        for client in &clients {
            bare.prepare(0, *client, &[at(ON_CHANNEL), at(PERMITTED)]);
        }
        let turns = self.turns(&clients, &bare.relays);
        (bare, turns)
    }

    /// Creates pairs of allocations, each bound to the other on channel 0x4000.
    fn pair_up(self) -> (Bare, Turns) {
        let mut bare = Bare::new();
        let clients: Vec<_> = (0..self.allocations).map(nth_client).collect();
        for pair in clients.chunks_exact(2) {
            let relayed = bare.prepare(0, pair[0], &[]);
            let other = bare.prepare(0, pair[1], &[relayed]);
            bare.grant(0, pair[0], &Request::channel_bind(0x4000, other));
        }
        let turns = self.turns(&clients, &bare.relays);
        (bare, turns)
    }

    /// Steps by a prime number of clients, so that the order differs from the order in memory.
    fn turns(self, clients: &[FiveTuple], relays: &[RelayId]) -> Turns {
        let order = (0..clients.len()).map(|turn| turn * 7919 % clients.len());
        let order = order.map(|place| (clients[place], relays[place])).collect();
        Turns { order, at: 0, train: self.train, left: self.train }
    }
}

/// Order of the clients that send.
struct Turns {
    order: Vec<(FiveTuple, RelayId)>,
    at: usize,
    train: u32,
    left: u32,
}

impl Turns {
    fn next(&mut self) -> (FiveTuple, RelayId) {
        if self.left == 0 {
            self.left = self.train;
            self.at += 1;
            if self.at == self.order.len() {
                self.at = 0;
            }
        }
        self.left -= 1;
        self.order[self.at]
    }
}

fn nth_client(n: u32) -> FiveTuple {
    let client = SocketAddr::new(Ipv4Addr::from_bits(0x0B00_0000 + n).into(), 5000);
    FiveTuple { client, ..five_tuple("203.0.113.9:5000") }
}
