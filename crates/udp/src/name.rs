//! Socket addresses in the kernel's format (ip(7), ipv6(7)), read and written as bytes.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV6};

/// Bytes of a `sockaddr_in6`, the longer of the two.
pub(super) const ROOM: u32 = 28;

/// Bytes of a `sockaddr_in`.
const V4: u32 = 16;

const AF_INET: [u8; 2] = family(libc::AF_INET);
const AF_INET6: [u8; 2] = family(libc::AF_INET6);

/// A `sockaddr_in` or `sockaddr_in6`, with the kernel's alignment.
#[derive(Clone, Copy)]
#[repr(C, align(8))]
pub(super) struct Name {
    bytes: [u8; ROOM as usize],
}

impl Name {
    pub(super) const EMPTY: Self = Self { bytes: [0; ROOM as usize] };

    /// Encodes an address, and returns the name with its length in bytes.
    pub(super) fn of(address: SocketAddr) -> (Self, u32) {
        let mut bytes = [0; ROOM as usize];
        bytes[2..4].copy_from_slice(&address.port().to_be_bytes());
        let length = match address {
            SocketAddr::V4(address) => {
                bytes[..2].copy_from_slice(&AF_INET);
                bytes[4..8].copy_from_slice(&address.ip().octets());
                V4
            }
            SocketAddr::V6(address) => {
                bytes[..2].copy_from_slice(&AF_INET6);
                bytes[8..24].copy_from_slice(&address.ip().octets());
                bytes[24..28].copy_from_slice(&address.scope_id().to_ne_bytes());
                ROOM
            }
        };
        (Self { bytes }, length)
    }

    /// Decodes the address. A link-local address keeps its scope, which an answer needs. `None` if
    /// the family is unset or neither IPv4 nor IPv6.
    pub(super) fn address(&self) -> Option<SocketAddr> {
        let [f0, f1, p0, p1, a, b, c, d, ip @ .., s0, s1, s2, s3] = self.bytes;
        let port = u16::from_be_bytes([p0, p1]);
        match [f0, f1] {
            AF_INET => Some(SocketAddr::new(IpAddr::V4(Ipv4Addr::new(a, b, c, d)), port)),
            AF_INET6 => {
                let scope = u32::from_ne_bytes([s0, s1, s2, s3]);
                Some(SocketAddrV6::new(Ipv6Addr::from(ip), port, 0, scope).into())
            }
            _ => None,
        }
    }

    /// Pointer for the kernel to read from.
    pub(super) fn as_ptr(&self) -> *const libc::c_void {
        self.bytes.as_ptr().cast()
    }

    /// Pointer for the kernel to write to.
    pub(super) fn as_mut_ptr(&mut self) -> *mut libc::c_void {
        self.bytes.as_mut_ptr().cast()
    }
}

const fn family(number: i32) -> [u8; 2] {
    #[expect(clippy::cast_possible_truncation, reason = "both numbers are below 16")]
    let number = number as u16;
    number.to_ne_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn no_family_is_no_address() {
        assert_eq!(Name::EMPTY.address(), None);
    }

    #[test]
    fn a_link_local_address_keeps_its_scope() {
        let address = SocketAddrV6::new("fe80::1".parse().unwrap(), 3478, 0, 7).into();
        let (name, length) = Name::of(address);
        assert_eq!((name.address(), length), (Some(address), 28));
    }

    proptest! {
        #[test]
        fn a_name_reads_back(ip: IpAddr, port: u16) {
            let address = SocketAddr::new(ip, port);
            let (name, length) = Name::of(address);
            prop_assert_eq!(name.address(), Some(address));
            prop_assert_eq!(length, if ip.is_ipv4() { 16 } else { 28 });
        }
    }
}
