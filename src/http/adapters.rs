//! The doors for pages that speak another protocol already: PeerJS and y-webrtc, as `docs/adapters.md` has it.

use std::fmt::Write as _;
use std::sync::Arc;

use axum::extract::ws::WebSocketUpgrade;
use axum::extract::ws::rejection::WebSocketUpgradeRejection;
use axum::extract::{Request, State};
use axum::http::request::Parts;
use axum::response::Response;
use axum::routing::get;
use axum::{Extension, Router};

use super::client_ip::ClientIp;
use super::target::Target;
use super::upgrade::{Held, websocket};
use super::{Code, Problem, Site};
use crate::signaling::Connections;
use crate::signaling::peerjs::{self, PeerJs};
use crate::signaling::y_webrtc::Topics;

/// The routes of both. PeerJS puts its key and its own name behind the `path` that a page gives it: "/" or "/peerjs".
pub(super) fn router(connections: &Arc<Connections>) -> Router<Arc<Site>> {
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
        .layer(Extension(peerjs))
        .layer(Extension(topics))
}

/// `GET .../id`: an id that nobody has, in the form of the original's: a random UUID (RFC 9562 section 5.4).
async fn id(State(site): State<Arc<Site>>, request: Request) -> Response {
    let (head, _) = request.into_parts();
    site.for_pages(&head, async || {
        site.access.without_token(site.clock.now(), &head)?;
        Ok(uuid(site.random.bytes()))
    })
    .await
}

/// `GET .../peers`: the list that `peerjs-server` does not give out either, unless it is told to.
async fn peers(State(site): State<Arc<Site>>, request: Request) -> Response {
    let (head, _) = request.into_parts();
    site.for_pages(&head, async || Err::<(), _>(Code::NoPeerList.into())).await
}

async fn open_peerjs(
    State(site): State<Arc<Site>>,
    Extension(peerjs): Extension<Arc<PeerJs>>,
    Extension(ClientIp(client)): Extension<ClientIp>,
    head: Parts,
    Extension(Held { permit, memory }): Extension<Held>,
    upgrade: Result<WebSocketUpgrade, WebSocketUpgradeRejection>,
) -> Result<Response, Problem> {
    let upgrade = site.upgrade(&head, upgrade)?;
    let query = head.uri.query().unwrap_or_default().as_bytes();
    let field = |name| form_urlencoded::parse(query).find(|(key, _)| key == name).map(|(_, value)| value);
    let asked =
        peerjs::protocol::asked(field("key").as_deref(), field("id").as_deref(), field("token").as_deref());
    Ok(upgrade.on_upgrade(async move |socket| {
        let _place = permit;
        peerjs.run(socket, client, asked, memory).await;
    }))
}

async fn open_topics(
    State(site): State<Arc<Site>>,
    Extension(topics): Extension<Arc<Topics>>,
    Extension(ClientIp(client)): Extension<ClientIp>,
    head: Parts,
    Extension(Held { permit, memory }): Extension<Held>,
    upgrade: Result<WebSocketUpgrade, WebSocketUpgradeRejection>,
) -> Result<Response, Problem> {
    let upgrade = site.upgrade(&head, upgrade)?;
    Ok(upgrade.on_upgrade(async move |socket| {
        let _place = permit;
        topics.run(socket, client, memory).await;
    }))
}

impl Site {
    /// The request as one for a WebSocket, of somebody who may open it.
    fn upgrade(
        &self,
        head: &Parts,
        upgrade: Result<WebSocketUpgrade, WebSocketUpgradeRejection>,
    ) -> Result<WebSocketUpgrade, Problem> {
        self.origins.check(Target::in_head(head)?, &head.headers)?;
        let upgrade = websocket(upgrade)?;
        self.access.without_token(self.clock.now(), head)?;
        Ok(self.hub.connections().limit(upgrade))
    }
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
