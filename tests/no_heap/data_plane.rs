//! The data plane on sockets: a shard that has been warmed up relays without the heap, whatever
//! comes and however it comes.

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use byway::clock::Clock;
use byway::events::{EventReceiver, EventSender};
use byway::net::connection_limit::ConnectionLimiter;
use byway::shard::{Addresses, DataPlane, ShardConfig, Tuning, bind_listeners};
use byway_test_support::process::interrupts::uninterrupted;
use byway_test_support::process::train::send_in_trains;
use byway_test_support::turn::{REALM, Request, Response, SECRETS, at, channel_data, seconds, settings};
use byway_turn::auth::Secrets;
use byway_turn::server::{Relay, RelayAddress, Shared};

use crate::{WATCHED, WATCHED_CALLS};

/// Time that a datagram may take before the test fails.
const PATIENCE: Duration = Duration::from_secs(20);

/// Datagrams of a train.
const TRAIN: usize = 16;

const SIZE: usize = 1000;

#[test]
fn a_shard_relays_without_the_heap() {
    for offload in [true, false] {
        let server = Server::start(offload);
        let peer = udp();
        let (mut alice, of_alice) = server.allocated(Link::udp(server.bound.udp[0]));
        // A thread that answers has its name.
        WATCHED.store(shard(), Relaxed);
        let (mut bob, of_bob) = server.allocated(Link::udp(server.bound.udp[0]));
        let (mut carol, of_carol) = server.allocated(Link::tcp(server.bound.tcp[0]));
        assert!(WATCHED_CALLS.load(Relaxed) > 0, "what is rare takes of the heap, and that is counted");

        let peer_address = peer.local_addr().unwrap();
        for client in [&mut alice, &mut carol] {
            client.granted(&Request::permission(peer_address));
        }
        alice.granted(&Request::channel_bind(0x4001, of_bob));
        bob.granted(&Request::channel_bind(0x4001, of_alice));

        for in_trains in [false, true] {
            // First in indications, then on a channel.
            for has_channel in [false, true] {
                if has_channel {
                    alice.granted(&Request::channel_bind(0x4000, peer_address));
                    carol.granted(&Request::channel_bind(0x4000, peer_address));
                }
                let what = format!("offload {offload}, in trains {in_trains}, on a channel {has_channel}");
                let message = if has_channel {
                    channel_data(0x4000, &[7; SIZE])
                } else {
                    Request::send(peer_address, &[7; SIZE]).encode([9; 12], None)
                };
                let count = if in_trains { TRAIN } else { 1 };
                let (messages, payloads) = (vec![message; count], vec![vec![7; SIZE]; count]);
                for (client, relayed) in [(&alice, of_alice), (&carol, of_carol)] {
                    none(&format!("to a peer, {what}"), || {
                        client.link.send(&messages);
                        (0..count).for_each(|_| assert_eq!(receive(&peer), SIZE));
                    });
                    none(&format!("from a peer, {what}"), || {
                        send_in_trains(&peer, Some(relayed), &payloads);
                        (0..count).for_each(|_| assert!(client.link.receive().len() > SIZE));
                    });
                }
            }
            let count = if in_trains { TRAIN } else { 1 };
            for message in
                [channel_data(0x4001, &[7; SIZE]), Request::send(of_bob, &[7; SIZE]).encode([9; 12], None)]
            {
                let messages = vec![message; count];
                none(&format!("between clients, offload {offload}, in trains {in_trains}"), || {
                    alice.link.send(&messages);
                    (0..count).for_each(|_| assert_eq!(bob.link.receive(), channel_data(0x4001, &[7; SIZE])));
                });
            }
            let bindings = vec![Request::binding().encode([9; 12], None); count];
            for client in [&alice, &carol] {
                none("Bindings", || {
                    client.link.send(&bindings);
                    (0..count).for_each(|_| assert_eq!(client.link.receive()[..2], [1, 1]));
                });
            }
        }
        server.plane.stop();
        WATCHED.store(0, Relaxed);
    }
}

/// The shard leaves the heap alone while it serves `work`, once it has served it often enough to
/// have its buffers.
fn none(what: &str, mut work: impl FnMut()) {
    (0..50).for_each(|_| work());
    let before = WATCHED_CALLS.load(Relaxed);
    (0..250).for_each(|_| work());
    assert_eq!(WATCHED_CALLS.load(Relaxed) - before, 0, "{what}");
}

/// The kernel's number of the shard's thread, which it knows by name.
fn shard() -> i32 {
    let tasks = fs::read_dir("/proc/self/task").unwrap().map(|task| task.unwrap());
    let is_shard = |task: &fs::DirEntry| {
        fs::read_to_string(task.path().join("comm")).is_ok_and(|name| name.trim() == "shard-0")
    };
    let mut shards = tasks.filter(is_shard);
    let shard = shards.next().expect("a data plane has a shard");
    assert!(shards.next().is_none(), "the other one has ended");
    shard.file_name().to_str().unwrap().parse().unwrap()
}

