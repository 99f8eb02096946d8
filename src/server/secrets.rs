//! By what the server knows whom it may serve.

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

/// What an address may join at once is what it may in this time.
const JOINS_AT_ONCE: Duration = Duration::from_secs(10);

/// Shared by the relay, the rooms and the pages.
pub(super) struct ServerSecrets {
    /// They sign credentials.
    pub(super) secrets: Secrets,
    /// Whose credentials are good.
    pub(super) revocations: Arc<Revocations>,
    /// Gatekeeper of rooms and pages.
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

/// The configured secrets, or one that lives as long as this process.
fn secrets(config: &Config) -> Result<Secrets, ServerError> {
    if let Some(secrets) = Secrets::new(&config.credentials.secrets) {
        return Ok(secrets);
    }
    tracing::info!("no secret is configured: credentials are good until this process ends");
    Ok(Secrets::new(&[seed()?]).expect("one secret is not none"))
}

/// Who signs join tokens: configured secrets, those of the credentials, or one that lives as long
/// as this process.
fn tokens(config: &Config) -> Result<Tokens, ServerError> {
    if let Some(tokens) = Tokens::new(&config.tokens, &config.credentials.secrets) {
        return Ok(tokens);
    }
    Ok(Tokens::new(&config.tokens, &[seed()?]).expect("one secret is not none"))
}
