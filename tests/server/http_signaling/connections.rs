//! Limits of one HTTP connection, and of their number.

use std::time::Duration;

use serde_json::json;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use super::in_process::{API_KEY, Client, Server, Settings, get, within};

#[tokio::test]
async fn threat_19_a_slow_head_is_cut_off() {
    let server =
        Server::with(Settings { head_within: Duration::from_millis(200), ..Settings::DEFAULT }).await;
    let mut slow = TcpStream::connect(server.http).await.unwrap();
    slow.write_all(b"GET / HTTP/1.1\r\nHost: localhost\r\nX-Slow: ").await.unwrap();
    let mut rest = Vec::new();
    within(slow.read_to_end(&mut rest)).await.unwrap();
    let idle = TcpStream::connect(server.http).await.unwrap();
    within(async {
        idle.readable().await.unwrap();
        assert_eq!(idle.try_read(&mut [0; 1]).unwrap(), 0, "an idle connection is closed");
    })
    .await;
}

#[tokio::test]
async fn threat_19_a_large_head_is_refused() {
    let server = Server::start().await;
    // Cookies of a single sign-on, which a browser sends to every server of the domain.
    let fits = "x".repeat(16 * 1024 - 200);
    assert_eq!(get(server.http, "/ice", &[("Cookie", &fits)]).await.status, 200);
    let large = "x".repeat(16 * 1024 + 200);
    assert_eq!(get(server.http, "/ice", &[("Cookie", &large)]).await.status, 431);
    for (fields, status) in [(98, 200), (99, 431)] {
        // Beside `Host` and `Connection`.
        let fields = vec![("X", ""); fields];
        assert_eq!(get(server.http, "/ice", &fields).await.status, status);
    }
}

#[tokio::test]
async fn too_many_connections_are_refused_and_websockets_count() {
    let server = Server::with(Settings { connections: 2, ..Settings::DEFAULT }).await;
    let mut ann = Client::connect(&server).await;
    let idle = TcpStream::connect(server.http).await.unwrap();
    server.until("byway_http_connections 2").await;
    let mut refused = TcpStream::connect(server.http).await.unwrap();
    let mut rest = Vec::new();
    within(refused.read_to_end(&mut rest)).await.unwrap();
    assert!(rest.is_empty());
    server.until("byway_http_connections_refused_total{limit=\"total\"} 1").await;
    drop(idle);
    server.until("byway_http_connections 1").await;
    ann.ping().await;
    drop(ann);
    server.until("byway_http_connections 0").await;
}

#[tokio::test]
async fn threat_31_websockets_behind_a_proxy_are_charged_to_the_address_that_it_names() {
    let server = Server::with(Settings { connections_per_address: 3, ..Settings::DEFAULT }).await;
    let mut held = Vec::new();
    for path in ["/ws", "/peerjs?key=peerjs&id=eve&token=eve", "/y-webrtc"] {
        held.push(Client::proxied(&server, path, "192.0.2.1").await);
    }
    for path in ["/ws", "/peerjs?key=peerjs&id=mallory&token=eve", "/y-webrtc"] {
        let refused = Client::open_at(&server, path, &[("x-forwarded-for", "192.0.2.1")]).await;
        assert_eq!(refused.unwrap_err().status(), 429, "{path}");
    }
    server.until("byway_http_connections_refused_total{limit=\"address\"} 3").await;
    held.push(Client::proxied(&server, "/ws", "192.0.2.2").await);
    // A place is given back with the WebSocket.
    drop(held);
    server.until("byway_http_connections 0").await;
    Client::proxied(&server, "/ws", "192.0.2.1").await.ping().await;
}

