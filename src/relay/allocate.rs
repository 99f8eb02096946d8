//! Allocate (RFC 8656 section 7).

use std::time::Duration;

use super::allocation::{Allocation, DEFAULT_LIFETIME, MAX_LIFETIME, MadeBy};
use super::meter::Meter;
use super::ports::PortRequest;
use super::request::{Outcome, Request};
use super::{Action, AllocationId, Answer, BindError, Effect, Reason, Relay};
use crate::clock::Now;
use crate::credentials::Username;
use crate::wire::{AddressFamily, ErrorCode, Reply, Response};

/// UDP, in REQUESTED-TRANSPORT.
const UDP: u8 = 17;

/// How many ports are tried where other programs have some of the range.
const MAX_TRIES: u8 = 8;

impl Relay {
    /// Begins an allocation. The numbers are the steps of section 7.2.
    pub(super) fn allocate(&mut self, request: &Request<'_, '_>) -> Outcome {
        let attributes = request.message.attributes();
        // 2. A 5-tuple has one allocation; a retransmission is answered as the request was.
        if let Some(allocation) = request.allocation.and_then(|id| self.table.get(id)) {
            if allocation.made_by.head != request.message.head() {
                return Err(ErrorCode::AllocationMismatch);
            }
            return Ok(Some(success(allocation)));
        }
        // 3.
        match attributes.requested_transport()? {
            None => return Err(ErrorCode::BadRequest),
            Some(UDP) => {}
            Some(_) => return Err(ErrorCode::UnsupportedTransportProtocol),
        }
        // 4. Relay sockets can send with DF: DONT-FRAGMENT must be well-formed, and has no other effect here.
        attributes.dont_fragment()?;
        // 5. to 8.
        let family = attributes.requested_address_family()?;
        let port = match (attributes.reservation_token()?, attributes.even_port()?) {
            (Some(_), Some(_)) => return Err(ErrorCode::BadRequest),
            (Some(_), None) if family.is_some() => return Err(ErrorCode::BadRequest),
            (Some(token), None) => PortRequest::Reserved(token),
            (None, Some(reserve)) => PortRequest::Even { reserve },
            (None, None) => PortRequest::Any,
        };
        let family = family
            .map_or(Ok(AddressFamily::V4), |family| family.ok_or(ErrorCode::AddressFamilyNotSupported))?;
        let lifetime = granted_lifetime(attributes.lifetime()?);

        // 9. The quota counts by name, so that a fresh expiry in front of it buys nothing.
        let username = &*request.client.username;
        let name = Username::parse(username).map_or("", |username| username.name);
        let client = request.five_tuple.client.ip();
        let taken = self.shared.take(request.now, family, port, name, client)?;

        let id = self.table.insert(Allocation {
            five_tuple: request.five_tuple,
            username: username.into(),
            key: request.client.key.clone(),
            relayed: taken.relayed,
            made_by: MadeBy {
                head: request.message.head(),
                lifetime,
                port,
                reserved: taken.reserved,
                tries: 1,
            },
            live: false,
            began: request.now.mono,
            expires: request.now.mono + lifetime,
            permissions: Vec::new(),
            channels: Vec::new(),
            bandwidth: self.shared.bandwidth(),
            icmp: Meter::default(),
        });
        self.effects.push_back(Effect::BindRelay { allocation: id, address: taken.bind });
        Ok(None)
    }

    /// Takes in how a bind went, and answers the Allocate request behind it.
    ///
    /// [`Reason::NoAllocation`] means that the allocation has ended meanwhile. Its [`Effect::CloseRelay`] came before this
    /// answer, so a driver that binds in the background closes the late socket by itself.
    pub fn relay_bound(
        &mut self,
        now: Now,
        id: AllocationId,
        bound: Result<(), BindError>,
        reply: &mut Reply,
    ) -> Action {
        let Some(allocation) = self.table.get_mut(id) else { return Action::Drop(Reason::NoAllocation) };
        let five_tuple = allocation.five_tuple;
        if bound.is_ok() {
            allocation.live = true;
            success(allocation).finish(Some(&allocation.key), reply);
            self.wheel.set(id.slot as usize, now.mono, allocation.expires);
            self.publish(id);
            return Action::Reply { five_tuple, answer: Answer::Success };
        }
        let made_by = allocation.made_by;
        let may_try_again = made_by.port == PortRequest::Any && made_by.tries < MAX_TRIES;
        if bound == Err(BindError::PortInUse)
            && may_try_again
            && let Some(taken) = self.shared.take_another(now, allocation)
        {
            allocation.relayed = taken.relayed;
            allocation.made_by.tries += 1;
            self.effects.push_back(Effect::BindRelay { allocation: id, address: taken.bind });
            return Action::Wait;
        }
        Response::error(made_by.head, ErrorCode::InsufficientCapacity).finish(Some(&allocation.key), reply);
        if bound == Err(BindError::Exhausted) {
            // No peer was ever told of the port. Left to rest, it would be missed when sockets can be had again, and
            // clients that try again and again meanwhile would use up all ports.
            if let Some(allocation) = self.take_down(id) {
                self.shared.give_back_unused(&allocation);
            }
        } else {
            self.end(now, id);
        }
        Action::Reply { five_tuple, answer: Answer::Error(ErrorCode::InsufficientCapacity) }
    }
}

/// The answer to the request that made `allocation`, the same however often it is asked.
fn success(allocation: &Allocation) -> Response {
    let made_by = allocation.made_by;
    let response = Response::success(made_by.head)
        .relayed_address(allocation.relayed)
        .lifetime(made_by.lifetime)
        .mapped_address(allocation.five_tuple.client);
    match made_by.reserved {
        Some(token) => response.reservation_token(token),
        None => response,
    }
}

/// What a client gets that asks for `requested` (section 7.2): at least the default, at most [`MAX_LIFETIME`].
pub(super) fn granted_lifetime(requested: Option<Duration>) -> Duration {
    requested.map_or(DEFAULT_LIFETIME, |requested| requested.clamp(DEFAULT_LIFETIME, MAX_LIFETIME))
}
