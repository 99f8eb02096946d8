//! ICE configuration for browsers: STUN and TURN URLs, a credential, and its lifetime.
//!
//! Pure. `/ice`, `/turn` and the signaling all use [`IceServers`], so that they cannot disagree.

mod date;
mod endpoints;
mod label;

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use byway_turn::auth::{Credential, MAX_TTL, Secrets};
use byway_turn::time::Now;
use schemars::JsonSchema;
use serde::Serialize;

use crate::access::Policy;
use crate::tls::CertificateNames;

pub use date::{LATEST as LATEST_DATE, imf_fixdate, rfc2822, rfc3339};
pub use endpoints::Endpoints;

pub use crate::origin::Host;

/// `RTCIceTransportPolicy` of the answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum TransportPolicy {
    /// Direct if possible, else relayed.
    All,
    /// Relayed only.
    Relay,
}

/// An `RTCConfiguration` that goes into `new RTCPeerConnection(...)` as it is, plus its lifetime.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct IceConfiguration {
    /// STUN without, TURN with a credential; an entry without URLs is left out.
    pub ice_servers: Vec<IceServer>,
    /// Whether the page may also try direct roads.
    pub ice_transport_policy: TransportPolicy,
    /// Seconds the credential is good for.
    pub ttl: u64,
    /// The end of the credential, RFC 3339 in UTC.
    pub expires_at: String,
}

/// One `RTCIceServer`.
#[derive(Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct IceServer {
    /// `stun:`, `turn:` or `turns:` URLs (RFC 7064, RFC 7065).
    pub urls: Vec<String>,
    /// `expiry:name`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub username: Option<String>,
    /// The password under that username.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub credential: Option<String>,
}

/// The response of the REST draft (draft-uberti-behave-turn-rest-00 section 2.2).
#[derive(Clone, PartialEq, Eq, Serialize)]
pub struct TurnCredential {
    /// `expiry:name`.
    pub username: String,
    /// The password under that username.
    pub password: String,
    /// Seconds the credential is good for.
    pub ttl: u64,
    /// `turn:` and `turns:` URLs only.
    pub uris: Vec<String>,
}

impl fmt::Debug for IceServer {
    /// Passwords never reach a log.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { urls, username, credential: _ } = self;
        f.debug_struct("IceServer").field("urls", urls).field("username", username).finish_non_exhaustive()
    }
}

impl fmt::Debug for TurnCredential {
    /// Passwords never reach a log.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { username, password: _, ttl, uris } = self;
        f.debug_struct("TurnCredential")
            .field("username", username)
            .field("ttl", ttl)
            .field("uris", uris)
            .finish_non_exhaustive()
    }
}

/// ICE configuration for a client, independent of a convention's format.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Offer {
    /// `stun:` and `stuns:` URLs.
    pub stun: Vec<String>,
    /// `turn:` and `turns:` URLs.
    pub turn: Vec<String>,
    /// Credential for the TURN URLs.
    pub credential: Credential,
    /// Seconds the credential is good for.
    pub ttl: u64,
    /// Whether the client may also try direct paths.
    pub policy: TransportPolicy,
}

/// Makes [`Offer`]s.
#[derive(Debug)]
pub struct IceServers {
    settings: ArcSwap<IceSettings>,
    /// The listeners and names at present. Without configured URLs these are derived from here, per
    /// request. The client's own name for the server stands for a wildcard listener.
    endpoints: ArcSwap<Endpoints>,
}

/// Settings of ICE servers, which a reload replaces at once.
#[derive(Clone, Debug)]
pub struct IceSettings {
    /// `[ice] urls`, as written; empty = derived from the endpoints.
    pub urls: Vec<String>,
    /// Secrets of the credentials.
    pub secrets: Secrets,
    /// Lifetime of a credential.
    pub ttl: Duration,
    /// `iceTransportPolicy` of the answer.
    pub policy: TransportPolicy,
}

impl IceServers {
    /// Uses the configured URLs. Without any, URLs are derived from the endpoints.
    #[must_use]
    pub fn new(settings: IceSettings, endpoints: Endpoints) -> Self {
        Self {
            settings: ArcSwap::from_pointee(settings.clamped()),
            endpoints: ArcSwap::from_pointee(endpoints),
        }
    }

