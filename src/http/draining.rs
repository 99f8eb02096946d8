//! What the pages answer once the server is told to stop.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

use axum::extract::{Request, State};
use axum::http::{HeaderValue, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};

use super::Problem;

/// After how many seconds another server, or this one anew, may be there.
const RETRY_AFTER: HeaderValue = HeaderValue::from_static("5");

/// Whether nobody new is let in any more. Copies are one.
#[derive(Clone, Debug, Default)]
pub struct Draining(Arc<AtomicBool>);

impl Draining {
    /// From now on nobody is.
    pub fn begin(&self) {
        self.0.store(true, Relaxed);
    }

    pub(super) fn has_begun(&self) -> bool {
        self.0.load(Relaxed)
    }
}

/// Lets requests through until then; 503 with Retry-After from then on.
pub(super) async fn let_in(State(draining): State<Draining>, request: Request, next: Next) -> Response {
    if !draining.has_begun() {
        return next.run(request).await;
    }
    let problem =
        Problem::new(StatusCode::SERVICE_UNAVAILABLE, "The server is about to stop. Come back soon.");
    ([(header::RETRY_AFTER, RETRY_AFTER)], problem).into_response()
}
