//! `/metrics` and `/healthz`, for the operator; over a Unix socket also requests to the server.

pub mod allocations;
mod operator;
pub(super) mod rooms;
pub mod status;
mod timelines;
pub mod usage;

use std::fmt;
use std::sync::Arc;

use axum::Router;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use tokio::sync::watch;

use self::status::{FactSource, STATUS};
use self::usage::USAGE;
use super::HttpCounters;
use super::accept;
use super::own_hosts::OwnHosts;
use super::params::{Params, bad};
use super::problem::Problem;
use crate::metrics::Metrics;
use crate::phase::{Phase, PhaseWatch};
use crate::sessions::Sessions;
use crate::signaling::Hub;

pub(super) use operator::operator_router;
pub use operator::{
    NeedsRestart, OperatorRequests, RELOAD, ReloadReport, ReloadSender, SIGNING, SigningAnswer, SigningTags,
};

/// Asks the parts of the process whether they live; the composition root knows them.
#[derive(Clone)]
pub struct Health(Arc<dyn Fn() -> Vec<String> + Send + Sync>);

impl Health {
    /// `down` names the parts that do not live, at the moment it is called.
    pub fn new(down: impl Fn() -> Vec<String> + Send + Sync + 'static) -> Self {
        Self(Arc::new(down))
    }
}

impl fmt::Debug for Health {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Health")
    }
}

/// Parts that the admin pages are made from.
#[derive(Clone)]
pub struct Admin {
    /// All metrics.
    pub metrics: Metrics,
    /// Counts of the requests for it.
    pub counters: Arc<HttpCounters>,
    /// Health of the parts of the process.
    pub health: Health,
    /// Lines about what of the configuration cannot be served at present, by the parts that know.
    pub degraded: Vec<watch::Receiver<Vec<String>>>,
    /// Phase of the server.
    pub phase: PhaseWatch,
    /// Hosts that requests may be for.
    pub hosts: Arc<OwnHosts>,
    /// Facts about the server.
    pub facts: FactSource,
    /// The rooms.
    pub hub: Arc<Hub>,
    /// The allocations and their traffic.
    pub sessions: Sessions,
}

impl Admin {
    /// Parts of the process that have ended.
    fn down(&self) -> Vec<String> {
        (self.health.0)()
    }

    /// Lines about what cannot be served at present.
    fn degraded(&self) -> Vec<String> {
        self.degraded.iter().flat_map(|lines| lines.borrow().clone()).collect()
    }
}

/// Rows of an answer, unless the request has a `limit`.
const USUAL_LIMIT: usize = 1_000;

/// Largest `limit`.
const MAX_LIMIT: usize = 10_000;

/// Returns the number of rows that a request asks for.
fn limit(params: &Params) -> Result<usize, Problem> {
    let Some(limit) = params.get("limit") else { return Ok(USUAL_LIMIT) };
    let limit = limit.parse().ok().filter(|limit| (1..=MAX_LIMIT).contains(limit));
    limit.ok_or_else(|| bad("A limit is a number from 1 to 10000."))
}

pub(super) fn router(admin: Admin) -> Router {
    Router::new()
        .route("/metrics", get(metrics))
        .route("/healthz", get(healthz))
        .route(STATUS, get(status::status))
        .route("/rooms", get(rooms::list))
        .route(USAGE, get(usage::usage))
        .route("/timelines", get(timelines::list))
        .route("/timelines/{room}", get(timelines::of_room))
        .with_state(Arc::new(admin))
}

async fn metrics(State(admin): State<Arc<Admin>>, headers: HeaderMap) -> Response {
    let exposition = accept::exposition(&headers);
    let headers = [
        (header::CONTENT_TYPE, exposition.media_type()),
        (header::CACHE_CONTROL, "no-store"),
        (header::VARY, "Accept"),
    ];
    (headers, admin.metrics.render(exposition)).into_response()
}

/// 200 `ok`, or 503 and one line for each part that is down, for each address that the machine
/// lacks, for a missing certificate, and one while it waits for calls to end before it stops.
async fn healthz(State(admin): State<Arc<Admin>>) -> Response {
    let down = admin.down().into_iter().map(|part| format!("down: {part}\n"));
    let draining = admin.phase.has_reached(Phase::Draining).then(|| "draining\n".to_owned());
    let degraded = admin.degraded().into_iter().map(|line| format!("degraded: {line}\n"));
    let trouble: String = down.chain(degraded).chain(draining).collect();
    let (status, text) = match trouble.is_empty() {
        true => (StatusCode::OK, "ok\n".to_owned()),
        false => (StatusCode::SERVICE_UNAVAILABLE, trouble),
    };
    (status, [(header::CACHE_CONTROL, "no-store")], text).into_response()
}
