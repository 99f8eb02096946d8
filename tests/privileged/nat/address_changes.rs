//! The machine's addresses come and go while the server runs: it follows them, and says what it
//! lacks.

use std::io::Write as _;
use std::net::{SocketAddr, UdpSocket};
use std::time::Duration;

use byway::clock::Clock;
use byway_test_support::process::interrupts::uninterrupted;
use byway_test_support::process::sockets::{Client, Link};
use byway_test_support::process::{Configuration, Server, http, stun};
use byway_test_support::turn::Request;

use super::namespace::Namespace;

/// Everything on every address, as on a machine whose address nobody wants to write down.
const WILDCARDS: &str = r#"
realm = "byway.test"
[listen]
udp = ["0.0.0.0:3478", "[::]:3478"]
tcp = ["0.0.0.0:3478"]
http = ["127.0.0.1:8080"]
admin = ["127.0.0.1:9090"]
[relay]
addresses = ["0.0.0.0", "::"]
shards = 2
[credentials]
secrets = ["a-test-secret"]
[quota]
unauthenticated_per_second = 0
"#;

/// Everything on one address, which may come late.
const NAMED: &str = r#"
realm = "byway.test"
[listen]
udp = ["45.0.0.1:3478", "[2a00::1]:3478"]
tcp = ["45.0.0.1:3478"]
http = ["45.0.0.1:8080", "127.0.0.1:8080"]
admin = ["127.0.0.1:9090", "45.0.0.1:9090"]
[relay]
addresses = ["45.0.0.1", "2a00::1"]
shards = 2
[credentials]
secrets = ["a-test-secret"]
[quota]
unauthenticated_per_second = 0
[ice]
open_to_everyone = true
"#;

const LOCAL: &str = "127.0.0.1:3478";
const V6: &str = "2a00::1/64 nodad";

/// Time for anything that the server does here, on a machine that builds meanwhile.
const PATIENCE: Duration = Duration::from_secs(20);

/// A machine with a network card, for which a bridge stands in, and a default route over it where
/// it has an address.
fn machine(name: &str, addresses: &[&str]) -> Namespace {
    let machine = Namespace::new(name);
    machine.ip("link add eth0 type bridge");
    machine.ip("link set eth0 up");
    for address in addresses {
        machine.ip(&format!("address add {address} dev eth0"));
    }
    machine
}

/// `/healthz`, over loopback: status and text.
fn health() -> (u16, String) {
    let answer = http::get(at("127.0.0.1:9090"), "/healthz");
    (answer.status, answer.text().to_owned())
}

/// Waits until something is so.
fn until(what: &str, is_so: impl Fn() -> bool) {
    let clock = Clock::start();
    while !is_so() {
        assert!(clock.now().mono < PATIENCE, "not so within {PATIENCE:?}: {what}");
        std::thread::yield_now();
    }
}

fn at(address: &str) -> SocketAddr {
    address.parse().unwrap()
}

/// A client on the machine itself, from a port of its own.
fn client(server: &Server) -> Client {
    Client::of(server, at(LOCAL))
}

/// Number of lines with these words at a level.
fn lines(server: &Server, level: &str, words: &str) -> usize {
    server.log().lines().filter(|line| line.contains(level) && line.contains(words)).count()
}

#[test]
#[ignore = "needs root: tests/run nat"]
fn threat_35_the_relay_follows_the_machine_to_another_address() {
    let machine = machine("moves", &["45.0.0.1/24", V6]);
    machine.within(|| {
        let server = Server::start_with(WILDCARDS, |_| {});
        let mut early = client(&server);
        let relayed = early.granted(&Request::allocate()).relayed();
        assert_eq!(relayed.ip(), at("45.0.0.1:1").ip());
        let mut v6 = client(&server);
        v6.granted(&Request::allocate_v6());

        machine.ip("address del 45.0.0.1/24 dev eth0");
        machine.ip("address add 45.0.0.5/24 dev eth0");
        server.logged("relay=45.0.0.5,2a00::1");
        until("the allocation on 45.0.0.1 has ended", || server.metric("byway_allocations") == 1);
        server.until("byway_relayed_addresses_lost_total", 1);
        assert_eq!(early.asked(&Request::refresh(600)).code(), 437);
        assert_eq!(early.granted(&Request::allocate()).relayed().ip(), at("45.0.0.5:1").ip());
        v6.granted(&Request::refresh(600));
        assert_eq!(health(), (200, "ok\n".to_owned()));
        assert_eq!(lines(&server, "ERROR", ""), 0, "{}", server.log());
    });
}

