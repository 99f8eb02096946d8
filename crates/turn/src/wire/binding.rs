//! Binding success responses, written in place: the one reply that unauthenticated clients get in
//! bulk (RFC 8489 section 12).

use std::net::SocketAddr;

use stun::attributes::{
    ATTR_FINGERPRINT, ATTR_MAPPED_ADDRESS, ATTR_OTHER_ADDRESS, ATTR_RESPONSE_ORIGIN, ATTR_XORMAPPED_ADDRESS,
    AttrType,
};
use stun::message::BINDING_SUCCESS;

use super::attributes::{ADDRESS_MAX, HEAD_MAX, length_field, write_address, write_head};
use super::message::{FINGERPRINT, HEADER, fingerprint};
use super::{Head, Reply};

/// Bytes of the longest plain Binding response: XOR-MAPPED-ADDRESS with an IPv6 address, and
/// FINGERPRINT.
pub const BINDING_RESPONSE_MAX: usize = HEAD_MAX + FINGERPRINT;

/// Bytes of the longest Binding response with the attributes of NAT behaviour discovery.
const DISCOVERY_RESPONSE_MAX: usize = BINDING_RESPONSE_MAX + 3 * ADDRESS_MAX;

/// Writes a Binding success response into `reply`: XOR-MAPPED-ADDRESS, and FINGERPRINT if the
/// request had one.
pub fn write_binding_response(request: Head, mapped: SocketAddr, reply: &mut Reply) {
    write(request, mapped, &[], reply);
}

/// Writes a Binding success response that also has MAPPED-ADDRESS, RESPONSE-ORIGIN and
/// OTHER-ADDRESS.
///
/// RFC 5780 section 6.1 requires all three in every response.
pub fn write_discovery_response(
    request: Head,
    mapped: SocketAddr,
    origin: SocketAddr,
    other: SocketAddr,
    reply: &mut Reply,
) {
    let more = [(ATTR_MAPPED_ADDRESS, mapped), (ATTR_RESPONSE_ORIGIN, origin), (ATTR_OTHER_ADDRESS, other)];
    write(request, mapped, &more, reply);
}

fn write(request: Head, mapped: SocketAddr, more: &[(AttrType, SocketAddr)], reply: &mut Reply) {
    let mut out = [0; DISCOVERY_RESPONSE_MAX];
    let mut end =
        write_head(&mut out, BINDING_SUCCESS, request.transaction, (ATTR_XORMAPPED_ADDRESS, mapped));
    for attribute in more {
        end += write_address(&mut out[end..], *attribute);
    }
    if request.fingerprint {
        out[2..4].copy_from_slice(&length_field(end + FINGERPRINT - HEADER));
        let sum = fingerprint(&out[..end]);
        out[end..end + 2].copy_from_slice(&ATTR_FINGERPRINT.0.to_be_bytes());
        out[end + 2..end + 4].copy_from_slice(&length_field(4));
        out[end + 4..end + 8].copy_from_slice(&sum.to_be_bytes());
        end += FINGERPRINT;
    } else {
        out[2..4].copy_from_slice(&length_field(end - HEADER));
    }
    reply.set(&out[..end]);
}
