//! The topics of y-webrtc, as its client speaks them: who hears what, and what a stranger can do
//! with it.

use std::time::Duration;

use serde_json::{Value, json};
use tokio_tungstenite::tungstenite::Message;

use super::in_process::{Client, Server, Settings};

const PATH: &str = "/y-webrtc";

async fn subscribe(server: &Server, topics: &[&str]) -> Client {
    let mut client = Client::at(server, PATH).await;
    say(&mut client, &json!({"type": "subscribe", "topics": topics})).await;
    client.ping().await;
    client
}

async fn say(client: &mut Client, message: &Value) {
    client.say(&message.to_string()).await;
}

#[tokio::test]
async fn who_has_subscribed_hears_what_is_published() {
    let server = Server::start().await;
    let (mut ann, mut bob) = (subscribe(&server, &["tea", "oak"]).await, subscribe(&server, &["tea"]).await);
    server.until("byway_topics 2").await;
    let data = json!({"type": "announce", "from": "é\u{0}"});
    say(&mut ann, &json!({"type": "publish", "topic": "tea", "data": data, "clients": 99})).await;
    let expected = json!({"type": "publish", "topic": "tea", "data": data, "clients": 2});
    assert_eq!((ann.hear().await, bob.hear().await), (expected.clone(), expected));

    // Subscribing again is what the client does all the time.
    say(&mut bob, &json!({"type": "subscribe", "topics": ["tea"]})).await;
    say(&mut bob, &json!({"type": "publish", "topic": "tea", "data": "encrypted"})).await;
    assert_eq!(
        (ann.hear().await["clients"].clone(), bob.hear().await["clients"].clone()),
        (json!(2), json!(2))
    );

    say(&mut bob, &json!({"type": "unsubscribe", "topics": ["tea", "none"]})).await;
    bob.ping().await;
    say(&mut ann, &json!({"type": "publish", "topic": "tea", "data": 1})).await;
    assert_eq!(ann.hear().await["clients"], 1);
    bob.ping().await;
    drop(ann);
    server.until("byway_topics 0").await;
}

#[tokio::test]
async fn threat_24_nobody_speaks_or_listens_where_they_have_not_subscribed() {
    let server = Server::with(Settings { max_rooms: 2, ..Settings::DEFAULT }).await;
    let (mut ann, mut eve) = (subscribe(&server, &["tea"]).await, subscribe(&server, &["oak"]).await);
    say(&mut eve, &json!({"type": "publish", "topic": "tea", "data": 1})).await;
    eve.hear_error("not-joined").await;
    say(&mut ann, &json!({"type": "publish", "topic": "tea", "data": 1})).await;
    assert_eq!(ann.hear().await["clients"], 1);
    eve.ping().await;
    // A room of our own protocol by the same name is another place.
    let mut native = Client::connect(&server).await;
    native.join("tea").await;
    say(&mut ann, &json!({"type": "publish", "topic": "tea", "data": 2})).await;
    assert_eq!(ann.hear().await["clients"], 1);
    native.ping().await;

    say(&mut eve, &json!({"type": "subscribe", "topics": ["elm"]})).await;
    eve.hear_error("too-many-rooms").await;
    for (message, code) in [
        (json!({"type": "subscribe", "topics": ["x".repeat(129)]}), "bad-room"),
        (json!({"type": "publish", "topic": ""}), "bad-room"),
        (json!({"type": "publish"}), "bad-message"),
        (json!({"type": "shout"}), "unknown-type"),
        (json!([]), "bad-message"),
    ] {
        say(&mut eve, &message).await;
        eve.hear_error(code).await;
    }
    eve.send(Message::Binary(vec![0, 1].into())).await;
    eve.hear_error("binary-frame").await;
    eve.ping().await;
}

#[tokio::test]
async fn threat_24_what_one_causes_to_be_sent_is_bounded() {
    let server = Server::start().await;
    let (mut ann, mut bob) = (subscribe(&server, &["tea"]).await, subscribe(&server, &["tea"]).await);
    let bulk = json!({"type": "publish", "topic": "tea", "data": "x".repeat(60_000)});
    // 16 MB at once and another each second, of which each of these takes 120 kB.
    let mut heard = 0;
    loop {
        say(&mut ann, &bulk).await;
        let answer = ann.hear().await;
        if answer["type"] == "error" {
            assert_eq!(answer["code"], "rate-limited");
            break;
        }
        bob.hear().await;
        heard += 1;
    }
    assert!(heard >= 130, "{heard}");
    // It is not that she has said too much.
    for _ in 0..20 {
        ann.ping().await;
    }
    // Hers is used up, not his.
    say(&mut bob, &bulk).await;
    assert_eq!(
        (ann.hear().await["clients"].clone(), bob.hear().await["clients"].clone()),
        (json!(2), json!(2))
    );
}

