//! File descriptors that one kind of client takes, without taking those of the others.

use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use byway_test_support::process::{CONFIG, Server, http, stun};

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

/// Opens `count` connections that stay silent.
fn connect(to: SocketAddr, count: u16) -> Vec<TcpStream> {
    let open = |_| TcpStream::connect_timeout(&to, Duration::from_secs(10)).expect("the kernel accepts");
    (0..count).map(open).collect()
}
