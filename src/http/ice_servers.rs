//! `/ice` and `/turn`: credentials for browsers, and for programs that know the REST draft.
//!
//! Whoever asks without proof of who they are gets a name of our choice. One they chose could be someone else's, and
//! the relay's quotas count by name.

use std::sync::Arc;

use axum::extract::State;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{MethodRouter, get};

use super::origin::{Asker, host};
use super::{Problem, Site};
use crate::ice::Host;

/// `GET`, `POST` and the preflight of `/ice`.
pub(super) fn ice_methods() -> MethodRouter<Arc<Site>> {
    get(ice).post(ice).options(preflight)
}

/// `GET` and the preflight of `/turn`.
pub(super) fn turn_methods() -> MethodRouter<Arc<Site>> {
    get(turn).options(preflight)
}

async fn ice(State(site): State<Arc<Site>>, headers: HeaderMap) -> Response {
    answer(&site, &headers, |host, name| {
        axum::Json(site.ice.issue(site.clock.now(), host, name)).into_response()
    })
}

async fn turn(State(site): State<Arc<Site>>, headers: HeaderMap) -> Response {
    answer(&site, &headers, |host, name| {
        axum::Json(site.ice.turn(site.clock.now(), host, name)).into_response()
    })
}

fn answer(site: &Site, headers: &HeaderMap, issue: impl FnOnce(Option<&Host>, &str) -> Response) -> Response {
    shared(site.origins.check(headers), || {
        site.counters.credentials.add(1);
        issue(host(headers).and_then(Host::parse).as_ref(), &site.random.name())
    })
}

/// What a browser asks before a page of another origin may send `Authorization` (Fetch standard, CORS-preflight).
async fn preflight(State(site): State<Arc<Site>>, headers: HeaderMap) -> Response {
    shared(site.origins.check(&headers), || {
        let allowed = [
            (header::ACCESS_CONTROL_ALLOW_METHODS, "GET, POST"),
            (header::ACCESS_CONTROL_ALLOW_HEADERS, "authorization, content-type"),
            (header::ACCESS_CONTROL_MAX_AGE, "600"),
        ];
        (StatusCode::NO_CONTENT, allowed).into_response()
    })
}

/// The answer for whoever asks, marked as theirs alone.
pub(super) fn shared(asker: Result<Asker, Problem>, answer: impl FnOnce() -> Response) -> Response {
    let mut response = match &asker {
        Ok(_) => answer(),
        Err(problem) => problem.into_response(),
    };
    let headers = response.headers_mut();
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(header::VARY, HeaderValue::from_static("Origin"));
    if let Ok(Asker::Listed(origin)) = asker {
        headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, origin);
    }
    response
}
