//! Challenge in a 401 or 438 (RFC 8489 sections 9.2.1 and 9.2.4). Its size is bounded by that of
//! the request, so that the server amplifies little.
//!
//! RFC 8489 makes a challenge longer: the nonce cookie has 13 characters, PASSWORD-ALGORITHMS 12
//! bytes. Browsers send a first Allocate of 28 bytes. In the realm `byway` the full answer to it
//! has 1.86 times its bytes on an IPv4 wire. An attacker who forges the source address would get
//! that amplification.
//!
//! The server therefore answers an unsigned request with the highest level whose answer is at most
//! 1.75 times as long as the request. Both lengths include IP and UDP headers. The last column
//! is in bytes; where it has two figures, they are for the two realms:
//!
//! | | realm `byway` | `example.org` | smallest unsigned request |
//! |---|---|---|---|
//! | [`ChallengeLevel::PasswordAlgorithms`] | 76 bytes | 80 bytes | 32 / 36, IPv6: 24 / 28 |
//! | [`ChallengeLevel::NoFeature`] | 64 bytes | 68 bytes | 28, IPv6: 20 |
//! | [`ChallengeLevel::Rfc5389`] | 52 bytes | 56 bytes | any length |
//!
//! A signed request is long enough for every level, and the client of a connection cannot forge its
//! address. Both get the full challenge. Clients of RFC 5389 do not see the difference.
//!
//! The cost: an attacker in the path can shorten a first request, which nothing protects yet, so
//! that its client is offered less. The client then signs as every client of RFC 5389 does, with a
//! password of 160 random bits. The next 438 offers it everything. An attacker cannot withdraw an
//! offer, because the nonce states it under its MAC.

use super::nonce::{NONCE_COOKIE, TIME_AND_MAC};
use super::{FiveTuple, Transport};
use crate::wire::{Message, PasswordAlgorithm, attribute_size};

/// Features that a challenge offers, from most to least.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ChallengeLevel {
    /// PASSWORD-ALGORITHMS comes with the nonce, and the nonce cookie sets its feature bit (section
    /// 9.2.1).
    PasswordAlgorithms,
    /// A nonce cookie without features: the server speaks RFC 8489.
    NoFeature,
    /// No nonce cookie.
    Rfc5389,
}

impl ChallengeLevel {
    /// Returns the highest level that fits the size of `request`. `spent` is the size of the
    /// answer's other attributes in bytes, headers excluded.
    pub(super) fn within_means_of(five_tuple: FiveTuple, request: &Message<'_>, spent: usize) -> Self {
        let Transport::Udp(_) = five_tuple.transport else { return Self::PasswordAlgorithms };
        if request.integrity().is_some() {
            return Self::PasswordAlgorithms;
        }
        let headers = if five_tuple.client.ip().to_canonical().is_ipv4() { 20 + 8 } else { 40 + 8 };
        let fits = |level: &Self| 4 * (headers + spent + level.size()) <= 7 * (headers + request.size());
        [Self::PasswordAlgorithms, Self::NoFeature].into_iter().find(fits).unwrap_or(Self::Rfc5389)
    }

    /// Returns the security features of the cookie, 24 bits from the left (section 18.1). "Username
    /// anonymity", the second bit, is never set: see [`super::auth`].
    pub(super) fn features(self) -> Option<[u8; 3]> {
        match self {
            Self::PasswordAlgorithms => Some([0x80, 0, 0]),
            Self::NoFeature => Some([0; 3]),
            Self::Rfc5389 => None,
        }
    }

    /// Returns the size of the NONCE and PASSWORD-ALGORITHMS attributes in bytes.
    fn size(self) -> usize {
        let nonce = match self {
            Self::PasswordAlgorithms | Self::NoFeature => NONCE_COOKIE + TIME_AND_MAC,
            Self::Rfc5389 => TIME_AND_MAC,
        };
        let algorithms = match self {
            Self::PasswordAlgorithms => attribute_size(PasswordAlgorithm::OFFERED.len()),
            Self::NoFeature | Self::Rfc5389 => 0,
        };
        attribute_size(nonce) + algorithms
    }
}