    /// Replaces the settings.
    pub fn configure(&self, settings: IceSettings) {
        self.settings.store(Arc::new(settings.clamped()));
    }

    /// Updates the names of the TLS listeners' certificate.
    pub fn certified_for(&self, names: &CertificateNames) {
        self.endpoints.rcu(|before| Endpoints { names: names.clone(), ..Endpoints::clone(before) });
    }

    /// Updates the public addresses behind a 1:1 NAT.
    pub fn public_at(&self, public: &[IpAddr]) {
        self.endpoints.rcu(|before| Endpoints { public: public.to_vec(), ..Endpoints::clone(before) });
    }

    /// Updates the listeners whose addresses are present.
    pub fn listening_at(&self, udp: &[SocketAddr], tcp: &[SocketAddr], tls: &[SocketAddr]) {
        self.endpoints.rcu(|before| Endpoints {
            udp: udp.to_vec(),
            tcp: tcp.to_vec(),
            tls: tls.to_vec(),
            ..Endpoints::clone(before)
        });
    }

    /// Updates the listeners for NAT behaviour discovery (RFC 5780).
    pub fn discovers_at(&self, discovery: &[SocketAddr]) {
        self.endpoints.rcu(|before| Endpoints { discovery: discovery.to_vec(), ..Endpoints::clone(before) });
    }

    /// Returns the STUN URLs for a client that reached the server as `host`: those of every
    /// configuration, and those for NAT behaviour discovery.
    #[must_use]
    pub fn stun_urls(&self, host: Option<&Host>) -> (Vec<String>, Vec<String>) {
        let (settings, endpoints) = (self.settings.load(), self.endpoints.load());
        let stun = match &settings.urls[..] {
            [] => endpoints.urls(host).0,
            urls => urls.iter().filter(|url| url.starts_with("stun")).cloned().collect(),
        };
        (stun, endpoints.discovery_urls())
    }

    /// Returns the STUN and TURN URLs of this server for clients of another: the configured ones,
    /// else those of the listeners that other machines reach, under a name of the certificate.
    #[must_use]
    pub fn urls_for_others(&self) -> Vec<String> {
        let settings = self.settings.load();
        if !settings.urls.is_empty() {
            return settings.urls.clone();
        }
        let (stun, turn) = self.endpoints.load().urls_for_others();
        [stun, turn].concat()
    }

    /// Lifetime of a configuration.
    #[must_use]
    pub fn ttl(&self) -> Duration {
        self.settings.load().ttl
    }

    /// Label of `room` in a username: the room's name, or a tag if everyone who knows the name may
    /// enter.
    #[must_use]
    pub fn label(&self, policy: Policy, room: &str) -> String {
        label::label(policy, room, &self.settings.load().secrets)
    }

    /// Issues a configuration for the user `name`, who reached the server as `host`.
    #[must_use]
    pub fn issue(&self, now: Now, host: Option<&Host>, name: &str) -> IceConfiguration {
        self.offer(now, host, name, None).into()
    }

    /// Issues a credential, with its URLs, for the user `name`, who reached the server as `host`.
    /// Its lifetime is `ttl`, at most [`MAX_TTL`], or the configured one.
    #[must_use]
    pub fn offer(&self, now: Now, host: Option<&Host>, name: &str, ttl: Option<Duration>) -> Offer {
        let settings = self.settings.load();
        let ttl = ttl.map_or(settings.ttl, |ttl| ttl.min(MAX_TTL));
        let (stun, turn) = match &settings.urls[..] {
            [] => self.endpoints.load().urls(host),
            urls => urls.iter().cloned().partition(|url| url.starts_with("stun")),
        };
        let credential = settings.secrets.issue(now, name, ttl);
        Offer { stun, turn, credential, ttl: ttl.as_secs(), policy: settings.policy }
    }
}

impl From<Offer> for IceConfiguration {
    fn from(offer: Offer) -> Self {
        Self {
            ice_transport_policy: offer.policy,
            ttl: offer.ttl,
            expires_at: rfc3339(offer.credential.expires_at),
            ice_servers: offer.into(),
        }
    }
}

