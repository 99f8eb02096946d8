//! Whose pages may use this server: the check against cross-site use of `/ws` and `/ice`.
//!
//! A browser names the origin of the page that asks. Neither WebSockets nor a simple `GET` are held back by the
//! browser itself, so the server decides:
//!
//! - No `Origin`: not a page of another site, or not a browser at all. Accepted, unless `Sec-Fetch-Site` says that
//!   another site made the browser ask.
//! - Our own: the authority, host and port, equals the `Host` that the browser asked for. The scheme cannot be
//!   compared, because behind a proxy that ends TLS the page is `https` and we are asked in plain HTTP. A proxy that
//!   sends `X-Forwarded-Proto: https` rules `http` out; someone who forges that header only narrows it for themselves.
//! - Listed in `allowed_origins`: equal, character by character.
//! - All others are refused, `null` among them: sandboxed frames and files share it, so it names no one.

use axum::http::{HeaderMap, HeaderName, HeaderValue, header};

use super::problem::{Code, Problem};

const SEC_FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");
pub(super) const X_FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");

/// The origins that may use this server beside its own.
#[derive(Clone, Debug)]
pub struct Origins {
    allowed: Vec<String>,
}

/// Who asks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Asker {
    /// Our own page, or no page.
    Own,
    /// A page of a listed origin, which needs CORS headers to read the answer.
    Listed(HeaderValue),
}

impl Origins {
    /// Our own and `allowed`, each written as a browser does: `https://example.org`.
    #[must_use]
    pub fn new(allowed: Vec<String>) -> Self {
        Self { allowed }
    }

    /// Says who asks.
    ///
    /// # Errors
    /// 403 for a page of another origin.
    pub fn check(&self, headers: &HeaderMap) -> Result<Asker, Problem> {
        let refused = Code::OriginRefused;
        if !headers.contains_key(header::ORIGIN) {
            let foreign =
                headers.get(SEC_FETCH_SITE).is_some_and(|site| site == "cross-site" || site == "same-site");
            return if foreign { Err(refused.into()) } else { Ok(Asker::Own) };
        }
        let origin = single(headers, &header::ORIGIN).ok_or(refused)?;
        if self.allowed.iter().any(|allowed| allowed == origin) && origin != "null" {
            // The value is valid: it was one.
            return headers.get(header::ORIGIN).cloned().map(Asker::Listed).ok_or(refused.into());
        }
        let (scheme, authority) = origin.split_once("://").ok_or(refused)?;
        let forwarded_as_https = headers.get(X_FORWARDED_PROTO).is_some_and(|proto| proto == "https");
        let scheme_fits = scheme == "https" || (scheme == "http" && !forwarded_as_https);
        let ours = host(headers).is_some_and(|host| host.eq_ignore_ascii_case(authority));
        if scheme_fits && ours { Ok(Asker::Own) } else { Err(refused.into()) }
    }
}

/// The one `Host` of a request (RFC 9112 section 3.2), as it was sent.
pub(super) fn host(headers: &HeaderMap) -> Option<&str> {
    single(headers, &header::HOST)
}

fn single<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Option<&'a str> {
    let mut values = headers.get_all(name).iter();
    match (values.next(), values.next()) {
        (Some(value), None) => value.to_str().ok(),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(lines: &[(&'static str, &str)]) -> Option<Asker> {
        let mut headers = HeaderMap::new();
        for (name, value) in lines {
            headers.append(*name, HeaderValue::from_str(value).unwrap());
        }
        let allowed = ["https://app.example.com", "null"].map(str::to_owned).to_vec();
        Origins::new(allowed).check(&headers).ok()
    }

    #[test]
    fn our_own_pages_and_no_pages() {
        for origin in ["https://call.example.org", "http://call.example.org", "https://CALL.example.org"] {
            assert_eq!(
                check(&[("host", "call.example.org"), ("origin", origin)]),
                Some(Asker::Own),
                "{origin}"
            );
        }
        assert_eq!(check(&[("host", "[::1]:8080"), ("origin", "http://[::1]:8080")]), Some(Asker::Own));
        assert_eq!(check(&[("host", "h")]), Some(Asker::Own));
        assert_eq!(check(&[("host", "h"), ("sec-fetch-site", "none")]), Some(Asker::Own));
        assert_eq!(check(&[("host", "h"), ("sec-fetch-site", "same-origin")]), Some(Asker::Own));
    }

    #[test]
    fn listed_pages() {
        let listed = HeaderValue::from_static("https://app.example.com");
        assert_eq!(
            check(&[("host", "call.example.org"), ("origin", "https://app.example.com")]),
            Some(Asker::Listed(listed))
        );
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
            "HTTPS://call.example.org",
            "https://app.example.com.",
            "https://app.example.com:443",
            "http://app.example.com",
            "https://sub.app.example.com",
            "https://APP.example.com",
        ] {
            assert_eq!(check(&[("host", "call.example.org"), ("origin", origin)]), None, "{origin}");
        }
        assert_eq!(check(&[("origin", "http://h")]), None, "no Host");
        assert_eq!(check(&[("host", "h"), ("host", "h"), ("origin", "http://h")]), None, "two Hosts");
        assert_eq!(
            check(&[("host", "h"), ("origin", "http://h"), ("origin", "http://h")]),
            None,
            "two Origins"
        );
        assert_eq!(check(&[("host", "h"), ("sec-fetch-site", "cross-site")]), None);
        let downgraded = [("host", "h"), ("x-forwarded-proto", "https"), ("origin", "http://h")];
        assert_eq!(check(&downgraded), None);
    }
}
