//! HTTP: the call page, the ICE configuration, the opening of the signaling, and the operator's
//! pages.
//!
//! | path | answers |
//! |---|---|
//! | `/` and the files of `static/` | the call page (`assets`) |
//! | `/help` | `docs/when-calls-fail.md` as a page (`assets`) |
//! | `/check`, `GET /check/server` | the self-test page, and facts for it ([`check`]) |
//! | `GET`, `POST`, `OPTIONS /ice` | an `RTCConfiguration` with fresh credentials (`ice_servers`) |
//! | `/turn`, `/v1/turn/...`, `/_matrix/...` ... | the same in the shapes of others (`vendors`) |
//! | `POST /invite` | a join token, for a program or an operator ([`invitations`]) |
//! | `GET /invite` | the purpose of a token, for its bearer |
//! | `/rooms/{room}` | listing and removing members, for a program with an API key (`rooms`) |
//! | `GET /ws` | the signaling (`upgrade`), whose schema is at `/schema/byway.v1.json` |
//! | `/peerjs`, `/peerjs/id`, `/y-webrtc` | that of PeerJS and of y-webrtc (`adapters`) |
//! | `/.well-known/acme-challenge/...` | answers to an ACME authority ([`challenge_pages`]) |
//! | `/metrics`, `/healthz`, `/status`, `GET /rooms` | on the admin listener only ([`admin`]) |
//! | `GET /allocations`, `GET /usage` | on the admin listener only |
//! | `POST /reload`, `POST /signing`, `DELETE` of a member, an allocation | its Unix sockets only |
//!
//! Handlers name what they need as extractors: `caller` asks [`crate::access`] for permission,
//! `params` parses, `origin` checks origins, and `issue` makes the credentials. `cors` has the
//! layers of routes that hand out secrets. Queries may hold keys, and no URL is ever logged.
//!
//! A request for a host that is not the server's own is refused ([`own_hosts`]).
//!
//! Every error is a JSON problem object ([`problem`]), every response carries the headers of
//! `headers`, and every connection the limits of [`serve`].

mod accept;
mod adapters;
pub mod admin;
mod assets;
mod authorization;
mod caller;
pub mod challenge_pages;
pub mod check;
pub mod client_ip;
mod client_region;
mod cors;
mod counters;
mod frames;
mod headers;
mod ice_servers;
pub mod invitations;
mod issue;
pub mod limits;
mod metered_stream;
pub mod origin;
pub mod own_hosts;
mod params;
pub mod problem;
mod problem_pages;
mod regions;
mod remarks;
mod rooms;
pub mod serve;
mod state;
mod streams;
pub mod target;
mod upgrade;
mod vendors;

use std::collections::BTreeSet;
use std::sync::Arc;

use axum::Router;
use axum::middleware::{from_fn, from_fn_with_state, map_response_with_state};
use axum::response::Response;
use axum::routing::{delete, get, post};
use byway_turn::auth::TooManyRevoked;
use byway_turn::prng::Prng;

use self::challenge_pages::ChallengePages;
use self::check::PeerRules;
use self::cors::for_programs;
use self::origin::Origins;
use self::own_hosts::OwnHosts;
use self::problem::{Code, Problem};
use crate::access::Access;
use crate::clock::Clock;
use crate::ice::IceServers;
use crate::live::Live;
use crate::signaling::peerjs::PeerJs;
use crate::signaling::y_webrtc::Topics;
use crate::signaling::{Hub, schema};

pub use counters::HttpCounters;
pub use regions::ListRegions;

/// Revokes a name until a time in seconds since 1970, and ends its allocations; on every node of a
/// cluster. The composition root knows how.
pub type EndName = Box<dyn Fn(&str, u64) -> Result<(), TooManyRevoked> + Send + Sync>;

