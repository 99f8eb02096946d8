//! `GET /regions`: servers by which a page measures the region that is nearest to it.

use std::sync::Arc;

use axum::extract::State;
use axum::response::IntoResponse;
use serde::Serialize;

use super::Site;
use crate::cluster::regions::RegionServer;

/// Returns the regions of the cluster that a page may measure; the composition root knows them.
pub type ListRegions = Box<dyn Fn() -> Vec<RegionServer> + Send + Sync>;

#[derive(Serialize)]
struct Regions {
    /// Empty if there are fewer than two.
    regions: Vec<RegionServer>,
}

/// Answers everyone: `/ice` has the same URLs, and none of them is a secret.
pub(super) async fn list(State(site): State<Arc<Site>>) -> impl IntoResponse {
    axum::Json(Regions { regions: (site.regions)() })
}
