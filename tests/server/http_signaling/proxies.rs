//! Requests by way of reverse proxies, trusted ones and others.

use std::sync::Arc;

use byway::live::Live;
use byway::net::connection_limit::ConnectionLimiter;
use byway::net::trusted_proxies::TrustedProxies;
use serde_json::json;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, DuplexStream};

use super::in_process::{API_KEY, Server, Settings, within};

/// A proxy in a container, of a network that the test server trusts.
const TRUSTED: &str = "172.18.0.2";
const LOOPBACK: &str = "127.0.0.1";
const ELSEWHERE: &str = "198.51.100.7";

/// Asks for an invitation, and returns the link's part before its room.
async fn invited_to(server: &Server, from: &str, headers: &str) -> String {
    let body = json!({"room": "tea"}).to_string();
    let request = format!(
        "POST /invite HTTP/1.1\r\nConnection: close\r\nAuthorization: Bearer {API_KEY}\r\nContent-Length: {}\r\n\
         {headers}\r\n{body}",
        body.len()
    );
    let answer = server.asked_from(from, &request).await;
    assert_eq!(answer.status, 201, "{from} {headers:?} {}", answer.text());
    let answer = answer.json();
    let (page, _) = answer["url"].as_str().unwrap().split_once("?room=tea#token=").unwrap();
    page.to_owned()
}

#[tokio::test]
async fn threat_34_an_invitation_leads_where_the_client_is_whoever_says_so() {
    let server = Server::start().await;
    for (from, headers, page) in [
        (TRUSTED, "", "http://call.example.org/"),
        (TRUSTED, "X-Forwarded-Proto: https\r\n", "https://call.example.org/"),
        (LOOPBACK, "X-Forwarded-Proto: HTTPS\r\n", "https://call.example.org/"),
        (LOOPBACK, "X-Forwarded-Proto: https, http\r\n", "https://call.example.org/"),
        (LOOPBACK, "X-Forwarded-Proto: https\r\nX-Forwarded-Proto: http\r\n", "https://call.example.org/"),
        (LOOPBACK, "X-Forwarded-Host: elsewhere.example\r\n", "http://call.example.org/"),
        (LOOPBACK, "X-Forwarded-Prefix: /call\r\n", "http://call.example.org/call/"),
        (ELSEWHERE, "X-Forwarded-Proto: https\r\nX-Forwarded-Prefix: /call\r\n", "http://call.example.org/"),
    ] {
        let headers = format!("Host: Call.example.org\r\n{headers}");
        assert_eq!(invited_to(&server, from, &headers).await, page, "{from} {headers:?}");
    }
    let headers = "Host: call.example.org:443\r\nX-Forwarded-Proto: https\r\n";
    assert_eq!(invited_to(&server, TRUSTED, headers).await, "https://call.example.org/");
    let headers = "Host: call.example.org:8443\r\nX-Forwarded-Proto: https\r\n";
    assert_eq!(invited_to(&server, TRUSTED, headers).await, "https://call.example.org:8443/");
}

/// As where a proxy has port 443 and TURN over TLS another one, under the same name.
#[tokio::test]
async fn an_invitation_leads_to_the_proxy_rather_than_to_a_port_of_the_certificate() {
    let page = Some("https://call.example.org:5349/");
    let server = Server::with(Settings { page, ..Settings::DEFAULT }).await;
    for (from, headers, page) in [
        (LOOPBACK, "", "https://call.example.org:5349/"),
        (LOOPBACK, "X-Forwarded-Proto: https\r\n", "https://call.example.org/"),
        (
            TRUSTED,
            "X-Forwarded-Proto: https\r\nX-Forwarded-Prefix: /call\r\n",
            "https://call.example.org/call/",
        ),
        (ELSEWHERE, "X-Forwarded-Proto: https\r\n", "https://call.example.org:5349/"),
    ] {
        let headers = format!("Host: call.example.org\r\n{headers}");
        assert_eq!(invited_to(&server, from, &headers).await, page, "{from} {headers:?}");
    }
}

/// RFC 9457 section 3.1.1: a relative `type` is resolved against the URL that the client asked for.
#[tokio::test]
async fn threat_34_the_type_of_a_problem_is_below_the_prefix_of_a_trusted_proxy() {
    let server = Server::start().await;
    for (from, headers, below) in [
        (TRUSTED, "X-Forwarded-Prefix: /call\r\n", "/call/"),
        (LOOPBACK, "X-Forwarded-Prefix: /a/b/\r\n", "/a/b/"),
        (TRUSTED, "X-Forwarded-Prefix: //elsewhere.example\r\n", "/elsewhere.example/"),
        (TRUSTED, "", "/"),
        (ELSEWHERE, "X-Forwarded-Prefix: /call\r\n", "/"),
    ] {
        for (request, host, code) in [
            ("GET /nothing", "call.example.org", "not-found"),
            ("GET /ice", "elsewhere.example", "host-refused"),
            ("DELETE /ice", "call.example.org", "method-not-allowed"),
        ] {
            let request = format!("{request} HTTP/1.1\r\nConnection: close\r\nHost: {host}\r\n{headers}\r\n");
            let answer = server.asked_from(from, &request).await;
            assert_eq!(answer.json()["type"], format!("{below}problems/{code}"), "{from} {request}");
        }
    }
}

