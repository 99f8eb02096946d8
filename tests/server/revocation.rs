//! Revocation: a member that leaves loses its allocations.

use std::io::ErrorKind;
use std::net::{SocketAddr, TcpStream, UdpSocket};
use std::time::Duration;

use byway::clock::Clock;
use byway_test_support::process::interrupts::uninterrupted;
use byway_test_support::process::member::Member;
use byway_test_support::process::sockets::{Client, LOOPBACK, Link, receive, socket};
use byway_test_support::process::{CONFIG, Server, http};
use byway_test_support::turn::{Request, channel_data};
use stun::attributes::ATTR_EVEN_PORT;

const ALLOCATIONS: &str = "byway_allocations";
const RESERVED: &str = "byway_relay_ports_reserved";
const REVOKED: &str = "byway_allocations_revoked_total";

/// Longest revocation.
const AT_ONCE: Duration = Duration::from_secs(1);

/// Over UDP, from a port of its own: the kernel gives it to either shard.
fn over_udp(server: &Server, member: &Member) -> Client {
    let socket = socket(LOOPBACK[0]);
    socket.connect(server.bound.udp_v4()).unwrap();
    Client::with(Link::Udp(socket), member.credential.clone())
}

fn over_tcp(server: &Server, member: &Member) -> Client {
    let socket = TcpStream::connect(server.bound.tcp_v4()).unwrap();
    socket.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    Client::with(Link::Tcp(socket), member.credential.clone())
}

/// An allocation with channel 0x4000 to `peer`, which hears it.
fn call(mut client: Client, peer: &UdpSocket) -> (Client, SocketAddr) {
    let relayed = client.granted(&Request::allocate()).relayed();
    client.granted(&Request::channel_bind(0x4000, peer.local_addr().unwrap()));
    client.send_on(0x4000, b"here");
    assert_eq!(receive(peer).0, b"here");
    (client, relayed)
}

/// `work` ends all that a member has, but for `left` allocations of others, at once.
fn ends_at_once(server: &Server, left: u64, work: impl FnOnce()) {
    let clock = Clock::start();
    work();
    server.until(ALLOCATIONS, left);
    let took = clock.now().mono;
    assert!(took < AT_ONCE, "it took {took:?}");
}

