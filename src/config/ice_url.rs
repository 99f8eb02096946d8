//! STUN and TURN URLs (RFC 7064, RFC 7065), as they stand in an `RTCIceServer`.

use std::fmt;
use std::net::Ipv6Addr;
use std::str::FromStr;

use byway_turn::closed_set;
use byway_turn::closed_set::ClosedSet as _;

/// A STUN or TURN URL, taken apart.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IceUrl {
    /// Service that the client requests, and whether over TLS.
    pub scheme: IceScheme,
    /// A name or an address; an IPv6 address without its brackets.
    pub host: String,
    /// The port; the scheme's default if the URL names none.
    pub port: u16,
    /// Transport of TURN messages; the scheme's default if the URL names none.
    pub transport: Transport,
}

closed_set! {
    /// The scheme of an [`IceUrl`].
    pub enum IceScheme {
        /// `stun:` (RFC 7064).
        Stun = "stun",
        /// `stuns:`, STUN over TLS.
        Stuns = "stuns",
        /// `turn:` (RFC 7065).
        Turn = "turn",
        /// `turns:`, TURN over TLS.
        Turns = "turns",
    }
}

/// The transport between client and server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Transport {
    /// UDP; with `turns:`, DTLS.
    Udp,
    /// TCP; with `turns:`, TLS.
    Tcp,
}

/// Reason for which a string is not a STUN or TURN URL.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum IceUrlError {
    /// Another scheme, or none.
    #[error("a STUN or TURN URL begins with stun:, stuns:, turn: or turns:")]
    Scheme,
    /// No host, or one with characters that hosts cannot contain.
    #[error(
        "after the scheme, a STUN or TURN URL has a host name or an address, an IPv6 address in brackets"
    )]
    Host,
    /// Not a port.
    #[error("a port is a number from 1 to 65535")]
    Port,
    /// A query that is not `transport`, or on a STUN URL, which has none (RFC 7064 section 3.1).
    #[error("after ? a TURN URL may have transport=udp or transport=tcp; a STUN URL has no ?")]
    Query,
}

impl IceScheme {
    /// Whether the URL asks for a relay.
    #[must_use]
    pub fn relays(self) -> bool {
        matches!(self, Self::Turn | Self::Turns)
    }

    /// Whether the connection to the server is encrypted.
    #[must_use]
    pub fn encrypts(self) -> bool {
        matches!(self, Self::Stuns | Self::Turns)
    }
}

impl FromStr for IceUrl {
    type Err = IceUrlError;

    fn from_str(url: &str) -> Result<Self, IceUrlError> {
        let (scheme, rest) = url.split_once(':').ok_or(IceUrlError::Scheme)?;
        let scheme = IceScheme::parse(scheme).ok_or(IceUrlError::Scheme)?;
        let (authority, query) = rest.split_once('?').map_or((rest, None), |(a, query)| (a, Some(query)));
        let (host, port) = host_and_port(authority)?;
        let transport = match query {
            None if scheme.encrypts() => Transport::Tcp,
            None => Transport::Udp,
            Some("transport=udp") if scheme.relays() => Transport::Udp,
            Some("transport=tcp") if scheme.relays() => Transport::Tcp,
            Some(_) => return Err(IceUrlError::Query),
        };
        // RFC 7064 section 3.2, RFC 7065 section 3.2: the default ports.
        let default_port = if scheme.encrypts() { 5349 } else { 3478 };
        let port = match port {
            None => default_port,
            Some(port) => port.parse().ok().filter(|port| *port != 0).ok_or(IceUrlError::Port)?,
        };
        Ok(Self { scheme, host: host.to_owned(), port, transport })
    }
}

fn host_and_port(authority: &str) -> Result<(&str, Option<&str>), IceUrlError> {
    if let Some(bracketed) = authority.strip_prefix('[') {
        let (address, rest) = bracketed.split_once(']').ok_or(IceUrlError::Host)?;
        address.parse::<Ipv6Addr>().map_err(|_| IceUrlError::Host)?;
        return match rest.strip_prefix(':') {
            Some(port) => Ok((address, Some(port))),
            None if rest.is_empty() => Ok((address, None)),
            None => Err(IceUrlError::Host),
        };
    }
    let (host, port) = authority.split_once(':').map_or((authority, None), |(h, port)| (h, Some(port)));
    // reg-name of RFC 3986 without the percent and sub-delims forms, which host names do not use.
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '.' | '_');
    if host.is_empty() || !host.chars().all(plain) {
        return Err(IceUrlError::Host);
    }
    // A second colon: an IPv6 address without its brackets.
    if port.is_some_and(|port| port.contains(':')) {
        return Err(IceUrlError::Host);
    }
    Ok((host, port))
}

impl fmt::Display for IceUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = self.scheme.label();
        match self.host.contains(':') {
            true => write!(f, "{scheme}:[{}]:{}", self.host, self.port)?,
            false => write!(f, "{scheme}:{}:{}", self.host, self.port)?,
        }
        match (self.scheme.relays(), self.transport) {
            (false, _) => Ok(()),
            (true, Transport::Udp) => f.write_str("?transport=udp"),
            (true, Transport::Tcp) => f.write_str("?transport=tcp"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_parts_and_their_defaults() {
        let cases = [
            ("stun:example.org", "stun:example.org:3478"),
            ("stuns:example.org", "stuns:example.org:5349"),
            ("turn:example.org", "turn:example.org:3478?transport=udp"),
            ("TURN:192.0.2.1:80?transport=tcp", "turn:192.0.2.1:80?transport=tcp"),
            ("turns:example.org:443", "turns:example.org:443?transport=tcp"),
            ("turn:[2001:db8::1]:99?transport=udp", "turn:[2001:db8::1]:99?transport=udp"),
            ("turn:[::1]", "turn:[::1]:3478?transport=udp"),
        ];
        for (url, full) in cases {
            assert_eq!(url.parse::<IceUrl>().map(|url| url.to_string()).as_deref(), Ok(full), "{url}");
            assert_eq!(full.parse::<IceUrl>(), url.parse(), "{full}");
        }
    }

    #[test]
    fn what_is_no_url() {
        use IceUrlError::{Host, Port, Query, Scheme};
        let cases = [
            ("", Scheme),
            ("example.org", Scheme),
            ("http://example.org", Scheme),
            ("stun:", Host),
            ("stun://example.org", Host),
            ("turn:user@example.org", Host),
            ("turn:::1", Host),
            ("turn:2001:db8::1:3478", Host),
            ("turn:[::1", Host),
            ("turn:[example.org]", Host),
            ("turn:[::1]3478", Host),
            ("turn:example.org:", Port),
            ("turn:example.org:0", Port),
            ("turn:example.org:65536", Port),
            ("turn:example.org?transport=sctp", Query),
            ("turn:example.org?", Query),
            ("stun:example.org?transport=udp", Query),
        ];
        for (url, error) in cases {
            assert_eq!(url.parse::<IceUrl>(), Err(error), "{url}");
        }
    }
}
