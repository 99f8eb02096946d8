//! Server authentication of the probe: TLS with a certificate that the system's roots or `--ca`
//! verify.
//!
//! The system's other clients use its root list too. It is updated without a new binary, and
//! includes a company root that was installed on this machine.

use std::io;
use std::path::Path;
use std::sync::Arc;

use rustls::client::{Resumption, WebPkiServerVerifier};
use rustls::crypto::aws_lc_rs::default_provider;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, Error, RootCertStore};
use rustls_native_certs::load_native_certs;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use crate::operator_file;
use crate::tls::{Unusable, pem_kinds};

use super::chain::{AnyCertificate, ChainVerifier};
use super::error::{ProbeError, Step};

/// TLS configuration with the roots that verify certificates, or the error if there are none.
#[derive(Clone, Debug)]
pub(in crate::cli) struct Trust(Result<Arc<ClientConfig>, ProbeError>);

impl Trust {
    /// Loads the system's roots, and those in a file of the user's.
    ///
    /// # Errors
    /// [`Unusable`] if the file cannot be used. A system without roots is an error only for a TLS
    /// connection.
    pub(in crate::cli) fn load(ca: Option<&Path>) -> Result<Self, Unusable> {
        let mut roots = RootCertStore::empty();
        // A root that cannot be read or parsed is skipped; the others remain in use.
        roots.add_parsable_certificates(load_native_certs().certs);
        if let Some(file) = ca {
            add(file, &mut roots).map_err(|reason| Unusable {
                file: file.to_owned(),
                reason,
                remedy: "give a file with the issuer's certificate in PEM",
                is_shortage: false,
                is_missing: false,
            })?;
        }
        if roots.is_empty() {
            return Ok(Self(Err(ProbeError::NoRoots)));
        }
        let provider = Arc::new(default_provider());
        let verifier = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider.clone()).build();
        let verifier = ChainVerifier::new(verifier.expect("there are roots"), ca.is_some());
        let config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .expect("the provider has suites for both")
            .dangerous() // the verifier only names one error more closely
            .with_custom_certificate_verifier(Arc::new(verifier))
            .with_no_client_auth();
        Ok(Self(Ok(Arc::new(config))))
    }

    /// Returns the same trust for a client that requests a protocol by ALPN (RFC 7301). TURN
    /// clients, browsers included, request none.
    pub(in crate::cli) fn speaking(&self, protocol: &[u8]) -> Self {
        Self(self.0.clone().map(|config| {
            let mut config = ClientConfig::clone(&config);
            config.alpn_protocols = vec![protocol.to_vec()];
            Arc::new(config)
        }))
    }

    /// Returns a client that accepts every certificate. Nothing that it receives may be trusted,
    /// and nothing secret may be sent.
    pub(super) fn of_any_certificate(&self) -> Self {
        Self(self.0.clone().map(|config| {
            let mut config = ClientConfig::clone(&config);
            config.dangerous().set_certificate_verifier(Arc::new(AnyCertificate));
            // A session of this client must never be resumed by one that verifies.
            config.resumption = Resumption::disabled();
            Arc::new(config)
        }))
    }

    /// Returns the TLS configuration for a caller that performs the handshake itself.
    pub(in crate::cli) fn config(&self) -> Result<Arc<ClientConfig>, ProbeError> {
        self.0.clone()
    }

    /// Performs a TLS handshake, and verifies that the server is `name`.
    pub(in crate::cli) async fn handshake(
        &self,
        stream: TcpStream,
        name: ServerName<'static>,
    ) -> Result<TlsStream<TcpStream>, ProbeError> {
        let connector = TlsConnector::from(self.config()?);
        connector.connect(name, stream).await.map_err(|error| match error.kind() {
            io::ErrorKind::UnexpectedEof | io::ErrorKind::ConnectionReset => {
                ProbeError::Closed { step: Some(Step::Handshake) }
            }
            _ => ProbeError::broken(&error),
        })
    }
}

/// Adds every certificate in a file; the file must have at least one.
fn add(file: &Path, roots: &mut RootCertStore) -> Result<(), String> {
    let pem = operator_file::read(file, operator_file::LARGE).map_err(|error| error.to_string())?;
    pem_kinds(&pem)?;
    let before = roots.len();
    for certificate in CertificateDer::pem_slice_iter(&pem) {
        let certificate = certificate.map_err(|error| error.to_string())?;
        roots.add(certificate).map_err(|error: Error| error.to_string())?;
    }
    if roots.len() == before { Err("no certificate in this file".to_owned()) } else { Ok(()) }
}
