//! `GET /ws`: who may open a signaling connection.

use std::sync::{Arc, LazyLock};

use axum::Extension;
use axum::extract::State;
use axum::extract::ws::WebSocketUpgrade;
use axum::extract::ws::rejection::WebSocketUpgradeRejection;
use axum::http::{HeaderMap, header};
use axum::response::{IntoResponse, Response};

use super::client_ip::ClientIp;
use super::target::Target;
use super::{Code, Problem, Site};
use crate::net::connection_limit::ConnectionPermit;
use crate::net::memory_budget::Reservation;
use crate::signaling::protocol::SUBPROTOCOL;
use crate::signaling::schema;
use crate::signaling::session::{self, Visitor};

/// A connection's part of what all share.
#[derive(Clone, Debug)]
pub(super) struct Held {
    /// The permit among the connections, which an upgrade holds as long as the WebSocket lives.
    pub(super) permit: Arc<ConnectionPermit>,
    /// The memory of a stranger, which it holds until it has a seat.
    pub(super) memory: Arc<Reservation>,
}

/// Turns a request into a signaling connection.
pub(super) async fn open(
    State(site): State<Arc<Site>>,
    headers: HeaderMap,
    Extension(ClientIp(address)): Extension<ClientIp>,
    Extension(target): Extension<Target>,
    Extension(Held { permit, memory }): Extension<Held>,
    upgrade: Result<WebSocketUpgrade, WebSocketUpgradeRejection>,
) -> Response {
    if let Err(problem) = site.origins.check(&target, &headers) {
        return problem.into_response();
    }
    let upgrade = match websocket(upgrade) {
        Ok(upgrade) => upgrade,
        Err(problem) => return problem.into_response(),
    };
    let upgrade = upgrade.protocols([SUBPROTOCOL]);
    // A client that names no subprotocol takes what it gets. One that names others would fail the connection itself
    // (RFC 6455 section 4.1), with less to say about why.
    if upgrade.selected_protocol().is_none() && upgrade.requested_protocols().next().is_some() {
        return Problem::from(Code::UnknownSubprotocol).into_response();
    }
    let (hub, visitor) = (site.hub.clone(), Visitor { address, host: Some(target.authority.host) });
    hub.connections().limit(upgrade).on_upgrade(move |socket| {
        let session = session::run(socket, hub, visitor, memory);
        async move {
            session.await;
            // As long as the WebSocket lives, it takes its permit among the connections.
            drop(permit);
        }
    })
}

/// The request as one for a WebSocket.
pub(super) fn websocket(
    upgrade: Result<WebSocketUpgrade, WebSocketUpgradeRejection>,
) -> Result<WebSocketUpgrade, Problem> {
    upgrade.map_err(|_| Code::WebSocketRequired.into())
}

/// The schema of what is spoken then, for pages of any origin: it holds no secret.
pub(super) async fn schema() -> Response {
    static SCHEMA: LazyLock<String> = LazyLock::new(|| schema::schema().to_string());
    let headers = [
        (header::CONTENT_TYPE, "application/schema+json"),
        (header::CACHE_CONTROL, "no-cache"),
        (header::ACCESS_CONTROL_ALLOW_ORIGIN, "*"),
    ];
    (headers, SCHEMA.as_str()).into_response()
}
