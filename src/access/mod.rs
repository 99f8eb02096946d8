//! Access: authorization for both HTTP and signaling. Pure: the caller hands in time, address and
//! proof.
//!
//! All kinds of clients share one rate limiter. The rest differs, on purpose:
//!
//! - A page or program that requests credentials: [`Access::charge_newcomer`], then
//!   [`Access::caller`]. It needs open access, a join token or an API key. While the server drains
//!   it is refused and not charged.
//! - A program that manages rooms and credentials: [`Access::program`]. It needs an API key. It is
//!   admitted while the server drains, because running calls still have to be managed.
//! - A client of PeerJS or y-webrtc: [`Access::without_token`]. It needs open access, which is
//!   checked first. While the server drains it is refused and not charged.
//! - A member that joins a room: [`Access::join`]. It needs open access or a join token for that
//!   room. While the server drains, signaling closes every connection before this is called.

pub mod api_keys;
pub mod names;
pub mod tokens;

use std::borrow::Cow;
use std::fmt;
use std::net::IpAddr;
use std::time::Duration;

use byway_turn::rate_limit::KeyedRateLimiter;
use byway_turn::time::Now;

use self::api_keys::ApiKeys;
use self::names::RoomName;
use self::tokens::{Grant, TokenError, Tokens};

/// Requirement for joining rooms and for getting credentials.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Policy {
    /// None: everyone may.
    Open,
    /// A join token.
    Token,
}

/// Tells whether the server drains; the composition root knows.
pub type IsDraining = Box<dyn Fn() -> bool + Send + Sync>;

/// Policy, keys and limits that decide on access.
pub struct Access {
    /// Requirement for everyone without an API key.
    pub policy: Policy,
    /// Signs join tokens and verifies them.
    pub tokens: Tokens,
    /// API keys of programs.
    pub api_keys: ApiKeys,
    /// Rate limit of requests and joins, by client address.
    pub limiter: KeyedRateLimiter,
    /// Phase of the server.
    pub is_draining: IsDraining,
}

/// Proof that a request presents.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Proof<'a> {
    /// No proof at all.
    None,
    /// `Authorization: Bearer`: a join token or an API key (RFC 6750 section 2.1).
    Bearer(Cow<'a, str>),
    /// Any other `Authorization`: an API key in Basic's password, whatever the user is called (RFC
    /// 7617).
    Password(Cow<'a, str>),
    /// Field that a convention has for an API key.
    Field(&'a str),
}

/// Identity of a caller that may have credentials.
#[derive(Debug, PartialEq, Eq)]
pub enum Caller {
    /// Anyone: access is open.
    Stranger,
    /// Bearer of a join token.
    Guest(Grant),
    /// Program with an API key.
    Program,
}

/// Reason to refuse entry. HTTP maps it to problems, signaling to its error codes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refused {
    /// Rate limit of the address; there is room again after this time.
    RateLimited(Duration),
    /// The server drains.
    Draining,
    /// A join token is required but missing.
    TokenRequired,
    /// The join token is not valid.
    Token(TokenError),
    /// The join token is for another room.
    WrongRoom,
    /// A join token is required, and the protocol has no place for one but its URL, which proxies
    /// log.
    NoPlaceForToken,
    /// An API key is required but missing.
    ApiKeyRequired,
    /// The API key is unknown.
    BadApiKey,
}

impl Access {
    /// Charges the rate limiter for a newcomer, unless the server drains. Failed guesses count like
    /// the rest, because no proof is checked before.
    ///
    /// # Errors
    /// [`Refused::Draining`], [`Refused::RateLimited`]
    pub fn charge_newcomer(&self, now: Now, client: IpAddr) -> Result<(), Refused> {
        if (self.is_draining)() {
            return Err(Refused::Draining);
        }
        self.charge(now, client)
    }

    /// Returns the caller with this proof, if it may have credentials. Charges nothing:
    /// [`Self::charge_newcomer`] has.
    ///
    /// # Errors
    /// [`Refused::TokenRequired`], [`Refused::Token`], [`Refused::BadApiKey`]
    pub fn caller(&self, now: Now, proof: &Proof<'_>) -> Result<Caller, Refused> {
        let is_open = self.policy == Policy::Open;
        match proof {
            Proof::None if is_open => Ok(Caller::Stranger),
            Proof::None => Err(Refused::TokenRequired),
            _ if self.has_api_key(proof) => Ok(Caller::Program),
            Proof::Bearer(token) => self.tokens.check(now, token).map(Caller::Guest).map_err(Refused::Token),
            // A reverse proxy that asks everyone for a password passes it on. It is not for this
            // server.
            Proof::Password(_) if is_open => Ok(Caller::Stranger),
            Proof::Password(_) | Proof::Field(_) => Err(Refused::BadApiKey),
        }
    }

    /// Charges the rate limiter and admits programs only, also while the server drains: a backend
    /// has to be able to remove members from calls that go on.
    ///
    /// # Errors
    /// [`Refused::RateLimited`], [`Refused::ApiKeyRequired`], [`Refused::BadApiKey`]
    pub fn program(&self, now: Now, client: IpAddr, proof: &Proof<'_>) -> Result<(), Refused> {
        self.charge(now, client)?;
        match proof {
            Proof::None => Err(Refused::ApiKeyRequired),
            _ if self.has_api_key(proof) => Ok(()),
            _ => Err(Refused::BadApiKey),
        }
    }

    /// Admits a newcomer whose protocol has no place for a join token.
    ///
    /// # Errors
    /// [`Refused::NoPlaceForToken`], [`Refused::Draining`], [`Refused::RateLimited`]
    pub fn without_token(&self, now: Now, client: IpAddr) -> Result<(), Refused> {
        match self.policy {
            Policy::Open => self.charge_newcomer(now, client),
            Policy::Token => Err(Refused::NoPlaceForToken),
        }
    }

    /// Charges the rate limiter and admits a new member to `room`. Returns the rights that its
    /// token grants, `None` where access is open.
    ///
    /// # Errors
    /// [`Refused::RateLimited`], [`Refused::TokenRequired`], [`Refused::Token`],
    /// [`Refused::WrongRoom`]
    pub fn join(
        &self,
        now: Now,
        client: IpAddr,
        room: &RoomName,
        token: Option<&str>,
    ) -> Result<Option<Grant>, Refused> {
        self.charge(now, client)?;
        if self.policy == Policy::Open {
            return Ok(None);
        }
        let token = token.ok_or(Refused::TokenRequired)?;
        let grant = self.tokens.check(now, token).map_err(Refused::Token)?;
        if grant.room == *room { Ok(Some(grant)) } else { Err(Refused::WrongRoom) }
    }

    fn charge(&self, now: Now, client: IpAddr) -> Result<(), Refused> {
        self.limiter.take(now.mono, client).map_err(Refused::RateLimited)
    }

    fn has_api_key(&self, proof: &Proof<'_>) -> bool {
        match proof {
            Proof::None => false,
            Proof::Bearer(key) | Proof::Password(key) => self.api_keys.has(key),
            Proof::Field(key) => self.api_keys.has(key),
        }
    }
}

impl fmt::Debug for Access {
    /// Secrets never reach a log.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { policy, tokens, api_keys, limiter: _, is_draining: _ } = self;
        f.debug_struct("Access")
            .field("policy", policy)
            .field("tokens", tokens)
            .field("api_keys", api_keys)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
