//! Probe of a site: its page, `/ice`, `/ws` and clock, then the servers that its `/ice` names.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use byway_turn::server::is_special_purpose;
use futures_util::future::join_all;

use crate::cli::http_client::{self, HttpError};
use crate::clock::Clock;
use crate::diagnosis::front_door::{self, Answer, Opening};
use crate::diagnosis::{Finding, State};
use crate::fault::Fault;
use crate::origin::Scheme;
use crate::signaling::protocol::SUBPROTOCOL;

use super::certificate::CertificateFault;
use super::client::RowLogin;
use super::error::ProbeError;
use super::named_servers::{NamedServers, NotAsked};
use super::relay_addresses::RelayAddresses;
use super::server_path::ServerPath;
use super::target::Site;
use super::trust_roots::Trust;
use super::{Asking, PageRow, ProbeOptions, ProbeReport, ProbeTarget, addresses_of, servers};

/// Largest difference of two clocks that does not matter: join tokens have a leeway of half a
/// minute, and the field `Date` has whole seconds.
const CLOCKS_WITHIN: u64 = 60;

/// Probes a site and the servers that it names.
pub(in crate::cli) async fn probe_site(site: &Site, options: &ProbeOptions) -> ProbeReport {
    let found = match addresses_of(&site.host_name(), site.port).await {
        Ok(found) => found,
        Err(error) => {
            let finding = failed(&format!("host {}", site.host_name()), &error);
            return ProbeReport {
                pages: vec![PageRow::new("host", site.to_string(), finding)],
                servers: vec![],
            };
        }
    };
    let trust = options.trust.speaking(b"http/1.1");
    let doors = found.chosen.iter().map(|&address| front_door(site, address, &trust));
    let doors = join_all(doors).await;
    let mut report = ProbeReport::default();
    let mut ice = Ice::Silent;
    for mut door in doors {
        report.pages.append(&mut door.rows);
        ice = ice.or(door.ice);
    }
    super::blame_ipv6_in_pages(&mut report.pages);

    let named = match &ice {
        Ice::Answered(body) => NamedServers::parse(body, site, &found.all),
        Ice::Refused(_) | Ice::Silent => None,
    };
    let has_answer = named.is_some();
    let named = named.unwrap_or_else(|| NamedServers::by_default(site));
    report.pages.extend(named.others.iter().map(|(url, reason)| not_asked(site, url, *reason, &found.all)));
    let login = match (&options.login, named.login) {
        (Some(login), _) => RowLogin::Known(login.clone()),
        (None, Some(login)) => RowLogin::Known(Ok(login)),
        (None, None) => match options.signed(&found.all) {
            Some(login) => RowLogin::Known(Ok(login)),
            None => RowLogin::None(without_login(&ice, has_answer)),
        },
    };
    let known = RelayAddresses::of_host(found.all.clone(), options.relay_addresses.clone());
    let asking = Asking { login: Some(login), trust: &options.trust, turns: &options.turns };
    let targets = named.asked.into_iter().map(|url| {
        // The addresses of the first look-up: a second one could name others.
        let at: Vec<SocketAddr> = match url.host.parse::<IpAddr>() {
            Ok(ip) => vec![SocketAddr::new(ip, url.port)],
            Err(_) => found.chosen.iter().map(|at| SocketAddr::new(at.ip(), url.port)).collect(),
        };
        ProbeTarget { url, at: Some(Ok(at)), known: known.clone(), passed_over: found.passed_over }
    });
    report.servers = servers(targets.collect(), &asking).await;
    report
}

/// Result of `/ice`.
enum Ice {
    Answered(String),
    /// It asks for a join token.
    Refused(String),
    Silent,
}

impl Ice {
    fn or(self, other: Self) -> Self {
        match (&self, &other) {
            (Self::Answered(_), _) | (Self::Refused(_), Self::Silent) => self,
            _ => other,
        }
    }
}

