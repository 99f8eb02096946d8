//! Source of a TURN username and password if the user gave none.

use std::time::Duration;

use axum::body::{Body, to_bytes};
use axum::http::{Request, Uri, header};
use byway_turn::auth::{Secret, Secrets};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use serde::Deserialize;
use tokio::time::timeout;

use crate::clock::Clock;
use crate::config::Config;

use super::error::ProbeError;
use super::local_config;
use super::server_path::ServerPath;
use super::stream::Stream;
use super::trust_roots::Trust;

/// Deadline of a request to `/ice`.
const PATIENCE: Duration = Duration::from_secs(2);
/// Bound of a response of `/ice`, in bytes.
const LONGEST: usize = 64 << 10;
/// Remedy if the server issues no login.
const OTHERWISE: &str = "give --username and --password from `byway credential --user NAME` on the server; if this \
                         machine is the server, start it (`byway serve`)";
/// Lifetime of a credential that is signed here: long enough for a probe.
const TTL: Duration = Duration::from_secs(60);

/// TURN username and password; empty for a client that sends Binding requests only.
#[derive(Clone, Debug, Default)]
pub(in crate::cli) struct Login {
    pub(in crate::cli) username: String,
    pub(in crate::cli) password: Secret,
}

/// Returns a login at the server of this configuration. It is signed with the configured secret.
/// Without one, the running server's `/ice` issues the login, because only that process knows its
/// secret.
pub(in crate::cli) async fn of_this_server(config: &Config, trust: &Trust) -> Result<Login, ProbeError> {
    if let Some(secrets) = Secrets::new(&config.credentials.secrets) {
        return Ok(sign(&secrets));
    }
    let mut failures = Vec::new();
    for (url, road) in local_config::ice(config, trust) {
        let asked = async { ask(&url, road?).await };
        match timeout(PATIENCE, asked).await {
            Ok(Ok(login)) => return Ok(login),
            Ok(Err(trouble)) => {
                // Without a server on this machine, a remedy about a silent one would mislead.
                let is_none = matches!(trouble, ProbeError::NothingListens { .. });
                let remedy = if is_none { OTHERWISE } else { trouble.remedy() };
                failures.push((format!("{url}: {trouble}"), remedy));
            }
            Err(_) => failures.push((format!("{url}: no answer"), OTHERWISE)),
        }
    }
    // The first listener stands for all: they lead to the same server.
    let first = failures.into_iter().next();
    let (asked, remedy) =
        first.unwrap_or_else(|| ("listen.http and listen.tls are off".to_owned(), OTHERWISE));
    Err(ProbeError::NoLogin { asked, remedy })
}

/// Returns a login that is signed with a secret of this machine's server.
pub(super) fn sign(secrets: &Secrets) -> Login {
    let credential = secrets.issue(Clock::start().now(), "probe", TTL);
    Login { username: credential.username, password: credential.password.into() }
}

/// Part of the `/ice` response that a TURN client needs.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct IceAnswer {
    ice_servers: Vec<IceServer>,
}

#[derive(Deserialize)]
struct IceServer {
    username: Option<String>,
    credential: Option<String>,
}

async fn ask(url: &str, road: ServerPath) -> Result<Login, ProbeError> {
    let (stream, _) = road.stream().await?;
    get(url, stream).await.map_err(|error| ProbeError::Odd { step: "unusable answer", error })
}

async fn get(url: &str, stream: Box<dyn Stream>) -> Result<Login, String> {
    let (mut client, connection) = http1::handshake(TokioIo::new(stream)).await.map_err(display)?;
    // Ends with the client, or with the server; the client reports the latter.
    tokio::spawn(connection);
    let uri: Uri = url.parse().map_err(display)?;
    let host = uri.authority().map_or("", |authority| authority.as_str());
    let request = Request::get(uri.path()).header(header::HOST, host).body(Body::empty());
    let answer = client.send_request(request.map_err(display)?).await.map_err(display)?;
    if !answer.status().is_success() {
        return Err(answer.status().to_string());
    }
    let body = to_bytes(Body::new(answer.into_body()), LONGEST).await.map_err(display)?;
    let answer: IceAnswer = serde_json::from_slice(&body).map_err(display)?;
    let login =
        |server: IceServer| Some(Login { username: server.username?, password: server.credential?.into() });
    answer
        .ice_servers
        .into_iter()
        .find_map(login)
        .ok_or_else(|| "no TURN credential in the answer".to_owned())
}

fn display(error: impl std::fmt::Display) -> String {
    error.to_string()
}
