//! A host named whole: its page, `/ice` and `/ws`, and the servers that `/ice` names.

use std::net::SocketAddr;
use std::process::Output;

use axum::Router;
use axum::http::header;
use axum::routing::get;
use byway_test_support::process::{CONFIG, Configuration, Server};
use serde_json::{Value, json};
use tokio::net::{TcpListener, UdpSocket};

use super::{LOOPBACK, probe, rows};

/// The rows of a part.
fn part<'a>(rows: &'a [Value], what: &str) -> Vec<&'a Value> {
    rows.iter().filter(|row| row["what"] == what).collect()
}

/// The page of a server, as a target.
fn page(http: SocketAddr) -> String {
    format!("http://{http}/")
}

async fn asked(target: &str) -> (Output, Vec<Value>) {
    let output = probe(&Configuration::new(""), &["--json", target]).await;
    let rows = rows(&output);
    (output, rows)
}

#[tokio::test]
async fn a_sound_server_is_probed_whole_by_its_page_alone() {
    let config = CONFIG.replace("[listen]", "[ice]\naccess = \"open\"\n[listen]");
    let server = Server::start_with(&config, |_| {});
    let url = page(server.bound.http[0]);
    let (output, rows) = asked(&url).await;
    assert_eq!(output.status.code(), Some(0), "{rows:#?}");
    for what in ["page", "ice", "ws", "clock", "stun", "turn"] {
        let part = part(&rows, what);
        assert!(!part.is_empty(), "{what}: {rows:#?}");
        for row in part {
            assert_eq!((&row["ok"], &row["state"]), (&json!(true), &json!("ok")), "{row:#}");
            assert_eq!((&row["fault"], &row["trouble"]), (&Value::Null, &Value::Null), "{row:#}");
        }
    }
    assert!(part(&rows, "page")[0]["answer_ms"].is_f64());
    let over: Vec<_> = part(&rows, "turn").iter().map(|row| row["url"].as_str().unwrap()).collect();
    assert!(
        over.iter().any(|url| url.ends_with("=udp")) && over.iter().any(|url| url.ends_with("=tcp")),
        "{over:?}"
    );

    let output = probe(&Configuration::new(""), &[&url]).await;
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(text.starts_with("ok       page http://"), "{text}");
    assert!(text.contains("\nCalls from here go over UDP, the best path.\n"), "{text}");
}

#[tokio::test]
async fn a_server_that_asks_for_a_token_is_probed_by_an_invitation() {
    let config = CONFIG.replace("[listen]", "[ice]\naccess = \"token\"\n[listen]");
    let server = Server::start_with(&config, |_| {});
    let url = page(server.bound.http[0]);
    let (output, rows) = asked(&url).await;
    let ice = part(&rows, "ice")[0];
    assert_eq!(ice["state"], "ok", "it does as it should: {ice:#}");
    // Its ports are unknown, because `/ice` names none: those by default are asked for.
    let turn = part(&rows, "turn");
    assert!(!turn.is_empty() && turn.iter().all(|row| row["relays"] == json!([])), "{turn:#?}");
    assert_ne!(String::from_utf8_lossy(&output.stdout).find("token"), None);

    let mut invite = server.command();
    invite.args(["invite", "--room", "oak", "--url", url.trim_end_matches('/')]);
    let link = String::from_utf8(invite.output().expect("the binary starts").stdout).unwrap();
    let (output, rows) = asked(link.trim()).await;
    assert_eq!(output.status.code(), Some(0), "{rows:#?}");
    assert!(part(&rows, "turn").iter().all(|row| row["round_trip_ms"].is_f64()), "{rows:#?}");
    let token = link.trim().split_once("token=").expect("a token").1;
    assert!(!String::from_utf8_lossy(&output.stdout).contains(token), "it is a secret");
}

/// A web server of these routes.
async fn web(routes: Router) -> SocketAddr {
    let listener = TcpListener::bind((LOOPBACK, 0)).await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async { axum::serve(listener, routes).await });
    address
}

#[tokio::test]
async fn each_failing_row_names_a_fault_and_a_remedy() {
    let text = "<title>Byway</title>";
    let html = get(async || ([(header::CONTENT_TYPE, "text/html")], "<title>Byway</title>"));
    let none = json!({"iceServers": []}).to_string();
    let ice = get(async move || none);
    let old = get(async move || ([(header::DATE, "Sun, 06 Nov 1994 08:49:37 GMT")], text));
    for (what, routes, fault) in [
        ("page", Router::new(), None),
        ("ice", Router::new().route("/", html.clone()).route("/ice", ice), Some("no-relay")),
        ("ws", Router::new().route("/", html.clone()), Some("proxy-upgrade")),
        ("clock", Router::new().route("/", old), Some("clock-off")),
    ] {
        let (output, rows) = asked(&page(web(routes).await)).await;
        let row = part(&rows, what)[0];
        assert_eq!(output.status.code(), Some(1));
        assert_eq!((&row["ok"], &row["state"]), (&json!(false), &json!("failed")), "{row:#}");
        assert!(row["trouble"].is_string() && row["remedy"].is_string(), "{row:#}");
        if let Some(fault) = fault {
            assert_eq!(row["fault"], fault, "{row:#}");
        }
        for row in rows.iter().filter(|row| row["state"] == "failed") {
            assert!(row["fault"].is_string(), "{row:#}");
        }
    }
}

/// A victim that must hear nothing, and a page whose `/ice` and redirects name it.
#[tokio::test]
async fn threat_56_urls_of_other_hosts_are_named_and_never_asked() {
    let victim = UdpSocket::bind("127.0.0.9:0").await.unwrap();
    let tcp = TcpListener::bind("127.0.0.9:0").await.unwrap();
    let (udp_at, tcp_at) = (victim.local_addr().unwrap(), tcp.local_addr().unwrap());
    let body = json!({"iceServers": [{
        "urls": [
            format!("turn:{udp_at}"), format!("stun:{udp_at}"), format!("turn:{tcp_at}?transport=tcp"),
            "turn:victim.byway.invalid", "turn:127.0.0.1.victim.byway.invalid", "turn:127.0.0.1@127.0.0.9",
        ],
        "username": "u",
        "credential": "c",
    }]});
    let body = body.to_string();
    let routes = Router::new().route("/ice", get(async move || body)).fallback(async move || {
        (axum::http::StatusCode::FOUND, [(header::LOCATION, format!("http://{tcp_at}/"))])
    });
    let (output, rows) = asked(&page(web(routes).await)).await;
    assert_eq!(output.status.code(), Some(1), "a page that redirects is not the page: {rows:#?}");
    let others = part(&rows, "other");
    assert_eq!(others.len(), 6, "{rows:#?}");
    assert!(others.iter().all(|row| row["state"] == "skipped" && row["ok"].is_null()), "{others:#?}");
    assert!(part(&rows, "turn").is_empty() && part(&rows, "stun").is_empty(), "{rows:#?}");
    assert!(victim.try_recv(&mut [0; 64]).is_err(), "a datagram was sent to the victim");
    let accepted = tokio::time::timeout(std::time::Duration::ZERO, tcp.accept()).await;
    assert!(accepted.is_err(), "a connection was opened to the victim");
}
