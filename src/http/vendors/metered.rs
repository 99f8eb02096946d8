//! `GET /api/v1/turn/credentials?apiKey=`: metered.ca's bare array of `RTCIceServer`s.

use std::sync::Arc;

use axum::Router;
use axum::extract::{Request, State};
use axum::response::Response;
use axum::routing::get;

use super::Single;
use crate::http::Site;
use crate::http::access::Caller;
use crate::http::params::{Fields, Wish};

pub(super) fn router() -> Router<Arc<Site>> {
    Router::new().route("/api/v1/turn/credentials", get(credentials))
}

async fn credentials(State(site): State<Arc<Site>>, request: Request) -> Response {
    let (head, _) = request.into_parts();
    let fields = Fields::of_query(&head);
    let key = fields.as_ref().ok().and_then(|fields| fields.get("apiKey"));
    site.for_programs(&head, key, async || {
        fields.as_ref().map_err(Clone::clone)?;
        Ok(axum::Json(Single::all(site.offer(&head, &Caller::Program, Wish::default()))))
    })
    .await
}
