//! `POST /invite`: a join token for a room, and the link that brings it to a browser.

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::http::request::Parts;
use axum::response::Response;
use serde::{Deserialize, Serialize};

use super::Site;
use super::params::{bad, json, lifetime};
use super::problem::Problem;
use super::target::{Target, X_FORWARDED_PREFIX, X_FORWARDED_PROTO, prefix};
use crate::access::tokens::{DEFAULT_TTL, Grant, MAX_TTL};
use crate::ice::rfc3339;

/// What a program asks for.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Asked {
    room: String,
    /// Seconds.
    ttl: Option<u64>,
    name: Option<String>,
    max_members: Option<usize>,
}

/// What it gets.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Invitation {
    token: String,
    room: String,
    expires_at: String,
    url: String,
}

/// The link to `room` on the call page at `page`, which ends in a slash. The token stands behind `#`, which no browser sends
/// to any server.
#[must_use]
pub fn link(page: &str, room: &str, token: &str) -> String {
    let room: String = form_urlencoded::byte_serialize(room.as_bytes()).collect();
    format!("{page}?room={room}#token={token}")
}

pub(super) async fn invite(State(site): State<Arc<Site>>, request: Request) -> Response {
    let (head, body) = request.into_parts();
    site.for_programs(&head, None, async || {
        let Asked { room, ttl, name, max_members } = json(body).await?;
        let grant = Grant::new(room.clone(), name, max_members).map_err(bad)?;
        let ttl = ttl.map_or(Ok(DEFAULT_TTL), lifetime)?;
        if ttl > MAX_TTL {
            return Err(bad("An invitation is good for 30 days at most, which are 2592000 seconds."));
        }
        let page = site.page_for(&head)?;
        let (token, end) = site.access.tokens.issue(site.clock.now(), grant, ttl);
        let url = link(&page, &room, &token);
        Ok((StatusCode::CREATED, axum::Json(Invitation { token, room, expires_at: rfc3339(end), url })))
    })
    .await
}

impl Site {
    /// URL of the call page: where a reverse proxy publishes it, else under the certificate's name, else where this request
    /// found it. A proxy may publish the page while TURN over TLS has a port and a certificate here.
    fn page_for(&self, head: &Parts) -> Result<String, Problem> {
        // Those of a proxy that is not trusted have been removed.
        let is_published =
            [X_FORWARDED_PROTO, X_FORWARDED_PREFIX].iter().any(|field| head.headers.contains_key(field));
        match &self.page {
            Some(page) if !is_published => Ok(page.clone()),
            _ => Ok(format!("{}{}", Target::in_head(head)?.origin(), prefix(&head.headers))),
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
