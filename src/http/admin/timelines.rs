//! `GET /timelines`: calls, with what their pages reported and what the relay saw of them.

use std::sync::Arc;

use axum::extract::State;
use axum::http::header;
use axum::response::IntoResponse;
use serde::Serialize;

use super::Admin;
use crate::http::params::Path;
use crate::http::problem::{Code, Problem};
use crate::http::rooms::named;
use crate::signaling::timeline::CallSummary;

#[derive(Serialize)]
struct Calls {
    /// In the order in which they began.
    calls: Vec<CallSummary>,
}

/// Handler of `GET /timelines`.
pub(super) async fn list(State(admin): State<Arc<Admin>>) -> impl IntoResponse {
    let calls = admin.hub.timelines();
    ([(header::CACHE_CONTROL, "no-store")], axum::Json(Calls { calls }))
}

/// Handler of `GET /timelines/{room}`: the last call of the room.
pub(super) async fn of_room(
    State(admin): State<Arc<Admin>>,
    Path(room): Path<String>,
) -> Result<impl IntoResponse, Problem> {
    let timeline = admin.hub.timeline(&named(room)?).ok_or(Code::NotFound)?;
    Ok(([(header::CACHE_CONTROL, "no-store")], axum::Json(timeline)))
}