#[tokio::test]
async fn threat_34_a_page_of_our_own_is_known_by_values() {
    let server = Server::start().await;
    for (from, host, origin, more, status) in [
        (ELSEWHERE, "call.example.org:443", "https://call.example.org", "", 200),
        (ELSEWHERE, "CALL.example.org", "https://call.example.org:443", "", 200),
        (ELSEWHERE, "[0::1]:8080", "http://[::1]:8080", "", 200),
        (ELSEWHERE, "call.example.org:80", "https://call.example.org", "", 403),
        (ELSEWHERE, "call.example.org", "https://call.example.org:8443", "", 403),
        (TRUSTED, "call.example.org", "http://call.example.org", "X-Forwarded-Proto: HTTPS, http\r\n", 403),
        (TRUSTED, "call.example.org", "https://call.example.org", "X-Forwarded-Proto: HTTPS, http\r\n", 200),
        // Another proxy may stand before that one, and end TLS.
        (TRUSTED, "call.example.org", "https://call.example.org", "X-Forwarded-Proto: http\r\n", 200),
        // A client that is no trusted proxy says nothing about the scheme.
        (ELSEWHERE, "call.example.org", "http://call.example.org", "X-Forwarded-Proto: https\r\n", 200),
    ] {
        let request = format!(
            "GET /ice HTTP/1.1\r\nConnection: close\r\nHost: {host}\r\nOrigin: {origin}\r\n{more}\r\n"
        );
        let answer = server.asked_from(from, &request).await;
        assert_eq!(answer.status, status, "{from} {host} {origin} {more:?}");
    }
}

#[tokio::test]
async fn threat_34_limits_count_by_the_client_behind_trusted_proxies() {
    let server = Server::with(Settings { joins_per_second: 1, ..Settings::DEFAULT }).await;
    let asked = async |from: &str, forwarded: &str| {
        let forwarded =
            if forwarded.is_empty() { String::new() } else { format!("X-Forwarded-For: {forwarded}\r\n") };
        let head = format!("GET /ice HTTP/1.1\r\nConnection: close\r\nHost: localhost\r\n{forwarded}\r\n");
        server.asked_from(from, &head).await.status
    };
    let exhausted = async |from: &str, forwarded: &str| {
        for _ in 0..60 {
            if asked(from, forwarded).await == 429 {
                return;
            }
        }
        panic!("{from} {forwarded} is never limited");
    };
    exhausted(TRUSTED, "203.0.113.1, 192.0.2.1, 172.18.0.3").await;
    assert_eq!(asked(TRUSTED, "192.0.2.2").await, 200, "another client of the same proxy");
    assert_eq!(asked(LOOPBACK, "203.0.113.1").await, 200, "whom the first only named");
    // A client that names others is counted by its own address.
    exhausted(ELSEWHERE, "192.0.2.3").await;
    assert_eq!(asked(TRUSTED, "192.0.2.3").await, 200);
}

#[tokio::test]
async fn threat_34_shares_of_connections_count_by_the_client_behind_trusted_proxies() {
    let server = Server::start().await;
    let proxies = TrustedProxies::new(vec!["172.18.0.0/16".parse().unwrap()]);
    let limiter = ConnectionLimiter::behind(Live::new(proxies), 100, 2, Arc::default());
    let ask = async |connection: &mut DuplexStream, client: &str| {
        let head = format!("GET /nothing HTTP/1.1\r\nHost: localhost\r\nX-Forwarded-For: {client}\r\n\r\n");
        connection.write_all(head.as_bytes()).await.unwrap();
        let mut status = [0; 12];
        within(connection.read_exact(&mut status)).await.unwrap();
        // The rest of the answer: an object in one piece.
        while within(connection.read_u8()).await.unwrap() != b'}' {}
        String::from_utf8(status[9..].to_vec()).unwrap()
    };
    // More connections of the proxy than one address may have, which it keeps open.
    let mut connections: Vec<_> = (0..4).map(|_| server.connection_from(TRUSTED, &limiter)).collect();
    assert_eq!(ask(&mut connections[0], "192.0.2.1").await, "404");
    assert_eq!(ask(&mut connections[1], "192.0.2.1").await, "404");
    assert_eq!(ask(&mut connections[2], "192.0.2.1").await, "429");
    assert_eq!(ask(&mut connections[2], "192.0.2.2").await, "404");
    assert_eq!(
        ask(&mut connections[1], "192.0.2.3").await,
        "404",
        "the next client over the same connection"
    );
    assert_eq!(ask(&mut connections[3], "192.0.2.1").await, "404");
}
