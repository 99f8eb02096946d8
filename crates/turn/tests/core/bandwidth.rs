//! Bandwidth limit of an allocation: excess datagrams are dropped, for each direction separately
//! (threat 10, in bytes).

use byway_test_support::turn::{Client, Request, Seen, Server, at, seconds};
use byway_turn::server::DropReason;

const PEER: &str = "8.8.8.8:53";
const PAYLOAD: [u8; 1000] = [7; 1000];

/// Creates a server that allows ten payloads per second.
fn server() -> Server {
    Server::with(2, |settings| settings.quota.bandwidth_per_allocation = 10_000)
}

fn passed(mut send: impl FnMut() -> Seen) -> usize {
    let seen: Vec<Seen> = (0..30).map(|_| send()).collect();
    let (passed, dropped): (Vec<_>, Vec<_>) = seen.iter().partition(|seen| !matches!(seen, Seen::Dropped(_)));
    assert!(dropped.iter().all(|seen| **seen == Seen::Dropped(DropReason::Bandwidth)), "{dropped:?}");
    passed.len()
}

#[test]
fn each_way_has_a_second_at_once_and_then_its_rate() {
    let mut server = server();
    let (mut client, relayed) = Client::allocated(&mut server, "203.0.113.9:5000", "alice");
    client.granted(&mut server, &Request::channel_bind(0x4000, at(PEER)));
    assert_eq!(passed(|| client.send_on(&mut server, 0x4000, &PAYLOAD)), 10);
    assert_eq!(passed(|| server.peer_datagram(relayed, at(PEER), &PAYLOAD)), 10);
    assert_eq!(passed(|| client.send_unsigned(&mut server, &Request::send(at(PEER), &PAYLOAD))), 0);
    server.advance(seconds(1));
    assert_eq!(passed(|| client.send_unsigned(&mut server, &Request::send(at(PEER), &PAYLOAD))), 10);
    assert_eq!(passed(|| server.peer_datagram(relayed, at(PEER), &PAYLOAD)), 10);
}

#[test]
fn one_allocation_does_not_use_up_anothers() {
    let mut server = server();
    for address in ["203.0.113.9:5000", "203.0.113.9:5001"] {
        let (mut client, _) = Client::allocated(&mut server, address, "alice");
        client.granted(&mut server, &Request::channel_bind(0x4000, at(PEER)));
        assert_eq!(passed(|| client.send_on(&mut server, 0x4000, &PAYLOAD)), 10);
    }
}

/// Two senders on different shards, each within its limit, do not exceed the limit of their common
/// receiver.
#[test]
fn what_comes_in_memory_from_any_shard_counts_for_its_receiver() {
    let mut server = server();
    let mut clients = [0, 1, 1]
        .into_iter()
        .zip(5000..)
        .map(|(shard, port)| Client::on(shard, &server, &format!("203.0.113.9:{port}"), "alice"))
        .collect::<Vec<_>>();
    let relayed: Vec<_> = clients
        .iter_mut()
        .map(|client| client.granted(&mut server, &Request::allocate()).relayed())
        .collect();
    clients[0].granted(&mut server, &Request::permission(relayed[1]));
    for sender in &mut clients[1..] {
        sender.granted(&mut server, &Request::channel_bind(0x4000, relayed[0]));
    }
    assert_eq!((0..6).filter(|_| is_relayed(&clients[1].send_on(&mut server, 0x4000, &PAYLOAD))).count(), 6);
    assert_eq!(passed(|| clients[2].send_on(&mut server, 0x4000, &PAYLOAD)), 4);
}

fn is_relayed(seen: &Seen) -> bool {
    matches!(seen, Seen::ToClient(..))
}
