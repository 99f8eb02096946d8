//! After a member has left or a name was revoked, its credentials are rejected and its allocations
//! end.

use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

use byway_test_support::turn::{Bind, Client, Request, Response, Seen, Server, at, seconds};
use byway_turn::auth::MemberId;
use byway_turn::server::{DropReason, Relay};
use byway_turn::wire::Reply;
use stun::attributes::{ATTR_EVEN_PORT, ATTR_RESERVATION_TOKEN};

const HERE: &str = "203.0.113.9:5000";
const PEER: &str = "8.8.8.8:53";

/// Adds a member to the room `tea`; returns its ID and the name in its credentials.
fn enter(server: &Server) -> (MemberId, String) {
    let member = server.revocations.enter();
    (member, format!("tea.{member}"))
}

#[test]
fn threat_8_after_the_leave_each_method_is_the_401_of_a_wrong_password() {
    let mut server = Server::new();
    let (ann, name) = enter(&server);
    let (mut client, _) = Client::allocated(&mut server, HERE, &name);
    let peer = at(PEER);
    let requests = [
        Request::allocate(),
        Request::refresh(600),
        Request::permission(peer),
        Request::channel_bind(0x4000, peer),
    ];
    for (request, code) in requests.iter().zip([437, 0, 0, 0]) {
        assert_eq!(client.ask(&mut server, request).code(), code);
    }
    // The shard does not know of it yet.
    server.revocations.leave(ann);
    let mut guess = Client { password: "guess".into(), ..client.clone() };
    for request in &requests {
        let refusals = [&mut client, &mut guess].map(|client| client.ask_once(&mut server, request));
        assert_eq!(refusals.each_ref().map(|refusal| refusal.code()), [401, 401]);
        assert_eq!(refusals[0].bytes()[20..], refusals[1].bytes()[20..]);
    }
    assert_eq!(client.at("203.0.113.9:5001").refused(&mut server, &Request::allocate()), 401);
    assert_eq!(
        client.granted(&mut server, &Request::refresh(0)).lifetime(),
        0,
        "deleting its own allocation is harmless"
    );
    assert_eq!(client.refused(&mut server, &Request::refresh(0)), 401);
}

/// With `strict_expiry` off, an allocation outlives its credential, but not its member.
#[test]
fn a_lax_server_is_as_strict_about_who_has_left() {
    let mut server = Server::with(1, |settings| settings.strict_expiry = false);
    let (ann, name) = enter(&server);
    let (mut client, _) = Client::allocated(&mut server, HERE, &name);
    server.revocations.leave(ann);
    assert_eq!(client.refused(&mut server, &Request::refresh(600)), 401);
}

#[test]
fn a_name_that_was_revoked_is_401_until_its_last_credential_has_expired() {
    let mut server = Server::new();
    let (mut client, _) = Client::allocated(&mut server, HERE, "alice");
    let (mut other, _) = Client::allocated(&mut server, "203.0.113.10:5000", "bob");
    let until = server.now.unix + 3600;
    server.revocations.revoke(server.now, "alice", until).unwrap();
    assert_eq!(client.refused(&mut server, &Request::refresh(600)), 401);
    assert_eq!(server.end("alice"), 1);
    other.granted(&mut server, &Request::refresh(3600));

    server.advance(seconds(3599));
    let fresh = |server: &Server| Client::new(server, HERE, "alice");
    assert_eq!(fresh(&server).refused(&mut server, &Request::allocate()), 401);
    server.advance(seconds(1));
    fresh(&server).granted(&mut server, &Request::allocate());
}

