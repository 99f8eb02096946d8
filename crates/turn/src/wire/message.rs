//! Parser of STUN messages (RFC 8489 section 5). It borrows the datagram and checks it once.

use stun::attributes::{ATTR_FINGERPRINT, AttrType};
use stun::message::{MAGIC_COOKIE, MessageClass, MessageType, Method};

use super::attributes::Attributes;
use super::integrity::{Algorithm, Integrity};
use super::padded;

/// Bytes of a STUN header.
pub(super) const HEADER: usize = 20;
/// Bytes of an attribute's type and length.
pub(super) const ATTRIBUTE_HEADER: usize = 4;
/// Bytes of a FINGERPRINT attribute with its header.
pub(super) const FINGERPRINT: usize = ATTRIBUTE_HEADER + 4;
/// Value that the CRC-32 of a message is XORed with to give FINGERPRINT (RFC 8489 section 14.7).
const FINGERPRINT_XOR: u32 = 0x5354_554e;

/// Transaction ID (RFC 8489 section 5).
pub type TransactionId = [u8; 12];

/// Reason why a datagram is not a valid STUN message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ParseError {
    /// Shorter than a header, or than an attribute's length claims.
    #[error("truncated")]
    Truncated,
    /// At least one of the two top bits is set.
    #[error("not a STUN message type")]
    Type,
    /// No magic cookie. RFC 3489 is not supported.
    #[error("no magic cookie")]
    Cookie,
    /// The length field is not a multiple of four, or does not match the datagram.
    #[error("the length field does not match the datagram")]
    Length,
    /// MESSAGE-INTEGRITY, MESSAGE-INTEGRITY-SHA256 or FINGERPRINT of a wrong size, or an attribute
    /// behind FINGERPRINT.
    #[error("MESSAGE-INTEGRITY or FINGERPRINT malformed or misplaced")]
    Trailer,
    /// FINGERPRINT does not match the message.
    #[error("FINGERPRINT does not match")]
    Fingerprint,
}

/// Parts of a request that its response repeats.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Head {
    /// Method of the request.
    pub method: Method,
    /// Transaction ID of the request.
    pub transaction: TransactionId,
    /// Whether the request has a FINGERPRINT; then the response has one too (RFC 8489 section 7).
    pub fingerprint: bool,
}

/// One attribute, without its padding.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Attribute<'a> {
    /// Attribute type.
    pub kind: AttrType,
    /// Attribute value.
    pub value: &'a [u8],
}

/// STUN message all of whose lengths have been checked.
#[derive(Clone, Copy, Debug)]
pub struct Message<'a> {
    bytes: &'a [u8],
    kind: MessageType,
    transaction: TransactionId,
    /// End of the attributes that count: the first integrity attribute, FINGERPRINT or the end.
    attributes_end: usize,
    /// Offset and algorithm of the integrity attribute that counts.
    integrity_at: Option<(usize, Algorithm)>,
    has_fingerprint: bool,
}

impl<'a> Message<'a> {
    /// Parses a whole datagram.
    ///
    /// # Errors
    /// [`ParseError`]; such a datagram is dropped, never answered (RFC 8489 section 6.3).
    pub fn parse(bytes: &'a [u8]) -> Result<Self, ParseError> {
        let (header, body) = bytes.split_first_chunk::<HEADER>().ok_or(ParseError::Truncated)?;
        let [t0, t1, l0, l1, c0, c1, c2, c3, transaction @ ..] = *header;
        if t0 & 0b1100_0000 != 0 {
            return Err(ParseError::Type);
        }
        if u32::from_be_bytes([c0, c1, c2, c3]) != MAGIC_COOKIE {
            return Err(ParseError::Cookie);
        }
        let length = usize::from(u16::from_be_bytes([l0, l1]));
        if length % 4 != 0 || length != body.len() {
            return Err(ParseError::Length);
        }
        let mut kind = MessageType::default();
        kind.read_value(u16::from_be_bytes([t0, t1]));

        let mut message = Self {
            bytes,
            kind,
            transaction,
            attributes_end: bytes.len(),
            integrity_at: None,
            has_fingerprint: false,
        };
        message.check_attributes(body)?;
        Ok(message)
    }

