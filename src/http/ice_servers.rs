//! `/ice`: an `RTCConfiguration` for pages and programs.

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::handler::Handler as _;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{MethodRouter, get};

use super::Site;
use super::cors::{self, ALLOWED};
use super::issue::Issuer;
use super::params::Params;
use super::problem::Problem;
use super::vendors::{apprtc, links};
use crate::access::Caller;

/// `GET`, `POST` and `OPTIONS` of `/ice`.
pub(super) fn methods(site: &Arc<Site>) -> MethodRouter<Arc<Site>> {
    cors::for_pages(site, get(ice).post(ice).options(options))
}

async fn ice(issuer: Issuer, caller: Caller, params: Params) -> Result<impl IntoResponse, Problem> {
    let offer = issuer.offer(&caller, params.wish(&caller)?);
    Ok((links::of(&offer), axum::Json(apprtc::Configuration::from(offer))))
}

/// Answers a browser's question before a page of another origin may ask, or a WHIP client's for its
/// servers.
async fn options(State(site): State<Arc<Site>>, request: Request) -> Response {
    match request.headers().contains_key(header::ACCESS_CONTROL_REQUEST_METHOD) {
        true => cors::preflight().await.into_response(),
        false => whip.call(request, site).await,
    }
}

async fn whip(issuer: Issuer, caller: Caller, params: Params) -> Result<impl IntoResponse, Problem> {
    let offer = issuer.offer(&caller, params.wish(&caller)?);
    let methods = [(header::ALLOW, "GET, HEAD, POST, OPTIONS")];
    Ok((StatusCode::NO_CONTENT, methods, ALLOWED, links::of(&offer)))
}
