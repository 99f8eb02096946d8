//! Beginning and end of signaling connections: no one's end is another's trouble.

use std::time::Duration;

use serde_json::{Value, json};
use tokio::net::TcpStream;

use super::in_process::{Client, Server, Settings, within};

#[tokio::test]
async fn subprotocol_and_origin_decide_who_may_connect() {
    let server = Server::start().await;
    let own = format!("http://{}", server.http);
    for (headers, status) in [
        (vec![], 101),
        (vec![("Sec-WebSocket-Protocol", "byway.v1")], 101),
        (vec![("Sec-WebSocket-Protocol", "other, byway.v1")], 101),
        (vec![("Sec-WebSocket-Protocol", "byway.v2")], 400),
        (vec![("Origin", own.as_str())], 101),
        (vec![("Origin", "https://app.example.com")], 101),
        (vec![("Origin", "null")], 403),
        (vec![("Origin", "https://app.example.com.")], 403),
        (vec![("Origin", "http://app.example.com")], 403),
        (vec![("Origin", "http://127.0.0.1.evil.org")], 403),
    ] {
        match Client::open(&server, &headers).await {
            Ok(response) => {
                assert_eq!(status, 101, "{headers:?}");
                let named = response.headers().get("sec-websocket-protocol").map(|v| v.to_str().unwrap());
                let offered = headers.iter().any(|(name, _)| *name == "Sec-WebSocket-Protocol");
                assert_eq!(named, offered.then_some("byway.v1"), "{headers:?}");
            }
            Err(refused) => assert_eq!(refused, status, "{headers:?}"),
        }
    }
}

#[tokio::test]
async fn a_client_that_closes_is_answered() {
    let server = Server::start().await;
    let mut ann = Client::connect(&server).await;
    ann.close(1000, "done").await;
    assert_eq!(ann.closed().await, (1000, "done".to_owned()));
    server.until("byway_websockets_closed_total{reason=\"client\"} 1").await;
}

