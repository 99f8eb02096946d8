//! Traffic of each allocation, and records of its begin, its end and refused requests.

use std::net::SocketAddr;

use byway_test_support::turn::{Bind, Client, Request, Seen, Server, at, seconds};
use byway_turn::server::{
    BindError, DropReason, EndCause, FiveTuple, ListenerId, Record, RefusedRequest, Traffic, Transport, Usage,
};
use byway_turn::wire::ErrorCode;

const PEER: &str = "8.8.8.8:9";

fn traffic(packets: u64, bytes: u64) -> Traffic {
    Traffic { packets, bytes }
}

fn server(shards: u8) -> Server {
    let mut server = Server::with(shards, |_| {});
    server.keep_records();
    server
}

/// The causes of the allocations that ended, with their traffic.
fn ends(records: Vec<Record>) -> Vec<(EndCause, Usage)> {
    let ended = records.into_iter().filter_map(|record| match record {
        Record::Ended { cause, usage, .. } => Some((cause, *usage)),
        Record::Began { .. } | Record::Refused(_) => None,
    });
    ended.collect()
}

#[test]
fn payload_is_counted_in_both_directions_without_headers() {
    let mut server = server(1);
    let (mut client, relayed) = Client::allocated(&mut server, "203.0.113.9:5000", "alice");
    assert_eq!(server.usage("alice"), Usage::default());
    client.granted(&mut server, &Request::permission(at(PEER)));
    client.send_unsigned(&mut server, &Request::send(at(PEER), b"12345"));
    server.peer_datagram(relayed, at(PEER), b"123");
    client.granted(&mut server, &Request::channel_bind(0x4000, at(PEER)));
    client.send_on(&mut server, 0x4000, b"1234567");
    server.peer_datagram(relayed, at(PEER), b"");
    let usage = Usage { to_peer: traffic(2, 12), to_client: traffic(2, 3), ..Usage::default() };
    assert_eq!(server.usage("alice"), usage);
    client.granted(&mut server, &Request::refresh(0));
    assert_eq!(ends(server.records()), [(EndCause::Deleted, usage)]);
}

#[test]
fn relay_to_relay_traffic_is_counted_at_both_ends_on_whichever_shards() {
    for shards in [[0, 0], [0, 1], [1, 0]] {
        let mut server = server(2);
        let mut clients = [0, 1].map(|n| {
            Client::on(shards[n], &server, &format!("203.0.113.{}:5000", 9 + n), ["alice", "bob"][n])
        });
        let relayed: [SocketAddr; 2] =
            clients.each_mut().map(|client| client.granted(&mut server, &Request::allocate()).relayed());
        clients[0].granted(&mut server, &Request::channel_bind(0x4000, relayed[1]));
        // Bob does not permit it yet.
        assert_eq!(
            clients[0].send_on(&mut server, 0x4000, b"early"),
            Seen::Dropped(DropReason::NoPermission)
        );
        clients[1].granted(&mut server, &Request::permission(relayed[0]));
        clients[0].send_on(&mut server, 0x4000, b"hello");
        clients[0].send_on(&mut server, 0x4000, b"on");
        let sent =
            Usage { to_peer: traffic(2, 7), drops: vec![(DropReason::NoPermission, 1)], ..Usage::default() };
        let received = Usage { to_client: traffic(2, 7), ..Usage::default() };
        assert_eq!((server.usage("alice"), server.usage("bob")), (sent.clone(), received.clone()));
        clients[1].granted(&mut server, &Request::refresh(0));
        assert_eq!(ends(server.records()), [(EndCause::Deleted, received)]);
        clients[0].send_on(&mut server, 0x4000, b"late");
        let drops = vec![(DropReason::NoPermission, 1), (DropReason::RelayGone, 1)];
        assert_eq!(server.usage("alice"), Usage { drops, ..sent });
    }
}

