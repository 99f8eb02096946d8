//! Allocations end on time (RFC 8656 section 7.2), even if the timer is late.

use byway_test_support::turn::{Client, Request, Seen, Server, at, seconds};
use byway_turn::server::DropReason;

#[test]
fn it_lives_for_599_seconds_and_is_over_at_600() {
    for (age, lives) in [(599, true), (600, false), (601, false)] {
        let mut server = Server::new();
        Client::allocated(&mut server, "203.0.113.9:5000", "alice");
        server.advance(seconds(age));
        assert_eq!((server.allocations(), server.sockets().len()), (usize::from(lives), usize::from(lives)));
    }
}

/// The core returns its next deadline, and has work at that time.
#[test]
fn the_deadline_is_the_earliest_end() {
    let mut server = Server::new();
    assert_eq!(server.next_deadline(), None);
    let (mut client, _) = Client::allocated(&mut server, "203.0.113.9:5000", "alice");
    let began = server.now.mono;
    assert_eq!(server.next_deadline(), Some(began + seconds(600)));
    client.granted(&mut server, &Request::permission(at("8.8.8.8:53")));
    assert_eq!(server.next_deadline(), Some(began + seconds(300)));
}

/// A late timer extends nothing: every lookup checks the expiry.
#[test]
fn without_a_timer_an_expired_allocation_is_not_there() {
    let mut server = Server::new();
    let (mut client, relayed) = Client::allocated(&mut server, "203.0.113.9:5000", "alice");
    let peer = at("8.8.8.8:53");
    server.advance_without_timer(seconds(599));
    client.granted(&mut server, &Request::channel_bind(0x4000, peer));
    assert!(matches!(client.send_on(&mut server, 0x4000, b"x"), Seen::ToPeer { .. }));
    server.advance_without_timer(seconds(1));
    let gone = Seen::Dropped(DropReason::NoAllocation);
    assert_eq!(client.send_on(&mut server, 0x4000, b"x"), gone);
    assert_eq!(client.send_unsigned(&mut server, &Request::send(peer, b"x")), gone);
    assert_eq!(server.peer_datagram(relayed, peer, b"x"), gone);
    assert_eq!(server.allocations(), 1, "the timer has not swept it yet");
}

#[test]
fn without_a_timer_a_request_finds_it_gone_and_closes_it() {
    for request in [Request::refresh(600), Request::refresh(0), Request::permission(at("8.8.8.8:53"))] {
        let mut server = Server::new();
        let (mut client, _) = Client::allocated(&mut server, "203.0.113.9:5000", "alice");
        server.advance_without_timer(seconds(600));
        assert_eq!(client.refused(&mut server, &request), 437);
        assert_eq!((server.allocations(), server.sockets().len()), (0, 0));
    }
}

#[test]
fn without_a_timer_a_new_allocation_takes_its_place() {
    let mut server = Server::new();
    let (mut client, first) = Client::allocated(&mut server, "203.0.113.9:5000", "alice");
    server.advance_without_timer(seconds(600));
    let second = client.granted(&mut server, &Request::allocate()).relayed();
    assert_ne!(first, second);
    assert_eq!(server.sockets(), [second]);
}

/// A process that was stopped for hours expires everything: nothing remains and nothing leaks.
#[test]
fn a_timer_that_comes_hours_late_sweeps_all_up() {
    let mut server = Server::with(2, |_| {});
    for n in 0..64 {
        let mut client = Client::on(n % 2, &server, &format!("203.0.113.9:{}", 5000 + n), "alice");
        let lifetime = 600 + u32::try_from(n).unwrap() * 47;
        client.granted(&mut server, &Request::allocate().lifetime(lifetime));
        client.granted(&mut server, &Request::channel_bind(0x4000, at("8.8.8.8:53")));
    }
    server.advance_without_timer(seconds(30_000));
    server.expire();
    assert_eq!((server.allocations(), server.announced_channels()), (0, 0));
    assert_eq!((server.sockets().len(), server.next_deadline()), (0, None));
}

/// Lifetimes count from the exact moment, not from the start of its second.
#[test]
fn fractions_of_a_second_count() {
    let mut server = Server::new();
    server.advance(std::time::Duration::from_millis(750));
    let (client, _) = Client::allocated(&mut server, "203.0.113.9:5000", "alice");
    server.advance(std::time::Duration::from_millis(599_999));
    assert_eq!(client.send_on(&mut server, 0x4000, b"x"), Seen::Dropped(DropReason::NoChannel));
    server.advance(std::time::Duration::from_millis(1));
    assert_eq!(client.send_on(&mut server, 0x4000, b"x"), Seen::Dropped(DropReason::NoAllocation));
}
