//! Rules of a relay that may change while it runs.

use std::sync::Arc;
use std::time::Duration;

use ipnet::IpNet;

use super::Settings;
use super::bandwidth::Bandwidth;
use super::peer_policy::PeerPolicy;
use super::quota::Quota;
use crate::address_set::AddressSet;
use crate::auth::{Secrets, StaticUser, StaticUsers};
use crate::prng::Prng;
use crate::rate_limit::KeyedRateLimiter;
use crate::wire::PasswordAlgorithm;

/// Settings of a relay that may change while it runs; see [`super::Shared::set_rules`]. The fields
/// of the same names in [`Settings`] are their first values.
#[derive(Clone, Debug)]
pub struct Rules {
    /// Realm of the long-term credentials (RFC 8489 section 9.2).
    pub realm: String,
    /// Secrets that sign the credentials.
    pub secrets: Secrets,
    /// Users with a password that does not expire.
    pub users: Vec<StaticUser>,
    /// Whether an expired credential also stops working for the allocations that were made with it.
    pub strict_expiry: bool,
    /// Time for which a closed port stays unused.
    pub port_rest: Duration,
    /// Peer networks to allow although they are denied by default.
    pub allow: Vec<IpNet>,
    /// Peer networks to deny, whatever `allow` says.
    pub deny: Vec<IpNet>,
    /// Addresses that are the server's own whatever the machine has.
    pub own: AddressSet,
    /// Limits on allocations, relay ports, bandwidth and unauthenticated requests.
    pub quota: Quota,
}

impl Rules {
    /// Returns the first rules of a relay.
    pub(super) fn of(settings: &Settings) -> Self {
        Self {
            realm: settings.realm.clone(),
            secrets: settings.secrets.clone(),
            users: settings.users.clone(),
            strict_expiry: settings.strict_expiry,
            port_rest: settings.port_rest,
            allow: settings.peer_policy.allow.clone(),
            deny: settings.peer_policy.deny.clone(),
            own: settings.peer_policy.own.clone(),
            quota: settings.quota,
        }
    }
}

/// The rules in the form that requests need. Requests read one consistent state; datagrams of
/// channels never read it.
pub(super) struct Current {
    pub(super) realm: String,
    pub(super) secrets: Secrets,
    pub(super) users: StaticUsers,
    pub(super) strict_expiry: bool,
    pub(super) port_rest: Duration,
    pub(super) unauthenticated: Arc<KeyedRateLimiter>,
    /// Policy for peers, without the listeners, which belong to the machine's addresses.
    pub(super) peers: PeerPolicy,
    quota: Quota,
}

impl Current {
    /// Derives the keys of static users. An unchanged rate limit keeps its charges, which `before`
    /// has.
    pub(super) fn new(rules: Rules, before: Option<&Self>, seed: &[u8; 32]) -> Self {
        let Rules { realm, secrets, users, strict_expiry, port_rest, allow, deny, own, quota } = rules;
        let algorithms = [PasswordAlgorithm::Md5, PasswordAlgorithm::Sha256];
        let users = StaticUsers::derived(&users, |name, password| {
            algorithms.map(|algorithm| algorithm.key(name, &realm, password))
        });
        let per_second = quota.unauthenticated_per_second;
        let known = before.filter(|before| before.quota.unauthenticated_per_second == per_second);
        let unauthenticated = known.map(|before| before.unauthenticated.clone()).unwrap_or_else(|| {
            let key = Prng::new(seed, "strangers").number();
            Arc::new(KeyedRateLimiter::new(per_second, Duration::from_secs(1), key))
        });
        let peers = PeerPolicy { allow, deny, own, listeners: Vec::new() };
        Self { realm, secrets, users, strict_expiry, port_rest, unauthenticated, peers, quota }
    }

    /// Returns the bandwidth cap of a new allocation, if there is one.
    pub(super) fn bandwidth(&self) -> Option<Arc<Bandwidth>> {
        Bandwidth::new(self.quota.bandwidth_per_allocation).map(Arc::new)
    }

    /// Returns the bandwidth cap in bytes per second; 0 = no cap.
    pub(super) fn bytes_per_second(&self) -> u64 {
        self.quota.bandwidth_per_allocation
    }
}
