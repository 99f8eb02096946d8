//! Allocate (RFC 8656 section 7).

use std::time::Duration;

use super::accounting::{EndCause, Record, RefusedRequest, UsageCounters};
use super::allocation::{Allocation, DEFAULT_LIFETIME, MAX_LIFETIME, MadeBy};
use super::ports::PortRequest;
use super::relayed::{ByFamily, Relayed, next_higher};
use super::request::{Outcome, Request};
use super::shared::{Families, Port};
use super::{Action, AllocationId, Answer, BindError, CapacityCause, DropReason, Effect, Relay, RelayId};
use crate::auth::account;
use crate::rate_limit::Gcra;
use crate::time::Now;
use crate::wire::{AddressFamily, Attributes, ErrorCode, Reply, Response};

/// UDP, in REQUESTED-TRANSPORT.
const UDP: u8 = 17;

/// Greatest number of ports to try if other programs use some of the range.
const MAX_TRIES: u8 = 8;

impl Relay {
    /// Begins an allocation. The numbers are the steps of RFC 8656 section 7.2.
    ///
    /// # Errors
    /// 400, 401, 437, 440, 442, 486 or 508.
    pub(super) fn allocate(&mut self, request: &Request<'_, '_>) -> Outcome {
        let attributes = request.message.attributes();
        // 2. A 5-tuple has one allocation. A retransmission gets the answer of its first copy.
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
        // 4. Relay sockets can send with DF: DONT-FRAGMENT must be well-formed, and has no other
        //    effect here.
        attributes.dont_fragment()?;
        // 5. to 9.
        let (families, port) = wanted(&attributes)?;
        let lifetime = granted_lifetime(attributes.lifetime()?);

        // 10. The quota counts by name, so a client gains nothing by changing the expiry in its
        // username.
        let username = &*request.client.username;
        let name = account(username);
        let client = request.five_tuple.client.ip();
        let taken = self.shared.take(request.now, families, port, &name, client)?;

        let now = request.now.mono;
        let relayed = |taken: &Port| Relayed {
            address: taken.relayed,
            bind: taken.bind.ip(),
            expires: now + lifetime,
            is_bound: false,
            tries: 1,
            with_next: port.reserves(),
        };
        let id = self.table.insert(Allocation {
            five_tuple: request.five_tuple,
            username: username.into(),
            key: request.client.key.clone(),
            relayed: ByFamily::new(|family| taken.ports.get(family).map(relayed)),
            made_by: MadeBy {
                head: request.message.head(),
                lifetime,
                port,
                reserved: None,
                lacking: taken.lacking,
            },
            live: false,
            began: now,
            permissions: Vec::new(),
            channels: Vec::new(),
            bandwidth: self.shared.rules().bandwidth(),
            icmp: Gcra::default(),
            usage: UsageCounters::default(),
        });
        for port in taken.ports.iter() {
            self.bind(id, port);
        }
        Ok(None)
    }

    fn bind(&mut self, id: AllocationId, port: &Port) {
        let relay = RelayId { allocation: id, family: AddressFamily::of(port.relayed.ip()) };
        let Port { bind, pairing, unrested, .. } = *port;
        self.effects.push_back(Effect::BindRelay { relay, address: bind, pairing, unrested });
    }

