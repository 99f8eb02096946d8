//! Quotas (RFC 8656 section 7.2, steps 486 and 508; threat 10).

use byway_test_support::turn::{Bind, Client, Request, SECRETS, Server, seconds};
use byway_turn::auth::Secrets;
use byway_turn::server::BindError::Exhausted;

fn server() -> Server {
    Server::with(2, |settings| {
        settings.quota.allocations_per_user = 2;
        settings.quota.allocations = 5;
    })
}

fn allocate(server: &mut Server, port: usize, name: &str) -> u16 {
    Client::on(port % 2, server, &format!("203.0.113.9:{port}"), name)
        .ask(server, &Request::allocate())
        .code()
}

#[test]
fn a_name_has_its_limit_on_all_shards_together() {
    let mut server = server();
    let codes: Vec<u16> = (1..=4).map(|port| allocate(&mut server, port, "alice")).collect();
    assert_eq!(codes, [0, 0, 486, 486]);
    assert_eq!(allocate(&mut server, 5, "bob"), 0, "each name has its own limit");
}

/// Threat 10: another expiry makes another username, but the same name.
#[test]
fn threat_10_another_expiry_buys_nothing() {
    let mut server = server();
    let mut codes = Vec::new();
    for port in 1..=50 {
        codes.push(allocate(&mut server, port, "alice"));
        server.advance(seconds(1));
    }
    assert_eq!(codes.iter().filter(|code| **code == 0).count(), 2);
    assert!(codes[2..].iter().all(|code| *code == 486));
}

/// Threat 10: an expiry after the name does not help, because the name is the same.
#[test]
fn threat_10_an_expiry_behind_the_name_buys_nothing() {
    let mut server = server();
    let mut codes = Vec::new();
    for port in 1..=20_u16 {
        let mut client = Client::new(&server, &format!("203.0.113.9:{port}"), "alice");
        if port % 3 > 0 {
            client.username = format!("alice:{}", server.now.unix + 600);
            client.password = Secrets::new(&SECRETS).unwrap().passwords(&client.username).next().unwrap();
        }
        codes.push(client.ask(&mut server, &Request::allocate()).code());
        server.advance(seconds(1));
    }
    assert_eq!(codes[..2], [0; 2]);
    assert!(codes[2..].iter().all(|code| *code == 486), "{codes:?}");
}

/// Without a name, each credential counts as a separate user.
#[test]
fn threat_37_without_a_name_the_whole_username_counts() {
    let mut server = server();
    let expiry = server.now.unix + 600;
    let mut ports = 5000..;
    let mut codes = |username: String| {
        [(); 3].map(|()| {
            let mut client = Client::new(&server, &format!("203.0.113.9:{}", ports.next().unwrap()), "");
            client.username.clone_from(&username);
            client.password = Secrets::new(&SECRETS).unwrap().passwords(&username).next().unwrap();
            client.ask(&mut server, &Request::allocate()).code()
        })
    };
    assert_eq!(codes(format!("{expiry}")), [0, 0, 486]);
    assert_eq!(codes(format!("{}", expiry + 1)), [0, 0, 486]);
    assert_eq!(codes(format!("{}:", expiry + 1)), [0, 508, 508], "another name, and the limit of the server");
}

/// Threats 10 and 16: other names do not help. One client cannot make all ports rest by repeatedly
/// allocating and deleting.
#[test]
fn threat_10_an_address_has_its_limit_and_pays_for_resting_ports() {
    let mut server = Server::with(2, |settings| settings.quota.allocations_per_address = 4);
    let mut granted = 0;
    for port in 1..=50 {
        let mut client =
            Client::on(port % 2, &server, &format!("203.0.113.9:{port}"), &format!("user{port}"));
        if client.ask(&mut server, &Request::allocate()).code() == 0 {
            granted += 1;
            client.granted(&mut server, &Request::refresh(0));
        }
    }
    assert_eq!(granted, 4);
    Client::allocated(&mut server, "203.0.113.10:5000", "bob");
    server.advance(seconds(121));
    assert_eq!(allocate(&mut server, 51, "alice"), 0);
}

#[test]
fn the_server_has_its_limit() {
    let mut server = server();
    let codes: Vec<u16> = ["a", "b", "c", "d", "e", "f"]
        .into_iter()
        .zip(1..)
        .map(|(n, port)| allocate(&mut server, port, n))
        .collect();
    assert_eq!(codes, [0, 0, 0, 0, 0, 508]);
}

#[test]
fn every_end_gives_its_place_back() {
    let mut server = server();
    for round in 0..20 {
        let (mut deleted, _) =
            Client::allocated(&mut server, &format!("203.0.113.9:{}", 5000 + round), "alice");
        Client::allocated(&mut server, &format!("203.0.113.10:{}", 5000 + round), "alice");
        assert_eq!(allocate(&mut server, 1, "alice"), 486);
        deleted.granted(&mut server, &Request::refresh(0));
        server.binds.push_back(Bind::Fails(Exhausted));
        assert_eq!(allocate(&mut server, 3, "alice"), 508, "a failed bind takes no place in the quota");
        assert_eq!(allocate(&mut server, 5, "alice"), 0);
        assert_eq!(allocate(&mut server, 7, "alice"), 486);
        server.advance(seconds(601));
        assert_eq!(server.allocations(), 0);
    }
}
