//! Join tokens: who may enter which room, signed by us or by the developer's own backend (RFC 7519). Pure.
//!
//! A token is read with keys that each know their one algorithm: what its header says chooses among them and nothing more,
//! so that neither `none` nor a public key taken for a secret gets anybody in (RFC 8725 section 3.1).

use std::time::Duration;

use jsonwebtoken::jwk::{AlgorithmParameters, EllipticCurve, Jwk};
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, Validation, decode, decode_header, encode};
use serde::{Deserialize, Serialize};

use crate::clock::Now;
use crate::config;

/// What a token lets its bearer do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Grant {
    /// Enter this room and no other.
    pub room: String,
    /// Under this name and no other, if it says one.
    pub name: Option<String>,
    /// As long as the room has fewer members than this; no more than the server's own limit.
    pub max_members: Option<usize>,
}

/// Why a token lets nobody in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TokenError {
    /// Not a token that one of our keys has signed for us: its form, algorithm, signature or audience.
    #[error("not a token for this server")]
    Bad,
    /// `exp` has passed, or `nbf` is yet to come.
    #[error("expired")]
    Expired,
}

/// The claims (RFC 7519 section 4).
#[derive(Serialize, Deserialize)]
struct Claims {
    aud: Audience,
    exp: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    nbf: Option<u64>,
    room: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    name: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    max_members: Option<usize>,
}

/// One or several (RFC 7519 section 4.1.3).
#[derive(Serialize, Deserialize)]
#[serde(untagged)]
enum Audience {
    One(String),
    Several(Vec<String>),
}

/// Makes tokens, and reads those of others.
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
    /// By these secrets, of which the first signs, and the configured public keys.
    ///
    /// # Panics
    /// Never: there is at least one secret, and the configuration holds keys of the two kinds only.
    #[must_use]
    pub fn new<S: AsRef<[u8]>>(first: &S, others: &[S], config: &config::Tokens) -> Self {
        let secrets = std::iter::once(first).chain(others).map(|secret| Key {
            algorithm: Algorithm::HS256,
            id: None,
            key: DecodingKey::from_secret(secret.as_ref()),
        });
        let set = config.keys.iter().flat_map(|set| &set.keys);
        let public = set.filter_map(|jwk| {
            Some(Key {
                algorithm: algorithm_of(jwk)?,
                id: jwk.common.key_id.clone(),
                key: DecodingKey::from_jwk(jwk).ok()?,
            })
        });
        Self {
            signing: EncodingKey::from_secret(first.as_ref()),
            keys: secrets.chain(public).collect(),
            audience: config.audience.clone(),
        }
    }

    /// A token for `grant` that is good for `ttl`, and when it ends, in seconds since 1970-01-01 UTC.
    #[must_use]
    pub fn issue(&self, now: Now, grant: Grant, ttl: Duration) -> (String, u64) {
        let Grant { room, name, max_members } = grant;
        let exp = now.unix.saturating_add(ttl.as_secs());
        let claims =
            Claims { aud: Audience::One(self.audience.clone()), exp, nbf: None, room, name, max_members };
        let token = encode(&Header::new(Algorithm::HS256), &claims, &self.signing);
        (token.expect("HMAC takes a key of any length, and the claims are texts and numbers"), exp)
    }

    /// Reads a token.
    ///
    /// # Errors
    /// [`TokenError`]; which of its parts is bad is not told.
    pub fn check(&self, now: Now, token: &str) -> Result<Grant, TokenError> {
        let header = decode_header(token).map_err(|_| TokenError::Bad)?;
        let fits = |key: &&Key| {
            let named = matches!((&key.id, &header.kid), (Some(ours), Some(theirs)) if ours != theirs);
            key.algorithm == header.alg && !named
        };
        let claims = self.keys.iter().filter(fits).find_map(|key| read(token, key)).ok_or(TokenError::Bad)?;
        let is_for_us = match &claims.aud {
            Audience::One(audience) => *audience == self.audience,
            Audience::Several(audiences) => audiences.contains(&self.audience),
        };
        if !is_for_us {
            return Err(TokenError::Bad);
        }
        if claims.exp <= now.unix || claims.nbf.is_some_and(|begin| begin > now.unix) {
            return Err(TokenError::Expired);
        }
        Ok(Grant { room: claims.room, name: claims.name, max_members: claims.max_members })
    }
}

/// The claims, if `key` has signed them. Their times are held against ours by who asks: the library would read a clock.
fn read(token: &str, key: &Key) -> Option<Claims> {
    let mut validation = Validation::new(key.algorithm);
    (validation.validate_exp, validation.validate_nbf, validation.validate_aud) = (false, false, false);
    validation.required_spec_claims.clear();
    decode::<Claims>(token, &key.key, &validation).ok().map(|token| token.claims)
}

/// The algorithm of a public key, if it is one of the two kinds that are taken.
#[must_use]
pub fn algorithm_of(jwk: &Jwk) -> Option<Algorithm> {
    match &jwk.algorithm {
        AlgorithmParameters::OctetKeyPair(key) if key.curve == EllipticCurve::Ed25519 => {
            Some(Algorithm::EdDSA)
        }
        AlgorithmParameters::EllipticCurve(key) if key.curve == EllipticCurve::P256 => Some(Algorithm::ES256),
        _ => None,
    }
}

impl std::fmt::Debug for Tokens {
    /// Secrets never reach a log.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Tokens({} keys redacted)", self.keys.len())
    }
}
