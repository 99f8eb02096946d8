//! Builds planned messages with `stun` and with `stun-types`. Both independent builders must
//! produce the same bytes.

use std::time::Duration;

use byway_turn::wire::{AddressFamily, PasswordAlgorithm};
use stun::attributes::RawAttribute as StunAttribute;
use stun::fingerprint::FINGERPRINT;
use stun::integrity::MessageIntegrity;
use stun::message::Setter;
use stun::textattrs::TextAttribute;
use stun_types::attribute::{
    AttributeType, AttributeWrite, Nonce, PasswordAlgorithm as TheirAlgorithm, PasswordAlgorithmValue,
    RawAttribute, Realm, Software, Userhash, Username, XorMappedAddress, XorSocketAddr,
};
use stun_types::message::{
    IntegrityAlgorithm, LongTermKeyCredentials, MessageClass, MessageIntegrityCredentials, MessageType,
    MessageWrite as _, MessageWriteExt as _, MessageWriteVec, Method, TransactionId,
};
use turn::proto::Protocol;
use turn::proto::channum::ChannelNumber;
use turn::proto::data::Data;
use turn::proto::evenport::EvenPort;
use turn::proto::lifetime::Lifetime;
use turn::proto::peeraddr::PeerAddress;
use turn::proto::reqfamily::RequestedAddressFamily;
use turn::proto::reqtrans::RequestedTransport;
use turn::proto::rsrvtoken::ReservationToken;

use crate::plan::{PASSWORD, Plan, Planned, REALM, USERNAME, key};

/// Builds a planned message with `stun` and the setters of `turn::proto`.
pub(crate) fn with_stun(plan: &Plan) -> Vec<u8> {
    let mut message = stun::message::Message::new();
    message.transaction_id.0 = plan.transaction;
    message.set_type(plan.message_type());
    message.write_header();
    for planned in &plan.attributes {
        stun_setter(planned).add_to(&mut message).unwrap();
    }
    if plan.signed {
        MessageIntegrity(key(PASSWORD)).add_to(&mut message).unwrap();
    }
    if plan.fingerprint {
        FINGERPRINT.add_to(&mut message).unwrap();
    }
    message.raw
}

fn stun_setter(planned: &Planned) -> Box<dyn Setter> {
    let raw =
        |value: &[u8]| Box::new(StunAttribute { typ: planned.kind(), length: 0, value: value.to_vec() });
    match planned {
        Planned::Username(text) | Planned::Realm(text) | Planned::Nonce(text) | Planned::Software(text) => {
            Box::new(TextAttribute::new(planned.kind(), text.clone()))
        }
        Planned::PeerAddress(address) => Box::new(PeerAddress { ip: address.ip(), port: address.port() }),
        Planned::MappedAddress(address) => {
            Box::new(stun::xoraddr::XorMappedAddress { ip: address.ip(), port: address.port() })
        }
        Planned::Lifetime(seconds) => Box::new(Lifetime(Duration::from_secs(u64::from(*seconds)))),
        Planned::RequestedTransport(protocol) => {
            Box::new(RequestedTransport { protocol: Protocol(*protocol) })
        }
        Planned::RequestedAddressFamily(AddressFamily::V4) => Box::new(RequestedAddressFamily(1)),
        Planned::RequestedAddressFamily(AddressFamily::V6) => Box::new(RequestedAddressFamily(2)),
        // The crate's setter can only request a reservation.
        Planned::EvenPort(false) => Box::new(EvenPort::default()),
        Planned::EvenPort(true) => raw(&[0x80]),
        Planned::ReservationToken(token) => Box::new(ReservationToken(token.to_vec())),
        Planned::ChannelNumber(number) => Box::new(ChannelNumber(number.get())),
        Planned::Data(data) => Box::new(Data(data.clone())),
        // `stun` has numbers for these attributes, but no setters.
        Planned::Userhash(hash) => raw(hash),
        Planned::PasswordAlgorithm(algorithm) => raw(&password_algorithm(*algorithm)),
        Planned::PasswordAlgorithms(value) | Planned::Other(_, value) => raw(value),
    }
}

