//! Over UDP, against servers that are not ours: `turn::server`, a socket that is silent, and one
//! that is gone.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use byway_test_support::process::{Configuration, password};
use serde_json::{Value, json};
use tokio::net::{TcpListener, UdpSocket};
use turn::auth::{AuthHandler, generate_auth_key};
use turn::relay::relay_static::RelayAddressGeneratorStatic;
use turn::server::Server;
use turn::server::config::{ConnConfig, ServerConfig};
use webrtc_util::vnet::net::Net;

use super::{LOOPBACK, Nobody, probe, rows};

const SECRET: &str = "north-north";

struct Rest;

impl AuthHandler for Rest {
    fn auth_handle(&self, username: &str, realm: &str, _: SocketAddr) -> Result<Vec<u8>, turn::Error> {
        Ok(generate_auth_key(username, realm, &password(SECRET, username)))
    }
}

/// A TURN server on loopback.
async fn turn_server() -> (Server, SocketAddr) {
    let socket = UdpSocket::bind((LOOPBACK, 0)).await.expect("a socket");
    let address = socket.local_addr().expect("an address");
    let server = Server::new(ServerConfig {
        conn_configs: vec![ConnConfig {
            conn: Arc::new(socket),
            relay_addr_generator: Box::new(RelayAddressGeneratorStatic {
                relay_address: LOOPBACK,
                address: LOOPBACK.to_string(),
                net: Arc::new(Net::new(None)),
            }),
        }],
        realm: "example.org".into(),
        auth_handler: Arc::new(Rest),
        channel_bind_timeout: Duration::ZERO,
        alloc_close_notify: None,
    })
    .await
    .expect("the server starts");
    (server, address)
}

/// A configuration that listens at `udp` and `http`.
fn config(udp: SocketAddr, http: SocketAddr, secrets: &[&str]) -> Configuration {
    Configuration::new(&format!(
        "listen.udp = [\"{udp}\"]\nlisten.tcp = []\nlisten.http = [\"{http}\"]\ncredentials.secrets = {}\n",
        json!(secrets)
    ))
}

#[tokio::test]
async fn a_sound_server_is_bound_to_allocated_on_and_relayed_through() {
    let (_server, address) = turn_server().await;
    let config = config(address, address, &[SECRET]);

    let output = probe(&config, &["--json"]).await;
    let rows = rows(&output);
    assert_eq!(output.status.code(), Some(0), "{rows:#?}");
    assert_eq!(rows.len(), 1);
    let row = &rows[0];
    assert_eq!(row["url"], format!("turn:{address}?transport=udp"));
    assert_eq!(row["address"], address.to_string());
    assert_eq!(row["ok"], true);
    for field in ["mapped_address", "relayed_address"] {
        let found: SocketAddr = row[field].as_str().and_then(|text| text.parse().ok()).expect(field);
        assert_eq!(found.ip(), LOOPBACK, "{field}");
        assert_ne!(found.port(), address.port(), "{field}");
    }
    for field in ["binding_ms", "round_trip_ms", "from_peer_ms"] {
        assert!(row[field].as_f64().is_some_and(|time| (0.0..3000.0).contains(&time)), "{field}: {row:#}");
    }
    assert_eq!((&row["trouble"], &row["remedy"]), (&Value::Null, &Value::Null));

    let output = probe(&config, &[]).await;
    let table = String::from_utf8_lossy(&output.stdout);
    assert_eq!(output.status.code(), Some(0), "{table}");
    assert!(table.lines().nth(1).is_some_and(|row| row.ends_with("  ok")), "{table}");
    assert!(table.contains("\n\nCalls from here go over UDP, the best path.\n"), "{table}");
}

