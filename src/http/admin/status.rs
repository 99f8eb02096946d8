//! `GET /status`: state of the running server in one answer, for `byway status` and `byway top`.

use std::fmt;
use std::sync::Arc;

use axum::extract::State;
use axum::http::header;
use axum::response::IntoResponse;
use serde::{Deserialize, Serialize};

use super::Admin;
use crate::cluster::status::ClusterStatus;
use crate::events::Traffic;
use crate::phase::Phase;

/// Path of the state.
pub const STATUS: &str = "/status";

/// State of the running server. A client takes fields that a server of another version leaves out
/// for empty.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Status {
    /// Version of the server.
    pub version: String,
    /// Process id.
    pub pid: u32,
    /// Phase: `running`, `draining` or `stopping`.
    pub phase: String,
    /// Parts of the process that have ended.
    pub down: Vec<String>,
    /// Lines about what of the configuration cannot be served at present, with remedies.
    pub degraded: Vec<String>,
    /// Rooms.
    pub rooms: u64,
    /// Members of all rooms, absent ones and viewers among them.
    pub members: u64,
    /// Facts that the composition root knows.
    #[serde(flatten)]
    pub facts: ServerFacts,
}

/// Facts about the running server that its composition root knows.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct ServerFacts {
    /// Start, in seconds since 1970.
    pub began: u64,
    /// Configuration file. Without one, the embedded default is in force.
    pub configuration: Option<String>,
    /// Addresses that are served, as the log names them.
    pub listening: String,
    /// Live allocations.
    pub allocations: u64,
    /// Certificate in use.
    pub certificate: Option<CertificateFacts>,
    /// Payload that was relayed since the start.
    pub relayed: Relayed,
    /// Cluster, if the server is one of its nodes.
    pub cluster: Option<ClusterStatus>,
}

/// Certificate in use.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct CertificateFacts {
    /// Names of the certificate.
    pub names: Vec<String>,
    /// Expiry, in seconds since 1970.
    pub expires: u64,
}

/// Payload that was relayed, by direction.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Relayed {
    /// From clients out through relay sockets.
    pub to_peer: Traffic,
    /// From relay sockets to clients.
    pub to_client: Traffic,
    /// From one client of this server to another, in memory.
    pub between_clients: Traffic,
}

/// Source of the facts about the server; the composition root knows them.
#[derive(Clone)]
pub struct FactSource(Arc<dyn Fn() -> ServerFacts + Send + Sync>);

impl FactSource {
    /// `facts` returns the facts at the moment it is called.
    pub fn new(facts: impl Fn() -> ServerFacts + Send + Sync + 'static) -> Self {
        Self(Arc::new(facts))
    }
}

impl fmt::Debug for FactSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("FactSource")
    }
}

/// Handler of [`STATUS`].
pub(super) async fn status(State(admin): State<Arc<Admin>>) -> impl IntoResponse {
    let (rooms, members) = admin.hub.sizes();
    let status = Status {
        version: env!("CARGO_PKG_VERSION").to_owned(),
        pid: std::process::id(),
        phase: name_of(&admin).to_owned(),
        down: admin.down(),
        degraded: admin.degraded(),
        rooms,
        members,
        facts: (admin.facts.0)(),
    };
    ([(header::CACHE_CONTROL, "no-store")], axum::Json(status))
}

fn name_of(admin: &Admin) -> &'static str {
    if admin.phase.has_reached(Phase::Stopping) {
        "stopping"
    } else if admin.phase.has_reached(Phase::Draining) {
        "draining"
    } else {
        "running"
    }
}
