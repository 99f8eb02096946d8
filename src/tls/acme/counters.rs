//! Counters of the ACME client.

use std::fmt;

use super::AcmeOutcome;
use crate::metrics::{Counters, Family, Page, SharedCount};

/// Counters of the ACME client.
#[derive(Debug, Default)]
pub struct AcmeCounters {
    /// Failed attempts since the last certificate.
    pub failures: SharedCount,
    /// Time of the next renewal or attempt, in seconds since 1970; 0 = none.
    pub next: SharedCount,
    outcomes: Family<AcmeOutcome, SharedCount>,
}

impl AcmeCounters {
    /// Counts an attempt by its outcome.
    pub fn attempted(&self, outcome: AcmeOutcome) {
        self.outcomes[outcome].add(1);
        match outcome {
            AcmeOutcome::Issued => self.failures.set(0),
            _ => self.failures.add(1),
        }
    }
}

impl Counters for AcmeCounters {
    fn encode(&self, page: &mut Page<'_>) -> fmt::Result {
        page.family("acme_attempts", "Attempts to get a certificate, by outcome.", "outcome", |outcome| {
            self.outcomes[outcome].get()
        })?;
        page.gauge(
            "acme_failures",
            "Failed attempts since the last certificate was issued.",
            self.failures.get(),
        )?;
        page.gauge(
            "acme_next_attempt_timestamp_seconds",
            "When the certificate is renewed or tried again, in seconds since 1970. 0: ACME is off.",
            self.next.get(),
        )
    }
}
