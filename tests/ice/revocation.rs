//! What is revoked over HTTP is over on the relay.

use std::time::Duration;

use serde_json::Value;

use crate::client::Client;
use crate::support::Server;
use crate::turn::Request;
use crate::{KEY, asked, bearer, server};

/// A credential of Cloudflare's kind.
fn generated(server: &Server) -> (String, String) {
    let line = "POST /v1/turn/keys/k/credentials/generate";
    let answer = asked(server, line, &[&bearer(KEY)], "{\"ttl\": 600, \"customIdentifier\": \"ann/1\"}");
    let entry = &answer.json()["iceServers"];
    let text = |value: &Value| value.as_str().expect("a text").to_owned();
    (text(&entry["username"]), text(&entry["credential"]))
}

fn revoke(server: &Server, username: &str) -> u16 {
    let username = username.replace('/', "%2F").replace(':', "%3A");
    asked(server, &format!("POST /v1/turn/keys/k/credentials/{username}/revoke"), &[&bearer(KEY)], "").status
}

#[test]
fn a_name_too_long_for_the_relay_is_not_remembered() {
    let server = server("token", "");
    let long = |length| format!("{}:{}", crate::now() + 600, "a".repeat(length));
    assert_eq!([497, 498].map(|length| revoke(&server, &long(length))), [204, 400]);
}

#[test]
fn a_revoked_credential_is_good_for_nothing_and_its_allocations_end() {
    let server = server("token", "");
    let (one, other) = (generated(&server), generated(&server));
    let mut revoked = Client::connect_as(&server, one.clone());
    let mut stays = Client::connect_as(&server, other);
    revoked.granted(&Request::allocate());
    stays.granted(&Request::allocate());
    server.until("byway_allocations", 2);

    let clock = byway::clock::Clock::start();
    assert_eq!(revoke(&server, &one.0), 204);
    server.until("byway_allocations", 1);
    assert!(clock.now().mono < Duration::from_secs(1), "{:?}", clock.now().mono);

    for request in [Request::allocate(), Request::refresh(600)] {
        let (message, transaction) = revoked.sign(&request);
        revoked.send(&message);
        assert_eq!(revoked.answer(transaction).code(), 401);
    }
    // The other one of the same identifier goes on.
    stays.granted(&Request::refresh(600));
    // Once more does no harm.
    assert_eq!(revoke(&server, &one.0), 204);
    server.until("byway_allocations", 1);
}