#[test]
#[ignore = "needs root: tests/run nat"]
fn threat_35_a_lost_family_is_said_once_and_taken_up_again() {
    let machine = machine("lost", &["45.0.0.1/24", V6]);
    machine.within(|| {
        let server = Server::start_with(WILDCARDS, |_| {});
        client(&server).granted(&Request::allocate());
        machine.ip("address del 45.0.0.1/24 dev eth0");
        server.logged("no relaying by IPv4");
        let (status, said) = health();
        assert_eq!((status, said.contains("degraded: no relaying by IPv4")), (503, true), "{said}");
        assert_eq!(client(&server).asked(&Request::allocate()).code(), 440);
        server.until("byway_address_refusals_total", 1);
        let (username, password) = server.credential("probe");
        let url = format!("turn:{LOCAL}");
        let asks = ["probe", "--json", &url, "--username", &username, "--password", &password];
        let probe = server.command().args(asks).output().unwrap();
        let said = String::from_utf8(probe.stdout).unwrap();
        assert!(said.contains("no relay address of this IP version"), "{said}");
        client(&server).granted(&Request::allocate_v6());

        machine.ip("address add 45.0.0.1/24 dev eth0");
        server.logged("no longer so: no relaying by IPv4");
        until("healthy", || health().0 == 200);
        client(&server).granted(&Request::allocate());
        assert_eq!(lines(&server, "ERROR", "no relaying by IPv4"), 1, "{}", server.log());
    });
}

/// A network manager that restarts takes addresses away and gives them back.
#[test]
#[ignore = "needs root: tests/run nat"]
fn threat_35_an_address_that_comes_back_at_once_keeps_its_calls() {
    let machine = machine("flaps", &["45.0.0.1/32", "45.0.0.9/32"]);
    machine.within(|| {
        let config = WILDCARDS.replace("[quota]", "[peers]\nallow = [\"45.0.0.9/32\"]\n[quota]");
        let server = Server::start_with(&config, |_| {});
        let peer = UdpSocket::bind("45.0.0.9:0").unwrap();
        peer.set_read_timeout(Some(PATIENCE)).unwrap();
        let mut client = client(&server);
        let relayed = client.granted(&Request::allocate()).relayed();
        client.granted(&Request::channel_bind(0x4000, peer.local_addr().unwrap()));
        // A channel to an address that the machine gets ends when the server has looked at it.
        let mut looks = |n: u8| {
            client.granted(&Request::channel_bind(0x4000 + u16::from(n), at(&format!("44.0.0.{n}:9"))));
            machine.ip(&format!("address add 44.0.0.{n}/32 dev lo"));
            until("the server has looked", || server.metric("byway_channels") == 1);
        };
        let clock = Clock::start();
        machine.ip("address del 45.0.0.1/32 dev eth0");
        looks(1);
        machine.ip("address add 45.0.0.1/32 dev eth0");
        looks(2);
        // It may be gone for three seconds; on a machine that is busier than that this shows
        // nothing.
        if clock.now().mono > Duration::from_secs(3) {
            return eprintln!("two looks took {:?}", clock.now().mono);
        }
        client.send_on(0x4000, b"still here");
        let mut bytes = [0; 32];
        let (length, from) = uninterrupted(|| peer.recv_from(&mut bytes)).unwrap();
        assert_eq!((&bytes[..length], from.port()), (&b"still here"[..], relayed.port()));
        assert_eq!(server.metric("byway_relayed_addresses_lost_total"), 0);
        assert_eq!(lines(&server, "ERROR", ""), 0, "{}", server.log());
    });
}

