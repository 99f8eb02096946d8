//! Who we are to TLS clients: a certificate that can be exchanged under live connections.

use std::fmt;
use std::sync::Arc;

use arc_swap::ArcSwap;
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;

use super::{Certificate, CertificateFiles, Unusable};

/// The certificate at present, and the files that it comes from.
pub struct Identity {
    files: CertificateFiles,
    certificate: ArcSwap<Certificate>,
}

impl Identity {
    /// Loads the first certificate.
    ///
    /// # Errors
    /// [`Unusable`] says which file, why, and what to do.
    pub fn load(files: CertificateFiles) -> Result<Self, Unusable> {
        let certificate = ArcSwap::from_pointee(Certificate::load(&files)?);
        Ok(Self { files, certificate })
    }

    /// Loads the files again. What they hold is taken only if all of it is good; handshakes that
    /// are under way, and connections, go on with what they began with.
    ///
    /// # Errors
    /// [`Unusable`]; the certificate so far is kept.
    pub fn reload(&self) -> Result<(), Unusable> {
        let certificate = Certificate::load(&self.files)?;
        self.certificate.store(Arc::new(certificate));
        Ok(())
    }

    /// The certificate at present.
    #[must_use]
    pub fn certificate(&self) -> Arc<Certificate> {
        self.certificate.load_full()
    }

    /// Where it comes from.
    #[must_use]
    pub fn files(&self) -> &CertificateFiles {
        &self.files
    }
}

impl ResolvesServerCert for Identity {
    /// The same for every name that a client asks for: a client that does not find its name in it
    /// says so.
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(self.certificate.load().certified_key())
    }
}

impl fmt::Debug for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Identity").field("files", &self.files).finish_non_exhaustive()
    }
}