/// 12 clients over UDP are on both of two shards, but once in two thousand runs.
#[test]
fn who_leaves_loses_every_allocation_on_every_shard_within_a_second() {
    let server = Server::start();
    let [mut ann, bob] = [(); 2].map(|()| Member::join(&server, "tea"));
    assert_eq!(ann.hear()["type"], "peer-joined");
    let peer = socket(LOOPBACK[0]);
    let clients = (0..12).map(|_| over_udp(&server, &ann)).chain((0..2).map(|_| over_tcp(&server, &ann)));
    let mut anns: Vec<(Client, SocketAddr)> = clients.map(|client| call(client, &peer)).collect();
    let (mut bobs, relayed) = call(over_udp(&server, &bob), &peer);
    assert_eq!(server.metric(ALLOCATIONS), 15);

    ends_at_once(&server, 1, || ann.say(r#"{"type":"leave"}"#));
    server.until(REVOKED, 14);
    for (client, relayed) in &mut anns {
        for request in [Request::refresh(600), Request::allocate()] {
            assert_eq!(client.asked(&request).code(), 401);
        }
        client.send_on(0x4000, b"late");
        // A port that nobody has: ICMP says so, or nothing does.
        let _ = peer.send_to(b"late", *relayed);
    }
    // Bob's goes on, and nothing of Ann's comes before it.
    bobs.granted(&Request::refresh(600));
    bobs.send_on(0x4000, b"on");
    let heard = loop {
        // What the closed ports answered.
        if let Ok(length) = uninterrupted(|| peer.recv(&mut [0; 100])) {
            break length;
        }
    };
    assert_eq!(heard, b"on".len());
    peer.send_to(b"back", relayed).unwrap();
    assert_eq!(bobs.receive(), channel_data(0x4000, b"back"));
}

#[test]
fn a_member_that_is_removed_loses_them_too_and_the_next_one_starts_afresh() {
    let server = Server::start_with(&format!("{CONFIG}[ice]\napi_keys = [\"a-key-for-programs\"]\n"), |_| {});
    let mut ann = Member::join(&server, "tea");
    let peer = socket(LOOPBACK[0]);
    let (mut client, _) = call(over_udp(&server, &ann), &peer);
    let key = "Authorization: Bearer a-key-for-programs";
    let room = http::ask(server.bound.http[0], "GET", "/rooms/tea", &[key], "").expect_ok().json();
    assert_eq!(room["members"][0]["allocations"], 1);
    ends_at_once(&server, 0, || {
        let path = format!("/rooms/tea/members/{}", ann.id);
        assert_eq!(http::ask(server.bound.http[0], "DELETE", &path, &[key], "").status, 204);
    });
    assert_eq!(ann.hear()["code"], "removed");
    assert_eq!(client.asked(&Request::allocate()).code(), 401);

    let again = Member::join(&server, "tea");
    let (mut client, _) = call(over_udp(&server, &again), &peer);
    client.granted(&Request::refresh(0));
}

/// The socket of a port in reserve closes with what else its member has.
#[test]
fn threat_49_a_port_in_reserve_is_given_back_by_who_leaves() {
    let server = Server::start();
    let mut ann = Member::join(&server, "tea");
    let mut client = over_udp(&server, &ann);
    let even = Request::allocate().with(ATTR_EVEN_PORT, &[0x80]);
    let relayed = client.granted(&even).relayed();
    let next = SocketAddr::new(relayed.ip(), relayed.port() + 1);
    assert_eq!(UdpSocket::bind(next).unwrap_err().kind(), ErrorKind::AddrInUse);
    client.granted(&Request::refresh(0));
    server.until(ALLOCATIONS, 0);
    assert_eq!(server.metric(RESERVED), 1);
    ann.say(r#"{"type":"leave"}"#);
    server.until(RESERVED, 0);
    UdpSocket::bind(next).unwrap();
}

/// A connection that broke is no leave, and the call goes on, until the member does not come back
/// in time.
#[test]
fn a_lost_member_keeps_its_allocation_as_long_as_its_place() {
    for (window, left) in [("10m", 1), ("100ms", 0)] {
        let config = format!("{CONFIG}[signaling]\nresume_window = \"{window}\"\n");
        let server = Server::start_with(&config, |_| {});
        let ann = Member::join(&server, "tea");
        let (mut client, _) = call(over_udp(&server, &ann), &socket(LOOPBACK[0]));
        ann.lose();
        if left == 1 {
            server.until("byway_members_absent", 1);
            client.granted(&Request::refresh(600));
        } else {
            server.until(ALLOCATIONS, 0);
            assert_eq!(client.asked(&Request::allocate()).code(), 401);
        }
        server.until(REVOKED, 1 - left);
        assert_eq!(server.metric(ALLOCATIONS), left);
    }
}

/// A credential that a backend has made and takes back.
#[test]
fn a_credential_that_is_revoked_loses_its_allocation() {
    let server = Server::start_with(&format!("{CONFIG}[ice]\napi_keys = [\"a-key-for-programs\"]\n"), |_| {});
    let credentials = [server.credential("alice"), server.credential("bob")];
    let mut clients = credentials.clone().map(|credential| {
        let socket = socket(LOOPBACK[0]);
        socket.connect(server.bound.udp_v4()).unwrap();
        call(Client::with(Link::Udp(socket), credential), &self::socket(LOOPBACK[0])).0
    });
    ends_at_once(&server, 1, || {
        let path = format!("/v1/turn/keys/any/credentials/{}/revoke", credentials[0].0);
        let key = "Authorization: Bearer a-key-for-programs";
        assert_eq!(http::ask(server.bound.http[0], "POST", &path, &[key], "").status, 204);
    });
    assert_eq!(clients[0].asked(&Request::allocate()).code(), 401);
    clients[1].granted(&Request::refresh(600));

    // One that is too long for the relay is not remembered either.
    let (expiry, _) = credentials[0].0.split_once(':').unwrap();
    let status_of = |length| {
        let path = format!("/v1/turn/keys/any/credentials/{expiry}:{}/revoke", "a".repeat(length));
        http::ask(server.bound.http[0], "POST", &path, &["Authorization: Bearer a-key-for-programs"], "")
            .status
    };
    assert_eq!([497, 498].map(status_of), [204, 400]);
}
