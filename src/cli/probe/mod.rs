//! `byway probe`: an independent client that reports how a browser would fare, with remedies.
//!
//! The client is `turn::client`. It shares only the framing in a stream with the server.
//!
//! A hostile server can neither delay a probe beyond its deadlines, nor make it read without bound,
//! nor choose an address to which it sends: the addresses are those of the host that the user named
//! ([`relay_addresses`], [`named_servers`]).

mod certificate;
mod chain;
mod client;
pub(super) mod credentials;
mod data;
mod datagram;
pub(super) mod error;
mod family;
pub(super) mod local_config;
mod named_servers;
mod reason;
pub(super) mod relay_addresses;
mod remedy;
mod report;
pub(super) mod server_path;
mod site;
mod stream;
pub(super) mod target;
pub(super) mod trust_roots;
mod verdict;

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::Duration;

use byway_turn::auth::{Secret, Secrets};
use futures_util::future::join_all;
use tokio::net::lookup_host;
use tokio::sync::Semaphore;
use tokio::time::timeout;

use crate::config::{Config, IceUrl};
use crate::diagnosis::Finding;
use crate::net::interfaces;

use super::{CliError, CommandOutcome};
use client::{Findings, RowLogin};
use credentials::Login;
use error::ProbeError;
use relay_addresses::RelayAddresses;
use server_path::ServerPath;
pub(super) use site::probe_site;
use target::Target;
use trust_roots::Trust;

/// Deadline of each step. A dead server is reported after the first one.
const PATIENCE: Duration = Duration::from_secs(3);

/// Deadline of all steps of a row, and of the look-up of a name.
const ROW_WITHIN: Duration = Duration::from_secs(40);
const LOOK_UP_WITHIN: Duration = Duration::from_secs(10);

/// Maximum number of rows with allocations at one time, two each. That is half of Byway's default
/// quota of one user, so that a probe of many URLs is not rejected.
const AT_ONCE: usize = 4;

/// Semaphore that limits rows with allocations.
type Turns = Semaphore;

#[derive(Debug, clap::Args)]
pub(super) struct ProbeArguments {
    /// Hosts to probe whole, such as call.example.org, or the URL of a page or an invitation: page,
    /// /ice, /ws, and STUN and TURN as /ice names them, else at the default ports. A STUN or TURN
    /// URL, such as turn:example.org:3478?transport=tcp or stun:192.0.2.1, probes that alone
    /// [default: the configuration's listeners]
    #[arg(value_name = "HOST or URL", value_parser = target::target)]
    targets: Vec<Target>,
    /// TURN username [default: issued by the host's /ice; or signed with the configuration's
    /// secret, else issued by the running server's /ice]
    #[arg(long, value_name = "U", requires = "password")]
    username: Option<String>,
    /// TURN password
    #[arg(long, value_name = "P", requires = "username")]
    password: Option<Secret>,
    /// Address that the relay has besides those of its host. Data is sent there to check it
    #[arg(long = "relay-address", value_name = "ADDRESS")]
    relay_addresses: Vec<IpAddr>,
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
        Self {
            targets: Vec::new(),
            username: None,
            password: None,
            relay_addresses: Vec::new(),
            ca,
            json: false,
        }
    }

    /// Whether the probe needs nothing from this machine's configuration.
    pub(super) fn is_self_contained(&self) -> bool {
        let asks_for_a_login = |target: &Target| matches!(target, Target::Server(url) if url.scheme.relays());
        !self.targets.is_empty() && (self.username.is_some() || !self.targets.iter().any(asks_for_a_login))
    }

    /// Whether a configuration that this user may read helps, and is not needed otherwise.
    pub(super) fn may_use_configuration(&self) -> bool {
        let is_site = |target: &Target| matches!(target, Target::Site(_));
        self.username.is_none() && self.targets.iter().any(is_site)
    }
}

/// Target of a probe: a URL, and how to reach it.
pub(super) struct ProbeTarget {
    pub(super) url: IceUrl,
    /// Addresses to use instead of the host's own addresses.
    pub(super) at: Option<Result<Vec<SocketAddr>, ProbeError>>,
    /// Addresses that its relay may have.
    pub(super) known: RelayAddresses,
    /// Address that was skipped because this machine lacks that IP version.
    pub(super) passed_over: Option<SocketAddr>,
}

