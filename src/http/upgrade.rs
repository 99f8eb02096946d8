//! `GET /ws`: the opening of a signaling connection, and its schema.

use std::sync::{Arc, LazyLock};

use axum::Extension;
use axum::extract::ws::WebSocketUpgrade;
use axum::extract::{FromRequestParts, State};
use axum::http::header;
use axum::http::request::Parts;
use axum::response::{IntoResponse, Response};

use super::client_ip::ClientIp;
use super::client_region::ClientRegion;
use super::origin::Asker;
use super::target::Target;
use super::{Code, Problem, Site};
use crate::net::connection_limit::ConnectionPermit;
use crate::net::memory_budget::Reservation;
use crate::signaling::protocol::SUBPROTOCOL;
use crate::signaling::{Visitor, schema, session};

/// Permit and memory of a connection, out of those that all share.
#[derive(Clone, Debug)]
pub(super) struct ConnectionShare {
    /// The permit among the connections, which an upgrade holds as long as the WebSocket lives.
    pub(super) permit: Arc<ConnectionPermit>,
    /// Reservation for an unauthenticated client, held until it is in a room.
    pub(super) memory: Arc<Reservation>,
}

/// Request for a WebSocket, within the limits of the signaling.
pub(super) struct Upgrade(pub(super) WebSocketUpgrade);

impl FromRequestParts<Arc<Site>> for Upgrade {
    type Rejection = Problem;

    async fn from_request_parts(head: &mut Parts, site: &Arc<Site>) -> Result<Self, Problem> {
        let upgrade = WebSocketUpgrade::from_request_parts(head, site).await;
        let upgrade = upgrade.map_err(|_| Code::WebSocketRequired)?;
        Ok(Self(site.hub.connections().limit(upgrade)))
    }
}

/// Turns a request into a signaling connection.
pub(super) async fn open(
    State(site): State<Arc<Site>>,
    Extension(ClientIp(address)): Extension<ClientIp>,
    region: Option<Extension<ClientRegion>>,
    Extension(target): Extension<Target>,
    Extension(ConnectionShare { permit, memory }): Extension<ConnectionShare>,
    _: Asker,
    Upgrade(upgrade): Upgrade,
) -> Result<Response, Problem> {
    let upgrade = upgrade.protocols([SUBPROTOCOL]);
    // A client that names no subprotocol takes what it gets. One that names others would fail the
    // connection itself (RFC 6455 section 4.1), with less to say about why.
    if upgrade.selected_protocol().is_none() && upgrade.requested_protocols().next().is_some() {
        return Err(Code::UnknownSubprotocol.into());
    }
    let region = region.map(|Extension(ClientRegion(region))| region);
    let (hub, visitor) =
        (site.hub.clone(), Visitor { address, host: Some(target.authority.host), region, nearest: None });
    Ok(upgrade.on_upgrade(move |socket| {
        let session = session::run(socket, hub, visitor, memory);
        async move {
            session.await;
            // As long as the WebSocket lives, it takes its permit among the connections.
            drop(permit);
        }
    }))
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
