//! Where a TURN username and password come from when nobody gave one.

use std::net::SocketAddr;
use std::time::Duration;

use axum::body::{Body, to_bytes};
use axum::http::Uri;
use hyper_util::client::legacy::Client;
use hyper_util::rt::TokioExecutor;
use serde::Deserialize;
use tokio::time::timeout;

use crate::clock::Clock;
use crate::config::Config;
use crate::credentials::Secrets;
use crate::interfaces;

use super::trouble::Trouble;

/// The bound of asking `/ice`.
const PATIENCE: Duration = Duration::from_secs(2);
/// Longer than any answer of `/ice`.
const LONGEST: usize = 64 << 10;
/// Long enough for a probe.
const TTL: Duration = Duration::from_secs(60);

/// A TURN username and its password; empty for a client that only binds.
#[derive(Clone, Debug, Default)]
pub(super) struct Login {
    pub(super) username: String,
    pub(super) password: String,
}

/// A login at the server of this configuration: signed with its secret, or, where it draws one that only the running
/// process knows, as its `/ice` hands one out.
pub(super) async fn of_this_server(config: &Config) -> Result<Login, Trouble> {
    if let Some(secrets) = Secrets::new(&config.credentials.secrets) {
        let credential = secrets.issue(Clock::start().now(), "probe", TTL);
        return Ok(Login { username: credential.username, password: credential.password });
    }
    let mut asked = Vec::new();
    for &listener in &config.listen.http {
        match timeout(PATIENCE, ask(listener)).await {
            Ok(Ok(login)) => return Ok(login),
            Ok(Err(error)) => asked.push(format!("http://{listener}/ice: {error}")),
            Err(_) => asked.push(format!("http://{listener}/ice: no answer")),
        }
    }
    // The first listener stands for all: they lead to the same server.
    Err(Trouble::NoLogin {
        asked: asked.into_iter().next().unwrap_or_else(|| "listen.http is off".to_owned()),
    })
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

async fn ask(listener: SocketAddr) -> Result<Login, String> {
    let uri: Uri = format!("http://{}/ice", interfaces::reachable(listener)).parse().map_err(display)?;
    let client: Client<_, Body> = Client::builder(TokioExecutor::new()).build_http();
    let answer = client.get(uri).await.map_err(|error| innermost(&error))?;
    if !answer.status().is_success() {
        return Err(answer.status().to_string());
    }
    let body = to_bytes(Body::new(answer.into_body()), LONGEST).await.map_err(display)?;
    let answer: IceAnswer = serde_json::from_slice(&body).map_err(display)?;
    let login = |server: IceServer| Some(Login { username: server.username?, password: server.credential? });
    answer
        .ice_servers
        .into_iter()
        .find_map(login)
        .ok_or_else(|| "no TURN credential in the answer".to_owned())
}

fn display(error: impl std::fmt::Display) -> String {
    error.to_string()
}

/// The client's own errors name themselves ("client error (Connect)"); what happened stands at the end of the chain.
fn innermost(error: &dyn std::error::Error) -> String {
    error.source().map_or_else(|| error.to_string(), innermost)
}
