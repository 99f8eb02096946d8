//! The pages and their files, embedded in the binary, compressed, with ETag.
//!
//! The page has to know whether a join token is required, before it shows a button. The build
//! script makes a second document for that ([`BY_INVITATION`]), so that no browser has to ask.

use std::sync::OnceLock;

use axum::Router;
use axum::extract::{Request, State};
use axum::http::uri::Uri;
use axum::http::{HeaderName, HeaderValue, header};
use axum::middleware::{Next, from_fn, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use axum::routing::any;
use memory_serve::{CacheControl, MemoryServe};
use tokio::task::spawn_blocking;
use tower::ServiceExt as _;

use super::problem::{Code, Problem};
use crate::access::{Access, Policy};
use crate::live::Live;

/// Path of the document where a join token is required. It is served as `/` only.
const BY_INVITATION: &str = "/by-invitation.html";

/// Path of the document about faults, which the build script makes from
/// `docs/when-calls-fail.md`. It is served as `/help` only.
const HELP: &str = "/help.html";

/// Path of the self-test page. It is served as `/check` only.
const CHECK: &str = "/check.html";

/// Own files and the script and style of the self-test page, by their hashes. It builds no markup
/// and has no workers, so it needs no policy for trusted types. Connections of WebRTC are no fetch.
const CHECK_POLICY: &str = concat!(
    "default-src 'none'; script-src 'self' '",
    env!("BYWAY_CHECK_SCRIPT_HASH"),
    "'; style-src 'self' '",
    env!("BYWAY_CHECK_STYLE_HASH"),
    "'; img-src 'self'; connect-src 'self'; manifest-src 'self'; base-uri 'none'; form-action 'none'; \
     frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types 'none'"
);

/// The page and its modules.
static PAGE: Files = Files::new(|| {
    always_asked_for(memory_serve::load!("page").index_file(Some("/index.html")).enable_gzip(true))
});

/// Third-party files, such as the model of the virtual background, which few calls need. They are
/// larger than the page. They are not compressed by gzip as well, because browsers take brotli
/// wherever it matters.
static VENDOR: Files =
    Files::new(|| always_asked_for(memory_serve::load!("vendor").index_file(None).enable_gzip(false)));

/// Files that are unpacked for the first request, once per process, since the result is leaked. An
/// idle server, or one that only relays, does without.
struct Files {
    unpacked: OnceLock<Router>,
    unpack: fn() -> Router,
}

impl Files {
    const fn new(unpack: fn() -> Router) -> Self {
        Self { unpacked: OnceLock::new(), unpack }
    }

    async fn answer(&'static self, request: Request) -> Response {
        if self.unpacked.get().is_none() {
            // On a thread that may block. If there is none, it happens below.
            let _ = spawn_blocking(|| self.router()).await;
        }
        match self.router().clone().oneshot(request).await {
            Ok(response) => response,
            Err(never) => match never {},
        }
    }

    fn router(&self) -> &Router {
        self.unpacked.get_or_init(self.unpack)
    }
}

/// Browsers always ask, and usually get a 304: an upgraded server never runs an old module with a
/// new page.
fn always_asked_for(files: MemoryServe) -> Router {
    let no_cache = CacheControl::NoCache;
    let files = files.enable_brotli(true).html_cache_control(no_cache).cache_control(no_cache);
    files
        .into_router()
        .fallback(async || Problem::from(Code::NotFound))
        .method_not_allowed_fallback(async || Problem::from(Code::MethodNotAllowed))
}

/// The files, at every path that has no route; `/` is the document that fits the policy of
/// `access`.
pub(super) fn router(access: Live<Access>) -> Router {
    Router::new()
        .route("/vendor/{*file}", any(|request| VENDOR.answer(request)))
        .fallback(|request| PAGE.answer(request))
        .layer(from_fn(share))
        .layer(from_fn_with_state(access, choose_document))
}

/// Serves `/check` and `/help`, and as `/` the document that fits the policy, which may change
/// while the server runs.
async fn choose_document(State(access): State<Live<Access>>, mut request: Request, next: Next) -> Response {
    match request.uri().path() {
        "/" | "/index.html" if access.load().policy == Policy::Token => {
            *request.uri_mut() = Uri::from_static(BY_INVITATION);
            PAGE.answer(request).await
        }
        "/check" => {
            *request.uri_mut() = Uri::from_static(CHECK);
            let mut response = PAGE.answer(request).await;
            let policy = HeaderValue::from_static(CHECK_POLICY);
            response.headers_mut().insert(header::CONTENT_SECURITY_POLICY, policy);
            response
        }
        "/help" => {
            *request.uri_mut() = Uri::from_static(HELP);
            PAGE.answer(request).await
        }
        BY_INVITATION | HELP | CHECK => Problem::from(Code::NotFound).into_response(),
        _ => next.run(request).await,
    }
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