#[test]
fn all_that_a_name_has_ends_on_every_shard_and_nobody_elses() {
    let mut server = Server::with(2, |settings| settings.ports = 50_000..=50_006);
    let (ann, name) = enter(&server);
    let mut clients: Vec<Client> = (0..4)
        .map(|n| {
            // Each client gets a different credential.
            server.advance(seconds(1));
            Client::on(n % 2, &server, &format!("203.0.113.9:{}", 5000 + n), &name)
        })
        .collect();
    for client in &mut clients {
        client.granted(&mut server, &Request::allocate());
        client.granted(&mut server, &Request::channel_bind(0x4000, at(PEER)));
    }
    let mine = server.sockets();
    let mut others = [0, 1].map(|shard| Client::on(shard, &server, "203.0.113.10:5000", &enter(&server).1));
    for other in &mut others {
        other.granted(&mut server, &Request::allocate());
    }
    server.revocations.leave(ann);
    assert_eq!(server.end(&name), 4);
    assert_eq!((server.allocations(), server.announced_channels()), (2, 0));
    assert!(server.sockets().iter().all(|socket| !mine.contains(socket)));
    for client in &clients {
        assert_eq!(client.send_on(&mut server, 0x4000, b"late"), Seen::Dropped(DropReason::NoAllocation));
    }
    for other in &mut others {
        other.granted(&mut server, &Request::refresh(600));
    }
    assert_eq!(server.end(&name), 0);

    // Threat 16: their ports rest like others.
    let mut next = Client::new(&server, "203.0.113.11:5000", "carol");
    server.advance(seconds(119));
    assert!(!mine.contains(&next.granted(&mut server, &Request::allocate()).relayed()));
    server.advance(seconds(1));
    let mut last = Client::new(&server, "203.0.113.11:5001", "carol");
    assert!(mine.contains(&last.granted(&mut server, &Request::allocate()).relayed()));
    assert_eq!(server.unrested, 0);
}

#[test]
fn names_that_are_alike_are_others() {
    let mut server = Server::new();
    let names = ["tea", "tea.", "tea.a", "tea.ab", "TEA.a", "tea.a:"];
    for (name, port) in names.into_iter().zip(5000..) {
        Client::allocated(&mut server, &format!("203.0.113.9:{port}"), name);
    }
    for (name, left) in names.into_iter().zip((0..names.len()).rev()) {
        assert_eq!((server.end(name), server.allocations()), (1, left), "{name}");
    }
}

#[test]
fn both_halves_of_a_dual_allocation_end() {
    let mut server = Server::new();
    let mut client = Client::new(&server, HERE, "alice");
    client.granted(&mut server, &Request::allocate_dual());
    for (number, peer) in [(0x4000, PEER), (0x4001, "[2a00::8]:53")] {
        client.granted(&mut server, &Request::channel_bind(number, at(peer)));
    }
    assert_eq!((server.sockets().len(), server.announced_channels()), (2, 2));
    assert_eq!(server.end("alice"), 1);
    assert_eq!((server.sockets().len(), server.announced_channels()), (0, 0));
    assert_eq!(server.allocations(), 0);
}

/// The result of a pending bind no longer matters.
#[test]
fn an_allocation_ends_whose_socket_is_being_bound() {
    for binds in [vec![Bind::Hangs], vec![Bind::Hangs, Bind::Hangs], vec![Bind::Works, Bind::Hangs]] {
        let mut server = Server::new();
        let (ann, name) = enter(&server);
        let mut client = Client::new(&server, HERE, &name);
        client.learn_nonce(&mut server);
        let hanging = binds.iter().filter(|bind| **bind == Bind::Hangs).count();
        let request = if binds.len() == 2 { Request::allocate_dual() } else { Request::allocate() };
        server.binds.extend(binds);
        let (datagram, transaction) = client.sign(&request);
        assert_eq!(client.send(&mut server, &datagram), Seen::Waiting);
        server.revocations.leave(ann);
        assert_eq!((server.end(&name), server.allocations(), server.sockets().len()), (1, 0, 0));
        for _ in 0..hanging {
            assert_eq!(server.answer_bind(Ok(())), Seen::Dropped(DropReason::NoAllocation));
        }
        assert_eq!(client.answer(&mut server, &datagram, transaction).code(), 401);
        assert_eq!(server.allocations(), 0);
    }
}

