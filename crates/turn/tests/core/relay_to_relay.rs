//! Both clients force the relay: their datagrams stay in memory. The result is the same as if they
//! had left through one relay socket and returned through the other (RFC 8656 section 2.3).

use byway_test_support::turn::{Client, Request, Response, Seen, Server, channel_data, seconds};
use byway_turn::server::DropReason;
use std::net::SocketAddr;

struct Pair {
    server: Server,
    clients: [Client; 2],
    relayed: [SocketAddr; 2],
}

/// Creates two clients on these shards, each with an allocation.
fn pair(shards: [usize; 2], v6: bool) -> Pair {
    let mut server = Server::with(2, |_| {});
    let request = if v6 { Request::allocate_v6() } else { Request::allocate() };
    let mut clients = [0, 1]
        .map(|n| Client::on(shards[n], &server, &format!("203.0.113.{}:5000", 9 + n), ["alice", "bob"][n]));
    let relayed = clients.each_mut().map(|client| client.granted(&mut server, &request).relayed());
    Pair { server, clients, relayed }
}

const PAIRS: [([usize; 2], bool); 4] = [([0, 0], false), ([0, 1], false), ([1, 0], true), ([1, 1], true)];

impl Pair {
    fn permit(&mut self, n: usize) {
        self.clients[n].granted(&mut self.server, &Request::permission(self.relayed[1 - n]));
    }

    fn bind(&mut self, n: usize, number: u16) {
        self.clients[n].granted(&mut self.server, &Request::channel_bind(number, self.relayed[1 - n]));
    }

    fn send(&mut self, from: usize, payload: &[u8]) -> Seen {
        self.clients[from].send_unsigned(&mut self.server, &Request::send(self.relayed[1 - from], payload))
    }
}

#[test]
fn channels_on_both_ends() {
    for (shards, v6) in PAIRS {
        let mut pair = pair(shards, v6);
        pair.bind(0, 0x4000);
        pair.bind(1, 0x4001);
        for (from, out, back) in [(0, 0x4000, 0x4001), (1, 0x4001, 0x4000)] {
            let seen = pair.clients[from].send_on(&mut pair.server, out, b"hello");
            let to = pair.clients[1 - from].address();
            assert_eq!(seen, Seen::ToClient(to, channel_data(back, b"hello")));
        }
    }
}

#[test]
fn a_channel_on_one_end_only() {
    for (shards, v6) in PAIRS {
        let mut pair = pair(shards, v6);
        pair.bind(0, 0x4000);
        pair.permit(1);
        let seen = pair.clients[0].send_on(&mut pair.server, 0x4000, b"hello");
        is_data(&seen, &pair.clients[1], pair.relayed[0], b"hello");
        let seen = pair.send(1, b"hello");
        assert_eq!(seen, Seen::ToClient(pair.clients[0].address(), channel_data(0x4000, b"hello")));
    }
}

#[test]
fn no_channel_at_all() {
    for (shards, v6) in PAIRS {
        let mut pair = pair(shards, v6);
        pair.permit(0);
        pair.permit(1);
        for from in [0, 1] {
            let seen = pair.send(from, b"hello");
            is_data(&seen, &pair.clients[1 - from], pair.relayed[from], b"hello");
        }
    }
}

fn is_data(seen: &Seen, to: &Client, peer: SocketAddr, payload: &[u8]) {
    let Seen::ToClient(address, bytes) = seen else { panic!("{seen:?}") };
    let data = Response::read(bytes);
    assert_eq!((*address, data.peer(), &data.data()[..]), (to.address(), peer, payload));
}

/// Each side needs its own permission, as with two servers.
#[test]
fn without_the_receivers_permission_nothing_is_delivered() {
    for (shards, v6) in PAIRS {
        let mut pair = pair(shards, v6);
        pair.bind(0, 0x4000);
        let seen = pair.clients[0].send_on(&mut pair.server, 0x4000, b"hello");
        assert_eq!(seen, Seen::Dropped(DropReason::NoPermission));
        assert_eq!(pair.send(0, b"hello"), Seen::Dropped(DropReason::NoPermission));
        assert_eq!(
            pair.send(1, b"hello"),
            Seen::Dropped(DropReason::NoPermission),
            "nor without the sender's permission"
        );
    }
}

