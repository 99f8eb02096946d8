//! Plans of well-formed messages, for builders to write and parsers to read.

use std::net::SocketAddr;
use std::time::Duration;

use byway_turn::wire::{
    AddressFamily, ChannelNumber, IntegrityKey, Message, PasswordAlgorithm, TransactionId,
};
use proptest::collection::vec;
use proptest::prelude::*;
use stun::attributes::{
    ATTR_CHANNEL_NUMBER, ATTR_DATA, ATTR_EVEN_PORT, ATTR_FINGERPRINT, ATTR_LIFETIME, ATTR_NONCE,
    ATTR_PASSWORD_ALGORITHM, ATTR_PASSWORD_ALGORITHMS, ATTR_REALM, ATTR_REQUESTED_ADDRESS_FAMILY,
    ATTR_REQUESTED_TRANSPORT, ATTR_RESERVATION_TOKEN, ATTR_SOFTWARE, ATTR_USER_HASH, ATTR_USERNAME,
    ATTR_XOR_PEER_ADDRESS, ATTR_XORMAPPED_ADDRESS, AttrType,
};
use stun::message::MessageType;

/// Username of the credentials that sign plans.
pub(crate) const USERNAME: &str = "1763640000:alice";
pub(crate) const REALM: &str = "example.org";
pub(crate) const PASSWORD: &str = "gthUwOpcRoLI0MMCziCEBOWYnpo=";

/// Returns the long-term key of this username with a password.
pub(crate) fn key(password: &str) -> Vec<u8> {
    turn::auth::generate_auth_key(USERNAME, REALM, password)
}

/// Returns the long-term key by PASSWORD-ALGORITHM SHA-256.
pub(crate) fn sha256_key(password: &str) -> Vec<u8> {
    PasswordAlgorithm::Sha256.key(USERNAME, REALM, password)
}

/// An attribute to write.
#[derive(Clone, Debug)]
pub(crate) enum Planned {
    Username(String),
    Realm(String),
    Nonce(String),
    Userhash([u8; 32]),
    PasswordAlgorithms(Vec<u8>),
    PasswordAlgorithm(PasswordAlgorithm),
    Software(String),
    PeerAddress(SocketAddr),
    MappedAddress(SocketAddr),
    Lifetime(u32),
    RequestedTransport(u8),
    RequestedAddressFamily(AddressFamily),
    EvenPort(bool),
    ReservationToken([u8; 8]),
    ChannelNumber(ChannelNumber),
    Data(Vec<u8>),
    /// An attribute that no accessor reads.
    Other(u16, Vec<u8>),
}

impl Planned {
    pub(crate) fn kind(&self) -> AttrType {
        match self {
            Self::Username(_) => ATTR_USERNAME,
            Self::Realm(_) => ATTR_REALM,
            Self::Nonce(_) => ATTR_NONCE,
            Self::Userhash(_) => ATTR_USER_HASH,
            Self::PasswordAlgorithms(_) => ATTR_PASSWORD_ALGORITHMS,
            Self::PasswordAlgorithm(_) => ATTR_PASSWORD_ALGORITHM,
            Self::Software(_) => ATTR_SOFTWARE,
            Self::PeerAddress(_) => ATTR_XOR_PEER_ADDRESS,
            Self::MappedAddress(_) => ATTR_XORMAPPED_ADDRESS,
            Self::Lifetime(_) => ATTR_LIFETIME,
            Self::RequestedTransport(_) => ATTR_REQUESTED_TRANSPORT,
            Self::RequestedAddressFamily(_) => ATTR_REQUESTED_ADDRESS_FAMILY,
            Self::EvenPort(_) => ATTR_EVEN_PORT,
            Self::ReservationToken(_) => ATTR_RESERVATION_TOKEN,
            Self::ChannelNumber(_) => ATTR_CHANNEL_NUMBER,
            Self::Data(_) => ATTR_DATA,
            Self::Other(kind, _) => AttrType(*kind),
        }
    }
}

