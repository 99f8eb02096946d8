//! Permission to join: by token, and not too often from one address.

use std::time::Duration;

use byway::access::Policy;
use byway::access::grant::Grant;
use byway::clock::Clock;
use jsonwebtoken::{Algorithm, EncodingKey, Header, encode};
use serde_json::{Value, json};

use super::in_process::{Client, Server, Settings, get, is_throttled};

const INVITED: Settings =
    Settings { access: Policy::Token, resume_window: Duration::from_secs(600), ..Settings::DEFAULT };

fn token(server: &Server, room: &str, ttl: u64, name: Option<&str>, max_members: Option<usize>) -> String {
    let grant = Grant::new(room.to_owned(), name.map(str::to_owned), max_members).unwrap();
    server.access.load().tokens.issue(Clock::start().now(), grant, Duration::from_secs(ttl)).0
}

/// A token with these claims beside those that it needs, as a developer's own backend signs it.
fn signed(claims: &Value) -> String {
    let mut all = json!({"room": "oak", "aud": "byway.test", "exp": Clock::start().now().unix + 60});
    all.as_object_mut().unwrap().extend(claims.as_object().unwrap().clone());
    encode(&Header::new(Algorithm::HS256), &all, &EncodingKey::from_secret(b"north")).unwrap()
}

/// Answer of the server to a `join` of the room oak.
async fn join(server: &Server, fields: Value) -> (Client, Value) {
    let mut join = json!({"type": "join", "room": "oak"});
    join.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
    let mut client = Client::connect(server).await;
    client.say(&join.to_string()).await;
    let answer = client.hear().await;
    (client, answer)
}

#[tokio::test]
async fn threat_23_without_a_token_for_it_no_room_tells_whether_it_is_there() {
    let server = Server::with(INVITED).await;
    let good = token(&server, "oak", 60, None, None);
    let refusals = [
        (json!({}), "token-required"),
        (json!({"token": ""}), "bad-token"),
        (json!({"token": good[..good.len() - 2]}), "bad-token"),
        (json!({"token": token(&server, "oak", 0, None, None)}), "token-expired"),
        (json!({"token": token(&server, "elm", 60, None, None)}), "wrong-room"),
        (json!({"resume": "x.y"}), "token-required"),
    ];
    for (fields, code) in &refusals {
        assert_eq!(join(&server, fields.clone()).await.1["code"], *code, "{fields}");
    }
    let (_ann, joined) = join(&server, json!({"token": good})).await;
    assert_eq!(joined["type"], "joined");
    // The same answers where there is such a room.
    for (fields, code) in &refusals {
        assert_eq!(join(&server, fields.clone()).await.1["code"], *code, "{fields}");
    }
}

#[tokio::test]
async fn a_token_says_the_name_and_how_many() {
    let server = Server::with(INVITED).await;
    let two = |name| token(&server, "oak", 60, name, Some(2));
    let (mut ann, _) = join(&server, json!({"token": two(None), "name": "Ann"})).await;
    let (_bob, joined) = join(&server, json!({"token": two(Some("Bob")), "name": "Ann"})).await;
    assert_eq!(joined["peers"][0]["name"], "Ann");
    assert_eq!(ann.hear().await["name"], "Bob", "the token's name is the name");
    assert_eq!(join(&server, json!({"token": two(None)})).await.1["code"], "room-full");
    // In a username, a room that knowing it does not open goes by its name.
    let username = joined["ice"]["iceServers"][1]["username"].as_str().unwrap();
    let member = format!("oak.{}", joined["id"].as_str().unwrap());
    assert_eq!(username.split_once(':').unwrap().1, member);
}

#[tokio::test]
async fn who_is_in_comes_back_without_a_token() {
    let server = Server::with(INVITED).await;
    let (ann, joined) = join(&server, json!({"token": token(&server, "oak", 60, None, None)})).await;
    drop(ann);
    let (_, again) = join(&server, json!({"resume": joined["resume"], "seq": 0})).await;
    assert_eq!(again["id"], joined["id"]);
}

#[tokio::test]
async fn threat_23_joins_are_throttled_by_address_and_those_who_are_in_are_not() {
    let limits =
        Settings { joins_per_second: 1, resume_window: Duration::from_secs(600), ..Settings::DEFAULT };
    let server = Server::with(limits).await;
    let (first, joined) = join(&server, json!({})).await;
    is_throttled(async |n| join(&server, json!({"room": format!("elm {n}")})).await.1).await;
    // Coming back is no new join.
    drop(first);
    let mut former = joined;
    for _ in 0..30 {
        let (client, again) = join(&server, json!({"resume": former["resume"], "seq": 0})).await;
        assert_eq!(again["id"], former["id"]);
        (former, _) = (again, client);
    }
}

#[tokio::test]
async fn threat_42_a_token_is_judged_alike_over_websockets_and_over_http() {
    let server = Server::with(INVITED).await;
    let now = Clock::start().now().unix;
    for (claims, code) in [
        (json!({}), None),
        (json!({"name": ""}), None),
        (json!({"max_members": 8.0}), None),
        (json!({"nbf": now + 2}), None),
        (json!({"nbf": now + 120}), Some("token-not-yet-valid")),
        (json!({"exp": now - 1}), Some("token-expired")),
        (json!({"exp": (now + 60) * 1000}), Some("token-too-far-ahead")),
        (json!({"exp": now + 2 * 366 * 24 * 3600}), Some("token-too-far-ahead")),
        (json!({"name": "a\nb"}), Some("bad-token")),
        (json!({"room": "a\nb"}), Some("bad-token")),
        (json!({"max_members": 0}), Some("bad-token")),
        (json!({"max_members": 2.5}), Some("bad-token")),
    ] {
        let token = signed(&claims);
        let (_member, answer) = join(&server, json!({"token": token})).await;
        assert_eq!(answer["code"].as_str(), code, "/ws: {claims}");
        let bearer = format!("Bearer {token}");
        let answer = get(server.http, "/ice", &[("Authorization", &bearer)]).await;
        assert_eq!(answer.status, if code.is_none() { 200 } else { 401 }, "/ice: {claims}");
        assert_eq!(answer.json()["code"].as_str(), code, "/ice: {claims}");
        if code == Some("token-too-far-ahead") {
            assert!(answer.json()["detail"].as_str().unwrap().contains("milliseconds?"));
        }
    }
}