/// A response's status, and the connection after it, which stays open.
async fn status(stream: &mut TcpStream, request: &str) -> String {
    within(async {
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = Vec::new();
        loop {
            stream.read_buf(&mut answer).await.unwrap();
            let text = String::from_utf8_lossy(&answer);
            if let Some((head, body)) = text.split_once("\r\n\r\n") {
                let length = head.to_lowercase().split_once("content-length: ").map(|(_, rest)| {
                    rest.split_once("\r\n").map_or(rest, |(length, _)| length).parse::<usize>().unwrap()
                });
                if body.len() >= length.unwrap_or(0) {
                    return head.split(' ').nth(1).unwrap().to_owned();
                }
            }
        }
    })
    .await
}

/// The bytes until the connection is closed, which it has to be.
async fn until_closed(stream: &mut TcpStream) -> String {
    let mut rest = Vec::new();
    within(async { while stream.read_buf(&mut rest).await.is_ok_and(|read| read > 0) {} }).await;
    String::from_utf8_lossy(&rest).into_owned()
}

const FINE: &str = "GET /ice HTTP/1.1\r\nHost: localhost\r\n\r\n";

/// RFC 9112 section 6.1: where a proxy and its server go by different lengths, what one takes for a
/// body is a request to the other.
#[tokio::test]
async fn no_request_is_read_behind_one_with_transfer_encoding() {
    let server = Server::start().await;
    let fields = ["Transfer-Encoding: chunked", "Content-Length: 5"];
    for lengths in [fields.join("\r\n"), [fields[1], fields[0]].join("\r\n"), fields[0].to_owned()] {
        for (key, status) in [(API_KEY, "201"), ("no-key", "401")] {
            let chunked = format!(
                "POST /invite HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {key}\r\n{lengths}\r\n\r\n\
                 e\r\n{{\"room\":\"oak\"}}\r\n0\r\n\r\n{FINE}"
            );
            let mut stream = TcpStream::connect(server.http).await.unwrap();
            stream.write_all(chunked.as_bytes()).await.unwrap();
            let answer = until_closed(&mut stream).await;
            assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")), "{lengths}: {answer}");
            assert!(answer.contains("connection: close"), "{lengths}: {answer}");
            assert_eq!(answer.matches("HTTP/1.1 ").count(), 1, "{lengths}: {answer}");
        }
    }
}

/// A load balancer reuses connections, and a request on a connection that ends becomes a 502 for
/// its client.
#[tokio::test]
async fn a_connection_whose_request_was_fine_is_kept_and_that_of_a_stranger_is_not() {
    let (head_within, keep_alive) = (Duration::from_millis(300), Duration::from_secs(3));
    let server = Server::with(Settings { head_within, keep_alive, ..Settings::DEFAULT }).await;
    let [mut known, mut other, mut stranger] = [
        TcpStream::connect(server.http).await.unwrap(),
        TcpStream::connect(server.http).await.unwrap(),
        TcpStream::connect(server.http).await.unwrap(),
    ];
    assert_eq!(status(&mut known, FINE).await, "200");
    let with_body = format!(
        "POST /invite HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {API_KEY}\r\nContent-Length: 14\r\n\r\n{{\"room\":\"oak\"}}"
    );
    assert_eq!(status(&mut other, &with_body).await, "201");
    assert_eq!(status(&mut stranger, "GET /nothing HTTP/1.1\r\nHost: localhost\r\n\r\n").await, "404");
    until_closed(&mut stranger).await;
    // By now, both have waited for longer than a stranger may.
    assert_eq!(status(&mut known, FINE).await, "200");
    assert_eq!(status(&mut other, &with_body).await, "201");
    // And a head that has begun has to end.
    known.write_all(b"GET / HT").await.unwrap();
    until_closed(&mut known).await;
    assert_eq!(status(&mut other, FINE).await, "200");
    until_closed(&mut other).await;
}

