//! Control responses, built with the `stun` and `turn` crates' setters. They are rare; HMAC
//! dominates their cost.

use std::net::SocketAddr;
use std::time::Duration;

use stun::attributes::{ATTR_FINGERPRINT, ATTR_NONCE, ATTR_PASSWORD_ALGORITHMS, ATTR_REALM, AttrType};
use stun::error_code::ErrorCodeAttribute;
use stun::message::{
    CLASS_ERROR_RESPONSE, CLASS_SUCCESS_RESPONSE, Message as Builder, MessageClass, MessageType, Setter,
};
use stun::uattrs::UnknownAttributes;
use stun::xoraddr::XorMappedAddress;
use turn::proto::lifetime::Lifetime;
use turn::proto::relayaddr::RelayedAddress;
use turn::proto::rsrvtoken::ReservationToken;

use super::attributes::{ATTR_ADDRESS_ERROR_CODE, AddressFamily, length_field};
use super::message::{FINGERPRINT, HEADER, fingerprint};
use super::{Head, IntegrityKey, PasswordAlgorithm};
use crate::closed_set;

/// Bytes of the longest reply: a challenge with the longest realm that a configuration may hold, or
/// an error that names unknown attributes, of which sixteen are named at most.
pub const REPLY_MAX: usize = 1024;

/// At most so many attributes are named in UNKNOWN-ATTRIBUTES: enough to debug with, and no
/// amplifier.
const UNKNOWN_MAX: usize = 16;

closed_set! {
    /// The error codes of RFC 8489 section 14.8 and RFC 8656 section 19 that this server answers
    /// with.
    pub enum ErrorCode {
        /// 400 Bad Request
        BadRequest = "400",
        /// 401 Unauthenticated
        Unauthenticated = "401",
        /// 403 Forbidden
        Forbidden = "403",
        /// 420 Unknown Attribute
        UnknownAttribute = "420",
        /// 437 Allocation Mismatch
        AllocationMismatch = "437",
        /// 438 Stale Nonce
        StaleNonce = "438",
        /// 440 Address Family not Supported
        AddressFamilyNotSupported = "440",
        /// 441 Wrong Credentials
        WrongCredentials = "441",
        /// 442 Unsupported Transport Protocol
        UnsupportedTransportProtocol = "442",
        /// 443 Peer Address Family Mismatch
        PeerAddressFamilyMismatch = "443",
        /// 486 Allocation Quota Reached
        AllocationQuotaReached = "486",
        /// 508 Insufficient Capacity
        InsufficientCapacity = "508",
    }
}

impl ErrorCode {
    /// The number.
    #[must_use]
    pub const fn code(self) -> u16 {
        match self {
            Self::BadRequest => 400,
            Self::Unauthenticated => 401,
            Self::Forbidden => 403,
            Self::UnknownAttribute => 420,
            Self::AllocationMismatch => 437,
            Self::StaleNonce => 438,
            Self::AddressFamilyNotSupported => 440,
            Self::WrongCredentials => 441,
            Self::UnsupportedTransportProtocol => 442,
            Self::PeerAddressFamilyMismatch => 443,
            Self::AllocationQuotaReached => 486,
            Self::InsufficientCapacity => 508,
        }
    }
}

/// A reply on its way out, in memory that the driver owns and uses again.
#[derive(Debug)]
pub struct Reply {
    bytes: [u8; REPLY_MAX],
    length: usize,
}

impl Reply {
    /// An empty reply.
    #[must_use]
    pub const fn new() -> Self {
        Self { bytes: [0; REPLY_MAX], length: 0 }
    }

    /// The message to send.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        self.bytes.get(..self.length).unwrap_or_default()
    }

    /// Puts a message in; one that is too long leaves the reply empty, which sends nothing.
    pub(super) fn set(&mut self, message: &[u8]) {
        self.length = 0;
        if let Some(room) = self.bytes.get_mut(..message.len()) {
            room.copy_from_slice(message);
            self.length = message.len();
        }
    }
}

impl Default for Reply {
    fn default() -> Self {
        Self::new()
    }
}

/// A response in the making.
pub struct Response {
    message: Builder,
    fingerprint: bool,
}

impl Response {
    /// A success response to `request`.
    #[must_use]
    pub fn success(request: Head) -> Self {
        Self::new(request, CLASS_SUCCESS_RESPONSE)
    }

