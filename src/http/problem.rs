//! Errors as JSON problem objects (RFC 9457), told apart by their code.

use std::borrow::Cow;
use std::time::Duration;

use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;

use super::fields::Path;

/// What is wrong. Programs switch on its name, which stays.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Code {
    /// `bad-request`
    BadRequest,
    /// `bad-host`
    BadHost,
    /// `unknown-subprotocol`
    UnknownSubprotocol,
    /// `token-required`
    TokenRequired,
    /// `bad-token`
    BadToken,
    /// `token-expired`
    TokenExpired,
    /// `token-not-yet-valid`
    TokenNotYetValid,
    /// `token-too-far-ahead`
    TokenTooFarAhead,
    /// `api-key-required`
    ApiKeyRequired,
    /// `bad-api-key`
    BadApiKey,
    /// `no-peer-list`
    NoPeerList,
    /// `origin-refused`
    OriginRefused,
    /// `no-place-for-token`
    NoPlaceForToken,
    /// `not-found`
    NotFound,
    /// `no-such-member`
    NoSuchMember,
    /// `method-not-allowed`
    MethodNotAllowed,
    /// `body-too-slow`
    BodyTooSlow,
    /// `too-large`
    TooLarge,
    /// `host-refused`
    HostRefused,
    /// `websocket-required`
    WebSocketRequired,
    /// `rate-limited`
    RateLimited,
    /// `head-too-large`
    HeadTooLarge,
    /// `too-many-revoked`
    TooManyRevoked,
    /// `shutting-down`
    ShuttingDown,
}

impl Code {
    /// Every code with its name, its status and its sentence, in the order of the type.
    pub const ALL: [(Self, &'static str, StatusCode, &'static str); 24] = [
        (
            Self::BadRequest,
            "bad-request",
            StatusCode::BAD_REQUEST,
            "The request is not what this path takes; `detail` says what is wrong.",
        ),
        (
            Self::BadHost,
            "bad-host",
            StatusCode::BAD_REQUEST,
            "A request names its host once and in good form (RFC 9112 section 3.2).",
        ),
        (
            Self::UnknownSubprotocol,
            "unknown-subprotocol",
            StatusCode::BAD_REQUEST,
            "This server speaks the subprotocol byway.v1 only.",
        ),
        (
            Self::TokenRequired,
            "token-required",
            StatusCode::UNAUTHORIZED,
            "This server asks for a join token, as `Authorization: Bearer`.",
        ),
        (
            Self::BadToken,
            "bad-token",
            StatusCode::UNAUTHORIZED,
            "This is no join token for this server: its form, signature, algorithm, audience or another claim is wrong.",
        ),
        (
            Self::TokenExpired,
            "token-expired",
            StatusCode::UNAUTHORIZED,
            "The join token has expired; ask for another.",
        ),
        (
            Self::TokenNotYetValid,
            "token-not-yet-valid",
            StatusCode::UNAUTHORIZED,
            "The join token is not valid yet: its `nbf` is more than 30 s ahead of the server's clock.",
        ),
        (
            Self::TokenTooFarAhead,
            "token-too-far-ahead",
            StatusCode::UNAUTHORIZED,
            "The join token's `exp` or `nbf` is more than a year ahead: milliseconds? They are in seconds.",
        ),
        (
            Self::ApiKeyRequired,
            "api-key-required",
            StatusCode::UNAUTHORIZED,
            "This path is for programs with an API key of this server.",
        ),
        (Self::BadApiKey, "bad-api-key", StatusCode::UNAUTHORIZED, "This is no API key of this server."),
        (
            Self::NoPeerList,
            "no-peer-list",
            StatusCode::UNAUTHORIZED,
            "This server tells nobody which clients of PeerJS there are.",
        ),
        (
            Self::OriginRefused,
            "origin-refused",
            StatusCode::FORBIDDEN,
            "Pages of this origin may not use this server. If it is this server's own page, the proxy in front must pass on the \
             Host that the browser asked for; another site's page its operator can list in signaling.allowed_origins.",
        ),
        (
            Self::NoPlaceForToken,
            "no-place-for-token",
            StatusCode::FORBIDDEN,
            "This server asks for join tokens, which this protocol could carry in its URL only.",
        ),
        (Self::NotFound, "not-found", StatusCode::NOT_FOUND, "There is nothing at this path."),
        (Self::NoSuchMember, "no-such-member", StatusCode::NOT_FOUND, "No member of this room has this id."),
        (
            Self::MethodNotAllowed,
            "method-not-allowed",
            StatusCode::METHOD_NOT_ALLOWED,
            "This path does not take this method.",
        ),
        (
            Self::BodyTooSlow,
            "body-too-slow",
            StatusCode::REQUEST_TIMEOUT,
            "The body did not arrive within 5 seconds of its head.",
        ),
        (
            Self::TooLarge,
            "too-large",
            StatusCode::PAYLOAD_TOO_LARGE,
            "The body is longer than anything that this path takes.",
        ),
        (
            Self::HostRefused,
            "host-refused",
            StatusCode::MISDIRECTED_REQUEST,
            "This server does not answer for this host; its operator can list it in http.hosts.",
        ),
        (
            Self::WebSocketRequired,
            "websocket-required",
            StatusCode::UPGRADE_REQUIRED,
            "This path speaks WebSocket (RFC 6455, version 13).",
        ),
        (
            Self::RateLimited,
            "rate-limited",
            StatusCode::TOO_MANY_REQUESTS,
            "Too many requests from this address; Retry-After says when there is room for the next.",
        ),
        (
            Self::HeadTooLarge,
            "head-too-large",
            StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE,
            "The head of the request has more than 16 KiB or 100 fields; send fewer or shorter ones, such as cookies.",
        ),
        (
            Self::TooManyRevoked,
            "too-many-revoked",
            StatusCode::SERVICE_UNAVAILABLE,
            "As many credentials are revoked as can be remembered; this one is not.",
        ),
        (
            Self::ShuttingDown,
            "shutting-down",
            StatusCode::SERVICE_UNAVAILABLE,
            "This server is about to stop and lets nobody new in.",
        ),
    ];

