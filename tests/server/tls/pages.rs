//! HTTPS and WSS.

use std::io::{Read as _, Write as _};
use std::sync::Arc;

use byway_test_support::process::Server;
use byway_test_support::process::certificates::server;
use byway_test_support::process::http::Answer;
use byway_test_support::process::tls::{connect, get, say, trusting, websocket};
use http_body_util::Empty;
use hyper::body::Bytes;
use hyper_util::rt::{TokioExecutor, TokioIo};
use rustls::ClientConfig;
use tokio::net::TcpStream;

#[test]
fn the_page_and_the_signaling_are_served_within_tls() {
    let (server, pair, _folder) = server();
    let config = trusting(&pair, &["http/1.1"]);
    let page = get(&mut connect(&config, server.bound.tls()).unwrap(), "/").expect_ok();
    assert!(page.text().contains("<title>"));
    let mut ann = websocket(connect(&config, server.bound.tls()).unwrap());
    assert_eq!(say(&mut ann, r#"{"type":"join","room":"oak"}"#)["type"], "joined");
    assert_eq!(say(&mut ann, r#"{"type":"ping"}"#)["type"], "pong");
    server.logged(&format!("open https://localhost:{}/", server.bound.tls().port()));
}

/// A browser gives up a `turns:` URL whose host the certificate does not name.
#[test]
fn ice_lists_every_transport_and_tls_under_a_name_of_the_certificate() {
    let (server, pair, _folder) = server();
    let ice = get(&mut connect(&trusting(&pair, &[]), server.bound.tls()).unwrap(), "/ice").expect_ok();
    let ice: serde_json::Value = serde_json::from_slice(&ice.body).unwrap();
    let urls: Vec<_> =
        ice["iceServers"][1]["urls"].as_array().unwrap().iter().map(|url| url.as_str().unwrap()).collect();
    for expected in [
        format!("turn:{}?transport=udp", server.bound.udp_v4()),
        format!("turn:{}?transport=tcp", server.bound.tcp_v4()),
        format!("turns:localhost:{}?transport=tcp", server.bound.tls().port()),
    ] {
        assert_eq!(urls.iter().filter(|url| **url == expected).count(), 1, "{expected} in {urls:?}");
    }
}

/// Within TLS we know the scheme of our own pages, which behind a proxy we do not.
#[test]
fn a_plain_page_of_the_same_name_is_another_origin() {
    let (server, pair, _folder) = server();
    let config = trusting(&pair, &["http/1.1"]);
    for (origin, status) in [("https://localhost", 200), ("http://localhost", 403), ("null", 403)] {
        let mut stream = connect(&config, server.bound.tls()).unwrap();
        write!(
            stream,
            "GET /ice HTTP/1.1\r\nHost: localhost\r\nOrigin: {origin}\r\nConnection: close\r\n\r\n"
        )
        .unwrap();
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).unwrap();
        assert_eq!(Answer::parse(&answer).status, status, "{origin}");
    }
}

#[test]
fn a_request_in_records_of_one_byte_is_a_request() {
    let (server, pair, _folder) = server();
    let mut stream = connect(&trusting(&pair, &[]), server.bound.tls()).unwrap();
    for byte in b"GET /ice HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n" {
        stream.write_all(&[*byte]).unwrap();
        stream.flush().unwrap();
    }
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).unwrap();
    Answer::parse(&answer).expect_ok();
}

#[tokio::test]
async fn http_2_is_spoken_where_it_is_agreed_on() {
    let (server, pair, _folder) = server();
    let config = trusting(&pair, &["h2", "http/1.1"]);
    // The authority is what `Host` is in HTTP/1.1: of our own page, or of another's.
    for (origin, status) in [("https://localhost:1", 200), ("https://elsewhere:1", 403)] {
        assert_eq!(ask_over_http2(&server, &config, "localhost:1", origin, None).await, status, "{origin}");
    }
    // RFC 9113 section 8.3.1: a `Host` beside it says nothing.
    let forged =
        ask_over_http2(&server, &config, "localhost:1", "https://elsewhere:1", Some("elsewhere:1")).await;
    assert_eq!(forged, 403);
}

#[tokio::test]
async fn threat_33_over_http_2_the_authority_is_the_host() {
    let (server, pair, _folder) = server();
    let config = trusting(&pair, &["h2", "http/1.1"]);
    for (host, status) in [("attacker.example", 421), ("127.0.0.1:1", 200), ("192.0.2.1", 421)] {
        for beside in [None, Some("localhost"), Some("attacker.example")] {
            let origin = format!("https://{host}");
            assert_eq!(
                ask_over_http2(&server, &config, host, &origin, beside).await,
                status,
                "{host} {beside:?}"
            );
        }
    }
}

/// Cookies of a single sign-on fit, and what is beyond them is told.
#[tokio::test]
async fn threat_29_a_large_head_is_refused_over_http_2_alike() {
    let (server, pair, _folder) = server();
    let config = trusting(&pair, &["h2"]);
    let cookie = |bytes: usize| vec![("cookie".to_owned(), "x".repeat(bytes))];
    let many = |count: usize| (0..count).map(|n| (format!("x-{n}"), String::new())).collect();
    let heads = [(cookie(15 << 10), 200), (cookie(20 << 10), 431), (many(90), 200), (many(101), 431)];
    for (fields, status) in heads {
        let told = fields.first().cloned();
        assert_eq!(ask_with(&server, &config, "localhost:1", fields).await, status, "{told:?}");
    }
}

/// The status of `/ice` for a page of `origin`, asked of `authority`.
async fn ask_over_http2(
    server: &Server,
    config: &Arc<ClientConfig>,
    authority: &str,
    origin: &str,
    host: Option<&str>,
) -> u16 {
    let host = host.map(|host| ("host".to_owned(), host.to_owned()));
    let fields = [("origin".to_owned(), origin.to_owned())].into_iter().chain(host).collect();
    ask_with(server, config, authority, fields).await
}

/// The status of `/ice`, asked of `authority` with these fields.
async fn ask_with(
    server: &Server,
    config: &Arc<ClientConfig>,
    authority: &str,
    fields: Vec<(String, String)>,
) -> u16 {
    let stream = TcpStream::connect(server.bound.tls()).await.unwrap();
    let connector = tokio_rustls::TlsConnector::from(config.clone());
    let stream = connector.connect("localhost".try_into().unwrap(), stream).await.unwrap();
    assert_eq!(stream.get_ref().1.alpn_protocol(), Some(&b"h2"[..]));
    let io = TokioIo::new(stream);
    let (mut sender, connection) =
        hyper::client::conn::http2::handshake(TokioExecutor::new(), io).await.unwrap();
    tokio::spawn(connection);
    let mut request = hyper::Request::get(format!("https://{authority}/ice"));
    for (name, value) in fields {
        request = request.header(name, value);
    }
    let response = sender.send_request(request.body(Empty::<Bytes>::new()).unwrap()).await.unwrap();
    response.status().as_u16()
}
