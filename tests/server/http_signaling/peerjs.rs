//! PeerJS, as its client speaks it: admission, delivery, and what an attacker can do with it.

use std::time::Duration;

use byway::access::Policy;
use byway::phase::Phase;
use serde_json::json;
use tokio_tungstenite::tungstenite::Message;

use super::in_process::{Client, Server, Settings, get};

/// Path at which the client connects with `path: "/"`.
fn url(id: &str, token: &str) -> String {
    format!("/peerjs?key=peerjs&id={id}&token={token}&version=1.5.5")
}

/// A client that has the id.
async fn arrive(server: &Server, id: &str) -> Client {
    let mut client = Client::at(server, &url(id, id)).await;
    assert_eq!(client.hear().await, json!({"type": "OPEN"}));
    client
}

/// Asserts that nothing was said to `client`: it would come before what it says to itself.
async fn hears_nothing(client: &mut Client, id: &str) {
    client.say(&json!({"type": "CANDIDATE", "dst": id, "payload": "myself"}).to_string()).await;
    assert_eq!(client.hear().await["payload"], "myself");
}

#[tokio::test]
async fn two_meet_and_the_server_says_who_it_was() {
    let server = Server::start().await;
    let (mut ann, mut bob) = (arrive(&server, "ann").await, arrive(&server, "bob").await);
    for kind in ["OFFER", "ANSWER", "CANDIDATE", "LEAVE", "EXPIRE"] {
        let payload = json!({"sdp": "é\u{0}", "connectionId": "dc_1"});
        let forged = json!({"type": kind, "src": "eve", "dst": "bob", "payload": payload, "more": 1});
        ann.say(&forged.to_string()).await;
        let heard = bob.hear().await;
        assert_eq!(heard, json!({"type": kind, "src": "ann", "dst": "bob", "payload": payload}));
    }
    server.until("byway_peerjs_peers 2").await;
    ann.close(1000, "").await;
    drop(bob);
    server.until("byway_peerjs_peers 0").await;
}

