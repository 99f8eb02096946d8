//! `GET /api/v1/turn/credentials?apiKey=`: metered.ca's bare array of `RTCIceServer`s.

use std::sync::Arc;

use axum::Router;
use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use axum::routing::get;

use super::Single;
use crate::access::Caller;
use crate::http::caller::Program;
use crate::http::issue::Issuer;
use crate::http::params::{Params, Wish};
use crate::http::problem::Problem;
use crate::http::{Site, cors};

pub(super) fn router() -> Router<Arc<Site>> {
    Router::new().route("/api/v1/turn/credentials", cors::for_programs(get(credentials)))
}

async fn credentials(issuer: Issuer, KeyedProgram(params): KeyedProgram) -> axum::Json<Vec<Single>> {
    // Their own regions, such as `north_america`, are passed over.
    let region = params.get("region").and_then(|region| region.parse().ok());
    axum::Json(Single::all(issuer.offer(&Caller::Program, Wish { region, ..Wish::default() })))
}

/// Program whose API key may be in its query, with the fields of that.
struct KeyedProgram(Params);

impl FromRequestParts<Arc<Site>> for KeyedProgram {
    type Rejection = Problem;

    async fn from_request_parts(head: &mut Parts, site: &Arc<Site>) -> Result<Self, Problem> {
        let params = Params::of_query(head);
        let key = params.as_ref().ok().and_then(|params| params.get("apiKey"));
        Program::admit(site, head, key)?;
        // A query that contradicts itself is a problem once its sender is admitted.
        params.map(Self)
    }
}
