//! Errors as JSON problem objects (RFC 9457), each with a code.

use std::borrow::Cow;
use std::time::Duration;

use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use byway_turn::closed_set;
use byway_turn::closed_set::ClosedSet as _;
use serde::Serialize;

use crate::access::Refused;
use crate::access::tokens::TokenError;

/// Time after which to come back to a server that drains: the next one will be there by then.
const BACK_AFTER: Duration = Duration::from_secs(5);

closed_set! {
    /// Kind of a problem. Programs switch on its name, which stays.
    pub enum Code {
        BadRequest = "bad-request": "The request is not what this path takes; `detail` says what is wrong.",
        BadHost = "bad-host": "A request names its host once and in good form (RFC 9112 section 3.2).",
        UnknownSubprotocol = "unknown-subprotocol": "This server speaks the subprotocol byway.v1 only.",
        TokenRequired = "token-required": "This server asks for a join token, as `Authorization: Bearer`.",
        BadToken = "bad-token": "The join token is not valid for this server: its form, signature, algorithm, audience or another claim is wrong.",
        TokenExpired = "token-expired": "The join token has expired; ask for another.",
        TokenNotYetValid = "token-not-yet-valid": "The join token is not valid yet: its `nbf` is more than 30 s ahead of the server's clock.",
        TokenTooFarAhead = "token-too-far-ahead": "The join token's `exp` or `nbf` is more than a year ahead: milliseconds? They are in seconds.",
        ApiKeyRequired = "api-key-required": "This path is for programs with an API key of this server.",
        BadApiKey = "bad-api-key": "The API key is not one of this server.",
        NoPeerList = "no-peer-list": "This server does not list the clients of PeerJS.",
        OriginRefused = "origin-refused": "Pages of this origin may not use this server. If it is this server's own page, the proxy in front must pass on the \
             Host that the browser asked for; another site's page its operator can list in signaling.allowed_origins.",
        NoPlaceForToken = "no-place-for-token": "This server asks for join tokens, which this protocol could carry in its URL only.",
        NotFound = "not-found": "There is nothing at this path.",
        NoSuchMember = "no-such-member": "No member of this room has this id.",
        NoSuchAllocation = "no-such-allocation": "No live allocation has this id.",
        UnixSocketOnly = "unix-socket-only": "Addresses of clients are shown over a Unix socket of the admin listener only.",
        MethodNotAllowed = "method-not-allowed": "This path does not take this method.",
        BodyTooSlow = "body-too-slow": "The body did not arrive within 5 seconds of its head.",
        TooLarge = "too-large": "The body is longer than anything that this path takes.",
        HostRefused = "host-refused": "This server does not answer for this host; its operator can list it in http.hosts.",
        WebSocketRequired = "websocket-required": "This path speaks WebSocket (RFC 6455, version 13).",
        RateLimited = "rate-limited": "Too many requests from this address; Retry-After says when there is room for the next.",
        HeadTooLarge = "head-too-large": "The head of the request has more than 16 KiB or 100 fields; send fewer or shorter ones, such as cookies.",
        TooManyRevoked = "too-many-revoked": "As many credentials are revoked as can be remembered; this one is not.",
        RelayUnresponsive = "relay-unresponsive": "A thread of the relay did not answer in time; `byway health` says more.",
        ShuttingDown = "shutting-down": "This server is about to stop and rejects new clients.",
    }
}