    /// An error response to `request`, without a reason phrase: strangers get no byte that they can
    /// do without.
    #[must_use]
    pub fn error(request: Head, error: ErrorCode) -> Self {
        let code = ErrorCodeAttribute { code: stun::error_code::ErrorCode(error.code()), reason: Vec::new() };
        Self::new(request, CLASS_ERROR_RESPONSE).with(&code)
    }

    fn new(request: Head, class: MessageClass) -> Self {
        let mut message = Builder::new();
        message.transaction_id.0 = request.transaction;
        message.set_type(MessageType::new(request.method, class));
        message.write_header();
        Self { message, fingerprint: request.fingerprint }
    }

    /// Adds UNKNOWN-ATTRIBUTES (RFC 8489 section 14.13), as many as are useful.
    #[must_use]
    pub fn unknown_attributes(self, kinds: impl Iterator<Item = AttrType>) -> Self {
        self.with(&UnknownAttributes(kinds.take(UNKNOWN_MAX).collect()))
    }

    /// Adds REALM.
    #[must_use]
    pub fn realm(mut self, realm: &str) -> Self {
        self.message.add(ATTR_REALM, realm.as_bytes());
        self
    }

    /// Adds NONCE.
    #[must_use]
    pub fn nonce(mut self, nonce: &[u8]) -> Self {
        self.message.add(ATTR_NONCE, nonce);
        self
    }

    /// Adds PASSWORD-ALGORITHMS: all that are spoken here.
    #[must_use]
    pub fn password_algorithms(mut self) -> Self {
        self.message.add(ATTR_PASSWORD_ALGORITHMS, &PasswordAlgorithm::OFFERED);
        self
    }

    /// Adds XOR-MAPPED-ADDRESS.
    #[must_use]
    pub fn mapped_address(self, address: SocketAddr) -> Self {
        self.with(&XorMappedAddress { ip: address.ip(), port: address.port() })
    }

    /// Adds XOR-RELAYED-ADDRESS.
    #[must_use]
    pub fn relayed_address(self, address: SocketAddr) -> Self {
        self.with(&RelayedAddress { ip: address.ip(), port: address.port() })
    }

    /// Adds LIFETIME, in whole seconds.
    #[must_use]
    pub fn lifetime(self, lifetime: Duration) -> Self {
        self.with(&Lifetime(lifetime))
    }

    /// Adds RESERVATION-TOKEN.
    #[must_use]
    pub fn reservation_token(self, token: [u8; 8]) -> Self {
        self.with(&ReservationToken(token.to_vec()))
    }

    /// Adds ADDRESS-ERROR-CODE (RFC 8656 section 18.12): why a dual allocation lacks this family.
    #[must_use]
    pub fn address_error(mut self, family: AddressFamily, error: ErrorCode) -> Self {
        let [class, number] = [error.code() / 100, error.code() % 100].map(|part| part.to_be_bytes()[1]);
        self.message.add(ATTR_ADDRESS_ERROR_CODE, &[family.number(), 0, class, number]);
        self
    }

    fn with(mut self, setter: &dyn Setter) -> Self {
        setter
            .add_to(&mut self.message)
            .expect("these setters fail only at sizes that their types here exclude");
        self
    }

    /// How many bytes it will have if it is finished as it is now, unsigned.
    #[must_use]
    pub fn size(&self) -> usize {
        self.message.raw.len() + if self.fingerprint { FINGERPRINT } else { 0 }
    }

    /// Signs with `key` if there is one, ends with FINGERPRINT where the request had one, and
    /// writes the whole to `reply`.
    pub fn finish(mut self, key: Option<&IntegrityKey>, reply: &mut Reply) {
        if let Some(key) = key {
            key.sign(&mut self.message);
        }
        if self.fingerprint {
            // The length that is hashed counts the attribute (RFC 8489 section 14.7).
            let whole = self.message.raw.len() - HEADER + FINGERPRINT;
            self.message.raw[2..4].copy_from_slice(&length_field(whole));
            let sum = fingerprint(&self.message.raw);
            self.message.add(ATTR_FINGERPRINT, &sum.to_be_bytes());
        }
        reply.set(&self.message.raw);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::closed_set::ClosedSet as _;

    #[test]
    fn error_codes_are_labelled_by_their_numbers() {
        for code in ErrorCode::ALL {
            assert_eq!(code.label(), code.code().to_string());
        }
    }
}
