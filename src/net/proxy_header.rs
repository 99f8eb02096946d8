//! PROXY protocol headers, versions 1 and 2 (`doc/proxy-protocol.txt` of HAProxy). Pure.
//!
//! The end of a header is found here, because it bounds what is read of a connection. Its content
//! is parsed by `ppp`, and only once it is complete: `ppp` reports some incomplete headers as
//! invalid. Type-length-values (TLVs) are skipped, CRC32C among them. TCP has its own checksum, and
//! the network between a proxy and this server is trusted.

use std::net::{IpAddr, SocketAddr};

use ppp::HeaderResult;
use ppp::v1::Addresses as Text;
use ppp::v2::{Addresses as Binary, Command, Protocol};

/// Maximum bytes of a header. The address takes up to 232 bytes and the rest are TLVs, such as a
/// client's certificate. nginx has the same limit.
pub const LONGEST: usize = 4096;

/// Maximum bytes of a header of version 1 (section 2.1).
const LONGEST_TEXT: usize = 107;

/// First bytes of version 1.
const TEXT: &[u8] = b"PROXY ";

/// First bytes of version 2.
const BINARY: &[u8] = b"\r\n\r\n\0\r\nQUIT\n";

/// Bytes of version 2 up to the addresses; the last two are the length of the rest.
const BINARY_HEAD: usize = BINARY.len() + 4;

/// Error: the bytes are no PROXY protocol header of a TCP connection, or it is too long.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a header of the PROXY protocol for TCP")]
pub struct InvalidHeader;

/// Client of a connection, as its header names it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source {
    /// The client behind the proxy.
    Client(SocketAddr),
    /// The proxy itself, as for a health check (LOCAL), or a client without an IP address (UNKNOWN,
    /// a Unix socket).
    Proxy,
}

/// Returns the length of the header at the beginning of a connection, once it is complete. All
/// bytes of an incomplete header belong to it.
///
/// # Errors
/// [`InvalidHeader`], as soon as the bytes show it.
pub fn length(bytes: &[u8]) -> Result<Option<usize>, InvalidHeader> {
    if BINARY.starts_with(bytes) || TEXT.starts_with(bytes) {
        return Ok(None);
    }
    if bytes.starts_with(BINARY) {
        let Some(&[high, low]) = bytes.get(BINARY_HEAD - 2..BINARY_HEAD) else { return Ok(None) };
        let length = BINARY_HEAD + usize::from(u16::from_be_bytes([high, low]));
        return if length <= LONGEST {
            Ok((length <= bytes.len()).then_some(length))
        } else {
            Err(InvalidHeader)
        };
    }
    if !bytes.starts_with(TEXT) {
        return Err(InvalidHeader);
    }
    match bytes.iter().take(LONGEST_TEXT).position(|byte| *byte == b'\n') {
        Some(end) => Ok(Some(end + 1)),
        None if bytes.len() < LONGEST_TEXT => Ok(None),
        None => Err(InvalidHeader),
    }
}