    /// Checks all attributes once, so that no later iteration meets an invalid length.
    fn check_attributes(&mut self, body: &[u8]) -> Result<(), ParseError> {
        let mut rest = body;
        while !rest.is_empty() {
            let at = self.bytes.len() - rest.len();
            let (attribute, behind) = split_attribute(rest).ok_or(ParseError::Truncated)?;
            if attribute.kind == ATTR_FINGERPRINT {
                // Section 14.7: FINGERPRINT is the last attribute.
                let stated: [u8; 4] = attribute.value.try_into().map_err(|_| ParseError::Trailer)?;
                if !behind.is_empty() {
                    return Err(ParseError::Trailer);
                }
                if u32::from_be_bytes(stated) != fingerprint(self.bytes.get(..at).unwrap_or_default()) {
                    return Err(ParseError::Fingerprint);
                }
                self.has_fingerprint = true;
                self.attributes_end = self.attributes_end.min(at);
            } else if let Some(algorithm) = Algorithm::of(attribute.kind).filter(|&it| self.counts(it)) {
                if !algorithm.allows(attribute.value.len()) {
                    return Err(ParseError::Trailer);
                }
                self.integrity_at = Some((at, algorithm));
                self.attributes_end = self.attributes_end.min(at);
            }
            rest = behind;
        }
        Ok(())
    }

    /// Whether a further integrity attribute counts, behind those seen so far.
    ///
    /// RFC 8489 section 9: behind MESSAGE-INTEGRITY everything but MESSAGE-INTEGRITY-SHA256 is
    /// ignored; behind the latter, everything. Section 9.2.4: if both are present,
    /// MESSAGE-INTEGRITY-SHA256 is the one to verify.
    fn counts(&self, algorithm: Algorithm) -> bool {
        match self.integrity_at {
            None => true,
            Some((_, before)) => before == Algorithm::Sha1 && algorithm == Algorithm::Sha256,
        }
    }

    /// Number of bytes, including the header.
    #[must_use]
    pub fn size(&self) -> usize {
        self.bytes.len()
    }

    /// Method (RFC 8489 section 5).
    #[must_use]
    pub fn method(&self) -> Method {
        self.kind.method
    }

    /// Class (RFC 8489 section 5).
    #[must_use]
    pub fn class(&self) -> MessageClass {
        self.kind.class
    }

    /// Transaction ID.
    #[must_use]
    pub fn transaction(&self) -> TransactionId {
        self.transaction
    }

    /// Parts that the response repeats.
    #[must_use]
    pub fn head(&self) -> Head {
        Head { method: self.kind.method, transaction: self.transaction, fingerprint: self.has_fingerprint }
    }

    /// Attributes that count, with typed access.
    #[must_use]
    pub fn attributes(&self) -> Attributes<'a> {
        Attributes::new(self.bytes.get(..self.attributes_end).unwrap_or_default(), self.transaction)
    }

    /// Integrity attribute, if present: MESSAGE-INTEGRITY-SHA256, else MESSAGE-INTEGRITY (RFC 8489
    /// section 9.2.4).
    #[must_use]
    pub fn integrity(&self) -> Option<Integrity<'a>> {
        let (at, algorithm) = self.integrity_at?;
        let (covered, rest) = self.bytes.split_at_checked(at)?;
        let (attribute, _) = split_attribute(rest)?;
        Some(Integrity { algorithm, covered, stated: attribute.value })
    }
}

/// Splits `bytes` into its first attribute and the rest.
pub(super) fn split_attribute(bytes: &[u8]) -> Option<(Attribute<'_>, &[u8])> {
    let (&[k0, k1, l0, l1], body) = bytes.split_first_chunk::<ATTRIBUTE_HEADER>()?;
    let length = usize::from(u16::from_be_bytes([l0, l1]));
    let (value, behind) = body.split_at_checked(padded(length))?;
    Some((Attribute { kind: AttrType(u16::from_be_bytes([k0, k1])), value: value.get(..length)? }, behind))
}

/// FINGERPRINT of the message bytes before it. The length field in `covered` must already count the
/// attribute.
pub(super) fn fingerprint(covered: &[u8]) -> u32 {
    crc32fast::hash(covered) ^ FINGERPRINT_XOR
}