fn without_login(ice: &Ice, has_answer: bool) -> String {
    match ice {
        Ice::Refused(code) => format!("/ice answers {code}"),
        Ice::Answered(_) if has_answer => "/ice names no credential".to_owned(),
        Ice::Answered(_) | Ice::Silent => "/ice gives no credential".to_owned(),
    }
}

/// Rows of one address, and the answer of its `/ice`.
struct Door {
    rows: Vec<PageRow>,
    ice: Ice,
}

/// Asks for the page, `/ice` and `/ws`, as a browser would.
async fn front_door(site: &Site, address: SocketAddr, trust: &Trust) -> Door {
    let path = match site.scheme {
        Scheme::Http => Ok(ServerPath::tcp(address)),
        Scheme::Https => ServerPath::tls(address, &site.host_name(), trust),
    };
    let host = site.host.to_string();
    let row = |what: &'static str, route: &str, finding: Finding, took: Option<Duration>| PageRow {
        address: Some(address),
        took,
        ..PageRow::new(what, format!("{}{}", site.origin(), site.path(route)), finding)
    };
    let path = match path {
        Ok(path) => path,
        Err(error) => {
            return Door { rows: vec![row("page", "/", failed("page", &error), None)], ice: Ice::Silent };
        }
    };
    let clock = Clock::start();
    let (authority, origin) = (site.authority(), site.origin());
    let page = http_client::get(&path, &authority, &site.path("/"), None).await;
    let (page, took) = match page {
        Ok(page) => (page, clock.now().mono),
        Err(error) => {
            let error = clock_of_certificate(site, address, trust, error).await;
            let finding = unanswered(&format!("page {site}"), &error);
            return Door { rows: vec![row("page", "/", finding, None)], ice: Ice::Silent };
        }
    };
    let mut finding = front_door::page(&site.to_string(), &host, &page);
    if (300..400).contains(&page.status) {
        // Where it leads is the server's choice.
        "probe the address that it leads to, if you trust it".clone_into(&mut finding.remedy);
    }
    let mut rows = vec![row("page", "/", finding, Some(took))];

    let started = clock.now().mono;
    let url = format!("{origin}{}", site.path("/ice"));
    let answer =
        http_client::get_with(&path, &authority, &site.path("/ice"), Some(&origin), site.token.as_ref())
            .await;
    let took = clock.now().mono - started;
    let (finding, ice) = match &answer {
        Ok(answer) => (front_door::ice(&url, &host, answer), ice_of(answer)),
        Err(error) => (unanswered(&format!("ICE configuration {url}"), error), Ice::Silent),
    };
    rows.push(row("ice", "/ice", finding, answer.is_ok().then_some(took)));

    let started = clock.now().mono;
    let url = format!("{}{}", origin.replacen("http", "ws", 1), site.path("/ws"));
    let opening =
        http_client::open_websocket(&path, &authority, &site.path("/ws"), &origin, SUBPROTOCOL).await;
    let took = clock.now().mono - started;
    let finding = match &opening {
        Ok(opening) => front_door::websocket(&url, &host, opening),
        Err(error) => unanswered(&format!("signaling {url}"), error),
    };
    let is_open = matches!(opening, Ok(Opening::Open));
    let mut ws = row("ws", "/ws", finding, is_open.then_some(took));
    ws.url = url;
    rows.push(ws);

    if let Some(date) = page.date.or_else(|| answer.as_ref().ok()?.date) {
        rows.push(row("clock", "/", clocks(date, clock.now().unix), None));
    }
    Door { rows, ice }
}

fn ice_of(answer: &Answer) -> Ice {
    match (answer.status, answer.code()) {
        (200, _) => Ice::Answered(answer.body.clone()),
        (status, code) => {
            Ice::Refused(code.map_or_else(|| status.to_string(), |code| format!("{status} {code}")))
        }
    }
}

