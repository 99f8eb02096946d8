//! The Binding success response, written in place: the one answer that strangers get in bulk (RFC 8489 section 12).

use std::net::SocketAddr;

use stun::attributes::{ATTR_FINGERPRINT, ATTR_XORMAPPED_ADDRESS};
use stun::message::{BINDING_SUCCESS, MAGIC_COOKIE};

use super::attributes::write_xor_address;
use super::message::{ATTRIBUTE_HEADER, HEADER, fingerprint};
use super::{Head, Reply};

/// Bytes of the longest Binding response: XOR-MAPPED-ADDRESS with an IPv6 address, and FINGERPRINT.
pub const BINDING_RESPONSE_MAX: usize = HEADER + (ATTRIBUTE_HEADER + 20) + FINGERPRINT;

const FINGERPRINT: usize = ATTRIBUTE_HEADER + 4;

/// Answers a Binding request: XOR-MAPPED-ADDRESS and nothing else, but FINGERPRINT where the request had one.
pub fn write_binding_response(request: Head, mapped: SocketAddr, reply: &mut Reply) {
    let mut address = [0; 20];
    let address_length = write_xor_address(&mut address, mapped, request.transaction);
    let mut end = HEADER + ATTRIBUTE_HEADER + address_length;

    let mut out = [0; BINDING_RESPONSE_MAX];
    out[..2].copy_from_slice(&BINDING_SUCCESS.value().to_be_bytes());
    out[4..8].copy_from_slice(&MAGIC_COOKIE.to_be_bytes());
    out[8..20].copy_from_slice(&request.transaction);
    out[20..22].copy_from_slice(&ATTR_XORMAPPED_ADDRESS.0.to_be_bytes());
    out[22..24].copy_from_slice(&length(address_length));
    out[24..end].copy_from_slice(&address[..address_length]);
    if request.fingerprint {
        out[2..4].copy_from_slice(&length(end + FINGERPRINT - HEADER));
        let sum = fingerprint(&out[..end]);
        out[end..end + 2].copy_from_slice(&ATTR_FINGERPRINT.0.to_be_bytes());
        out[end + 2..end + 4].copy_from_slice(&length(4));
        out[end + 4..end + 8].copy_from_slice(&sum.to_be_bytes());
        end += FINGERPRINT;
    } else {
        out[2..4].copy_from_slice(&length(end - HEADER));
    }
    reply.set(&out[..end]);
}

fn length(bytes: usize) -> [u8; 2] {
    u16::try_from(bytes).unwrap_or(u16::MAX).to_be_bytes()
}
