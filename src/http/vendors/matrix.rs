//! `GET /_matrix/client/v3/voip/turnServer`: what a Matrix homeserver tells its clients before they call, for one that hands
//! the question on (Matrix client-server API, "Voice over IP").

use std::sync::Arc;

use axum::Router;
use axum::extract::{Request, State};
use axum::response::Response;
use axum::routing::get;

use crate::http::{Site, ice_servers};
use crate::ice::TurnCredential;

pub(super) fn router() -> Router<Arc<Site>> {
    let methods = || get(turn_server).options(ice_servers::preflight);
    Router::new()
        .route("/_matrix/client/v3/voip/turnServer", methods())
        .route("/_matrix/client/r0/voip/turnServer", methods())
}

async fn turn_server(State(site): State<Arc<Site>>, request: Request) -> Response {
    site.offer_to_anyone(request, &[], |offer, _| Ok(axum::Json(TurnCredential::from(offer)))).await
}
