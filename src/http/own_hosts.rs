//! Hosts that this server answers for: the defence against DNS rebinding.
//!
//! An attacker can point the name of its page to this server. The browser then treats both as one
//! origin, and the page can read every answer. Only the `Host` shows the difference. So each
//! request, on the public and on the admin listeners, must name one of the server's own hosts:
//!
//! - a name of the present certificate, of `[ice] urls` or of `[http] hosts`;
//! - an IP address of an interface, a listener, the relay or the configuration, or loopback;
//! - `localhost` and the names below it, which cannot be registered (RFC 6761 section 6.3).

use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::{Request, State};
use axum::http::header;
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};

use super::counters::{HostRefused, HttpCounters};
use super::problem::{Code, Problem};
use super::remarks::Remarks;
use super::target::{Target, single};
use crate::clock::Clock;
use crate::live::Live;
use crate::origin::{Host, HostPattern, Origin};
use crate::tls::CertificateNames;

/// Refusals are logged once in this time each, and no more than [`MAX_LOGGED`] of a kind.
const LOGGED_FOR: Duration = Duration::from_secs(3_600);

/// The client writes the name, so the log takes few of them.
const MAX_LOGGED: usize = 4;

/// The hosts that requests may be for.
pub struct OwnHosts {
    configured: Live<Vec<HostPattern>>,
    certified: Live<Vec<HostPattern>>,
    is_own_address: Box<dyn Fn(IpAddr) -> bool + Send + Sync>,
    clock: Clock,
    counters: Arc<HttpCounters>,
    foreign: Remarks<Host>,
    nameless: Remarks<()>,
    origins: Remarks<Origin>,
}

impl OwnHosts {
    /// The `configured` hosts, and the addresses of this machine, which `is_own_address` knows at
    /// any moment.
    #[must_use]
    pub fn new(
        configured: Vec<HostPattern>,
        is_own_address: impl Fn(IpAddr) -> bool + Send + Sync + 'static,
        clock: Clock,
        counters: Arc<HttpCounters>,
    ) -> Self {
        Self {
            configured: Live::new(configured),
            certified: Live::default(),
            is_own_address: Box::new(is_own_address),
            clock,
            counters,
            foreign: Remarks::new(MAX_LOGGED, LOGGED_FOR),
            nameless: Remarks::new(1, LOGGED_FOR),
            origins: Remarks::new(MAX_LOGGED, LOGGED_FOR),
        }
    }

    /// Takes in the names of the certificate at present, in place of those of the last one.
    pub fn certified_for(&self, names: &CertificateNames) {
        self.certified.store(names.patterns().collect());
    }

    /// Takes in the configured names, in place of the former ones.
    pub fn configure(&self, configured: Vec<HostPattern>) {
        self.configured.store(configured);
    }

    /// Whether this host is one of the server's own.
    #[must_use]
    pub fn contain(&self, host: &Host) -> bool {
        let host = match host {
            Host::Ip(ip) => {
                let ip = ip.to_canonical();
                if !ip.is_unspecified() && (ip.is_loopback() || (self.is_own_address)(ip)) {
                    return true;
                }
                Host::Ip(ip)
            }
            // A final dot says that the name is complete (RFC 1034 section 3.1).
            Host::Name(name) => {
                let name = name.strip_suffix('.').unwrap_or(name);
                let within = name.strip_suffix("localhost").and_then(|labels| labels.strip_suffix('.'));
                if name == "localhost" || within.is_some_and(|labels| !labels.is_empty()) {
                    return true;
                }
                Host::Name(name.to_owned())
            }
        };
        let has = |names: &Live<Vec<HostPattern>>| names.load().iter().any(|name| name.matches(&host));
        has(&self.configured) || has(&self.certified)
    }

    /// Returns the target of a request, if the host is one of the server's own.
    fn judge(&self, request: &Request) -> Result<Target, Problem> {
        let target = Target::of(request.uri(), request.headers()).inspect_err(|_| {
            self.counters.host_refused(HostRefused::Invalid);
            self.log_nameless();
        })?;
        if self.contain(target.host()) {
            return Ok(target);
        }
        self.counters.host_refused(HostRefused::Foreign);
        self.log(target.host());
        Err(Code::HostRefused.into())
    }

    fn log(&self, host: &Host) {
        if self.foreign.is_new(self.clock.now().mono, host) {
            tracing::warn!(
                "refused a request for the host {host}, which is none of this server's names: if it is meant to be one, \
                 list it in `hosts` under [http]"
            );
        }
    }

