//! `turnserver.toml` as typed values. An invalid value cannot be built.
//!
//! Defaults exist once, in the embedded `turnserver.toml`: a key that a file leaves out has the
//! value it has there. `schema` lists the keys, `values` says what each kind of value may be
//! (`ice_url` for URLs), `reader` looks keys up and finds the unknown ones, `mistake` shows what is
//! wrong by file, line and caret, and `shown` what of a line may be shown.

mod diagnostic;
mod ice_url;
mod reader;
mod schema;
mod shown;
#[cfg(test)]
mod tests;
mod values;

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, SocketAddr};
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};
use std::time::Duration;

use byway_turn::auth::Secret;
use byway_turn::server::Quota;
use ipnet::IpNet;

use crate::access::{Policy, tokens};
use crate::ice::TransportPolicy;
use crate::net::trusted_proxies::TrustedProxies;
use crate::operator_file;
use crate::origin::{HostPattern, Origin};
use crate::shard::Tuning;
use crate::signaling::SignalingSettings;
use crate::tls::CertificateFiles;

pub use diagnostic::{ConfigError, ConfigProblem};
pub use ice_url::{IceScheme, IceUrl, IceUrlError, Transport};

/// The default configuration, which is also the reference of every key.
pub const EMBEDDED: &str = include_str!("../../turnserver.toml");

/// Where a configuration is looked for when none is named.
pub const SYSTEM_FILE: &str = "/etc/byway/turnserver.toml";

/// Everything the server is told. Built by parsing; see `turnserver.toml` for each key's default
/// and reason.
#[derive(Clone, Debug)]
pub struct Config {
    /// The realm of the long-term credentials (RFC 8489 section 9.2), at most 127 characters.
    pub realm: String,
    /// Where the server listens.
    pub listen: Listen,
    /// The certificate of the TLS listeners.
    pub tls: Option<Tls>,
    /// The relay's addresses, ports and threads.
    pub relay: Relay,
    /// How credentials are signed.
    pub credentials: Credentials,
    /// Which peers may be relayed to.
    pub peers: Peers,
    /// What one client, one address and all together may use.
    pub quota: Quota,
    /// Who signs join tokens.
    pub tokens: tokens::Settings,
    /// Who may use this server, and what `/ice` tells a browser.
    pub ice: Ice,
    /// Hosts that HTTP requests may be for.
    pub http: Http,
    /// Limits of the signaling.
    pub signaling: Signaling,
    /// Every IPv6 address among the listeners and relay addresses is the embedded default's `::1`,
    /// wished for by nobody: a machine without IPv6 does without it (`EADDRNOTAVAIL`,
    /// `EAFNOSUPPORT`). One that a file names is waited for.
    pub optional_ipv6: bool,
}

impl Config {
    /// The default: all that a machine offers, for itself alone.
    #[must_use]
    pub fn embedded() -> Self {
        Self::parse("", "the embedded default", None).expect("an empty file is valid: a test parses one")
    }

    /// The file to use: the named one, else [`SYSTEM_FILE`] if it is there, else none, which means
    /// [`EMBEDDED`].
    ///
    /// # Errors
    /// [`ConfigError::Unreadable`] if it cannot be told whether [`SYSTEM_FILE`] is there: falling
    /// back to another configuration than the administrator's would be worse than not starting.
    pub fn locate(named: Option<PathBuf>) -> Result<Option<PathBuf>, ConfigError> {
        if named.is_some() {
            return Ok(named);
        }
        match Path::new(SYSTEM_FILE).try_exists() {
            Ok(there) => Ok(there.then(|| SYSTEM_FILE.into())),
            Err(error) => Err(ConfigError::Unreadable { path: SYSTEM_FILE.into(), error }),
        }
    }

