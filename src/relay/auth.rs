//! The long-term credential mechanism over time-limited credentials (RFC 8489 section 9.2, RFC 8656 section 5).

use super::allocation::Allocation;
use super::shared::Shared;
use crate::clock::Now;
use crate::credentials::Username;
use crate::wire::{ErrorCode, Integrity, IntegrityKey, Message};
use std::net::SocketAddr;

/// Who sent a request, proven.
pub(super) struct Client<'m> {
    pub(super) username: &'m str,
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

/// Authenticates a request, in the order of RFC 8489 section 9.2.4.
///
/// A living allocation is used with the credential that it was made with, even past that credential's expiry, as long
/// as it is refreshed and until [`super::MAX_ALLOCATION_AGE`]: a browser cannot change the credential of an allocation,
/// and a call must not end in the middle. A new allocation needs one that has not expired.
pub(super) fn authenticate<'m>(
    shared: &Shared,
    now: Now,
    client: SocketAddr,
    message: &Message<'m>,
    allocation: Option<&Allocation>,
) -> Result<Client<'m>, Refusal> {
    let attributes = message.attributes();
    let integrity = message.integrity().ok_or(Refusal::NoCredentials)?;
    let username = attributes.username().map_err(|_| Refusal::BadRequest)?.ok_or(Refusal::BadRequest)?;
    attributes.realm().ok_or(Refusal::BadRequest)?;
    let nonce = attributes.nonce().ok_or(Refusal::BadRequest)?;
    if !shared.nonces.check(now, client, nonce) {
        return Err(Refusal::StaleNonce);
    }
    let key = match allocation.filter(|allocation| *allocation.username == *username) {
        Some(allocation) => integrity.verify(&allocation.key).then(|| allocation.key.clone()),
        None => stranger_key(shared, now, username, &integrity),
    };
    Ok(Client { username, key: key.ok_or(Refusal::WrongCredentials)? })
}

/// The key with which a stranger signed, if the username is good and one of the secrets made its password. Every secret
/// is tried for every username, so that what was wrong does not show in the time it takes.
fn stranger_key(
    shared: &Shared,
    now: Now,
    username: &str,
    integrity: &Integrity<'_>,
) -> Option<IntegrityKey> {
    let is_good = Username::parse(username).and_then(|username| username.check(now)).is_ok();
    let mut found = None;
    for password in shared.secrets.passwords(username) {
        let key = IntegrityKey::new(&turn::auth::generate_auth_key(username, &shared.realm, &password));
        if integrity.verify(&key) {
            found = Some(key);
        }
    }
    found.filter(|_| is_good)
}
