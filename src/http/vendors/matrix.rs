//! `GET /_matrix/client/v3/voip/turnServer`: the answer of a Matrix homeserver to its clients
//! before they call, for one that passes the question on (Matrix client-server API, "Voice over
//! IP").

use std::sync::Arc;

use axum::Router;
use axum::routing::get;

use crate::access::Caller;
use crate::http::issue::Issuer;
use crate::http::params::Params;
use crate::http::problem::Problem;
use crate::http::{Site, cors};
use crate::ice::TurnCredential;

pub(super) fn router(site: &Arc<Site>) -> Router<Arc<Site>> {
    let methods = cors::for_pages(site, get(turn_server).options(cors::preflight));
    Router::new()
        .route("/_matrix/client/v3/voip/turnServer", methods.clone())
        .route("/_matrix/client/r0/voip/turnServer", methods)
}

async fn turn_server(
    issuer: Issuer,
    caller: Caller,
    params: Params,
) -> Result<axum::Json<TurnCredential>, Problem> {
    Ok(axum::Json(issuer.offer(&caller, params.wish(&caller)?).into()))
}
