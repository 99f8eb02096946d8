//! Where a TURN username and password come from when nobody gave one.

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

/// The bound of asking `/ice`.
const PATIENCE: Duration = Duration::from_secs(2);
/// Longer than any answer of `/ice`.
const LONGEST: usize = 64 << 10;
/// What to do where the server hands out no login.
const OTHERWISE: &str = "give --username and --password, as byway credential --user NAME prints them on the server; \
                         if this machine is the server, start it (byway serve)";
/// Long enough for a probe.
const TTL: Duration = Duration::from_secs(60);

/// A TURN username and its password; empty for a client that only binds.
#[derive(Clone, Debug, Default)]
pub(in crate::cli) struct Login {
    pub(in crate::cli) username: String,
    pub(in crate::cli) password: Secret,
}

/// A login at the server of this configuration: signed with its secret, or, where it draws one that
/// only the running process knows, as its `/ice` hands one out.
pub(in crate::cli) async fn of_this_server(config: &Config, trust: &Trust) -> Result<Login, ProbeError> {
    if let Some(secrets) = Secrets::new(&config.credentials.secrets) {
        let credential = secrets.issue(Clock::start().now(), "probe", TTL);
        return Ok(Login { username: credential.username, password: credential.password.into() });
    }
    let mut failures = Vec::new();
    for (url, road) in local_config::ice(config, trust) {
        let asked = async { ask(&url, road?).await };
        match timeout(PATIENCE, asked).await {
            Ok(Ok(login)) => return Ok(login),
            Ok(Err(trouble)) => {
                // On a machine that is no server, the remedy for a silent one would mislead.
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

/// The part of the `/ice` answer that a TURN client needs.
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
    get(url, stream).await.map_err(|error| ProbeError::Odd { step: "the answer", error })
}

async fn get(url: &str, stream: Box<dyn Stream>) -> Result<Login, String> {
    let (mut client, connection) = http1::handshake(TokioIo::new(stream)).await.map_err(display)?;
    // Ends with the client, or with the server, of which the client then tells.
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
