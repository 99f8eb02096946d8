//! Binding (RFC 8489 section 6.3.1), with the additions of NAT behaviour discovery (RFC 5780
//! section 6.1).

use stun::attributes::ATTR_CHANGE_REQUEST;

use super::request::unknown_attributes;
use super::{Action, Answer, DropReason, FiveTuple, Relay, Transport};
use crate::time::Now;
use crate::wire::{
    ChangeRequest, ErrorCode, Message, Reply, Response, write_binding_response, write_discovery_response,
};

impl Relay {
    /// Answers a Binding request. It needs no credentials; the rate limit of the client's address
    /// applies.
    pub(super) fn binding(
        &mut self,
        now: Now,
        five_tuple: FiveTuple,
        message: &Message<'_>,
        reply: &mut Reply,
    ) -> Action {
        if self.rules.load().unauthenticated.take(now.mono, five_tuple.client.ip()).is_err() {
            return Action::Drop(DropReason::StrangerBudget);
        }
        let view = self.delivery.view.load();
        let corner = match five_tuple.transport {
            Transport::Udp(listener) => view.discovery.at(listener),
            Transport::Stream(_) => None,
        };
        // RFC 5780 section 6: CHANGE-REQUEST is unknown without another address and another port.
        let is_known = |kind| corner.is_some() && kind == ATTR_CHANGE_REQUEST;
        let unknown = || message.attributes().unknown_required().filter(|kind| !is_known(*kind));
        if unknown().next().is_some() {
            unknown_attributes(message, unknown()).finish(None, reply);
            return Action::Reply { five_tuple, answer: Answer::Error(ErrorCode::UnknownAttribute) };
        }
        let Some(corner) = corner else {
            write_binding_response(message.head(), five_tuple.client, reply);
            return Action::Reply { five_tuple, answer: Answer::Binding };
        };
        let Ok(change) = message.attributes().change_request() else {
            Response::error(message.head(), ErrorCode::BadRequest).finish(None, reply);
            return Action::Reply { five_tuple, answer: Answer::Error(ErrorCode::BadRequest) };
        };
        let ChangeRequest { ip, port } = change.unwrap_or_default();
        let (listener, origin) = corner.from(ip, port);
        write_discovery_response(message.head(), five_tuple.client, origin, corner.other(), reply);
        let five_tuple = FiveTuple { server: origin.ip(), transport: Transport::Udp(listener), ..five_tuple };
        Action::Reply { five_tuple, answer: Answer::Binding }
    }
}
