//! What a client called us.

use std::net::IpAddr;

/// The name or address under which a client reached us: the host part of an HTTP `Host` header.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Host {
    /// A DNS name.
    Name(String),
    /// An IP literal.
    Ip(IpAddr),
}

impl Host {
    /// Takes the host out of `host`, `host:port`, `[v6]` or `[v6]:port`. What a client writes here comes back to it
    /// inside URLs, so anything but letters, digits, `-`, `_` and `.` makes no name.
    #[must_use]
    pub fn parse(authority: &str) -> Option<Self> {
        let (host, rest) = match authority.strip_prefix('[') {
            Some(bracketed) => {
                let (literal, rest) = bracketed.split_once(']')?;
                (Self::Ip(IpAddr::V6(literal.parse().ok()?)), rest)
            }
            None => {
                let end = authority.find(':').unwrap_or(authority.len());
                let (name, rest) = authority.split_at(end);
                (name.parse().map_or_else(|_| Self::name(name), |v4| Some(Self::Ip(IpAddr::V4(v4))))?, rest)
            }
        };
        let port_is_plain =
            rest.is_empty() || rest.strip_prefix(':').is_some_and(|port| port.parse::<u16>().is_ok());
        port_is_plain.then_some(host)
    }

    fn name(name: &str) -> Option<Self> {
        let plain = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.');
        // RFC 1035 section 2.3.4: 255 octets on the wire are at most 253 characters.
        ((1..=253).contains(&name.len()) && name.bytes().all(plain))
            .then(|| Self::Name(name.to_ascii_lowercase()))
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
            "[::1]x",
        ] {
            assert_eq!(Host::parse(bad), None, "{bad:?}");
        }
        assert_eq!(Host::parse(&"a".repeat(254)), None);
    }
}
