//! Channels last 600 seconds, and their numbers rest for another 300 (RFC 8656 section 12; threat
//! 18).

use byway_test_support::turn::{Client, Request, Seen, Server, at, seconds};
use byway_turn::server::DropReason;

const PEER: &str = "8.8.8.8:53";

/// Returns a client with an allocation for one hour and a channel.
fn bound() -> (Server, Client) {
    let mut server = Server::new();
    let (mut client, _) = Client::allocated(&mut server, "203.0.113.9:5000", "alice");
    client.granted(&mut server, &Request::refresh(3600));
    client.granted(&mut server, &Request::channel_bind(0x4000, at(PEER)));
    (server, client)
}

fn is_bound(server: &mut Server, client: &Client) -> bool {
    match client.send_on(server, 0x4000, b"x") {
        Seen::ToPeer { peer, .. } => peer == at(PEER),
        Seen::Dropped(DropReason::NoChannel) => false,
        other => panic!("{other:?}"),
    }
}

#[test]
fn threat_18_it_is_bound_at_599_seconds_and_not_at_600() {
    for (age, expected) in [(599, true), (600, false), (601, false)] {
        let (mut server, client) = bound();
        server.advance(seconds(age));
        assert_eq!(is_bound(&mut server, &client), expected, "with a timer, at {age} s");
        assert_eq!(server.announced_channels(), usize::from(expected));
        let (mut server, client) = bound();
        server.advance_without_timer(seconds(age));
        assert_eq!(is_bound(&mut server, &client), expected, "without a timer, at {age} s");
    }
}

/// ChannelData refreshes neither the channel nor the permission (section 12.6).
#[test]
fn threat_18_traffic_does_not_refresh_it() {
    let (mut server, client) = bound();
    let relayed = server.sockets()[0];
    for age in 1..600 {
        server.advance(seconds(1));
        assert!(is_bound(&mut server, &client), "{age}");
        let back = server.peer_datagram(relayed, at(PEER), b"x");
        assert_eq!(matches!(back, Seen::ToClient(..)), age < 300, "the permission ends before the channel");
    }
    server.advance(seconds(1));
    assert!(!is_bound(&mut server, &client));
}

#[test]
fn a_rebind_refreshes_channel_and_permission() {
    let (mut server, mut client) = bound();
    server.advance(seconds(599));
    client.granted(&mut server, &Request::channel_bind(0x4000, at(PEER)));
    server.advance(seconds(299));
    let relayed = server.sockets()[0];
    assert!(matches!(server.peer_datagram(relayed, at(PEER), b"x"), Seen::ToClient(..)));
    server.advance(seconds(300));
    assert!(is_bound(&mut server, &client));
    server.advance(seconds(1));
    assert!(!is_bound(&mut server, &client));
}

/// Late datagrams on a channel must not reach a different peer.
#[test]
fn threat_18_for_300_seconds_a_number_and_its_peer_belong_together() {
    for (age, with_timer) in [(600, true), (899, true), (600, false), (899, false)] {
        let (mut server, mut client) = bound();
        if with_timer {
            server.advance(seconds(age))
        } else {
            server.advance_without_timer(seconds(age))
        }
        assert!(!is_bound(&mut server, &client));
        assert_eq!(client.refused(&mut server, &Request::channel_bind(0x4000, at("9.9.9.9:9"))), 400);
        assert_eq!(client.refused(&mut server, &Request::channel_bind(0x4001, at(PEER))), 400);
    }
}

#[test]
fn threat_18_after_300_seconds_of_rest_they_part() {
    for with_timer in [true, false] {
        let (mut server, mut client) = bound();
        if with_timer {
            server.advance(seconds(900))
        } else {
            server.advance_without_timer(seconds(900))
        }
        client.granted(&mut server, &Request::channel_bind(0x4000, at("9.9.9.9:9")));
        client.granted(&mut server, &Request::channel_bind(0x4001, at(PEER)));
        assert_eq!(server.announced_channels(), 2);
    }
}

/// The same pair may be bound again at any time, and is then announced again.
#[test]
fn the_same_pair_is_bound_again_during_its_rest() {
    for with_timer in [true, false] {
        let (mut server, mut client) = bound();
        if with_timer {
            server.advance(seconds(700))
        } else {
            server.advance_without_timer(seconds(700))
        }
        client.granted(&mut server, &Request::channel_bind(0x4000, at(PEER)));
        assert!(is_bound(&mut server, &client));
        assert_eq!(server.announced_channels(), 1);
        server.advance(seconds(599));
        assert_eq!(server.announced_channels(), 1);
        server.advance(seconds(1));
        assert_eq!(server.announced_channels(), 0);
    }
}

/// Resting channels count against the limit (threat 15). Expired ones do not, even if the timer is
/// late.
#[test]
fn threat_15_rests_count_and_ends_do_not() {
    for with_timer in [true, false] {
        let (mut server, mut client) = bound();
        for n in 1..32 {
            client.granted(
                &mut server,
                &Request::channel_bind(0x4000 + n, at(&format!("8.8.8.8:{}", 1000 + n))),
            );
        }
        if with_timer {
            server.advance(seconds(899))
        } else {
            server.advance_without_timer(seconds(899))
        }
        let more = Request::channel_bind(0x4800, at("8.8.8.8:2000"));
        assert_eq!(client.refused(&mut server, &more), 508);
        if with_timer {
            server.advance(seconds(1))
        } else {
            server.advance_without_timer(seconds(1))
        }
        client.granted(&mut server, &more);
        assert_eq!(server.announced_channels(), 1);
    }
}

/// After a number is bound again, sweeping the old channel does not end the new one.
#[test]
fn a_late_timer_unbinds_the_old_channel_and_not_the_new_one() {
    let (mut server, mut client) = bound();
    server.advance_without_timer(seconds(1000));
    client.granted(&mut server, &Request::channel_bind(0x4000, at("9.9.9.9:9")));
    server.expire();
    assert_eq!(server.announced_channels(), 1);
    assert!(
        matches!(client.send_on(&mut server, 0x4000, b"x"), Seen::ToPeer { peer, .. } if peer == at("9.9.9.9:9"))
    );
}