#[test]
fn permissions_and_channels_end_on_time_across_shards() {
    for with_timer in [true, false] {
        let mut pair = pair([0, 1], false);
        let pass = |pair: &mut Pair, by| {
            let server = &mut pair.server;
            if with_timer { server.advance(seconds(by)) } else { server.advance_without_timer(seconds(by)) }
        };
        for n in [0, 1] {
            pair.clients[n].granted(&mut pair.server, &Request::refresh(3600));
            pair.bind(n, 0x4000);
        }
        pass(&mut pair, 299);
        let to = pair.clients[1].address();
        let on_channel = Seen::ToClient(to, channel_data(0x4000, b"x"));
        assert_eq!(pair.clients[0].send_on(&mut pair.server, 0x4000, b"x"), on_channel);
        pass(&mut pair, 1);
        let dropped = Seen::Dropped(DropReason::NoPermission);
        assert_eq!(pair.clients[0].send_on(&mut pair.server, 0x4000, b"x"), dropped);
        pass(&mut pair, 299);
        pair.permit(0);
        pair.permit(1);
        assert_eq!(pair.clients[0].send_on(&mut pair.server, 0x4000, b"x"), on_channel);
        pass(&mut pair, 1);
        assert_eq!(
            pair.clients[0].send_on(&mut pair.server, 0x4000, b"x"),
            Seen::Dropped(DropReason::NoChannel)
        );
        let (seen, from) = (pair.send(0, b"x"), pair.relayed[0]);
        is_data(&seen, &pair.clients[1], from, b"x");
    }
}

/// An allocation that sends to its own relayed address receives each datagram once, without a loop.
#[test]
fn a_client_that_sends_to_itself_hears_itself_once() {
    let mut pair = pair([0, 1], false);
    let (client, relayed) = (&mut pair.clients[0], pair.relayed[0]);
    client.granted(&mut pair.server, &Request::permission(relayed));
    let seen = client.send_unsigned(&mut pair.server, &Request::send(relayed, b"echo"));
    is_data(&seen, client, relayed, b"echo");
    client.granted(&mut pair.server, &Request::channel_bind(0x4000, relayed));
    let expected = Seen::ToClient(client.address(), channel_data(0x4000, b"echo"));
    assert_eq!(client.send_on(&mut pair.server, 0x4000, b"echo"), expected);
}

/// The configuration allows the relay's address, so a channel may be bound before the other end
/// exists. It works as soon as that end does.
#[test]
fn a_channel_bound_before_the_other_end_exists() {
    let mut server = Server::with(1, |settings| {
        settings.peer_policy.allow = vec!["45.0.0.1/32".parse().unwrap()];
        settings.ports = 50_000..=50_001;
    });
    let (mut early, relayed) = Client::allocated(&mut server, "203.0.113.9:5000", "alice");
    let other = SocketAddr::new(relayed.ip(), relayed.port() ^ 1);
    early.granted(&mut server, &Request::channel_bind(0x4000, other));
    let (mut late, late_relayed) = Client::allocated(&mut server, "203.0.113.10:5000", "bob");
    assert_eq!(late_relayed, other);
    late.granted(&mut server, &Request::channel_bind(0x4001, relayed));
    let seen = late.send_on(&mut server, 0x4001, b"hello");
    assert_eq!(seen, Seen::ToClient(early.address(), channel_data(0x4000, b"hello")));
}

/// Relay-to-relay data stays in memory. So at a relay socket, a datagram with another relay port as
/// source is forged.
#[test]
fn what_claims_to_come_from_a_relay_port_through_a_socket_is_dropped() {
    let mut pair = pair([0, 1], false);
    pair.bind(0, 0x4000);
    let [relayed, source] = pair.relayed;
    assert_eq!(pair.server.peer_datagram(relayed, source, b"x"), Seen::Dropped(DropReason::PeerDenied));
}
