//! The one parser of STUN input (RFC 8489 section 5): borrowed, checked once.

use stun::attributes::{ATTR_FINGERPRINT, AttrType};
use stun::message::{MAGIC_COOKIE, MessageClass, MessageType, Method};

use super::attributes::Attributes;
use super::integrity::{Algorithm, Integrity};
use super::padded;

/// Bytes of a STUN header.
pub(super) const HEADER: usize = 20;
/// Bytes of an attribute's type and length.
pub(super) const ATTRIBUTE_HEADER: usize = 4;
/// Bytes of a whole FINGERPRINT.
pub(super) const FINGERPRINT: usize = ATTRIBUTE_HEADER + 4;
/// FINGERPRINT is the CRC-32 of the message with this over it (RFC 8489 section 14.7).
const FINGERPRINT_XOR: u32 = 0x5354_554e;

/// Identifies a transaction (RFC 8489 section 5).
pub type TransactionId = [u8; 12];

/// Why a datagram is not a STUN message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ParseError {
    /// Shorter than a header, or than an attribute's length says.
    #[error("truncated")]
    Truncated,
    /// The two top bits are set.
    #[error("not a STUN message type")]
    Type,
    /// No magic cookie: RFC 3489 is not spoken here.
    #[error("no magic cookie")]
    Cookie,
    /// The length field is no multiple of four, or not that of the datagram.
    #[error("the length field does not fit")]
    Length,
    /// Either MESSAGE-INTEGRITY or FINGERPRINT of a wrong size, or an attribute behind FINGERPRINT.
    #[error("MESSAGE-INTEGRITY or FINGERPRINT malformed or misplaced")]
    Trailer,
    /// FINGERPRINT does not fit the message.
    #[error("FINGERPRINT does not match")]
    Fingerprint,
}

/// What a response takes over from its request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Head {
    /// The method.
    pub method: Method,
    /// The transaction.
    pub transaction: TransactionId,
    /// Whether there is a FINGERPRINT; the response then carries one, too (RFC 8489 section 7).
    pub fingerprint: bool,
}

/// One attribute, its padding cut off.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Attribute<'a> {
    /// Its type.
    pub kind: AttrType,
    /// Its value.
    pub value: &'a [u8],
}

/// A STUN message whose every length has been checked.
#[derive(Clone, Copy, Debug)]
pub struct Message<'a> {
    bytes: &'a [u8],
    kind: MessageType,
    transaction: TransactionId,
    /// Where the attributes end that count: at either MESSAGE-INTEGRITY, FINGERPRINT or the end.
    attributes_end: usize,
    /// Where the signature begins that counts, and which attribute it is.
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

    /// Walks all attributes once, so that no later walk can meet a length that does not fit.
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

    /// Whether an integrity attribute counts that stands behind what has been walked so far.
    /// Section 9: behind MESSAGE-INTEGRITY everything is ignored but MESSAGE-INTEGRITY-SHA256,
    /// behind that one everything; and section 9.2.4: where there are both,
    /// MESSAGE-INTEGRITY-SHA256 is the one to verify.
    fn counts(&self, algorithm: Algorithm) -> bool {
        match self.integrity_at {
            None => true,
            Some((_, before)) => before == Algorithm::Sha1 && algorithm == Algorithm::Sha256,
        }
    }

    /// How many bytes it has, its header included.
    #[must_use]
    pub fn size(&self) -> usize {
        self.bytes.len()
    }

    /// The method.
    #[must_use]
    pub fn method(&self) -> Method {
        self.kind.method
    }

    /// The class.
    #[must_use]
    pub fn class(&self) -> MessageClass {
        self.kind.class
    }

    /// The transaction.
    #[must_use]
    pub fn transaction(&self) -> TransactionId {
        self.transaction
    }

    /// What the response to it takes over.
    #[must_use]
    pub fn head(&self) -> Head {
        Head { method: self.kind.method, transaction: self.transaction, fingerprint: self.has_fingerprint }
    }

    /// The attributes that count, typed.
    #[must_use]
    pub fn attributes(&self) -> Attributes<'a> {
        Attributes::new(self.bytes.get(..self.attributes_end).unwrap_or_default(), self.transaction)
    }

    /// Its signature, if there is one: MESSAGE-INTEGRITY-SHA256, else MESSAGE-INTEGRITY (section
    /// 9.2.4).
    #[must_use]
    pub fn integrity(&self) -> Option<Integrity<'a>> {
        let (at, algorithm) = self.integrity_at?;
        let (covered, rest) = self.bytes.split_at_checked(at)?;
        let (attribute, _) = split_attribute(rest)?;
        Some(Integrity { algorithm, covered, stated: attribute.value })
    }
}

/// The attribute in front of `bytes`, and what is behind it.
pub(super) fn split_attribute(bytes: &[u8]) -> Option<(Attribute<'_>, &[u8])> {
    let (&[k0, k1, l0, l1], body) = bytes.split_first_chunk::<ATTRIBUTE_HEADER>()?;
    let length = usize::from(u16::from_be_bytes([l0, l1]));
    let (value, behind) = body.split_at_checked(padded(length))?;
    Some((Attribute { kind: AttrType(u16::from_be_bytes([k0, k1])), value: value.get(..length)? }, behind))
}

/// The FINGERPRINT of a message that ends in front of it. Its length field must already count the
/// attribute.
pub(super) fn fingerprint(covered: &[u8]) -> u32 {
    crc32fast::hash(covered) ^ FINGERPRINT_XOR
}
