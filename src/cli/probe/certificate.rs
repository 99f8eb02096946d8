//! Faults of a server's certificate, each with its remedy.

use std::fmt;
use std::net::IpAddr;

use rustls::CertificateError;
use rustls::pki_types::UnixTime;

use crate::fault::Fault;
use crate::ice::rfc3339;

use super::chain::ChainIncomplete;

/// Reason for which a certificate does not prove that the server is the one in the URL.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::cli) enum CertificateFault {
    Expired {
        since: UnixTime,
    },
    NotYetValid {
        until: UnixTime,
    },
    OtherName {
        wanted: String,
        presented: Vec<String>,
    },
    UnknownIssuer,
    /// The server does not send the certificate of this issuer.
    ChainIncomplete {
        issuer: String,
    },
    /// It is within its validity by the server's clock, not by this machine's.
    Clock {
        seconds: u64,
    },
    /// A CA certificate, as `openssl req -x509` makes it.
    IssuersOwn,
    Other(String),
}

impl From<&CertificateError> for CertificateFault {
    fn from(error: &CertificateError) -> Self {
        match error {
            CertificateError::ExpiredContext { not_after, .. } => Self::Expired { since: *not_after },
            CertificateError::NotValidYetContext { not_before, .. } => {
                Self::NotYetValid { until: *not_before }
            }
            CertificateError::NotValidForNameContext { expected, presented } => Self::OtherName {
                wanted: expected.to_str().into_owned(),
                presented: presented.iter().map(|name| bare(name)).collect(),
            },
            CertificateError::UnknownIssuer => Self::UnknownIssuer,
            CertificateError::Other(other)
                if let Some(ChainIncomplete { issuer }) = other.0.downcast_ref() =>
            {
                Self::ChainIncomplete { issuer: issuer.clone() }
            }
            // rustls passes on this error of webpki without a variant of its own.
            CertificateError::Other(other) if format!("{other:?}").contains("CaUsedAsEndEntity") => {
                Self::IssuersOwn
            }
            other => Self::Other(other.to_string()),
        }
    }
}

impl CertificateFault {
    /// Remedy for the operator or the caller.
    pub(in crate::cli) fn remedy(&self) -> &'static str {
        match self {
            Self::Expired { .. } => {
                "renew it, and find out why it was not renewed automatically; if it is new, correct this machine's clock"
            }
            Self::NotYetValid { .. } => "compare the clocks of this machine and of the certificate's issuer",
            Self::OtherName { wanted, .. } if wanted.parse::<IpAddr>().is_ok() => {
                "use a name of the certificate in the URL, or get a certificate for this address"
            }
            Self::OtherName { .. } => {
                "use a name of the certificate in the URL, or get a certificate for this name"
            }
            Self::UnknownIssuer => {
                "let the server send its whole chain (fullchain.pem), or get a certificate that browsers trust; for \
                 an issuer of your own, give --ca FILE"
            }
            Self::ChainIncomplete { .. } => {
                "let the server send its whole chain: set tls.cert, or the proxy's ssl_certificate, to fullchain.pem instead \
                 of cert.pem"
            }
            Self::Clock { .. } => {
                "set the clocks of this machine and of the server (`timedatectl set-ntp true`)"
            }
            Self::IssuersOwn | Self::Other(_) => {
                "get a certificate that browsers trust, or sign one with an issuer of your own and give --ca FILE"
            }
        }
    }
}

impl CertificateFault {
    /// Entry of the documentation.
    pub(in crate::cli) fn fault(&self) -> Fault {
        match self {
            Self::Expired { .. } => Fault::CertificateExpired,
            Self::NotYetValid { .. } | Self::Clock { .. } => Fault::ClockOff,
            Self::OtherName { .. } => Fault::CertificateName,
            Self::ChainIncomplete { .. } => Fault::CertificateChainIncomplete,
            Self::UnknownIssuer | Self::IssuersOwn | Self::Other(_) => Fault::CertificateUntrusted,
        }
    }
}

impl fmt::Display for CertificateFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Expired { since } => write!(f, "the certificate expired at {}", rfc3339(since.as_secs())),
            Self::NotYetValid { until } => {
                write!(f, "the certificate is not valid before {}", rfc3339(until.as_secs()))
            }
            Self::OtherName { wanted, presented } => match presented.as_slice() {
                [] => write!(f, "the certificate has no name, so it is not valid for {wanted}"),
                names => write!(f, "the certificate is for {}, not for {wanted}", names.join(", ")),
            },
            Self::UnknownIssuer => {
                f.write_str("the certificate is from an issuer that this machine does not trust")
            }
            Self::ChainIncomplete { issuer } => {
                write!(f, "the server sends its certificate without that of its issuer, {issuer}")
            }
            Self::Clock { seconds } => write!(
                f,
                "the certificate is not valid now by this machine's clock, which differs from the server's by {seconds} s"
            ),
            Self::IssuersOwn => f.write_str(
                "the certificate is a CA certificate, which may sign others but not identify a server",
            ),
            Self::Other(error) => write!(f, "the certificate is not acceptable: {error}"),
        }
    }
}

/// Strips webpki's notation off a name: `DnsName("example.org")` or `IpAddress(192.0.2.1)`. Escapes
/// control characters, because webpki passes a malformed name on unchanged and a terminal could
/// obey it.
pub(super) fn bare(name: &str) -> String {
    let inner = name.split_once('(').and_then(|(_, rest)| rest.strip_suffix(')')).unwrap_or(name);
    inner.trim_matches('"').escape_debug().to_string()
}

#[cfg(test)]
mod tests {
    use rustls::pki_types::ServerName;

    use super::*;

    #[test]
    fn names_are_shown_as_people_write_them() {
        let fault = CertificateFault::from(&CertificateError::NotValidForNameContext {
            expected: ServerName::try_from("turn.example.org").unwrap(),
            presented: vec!["DnsName(\"example.org\")".to_owned(), "IpAddress(192.0.2.1)".to_owned()],
        });
        assert_eq!(
            fault.to_string(),
            "the certificate is for example.org, 192.0.2.1, not for turn.example.org"
        );
    }

    #[test]
    fn a_terminal_obeys_no_name() {
        assert_eq!(
            bare("DnsName(\"\u{1b}]0;owned\u{7}\n\u{202e}.example\")"),
            "\\u{1b}]0;owned\\u{7}\\n\\u{202e}.example"
        );
    }
}