/// Options of a probe.
pub(super) struct ProbeOptions {
    /// Login for every relay; without one, that of a site's `/ice`.
    pub(super) login: Option<Result<Login, ProbeError>>,
    pub(super) trust: Trust,
    /// Addresses that relays may have besides those of their hosts.
    pub(super) relay_addresses: Vec<IpAddr>,
    /// Secrets of this machine's server, for a site that is on this machine; and the addresses that
    /// others know it by.
    pub(super) own: Option<(Secrets, Vec<IpAddr>)>,
    turns: Turns,
}

impl ProbeOptions {
    pub(super) fn new(trust: Trust) -> Self {
        let turns = Turns::new(AT_ONCE);
        Self { login: None, trust, relay_addresses: Vec::new(), own: None, turns }
    }

    /// Signs a login with this machine's secret, if a site's addresses are this machine's.
    fn signed(&self, site: &[IpAddr]) -> Option<Login> {
        let (secrets, public) = self.own.as_ref()?;
        site.iter().any(|ip| public.contains(ip) || interfaces::has(*ip)).then(|| credentials::sign(secrets))
    }
}

/// Context that all rows share.
struct Asking<'a> {
    login: Option<RowLogin>,
    trust: &'a Trust,
    turns: &'a Turns,
}

/// Row of the report: a URL at one of its addresses.
pub(super) struct Row {
    url: IceUrl,
    /// Address that was probed; `None` if none is known.
    address: Option<SocketAddr>,
    /// Address of the host that was skipped because this machine lacks that IP version.
    passed_over: Option<SocketAddr>,
    findings: Findings,
}

/// Row of what a site serves over HTTP.
pub(super) struct PageRow {
    /// Part: `host`, `page`, `ice`, `ws`, `clock` or `other`.
    what: &'static str,
    url: String,
    address: Option<SocketAddr>,
    /// Time from the first packet of the connection to the end of the answer.
    took: Option<Duration>,
    finding: Finding,
}

impl PageRow {
    fn new(what: &'static str, url: String, finding: Finding) -> Self {
        Self { what, url, address: None, took: None, finding }
    }
}

/// Result of a probe.
#[derive(Default)]
pub(super) struct ProbeReport {
    /// Rows of the sites.
    pages: Vec<PageRow>,
    /// Rows of STUN and TURN servers.
    servers: Vec<Row>,
}

impl ProbeReport {
    /// Returns every row as a finding.
    pub(super) fn findings(&self) -> Vec<Finding> {
        let pages = self.pages.iter().map(|row| row.finding.clone());
        pages.chain(self.servers.iter().map(Row::finding)).collect()
    }
}

/// Probes and reports.
pub(super) fn run(
    arguments: ProbeArguments,
    config: &Config,
    file: String,
) -> Result<CommandOutcome, CliError> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let (json, own) = (arguments.json, arguments.targets.is_empty());
    let report = runtime.block_on(probe(arguments, config, file));
    // A name server that does not answer keeps the thread of its look-up.
    runtime.shutdown_background();
    let report = report?;
    let text = if json {
        report::json(&report).map_err(io::Error::from)?
    } else {
        let pages = report::pages(&report.pages);
        format!("{pages}{}\n{}", report::table(&report.servers), verdict::sentences(&report, own))
    };
    super::print(&text)?;
    let has_failure = report.findings().iter().any(Finding::is_failure);
    Ok(if has_failure { CommandOutcome::FaultFound } else { CommandOutcome::Done })
}

/// Probes this machine's own listeners, for `byway doctor`.
pub(super) async fn findings_of_this_machine(config: &Config, ca: Option<&Path>) -> Vec<Finding> {
    let arguments = ProbeArguments::of_this_machine(ca.map(Path::to_owned));
    match probe(arguments, config, String::new()).await {
        Ok(report) => report.findings(),
        Err(error) => vec![Finding::skipped("STUN and TURN", error.to_string())],
    }
}

/// Probes every target at one address per family, all concurrently.
async fn probe(arguments: ProbeArguments, config: &Config, file: String) -> Result<ProbeReport, CliError> {
    let mut options = ProbeOptions::new(Trust::load(arguments.ca.as_deref())?);
    options.login = arguments
        .username
        .zip(arguments.password)
        .map(|(username, password)| Ok(Login { username, password }));
    options.relay_addresses = arguments.relay_addresses;
    options.own = Secrets::new(&config.credentials.secrets)
        .map(|secrets| (secrets, config.relay.public_addresses.clone()));
    let (mut targets, mut sites) = (Vec::new(), Vec::new());
    if arguments.targets.is_empty() {
        targets = local_config::targets(config).await;
        if targets.is_empty() {
            return Err(CliError::NothingToProbe { file });
        }
    }
    for target in arguments.targets {
        match target {
            Target::Site(site) => sites.push(site),
            Target::Server(url) => targets.push(ProbeTarget {
                url,
                at: None,
                known: RelayAddresses::of_host(Vec::new(), options.relay_addresses.clone()),
                passed_over: None,
            }),
        }
    }
    let mut report = ProbeReport::default();
    for site in join_all(sites.iter().map(|site| probe_site(site, &options))).await {
        report.pages.extend(site.pages);
        report.servers.extend(site.servers);
    }
    report.servers.extend(probe_servers(targets, config, &options).await.servers);
    Ok(report)
}

