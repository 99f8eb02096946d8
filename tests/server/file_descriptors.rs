//! File descriptors that one kind of client takes, without taking those of the others.

use std::net::{SocketAddr, TcpStream};
use std::process::Command;
use std::time::Duration;

use byway_test_support::process::sockets::Client;
use byway_test_support::process::{CONFIG, Server, http, stun};
use byway_test_support::turn::Request;

const FILES: u16 = 128;

/// Connections that nobody admits are closed at once, so that the operator's page and the relay
/// have what they need.
#[test]
fn a_flood_of_connections_leaves_the_other_listeners_alone() {
    let server = Server::start_with_files(CONFIG, FILES);
    let _flood = connect(server.bound.http[0], FILES);
    http::get(server.bound.admin[0], "/healthz").expect_ok();
    stun::binding(server.bound.udp_v4());
    assert!(server.metric(r#"byway_http_connections_refused_total{limit="total"}"#) > 0);
}

/// A machine may run out of descriptors although this process is within its own limit, for which a
/// lowered limit stands in.
#[test]
fn threat_35_a_relay_socket_without_a_descriptor_is_508_and_told_once() {
    let server = Server::start();
    let mut client = Client::of(&server, server.bound.udp_v4());
    let process = server.thread("byway").to_string();
    let limit = |files: &str| {
        let limited =
            Command::new("prlimit").args(["--pid", &process, &format!("--nofile={files}")]).status();
        assert!(limited.expect("`prlimit` starts").success());
    };
    let limits = Command::new("prlimit")
        .args(["--pid", &process, "--nofile", "--noheadings", "--raw", "--output", "HARD"])
        .output();
    let limits = String::from_utf8(limits.expect("`prlimit` starts").stdout).expect("it is text");
    let hard = limits.trim();

    limit("3:");
    for _ in 0..3 {
        assert_eq!(client.asked(&Request::allocate()).code(), 508);
    }
    let words = "ERROR clients get no relay socket, because the file descriptors are used up";
    server.logged(words);
    limit(&format!("{hard}:"));
    client.granted(&Request::allocate());
    assert_eq!(server.metric(r#"byway_relay_bind_failures_total{reason="descriptors"}"#), 3);
    assert_eq!(server.metric(r#"byway_relay_bind_failures_total{reason="address_missing"}"#), 0);
    // For a minute, because the next allocations may fail, too.
    let health = http::get(server.bound.admin[0], "/healthz");
    assert_eq!(health.status, 503);
    assert!(health.text().starts_with("degraded: clients get no relay socket"), "{}", health.text());
    assert_eq!(server.logged(words), 1);
}

/// Opens `count` connections that stay silent.
fn connect(to: SocketAddr, count: u16) -> Vec<TcpStream> {
    let open = |_| TcpStream::connect_timeout(&to, Duration::from_secs(10)).expect("the kernel accepts");
    (0..count).map(open).collect()
}
