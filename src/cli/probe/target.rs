//! Targets of a probe: a server's host, its page, or a STUN or TURN URL.

use std::fmt;
use std::str::FromStr;

use byway_turn::auth::Secret;
use byway_turn::closed_set::ClosedSet as _;

use crate::config::{IceUrl, IceUrlError, Transport};
use crate::origin::{Authority, Host, Origin, Scheme};

/// Target that the user names.
#[derive(Clone, Debug)]
pub(in crate::cli) enum Target {
    /// One STUN or TURN server.
    Server(IceUrl),
    /// Everything that a server offers to callers.
    Site(Site),
}

/// Page of a server. Its `/ice` names the STUN and TURN servers.
#[derive(Clone, Debug)]
pub(in crate::cli) struct Site {
    pub(in crate::cli) scheme: Scheme,
    pub(in crate::cli) host: Host,
    pub(in crate::cli) port: u16,
    /// Path below which a proxy offers the server: empty, or `/call`.
    base: String,
    /// Join token of an invitation.
    pub(in crate::cli) token: Option<Secret>,
}

impl Site {
    /// Returns the site at the default HTTPS port of a host.
    pub(in crate::cli) fn of(host: Host) -> Self {
        let scheme = Scheme::Https;
        Self { scheme, host, port: scheme.default_port(), base: String::new(), token: None }
    }

    /// Returns the same site without the port if it is the scheme's default, as browsers send it in
    /// `Host`.
    pub(in crate::cli) fn authority(&self) -> String {
        match self.port == self.scheme.default_port() {
            true => self.host.to_string(),
            false => format!("{}:{}", self.host, self.port),
        }
    }

    /// Returns the origin of its pages.
    pub(in crate::cli) fn origin(&self) -> String {
        Origin::new(self.scheme, &Authority { host: self.host.clone(), port: Some(self.port) }).to_string()
    }

    /// Returns the path of a route, such as `/ice`.
    pub(in crate::cli) fn path(&self, route: &str) -> String {
        format!("{}{route}", self.base)
    }

    /// Returns the host for the resolver and for TLS: an IPv6 address without brackets.
    pub(in crate::cli) fn host_name(&self) -> String {
        match &self.host {
            Host::Name(name) => name.clone(),
            Host::Ip(ip) => ip.to_string(),
        }
    }
}

/// Writes the page's URL, without the token.
impl fmt::Display for Site {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}", self.origin(), self.path("/"))
    }
}

impl FromStr for Site {
    type Err = &'static str;

    /// Parses a host, a host with the port of its page, or the URL of a page or an invitation.
    fn from_str(text: &str) -> Result<Self, &'static str> {
        const HOST: &str =
            "give a host, such as call.example.org, the URL of its page, or a STUN or TURN URL";
        let (scheme, rest) = match text.split_once("://") {
            Some((scheme, rest)) => {
                (Scheme::parse(scheme).ok_or("a page's URL begins with https:// or http://")?, rest)
            }
            None => (Scheme::Https, text),
        };
        if let Ok(ip) = rest.parse() {
            return Ok(Self { scheme, port: scheme.default_port(), ..Self::of(Host::Ip(ip)) });
        }
        let (rest, fragment) = rest.split_once('#').unwrap_or((rest, ""));
        let rest = rest.split_once('?').map_or(rest, |(rest, _)| rest);
        let (authority, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
        let is_plain = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'/' | b'-' | b'.' | b'_' | b'~');
        let authority = Authority::parse(authority).filter(|_| path.bytes().all(is_plain)).ok_or(HOST)?;
        let port = authority.port.unwrap_or(scheme.default_port());
        if port == 0 {
            return Err("a port is a number from 1 to 65535");
        }
        let token = fragment.split('&').find_map(|pair| pair.strip_prefix("token="));
        let is_token = |token: &&str| {
            token.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.'))
        };
        let token = token.filter(is_token).map(|token| Secret::from(token.to_owned()));
        Ok(Self { scheme, host: authority.host, port, base: path.trim_end_matches('/').to_owned(), token })
    }
}

/// Parses a target of the command line.
pub(super) fn target(text: &str) -> Result<Target, String> {
    match url(text) {
        Ok(url) => Ok(Target::Server(url)),
        Err(UrlError::Ice(IceUrlError::Scheme)) => {
            text.parse().map(Target::Site).map_err(|error: &str| error.to_owned())
        }
        Err(error) => Err(error.to_string()),
    }
}

/// Reason for which a URL cannot be probed.
#[derive(Debug, thiserror::Error)]
pub(super) enum UrlError {
    #[error(transparent)]
    Ice(IceUrlError),
    #[error("the client does not support DTLS: give turns:HOST:PORT, which uses TLS")]
    Dtls,
}

/// Parses a URL that this client supports.
pub(super) fn url(text: &str) -> Result<IceUrl, UrlError> {
    let url: IceUrl = text.parse().map_err(UrlError::Ice)?;
    if url.scheme.encrypts() && url.transport == Transport::Udp { Err(UrlError::Dtls) } else { Ok(url) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn site(text: &str) -> Option<(String, String, bool)> {
        match target(text) {
            Ok(Target::Site(site)) => Some((site.to_string(), site.authority(), site.token.is_some())),
            _ => None,
        }
    }

    #[test]
    fn a_host_or_a_page_is_a_site() {
        for (text, url, authority) in [
            ("call.example.org", "https://call.example.org/", "call.example.org"),
            ("Call.Example.org:8443", "https://call.example.org:8443/", "call.example.org:8443"),
            ("192.0.2.1", "https://192.0.2.1/", "192.0.2.1"),
            ("2001:db8::1", "https://[2001:db8::1]/", "[2001:db8::1]"),
            ("[2001:db8::1]:8443", "https://[2001:db8::1]:8443/", "[2001:db8::1]:8443"),
            ("http://localhost:8080/", "http://localhost:8080/", "localhost:8080"),
            ("https://example.org/call/?room=tea", "https://example.org/call/", "example.org"),
        ] {
            assert_eq!(site(text), Some((url.to_owned(), authority.to_owned(), false)), "{text}");
        }
    }

    #[test]
    fn an_invitation_has_a_token_which_is_never_shown() {
        let Ok(Target::Site(site)) = target("https://a.example/?room=tea#token=abc.def-_") else {
            panic!("not a site");
        };
        assert_eq!(site.to_string(), "https://a.example/");
        assert!(!format!("{site:?}").contains("abc"), "{site:?}");
        assert_eq!(site.token.as_ref().map(AsRef::<str>::as_ref), Some("abc.def-_"));
        assert!(matches!(
            target("https://a.example/#token=a\r\nb"),
            Ok(Target::Site(Site { token: None, .. }))
        ));
    }

    #[test]
    fn a_url_of_a_server_is_that_server() {
        assert!(matches!(target("turn:a.example"), Ok(Target::Server(_))));
        let error = |text| target(text).err().unwrap_or_default();
        assert_eq!(
            error("turns:a.example?transport=udp"),
            "the client does not support DTLS: give turns:HOST:PORT, which uses TLS"
        );
        assert_eq!(error("turn:a b"), IceUrlError::Host.to_string());
        for none in ["", "a b", "a/%0d%0a", "ftp://a", "a:0", "a:x", "--x y"] {
            assert!(!error(none).is_empty(), "{none}");
        }
    }
}
