//! Source of a TURN username and password if the user gave none.

use std::time::Duration;

use axum::http::StatusCode;
use axum::http::uri::{InvalidUri, Uri};
use byway_turn::auth::{Secret, Secrets};
use serde::Deserialize;
use tokio::time::timeout;

use crate::cli::http_client::{self, HttpError};
use crate::clock::Clock;
use crate::config::Config;

use super::error::ProbeError;
use super::local_config;
use super::server_path::ServerPath;
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
pub(super) struct IceAnswer {
    pub(super) ice_servers: Vec<IceServer>,
}

#[derive(Deserialize)]
pub(super) struct IceServer {
    #[serde(default)]
    pub(super) urls: Urls,
    username: Option<String>,
    credential: Option<String>,
}

/// URLs of a server.
#[derive(Default, Deserialize)]
#[serde(untagged)]
pub(super) enum Urls {
    One(String),
    Many(Vec<String>),
    #[default]
    None,
}

impl IceServer {
    pub(super) fn login(&self) -> Option<Login> {
        let (username, password) = self.username.as_ref().zip(self.credential.as_ref())?;
        Some(Login { username: username.clone(), password: password.clone().into() })
    }
}

async fn ask(url: &str, road: ServerPath) -> Result<Login, ProbeError> {
    let odd = |error: String| ProbeError::Odd { step: "unusable answer", error };
    let uri: Uri = url.parse().map_err(|error: InvalidUri| odd(error.to_string()))?;
    let host = uri.authority().map_or("", |authority| authority.as_str());
    let answer = http_client::get(&road, host, uri.path(), None).await.map_err(|error| match error {
        HttpError::Path(error) => error,
        HttpError::Odd(error) => odd(error),
        HttpError::Silent => odd(error.to_string()),
    })?;
    let status = StatusCode::from_u16(answer.status).map_err(|error| odd(error.to_string()))?;
    if !status.is_success() {
        return Err(odd(status.to_string()));
    }
    if answer.body.len() > LONGEST {
        return Err(odd(format!("longer than {LONGEST} bytes")));
    }
    let answer: IceAnswer = serde_json::from_str(&answer.body).map_err(|error| odd(error.to_string()))?;
    let login = answer.ice_servers.iter().find_map(IceServer::login);
    login.ok_or_else(|| odd("no TURN credential in the answer".to_owned()))
}