#[tokio::test]
async fn threat_29_a_body_that_does_not_come_is_waited_for_no_longer_than_its_deadline() {
    let server = Server::start().await;
    let form = "Content-Type: application/x-www-form-urlencoded";
    for (path, field) in [("/ice", form), ("/turn", form), ("/invite", "X: x")] {
        for length in ["Content-Length: 100", "Transfer-Encoding: chunked"] {
            let mut slow = TcpStream::connect(server.http).await.unwrap();
            let head = format!(
                "POST {path} HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {API_KEY}\r\n{field}\r\n{length}\r\n\r\n1\r\n"
            );
            assert_eq!(status(&mut slow, &head).await, "408", "{path} {length}");
            until_closed(&mut slow).await;
        }
    }
}

#[tokio::test]
async fn threat_29_the_oldest_connection_gives_its_memory_to_others() {
    // Of four idle ones.
    let server = Server::with(Settings { memory: 4 * 12 * 1024, ..Settings::DEFAULT }).await;
    let mut known = TcpStream::connect(server.http).await.unwrap();
    assert_eq!(status(&mut known, FINE).await, "200");
    let mut strangers = Vec::new();
    for _ in 0..3 {
        strangers.push(TcpStream::connect(server.http).await.unwrap());
    }
    server.until("byway_http_connections 4").await;
    // It was of use, so that it is the youngest again.
    assert_eq!(status(&mut known, FINE).await, "200");
    let _one_more = TcpStream::connect(server.http).await.unwrap();
    until_closed(&mut strangers[0]).await;
    server.until("byway_http_connections_ended_total{reason=\"memory\"} 1").await;
    // A head that is still to end counts.
    strangers[2]
        .write_all(format!("GET / HTTP/1.1\r\nX: {}", "x".repeat(13 * 1024)).as_bytes())
        .await
        .unwrap();
    until_closed(&mut strangers[1]).await;
    server.until("byway_http_connections_ended_total{reason=\"memory\"} 2").await;
    assert_eq!(status(&mut known, FINE).await, "200");
}

#[tokio::test]
async fn threat_29_unfinished_messages_of_websockets_are_bounded_in_sum() {
    // Of two messages, and of a connection.
    let server = Server::with(Settings { memory: 80 * 1024, ..Settings::DEFAULT }).await;
    let mut clients = Vec::new();
    for _ in 0..3 {
        let mut client = Client::connect(&server).await;
        client.join("oak").await;
        clients.push(client);
    }
    let begun = [&b"\x01\xfe\x80\x00mask"[..], &[b'x'; 0x8000]].concat();
    for client in &mut clients {
        client.send_raw(&begun).await;
        // Whatever has been read by now was counted.
        client.send_raw(b"\x89\x80mask").await;
        client.pong().await;
    }
    server.until("byway_http_connections_ended_total{reason=\"memory\"} 1").await;
    server.until("byway_websockets 2").await;
    clients[2].send_raw(b"\x80\x80mask").await;
    clients[2].hear_type("error").await;
}

