//! Security headers of every response.

use axum::http::{HeaderName, HeaderValue, header};
use axum::response::Response;

/// Our own files only, no inline script or style, no frame around us. `connect-src 'self'` covers
/// the WebSocket of the same host and port (CSP3 section 6.7.2.8); a `MediaStream` as `srcObject`
/// is no fetch and needs no source. Our pages write text, never HTML, and trusted types hold them
/// to it.
const CONTENT_SECURITY_POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; \
     connect-src 'self'; base-uri 'none'; form-action 'none'; \
     frame-ancestors 'none'; require-trusted-types-for 'script'";

/// Features that a call needs, and nothing else that a browser could ask the user for.
const PERMISSIONS_POLICY: &str = "camera=(self), microphone=(self), display-capture=(self), autoplay=(self), \
     fullscreen=(self), picture-in-picture=(self), screen-wake-lock=(self), accelerometer=(), encrypted-media=(), \
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
