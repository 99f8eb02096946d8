//! IPv6 relays for `turn::client`, which cannot ask for an address family (RFC 8656 section 6.1).
//!
//! This connection adds REQUESTED-ADDRESS-FAMILY to the client's Allocate requests, and signs them
//! again.

use std::net::SocketAddr;
use std::sync::Arc;

use async_trait::async_trait;
use stun::attributes::{ATTR_FINGERPRINT, ATTR_MESSAGE_INTEGRITY};
use stun::fingerprint::FINGERPRINT;
use stun::integrity::MessageIntegrity;
use stun::message::{CLASS_REQUEST, METHOD_ALLOCATE, Message, Setter as _, is_message};
use stun::textattrs::TextAttribute;
use turn::proto::reqfamily::{REQUESTED_FAMILY_IPV4, REQUESTED_FAMILY_IPV6, RequestedAddressFamily};
use webrtc_util::Conn;

use super::credentials::Login;

type Result<T> = std::result::Result<T, webrtc_util::Error>;

/// Family of a relayed address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::cli) enum Family {
    V4,
    V6,
}

impl Family {
    pub(in crate::cli) fn of(address: SocketAddr) -> Self {
        if address.is_ipv4() { Self::V4 } else { Self::V6 }
    }

    pub(in crate::cli) fn other(self) -> Self {
        match self {
            Self::V4 => Self::V6,
            Self::V6 => Self::V4,
        }
    }

    pub(in crate::cli) fn name(self) -> &'static str {
        match self {
            Self::V4 => "IPv4",
            Self::V6 => "IPv6",
        }
    }
}

/// Connection whose Allocate requests ask for a family.
pub(super) struct FamilyConn {
    conn: Arc<dyn Conn + Send + Sync>,
    family: Family,
    login: Login,
}

impl FamilyConn {
    pub(super) fn new(conn: Arc<dyn Conn + Send + Sync>, family: Family, login: Login) -> Self {
        Self { conn, family, login }
    }

    /// Returns the Allocate request with the family; `None` for every other message, and for an
    /// IPv4 relay, which servers grant unasked.
    fn asking(&self, message: &[u8]) -> Option<Vec<u8>> {
        if self.family == Family::V4 || !is_message(message) {
            return None;
        }
        with_family(message, self.family, &self.login).ok().flatten()
    }
}

/// Adds the attribute before MESSAGE-INTEGRITY, which covers all that precedes it.
fn with_family(
    message: &[u8],
    family: Family,
    login: &Login,
) -> std::result::Result<Option<Vec<u8>>, stun::Error> {
    let mut old = Message::new();
    old.unmarshal_binary(message)?;
    if (old.typ.method, old.typ.class) != (METHOD_ALLOCATE, CLASS_REQUEST) {
        return Ok(None);
    }
    let mut new = Message::new();
    new.typ = old.typ;
    new.transaction_id = old.transaction_id;
    new.write_header();
    let mut is_signed = false;
    for attribute in &old.attributes.0 {
        match attribute.typ {
            ATTR_MESSAGE_INTEGRITY => is_signed = true,
            ATTR_FINGERPRINT => {}
            kind => new.add(kind, &attribute.value),
        }
    }
    let family: RequestedAddressFamily = match family {
        Family::V4 => REQUESTED_FAMILY_IPV4,
        Family::V6 => REQUESTED_FAMILY_IPV6,
    };
    family.add_to(&mut new)?;
    if is_signed {
        let realm = TextAttribute::get_from_as(&old, stun::attributes::ATTR_REALM)?;
        let password = AsRef::<str>::as_ref(&login.password).to_owned();
        let key = MessageIntegrity::new_long_term_integrity(login.username.clone(), realm.text, password);
        key.add_to(&mut new)?;
    }
    FINGERPRINT.add_to(&mut new)?;
    Ok(Some(new.raw))
}

#[async_trait]
impl Conn for FamilyConn {
    async fn connect(&self, address: SocketAddr) -> Result<()> {
        self.conn.connect(address).await
    }

    async fn recv(&self, message: &mut [u8]) -> Result<usize> {
        self.conn.recv(message).await
    }

    async fn recv_from(&self, message: &mut [u8]) -> Result<(usize, SocketAddr)> {
        self.conn.recv_from(message).await
    }

    async fn send(&self, message: &[u8]) -> Result<usize> {
        match self.asking(message) {
            Some(asking) => self.conn.send(&asking).await.map(|_| message.len()),
            None => self.conn.send(message).await,
        }
    }

