//! The end of connections, and of what they hold.

use std::time::Duration;

use byway::clock::Clock;
use byway_test_support::process::Server;
use byway_test_support::turn::Request;

use super::client::{Client, channel_data};

#[test]
fn an_allocation_ends_with_its_connection() {
    let server = Server::start();
    let (client, _) = Client::allocated(&server);
    assert_eq!(server.metric("byway_allocations"), 1);
    drop(client);
    server.until("byway_allocations", 0);
    assert_eq!(server.metric("byway_turn_streams"), 0);
    assert_eq!(server.metric(r#"byway_turn_streams_closed_total{reason="client"}"#), 1);
}

#[test]
fn threat_1_a_garbage_stream_is_closed_at_its_first_impossible_byte() {
    let server = Server::start();
    let garbage: [&[u8]; 6] = [
        b"GET / HTTP/1.1\r\n",
        b"\x16\x03\x01\x02\x00",
        b"\x04",
        b"\x00\x01\x00\x01",
        b"\x00\x01\x00\x00\x21\x12\xa4\x43",
        // Longer than anything a stranger has to say.
        b"\x00\x03\xff\xfc",
    ];
    for bytes in garbage {
        let mut client = Client::connect(&server);
        let clock = Clock::start();
        client.send(bytes);
        client.closed();
        assert!(clock.now().mono < Duration::from_secs(8), "{bytes:02x?} waited for the deadline");
    }
    assert_eq!(server.metric(r#"byway_turn_streams_closed_total{reason="garbage"}"#), garbage.len() as u64);
}

#[test]
fn channel_data_without_an_allocation_is_garbage() {
    let server = Server::start();
    let mut client = Client::connect(&server);
    client.ask_unsigned(&Request::binding());
    client.send(&channel_data(0x4000, b"?"));
    client.closed();
    assert_eq!(server.metric(r#"byway_turn_streams_closed_total{reason="garbage"}"#), 1);
}

#[test]
fn garbage_behind_an_allocation_ends_it() {
    let server = Server::start();
    let (mut client, _) = Client::allocated(&server);
    client.send(b"\xff");
    client.closed();
    server.until("byway_allocations", 0);
}

/// A message that is framed well and filled badly costs itself alone: the stream is still in step.
#[test]
fn threat_1_a_malformed_message_is_dropped_and_the_connection_goes_on() {
    let server = Server::start();
    let mut client = Client::connect(&server);
    // An attribute that claims more than there is.
    client.send(b"\x00\x01\x00\x04\x21\x12\xa4\x42transaction!\x00\x06\x00\x09");
    client.ask_unsigned(&Request::binding());
    server.until(r#"byway_dropped_packets_total{reason="malformed"}"#, 1);
}

/// Threat 19: silent, or one byte and no more, or asking for ever without a credential.
#[test]
fn threat_19_a_connection_without_an_allocation_ends_after_ten_seconds() {
    let server = Server::start();
    let mut silent = Client::connect(&server);
    let mut stalled = Client::connect(&server);
    stalled.send(b"\x00");
    let mut asking = Client::connect(&server);
    let (mut allocated, _) = Client::allocated(&server);
    let clock = Clock::start();
    asking.ask_unsigned(&Request::allocate());
    for client in [&mut silent, &mut stalled, &mut asking] {
        client.closed();
        let lasted = clock.now().mono.as_secs_f32();
        assert!((8.0..15.0).contains(&lasted), "{lasted} s");
    }
    server.until(r#"byway_turn_streams_closed_total{reason="idle"}"#, 3);
    allocated.granted(&Request::refresh(600));
}

#[test]
fn a_client_may_allocate_again_on_its_connection() {
    let server = Server::start();
    let (mut client, first) = Client::allocated(&server);
    client.granted(&Request::refresh(0));
    let second = client.granted(&Request::allocate()).relayed();
    assert_ne!(first, second);
}
