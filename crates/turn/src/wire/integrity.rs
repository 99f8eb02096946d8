//! MESSAGE-INTEGRITY and MESSAGE-INTEGRITY-SHA256 (RFC 8489 sections 14.5 and 14.6).

use hmac::{Hmac, KeyInit as _, Mac};
use sha1::Sha1;
use sha2::Sha256;
use stun::attributes::{ATTR_MESSAGE_INTEGRITY, ATTR_MESSAGE_INTEGRITY_SHA256, AttrType};
use stun::message::Message as Builder;

use super::attributes::length_field;
use super::message::{ATTRIBUTE_HEADER, HEADER};

/// Bytes of a MESSAGE-INTEGRITY value.
const SHA1: usize = 20;
/// Bytes of an untruncated MESSAGE-INTEGRITY-SHA256 value, as this server writes it.
const SHA256: usize = 32;
/// Bytes of the shortest truncated value that is accepted: 128 bits cannot be guessed either.
const SHA256_MIN: usize = 16;

/// Integrity attribute, named by its hash.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Algorithm {
    Sha1,
    Sha256,
}

impl Algorithm {
    /// Returns the algorithm of an integrity attribute; `None` for any other type.
    pub(super) fn of(kind: AttrType) -> Option<Self> {
        match kind {
            ATTR_MESSAGE_INTEGRITY => Some(Self::Sha1),
            ATTR_MESSAGE_INTEGRITY_SHA256 => Some(Self::Sha256),
            _ => None,
        }
    }

    /// Whether a value may have this many bytes: 20, or from 16 to 32 in steps of 4.
    pub(super) fn allows(self, length: usize) -> bool {
        match self {
            Self::Sha1 => length == SHA1,
            Self::Sha256 => (SHA256_MIN..=SHA256).contains(&length) && length.is_multiple_of(4),
        }
    }
}

/// HMAC key for one of the two attributes. The key is already hashed, so a message costs one clone
/// and its own bytes.
#[derive(Clone)]
pub struct IntegrityKey(Keyed);

#[derive(Clone)]
enum Keyed {
    Sha1(Hmac<Sha1>),
    Sha256(Hmac<Sha256>),
}

impl IntegrityKey {
    /// Creates a key for MESSAGE-INTEGRITY from key bytes.
    #[must_use]
    pub fn sha1(key: &[u8]) -> Self {
        Self(Keyed::Sha1(Hmac::new_from_slice(key).expect("HMAC takes a key of any length")))
    }

    /// Creates a key for MESSAGE-INTEGRITY-SHA256 from key bytes.
    #[must_use]
    pub fn sha256(key: &[u8]) -> Self {
        Self(Keyed::Sha256(Hmac::new_from_slice(key).expect("HMAC takes a key of any length")))
    }

    /// Signs a message as built so far: appends the integrity attribute of this key.
    pub fn sign(&self, message: &mut Builder) {
        match &self.0 {
            Keyed::Sha1(key) => {
                let value = over(key, &message.raw, SHA1).finalize().into_bytes();
                message.add(ATTR_MESSAGE_INTEGRITY, &value);
            }
            Keyed::Sha256(key) => {
                let value = over(key, &message.raw, SHA256).finalize().into_bytes();
                message.add(ATTR_MESSAGE_INTEGRITY_SHA256, &value);
            }
        }
    }
}

impl std::fmt::Debug for IntegrityKey {
    /// Redacts the key, so that it never reaches a log.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("IntegrityKey(redacted)")
    }
}

/// Integrity attribute of a received message, not yet verified.
#[derive(Clone, Copy, Debug)]
pub struct Integrity<'a> {
    pub(super) algorithm: Algorithm,
    /// Message up to the attribute.
    pub(super) covered: &'a [u8],
    pub(super) stated: &'a [u8],
}

impl Integrity<'_> {
    /// Creates a key for the attribute that this message carries, from key bytes.
    #[must_use]
    pub fn key(&self, key: &[u8]) -> IntegrityKey {
        match self.algorithm {
            Algorithm::Sha1 => IntegrityKey::sha1(key),
            Algorithm::Sha256 => IntegrityKey::sha256(key),
        }
    }

    /// Whether the message was signed with `key`. A key for the other attribute never matches.
    ///
    /// Takes the same time for every wrong key of this attribute.
    #[must_use]
    pub fn verify(&self, key: &IntegrityKey) -> bool {
        let length = self.stated.len();
        match (&key.0, self.algorithm) {
            (Keyed::Sha1(key), Algorithm::Sha1) => {
                over(key, self.covered, length).verify_slice(self.stated).is_ok()
            }
            // Section 14.6: the value may be truncated; the parser has checked its length.
            (Keyed::Sha256(key), Algorithm::Sha256) => {
                over(key, self.covered, length).verify_truncated_left(self.stated).is_ok()
            }
            _ => false,
        }
    }
}

/// Hashes a message up to its integrity attribute. The length field is replaced by the length that
/// the message has when that attribute, with a value of `value` bytes, ends it.
fn over<M: Mac + Clone>(key: &M, covered: &[u8], value: usize) -> M {
    let length = covered.len().saturating_sub(HEADER) + ATTRIBUTE_HEADER + value;
    let mut mac = key.clone();
    if let Some((kind, [_, _, rest @ ..])) = covered.split_first_chunk::<2>() {
        mac.update(kind);
        mac.update(&length_field(length));
        mac.update(rest);
    }
    mac
}
