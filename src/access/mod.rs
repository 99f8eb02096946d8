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
//! - A program or an operator that invites others to any room: [`Access::inviter`]. It needs an API
//!   key or an operator's token. While the server drains, the operator is refused.
//! - A page that shows what its own token is for: [`Access::bearer`].
//! - A host that invites others to its room: [`Access::invite`]. Signaling knows the hosts, and
//!   asks only where a join token is required.

pub mod api_keys;
mod counters;
pub mod grant;
pub mod names;
pub mod tokens;

use std::borrow::Cow;
use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use byway_turn::rate_limit::KeyedRateLimiter;
use byway_turn::time::Now;

use self::api_keys::ApiKeys;
pub use self::counters::{AccessCounters, RefusalReason};
use self::grant::{Grant, Rights, Role};
use self::names::{Region, RoomName};
use self::tokens::{DEFAULT_TTL, MAX_HOST_TTL, MAX_TTL, TokenError, Tokens};

/// Requirement for joining rooms and for getting credentials.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Policy {
    /// None: everyone may.
    Open,
    /// A join token.
    Token,
}

/// Tells whether the server drains; the composition root knows.
pub type IsDraining = Arc<dyn Fn() -> bool + Send + Sync>;

/// Policy, keys and limits that decide on access. A reload replaces all of them at once.
pub struct Access {
    /// Requirement for everyone without an API key.
    pub policy: Policy,
    /// Signs join tokens and verifies them.
    pub tokens: Tokens,
    /// API keys of programs.
    pub api_keys: ApiKeys,
    /// Rate limit of requests and joins, by client address.
    pub limiter: Arc<KeyedRateLimiter>,
    /// Phase of the server.
    pub is_draining: IsDraining,
    /// Counters of refusals.
    pub counters: Arc<AccessCounters>,
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

/// Caller that may invite others to any room.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Inviter {
    /// Program with an API key.
    Program,
    /// Bearer of an operator's token, in a browser.
    Operator,
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

/// Invitation that a host asks for.
#[derive(Clone, Debug)]
pub struct HostInvitation {
    /// Room of the host.
    pub room: RoomName,
    /// Limit of the host's own token.
    pub max_members: Option<usize>,
    /// Region of the host's own token.
    pub region: Option<Region>,
    /// Whether the bearer may only receive.
    pub viewer: bool,
    /// Lifetime, limited to [`MAX_HOST_TTL`].
    pub ttl: Option<Duration>,
}

impl Inviter {
    /// Longest lifetime of its invitations.
    #[must_use]
    pub fn max_ttl(self) -> Duration {
        match self {
            Self::Program => MAX_TTL,
            Self::Operator => MAX_HOST_TTL,
        }
    }
}

impl Access {
    /// Charges the rate limiter for a newcomer, unless the server drains. Failed guesses count like
    /// the rest, because no proof is checked before.
    ///
    /// # Errors
    /// [`Refused::Draining`], [`Refused::RateLimited`]
    pub fn charge_newcomer(&self, now: Now, client: IpAddr) -> Result<(), Refused> {
        self.newcomer(now, client).inspect_err(|refused| self.counters.count(*refused))
    }

    /// Returns the caller with this proof, if it may have credentials. Charges nothing:
    /// [`Self::charge_newcomer`] has.
    ///
    /// # Errors
    /// [`Refused::TokenRequired`], [`Refused::Token`], [`Refused::BadApiKey`]
    pub fn caller(&self, now: Now, proof: &Proof<'_>) -> Result<Caller, Refused> {
        let is_open = self.policy == Policy::Open;
        let caller = match proof {
            Proof::None if is_open => Ok(Caller::Stranger),
            Proof::None => Err(Refused::TokenRequired),
            _ if self.has_api_key(proof) => Ok(Caller::Program),
            Proof::Bearer(token) => self.tokens.check(now, token).map(Caller::Guest).map_err(Refused::Token),
            // A reverse proxy that asks everyone for a password passes it on. It is not for this
            // server.
            Proof::Password(_) if is_open => Ok(Caller::Stranger),
            Proof::Password(_) | Proof::Field(_) => Err(Refused::BadApiKey),
        };
        caller.inspect_err(|refused| self.counters.count(*refused))
    }

