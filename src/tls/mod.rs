//! TLS: one port for HTTPS, WSS and TURN.
//!
//! ```text
//!                                          ┌─ `h2`, `http/1.1` ──────────────────► http
//! TCP ──► accepting ──► handshake ─► ALPN ─┼─ `stun.turn` ───────────────────────► a shard
//!                                          └─ none ─► first byte ─┬─ 0x00 to 0x03 ► a shard
//!                                                                 └─ any other ───► http
//! ```
//!
//! Handshakes have a thread of their own ([`pending`]), so that a flood of them stands neither
//! before media nor before signals. A [`Certificate`] is parsed and matched with its key before
//! anything is served with it; [`Identity`] swaps it under live connections, and [`renewal`] says
//! when.

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

/// The protocols that a client may ask for by ALPN (RFC 7301). A client that asks for others alone
/// is refused with `no_application_protocol`: what it says next would be taken for something else.
/// The first of these that it names counts: no browser asks for TURN when it wants a page, but
/// coturn's clients ask for `http/1.1` beside it.
const PROTOCOLS: [&[u8]; 3] = [STUN_TURN, H2, b"http/1.1"];
const H2: &[u8] = b"h2";
/// RFC 7443 section 4.
const STUN_TURN: &[u8] = b"stun.turn";

/// TLS 1.2 and 1.3 as `identity`, with session tickets that leave nothing to remember here.
///
/// # Panics
/// Never on a machine that has randomness, which [`crate::server`] has drawn before.
#[must_use]
pub fn server_config(identity: Arc<Identity>) -> Arc<ServerConfig> {
    let mut config = ServerConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_protocol_versions(&[&TLS13, &TLS12])
        .expect("the provider has suites for both")
        .with_no_client_auth()
        .with_cert_resolver(identity);
    config.alpn_protocols = PROTOCOLS.map(<[u8]>::to_vec).to_vec();
    config.session_storage = Arc::new(NoServerSessionStorage {});
    config.ticketer = aws_lc_rs::Ticketer::new().expect("the system has random bytes");
    Arc::new(config)
}
