//! Counters of HTTP connections and responses.

use std::fmt;
use std::sync::Arc;

use byway_turn::closed_set;

use crate::metrics::{Counters, Family, Page, SharedCount};
use crate::net::connection_limit::ConnectionCounters;

/// The first digit of a status.
const CLASSES: [&str; 5] = ["1xx", "2xx", "3xx", "4xx", "5xx"];

closed_set! {
    /// Reasons for which a request is refused by its host.
    pub enum HostRefused {
        /// None, several, or a malformed one.
        Invalid = "invalid",
        /// Another server's.
        Foreign = "foreign",
    }
}

closed_set! {
    /// Reasons for which a request is refused by the origin of its page.
    pub enum OriginRefused {
        /// Another site's, which `signaling.allowed_origins` does not list.
        Foreign = "foreign",
        /// `null`: a sandboxed frame or a file.
        Opaque = "null",
        /// None, but the browser says that another site caused the request.
        CrossSite = "cross_site",
        /// Several, or a malformed one.
        Invalid = "invalid",
    }
}

/// Counters of the HTTP server.
#[derive(Debug, Default)]
pub struct HttpCounters {
    /// Connections, WebSockets among them.
    pub connections: Arc<ConnectionCounters>,
    /// Credentials handed out.
    pub credentials: SharedCount,
    hosts_refused: Family<HostRefused, SharedCount>,
    origins_refused: Family<OriginRefused, SharedCount>,
    responses: [SharedCount; CLASSES.len()],
}

impl HttpCounters {
    /// Counts a response with this status.
    pub fn responded(&self, status: u16) {
        if let Some(count) = usize::from(status / 100).checked_sub(1).and_then(|i| self.responses.get(i)) {
            count.add(1);
        }
    }

    /// Counts a request that was refused by its host.
    pub fn host_refused(&self, reason: HostRefused) {
        self.hosts_refused[reason].add(1);
    }

    /// Counts a request that was refused by its origin.
    pub fn origin_refused(&self, reason: OriginRefused) {
        self.origins_refused[reason].add(1);
    }
}

impl Counters for HttpCounters {
    fn encode(&self, page: &mut Page<'_>) -> fmt::Result {
        page.gauge(
            "http_connections",
            "Open HTTP connections, with those that became WebSockets and all to the TLS port but TURN.",
            self.connections.open.get(),
        )?;
        page.counters(
            "http_connections_refused",
            "Connections refused to HTTP and the TLS port, by the limit reached.",
            "limit",
            self.connections.refused(),
        )?;
        page.counters(
            "http_connections_ended",
            "HTTP connections and WebSockets that the server ended for what their client did, by reason.",
            "reason",
            self.connections.ended_by(),
        )?;
        page.counters(
            "http_responses",
            "HTTP responses, by the class of their status.",
            "class",
            std::array::from_fn::<_, 5, _>(|i| (CLASSES[i], self.responses[i].get())),
        )?;
        page.family(
            "http_hosts_refused",
            "HTTP requests refused by the host that they were for. foreign: none of this server's names.",
            "reason",
            |reason| self.hosts_refused[reason].get(),
        )?;
        page.family(
            "http_origins_refused",
            "HTTP requests refused by the origin of their page. foreign: not in signaling.allowed_origins, \
             or a proxy replaces the Host.",
            "reason",
            |reason| self.origins_refused[reason].get(),
        )?;
        page.counter(
            "credentials_issued",
            "Credentials handed out by /ice and /turn.",
            self.credentials.get(),
        )
    }
}