/// Probes STUN and TURN servers, with the login of the options or of this machine's server.
pub(super) async fn probe_servers(
    targets: Vec<ProbeTarget>,
    config: &Config,
    options: &ProbeOptions,
) -> ProbeReport {
    let login = match &options.login {
        Some(login) => Some(login.clone()),
        None if targets.iter().any(|target| target.url.scheme.relays()) => {
            Some(credentials::of_this_server(config, &options.trust).await)
        }
        None => None,
    };
    let login = login.map(RowLogin::Known);
    let asking = Asking { login, trust: &options.trust, turns: &options.turns };
    ProbeReport { pages: Vec::new(), servers: servers(targets, &asking).await }
}

async fn servers(targets: Vec<ProbeTarget>, asking: &Asking<'_>) -> Vec<Row> {
    let rows = targets.into_iter().map(|ProbeTarget { url, at, mut known, mut passed_over }| async move {
        let addresses = match at {
            Some(at) => at,
            None => addresses_of(&url.host, url.port).await.map(|found| {
                passed_over = found.passed_over;
                known.host = found.all;
                found.chosen
            }),
        };
        match addresses {
            Ok(addresses) => {
                let row = |address| row(&url, address, passed_over, &known, asking);
                join_all(addresses.into_iter().map(row)).await
            }
            Err(trouble) => vec![Row { url, address: None, passed_over: None, findings: trouble.into() }],
        }
    });
    let mut rows: Vec<Row> = join_all(rows).await.into_iter().flatten().collect();
    blame_ipv6(&mut rows);
    rows
}

async fn row(
    url: &IceUrl,
    address: SocketAddr,
    passed_over: Option<SocketAddr>,
    known: &RelayAddresses,
    asking: &Asking<'_>,
) -> Row {
    let login = asking.login.as_ref().filter(|_| url.scheme.relays());
    let findings = match ServerPath::of(url, address, asking.trust) {
        Ok(road) => client::probe(&road, login, known, asking.turns).await,
        Err(trouble) => trouble.into(),
    };
    Row { url: url.clone(), address: Some(address), passed_over, findings }
}

/// Names IPv6 as the cause where the same URL works over IPv4 and nothing answers over IPv6.
fn blame_ipv6(rows: &mut [Row]) {
    let works: Vec<IceUrl> = rows
        .iter()
        .filter(|row| row.address.is_some_and(|at| at.is_ipv4()) && row.findings.binding.is_some())
        .map(|row| row.url.clone())
        .collect();
    for row in rows {
        let is_silent = row.address.is_some_and(|at| at.is_ipv6()) && row.findings.binding.is_none();
        if is_silent
            && works.contains(&row.url)
            && let Some(trouble) = row.findings.trouble.take()
        {
            row.findings.trouble = Some(ProbeError::Ipv6(Box::new(trouble)));
        }
    }
}

/// The same for pages.
fn blame_ipv6_in_pages(rows: &mut [PageRow]) {
    let works = |what: &str, rows: &[PageRow]| {
        rows.iter().any(|row| {
            row.what == what && row.address.is_some_and(|at| at.is_ipv4()) && !row.finding.is_failure()
        })
    };
    for index in 0..rows.len() {
        let row = &rows[index];
        let is_ipv6 = row.address.is_some_and(|at| at.is_ipv6());
        if is_ipv6 && site::is_unreached(&row.finding) && works(row.what, rows) {
            let finding = &mut rows[index].finding;
            finding.fault = Some(crate::fault::Fault::Ipv6Broken);
            finding.evidence += ", while IPv4 works";
            finding.remedy = ProbeError::IPV6_REMEDY.to_owned();
        }
    }
}

