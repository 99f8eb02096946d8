//! Refused requests, and the answers that `turnutils_uclient` gets.

use super::lab::{Lab, Transport, all_at_once};
use super::uclient::{Load, Peer, Uclient};

const TRANSPORTS: [Transport; 3] = [Transport::Udp, Transport::Tcp, Transport::Tls];

/// `-T` and `-P`: TCP from the relay on to peers (RFC 6062). Nothing that calls uses it, and it
/// would let clients open connections to whatever listens. Both flags imply `-t`.
#[test]
fn tcp_allocations_are_442() {
    let cases =
        [(Transport::Tcp, "-T"), (Transport::Tcp, "-P"), (Transport::Tls, "-T"), (Transport::Tls, "-P")];
    all_at_once(&cases, |(transport, flag)| {
        let lab = Lab::start();
        let printed = Uclient::new(&lab, *transport).towards(Peer::Client).args(flag).run();
        assert!(printed.contains("error 442 "), "{printed}");
        lab.server.until_counted(r#"byway_turn_errors_total{code="442"}"#);
        assert_eq!(lab.server.metric("byway_allocations_granted_total"), 0);
    });
}

/// `-S` without `-t`: DTLS (RFC 7350). No browser speaks it to a TURN server, and media is
/// encrypted already.
#[test]
fn dtls_is_not_answered() {
    let lab = Lab::start();
    let client = Uclient::new(&lab, Transport::Udp).towards(Peer::Client).args("-S");
    // It would ask again and again.
    let printed = client.for_at_most(3).run();
    assert!(!printed.contains("connected with cipher"), "{printed}");
    lab.server.until_counted(r#"byway_dropped_packets_total{reason="not_turn"}"#);
}

/// `-N` to a peer outside: it binds a second channel to the same address (RFC 8656 section 12.2).
#[test]
fn a_peers_second_channel_is_400() {
    all_at_once(&TRANSPORTS, |transport| {
        let lab = Lab::start();
        let printed = Uclient::new(&lab, *transport).towards(Peer::V4).args("-N").run();
        assert!(printed.contains("channel bind: error 400 "), "{printed}");
        lab.server.until_counted(r#"byway_turn_errors_total{code="400"}"#);
    });
}

/// `-I`: neither side permits the other (RFC 8656 section 9).
#[test]
fn without_permissions_nothing_is_relayed() {
    all_at_once(&TRANSPORTS, |transport| {
        let lab = Lab::start();
        let client = Uclient::new(&lab, *transport).towards(Peer::Client).with(Load::LIGHT).args("-I -s");
        let (printed, sent) = (client.run(), Load::LIGHT.bytes());
        assert!(printed.contains(&format!("tot_send_bytes ~ {sent}, tot_recv_bytes ~ 0")), "{printed}");
        let messages = Load::LIGHT.clients * Load::LIGHT.messages;
        lab.server.until(r#"byway_dropped_packets_total{reason="no_permission"}"#, messages);
    });
}

#[test]
fn a_wrong_password_gets_no_allocation() {
    all_at_once(&TRANSPORTS, |transport| {
        let lab = Lab::start();
        let (username, _) = lab.server.credential("alice");
        let client = Uclient::at(lab.listener(*transport, false), *transport).towards(Peer::Client);
        let printed = client.args(&format!("-u {username} -w wrong")).run();
        assert!(printed.contains("Cannot complete Allocation"), "{printed}");
        assert_eq!(lab.server.metric("byway_allocations_granted_total"), 0);
    });
}
