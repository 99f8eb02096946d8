//! Rooms: who enters, the recipients of each message, and frames that are not the protocol.

use byway::clock::Clock;
use serde_json::{Value, json};
use tokio_tungstenite::tungstenite::Message;

use super::in_process::{API_KEY, Client, Server, Settings, request, request_with};

#[tokio::test]
async fn threat_24_two_meet_talk_and_part_and_the_server_says_who_spoke() {
    let server = Server::start().await;
    let (mut ann, mut bob) = (Client::connect(&server).await, Client::connect(&server).await);
    ann.say(r#"{"type":"join","room":"oak","name":"Ann"}"#).await;
    let joined = ann.hear().await;
    let ann_id = joined["id"].clone();
    assert_eq!(joined["type"], "joined");
    assert_eq!((&joined["peers"], &joined["resume"]), (&json!([]), &Value::Null));
    assert_eq!(joined["ice"]["iceServers"][0]["urls"], json!(["stun:127.0.0.1:3478"]));

    bob.say(r#"{"type":"join","room":"oak"}"#).await;
    let joined = bob.hear().await;
    let bob_id = joined["id"].clone();
    assert_eq!(
        joined["peers"],
        json!([{"id": ann_id, "name": "Ann", "polite": true, "host": true, "viewer": false}])
    );
    let came = json!({
        "type": "peer-joined", "id": bob_id, "name": null, "polite": false, "host": false, "viewer": false,
    });
    assert_eq!(ann.hear().await, came);

    // Whatever the sender claims, the server says who it was.
    let forged =
        json!({"type": "signal", "to": bob_id, "from": bob_id, "seq": 99, "data": {"sdp": "é\u{0}"}});
    for seq in 1..=2 {
        ann.say(&forged.to_string()).await;
        let heard = bob.hear().await;
        assert_eq!(heard, json!({"type": "signal", "from": ann_id, "seq": seq, "data": {"sdp": "é\u{0}"}}));
    }
    bob.say(&json!({"type": "signal", "to": ann_id, "data": null}).to_string()).await;
    assert_eq!(ann.hear().await, json!({"type": "signal", "from": bob_id, "seq": 1, "data": null}));

    bob.say(r#"{"type":"leave"}"#).await;
    assert_eq!(ann.hear().await, json!({"type": "peer-left", "id": bob_id}));
    bob.join("oak").await;
    let again = ann.hear().await;
    assert!(again["type"] == "peer-joined" && again["id"] != bob_id);
    drop(bob);
    assert_eq!(ann.hear().await, json!({"type": "peer-left", "id": again["id"]}));
}

#[tokio::test]
async fn a_bad_frame_gets_a_code_and_the_connection_stays() {
    let server = Server::start().await;
    let mut ann = Client::connect(&server).await;
    let stranger = "BwcHBwcHBwcHBwcHBwcHBw";
    for (frame, code) in [
        ("", "bad-message"),
        ("[]", "bad-message"),
        (r#"{"type":"join"}"#, "bad-message"),
        (r#"{"type":"shout"}"#, "unknown-type"),
        (r#"{"type":"join","room":""}"#, "bad-room"),
        (r#"{"type":"join","room":"r","name":"\u202e"}"#, "bad-name"),
        (r#"{"type":"leave"}"#, "not-joined"),
        (&format!(r#"{{"type":"signal","to":"{stranger}","data":1}}"#), "not-joined"),
    ] {
        ann.say(frame).await;
        ann.hear_error(code).await;
    }
    ann.send(Message::Binary(vec![0, 1, 2].into())).await;
    ann.hear_error("binary-frame").await;
    ann.join("oak").await;
    ann.say(r#"{"type":"join","room":"elm"}"#).await;
    ann.hear_error("already-joined").await;
    ann.ping().await;
}

#[tokio::test]
async fn threat_24_nobody_reaches_into_another_room() {
    let server = Server::start().await;
    let (mut ann, mut eve) = (Client::connect(&server).await, Client::connect(&server).await);
    let ann_id = ann.join("oak").await;
    let eve_id = eve.join("elm").await;
    for to in [&ann_id, &eve_id, "BwcHBwcHBwcHBwcHBwcHBw", "x"] {
        eve.say(&json!({"type": "signal", "to": to, "data": 1}).to_string()).await;
        eve.hear_error("no-such-peer").await;
    }
    // Had anything reached Ann, it would come before the pong.
    ann.ping().await;
}

#[tokio::test]
async fn rooms_and_members_are_capped() {
    let server = Server::with(Settings { max_rooms: 1, max_members: 1, ..Settings::DEFAULT }).await;
    let (mut ann, mut bob) = (Client::connect(&server).await, Client::connect(&server).await);
    ann.join("oak").await;
    bob.say(r#"{"type":"join","room":"oak"}"#).await;
    bob.hear_error("room-full").await;
    bob.say(r#"{"type":"join","room":"elm"}"#).await;
    bob.hear_error("too-many-rooms").await;
    ann.say(r#"{"type":"leave"}"#).await;
    ann.ping().await;
    bob.join("elm").await;
}

#[tokio::test]
async fn a_backend_sees_who_is_there_and_sends_them_away() {
    let server = Server::start().await;
    let key = format!("Bearer {API_KEY}");
    let asked = async |line: &str| request(server.http, line, &[("Authorization", &key)]).await;
    let mut ann = Client::connect(&server).await;
    ann.say(r#"{"type":"join","room":"oak & elm","name":"Ann"}"#).await;
    let ann_id = ann.hear().await["id"].clone();
    let mut bob = Client::connect(&server).await;
    let bob_id = bob.join("oak & elm").await;
    ann.hear_type("peer-joined").await;

    let room = asked("GET /rooms/oak%20%26%20elm").await.expect_ok().json();
    assert_eq!(room["room"], "oak & elm");
    let members: Vec<_> = room["members"].as_array().unwrap().iter().collect();
    assert_eq!((&members[0]["id"], &members[0]["name"]), (&ann_id, &json!("Ann")));
    assert_eq!((&members[1]["id"], &members[1]["name"]), (&json!(bob_id), &Value::Null));
    for member in members {
        assert_eq!(member["connected"], true);
        // The room's name is not in it: access is open.
        let (room, id) = member["user"].as_str().unwrap().split_once('.').unwrap();
        assert_eq!((room.len(), id), (16, member["id"].as_str().unwrap()));
    }
    assert_eq!(asked("GET /rooms/oak").await.expect_ok().json()["members"], json!([]));

    // Bob is in that room and in no other.
    assert_eq!(asked(&format!("DELETE /rooms/oak/members/{bob_id}")).await.status, 404);
    assert_eq!(asked(&format!("DELETE /rooms/oak%20%26%20elm/members/{bob_id}")).await.status, 204);
    assert_eq!(bob.hear_type("bye").await, json!({"type": "bye", "code": "removed"}));
    assert_eq!(bob.closed().await.0, 4003);
    assert_eq!(ann.hear_type("peer-left").await["id"], bob_id.as_str());
    assert_eq!(asked(&format!("DELETE /rooms/oak%20%26%20elm/members/{bob_id}")).await.status, 404);
    let left = asked("GET /rooms/oak%20%26%20elm").await.expect_ok().json();
    assert_eq!(left["members"].as_array().map(Vec::len), Some(1));
}

/// The names of others stay good, those of the same identifier, too.
#[tokio::test]
async fn a_backend_takes_one_credential_back() {
    let server = Server::start().await;
    let key = format!("Bearer {API_KEY}");
    let path = "/v1/turn/keys/k/credentials";
    let asked = async |path: &str, body: &str| {
        request_with(server.http, &format!("POST {path}"), &[("Authorization", &key)], body).await
    };
    let username = async || {
        let asked = asked(&format!("{path}/generate"), r#"{"customIdentifier": "ann/1"}"#).await;
        asked.json()["iceServers"]["username"].as_str().unwrap().to_owned()
    };
    let (one, other) = (username().await, username().await);
    let name = |username: &str| username.split_once(':').unwrap().1.to_owned();
    let now = Clock::start().now();
    assert!(name(&one).starts_with("ann/1.") && server.revocations.is_good(now, &name(&one)));

    // As it is, or with everything encoded that could be.
    let encoded = one.replace(':', "%3A").replace('/', "%2F").replace('.', "%2E");
    for username in [one.replace('/', "%2F"), encoded] {
        assert_eq!(asked(&format!("{path}/{username}/revoke"), "").await.status, 204);
    }
    assert!(!server.revocations.is_good(now, &name(&one)) && server.revocations.is_good(now, &name(&other)));
    assert_eq!(*server.ended.lock().unwrap(), [name(&one), name(&one)]);
    // What has expired by itself is good for nothing already.
    assert_eq!(asked(&format!("{path}/1700000000:bob/revoke"), "").await.status, 204);
}

#[tokio::test]
async fn threat_31_one_address_takes_not_all_rooms_and_turns_nobody_out() {
    let server = Server::with(Settings { connections: 200, ..Settings::DEFAULT }).await;
    let mut ann = Client::proxied(&server, "/ws", "192.0.2.1").await;
    ann.join("tea").await;
    let mut eves = Vec::new();
    // A server of a hundred rooms gives one network 64 of them.
    for n in 0..65 {
        let mut eve = Client::proxied(&server, "/ws", "192.0.2.2").await;
        eve.say(&serde_json::json!({"type": "join", "room": n.to_string()}).to_string()).await;
        let answer = eve.hear().await;
        assert_eq!(answer["code"].as_str(), (n == 64).then_some("too-many-rooms"), "{n}: {answer}");
        eves.push(eve);
    }
    // Who is in a room takes none to enter another's, and others have room.
    eves[64].join("tea").await;
    assert_eq!(ann.hear().await["type"], "peer-joined");
    Client::proxied(&server, "/ws", "192.0.2.3").await.join("oak").await;
    ann.ping().await;
}
