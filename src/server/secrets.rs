//! Secrets, revocations and the access policy.

use std::sync::Arc;
use std::time::Duration;

use super::{ServerError, seed};
use crate::access::Access;
use crate::access::api_keys::ApiKeys;
use crate::access::tokens::Tokens;
use crate::config::Config;
use crate::phase::{Phase, PhaseWatch};
use byway_turn::auth::Revocations;
use byway_turn::auth::Secrets;
use byway_turn::prng::Prng;
use byway_turn::rate_limit::KeyedRateLimiter;

/// Burst of joins per address, as the time in which the rate allows as many.
const JOINS_AT_ONCE: Duration = Duration::from_secs(10);

/// State that the relay, the rooms and the pages share.
pub(super) struct ServerSecrets {
    /// Secrets that sign credentials.
    pub(super) secrets: Secrets,
    /// Revoked credentials.
    pub(super) revocations: Arc<Revocations>,
    /// Access checks of rooms and pages.
    pub(super) access: Arc<Access>,
}

impl ServerSecrets {
    pub(super) fn new(config: &Config, phase: PhaseWatch) -> Result<Self, ServerError> {
        let limiter = KeyedRateLimiter::new(
            config.signaling.joins_per_second,
            JOINS_AT_ONCE,
            Prng::new(&seed()?, "joins").number(),
        );
        let access = Access {
            policy: config.ice.access,
            tokens: tokens(config)?,
            api_keys: ApiKeys::new(&config.ice.api_keys),
            limiter,
            is_draining: Box::new(move || phase.has_reached(Phase::Draining)),
        };
        Ok(Self {
            secrets: secrets(config)?,
            revocations: Arc::new(Revocations::new(&seed()?)),
            access: Arc::new(access),
        })
    }
}

/// The configured secrets, or a random one that lasts as long as this process.
fn secrets(config: &Config) -> Result<Secrets, ServerError> {
    if let Some(secrets) = Secrets::new(&config.credentials.secrets) {
        return Ok(secrets);
    }
    tracing::info!("no secret is configured: credentials are good until this process ends");
    Ok(Secrets::new(&[seed()?]).expect("one secret is not none"))
}

/// Secrets of join tokens: the configured ones, those of the credentials, or a random one that
/// lasts as long as this process.
fn tokens(config: &Config) -> Result<Tokens, ServerError> {
    if let Some(tokens) = Tokens::new(&config.tokens, &config.credentials.secrets) {
        return Ok(tokens);
    }
    Ok(Tokens::new(&config.tokens, &[seed()?]).expect("one secret is not none"))
}
