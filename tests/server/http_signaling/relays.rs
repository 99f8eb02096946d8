//! The relay that a client gets in a cluster: by its token, by the field of a trusted proxy, or
//! this node's own.

use std::collections::BTreeSet;
use std::time::Duration;

use byway::access::Policy;
use byway::access::grant::{Grant, Role};
use byway::access::names::Region;
use byway::clock::Clock;
use serde_json::{Value, json};

use super::in_process::{API_KEY, Client, Server, Settings, get};

/// Addresses of proxies that the test server trusts, and of another client.
const TRUSTED: [&str; 2] = ["172.18.0.2", "127.0.0.1"];
const ELSEWHERE: &str = "198.51.100.7";

/// A node of a cluster with relays in Oslo and in Rome.
const NODE: Settings = Settings {
    relays: Some(of_region),
    region_header: Some("x-region"),
    resume_window: Duration::from_secs(600),
    ..Settings::DEFAULT
};

fn of_region(wish: Option<&Region>) -> Option<Vec<String>> {
    let region = wish.map(Region::as_str).filter(|region| matches!(*region, "oslo" | "rome"))?;
    Some(vec![format!("stun:{region}:1"), format!("turn:{region}:1"), format!("turns:{region}:2")])
}

/// Region of the relay in an answer of any convention, or "own". All of its URLs have to be of that
/// relay.
fn relay(answer: &str) -> String {
    let parts = answer.split(['"', '<', '>']);
    let hosts: BTreeSet<&str> = parts
        .filter_map(|part| part.split_once(':'))
        .filter(|(scheme, _)| matches!(*scheme, "stun" | "turn" | "turns"))
        .map(|(_, rest)| rest.split_once(':').unwrap().0)
        .collect();
    assert_eq!(hosts.len(), 1, "{answer}");
    hosts.first().unwrap().replace("127.0.0.1", "own")
}

/// Region of the relay in a `joined`, or in an `ice`.
fn relay_of(message: &Value) -> String {
    relay(&message.to_string())
}

fn bearer(secret: &str) -> String {
    format!("Authorization: Bearer {secret}\r\n")
}

/// A token for the room oak.
fn token(server: &Server, region: Option<&str>, role: Role) -> String {
    let grant = Grant::new("oak".to_owned(), None, None).unwrap().with_role(role);
    let grant = grant.with_region(region).unwrap();
    server.access.load().tokens.issue(Clock::start().now(), grant, Duration::from_secs(60)).0
}

/// Asks with these header lines and returns the region of the relay.
async fn asked(server: &Server, from: &str, line: &str, headers: &str, body: &str) -> String {
    let request = format!(
        "{line} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Length: {}\r\n{headers}\r\n{body}",
        body.len()
    );
    let answer = server.asked_from(from, &request).await;
    assert!(matches!(answer.status, 200 | 201 | 204), "{line} {headers:?} {answer:?}");
    relay(&answer.headers("link").chain([answer.text()]).collect::<String>())
}

#[tokio::test]
async fn every_convention_gives_the_relay_of_the_clients_region() {
    let server = Server::with(NODE).await;
    let form = "Content-Type: application/x-www-form-urlencoded\r\n";
    for (line, body) in [
        ("GET /ice", ""),
        ("POST /ice", ""),
        ("OPTIONS /ice", ""),
        ("GET /turn", ""),
        ("POST /turn", ""),
        ("GET /_matrix/client/v3/voip/turnServer", ""),
        ("POST /v1/turn/keys/k/credentials/generate", "{}"),
        ("POST /v1/turn/keys/k/credentials/generate-ice-servers", "{\"customIdentifier\": \"a\"}"),
        ("GET /api/v1/turn/credentials", ""),
        ("POST /2010-04-01/Accounts/AC0/Tokens.json", ""),
    ] {
        let key = format!("{form}{}", bearer(API_KEY));
        for (region, expected) in [("", "own"), ("oslo", "oslo"), ("Rome", "rome"), ("nowhere", "own")] {
            let headers = format!("{key}X-Region: {region}\r\n");
            assert_eq!(asked(&server, TRUSTED[0], line, &headers, body).await, expected, "{line} {region}");
        }
        assert_eq!(asked(&server, TRUSTED[0], line, &key, body).await, "own", "{line}");
    }
    let ice = get(server.http, "/ice", &[("X-Region", "oslo")]).await.json();
    let servers = &ice["iceServers"];
    assert_eq!(servers[0], json!({"urls": ["stun:oslo:1"]}));
    assert_eq!(servers[1]["urls"], json!(["turn:oslo:1", "turns:oslo:2"]));
}

#[tokio::test]
async fn threat_34_only_a_trusted_proxy_names_the_region_of_a_client() {
    let server = Server::with(NODE).await;
    let ask = |from: &'static str, headers: &'static str| asked(&server, from, "GET /ice", headers, "");
    for proxy in TRUSTED {
        assert_eq!(ask(proxy, "X-Region: oslo\r\n").await, "oslo");
        assert_eq!(ask(proxy, "X-Forwarded-For: 198.51.100.7\r\nX-Region: oslo\r\n").await, "oslo");
        // What the client wrote stands before what the proxy added.
        assert_eq!(ask(proxy, "X-Region: rome\r\nX-Region: oslo\r\n").await, "oslo");
        assert_eq!(ask(proxy, "X-Region: oslo;rome\r\n").await, "own");
    }
    for headers in ["X-Region: oslo\r\n", "X-Forwarded-For: 127.0.0.1\r\nX-Region: oslo\r\n"] {
        assert_eq!(ask(ELSEWHERE, headers).await, "own", "{headers}");
        assert_eq!(ask("172.19.0.2", headers).await, "own", "a proxy that is not listed");
    }

    let unnamed = Server::with(Settings { region_header: None, ..NODE }).await;
    assert_eq!(asked(&unnamed, TRUSTED[0], "GET /ice", "X-Region: oslo\r\n", "").await, "own");
}

