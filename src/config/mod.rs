//! `turnserver.toml` as typed values. An invalid value cannot be built.
//!
//! Defaults exist once, in the embedded `turnserver.toml`. A key that a file leaves out has its
//! value from there.
//!
//! - `schema` lists the keys, `acme`, `cluster` and `webhooks` those of their sections.
//! - `values` parses each kind of value, `ice_url` the URLs.
//! - `changes` compares two configurations key by key.
//! - `reader` looks keys up and finds the unknown ones.
//! - `diagnostic` reports mistakes by file, line and caret.
//! - `secret_files` finds the files that hold secrets.
//! - `shown` decides which part of a line an error may show.

mod acme;
mod changes;
mod cluster;
mod diagnostic;
mod ice_url;
mod reader;
mod schema;
mod secret_files;
mod shown;
#[cfg(test)]
mod tests;
mod values;
mod webhooks;

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, SocketAddr};
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};
use std::time::Duration;

use byway_turn::auth::{Secret, StaticUser};
use byway_turn::server::Quota;
use ipnet::IpNet;

use crate::access::{Policy, tokens};
use crate::cluster::ClusterSettings;
use crate::ice::TransportPolicy;
use crate::log::LogSettings;
use crate::net::trusted_proxies::TrustedProxies;
use crate::operator_file;
use crate::origin::{HostPattern, Origin};
use crate::shard::Tuning;
use crate::signaling::SignalingSettings;
use crate::tls::CertificateFiles;
use crate::tls::acme::AcmeSettings;
use crate::webhooks::WebhookSettings;

pub use acme::{is_directory_url, is_host_name, is_mail_address};
pub use changes::{Change, KEYS};
pub use diagnostic::{ConfigError, ConfigProblem};
pub use ice_url::{IceScheme, IceUrl, IceUrlError, Transport};
pub use secret_files::SecretFiles;

/// The default configuration, which is also the reference of every key.
pub const EMBEDDED: &str = include_str!("../../turnserver.toml");

/// Path of the configuration if none is named.
pub const SYSTEM_FILE: &str = "/etc/byway/turnserver.toml";

/// All settings of the server, built by parsing. `turnserver.toml` has each key's default and
/// reason.
#[derive(Clone, Debug)]
pub struct Config {
    /// The realm of the long-term credentials (RFC 8489 section 9.2), at most 127 characters.
    pub realm: String,
    /// Addresses of the listeners.
    pub listen: Listen,
    /// The certificate of the TLS listeners.
    pub tls: Option<Tls>,
    /// The ACME client, which keeps a certificate for the TLS listeners. Never beside
    /// [`Config::tls`].
    pub acme: Option<AcmeSettings>,
    /// The relay's addresses, ports and threads.
    pub relay: Relay,
    /// Secrets and lifetime of credentials.
    pub credentials: Credentials,
    /// Users with a fixed name and password.
    pub users: Vec<StaticUser>,
    /// Peer addresses that the relay allows or refuses.
    pub peers: Peers,
    /// Limits of one client, one address and all together.
    pub quota: Quota,
    /// Keys that verify join tokens.
    pub tokens: tokens::Settings,
    /// Access policy, and the answers of `/ice`.
    pub ice: Ice,
    /// Hosts that HTTP requests may name.
    pub http: Http,
    /// Limits of the signaling.
    pub signaling: Signaling,
    /// Webhooks; `None`: off.
    pub webhooks: Option<WebhookSettings>,
    /// Cluster; `None`: one machine.
    pub cluster: Option<ClusterSettings>,
    /// Format and levels of the log, which a reload applies.
    pub log: LogSettings,
    /// Defaults of `byway doctor`.
    pub doctor: Doctor,
    /// Files that hold secrets.
    pub secret_files: SecretFiles,
    /// Whether every IPv6 address among the listeners and relay addresses is the embedded default's
    /// `::1`. A machine without IPv6 then drops it (`EADDRNOTAVAIL`, `EAFNOSUPPORT`). The server
    /// waits for an address that a file names.
    pub optional_ipv6: bool,
}

impl Config {
    /// The default, which serves this machine alone.
    #[must_use]
    pub fn embedded() -> Self {
        Self::parse("", "the embedded default", None).expect("an empty file is valid: a test parses one")
    }

    /// The file to use: the named one, else [`SYSTEM_FILE`] if it exists. `None` means
    /// [`EMBEDDED`].
    ///
    /// # Errors
    /// [`ConfigError::Unreadable`] if the server cannot determine whether [`SYSTEM_FILE`] exists.
    /// Not starting is better than using another configuration than the operator's.
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
            Ok(text) => {
                let mut config = Self::parse(&text, &path.display().to_string(), path.parent())?;
                config.secret_files.in_file(path);
                Ok(config)
            }
            Err(error) => Err(ConfigError::Unreadable { path: path.into(), error }),
        }
    }

    /// Parses `text`. Errors call the file `name`; relative paths in it start from `dir`.
    ///
    /// # Errors
    /// [`ConfigError::Invalid`] with all mistakes in the text, in file order.
    pub fn parse(text: &str, name: &str, dir: Option<&Path>) -> Result<Self, ConfigError> {
        schema::read(text, name, dir).map_err(|refusal| refusal.error(name, text))
    }
}