    /// Reads and parses the file that [`Config::locate`] found.
    ///
    /// # Errors
    /// As [`Config::parse`], and [`ConfigError::Unreadable`].
    pub fn load(file: Option<&Path>) -> Result<Self, ConfigError> {
        let Some(path) = file else { return Ok(Self::embedded()) };
        match operator_file::read_text(path, operator_file::CONFIGURATION) {
            Ok(text) => Self::parse(&text, &path.display().to_string(), path.parent()),
            Err(error) => Err(ConfigError::Unreadable { path: path.into(), error }),
        }
    }

    /// Parses `text`. `name` is what errors call the file; `dir` is what relative paths in it start
    /// from.
    ///
    /// # Errors
    /// [`ConfigError::Invalid`] with everything that is wrong with the text, in its order.
    pub fn parse(text: &str, name: &str, dir: Option<&Path>) -> Result<Self, ConfigError> {
        schema::read(text, name, dir).map_err(|refusal| refusal.error(name, text))
    }

    /// The sections in which `other` differs, as they stand in the file.
    #[must_use]
    pub fn changed(&self, other: &Self) -> Vec<&'static str> {
        // A section that is added is missing here, which the compiler says.
        let Self {
            realm,
            listen,
            tls,
            relay,
            credentials,
            peers,
            quota,
            tokens,
            ice,
            http,
            signaling,
            optional_ipv6: _,
        } = self;
        let changes = [
            ("realm", *realm != other.realm),
            ("[listen]", *listen != other.listen),
            ("[tls]", *tls != other.tls),
            ("[relay]", *relay != other.relay),
            ("[credentials]", *credentials != other.credentials),
            ("[tokens]", *tokens != other.tokens),
            ("[peers]", *peers != other.peers),
            ("[quota]", *quota != other.quota),
            ("[ice]", *ice != other.ice),
            ("[http]", *http != other.http),
            ("[signaling]", *signaling != other.signaling),
        ];
        changes.into_iter().filter_map(|(section, has_changed)| has_changed.then_some(section)).collect()
    }
}

impl Config {
    /// The addresses that this machine has to have, and the keys that name them. Of wildcards those
    /// of `relay.addresses`.
    #[must_use]
    pub fn addresses(&self) -> BTreeMap<IpAddr, BTreeSet<&'static str>> {
        let mut named = BTreeMap::<IpAddr, BTreeSet<&'static str>>::new();
        let Listen { udp, tcp, tls, http, admin, trusted_proxies: _ } = &self.listen;
        for (key, addresses) in [
            ("listen.udp", udp),
            ("listen.tcp", tcp),
            ("listen.tls", tls),
            ("listen.http", http),
            ("listen.admin", admin),
        ] {
            for address in addresses.iter().filter(|address| !address.ip().is_unspecified()) {
                named.entry(address.ip()).or_default().insert(key);
            }
        }
        for address in &self.relay.addresses {
            named.entry(*address).or_default().insert("relay.addresses");
        }
        named
    }
}

/// Socket addresses by listener; an empty list turns a listener off.
#[derive(Clone, Debug, PartialEq)]
pub struct Listen {
    /// STUN and TURN over UDP.
    pub udp: Vec<SocketAddr>,
    /// STUN and TURN over TCP.
    pub tcp: Vec<SocketAddr>,
    /// HTTPS, secure WebSocket, and STUN and TURN over TLS; never without [`Config::tls`].
    pub tls: Vec<SocketAddr>,
    /// Plain HTTP and WebSocket: localhost, or behind a reverse proxy.
    pub http: Vec<SocketAddr>,
    /// `/metrics` and `/healthz`.
    pub admin: Vec<SocketAddr>,
    /// Reverse proxies whose `X-Forwarded-*` fields count.
    pub trusted_proxies: TrustedProxies,
}

/// HTTP requests, on the public and the admin listeners.
#[derive(Clone, Debug, PartialEq)]
pub struct Http {
    /// Hosts that a request may be for, beside the names of the certificate and of [`Ice::urls`]
    /// and this machine's addresses.
    pub hosts: Vec<HostPattern>,
}

