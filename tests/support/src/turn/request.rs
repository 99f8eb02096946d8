//! Messages of clients, written with the `stun` crate.

use std::net::SocketAddr;

use stun::attributes::{
    ATTR_CHANNEL_NUMBER, ATTR_DATA, ATTR_LIFETIME, ATTR_NONCE, ATTR_REALM, ATTR_REQUESTED_ADDRESS_FAMILY,
    ATTR_REQUESTED_TRANSPORT, ATTR_USERNAME, ATTR_XOR_PEER_ADDRESS, AttrType,
};
use stun::fingerprint::FINGERPRINT;
use stun::integrity::MessageIntegrity;
use stun::message::{
    CLASS_INDICATION, CLASS_REQUEST, METHOD_ALLOCATE, METHOD_BINDING, METHOD_CHANNEL_BIND,
    METHOD_CREATE_PERMISSION, METHOD_REFRESH, METHOD_SEND, Message, MessageClass, MessageType, Method,
    Setter,
};
use stun::xoraddr::XorMappedAddress;

/// ADDITIONAL-ADDRESS-FAMILY (RFC 8656 section 18.11), which the `stun` crate lacks.
pub const ATTR_ADDITIONAL_ADDRESS_FAMILY: AttrType = AttrType(0x8000);

/// A request or an indication before signing.
#[derive(Clone)]
pub struct Request {
    class: MessageClass,
    method: Method,
    attributes: Vec<Attribute>,
    fingerprint: bool,
}

#[derive(Clone)]
enum Attribute {
    Raw(AttrType, Vec<u8>),
    /// XOR-PEER-ADDRESS, whose bytes depend on the transaction ID.
    Peer(SocketAddr),
}

impl Request {
    /// Creates a request without attributes.
    pub fn bare(method: Method) -> Self {
        Self { class: CLASS_REQUEST, method, attributes: Vec::new(), fingerprint: false }
    }

    /// Creates a Binding request.
    pub fn binding() -> Self {
        Self::bare(METHOD_BINDING)
    }

    /// Creates an Allocate request for UDP, with no further attributes.
    pub fn allocate() -> Self {
        Self::bare(METHOD_ALLOCATE).with(ATTR_REQUESTED_TRANSPORT, &[17, 0, 0, 0])
    }

    /// Creates an Allocate request for an IPv6 address.
    pub fn allocate_v6() -> Self {
        Self::allocate().with(ATTR_REQUESTED_ADDRESS_FAMILY, &[2, 0, 0, 0])
    }

    /// Creates an Allocate request for a relayed transport address of each family.
    pub fn allocate_dual() -> Self {
        Self::allocate().with(ATTR_ADDITIONAL_ADDRESS_FAMILY, &[2, 0, 0, 0])
    }

    /// Creates a Refresh request.
    pub fn refresh(lifetime: u32) -> Self {
        Self::bare(METHOD_REFRESH).lifetime(lifetime)
    }

    /// Creates a CreatePermission request for one peer.
    pub fn permission(peer: SocketAddr) -> Self {
        Self::bare(METHOD_CREATE_PERMISSION).peer(peer)
    }

    /// Creates a ChannelBind request.
    pub fn channel_bind(number: u16, peer: SocketAddr) -> Self {
        Self::bare(METHOD_CHANNEL_BIND).channel(number).peer(peer)
    }

    /// Creates a Send indication.
    pub fn send(peer: SocketAddr, payload: &[u8]) -> Self {
        Self::bare(METHOD_SEND).class(CLASS_INDICATION).peer(peer).with(ATTR_DATA, payload)
    }

    /// Changes the message class.
    pub fn class(self, class: MessageClass) -> Self {
        Self { class, ..self }
    }

    /// Adds a FINGERPRINT.
    pub fn fingerprint(self) -> Self {
        Self { fingerprint: true, ..self }
    }

    /// Adds an attribute with this value.
    pub fn with(mut self, kind: AttrType, value: &[u8]) -> Self {
        self.attributes.push(Attribute::Raw(kind, value.to_vec()));
        self
    }

    /// Adds a LIFETIME.
    pub fn lifetime(self, seconds: u32) -> Self {
        self.with(ATTR_LIFETIME, &seconds.to_be_bytes())
    }

    /// Adds a CHANNEL-NUMBER.
    pub fn channel(self, number: u16) -> Self {
        let [n0, n1] = number.to_be_bytes();
        self.with(ATTR_CHANNEL_NUMBER, &[n0, n1, 0, 0])
    }

    /// Adds an XOR-PEER-ADDRESS.
    pub fn peer(mut self, address: SocketAddr) -> Self {
        self.attributes.push(Attribute::Peer(address));
        self
    }

    /// Returns the message signed by this user, in answer to a challenge (RFC 8489 section 9.2.3).
    pub fn sign(
        &self,
        transaction: [u8; 12],
        realm: &str,
        (username, password): (&str, &str),
        nonce: &[u8],
    ) -> Vec<u8> {
        let key = MessageIntegrity::new_long_term_integrity(username.into(), realm.into(), password.into());
        self.clone()
            .with(ATTR_USERNAME, username.as_bytes())
            .with(ATTR_REALM, realm.as_bytes())
            .with(ATTR_NONCE, nonce)
            .encode(transaction, Some(&key))
    }

    /// Returns the message, with MESSAGE-INTEGRITY if there is a `key`.
    pub fn encode(&self, transaction: [u8; 12], key: Option<&MessageIntegrity>) -> Vec<u8> {
        let mut message = Message::new();
        message.transaction_id.0 = transaction;
        message.set_type(MessageType::new(self.method, self.class));
        message.write_header();
        for attribute in &self.attributes {
            match attribute {
                Attribute::Raw(kind, value) => message.add(*kind, value),
                Attribute::Peer(address) => XorMappedAddress { ip: address.ip(), port: address.port() }
                    .add_to_as(&mut message, ATTR_XOR_PEER_ADDRESS)
                    .unwrap(),
            }
        }
        if let Some(key) = key {
            key.add_to(&mut message).unwrap();
        }
        if self.fingerprint {
            FINGERPRINT.add_to(&mut message).unwrap();
        }
        message.raw
    }
}
