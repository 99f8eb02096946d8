//! Responses and indications, read with the `stun` crate.

use std::net::SocketAddr;

use stun::addr::MappedAddress;
use stun::attributes::{
    ATTR_DATA, ATTR_ERROR_CODE, ATTR_FINGERPRINT, ATTR_LIFETIME, ATTR_NONCE, ATTR_XOR_PEER_ADDRESS,
    ATTR_XOR_RELAYED_ADDRESS, ATTR_XORMAPPED_ADDRESS, AttrType,
};
use stun::fingerprint::FINGERPRINT;
use stun::integrity::MessageIntegrity;
use stun::message::{CLASS_ERROR_RESPONSE, CLASS_SUCCESS_RESPONSE, Message, MessageType};
use stun::xoraddr::XorMappedAddress;

/// ADDRESS-ERROR-CODE (RFC 8656 section 18.12), which the `stun` crate lacks.
const ATTR_ADDRESS_ERROR_CODE: AttrType = AttrType(0x8001);

/// A message from the server.
#[derive(Clone, Debug)]
pub struct Response {
    message: Message,
}

impl Response {
    /// Parses a whole message, and checks its FINGERPRINT, if any.
    pub fn read(bytes: &[u8]) -> Self {
        let mut message = Message::new();
        message.raw = bytes.to_vec();
        message.decode().unwrap();
        assert_eq!(message.raw.len(), 20 + message.length as usize, "nothing trails the message");
        if message.contains(ATTR_FINGERPRINT) {
            FINGERPRINT.check(&message).unwrap();
        }
        Self { message }
    }

    /// Returns the whole message.
    pub fn bytes(&self) -> &[u8] {
        &self.message.raw
    }

    /// Returns method and class.
    pub fn kind(&self) -> MessageType {
        self.message.typ
    }

    /// Returns the transaction ID.
    pub fn transaction(&self) -> [u8; 12] {
        self.message.transaction_id.0
    }

    /// Returns 0 for success, else the error code. The error must have no reason phrase.
    pub fn code(&self) -> u16 {
        if self.message.typ.class == CLASS_SUCCESS_RESPONSE {
            return 0;
        }
        assert_eq!(self.message.typ.class, CLASS_ERROR_RESPONSE);
        match self.get(ATTR_ERROR_CODE)[..] {
            [0, 0, hundreds, rest] => u16::from(hundreds) * 100 + u16::from(rest),
            _ => panic!("ERROR-CODE with a reason phrase"),
        }
    }

    /// Returns the types of its attributes, in order.
    pub fn kinds(&self) -> Vec<AttrType> {
        self.message.attributes.0.iter().map(|attribute| attribute.typ).collect()
    }

    /// Returns the value of an attribute, which must be present.
    pub fn get(&self, kind: AttrType) -> Vec<u8> {
        self.message.get(kind).unwrap()
    }

    /// Returns the NONCE.
    pub fn nonce(&self) -> Vec<u8> {
        self.get(ATTR_NONCE)
    }

    /// Returns the LIFETIME in seconds.
    pub fn lifetime(&self) -> u32 {
        u32::from_be_bytes(self.get(ATTR_LIFETIME).try_into().unwrap())
    }

    /// Returns the XOR-MAPPED-ADDRESS.
    pub fn mapped(&self) -> SocketAddr {
        self.address(ATTR_XORMAPPED_ADDRESS)
    }

    /// Returns an address in the format of MAPPED-ADDRESS.
    pub fn plain_address(&self, kind: AttrType) -> SocketAddr {
        let mut address = MappedAddress::default();
        address.get_from_as(&self.message, kind).unwrap();
        SocketAddr::new(address.ip, address.port)
    }

    /// Returns the first XOR-RELAYED-ADDRESS.
    pub fn relayed(&self) -> SocketAddr {
        self.address(ATTR_XOR_RELAYED_ADDRESS)
    }

    /// Returns every XOR-RELAYED-ADDRESS.
    pub fn all_relayed(&self) -> Vec<SocketAddr> {
        let mut of_one = self.clone();
        let attributes = std::mem::take(&mut of_one.message.attributes.0).into_iter();
        let relayed = attributes.filter(|attribute| attribute.typ == ATTR_XOR_RELAYED_ADDRESS);
        relayed
            .map(|attribute| {
                of_one.message.attributes.0 = vec![attribute];
                of_one.relayed()
            })
            .collect()
    }

    /// Returns ADDRESS-ERROR-CODE: the number of the family, and the error code.
    pub fn address_error(&self) -> Option<(u8, u16)> {
        let value =
            self.kinds().contains(&ATTR_ADDRESS_ERROR_CODE).then(|| self.get(ATTR_ADDRESS_ERROR_CODE))?;
        match value[..] {
            [family, 0, hundreds, rest] => Some((family, u16::from(hundreds) * 100 + u16::from(rest))),
            _ => panic!("ADDRESS-ERROR-CODE with a reason phrase"),
        }
    }

    /// Returns the XOR-PEER-ADDRESS.
    pub fn peer(&self) -> SocketAddr {
        self.address(ATTR_XOR_PEER_ADDRESS)
    }

    /// Returns the DATA.
    pub fn data(&self) -> Vec<u8> {
        self.get(ATTR_DATA)
    }

    /// Whether it is signed with this key.
    pub fn is_signed_with(&self, key: &MessageIntegrity) -> bool {
        key.check(&mut self.message.clone()).is_ok()
    }

    fn address(&self, kind: AttrType) -> SocketAddr {
        let mut address = XorMappedAddress::default();
        address.get_from_as(&self.message, kind).unwrap();
        SocketAddr::new(address.ip, address.port)
    }
}
