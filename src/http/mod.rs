//! HTTP: the call page, the ICE configuration, the door to the signaling, and the operator's pages.
//!
//! | path | answers |
//! |---|---|
//! | `/` and the files of `static/` | the call page (`assets`) |
//! | `GET`, `POST /ice` | an `RTCConfiguration` with fresh credentials (`ice_servers`) |
//! | `GET /turn` | the same credentials in the REST draft's shape |
//! | `GET /ws` | the signaling (`upgrade`) |
//! | `/peerjs`, `/peerjs/id`, `/y-webrtc` | the same for pages that speak other protocols (`adapters`) |
//! | `/metrics`, `/healthz` | on the admin listener only ([`admin`]) |
//!
//! Every error is a JSON problem object ([`problem`]), every response carries the headers of `headers`, and every
//! connection the limits of [`serve`].

mod adapters;
pub mod admin;
mod assets;
mod headers;
mod ice_servers;
pub mod origin;
pub mod peer;
pub mod problem;
pub mod serve;
mod upgrade;

use std::sync::Arc;

use axum::Router;
use axum::http::StatusCode;
use axum::middleware::map_response_with_state;
use axum::response::Response;
use axum::routing::get;

use self::origin::Origins;
use self::problem::Problem;
use crate::clock::Clock;
use crate::ice::IceServers;
use crate::metrics::HttpCounters;
use crate::random::Random;
use crate::signaling::Hub;

/// What the public pages are made from.
#[derive(Debug)]
pub struct Site {
    /// The time of credentials.
    pub clock: Clock,
    /// What browsers are told.
    pub ice: Arc<IceServers>,
    /// Names for anonymous credentials.
    pub random: Arc<Random>,
    /// The rooms.
    pub hub: Arc<Hub>,
    /// Whose pages may use us.
    pub origins: Origins,
    /// What is counted.
    pub counters: Arc<HttpCounters>,
}

/// Everything that the public listeners serve.
pub fn public_router(site: Site) -> Router {
    let site = Arc::new(site);
    let counters = site.counters.clone();
    let dynamic = Router::new()
        .route("/ice", ice_servers::ice_methods())
        .route("/turn", ice_servers::turn_methods())
        .route("/ws", get(upgrade::open))
        .with_state(site.clone());
    finish(dynamic.merge(adapters::router(site)).merge(assets::router()), counters)
}

/// Everything that the admin listeners serve.
pub fn admin_router(admin: admin::Admin) -> Router {
    let counters = admin.metrics.http.clone();
    finish(admin::router(admin), counters)
}

/// What holds for all routes: errors as problems, the headers, the count.
fn finish(router: Router, counters: Arc<HttpCounters>) -> Router {
    let count = async |counters: axum::extract::State<Arc<HttpCounters>>, response: Response| {
        counters.responded(response.status().as_u16());
        response
    };
    router
        .fallback(async || Problem::new(StatusCode::NOT_FOUND, "There is nothing at this path."))
        .method_not_allowed_fallback(async || {
            Problem::new(StatusCode::METHOD_NOT_ALLOWED, "This path does not take this method.")
        })
        .layer(axum::middleware::map_response(headers::secure))
        .layer(map_response_with_state(counters, count))
}
