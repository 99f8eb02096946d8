//! The Binding success response, written in place: the one answer that strangers get in bulk (RFC 8489 section 12).

use std::net::SocketAddr;

use stun::attributes::{ATTR_FINGERPRINT, ATTR_XORMAPPED_ADDRESS};
use stun::message::BINDING_SUCCESS;

use super::attributes::{HEAD_MAX, length_field, write_head};
use super::message::{FINGERPRINT, HEADER, fingerprint};
use super::{Head, Reply};

/// Bytes of the longest Binding response: XOR-MAPPED-ADDRESS with an IPv6 address, and FINGERPRINT.
pub const BINDING_RESPONSE_MAX: usize = HEAD_MAX + FINGERPRINT;

/// Answers a Binding request: XOR-MAPPED-ADDRESS and nothing else, but FINGERPRINT where the request had one.
pub fn write_binding_response(request: Head, mapped: SocketAddr, reply: &mut Reply) {
    let mut out = [0; BINDING_RESPONSE_MAX];
    let mut end =
        write_head(&mut out, BINDING_SUCCESS, request.transaction, (ATTR_XORMAPPED_ADDRESS, mapped));
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
