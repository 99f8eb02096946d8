//! ChannelData in both directions (RFC 8656 sections 12.4 to 12.7; threats 1 and 3).

use byway_test_support::turn::{Client, Request, Seen, Server, at, channel_data};
use byway_turn::server::DropReason;

const PEER: &str = "8.8.8.8:53";

fn bound() -> (Server, Client) {
    let mut server = Server::new();
    let (mut client, _) = Client::allocated(&mut server, "203.0.113.9:5000", "alice");
    client.granted(&mut server, &Request::channel_bind(0x4ABC, at(PEER)));
    (server, client)
}

#[test]
fn a_payload_of_any_length_reaches_the_peer() {
    let (mut server, client) = bound();
    let from = server.sockets()[0];
    for length in [0, 1, 2, 3, 4, 5, 1200, 65_503] {
        let payload: Vec<u8> = (0..=255).cycle().take(length).collect();
        let seen = client.send_on(&mut server, 0x4ABC, &payload);
        assert_eq!(seen, Seen::ToPeer { from, peer: at(PEER), payload });
    }
}

/// Section 12.5: over UDP, padding is optional and does not belong to the payload.
#[test]
fn padding_is_no_payload() {
    let (mut server, client) = bound();
    for padding in 0..=3 {
        let mut message = channel_data(0x4ABC, b"hello");
        message.resize(message.len() + padding, 0xEE);
        let seen = client.send(&mut server, &message);
        assert!(matches!(seen, Seen::ToPeer { payload, .. } if payload == b"hello"), "{padding}");
    }
}

/// Threat 3: the client receives the peer's payload and a header, and no byte of the surrounding
/// buffer.
#[test]
fn threat_3_what_a_peer_sends_comes_on_the_channel_and_nothing_else() {
    let (mut server, client) = bound();
    let relayed = server.sockets()[0];
    let long = vec![7; 1200];
    for payload in [&long[..], b"", b"h", b"hello"] {
        let expected = Seen::ToClient(client.address(), channel_data(0x4ABC, payload));
        assert_eq!(server.peer_datagram(relayed, at(PEER), payload), expected);
    }
}

/// The channel is bound to a transport address, but the permission covers the IP address.
#[test]
fn another_port_of_the_peer_comes_as_a_data_indication() {
    let (mut server, _) = bound();
    let relayed = server.sockets()[0];
    let Seen::ToClient(_, bytes) = server.peer_datagram(relayed, at("8.8.8.8:54"), b"hello") else {
        panic!("not delivered")
    };
    assert_eq!(bytes[..2], [0x00, 0x17]);
}

/// Threat 1: lengths that do not match their datagram.
#[test]
fn threat_1_truncated_or_over_long_messages_are_dropped() {
    let (mut server, client) = bound();
    let message = channel_data(0x4ABC, b"hello");
    for length in 1..message.len() {
        assert_eq!(
            client.send(&mut server, &message[..length]),
            Seen::Dropped(DropReason::Malformed),
            "{length}"
        );
    }
    for trailing in [4, 5, 100] {
        let mut message = message.clone();
        message.resize(message.len() + trailing, 0);
        assert_eq!(client.send(&mut server, &message), Seen::Dropped(DropReason::Malformed));
    }
    for lie in [0x0006_u16, 0x00FF, 0x7FFF, 0xFFFC, 0xFFFF] {
        let mut message = message.clone();
        message[2..4].copy_from_slice(&lie.to_be_bytes());
        assert_eq!(client.send(&mut server, &message), Seen::Dropped(DropReason::Malformed), "{lie:#x}");
    }
}

/// Threat 4: ChannelData on an unbound channel is dropped.
#[test]
fn threat_4_unbound_channel_data_is_met_with_silence() {
    let (mut server, client) = bound();
    for number in [0x4000, 0x4ABB, 0x4ABD, 0x4FFF] {
        assert_eq!(client.send_on(&mut server, number, b"hello"), Seen::Dropped(DropReason::NoChannel));
    }
    let stranger = client.at("203.0.113.9:5001");
    assert_eq!(stranger.send_on(&mut server, 0x4ABC, b"hello"), Seen::Dropped(DropReason::NoAllocation));
}
