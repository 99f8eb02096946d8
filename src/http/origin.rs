//! Check of origins, against cross-site use of `/ws` and `/ice`.
//!
//! A browser sends the origin of the page. It restricts neither WebSockets nor a simple `GET`
//! itself, so the server decides:
//!
//! - No `Origin`: not a page of another site, or not a browser at all. Accepted, unless
//!   `Sec-Fetch-Site` shows that another site caused the request.
//! - The server's own: scheme, host and port equal those of the requested [`Target`] (RFC 6454
//!   section 5). If the target is not known to be `https`, both schemes are accepted, because a
//!   proxy may end TLS without saying so.
//! - Listed in `allowed_origins`: the same origin, compared as a value.
//! - All others are refused. `null` is refused because all sandboxed frames and files share it. A
//!   list of origins is refused, too: RFC 6454 section 7.1 allows it, but browsers do not send it.

use std::sync::Arc;

use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderName, HeaderValue, header};

use super::Site;
use super::counters::OriginRefused;
use super::problem::{Code, Problem};
use super::target::{Target, single};
use crate::origin::Origin;

const SEC_FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");

/// The origins that may use this server beside its own.
#[derive(Clone, Debug)]
pub struct Origins {
    allowed: Vec<Origin>,
}

/// Page or program that asks. As an extractor, it is the check of origins.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Asker {
    /// Our own page, or no page.
    Own,
    /// A page of a listed origin, which needs CORS headers to read the answer.
    Listed(HeaderValue),
}

impl Asker {
    /// Checks the origin of a request.
    pub(super) fn of(site: &Site, head: &Parts) -> Result<Self, Problem> {
        site.origins.load().check(Target::in_head(head)?, &head.headers).map_err(|reason| {
            site.counters.origin_refused(reason);
            Code::OriginRefused.into()
        })
    }
}

impl FromRequestParts<Arc<Site>> for Asker {
    type Rejection = Problem;

    async fn from_request_parts(head: &mut Parts, site: &Arc<Site>) -> Result<Self, Problem> {
        Self::of(site, head)
    }
}

impl Origins {
    /// Our own and `allowed`.
    #[must_use]
    pub fn new(allowed: Vec<Origin>) -> Self {
        Self { allowed }
    }

    /// Returns the kind of the requesting page, by its origin.
    ///
    /// # Errors
    /// The reason to refuse a page of another origin.
    pub fn check(&self, target: &Target, headers: &HeaderMap) -> Result<Asker, OriginRefused> {
        if !headers.contains_key(header::ORIGIN) {
            let foreign =
                headers.get(SEC_FETCH_SITE).is_some_and(|site| site == "cross-site" || site == "same-site");
            return if foreign { Err(OriginRefused::CrossSite) } else { Ok(Asker::Own) };
        }
        let origin = single(headers, &header::ORIGIN).ok_or(OriginRefused::Invalid)?;
        let invalid = if origin == "null" { OriginRefused::Opaque } else { OriginRefused::Invalid };
        let origin: Origin = origin.parse().map_err(|_| invalid)?;
        if self.allowed.contains(&origin) {
            // The value is valid: it was one.
            return headers.get(header::ORIGIN).cloned().map(Asker::Listed).ok_or(OriginRefused::Invalid);
        }
        if target.is_origin(&origin) { Ok(Asker::Own) } else { Err(OriginRefused::Foreign) }
    }
}

#[cfg(test)]
mod tests {
    use axum::http::Uri;

    use super::*;

    fn check(lines: &[(&'static str, &str)]) -> Option<Asker> {
        let mut headers = HeaderMap::new();
        for (name, value) in lines {
            headers.append(*name, HeaderValue::from_str(value).unwrap());
        }
        let target = Target::of(&Uri::from_static("/"), &headers).ok()?;
        let allowed = vec!["https://app.example.com".parse().unwrap()];
        Origins::new(allowed).check(&target, &headers).ok()
    }

    #[test]
    fn threat_34_our_own_pages_and_no_pages() {
        for (host, origin) in [
            ("call.example.org", "https://call.example.org"),
            ("call.example.org", "http://call.example.org"),
            ("call.example.org", "https://CALL.example.org"),
            ("call.example.org", "HTTPS://call.example.org"),
            ("call.example.org:443", "https://call.example.org"),
            ("call.example.org:80", "http://call.example.org"),
            ("call.example.org", "https://call.example.org:443"),
            ("call.example.org:8443", "https://call.example.org:8443"),
            ("[::1]:8080", "http://[::1]:8080"),
            ("[2001:DB8:0::1]", "http://[2001:db8::1]"),
            ("[2001:db8::1]:443", "https://[2001:DB8:0:0::1]"),
        ] {
            assert_eq!(check(&[("host", host), ("origin", origin)]), Some(Asker::Own), "{host} {origin}");
        }
        assert_eq!(check(&[("host", "h")]), Some(Asker::Own));
        assert_eq!(check(&[("host", "h"), ("sec-fetch-site", "none")]), Some(Asker::Own));
        assert_eq!(check(&[("host", "h"), ("sec-fetch-site", "same-origin")]), Some(Asker::Own));
    }

    #[test]
    fn threat_34_listed_pages() {
        for origin in [
            "https://app.example.com",
            "https://app.example.com:443",
            "https://APP.example.com",
            "HTTPS://app.example.com",
        ] {
            // CORS compares as a text: the browser gets its own back.
            let listed = HeaderValue::from_str(origin).unwrap();
            assert_eq!(
                check(&[("host", "call.example.org"), ("origin", origin)]),
                Some(Asker::Listed(listed)),
                "{origin}"
            );
        }
    }

    #[test]
    fn all_others_are_refused() {
        for origin in [
            "null",
            "",
            "call.example.org",
            "https://call.example.org.",
            "https://call.example.org:444",
            "https://call.example.org.evil.com",
            "https://evilcall.example.org",
            "https://call.example.org/",
            "https://x@call.example.org",
            "ftp://call.example.org",
            "https://call.example.org https://call.example.org",
            "https://app.example.com https://evil.com",
            "https://app.example.com.",
            "https://app.example.com:444",
            "http://app.example.com",
            "http://app.example.com:443",
            "https://sub.app.example.com",
        ] {
            assert_eq!(check(&[("host", "call.example.org"), ("origin", origin)]), None, "{origin}");
        }
        assert_eq!(check(&[("host", "h:80"), ("origin", "https://h")]), None, "another port than 443");
        assert_eq!(
            check(&[("host", "h"), ("origin", "http://h"), ("origin", "http://h")]),
            None,
            "two Origins"
        );
        assert_eq!(check(&[("host", "h"), ("sec-fetch-site", "cross-site")]), None);
        for proto in ["https", "HTTPS", "https, http"] {
            let downgraded = [("host", "h"), ("x-forwarded-proto", proto), ("origin", "http://h")];
            assert_eq!(check(&downgraded), None, "{proto}");
        }
    }
}
