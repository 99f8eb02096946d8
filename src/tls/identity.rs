//! Identity for TLS clients: a certificate that can be replaced while connections are open.

use std::fmt;
use std::sync::Arc;

use arc_swap::ArcSwap;
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;

use super::{Certificate, CertificateFiles, Unusable};

/// The current certificate and its files.
pub struct Identity {
    files: CertificateFiles,
    certificate: ArcSwap<Certificate>,
}

impl Identity {
    /// Loads the first certificate.
    ///
    /// # Errors
    /// [`Unusable`] with the file, the cause and the remedy.
    pub fn load(files: CertificateFiles) -> Result<Self, Unusable> {
        let certificate = ArcSwap::from_pointee(Certificate::load(&files)?);
        Ok(Self { files, certificate })
    }

    /// Reloads the files. Their content is used only if all of it is valid. Running handshakes and
    /// open connections keep the earlier certificate.
    ///
    /// # Errors
    /// [`Unusable`]; the current certificate is kept.
    pub fn reload(&self) -> Result<(), Unusable> {
        let certificate = Certificate::load(&self.files)?;
        self.certificate.store(Arc::new(certificate));
        Ok(())
    }

    /// The current certificate.
    #[must_use]
    pub fn certificate(&self) -> Arc<Certificate> {
        self.certificate.load_full()
    }

    /// Its files.
    #[must_use]
    pub fn files(&self) -> &CertificateFiles {
        &self.files
    }
}

impl ResolvesServerCert for Identity {
    /// Returns the same certificate for every requested name. A client that does not find its name
    /// in it refuses it.
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(self.certificate.load().certified_key())
    }
}

impl fmt::Debug for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Identity").field("files", &self.files).finish_non_exhaustive()
    }
}
