//! Security headers of every response.

use axum::http::{HeaderName, HeaderValue, header};
use axum::response::Response;

/// Own files, and the one script and the one style in the document, by the hashes that the build
/// script computed. No other inline code, no frame around the page.
///
/// - `connect-src 'self'` covers the WebSocket of the same host and port (CSP3 section 6.7.2.8).
/// - A `MediaStream` as `srcObject` is no fetch and needs no source.
/// - `blob:` shows pictures and recordings that the page made, and those that peers sent.
/// - `'wasm-unsafe-eval'` compiles WebAssembly, and no JavaScript: noise suppression and the
///   segmentation of persons are such programs.
/// - Trusted types hold the pages to text: they never write HTML. The one policy, of
///   `static/page/own-url.js`, allows workers and scripts of the page's own.
const CONTENT_SECURITY_POLICY: &str = concat!(
    "default-src 'none'; script-src 'self' '",
    env!("BYWAY_SCRIPT_HASH"),
    "' 'wasm-unsafe-eval'; style-src 'self' '",
    env!("BYWAY_STYLE_HASH"),
    "'; img-src 'self' blob:; media-src blob:; worker-src 'self'; connect-src 'self'; manifest-src 'self'; \
     base-uri 'none'; form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'; \
     trusted-types byway"
);

/// Features that a call needs, and nothing else that a browser could ask the user for.
const PERMISSIONS_POLICY: &str = "camera=(self), microphone=(self), speaker-selection=(self), display-capture=(self), \
     autoplay=(self), fullscreen=(self), picture-in-picture=(self), screen-wake-lock=(self), clipboard-write=(self), \
     web-share=(self), accelerometer=(), clipboard-read=(), encrypted-media=(), \
     geolocation=(), gyroscope=(), hid=(), idle-detection=(), local-fonts=(), magnetometer=(), midi=(), payment=(), \
     publickey-credentials-get=(), serial=(), sync-xhr=(), usb=(), window-management=(), xr-spatial-tracking=()";

const SECURE: [(HeaderName, &str); 6] = [
    (header::CONTENT_SECURITY_POLICY, CONTENT_SECURITY_POLICY),
    (HeaderName::from_static("permissions-policy"), PERMISSIONS_POLICY),
    (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    // A room's name is in the page's address.
    (header::REFERRER_POLICY, "no-referrer"),
    (HeaderName::from_static("cross-origin-opener-policy"), "same-origin"),
    // Unless the route itself shares what it serves.
    (HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
];

/// Adds them, where the route did not set its own.
pub(super) async fn secure(mut response: Response) -> Response {
    for (name, value) in SECURE {
        response.headers_mut().entry(name).or_insert(HeaderValue::from_static(value));
    }
    response
}
