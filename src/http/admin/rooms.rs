//! `GET /rooms` for the operator, and removal of a member over a Unix socket.

use std::sync::Arc;

use axum::Router;
use axum::extract::State;
use axum::http::{StatusCode, header, request};
use axum::response::IntoResponse;
use axum::routing::delete;
use serde::Serialize;

use super::{Admin, limit};
use crate::http::params::{Params, Path};
use crate::http::problem::{Code, Problem};
use crate::http::rooms::named;
use crate::signaling::NamedRoom;
use crate::signaling::protocol::MemberId;

#[derive(Serialize)]
struct Listing {
    /// Rooms of the server.
    total: usize,
    /// Rooms in order of their names, up to the limit.
    rooms: Vec<NamedRoom>,
}

/// Requests that change a room, for Unix sockets.
pub(in crate::http) fn operator_router(admin: Admin) -> Router {
    Router::new().route("/rooms/{room}/members/{id}", delete(remove)).with_state(Arc::new(admin))
}

/// Handler of `GET /rooms`.
pub(super) async fn list(
    State(admin): State<Arc<Admin>>,
    head: request::Parts,
) -> Result<impl IntoResponse, Problem> {
    let limit = limit(&Params::of_query(&head)?)?;
    let (total, rooms) = admin.hub.rooms(limit);
    Ok(([(header::CACHE_CONTROL, "no-store")], axum::Json(Listing { total, rooms })))
}

async fn remove(
    State(admin): State<Arc<Admin>>,
    Path((room, id)): Path<(String, String)>,
) -> Result<StatusCode, Problem> {
    let room = named(room)?;
    match MemberId::parse(&id) {
        Some(id) if admin.hub.remove(&room, id) => Ok(StatusCode::NO_CONTENT),
        _ => Err(Code::NoSuchMember.into()),
    }
}
