//! `byway probe`: an independent client that says what a browser would meet, and what to do about
//! it.
//!
//! The client is `turn::client`, which shares no code with the server; of ours it has the framing
//! in a stream alone.

mod certificate;
mod client;
pub(super) mod credentials;
mod data;
mod datagram;
pub(super) mod error;
pub(super) mod local_config;
mod reason;
mod report;
pub(super) mod server_path;
mod stream;
pub(super) mod trust_roots;
mod verdict;

use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use byway_turn::auth::Secret;
use futures_util::future::join_all;
use tokio::net::lookup_host;
use tokio::sync::Semaphore;

use crate::config::{Config, IceUrl, Transport};

use super::{CliError, CommandOutcome};
use client::Findings;
use credentials::Login;
use error::ProbeError;
use server_path::ServerPath;
use trust_roots::Trust;

/// The bound of each step. A dead server is reported after the first one.
const PATIENCE: Duration = Duration::from_secs(3);

/// How many have allocations at one time, two each: half of what Byway grants one user by default,
/// so that a probe of many URLs is not refused for being one.
const AT_ONCE: usize = 4;

/// Whose turn it is to have allocations.
type Turns = Semaphore;

#[derive(Debug, clap::Args)]
pub(super) struct ProbeArguments {
    /// What to probe, such as turn:example.org:3478?transport=tcp, turns:example.org:443 or
    /// stun:192.0.2.1 [default: the configuration's listeners]
    #[arg(value_name = "URL", value_parser = url)]
    urls: Vec<IceUrl>,
    /// Username for TURN [default: signed with the configuration's secret, else asked of the
    /// running server's /ice]
    #[arg(long, value_name = "U", requires = "password")]
    username: Option<String>,
    /// Password for TURN
    #[arg(long, value_name = "P", requires = "username")]
    password: Option<Secret>,
    /// Certificates in PEM of issuers to trust, besides those that this system trusts
    #[arg(long, value_name = "FILE")]
    ca: Option<PathBuf>,
    /// Print an array of objects instead of a table
    #[arg(long)]
    json: bool,
}

impl ProbeArguments {
    /// Whether the configuration of this machine has nothing to add.
    pub(super) fn is_self_contained(&self) -> bool {
        let asks_for_a_login = self.urls.iter().any(|url| url.scheme.relays());
        !self.urls.is_empty() && (self.username.is_some() || !asks_for_a_login)
    }
}

/// What is probed.
pub(super) struct ProbeTarget {
    pub(super) url: IceUrl,
    /// Where that is, if not where its host leads.
    pub(super) at: Option<Result<SocketAddr, ProbeError>>,
}

/// What every row is asked with.
struct Asking {
    login: Option<Result<Login, ProbeError>>,
    trust: Trust,
    turns: Turns,
}

/// One row of the report: a URL at one of its addresses.
struct Row {
    url: IceUrl,
    /// `None` if none is known.
    address: Option<SocketAddr>,
    /// Another one of the host's, of the version of IP that this machine lacks.
    passed_over: Option<SocketAddr>,
    findings: Findings,
}

/// Probes and reports.
pub(super) fn run(
    arguments: ProbeArguments,
    config: &Config,
    file: String,
) -> Result<CommandOutcome, CliError> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let (json, own) = (arguments.json, arguments.urls.is_empty());
    let rows = runtime.block_on(probe(arguments, config, file))?;
    let report = if json {
        report::json(&rows).map_err(io::Error::from)?
    } else {
        format!("{}\n{}", report::table(&rows), verdict::sentences(&rows, own))
    };
    super::print(&report)?;
    let sound = rows.iter().all(|row| row.findings.trouble.is_none());
    Ok(if sound { CommandOutcome::Done } else { CommandOutcome::FaultFound })
}

/// Probes every URL at an address of each family, all at once.
async fn probe(arguments: ProbeArguments, config: &Config, file: String) -> Result<Vec<Row>, CliError> {
    let trust = Trust::load(arguments.ca.as_deref())?;
    let targets = match arguments.urls {
        none if none.is_empty() => local_config::targets(config).await,
        urls => urls.into_iter().map(|url| ProbeTarget { url, at: None }).collect(),
    };
    if targets.is_empty() {
        return Err(CliError::NothingToProbe { file });
    }
    let login = match arguments.username.zip(arguments.password) {
        Some((username, password)) => Some(Ok(Login { username, password })),
        None if targets.iter().any(|target| target.url.scheme.relays()) => {
            Some(credentials::of_this_server(config, &trust).await)
        }
        None => None,
    };
    let asking = &Asking { login, trust, turns: Turns::new(AT_ONCE) };
    let rows = targets.into_iter().map(|ProbeTarget { url, at }| async move {
        let addresses = match at {
            Some(at) => at.map(|at| (vec![at], None)),
            None => addresses(&url).await,
        };
        match addresses {
            Ok((addresses, passed_over)) => {
                let row = |address| row(&url, address, passed_over, asking);
                join_all(addresses.into_iter().map(row)).await
            }
            Err(trouble) => vec![Row { url, address: None, passed_over: None, findings: trouble.into() }],
        }
    });
    Ok(join_all(rows).await.into_iter().flatten().collect())
}

async fn row(url: &IceUrl, address: SocketAddr, passed_over: Option<SocketAddr>, asking: &Asking) -> Row {
    let login = asking.login.as_ref().filter(|_| url.scheme.relays());
    let findings = match ServerPath::of(url, address, &asking.trust) {
        Ok(road) => client::probe(&road, login, &asking.turns).await,
        Err(trouble) => trouble.into(),
    };
    Row { url: url.clone(), address: Some(address), passed_over, findings }
}

/// The host's first address of each family, for each may have a firewall of its own; and of two the
/// one that is passed over, as browsers do, where this machine has a route to the other alone.
pub(super) async fn addresses(url: &IceUrl) -> Result<(Vec<SocketAddr>, Option<SocketAddr>), ProbeError> {
    let unknown =
        |error: io::Error| ProbeError::UnknownHost { host: url.host.clone(), error: error.to_string() };
    let found: Vec<_> = lookup_host((url.host.as_str(), url.port)).await.map_err(unknown)?.collect();
    let first = |v4| found.iter().find(|address| address.is_ipv4() == v4).copied();
    let (Some(v4), Some(v6)) = (first(true), first(false)) else {
        return Ok((first(true).or_else(|| first(false)).into_iter().collect(), None));
    };
    Ok(match (server_path::connected(v4).await, server_path::connected(v6).await) {
        (Ok(_), Err(_)) => (vec![v4], Some(v6)),
        (Err(_), Ok(_)) => (vec![v6], Some(v4)),
        _ => (vec![v4, v6], None),
    })
}

/// A URL that a client of ours can follow.
pub(super) fn url(text: &str) -> Result<IceUrl, String> {
    let url: IceUrl = text.parse().map_err(|error: crate::config::IceUrlError| error.to_string())?;
    if url.scheme.encrypts() && url.transport == Transport::Udp {
        return Err("the client speaks no DTLS: turns:HOST:PORT goes over TLS".to_owned());
    }
    Ok(url)
}
