//! A bare relay in virtual time, without any helper in between that could allocate or cost: what is
//! counted and measured is the relay's own work.

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

/// It stands still, but for what moves it on its own.
pub const NOW: Now = Now { mono: Duration::from_secs(1000), unix: 1_763_640_000 };

/// Two shards.
pub struct Bare {
    /// The shards, of one server.
    pub shards: [Relay; 2],
    /// Buffer of the last reply.
    pub reply: Reply,
    /// The relay sockets of both, in the order in which they were bound.
    pub relays: Vec<RelayId>,
}

/// A client of the first listener.
pub fn five_tuple(client: &str) -> FiveTuple {
    FiveTuple {
        client: at(client),
        server: at("198.51.100.1:3478").ip(),
        transport: Transport::Udp(ListenerId(0)),
    }
}

impl Bare {
    /// At 45.0.0.1, with room for some tens of thousands.
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

    /// A datagram from a client of the first shard.
    pub fn client(&mut self, five_tuple: FiveTuple, datagram: &[u8]) -> Action {
        self.shards[0].client_datagram(NOW, five_tuple, datagram, &mut self.reply)
    }

    /// A nonce for this client.
    pub fn nonce(&mut self, shard: usize, five_tuple: FiveTuple) -> Vec<u8> {
        self.ask(shard, five_tuple, &Request::allocate().encode([1; 12], None)).nonce()
    }

    /// An answered request; its response.
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

    /// An allocation that permits these peers, the first of them on channel 0x4000.
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

    /// Asks for a client with an allocation, which must be granted.
    pub fn grant(&mut self, shard: usize, client: FiveTuple, request: &Request) {
        let nonce = self.nonce(shard, client);
        assert_eq!(self.ask(shard, client, &sign(request, &nonce)).code(), 0);
    }
}

/// A request as the one user there is signs it.
pub fn sign(request: &Request, nonce: &[u8]) -> Vec<u8> {
    let credential = Secrets::new(&SECRETS).unwrap().issue(NOW, "alice", seconds(600));
    request.sign([2; 12], REALM, (&credential.username, &credential.password), nonce)
}
