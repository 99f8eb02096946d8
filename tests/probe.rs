//! `byway probe` against servers that are not ours: `turn::server`, a socket that is silent, and one that is gone.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::process::{Command, Output};
use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit as _, Mac as _};
use serde_json::{Value, json};
use sha1::Sha1;
use tokio::net::{TcpListener, UdpSocket};
use turn::auth::{AuthHandler, generate_auth_key};
use turn::relay::relay_static::RelayAddressGeneratorStatic;
use turn::server::Server;
use turn::server::config::{ConnConfig, ServerConfig};
use webrtc_util::vnet::net::Net;

const SECRET: &str = "north-north";
const LOOPBACK: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

/// base64(HMAC-SHA1(secret, username)), as the server of another vendor computes it.
fn password(username: &str) -> String {
    let mut mac = Hmac::<Sha1>::new_from_slice(SECRET.as_bytes()).expect("HMAC takes any key");
    mac.update(username.as_bytes());
    STANDARD.encode(mac.finalize().into_bytes())
}

struct Rest;

impl AuthHandler for Rest {
    fn auth_handle(&self, username: &str, realm: &str, _: SocketAddr) -> Result<Vec<u8>, turn::Error> {
        Ok(generate_auth_key(username, realm, &password(username)))
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
fn config(udp: SocketAddr, http: SocketAddr, secrets: &[&str]) -> tempfile::NamedTempFile {
    let file = tempfile::NamedTempFile::new().expect("a temporary file");
    let text = format!(
        "listen.udp = [\"{udp}\"]\nlisten.http = [\"{http}\"]\ncredentials.secrets = {}\n",
        json!(secrets)
    );
    std::fs::write(file.path(), text).expect("the configuration is written");
    file
}

async fn probe(config: &tempfile::NamedTempFile, arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_byway"));
    command.arg("--config").arg(config.path()).arg("probe").args(arguments).env_remove("RUST_LOG");
    let output = tokio::task::spawn_blocking(move || command.output());
    output.await.expect("nothing panicked").expect("the binary starts")
}

fn rows(output: &Output) -> Vec<Value> {
    serde_json::from_slice(&output.stdout).expect("a report in JSON")
}

/// An address that nothing listens on: bound for a moment, and given back.
async fn nobody() -> SocketAddr {
    UdpSocket::bind((LOOPBACK, 0)).await.and_then(|socket| socket.local_addr()).expect("a free port")
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
    for field in ["binding_ms", "round_trip_ms"] {
        assert!(row[field].as_f64().is_some_and(|time| (0.0..3000.0).contains(&time)), "{field}: {row:#}");
    }
    assert_eq!((&row["trouble"], &row["remedy"]), (&Value::Null, &Value::Null));

    let output = probe(&config, &[]).await;
    let table = String::from_utf8_lossy(&output.stdout);
    assert_eq!(output.status.code(), Some(0), "{table}");
    assert!(table.lines().nth(1).is_some_and(|row| row.ends_with("  ok")), "{table}");
}

#[tokio::test]
async fn without_a_secret_the_running_server_s_ice_lends_a_login() {
    let (_server, address) = turn_server().await;
    let http = TcpListener::bind((LOOPBACK, 0)).await.expect("a socket");
    let config = config(address, http.local_addr().expect("an address"), &[]);
    let answer = json!({
        "iceServers": [
            {"urls": [format!("stun:{address}")]},
            {"urls": [format!("turn:{address}")], "username": "1:a", "credential": password("1:a")},
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
    let config = config(address, nobody().await, &[]);
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
    let gone = nobody().await;
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
    assert!(table.contains("\n  remedy: start the server (byway serve), or correct the port\n"), "{table}");
}

#[tokio::test]
async fn a_server_without_login_is_named_with_where_it_was_looked_for() {
    let (_server, address) = turn_server().await;
    let http =
        TcpListener::bind((LOOPBACK, 0)).await.and_then(|socket| socket.local_addr()).expect("a free port");
    let output = probe(&config(address, http, &[]), &["--json"]).await;
    let rows = rows(&output);
    assert_eq!(output.status.code(), Some(1), "{rows:#?}");
    let trouble = rows[0]["trouble"].as_str().expect("a reason");
    assert_eq!(trouble, format!("no credential: http://{http}/ice: Connection refused (os error 111)"));
}