#[tokio::test]
async fn threat_29_websockets_in_no_room_are_bounded_in_sum() {
    // Of three in no room.
    let server = Server::with(Settings { memory: 3 * 14 * 1024, ..Settings::DEFAULT }).await;
    let mut member = Client::connect(&server).await;
    member.join("oak").await;
    let mut peer = Client::at(&server, "/peerjs?key=peerjs&id=ann&token=t&version=1.5.5").await;
    assert_eq!(peer.hear().await["type"], "OPEN");
    let mut subscriber = Client::at(&server, "/y-webrtc").await;
    subscriber.say(r#"{"type":"subscribe","topics":["oak"]}"#).await;
    subscriber.ping().await;

    let mut oldest = Client::connect(&server).await;
    let mut joins = Client::at(&server, "/y-webrtc").await;
    let mut strangers = vec![Client::connect(&server).await];
    strangers.push(Client::connect(&server).await);
    assert_eq!(oldest.hear().await, json!({"type": "bye", "code": "crowded", "retry_ms": 1000}));
    assert_eq!(oldest.closed().await, (1013, "crowded".to_owned()));
    server.until("byway_http_connections_ended_total{reason=\"memory\"} 1").await;
    server.until("byway_websockets_closed_total{reason=\"crowded\"} 1").await;
    // Who has come into a room leaves their memory to others.
    joins.say(r#"{"type":"subscribe","topics":["oak"]}"#).await;
    joins.ping().await;
    strangers.push(Client::connect(&server).await);
    for stranger in &mut strangers {
        stranger.ping().await;
    }

    for _ in 0..4 {
        strangers.push(Client::connect(&server).await);
        strangers.push(Client::at(&server, "/y-webrtc").await);
    }
    server.until("byway_http_connections_ended_total{reason=\"memory\"} 9").await;
    // Those that have a seat, and three others.
    server.until("byway_websockets 7").await;
    for client in [&mut member, &mut subscriber, &mut joins].into_iter().chain(&mut strangers[8..]) {
        client.ping().await;
    }
    peer.say(r#"{"type":"CANDIDATE","dst":"ann","payload":"myself"}"#).await;
    assert_eq!(peer.hear().await["payload"], "myself");
}

#[tokio::test]
async fn threat_32_a_flood_of_empty_fragments_ends_its_websocket() {
    let server = Server::start().await;
    let mut flood = Client::connect(&server).await;
    // One message in many pieces, as a proxy may cut it.
    let text: Vec<&[u8]> = [&b"{\"type\":\"ping\"}"[..]].into_iter().chain([&b""[..]; 500]).collect();
    flood.send_fragments(&text).await;
    assert_eq!(flood.hear().await["type"], "pong");
    let mut frames = b"\x01\x80mask".to_vec();
    frames.extend(b"\x00\x80mask".repeat(2_000));
    flood.send_raw(&frames).await;
    flood.hear_type("bye").await;
    assert_eq!(flood.closed().await, (1008, "flooding".to_owned()));
    server.until("byway_http_connections_ended_total{reason=\"flood\"} 1").await;
    server.until("byway_websockets_closed_total{reason=\"flooding\"} 1").await;
}

/// A body of a handshake is taken for the head of a frame without an end, behind which nothing
/// would be counted.
#[tokio::test]
async fn threat_32_a_websocket_whose_handshake_has_a_body_is_refused() {
    let server = Server::start().await;
    for path in ["/ws", "/y-webrtc", "/peerjs?key=peerjs&id=ann&token=t"] {
        for length in ["Content-Length: 14", "Transfer-Encoding: chunked"] {
            let head = format!(
                "GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\
                 Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n{length}\r\n\r\n"
            );
            let mut stream = TcpStream::connect(server.http).await.unwrap();
            stream.write_all(head.as_bytes()).await.unwrap();
            let answer = until_closed(&mut stream).await;
            assert!(answer.starts_with("HTTP/1.1 400 "), "{path} {length}: {answer}");
            assert!(answer.contains("connection: close"), "{path} {length}: {answer}");
        }
    }
}

/// RFC 6455 section 4.1 has a client wait. Frames that came earlier could not be told from the
/// head, and so not be counted.
#[tokio::test]
async fn threat_32_a_websocket_whose_client_does_not_wait_is_refused() {
    let server = Server::start().await;
    let head = "GET /ws HTTP/1.1\r\nHost: localhost\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\
                Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";
    let mut early = TcpStream::connect(server.http).await.unwrap();
    early.write_all(&[head.as_bytes(), b"\x01\x80mask"].concat()).await.unwrap();
    let answer = until_closed(&mut early).await;
    assert!(answer.starts_with("HTTP/1.1 400 ") && answer.contains("connection: close"), "{answer}");
    let mut patient = TcpStream::connect(server.http).await.unwrap();
    assert_eq!(status(&mut patient, head).await, "101");
    patient.write_all(b"\x89\x82mask\x00\x00").await.unwrap();
    assert_eq!(within(patient.read_u16()).await.unwrap(), 0x8a02, "a pong");
}
