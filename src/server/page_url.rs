//! URL of the call page.

use std::net::SocketAddr;

use crate::config::Config;
use crate::net::interfaces;
use crate::tls::acme::AcmeSettings;
use crate::tls::{Certificate, CertificateNames, Name};

/// Names of the TLS listeners: those that ACME keeps a certificate for, else those of the
/// certificate.
#[must_use]
pub fn names(config: &Config, certificate: Option<&Certificate>) -> Option<CertificateNames> {
    let of_acme = config.acme.as_ref().map(AcmeSettings::certificate_names);
    of_acme.or_else(|| certificate.map(|certificate| certificate.names().clone()))
}

/// URL of the page: on the TLS listener under one of its names, else on the plain HTTP listener.
#[must_use]
pub fn page(names: Option<&CertificateNames>, tls: &[SocketAddr], http: &[SocketAddr]) -> Option<String> {
    let plain = || http.first().map(|listener| format!("http://{}/", interfaces::reachable(*listener)));
    secure_page(names, tls).or_else(plain)
}

/// URL of the page on the TLS listener only, under a name that browsers find in the certificate.
#[must_use]
pub fn secure_page(names: Option<&CertificateNames>, tls: &[SocketAddr]) -> Option<String> {
    let (names, listener) = (names?, *tls.first()?);
    Some(match (names.preferred(None).map(Name::in_url), listener.port()) {
        (Some(name), 443) => format!("https://{name}/"),
        (Some(name), port) => format!("https://{name}:{port}/"),
        (None, _) => format!("https://{}/", interfaces::reachable(listener)),
    })
}
