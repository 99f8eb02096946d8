//! Counters of the TLS port and its certificate.

use std::fmt;

use super::TlsOutcome;
use crate::metrics::{Counters, Family, Page, SharedCount};

/// Counters of the TLS port.
#[derive(Debug, Default)]
pub struct TlsCounters {
    /// Sessions resumed.
    pub resumed: SharedCount,
    /// Expiry of the certificate in use, in seconds since 1970.
    pub expires: SharedCount,
    outcomes: Family<TlsOutcome, SharedCount>,
    loaded: SharedCount,
    not_loaded: SharedCount,
}

impl TlsCounters {
    /// Counts a connection by its outcome.
    pub fn became(&self, outcome: TlsOutcome) {
        self.outcomes[outcome].add(1);
    }

    /// Counts a reload of the certificate, successful or not.
    pub fn loaded(&self, is_good: bool) {
        if is_good { &self.loaded } else { &self.not_loaded }.add(1);
    }
}

impl Counters for TlsCounters {
    fn encode(&self, page: &mut Page<'_>) -> fmt::Result {
        page.family(
            "tls_connections",
            "Connections to the TLS port, by their protocol or the reason for their early end.",
            "outcome",
            |outcome| self.outcomes[outcome].get(),
        )?;
        page.counter("tls_resumptions", "TLS sessions resumed by a ticket.", self.resumed.get())?;
        page.counters(
            "certificate_loads",
            "Reloads of the certificate, by outcome. failed: the last good one is kept.",
            "outcome",
            [("loaded", self.loaded.get()), ("failed", self.not_loaded.get())],
        )?;
        page.gauge(
            "certificate_expiry_timestamp_seconds",
            "When the certificate in use expires, in seconds since 1970.",
            self.expires.get(),
        )
    }
}
