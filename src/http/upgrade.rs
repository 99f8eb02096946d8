//! `GET /ws`: who may open a signaling connection.

use std::sync::Arc;

use axum::Extension;
use axum::extract::State;
use axum::extract::ws::WebSocketUpgrade;
use axum::extract::ws::rejection::WebSocketUpgradeRejection;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};

use super::origin::host;
use super::peer::Peer;
use super::{Problem, Site};
use crate::admission::Place;
use crate::ice::Host;
use crate::signaling::protocol::SUBPROTOCOL;
use crate::signaling::session::{self, Visitor};

/// Turns a request into a signaling connection.
pub(super) async fn open(
    State(site): State<Arc<Site>>,
    headers: HeaderMap,
    Extension(Peer(address)): Extension<Peer>,
    place: Option<Extension<Arc<Place>>>,
    upgrade: Result<WebSocketUpgrade, WebSocketUpgradeRejection>,
) -> Response {
    if let Err(problem) = site.origins.check(&headers) {
        return problem.into_response();
    }
    let upgrade = match websocket(upgrade) {
        Ok(upgrade) => upgrade,
        Err(refused) => return refused,
    };
    let upgrade = upgrade.protocols([SUBPROTOCOL]);
    // A client that names no subprotocol takes what it gets. One that names others would fail the connection itself
    // (RFC 6455 section 4.1), with less to say about why.
    if upgrade.selected_protocol().is_none() && upgrade.requested_protocols().next().is_some() {
        let detail = "This server speaks the subprotocol byway.v1 only.";
        return Problem::new(StatusCode::BAD_REQUEST, detail).into_response();
    }
    let (hub, visitor) = (site.hub.clone(), Visitor { address, host: host(&headers).and_then(Host::parse) });
    hub.connections().limit(upgrade).on_upgrade(async move |socket| {
        // As long as the WebSocket lives, it takes its place among the connections.
        let _place = place;
        session::run(socket, hub, visitor).await;
    })
}

/// The request as one for a WebSocket.
pub(super) fn websocket(
    upgrade: Result<WebSocketUpgrade, WebSocketUpgradeRejection>,
) -> Result<WebSocketUpgrade, Response> {
    upgrade.map_err(|_| {
        // RFC 9110 section 15.5.22 wants the server to name the protocol.
        let detail = "This path speaks WebSocket (RFC 6455, version 13).";
        let upgrade_to =
            [("connection", "upgrade"), ("upgrade", "websocket"), ("sec-websocket-version", "13")];
        (upgrade_to, Problem::new(StatusCode::UPGRADE_REQUIRED, detail)).into_response()
    })
}
