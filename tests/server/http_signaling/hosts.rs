//! The hosts that requests may be for.

use std::net::SocketAddr;

use serde_json::json;

use super::in_process::{Server, send};

const UPGRADE: &str = "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\
                       Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n";

/// A request with these header lines, each of which ends in CRLF.
fn request(line: &str, headers: &str) -> String {
    let connection = if headers.contains("Upgrade:") { "" } else { "Connection: close\r\n" };
    format!("{line} HTTP/1.1\r\n{connection}{headers}\r\n")
}

/// Everything that a page could ask for, with the status where the host is ours.
fn everything(server: &Server) -> [(SocketAddr, &'static str, u16); 12] {
    [
        (server.http, "GET /", 200),
        (server.http, "GET /byway.js", 200),
        (server.http, "GET /ice", 200),
        (server.http, "POST /ice", 200),
        (server.http, "OPTIONS /ice", 204),
        (server.http, "GET /turn", 200),
        (server.http, "GET /peerjs/id", 200),
        (server.http, "GET /schema/byway.v1.json", 200),
        (server.http, "GET /nothing", 404),
        (server.http, "DELETE /ice", 405),
        (server.admin, "GET /metrics", 200),
        (server.admin, "GET /healthz", 200),
    ]
}

#[tokio::test]
async fn threat_33_a_host_that_is_not_ours_gets_nothing() {
    let server = Server::start().await;
    for (address, line, _) in everything(&server) {
        for host in
            ["attacker.example", "attacker.example:80", "192.0.2.1", "call.example.org.attacker.example"]
        {
            let headers = format!("Host: {host}\r\nOrigin: http://{host}\r\nX-Forwarded-Host: localhost\r\n");
            let answer = send(address, &request(line, &headers)).await;
            assert_eq!(answer.status, 421, "{line} {host}");
            assert_eq!(answer.header("content-type"), Some("application/problem+json"), "{line}");
            assert_eq!(answer.header("access-control-allow-origin"), None, "{line}");
            let problem = answer.json();
            assert_eq!(problem["code"], json!("host-refused"), "{line}");
            assert!(
                problem["detail"].as_str().is_some_and(|detail| detail.contains("http.hosts")),
                "{problem}"
            );
            assert!(
                !answer.text().contains("localhost") && !answer.text().contains("call.example"),
                "{problem}"
            );
        }
    }
    for path in ["/ws", "/peerjs?key=peerjs&id=a&token=b", "/y-webrtc"] {
        let headers = format!("Host: attacker.example\r\nOrigin: http://attacker.example\r\n{UPGRADE}");
        let head = request(&format!("GET {path}"), &headers)
            .replace("Connection: Upgrade", "Connection: Upgrade, close");
        assert_eq!(send(server.http, &head).await.status, 421, "{path}");
    }
    server.until("byway_http_hosts_refused_total{reason=\"foreign\"} 51").await;
}

#[tokio::test]
async fn threat_33_a_request_without_one_good_host_is_malformed() {
    let server = Server::start().await;
    for (address, line, _) in everything(&server) {
        for headers in [
            "",
            "Host: \r\n",
            "Host: localhost\r\nHost: localhost\r\n",
            "Host: a b\r\n",
            "Host: localhost:port\r\n",
        ] {
            let answer = send(address, &request(line, headers)).await;
            assert_eq!(
                (answer.status, answer.json()["code"].clone()),
                (400, json!("bad-host")),
                "{line} {headers:?}"
            );
        }
        let old = send(address, &format!("{line} HTTP/1.0\r\n\r\n")).await;
        assert_eq!(old.status, 400, "{line}");
    }
    server.until("byway_http_hosts_refused_total{reason=\"invalid\"} 72").await;
}

#[tokio::test]
async fn threat_33_a_host_of_ours_gets_everything() {
    let server = Server::start().await;
    for (address, line, status) in everything(&server) {
        for host in [
            &address.to_string(),
            "localhost",
            "LocalHost:8080",
            "[::1]:1",
            "call.example.org",
            "call.example.org.",
        ] {
            let answer = send(address, &request(line, &format!("Host: {host}\r\n"))).await;
            assert_eq!(answer.status, status, "{line} {host}");
        }
    }
    // RFC 9112 section 3.2.2: the absolute form goes before the field.
    let headers = "Host: localhost\r\n";
    assert_eq!(send(server.http, &request("GET http://attacker.example/ice", headers)).await.status, 421);
    assert_eq!(
        send(server.http, &request("GET http://localhost/ice", "Host: attacker.example\r\n")).await.status,
        200
    );
}
