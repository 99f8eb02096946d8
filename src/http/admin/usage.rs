//! `GET /usage`: traffic of every user since the server's start.

use std::cmp::Reverse;
use std::sync::Arc;

use axum::extract::State;
use axum::http::{header, request};
use axum::response::IntoResponse;
use serde::{Deserialize, Serialize};

use super::{Admin, limit};
use crate::events::Traffic;
use crate::http::params::Params;
use crate::http::problem::Problem;
use crate::sessions::{UsageSums, UserUsage};

/// Path of the traffic by user.
pub const USAGE: &str = "/usage";

/// Traffic of the users. A client takes fields that a server of another version leaves out for
/// empty.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct UsageListing {
    /// Start of the sums, in seconds since 1970.
    pub since: u64,
    /// Events that were lost. Each may be an allocation that is missing in the sums.
    pub lost_events: u64,
    /// Number of users that are told apart, also beyond the limit.
    pub total: usize,
    /// Those with the most bytes, the largest first.
    pub users: Vec<UserRow>,
    /// Sum of the users that are no longer told apart.
    pub others: UserRow,
}

/// Traffic of a user.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct UserRow {
    /// Name in the credentials, without the expiry. Empty for the sum of others.
    pub user: String,
    /// Live allocations.
    pub allocations: usize,
    /// Allocations that have ended.
    pub ended: u64,
    /// Payload from the clients to their peers.
    pub to_peer: Traffic,
    /// Payload from the peers to the clients.
    pub to_client: Traffic,
}

impl UserRow {
    fn new(user: &str, allocations: usize, sums: UsageSums) -> Self {
        let UsageSums { ended, to_peer, to_client } = sums;
        Self { user: user.to_owned(), allocations, ended, to_peer, to_client }
    }
}

/// Handler of `GET /usage`.
pub(super) async fn usage(
    State(admin): State<Arc<Admin>>,
    head: request::Parts,
) -> Result<impl IntoResponse, Problem> {
    let limit = limit(&Params::of_query(&head)?)?;
    let (users, others) = admin.sessions.usage().await?;
    let total = users.len();
    let mut users: Vec<_> = users.into_iter().collect();
    users.sort_unstable_by_key(|(user, UserUsage { sums, .. })| {
        (Reverse(sums.to_peer.bytes.saturating_add(sums.to_client.bytes)), user.clone())
    });
    users.truncate(limit);
    let listing = UsageListing {
        since: admin.sessions.since(),
        lost_events: admin.sessions.lost_events(),
        total,
        users: users.iter().map(|(user, usage)| UserRow::new(user, usage.live, usage.sums)).collect(),
        others: UserRow::new("", 0, others),
    };
    Ok(([(header::CACHE_CONTROL, "no-store")], axum::Json(listing)))
}
