//! Front door: the page, `/ice` and `/ws` as a visitor's browser requests them, through any proxy.

use std::net::SocketAddr;
use std::time::Duration;

use axum::http::Uri;
use futures_util::future::join;
use tokio::net::lookup_host;
use tokio::time::timeout;

use crate::cli::http_client::{HttpError, get, open_websocket};
use crate::cli::probe::error::ProbeError;
use crate::cli::probe::server_path::ServerPath;
use crate::cli::probe::trust_roots::Trust;
use crate::clock::Clock;
use crate::config::Config;
use crate::diagnosis::clock::Reading;
use crate::diagnosis::{Finding, front_door};
use crate::fault::Fault;
use crate::net::interfaces;
use crate::server::page_url;
use crate::signaling::protocol::SUBPROTOCOL;
use crate::tls::{Certificate, CertificateNames};

use super::names;

/// Longest wait for the resolver.
const PATIENCE: Duration = Duration::from_secs(5);

/// Way to a web server.
pub(super) struct Door {
    /// URL of the page, with a final slash.
    url: String,
    /// Host and port, as `Host` has them.
    authority: String,
    host: String,
    roads: Vec<SocketAddr>,
    is_https: bool,
}

/// Findings, and the dates that the server gave.
pub(super) struct Seen {
    pub(super) findings: Vec<Finding>,
    pub(super) dates: Vec<Reading>,
}

/// Returns the URL of the page as visitors open it.
pub(super) fn page_of(config: &Config, certificate: Option<&Certificate>) -> Option<String> {
    let listen = &config.listen;
    let fixed = |listeners: &[SocketAddr]| -> Vec<SocketAddr> {
        listeners.iter().copied().filter(|listener| listener.port() != 0).collect()
    };
    let (tls, http) = (fixed(&listen.tls), fixed(&listen.http));
    let certified = page_url::names(config, certificate);
    // Without a TLS listener, names under [http] are those of a proxy.
    let proxied = (tls.is_empty() && !http.is_empty())
        .then(|| names::of(config, None).into_iter().next())
        .flatten()
        .map(|name| format!("https://{name}/"));
    proxied.or_else(|| page_url::page(certified.as_ref(), &tls, &http))
}

impl Door {
    /// Resolves the host of a URL. A name that leads to one of this server's own listeners is tried
    /// there too: behind some NATs a machine does not reach itself under its public address.
    pub(super) async fn of(url: &str, listeners: &[SocketAddr]) -> Result<Self, String> {
        let uri: Uri = url.parse().map_err(|_| "write a URL such as https://call.example.org/".to_owned())?;
        let is_https = match uri.scheme_str() {
            Some("https") => true,
            Some("http") => false,
            _ => return Err("write a URL that begins with https:// or http://".to_owned()),
        };
        let host = uri.host().ok_or("the URL has no host")?.trim_matches(['[', ']']).to_owned();
        let port = uri.port_u16().unwrap_or(if is_https { 443 } else { 80 });
        let authority = uri.authority().map(|authority| authority.as_str().to_owned()).unwrap_or_default();
        let scheme = if is_https { "https" } else { "http" };
        let found = match timeout(PATIENCE, lookup_host((host.as_str(), port))).await {
            Ok(found) => found.map_err(|error| format!("{host} does not resolve: {error}"))?.collect(),
            Err(_) => Vec::new(),
        };
        let first = |v4| found.iter().find(|address: &&SocketAddr| address.is_ipv4() == v4).copied();
        let mut roads: Vec<SocketAddr> = first(true).or(first(false)).into_iter().collect();
        let direct = listeners.iter().map(|at| interfaces::reachable(*at)).find(|at| at.port() == port);
        roads.extend(direct.filter(|at| !roads.contains(at)));
        Ok(Self { url: format!("{scheme}://{authority}/"), authority, host, roads, is_https })
    }

    fn road(&self, at: SocketAddr, trust: &Trust) -> Result<ServerPath, ProbeError> {
        match self.is_https {
            true => ServerPath::tls(at, &self.host, &trust.speaking(b"http/1.1")),
            false => Ok(ServerPath::tcp(at)),
        }
    }

