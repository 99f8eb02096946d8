//! ICE configuration for browsers: STUN and TURN URLs, a credential, and its lifetime.
//!
//! Pure. `/ice`, `/turn` and the signaling all use [`IceServers`], so that they cannot disagree.

mod date;
mod endpoints;
mod label;

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use arc_swap::ArcSwap;
use byway_turn::auth::{Credential, MAX_TTL, Secrets};
use byway_turn::time::Now;
use schemars::JsonSchema;
use serde::Serialize;

use crate::access::Policy;
use crate::access::names::Region;
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

/// Client that a configuration is for.
#[derive(Clone, Copy, Debug, Default)]
pub struct ClientView<'a> {
    /// Host of this server, as the client named it.
    pub host: Option<&'a Host>,
    /// Region that the client's relay is to be in, if one is wished for.
    pub region: Option<&'a Region>,
}

/// Chooses the relay of a client by the wished region. Returns the STUN and TURN URLs of another
/// node's relay, or `None` for this node's own.
///
/// The rooms call it under their lock. It must neither wait nor ask the rooms for anything.
pub type RelayChoice = Arc<dyn Fn(Option<&Region>) -> Option<Vec<String>> + Send + Sync>;

/// Makes [`Offer`]s.
pub struct IceServers {
    settings: ArcSwap<IceSettings>,
    /// The listeners and names at present. Without configured URLs these are derived from here, per
    /// request. The client's own name for the server stands for a wildcard listener.
    endpoints: ArcSwap<Endpoints>,
    /// Choice among the relays of a cluster. Without one, every client gets this server's relay.
    relays: OnceLock<RelayChoice>,
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
            relays: OnceLock::new(),
        }
    }

    /// Asks `choice` for the relay of each client from now on. Configured URLs stay what every
    /// client gets. A second choice is ignored: a node joins its cluster as it starts.
    pub fn choose_relays(&self, choice: RelayChoice) {
        let _ = self.relays.set(choice);
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

    /// Issues a configuration for the user `name` of this client.
    #[must_use]
    pub fn issue(&self, now: Now, client: ClientView<'_>, name: &str) -> IceConfiguration {
        self.offer(now, client, name, None).into()
    }

    /// Issues a credential, with its URLs, for the user `name` of this client. Its lifetime is
    /// `ttl`, at most [`MAX_TTL`], or the configured one.
    #[must_use]
    pub fn offer(&self, now: Now, client: ClientView<'_>, name: &str, ttl: Option<Duration>) -> Offer {
        let settings = self.settings.load();
        let ttl = ttl.map_or(settings.ttl, |ttl| ttl.min(MAX_TTL));
        let (stun, turn) = match &settings.urls[..] {
            [] => self.chosen(client.region).unwrap_or_else(|| self.endpoints.load().urls(client.host)),
            urls => sorted(urls.to_vec()),
        };
        let credential = settings.secrets.issue(now, name, ttl);
        Offer { stun, turn, credential, ttl: ttl.as_secs(), policy: settings.policy }
    }

    /// Returns the URLs of another node's relay, if the choice falls on one. All of them replace
    /// this node's own: STUN by one node and TURN by another would double the candidates. One
    /// without a TURN URL is none.
    fn chosen(&self, region: Option<&Region>) -> Option<(Vec<String>, Vec<String>)> {
        let (stun, turn) = sorted(self.relays.get()?(region)?);
        (!turn.is_empty()).then_some((stun, turn))
    }
}

/// Sorts URLs into STUN and TURN.
fn sorted(urls: Vec<String>) -> (Vec<String>, Vec<String>) {
    urls.into_iter().partition(|url| url.starts_with("stun"))
}