/// The certificate of the TLS listeners.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tls {
    /// Its files.
    pub files: CertificateFiles,
    /// Places of the two keys in the configuration.
    pub(crate) places: Places,
}

/// Places of a configuration's keys, for what is found out about their values later. Two
/// configurations do not differ by them.
#[derive(Clone, Debug, Default)]
pub(crate) struct Places(Vec<ConfigProblem>);

impl PartialEq for Places {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}

impl Eq for Places {}

impl Tls {
    /// An error of one of the files, as a mistake at the key that names it. `None` if no key does.
    #[must_use]
    pub fn mistake(&self, file: &Path, reason: &str, remedy: &str) -> Option<ConfigError> {
        let index = [&self.files.cert, &self.files.key].iter().position(|named| *named == file)?;
        let place = self.places.0.get(index)?.clone();
        // The key itself may stand where its file should be named.
        let is_shown = file.exists() || file.to_str().is_some_and(shown::names_a_file);
        let name = if is_shown { file.display().to_string() } else { "the file of this name".to_owned() };
        let reason = format!("{}: {name}: {reason}", place.reason);
        Some(ConfigError::Invalid {
            problems: vec![ConfigProblem { reason, remedy: remedy.to_owned(), ..place }],
            more: 0,
        })
    }
}

/// The relay's addresses, ports and threads, and how hard these drive the kernel.
#[derive(Clone, Debug, PartialEq)]
pub struct Relay {
    /// Where relay sockets bind: one address per family, at least one.
    pub addresses: Vec<IpAddr>,
    /// What clients are told instead, by family, where a 1:1 NAT stands before the server.
    pub public_addresses: Vec<IpAddr>,
    /// The relay ports.
    pub ports: RangeInclusive<u16>,
    /// How long a closed relay port stays unused.
    pub port_rest: Duration,
    /// Threads of the data plane; 0 = one per core.
    pub shards: usize,
    /// Trade-offs of its threads between CPU, memory and latency.
    pub tuning: Tuning,
    /// How long allocations may go on after SIGTERM.
    pub drain: Duration,
}

/// How credentials are signed.
#[derive(Clone, Debug, PartialEq)]
pub struct Credentials {
    /// The first signs, all verify. Empty: the composition root draws one that lives as long as the
    /// process.
    pub secrets: Vec<Secret>,
    /// Lifetime of a credential.
    pub ttl: Duration,
    /// Whether an expired credential prolongs nothing, rather than what was made with it for up to
    /// a day.
    pub strict_expiry: bool,
}

/// Which peers may be relayed to, beside the default deny list.
#[derive(Clone, Debug, PartialEq)]
pub struct Peers {
    /// Opens ranges that are denied by default.
    pub allow: Vec<IpNet>,
    /// Closes ranges, whatever `allow` says.
    pub deny: Vec<IpNet>,
}

/// Who may use this server, and what `/ice` tells a browser.
#[derive(Clone, Debug, PartialEq)]
pub struct Ice {
    /// Who may join rooms and gets credentials.
    pub access: Policy,
    /// What programs prove themselves with.
    pub api_keys: Vec<Secret>,
    /// `iceTransportPolicy` of the answer.
    pub transport_policy: TransportPolicy,
    /// STUN and TURN URLs; empty = derived from the listeners and public addresses.
    pub urls: Vec<String>,
}

/// Limits of the signaling.
#[derive(Clone, Debug, PartialEq)]
pub struct Signaling {
    /// Limits of rooms and messages.
    pub settings: SignalingSettings,
    /// Joins and credentials a second per client address (v6: per /64); 0 = no limit.
    pub joins_per_second: u32,
    /// Origins whose pages may use `/ws` and `/ice`; empty = the server's own only.
    pub allowed_origins: Vec<Origin>,
}
