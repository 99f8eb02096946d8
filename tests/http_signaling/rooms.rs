//! Who may come in, who hears what, and what a frame that is not the protocol leads to.

use serde_json::{Value, json};
use tokio_tungstenite::tungstenite::Message;

use crate::support::{Client, Server, Settings};

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
    assert_eq!(joined["peers"], json!([{"id": ann_id, "name": "Ann", "polite": true}]));
    let came = json!({"type": "peer-joined", "id": bob_id, "name": null, "polite": false});
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
