//! Identity for TLS clients: a certificate that can be replaced while connections are open.

use std::fmt;
use std::sync::Arc;

use arc_swap::ArcSwapOption;
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;

use super::acme::Challenges;
use super::{ACME_TLS, Certificate};

/// The current certificate. Without one, every handshake fails.
#[derive(Default)]
pub struct Identity {
    certificate: ArcSwapOption<Certificate>,
    challenges: Challenges,
}

impl Identity {
    /// Replaces the certificate. Running handshakes and open connections keep the earlier one.
    pub fn set(&self, certificate: Option<Arc<Certificate>>) {
        self.certificate.store(certificate);
    }

    /// The current certificate, if there is one.
    #[must_use]
    pub fn certificate(&self) -> Option<Arc<Certificate>> {
        self.certificate.load_full()
    }

    /// Answers to an ACME authority.
    #[must_use]
    pub fn challenges(&self) -> &Challenges {
        &self.challenges
    }
}

impl ResolvesServerCert for Identity {
    /// Returns the same certificate for every requested name. A client that does not find its name
    /// in it refuses it.
    ///
    /// An ACME authority offers one protocol alone, and gets the challenge's certificate (RFC 8737
    /// section 3).
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        if self.challenges.expect_handshakes() && hello.alpn().is_some_and(|offered| offered.eq([ACME_TLS])) {
            return self.challenges.certificate(hello.server_name()?);
        }
        self.certificate.load().as_ref().map(|certificate| certificate.certified_key())
    }
}

impl fmt::Debug for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Identity({})", if self.certificate.load().is_some() { "certified" } else { "none" })
    }
}
