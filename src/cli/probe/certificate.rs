//! What can be wrong with the certificate that a server shows, and what to do about it.

use std::fmt;
use std::net::IpAddr;

use rustls::CertificateError;
use rustls::pki_types::UnixTime;

use crate::ice::rfc3339;

/// Why a certificate does not prove that the server is who the URL says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::cli) enum Fault {
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
    /// The kind that `openssl req -x509` makes: one that may sign others.
    IssuersOwn,
    Other(String),
}

impl From<&CertificateError> for Fault {
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
            // rustls hands on this one of webpki's without a name of its own.
            CertificateError::Other(other) if format!("{other:?}").contains("CaUsedAsEndEntity") => {
                Self::IssuersOwn
            }
            other => Self::Other(other.to_string()),
        }
    }
}

impl Fault {
    /// What to do about it.
    pub(in crate::cli) fn remedy(&self) -> &'static str {
        match self {
            Self::Expired { .. } => {
                "renew it and see why that did not happen by itself; if it is fresh, compare this machine's clock"
            }
            Self::NotYetValid { .. } => "compare the clocks of this machine and of the certificate's issuer",
            Self::OtherName { wanted, .. } if wanted.parse::<IpAddr>().is_ok() => {
                "name the server as its certificate does, by a name, or get a certificate for this address"
            }
            Self::OtherName { .. } => "name the server as its certificate does, or get one for this name",
            Self::UnknownIssuer => {
                "have the server send its whole chain (fullchain.pem), or get a certificate that browsers trust; for \
                 an issuer of your own, --ca FILE"
            }
            Self::IssuersOwn | Self::Other(_) => {
                "get a certificate that browsers trust, or let an issuer of your own sign one, and give --ca FILE"
            }
        }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Expired { since } => write!(f, "the certificate expired at {}", rfc3339(since.as_secs())),
            Self::NotYetValid { until } => {
                write!(f, "the certificate is not valid before {}", rfc3339(until.as_secs()))
            }
            Self::OtherName { wanted, presented } => match presented.as_slice() {
                [] => write!(f, "the certificate is for no name, and so not for {wanted}"),
                names => write!(f, "the certificate is for {}, not for {wanted}", names.join(", ")),
            },
            Self::UnknownIssuer => {
                f.write_str("the certificate is by an issuer that this machine does not know")
            }
            Self::IssuersOwn => {
                f.write_str("the certificate is an issuer's own, which may sign others and not serve")
            }
            Self::Other(error) => write!(f, "the certificate is not acceptable: {error}"),
        }
    }
}

/// webpki writes the names of a certificate as `DnsName("example.org")` and `IpAddress(192.0.2.1)`,
/// and what is no name as it stands there: such as what a terminal would obey.
fn bare(name: &str) -> String {
    let inner = name.split_once('(').and_then(|(_, rest)| rest.strip_suffix(')')).unwrap_or(name);
    inner.trim_matches('"').escape_debug().to_string()
}

#[cfg(test)]
mod tests {
    use rustls::pki_types::ServerName;

    use super::*;

    #[test]
    fn names_are_shown_as_people_write_them() {
        let fault = Fault::from(&CertificateError::NotValidForNameContext {
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
