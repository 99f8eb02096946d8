//! URL of the call page.

use std::net::SocketAddr;

use crate::net::interfaces;
use crate::tls::{Certificate, Name};

/// URL of the page: on the TLS listener under a name of its certificate, else on the plain HTTP
/// listener.
#[must_use]
pub fn page(certificate: Option<&Certificate>, tls: &[SocketAddr], http: &[SocketAddr]) -> Option<String> {
    let plain = || http.first().map(|listener| format!("http://{}/", interfaces::reachable(*listener)));
    secure_page(certificate, tls).or_else(plain)
}

/// URL of the page on the TLS listener only, under a name that browsers find in the certificate.
#[must_use]
pub fn secure_page(certificate: Option<&Certificate>, tls: &[SocketAddr]) -> Option<String> {
    let (certificate, listener) = (certificate?, *tls.first()?);
    Some(match (certificate.names().preferred(None).map(Name::in_url), listener.port()) {
        (Some(name), 443) => format!("https://{name}/"),
        (Some(name), port) => format!("https://{name}:{port}/"),
        (None, _) => format!("https://{}/", interfaces::reachable(listener)),
    })
}
