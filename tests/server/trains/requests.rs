//! Messages other than media in the middle of a train, and their effect on the rest.

use ::stun::attributes::AttrType;
use byway_test_support::process::Server;
use byway_test_support::process::interrupts::uninterrupted;
use byway_test_support::process::sockets::{LOOPBACK, receive};
use byway_test_support::process::train::send_in_trains;
use byway_test_support::turn::{Request, Response, channel_data};

use super::{client, payload, peer, with_and_without_offload};

/// Media on channel 0x4000, as long as `message`.
fn media(n: u16, message: &[u8]) -> Vec<u8> {
    channel_data(0x4000, &payload(0, n, message.len() - 4))
}

fn dropped(server: &Server, reason: &str) -> u64 {
    server.metric(&format!("byway_dropped_packets_total{{reason={reason:?}}}"))
}

#[test]
fn what_is_malformed_costs_itself_alone() {
    with_and_without_offload("", |server| {
        let (peer, address) = peer(LOOPBACK[0]);
        let (mut client, _) = client(server, server.bound.udp_v4()).permitting(address);
        client.granted(&Request::channel_bind(0x4000, address));
        let whole = [0; 400];
        let train: Vec<_> = (0..30)
            .map(|n| match n {
                // A length beyond its end; no message at all; a channel that is not bound.
                7 => [&[0x40, 0, 0x7F, 0xFF][..], &whole[4..]].concat(),
                15 => vec![0xFF; 400],
                16 => channel_data(0x4001, &whole[4..]),
                n => media(n, &whole),
            })
            .collect();
        server.meanwhile_paused(|| send_in_trains(client.udp(), None, &train));
        for n in (0..30).filter(|n| ![7, 15, 16].contains(n)) {
            assert_eq!(receive(&peer).0, media(n, &whole)[4..]);
        }
        for reason in ["malformed", "not_turn", "no_channel"] {
            assert_eq!(dropped(server, reason), 1, "{reason}");
        }
    });
}

#[test]
fn requests_between_media_are_answered_and_take_effect_where_they_stand() {
    with_and_without_offload("", |server| {
        let ((peer, address), (other, other_address)) = (peer(LOOPBACK[0]), peer(LOOPBACK[0]));
        let (mut client, relayed) = client(server, server.bound.udp_v4()).permitting(address);
        client.granted(&Request::channel_bind(0x4000, address));
        // As long as a channel's number and an address are.
        let long = Request::refresh(600).with(AttrType(0x8030), &[0; 8]);
        let ((refresh, of_refresh), (bind, of_bind)) =
            (client.signed(&long), client.signed(&Request::channel_bind(0x4001, other_address)));
        assert_eq!(refresh.len(), bind.len());
        let on_second = |n| channel_data(0x4001, &payload(1, n, bind.len() - 4));
        let mut train: Vec<_> = (0..10).map(|n| media(n, &bind)).collect();
        train.push(refresh);
        // Before it is bound, and behind.
        train.push(on_second(0));
        train.push(bind.clone());
        train.extend((1..10).map(on_second));
        train.extend((10..20).map(|n| media(n, &bind)));
        server.meanwhile_paused(|| send_in_trains(client.udp(), None, &train));
        for n in 0..20 {
            assert_eq!(receive(&peer).0, media(n, &bind)[4..]);
        }
        for n in 1..10 {
            assert_eq!(receive(&other).0, on_second(n)[4..]);
        }
        for transaction in [of_refresh, of_bind] {
            let answer = Response::read(&client.receive());
            assert_eq!((answer.transaction(), answer.code()), (transaction, 0));
        }
        assert_eq!(dropped(server, "no_channel"), 1);
        peer.send_to(b"back", relayed).unwrap();
        assert_eq!(client.receive(), channel_data(0x4000, b"back"));
    });
}

/// Datagrams before the end are relayed; those behind it find neither the old allocation nor the
/// new one in its place.
#[test]
fn a_train_that_ends_its_allocation_half_way_leaves_nothing_to_the_next() {
    with_and_without_offload("", |server| {
        let (peer, address) = peer(LOOPBACK[0]);
        let (mut client, first) = client(server, server.bound.udp_v4()).permitting(address);
        client.granted(&Request::channel_bind(0x4000, address));
        let (end, of_end) = client.signed(&Request::refresh(0));
        let (anew, of_anew) = client.signed(&Request::allocate());
        assert_eq!(end.len(), anew.len());
        let mut train: Vec<_> = (0..20).map(|n| media(n, &end)).collect();
        train.push(end.clone());
        train.extend((20..30).map(|n| media(n, &end)));
        train.push(anew);
        train.extend((30..40).map(|n| media(n, &end)));
        server.meanwhile_paused(|| {
            // For the socket that is about to be closed.
            send_in_trains(&peer, Some(first), &(0..10).map(|n| payload(9, n, 100)).collect::<Vec<_>>());
            send_in_trains(client.udp(), None, &train);
        });
        for n in 0..20 {
            assert_eq!(receive(&peer).0, media(n, &end)[4..]);
        }
        // In a turn that did not bring the end, what the peer sends is still for this client.
        let answer = std::iter::repeat_with(|| client.receive()).find(|message| message[0] < 4).unwrap();
        let answer = Response::read(&answer);
        assert_eq!((answer.transaction(), answer.lifetime()), (of_end, 0));
        let answer = Response::read(&client.receive());
        assert_eq!((answer.transaction(), answer.code()), (of_anew, 0));
        let second = answer.relayed();
        assert_ne!(first, second);
        assert_eq!((dropped(server, "no_allocation"), dropped(server, "no_channel")), (10, 10));
        // Nothing was in between, on either side.
        client.granted(&Request::channel_bind(0x4000, address));
        client.send_on(0x4000, b"anew");
        let (came, from) = {
            let mut room = [0; 100];
            let (length, from) = uninterrupted(|| peer.recv_from(&mut room)).unwrap();
            (room[..length].to_vec(), from)
        };
        assert_eq!((came.as_slice(), from), (&b"anew"[..], second));
        peer.send_to(b"back", second).unwrap();
        assert_eq!(client.receive(), channel_data(0x4000, b"back"));
    });
}
