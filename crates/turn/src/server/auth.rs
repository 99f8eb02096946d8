//! Long-term credential mechanism with time-limited credentials and static users (RFC 8489 section
//! 9.2, RFC 8656 section 5).
//!
//! A client of RFC 8489 signs with MESSAGE-INTEGRITY-SHA256, under a key that PASSWORD-ALGORITHM
//! names. A client of RFC 5389 signs with MESSAGE-INTEGRITY, under an MD5 key. One allocation may
//! see both, because every new nonce offers the client the better one.
//!
//! "Username anonymity" (section 9.2.1) is not offered. The server stores no time-limited names, so
//! it cannot look up a USERHASH: a first Allocate must carry USERNAME, also that of a static user.
//! The name behind an existing allocation is known, so there USERHASH works as well as USERNAME.
//! Checking it costs one hash and no search.

use std::borrow::Cow;
use std::net::SocketAddr;
use std::time::Duration;

use stun::message::METHOD_REFRESH;

use super::allocation::Allocation;
use super::nonce::says_password_algorithms;
use super::rules::Current;
use super::shared::Shared;
use crate::auth::{Username, account};
use crate::time::Now;
use crate::wire::{
    AttributeError, Attributes, ErrorCode, Integrity, IntegrityKey, Message, PasswordAlgorithm, userhash,
};

/// Authenticated sender of a request.
pub(super) struct Client<'m> {
    pub(super) username: Cow<'m, str>,
    /// Key that the request was signed with; the response is signed with the same.
    pub(super) key: IntegrityKey,
}

/// Reason for which a request is not authenticated. Nothing has been stored for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Refusal {
    /// 400.
    BadRequest,
    /// 401 with a fresh nonce: the request had no credentials, as every client's first request.
    NoCredentials,
    /// 401 with a fresh nonce: the credentials are wrong. The answer does not say in which way.
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
/// A time-limited credential must be unexpired; a static user's does not expire. In either case
/// [`Revocations`](crate::auth::Revocations) must not list the [account]. This holds for every
/// request except a Refresh that ends a live allocation, which harms nobody.
///
/// A browser cannot change the credential of an allocation, so its page restarts ICE with a fresh
/// one in time. For pages that never do, turn [`super::Settings::strict_expiry`] off. A live
/// allocation then outlives the credential that it was made with, as long as it is refreshed, up to
/// [`super::MAX_ALLOCATION_AGE`].
///
/// # Errors
/// [`Refusal`], which names the error code of the response.
pub(super) fn authenticate<'m>(
    shared: &Shared,
    now: Now,
    client: SocketAddr,
    message: &Message<'m>,
    allocation: Option<&Allocation>,
) -> Result<Client<'m>, Refusal> {
    let rules = &shared.rules();
    let attributes = message.attributes();
    let integrity = message.integrity().ok_or(Refusal::NoCredentials)?;
    let username = match (attributes.username()?, attributes.userhash()?) {
        (Some(username), None) => Cow::Borrowed(username),
        (None, Some(hash)) => Cow::Owned(username_behind(hash, rules, allocation)),
        // Section 14.4: USERHASH replaces USERNAME. A request with both is ambiguous.
        (None, None) | (Some(_), Some(_)) => return Err(Refusal::BadRequest),
    };
    attributes.realm().ok_or(Refusal::BadRequest)?;
    let nonce = attributes.nonce().ok_or(Refusal::BadRequest)?;
    let own = allocation.filter(|allocation| *allocation.username == *username);
    // Checked for every request, so that the response time does not reveal what was wrong.
    let is_good = is_good(shared, rules, now, &username, own.is_some());
    let is_good = is_good || (own.is_some() && gives_back(message));
    let algorithm = password_algorithm(&attributes, nonce, own.is_some())?;

    // The allocation's key proves its owner, whichever algorithm the request names.
    let key = match own.filter(|allocation| integrity.verify(&allocation.key)) {
        Some(allocation) => Some(allocation.key.clone()),
        None => derived_key(rules, &username, algorithm, &integrity),
    };
    let key = key.filter(|_| is_good).ok_or(Refusal::WrongCredentials)?;
    if !shared.nonces.check(now, client, nonce) {
        return Err(Refusal::StaleNonce);
    }
    Ok(Client { username, key })
}

