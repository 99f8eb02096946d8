//! The call page and its files, embedded in the binary, compressed, with ETag.

use std::sync::LazyLock;

use axum::Router;
use axum::extract::Request;
use axum::http::{HeaderName, HeaderValue, header};
use axum::middleware::{Next, from_fn};
use axum::response::Response;
use memory_serve::CacheControl;

/// The routes of all files; `/` is `index.html`.
pub(super) fn router() -> Router {
    // Compressing takes a while and the result is leaked: once per process.
    static FILES: LazyLock<Router> = LazyLock::new(|| {
        memory_serve::load!()
            .index_file(Some("/index.html"))
            .enable_gzip(true)
            .enable_brotli(true)
            // Always ask, usually get a 304: an upgraded server never runs an old module with a new
            // page.
            .html_cache_control(CacheControl::NoCache)
            .cache_control(CacheControl::NoCache)
            .into_router()
    });
    FILES.clone().layer(from_fn(share))
}

/// Lets pages of any origin load the client module, what it imports and its types, which hold no
/// secret.
async fn share(request: Request, next: Next) -> Response {
    let path = request.uri().path();
    let typed = path == "/byway.d.ts";
    let shared = typed || path == "/byway.js" || path.starts_with("/byway/");
    let mut response = next.run(request).await;
    if typed && response.status().is_success() {
        // By its ending alone it would be an MPEG transport stream.
        let typescript = HeaderValue::from_static("application/typescript; charset=utf-8");
        response.headers_mut().insert(header::CONTENT_TYPE, typescript);
    }
    if shared {
        let headers = response.headers_mut();
        headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, HeaderValue::from_static("*"));
        let policy = HeaderName::from_static("cross-origin-resource-policy");
        headers.insert(policy, HeaderValue::from_static("cross-origin"));
    }
    response
}