impl Config {
    /// The addresses that this machine needs, and the keys that name them. Wildcards are included
    /// only from `relay.addresses`.
    #[must_use]
    pub fn addresses(&self) -> BTreeMap<IpAddr, BTreeSet<&'static str>> {
        let mut named = BTreeMap::<IpAddr, BTreeSet<&'static str>>::new();
        let Listen { udp, tcp, tls, http, admin, admin_sockets: _, trusted_proxies: _, proxy_protocol: _ } =
            &self.listen;
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

/// Socket addresses by listener; an empty list disables a listener.
#[derive(Clone, Debug, PartialEq)]
pub struct Listen {
    /// STUN and TURN over UDP.
    pub udp: Vec<SocketAddr>,
    /// STUN and TURN over TCP.
    pub tcp: Vec<SocketAddr>,
    /// HTTPS, secure WebSocket, and STUN and TURN over TLS; never without [`Config::tls`] or
    /// [`Config::acme`].
    pub tls: Vec<SocketAddr>,
    /// Plain HTTP and WebSocket: localhost, or behind a reverse proxy.
    pub http: Vec<SocketAddr>,
    /// `/metrics` and `/healthz`.
    pub admin: Vec<SocketAddr>,
    /// Unix sockets of the same, which also take requests to reload.
    pub admin_sockets: Vec<PathBuf>,
    /// Proxies whose `X-Forwarded-*` fields and PROXY headers count.
    pub trusted_proxies: TrustedProxies,
    /// Listeners whose connections begin with a PROXY header.
    pub proxy_protocol: Vec<ProxiedListener>,
}

impl Listen {
    /// Whether connections to the TCP listeners of TURN begin with a PROXY header.
    #[must_use]
    pub fn is_tcp_proxied(&self) -> bool {
        self.proxy_protocol.contains(&ProxiedListener::Tcp)
    }
}

/// Listener that may be behind a proxy with PROXY protocol, by its key under `[listen]`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ProxiedListener {
    /// `tcp`.
    Tcp,
    /// `tls`.
    Tls,
    /// `http`.
    Http,
}

/// HTTP requests, on the public and the admin listeners.
#[derive(Clone, Debug, PartialEq)]
pub struct Http {
    /// Hosts that requests may name, beside the names of the certificate and of [`Ice::urls`] and
    /// this machine's addresses.
    pub hosts: Vec<HostPattern>,
}

/// The certificate of the TLS listeners.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tls {
    /// Its files.
    pub files: CertificateFiles,
    /// Positions of the two keys in the configuration.
    pub(crate) places: Places,
}

/// Positions of a configuration's keys, for errors that are found later. They are ignored when
/// configurations are compared.
#[derive(Clone, Debug, Default)]
pub(crate) struct Places(Vec<ConfigProblem>);

impl PartialEq for Places {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}

impl Eq for Places {}

impl Tls {
    /// An error of one of the files, reported at the key that names it. `None` if no key names it.
    #[must_use]
    pub fn mistake(&self, file: &Path, reason: &str, remedy: &str) -> Option<ConfigError> {
        let index = [&self.files.cert, &self.files.key].iter().position(|named| *named == file)?;
        let place = self.places.0.get(index)?.clone();
        // The operator may have put the key itself in place of its file's name.
        let is_shown = file.exists() || file.to_str().is_some_and(shown::names_a_file);
        let name = if is_shown { file.display().to_string() } else { "the file with this name".to_owned() };
        let reason = format!("{}: {name}: {reason}", place.reason);
        Some(ConfigError::Invalid {
            problems: vec![ConfigProblem { reason, remedy: remedy.to_owned(), ..place }],
            more: 0,
        })
    }
}

/// The relay's addresses, ports and threads, and their tuning.
#[derive(Clone, Debug, PartialEq)]
pub struct Relay {
    /// Addresses that relay sockets bind: one per family, at least one.
    pub addresses: Vec<IpAddr>,
    /// Addresses that clients receive instead, one per family, if the server is behind a 1:1 NAT.
    pub public_addresses: Vec<IpAddr>,
    /// The relay ports.
    pub ports: RangeInclusive<u16>,
    /// Time that a closed relay port stays unused.
    pub port_rest: Duration,
    /// Threads of the data plane; 0 = one per core.
    pub shards: usize,
    /// Trade-offs of the shards between CPU, memory and latency.
    pub tuning: Tuning,
    /// Time that allocations may continue after SIGTERM.
    pub drain: Duration,
}

/// Defaults of `byway doctor`.
#[derive(Clone, Debug, PartialEq)]
pub struct Doctor {
    /// STUN or TURN server elsewhere, which shows this server from outside.
    pub from: Option<IceUrl>,
}

/// Secrets and lifetime of credentials.
#[derive(Clone, Debug, PartialEq)]
pub struct Credentials {
    /// Secrets. The first signs and all verify. If empty, the composition root draws one that lasts
    /// as long as the process.
    pub secrets: Vec<Secret>,
    /// Lifetime of a credential.
    pub ttl: Duration,
    /// Whether an expired credential refreshes nothing. Otherwise its allocations may continue for
    /// up to a day.
    pub strict_expiry: bool,
}

/// Peer addresses to allow or refuse, beside the default deny list.
#[derive(Clone, Debug, PartialEq)]
pub struct Peers {
    /// Allowed ranges that are denied by default.
    pub allow: Vec<IpNet>,
    /// Denied ranges, even if `allow` contains them.
    pub deny: Vec<IpNet>,
}

/// Access policy, and the answers of `/ice`.
#[derive(Clone, Debug, PartialEq)]
pub struct Ice {
    /// Policy for joining rooms and getting credentials.
    pub access: Policy,
    /// API keys that authenticate programs.
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
    /// Joins and credentials per second and client address (v6: per /64); 0 = no limit.
    pub joins_per_second: u32,
    /// Origins whose pages may use `/ws` and `/ice`; empty = the server's own only.
    pub allowed_origins: Vec<Origin>,
}