/// The name's reserved ports end with it on every shard, and so do their tokens.
#[test]
fn threat_49_what_it_has_in_reserve_ends_too() {
    let mut server = Server::with(2, |settings| settings.ports = 50_000..=50_003);
    let (ann, name) = enter(&server);
    let mut client = Client::on(1, &server, HERE, &name);
    let even = Request::allocate().with(ATTR_EVEN_PORT, &[0x80]);
    let token = client.granted(&mut server, &even).get(ATTR_RESERVATION_TOKEN);
    let mut other = Client::new(&server, "203.0.113.10:5000", "bob");
    other.granted(&mut server, &even);
    client.granted(&mut server, &Request::refresh(0));
    assert_eq!(server.reserved().len(), 2, "a reservation outlives its allocation");
    server.revocations.leave(ann);
    assert_eq!(server.end(&name), 0);
    assert_eq!(server.reserved().len(), 1, "reservations of other names stay");

    let reserved = Request::allocate().with(ATTR_RESERVATION_TOKEN, &token);
    assert_eq!(client.at("203.0.113.9:5001").refused(&mut server, &reserved), 401);
    let mut late = Client::new(&server, "203.0.113.10:5001", "bob");
    assert_eq!(late.refused(&mut server, &reserved), 508);
}

/// The path in memory between two clients of this server ends, too.
#[test]
fn the_way_between_two_clients_ends() {
    for shard in [0, 1] {
        let mut server = Server::with(2, |_| {});
        let mut clients = [Client::new(&server, HERE, "alice"), Client::on(shard, &server, HERE, "bob")];
        clients[1].five_tuple.client = at("203.0.113.10:5000");
        let relayed =
            clients.each_mut().map(|client| client.granted(&mut server, &Request::allocate()).relayed());
        for n in [0, 1] {
            clients[n].granted(&mut server, &Request::channel_bind(0x4000, relayed[1 - n]));
        }
        assert!(matches!(clients[0].send_on(&mut server, 0x4000, b"x"), Seen::ToClient(..)));
        assert!(matches!(clients[1].send_on(&mut server, 0x4000, b"x"), Seen::ToClient(..)));
        assert_eq!(server.end("bob"), 1);
        let [alice, bob] = &mut clients;
        assert_eq!(bob.send_on(&mut server, 0x4000, b"x"), Seen::Dropped(DropReason::NoAllocation));
        assert_eq!(alice.send_on(&mut server, 0x4000, b"x"), Seen::Dropped(DropReason::RelayGone));
        assert_eq!(alice.refused(&mut server, &Request::channel_bind(0x4000, relayed[1])), 403);
    }
}

/// A member leaves while another thread handles its Allocate request. Either the request is
/// rejected, or the thread that ends the name finds the allocation counted.
#[test]
fn no_allocation_slips_past_a_leave() {
    const ROUNDS: u32 = 200;
    let mut server = Server::with(0, |settings| settings.port_rest = seconds(0));
    let mut relay = Relay::new(server.shared.clone(), &[1; 32]);
    for round in 0..ROUNDS {
        let (ann, name) = enter(&server);
        let mut client = Client::new(&server, HERE, &name);
        let five_tuple = client.five_tuple;
        let mut ask = |datagram: &[u8]| {
            let mut reply = Reply::new();
            relay.client_datagram(server.now, five_tuple, datagram, &mut reply);
            reply.as_bytes().to_vec()
        };
        let challenge = ask(&Request::allocate().encode([1; 12], None));
        client.nonce = Response::read(&challenge).nonce();
        let (datagram, _) = client.sign(&Request::allocate());
        let (ready, begin) = (AtomicBool::new(false), AtomicBool::new(false));
        let (revocations, shared) = (&server.revocations, &server.shared);
        let seen = std::thread::scope(|scope| {
            let leaving = scope.spawn(|| {
                ready.store(true, Relaxed);
                while !begin.load(Relaxed) {
                    std::hint::spin_loop();
                }
                // A varying delay, so that the two threads meet at different points.
                (0..round % 100 * 50).for_each(|_| std::hint::spin_loop());
                revocations.leave(ann);
                shared.allocations_of(&name)
            });
            while !ready.load(Relaxed) {
                std::thread::yield_now();
            }
            begin.store(true, Relaxed);
            ask(&datagram);
            leaving.join().unwrap()
        });
        let begun = relay.end_all_of(server.now, &name);
        assert!(
            begun == 0 || seen == 1,
            "round {round}: an allocation that was not counted when the member left"
        );
        assert_eq!(server.shared.allocations(), 0);
        server.now = server.now.after(seconds(1));
    }
}
