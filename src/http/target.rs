//! The server and scheme that a request was sent to, as its client knows them.
//!
//! The host is the authority of the request target where that has one, as HTTP/2 does and HTTP/1.1
//! may (RFC 9112 section 3.2.2), else the `Host` field. `X-Forwarded-Host` never counts: a page
//! that reached us by DNS rebinding runs in a browser on the proxy's own machine, or on this one,
//! and could send that field, too.

use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderName, HeaderValue, Uri, header};
use byway_turn::closed_set::ClosedSet as _;

use super::problem::{Code, Problem};
use crate::origin::{Authority, Host, Origin, Scheme};

/// Scheme that the client of a trusted proxy used. [`super::serve`] removes the field from every
/// other request, and sets it if TLS ends here.
pub(super) const X_FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");

/// Path below which a trusted proxy publishes this server. From other clients the field is removed.
pub(super) const X_FORWARDED_PREFIX: HeaderName = HeaderName::from_static("x-forwarded-prefix");

/// The server that a request was sent to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    /// Host and port, as the client wrote them.
    pub authority: Authority,
    /// The client's scheme, where TLS ends here or a trusted proxy tells it.
    pub scheme: Option<Scheme>,
}

impl Target {
    /// Reads the target of a request.
    ///
    /// # Errors
    /// 400 if there is no `Host`, a second one, or one that is malformed (RFC 9112 section 3.2).
    pub fn of(uri: &Uri, headers: &HeaderMap) -> Result<Self, Problem> {
        let host = single(headers, &header::HOST).and_then(Authority::parse).ok_or(Code::BadHost)?;
        let authority = match uri.authority() {
            Some(authority) => Authority::parse(authority.as_str()).ok_or(Code::BadHost)?,
            None => host,
        };
        Ok(Self { authority, scheme: forwarded_scheme(headers) })
    }

    /// The target of a request that has passed [`super::own_hosts`].
    ///
    /// # Errors
    /// 400 for a request that has not.
    pub(super) fn in_head(head: &Parts) -> Result<&Self, Problem> {
        head.extensions.get().ok_or(Code::BadHost.into())
    }

    /// The host.
    pub(super) fn host(&self) -> &Host {
        &self.authority.host
    }

    /// Whether a page of `origin` comes from here. `https` rules the other scheme out. `http` does
    /// not: that may be the way between two proxies, of which the first ends TLS; and where nothing
    /// tells the scheme, a proxy may end it all the same.
    pub(super) fn is_origin(&self, origin: &Origin) -> bool {
        let scheme = origin.scheme();
        let is_downgrade = self.scheme == Some(Scheme::Https) && scheme == Scheme::Http;
        !is_downgrade && Origin::new(scheme, &self.authority) == *origin
    }

    /// Our origin in the client's eyes.
    pub(super) fn origin(&self) -> Origin {
        Origin::new(self.scheme.unwrap_or(Scheme::Http), &self.authority)
    }
}

/// The first scheme in the list of `X-Forwarded-Proto`: each proxy on the way appends its own, the
/// client's comes first. Traefik writes `wss` for a WebSocket.
fn forwarded_scheme(headers: &HeaderMap) -> Option<Scheme> {
    let first = elements(headers, &X_FORWARDED_PROTO).next()?;
    match first {
        "ws" => Some(Scheme::Http),
        "wss" => Some(Scheme::Https),
        scheme => Scheme::parse(scheme),
    }
}

/// The elements of a field that is a list, over all of its lines, without empty ones (RFC 9110
/// sections 5.3 and 5.6.1). One that is not UTF-8 stays an element, so that none to its left takes
/// its place.
pub(super) fn elements<'a>(
    headers: &'a HeaderMap,
    name: &HeaderName,
) -> impl DoubleEndedIterator<Item = &'a str> {
    let lines = headers.get_all(name).iter().map(HeaderValue::as_bytes);
    lines
        .flat_map(|line| line.split(|byte| *byte == b','))
        .map(|element| std::str::from_utf8(element).unwrap_or("\u{fffd}").trim_matches([' ', '\t']))
        .filter(|element| !element.is_empty())
}