/// A message to write.
#[derive(Clone, Debug)]
pub(crate) struct Plan {
    /// Method, from 0 to 0xFFF.
    pub(crate) method: u16,
    /// Class, from 0 to 3: request, indication, success, error.
    pub(crate) class: u8,
    pub(crate) transaction: TransactionId,
    pub(crate) attributes: Vec<Planned>,
    pub(crate) signed: bool,
    pub(crate) fingerprint: bool,
}

impl Plan {
    /// Returns a Binding request without attributes.
    pub(crate) fn bare() -> Self {
        Self {
            method: 1,
            class: 0,
            transaction: [0; 12],
            attributes: Vec::new(),
            signed: false,
            fingerprint: false,
        }
    }

    /// Returns its message type.
    pub(crate) fn message_type(&self) -> MessageType {
        message_type(self.method, self.class)
    }
}

/// Returns the type of a method and a class, whose bits are interleaved as in figure 3 of RFC 8489.
pub(crate) fn message_type(method: u16, class: u8) -> MessageType {
    let class = u16::from(class);
    let bits =
        method & 0xF | (class & 1) << 4 | (method & 0x70) << 1 | (class & 2) << 7 | (method & 0xF80) << 2;
    let mut kind = MessageType::default();
    kind.read_value(bits);
    kind
}

/// Plans of any method and class.
pub(crate) fn plans() -> impl Strategy<Value = Plan> {
    // Half of the methods belong to STUN and TURN.
    let method = prop_oneof![1_u16..12, 0_u16..0x1000];
    (method, 0_u8..4, any::<TransactionId>(), vec(planned(), 0..8), any::<bool>(), any::<bool>()).prop_map(
        |(method, class, transaction, attributes, signed, fingerprint)| Plan {
            method,
            class,
            transaction,
            attributes,
            signed,
            fingerprint,
        },
    )
}

/// Plans of Binding requests.
pub(crate) fn binding_requests() -> impl Strategy<Value = Plan> {
    plans().prop_map(|plan| Plan { method: 1, class: 0, ..plan })
}

/// Socket addresses without flow label and scope, as on the wire.
pub(crate) fn addresses() -> impl Strategy<Value = SocketAddr> {
    any::<SocketAddr>().prop_map(|address| SocketAddr::new(address.ip(), address.port()))
}

fn planned() -> impl Strategy<Value = Planned> {
    prop_oneof![
        "\\PC{0,40}".prop_map(Planned::Username),
        "\\PC{0,40}".prop_map(Planned::Realm),
        "\\PC{0,40}".prop_map(Planned::Nonce),
        any::<[u8; 32]>().prop_map(Planned::Userhash),
        vec(any::<u8>(), 0..20).prop_map(Planned::PasswordAlgorithms),
        prop_oneof![Just(PasswordAlgorithm::Md5), Just(PasswordAlgorithm::Sha256)]
            .prop_map(Planned::PasswordAlgorithm),
        "\\PC{0,40}".prop_map(Planned::Software),
        addresses().prop_map(Planned::PeerAddress),
        addresses().prop_map(Planned::MappedAddress),
        any::<u32>().prop_map(Planned::Lifetime),
        any::<u8>().prop_map(Planned::RequestedTransport),
        prop_oneof![Just(AddressFamily::V4), Just(AddressFamily::V6)]
            .prop_map(Planned::RequestedAddressFamily),
        any::<bool>().prop_map(Planned::EvenPort),
        any::<[u8; 8]>().prop_map(Planned::ReservationToken),
        (0x4000_u16..=0x7FFF).prop_map(|number| Planned::ChannelNumber(ChannelNumber::new(number).unwrap())),
        vec(any::<u8>(), 0..60).prop_map(Planned::Data),
        (any::<u16>().prop_filter("read by no accessor", |&kind| unread(kind)), vec(any::<u8>(), 0..20))
            .prop_map(|(kind, value)| Planned::Other(kind, value)),
    ]
}