    /// Charges the rate limiter and admits programs only, also while the server drains: a backend
    /// has to be able to remove members from calls that go on.
    ///
    /// # Errors
    /// [`Refused::RateLimited`], [`Refused::ApiKeyRequired`], [`Refused::BadApiKey`]
    pub fn program(&self, now: Now, client: IpAddr, proof: &Proof<'_>) -> Result<(), Refused> {
        let program = self.charge(now, client).and_then(|()| match proof {
            Proof::None => Err(Refused::ApiKeyRequired),
            _ if self.has_api_key(proof) => Ok(()),
            _ => Err(Refused::BadApiKey),
        });
        program.inspect_err(|refused| self.counters.count(*refused))
    }

    /// Charges the rate limiter and admits programs as [`Self::program`] does, and bearers of an
    /// operator's token unless the server drains.
    ///
    /// # Errors
    /// Those of [`Self::program`]. [`Refused::Token`] for a token that is not valid now,
    /// [`Refused::Draining`] for an operator.
    pub fn inviter(&self, now: Now, client: IpAddr, proof: &Proof<'_>) -> Result<Inviter, Refused> {
        let inviter = self.charge(now, client).and_then(|()| match proof {
            Proof::None => Err(Refused::ApiKeyRequired),
            _ if self.has_api_key(proof) => Ok(Inviter::Program),
            Proof::Bearer(token) => match self.tokens.read(now, token) {
                Ok((Rights::Operator, _)) if (self.is_draining)() => Err(Refused::Draining),
                Ok((Rights::Operator, _)) => Ok(Inviter::Operator),
                // What is no token was meant as a key.
                Ok((Rights::Room(_), _)) | Err(TokenError::Bad) => Err(Refused::BadApiKey),
                Err(error) => Err(Refused::Token(error)),
            },
            Proof::Password(_) | Proof::Field(_) => Err(Refused::BadApiKey),
        });
        inviter.inspect_err(|refused| self.counters.count(*refused))
    }

    /// Charges the rate limiter as [`Self::charge_newcomer`] does and reads a token of any kind.
    /// Returns its rights and when it ends, in seconds since 1970-01-01 UTC.
    ///
    /// # Errors
    /// Those of [`Self::charge_newcomer`], [`Refused::TokenRequired`], [`Refused::Token`]
    pub fn bearer(&self, now: Now, client: IpAddr, proof: &Proof<'_>) -> Result<(Rights, u64), Refused> {
        let bearer = self.newcomer(now, client).and_then(|()| match proof {
            Proof::Bearer(token) => self.tokens.read(now, token).map_err(Refused::Token),
            Proof::None | Proof::Password(_) | Proof::Field(_) => Err(Refused::TokenRequired),
        });
        bearer.inspect_err(|refused| self.counters.count(*refused))
    }

    /// Admits a newcomer whose protocol has no place for a join token.
    ///
    /// # Errors
    /// [`Refused::NoPlaceForToken`], [`Refused::Draining`], [`Refused::RateLimited`]
    pub fn without_token(&self, now: Now, client: IpAddr) -> Result<(), Refused> {
        let admitted = match self.policy {
            Policy::Open => self.newcomer(now, client),
            Policy::Token => Err(Refused::NoPlaceForToken),
        };
        admitted.inspect_err(|refused| self.counters.count(*refused))
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
        let granted = self.grant(now, client, room, token);
        granted.inspect_err(|refused| self.counters.count(*refused))
    }

    fn grant(
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

    /// Charges the rate limiter and signs a join token for a guest of a host. The guest may enter
    /// the host's room under the host's own limit, gets a relay in the host's region, and is never
    /// a host. Returns the token and the time of its expiry, in seconds since 1970-01-01 UTC.
    ///
    /// # Errors
    /// [`Refused::RateLimited`]
    pub fn invite(
        &self,
        now: Now,
        client: IpAddr,
        invitation: HostInvitation,
    ) -> Result<(String, u64), Refused> {
        self.charge(now, client).inspect_err(|refused| self.counters.count(*refused))?;
        let HostInvitation { room, max_members, region, viewer, ttl } = invitation;
        let role = if viewer { Role::Viewer } else { Role::Member };
        let grant = Grant { room, name: None, max_members, role, region };
        Ok(self.tokens.issue(now, grant, ttl.unwrap_or(DEFAULT_TTL).min(MAX_HOST_TTL)))
    }

    fn newcomer(&self, now: Now, client: IpAddr) -> Result<(), Refused> {
        if (self.is_draining)() { Err(Refused::Draining) } else { self.charge(now, client) }
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
        let Self { policy, tokens, api_keys, limiter: _, is_draining: _, counters: _ } = self;
        f.debug_struct("Access")
            .field("policy", policy)
            .field("tokens", tokens)
            .field("api_keys", api_keys)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
