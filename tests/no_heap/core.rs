//! The core: what a datagram makes it do, and what a stranger leaves behind.

use std::net::{Ipv4Addr, SocketAddr};

use byway_test_support::turn::bare::{Bare, NOW, five_tuple};
use byway_test_support::turn::{Request, at, channel_data};
use byway_turn::server::{Action, FiveTuple};
use byway_turn::wire::Icmp;

use crate::{BYTES, CALLS};

/// Calls to the allocator, freeing included, that `work` makes in a thousand rounds, after a first
/// one.
fn calls(mut work: impl FnMut()) -> u64 {
    work();
    let before = CALLS.get();
    (0..1000).for_each(|_| work());
    CALLS.get() - before
}

/// Writes the header of a payload, as the data plane does.
fn wrap(action: Action) {
    let Action::ToClient { encapsulation, payload, .. } = action else { panic!("{action:?}") };
    assert!(encapsulation.around(payload.len()).is_some());
}

#[test]
fn the_counter_counts() {
    assert!(calls(|| drop(std::hint::black_box(Box::new(7)))) >= 2000);
}

#[test]
fn to_a_peer_outside() {
    let mut bare = Bare::new();
    let client = five_tuple("203.0.113.9:5000");
    bare.prepare(0, client, &[at("8.8.8.8:53")]);
    let on_channel = channel_data(0x4000, &[7; 1200]);
    let in_send = Request::send(at("8.8.8.8:53"), &[7; 1200]).encode([3; 12], None);
    for datagram in [on_channel, in_send] {
        let calls = calls(|| assert!(matches!(bare.client(client, &datagram), Action::ToPeer { .. })));
        assert_eq!(calls, 0);
    }
}

#[test]
fn from_a_peer_outside() {
    let mut bare = Bare::new();
    let peers = [at("8.8.8.8:53"), at("8.8.4.4:53")];
    bare.prepare(0, five_tuple("203.0.113.9:5000"), &peers);
    for source in peers {
        let relay = bare.relays[0];
        assert_eq!(calls(|| wrap(bare.shards[0].peer_datagram(NOW, relay, source, 1200))), 0);
    }
}

#[test]
fn an_icmp_error() {
    let mut bare = Bare::new();
    bare.prepare(0, five_tuple("203.0.113.9:5000"), &[at("8.8.8.8:53")]);
    let (peer, icmp) = (at("8.8.8.8:53"), Icmp { kind: 3, code: 3, data: 0 });
    let mut now = NOW;
    let calls = calls(|| {
        now.mono += std::time::Duration::from_millis(100);
        let action = bare.shards[0].peer_unreachable(now, bare.relays[0], peer, icmp, &mut bare.reply);
        assert!(matches!(action, Action::Reply { .. }), "{action:?}");
    });
    assert_eq!(calls, 0);
}

#[test]
fn from_relay_to_relay_on_one_shard_and_across() {
    for shard in [0, 1] {
        let mut bare = Bare::new();
        let (client, receiver) = (five_tuple("203.0.113.9:5000"), five_tuple("203.0.113.10:5000"));
        let other = bare.prepare(shard, receiver, &[]);
        let relayed = bare.prepare(0, client, &[other]);
        let on_channel = channel_data(0x4000, &[7; 1200]);
        let in_send = Request::send(other, &[7; 1200]).encode([3; 12], None);
        for permit in [Request::permission(relayed), Request::channel_bind(0x4001, relayed)] {
            bare.grant(shard, receiver, &permit);
            for datagram in [&on_channel, &in_send] {
                assert_eq!(calls(|| wrap(bare.client(client, datagram))), 0);
            }
        }
    }
}

#[test]
fn binding() {
    let mut bare = Bare::new();
    let mut sources = (0x0B00_0000..).map(|ip| SocketAddr::new(Ipv4Addr::from_bits(ip).into(), 5000));
    for request in [Request::binding(), Request::binding().fingerprint()] {
        let datagram = request.encode([3; 12], None);
        let calls = calls(|| {
            let client = FiveTuple { client: sources.next().unwrap(), ..five_tuple("203.0.113.9:5000") };
            assert!(matches!(bare.client(client, &datagram), Action::Reply { .. }));
        });
        assert_eq!(calls, 0);
    }
}

#[test]
fn what_is_dropped() {
    let mut bare = Bare::new();
    bare.prepare(0, five_tuple("203.0.113.9:5000"), &[at("8.8.8.8:53")]);
    let denied = Request::send(at("9.9.9.9:53"), b"x").encode([3; 12], None);
    let response = Request::binding().class(stun::message::CLASS_SUCCESS_RESPONSE).encode([3; 12], None);
    for datagram in [&b""[..], &[0xFF; 1200], &[0; 3], &channel_data(0x4FFF, b"x"), &denied, &response] {
        for client in ["203.0.113.9:5000", "203.0.113.10:5000"] {
            let client = five_tuple(client);
            assert_eq!(calls(|| assert!(matches!(bare.client(client, datagram), Action::Drop(_)))), 0);
        }
    }
}

/// Threat 6: what a stranger's Allocate takes while it is answered, it gives back.
#[test]
fn threat_6_a_million_strangers_leave_no_memory_behind() {
    let mut bare = Bare::new();
    let datagram = Request::allocate().encode([3; 12], None);
    let mut answered = 0;
    let mut flood = |sources: std::ops::Range<u32>| {
        for source in sources {
            let client = SocketAddr::new(Ipv4Addr::from_bits(0x0B00_0000 + source).into(), 5000);
            let action = bare.client(FiveTuple { client, ..five_tuple("203.0.113.9:5000") }, &datagram);
            answered += u32::from(matches!(action, Action::Reply { .. }));
        }
    };
    flood(0..1000);
    let before = BYTES.get();
    flood(1000..1_000_000);
    assert_eq!(BYTES.get(), before);
    assert!(answered > 500_000, "{answered} were answered");
    assert_eq!((bare.shards[0].allocations(), bare.shards[0].next_deadline()), (0, None));
}