    async fn send_to(&self, message: &[u8], _: SocketAddr) -> Result<usize> {
        self.send(message).await
    }

    fn local_addr(&self) -> Result<SocketAddr> {
        self.conn.local_addr()
    }

    fn remote_addr(&self) -> Option<SocketAddr> {
        self.conn.remote_addr()
    }

    async fn close(&self) -> Result<()> {
        self.conn.close().await
    }

    fn as_any(&self) -> &(dyn std::any::Any + Send + Sync) {
        self
    }
}

#[cfg(test)]
mod tests {
    use byway_turn::wire::{AddressFamily, Message as Wire, PasswordAlgorithm};
    use stun::agent::TransactionId;
    use stun::message::MessageType;
    use turn::proto::PROTO_UDP;
    use turn::proto::reqtrans::RequestedTransport;

    use super::*;

    fn login() -> Login {
        Login { username: "1:a".to_owned(), password: "secret".to_owned().into() }
    }

    fn allocate(signed: bool) -> Vec<u8> {
        let mut message = Message::new();
        let key = MessageIntegrity::new_long_term_integrity("1:a".into(), "r".into(), "secret".into());
        let kind = Box::new(MessageType::new(METHOD_ALLOCATE, CLASS_REQUEST));
        let mut setters: Vec<Box<dyn stun::message::Setter>> =
            vec![Box::new(TransactionId::new()), kind, Box::new(RequestedTransport { protocol: PROTO_UDP })];
        if signed {
            let realm = TextAttribute { attr: stun::attributes::ATTR_REALM, text: "r".into() };
            setters.extend([Box::new(realm) as Box<dyn stun::message::Setter>, Box::new(key)]);
        }
        setters.push(Box::new(FINGERPRINT));
        message.build(&setters).unwrap();
        message.raw
    }

    #[test]
    fn an_allocate_request_asks_for_the_family_and_is_signed_again() {
        for signed in [false, true] {
            let old = allocate(signed);
            let new = with_family(&old, Family::V6, &login()).unwrap().unwrap();
            let message = Wire::parse(&new).unwrap();
            assert_eq!(message.attributes().requested_address_family(), Ok(Some(Some(AddressFamily::V6))));
            assert_eq!(new[8..20], old[8..20], "the transaction is the client's");
            assert_eq!(message.integrity().is_some(), signed);
            if let Some(integrity) = message.integrity() {
                let key = integrity.key(&PasswordAlgorithm::Md5.key("1:a", "r", "secret"));
                assert!(integrity.verify(&key));
            }
        }
    }

    #[test]
    fn other_messages_stay_as_they_are() {
        let mut binding = allocate(false);
        binding[..2].copy_from_slice(b"\x00\x01");
        assert_eq!(with_family(&binding, Family::V6, &login()).ok().flatten(), None);
        let login = login();
        let conn: Arc<dyn Conn + Send + Sync> = Arc::new(Nothing);
        let conn = |family| FamilyConn::new(conn.clone(), family, login.clone());
        assert_eq!(conn(Family::V4).asking(&allocate(true)), None);
        assert_eq!(conn(Family::V6).asking(b"\x40\x00\x00\x01a\0\0\0"), None);
        assert!(conn(Family::V6).asking(&allocate(true)).is_some());
    }

    /// Connection that carries nothing.
    struct Nothing;

    #[async_trait]
    impl Conn for Nothing {
        async fn connect(&self, _: SocketAddr) -> Result<()> {
            Ok(())
        }
        async fn recv(&self, _: &mut [u8]) -> Result<usize> {
            Ok(0)
        }
        async fn recv_from(&self, _: &mut [u8]) -> Result<(usize, SocketAddr)> {
            Err(std::io::Error::other("nothing").into())
        }
        async fn send(&self, message: &[u8]) -> Result<usize> {
            Ok(message.len())
        }
        async fn send_to(&self, message: &[u8], _: SocketAddr) -> Result<usize> {
            Ok(message.len())
        }
        fn local_addr(&self) -> Result<SocketAddr> {
            Err(std::io::Error::other("nothing").into())
        }
        fn remote_addr(&self) -> Option<SocketAddr> {
            None
        }
        async fn close(&self) -> Result<()> {
            Ok(())
        }
        fn as_any(&self) -> &(dyn std::any::Any + Send + Sync) {
            self
        }
    }
}
