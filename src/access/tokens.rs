//! Join tokens (RFC 7519): signed by this server or by the developer's own backend, each for one
//! room. An operator's token is for none, and allows its bearer to make others. Pure.
//!
//! Each key verifies exactly one algorithm. The token's header only selects among the keys, so
//! neither `none` nor a public key taken for a secret is accepted (RFC 8725 section 3.1).

mod claims;

use std::time::Duration;

use byway_turn::auth::Secret;
use byway_turn::time::Now;
use jsonwebtoken::jwk::{AlgorithmParameters, EllipticCurve, Jwk, JwkSet};
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, Validation, decode, decode_header, encode};

use self::claims::{Audience, Claims};
use super::grant::{Grant, Rights, Role};

/// Longest lifetime of a token that this server signs. Only another secret revokes one earlier.
pub const MAX_TTL: Duration = Duration::from_secs(30 * 24 * 3600);

/// Longest lifetime of a token that a host or an operator has signed. A browser holds the right to
/// ask for it, so it is shorter than a program's.
pub const MAX_HOST_TTL: Duration = Duration::from_secs(7 * 24 * 3600);

/// Default lifetime of an invitation.
pub const DEFAULT_TTL: Duration = Duration::from_secs(3600);

/// Default lifetime of an operator's token.
pub const DEFAULT_OPERATOR_TTL: Duration = Duration::from_secs(7 * 24 * 3600);

/// Seconds that `nbf` may lie ahead: the clocks of two servers differ, and a token is used as soon
/// as it is made.
const NOT_BEFORE_LEEWAY: u64 = 30;

/// Seconds that `exp` or `nbf` may lie ahead, a leap year. Dates in milliseconds lie millennia
/// ahead.
const FURTHEST: u64 = 366 * 24 * 3600;

/// Bytes of a token that are looked at. The longest names there are take a third of it.
const LONGEST: usize = 4 * 1024;

/// Keys of join tokens, and the audience that they are for.
#[derive(Clone, PartialEq)]
pub struct Settings {
    /// Secrets of HS256: the first signs, all verify. Empty: those of the credentials.
    pub secrets: Vec<Secret>,
    /// Public keys of EdDSA and ES256.
    pub keys: Option<JwkSet>,
    /// Required value of `aud`: the realm, unless configured.
    pub audience: String,
}

impl std::fmt::Debug for Settings {
    /// Prints the number of public keys only: a set may be long.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { secrets, keys, audience } = self;
        let keys = keys.as_ref().map_or(0, |set| set.keys.len());
        write!(f, "Tokens {{ secrets: {secrets:?}, keys: {keys}, audience: {audience:?} }}")
    }
}

/// Reason to reject a join token.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TokenError {
    /// Not a token that one of our keys has signed for us: its form, algorithm, signature, audience
    /// or other claims.
    #[error("not a token for this server")]
    Bad,
    /// `exp` has passed.
    #[error("expired")]
    Expired,
    /// `nbf` lies further ahead than clocks differ.
    #[error("not valid yet")]
    NotYetValid,
    /// `exp` or `nbf` lies more than a year ahead.
    #[error("its dates are more than a year ahead: milliseconds?")]
    TooFarAhead,
    /// An operator's token, where one for a room is needed.
    #[error("an operator's token is for no room")]
    NoRoom,
}

/// Signs join tokens, and verifies them.
pub struct Tokens {
    signing: EncodingKey,
    keys: Vec<Key>,
    audience: String,
}

/// A key with the one algorithm that it verifies.
struct Key {
    algorithm: Algorithm,
    /// A token that names a key is held against keys of that name and those without one.
    id: Option<String>,
    key: DecodingKey,
}

impl Tokens {
    /// Uses the configured keys. If there is no secret among them, it uses those of the
    /// `credentials`: the first signs, all verify. Returns `None` without any key.
    #[must_use]
    pub fn new<S: AsRef<[u8]>>(settings: &Settings, credentials: &[S]) -> Option<Self> {
        let mut secrets: Vec<&[u8]> = settings.secrets.iter().map(AsRef::as_ref).collect();
        if secrets.is_empty() {
            secrets = credentials.iter().map(AsRef::as_ref).collect();
        }
        let signing = EncodingKey::from_secret(secrets.first()?);
        let secrets = secrets.iter().map(|secret| Key {
            algorithm: Algorithm::HS256,
            id: None,
            key: DecodingKey::from_secret(secret),
        });
        let set = settings.keys.iter().flat_map(|set| &set.keys);
        let public = set.filter_map(|jwk| {
            let (algorithm, key) = verifier(jwk)?;
            Some(Key { algorithm, id: jwk.common.key_id.clone(), key })
        });
        Some(Self { signing, keys: secrets.chain(public).collect(), audience: settings.audience.clone() })
    }