/// Parses a complete header.
///
/// # Errors
/// [`InvalidHeader`].
pub fn parse(header: &[u8]) -> Result<Source, InvalidHeader> {
    let client = match HeaderResult::parse(header) {
        HeaderResult::V1(Ok(header)) => match header.addresses {
            Text::Tcp4(tcp) => (IpAddr::from(tcp.source_address), tcp.source_port),
            Text::Tcp6(tcp) => (tcp.source_address.into(), tcp.source_port),
            Text::Unknown => return Ok(Source::Proxy),
        },
        HeaderResult::V2(Ok(header)) => match (header.command, header.addresses, header.protocol) {
            (Command::Local, ..) | (Command::Proxy, Binary::Unspecified | Binary::Unix(_), _) => {
                return Ok(Source::Proxy);
            }
            (Command::Proxy, Binary::IPv4(tcp), Protocol::Stream) => {
                (tcp.source_address.into(), tcp.source_port)
            }
            (Command::Proxy, Binary::IPv6(tcp), Protocol::Stream) => {
                (tcp.source_address.into(), tcp.source_port)
            }
            (Command::Proxy, ..) => return Err(InvalidHeader),
        },
        HeaderResult::V1(Err(_)) | HeaderResult::V2(Err(_)) => return Err(InvalidHeader),
    };
    let (ip, port) = (client.0.to_canonical(), client.1);
    // No client has such an address, so the proxy does not say who it is.
    if ip.is_unspecified() || ip.is_multicast() {
        return Err(InvalidHeader);
    }
    Ok(Source::Client(SocketAddr::new(ip, port)))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn binary(command: u8, family: u8, rest: &[u8]) -> Vec<u8> {
        let length = u16::try_from(rest.len()).unwrap().to_be_bytes();
        [BINARY, &[command, family], &length, rest].concat()
    }

    /// From 192.0.2.1 port 4711 to 198.51.100.1 port 443.
    const V4: [u8; 12] = [192, 0, 2, 1, 198, 51, 100, 1, 0x12, 0x67, 1, 0xBB];

    fn v6(source: &str) -> Vec<u8> {
        let address = |text: &str| text.parse::<std::net::Ipv6Addr>().unwrap().octets();
        [&address(source)[..], &address("2001:db8::1"), &[0x12, 0x67, 1, 0xBB]].concat()
    }

    /// Reads a header that data follows at once, and checks that every beginning of it is
    /// incomplete.
    fn read(header: &[u8]) -> Result<Source, InvalidHeader> {
        let followed = [header, b"\x16\x03\x01PROXY \r\n"].concat();
        let length = length(&followed)?.expect("it is complete");
        assert_eq!(length, header.len());
        for end in 0..header.len() {
            assert_eq!(super::length(&header[..end]), Ok(None), "{end}");
        }
        parse(&followed[..length])
    }

    fn client(text: &str) -> Result<Source, InvalidHeader> {
        Ok(Source::Client(text.parse().unwrap()))
    }

    #[test]
    fn both_versions_name_the_client() {
        assert_eq!(read(b"PROXY TCP4 192.0.2.1 198.51.100.1 4711 443\r\n"), client("192.0.2.1:4711"));
        assert_eq!(read(b"PROXY TCP6 2001:db8::7 2001:db8::1 4711 443\r\n"), client("[2001:db8::7]:4711"));
        let longest = ["ffff"; 8].join(":");
        let line = format!("PROXY TCP6 2001:0db8:0000:0000:0000:0000:0000:0001 {longest} 65535 65535\r\n");
        assert_eq!(read(line.as_bytes()), client("[2001:db8::1]:65535"));
        assert_eq!(read(&binary(0x21, 0x11, &V4)), client("192.0.2.1:4711"));
        assert_eq!(read(&binary(0x21, 0x21, &v6("2001:db8::7"))), client("[2001:db8::7]:4711"));
        // A mapped address counts as the IPv4 address, as it does without a proxy.
        assert_eq!(read(b"PROXY TCP6 ::ffff:192.0.2.1 ::1 4711 443\r\n"), client("192.0.2.1:4711"));
        assert_eq!(read(&binary(0x21, 0x21, &v6("::ffff:192.0.2.1"))), client("192.0.2.1:4711"));
    }

    #[test]
    fn a_header_without_a_client_stands_for_the_proxy() {
        for header in [
            &b"PROXY UNKNOWN\r\n"[..],
            b"PROXY UNKNOWN ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff ::1 65535 65535\r\n",
            &binary(0x20, 0x00, &[]),
            &binary(0x20, 0x11, &V4),
            &binary(0x21, 0x00, &[]),
            &binary(0x21, 0x00, &[1, 2, 3]),
            // AF_UNIX.
            &binary(0x21, 0x31, &[0; 216]),
            &binary(0x21, 0x32, &[0; 216]),
        ] {
            assert_eq!(read(header), Ok(Source::Proxy), "{header:?}");
        }
    }

    #[test]
    fn tlvs_are_skipped_up_to_the_limit() {
        // CRC32C, which is wrong, then NOOP.
        let checksum = [&V4[..], &[3, 0, 4, 1, 2, 3, 4], &[4, 0, 1, 9]].concat();
        assert_eq!(read(&binary(0x21, 0x11, &checksum)), client("192.0.2.1:4711"));
        // A TLV that is cut short.
        assert_eq!(read(&binary(0x21, 0x11, &[&V4[..], &[3, 0xFF]].concat())), client("192.0.2.1:4711"));
        let filled = |length: usize| binary(0x21, 0x11, &[&V4[..], &vec![0; length - 28]].concat());
        assert_eq!(read(&filled(LONGEST)), client("192.0.2.1:4711"));
        assert_eq!(length(&filled(LONGEST + 1)), Err(InvalidHeader));
        assert_eq!(length(&filled(LONGEST + 1)[..BINARY_HEAD]), Err(InvalidHeader), "before it is read");
    }

    #[test]
    fn bytes_that_are_no_header_are_refused() {
        for bytes in [
            &b"GET / HTTP/1.1\r\n"[..],
            b"\x16\x03\x01\x02\x00",
            b"\0\x01\0\0\x21\x12\xA4\x42",
            b"PROXX",
            b"proxy TCP4",
            b"\r\n\r\n\0\r\nQUIT\r",
            &[b"PROXY TCP4 ".as_slice(), &[b'1'; 96]].concat(),
        ] {
            assert_eq!(length(bytes), Err(InvalidHeader), "{bytes:?}");
        }
        for header in [
            &b"PROXY \r\n"[..],
            b"PROXY TCP4\r\n",
            b"PROXY TCP4 192.0.2.1 198.51.100.1 4711 443\n",
            b"PROXY TCP4 192.0.2.1 198.51.100.1 4711\r\n",
            b"PROXY TCP4 192.0.2.1 198.51.100.1 4711 443 5\r\n",
            b"PROXY TCP4 192.0.2.1 198.51.100.1 65536 443\r\n",
            b"PROXY TCP4 192.0.2.1 198.51.100.1 -1 443\r\n",
            b"PROXY TCP4 192.0.2.1  198.51.100.1 4711 443\r\n",
            b"PROXY TCP4 192.0.2.256 198.51.100.1 4711 443\r\n",
            b"PROXY TCP4 2001:db8::7 2001:db8::1 4711 443\r\n",
            b"PROXY TCP6 192.0.2.1 198.51.100.1 4711 443\r\n",
            b"PROXY UDP4 192.0.2.1 198.51.100.1 4711 443\r\n",
            b"PROXY TCP4 0.0.0.0 198.51.100.1 4711 443\r\n",
            b"PROXY TCP4 224.0.0.1 198.51.100.1 4711 443\r\n",
            b"PROXY TCP4 \xFF 198.51.100.1 4711 443\r\n",
            // Another version, another command, a datagram, no family, too short for its family.
            &binary(0x11, 0x11, &V4),
            &binary(0x22, 0x11, &V4),
            &binary(0x21, 0x12, &V4),
            &binary(0x21, 0x10, &V4),
            &binary(0x21, 0x41, &V4),
            &binary(0x21, 0x11, &V4[..11]),
            &binary(0x21, 0x21, &V4),
            &binary(0x21, 0x31, &V4),
            &binary(0x21, 0x21, &v6("::")),
        ] {
            assert_eq!(read(header), Err(InvalidHeader), "{header:?}");
        }
    }

    proptest! {
        #[test]
        fn any_bytes_are_a_header_or_not(
            version in prop::sample::select(vec![TEXT, BINARY, b""]),
            rest in prop::collection::vec(any::<u8>(), 0..300),
        ) {
            let bytes = [version, &rest].concat();
            if let Ok(Some(length)) = length(&bytes) {
                prop_assert!(length <= bytes.len());
                let _ = parse(&bytes[..length]);
            }
            let _ = parse(&bytes);
        }
    }
}