    /// Asks for the page, `/ice` and `/ws`.
    pub(super) async fn look(&self, trust: &Trust) -> Seen {
        let mut seen = Seen { findings: Vec::new(), dates: Vec::new() };
        for (at, is_last) in self.roads.iter().zip((1..=self.roads.len()).map(|n| n == self.roads.len())) {
            let page = match self.road(*at, trust) {
                Ok(road) => get(&road, &self.authority, "/", None).await,
                Err(error) => Err(HttpError::Path(error)),
            };
            match page {
                Ok(answer) => {
                    seen.date(&self.authority, answer.date);
                    seen.findings.push(front_door::page(&self.url, &self.host, &answer));
                    return self.look_further(*at, trust, seen).await;
                }
                Err(error) if is_last || !is_unreached(&error) => {
                    seen.findings.push(failed(&format!("page {} at {at}", self.url), &error, None));
                    return seen;
                }
                Err(error) => seen.findings.push(
                    Finding::skipped(
                        format!("page {} by its name's address", self.url),
                        format!("{at} is not reached from this machine itself: {error}"),
                    )
                    .with_remedy(format!("test it from another network: byway probe {}", self.host)),
                ),
            }
        }
        seen
    }

    async fn look_further(&self, at: SocketAddr, trust: &Trust, mut seen: Seen) -> Seen {
        let origin = self.url.trim_end_matches('/');
        let (ice_url, ws_url) =
            (format!("{}ice", self.url), format!("{}ws", self.url.replacen("http", "ws", 1)));
        let ice = async {
            match self.road(at, trust) {
                Ok(road) => get(&road, &self.authority, "/ice", Some(origin)).await,
                Err(error) => Err(HttpError::Path(error)),
            }
        };
        let websocket = async {
            match self.road(at, trust) {
                Ok(road) => open_websocket(&road, &self.authority, "/ws", origin, SUBPROTOCOL).await,
                Err(error) => Err(HttpError::Path(error)),
            }
        };
        let (ice, websocket) = join(ice, websocket).await;
        seen.date(&self.authority, ice.as_ref().ok().and_then(|answer| answer.date));
        seen.findings.push(match ice {
            Ok(answer) => front_door::ice(&ice_url, &self.host, &answer),
            Err(error) => failed(&format!("ICE configuration {ice_url}"), &error, None),
        });
        seen.findings.push(match websocket {
            Ok(opening) => front_door::websocket(&ws_url, &self.host, &opening),
            Err(error) => failed(&format!("signaling {ws_url}"), &error, Some(Fault::ProxyUpgrade)),
        });
        seen
    }
}

impl Seen {
    fn date(&mut self, from: &str, date: Option<u64>) {
        let own = Clock::start().now().unix;
        self.dates.extend(date.map(|other| Reading { from: from.to_owned(), own, other }));
    }
}

/// Returns the date of a web server that the operator named.
pub(super) async fn date_of(url: &str, trust: &Trust) -> Result<Reading, String> {
    let door = Door::of(url, &[]).await?;
    let at = *door.roads.first().ok_or_else(|| format!("{} has no address", door.host))?;
    let road = door.road(at, trust).map_err(|error| error.to_string())?;
    let answer = get(&road, &door.authority, "/", None).await.map_err(|error| error.to_string())?;
    let own = Clock::start().now().unix;
    let other = answer.date.ok_or_else(|| format!("{} gives no date", door.authority))?;
    Ok(Reading { from: door.authority, own, other })
}

/// Whether a certificate has this name, so that a listener of ours may be meant by it.
pub(super) fn is_ours(names: &CertificateNames, url: &str) -> bool {
    let host = url.parse::<Uri>().ok().and_then(|uri| uri.host().and_then(crate::origin::Host::parse));
    host.is_some_and(|host| names.cover(&host))
}

/// Whether nothing answered at an address.
fn is_unreached(error: &HttpError) -> bool {
    use crate::fault::Fault::{NoRoute, NotRunning, TcpBlocked};
    matches!(error, HttpError::Path(error) if matches!(error.fault(), NoRoute | NotRunning | TcpBlocked))
}

fn failed(what: &str, error: &HttpError, odd: Option<Fault>) -> Finding {
    let (fault, remedy) = match error {
        HttpError::Path(error) => (Some(error.fault()), error.remedy()),
        HttpError::Silent => {
            (Some(Fault::TcpBlocked), "find out what keeps the server, or the proxy in front of it, busy")
        }
        HttpError::Odd(_) => (odd, "let the port serve HTTP, or correct the URL: byway doctor --url URL"),
    };
    Finding::failed(fault, format!("{what} is not served"), error.to_string(), remedy)
}
