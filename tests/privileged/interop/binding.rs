//! `turnutils_stunclient`: STUN alone.

use std::process::Command;

use byway_test_support::process::Server;

use super::uclient::printed;

#[test]
fn a_binding_request_over_ipv4_and_ipv6_tells_the_address() {
    let server = Server::start();
    for listener in [server.bound.udp_v4(), server.bound.udp_v6()] {
        let port = listener.port().to_string();
        // Unanswered it would wait for ever.
        let printed = printed(
            Command::new("timeout")
                .args(["10", "turnutils_stunclient", "-p", &port])
                .arg(listener.ip().to_string()),
        );
        let seen = format!("UDP reflexive addr: {}:", listener.ip());
        assert!(printed.contains(&seen), "{printed}");
    }
}
