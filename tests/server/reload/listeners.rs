//! Listeners that a reload adds, removes and moves.

use std::net::{SocketAddr, TcpStream, UdpSocket};
use std::time::Duration;

use byway_test_support::process::http::get;
use byway_test_support::process::member::Member;
use byway_test_support::process::sockets::{Client, LOOPBACK, Link, socket};
use byway_test_support::process::{SECRET, Server, free_port, stun};
use byway_test_support::turn::Request;

use super::{alice, credential, reloaded, replaced, told, with_socket};

fn tcp(server: SocketAddr) -> Client {
    let socket = TcpStream::connect(server).unwrap();
    socket.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    Client::with(Link::Tcp(socket), credential("alice", SECRET))
}

#[test]
fn listeners_come_and_go_and_connections_outlive_them() {
    let text = with_socket("");
    let server = Server::start_with(&text, |_| {});
    let (udp, tcp_port) = (free_port(), free_port());
    let more =
        replaced(&text, "udp = [\"127.0.0.1:0\"", &format!("udp = [\"127.0.0.2:{udp}\", \"127.0.0.1:0\""));
    let more = replaced(
        &more,
        "\ntcp = [\"127.0.0.1:0\"",
        &format!("\ntcp = [\"127.0.0.2:{tcp_port}\", \"127.0.0.1:0\""),
    );
    let more = replaced(&more, "http = [\"127.0.0.1:0\"]", "http = [\"127.0.0.1:0\", \"[::1]:0\"]");
    assert!(reloaded(&server, &more).contains("in force: listen.udp, listen.tcp, listen.http\n"));
    let now = server.listening_again();
    assert_eq!((now.udp.len(), now.tcp.len(), now.http.len(), &now.admin), (3, 3, 2, &server.bound.admin));
    assert_eq!(&now.udp[1..], &server.bound.udp[..], "those of before are the same");

    let at = SocketAddr::from(([127, 0, 0, 2], udp));
    stun::binding(at);
    let of_udp = socket(LOOPBACK[0]);
    of_udp.connect(at).unwrap();
    let mut over_udp = Client::with(Link::Udp(of_udp), credential("alice", SECRET));
    over_udp.granted(&Request::allocate());
    let mut over_tcp = tcp(SocketAddr::from(([127, 0, 0, 2], tcp_port)));
    over_tcp.granted(&Request::allocate());
    let mut elsewhere = alice(&server);
    elsewhere.granted(&Request::allocate());
    get(now.http[1], "/ice").expect_ok();
    let mut member = Member::join(&server, "tea");
    assert_eq!(server.metric("byway_allocations"), 3);

    // All HTTP listeners go, one UDP and one TCP listener.
    let fewer = replaced(&text, "http = [\"127.0.0.1:0\"]", "http = []");
    reloaded(&server, &fewer);
    let now = server.listening_again();
    assert_eq!((now.udp, now.tcp, now.http.len()), (server.bound.udp.clone(), server.bound.tcp.clone(), 0));
    // The clients of a UDP listener have no other socket of the server to send to.
    server.until("byway_allocations", 2);
    drop(UdpSocket::bind(at).expect("the port is free"));
    over_tcp.granted(&Request::refresh(600));
    elsewhere.granted(&Request::refresh(600));
    assert!(TcpStream::connect(("127.0.0.2", tcp_port)).is_err());
    assert!(TcpStream::connect(server.bound.http[0]).is_err());
    member.say(r#"{"type":"ping"}"#);
    assert_eq!(member.hear()["type"], "pong");
    stun::binding(server.bound.udp_v4());
}

/// The wildcard has the port that a single address takes over, and the reverse.
#[test]
fn a_listener_moves_between_an_address_and_the_wildcard() {
    let (udp, tcp) = (free_port(), free_port());
    let at = |ip: &str| {
        let text = replaced(
            &with_socket(""),
            "udp = [\"127.0.0.1:0\", \"[::1]:0\"]",
            &format!("udp = [\"{ip}:{udp}\"]"),
        );
        replaced(&text, "tcp = [\"127.0.0.1:0\", \"[::1]:0\"]", &format!("tcp = [\"{ip}:{tcp}\"]"))
    };
    let server = Server::start_with(&at("127.0.0.1"), |_| {});
    for ip in ["0.0.0.0", "127.0.0.2", "127.0.0.1", "0.0.0.0"] {
        reloaded(&server, &at(ip));
        let now = server.listening_again();
        assert_eq!(now.udp, [format!("{ip}:{udp}").parse().unwrap()], "{}", server.log());
        let reachable = ip.replace("0.0.0.0", "127.0.0.1");
        stun::binding(format!("{reachable}:{udp}").parse().unwrap());
        TcpStream::connect(format!("{reachable}:{tcp}")).unwrap();
    }
    assert!(!server.log().contains("ERROR"), "{}", server.log());
}

/// TCP listeners of TURN move from the shards to an accept loop and back, with the PROXY protocol.
#[test]
fn the_proxy_protocol_is_turned_on_and_off_for_turn_over_tcp() {
    let port = free_port();
    let text = replaced(
        &with_socket(""),
        "tcp = [\"127.0.0.1:0\", \"[::1]:0\"]",
        &format!("tcp = [\"127.0.0.1:{port}\"]"),
    );
    let server = Server::start_with(&text, |_| {});
    let at = SocketAddr::from(([127, 0, 0, 1], port));
    let mut before = tcp(at);
    before.granted(&Request::allocate());
    let proxied = replaced(
        &text,
        "[listen]",
        "[listen]\nproxy_protocol = [\"tcp\"]\ntrusted_proxies = [\"127.0.0.1\"]",
    );
    reloaded(&server, &proxied);
    let socket = TcpStream::connect(at).unwrap();
    socket.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    std::io::Write::write_all(&mut &socket, b"PROXY TCP4 192.0.2.1 192.0.2.2 4711 3478\r\n").unwrap();
    Client::with(Link::Tcp(socket), credential("bob", SECRET)).granted(&Request::allocate());
    before.granted(&Request::refresh(600));
    reloaded(&server, &text);
    tcp(at).granted(&Request::allocate());
}

#[test]
fn threat_50_a_port_in_use_refuses_the_whole_file() {
    let text = with_socket("");
    let server = Server::start_with(&text, |_| {});
    let other = UdpSocket::bind("127.0.0.2:0").unwrap();
    let taken = other.local_addr().unwrap();
    let more = replaced(&text, "udp = [", &format!("udp = [\"{taken}\", "))
        + "[http]\nhosts = [\"call.example.org\"]\n";
    let refused = told(&server.reload(&more), 1);
    assert!(refused.contains(&format!("cannot listen on {taken} (listen.udp)")), "{refused}");
    assert!(refused.contains("remedy: stop the program"), "{refused}");
    let by_name = "GET /ice HTTP/1.1\r\nHost: call.example.org\r\nConnection: close\r\n\r\n";
    let asked = byway_test_support::process::http::exchange(server.bound.http[0], by_name);
    assert_eq!(asked.status, 421, "nothing of it is in force");
    drop(other);
    reloaded(&server, &more);
    stun::binding(taken);
}
