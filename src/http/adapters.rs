//! The doors for pages that speak another protocol already: PeerJS and y-webrtc, as `docs/adapters.md` has it.
//!
//! Neither can show a join token but in its URL, which proxies log: where tokens are asked for, both are closed.

use std::fmt::Write as _;
use std::sync::Arc;

use axum::extract::ws::WebSocketUpgrade;
use axum::extract::ws::rejection::WebSocketUpgradeRejection;
use axum::extract::{RawQuery, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Extension, Router};

use super::ice_servers::shared;
use super::peer::Peer;
use super::upgrade::websocket;
use super::{Problem, Site};
use crate::admission::Place;
use crate::signaling::Refusal;
use crate::signaling::peerjs::{self, PeerJs};
use crate::signaling::protocol::ErrorCode;
use crate::signaling::topics::Topics;

struct Adapters {
    site: Arc<Site>,
    peerjs: Arc<PeerJs>,
    topics: Arc<Topics>,
}

/// The routes of both. PeerJS puts its key and its own name behind the `path` that a page gives it: "/" or "/peerjs".
pub(super) fn router(site: Arc<Site>) -> Router {
    let connections = site.hub.connections();
    let peerjs = Arc::new(PeerJs::new(connections.clone()));
    let topics = Arc::new(Topics::new(connections.clone()));
    Router::new()
        .route("/peerjs", get(open_peerjs))
        .route("/peerjs/id", get(id))
        .route("/peerjs/peers", get(peers))
        .route("/peerjs/peerjs", get(open_peerjs))
        .route("/peerjs/peerjs/id", get(id))
        .route("/peerjs/peerjs/peers", get(peers))
        .route("/y-webrtc", get(open_topics))
        .with_state(Arc::new(Adapters { site, peerjs, topics }))
}

impl Adapters {
    fn admit(&self, Peer(address): Peer) -> Result<(), Response> {
        const TOKENS: &str = "This server asks for join tokens, which this protocol could carry in its URL only; use \
                              byway.js, or another server for such pages.";
        self.site.hub.admit_without_token(address).map_err(|refusal| match refusal {
            Refusal { code: ErrorCode::RateLimited, wait } => {
                let detail =
                    "Too many joins from this address; Retry-After says when there is room for the next.";
                // Whole seconds (RFC 9110 section 10.2.3); none would be an invitation to come back at once.
                let seconds = wait.unwrap_or_default().as_millis().div_ceil(1000).max(1).to_string();
                let problem = Problem::new(StatusCode::TOO_MANY_REQUESTS, detail);
                ([(header::RETRY_AFTER, seconds)], problem).into_response()
            }
            _ => Problem::new(StatusCode::FORBIDDEN, TOKENS).into_response(),
        })
    }

    /// Whether whoever asks may open a WebSocket.
    fn upgrade(
        &self,
        headers: &HeaderMap,
        peer: Peer,
        upgrade: Result<WebSocketUpgrade, WebSocketUpgradeRejection>,
    ) -> Result<WebSocketUpgrade, Response> {
        self.site.origins.check(headers).map_err(Problem::into_response)?;
        let upgrade = websocket(upgrade)?;
        self.admit(peer)?;
        Ok(self.site.hub.connections().limit(upgrade))
    }
}

/// `GET .../id`: an id that nobody has, in the form of the original's: a random UUID (RFC 9562 section 5.4).
async fn id(
    State(adapters): State<Arc<Adapters>>,
    Extension(peer): Extension<Peer>,
    headers: HeaderMap,
) -> Response {
    let Adapters { site, .. } = &*adapters;
    shared(site.origins.check(&headers), || match adapters.admit(peer) {
        Ok(()) => uuid(site.random.bytes()).into_response(),
        Err(refused) => refused,
    })
}

/// `GET .../peers`: the list that `peerjs-server` does not give out either, unless it is told to.
async fn peers(State(adapters): State<Arc<Adapters>>, headers: HeaderMap) -> Response {
    shared(adapters.site.origins.check(&headers), || {
        Problem::new(StatusCode::UNAUTHORIZED, "This server tells nobody who is there.").into_response()
    })
}

async fn open_peerjs(
    State(adapters): State<Arc<Adapters>>,
    Extension(peer): Extension<Peer>,
    headers: HeaderMap,
    RawQuery(query): RawQuery,
    place: Option<Extension<Arc<Place>>>,
    upgrade: Result<WebSocketUpgrade, WebSocketUpgradeRejection>,
) -> Response {
    let upgrade = match adapters.upgrade(&headers, peer, upgrade) {
        Ok(upgrade) => upgrade,
        Err(refused) => return refused,
    };
    let query = query.unwrap_or_default();
    let field =
        |name| form_urlencoded::parse(query.as_bytes()).find(|(key, _)| key == name).map(|(_, value)| value);
    let asked =
        peerjs::protocol::asked(field("key").as_deref(), field("id").as_deref(), field("token").as_deref());
    let peerjs = adapters.peerjs.clone();
    upgrade.on_upgrade(async move |socket| {
        // As long as the WebSocket lives, it takes its place among the connections.
        let _place = place;
        peerjs.run(socket, asked).await;
    })
}

async fn open_topics(
    State(adapters): State<Arc<Adapters>>,
    Extension(peer): Extension<Peer>,
    headers: HeaderMap,
    place: Option<Extension<Arc<Place>>>,
    upgrade: Result<WebSocketUpgrade, WebSocketUpgradeRejection>,
) -> Response {
    let upgrade = match adapters.upgrade(&headers, peer, upgrade) {
        Ok(upgrade) => upgrade,
        Err(refused) => return refused,
    };
    let topics = adapters.topics.clone();
    upgrade.on_upgrade(async move |socket| {
        let _place = place;
        topics.run(socket).await;
    })
}

fn uuid(mut bytes: [u8; 16]) -> String {
    bytes[6] = bytes[6] & 0x0f | 0x40;
    bytes[8] = bytes[8] & 0x3f | 0x80;
    bytes.iter().enumerate().fold(String::with_capacity(36), |mut text, (at, byte)| {
        let dash = if matches!(at, 4 | 6 | 8 | 10) { "-" } else { "" };
        // Writing to a string cannot fail.
        let _ = write!(text, "{dash}{byte:02x}");
        text
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_is_a_random_uuid() {
        assert_eq!(uuid([0; 16]), "00000000-0000-4000-8000-000000000000");
        assert_eq!(uuid([0xff; 16]), "ffffffff-ffff-4fff-bfff-ffffffffffff");
    }
}
