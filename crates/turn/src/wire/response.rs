//! Control responses, built with the `stun` and `turn` crates' setters. They are rare, and HMAC
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

/// Capacity of a [`Reply`] in bytes. It fits a challenge with the longest realm that a
/// configuration may hold, and an error that names sixteen unknown attributes.
pub const REPLY_MAX: usize = 1024;

/// Maximum number of types in UNKNOWN-ATTRIBUTES: enough to debug with, too few for amplification.
const UNKNOWN_MAX: usize = 16;

closed_set! {
    /// Error code that this server sends (RFC 8489 section 14.8, RFC 8656 section 19).
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
    /// Number of the error code, such as 401.
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

/// Buffer for one outgoing reply, which the driver owns and reuses.
#[derive(Debug)]
pub struct Reply {
    bytes: [u8; REPLY_MAX],
    length: usize,
}

impl Reply {
    /// Creates an empty reply.
    #[must_use]
    pub const fn new() -> Self {
        Self { bytes: [0; REPLY_MAX], length: 0 }
    }

    /// Message to send.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        self.bytes.get(..self.length).unwrap_or_default()
    }

    /// Stores a message. A message that is too long leaves the reply empty, so nothing is sent.
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

/// Response under construction.
pub struct Response {
    message: Builder,
    fingerprint: bool,
}

impl Response {
    /// Starts a success response to `request`.
    #[must_use]
    pub fn success(request: Head) -> Self {
        Self::new(request, CLASS_SUCCESS_RESPONSE)
    }

    /// Starts an error response to `request`.
    ///
    /// It has no reason phrase: a reply to an unauthenticated client carries no unnecessary byte.
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

    /// Adds UNKNOWN-ATTRIBUTES (RFC 8489 section 14.13) with the first sixteen of `kinds`.
    #[must_use]
    pub fn unknown_attributes(self, kinds: impl Iterator<Item = AttrType>) -> Self {
        self.with(&UnknownAttributes(kinds.take(UNKNOWN_MAX).collect()))
    }

    /// Adds REALM (RFC 8489 section 14.9).
    #[must_use]
    pub fn realm(mut self, realm: &str) -> Self {
        self.message.add(ATTR_REALM, realm.as_bytes());
        self
    }

    /// Adds NONCE (RFC 8489 section 14.10).
    #[must_use]
    pub fn nonce(mut self, nonce: &[u8]) -> Self {
        self.message.add(ATTR_NONCE, nonce);
        self
    }

    /// Adds PASSWORD-ALGORITHMS with all supported algorithms (RFC 8489 section 14.11).
    #[must_use]
    pub fn password_algorithms(mut self) -> Self {
        self.message.add(ATTR_PASSWORD_ALGORITHMS, &PasswordAlgorithm::OFFERED);
        self
    }

    /// Adds XOR-MAPPED-ADDRESS (RFC 8489 section 14.2).
    #[must_use]
    pub fn mapped_address(self, address: SocketAddr) -> Self {
        self.with(&XorMappedAddress { ip: address.ip(), port: address.port() })
    }

    /// Adds XOR-RELAYED-ADDRESS (RFC 8656 section 18.5).
    #[must_use]
    pub fn relayed_address(self, address: SocketAddr) -> Self {
        self.with(&RelayedAddress { ip: address.ip(), port: address.port() })
    }

    /// Adds LIFETIME, in whole seconds (RFC 8656 section 18.2).
    #[must_use]
    pub fn lifetime(self, lifetime: Duration) -> Self {
        self.with(&Lifetime(lifetime))
    }

    /// Adds RESERVATION-TOKEN (RFC 8656 section 18.10).
    #[must_use]
    pub fn reservation_token(self, token: [u8; 8]) -> Self {
        self.with(&ReservationToken(token.to_vec()))
    }

    /// Adds ADDRESS-ERROR-CODE (RFC 8656 section 18.12): the reason why a dual allocation lacks
    /// `family`.
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

    /// Bytes of the message if it is finished now, unsigned.
    #[must_use]
    pub fn size(&self) -> usize {
        self.message.raw.len() + if self.fingerprint { FINGERPRINT } else { 0 }
    }

    /// Finishes the message and writes it to `reply`.
    ///
    /// Signs it with `key`, if given. Appends FINGERPRINT if the request had one.
    pub fn finish(mut self, key: Option<&IntegrityKey>, reply: &mut Reply) {
        if let Some(key) = key {
            key.sign(&mut self.message);
        }
        if self.fingerprint {
            // The hashed length field counts the FINGERPRINT attribute (RFC 8489 section 14.7).
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
