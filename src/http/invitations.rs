//! `/invite`: join tokens for rooms, links that bring them to a browser, and their purpose.

use std::sync::Arc;

use axum::extract::{FromRequestParts, State};
use axum::http::StatusCode;
use axum::http::request::Parts;
use axum::response::IntoResponse;
use serde::{Deserialize, Serialize};

use super::Site;
use super::caller::Bearer;
use super::params::{JsonBody, bad, lifetime};
use super::problem::Problem;
use super::target::{Target, X_FORWARDED_PREFIX, X_FORWARDED_PROTO, prefix};
use crate::access::Inviter;
use crate::access::grant::{Grant, Rights, Role};
use crate::access::tokens::DEFAULT_TTL;
use crate::ice::rfc3339;

/// Request of a program or an operator.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Asked {
    room: String,
    /// Seconds.
    ttl: Option<u64>,
    name: Option<String>,
    max_members: Option<usize>,
    region: Option<String>,
    #[serde(default)]
    host: bool,
    #[serde(default)]
    viewer: bool,
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
/// behind `#`, which no browser sends to any server. A viewer's link opens the page as such.
#[must_use]
pub fn link(page: &str, room: &str, role: Role, token: &str) -> String {
    let room: String = form_urlencoded::byte_serialize(room.as_bytes()).collect();
    let live = if role == Role::Viewer { "&live=1" } else { "" };
    format!("{page}?room={room}{live}#token={token}")
}

/// Returns an operator's link to the call page at `page`, which ends in a slash.
#[must_use]
pub fn operator_link(page: &str, token: &str) -> String {
    format!("{page}#token={token}")
}

/// Purpose of a token, for the page that its link opened.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Purpose {
    role: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    room: Option<String>,
    expires_at: String,
}

/// `GET /invite`.
pub(super) async fn purpose(Bearer { rights, end }: Bearer) -> impl IntoResponse {
    let (role, room) = match rights {
        Rights::Operator => ("operator", None),
        Rights::Room(Grant { room, role, .. }) => {
            let role = match role {
                Role::Member => "member",
                Role::Host => "host",
                Role::Viewer => "viewer",
            };
            (role, Some(room.as_str().to_owned()))
        }
    };
    axum::Json(Purpose { role, room, expires_at: rfc3339(end) })
}

/// `POST /invite`.
pub(super) async fn invite(
    State(site): State<Arc<Site>>,
    inviter: Inviter,
    CallPage(page): CallPage,
    JsonBody(asked): JsonBody<Asked>,
) -> Result<impl IntoResponse, Problem> {
    let Asked { room, ttl, name, max_members, region, host, viewer } = asked;
    let role = Role::of(host, viewer).map_err(bad)?;
    let grant = Grant::new(room.clone(), name, max_members).map_err(bad)?;
    let grant = grant.with_region(region.as_deref()).map_err(bad)?.with_role(role);
    let ttl = ttl.map_or(Ok(DEFAULT_TTL), lifetime)?;
    if ttl > inviter.max_ttl() {
        return Err(bad(match inviter {
            Inviter::Program => "An invitation is good for 30 days at most, which are 2592000 seconds.",
            Inviter::Operator => {
                "An operator's invitation is good for 7 days at most, which are 604800 seconds."
            }
        }));
    }
    let (token, end) = site.access.load().tokens.issue(site.clock.now(), grant, ttl);
    let url = link(&page, &room, role, &token);
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
        match &**site.page.load() {
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
        let link = |room, role| link("https://a/", room, role, "x.y.z");
        assert_eq!(link("tea", Role::Member), "https://a/?room=tea#token=x.y.z");
        assert_eq!(link("tea", Role::Host), "https://a/?room=tea#token=x.y.z");
        assert_eq!(link("tea", Role::Viewer), "https://a/?room=tea&live=1#token=x.y.z");
        assert_eq!(link("a b&c#d/\u{e9}", Role::Member), "https://a/?room=a+b%26c%23d%2F%C3%A9#token=x.y.z");
    }
}
