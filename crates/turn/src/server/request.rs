//! Steps that every request passes through (RFC 8489 section 6.3.1, RFC 8656 section 5).

use stun::attributes::AttrType;
use stun::message::{METHOD_ALLOCATE, METHOD_CHANNEL_BIND, METHOD_CREATE_PERMISSION, METHOD_REFRESH};

use super::accounting::RefusedRequest;
use super::allocation::Allocation;
use super::auth::{Client, Refusal, authenticate};
use super::challenge::ChallengeLevel;
use super::{Action, AllocationId, Answer, CapacityCause, DropReason, FiveTuple, Relay};
use crate::auth::account;
use crate::time::Now;
use crate::wire::{AttributeError, ErrorCode, Message, Reply, Response};

/// Authenticated request, as a method's handler gets it.
pub(super) struct Request<'a, 'm> {
    pub(super) now: Now,
    pub(super) five_tuple: FiveTuple,
    pub(super) message: &'a Message<'m>,
    pub(super) client: Client<'m>,
    /// Live allocation of its 5-tuple.
    pub(super) allocation: Option<AllocationId>,
}

/// Result of a method: a response, an error, or `None` for a response that comes later.
pub(super) type Outcome = Result<Option<Response>, ErrorCode>;

/// Handler of one method.
type Method = fn(&mut Relay, &Request<'_, '_>) -> Outcome;

impl Relay {
    /// Authenticates a TURN request, checks the common preconditions, and calls the handler of its
    /// method.
    pub(super) fn request(
        &mut self,
        now: Now,
        five_tuple: FiveTuple,
        message: &Message<'_>,
        reply: &mut Reply,
    ) -> Action {
        // RFC 8489 section 6.3: discard a request whose method is not supported.
        let Some(method) = method(message) else { return Action::Drop(DropReason::Unexpected) };
        // Done first, because the timer may be late: the request must not see expired state, and
        // the effects of its end come out.
        if let Some((id, _)) = self.table.find(&five_tuple) {
            self.prune(now, id);
        }
        let found = self.table.find(&five_tuple);
        let allocation = found.map(|(_, allocation)| allocation);
        let client = match authenticate(&self.shared, now, five_tuple.client, message, allocation) {
            Ok(client) => client,
            Err(refusal) => return self.refuse(now, five_tuple, message, refusal, reply),
        };
        // A retransmission of the same request is answered when the relay socket is bound.
        if allocation.is_some_and(|it| !it.live && it.made_by.head == message.head()) {
            return Action::Drop(DropReason::Pending);
        }
        let (key, username) = (client.key.clone(), client.username.clone());
        let outcome = match precondition(message, &client, allocation) {
            Ok(()) => {
                let allocation = found.map(|(id, _)| id);
                method(self, &Request { now, five_tuple, message, client, allocation })
            }
            Err(error) => Err(error),
        };
        let (response, answer) = match outcome {
            Ok(None) => return Action::Wait,
            Ok(Some(response)) => (response, Answer::Success),
            // The name was revoked after authentication: answer like any other wrong credential.
            Err(ErrorCode::Unauthenticated) => {
                return self.refuse(now, five_tuple, message, Refusal::WrongCredentials, reply);
            }
            Err(error) => {
                self.note_refusal(now, &username, refused(five_tuple, message, &username, error));
                (error_response(message, error), self.error_answer(message, error))
            }
        };
        response.finish(Some(&key), reply);
        Action::Reply { five_tuple, answer }
    }

    /// Returns the [`Answer`] that an error response is counted as.
    fn error_answer(&self, message: &Message<'_>, error: ErrorCode) -> Answer {
        let is_allocate = message.method() == METHOD_ALLOCATE;
        match error {
            ErrorCode::InsufficientCapacity => Answer::NoCapacity(self.capacity_cause(message)),
            ErrorCode::AddressFamilyNotSupported if is_allocate && self.shared.lacks_relay() => {
                Answer::AddressMissing
            }
            _ => Answer::Error(error),
        }
    }

    /// Returns the cause of a 508 to this request.
    fn capacity_cause(&self, message: &Message<'_>) -> CapacityCause {
        match message.method() {
            METHOD_CREATE_PERMISSION => CapacityCause::Permissions,
            METHOD_CHANNEL_BIND => CapacityCause::Channels,
            _ if self.shared.is_draining() => CapacityCause::Draining,
            _ if matches!(message.attributes().reservation_token(), Ok(Some(_))) => {
                CapacityCause::Reservation
            }
            _ => CapacityCause::Ports,
        }
    }

