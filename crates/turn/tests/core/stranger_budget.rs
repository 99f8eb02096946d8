//! Threat 5: a rate limit for responses to unauthenticated clients, which never affects an
//! authenticated one.

use std::time::Duration;

use byway_test_support::turn::{Client, Request, Seen, Server};
use byway_turn::server::DropReason;

fn server() -> Server {
    Server::with(2, |settings| settings.quota.unauthenticated_per_second = 10)
}

/// Returns how many of `n` unauthenticated requests get a response. Each comes from another port.
fn answered(server: &mut Server, ip: &str, n: u16, request: &Request) -> usize {
    let answered = (0..n).filter(|n| {
        let mut client = Client::on(usize::from(n % 2), server, &format!("{ip}:{}", 1000 + n), "mallory");
        match client.send_unsigned(server, request) {
            Seen::Reply(..) => true,
            Seen::Dropped(DropReason::StrangerBudget) => false,
            other => panic!("{other:?}"),
        }
    });
    answered.count()
}

#[test]
fn threat_5_binding_and_allocate_share_one_budget_on_all_shards() {
    let mut server = server();
    assert_eq!(answered(&mut server, "203.0.113.9", 6, &Request::binding()), 6);
    assert_eq!(answered(&mut server, "203.0.113.9", 100, &Request::allocate()), 4);
    assert_eq!(
        answered(&mut server, "203.0.113.10", 100, &Request::binding()),
        10,
        "another address has its own limit"
    );
    server.advance(Duration::from_millis(500));
    assert_eq!(
        answered(&mut server, "203.0.113.9", 100, &Request::allocate()),
        5,
        "half the limit after half a second"
    );
}

#[test]
fn threat_5_an_ipv6_network_of_64_bits_is_one_stranger() {
    let mut server = server();
    assert_eq!(answered(&mut server, "[2001:db8::1]", 100, &Request::allocate()), 10);
    assert_eq!(answered(&mut server, "[2001:db8::2]", 100, &Request::binding()), 0);
    assert_eq!(answered(&mut server, "[2001:db8:0:1::1]", 100, &Request::binding()), 10);
}

#[test]
fn threat_5_a_valid_nonce_and_integrity_are_never_held_back() {
    let mut server = server();
    let mut known = Client::new(&server, "203.0.113.9:5000", "alice");
    known.learn_nonce(&mut server);
    answered(&mut server, "203.0.113.9", 100, &Request::binding());
    assert_eq!(known.ask_once(&mut server, &Request::allocate()).code(), 0);
    for _ in 0..100 {
        assert_eq!(known.ask_once(&mut server, &Request::refresh(600)).code(), 0);
    }
    // Authenticated requests do not use up the limit: the next second's unauthenticated requests
    // have it all.
    server.advance(Duration::from_secs(1));
    assert_eq!(answered(&mut server, "203.0.113.9", 100, &Request::binding()), 10);
}

#[test]
fn threat_5_a_wrong_password_is_held_back() {
    let mut server = server();
    let mut wrong = Client::new(&server, "203.0.113.9:5000", "alice");
    wrong.learn_nonce(&mut server);
    wrong.password = "guess".into();
    answered(&mut server, "203.0.113.9", 100, &Request::binding());
    let (datagram, _) = wrong.sign(&Request::allocate());
    assert_eq!(wrong.send(&mut server, &datagram), Seen::Dropped(DropReason::StrangerBudget));
}
