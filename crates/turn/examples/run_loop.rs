//! A single-threaded TURN server: the loop that drives [`Relay`], with blocking sockets of the
//! standard library.
//!
//! ```text
//! cargo run -p byway-turn --example run_loop -- 192.0.2.1
//! turnutils_uclient -u alice -W north -y 192.0.2.1
//! ```
//!
//! It serves one address, logs nothing and polls its sockets in turn. Byway's own driver is
//! `src/shard`.
#![expect(clippy::disallowed_methods, reason = "a driver reads the clock; the core never does")]

use std::collections::BTreeMap;
use std::error::Error;
use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use byway_turn::auth::{Revocations, Secrets};
use byway_turn::server::{
    Action, BindError, Discovery, Effect, FiveTuple, ListenerId, Pairing, PeerPolicy, Quota, Relay,
    RelayAddress, RelayId, Settings, Shared, Transport,
};
use byway_turn::time::Now;
use byway_turn::wire::Reply;

/// Time that the loop waits for a client before it polls the relay sockets.
const PATIENCE: Duration = Duration::from_millis(2);

fn main() -> Result<(), Box<dyn Error>> {
    let ip: IpAddr = std::env::args().nth(1).as_deref().unwrap_or("127.0.0.1").parse()?;
    let listener = UdpSocket::bind((ip, 3478))?;
    listener.set_read_timeout(Some(PATIENCE))?;
    // Fixed seeds, for the example only. A real server gets its seeds from the operating system.
    let mut driver = Driver {
        relay: Relay::new(Shared::new(settings(ip), &[1; 32]), &[2; 32]),
        listener,
        relays: BTreeMap::new(),
        reply: Reply::new(),
        start: Instant::now(),
    };
    let mut buffer = vec![0; 65_536];
    loop {
        driver.serve_client(ip, &mut buffer);
        driver.serve_peers(&mut buffer);
        let now = driver.now();
        driver.relay.expire(now);
        driver.take_effects(now);
    }
}

fn settings(ip: IpAddr) -> Settings {
    Settings {
        realm: "example.org".to_owned(),
        secrets: Secrets::new(&["north"]).expect("the list has a secret"),
        users: Vec::new(),
        revocations: Arc::new(Revocations::new(&[3; 32])),
        strict_expiry: false,
        addresses: vec![RelayAddress { bind: ip, public: ip }],
        ports: 49_152..=65_535,
        port_rest: Duration::from_secs(60),
        peer_policy: PeerPolicy {
            allow: Vec::new(),
            deny: Vec::new(),
            own: [ip].into_iter().collect(),
            listeners: vec![SocketAddr::new(ip, 3478)],
        },
        quota: Quota {
            allocations_per_user: 10,
            allocations_per_address: 100,
            allocations: 1_000,
            bandwidth_per_allocation: 0,
            unauthenticated_per_second: 100,
        },
        discovery: Discovery::default(),
    }
}

struct Driver {
    relay: Relay,
    listener: UdpSocket,
    relays: BTreeMap<RelayId, UdpSocket>,
    reply: Reply,
    start: Instant,
}

impl Driver {
    fn now(&self) -> Now {
        let unix = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
        Now { mono: self.start.elapsed(), unix }
    }

    fn serve_client(&mut self, server: IpAddr, buffer: &mut [u8]) {
        let Ok((length, client)) = self.listener.recv_from(buffer) else { return };
        let now = self.now();
        let five_tuple = FiveTuple { client, server, transport: Transport::Udp(ListenerId(0)) };
        let action = self.relay.client_datagram(now, five_tuple, &buffer[..length], &mut self.reply);
        self.act(action, buffer);
        self.take_effects(now);
    }

    fn serve_peers(&mut self, buffer: &mut [u8]) {
        let ids: Vec<RelayId> = self.relays.keys().copied().collect();
        for id in ids {
            let Some(Ok((length, peer))) = self.relays.get(&id).map(|socket| socket.recv_from(buffer)) else {
                continue;
            };
            let action = self.relay.peer_datagram(self.now(), id, peer, length);
            self.act(action, buffer);
        }
    }

    /// Carries out an action, whose payload is a range of `buffer`. A datagram that cannot be sent
    /// is lost.
    fn act(&self, action: Action, buffer: &[u8]) {
        let _sent = match action {
            Action::ToPeer { relay, peer, payload, .. } => match self.relays.get(&relay) {
                Some(socket) => socket.send_to(&buffer[payload.range()], peer.address()),
                None => return,
            },
            Action::ToClient { five_tuple, encapsulation, payload } => {
                let Some(header) = encapsulation.around(payload.len()) else { return };
                let message = header.with(&buffer[payload.range()]);
                self.listener.send_to(&message, five_tuple.client)
            }
            Action::Reply { five_tuple, .. } => {
                self.listener.send_to(self.reply.as_bytes(), five_tuple.client)
            }
            Action::Wait | Action::Drop(_) => return,
        };
    }

    fn take_effects(&mut self, now: Now) {
        while let Some(effect) = self.relay.next_effect() {
            match effect {
                Effect::BindRelay { relay, address, pairing, .. } => {
                    let bound = self.bind(relay, address, pairing);
                    let action = self.relay.relay_bound(now, relay, bound, &mut self.reply);
                    self.act(action, &[]);
                }
                Effect::CloseRelay { relay } => {
                    self.relays.remove(&relay);
                }
                Effect::CloseReserved { .. }
                | Effect::ChannelBound { .. }
                | Effect::ChannelUnbound { .. } => {}
            }
        }
    }

    fn bind(&mut self, relay: RelayId, address: SocketAddr, pairing: Pairing) -> Result<(), BindError> {
        // This driver does not reserve ports.
        if pairing != Pairing::Alone {
            return Err(BindError::Exhausted);
        }
        let socket = UdpSocket::bind(address).map_err(|_| BindError::PortInUse)?;
        socket.set_nonblocking(true).map_err(|_| BindError::Exhausted)?;
        self.relays.insert(relay, socket);
        Ok(())
    }
}
