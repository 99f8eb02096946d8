//! `byway probe`: an independent client that reports how a browser would fare, with remedies.
//!
//! The client is `turn::client`. It shares only the framing in a stream with the server.

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

/// Deadline of each step. A dead server is reported after the first one.
const PATIENCE: Duration = Duration::from_secs(3);

/// Maximum number of rows with allocations at one time, two each. That is half of Byway's default
/// quota of one user, so that a probe of many URLs is not rejected.
const AT_ONCE: usize = 4;

/// Semaphore that limits rows with allocations.
type Turns = Semaphore;

#[derive(Debug, clap::Args)]
pub(super) struct ProbeArguments {
    /// URLs to probe, such as turn:example.org:3478?transport=tcp, turns:example.org:443 or
    /// stun:192.0.2.1 [default: the configuration's listeners]
    #[arg(value_name = "URL", value_parser = url)]
    urls: Vec<IceUrl>,
    /// TURN username [default: signed with the configuration's secret, else issued by the running
    /// server's /ice]
    #[arg(long, value_name = "U", requires = "password")]
    username: Option<String>,
    /// TURN password
    #[arg(long, value_name = "P", requires = "username")]
    password: Option<Secret>,
    /// PEM file with certificates of issuers to trust, in addition to those that this system trusts
    #[arg(long, value_name = "FILE")]
    ca: Option<PathBuf>,
    /// Print a JSON array of objects instead of a table
    #[arg(long)]
    json: bool,
}

impl ProbeArguments {
    /// A probe of this machine's own listeners.
    pub(super) fn of_this_machine(ca: Option<PathBuf>) -> Self {
        Self { urls: Vec::new(), username: None, password: None, ca, json: false }
    }

    /// Whether the probe needs nothing from this machine's configuration.
    pub(super) fn is_self_contained(&self) -> bool {
        let asks_for_a_login = self.urls.iter().any(|url| url.scheme.relays());
        !self.urls.is_empty() && (self.username.is_some() || !asks_for_a_login)
    }
}

/// Target of a probe.
pub(super) struct ProbeTarget {
    pub(super) url: IceUrl,
    /// Address to use instead of the host's own addresses.
    pub(super) at: Option<Result<SocketAddr, ProbeError>>,
}

/// Context that all rows share.
struct Asking {
    login: Option<Result<Login, ProbeError>>,
    trust: Trust,
    turns: Turns,
}

/// Row of the report: a URL at one of its addresses.
struct Row {
    url: IceUrl,
    /// Address that was probed; `None` if none is known.
    address: Option<SocketAddr>,
    /// Address of the host that was skipped because this machine lacks that IP version.
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

/// Probes every URL at one address per family, all concurrently.
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

/// Returns the host's first address of each family, since each may have its own firewall. If this
/// machine has a route to one of the two only, the other is returned as skipped; browsers skip it
/// as well.
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

/// Parses a URL that this client supports.
pub(super) fn url(text: &str) -> Result<IceUrl, String> {
    let url: IceUrl = text.parse().map_err(|error: crate::config::IceUrlError| error.to_string())?;
    if url.scheme.encrypts() && url.transport == Transport::Udp {
        return Err("the client does not support DTLS: give turns:HOST:PORT, which uses TLS".to_owned());
    }
    Ok(url)
}