#[test]
fn what_is_dropped_and_refused_is_counted_by_reason() {
    let mut server = server(1);
    let (mut client, relayed) = Client::allocated(&mut server, "203.0.113.9:5000", "alice");
    client.send_unsigned(&mut server, &Request::send(at(PEER), b"x"));
    client.send_unsigned(&mut server, &Request::send(at(PEER), b"x"));
    client.send_on(&mut server, 0x4001, b"x");
    server.peer_datagram(relayed, at(PEER), b"x");
    let inside = at("10.0.0.1:9");
    assert_eq!(client.refused(&mut server, &Request::permission(inside)), 403);
    assert_eq!(client.refused(&mut server, &Request::channel_bind(0x4000, inside)), 403);
    assert_eq!(client.refused(&mut server, &Request::permission(at("[2a0b::1]:9"))), 443);
    let usage = Usage {
        drops: vec![(DropReason::NoChannel, 1), (DropReason::NoPermission, 3)],
        refused: vec![(ErrorCode::Forbidden, 2), (ErrorCode::PeerAddressFamilyMismatch, 1)],
        ..Usage::default()
    };
    assert_eq!(server.usage("alice"), usage);
}

#[test]
fn a_refused_request_is_recorded_with_its_name_method_code_and_peer() {
    let mut server = server(1);
    let (mut client, _) = Client::allocated(&mut server, "203.0.113.9:5000", "alice");
    server.records();
    let inside = at("10.0.0.1:9");
    client.refused(&mut server, &Request::permission(inside));
    let refused = |method, error, peer| {
        Record::Refused(Box::new(RefusedRequest {
            name: "alice".into(),
            five_tuple: five_tuple("203.0.113.9:5000"),
            method,
            error,
            peer,
        }))
    };
    assert_eq!(server.records(), [refused("CreatePermission", ErrorCode::Forbidden, Some(inside))]);
    assert_eq!(client.refused(&mut server, &Request::allocate()), 437);
    assert_eq!(server.records(), [refused("Allocate", ErrorCode::AllocationMismatch, None)]);
    // No socket can be opened: there was never an allocation, so none begins or ends.
    client.granted(&mut server, &Request::refresh(0));
    server.records();
    server.binds.push_back(Bind::Fails(BindError::Exhausted));
    assert_eq!(client.refused(&mut server, &Request::allocate()), 508);
    assert_eq!(server.records(), [refused("Allocate", ErrorCode::InsufficientCapacity, None)]);
}

fn five_tuple(client: &str) -> FiveTuple {
    let transport = Transport::Udp(ListenerId(0));
    FiveTuple { client: at(client), server: "198.51.100.1".parse().unwrap(), transport }
}

#[test]
fn threat_55_a_client_that_repeats_its_mistake_displaces_no_records_of_others() {
    let mut server = server(1);
    let (mut alice, _) = Client::allocated(&mut server, "203.0.113.9:5000", "alice");
    let (mut bob, _) = Client::allocated(&mut server, "203.0.113.10:5000", "bob");
    server.records();
    let inside = at("10.0.0.1:9");
    for _ in 0..1000 {
        alice.refused(&mut server, &Request::permission(inside));
    }
    assert_eq!(server.records().len(), 10);
    assert_eq!(server.usage("alice").refused, [(ErrorCode::Forbidden, 1000)], "all are counted");
    bob.refused(&mut server, &Request::permission(inside));
    assert_eq!(server.records().len(), 1);
    server.advance(seconds(1));
    alice.refused(&mut server, &Request::permission(inside));
    assert_eq!(server.records().len(), 1);
}

#[test]
fn threat_11_another_users_requests_count_for_nobodys_allocation() {
    let mut server = server(1);
    Client::allocated(&mut server, "203.0.113.9:5000", "alice");
    let mut mallory = Client::new(&server, "203.0.113.9:5000", "mallory");
    assert_eq!(mallory.refused(&mut server, &Request::refresh(0)), 441);
    assert_eq!(server.usage("alice"), Usage::default());
    let refused = server.records().into_iter().find_map(|record| match record {
        Record::Refused(refused) => Some((refused.name, refused.error)),
        _ => None,
    });
    assert_eq!(refused, Some(("mallory".into(), ErrorCode::WrongCredentials)));
}