/// A data plane of one shard on loopback.
struct Server {
    plane: DataPlane,
    bound: Addresses,
    clock: Clock,
    _unread: [EventReceiver; 1],
}

impl Server {
    fn start(offload: bool) -> Self {
        let tuning = Tuning {
            offload,
            receive_buffer: 1 << 20,
            send_buffer: 1 << 20,
            relay_buffer: 0,
            nap: Duration::ZERO,
            busy_poll: Duration::ZERO,
            incoming_cpu: false,
        };
        let any = vec![at("127.0.0.1:0")];
        let wanted = Addresses { udp: any.clone(), tcp: any, ..Addresses::default() };
        let (mut listeners, bound) = bind_listeners(&wanted, 1, &tuning).unwrap();
        let listeners = listeners.remove(0);
        let ip = "127.0.0.1".parse().unwrap();
        let mut settings = settings(vec![RelayAddress { bind: ip, public: ip }]);
        settings.peer_policy.allow = vec!["127.0.0.1/32".parse().unwrap()];
        settings.peer_policy.listeners = bound.udp.clone();
        let relay = Relay::new(Shared::new(settings, &[1; 32]), &[2; 32]);
        let limiter = ConnectionLimiter::new(10, 10, Arc::default());
        // A consumer that reads nothing: its queue fills, and delays no shard.
        let (events, unread) = EventSender::to_consumers();
        let shard = ShardConfig { listeners, relay, counters: Arc::default(), events, limiter };
        let clock = Clock::start();
        let plane = DataPlane::start(vec![shard], tuning, clock).unwrap();
        Self { plane, bound, clock, _unread: unread }
    }

    /// A client with an allocation, and its relayed transport address.
    fn allocated(&self, link: Link) -> (Client, SocketAddr) {
        let credential = Secrets::new(&SECRETS).unwrap().issue(self.clock.now(), "alice", seconds(600));
        link.send(&[Request::allocate().encode([1; 12], None)]);
        let nonce = Response::read(&link.receive()).nonce();
        let mut client = Client { link, user: (credential.username, credential.password), nonce };
        let relayed = client.granted(&Request::allocate()).relayed();
        (client, relayed)
    }
}

struct Client {
    link: Link,
    user: (String, String),
    nonce: Vec<u8>,
}

impl Client {
    fn granted(&mut self, request: &Request) -> Response {
        self.link.send(&[request.sign([2; 12], REALM, (&self.user.0, &self.user.1), &self.nonce)]);
        let response = Response::read(&self.link.receive());
        assert_eq!(response.code(), 0);
        response
    }
}

/// Transport between a client and the server.
enum Link {
    Udp(UdpSocket),
    Tcp(TcpStream),
}

impl Link {
    fn udp(server: SocketAddr) -> Self {
        let socket = udp();
        socket.connect(server).unwrap();
        Self::Udp(socket)
    }

    fn tcp(server: SocketAddr) -> Self {
        let socket = TcpStream::connect(server).unwrap();
        socket.set_read_timeout(Some(PATIENCE)).unwrap();
        socket.set_nodelay(true).unwrap();
        Self::Tcp(socket)
    }

    /// Together, as far as that goes.
    fn send(&self, messages: &[Vec<u8>]) {
        match self {
            Self::Udp(socket) => send_in_trains(socket, None, messages),
            Self::Tcp(socket) => (&*socket).write_all(&messages.concat()).unwrap(),
        }
    }

    fn receive(&self) -> Vec<u8> {
        match self {
            Self::Udp(socket) => {
                let mut datagram = vec![0; 2048];
                let length = uninterrupted(|| socket.recv(&mut datagram)).unwrap();
                datagram.truncate(length);
                datagram
            }
            Self::Tcp(socket) => {
                let mut message = vec![0; 4];
                (&*socket).read_exact(&mut message).unwrap();
                let length = usize::from(u16::from_be_bytes([message[2], message[3]]));
                // The rest of a header of STUN, or what pads ChannelData.
                let rest = if message[0] < 4 { 16 + length } else { length.next_multiple_of(4) };
                message.resize(4 + rest, 0);
                (&*socket).read_exact(&mut message[4..]).unwrap();
                message
            }
        }
    }
}

fn udp() -> UdpSocket {
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    socket.set_read_timeout(Some(PATIENCE)).unwrap();
    socket
}

/// Bytes of the next datagram.
fn receive(socket: &UdpSocket) -> usize {
    uninterrupted(|| socket.recv(&mut [0; 2048])).unwrap()
}
