//! Routes for pages that speak another protocol already: PeerJS and y-webrtc, as `docs/adapters.md`
//! has it.

use std::fmt::Write as _;
use std::sync::Arc;

use axum::extract::{RawQuery, State};
use axum::response::Response;
use axum::routing::get;
use axum::{Extension, Router};

use super::caller::WithoutToken;
use super::client_ip::ClientIp;
use super::cors;
use super::origin::Asker;
use super::upgrade::{ConnectionShare, Upgrade};
use super::{Code, Problem, Site};
use crate::signaling::peerjs;

/// The routes of both. PeerJS puts its key and its own name behind the `path` that a page gives it:
/// "/" or "/peerjs".
pub(super) fn router(site: &Arc<Site>) -> Router<Arc<Site>> {
    let [id, peers] = [get(id), get(peers)].map(|methods| cors::for_pages(site, methods));
    Router::new()
        .route("/peerjs", get(open_peerjs))
        .route("/peerjs/id", id.clone())
        .route("/peerjs/peers", peers.clone())
        .route("/peerjs/peerjs", get(open_peerjs))
        .route("/peerjs/peerjs/id", id)
        .route("/peerjs/peerjs/peers", peers)
        .route("/y-webrtc", get(open_topics))
}

/// `GET .../id`: an unused id, a random UUID as in the original (RFC 9562 section 5.4).
async fn id(State(site): State<Arc<Site>>, _: WithoutToken) -> String {
    uuid(site.random.bytes())
}

/// `GET .../peers`: refused. `peerjs-server` returns this list only if configured to.
async fn peers() -> Problem {
    Code::NoPeerList.into()
}

async fn open_peerjs(
    State(site): State<Arc<Site>>,
    Extension(ClientIp(client)): Extension<ClientIp>,
    Extension(ConnectionShare { permit, memory }): Extension<ConnectionShare>,
    RawQuery(query): RawQuery,
    _: Asker,
    Upgrade(upgrade): Upgrade,
    _: WithoutToken,
) -> Response {
    let query = query.unwrap_or_default();
    let field =
        |name| form_urlencoded::parse(query.as_bytes()).find(|(key, _)| key == name).map(|(_, value)| value);
    let asked =
        peerjs::protocol::asked(field("key").as_deref(), field("id").as_deref(), field("token").as_deref());
    upgrade.on_upgrade(async move |socket| {
        let _place = permit;
        site.peerjs.run(socket, client, asked, memory).await;
    })
}

async fn open_topics(
    State(site): State<Arc<Site>>,
    Extension(ClientIp(client)): Extension<ClientIp>,
    Extension(ConnectionShare { permit, memory }): Extension<ConnectionShare>,
    _: Asker,
    Upgrade(upgrade): Upgrade,
    _: WithoutToken,
) -> Response {
    upgrade.on_upgrade(async move |socket| {
        let _place = permit;
        site.topics.run(socket, client, memory).await;
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
