//! Membership in a room: the request for it, the state that a connection holds, and reasons to
//! refuse it.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use byway_turn::client_network::ClientNetwork;

use super::protocol::{ErrorCode, MemberId, ServerMessage, Text};
use crate::access::Refused;
use crate::access::names::Region;
use crate::access::tokens::TokenError;
use crate::ice::{ClientView, Host};

/// Client that has opened a connection.
#[derive(Clone, Debug)]
pub struct Visitor {
    /// The client's address, for limits by address.
    pub address: IpAddr,
    /// Host of this server, as the client named it.
    pub host: Option<Host>,
    /// Region of the client, as a trusted proxy tells it.
    pub region: Option<Region>,
    /// Region that the client has measured as the nearest.
    pub nearest: Option<Region>,
}

/// A membership, as its connection holds it.
#[derive(Clone, Debug)]
pub(super) struct Membership {
    pub(super) id: MemberId,
    /// The name in its credentials.
    pub(super) user: Arc<str>,
    /// Region that its token names. It is kept for a client that resumes, which shows no token.
    pub(super) region: Option<Region>,
}

/// Refusal of a message, and how long it lasts.
#[derive(Clone, Copy, Debug)]
pub(super) struct MessageRefusal {
    pub(super) code: ErrorCode,
    pub(super) wait: Option<Duration>,
}

impl MessageRefusal {
    /// The answer to the message.
    pub(super) fn text(self) -> Text {
        match self.wait {
            Some(wait) => ServerMessage::error_until(self.code, wait),
            None => ServerMessage::error(self.code),
        }
        .text()
    }
}

impl Visitor {
    /// The network that is charged for what the client holds.
    pub(super) fn network(&self) -> ClientNetwork {
        ClientNetwork::of(self.address)
    }

    /// The client of an ICE configuration for this membership. The token's region precedes the
    /// proxy's, and that the client's own.
    pub(super) fn view<'a>(&'a self, membership: &'a Membership) -> ClientView<'a> {
        let region = membership.region.as_ref().or(self.region.as_ref()).or(self.nearest.as_ref());
        ClientView { host: self.host.as_ref(), region }
    }
}

impl From<ErrorCode> for MessageRefusal {
    fn from(code: ErrorCode) -> Self {
        Self { code, wait: None }
    }
}

impl From<Refused> for MessageRefusal {
    fn from(refused: Refused) -> Self {
        let code = match refused {
            Refused::RateLimited(wait) => return Self { code: ErrorCode::RateLimited, wait: Some(wait) },
            Refused::TokenRequired => ErrorCode::TokenRequired,
            Refused::Token(TokenError::Bad) => ErrorCode::BadToken,
            Refused::Token(TokenError::Expired) => ErrorCode::TokenExpired,
            Refused::Token(TokenError::NotYetValid) => ErrorCode::TokenNotYetValid,
            Refused::Token(TokenError::TooFarAhead) => ErrorCode::TokenTooFarAhead,
            Refused::WrongRoom | Refused::Token(TokenError::NoRoom) => ErrorCode::WrongRoom,
            // No answers to a join: an API key opens no room, and a server that drains closes all
            // connections instead.
            Refused::ApiKeyRequired | Refused::BadApiKey | Refused::NoPlaceForToken | Refused::Draining => {
                ErrorCode::BadToken
            }
        };
        code.into()
    }
}
