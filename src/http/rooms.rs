//! `/rooms/{room}`: listing and removing members, for a program with an API key.

use std::sync::Arc;

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::IntoResponse;
use serde::Serialize;

use super::Site;
use super::caller::Program;
use super::params::{Path, bad};
use super::problem::{Code, Problem};
use crate::signaling::RoomState;
use crate::signaling::protocol::{MemberId, RoomName};

#[derive(Serialize)]
struct Room {
    room: String,
    /// Without members, if there is no such room: the two are the same.
    #[serde(flatten)]
    state: RoomState,
}

/// `GET /rooms/{room}`.
pub(super) async fn members(
    State(site): State<Arc<Site>>,
    Path(room): Path<String>,
    _: Program,
) -> Result<impl IntoResponse, Problem> {
    let state = site.hub.room(&named(room.clone())?);
    Ok(axum::Json(Room { room, state }))
}

/// `DELETE /rooms/{room}/members/{id}`.
pub(super) async fn remove(
    State(site): State<Arc<Site>>,
    Path((room, id)): Path<(String, String)>,
    _: Program,
) -> Result<StatusCode, Problem> {
    let room = named(room)?;
    match MemberId::parse(&id) {
        Some(id) if site.hub.remove(&room, id) => Ok(StatusCode::NO_CONTENT),
        _ => Err(Code::NoSuchMember.into()),
    }
}

/// Checks the name of a room.
pub(super) fn named(room: String) -> Result<RoomName, Problem> {
    RoomName::new(room).ok_or_else(|| bad("A room is 1 to 128 characters without control characters."))
}
