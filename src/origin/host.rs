//! Hosts and authorities: the part of a URL that names a server.

use std::fmt;
use std::net::IpAddr;

/// The name or address under which a client reached the server: the host part of an HTTP `Host`
/// header.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Host {
    /// A DNS name, in lower case.
    Name(String),
    /// An IP literal.
    Ip(IpAddr),
}

impl Host {
    /// Parses the host of `host`, `host:port`, `[v6]` or `[v6]:port`. URLs for the client contain
    /// its value, so a name has only letters, digits, `-`, `_` and `.`.
    #[must_use]
    pub fn parse(authority: &str) -> Option<Self> {
        Authority::parse(authority).map(|authority| authority.host)
    }

    fn name(name: &str) -> Option<Self> {
        let plain = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.');
        // RFC 1035 section 2.3.4: 255 octets on the wire are at most 253 characters.
        ((1..=253).contains(&name.len()) && name.bytes().all(plain))
            .then(|| Self::Name(name.to_ascii_lowercase()))
    }
}

impl fmt::Display for Host {
    /// Formats the host for a URL (RFC 3986 section 3.2.2).
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Name(name) => f.write_str(name),
            Self::Ip(IpAddr::V6(ip)) => write!(f, "[{ip}]"),
            Self::Ip(ip) => ip.fmt(f),
        }
    }
}

/// Host and optional port of a URL, without user information (RFC 3986 section 3.2).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Authority {
    /// The host.
    pub host: Host,
    /// The port, if one is written.
    pub port: Option<u16>,
}

impl Authority {
    /// Parses `host`, `host:port`, `[v6]` or `[v6]:port`. An empty port counts as absent (RFC 3986
    /// section 3.2.3).
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let (host, rest) = match text.strip_prefix('[') {
            Some(bracketed) => {
                let (literal, rest) = bracketed.split_once(']')?;
                (Host::Ip(IpAddr::V6(literal.parse().ok()?)), rest)
            }
            None => {
                let end = text.find(':').unwrap_or(text.len());
                let (name, rest) = text.split_at(end);
                (name.parse().map_or_else(|_| Host::name(name), |v4| Some(Host::Ip(IpAddr::V4(v4))))?, rest)
            }
        };
        let port = match rest {
            "" | ":" => None,
            rest => {
                let digits =
                    rest.strip_prefix(':').filter(|port| port.bytes().all(|b| b.is_ascii_digit()))?;
                Some(digits.parse().ok()?)
            }
        };
        Some(Self { host, port })
    }
}

/// One host, or all hosts one label below a name, in the notation of certificates: `*.example.org`
/// (RFC 9525 section 6.3).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum HostPattern {
    /// This host.
    Host(Host),
    /// The hosts one label below this name.
    Below(String),
}

impl HostPattern {
    /// Parses a name, `*.` and a name, or an IP address with or without brackets. A port is not
    /// allowed.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        if let Some(parent) = text.strip_prefix("*.") {
            return match Host::name(parent)? {
                Host::Name(parent) => Some(Self::Below(parent)),
                Host::Ip(_) => None,
            };
        }
        match text.parse() {
            Ok(ip) => Some(Self::Host(Host::Ip(ip))),
            Err(_) if text.contains(':') && !text.ends_with(']') => None,
            Err(_) => Host::parse(text).map(Self::Host),
        }
    }

    /// Whether the pattern matches this host.
    #[must_use]
    pub fn matches(&self, host: &Host) -> bool {
        match (self, host) {
            (Self::Host(known), host) => known == host,
            (Self::Below(parent), Host::Name(name)) => {
                name.split_once('.').is_some_and(|(label, above)| !label.is_empty() && above == parent)
            }
            (Self::Below(_), Host::Ip(_)) => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_is_a_name_or_a_literal_and_nothing_else() {
        let name = |n: &str| Some(Host::Name(n.to_owned()));
        assert_eq!(Host::parse("Example.ORG"), name("example.org"));
        assert_eq!(Host::parse("localhost:8080"), name("localhost"));
        assert_eq!(Host::parse("[::1]"), Some(Host::Ip("::1".parse().unwrap())));
        assert_eq!(Host::parse("127.0.0.1:1"), Some(Host::Ip("127.0.0.1".parse().unwrap())));
        for bad in [
            "",
            ":80",
            "a b",
            "a?x",
            "a/b",
            "a@b",
            "\u{e9}",
            "[::1",
            "[a]",
            "[1.2.3.4]",
            "::1",
            "a:b",
            "a:99999",
            "a:+1",
            "a:1:2",
            "[::1]x",
            "[fe80::1%25eth0]",
        ] {
            assert_eq!(Host::parse(bad), None, "{bad:?}");
        }
        assert_eq!(Host::parse(&"a".repeat(254)), None);
    }

    #[test]
    fn an_authority_keeps_the_port_that_is_written() {
        for (text, host, port) in [
            ("a", "a", None),
            ("A:", "a", None),
            ("a:443", "a", Some(443)),
            ("[2001:DB8:0::1]:8080", "[2001:db8::1]", Some(8080)),
            ("192.0.2.1:0", "192.0.2.1", Some(0)),
        ] {
            let authority = Authority::parse(text).unwrap();
            assert_eq!((authority.host.to_string().as_str(), authority.port), (host, port), "{text}");
        }
    }

    #[test]
    fn a_wildcard_stands_for_one_label() {
        let below = HostPattern::parse("*.Example.org").unwrap();
        for (host, matches) in [
            ("a.example.org", true),
            ("A.EXAMPLE.ORG", true),
            ("example.org", false),
            (".example.org", false),
            ("a.b.example.org", false),
            ("aexample.org", false),
            ("192.0.2.1", false),
        ] {
            assert_eq!(below.matches(&Host::parse(host).unwrap()), matches, "{host}");
        }
    }

    #[test]
    fn a_pattern_is_a_host_without_a_port() {
        for (text, host) in [
            ("Call.example.org", "call.example.org"),
            ("192.0.2.1", "192.0.2.1"),
            ("2001:DB8::1", "[2001:db8::1]"),
            ("[2001:db8::1]", "[2001:db8::1]"),
        ] {
            assert!(HostPattern::parse(text).unwrap().matches(&Host::parse(host).unwrap()), "{text}");
        }
        for bad in ["", "*", "*.", "a.*", "*.*.org", "a:80", "a:", "[::1]:80", "*.a:80", "https://a", "a/"] {
            assert_eq!(HostPattern::parse(bad), None, "{bad:?}");
        }
    }
}
