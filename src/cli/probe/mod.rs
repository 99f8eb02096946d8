//! `byway probe`: an independent client that says what a browser would meet, and what to do about it.
//!
//! Nothing in here shares code with the server: the client is `turn::client`.

mod client;
mod login;
mod report;
mod trouble;

use std::io;
use std::net::{Ipv6Addr, SocketAddr};

use futures_util::future::join_all;
use tokio::net::{UdpSocket, lookup_host};

use crate::config::{Config, IceUrl, Scheme, Transport};
use crate::interfaces;

use super::{Error, Outcome};
use client::Findings;
use login::Login;
use trouble::Trouble;

#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    /// What to probe, such as turn:example.org:3478?transport=udp or stun:192.0.2.1 [default: the
    /// configuration's listeners]
    #[arg(value_name = "URL", value_parser = udp_url)]
    urls: Vec<IceUrl>,
    /// Username for TURN [default: signed with the configuration's secret, else asked of the running
    /// server's /ice]
    #[arg(long, value_name = "U", requires = "password")]
    username: Option<String>,
    /// Password for TURN
    #[arg(long, value_name = "P", requires = "username")]
    password: Option<String>,
    /// Print an array of objects instead of a table
    #[arg(long)]
    json: bool,
}

impl Arguments {
    /// Whether the configuration of this machine has nothing to add.
    pub(super) fn is_self_contained(&self) -> bool {
        let asks_for_a_login = self.urls.iter().any(|url| url.scheme.relays());
        !self.urls.is_empty() && (self.username.is_some() || !asks_for_a_login)
    }
}

/// One row of the report: a URL at one of its addresses.
struct Row {
    url: IceUrl,
    /// `None` if the host has no address.
    address: Option<SocketAddr>,
    findings: Findings,
}

/// Probes and reports.
pub(super) fn run(arguments: Arguments, config: &Config, file: String) -> Result<Outcome, Error> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let json = arguments.json;
    let rows = runtime.block_on(probe(arguments, config, file))?;
    let report = if json { report::json(&rows).map_err(io::Error::from)? } else { report::table(&rows) };
    io::Write::write_all(&mut io::stdout().lock(), report.as_bytes())?;
    let sound = rows.iter().all(|row| row.findings.trouble.is_none());
    Ok(if sound { Outcome::Done } else { Outcome::FaultFound })
}

/// Probes every URL at an address of each family, all at once.
async fn probe(arguments: Arguments, config: &Config, file: String) -> Result<Vec<Row>, Error> {
    let urls = match arguments.urls {
        none if none.is_empty() => listeners(config).await,
        urls => urls,
    };
    if urls.is_empty() {
        return Err(Error::NothingToProbe { file });
    }
    let login = match arguments.username.zip(arguments.password) {
        Some((username, password)) => Some(Ok(Login { username, password })),
        None if urls.iter().any(|url| url.scheme.relays()) => Some(login::of_this_server(config).await),
        None => None,
    };
    let login = &login;
    let rows = urls.into_iter().map(|url| async move {
        match addresses(&url).await {
            Ok(addresses) => {
                join_all(addresses.into_iter().map(|address| row(url.clone(), address, login))).await
            }
            Err(trouble) => vec![Row { url, address: None, findings: trouble.into() }],
        }
    });
    Ok(join_all(rows).await.into_iter().flatten().collect())
}

async fn row(url: IceUrl, address: SocketAddr, login: &Option<Result<Login, Trouble>>) -> Row {
    let login = login.as_ref().filter(|_| url.scheme.relays());
    Row { address: Some(address), findings: client::probe(address, login).await, url }
}

/// The configuration's own listeners, as this machine reaches them.
async fn listeners(config: &Config) -> Vec<IceUrl> {
    let no_ipv6 = config.optional_ipv6 && UdpSocket::bind((Ipv6Addr::LOCALHOST, 0)).await.is_err();
    config
        .listen
        .udp
        .iter()
        // The system chose port 0's port when the server started; only its log knows.
        .filter(|listener| listener.port() != 0 && !(listener.is_ipv6() && no_ipv6))
        .map(|&listener| IceUrl {
            scheme: Scheme::Turn,
            host: interfaces::reachable(listener).ip().to_string(),
            port: listener.port(),
            transport: Transport::Udp,
        })
        .collect()
}

/// The host's first address of each family.
async fn addresses(url: &IceUrl) -> Result<Vec<SocketAddr>, Trouble> {
    let unknown =
        |error: io::Error| Trouble::UnknownHost { host: url.host.clone(), error: error.to_string() };
    let found: Vec<_> = lookup_host((url.host.as_str(), url.port)).await.map_err(unknown)?.collect();
    let first = |v4| found.iter().find(|address| address.is_ipv4() == v4).copied();
    Ok([first(true), first(false)].into_iter().flatten().collect())
}

/// A URL that this probe can follow.
fn udp_url(text: &str) -> Result<IceUrl, String> {
    let url: IceUrl = text.parse().map_err(|error: crate::config::IceUrlError| error.to_string())?;
    if url.scheme.encrypts() || url.transport != Transport::Udp {
        return Err("the probe speaks UDP only, in this version: stun:HOST:PORT or turn:HOST:PORT".to_owned());
    }
    Ok(url)
}
