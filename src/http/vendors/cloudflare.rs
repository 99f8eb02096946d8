//! Cloudflare Realtime's TURN service: credentials made and revoked by a backend. A TURN key's id may be any; its API token
//! is an API key.

use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::http::request::Parts;
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use byway_turn::auth::{Username, UsernameError};
use serde::{Deserialize, Serialize};

use crate::http::Site;
use crate::http::access::Caller;
use crate::http::params::{Path, Wish, bad, checked_name, json, lifetime};
use crate::http::problem::{Code, Problem};
use crate::ice::{IceServer, Offer};

pub(super) fn router() -> Router<Arc<Site>> {
    let at = |rest: &str| format!("/v1/turn/keys/{{id}}/credentials/{rest}");
    Router::new()
        .route(&at("generate-ice-servers"), post(generate_ice_servers))
        .route(&at("generate"), post(generate))
        .route(&at("{username}/revoke"), post(revoke))
}

/// What is asked for. Fields that their API may grow are passed over, as there.
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

async fn generate_ice_servers(State(site): State<Arc<Site>>, request: Request) -> Response {
    created(&site, request, Vec::<IceServer>::from).await
}

/// The older of the two: one entry, with URLs of both kinds.
async fn generate(State(site): State<Arc<Site>>, request: Request) -> Response {
    created(&site, request, |Offer { stun, turn, credential, .. }| IceServer {
        urls: [stun, turn].concat(),
        username: Some(credential.username),
        credential: Some(credential.password),
    })
    .await
}

async fn created<T: Serialize>(site: &Site, request: Request, shape: impl FnOnce(Offer) -> T) -> Response {
    let (head, body) = request.into_parts();
    site.for_programs(&head, None, async || {
        let offer = site.offer(&head, &Caller::Program, asked(site, body).await?);
        Ok((StatusCode::CREATED, axum::Json(Answer { ice_servers: shape(offer) })))
    })
    .await
}

/// Each credential has a name of its own, so that it can be revoked without the others of its identifier.
async fn asked(site: &Site, body: Body) -> Result<Wish, Problem> {
    let Asked { ttl, custom_identifier } = json(body).await?;
    let identifier = custom_identifier.map(|identifier| checked_name(&identifier)).transpose()?;
    Ok(Wish {
        name: Some(identifier.map_or_else(|| site.random.token128(), |identifier| site.one_of(&identifier))),
        ttl: ttl.map(lifetime).transpose()?,
    })
}

async fn revoke(
    State(site): State<Arc<Site>>,
    Path((_, username)): Path<(String, String)>,
    head: Parts,
) -> Response {
    site.for_programs(&head, None, async || revoked(&site, &username)).await
}

/// 204, also for what is no longer good by itself: whoever asks wants it to be so.
fn revoked(site: &Site, username: &str) -> Result<Response, Problem> {
    const NO_USERNAME: &str = "A username here is `expiry:name`, as it was handed out.";
    let now = site.clock.now();
    // What no request to the relay can hold (RFC 8489 section 14.3) need not be remembered.
    if username.len() >= 509 {
        return Err(bad(NO_USERNAME));
    }
    let username = Username::parse(username).map_err(|_| bad(NO_USERNAME))?;
    match username.check(now) {
        Ok(()) => {
            site.revocations.revoke(now, username.name, username.expiry).map_err(|_| Code::TooManyRevoked)?;
            (site.end_user)(username.name);
        }
        Err(UsernameError::Expired) => (site.end_user)(username.name),
        Err(UsernameError::Malformed | UsernameError::TooFarAhead) => return Err(bad(NO_USERNAME)),
    }
    Ok(StatusCode::NO_CONTENT.into_response())
}