#[test]
#[ignore = "needs root: tests/run nat"]
fn threat_35_named_addresses_that_come_late_are_served_when_they_come() {
    let machine = machine("late", &[]);
    machine.within(|| {
        let server = Server::start_with(NAMED, |_| {});
        assert_eq!((&*server.bound.udp, &*server.bound.tcp), (&[][..], &[][..]));
        let (status, said) = health();
        assert_eq!(status, 503);
        let v4 =
            "no interface has 45.0.0.1 (listen.admin, listen.http, listen.tcp, listen.udp, relay.addresses)";
        for missing in [v4, "no interface has 2a00::1 (listen.udp, relay.addresses)"] {
            assert!(said.contains(&format!("degraded: {missing}: ")), "{said}");
            assert_eq!(lines(&server, "ERROR", missing), 1, "{}", server.log());
        }
        let urls = || http::get(at("127.0.0.1:8080"), "/ice").expect_ok().text().to_owned();
        assert!(!urls().contains("45.0.0.1"), "{}", urls());

        machine.ip("address add 45.0.0.1/24 dev eth0");
        server.logged(&format!("no longer so: {v4}"));
        server.logged(
            "listening udp=45.0.0.1:3478 tcp=45.0.0.1:3478 tls=- http=45.0.0.1:8080,127.0.0.1:8080 \
             admin=127.0.0.1:9090,45.0.0.1:9090 relay=45.0.0.1 ",
        );
        // Every shard has its socket: the kernel spreads clients over them by their ports.
        for _ in 0..16 {
            stun::binding(at("45.0.0.1:3478"));
        }
        http::get(at("45.0.0.1:8080"), "/").expect_ok();
        assert_eq!(http::get(at("45.0.0.1:9090"), "/healthz").status, 503, "IPv6 is lacking still");
        let tcp = std::net::TcpStream::connect("45.0.0.1:3478").unwrap();
        tcp.set_read_timeout(Some(PATIENCE)).unwrap();
        Client::over(&server, Link::Tcp(tcp)).granted(&Request::allocate());
        assert!(urls().contains("turn:45.0.0.1:3478?transport=udp"), "{}", urls());
        assert!(urls().contains("turn:45.0.0.1:3478?transport=tcp"), "{}", urls());

        machine.ip(&format!("address add {V6} dev eth0"));
        until("healthy", || health().0 == 200);
        stun::binding(at("[2a00::1]:3478"));
        assert!(urls().contains("turn:[2a00::1]:3478?transport=udp"), "{}", urls());
        assert_eq!(lines(&server, "ERROR", ""), 2, "{}", server.log());

        // What goes again is no longer offered.
        machine.ip("address del 45.0.0.1/24 dev eth0");
        until("said again", || lines(&server, "ERROR", v4) == 2);
        until("not offered", || !urls().contains("45.0.0.1"));
        assert_eq!(health().0, 503);
    });
}

/// Neighbour discovery takes a second to find out that nobody else has an address (RFC 4862 section
/// 5.4).
#[test]
#[ignore = "needs root: tests/run nat"]
fn threat_35_a_tentative_address_is_relayed_from_once_it_is_good() {
    for config in [WILDCARDS, NAMED] {
        let machine = Namespace::new("tentative");
        machine.ip("link add eth0 type veth peer name eth1");
        machine.ip("link set eth0 up");
        machine.ip("link set eth1 up");
        machine.ip("address add 45.0.0.1/24 dev eth0");
        machine.ip("address add 2a00::1/64 dev eth0");
        machine.within(|| {
            let server = Server::start_with(config, |_| {});
            server.logged("relay=45.0.0.1,2a00::1");
            until("healthy", || health().0 == 200);
            let server_at = if config == NAMED { "45.0.0.1:3478" } else { LOCAL };
            let mut client = Client::of(&server, at(server_at));
            let relayed = client.granted(&Request::allocate_v6()).relayed();
            assert_eq!(relayed.ip(), at("[2a00::1]:1").ip());
        });
    }
}

/// An address that comes may have a port that another program took, which then gives it up.
#[test]
#[ignore = "needs root: tests/run nat"]
fn threat_35_a_port_that_is_taken_when_its_address_comes_is_bound_once_it_is_free() {
    let machine = machine("taken", &[V6]);
    machine.within(|| {
        let server = Server::start_with(NAMED, |_| {});
        let udp = UdpSocket::bind("0.0.0.0:3478").unwrap();
        machine.ip("address add 45.0.0.1/24 dev eth0");
        let trouble = "cannot listen on 45.0.0.1:3478 (listen.udp), because of Address already in use";
        server.logged(trouble);
        server.logged("no longer so: no interface has 45.0.0.1");
        // The other listeners of this address are served meanwhile.
        server.logged("tcp=45.0.0.1:3478 tls=- http=45.0.0.1:8080,127.0.0.1:8080");
        let (status, said) = health();
        assert_eq!((status, said.lines().count()), (503, 1), "{said}");
        assert!(said.contains(&format!("degraded: {trouble}")) && said.contains("ss -lntup"), "{said}");
        assert_eq!(lines(&server, "ERROR", "cannot listen"), 1, "{}", server.log());

        drop(udp);
        server.logged(&format!("no longer so: {trouble}"));
        server.logged("udp=45.0.0.1:3478,[2a00::1]:3478");
        until("healthy", || health().0 == 200);
        stun::binding(at("45.0.0.1:3478"));
        assert_eq!(lines(&server, "ERROR", "cannot listen"), 1, "{}", server.log());
    });
}