    /// Rejects an unauthenticated request, within the rate limit of its address. Stores nothing.
    fn refuse(
        &self,
        now: Now,
        five_tuple: FiveTuple,
        message: &Message<'_>,
        refusal: Refusal,
        reply: &mut Reply,
    ) -> Action {
        let rules = self.shared.rules();
        if rules.unauthenticated.take(now.mono, five_tuple.client.ip()).is_err() {
            return Action::Drop(DropReason::StrangerBudget);
        }
        let error = refusal.error();
        let mut response = Response::error(message.head(), error);
        if refusal != Refusal::BadRequest {
            response = response.realm(&rules.realm);
            let level = ChallengeLevel::within_means_of(five_tuple, message, response.size());
            response = response.nonce(self.shared.nonces.issue(now, five_tuple.client, level).as_bytes());
            if level == ChallengeLevel::PasswordAlgorithms {
                response = response.password_algorithms();
            }
        }
        response.finish(None, reply);
        let answer = match refusal {
            Refusal::NoCredentials | Refusal::StaleNonce => Answer::Challenge,
            Refusal::BadRequest | Refusal::WrongCredentials => Answer::Error(error),
        };
        Action::Reply { five_tuple, answer }
    }
}

impl Request<'_, '_> {
    /// Returns the allocation that this request is about.
    ///
    /// # Errors
    /// 437 if there is none (RFC 8656 sections 7.3, 10.2 and 12.2).
    pub(super) fn allocation(&self) -> Result<AllocationId, ErrorCode> {
        self.allocation.ok_or(ErrorCode::AllocationMismatch)
    }
}

/// Describes a refused request.
fn refused(five_tuple: FiveTuple, message: &Message<'_>, username: &str, error: ErrorCode) -> RefusedRequest {
    let peer = message.attributes().peer_addresses().find_map(Result::ok);
    RefusedRequest { name: account(username).into(), five_tuple, method: method_name(message), error, peer }
}

/// Returns the name of a message's method.
fn method_name(message: &Message<'_>) -> &'static str {
    match message.method() {
        METHOD_ALLOCATE => "Allocate",
        METHOD_REFRESH => "Refresh",
        METHOD_CREATE_PERMISSION => "CreatePermission",
        _ => "ChannelBind",
    }
}

/// Returns the handler of a message's method.
fn method(message: &Message<'_>) -> Option<Method> {
    match message.method() {
        METHOD_ALLOCATE => Some(Relay::allocate),
        METHOD_REFRESH => Some(Relay::refresh),
        METHOD_CREATE_PERMISSION => Some(Relay::create_permission),
        METHOD_CHANNEL_BIND => Some(Relay::channel_bind),
        _ => None,
    }
}

/// Checks the preconditions that every method has for an authenticated request.
///
/// RFC 8656 section 5: an allocation is used with the username that made it. An Allocate request
/// with another username only finds its 5-tuple in use (section 7.2, step 2). It gets 437, at which
/// clients try another port. That happens when a NAT gives a closed port to another client. An
/// allocation cannot be used while its relay socket is being bound.
///
/// # Errors
/// 441, 437 or 420.
fn precondition(
    message: &Message<'_>,
    client: &Client<'_>,
    allocation: Option<&Allocation>,
) -> Result<(), ErrorCode> {
    let is_others = allocation.is_some_and(|allocation| *allocation.username != *client.username);
    let is_pending = allocation.is_some_and(|allocation| !allocation.live);
    if is_others && message.method() != METHOD_ALLOCATE {
        Err(ErrorCode::WrongCredentials)
    } else if is_others || is_pending {
        Err(ErrorCode::AllocationMismatch)
    } else if message.attributes().unknown_required().next().is_some() {
        Err(ErrorCode::UnknownAttribute)
    } else {
        Ok(())
    }
}

fn error_response(message: &Message<'_>, error: ErrorCode) -> Response {
    match error {
        ErrorCode::UnknownAttribute => unknown_attributes(message, message.attributes().unknown_required()),
        _ => Response::error(message.head(), error),
    }
}

/// Returns 420 with the unknown attributes.
pub(super) fn unknown_attributes(message: &Message<'_>, unknown: impl Iterator<Item = AttrType>) -> Response {
    Response::error(message.head(), ErrorCode::UnknownAttribute).unknown_attributes(unknown)
}

impl From<AttributeError> for ErrorCode {
    fn from(_: AttributeError) -> Self {
        Self::BadRequest
    }
}
