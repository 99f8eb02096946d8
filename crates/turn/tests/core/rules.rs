//! Rules that change while allocations live: what holds at once, and what goes on.

use byway_test_support::turn::{Client, Request, SECRETS, Seen, Server, at, settings};
use byway_turn::address_set::AddressSet;
use byway_turn::auth::{Secrets, StaticUser};
use byway_turn::server::{DropReason, Quota, Rules};

const PEER: &str = "8.8.8.8:53";
const NETS: (&str, &str) = ("45.0.0.1/32 2a0a::1/128", "45.0.0.1 2a0a::1");

/// Rules equal to those of a server in virtual time, with this change.
fn rules(change: impl FnOnce(&mut Rules)) -> Rules {
    let settings = settings(Vec::new());
    let mut rules = Rules {
        realm: settings.realm,
        secrets: settings.secrets,
        users: settings.users,
        strict_expiry: settings.strict_expiry,
        port_rest: settings.port_rest,
        allow: Vec::new(),
        deny: Vec::new(),
        own: AddressSet::default(),
        quota: settings.quota,
    };
    change(&mut rules);
    rules
}

fn apply(server: &mut Server, change: impl FnOnce(&mut Rules)) {
    server.shared.set_rules(rules(change));
    server.on_machine(NETS.0, NETS.1);
}

fn passed(server: &mut Server, client: &Client) -> usize {
    let sent = (0..30).map(|_| client.send_on(server, 0x4000, &[7; 1000]));
    sent.filter(|seen| *seen != Seen::Dropped(DropReason::Bandwidth)).count()
}

#[test]
fn a_cap_on_bandwidth_binds_allocations_that_live() {
    let mut server = Server::new();
    let (mut client, _) = Client::allocated(&mut server, "203.0.113.9:5000", "alice");
    client.granted(&mut server, &Request::channel_bind(0x4000, at(PEER)));
    assert_eq!(passed(&mut server, &client), 30);
    let capped = |quota: Quota| Quota { bandwidth_per_allocation: 10_000, ..quota };
    apply(&mut server, |rules| rules.quota = capped(rules.quota));
    assert_eq!(passed(&mut server, &client), 10);
    // An unchanged cap keeps its charges.
    apply(&mut server, |rules| rules.quota = capped(rules.quota));
    assert_eq!(passed(&mut server, &client), 0);
    apply(&mut server, |_| {});
    assert_eq!(passed(&mut server, &client), 30);
}

#[test]
fn a_removed_secret_begins_nothing_and_ends_nothing() {
    let mut server = Server::new();
    let (mut old, _) = Client::allocated(&mut server, "203.0.113.9:5000", "alice");
    apply(&mut server, |rules| rules.secrets = Secrets::new(&["west"]).unwrap());
    old.granted(&mut server, &Request::refresh(600));
    old.granted(&mut server, &Request::channel_bind(0x4000, at(PEER)));
    let mut same = old.at("203.0.113.9:5001");
    assert_eq!(same.refused(&mut server, &Request::allocate()), 401);
    apply(&mut server, |rules| rules.secrets = Secrets::new(&["west", SECRETS[0]]).unwrap());
    same.granted(&mut server, &Request::allocate());
}

#[test]
fn a_removed_user_refreshes_nothing() {
    let mut server = Server::new();
    let user = |password: &str| vec![StaticUser::new("camera", password).unwrap()];
    apply(&mut server, |rules| rules.users = user("geheim"));
    let mut camera = Client::new(&server, "203.0.113.9:5000", "camera");
    (camera.username, camera.password) = ("camera".to_owned(), "geheim".to_owned());
    camera.granted(&mut server, &Request::allocate());
    apply(&mut server, |rules| rules.users = user("another"));
    camera.granted(&mut server, &Request::refresh(600));
    apply(&mut server, |_| {});
    assert_eq!(camera.refused(&mut server, &Request::refresh(600)), 401);
    camera.granted(&mut server, &Request::refresh(0));
}

#[test]
fn a_peer_that_is_denied_now_loses_its_channel() {
    let mut server = Server::new();
    let (mut client, relayed) = Client::allocated(&mut server, "203.0.113.9:5000", "alice");
    client.granted(&mut server, &Request::channel_bind(0x4000, at(PEER)));
    apply(&mut server, |rules| rules.deny = vec!["8.8.8.0/24".parse().unwrap()]);
    assert!(matches!(client.send_on(&mut server, 0x4000, b"a"), Seen::Dropped(_)));
    assert!(matches!(server.peer_datagram(relayed, at(PEER), b"a"), Seen::Dropped(_)));
    assert_eq!(client.refused(&mut server, &Request::permission(at(PEER))), 403);
    apply(&mut server, |_| {});
    client.granted(&mut server, &Request::permission(at(PEER)));
}
