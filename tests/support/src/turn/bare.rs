//! A relay in virtual time without the checks of [`Server`](super::Server). Counts and measurements
//! then cover the relay's work alone, because no helper allocates.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use byway_turn::auth::Secrets;
use byway_turn::server::{
    Action, Effect, FiveTuple, ListenerId, Relay, RelayAddress, RelayId, Shared, Transport,
};
use byway_turn::time::Now;
use byway_turn::wire::Reply;

use super::{REALM, Request, Response, SECRETS, at, seconds, settings};

/// Fixed time; only a bench or test that advances time uses another.
pub const NOW: Now = Now { mono: Duration::from_secs(1000), unix: 1_763_640_000 };

/// A server of two shards.
pub struct Bare {
    /// Both shards.
    pub shards: [Relay; 2],
    /// Buffer of the last reply.
    pub reply: Reply,
    /// Relay sockets of both shards, in the order in which they were bound.
    pub relays: Vec<RelayId>,
}

/// Returns the 5-tuple of a client at the first listener.
pub fn five_tuple(client: &str) -> FiveTuple {
    FiveTuple {
        client: at(client),
        server: at("198.51.100.1:3478").ip(),
        transport: Transport::Udp(ListenerId(0)),
    }
}

impl Bare {
    /// Creates a server at 45.0.0.1, with a limit of 50,000 allocations.
    pub fn new() -> Self {
        let ip = "45.0.0.1".parse().unwrap();
        let mut settings = settings(vec![RelayAddress { bind: ip, public: ip }]);
        settings.ports = 10_000..=65_535;
        settings.peer_policy.listeners = vec![at("0.0.0.0:3478")];
        settings.quota.allocations = 50_000;
        settings.quota.unauthenticated_per_second = 200;
        let shared = Shared::new(settings, &[1; 32]);
        let shards = [2, 3].map(|seed| Relay::new(Arc::clone(&shared), &[seed; 32]));
        Self { shards, reply: Reply::new(), relays: Vec::new() }
    }

    /// Delivers a datagram from a client to the first shard.
    pub fn client(&mut self, five_tuple: FiveTuple, datagram: &[u8]) -> Action {
        self.shards[0].client_datagram(NOW, five_tuple, datagram, &mut self.reply)
    }

    /// Returns a nonce for this client.
    pub fn nonce(&mut self, shard: usize, five_tuple: FiveTuple) -> Vec<u8> {
        self.ask(shard, five_tuple, &Request::allocate().encode([1; 12], None)).nonce()
    }

    /// Delivers a request, and returns its response.
    pub fn ask(&mut self, shard: usize, five_tuple: FiveTuple, datagram: &[u8]) -> Response {
        let relay = &mut self.shards[shard];
        relay.client_datagram(NOW, five_tuple, datagram, &mut self.reply);
        while let Some(effect) = relay.next_effect() {
            if let Effect::BindRelay { relay: bound, .. } = effect {
                relay.relay_bound(NOW, bound, Ok(()), &mut self.reply);
                self.relays.push(bound);
            }
        }
        Response::read(self.reply.as_bytes())
    }

    /// Creates an allocation that permits these peers, and binds channel 0x4000 to the first.
    /// Returns the relayed transport address.
    pub fn prepare(&mut self, shard: usize, client: FiveTuple, peers: &[SocketAddr]) -> SocketAddr {
        let nonce = self.nonce(shard, client);
        let relayed = self.ask(shard, client, &sign(&Request::allocate(), &nonce)).relayed();
        for (number, peer) in (0x4000..).zip(peers) {
            let request = if number == 0x4000 {
                Request::channel_bind(number, *peer)
            } else {
                Request::permission(*peer)
            };
            self.grant(shard, client, &request);
        }
        relayed
    }

    /// Sends a request of a client with an allocation, which must succeed.
    pub fn grant(&mut self, shard: usize, client: FiveTuple, request: &Request) {
        let nonce = self.nonce(shard, client);
        assert_eq!(self.ask(shard, client, &sign(request, &nonce)).code(), 0);
    }
}

/// Signs a request with the only credential.
pub fn sign(request: &Request, nonce: &[u8]) -> Vec<u8> {
    let credential = Secrets::new(&SECRETS).unwrap().issue(NOW, "alice", seconds(600));
    request.sign([2; 12], REALM, (&credential.username, &credential.password), nonce)
}
