//! Counters of refusals.

use std::fmt;

use byway_turn::closed_set;

use super::Refused;
use super::tokens::TokenError;
use crate::metrics::{Counters, Family, Page, SharedCount};

closed_set! {
    /// Reasons to refuse entry, as labels of a metric.
    pub enum RefusalReason {
        /// The rate limit of the address.
        RateLimited = "rate_limited",
        /// The server drains.
        Draining = "draining",
        /// A join token is required but missing.
        TokenRequired = "token_required",
        /// A token that none of the server's keys has signed for it.
        BadToken = "token_bad",
        /// An expired token.
        TokenExpired = "token_expired",
        /// A token from a clock that is ahead.
        TokenNotYetValid = "token_not_yet_valid",
        /// A token with dates more than a year ahead.
        TokenTooFarAhead = "token_too_far_ahead",
        /// A token for another room, or for none.
        WrongRoom = "token_wrong_room",
        /// A protocol without a place for a token.
        NoPlaceForToken = "token_has_no_place",
        /// An API key is required but missing.
        ApiKeyRequired = "api_key_required",
        /// An unknown API key.
        BadApiKey = "api_key_bad",
    }
}

impl From<Refused> for RefusalReason {
    fn from(refused: Refused) -> Self {
        match refused {
            Refused::RateLimited(_) => Self::RateLimited,
            Refused::Draining => Self::Draining,
            Refused::TokenRequired => Self::TokenRequired,
            Refused::Token(TokenError::Bad) => Self::BadToken,
            Refused::Token(TokenError::Expired) => Self::TokenExpired,
            Refused::Token(TokenError::NotYetValid) => Self::TokenNotYetValid,
            Refused::Token(TokenError::TooFarAhead) => Self::TokenTooFarAhead,
            Refused::Token(TokenError::NoRoom) | Refused::WrongRoom => Self::WrongRoom,
            Refused::NoPlaceForToken => Self::NoPlaceForToken,
            Refused::ApiKeyRequired => Self::ApiKeyRequired,
            Refused::BadApiKey => Self::BadApiKey,
        }
    }
}

/// Counters of refusals, over HTTP and signaling.
#[derive(Debug, Default)]
pub struct AccessCounters {
    refused: Family<RefusalReason, SharedCount>,
}

impl AccessCounters {
    /// Counts one refusal.
    pub(super) fn count(&self, refused: Refused) {
        self.refused[RefusalReason::from(refused)].add(1);
    }
}

impl Counters for AccessCounters {
    fn encode(&self, page: &mut Page<'_>) -> fmt::Result {
        page.family(
            "access_refused",
            "Requests, joins and invitations refused, by reason. token_required: a client has no join token yet; \
             rate_limited: too many from one address.",
            "reason",
            |reason| self.refused[reason].get(),
        )
    }
}