impl From<Offer> for Vec<IceServer> {
    fn from(Offer { stun, turn, credential: Credential { username, password, .. }, .. }: Offer) -> Self {
        let stun = IceServer { urls: stun, username: None, credential: None };
        let turn = IceServer { urls: turn, username: Some(username), credential: Some(password) };
        // `new RTCPeerConnection` throws on an entry without URLs.
        [stun, turn].into_iter().filter(|server| !server.urls.is_empty()).collect()
    }
}

impl From<Offer> for TurnCredential {
    fn from(Offer { turn, credential: Credential { username, password, .. }, ttl, .. }: Offer) -> Self {
        Self { username, password, ttl, uris: turn }
    }
}

impl IceSettings {
    /// The credential is clamped to the same bound, so the announced lifetime is the issued one.
    fn clamped(self) -> Self {
        Self { ttl: self.ttl.min(MAX_TTL), ..self }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tls::Name;

    const NOW: Now = Now { mono: Duration::ZERO, unix: 1_700_000_000 };

    fn servers(urls: &[&str], udp: &[&str]) -> IceServers {
        let endpoints =
            Endpoints { udp: udp.iter().map(|a| a.parse().unwrap()).collect(), ..Endpoints::default() };
        IceServers::new(settings(urls, Duration::from_secs(600)), endpoints)
    }

    fn settings(urls: &[&str], ttl: Duration) -> IceSettings {
        let urls = urls.iter().map(ToString::to_string).collect();
        IceSettings { urls, secrets: Secrets::new(&["north"]).unwrap(), ttl, policy: TransportPolicy::All }
    }

    #[test]
    fn the_loopback_default_in_full() {
        let ice = servers(&[], &["127.0.0.1:3478", "[::1]:3478"]).issue(NOW, None, "alice");
        assert_eq!(
            serde_json::to_value(ice).unwrap(),
            serde_json::json!({
                "iceServers": [
                    {"urls": ["stun:127.0.0.1:3478", "stun:[::1]:3478"]},
                    {"urls": ["turn:127.0.0.1:3478?transport=udp", "turn:[::1]:3478?transport=udp"],
                     "username": "1700000600:alice", "credential": "gthUwOpcRoLI0MMCziCEBOWYnpo="},
                ],
                "iceTransportPolicy": "all",
                "ttl": 600,
                "expiresAt": "2023-11-14T22:23:20Z",
            })
        );
    }

    #[test]
    fn configured_urls_are_sorted_into_their_entries() {
        let urls = ["stun:a:1", "turn:b:2?transport=tcp", "stuns:c:3", "turns:d:4"];
        let ice = servers(&urls, &["127.0.0.1:3478"]).issue(NOW, None, "a");
        assert_eq!(ice.ice_servers[0].urls, ["stun:a:1", "stuns:c:3"]);
        assert_eq!(ice.ice_servers[1].urls, ["turn:b:2?transport=tcp", "turns:d:4"]);
        assert_eq!(servers(&["stun:a:1"], &[]).issue(NOW, None, "a").ice_servers.len(), 1);
    }

    #[test]
    fn threat_35_urls_follow_the_listeners_and_the_certificate() {
        let ice = servers(&[], &[]);
        assert_eq!(ice.issue(NOW, None, "a").ice_servers, []);
        ice.certified_for(
            &["turn.example.org"].map(|name| name.parse::<Name>().unwrap()).into_iter().collect(),
        );
        let at = |address: &str| [address.parse().unwrap()];
        ice.listening_at(&at("45.0.0.1:3478"), &[], &at("0.0.0.0:443"));
        let urls = &ice.issue(NOW, None, "a").ice_servers[1].urls;
        assert_eq!(urls, &["turn:45.0.0.1:3478?transport=udp", "turns:turn.example.org:443?transport=tcp"]);
    }

    #[test]
    fn what_is_promised_is_what_is_issued() {
        let long = IceServers::new(settings(&[], MAX_TTL * 2), Endpoints::default());
        for ttl in [None, Some(MAX_TTL * 3)] {
            let turn = TurnCredential::from(long.offer(NOW, None, "a", ttl));
            assert_eq!((turn.ttl, turn.username), (604_800, "1700604800:a".to_owned()));
        }
        let turn = TurnCredential::from(long.offer(NOW, None, "a", Some(Duration::from_secs(60))));
        assert_eq!((turn.ttl, turn.username), (60, "1700000060:a".to_owned()));
    }
}
