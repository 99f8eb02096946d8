//! Answers of the admin listener, in the form that `byway top` shows.
//!
//! The server may be of another version, or not Byway at all: missing fields are empty, and no list
//! is longer than [`MOST`].

use std::collections::BTreeMap;

use serde::de::{Deserialize, Deserializer};
use serde_json::value::RawValue;

use crate::bounded::list;
pub(super) use crate::events::Traffic;
pub(super) use crate::http::admin::status::Status;

/// Items of a list that are kept.
const MOST: usize = 10_000;

/// Answer of `/allocations`.
#[derive(Clone, Debug, Default, serde::Deserialize)]
#[serde(default)]
pub(super) struct Allocations {
    pub(super) total: u64,
    #[serde(deserialize_with = "bounded")]
    pub(super) allocations: Vec<Allocation>,
}

/// One allocation.
#[derive(Clone, Debug, Default, serde::Deserialize)]
#[serde(default)]
pub(super) struct Allocation {
    pub(super) id: String,
    pub(super) user: String,
    pub(super) transport: String,
    pub(super) age: u64,
    pub(super) expires_in: u64,
    pub(super) to_peer: Traffic,
    pub(super) to_client: Traffic,
    pub(super) drops: BTreeMap<String, u64>,
    pub(super) refused: BTreeMap<String, u64>,
    pub(super) permissions: u64,
    pub(super) channels: u64,
    pub(super) client: Option<String>,
    pub(super) relayed: Vec<String>,
}

/// Answer of `/rooms`.
#[derive(Clone, Debug, Default, serde::Deserialize)]
#[serde(default)]
pub(super) struct Rooms {
    pub(super) total: u64,
    #[serde(deserialize_with = "bounded")]
    pub(super) rooms: Vec<Room>,
}

/// One room.
#[derive(Clone, Debug, Default, serde::Deserialize)]
#[serde(default)]
pub(super) struct Room {
    pub(super) room: String,
    pub(super) locked: bool,
    #[serde(deserialize_with = "bounded")]
    pub(super) members: Vec<Member>,
}

/// One member of a room.
#[derive(Clone, Debug, Default, serde::Deserialize)]
#[serde(default)]
pub(super) struct Member {
    pub(super) id: String,
    pub(super) name: Option<String>,
    pub(super) host: bool,
    pub(super) viewer: bool,
    pub(super) connected: bool,
    pub(super) user: String,
    pub(super) allocations: u64,
}

/// Answer of `/usage`.
#[derive(Clone, Debug, Default, serde::Deserialize)]
#[serde(default)]
pub(super) struct Usage {
    pub(super) since: u64,
    pub(super) lost_events: u64,
    #[serde(deserialize_with = "bounded")]
    pub(super) users: Vec<User>,
}

/// Usage of one user.
#[derive(Clone, Debug, Default, serde::Deserialize)]
#[serde(default)]
pub(super) struct User {
    pub(super) user: String,
    pub(super) allocations: u64,
    pub(super) ended: u64,
    pub(super) to_peer: Traffic,
    pub(super) to_client: Traffic,
}

/// Answer of `/timelines`.
#[derive(Clone, Debug, Default, serde::Deserialize)]
#[serde(default)]
pub(super) struct Calls {
    #[serde(deserialize_with = "bounded")]
    pub(super) calls: Vec<Call>,
}

/// One call that has a timeline.
#[derive(Clone, Debug, Default, serde::Deserialize)]
#[serde(default)]
pub(super) struct Call {
    pub(super) room: String,
    pub(super) began: f64,
    pub(super) ended: Option<f64>,
    pub(super) members: u64,
    pub(super) events: u64,
    pub(super) dropped: u64,
}

/// Answer of `/timelines/{room}`.
#[derive(Clone, Debug, Default, serde::Deserialize)]
#[serde(default)]
pub(super) struct Timeline {
    pub(super) began: f64,
    #[serde(deserialize_with = "bounded")]
    pub(super) members: Vec<CallMember>,
    #[serde(deserialize_with = "bounded")]
    pub(super) events: Vec<CallEvent>,
}

/// One member of a call.
#[derive(Clone, Debug, Default, serde::Deserialize)]
#[serde(default)]
pub(super) struct CallMember {
    pub(super) id: String,
    pub(super) name: Option<String>,
    pub(super) reports: bool,
}

/// One event of a call.
#[derive(Clone, Debug, Default, serde::Deserialize)]
#[serde(default)]
pub(super) struct CallEvent {
    pub(super) at: f64,
    pub(super) member: Option<String>,
    pub(super) source: String,
    pub(super) kind: String,
    pub(super) text: String,
    pub(super) detail: Option<Box<RawValue>>,
}

/// Reads a list, and keeps its first [`MOST`] items.
fn bounded<'de, D: Deserializer<'de>, T: Deserialize<'de>>(deserializer: D) -> Result<Vec<T>, D::Error> {
    list::<_, _, MOST>(deserializer)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_has_a_bound_and_missing_fields_are_empty() {
        let many = format!("{{\"total\": 3, \"allocations\": [{}{{}}]}}", "{},".repeat(50_000));
        let answer: Allocations = serde_json::from_str(&many).unwrap();
        assert_eq!((answer.total, answer.allocations.len()), (3, MOST));
        let nested = format!("{{\"rooms\": {}", "[".repeat(1 << 20));
        assert!(serde_json::from_str::<Rooms>(&nested).is_err(), "no stack overflow");
        assert!(serde_json::from_str::<Status>("{\"version\": 5}").is_err());
        assert_eq!(serde_json::from_str::<Status>("{}").unwrap(), Status::default());
    }
}
