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

/// RFC 8656 section 18.11; the `stun` crate lacks it.
pub const ATTR_ADDITIONAL_ADDRESS_FAMILY: AttrType = AttrType(0x8000);

/// A request or an indication, before it is signed and sent.
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
    /// Its bytes depend on the transaction.
    Peer(SocketAddr),
}

impl Request {
    /// A request with no attribute.
    pub fn bare(method: Method) -> Self {
        Self { class: CLASS_REQUEST, method, attributes: Vec::new(), fingerprint: false }
    }

    /// A Binding request.
    pub fn binding() -> Self {
        Self::bare(METHOD_BINDING)
    }

    /// Over UDP, with everything else left to the server.
    pub fn allocate() -> Self {
        Self::bare(METHOD_ALLOCATE).with(ATTR_REQUESTED_TRANSPORT, &[17, 0, 0, 0])
    }

    /// An Allocate request for an IPv6 address.
    pub fn allocate_v6() -> Self {
        Self::allocate().with(ATTR_REQUESTED_ADDRESS_FAMILY, &[2, 0, 0, 0])
    }

    /// For a relayed transport address of each family.
    pub fn allocate_dual() -> Self {
        Self::allocate().with(ATTR_ADDITIONAL_ADDRESS_FAMILY, &[2, 0, 0, 0])
    }

    /// A Refresh request.
    pub fn refresh(lifetime: u32) -> Self {
        Self::bare(METHOD_REFRESH).lifetime(lifetime)
    }

    /// A CreatePermission request for one peer.
    pub fn permission(peer: SocketAddr) -> Self {
        Self::bare(METHOD_CREATE_PERMISSION).peer(peer)
    }

    /// A ChannelBind request.
    pub fn channel_bind(number: u16, peer: SocketAddr) -> Self {
        Self::bare(METHOD_CHANNEL_BIND).channel(number).peer(peer)
    }

    /// A Send indication.
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

    /// The message as this user signs it, in answer to a challenge (RFC 8489 section 9.2.3).
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

    /// The message, with MESSAGE-INTEGRITY under `key` if there is one.
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