    /// A token for `grant` that is good for `ttl`, at most [`MAX_TTL`], and when it ends, in
    /// seconds since 1970-01-01 UTC.
    ///
    /// # Panics
    /// Never: HMAC takes a key of any length, and the claims are texts and numbers.
    #[must_use]
    pub fn issue(&self, now: Now, grant: Grant, ttl: Duration) -> (String, u64) {
        let Grant { room, name, max_members, role, region } = grant;
        let claims = Claims {
            room: Some(room.as_str().to_owned()),
            name: name.map(|name| name.as_str().to_owned()),
            max_members,
            host: Some(role == Role::Host),
            viewer: Some(role == Role::Viewer),
            region: region.map(String::from),
            ..self.claims(now, ttl)
        };
        self.sign(&claims)
    }

    /// An operator's token that is good for `ttl`, at most [`MAX_TTL`], and when it ends, in
    /// seconds since 1970-01-01 UTC.
    ///
    /// # Panics
    /// Never, as [`Self::issue`].
    #[must_use]
    pub fn issue_operator(&self, now: Now, ttl: Duration) -> (String, u64) {
        self.sign(&Claims { operator: Some(true), ..self.claims(now, ttl) })
    }

    /// Claims of a token for this server that grants nothing yet.
    fn claims(&self, now: Now, ttl: Duration) -> Claims {
        let exp = now.unix.saturating_add(ttl.min(MAX_TTL).as_secs());
        Claims { aud: Audience::One(self.audience.clone()), exp, ..Claims::default() }
    }

    fn sign(&self, claims: &Claims) -> (String, u64) {
        let token = encode(&Header::new(Algorithm::HS256), claims, &self.signing);
        (token.expect("HMAC takes a key of any length, and the claims are texts and numbers"), claims.exp)
    }

    /// Reads a token for a room.
    ///
    /// # Errors
    /// [`TokenError`]. It does not reveal which part is wrong.
    pub fn check(&self, now: Now, token: &str) -> Result<Grant, TokenError> {
        match self.read(now, token)?.0 {
            Rights::Room(grant) => Ok(grant),
            Rights::Operator => Err(TokenError::NoRoom),
        }
    }

    /// Reads a token of either kind. Returns its rights and when it ends, in seconds since
    /// 1970-01-01 UTC.
    ///
    /// # Errors
    /// [`TokenError`], but never [`TokenError::NoRoom`].
    pub fn read(&self, now: Now, token: &str) -> Result<(Rights, u64), TokenError> {
        if token.len() > LONGEST {
            return Err(TokenError::Bad);
        }
        let header = decode_header(token).map_err(|_| TokenError::Bad)?;
        // A verifier must reject critical headers that it does not know (RFC 7515 section 4.1.11).
        if header.crit.is_some() {
            return Err(TokenError::Bad);
        }
        let fits = |key: &&Key| {
            let named = matches!((&key.id, &header.kid), (Some(ours), Some(theirs)) if ours != theirs);
            key.algorithm == header.alg && !named
        };
        let claims =
            self.keys.iter().filter(fits).find_map(|key| verified(token, key)).ok_or(TokenError::Bad)?;
        let is_for_us = match &claims.aud {
            Audience::One(audience) => *audience == self.audience,
            Audience::Several(audiences) => audiences.contains(&self.audience),
        };
        if !is_for_us {
            return Err(TokenError::Bad);
        }
        let (exp, begin) = (claims.exp, claims.nbf.unwrap_or(0));
        if exp.max(begin) > now.unix.saturating_add(FURTHEST) {
            return Err(TokenError::TooFarAhead);
        }
        if exp <= now.unix {
            return Err(TokenError::Expired);
        }
        if begin > now.unix.saturating_add(NOT_BEFORE_LEEWAY) {
            return Err(TokenError::NotYetValid);
        }
        Ok((claims.rights().ok_or(TokenError::Bad)?, exp))
    }
}

/// Returns the claims, if `key` has signed them. The caller checks their times, because the library
/// would read a clock.
fn verified(token: &str, key: &Key) -> Option<Claims> {
    let mut validation = Validation::new(key.algorithm);
    (validation.validate_exp, validation.validate_nbf, validation.validate_aud) = (false, false, false);
    validation.required_spec_claims.clear();
    decode::<Claims>(token, &key.key, &validation).ok().map(|token| token.claims)
}

/// Returns the algorithm and verification key of a public key, if it is usable and of a supported
/// kind.
#[must_use]
pub fn verifier(jwk: &Jwk) -> Option<(Algorithm, DecodingKey)> {
    let algorithm = match &jwk.algorithm {
        AlgorithmParameters::OctetKeyPair(key) if key.curve == EllipticCurve::Ed25519 => Algorithm::EdDSA,
        AlgorithmParameters::EllipticCurve(key) if key.curve == EllipticCurve::P256 => Algorithm::ES256,
        _ => return None,
    };
    Some((algorithm, DecodingKey::from_jwk(jwk).ok()?))
}

impl std::fmt::Debug for Tokens {
    /// Secrets never reach a log.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Tokens({} keys redacted)", self.keys.len())
    }
}

#[cfg(test)]
mod tests;