/// A listener behind a proxy has an accept loop in place of the shards, also one that comes late.
#[test]
#[ignore = "needs root: tests/run nat"]
fn threat_35_a_listener_behind_a_proxy_that_comes_late_expects_its_headers() {
    let machine = machine("late-proxy", &[]);
    machine.within(|| {
        let listen = "[listen]\ntrusted_proxies = [\"45.0.0.1\"]\nproxy_protocol = [\"tcp\"]";
        let server = Server::start_with(&NAMED.replacen("[listen]", listen, 1), |_| {});
        assert!(server.bound.tcp.is_empty());
        machine.ip("address add 45.0.0.1/24 dev eth0");
        server.logged("tcp=45.0.0.1:3478");
        let mut proxy = std::net::TcpStream::connect("45.0.0.1:3478").unwrap();
        proxy.set_read_timeout(Some(PATIENCE)).unwrap();
        proxy.write_all(b"PROXY TCP4 45.0.0.77 45.0.0.1 4711 3478\r\n").unwrap();
        let response = Client::over(&server, Link::Tcp(proxy)).granted(&Request::allocate());
        assert_eq!(response.mapped(), at("45.0.0.77:4711"));
    });
}

/// Started before the network is up: what systemd gave up on after five tries.
#[test]
#[ignore = "needs root: tests/run nat"]
fn threat_35_a_machine_with_nothing_but_loopback_is_waited_for() {
    let machine = machine("bare", &[]);
    machine.within(|| {
        let server = Server::start_with(WILDCARDS, |_| {});
        let (status, said) = health();
        assert_eq!(status, 503);
        for family in ["IPv4", "IPv6"] {
            let line = format!("no relaying by {family}");
            assert!(said.contains(&format!("degraded: {line}")), "{said}");
            assert_eq!(lines(&server, "ERROR", &line), 1, "{}", server.log());
        }
        stun::binding(at(LOCAL));
        assert_eq!(client(&server).asked(&Request::allocate()).code(), 440);

        machine.ip("address add 45.0.0.1/24 dev eth0");
        server.logged("relay=45.0.0.1 ");
        client(&server).granted(&Request::allocate());
        // A machine without IPv6 is healthy.
        until("healthy", || health().0 == 200);
    });
}

/// On loopback, so that no route has to be there.
#[test]
#[ignore = "needs root: tests/run nat"]
fn threat_36_what_becomes_own_is_closed_within_a_second() {
    let machine = machine("becomes", &["45.0.0.1/24"]);
    machine.ip("route add default via 45.0.0.254");
    machine.within(|| {
        let server = Server::start_with(WILDCARDS, |_| {});
        let mut client = client(&server);
        client.granted(&Request::allocate());
        // An address, and a range by AnyIP.
        for (number, peer, command) in [
            (0x4000, "45.0.0.9:9000", "address add 45.0.0.9/32 dev lo"),
            (0x4001, "44.0.0.7:9000", "route add local 44.0.0.0/24 dev lo"),
        ] {
            client.granted(&Request::channel_bind(number, at(peer)));
            assert_eq!(server.metric("byway_channels"), 1);
            let clock = Clock::start();
            machine.ip(command);
            let service = UdpSocket::bind(peer).unwrap();
            until("the channel has ended", || server.metric("byway_channels") == 0);
            // Four looks to the second; the rest is for a machine that is busy with other tests.
            assert!(clock.now().mono < Duration::from_secs(3), "{:?}", clock.now().mono);
            eprintln!("{peer} was closed after {:?}", clock.now().mono);

            service.set_nonblocking(true).unwrap();
            while uninterrupted(|| service.recv(&mut [0; 16])).is_ok() {}
            client.send_on(number, b"to a service");
            assert_eq!(client.asked(&Request::channel_bind(number, at(peer))).code(), 403);
            assert_eq!(client.asked(&Request::permission(at(peer))).code(), 403);
            // The refusals came after the datagram, on one shard, and loopback delivers at once.
            assert!(uninterrupted(|| service.recv(&mut [0; 16])).is_err(), "the service was reached");
        }
    });
}

/// One that will never come is told before and after the start.
#[test]
#[ignore = "needs root: tests/run nat"]
fn threat_35_a_typo_is_told_by_check() {
    let machine = machine("typo", &["45.0.0.1/24"]);
    let configuration = Configuration::new(&NAMED.replace("tcp = [\"45.0.0.1", "tcp = [\"45.0.1.1"));
    let check = configuration.command_in(machine.name()).arg("check").output().unwrap();
    let said = String::from_utf8(check.stdout).unwrap();
    assert!(check.status.success(), "{said}");
    assert!(said.contains("hint: no interface has 45.0.1.1 (listen.tcp)"), "{said}");
    assert!(!said.contains("has 45.0.0.1"), "{said}");
}
