//! The long-term credential mechanism over time-limited credentials (RFC 8489 section 9.2, RFC 8656
//! section 5).
//!
//! A client of RFC 8489 signs with MESSAGE-INTEGRITY-SHA256, under a key that PASSWORD-ALGORITHM
//! names; one of RFC 5389 with MESSAGE-INTEGRITY, under an MD5 key. Either may follow the other on
//! one allocation: a client learns of the better one whenever it is given a new nonce.
//!
//! "Username anonymity" (section 9.2.1) is not offered. Nobody's name is stored here, so there is
//! nothing to look up a USERHASH in: a first Allocate must say who asks. Of a client with an
//! allocation the name is known, and USERHASH is as good as USERNAME; that costs one hash, and no
//! search.

use std::borrow::Cow;
use std::net::SocketAddr;
use std::time::Duration;

use stun::message::METHOD_REFRESH;

use super::allocation::Allocation;
use super::nonce::says_password_algorithms;
use super::shared::Shared;
use crate::auth::Username;
use crate::time::Now;
use crate::wire::{
    AttributeError, Attributes, ErrorCode, Integrity, IntegrityKey, Message, PasswordAlgorithm, userhash,
};

/// Who sent a request, proven.
pub(super) struct Client<'m> {
    pub(super) username: Cow<'m, str>,
    /// What it signed with; the response is signed alike.
    pub(super) key: IntegrityKey,
}

/// Why a request is not authenticated. Nothing has been stored for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Refusal {
    /// 400.
    BadRequest,
    /// 401 with a fresh nonce: none were sent, as in every client's first request.
    NoCredentials,
    /// The same 401: they are wrong, in whichever way.
    WrongCredentials,
    /// 438 with a fresh nonce.
    StaleNonce,
}

impl Refusal {
    pub(super) fn error(self) -> ErrorCode {
        match self {
            Self::BadRequest => ErrorCode::BadRequest,
            Self::NoCredentials | Self::WrongCredentials => ErrorCode::Unauthenticated,
            Self::StaleNonce => ErrorCode::StaleNonce,
        }
    }
}

impl From<AttributeError> for Refusal {
    fn from(_: AttributeError) -> Self {
        Self::BadRequest
    }
}

/// Authenticates a request, in the order of RFC 8489 section 9.2.4.
///
/// A credential must not have expired and its name be good:
/// [`Revocations`](crate::auth::Revocations) knows whose is no longer. That holds for every
/// request, but the one that gives a living allocation back harms nobody. A browser cannot change
/// the credential of an allocation: its page restarts ICE with a fresh one in time. For pages that
/// never do, [`super::Settings::strict_expiry`] can be off: then a living allocation goes on with
/// the credential that it was made with past that one's expiry, as long as it is refreshed and
/// until [`super::MAX_ALLOCATION_AGE`].
pub(super) fn authenticate<'m>(
    shared: &Shared,
    now: Now,
    client: SocketAddr,
    message: &Message<'m>,
    allocation: Option<&Allocation>,
) -> Result<Client<'m>, Refusal> {
    let attributes = message.attributes();
    let integrity = message.integrity().ok_or(Refusal::NoCredentials)?;
    let username = match (attributes.username()?, attributes.userhash()?) {
        (Some(username), None) => Cow::Borrowed(username),
        (None, Some(hash)) => Cow::Owned(username_behind(hash, shared, allocation)),
        // Section 14.4: USERHASH replaces USERNAME. Who sends both has not said who it is.
        (None, None) | (Some(_), Some(_)) => return Err(Refusal::BadRequest),
    };
    attributes.realm().ok_or(Refusal::BadRequest)?;
    let nonce = attributes.nonce().ok_or(Refusal::BadRequest)?;
    let own = allocation.filter(|allocation| *allocation.username == *username);
    // Asked of whoever asks, so that what was wrong does not show in the time it takes.
    let is_good = is_good(shared, now, &username, own.is_some());
    let is_good = is_good || (own.is_some() && gives_back(message));
    let algorithm = password_algorithm(&attributes, nonce, own.is_some())?;

    // The key of its allocation proves its owner, whichever algorithm is named.
    let key = match own.filter(|allocation| integrity.verify(&allocation.key)) {
        Some(allocation) => Some(allocation.key.clone()),
        None => derived_key(shared, &username, algorithm, &integrity),
    };
    let key = key.filter(|_| is_good).ok_or(Refusal::WrongCredentials)?;
    if !shared.nonces.check(now, client, nonce) {
        return Err(Refusal::StaleNonce);
    }
    Ok(Client { username, key })
}

/// Whether requests with this username are served, if they are signed with its password.
fn is_good(shared: &Shared, now: Now, username: &str, has_allocation: bool) -> bool {
    Username::parse(username).is_ok_and(|username| {
        let outlives = has_allocation && !shared.strict_expiry;
        shared.revocations.is_good(now, username.name) && (outlives || username.check(now).is_ok())
    })
}

/// Whether a request ends the allocation that it is about.
fn gives_back(message: &Message<'_>) -> bool {
    message.method() == METHOD_REFRESH && message.attributes().lifetime() == Ok(Some(Duration::ZERO))
}

/// The username that a USERHASH stands for: that of the client's own allocation or, which nobody
/// has, the empty one.
fn username_behind(hash: [u8; 32], shared: &Shared, allocation: Option<&Allocation>) -> String {
    let own = allocation.filter(|allocation| userhash(&allocation.username, &shared.realm) == hash);
    own.map_or_else(String::new, |allocation| allocation.username.to_string())
}

/// The algorithm of a request's key, if it is one that nobody in between can have chosen (sections
/// 9.2.1 and 9.2.4).
fn password_algorithm(
    attributes: &Attributes<'_>,
    nonce: &[u8],
    is_subsequent: bool,
) -> Result<PasswordAlgorithm, Refusal> {
    match (attributes.password_algorithms(), attributes.password_algorithm()?) {
        (None, None) => Ok(PasswordAlgorithm::Md5),
        // It is the same to everybody, so what was sent with this nonce needs no looking up.
        (Some(offered), Some(algorithm)) if *offered == PasswordAlgorithm::OFFERED => Ok(algorithm),
        // Where nothing was offered there is nothing to compare; and section 9.2.3.2 asks for
        // PASSWORD-ALGORITHM alone in a subsequent request: its client has passed this check with
        // its first one.
        (None, Some(algorithm)) if is_subsequent || !says_password_algorithms(nonce) => Ok(algorithm),
        _ => Err(Refusal::BadRequest),
    }
}

/// The key that a request was signed with, if one of the secrets made its password. Every secret is
/// tried for every username, so that what was wrong does not show in the time it takes.
fn derived_key(
    shared: &Shared,
    username: &str,
    algorithm: PasswordAlgorithm,
    integrity: &Integrity<'_>,
) -> Option<IntegrityKey> {
    let mut found = None;
    for password in shared.secrets.passwords(username) {
        let key = integrity.key(&algorithm.key(username, &shared.realm, &password));
        if integrity.verify(&key) {
            found = Some(key);
        }
    }
    found
}
