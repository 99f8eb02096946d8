//! Counters of webhooks.

use std::fmt;

use byway_turn::closed_set;

use crate::metrics::{Counters, Family, Page, SharedCount};

closed_set! {
    /// Outcome of one request to the receiver.
    pub enum WebhookOutcome {
        /// 2xx.
        Delivered = "delivered",
        /// 3xx, which is never followed.
        Redirected = "redirected",
        /// 4xx, but for 408, 425 and 429.
        Refused = "refused",
        /// 5xx, 408, 425, 429 or no HTTP at all.
        Failed = "failed",
        /// No connection.
        Unreachable = "unreachable",
        /// No answer in time.
        Late = "late",
    }
}

closed_set! {
    /// Reason to drop a delivery.
    pub enum WebhookDrop {
        /// Too many waited.
        QueueFull = "queue_full",
        /// It failed until it was too old.
        Expired = "expired",
        /// The receiver refused it or redirected.
        Refused = "refused",
        /// A reload switched webhooks off.
        Off = "off",
    }
}

/// Counters of webhooks.
#[derive(Debug, Default)]
pub struct WebhookCounters {
    /// Deliveries that wait.
    pub waiting: SharedCount,
    attempts: Family<WebhookOutcome, SharedCount>,
    dropped: Family<WebhookDrop, SharedCount>,
}

impl WebhookCounters {
    pub(super) fn attempted(&self, outcome: WebhookOutcome) {
        self.attempts[outcome].add(1);
    }

    pub(super) fn dropped(&self, reason: WebhookDrop, deliveries: usize) {
        self.dropped[reason].add(deliveries as u64);
    }

    /// Returns the deliveries that were dropped for any reason.
    pub(super) fn all_dropped(&self) -> u64 {
        use byway_turn::closed_set::ClosedSet as _;
        WebhookDrop::ALL.iter().map(|reason| self.dropped[*reason].get()).sum()
    }
}

impl Counters for WebhookCounters {
    fn encode(&self, page: &mut Page<'_>) -> fmt::Result {
        page.gauge("webhook_deliveries_waiting", "Webhook deliveries that wait.", self.waiting.get())?;
        page.family(
            "webhook_attempts",
            "Requests to the receiver of webhooks, by outcome.",
            "outcome",
            |outcome| self.attempts[outcome].get(),
        )?;
        page.family(
            "webhook_deliveries_dropped",
            "Webhook deliveries that were given up, by reason.",
            "reason",
            |reason| self.dropped[reason].get(),
        )
    }
}