/// Compares the clock of the page's server with this machine's.
fn clocks(server: u64, here: u64) -> Finding {
    let seconds = server.abs_diff(here);
    if seconds <= CLOCKS_WITHIN {
        return Finding::ok("clock of the page's server", format!("{seconds} s from this machine's"));
    }
    let direction = if server > here { "ahead of" } else { "behind" };
    Finding::failed(
        Fault::ClockOff,
        "the clocks of the server and of this machine differ",
        format!("the server's is {seconds} s {direction} this machine's"),
        "set both clocks: timedatectl set-ntp true",
    )
}

/// Replaces the error of a certificate that is valid by the clock of its server. The server is
/// asked again without trust in its certificate, for its time alone.
async fn clock_of_certificate(
    site: &Site,
    address: SocketAddr,
    trust: &Trust,
    error: HttpError,
) -> HttpError {
    let HttpError::Path(ProbeError::Certificate(fault)) = &error else { return error };
    let (expired, until) = match fault {
        CertificateFault::Expired { since } => (true, since.as_secs()),
        CertificateFault::NotYetValid { until } => (false, until.as_secs()),
        _ => return error,
    };
    let Ok(path) = ServerPath::tls(address, &site.host_name(), &trust.of_any_certificate()) else {
        return error;
    };
    let answer = http_client::get(&path, &site.authority(), &site.path("/"), None).await;
    let Ok(Answer { date: Some(date), .. }) = answer else { return error };
    let here = Clock::start().now().unix;
    let is_valid_there = if expired { date < until } else { date >= until };
    if is_valid_there && date.abs_diff(here) > CLOCKS_WITHIN {
        let seconds = date.abs_diff(here);
        return HttpError::Path(ProbeError::Certificate(CertificateFault::Clock { seconds }));
    }
    error
}

/// Row of a URL that `/ice` names and that was not asked.
fn not_asked(site: &Site, url: &str, reason: NotAsked, host: &[IpAddr]) -> PageRow {
    let what = format!("{url}, which /ice names");
    let finding = match reason {
        NotAsked::Private => Finding::failed(
            Fault::PublicAddressUnset,
            format!("{what}, has a private address, which visitors cannot reach"),
            format!("the page is at {}", public(host)),
            "set relay.public_addresses to the server's public address, or write the URLs into ice.urls, and restart it",
        ),
        NotAsked::OtherHost => Finding::skipped(
            format!("{what}, is another host"),
            format!("nothing was sent there: it is not {}", site.host),
        )
        .with_remedy("probe it by its name: byway probe URL --username U --password P"),
        NotAsked::Unsupported => Finding::skipped(what, "the probe does not support this URL"),
        NotAsked::TooMany => Finding::skipped(what, "more URLs than the probe asks"),
    };
    PageRow::new("other", url.to_owned(), finding)
}

fn public(host: &[IpAddr]) -> String {
    host.iter().find(|ip| !is_special_purpose(**ip)).map(ToString::to_string).unwrap_or_default()
}

/// Finding about an error before any answer.
fn failed(what: &str, error: &ProbeError) -> Finding {
    Finding::failed(error.fault(), what, error.to_string(), error.remedy())
}

fn unanswered(what: &str, error: &HttpError) -> Finding {
    let what = format!("{what} is not served");
    match error {
        HttpError::Path(error) => failed(&what, error),
        HttpError::Odd(_) => Finding::failed(
            Fault::PortTaken,
            what,
            error.to_string(),
            "find the program on that port, or correct the port",
        ),
        HttpError::Silent => Finding::failed(
            Fault::Degraded,
            what,
            error.to_string(),
            "see the log of the server, and of the proxy in front of it",
        ),
    }
}

/// Whether a row failed before the server answered.
pub(super) fn is_unreached(finding: &Finding) -> bool {
    finding.state == State::Failed
        && matches!(
            finding.fault,
            Some(
                Fault::UdpBlocked | Fault::TcpBlocked | Fault::NotRunning | Fault::NoRoute | Fault::Degraded
            )
        )
}
