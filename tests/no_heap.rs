//! The per-packet paths do not touch the heap, and strangers leave none of it behind (threat 6): counted, not claimed.
#![allow(clippy::unwrap_used, clippy::panic, reason = "the helpers of tests are tests")]

#[path = "core/support/mod.rs"]
#[allow(dead_code, unused_imports, reason = "shared with the scenarios, which use more of it")]
mod support;

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;

use byway::clock::Now;
use byway::credentials::Secrets;
use byway::relay::{
    Action, AllocationId, Discovery, Effect, FiveTuple, Gate, Link, ListenerId, Relay, RelayAddress, RelayId,
    Settings, Shared,
};
use byway::wire::{AddressFamily, Icmp, Reply};
use support::{Request, Response, at, channel_data, seconds};

/// Counts what this thread asks of the system's allocator.
struct Counting;

thread_local! {
    static CALLS: Cell<u64> = const { Cell::new(0) };
    static BYTES: Cell<i64> = const { Cell::new(0) };
}

fn count(bytes: i64) {
    CALLS.set(CALLS.get() + 1);
    BYTES.set(BYTES.get() + bytes);
}

#[expect(unsafe_code, reason = "the trait is unsafe; nothing is done here but to count and pass on")]
// SAFETY: every call is passed on to the system's allocator as it came; counting does not allocate.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count(layout.size().cast_signed() as i64);
        // SAFETY: the caller's promise is passed on.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, memory: *mut u8, layout: Layout) {
        count(-(layout.size().cast_signed() as i64));
        // SAFETY: the caller's promise is passed on.
        unsafe { System.dealloc(memory, layout) }
    }

    unsafe fn realloc(&self, memory: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        count(size.cast_signed() as i64 - layout.size().cast_signed() as i64);
        // SAFETY: the caller's promise is passed on.
        unsafe { System.realloc(memory, layout, size) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// Calls to the allocator, freeing included, that `work` makes in a thousand rounds, after a first one.
fn calls(mut work: impl FnMut()) -> u64 {
    work();
    let before = CALLS.get();
    (0..1000).for_each(|_| work());
    CALLS.get() - before
}

const NOW: Now = Now { mono: std::time::Duration::from_secs(1000), unix: 1_763_640_000 };

/// Two shards without any helper in between that could allocate.
struct Bare {
    shards: [Relay; 2],
    reply: Reply,
}

fn five_tuple(client: &str) -> FiveTuple {
    FiveTuple { client: at(client), server: at("198.51.100.1:3478").ip(), link: Link::Udp(ListenerId(0)) }
}

impl Bare {
    fn new() -> Self {
        let ip = "45.0.0.1".parse().unwrap();
        let settings = Settings {
            realm: support::REALM.into(),
            secrets: Secrets::new(&support::SECRETS).unwrap(),
            addresses: vec![RelayAddress { bind: ip, public: ip }],
            ports: 50_000..=50_063,
            port_rest: seconds(120),
            gate: Gate { allow: vec![], deny: vec![], own: vec![], listeners: vec![at("0.0.0.0:3478")] },
            allocations_per_user: 0,
            allocations_per_address: 0,
            bandwidth_per_allocation: 0,
            allocations: 1000,
            unauthenticated_per_second: 200,
            discovery: Discovery::default(),
        };
        let shared = Shared::new(settings, &[1; 32]);
        Self { shards: [2, 3].map(|seed| Relay::new(Arc::clone(&shared), &[seed; 32])), reply: Reply::new() }
    }

    /// A datagram from a client of the first shard.
    fn client(&mut self, five_tuple: FiveTuple, datagram: &[u8]) -> Action {
        self.shards[0].client_datagram(NOW, five_tuple, datagram, &mut self.reply)
    }

    /// An answered request; its response.
    fn ask(&mut self, shard: usize, five_tuple: FiveTuple, request: &Request, nonce: &[u8]) -> Response {
        let credential = Secrets::new(&support::SECRETS).unwrap().issue(NOW, "alice", seconds(600));
        let user = (&*credential.username, &*credential.password);
        let datagram = match nonce {
            [] => request.encode([1; 12], None),
            nonce => request.sign([2; 12], support::REALM, user, nonce),
        };
        let relay = &mut self.shards[shard];
        relay.client_datagram(NOW, five_tuple, &datagram, &mut self.reply);
        while let Some(effect) = relay.next_effect() {
            if let Effect::BindRelay { relay: bound, .. } = effect {
                relay.relay_bound(NOW, bound, Ok(()), &mut self.reply);
            }
        }
        Response::read(self.reply.as_bytes())
    }

    /// An allocation that permits these peers, the first of them on channel 0x4000.
    fn prepare(&mut self, shard: usize, client: &str, peers: &[&str]) -> SocketAddr {
        let five_tuple = five_tuple(client);
        let nonce = self.ask(shard, five_tuple, &Request::allocate(), b"").nonce();
        let relayed = self.ask(shard, five_tuple, &Request::allocate(), &nonce).relayed();
        for (number, peer) in (0x4000..).zip(peers) {
            let request = if number == 0x4000 {
                Request::channel_bind(number, at(peer))
            } else {
                Request::permission(at(peer))
            };
            assert_eq!(self.ask(shard, five_tuple, &request, &nonce).code(), 0);
        }
        relayed
    }
}

/// Writes the header of a payload, as the data plane does.
fn wrap(action: Action) {
    let Action::ToClient { encapsulation, payload, .. } = action else { panic!("{action:?}") };
    assert!(encapsulation.around(payload.len()).is_some());
}

/// The relay socket of the first allocation.
const RELAY: RelayId =
    RelayId { allocation: AllocationId { slot: 0, generation: 1 }, family: AddressFamily::V4 };

#[test]
fn the_counter_counts() {
    assert!(calls(|| drop(std::hint::black_box(Box::new(7)))) >= 2000);
}

#[test]
fn to_a_peer_outside() {
    let mut bare = Bare::new();
    bare.prepare(0, "203.0.113.9:5000", &["8.8.8.8:53"]);
    let client = five_tuple("203.0.113.9:5000");
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
    bare.prepare(0, "203.0.113.9:5000", &["8.8.8.8:53", "8.8.4.4:53"]);
    for source in [at("8.8.8.8:53"), at("8.8.4.4:53")] {
        assert_eq!(calls(|| wrap(bare.shards[0].peer_datagram(NOW, RELAY, source, 1200))), 0);
    }
}

#[test]
fn an_icmp_error() {
    let mut bare = Bare::new();
    bare.prepare(0, "203.0.113.9:5000", &["8.8.8.8:53"]);
    let (peer, icmp) = (at("8.8.8.8:53"), Icmp { kind: 3, code: 3, data: 0 });
    let mut now = NOW;
    let calls = calls(|| {
        now.mono += std::time::Duration::from_millis(100);
        let action = bare.shards[0].peer_unreachable(now, RELAY, peer, icmp, &mut bare.reply);
        assert!(matches!(action, Action::Reply { .. }), "{action:?}");
    });
    assert_eq!(calls, 0);
}

#[test]
fn from_relay_to_relay_on_one_shard_and_across() {
    for shard in [0, 1] {
        let mut bare = Bare::new();
        let other = bare.prepare(shard, "203.0.113.10:5000", &[]).to_string();
        let relayed = bare.prepare(0, "203.0.113.9:5000", &[&other]).to_string();
        let client = five_tuple("203.0.113.9:5000");
        let on_channel = channel_data(0x4000, &[7; 1200]);
        let in_send = Request::send(at(&other), &[7; 1200]).encode([3; 12], None);
        let receiver = five_tuple("203.0.113.10:5000");
        let nonce = bare.ask(shard, receiver, &Request::allocate(), b"").nonce();
        for permit in [Request::permission(at(&relayed)), Request::channel_bind(0x4001, at(&relayed))] {
            assert_eq!(bare.ask(shard, receiver, &permit, &nonce).code(), 0);
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
    bare.prepare(0, "203.0.113.9:5000", &["8.8.8.8:53"]);
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
