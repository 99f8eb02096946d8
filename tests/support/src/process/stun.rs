//! A hand-written STUN Binding request, so that the server's code does not check itself.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::time::Duration;

use super::interrupts::uninterrupted;

/// Magic cookie (RFC 8489 section 5).
const MAGIC_COOKIE: [u8; 4] = [0x21, 0x12, 0xA4, 0x42];
/// Timeout of one request, and the number of attempts. RFC 8489 section 6.2.1 asks for 7 attempts
/// over the internet.
const RETRANSMIT: (Duration, usize) = (Duration::from_millis(500), 7);

/// Sends a Binding request to `server`, checks the reflexive address in the answer, and returns it.
pub fn binding(server: SocketAddr) -> SocketAddr {
    let any: IpAddr = if server.is_ipv4() { Ipv4Addr::LOCALHOST.into() } else { Ipv6Addr::LOCALHOST.into() };
    let socket = UdpSocket::bind((any, 0)).expect("a free port");
    socket.connect(server).expect("a route to loopback");
    socket.set_read_timeout(Some(RETRANSMIT.0)).expect("a read timeout is set");

    let transaction = *b"byway-test-1";
    let mut request = vec![0x00, 0x01, 0x00, 0x00];
    request.extend(MAGIC_COOKIE);
    request.extend(transaction);

    let mut answer = [0; 128];
    let length = (0..RETRANSMIT.1)
        .find_map(|_| {
            socket.send(&request).ok()?;
            uninterrupted(|| socket.recv(&mut answer)).ok()
        })
        .unwrap_or_else(|| panic!("{server} does not answer a Binding request"));
    let answer = &answer[..length];

    assert_eq!(answer[..2], [0x01, 0x01], "a Binding success response");
    assert_eq!(answer[4..8], MAGIC_COOKIE);
    assert_eq!(answer[8..20], transaction);
    let seen = xor_mapped_address(&answer[20..], &answer[4..20]).expect("an XOR-MAPPED-ADDRESS");
    assert_eq!(
        seen,
        socket.local_addr().expect("it is bound"),
        "the reflexive address on loopback is the socket's own"
    );
    seen
}

/// Decodes XOR-MAPPED-ADDRESS (RFC 8489 section 14.2). The port is XORed with the first half of the
/// cookie, the address with cookie and transaction ID.
fn xor_mapped_address(mut attributes: &[u8], mask: &[u8]) -> Option<SocketAddr> {
    while attributes.len() >= 4 {
        let kind = u16::from_be_bytes([attributes[0], attributes[1]]);
        let length = usize::from(u16::from_be_bytes([attributes[2], attributes[3]]));
        let value = attributes.get(4..4 + length)?;
        if kind == 0x0020 {
            let port = u16::from_be_bytes([value[2] ^ mask[0], value[3] ^ mask[1]]);
            let octets: Vec<u8> = value[4..].iter().zip(mask).map(|(byte, mask)| byte ^ mask).collect();
            let address = match value[1] {
                1 => IpAddr::from(<[u8; 4]>::try_from(octets).ok()?),
                2 => IpAddr::from(<[u8; 16]>::try_from(octets).ok()?),
                _ => return None,
            };
            return Some((address, port).into());
        }
        attributes = attributes.get(4 + length.next_multiple_of(4)..)?;
    }
    None
}