    /// Handles the result of binding a relay socket; with [`Pairing::WithNext`](super::Pairing), of
    /// both sockets. After the last result of an allocation, answers its Allocate request.
    ///
    /// [`DropReason::NoAllocation`] means that the allocation has ended meanwhile. Its
    /// [`Effect::CloseRelay`] came before this answer, so a driver that binds in the background
    /// must close the late socket itself.
    pub fn relay_bound(
        &mut self,
        now: Now,
        relay: RelayId,
        bound: Result<(), BindError>,
        reply: &mut Reply,
    ) -> Action {
        let Some(allocation) = self.table.get_mut(relay.allocation) else {
            return Action::Drop(DropReason::NoAllocation);
        };
        let (asked, client) = (allocation.made_by.port, allocation.five_tuple.client.ip());
        let Some(relayed) = allocation.relayed.get_mut(relay.family) else {
            return Action::Drop(DropReason::NoAllocation);
        };
        let Err(error) = bound else {
            relayed.is_bound = true;
            if std::mem::take(&mut relayed.with_next) {
                let next = next_higher(relayed.address);
                self.reserve(now, relay.allocation, next);
            }
            return self.answer_allocate(now, relay.allocation, reply);
        };
        if error == BindError::PortInUse
            && relayed.tries < MAX_TRIES
            && let Some(port) = self.shared.take_another(now, relayed, asked)
        {
            relayed.address = port.relayed;
            relayed.bind = port.bind.ip();
            relayed.tries += 1;
            self.bind(relay.allocation, &port);
            return Action::Wait;
        }
        let mut code = match error {
            BindError::PortInUse | BindError::Exhausted => ErrorCode::InsufficientCapacity,
            BindError::AddressGone => ErrorCode::AddressFamilyNotSupported,
        };
        // A dual allocation does without this family if the other one is available. Otherwise
        // report the error that can pass: 508 before 440.
        if let Some((_, before @ ErrorCode::InsufficientCapacity)) =
            allocation.made_by.lacking.replace((relay.family, code))
        {
            code = before;
        }
        let (five_tuple, head, key) =
            (allocation.five_tuple, allocation.made_by.head, allocation.key.clone());
        let username = allocation.username.clone();
        match error {
            BindError::PortInUse => self.end(now, relay, EndCause::Server),
            // No peer was ever told of the port, so it need not rest. If it rested, it would be
            // missing once sockets can be opened again. Clients that retry meanwhile would use up
            // all ports.
            BindError::Exhausted | BindError::AddressGone => {
                if let Some(relayed) = self.take_down(relay, EndCause::Server) {
                    let give_back = |address| self.shared.give_port_back_unused(address, client);
                    relayed.addresses().for_each(give_back);
                }
            }
        }
        if self.table.get(relay.allocation).is_some() {
            return self.answer_allocate(now, relay.allocation, reply);
        }
        let name = account(&username).into();
        let refused = RefusedRequest { name, five_tuple, method: "Allocate", error: code, peer: None };
        self.note_refusal(now, &username, refused);
        Response::error(head, code).finish(Some(&key), reply);
        let answer = match (code, error) {
            (ErrorCode::AddressFamilyNotSupported, _) => Answer::AddressMissing,
            (_, BindError::PortInUse) => Answer::NoCapacity(CapacityCause::PortsInUse),
            (_, BindError::Exhausted | BindError::AddressGone) => Answer::NoCapacity(CapacityCause::Sockets),
        };
        Action::Reply { five_tuple, answer }
    }

    /// Answers the Allocate request of an allocation, unless one of its sockets is still being
    /// bound.
    fn answer_allocate(&mut self, now: Now, id: AllocationId, reply: &mut Reply) -> Action {
        let Some(allocation) = self.table.get_mut(id) else { return Action::Drop(DropReason::NoAllocation) };
        if allocation.relayed.iter().any(|relayed| !relayed.is_bound) {
            return Action::Wait;
        }
        allocation.live = true;
        let five_tuple = allocation.five_tuple;
        success(allocation).finish(Some(&allocation.key), reply);
        self.prune(now, id);
        self.publish(id);
        self.record(|| Record::Began { allocation: id });
        Action::Reply { five_tuple, answer: Answer::Success }
    }
}

/// Returns the address families and port that a request asks for. These are the parts of steps 5 to
/// 9 of section 7.2 that depend on the request alone.
///
/// # Errors
/// 400 or 440.
fn wanted(attributes: &Attributes<'_>) -> Result<(Families, PortRequest), ErrorCode> {
    let requested = attributes.requested_address_family()?;
    let additional = attributes.additional_address_family()?;
    let port = match (attributes.reservation_token()?, attributes.even_port()?) {
        (Some(_), Some(_)) => return Err(ErrorCode::BadRequest),
        (Some(_), None) if requested.or(additional).is_some() => return Err(ErrorCode::BadRequest),
        (Some(token), None) => PortRequest::Reserved(token),
        (None, Some(true)) if additional.is_some() => return Err(ErrorCode::BadRequest),
        (None, Some(reserve)) => PortRequest::Even { reserve },
        (None, None) => PortRequest::Any,
    };
    let families = match (requested, additional) {
        (None, None) => Families::One(AddressFamily::V4),
        (Some(family), None) => Families::One(family.ok_or(ErrorCode::AddressFamilyNotSupported)?),
        // Section 18.11: IPv6 is the only additional family.
        (None, Some(Some(AddressFamily::V6))) => Families::Both,
        (None, Some(_)) | (Some(_), Some(_)) => return Err(ErrorCode::BadRequest),
    };
    Ok((families, port))
}

/// Returns the answer to the Allocate request that made `allocation`. It stays the same, however
/// often the client retransmits, while all of the allocation lives.
fn success(allocation: &Allocation) -> Response {
    let made_by = allocation.made_by;
    let mut response = Response::success(made_by.head);
    for relayed in allocation.relayed.iter() {
        response = response.relayed_address(relayed.address);
    }
    response = response.lifetime(made_by.lifetime).mapped_address(allocation.five_tuple.client);
    if let Some(token) = made_by.reserved {
        response = response.reservation_token(token);
    }
    if let Some((family, error)) = made_by.lacking {
        response = response.address_error(family, error);
    }
    response
}

/// Returns the lifetime that is granted for `requested` (section 7.2): at least
/// [`DEFAULT_LIFETIME`], at most [`MAX_LIFETIME`].
pub(super) fn granted_lifetime(requested: Option<Duration>) -> Duration {
    requested.map_or(DEFAULT_LIFETIME, |requested| requested.clamp(DEFAULT_LIFETIME, MAX_LIFETIME))
}
