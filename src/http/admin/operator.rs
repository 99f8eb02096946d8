//! Requests that an operator of this machine makes through a Unix socket.

use std::sync::Arc;

use axum::Router;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use serde::{Deserialize, Serialize};
use tokio::sync::{mpsc, oneshot};

use crate::live::Live;

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

pub(in crate::http) fn operator_router(requests: OperatorRequests) -> Router {
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