fn unread(kind: u16) -> bool {
    let kind = AttrType(kind);
    let optional = [ATTR_FINGERPRINT, ATTR_PASSWORD_ALGORITHMS];
    // `stun` reads 0x8020 as XOR-MAPPED-ADDRESS: see `against_stun`.
    !byway_turn::wire::KNOWN_ATTRIBUTES.contains(&kind) && !optional.contains(&kind) && kind.0 != 0x8020
}

/// Checks that Byway's parser finds in `bytes` everything in the plan, and nothing else.
pub(crate) fn check_reads_as(bytes: &[u8], plan: &Plan) -> Result<(), TestCaseError> {
    let message = Message::parse(bytes).map_err(|error| TestCaseError::fail(format!("rejected: {error}")))?;
    prop_assert_eq!(MessageType::new(message.method(), message.class()), plan.message_type());
    prop_assert_eq!(message.transaction(), plan.transaction);
    prop_assert_eq!(message.head().fingerprint, plan.fingerprint);

    let integrity = message.integrity();
    prop_assert_eq!(integrity.is_some(), plan.signed);
    if let Some(integrity) = integrity {
        prop_assert!(integrity.verify(&IntegrityKey::sha1(&key(PASSWORD))));
        prop_assert!(!integrity.verify(&IntegrityKey::sha1(&key("another"))));
    }

    let attributes = message.attributes();
    let kinds: Vec<AttrType> = attributes.iter().map(|attribute| attribute.kind).collect();
    let planned: Vec<AttrType> = plan.attributes.iter().map(Planned::kind).collect();
    prop_assert_eq!(kinds, planned);

    /// Returns the first planned attribute of this variant.
    macro_rules! first {
        ($variant:ident) => {
            plan.attributes.iter().find_map(|planned| match planned {
                Planned::$variant(value) => Some(value),
                _ => None,
            })
        };
    }
    prop_assert_eq!(attributes.username(), Ok(first!(Username).map(String::as_str)));
    prop_assert_eq!(attributes.realm(), first!(Realm).map(String::as_bytes));
    prop_assert_eq!(attributes.nonce(), first!(Nonce).map(String::as_bytes));
    prop_assert_eq!(attributes.userhash(), Ok(first!(Userhash).copied()));
    prop_assert_eq!(attributes.password_algorithms(), first!(PasswordAlgorithms).map(Vec::as_slice));
    prop_assert_eq!(attributes.password_algorithm(), Ok(first!(PasswordAlgorithm).copied()));
    prop_assert_eq!(attributes.peer_address(), Ok(first!(PeerAddress).copied()));
    let lifetime = first!(Lifetime).map(|&seconds| Duration::from_secs(u64::from(seconds)));
    prop_assert_eq!(attributes.lifetime(), Ok(lifetime));
    prop_assert_eq!(attributes.requested_transport(), Ok(first!(RequestedTransport).copied()));
    let family = first!(RequestedAddressFamily).map(|&family| Some(family));
    prop_assert_eq!(attributes.requested_address_family(), Ok(family));
    prop_assert_eq!(attributes.even_port(), Ok(first!(EvenPort).copied()));
    prop_assert_eq!(attributes.reservation_token(), Ok(first!(ReservationToken).copied()));
    prop_assert_eq!(attributes.channel_number(), Ok(first!(ChannelNumber).copied()));
    let data = attributes.data().and_then(|data| bytes.get(data.range()));
    prop_assert_eq!(data, first!(Data).map(Vec::as_slice));

    let peers: Result<Vec<SocketAddr>, _> = attributes.peer_addresses().collect();
    let planned = plan.attributes.iter().filter_map(|planned| match planned {
        Planned::PeerAddress(address) => Some(*address),
        _ => None,
    });
    prop_assert_eq!(peers, Ok(planned.collect()));
    Ok(())
}
