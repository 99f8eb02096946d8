//! `GET /allocations`, and over a Unix socket the addresses of the clients and the end of an
//! allocation.

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;

use axum::Router;
use axum::extract::State;
use axum::http::{StatusCode, header, request};
use axum::response::IntoResponse;
use axum::routing::{delete, get};
use byway_turn::closed_set::ClosedSet as _;
use serde::{Deserialize, Serialize};

use super::{Admin, limit};
use crate::events::Traffic;
use crate::http::params::{Params, Path, bad};
use crate::http::problem::{Code, Problem};
use crate::sessions::{LiveAllocation, Unanswered};

/// Path of the live allocations.
pub const ALLOCATIONS: &str = "/allocations";

/// Live allocations. A client takes fields that a server of another version leaves out for empty.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct AllocationListing {
    /// Number of allocations that match, also beyond the limit.
    pub total: usize,
    /// Those with the most bytes, the largest first.
    pub allocations: Vec<AllocationRow>,
}

/// Live allocation.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct AllocationRow {
    /// Identifier, by which it can be ended.
    pub id: String,
    /// Name in its credentials, without the expiry.
    pub user: String,
    /// Transport of its client: `udp`, `tcp` or `tls`.
    pub transport: String,
    /// Start, in seconds since 1970.
    pub began: u64,
    /// Age in seconds.
    pub age: u64,
    /// Seconds until it ends unless it is refreshed.
    pub expires_in: u64,
    /// Payload from the client to its peers.
    pub to_peer: Traffic,
    /// Payload from the peers to the client.
    pub to_client: Traffic,
    /// Dropped datagrams by reason.
    pub drops: BTreeMap<String, u64>,
    /// Refused requests by error code.
    pub refused: BTreeMap<String, u64>,
    /// Permissions.
    pub permissions: usize,
    /// Bound channels.
    pub channels: usize,
    /// Address of the client, if it was asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub client: Option<SocketAddr>,
    /// Relayed addresses, if they were asked for.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub relayed: Vec<SocketAddr>,
}

impl AllocationRow {
    fn new(allocation: &LiveAllocation, with_addresses: bool) -> Self {
        let LiveAllocation { facts, usage, .. } = allocation;
        Self {
            id: facts.key.to_string(),
            user: facts.user.to_string(),
            transport: facts.transport.label().to_owned(),
            began: facts.began,
            age: allocation.age.as_secs(),
            expires_in: allocation.expires_in.as_secs(),
            to_peer: usage.to_peer,
            to_client: usage.to_client,
            drops: usage.drops.iter().map(|(reason, count)| ((*reason).to_owned(), *count)).collect(),
            refused: usage.refused.iter().map(|(code, count)| (code.to_string(), *count)).collect(),
            permissions: allocation.permissions,
            channels: allocation.channels,
            client: with_addresses.then_some(facts.client),
            relayed: if with_addresses { facts.relayed.clone() } else { Vec::new() },
        }
    }
}

impl From<Unanswered> for Problem {
    fn from(_: Unanswered) -> Self {
        Code::RelayUnresponsive.into()
    }
}

/// Pages for TCP listeners, which show no address.
pub(in crate::http) fn router(admin: Admin) -> Router {
    Router::new()
        .route(
            ALLOCATIONS,
            get(async |State(admin): State<Arc<Admin>>, head: request::Parts| {
                let params = Params::of_query(&head)?;
                if wants_addresses(&params)? {
                    return Err(Problem::from(Code::UnixSocketOnly));
                }
                list(&admin, &params, false).await
            }),
        )
        .with_state(Arc::new(admin))
}

/// Pages and requests for Unix sockets.
pub(in crate::http) fn operator_router(admin: Admin) -> Router {
    Router::new()
        .route(
            ALLOCATIONS,
            get(async |State(admin): State<Arc<Admin>>, head: request::Parts| {
                let params = Params::of_query(&head)?;
                let with_addresses = wants_addresses(&params)?;
                list(&admin, &params, with_addresses).await
            }),
        )
        .route("/allocations/{id}", delete(end))
        .with_state(Arc::new(admin))
}

fn wants_addresses(params: &Params) -> Result<bool, Problem> {
    match params.get("addresses") {
        None | Some("0") => Ok(false),
        Some("1") => Ok(true),
        Some(_) => Err(bad("`addresses` is 0 or 1.")),
    }
}

async fn list(
    admin: &Admin,
    params: &Params,
    with_addresses: bool,
) -> Result<impl IntoResponse + use<>, Problem> {
    let limit = limit(params)?;
    let mut live = admin.sessions.allocations().await?;
    if let Some(user) = params.get("user") {
        live.retain(|allocation| *allocation.facts.user == *user);
    }
    let total = live.len();
    live.sort_unstable_by_key(|allocation| (Reverse(allocation.bytes()), allocation.facts.key));
    live.truncate(limit);
    let allocations = live.iter().map(|allocation| AllocationRow::new(allocation, with_addresses)).collect();
    let listing = AllocationListing { total, allocations };
    Ok(([(header::CACHE_CONTROL, "no-store")], axum::Json(listing)))
}

async fn end(State(admin): State<Arc<Admin>>, Path(id): Path<String>) -> Result<StatusCode, Problem> {
    match id.parse() {
        Ok(key) if admin.sessions.end(key).await? => Ok(StatusCode::NO_CONTENT),
        _ => Err(Code::NoSuchAllocation.into()),
    }
}