#[tokio::test]
async fn without_a_secret_the_running_server_s_ice_lends_a_login() {
    let (_server, address) = turn_server().await;
    let http = TcpListener::bind((LOOPBACK, 0)).await.expect("a socket");
    let config = config(address, http.local_addr().expect("an address"), &[]);
    let answer = json!({
        "iceServers": [
            {"urls": [format!("stun:{address}")]},
            {"urls": [format!("turn:{address}")], "username": "1:a", "credential": password(SECRET, "1:a")},
        ],
        "iceTransportPolicy": "all",
    });
    let ice = axum::Router::new().route("/ice", axum::routing::get(async || axum::Json(answer)));
    tokio::spawn(async { axum::serve(http, ice).await });

    let output = probe(&config, &["--json"]).await;
    assert_eq!(output.status.code(), Some(0), "{:#?}", rows(&output));
}

#[tokio::test]
async fn a_stun_url_asks_for_a_binding_only() {
    let (_server, address) = turn_server().await;
    // No secret and no /ice: a login would be missed.
    let nobody = Nobody::new().await;
    let config = config(address, nobody.tcp(), &[]);
    let output = probe(&config, &["--json", &format!("stun:{address}")]).await;
    let rows = rows(&output);
    assert_eq!(output.status.code(), Some(0), "{rows:#?}");
    assert!(rows[0]["mapped_address"].is_string());
    assert_eq!(rows[0]["relayed_address"], Value::Null);
}

#[tokio::test]
async fn what_fails_is_said_with_its_reason_and_remedy() {
    let (_server, good) = turn_server().await;
    let silent = UdpSocket::bind((LOOPBACK, 0)).await.expect("a socket");
    let silent_address = silent.local_addr().expect("an address");
    let nobody = Nobody::new().await;
    let gone = nobody.udp();
    let config = config(good, good, &[]);
    let urls = [good, silent_address, gone].map(|address| format!("turn:{address}"));
    let output = probe(
        &config,
        &[&urls[0], &urls[1], &urls[2], "--json", "--username", "9999999999:a", "--password", "wrong"],
    )
    .await;
    let rows = rows(&output);
    assert_eq!(output.status.code(), Some(1), "{rows:#?}");
    let troubles: Vec<_> = rows.iter().map(|row| row["trouble"].as_str().expect("a reason")).collect();
    // turn::server answers a wrong password with 400; coturn and Byway with 401.
    assert!(troubles[0].starts_with("allocation refused with 40"), "{troubles:?}");
    assert_eq!(troubles[1], "no answer to STUN binding requests");
    assert_eq!(troubles[2], format!("nothing listens on UDP {gone}"));
    for row in &rows {
        assert_eq!(row["ok"], false);
        assert!(row["remedy"].as_str().is_some_and(|remedy| !remedy.is_empty()), "{row:#}");
    }
    assert!(rows[0]["mapped_address"].is_string(), "what worked is shown: {rows:#?}");

    let output = probe(&config, &[&urls[2]]).await;
    let table = String::from_utf8_lossy(&output.stdout);
    assert_eq!(output.status.code(), Some(1), "{table}");
    assert!(table.contains(&format!("FAILED: nothing listens on UDP {gone}")), "{table}");
    assert!(table.contains("\n  remedy: start the server (`byway serve`), or correct the port\n"), "{table}");
    assert!(table.contains("\n\nThe machine answers, but no server runs at these ports"), "{table}");
}

#[tokio::test]
async fn a_server_without_login_is_named_with_where_it_was_looked_for() {
    let (_server, address) = turn_server().await;
    let nobody = Nobody::new().await;
    let http = nobody.tcp();
    let output = probe(&config(address, http, &[]), &["--json"]).await;
    let rows = rows(&output);
    assert_eq!(output.status.code(), Some(1), "{rows:#?}");
    let trouble = rows[0]["trouble"].as_str().expect("a reason");
    assert_eq!(trouble, format!("no credential: http://{http}/ice: nothing listens on TCP {http}"));
    // A probe of another machine's server cannot start a server here.
    let remedy = rows[0]["remedy"].as_str().expect("a remedy");
    assert!(remedy.starts_with("give --username and --password"), "{remedy}");
}