#[tokio::test]
async fn threat_23_topics_are_tried_only_so_fast() {
    let server = Server::start().await;
    let mut eve = Client::at(&server, PATH).await;
    let mut tried = 0;
    loop {
        let guesses: Vec<String> = (0..8).map(|n| format!("guess {tried} {n}")).collect();
        say(&mut eve, &json!({"type": "subscribe", "topics": guesses})).await;
        say(&mut eve, &json!({"type": "unsubscribe", "topics": guesses})).await;
        say(&mut eve, &json!({"type": "ping"})).await;
        let answer = eve.hear().await;
        if answer["type"] == "error" {
            assert_eq!(answer["code"], "rate-limited");
            break;
        }
        tried += 1;
    }
    // And one more for each eight seconds that this takes.
    assert!((8..12).contains(&tried), "{tried}");
    eve.hear_type("pong").await;

    let mut greedy = Client::at(&server, PATH).await;
    let topics: Vec<String> = (0..65).map(|n| n.to_string()).collect();
    say(&mut greedy, &json!({"type": "subscribe", "topics": topics})).await;
    greedy.hear_error("rate-limited").await;
    server.until("byway_topics 64").await;
}

#[tokio::test]
async fn threat_20_a_reader_that_stops_delays_nobody() {
    let server = Server::start().await;
    let mut stopped = Client::at_with_small_buffer(&server, PATH).await;
    say(&mut stopped, &json!({"type": "subscribe", "topics": ["tea"]})).await;
    stopped.ping().await;
    let (mut sender, mut reader) = (subscribe(&server, &["tea"]).await, subscribe(&server, &["tea"]).await);
    let bulk = json!({"type": "publish", "topic": "tea", "data": "x".repeat(60_000)});
    let mut clients = json!(3);
    while clients == 3 {
        say(&mut sender, &bulk).await;
        clients = reader.hear().await["clients"].clone();
        assert_eq!(sender.hear().await["clients"], clients);
    }
    assert_eq!(stopped.hear_type("bye").await["code"], "too-slow");
    assert_eq!(stopped.closed().await, (1013, "too-slow".to_owned()));
    reader.ping().await;
}

#[tokio::test]
async fn threat_20_what_is_too_large_or_too_much_ends_the_connection() {
    let server = Server::start().await;
    let mut ann = subscribe(&server, &["tea"]).await;
    ann.say(&"x".repeat(64 * 1024 + 1)).await;
    ann.hear_error("too-large").await;
    assert_eq!(ann.hear().await["code"], "too-large");
    assert_eq!(ann.closed().await, (1009, "too-large".to_owned()));

    let mut flood = subscribe(&server, &["tea"]).await;
    for _ in 0..2_000 {
        flood.try_say(r#"{"type":"unsubscribe"}"#).await;
    }
    flood.hear_type("bye").await;
    assert_eq!(flood.closed().await, (1008, "flooding".to_owned()));
    server.until("byway_topics 0").await;
}

#[tokio::test]
async fn a_connection_without_a_topic_ends() {
    let server = Server::with(Settings { idle_after: Duration::from_secs(1), ..Settings::DEFAULT }).await;
    let mut ann = subscribe(&server, &["tea"]).await;
    let mut idle = Client::at(&server, PATH).await;
    assert_eq!(idle.hear().await, json!({"type": "bye", "code": "idle"}));
    assert_eq!(idle.closed().await, (1008, "idle".to_owned()));
    // Ann came before: had her topic not saved her, she would be gone by now.
    ann.ping().await;
    say(&mut ann, &json!({"type": "unsubscribe", "topics": ["tea"]})).await;
    assert_eq!(ann.hear().await["code"], "idle");
}

#[tokio::test]
async fn threat_31_one_address_takes_not_all_topics() {
    let server = Server::start().await;
    let mut held = Vec::new();
    // A server of a hundred topics gives one network 64 of them.
    for n in 0..3 {
        let mut eve = Client::proxied(&server, PATH, "2001:db8::1").await;
        let topics: Vec<String> = (0..64).map(|topic| format!("{n} {topic}")).collect();
        say(&mut eve, &json!({"type": "subscribe", "topics": topics})).await;
        if n > 0 {
            eve.hear_error("too-many-rooms").await;
        }
        eve.ping().await;
        assert_eq!(server.metric("byway_topics").await, 64);
        held.push(eve);
    }
    let mut ann = Client::proxied(&server, PATH, "2001:db8:0:1::1").await;
    say(&mut ann, &json!({"type": "subscribe", "topics": ["tea"]})).await;
    ann.ping().await;
    assert_eq!(server.metric("byway_topics").await, 65);
}
