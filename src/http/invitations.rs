//! `POST /invite`: a join token for a room, and the link that brings it to a browser.

use std::sync::Arc;

use axum::extract::{FromRequestParts, State};
use axum::http::StatusCode;
use axum::http::request::Parts;
use axum::response::IntoResponse;
use serde::{Deserialize, Serialize};

use super::Site;
use super::caller::Program;
use super::params::{JsonBody, bad, lifetime};
use super::problem::Problem;
use super::target::{Target, X_FORWARDED_PREFIX, X_FORWARDED_PROTO, prefix};
use crate::access::tokens::{DEFAULT_TTL, Grant, MAX_TTL};
use crate::ice::rfc3339;

/// Request of a program.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Asked {
    room: String,
    /// Seconds.
    ttl: Option<u64>,
    name: Option<String>,
    max_members: Option<usize>,
}

/// Answer to it.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Invitation {
    token: String,
    room: String,
    expires_at: String,
    url: String,
}

/// Returns the link to `room` on the call page at `page`, which ends in a slash. The token stands
/// behind `#`, which no browser sends to any server.
#[must_use]
pub fn link(page: &str, room: &str, token: &str) -> String {
    let room: String = form_urlencoded::byte_serialize(room.as_bytes()).collect();
    format!("{page}?room={room}#token={token}")
}

/// `POST /invite`.
pub(super) async fn invite(
    State(site): State<Arc<Site>>,
    _: Program,
    CallPage(page): CallPage,
    JsonBody(asked): JsonBody<Asked>,
) -> Result<impl IntoResponse, Problem> {
    let Asked { room, ttl, name, max_members } = asked;
    let grant = Grant::new(room.clone(), name, max_members).map_err(bad)?;
    let ttl = ttl.map_or(Ok(DEFAULT_TTL), lifetime)?;
    if ttl > MAX_TTL {
        return Err(bad("An invitation is good for 30 days at most, which are 2592000 seconds."));
    }
    let (token, end) = site.access.tokens.issue(site.clock.now(), grant, ttl);
    let url = link(&page, &room, &token);
    Ok((StatusCode::CREATED, axum::Json(Invitation { token, room, expires_at: rfc3339(end), url })))
}

/// URL of the call page: where a reverse proxy publishes it, else under the certificate's name,
/// else where this request found it. A proxy may publish the page while TURN over TLS has a port
/// and a certificate here.
pub(super) struct CallPage(String);

impl FromRequestParts<Arc<Site>> for CallPage {
    type Rejection = Problem;

    async fn from_request_parts(head: &mut Parts, site: &Arc<Site>) -> Result<Self, Problem> {
        // Those of a proxy that is not trusted have been removed.
        let is_published =
            [X_FORWARDED_PROTO, X_FORWARDED_PREFIX].iter().any(|field| head.headers.contains_key(field));
        match &site.page {
            Some(page) if !is_published => Ok(Self(page.clone())),
            _ => Ok(Self(format!("{}{}", Target::in_head(head)?.origin(), prefix(&head.headers)))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_link_holds_any_room_and_nothing_of_it_escapes() {
        assert_eq!(link("https://a/", "tea", "x.y.z"), "https://a/?room=tea#token=x.y.z");
        assert_eq!(link("https://a/", "a b&c#d/\u{e9}", "t"), "https://a/?room=a+b%26c%23d%2F%C3%A9#token=t");
    }
}