#[tokio::test]
async fn threat_20_an_oversized_message_ends_the_connection_with_1009() {
    let server = Server::start().await;
    let mut ann = Client::connect(&server).await;
    let text = |bytes: usize| format!(r#"{{"type":"{}"}}"#, "x".repeat(bytes - 11));
    ann.say(&text(64 * 1024)).await;
    ann.hear_error("unknown-type").await;
    ann.say(&text(64 * 1024 + 1)).await;
    ann.hear_error("too-large").await;
    assert_eq!(ann.hear().await, json!({"type": "bye", "code": "too-large"}));
    assert_eq!(ann.closed().await, (1009, "too-large".to_owned()));
}

#[tokio::test]
async fn threat_20_fragments_do_not_add_up_to_more() {
    let server = Server::start().await;
    let mut ann = Client::connect(&server).await;
    ann.send_fragments(&[&[b'x'; 40 * 1024], &[b'x'; 40 * 1024]]).await;
    ann.hear_error("too-large").await;
    ann.hear().await;
    assert_eq!(ann.closed().await.0, 1009);
}

#[tokio::test]
async fn what_is_not_websocket_ends_the_connection() {
    let server = Server::start().await;
    let mut ann = Client::connect(&server).await;
    // A text frame with a reserved bit, masked with zeros.
    ann.send_raw(&[0xc1, 0x80, 0, 0, 0, 0]).await;
    assert_eq!(ann.closed().await, (1002, "violation".to_owned()));
    let mut bob = Client::connect(&server).await;
    bob.send_raw(&[0x81, 0x81, 0, 0, 0, 0, 0xff]).await;
    assert_eq!(bob.closed().await, (1007, "not-utf8".to_owned()));
}

#[tokio::test]
async fn threat_20_a_reader_that_stops_delays_nobody_and_ends_with_1013() {
    let server = Server::start().await;
    let mut stopped = Client::connect_with_small_buffer(&server).await;
    let mut sender = Client::connect(&server).await;
    let mut reader = Client::connect(&server).await;
    let stopped_id = stopped.join("oak").await;
    sender.join("oak").await;
    let reader_id = reader.join("oak").await;
    assert_eq!(sender.hear().await["type"], "peer-joined");

    // More and more to one who does not read. Meanwhile everything said to another arrives.
    let bulk = json!({"type": "signal", "to": stopped_id, "data": "x".repeat(60_000)}).to_string();
    let small = json!({"type": "signal", "to": reader_id, "data": "still here"}).to_string();
    let mut seq = 0;
    while !reader.has_heard("peer-left") {
        sender.say(&bulk).await;
        sender.say(&small).await;
        seq += 1;
        assert_eq!(reader.hear_type("signal").await["seq"], seq);
    }
    stopped.hear_type("bye").await;
    assert_eq!(stopped.closed().await, (1013, "too-slow".to_owned()));
    assert_eq!(sender.hear_type("peer-left").await["id"], stopped_id);
    sender.say(r#"{"type":"ping"}"#).await;
    sender.hear_type("pong").await;
}

#[tokio::test]
async fn threat_20_a_burst_passes_and_a_flood_ends_with_1008() {
    let server = Server::start().await;
    let mut ann = Client::connect(&server).await;
    for _ in 0..200 {
        ann.say(r#"{"type":"ping"}"#).await;
    }
    for _ in 0..200 {
        assert_eq!(ann.hear().await["type"], "pong");
    }
    let flood = async {
        for _ in 0..2_000 {
            ann.try_say(r#"{"type":"ping"}"#).await;
        }
    };
    within(flood).await;
    ann.hear_type("error").await;
    ann.hear_type("bye").await;
    assert_eq!(ann.closed().await, (1008, "flooding".to_owned()));
}

#[tokio::test]
async fn a_connection_in_no_room_ends() {
    // Long enough for an honest client on a busy machine to join.
    let server = Server::with(Settings { idle_after: Duration::from_secs(1), ..Settings::DEFAULT }).await;
    let mut ann = Client::connect(&server).await;
    ann.join("oak").await;
    let mut idle = Client::connect(&server).await;
    assert_eq!(idle.hear().await, json!({"type": "bye", "code": "idle"}));
    assert_eq!(idle.closed().await, (1008, "idle".to_owned()));
    // Ann came before: had the room not saved her, she would be gone by now.
    ann.ping().await;
    ann.say(r#"{"type":"leave"}"#).await;
    assert_eq!(ann.hear().await["code"], "idle");
}

#[tokio::test]
async fn threat_20_a_client_that_answers_no_ping_ends() {
    let server = Server::with(Settings { ping_every: Duration::from_millis(50), ..Settings::DEFAULT }).await;
    let mut silent = Client::connect(&server).await;
    let mut there = Client::connect(&server).await;
    silent.join("oak").await;
    there.join("oak").await;
    // A client answers pings while it reads: this one does, the other does not.
    assert_eq!(there.hear().await["type"], "peer-left");
    silent.hear_type("bye").await;
    assert_eq!(silent.closed().await, (1008, "silent".to_owned()));
}

#[tokio::test]
async fn a_fresh_configuration_comes_before_the_last_one_ends() {
    let server = Server::with(Settings { ttl: Duration::from_secs(2), ..Settings::DEFAULT }).await;
    let mut ann = Client::connect(&server).await;
    ann.say(r#"{"type":"join","room":"oak"}"#).await;
    let name = |ice: &Value| {
        let username = ice["iceServers"][1]["username"].as_str().unwrap().to_owned();
        username.split_once(':').map(|(expiry, name)| (expiry.to_owned(), name.to_owned())).unwrap()
    };
    let (first_expiry, first_name) = name(&ann.hear().await["ice"]);
    let fresh = ann.hear().await;
    assert_eq!((&fresh["type"], &fresh["ttl"]), (&json!("ice"), &json!(2)));
    let (expiry, same_name) = name(&fresh);
    assert!(expiry > first_expiry && same_name == first_name);
}

#[tokio::test]
async fn a_shutdown_says_goodbye_and_ends() {
    let mut server = Server::start().await;
    let mut ann = Client::connect(&server).await;
    ann.join("oak").await;
    let idle = TcpStream::connect(server.http).await.unwrap();
    let goodbye = async {
        assert_eq!(ann.hear().await, json!({"type": "bye", "code": "shutting-down", "retry_ms": 1000}));
        assert_eq!(ann.closed().await, (1001, "shutting-down".to_owned()));
    };
    within(async { tokio::join!(goodbye, server.shut_down()) }).await;
    assert!(TcpStream::connect(server.http).await.is_err());
    drop(idle);
}

#[tokio::test]
async fn threat_29_what_waits_for_all_is_bounded_and_who_reads_least_goes_first() {
    // Less than may wait for one alone.
    let server = Server::with(Settings {
        max_queued: 200_000,
        resume_window: Duration::from_secs(600),
        ..Settings::DEFAULT
    })
    .await;
    let (mut ann, mut eve) =
        (Client::connect_with_small_buffer(&server).await, Client::connect_with_small_buffer(&server).await);
    let (ann_id, eve_id) = (ann.join("tea").await, eve.join("tea").await);
    let mut sender = Client::connect(&server).await;
    sender.join("tea").await;
    let bulk = |to: &str| {
        let data = "x".repeat(60_000);
        serde_json::json!({"type": "signal", "to": to, "data": data}).to_string()
    };
    sender.say(&bulk(&ann_id)).await;
    // What the kernel takes, comes before.
    while server.metric("byway_websockets_closed_total{reason=\"too-slow\"}").await == 0 {
        sender.say(&bulk(&eve_id)).await;
        sender.ping().await;
        assert!(server.metric("byway_signals_queued_bytes").await <= 200_000);
    }
    let bye = eve.hear_type("bye").await;
    assert_eq!((&bye["code"], &bye["resume"]), (&"too-slow".into(), &true.into()), "{bye}");
    // Ann has not read either, but less waits for her.
    assert_eq!(ann.hear_type("signal").await["data"].as_str().unwrap().len(), 60_000);
    ann.say(r#"{"type":"ping"}"#).await;
    ann.hear_type("pong").await;
    server.until("byway_signals_queued_bytes 0").await;
}
