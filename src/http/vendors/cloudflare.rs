//! Cloudflare Realtime's TURN service: credentials made and revoked by a backend. A TURN key's id
//! may be any; its API token is an API key.

use std::sync::Arc;

use axum::Router;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::IntoResponse;
use axum::routing::post;
use byway_turn::auth::{Username, UsernameError, account};
use serde::{Deserialize, Serialize};

use crate::access::Caller;
use crate::http::caller::Program;
use crate::http::issue::Issuer;
use crate::http::params::{JsonBody, Path, Wish, bad, checked_name, lifetime};
use crate::http::problem::{Code, Problem};
use crate::http::{Site, cors};
use crate::ice::{IceServer, Offer};

pub(super) fn router() -> Router<Arc<Site>> {
    let at = |rest: &str| format!("/v1/turn/keys/{{id}}/credentials/{rest}");
    Router::new()
        .route(&at("generate-ice-servers"), cors::for_programs(post(generate_ice_servers)))
        .route(&at("generate"), cors::for_programs(post(generate)))
        .route(&at("{username}/revoke"), cors::for_programs(post(revoke)))
}

/// Request of a backend. Fields that their API may grow are passed over, as there.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Asked {
    ttl: Option<u64>,
    custom_identifier: Option<String>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Answer<T> {
    ice_servers: T,
}

async fn generate_ice_servers(
    issuer: Issuer,
    _: Program,
    JsonBody(asked): JsonBody<Asked>,
) -> Result<impl IntoResponse, Problem> {
    let offer = issuer.offer(&Caller::Program, wish(&issuer, asked)?);
    Ok(created(Vec::<IceServer>::from(offer)))
}

/// `generate`, the older of the two: one entry, with URLs of both kinds.
async fn generate(
    issuer: Issuer,
    _: Program,
    JsonBody(asked): JsonBody<Asked>,
) -> Result<impl IntoResponse, Problem> {
    let Offer { stun, turn, credential, .. } = issuer.offer(&Caller::Program, wish(&issuer, asked)?);
    Ok(created(IceServer {
        urls: [stun, turn].concat(),
        username: Some(credential.username),
        credential: Some(credential.password),
    }))
}

fn created<T: Serialize>(ice_servers: T) -> impl IntoResponse {
    (StatusCode::CREATED, axum::Json(Answer { ice_servers }))
}

/// Gives each credential a name of its own, so that it can be revoked without the others of its
/// identifier.
fn wish(issuer: &Issuer, Asked { ttl, custom_identifier }: Asked) -> Result<Wish, Problem> {
    let identifier = custom_identifier.map(|identifier| checked_name(&identifier)).transpose()?;
    Ok(Wish {
        name: Some(identifier.map_or_else(|| issuer.name(), |identifier| issuer.one_of(&identifier))),
        ttl: ttl.map(lifetime).transpose()?,
        region: None,
    })
}

/// Revokes a credential. An expired one is 204, too: it is as invalid as the backend wants it. A
/// static user stays revoked until the server restarts.
async fn revoke(
    State(site): State<Arc<Site>>,
    Path((_, username)): Path<(String, String)>,
    _: Program,
) -> Result<StatusCode, Problem> {
    const NO_USERNAME: &str = "A username here is `expiry:name`, as it was handed out.";
    let now = site.clock.now();
    // What no request to the relay can hold (RFC 8489 section 14.3) need not be remembered.
    if username.len() >= 509 {
        return Err(bad(NO_USERNAME));
    }
    let end = |name: &str, until| (site.end_name)(name, until).map_err(|_| Code::TooManyRevoked);
    if site.static_users.load().contains(&username) {
        end(&account(&username), u64::MAX)?;
        return Ok(StatusCode::NO_CONTENT);
    }
    let username = Username::parse(&username).map_err(|_| bad(NO_USERNAME))?;
    match username.check(now) {
        Ok(()) | Err(UsernameError::Expired) => end(username.name, username.expiry)?,
        Err(UsernameError::Malformed | UsernameError::TooFarAhead) => return Err(bad(NO_USERNAME)),
    }
    Ok(StatusCode::NO_CONTENT)
}
