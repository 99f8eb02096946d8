//! `POST /2010-04-01/Accounts/{sid}/Tokens.json`: Twilio's Network Traversal Service. An account's id may be any; its auth
//! token is an API key.

use std::sync::Arc;

use axum::Router;
use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::response::Response;
use axum::routing::post;
use serde::Serialize;

use super::Single;
use crate::http::Site;
use crate::http::access::Caller;
use crate::http::params::{Fields, Path, Wish};
use crate::ice::rfc2822;

pub(super) fn router() -> Router<Arc<Site>> {
    Router::new().route("/2010-04-01/Accounts/{sid}/Tokens.json", post(token))
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

async fn token(State(site): State<Arc<Site>>, Path(sid): Path<String>, request: Request) -> Response {
    let (head, body) = request.into_parts();
    site.for_programs(&head, None, async || {
        let mut fields = Fields::of_query(&head)?;
        fields.add_form(&head, body).await?;
        let offer = site.offer(&head, &Caller::Program, Wish::new(None, fields.get("Ttl"))?);
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
    })
    .await
}
