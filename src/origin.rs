//! Hosts, authorities and origins as values (RFC 3986 section 3.2, RFC 6454). Pure.
//!
//! Each string is parsed once. Two values are equal if they name the same thing, regardless of
//! letter case, notation of an address, or a default port.

mod host;

use std::fmt;
use std::str::FromStr;

use byway_turn::closed_set;
use byway_turn::closed_set::ClosedSet as _;

pub use host::{Authority, Host, HostPattern};

closed_set! {
    /// Scheme of a page or of its connection. It is parsed in any letter case (RFC 3986 section
    /// 3.1).
    pub enum Scheme {
        /// `http`
        Http = "http",
        /// `https`
        Https = "https",
    }
}

impl Scheme {
    /// The default port of a URL (RFC 9110 sections 4.2.1 and 4.2.2).
    #[must_use]
    pub fn default_port(self) -> u16 {
        match self {
            Self::Http => 80,
            Self::Https => 443,
        }
    }
}

/// Origin of a web page: scheme, host and port (RFC 6454 section 4). It displays as section 6.2
/// serializes it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Origin {
    scheme: Scheme,
    host: Host,
    port: u16,
}

/// Reasons for which a string is not an origin of a web page.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum OriginError {
    /// Another scheme, or none.
    #[error("an origin begins with https:// or http://; a wildcard is not allowed")]
    Scheme,
    /// More than a host and a port, or a host that is malformed.
    #[error("an origin is scheme, host and port only, without a path or a wildcard")]
    Authority,
}

impl Origin {
    /// The origin of a URL with this scheme and authority.
    #[must_use]
    pub fn new(scheme: Scheme, authority: &Authority) -> Self {
        let port = authority.port.unwrap_or(scheme.default_port());
        Self { scheme, host: authority.host.clone(), port }
    }

    /// Its scheme.
    #[must_use]
    pub fn scheme(&self) -> Scheme {
        self.scheme
    }
}

impl FromStr for Origin {
    type Err = OriginError;

    fn from_str(text: &str) -> Result<Self, OriginError> {
        let (scheme, authority) = text.split_once("://").ok_or(OriginError::Scheme)?;
        let scheme = Scheme::parse(scheme).ok_or(OriginError::Scheme)?;
        let authority = Authority::parse(authority).ok_or(OriginError::Authority)?;
        Ok(Self::new(scheme, &authority))
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}://{}", self.scheme.label(), self.host)?;
        if self.port == self.scheme.default_port() { Ok(()) } else { write!(f, ":{}", self.port) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn origin(text: &str) -> Origin {
        text.parse().unwrap()
    }

    #[test]
    fn threat_34_origins_are_compared_as_values() {
        for (one, same) in [
            ("https://call.example.org", "https://call.example.org:443"),
            ("http://call.example.org", "HTTP://Call.Example.ORG:80"),
            ("https://call.example.org:8443", "https://CALL.example.org:8443"),
            ("https://[2001:DB8:0::1]", "https://[2001:db8::1]:443"),
            ("http://[::1]:8080", "http://[0:0:0:0:0:0:0:1]:8080"),
            ("http://192.0.2.1", "http://192.0.2.1:80"),
        ] {
            assert_eq!(origin(one), origin(same), "{one} {same}");
            assert_eq!(origin(one).to_string(), origin(same).to_string());
        }
        for (one, other) in [
            ("https://call.example.org", "http://call.example.org"),
            ("https://call.example.org", "http://call.example.org:443"),
            ("https://call.example.org", "https://call.example.org:80"),
            ("https://call.example.org", "https://call.example.org."),
            ("https://call.example.org", "https://call.example.org:444"),
            ("http://[::ffff:192.0.2.1]", "http://192.0.2.1"),
        ] {
            assert_ne!(origin(one), origin(other), "{one} {other}");
        }
    }

    #[test]
    fn an_origin_displays_as_browsers_send_it() {
        for (text, sent) in [
            ("HTTPS://Call.Example.org:443", "https://call.example.org"),
            ("http://[2001:DB8:0::1]:8080", "http://[2001:db8::1]:8080"),
            ("http://call.example.org:443", "http://call.example.org:443"),
        ] {
            assert_eq!(origin(text).to_string(), sent);
        }
    }

    #[test]
    fn everything_else_is_no_origin() {
        use OriginError::{Authority, Scheme};
        for (text, error) in [
            ("", Scheme),
            ("null", Scheme),
            ("*", Scheme),
            ("call.example.org", Scheme),
            ("ftp://call.example.org", Scheme),
            ("ws://call.example.org", Scheme),
            ("https:call.example.org", Scheme),
            ("https://", Authority),
            ("https://*", Authority),
            ("https://*.example.org", Authority),
            ("https://call.example.org/", Authority),
            ("https://call.example.org?", Authority),
            ("https://x@call.example.org", Authority),
            ("https://call.example.org:port", Authority),
            ("https://call.example.org https://call.example.net", Authority),
            ("https://\u{e9}.example.org", Authority),
        ] {
            assert_eq!(text.parse::<Origin>(), Err(error), "{text}");
        }
    }
}
