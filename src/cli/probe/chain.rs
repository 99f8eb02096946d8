//! Verifier that tells an incomplete chain from an issuer that is not trusted.
//!
//! Both are an unknown issuer to the library. A certificate of a public authority says where the
//! certificate of its issuer is (RFC 5280 section 4.2.2.1), because that one is not a root. Nothing
//! is fetched from there.

use std::fmt;
use std::sync::Arc;

use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::aws_lc_rs::default_provider;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{CertificateError, DigitallySignedStruct, Error, OtherError, SignatureScheme};
use x509_parser::extensions::ParsedExtension;
use x509_parser::oid_registry::OID_PKIX_ACCESS_DESCRIPTOR_CA_ISSUERS;
use x509_parser::parse_x509_certificate;

/// The server sends its certificate without that of the issuer.
#[derive(Clone, Debug)]
pub(super) struct ChainIncomplete {
    /// Distinguished name of the issuer.
    pub(super) issuer: String,
}

impl fmt::Display for ChainIncomplete {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "no certificate of {}", self.issuer)
    }
}

impl std::error::Error for ChainIncomplete {}

/// The library's verifier, with more to say of an unknown issuer.
#[derive(Debug)]
pub(super) struct ChainVerifier {
    verifier: Arc<WebPkiServerVerifier>,
    /// Whether the user named issuers to trust: then a lone certificate of an unknown one lacks
    /// its chain.
    has_own_issuers: bool,
}

impl ChainVerifier {
    pub(super) fn new(verifier: Arc<WebPkiServerVerifier>, has_own_issuers: bool) -> Self {
        Self { verifier, has_own_issuers }
    }
}

/// Returns the issuer whose certificate should be among those that the server sent, and is not.
fn missing_issuer(
    leaf: &CertificateDer<'_>,
    others: &[CertificateDer<'_>],
    has_own_issuers: bool,
) -> Option<ChainIncomplete> {
    let (_, leaf) = parse_x509_certificate(leaf).ok()?;
    let is_issuer = |other: &CertificateDer<'_>| {
        parse_x509_certificate(other).is_ok_and(|(_, other)| other.subject() == leaf.issuer())
    };
    let names_issuer = leaf.extensions().iter().any(|extension| match extension.parsed_extension() {
        ParsedExtension::AuthorityInfoAccess(access) => access
            .accessdescs
            .iter()
            .any(|description| description.access_method == OID_PKIX_ACCESS_DESCRIPTOR_CA_ISSUERS),
        _ => false,
    });
    let is_lone = leaf.subject() != leaf.issuer() && !others.iter().any(is_issuer);
    (is_lone && (names_issuer || has_own_issuers))
        .then(|| ChainIncomplete { issuer: leaf.issuer().to_string().escape_debug().to_string() })
}

impl ServerCertVerifier for ChainVerifier {
    fn verify_server_cert(
        &self,
        leaf: &CertificateDer<'_>,
        others: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        ocsp: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let verified = self.verifier.verify_server_cert(leaf, others, name, ocsp, now);
        match verified {
            Err(Error::InvalidCertificate(CertificateError::UnknownIssuer)) => {
                match missing_issuer(leaf, others, self.has_own_issuers) {
                    Some(missing) => {
                        let missing = OtherError(Arc::new(missing));
                        Err(Error::InvalidCertificate(CertificateError::Other(missing)))
                    }
                    None => verified,
                }
            }
            verified => verified,
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.verifier.verify_tls12_signature(message, certificate, signed)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.verifier.verify_tls13_signature(message, certificate, signed)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.verifier.supported_verify_schemes()
    }
}

/// Verifier of nothing, for the time of a server whose certificate was refused.
#[derive(Debug)]
pub(super) struct AnyCertificate;

impl ServerCertVerifier for AnyCertificate {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn verify_tls13_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        default_provider().signature_verification_algorithms.supported_schemes()
    }
}