    fn entry(self) -> (&'static str, StatusCode, &'static str) {
        let (_, name, status, sentence) = Self::ALL[self as usize];
        (name, status, sentence)
    }
}

/// An error response.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    code: Code,
    detail: Cow<'static, str>,
    retry_after: Option<Duration>,
}

impl Problem {
    /// A problem with more to say than its code's sentence: for the developer at the other end, and never what was
    /// presented as a secret.
    #[must_use]
    pub fn new(code: Code, detail: impl Into<Cow<'static, str>>) -> Self {
        Self { code, detail: detail.into(), retry_after: None }
    }

    /// Whether it has this code.
    #[must_use]
    pub fn is(&self, code: Code) -> bool {
        self.code == code
    }

    /// The same with another sentence.
    #[must_use]
    pub fn with_detail(self, detail: &'static str) -> Self {
        Self { detail: detail.into(), ..self }
    }

    /// A problem that will be over in a while.
    #[must_use]
    pub fn for_now(code: Code, wait: Duration) -> Self {
        Self { retry_after: Some(wait), ..code.into() }
    }
}

impl From<Code> for Problem {
    fn from(code: Code) -> Self {
        Self::new(code, code.entry().2)
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        #[derive(Serialize)]
        struct Body<'a> {
            /// Where [`page`] says the same in words.
            r#type: String,
            title: &'static str,
            status: u16,
            code: &'static str,
            detail: &'a str,
        }
        let (name, status, _) = self.code.entry();
        let body = Body {
            r#type: format!("/problems/{name}"),
            title: status.canonical_reason().unwrap_or("Error"),
            status: status.as_u16(),
            code: name,
            detail: &self.detail,
        };
        let mut response = (status, axum::Json(body)).into_response();
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        if let Some(wait) = self.retry_after {
            // Whole seconds (RFC 9110 section 10.2.3); none would be an invitation to come back at once.
            let seconds = wait.as_millis().div_ceil(1000).max(1);
            headers
                .insert(header::RETRY_AFTER, HeaderValue::from(u64::try_from(seconds).unwrap_or(u64::MAX)));
        }
        // RFC 9110 section 15.5.2: a 401 says what would do; RFC 6750 section 3.1 how it failed. No `Basic`, at which a
        // browser would ask the person in front of it for a password.
        let challenge = match self.code {
            Code::TokenRequired | Code::ApiKeyRequired | Code::NoPeerList => Some("Bearer realm=\"byway\""),
            _ if status == StatusCode::UNAUTHORIZED => {
                Some("Bearer realm=\"byway\", error=\"invalid_token\"")
            }
            _ => None,
        };
        if self.code == Code::WebSocketRequired {
            // RFC 9110 section 15.5.22: the protocol that would do; RFC 6455 section 4.4: its version.
            headers.insert(header::CONNECTION, HeaderValue::from_static("upgrade"));
            headers.insert(header::UPGRADE, HeaderValue::from_static("websocket"));
            headers.insert(header::SEC_WEBSOCKET_VERSION, HeaderValue::from_static("13"));
        }
        if let Some(challenge) = challenge {
            headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static(challenge));
        }
        response
    }
}

/// `GET /problems/{code}`: what the `type` of a problem leads to.
pub(super) async fn page(Path(name): Path<String>) -> Result<String, Problem> {
    let (_, name, status, sentence) =
        Code::ALL.iter().find(|(_, known, ..)| *known == name).ok_or(Code::NotFound)?;
    Ok(format!("{name} ({status})\n\n{sentence}\n"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_code_is_where_the_type_has_it_and_says_one_sentence() {
        for (at, (code, name, status, sentence)) in Code::ALL.iter().enumerate() {
            assert_eq!((*code as usize, code.entry().0), (at, *name));
            assert!(name.bytes().all(|b| b.is_ascii_lowercase() || b == b'-'), "{name}");
            assert!(status.is_client_error() || status.is_server_error(), "{name}");
            assert!(sentence.ends_with('.') && !sentence.contains('\n'), "{sentence}");
        }
    }

    #[test]
    fn the_document_has_every_code_with_its_status_and_its_sentence() {
        let page = include_str!("../../docs/ice.md");
        let rows: Vec<&str> = page
            .lines()
            .filter(|line| line.starts_with("| `") && line.contains("` | 4") || line.contains("` | 5"))
            .collect();
        let expected = Code::ALL
            .map(|(_, name, status, sentence)| format!("| `{name}` | {} | {sentence} |", status.as_u16()));
        assert_eq!(rows, expected);
    }
}
