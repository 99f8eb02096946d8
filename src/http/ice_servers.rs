//! `/ice`: an `RTCConfiguration` for pages and programs.

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::{HeaderName, StatusCode, header};
use axum::response::Response;
use axum::routing::{MethodRouter, get};

use super::Site;
use super::vendors::{apprtc, links};

/// `GET`, `POST` and `OPTIONS` of `/ice`.
pub(super) fn methods() -> MethodRouter<Arc<Site>> {
    get(ice).post(ice).options(options)
}

async fn ice(State(site): State<Arc<Site>>, request: Request) -> Response {
    site.offer_to_anyone(request, &[], |offer, _| {
        Ok((links::of(&offer), axum::Json(apprtc::Configuration::from(offer))))
    })
    .await
}

/// A browser's question before a page of another origin may ask, or a WHIP client's for its servers.
async fn options(State(site): State<Arc<Site>>, request: Request) -> Response {
    if request.headers().contains_key(header::ACCESS_CONTROL_REQUEST_METHOD) {
        return preflight(State(site), request).await;
    }
    site.offer_to_anyone(request, &[], |offer, _| {
        Ok((
            StatusCode::NO_CONTENT,
            [(header::ALLOW, "GET, HEAD, POST, OPTIONS")],
            ALLOWED,
            links::of(&offer),
        ))
    })
    .await
}

/// What a browser asks before a page of another origin may send `Authorization` (Fetch standard, CORS-preflight).
pub(super) async fn preflight(State(site): State<Arc<Site>>, request: Request) -> Response {
    let (head, _) = request.into_parts();
    site.for_pages(&head, async || Ok((StatusCode::NO_CONTENT, ALLOWED))).await
}

const ALLOWED: [(HeaderName, &str); 3] = [
    (header::ACCESS_CONTROL_ALLOW_METHODS, "GET, POST"),
    (header::ACCESS_CONTROL_ALLOW_HEADERS, "authorization, content-type"),
    (header::ACCESS_CONTROL_MAX_AGE, "600"),
];
