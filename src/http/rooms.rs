//! `/rooms/{room}`: who is there, and sending somebody away, for a program with an API key.

use std::sync::Arc;

use axum::extract::State;
use axum::http::StatusCode;
use axum::http::request::Parts;
use axum::response::Response;
use serde::Serialize;

use super::Site;
use super::params::{Path, bad};
use super::problem::{Code, Problem};
use crate::signaling::Present;
use crate::signaling::protocol::{MemberId, RoomName};

#[derive(Serialize)]
struct Room {
    room: String,
    /// In order of arrival; none, if there is no such room: the two are the same.
    members: Vec<Present>,
}

pub(super) async fn members(
    State(site): State<Arc<Site>>,
    Path(room): Path<String>,
    head: Parts,
) -> Response {
    site.for_programs(&head, None, async || {
        let members = site.hub.members(&named(room.clone())?);
        Ok(axum::Json(Room { room, members }))
    })
    .await
}

pub(super) async fn remove(
    State(site): State<Arc<Site>>,
    Path((room, id)): Path<(String, String)>,
    head: Parts,
) -> Response {
    site.for_programs(&head, None, async || {
        let room = named(room)?;
        match MemberId::parse(&id) {
            Some(id) if site.hub.remove(&room, id) => Ok(StatusCode::NO_CONTENT),
            _ => Err(Code::NoSuchMember.into()),
        }
    })
    .await
}

fn named(room: String) -> Result<RoomName, Problem> {
    RoomName::new(room).ok_or_else(|| bad("A room is 1 to 128 characters without control characters."))
}