impl fmt::Debug for IceServers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { settings, endpoints, relays } = self;
        f.debug_struct("IceServers")
            .field("settings", settings)
            .field("endpoints", endpoints)
            .field("chooses_relays", &relays.get().is_some())
            .finish()
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
        let ice = servers(&[], &["127.0.0.1:3478", "[::1]:3478"]).issue(NOW, ClientView::default(), "alice");
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
        let ice = servers(&urls, &["127.0.0.1:3478"]).issue(NOW, ClientView::default(), "a");
        assert_eq!(ice.ice_servers[0].urls, ["stun:a:1", "stuns:c:3"]);
        assert_eq!(ice.ice_servers[1].urls, ["turn:b:2?transport=tcp", "turns:d:4"]);
        assert_eq!(servers(&["stun:a:1"], &[]).issue(NOW, ClientView::default(), "a").ice_servers.len(), 1);
    }

    #[test]
    fn threat_35_urls_follow_the_listeners_and_the_certificate() {
        let ice = servers(&[], &[]);
        assert_eq!(ice.issue(NOW, ClientView::default(), "a").ice_servers, []);
        ice.certified_for(
            &["turn.example.org"].map(|name| name.parse::<Name>().unwrap()).into_iter().collect(),
        );
        let at = |address: &str| [address.parse().unwrap()];
        ice.listening_at(&at("45.0.0.1:3478"), &[], &at("0.0.0.0:443"));
        let urls = &ice.issue(NOW, ClientView::default(), "a").ice_servers[1].urls;
        assert_eq!(urls, &["turn:45.0.0.1:3478?transport=udp", "turns:turn.example.org:443?transport=tcp"]);
    }

    #[test]
    fn what_is_promised_is_what_is_issued() {
        let long = IceServers::new(settings(&[], MAX_TTL * 2), Endpoints::default());
        for ttl in [None, Some(MAX_TTL * 3)] {
            let turn = TurnCredential::from(long.offer(NOW, ClientView::default(), "a", ttl));
            assert_eq!((turn.ttl, turn.username), (604_800, "1700604800:a".to_owned()));
        }
        let turn =
            TurnCredential::from(long.offer(NOW, ClientView::default(), "a", Some(Duration::from_secs(60))));
        assert_eq!((turn.ttl, turn.username), (60, "1700000060:a".to_owned()));
    }

    fn region(name: &str) -> Region {
        name.parse().unwrap()
    }

    /// Relays of a cluster: one in Oslo, and another that is nobody's to use.
    fn of_a_cluster(wish: Option<&Region>) -> Option<Vec<String>> {
        let urls: &[&str] = match wish?.as_str() {
            "oslo" => &["stun:oslo:1", "turn:oslo:1?transport=udp", "turns:oslo:2?transport=tcp"],
            "stun-only" => &["stun:far:1"],
            "silent" => &[],
            _ => return None,
        };
        Some(urls.iter().map(ToString::to_string).collect())
    }

    #[test]
    fn all_urls_are_those_of_the_chosen_relay() {
        let ice = servers(&[], &["127.0.0.1:3478"]);
        let own = ice.issue(NOW, ClientView::default(), "alice");
        ice.choose_relays(Arc::new(of_a_cluster));
        let (host, oslo) = (Host::parse("call.example.org"), region("oslo"));
        for host in [None, host.as_ref()] {
            let there = ice.issue(NOW, ClientView { host, region: Some(&oslo) }, "alice");
            assert_eq!(there.ice_servers[0].urls, ["stun:oslo:1"]);
            let urls = ["turn:oslo:1?transport=udp", "turns:oslo:2?transport=tcp"];
            let turn = IceServer { urls: urls.map(str::to_owned).into(), ..own.ice_servers[1].clone() };
            assert_eq!(there.ice_servers[1], turn, "with the credential of any other");
        }
        for wish in [None, Some(&region("bergen")), Some(&region("stun-only")), Some(&region("silent"))] {
            assert_eq!(ice.issue(NOW, ClientView { host: None, region: wish }, "alice"), own, "{wish:?}");
        }
    }

    #[test]
    fn configured_urls_win_over_any_choice() {
        let ice = servers(&["stun:a:1", "turn:b:2"], &["127.0.0.1:3478"]);
        let configured = ice.issue(NOW, ClientView::default(), "alice");
        ice.choose_relays(Arc::new(|_| panic!("nothing to choose")));
        let client = ClientView { host: None, region: Some(&region("oslo")) };
        assert_eq!(ice.issue(NOW, client, "alice"), configured);
        // A reload takes them away, and gives them back.
        ice.configure(settings(&[], Duration::from_secs(600)));
        ice.configure(settings(&["turn:c:3"], Duration::from_secs(600)));
        assert_eq!(ice.issue(NOW, client, "alice").ice_servers[0].urls, ["turn:c:3"]);
    }
}
