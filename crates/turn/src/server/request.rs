//! Steps that every request passes through (RFC 8489 section 6.3.1, RFC 8656 section 5).

use stun::attributes::AttrType;
use stun::message::{METHOD_ALLOCATE, METHOD_CHANNEL_BIND, METHOD_CREATE_PERMISSION, METHOD_REFRESH};

use super::allocation::Allocation;
use super::auth::{Client, Refusal, authenticate};
use super::challenge::ChallengeLevel;
use super::{Action, AllocationId, Answer, DropReason, FiveTuple, Relay};
use crate::time::Now;
use crate::wire::{AttributeError, ErrorCode, Message, Reply, Response};

/// Authenticated request.
pub(super) struct Request<'a, 'm> {
    pub(super) now: Now,
    pub(super) five_tuple: FiveTuple,
    pub(super) message: &'a Message<'m>,
    pub(super) client: Client<'m>,
    /// The living allocation of its 5-tuple.
    pub(super) allocation: Option<AllocationId>,
}

/// Answer of a method: a response, an error, or `None` for one that comes later.
pub(super) type Outcome = Result<Option<Response>, ErrorCode>;

/// Handler of one method.
type Method = fn(&mut Relay, &Request<'_, '_>) -> Outcome;

impl Relay {
    /// Authenticates a TURN request, checks what every method requires, and hands it to its method.
    pub(super) fn request(
        &mut self,
        now: Now,
        five_tuple: FiveTuple,
        message: &Message<'_>,
        reply: &mut Reply,
    ) -> Action {
        // RFC 8489 section 6.3: a method that is not spoken here is discarded.
        let Some(method) = method(message) else { return Action::Drop(DropReason::Unexpected) };
        // First, so that whatever is over is not there for the request, and is said to be: the
        // timer may be late.
        if let Some((id, _)) = self.table.find(&five_tuple) {
            self.prune(now, id);
        }
        let found = self.table.find(&five_tuple);
        let allocation = found.map(|(_, allocation)| allocation);
        let client = match authenticate(&self.shared, now, five_tuple.client, message, allocation) {
            Ok(client) => client,
            Err(refusal) => return self.refuse(now, five_tuple, message, refusal, reply),
        };
        // Its own request, repeated, is answered when the relay socket is bound.
        if allocation.is_some_and(|it| !it.live && it.made_by.head == message.head()) {
            return Action::Drop(DropReason::Pending);
        }
        let key = client.key.clone();
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
            // It was good when the request was authenticated: whoever asks is told what all others
            // are.
            Err(ErrorCode::Unauthenticated) => {
                return self.refuse(now, five_tuple, message, Refusal::WrongCredentials, reply);
            }
            Err(error) => (error_response(message, error), self.error_answer(message, error)),
        };
        response.finish(Some(&key), reply);
        Action::Reply { five_tuple, answer }
    }

    /// Returns the answer that an error response counts as.
    fn error_answer(&self, message: &Message<'_>, error: ErrorCode) -> Answer {
        let is_allocate = message.method() == METHOD_ALLOCATE;
        match error {
            ErrorCode::InsufficientCapacity if is_allocate && self.shared.is_draining() => Answer::Draining,
            ErrorCode::AddressFamilyNotSupported if is_allocate && self.shared.lacks_relay() => {
                Answer::AddressMissing
            }
            _ => Answer::Error(error),
        }
    }

    /// Refuses an unauthenticated request, within the rate limit of its address; nothing is stored.
    fn refuse(
        &self,
        now: Now,
        five_tuple: FiveTuple,
        message: &Message<'_>,
        refusal: Refusal,
        reply: &mut Reply,
    ) -> Action {
        if self.shared.unauthenticated.take(now.mono, five_tuple.client.ip()).is_err() {
            return Action::Drop(DropReason::StrangerBudget);
        }
        let error = refusal.error();
        let mut response = Response::error(message.head(), error);
        if refusal != Refusal::BadRequest {
            response = response.realm(&self.shared.realm);
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
    /// The allocation that this request is about.
    ///
    /// # Errors
    /// 437 where there is none (RFC 8656 sections 7.3, 10.2 and 12.2).
    pub(super) fn allocation(&self) -> Result<AllocationId, ErrorCode> {
        self.allocation.ok_or(ErrorCode::AllocationMismatch)
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

/// Checks what every method requires of an authenticated request.
///
/// RFC 8656 section 5: an allocation is used with the username that made it. To another one's
/// Allocate request it is but a 5-tuple in use (section 7.2, step 2): 437, at which clients try
/// another port. That happens where a port was closed and goes to somebody else. While its relay
/// socket is being bound, an allocation is not there to be used.
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

/// 420, with what is unknown.
pub(super) fn unknown_attributes(message: &Message<'_>, unknown: impl Iterator<Item = AttrType>) -> Response {
    Response::error(message.head(), ErrorCode::UnknownAttribute).unknown_attributes(unknown)
}

impl From<AttributeError> for ErrorCode {
    fn from(_: AttributeError) -> Self {
        Self::BadRequest
    }
}
