//! `POST /2010-04-01/Accounts/{sid}/Tokens.json`: Twilio's Network Traversal Service. An account's
//! id may be any; its auth token is an API key.

use std::sync::Arc;

use axum::Router;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::IntoResponse;
use axum::routing::post;
use serde::Serialize;

use super::Single;
use crate::access::Caller;
use crate::http::caller::Program;
use crate::http::issue::Issuer;
use crate::http::params::{Params, Path, Wish};
use crate::http::problem::Problem;
use crate::http::{Site, cors};
use crate::ice::rfc2822;

pub(super) fn router() -> Router<Arc<Site>> {
    Router::new().route("/2010-04-01/Accounts/{sid}/Tokens.json", cors::for_programs(post(token)))
}

#[derive(Serialize)]
struct Token {
    account_sid: String,
    date_created: String,
    date_updated: String,
    ice_servers: Vec<Entry>,
    password: String,
    /// A number, as a text.
    ttl: String,
    username: String,
}

/// With its URL under both the names that it has had in WebRTC.
#[derive(Serialize)]
struct Entry {
    url: String,
    #[serde(flatten)]
    entry: Single,
}

async fn token(
    State(site): State<Arc<Site>>,
    issuer: Issuer,
    Path(sid): Path<String>,
    _: Program,
    params: Params,
) -> Result<impl IntoResponse, Problem> {
    let offer = issuer.offer(&Caller::Program, Wish::new(None, params.get("Ttl"))?);
    let date = rfc2822(site.clock.now().unix);
    let token = Token {
        account_sid: sid,
        date_created: date.clone(),
        date_updated: date,
        password: offer.credential.password.clone(),
        ttl: offer.ttl.to_string(),
        username: offer.credential.username.clone(),
        ice_servers: Single::all(offer)
            .into_iter()
            .map(|entry| Entry { url: entry.urls.clone(), entry })
            .collect(),
    };
    Ok((StatusCode::CREATED, axum::Json(token)))
}