/// Parts that the public pages are made from.
pub struct Site {
    /// The time of credentials.
    pub clock: Clock,
    /// ICE servers for browsers.
    pub ice: Arc<IceServers>,
    /// Names for anonymous credentials.
    pub random: Arc<Prng>,
    /// The rooms.
    pub hub: Arc<Hub>,
    /// Clients of PeerJS.
    pub peerjs: Arc<PeerJs>,
    /// Topics of y-webrtc.
    pub topics: Arc<Topics>,
    /// Hosts that requests may be for.
    pub hosts: Arc<OwnHosts>,
    /// Origins of pages that may use this server.
    pub origins: Live<Origins>,
    /// Gatekeeper of credentials, rooms and invitations.
    pub access: Live<Access>,
    /// Called for each name whose credential is revoked.
    pub end_name: EndName,
    /// Lists the regions that a page may measure.
    pub regions: ListRegions,
    /// Names of static users, which can be revoked too.
    pub static_users: Live<BTreeSet<String>>,
    /// URL of the call page under the certificate's name. Without one, it is where a request asked
    /// for it.
    pub page: Live<Option<String>>,
    /// Addresses that the relay sends to.
    pub peers: PeerRules,
    /// Pages for an ACME authority.
    pub challenges: ChallengePages,
    /// Counts of requests and connections.
    pub counters: Arc<HttpCounters>,
}

/// Everything that the public listeners serve.
pub fn public_router(site: Site) -> Router {
    let site = Arc::new(site);
    let (counters, hosts, access) = (site.counters.clone(), site.hosts.clone(), site.access.clone());
    let dynamic = Router::new()
        .route("/ice", ice_servers::methods(&site))
        .route("/invite", for_programs(post(invitations::invite).get(invitations::purpose)))
        .route("/rooms/{room}", for_programs(get(rooms::members)))
        .route("/rooms/{room}/members/{id}", for_programs(delete(rooms::remove)))
        .route("/check/server", for_programs(get(check::facts)))
        .route("/regions", cors::for_pages(&site, get(regions::list)))
        .route("/ws", get(upgrade::open))
        .route(schema::PATH, get(upgrade::schema))
        .route("/problems/{code}", get(problem_pages::page))
        .route(challenge_pages::PATH, get(challenge_pages::answer))
        .merge(vendors::router(&site))
        .merge(adapters::router(&site))
        .with_state(site);
    finish(dynamic.merge(assets::router(access)), hosts, counters)
}

/// Everything that the admin listeners serve.
pub fn admin_router(admin: admin::Admin) -> Router {
    let (counters, hosts) = (admin.counters.clone(), admin.hosts.clone());
    let pages = admin::router(admin.clone()).merge(admin::allocations::router(admin));
    finish(pages.fallback(nothing), hosts, counters)
}

/// Everything that the Unix sockets of the admin listener serve.
pub fn operator_router(admin: admin::Admin, requests: admin::OperatorRequests) -> Router {
    let (counters, hosts) = (admin.counters.clone(), admin.hosts.clone());
    let pages = admin::router(admin.clone())
        .merge(admin::operator_router(requests))
        .merge(admin::rooms::operator_router(admin.clone()))
        .merge(admin::allocations::operator_router(admin));
    finish(pages.fallback(nothing), hosts, counters)
}

/// Answer where no route is.
async fn nothing() -> Problem {
    Problem::from(Code::NotFound)
}

/// Layers of all routes: the check of hosts, errors as problems, the headers, the count.
fn finish(router: Router, hosts: Arc<OwnHosts>, counters: Arc<HttpCounters>) -> Router {
    let count = async |counters: axum::extract::State<Arc<HttpCounters>>, response: Response| {
        counters.responded(response.status().as_u16());
        response
    };
    router
        .method_not_allowed_fallback(async || Problem::from(Code::MethodNotAllowed))
        .layer(from_fn_with_state(hosts, own_hosts::check))
        .layer(from_fn(problem_pages::below_prefix))
        .layer(axum::middleware::map_response(headers::secure))
        .layer(map_response_with_state(counters, count))
}