#[tokio::test]
async fn a_token_precedes_the_proxy_and_a_programs_wish_precedes_both() {
    let server = Server::with(NODE).await;
    let [rome, nowhere, none] =
        [Some("rome"), Some("nowhere"), None].map(|r| token(&server, r, Role::Member));
    let field = "X-Region: oslo\r\n";
    for (line, secret, expected) in [
        ("GET /ice", rome.as_str(), "rome"),
        ("GET /turn", &rome, "rome"),
        ("OPTIONS /ice", &rome, "rome"),
        ("GET /_matrix/client/r0/voip/turnServer", &rome, "rome"),
        // The token's word holds, also where no relay is in that region.
        ("GET /ice", &nowhere, "own"),
        ("GET /ice", &none, "oslo"),
        ("GET /ice?region=oslo", &rome, "rome"),
        ("GET /ice?region=rome", API_KEY, "rome"),
        ("GET /turn?region=rome", API_KEY, "rome"),
        ("GET /api/v1/turn/credentials?region=rome", API_KEY, "rome"),
        ("GET /api/v1/turn/credentials?region=north_america", API_KEY, "oslo"),
        ("GET /ice", API_KEY, "oslo"),
    ] {
        let headers = format!("{field}{}", bearer(secret));
        assert_eq!(asked(&server, TRUSTED[0], line, &headers, "").await, expected, "{line} {secret}");
    }
    assert_eq!(asked(&server, ELSEWHERE, "GET /ice", &bearer(&rome), "").await, "rome");
    // A client's own wish is the last that counts.
    assert_eq!(asked(&server, ELSEWHERE, "GET /ice?region=rome", "", "").await, "rome");
    assert_eq!(asked(&server, TRUSTED[0], "GET /ice?region=rome", field, "").await, "oslo");
}

/// Joins the room oak over a connection of this region.
async fn join(server: &Server, region: &str, fields: Value) -> (Client, Value) {
    let mut join = json!({"type": "join", "room": "oak"});
    join.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
    let mut client = Client::with_header(server, "/ws", "x-region", region).await;
    client.say(&join.to_string()).await;
    let joined = client.hear_type("joined").await;
    (client, joined)
}

#[tokio::test]
async fn a_member_gets_the_relay_of_its_connections_region_and_keeps_it() {
    let server = Server::with(NODE).await;
    let (mut ann, joined) = join(&server, "oslo", json!({})).await;
    let (mut bob, other) = join(&server, "rome", json!({})).await;
    assert_eq!((relay_of(&joined), relay_of(&other)), ("oslo".into(), "rome".into()));
    server.hub.renew_all();
    assert_eq!(relay_of(&ann.hear_type("ice").await), "oslo");
    assert_eq!(relay_of(&bob.hear_type("ice").await), "rome");

    // A client that comes back by another way is where that way leads from.
    drop(ann);
    server.until("byway_members_absent 1").await;
    let back = json!({"resume": joined["resume"], "seq": 0});
    let (mut ann, back) = join(&server, "rome", back).await;
    assert_eq!((&back["id"], relay_of(&back)), (&joined["id"], "rome".into()));
    server.hub.renew_all();
    assert_eq!(relay_of(&ann.hear_type("ice").await), "rome");

    let (_cid, joined) = join(&server, "nowhere", json!({})).await;
    assert_eq!(relay_of(&joined), "own");
}

#[tokio::test]
async fn a_members_token_names_its_region_for_as_long_as_it_is_a_member() {
    let server = Server::with(Settings { access: Policy::Token, ..NODE }).await;
    let rome = token(&server, Some("rome"), Role::Host);
    let (ann, joined) = join(&server, "oslo", json!({"token": rome})).await;
    assert_eq!(relay_of(&joined), "rome");
    drop(ann);
    server.until("byway_members_absent 1").await;
    // It resumes without its token.
    let (mut ann, back) = join(&server, "oslo", json!({"resume": joined["resume"], "seq": 0})).await;
    assert_eq!((&back["id"], relay_of(&back)), (&joined["id"], "rome".into()));
    server.hub.renew_all();
    assert_eq!(relay_of(&ann.hear_type("ice").await), "rome");

    ann.say(&json!({"type": "invite"}).to_string()).await;
    let invitation = ann.hear_type("invitation").await;
    let guest = &invitation["token"];
    let (_bob, joined) = join(&server, "oslo", json!({"token": guest})).await;
    assert_eq!(relay_of(&joined), "rome", "a host's guest is in its region");

    let plain = token(&server, None, Role::Member);
    let (_cid, joined) = join(&server, "oslo", json!({"token": plain})).await;
    assert_eq!(relay_of(&joined), "oslo");
}

#[tokio::test]
async fn a_choice_of_none_leaves_everything_as_it_was() {
    let node = Server::with(Settings { relays: Some(|_| None), ..NODE }).await;
    let alone = Server::start().await;
    let mut answers = Vec::new();
    for server in [&node, &alone] {
        let field = [("X-Region", "oslo")];
        let mut answer = get(server.http, "/ice", &field).await.json();
        // These are of one request alone.
        for random in ["username", "credential"] {
            answer["iceServers"][1][random].take();
        }
        answer["expiresAt"].take();
        answers.push(answer);
    }
    assert_eq!(answers[0], answers[1]);
}