impl Code {
    pub(super) fn status(self) -> StatusCode {
        match self {
            Self::BadRequest | Self::BadHost | Self::UnknownSubprotocol => StatusCode::BAD_REQUEST,
            Self::TokenRequired
            | Self::BadToken
            | Self::TokenExpired
            | Self::TokenNotYetValid
            | Self::TokenTooFarAhead
            | Self::ApiKeyRequired
            | Self::BadApiKey
            | Self::NoPeerList => StatusCode::UNAUTHORIZED,
            Self::OriginRefused | Self::NoPlaceForToken | Self::UnixSocketOnly => StatusCode::FORBIDDEN,
            Self::NotFound | Self::NoSuchMember | Self::NoSuchAllocation => StatusCode::NOT_FOUND,
            Self::MethodNotAllowed => StatusCode::METHOD_NOT_ALLOWED,
            Self::BodyTooSlow => StatusCode::REQUEST_TIMEOUT,
            Self::TooLarge => StatusCode::PAYLOAD_TOO_LARGE,
            Self::HostRefused => StatusCode::MISDIRECTED_REQUEST,
            Self::WebSocketRequired => StatusCode::UPGRADE_REQUIRED,
            Self::RateLimited => StatusCode::TOO_MANY_REQUESTS,
            Self::HeadTooLarge => StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE,
            Self::TooManyRevoked | Self::RelayUnresponsive | Self::ShuttingDown => {
                StatusCode::SERVICE_UNAVAILABLE
            }
        }
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
    /// A problem with more to say than its code's sentence: for the developer at the other end, and
    /// never what was presented as a secret.
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

    /// The problem object of a server that is published below the path `prefix`, which ends in a
    /// slash.
    pub(super) fn body(&self, prefix: &str) -> axum::Json<impl Serialize> {
        #[derive(Serialize)]
        struct Object {
            /// Address of the [page](super::problem_pages) that explains the error.
            r#type: String,
            title: &'static str,
            status: u16,
            code: &'static str,
            detail: Cow<'static, str>,
        }
        let (name, status) = (self.code.label(), self.code.status());
        axum::Json(Object {
            r#type: format!("{prefix}problems/{name}"),
            title: status.canonical_reason().unwrap_or("Error"),
            status: status.as_u16(),
            code: name,
            detail: self.detail.clone(),
        })
    }
}

impl From<Code> for Problem {
    fn from(code: Code) -> Self {
        Self::new(code, code.sentence())
    }
}

impl From<Refused> for Problem {
    fn from(refused: Refused) -> Self {
        let code = match refused {
            Refused::RateLimited(wait) => return Self::for_now(Code::RateLimited, wait),
            Refused::Draining => return Self::for_now(Code::ShuttingDown, BACK_AFTER),
            Refused::TokenRequired => Code::TokenRequired,
            // No request asks for one room alone.
            Refused::Token(TokenError::Bad) | Refused::WrongRoom => Code::BadToken,
            Refused::Token(TokenError::NoRoom) => {
                return Self::new(
                    Code::BadToken,
                    "An operator's token is for no room; ask `POST /invite` for one that is.",
                );
            }
            Refused::Token(TokenError::Expired) => Code::TokenExpired,
            Refused::Token(TokenError::NotYetValid) => Code::TokenNotYetValid,
            Refused::Token(TokenError::TooFarAhead) => Code::TokenTooFarAhead,
            Refused::NoPlaceForToken => Code::NoPlaceForToken,
            Refused::ApiKeyRequired => Code::ApiKeyRequired,
            Refused::BadApiKey => Code::BadApiKey,
        };
        code.into()
    }
}

impl IntoResponse for Problem {
    /// The response also carries the problem itself, for the layers above.
    fn into_response(self) -> Response {
        let status = self.code.status();
        let mut response = (status, self.body("/")).into_response();
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        if let Some(wait) = self.retry_after {
            // Whole seconds (RFC 9110 section 10.2.3); none would be an invitation to come back at
            // once.
            let seconds = wait.as_millis().div_ceil(1000).max(1);
            headers
                .insert(header::RETRY_AFTER, HeaderValue::from(u64::try_from(seconds).unwrap_or(u64::MAX)));
        }
        // RFC 9110 section 15.5.2: a 401 names the accepted scheme; RFC 6750 section 3.1 adds the
        // error. `Basic` is absent because a browser would ask its user for a password.
        let challenge = match self.code {
            Code::TokenRequired | Code::ApiKeyRequired | Code::NoPeerList => Some("Bearer realm=\"byway\""),
            _ if status == StatusCode::UNAUTHORIZED => {
                Some("Bearer realm=\"byway\", error=\"invalid_token\"")
            }
            _ => None,
        };
        if self.code == Code::WebSocketRequired {
            // RFC 9110 section 15.5.22: the protocol that would do; RFC 6455 section 4.4: its
            // version.
            headers.insert(header::CONNECTION, HeaderValue::from_static("upgrade"));
            headers.insert(header::UPGRADE, HeaderValue::from_static("websocket"));
            headers.insert(header::SEC_WEBSOCKET_VERSION, HeaderValue::from_static("13"));
        }
        if let Some(challenge) = challenge {
            headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static(challenge));
        }
        response.extensions_mut().insert(self);
        response
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_code_is_an_error_and_says_one_sentence() {
        for code in Code::ALL {
            let (name, status, sentence) = (code.label(), code.status(), code.sentence());
            assert!(name.bytes().all(|b| b.is_ascii_lowercase() || b == b'-'), "{name}");
            assert!(status.is_client_error() || status.is_server_error(), "{name}");
            assert!(sentence.ends_with('.') && !sentence.contains('\n'), "{sentence}");
        }
    }

    #[test]
    fn a_refusal_that_passes_says_when_to_come_back() {
        let wait = Duration::from_secs(1);
        assert_eq!(Problem::from(Refused::RateLimited(wait)), Problem::for_now(Code::RateLimited, wait));
        assert_eq!(Problem::from(Refused::Draining), Problem::for_now(Code::ShuttingDown, BACK_AFTER));
    }

    #[test]
    fn the_document_has_every_code_with_its_status_and_its_sentence() {
        let page = include_str!("../../docs/ice.md");
        let rows: Vec<&str> = page
            .lines()
            .filter(|line| line.starts_with("| `") && line.contains("` | 4") || line.contains("` | 5"))
            .collect();
        let expected: Vec<_> = Code::ALL
            .iter()
            .map(|code| format!("| `{}` | {} | {} |", code.label(), code.status().as_u16(), code.sentence()))
            .collect();
        assert_eq!(rows, expected);
    }
}
