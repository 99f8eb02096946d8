//! Webhooks: signed HTTP requests to a URL of the operator, one for each begin and end of a room, a
//! membership and an allocation.
//!
//! ```text
//! EventReceiver ──► message ──► Queue ──► sender ──► signature ──► HttpClient ──► receiver
//!                                 ▲          │
//!                                 └──────────┘ outcome: next delivery, or a longer pause
//! ```
//!
//! - `message` writes an event as JSON, `signature` signs it, and `queue` decides what is sent and
//!   when. All three are pure.
//! - [`Webhooks`] runs as a background task. It sends one request at a time, in the order of the
//!   events, so a receiver sees a begin before its end.
//!
//! Events arrive through a bounded channel that no sender waits for, so a receiver that is dead or
//! slow delays nothing else. Its events wait in a bounded queue, and the oldest ones are given up.

mod counters;
mod message;
mod queue;
mod sender;
mod signature;

use byway_turn::auth::Secret;

pub use counters::WebhookCounters;
pub use sender::{WebhookControl, WebhookParts, Webhooks};

/// Settings of the webhooks.
#[derive(Clone, Debug, PartialEq)]
pub struct WebhookSettings {
    /// URL of the receiver. It may hold a token, so errors and logs show its host alone.
    pub url: Secret,
    /// Key of the signatures.
    pub secret: Secret,
    /// Whether a URL without TLS may lead to other machines.
    pub plain_http: bool,
    /// Name of the server in each message.
    pub realm: String,
}
