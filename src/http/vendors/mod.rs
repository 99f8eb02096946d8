//! Credentials in the shapes that other services' clients know. `docs/ice.md` describes each, and
//! `tests/server/ice/golden` has an answer of each on file.

pub(super) mod apprtc;
mod cloudflare;
pub(super) mod links;
mod matrix;
mod metered;
mod turn_rest;
mod twilio;

use std::sync::Arc;

use axum::Router;
use serde::Serialize;

use super::Site;
use crate::ice::{IceServer, Offer};

/// The routes of all of them.
pub(super) fn router(site: &Arc<Site>) -> Router<Arc<Site>> {
    Router::new()
        .merge(turn_rest::router(site))
        .merge(matrix::router(site))
        .merge(cloudflare::router())
        .merge(metered::router())
        .merge(twilio::router())
}

/// An entry with one URL, as the older services have them.
#[derive(Serialize)]
struct Single {
    urls: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    username: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    credential: Option<String>,
}

impl Single {
    /// An entry for each URL of an offer.
    fn all(offer: Offer) -> Vec<Self> {
        let of = |IceServer { urls, username, credential }: IceServer| {
            urls.into_iter().map(move |urls| Self {
                urls,
                username: username.clone(),
                credential: credential.clone(),
            })
        };
        Vec::<IceServer>::from(offer).into_iter().flat_map(of).collect()
    }
}