    fn log_nameless(&self) {
        if self.nameless.is_new(self.clock.now().mono, &()) {
            tracing::warn!(
                "refused a request without one well-formed Host: if it came by a reverse proxy, {PASS_ON}"
            );
        }
    }

    fn log_origin(&self, origin: &Origin, host: &Host) {
        if self.origins.is_new(self.clock.now().mono, origin) {
            tracing::warn!(
                "refused a page of {origin}, which asked for the host {host}: if it is this server's own page, {PASS_ON}; \
                 if it may use this server, list it in `allowed_origins` under [signaling]"
            );
        }
    }
}

/// Remedy for a proxy that hides the name of this server.
const PASS_ON: &str = "have the proxy pass on the Host that the browser asked for, as with nginx's `proxy_set_header Host $http_host;`";

impl fmt::Debug for OwnHosts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { configured, certified, .. } = self;
        f.debug_struct("OwnHosts")
            .field("configured", configured)
            .field("certified", certified)
            .finish_non_exhaustive()
    }
}

/// Lets a request through to its route with its [`Target`], or refuses it.
pub(super) async fn check(State(own): State<Arc<OwnHosts>>, mut request: Request, next: Next) -> Response {
    match own.judge(&request) {
        Ok(target) => {
            let host = target.host().clone();
            let origin = single(request.headers(), &header::ORIGIN).and_then(|origin| origin.parse().ok());
            request.extensions_mut().insert(target);
            let response = next.run(request).await;
            let is_refused = |problem: &Problem| problem.is(Code::OriginRefused);
            if let Some(origin) = origin.filter(|_| response.extensions().get().is_some_and(is_refused)) {
                own.log_origin(&origin, &host);
            }
            response
        }
        Err(problem) => problem.into_response(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tls::Name;

    fn own() -> OwnHosts {
        let configured = ["turn.example.org", "*.calls.example.org", "203.0.113.10"];
        let configured = configured.map(|host| HostPattern::parse(host).unwrap()).to_vec();
        let is_own_address =
            |ip: IpAddr| ["192.0.2.7", "2001:db8::7", "0.0.0.0"].map(|own| own.parse()).contains(&Ok(ip));
        OwnHosts::new(configured, is_own_address, Clock::start(), Arc::default())
    }

    fn contains(own: &OwnHosts, host: &str) -> bool {
        own.contain(&Host::parse(host).unwrap())
    }

    #[test]
    fn threat_33_own_hosts_are_those_configured_and_our_addresses() {
        let own = own();
        for host in [
            "turn.example.org",
            "TURN.example.org:443",
            "turn.example.org.",
            "eu.calls.example.org",
            "203.0.113.10",
            "192.0.2.7:8080",
            "[2001:db8::7]",
            "[::ffff:192.0.2.7]",
            "127.0.0.1",
            "127.0.0.2",
            "[::1]",
            "[::ffff:127.0.0.1]",
            "localhost",
            "LOCALHOST:8080",
            "app.localhost",
        ] {
            assert!(contains(&own, host), "{host}");
        }
        for host in [
            "attacker.example",
            "example.org",
            "turn.example.org.attacker.example",
            "xturn.example.org",
            "a.turn.example.org",
            "a.eu.calls.example.org",
            "calls.example.org",
            "localhost.attacker.example",
            "xlocalhost",
            "192.0.2.8",
            "0.0.0.0",
            "[::]",
            "2130706433",
            "0x7f.0.0.1",
        ] {
            assert!(!contains(&own, host), "{host}");
        }
    }

    #[test]
    fn threat_33_names_follow_the_certificate() {
        let own = own();
        assert!(!contains(&own, "call.example.org"));
        let names = |list: &[&str]| list.iter().map(|name| name.parse::<Name>().unwrap()).collect();
        own.certified_for(&names(&["call.example.org", "*.eu.example.org", "198.51.100.1", "2001:db8::9"]));
        for host in ["call.example.org", "a.eu.example.org", "198.51.100.1", "[2001:db8::9]"] {
            assert!(contains(&own, host), "{host}");
        }
        own.certified_for(&names(&["call.example.net"]));
        assert!(contains(&own, "call.example.net") && !contains(&own, "call.example.org"));
        assert!(contains(&own, "turn.example.org"), "what is configured stays");
    }
}