#[test]
fn a_stranger_leaves_no_record() {
    let mut server = server(1);
    let mut stranger = Client::new(&server, "203.0.113.9:5000", "mallory");
    stranger.ask_unsigned(&mut server, &Request::allocate());
    assert_eq!(server.records(), []);
}

/// Ends an allocation.
type End = fn(&mut Server, &mut Client);

#[test]
fn each_end_has_its_cause_and_is_recorded_once() {
    let by: [(EndCause, End); 7] = [
        (EndCause::Deleted, |server, client| drop(client.granted(server, &Request::refresh(0)))),
        (EndCause::Expired, |server, _| server.advance(seconds(601))),
        (EndCause::Disconnected, |server, client| {
            let five_tuple = five_tuple(&client.address().to_string());
            server.on_shard(0, |relay, now| relay.client_gone(now, five_tuple));
        }),
        (EndCause::Revoked, |server, _| assert_eq!(server.end("alice"), 1)),
        (EndCause::Revoked, |server, _| {
            let id = server.accounts(1000)[0].id;
            assert!(server.on_shard(0, |relay, now| relay.end_allocation(now, id)));
            assert!(!server.on_shard(0, |relay, now| relay.end_allocation(now, id)), "it has ended");
        }),
        (EndCause::Server, |server, _| {
            assert_eq!(server.on_shard(0, |relay, now| relay.listener_gone(now, ListenerId(0))), 1);
        }),
        (EndCause::Server, |server, _| server.on_shard(0, |relay, now| relay.end_all(now))),
    ];
    for (cause, end) in by {
        for request in [Request::allocate(), Request::allocate_dual()] {
            let mut server = server(1);
            let mut client = Client::new(&server, "203.0.113.9:5000", "alice");
            client.granted(&mut server, &request);
            let id = server.accounts(1000)[0].id;
            end(&mut server, &mut client);
            let usage = Box::default();
            let records = [Record::Began { allocation: id }, Record::Ended { allocation: id, cause, usage }];
            assert_eq!(server.records(), records);
            assert!(server.accounts(1000).is_empty());
        }
    }
}

#[test]
fn an_allocation_is_described_as_its_client_knows_it() {
    let mut server = server(1);
    let (mut client, relayed) = Client::allocated(&mut server, "203.0.113.9:5000", "alice");
    server.advance(seconds(100));
    client.granted(&mut server, &Request::channel_bind(0x4000, at(PEER)));
    client.granted(&mut server, &Request::permission(at("8.8.4.4:9")));
    let now = server.now.mono;
    let account = &server.accounts(1000)[0];
    assert_eq!((&*account.name, account.five_tuple), ("alice", five_tuple("203.0.113.9:5000")));
    assert_eq!(account.relayed, [relayed]);
    assert_eq!((account.began, account.expires), (now - seconds(100), now + seconds(500)));
    assert_eq!((account.permissions, account.channels), (2, 1));
}

#[test]
fn pages_of_any_size_describe_each_live_allocation_once() {
    let mut server = server(2);
    let client = |server: &mut Server, n: usize| {
        let mut client = Client::on(n % 2, server, &format!("203.0.113.{n}:5000"), "alice");
        client.granted(server, &Request::allocate());
        client
    };
    let mut clients: Vec<_> = (1..=20).map(|n| client(&mut server, n)).collect();
    for n in [3, 4, 11] {
        clients[n].granted(&mut server, &Request::refresh(0));
    }
    server.binds.push_back(Bind::Hangs);
    let mut waiting = Client::on(0, &server, "203.0.113.100:5000", "alice");
    waiting.learn_nonce(&mut server);
    let (datagram, _) = waiting.sign(&Request::allocate());
    assert_eq!(waiting.send(&mut server, &datagram), Seen::Waiting);
    for page in [1, 2, 7, 1000] {
        let mut described: Vec<_> =
            server.accounts(page).into_iter().map(|account| account.five_tuple.client).collect();
        described.sort_unstable();
        described.dedup();
        assert_eq!(described.len(), 17, "{page}");
        assert_eq!(server.accounts(page).len(), 17, "{page}");
    }
}
