//! Answers to the challenges of the order that is under way.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Arc, Mutex};

use byway_turn::lock::lock;
use rustls::sign::CertifiedKey;

/// Answers that the authority asks for while an order is under way. Empty otherwise.
#[derive(Default)]
pub struct Challenges {
    /// Certificates of TLS-ALPN-01 by server name.
    certificates: Mutex<BTreeMap<String, Arc<CertifiedKey>>>,
    /// Key authorizations of HTTP-01 by token.
    pages: Mutex<BTreeMap<String, String>>,
    /// Whether there is a certificate, so that other handshakes need not lock.
    has_certificates: AtomicBool,
}

impl Challenges {
    /// Whether a handshake for TLS-ALPN-01 may come.
    #[must_use]
    pub fn expect_handshakes(&self) -> bool {
        self.has_certificates.load(Relaxed)
    }

    /// The certificate for a server name (RFC 8737 section 3).
    #[must_use]
    pub fn certificate(&self, server_name: &str) -> Option<Arc<CertifiedKey>> {
        lock(&self.certificates).get(&server_name.to_ascii_lowercase()).cloned()
    }

    /// The content of the page with this token (RFC 8555 section 8.3).
    #[must_use]
    pub fn page(&self, token: &str) -> Option<String> {
        lock(&self.pages).get(token).cloned()
    }

    /// Publishes a certificate.
    #[cfg(feature = "acme")]
    pub(super) fn publish_certificate(&self, server_name: String, certificate: Arc<CertifiedKey>) {
        lock(&self.certificates).insert(server_name, certificate);
        self.has_certificates.store(true, Relaxed);
    }

    /// Publishes a page.
    #[cfg(feature = "acme")]
    pub(super) fn publish_page(&self, token: String, content: String) {
        lock(&self.pages).insert(token, content);
    }

    /// Withdraws every answer.
    #[cfg(feature = "acme")]
    pub(super) fn withdraw(&self) {
        self.has_certificates.store(false, Relaxed);
        lock(&self.certificates).clear();
        lock(&self.pages).clear();
    }
}

impl fmt::Debug for Challenges {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Challenges").field("has_certificates", &self.has_certificates).finish_non_exhaustive()
    }
}