/// Whether requests with this username are served if they are signed with its password.
fn is_good(shared: &Shared, rules: &Current, now: Now, username: &str, has_allocation: bool) -> bool {
    match Username::parse(username) {
        Ok(username) => {
            let outlives = has_allocation && !rules.strict_expiry;
            shared.revocations.is_good(now, username.name) && (outlives || username.check(now).is_ok())
        }
        // Its key tells whether there is such a static user. The allocation of one that was removed
        // would keep its key.
        Err(_) => {
            let is_known = !rules.users.is_empty() && (!has_allocation || rules.users.contains(username));
            is_known && shared.revocations.is_good(now, &account(username))
        }
    }
}

/// Whether a request ends its own allocation: a Refresh with LIFETIME 0.
fn gives_back(message: &Message<'_>) -> bool {
    message.method() == METHOD_REFRESH && message.attributes().lifetime() == Ok(Some(Duration::ZERO))
}

/// Returns the username behind a USERHASH: that of the client's own allocation. Otherwise returns
/// the empty username, which no client has.
fn username_behind(hash: [u8; 32], rules: &Current, allocation: Option<&Allocation>) -> String {
    let own = allocation.filter(|allocation| userhash(&allocation.username, &rules.realm) == hash);
    own.map_or_else(String::new, |allocation| allocation.username.to_string())
}

/// Returns the key algorithm of a request. Rejects one that an attacker in the path could have
/// chosen (sections 9.2.1 and 9.2.4).
fn password_algorithm(
    attributes: &Attributes<'_>,
    nonce: &[u8],
    is_subsequent: bool,
) -> Result<PasswordAlgorithm, Refusal> {
    match (attributes.password_algorithms(), attributes.password_algorithm()?) {
        (None, None) => Ok(PasswordAlgorithm::Md5),
        // The offered list is the same for every client, so the one sent with this nonce needs no
        // look-up.
        (Some(offered), Some(algorithm)) if *offered == PasswordAlgorithm::OFFERED => Ok(algorithm),
        // Without an offer there is nothing to compare. Section 9.2.3.2 requires PASSWORD-ALGORITHM
        // alone in a subsequent request, whose client passed this check with its first request.
        (None, Some(algorithm)) if is_subsequent || !says_password_algorithms(nonce) => Ok(algorithm),
        _ => Err(Refusal::BadRequest),
    }
}

/// Returns the key that a request was signed with, if one of the secrets made the password of its
/// time-limited username, or if it is a static user's. Everything is tried for every username, so
/// that the response time does not reveal what was wrong.
fn derived_key(
    rules: &Current,
    username: &str,
    algorithm: PasswordAlgorithm,
    integrity: &Integrity<'_>,
) -> Option<IntegrityKey> {
    let mut found = None;
    for password in rules.secrets.passwords(username) {
        let key = integrity.key(&algorithm.key(username, &rules.realm, &password));
        if integrity.verify(&key) {
            found = Some(key);
        }
    }
    let static_key = static_key(rules, username, algorithm, integrity);
    // A secret verifies no static name, and a password no time-limited one.
    if Username::parse(username).is_ok() { found } else { static_key }
}

/// Returns the key that a request was signed with, if it is that of the static user.
fn static_key(
    rules: &Current,
    username: &str,
    algorithm: PasswordAlgorithm,
    integrity: &Integrity<'_>,
) -> Option<IntegrityKey> {
    if rules.users.is_empty() {
        return None;
    }
    let stored = rules.users.keys(username).and_then(|keys| match algorithm {
        PasswordAlgorithm::Md5 => keys.md5.as_deref(),
        PasswordAlgorithm::Sha256 => keys.sha256.as_deref(),
    });
    // A name that is not there takes as long as one that is.
    let key = integrity.key(stored.unwrap_or_default());
    let is_signed = integrity.verify(&key);
    stored.filter(|_| is_signed).map(|_| key)
}
