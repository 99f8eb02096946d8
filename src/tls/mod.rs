//! TLS: one port for HTTPS, WSS and TURN.
//!
//! ```text
//!                                          ┌─ `h2`, `http/1.1` ──────────────────► http
//! TCP ──► accepting ──► handshake ─► ALPN ─┼─ `stun.turn` ───────────────────────► a shard
//!                                          └─ none ─► first byte ─┬─ 0x00 to 0x03 ► a shard
//!                                                                 └─ any other ───► http
//! ```
//!
//! Handshakes have their own thread ([`pending`]), so that a flood of them delays neither media nor
//! signals. A [`Certificate`] is parsed and matched with its key before use. [`Identity`] replaces
//! it while connections are open, and [`renewal`] decides when. [`acme`] gets certificates itself.

pub mod acme;
mod certificate;
mod counters;
mod handshake;
mod identity;
mod names;
mod outcome;
mod pem;
pub mod pending;
mod remarks;
pub mod renewal;

use std::sync::Arc;

use rustls::ServerConfig;
use rustls::crypto::aws_lc_rs;
use rustls::server::NoServerSessionStorage;
use rustls::version::{TLS12, TLS13};

pub use certificate::{Certificate, CertificateFiles, Unusable};
pub use counters::TlsCounters;
pub use identity::Identity;
pub use names::{CertificateNames, Name};
pub use outcome::TlsOutcome;
pub use pem::kinds as pem_kinds;

/// The protocols that a client may offer by ALPN (RFC 7301). A client that offers only others is
/// refused with `no_application_protocol`, because the server would misread its next bytes. The
/// first protocol of this list that the client offers is chosen. No browser offers TURN for a page,
/// but coturn's clients offer `http/1.1` beside TURN.
const PROTOCOLS: [&[u8]; 3] = [STUN_TURN, H2, b"http/1.1"];
const H2: &[u8] = b"h2";
/// Protocol of the TLS-ALPN-01 challenge (RFC 8737 section 4). Accepted only while one is expected.
const ACME_TLS: &[u8] = b"acme-tls/1";
/// RFC 7443 section 4.
const STUN_TURN: &[u8] = b"stun.turn";

/// Configurations of the TLS port.
#[derive(Clone, Debug)]
pub struct ServerConfigs {
    identity: Arc<Identity>,
    ordinary: Arc<ServerConfig>,
    /// Also accepts [`ACME_TLS`].
    challenged: Arc<ServerConfig>,
}

impl ServerConfigs {
    /// The configuration for the next handshake.
    #[must_use]
    pub fn current(&self) -> Arc<ServerConfig> {
        let is_challenged = self.identity.challenges().expect_handshakes();
        if is_challenged { &self.challenged } else { &self.ordinary }.clone()
    }

    /// Whether a handshake can succeed.
    #[must_use]
    pub fn has_certificate(&self) -> bool {
        self.identity.certificate().is_some()
    }
}

/// Builds the configurations for TLS 1.2 and 1.3 as `identity`, with session tickets, which need no
/// state on the server.
///
/// # Panics
/// Only without a source of randomness, which [`crate::server`] checks before.
#[must_use]
pub fn server_configs(identity: Arc<Identity>) -> ServerConfigs {
    let mut config = ServerConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_protocol_versions(&[&TLS13, &TLS12])
        .expect("the provider has suites for both")
        .with_no_client_auth()
        .with_cert_resolver(identity.clone());
    config.alpn_protocols = PROTOCOLS.map(<[u8]>::to_vec).to_vec();
    config.session_storage = Arc::new(NoServerSessionStorage {});
    config.ticketer = aws_lc_rs::Ticketer::new().expect("the system has random bytes");
    let mut challenged = config.clone();
    challenged.alpn_protocols.push(ACME_TLS.to_vec());
    ServerConfigs { identity, ordinary: Arc::new(config), challenged: Arc::new(challenged) }
}
