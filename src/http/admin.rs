//! `/metrics` and `/healthz`, for the operator; over a Unix socket also requests to the server.

use std::fmt;
use std::sync::Arc;

use axum::Router;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use serde::{Deserialize, Serialize};
use tokio::sync::{mpsc, oneshot, watch};

use super::HttpCounters;
use super::accept;
use super::own_hosts::OwnHosts;
use crate::live::Live;
use crate::metrics::Metrics;
use crate::phase::{Phase, PhaseWatch};

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
#[derive(Clone, Debug)]
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
}

pub(super) fn router(admin: Admin) -> Router {
    Router::new().route("/metrics", get(metrics)).route("/healthz", get(healthz)).with_state(Arc::new(admin))
}

/// Path of the request to read the configuration again.
pub const RELOAD: &str = "/reload";

/// Path of the question whether the server knows the secret behind a tag.
pub const SIGNING: &str = "/signing";

/// Outcome of a reload.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReloadReport {
    /// The configuration file, if there is one.
    pub file: Option<String>,
    /// Reason why the file was refused. Nothing has changed then.
    pub error: Option<String>,
    /// Keys that changed and are in force now.
    pub changed: Vec<String>,
    /// Keys that differ from those at the start and need a restart.
    pub restart: Vec<NeedsRestart>,
    /// Lines about what of the file could not be applied.
    pub troubles: Vec<String>,
}

/// Key that needs a restart.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NeedsRestart {
    /// Full name of the key.
    pub key: String,
    /// Reason.
    pub reason: String,
}

/// Tags of secrets: keyed hashes, from which nobody can compute a secret.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SigningTags {
    /// Of the secrets of credentials.
    pub credentials: Vec<String>,
    /// Of the secrets of join tokens.
    pub tokens: Vec<String>,
}

impl SigningTags {
    /// Whether all of these tags are among `known`.
    #[must_use]
    pub fn are_among(&self, known: &Self) -> bool {
        let within = |some: &[String], all: &[String]| some.iter().all(|tag| all.contains(tag));
        within(&self.credentials, &known.credentials) && within(&self.tokens, &known.tokens)
    }
}

/// Answer to a question about tags.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SigningAnswer {
    /// Whether the running server knows every secret of the question.
    pub known: bool,
}

/// Sends requests for a reload, each with the place for its outcome.
pub type ReloadSender = mpsc::Sender<oneshot::Sender<ReloadReport>>;

/// Requests that only an operator of this machine may make.
#[derive(Clone, Debug)]
pub struct OperatorRequests {
    /// Requests for a reload.
    pub reload: ReloadSender,
    /// Tags of the secrets that the server knows.
    pub tags: Live<SigningTags>,
}

pub(super) fn operator_router(requests: OperatorRequests) -> Router {
    Router::new().route(RELOAD, post(reload)).route(SIGNING, post(signing)).with_state(Arc::new(requests))
}

/// Reads the configuration again. 422 if it is refused.
async fn reload(State(requests): State<Arc<OperatorRequests>>) -> Response {
    let (sender, report) = oneshot::channel();
    // If nobody takes the request, the sender is dropped with it, and so there is no report.
    let _ = requests.reload.send(sender).await;
    match report.await {
        Ok(report) => {
            let status =
                if report.error.is_none() { StatusCode::OK } else { StatusCode::UNPROCESSABLE_ENTITY };
            (status, axum::Json(report)).into_response()
        }
        Err(_) => StatusCode::SERVICE_UNAVAILABLE.into_response(),
    }
}

async fn signing(
    State(requests): State<Arc<OperatorRequests>>,
    axum::Json(asked): axum::Json<SigningTags>,
) -> axum::Json<SigningAnswer> {
    axum::Json(SigningAnswer { known: asked.are_among(&requests.tags.load()) })
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
    let down = (admin.health.0)().into_iter().map(|part| format!("down: {part}\n"));
    let draining = admin.phase.has_reached(Phase::Draining).then(|| "draining\n".to_owned());
    let told = admin.degraded.iter().map(|lines| lines.borrow().clone());
    let degraded: Vec<String> = told.flatten().map(|line| format!("degraded: {line}\n")).collect();
    let trouble: String = down.chain(degraded).chain(draining).collect();
    let (status, text) = match trouble.is_empty() {
        true => (StatusCode::OK, "ok\n".to_owned()),
        false => (StatusCode::SERVICE_UNAVAILABLE, trouble),
    };
    (status, [(header::CACHE_CONTROL, "no-store")], text).into_response()
}