/// The path of the call page, which a proxy may publish below a prefix that it takes off: `/` or
/// `/call/`.
pub(super) fn prefix(headers: &HeaderMap) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '.' | '_' | '~' | '/');
    let prefix = single(headers, &X_FORWARDED_PREFIX).unwrap_or_default().trim_matches('/');
    // Two slashes would begin an authority, and a dot segment another path.
    let is_path = |prefix: &str| {
        prefix.chars().all(plain) && prefix.split('/').all(|segment| !matches!(segment, "" | "." | ".."))
    };
    if is_path(prefix) { format!("/{prefix}/") } else { "/".to_owned() }
}

/// The value of a field that comes once.
pub(super) fn single<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Option<&'a str> {
    let mut values = headers.get_all(name).iter();
    match (values.next(), values.next()) {
        (Some(value), None) => value.to_str().ok(),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn target(uri: &str, lines: &[(&'static str, &[u8])]) -> Result<Target, Problem> {
        let mut headers = HeaderMap::new();
        for (name, value) in lines {
            headers.append(*name, HeaderValue::from_bytes(value).unwrap());
        }
        Target::of(&uri.parse().unwrap(), &headers)
    }

    #[test]
    fn threat_33_a_request_names_one_host_in_good_form() {
        for (uri, host, read) in [
            ("/", "Call.example.org", "http://call.example.org"),
            ("/", "call.example.org:80", "http://call.example.org"),
            ("/", "call.example.org:", "http://call.example.org"),
            ("/", "[2001:DB8:0::1]:8080", "http://[2001:db8::1]:8080"),
            // RFC 9112 section 3.2.2: the absolute form wins.
            ("http://other.example:8080/", "call.example.org", "http://other.example:8080"),
        ] {
            let target = target(uri, &[("host", host.as_bytes())]).unwrap();
            assert_eq!(target.origin().to_string(), read, "{uri} {host}");
        }
        let bad = Err(Problem::from(Code::BadHost));
        assert_eq!(target("/", &[]), bad);
        assert_eq!(target("http://call.example.org/", &[]), bad);
        assert_eq!(target("/", &[("host", b"a"), ("host", b"a")]), bad);
        assert_eq!(target("http://user@call.example.org/", &[("host", b"call.example.org")]), bad);
        for host in ["", "a b", "a/", "a@b", "a,b", "a:b", "::1", "[::1", "a:65536", "%61"] {
            assert_eq!(target("/", &[("host", host.as_bytes())]), bad, "{host:?}");
        }
        assert_eq!(target("/", &[("host", b"\xff")]), bad);
    }

    #[test]
    fn threat_34_the_first_forwarded_scheme_is_the_clients_in_any_case() {
        use Scheme::{Http, Https};
        for (lines, scheme) in [
            (&[][..], None),
            (&["https"], Some(Https)),
            (&["HTTPS"], Some(Https)),
            (&["http"], Some(Http)),
            (&["https, http"], Some(Https)),
            (&["https,http"], Some(Https)),
            (&[" , HTTPS\t,http"], Some(Https)),
            (&["https", "http"], Some(Https)),
            (&["http, https"], Some(Http)),
            (&["wss"], Some(Https)),
            (&["ws"], Some(Http)),
            (&["ftp, https"], None),
            (&["\"https\""], None),
        ] {
            let lines: Vec<_> = lines.iter().map(|line| ("x-forwarded-proto", line.as_bytes())).collect();
            let target = target("/", &[&[("host", &b"a"[..])], &lines[..]].concat()).unwrap();
            assert_eq!(target.scheme, scheme, "{lines:?}");
        }
    }

    #[test]
    fn threat_44_a_link_leads_below_the_prefix_that_a_proxy_takes_off() {
        let prefix_of = |value: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(X_FORWARDED_PREFIX, value.parse().unwrap());
            prefix(&headers)
        };
        assert_eq!(prefix(&HeaderMap::new()), "/");
        for (value, path) in
            [("/call", "/call/"), ("/call/", "/call/"), ("/a/b-1", "/a/b-1/"), ("", "/"), ("/", "/")]
        {
            assert_eq!(prefix_of(value), path, "{value}");
        }
        for bad in ["/a//b", "/..", "/a/../b", "/a?b", "/a#b", "/a b", "\\a", "/a%2f", "/a, /b", "/@evil"] {
            assert_eq!(prefix_of(bad), "/", "{bad}");
        }
    }
}
