//! Dropped datagrams and their counters (RFC 7983, RFC 8489 section 6.3; threats 1 and 4).

use byway_test_support::turn::{Client, Request, Seen, Server, at};
use stun::message::{
    CLASS_ERROR_RESPONSE, CLASS_INDICATION, CLASS_SUCCESS_RESPONSE, METHOD_ALLOCATE, METHOD_BINDING,
    METHOD_DATA, METHOD_REFRESH,
};

use byway_turn::server::{DropReason, FiveTuple};

/// Checks the drop for an unauthenticated client and for one with an allocation.
fn is_dropped(datagram: &[u8], reason: DropReason) {
    let mut server = Server::new();
    let stranger = Client::new(&server, "203.0.113.8:5000", "mallory");
    let (client, _) = Client::allocated(&mut server, "203.0.113.9:5000", "alice");
    for sender in [stranger, client] {
        assert_eq!(sender.send(&mut server, datagram), Seen::Dropped(reason), "{datagram:02x?}");
    }
}

fn message(request: &Request) -> Vec<u8> {
    request.encode([7; 12], None)
}

#[test]
fn neither_stun_nor_channel_data() {
    is_dropped(b"", DropReason::NotTurn);
    for first in (4..64).chain(128..=255) {
        is_dropped(&[first; 60], DropReason::NotTurn);
        is_dropped(&[first], DropReason::NotTurn);
    }
    // A DTLS ClientHello record begins with 22, 254, 253.
    is_dropped(&[22, 254, 253, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0], DropReason::NotTurn);
}

#[test]
fn threat_4_responses_and_indications_are_met_with_silence() {
    for class in [CLASS_SUCCESS_RESPONSE, CLASS_ERROR_RESPONSE] {
        for method in [METHOD_BINDING, METHOD_ALLOCATE, METHOD_REFRESH, METHOD_DATA] {
            is_dropped(&message(&Request::bare(method).class(class)), DropReason::Unexpected);
        }
    }
    for method in [METHOD_BINDING, METHOD_ALLOCATE, METHOD_DATA] {
        is_dropped(&message(&Request::bare(method).class(CLASS_INDICATION)), DropReason::Unexpected);
    }
}

#[test]
fn requests_of_methods_that_are_not_spoken() {
    // Message types of class request: reserved, Shared Secret, Data, Connect (RFC 6062), and
    // unassigned ones.
    for kind in [0x0000_u16, 0x0002, 0x0007, 0x000A, 0x000B, 0x0200, 0x02EF] {
        let mut datagram = message(&Request::binding());
        datagram[..2].copy_from_slice(&kind.to_be_bytes());
        is_dropped(&datagram, DropReason::Unexpected);
    }
}

#[test]
fn threat_4_our_own_answers_sent_back_to_us_are_met_with_silence() {
    let mut server = Server::new();
    let mut client = Client::new(&server, "203.0.113.9:5000", "alice");
    for request in [Request::binding(), Request::allocate(), Request::binding().fingerprint()] {
        is_dropped(client.ask_unsigned(&mut server, &request).bytes(), DropReason::Unexpected);
    }
    is_dropped(client.granted(&mut server, &Request::allocate()).bytes(), DropReason::Unexpected);
}

/// Threat 4: port 0 is the source of forged datagrams, and no response reaches it.
#[test]
fn threat_4_source_port_zero_is_met_with_silence() {
    let mut server = Server::new();
    let mut client = Client::new(&server, "203.0.113.9:5000", "alice");
    client.five_tuple = FiveTuple { client: at("203.0.113.9:0"), ..client.five_tuple };
    for request in [Request::binding(), Request::allocate()] {
        assert_eq!(client.send_unsigned(&mut server, &request), Seen::Dropped(DropReason::PortZero));
    }
    assert_eq!(client.send_on(&mut server, 0x4000, b"x"), Seen::Dropped(DropReason::PortZero));
}

/// Threat 1: messages cut at every length, and wrong length fields.
#[test]
fn threat_1_truncated_and_over_long_stun_is_dropped() {
    let mut server = Server::new();
    let mut client = Client::new(&server, "203.0.113.9:5000", "alice");
    client.learn_nonce(&mut server);
    let (whole, _) = client.sign(&Request::allocate_v6().fingerprint());
    for length in 1..whole.len() {
        assert_eq!(
            client.send(&mut server, &whole[..length]),
            Seen::Dropped(DropReason::Malformed),
            "{length}"
        );
    }
    for trailing in 1..=8 {
        let longer = [&whole[..], &[0; 8][..trailing]].concat();
        assert_eq!(client.send(&mut server, &longer), Seen::Dropped(DropReason::Malformed));
    }
    for lie in (0..=200).chain([0x7FFC, 0xFFFC, 0xFFFF]).filter(|lie| usize::from(*lie) != whole.len() - 20) {
        let mut datagram = whole.clone();
        datagram[2..4].copy_from_slice(&u16::to_be_bytes(lie));
        assert_eq!(client.send(&mut server, &datagram), Seen::Dropped(DropReason::Malformed), "{lie}");
    }
    assert_eq!(server.allocations(), 0);
}

#[test]
fn a_fingerprint_that_does_not_match() {
    let mut datagram = message(&Request::binding().fingerprint());
    *datagram.last_mut().unwrap() ^= 1;
    is_dropped(&datagram, DropReason::BadFingerprint);
}

/// RFC 3489 clients send no cookie and get no response.
#[test]
fn no_magic_cookie() {
    let mut datagram = message(&Request::binding());
    datagram[4] ^= 1;
    is_dropped(&datagram, DropReason::Malformed);
}

/// A flipped bit in a signed request never causes a panic or an unsigned effect.
#[test]
fn no_flipped_bit_makes_an_allocation() {
    let mut server = Server::new();
    let mut client = Client::new(&server, "203.0.113.9:5000", "alice");
    client.learn_nonce(&mut server);
    let (whole, _) = client.sign(&Request::allocate());
    for bit in 0..whole.len() * 8 {
        let mut datagram = whole.clone();
        datagram[bit / 8] ^= 1 << (bit % 8);
        client.send(&mut server, &datagram);
        assert_eq!(server.allocations(), 0, "bit {bit}");
    }
}
