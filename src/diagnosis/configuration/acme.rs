//! ACME client: names that no authority certifies, and ports that it cannot reach.

use byway_turn::server::is_special_purpose;

use crate::config::{Config, ProxiedListener};
use crate::diagnosis::Finding;
use crate::fault::Fault;
use crate::tls::Name;
use crate::tls::acme::{AcmeSettings, Challenge};

/// Top-level names that no public authority certifies (RFC 6761, RFC 8375, and usual local ones).
const LOCAL: [&str; 8] = ["localhost", "local", "test", "example", "invalid", "internal", "lan", "arpa"];

pub(super) fn judge(acme: &AcmeSettings, config: &Config) -> Vec<Finding> {
    let mut findings = Vec::new();
    let missing = Fault::CertificateMissing;
    let is_local = |name: &&Name| match name {
        Name::Dns(name) => match name.rsplit_once('.') {
            Some((_, last)) => LOCAL.contains(&last),
            None => true,
        },
        Name::Ip(ip) => is_special_purpose(*ip),
    };
    if acme.ca_file.is_none() {
        findings.extend(acme.names.iter().filter(is_local).map(|name| {
            Finding::warning(
                missing,
                format!("acme.names has {name}, for which no public authority issues a certificate"),
                "",
                "use a public name or address, or name your own authority as `directory` and `ca_file`",
            )
        }));
    }
    let (key, port, listeners) = match acme.challenge {
        Challenge::TlsAlpn01 => ("tls", 443, &config.listen.tls),
        Challenge::Http01 => ("http", 80, &config.listen.http),
        Challenge::Dns01 => return findings,
    };
    let challenge = acme.challenge.name();
    if acme.ca_file.is_none() && listeners.iter().all(|listener| listener.port() != port) {
        findings.push(Finding::warning(
            missing,
            format!(
                "acme.challenge is \"{challenge}\", and no `{key}` listener has port {port}, to which the authority connects"
            ),
            "",
            "add one, or forward that port to this server",
        ));
    } else if acme.ca_file.is_none() && listeners.iter().all(|listener| listener.ip().is_loopback()) {
        findings.push(Finding::warning(
            missing,
            format!(
                "acme.challenge is \"{challenge}\", and the `{key}` listeners are on loopback, where no authority connects"
            ),
            "",
            format!("listen on \"0.0.0.0:{port}\""),
        ));
    }
    if acme.challenge == Challenge::TlsAlpn01 && config.listen.proxy_protocol.contains(&ProxiedListener::Tls)
    {
        findings.push(Finding::warning(
            missing,
            "acme.challenge is \"tls-alpn-01\" behind a proxy",
            "it works only if the proxy passes TLS on unchanged",
            "else let the proxy have the certificate",
        ));
    }
    if config.listen.tls.is_empty() {
        findings.push(Finding::warning(
            None,
            "acme.names is set but there is no `tls` listener",
            "the certificate is not used",
            "add one as `tls` under [listen]",
        ));
    }
    findings
}
