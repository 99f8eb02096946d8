//! Layers of routes that hand out secrets: CORS for pages of listed origins, and no copies in
//! caches.

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::{HeaderName, HeaderValue, StatusCode, header};
use axum::middleware::{Next, from_fn_with_state, map_response};
use axum::response::{IntoResponse, Response};
use axum::routing::MethodRouter;

use super::Site;
use super::origin::Asker;
use super::problem::Problem;

/// Methods and fields that pages of listed origins may use.
pub(super) const ALLOWED: [(HeaderName, &str); 3] = [
    (header::ACCESS_CONTROL_ALLOW_METHODS, "GET, POST"),
    (header::ACCESS_CONTROL_ALLOW_HEADERS, "authorization, content-type"),
    (header::ACCESS_CONTROL_MAX_AGE, "600"),
];

/// Serves pages of our own and of listed origins, and programs.
pub(super) fn for_pages(site: &Arc<Site>, methods: MethodRouter<Arc<Site>>) -> MethodRouter<Arc<Site>> {
    // The outer layer answers for other origins by a problem, which no cache stores either.
    for_programs(methods).route_layer(from_fn_with_state(site.clone(), share))
}

/// Serves programs only: no page of another origin reads the answer.
pub(super) fn for_programs(methods: MethodRouter<Arc<Site>>) -> MethodRouter<Arc<Site>> {
    methods.route_layer(map_response(no_store))
}

/// Answers a browser's question before a page of another origin may send `Authorization` (Fetch
/// standard, CORS-preflight).
pub(super) async fn preflight() -> impl IntoResponse {
    (StatusCode::NO_CONTENT, ALLOWED)
}

/// Checks the origin, and lets a page of a listed one read the answer.
async fn share(
    State(_): State<Arc<Site>>,
    asker: Result<Asker, Problem>,
    request: Request,
    next: Next,
) -> Response {
    let mut response = match &asker {
        Ok(_) => next.run(request).await,
        Err(problem) => problem.clone().into_response(),
    };
    let headers = response.headers_mut();
    headers.insert(header::VARY, HeaderValue::from_static("Origin"));
    if let Ok(Asker::Listed(origin)) = asker {
        headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, origin);
        let beyond_the_safelist = HeaderValue::from_static("link, retry-after");
        headers.insert(header::ACCESS_CONTROL_EXPOSE_HEADERS, beyond_the_safelist);
    }
    response
}

async fn no_store(mut response: Response) -> Response {
    response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}
