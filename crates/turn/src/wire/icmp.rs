//! ICMP errors forwarded to a client: a Data indication with ICMP instead of DATA (RFC 8656 section
//! 11.5).

use std::net::SocketAddr;

use stun::attributes::{ATTR_XOR_PEER_ADDRESS, AttrType};
use stun::message::{CLASS_INDICATION, METHOD_DATA, MessageType};

use super::attributes::{HEAD_MAX, length_field, write_head};
use super::message::{ATTRIBUTE_HEADER, HEADER};
use super::{Reply, TransactionId};

/// ICMP (RFC 8656 section 18.13), which the `stun` crate lacks.
const ATTR_ICMP: AttrType = AttrType(0x8004);

/// Bytes of the value of ICMP.
const ICMP: usize = 8;

/// ICMP error about a datagram that did not arrive (RFC 8656 section 18.13).
///
/// The address family of the peer decides between the numbers of ICMPv4 and ICMPv6.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Icmp {
    /// ICMP type, of which 7 bits are sent.
    pub kind: u8,
    /// ICMP code.
    pub code: u8,
    /// Error data: the next hop's MTU in bytes for "packet too big", else zero.
    pub data: u32,
}

/// Writes a Data indication into `reply` that reports an ICMP error about a datagram to `peer`.
pub fn write_icmp_indication(transaction: TransactionId, peer: SocketAddr, icmp: Icmp, reply: &mut Reply) {
    let mut out = [0; HEAD_MAX + ATTRIBUTE_HEADER + ICMP];
    let kind = MessageType::new(METHOD_DATA, CLASS_INDICATION);
    let start = write_head(&mut out, kind, transaction, (ATTR_XOR_PEER_ADDRESS, peer));
    let value = start + ATTRIBUTE_HEADER;
    let end = value + ICMP;
    out[2..4].copy_from_slice(&length_field(end - HEADER));
    out[start..start + 2].copy_from_slice(&ATTR_ICMP.0.to_be_bytes());
    out[start + 2..value].copy_from_slice(&length_field(ICMP));
    // 16 bits are reserved; then 7 bits of type and 9 of code.
    let kind_and_code = u16::from(icmp.kind & 0x7F) << 9 | u16::from(icmp.code);
    out[value + 2..value + 4].copy_from_slice(&kind_and_code.to_be_bytes());
    out[value + 4..end].copy_from_slice(&icmp.data.to_be_bytes());
    reply.set(&out[..end]);
}

#[cfg(test)]
mod tests {
    use super::super::Message;
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn an_icmp_indication_reads_back(
            transaction: TransactionId,
            peer: SocketAddr,
            (kind, code, data) in (0..=0x7F_u8, any::<u8>(), any::<u32>()),
        ) {
            let peer = SocketAddr::new(peer.ip(), peer.port());
            let mut reply = Reply::new();
            write_icmp_indication(transaction, peer, Icmp { kind, code, data }, &mut reply);
            let message = Message::parse(reply.as_bytes()).unwrap();
            prop_assert_eq!((message.method(), message.class()), (METHOD_DATA, CLASS_INDICATION));
            prop_assert_eq!(message.transaction(), transaction);
            prop_assert_eq!(message.attributes().peer_address(), Ok(Some(peer)));
            let [_, icmp] = message.attributes().iter().collect::<Vec<_>>()[..] else { panic!("two attributes") };
            prop_assert_eq!(icmp.kind, ATTR_ICMP);
            let [0, 0, top, low, rest @ ..] = icmp.value else { panic!("reserved bits are zero") };
            let kind_and_code = u16::from_be_bytes([*top, *low]);
            prop_assert_eq!((kind_and_code >> 9, kind_and_code & 0x1FF), (kind.into(), code.into()));
            prop_assert_eq!(rest, data.to_be_bytes());
        }
    }
}
