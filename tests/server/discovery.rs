//! NAT behaviour discovery (RFC 5780) by the real binary: two addresses of this machine, and a
//! second port that comes by itself. What clients make of it behind real NATs is
//! `tests/privileged/nat/discovery.rs`.

use std::net::{SocketAddr, UdpSocket};
use std::time::Duration;

use byway_test_support::process::interrupts::uninterrupted;
use byway_test_support::process::{CONFIG, Server, free_port, http, stun};

/// `listen.udp` with one port at two addresses.
fn config(port: u16) -> String {
    CONFIG.replace(
        r#"udp = ["127.0.0.1:0", "[::1]:0"]"#,
        &format!(r#"udp = ["127.0.0.1:{port}", "127.0.0.2:{port}"]"#),
    )
}

#[test]
fn a_client_hears_from_the_listener_that_it_asks_to_answer() {
    let port = free_port();
    let server = Server::start_with(&config(port), |_| {});
    let [a, b, other_a, other_b] = server.bound.udp[..] else { panic!("{:?}", server.bound) };
    assert_eq!([a.port(), b.port(), other_a.port(), other_b.port()], [port, port, port + 1, port + 1]);
    for (asked, flags, from) in [
        (a, 0, a),
        (a, 4, b),
        (a, 2, other_a),
        (a, 6, other_b),
        (other_b, 6, a),
        (b, 2, other_b),
        (other_a, 4, other_b),
    ] {
        assert_eq!(answered_from(asked, flags), from, "{asked} with flags {flags}");
    }
    assert!(server.log().contains("NAT behaviour discovery"), "{}", server.log());
    // A page gets the configured listeners, without those that only discovery uses.
    let answer = http::get(server.bound.http[0], "/ice").expect_ok();
    let names = |port: u16| answer.text().contains(&format!("127.0.0.1:{port}"));
    assert!(names(port) && !names(port + 1), "{}", answer.text());
    // The self-test page gets all four, to find the kind of NAT.
    let facts = http::get(server.bound.http[0], "/check/server").expect_ok();
    for listener in [a, b, other_a, other_b] {
        assert!(facts.text().contains(&format!("\"stun:{listener}\"")), "{}", facts.text());
    }
}

/// A port that nobody has asked for by name does not keep a server from starting.
#[test]
fn where_the_next_port_is_taken_there_is_none() {
    let port = free_port();
    let _other = UdpSocket::bind(("127.0.0.2", port + 1)).expect("it was free");
    let server = Server::start_with(&config(port), |_| {});
    assert_eq!(server.bound.udp.len(), 2);
    assert!(server.log().contains("no NAT behaviour discovery"), "{}", server.log());
    for &listener in &server.bound.udp {
        stun::binding(listener);
    }
}

/// Behind a 1:1 NAT the addresses in a response would lead nowhere.
#[test]
fn with_public_addresses_there_is_none() {
    let config = config(free_port()).replace("shards = 2", "shards = 2\npublic_addresses = [\"127.0.0.9\"]");
    let server = Server::start_with(&config, |_| {});
    assert_eq!(server.bound.udp.len(), 2);
    assert!(!server.log().contains("NAT behaviour discovery"), "{}", server.log());
}

/// Sends a Binding request with CHANGE-REQUEST, written out by hand; where its answer comes from.
fn answered_from(server: SocketAddr, flags: u8) -> SocketAddr {
    let socket = UdpSocket::bind("127.0.0.1:0").expect("a free port");
    socket.set_read_timeout(Some(Duration::from_millis(500))).expect("a read timeout is set");
    let mut request = vec![0, 1, 0, 8, 0x21, 0x12, 0xA4, 0x42];
    request.extend(*b"byway-test-2");
    request.extend([0, 3, 0, 4, 0, 0, 0, flags]);
    let mut answer = [0; 128];
    let (length, from) = (0..7)
        .find_map(|_| {
            socket.send_to(&request, server).ok()?;
            uninterrupted(|| socket.recv_from(&mut answer)).ok()
        })
        .expect("the server answers");
    assert_eq!(answer[..2], [1, 1], "a Binding success response of {length} bytes");
    from
}
