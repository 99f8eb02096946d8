//! What one HTTP connection may take, and how many there may be.

use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::support::{Client, Server, Settings, get, within};

#[tokio::test]
async fn threat_19_a_slow_head_is_cut_off() {
    let server =
        Server::with(Settings { head_within: Duration::from_millis(200), ..Settings::DEFAULT }).await;
    let mut slow = TcpStream::connect(server.http).await.unwrap();
    slow.write_all(b"GET / HTTP/1.1\r\nHost: x\r\nX-Slow: ").await.unwrap();
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
    let fits = "x".repeat(7 * 1024);
    assert_eq!(get(server.http, "/ice", &[("X-Padding", &fits)]).await.status, 200);
    let large = "x".repeat(9 * 1024);
    assert_eq!(get(server.http, "/ice", &[("X-Padding", &large)]).await.status, 431);
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