/// Addresses of a host.
pub(super) struct HostAddresses {
    /// All of them.
    pub(super) all: Vec<IpAddr>,
    /// The first of each family that this machine has a route to.
    pub(super) chosen: Vec<SocketAddr>,
    /// The address of the other family, which browsers skip as well.
    pub(super) passed_over: Option<SocketAddr>,
}

/// Returns the first address of each family, since each may have its own firewall. If this machine
/// has a route to one of the two only, the other is passed over.
pub(super) async fn addresses_of(host: &str, port: u16) -> Result<HostAddresses, ProbeError> {
    let unknown = |error: &dyn std::fmt::Display| ProbeError::UnknownHost {
        host: host.to_owned(),
        error: error.to_string(),
    };
    let found = timeout(LOOK_UP_WITHIN, lookup_host((host, port))).await;
    let found = found.map_err(|_| unknown(&"no answer from the name server"))?;
    let found: Vec<_> = found.map_err(|error| unknown(&error))?.collect();
    let all = found.iter().map(SocketAddr::ip).collect();
    let first = |v4| found.iter().find(|address| address.is_ipv4() == v4).copied();
    let (Some(v4), Some(v6)) = (first(true), first(false)) else {
        let chosen: Vec<_> = first(true).or_else(|| first(false)).into_iter().collect();
        return if chosen.is_empty() {
            Err(unknown(&"no address"))
        } else {
            Ok(HostAddresses { all, chosen, passed_over: None })
        };
    };
    let (chosen, passed_over) = match (server_path::connected(v4).await, server_path::connected(v6).await) {
        (Ok(_), Err(_)) => (vec![v4], Some(v6)),
        (Err(_), Ok(_)) => (vec![v6], Some(v4)),
        _ => (vec![v4, v6], None),
    };
    Ok(HostAddresses { all, chosen, passed_over })
}

/// Parses a URL that this client supports.
pub(super) fn url(text: &str) -> Result<IceUrl, String> {
    target::url(text).map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fault::Fault;
    use error::Step;
    use server_path::Over;

    fn row(url: &str, address: &str, findings: Findings) -> Row {
        Row {
            url: url.parse().unwrap(),
            address: Some(address.parse().unwrap()),
            passed_over: None,
            findings,
        }
    }

    fn answered() -> Findings {
        let mapped = "192.0.2.1:1".parse().unwrap();
        Findings { binding: Some((mapped, Duration::ZERO)), ..Findings::default() }
    }

    fn silent() -> Findings {
        ProbeError::Silent { step: Step::Binding, over: Over::Udp }.into()
    }

    #[test]
    fn ipv6_is_to_blame_only_where_ipv4_works() {
        const V4: &str = "192.0.2.10:3478";
        const V6: &str = "[2001:db8::10]:3478";
        let mut rows = [
            row("turn:a.example", V4, answered()),
            row("turn:a.example", V6, silent()),
            row("stun:a.example", V4, silent()),
            row("stun:a.example", V6, silent()),
        ];
        blame_ipv6(&mut rows);
        let faults = rows.iter().map(|row| row.finding().fault);
        let expected = [None, Some(Fault::Ipv6Broken), Some(Fault::UdpBlocked), Some(Fault::UdpBlocked)];
        assert!(faults.eq(expected), "{:?}", rows.map(|row| row.finding()));

        let page = |address: &str, finding| PageRow {
            address: Some(address.parse().unwrap()),
            ..PageRow::new("page", "https://a.example/".to_owned(), finding)
        };
        let closed =
            || Finding::failed(Fault::TcpBlocked, "page", "no answer to a TCP connection", "allow TCP");
        let mut rows = [page(V4, Finding::ok("page", "served")), page(V6, closed())];
        blame_ipv6_in_pages(&mut rows);
        assert_eq!(rows[1].finding.fault, Some(Fault::Ipv6Broken));
        assert_eq!(rows[1].finding.evidence, "no answer to a TCP connection, while IPv4 works");
        let mut rows = [page(V4, closed()), page(V6, closed())];
        blame_ipv6_in_pages(&mut rows);
        assert_eq!(rows[1].finding.fault, Some(Fault::TcpBlocked));
    }

    #[test]
    fn a_relay_that_was_not_asked_for_is_not_shown_as_sound() {
        let findings = Findings { without_login: Some("/ice answers 401".to_owned()), ..answered() };
        let finding = row("turn:a.example", "192.0.2.10:3478", findings).finding();
        assert_eq!(finding.state, crate::diagnosis::State::Warning);
        assert!(!finding.remedy.is_empty());
    }
}