#[tokio::test]
async fn both_paths_lead_to_one_server() {
    let server = Server::start().await;
    let mut ann = arrive(&server, "ann").await;
    let mut bob = Client::at(&server, &format!("/peerjs{}", url("bob%20b", "t"))).await;
    assert_eq!(bob.hear().await["type"], "OPEN");
    bob.say(r#"{"type":"OFFER","dst":"ann"}"#).await;
    assert_eq!(ann.hear().await, json!({"type": "OFFER", "src": "bob b", "dst": "ann"}));
    let mut ids = std::collections::BTreeSet::new();
    for path in ["/peerjs/id?ts=17.5&version=1.5.5", "/peerjs/peerjs/id"] {
        let answer = get(server.http, path, &[("Origin", "https://app.example.com")]).await;
        assert_eq!(answer.status, 200);
        assert_eq!(answer.header("content-type"), Some("text/plain; charset=utf-8"));
        assert_eq!(answer.header("cache-control"), Some("no-store"));
        assert_eq!(answer.header("access-control-allow-origin"), Some("https://app.example.com"));
        assert_eq!(answer.text().split('-').map(str::len).collect::<Vec<_>>(), [8, 4, 4, 4, 12]);
        assert!(ids.insert(answer.text().to_owned()));
        // As with the original, unless its operator wants it otherwise.
        let list = get(server.http, &path.replace("/id", "/peers"), &[]).await;
        assert_eq!((list.status, &list.json()["code"]), (401, &json!("no-peer-list")));
    }
}

#[tokio::test]
async fn what_is_said_to_somebody_absent_waits_and_expires() {
    let server = Server::start().await;
    let mut ann = arrive(&server, "ann").await;
    for payload in 1..=2 {
        ann.say(&json!({"type": "OFFER", "dst": "bob", "payload": payload}).to_string()).await;
        ann.say(&json!({"type": "OFFER", "dst": "nobody", "payload": payload}).to_string()).await;
        hears_nothing(&mut ann, "ann").await;
    }
    let mut bob = arrive(&server, "bob").await;
    for payload in 1..=2 {
        assert_eq!(
            bob.hear().await,
            json!({"type": "OFFER", "src": "ann", "dst": "bob", "payload": payload})
        );
    }
    assert_eq!(ann.hear().await, json!({"type": "EXPIRE", "src": "nobody", "dst": "ann"}));
    let mut late = arrive(&server, "nobody").await;
    hears_nothing(&mut late, "nobody").await;
    hears_nothing(&mut ann, "ann").await;
}

#[tokio::test]
async fn an_id_is_had_again_by_its_token_alone() {
    let server = Server::start().await;
    let mut lost = arrive(&server, "ann").await;
    let mut eve = Client::at(&server, &url("ann", "guess")).await;
    assert_eq!(eve.hear().await, json!({"type": "ID-TAKEN", "payload": {"msg": "ID is taken"}}));
    assert_eq!(eve.closed().await, (1008, "refused".to_owned()));

    let mut ann = arrive(&server, "ann").await;
    assert_eq!(lost.closed().await, (4001, "replaced".to_owned()));
    let mut bob = arrive(&server, "bob").await;
    bob.say(r#"{"type":"OFFER","dst":"ann"}"#).await;
    assert_eq!(ann.hear().await["src"], "bob");
    server.until("byway_peerjs_peers 2").await;

    // Given back, it is anybody's, and its former owner has no name to speak under.
    ann.say(r#"{"type":"LEAVE"}"#).await;
    server.until("byway_peerjs_peers 1").await;
    ann.say(r#"{"type":"OFFER","dst":"bob"}"#).await;
    server.until("byway_signaling_errors_total{code=\"not-joined\"} 1").await;
    let mut eve = Client::at(&server, &url("ann", "another")).await;
    assert_eq!(eve.hear().await["type"], "OPEN");
    hears_nothing(&mut bob, "bob").await;
}

#[tokio::test]
async fn who_is_not_let_in_is_told_why() {
    let server = Server::with(Settings { max_rooms: 1, max_members: 1, ..Settings::DEFAULT }).await;
    let _ann = arrive(&server, "ann").await;
    let incomplete = "No id, token, or key supplied to websocket server";
    for (path, why) in [
        ("/peerjs", incomplete),
        ("/peerjs?key=peerjs&id=bob", incomplete),
        ("/peerjs?key=peerjs&id=&token=t", incomplete),
        ("/peerjs?key=other&id=bob&token=t", "Invalid key provided"),
        ("/peerjs?key=peerjs&id=%00&token=t", "An id is 1 to 128 characters without control characters."),
        (&url(&"x".repeat(129), "t"), "An id is 1 to 128 characters without control characters."),
        (&url("bob", "t"), "Server has reached its concurrent user limit"),
    ] {
        let mut client = Client::at(&server, path).await;
        assert_eq!(client.hear().await, json!({"type": "ERROR", "payload": {"msg": why}}), "{path}");
        assert_eq!(client.closed().await.0, 1008, "{path}");
    }
    assert_eq!(get(server.http, "/peerjs?key=peerjs", &[]).await.status, 426);
}

#[tokio::test]
async fn threat_21_pages_of_other_origins_are_refused() {
    let server = Server::start().await;
    for origin in ["null", "https://app.example.com.", "http://app.example.com"] {
        assert_eq!(get(server.http, "/peerjs/id", &[("Origin", origin)]).await.status, 403, "{origin}");
        for path in [url("ann", "t").as_str(), "/y-webrtc"] {
            let refusal = Client::open_at(&server, path, &[("Origin", origin)]).await.unwrap_err();
            assert_eq!(refusal.status(), 403, "{path} {origin}");
        }
    }
    let listed = [("Origin", "https://app.example.com")];
    assert!(Client::open_at(&server, &url("ann", "t"), &listed).await.is_ok());
    assert!(Client::open_at(&server, "/y-webrtc", &listed).await.is_ok());
}

#[tokio::test]
async fn where_tokens_are_asked_for_there_is_no_way_around_them() {
    let server = Server::with(Settings { access: Policy::Token, ..Settings::DEFAULT }).await;
    for path in [url("ann", "t").as_str(), "/peerjs/peerjs?key=peerjs&id=ann&token=t", "/y-webrtc"] {
        let refusal = Client::open_at(&server, path, &[]).await.unwrap_err();
        assert_eq!(refusal.status(), 403, "{path}");
    }
    let refusal = get(server.http, "/peerjs/id", &[]).await;
    assert_eq!((refusal.status, &refusal.json()["code"]), (403, &json!("no-place-for-token")));
}

#[tokio::test]
async fn nobody_new_is_let_in_at_the_end() {
    let server = Server::start().await;
    let mut ann = arrive(&server, "ann").await;
    server.access_phase.enter(Phase::Draining);
    for path in [url("bob", "t").as_str(), "/y-webrtc"] {
        let refusal = Client::open_at(&server, path, &[]).await.unwrap_err();
        assert_eq!(refusal.status(), 503, "{path}");
        assert!(refusal.headers().contains_key("retry-after"));
    }
    hears_nothing(&mut ann, "ann").await;
}

#[tokio::test]
async fn threat_23_an_address_joins_only_so_often() {
    let server = Server::with(Settings { joins_per_second: 1, ..Settings::DEFAULT }).await;
    for n in 0..10 {
        arrive(&server, &n.to_string()).await;
    }
    // A test that takes long has earned a few more.
    let mut refused = None;
    for _ in 0..100 {
        if let Err(refusal) = Client::open_at(&server, "/y-webrtc", &[]).await {
            refused = Some(refusal);
            break;
        }
    }
    let refusal = refused.expect("too many");
    assert_eq!(refusal.status(), 429);
    let seconds: u64 = refusal.headers()["retry-after"].to_str().unwrap().parse().unwrap();
    assert!((1..=10).contains(&seconds), "{seconds}");
}

#[tokio::test]
async fn threat_20_what_is_too_large_or_too_much_ends_the_connection() {
    let server = Server::start().await;
    let mut ann = arrive(&server, "ann").await;
    ann.send(Message::Binary(vec![0, 1].into())).await;
    for nonsense in ["", "null", "[]", r#"{"type":"OPEN"}"#, r#"{"type":"OFFER"}"#] {
        ann.say(nonsense).await;
    }
    hears_nothing(&mut ann, "ann").await;
    server.until("byway_signaling_errors_total{code=\"binary-frame\"} 1").await;
    server.until("byway_signaling_errors_total{code=\"bad-message\"} 4").await;
    let large = "x".repeat(64 * 1024);
    ann.say(&json!({"type": "OFFER", "dst": "ann", "payload": large}).to_string()).await;
    assert_eq!(ann.hear().await["type"], "ERROR");
    assert_eq!(ann.closed().await, (1009, "too-large".to_owned()));

    let mut flood = arrive(&server, "flood").await;
    for _ in 0..2_000 {
        flood.try_say(r#"{"type":"HEARTBEAT"}"#).await;
    }
    assert_eq!(flood.hear().await["type"], "ERROR");
    assert_eq!(flood.closed().await, (1008, "flooding".to_owned()));
}

#[tokio::test]
async fn threat_20_a_reader_that_stops_delays_nobody() {
    let server = Server::start().await;
    let mut stopped = Client::at_with_small_buffer(&server, &url("stopped", "t")).await;
    assert_eq!(stopped.hear().await["type"], "OPEN");
    let (mut sender, mut reader) = (arrive(&server, "sender").await, arrive(&server, "reader").await);
    let bulk = json!({"type": "OFFER", "dst": "stopped", "payload": "x".repeat(60_000)}).to_string();
    let small = |n: u64| json!({"type": "OFFER", "dst": "reader", "payload": n}).to_string();
    // It is gone when what is said to it expires, because then it is not there.
    let mut sent: u64 = 0;
    while !sender.has_heard("EXPIRE") {
        sent += 1;
        sender.say(&bulk).await;
        sender.say(&small(sent)).await;
        assert_eq!(reader.hear().await["payload"], sent);
        sender.say(&json!({"type": "CANDIDATE", "dst": "sender"}).to_string()).await;
        sender.hear_type("CANDIDATE").await;
    }
    assert_eq!(stopped.hear_type("OFFER").await["src"], "sender");
    server.until("byway_websockets_closed_total{reason=\"too-slow\"} 1").await;
    hears_nothing(&mut reader, "reader").await;
}

#[tokio::test]
async fn a_client_that_answers_no_ping_is_not_there_any_more() {
    let server = Server::with(Settings { ping_every: Duration::from_millis(50), ..Settings::DEFAULT }).await;
    let _silent = Client::at(&server, &url("silent", "t")).await;
    server.until("byway_websockets_closed_total{reason=\"silent\"} 1").await;
    server.until("byway_peerjs_peers 0").await;
}

#[tokio::test]
async fn a_shutdown_is_no_error_to_a_client_that_may_come_back() {
    let mut server = Server::start().await;
    let mut ann = arrive(&server, "ann").await;
    let ending = async { assert_eq!(ann.closed().await, (1001, "shutting-down".to_owned())) };
    tokio::join!(ending, server.shut_down());
}
