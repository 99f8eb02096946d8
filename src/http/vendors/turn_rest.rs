//! `/turn`: the REST draft (draft-uberti-behave-turn-rest-00), as Janus, `mediasoup` demos and many others ask.

use std::sync::Arc;

use axum::Router;
use axum::extract::{Request, State};
use axum::response::Response;
use axum::routing::get;

use crate::http::params::bad;
use crate::http::{Site, ice_servers};
use crate::ice::TurnCredential;

pub(super) fn router() -> Router<Arc<Site>> {
    Router::new().route("/turn", get(turn).post(turn).options(ice_servers::preflight))
}

/// The key is called `key` by the draft's last version, `api` by Janus until it learned of that.
async fn turn(State(site): State<Arc<Site>>, request: Request) -> Response {
    site.offer_to_anyone(request, &["key", "api"], |offer, fields| match fields.get("service") {
        None | Some("turn") => Ok(axum::Json(TurnCredential::from(offer))),
        Some(_) => Err(bad("The one service here is `turn`.")),
    })
    .await
}
