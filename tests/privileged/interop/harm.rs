//! Clients that do harm, and an honest one beside them that is none the worse.

use std::thread;

use byway_test_support::process::http;

use super::lab::{Lab, Transport, all_at_once};
use super::uclient::{Load, Peer, Uclient};

const TRANSPORTS: [Transport; 3] = [Transport::Udp, Transport::Tcp, Transport::Tls];

/// `-N -R`: one message in ten has up to nine bytes replaced by random ones. What becomes of such a
/// client is chance: it loses messages, waits for ever for an answer to a request that is none any
/// more, or has its stream closed. That cannot be foretold, so what is checked is that the server
/// takes no harm.
#[test]
fn messages_with_random_bytes_in_them_harm_nobody_else() {
    all_at_once(&TRANSPORTS, |transport| {
        let lab = Lab::start();
        thread::scope(|scope| {
            for peer in [Peer::Client, Peer::V4, Peer::V6] {
                for flags in ["-N -R", "-N -R -s", "-R", "-R -s -x"] {
                    let vandal = Uclient::new(&lab, *transport).towards(peer).with(Load::LIGHT).args(flags);
                    scope.spawn(move || vandal.for_at_most(15).run());
                }
            }
            goes_on(&lab, *transport);
        });
        assert!(refusals(&lab) > 0, "they have sent what can be refused");
        has_ended(&lab, *transport);
    });
}

/// `-B`: its sockets are closed in the middle of a burst, and nobody says goodbye. What comes back
/// from the peer meets a closed port, or a stream that was reset.
#[test]
fn clients_that_vanish_harm_nobody_else() {
    all_at_once(&TRANSPORTS, |transport| {
        let lab = Lab::start();
        // With no interval a burst is 50 messages, and after it the sockets are closed.
        let burst = Load { clients: 10, messages: 200, length: 100, interval: 0 };
        thread::scope(|scope| {
            let vanish = |peer, flags: &str| {
                let client = Uclient::new(&lab, *transport).towards(peer).with(burst).args("-B").args(flags);
                scope.spawn(move || client.run())
            };
            let all = [
                vanish(Peer::Client, ""),
                vanish(Peer::Client, "-s"),
                vanish(Peer::V4, ""),
                vanish(Peer::V6, ""),
            ];
            goes_on(&lab, *transport);
            for client in all {
                let printed = client.join().expect("it runs");
                assert!(printed.contains("Total lost packets"), "{printed}");
                assert!(!printed.contains("Total lost packets 0 "), "they vanish: {printed}");
            }
        });
        goes_on(&lab, *transport);
        has_ended(&lab, *transport);
    });
}

/// An honest client is served as ever.
fn goes_on(lab: &Lab, transport: Transport) {
    let load = Load { clients: 8, ..Load::LIGHT };
    Uclient::new(lab, transport).towards(Peer::Client).with(load).relays_everything(load);
}

/// Nothing panicked; and with its stream, an allocation ends. That of a client over UDP waits for
/// its lifetime.
fn has_ended(lab: &Lab, transport: Transport) {
    assert!(!lab.server.log().contains("panicked"));
    match transport {
        Transport::Udp => assert_ne!(lab.server.metric("byway_allocations"), 0),
        Transport::Tcp | Transport::Tls => lab.server.until("byway_allocations", 0),
    }
}

/// Count of packets dropped or answered with an error, and of connections closed for what they
/// sent.
fn refusals(lab: &Lab) -> u64 {
    let answer = http::get(lab.server.bound.admin[0], "/metrics").expect_ok();
    let counted = ["byway_dropped_packets_total{", "byway_turn_errors_total{"];
    let text = answer.text();
    let refused = text.lines().filter(|line| counted.iter().any(|series| line.starts_with(series)));
    refused.filter_map(|line| line.rsplit(' ').next()?.parse::<u64>().ok()).sum()
}
