//! What a client is asked with by a 401 or a 438 (RFC 8489 sections 9.2.1 and 9.2.4): as much as
//! its request has paid for.
//!
//! RFC 8489 makes a challenge longer: the nonce cookie has 13 characters, PASSWORD-ALGORITHMS 12
//! bytes. To a first Allocate of 28 bytes, which is what browsers send, that would be an answer of
//! 1.86 times the bytes on an IPv4 wire, in the realm `byway`; whoever forges the source address is
//! lent that much. So an unsigned request is answered with the most of these that is at most 1.75
//! times as long as it is itself, IP and UDP headers included:
//!
//! | | in the realm `byway` | in `example.org` | fits unsigned requests, there |
//! |---|---|---|---|
//! | [`ChallengeLevel::PasswordAlgorithms`] | 76 bytes | 80 bytes | from 32 and 36 bytes on, over IPv6 from 24 and 28 |
//! | [`ChallengeLevel::NoFeature`] | 64 bytes | 68 bytes | from 28 bytes on, over IPv6 from 20 |
//! | [`ChallengeLevel::Rfc5389`] | 52 bytes | 56 bytes | of any length |
//!
//! A signed request is long enough for anything, and a connection's address is its own: both get
//! all of it. Clients of RFC 5389 do not see the difference.
//!
//! What that costs: somebody in the path can shorten a first request, which nothing protects yet,
//! so that its client is offered less. The client then signs as every client of RFC 5389 does, with
//! a password of 160 random bits, and with the next 438 it is offered all. What has been offered
//! cannot be taken back: the nonce says it, and its MAC covers that.

use super::nonce::{NONCE_COOKIE, TIME_AND_MAC};
use super::{FiveTuple, Transport};
use crate::wire::{Message, PasswordAlgorithm, attribute_size};

/// What a nonce says of this server, the most first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ChallengeLevel {
    /// PASSWORD-ALGORITHMS stands beside the nonce, and the feature in its cookie says so (section
    /// 9.2.1).
    PasswordAlgorithms,
    /// RFC 8489 is spoken here: a cookie without features.
    NoFeature,
    /// Nothing.
    Rfc5389,
}

impl ChallengeLevel {
    /// The most that may be said where `spent` bytes of the answer, headers not counted, are other
    /// attributes.
    pub(super) fn within_means_of(five_tuple: FiveTuple, request: &Message<'_>, spent: usize) -> Self {
        let Transport::Udp(_) = five_tuple.transport else { return Self::PasswordAlgorithms };
        if request.integrity().is_some() {
            return Self::PasswordAlgorithms;
        }
        let headers = if five_tuple.client.ip().to_canonical().is_ipv4() { 20 + 8 } else { 40 + 8 };
        let fits = |level: &Self| 4 * (headers + spent + level.size()) <= 7 * (headers + request.size());
        [Self::PasswordAlgorithms, Self::NoFeature].into_iter().find(fits).unwrap_or(Self::Rfc5389)
    }

    /// The security features of the cookie, 24 bits from the left (section 18.1). "Username
    /// anonymity", the second, is never among them: see [`super::auth`].
    pub(super) fn features(self) -> Option<[u8; 3]> {
        match self {
            Self::PasswordAlgorithms => Some([0x80, 0, 0]),
            Self::NoFeature => Some([0; 3]),
            Self::Rfc5389 => None,
        }
    }

    /// Bytes of its NONCE and PASSWORD-ALGORITHMS.
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