/// Returns the credentials of plans with this password, for `stun-types`.
pub(crate) fn credentials(password: &str) -> MessageIntegrityCredentials {
    LongTermKeyCredentials::new(USERNAME.to_owned(), password.to_owned(), REALM.to_owned()).into()
}

/// Converts a transaction ID for `stun-types`.
pub(crate) fn transaction(ours: byway_turn::wire::TransactionId) -> TransactionId {
    let mut bytes = [0; 16];
    bytes[4..].copy_from_slice(&ours);
    u128::from_be_bytes(bytes).into()
}

/// Classes of `stun-types`, in the order of their two bits.
pub(crate) const CLASSES: [MessageClass; 4] =
    [MessageClass::Request, MessageClass::Indication, MessageClass::Success, MessageClass::Error];

/// Builds a planned message with `stun-types`.
pub(crate) fn with_stun_types(plan: &Plan) -> Vec<u8> {
    let class = CLASSES[usize::from(plan.class)];
    let kind = MessageType::from_class_method(class, Method::new(plan.method));
    let transaction = transaction(plan.transaction);
    let mut message = stun_types::message::Message::builder(kind, transaction, MessageWriteVec::new());
    for planned in &plan.attributes {
        message.add_attribute(&*stun_types_attribute(planned, transaction)).unwrap();
    }
    if plan.signed {
        message.add_message_integrity(&credentials(PASSWORD), IntegrityAlgorithm::Sha1).unwrap();
    }
    if plan.fingerprint {
        message.add_fingerprint().unwrap();
    }
    message.finish()
}

fn stun_types_attribute(planned: &Planned, transaction: TransactionId) -> Box<dyn AttributeWrite> {
    let kind = AttributeType::new(planned.kind().0);
    // `stun-types` does not define the attributes of TURN.
    let raw = |value: &[u8]| Box::new(RawAttribute::new_owned(kind, value.into()));
    match planned {
        Planned::Username(text) => Box::new(Username::new(text).unwrap()),
        Planned::Realm(text) => Box::new(Realm::new(text).unwrap()),
        Planned::Nonce(text) => Box::new(Nonce::new(text).unwrap()),
        Planned::Software(text) => Box::new(Software::new(text).unwrap()),
        Planned::PeerAddress(address) => {
            Box::new(XorSocketAddr::new(*address, transaction).to_raw(kind).into_owned())
        }
        Planned::MappedAddress(address) => Box::new(XorMappedAddress::new(*address, transaction)),
        Planned::Lifetime(seconds) => raw(&seconds.to_be_bytes()),
        Planned::RequestedTransport(protocol) => raw(&[*protocol, 0, 0, 0]),
        Planned::RequestedAddressFamily(AddressFamily::V4) => raw(&[1, 0, 0, 0]),
        Planned::RequestedAddressFamily(AddressFamily::V6) => raw(&[2, 0, 0, 0]),
        Planned::EvenPort(reserve) => raw(&[u8::from(*reserve) << 7]),
        Planned::ReservationToken(token) => raw(token),
        Planned::ChannelNumber(number) => raw(&[number.get().to_be_bytes(), [0; 2]].concat()),
        Planned::Userhash(hash) => Box::new(Userhash::new(*hash)),
        Planned::PasswordAlgorithm(PasswordAlgorithm::Md5) => {
            Box::new(TheirAlgorithm::new(PasswordAlgorithmValue::MD5))
        }
        Planned::PasswordAlgorithm(PasswordAlgorithm::Sha256) => {
            Box::new(TheirAlgorithm::new(PasswordAlgorithmValue::SHA256))
        }
        Planned::Data(value) | Planned::PasswordAlgorithms(value) | Planned::Other(_, value) => raw(value),
    }
}

fn password_algorithm(algorithm: PasswordAlgorithm) -> [u8; 4] {
    match algorithm {
        PasswordAlgorithm::Md5 => [0, 1, 0, 0],
        PasswordAlgorithm::Sha256 => [0, 2, 0, 0],
    }
}
