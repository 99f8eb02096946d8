//! Threat 13: the server's own listeners, reached through its relay. Such a client would speak from
//! inside the network.

use std::net::SocketAddr;

use byway_test_support::process::certificates::{Folder, Pair};
use byway_test_support::process::sockets::{Client, LOOPBACK, receive, socket};
use byway_test_support::process::{Server, free_port};
use byway_test_support::turn::Request;

/// Of every kind, those that stand by for NAT behaviour discovery among them; and even where the
/// configuration opens their address, as the tests' does.
#[test]
fn threat_13_no_listener_of_the_server_is_reached_through_its_relay() {
    let port = free_port();
    let folder = Folder::with(&Pair::new());
    let config = folder
        .config()
        .replace(r#""127.0.0.1:0", "[::1]:0""#, &format!(r#""127.0.0.1:{port}", "127.0.0.2:{port}""#))
        .replace("127.0.0.1/32", "127.0.0.0/8");
    // Both lists of addresses were written alike; TCP needs no port of its own choice.
    let tcp = format!(r#"tcp = ["127.0.0.1:{port}", "127.0.0.2:{port}"]"#);
    let config = config.replace(&tcp, r#"tcp = ["127.0.0.1:0"]"#);
    let server = Server::start_with(&config, |_| {});
    let bound = &server.bound;
    assert_eq!(bound.udp.len(), 4, "two addresses with two ports");
    let kinds = [&bound.udp, &bound.tcp, &bound.tls, &bound.http, &bound.admin];
    assert!(kinds.iter().all(|addresses| !addresses.is_empty()), "{bound:?}");

    let peer = socket(LOOPBACK[0]);
    let address = peer.local_addr().unwrap();
    let (mut client, _) = Client::of(&server, bound.udp_v4()).permitting(address);
    client.granted(&Request::permission("127.0.0.2:9".parse().unwrap()));
    let listeners: Vec<SocketAddr> = kinds.into_iter().flatten().copied().collect();
    for &listener in &listeners {
        assert_eq!(client.asked(&Request::channel_bind(0x4000, listener)).code(), 403, "{listener}");
        client.indicate(&Request::send(listener, b"from within"));
    }
    // Anything else at the same address is open here.
    client.granted(&Request::channel_bind(0x4000, address));
    client.send_on(0x4000, b"hello");
    assert_eq!(receive(&peer).0, b"hello");
    let relayed = r#"byway_relayed_packets_total{direction="to_peer"}"#;
    server.until_counted(relayed);
    let denied = server.metric(r#"byway_dropped_packets_total{reason="peer_denied"}"#);
    assert_eq!(denied, listeners.len() as u64);
    assert_eq!(server.metric(relayed), 1);
}
