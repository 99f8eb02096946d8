//! Secrets, revocations and the access policy.

use std::sync::Arc;
use std::time::Duration;

use super::{ServerError, seed};
use crate::access::api_keys::ApiKeys;
use crate::access::tokens::{self, Tokens};
use crate::access::{Access, AccessCounters, IsDraining};
use crate::config::Config;
use crate::http::admin::SigningTags;
use crate::live::Live;
use crate::phase::{Phase, PhaseWatch};
use byway_turn::auth::{Revocations, Secret, Secrets};
use byway_turn::prng::Prng;
use byway_turn::rate_limit::KeyedRateLimiter;

/// Burst of joins per address, as the time in which the rate allows as many.
const JOINS_AT_ONCE: Duration = Duration::from_secs(10);

/// State that the relay, the rooms and the pages share.
pub(super) struct ServerSecrets {
    /// Revoked credentials.
    pub(super) revocations: Arc<Revocations>,
    /// Access checks of rooms and pages.
    pub(super) access: Live<Access>,
    source: SecretSource,
}

/// Source of secrets for a configuration, also for a later one.
#[derive(Clone)]
pub(super) struct SecretSource {
    /// Secrets of credentials and of join tokens, for a configuration that has none. They last as
    /// long as this process.
    random: [[u8; 32]; 2],
    is_draining: IsDraining,
    refusals: Arc<AccessCounters>,
}

impl ServerSecrets {
    pub(super) fn new(config: &Config, phase: PhaseWatch) -> Result<Self, ServerError> {
        if config.credentials.secrets.is_empty() {
            tracing::info!("no secret is configured: credentials are good until this process ends");
        }
        let source = SecretSource {
            random: [seed()?, seed()?],
            is_draining: Arc::new(move || phase.has_reached(Phase::Draining)),
            refusals: Arc::default(),
        };
        let access = Live::new(source.access(config, limiter(config)?));
        Ok(Self { revocations: Arc::new(Revocations::new(&seed()?)), access, source })
    }

    pub(super) fn source(&self) -> SecretSource {
        self.source.clone()
    }
}

impl SecretSource {
    /// The configured secrets, or the random one.
    pub(super) fn secrets(&self, config: &Config) -> Secrets {
        let random = || Secrets::new(&self.random[..1]).expect("one secret is not none");
        Secrets::new(&config.credentials.secrets).unwrap_or_else(random)
    }

    /// Access by a new configuration. An unchanged rate limit keeps its charges.
    pub(super) fn renewed(
        &self,
        config: &Config,
        before: &Access,
        joins_per_second: u32,
    ) -> Result<Access, ServerError> {
        let is_same = config.signaling.joins_per_second == joins_per_second;
        let limiter = if is_same { before.limiter.clone() } else { limiter(config)? };
        Ok(self.access(config, limiter))
    }

    fn access(&self, config: &Config, limiter: Arc<KeyedRateLimiter>) -> Access {
        // Secrets of join tokens: the configured ones, those of the credentials, or the random one.
        let tokens = Tokens::new(&config.tokens, &config.credentials.secrets);
        let random = || Tokens::new(&config.tokens, &self.random[1..]).expect("one secret is not none");
        Access {
            policy: config.ice.access,
            tokens: tokens.unwrap_or_else(random),
            api_keys: ApiKeys::new(&config.ice.api_keys),
            limiter,
            is_draining: self.is_draining.clone(),
            counters: self.refusals.clone(),
        }
    }
}

fn limiter(config: &Config) -> Result<Arc<KeyedRateLimiter>, ServerError> {
    let seed = Prng::new(&seed()?, "joins").number();
    Ok(Arc::new(KeyedRateLimiter::new(config.signaling.joins_per_second, JOINS_AT_ONCE, seed)))
}

/// Tags of every secret of a configuration, by which a command learns whether the running server
/// knows the secret that it signs with. Those that sign come first.
#[must_use]
pub fn signing_tags(config: &Config) -> SigningTags {
    SigningTags {
        credentials: tags(&config.credentials.secrets, &format!("credential {}", config.realm)),
        tokens: tags(token_secrets(&config.tokens, config), &format!("token {}", config.tokens.audience)),
    }
}

fn token_secrets<'a>(tokens: &'a tokens::Settings, config: &'a Config) -> &'a [Secret] {
    if tokens.secrets.is_empty() { &config.credentials.secrets } else { &tokens.secrets }
}

fn tags(secrets: &[Secret], text: &str) -> Vec<String> {
    Secrets::new(secrets).map(|secrets| secrets.tags(text).collect()).unwrap_or_default()
}
