//! The floor: the cost of a relay's sockets without a relay. It is a forwarder on `byway_udp` that
//! grants every request and looks up one table per batch. It has no credentials, permissions or
//! lifetimes, and one channel.
//!
//! Its relay sockets are not connected, because a TURN server's have many peers. It joins and
//! segments (GRO, GSO) as far as the kernel does.

use std::collections::HashMap;
use std::io;
use std::net::{SocketAddr, UdpSocket};
use std::os::fd::AsRawFd as _;

use byway_turn::wire::{
    ChannelNumber, Encapsulation, Kind, Message, Reply, Response, classify, write_binding_response,
};
use byway_udp::{Destination, Inbox, Outbox, Transmit, UNMARKED, join_received, may_segment};
use mio::unix::SourceFd;
use mio::{Events, Interest, Poll, Token};
use stun::message::{METHOD_ALLOCATE, METHOD_BINDING, METHOD_CHANNEL_BIND, METHOD_REFRESH};

/// Argument that starts the bench as the floor; the address to listen on follows.
pub(crate) const ARGUMENT: &str = "--floor";

/// Maximum batches of a round, and of one socket in it.
const BATCHES: usize = 64;
/// Bytes of a ChannelData header.
const HEADER: usize = 4;
const BUFFER: usize = 4 << 20;

/// Index of the listener; those of the relays follow.
const LISTENER: usize = 0;

struct Floor {
    listener: UdpSocket,
    relays: Vec<Relay>,
    by_client: HashMap<SocketAddr, usize>,
    poll: Poll,
}

struct Relay {
    socket: UdpSocket,
    client: SocketAddr,
    peer: Option<SocketAddr>,
}

pub(crate) fn run(address: SocketAddr) -> io::Result<()> {
    let listener = socket(address)?;
    let mut outbox: Outbox<usize, ()> = Outbox::new(may_segment(&listener));
    let mut inbox = Inbox::new(BATCHES, 0);
    let mut floor = Floor { listener, relays: Vec::new(), by_client: HashMap::new(), poll: Poll::new()? };
    floor.register(LISTENER, &floor.listener)?;
    let mut events = Events::with_capacity(1024);
    let mut ready: Vec<usize> = Vec::new();
    loop {
        let patience = (!ready.is_empty()).then_some(std::time::Duration::ZERO);
        match floor.poll.poll(&mut events, patience) {
            Err(error) if error.kind() != io::ErrorKind::Interrupted => return Err(error),
            _ => {}
        }
        for Token(place) in events.iter().map(mio::event::Event::token) {
            if !ready.contains(&place) {
                ready.push(place);
            }
        }
        let mut more = Vec::new();
        for place in ready.drain(..) {
            inbox.clear();
            let Ok(batches) = inbox.receive(floor.socket(place).expect("it is registered"), BATCHES) else {
                continue;
            };
            if batches.len() == BATCHES {
                more.push(place);
            }
            for batch in batches.filter_map(|place| inbox.batch(place)) {
                let way =
                    if place == LISTENER { floor.to_peer(batch.source) } else { floor.to_client(place) };
                for span in batch.datagrams() {
                    let bytes = &inbox.bytes()[span.clone()];
                    if place == LISTENER && classify(bytes) == Kind::Stun {
                        floor.answer(bytes, batch.source)?;
                        continue;
                    }
                    let Some((socket, address)) = way else { continue };
                    let destination =
                        Destination { address, source: None, traffic_class: UNMARKED, dont_fragment: false };
                    if !outbox.has_room(HEADER) {
                        outbox.flush(inbox.bytes(), |place| floor.socket(place));
                    }
                    if place == LISTENER {
                        let payload = span.start + HEADER..span.end;
                        outbox.push(Transmit {
                            socket,
                            tag: (),
                            destination,
                            header: &[],
                            payload,
                            padding: 0,
                        });
                    } else if let Some(header) = Encapsulation::Channel(CHANNEL).around(span.len()) {
                        let header = header.as_bytes();
                        outbox.push(Transmit {
                            socket,
                            tag: (),
                            destination,
                            header,
                            payload: span,
                            padding: 0,
                        });
                    }
                }
            }
            outbox.flush(inbox.bytes(), |place| floor.socket(place));
        }
        ready = more;
    }
}

/// Channel that `byway load` binds.
const CHANNEL: ChannelNumber = ChannelNumber::new(0x4000).expect("it is in range");

impl Floor {
    fn socket(&self, place: usize) -> Option<&UdpSocket> {
        match place.checked_sub(1) {
            None => Some(&self.listener),
            Some(relay) => self.relays.get(relay).map(|relay| &relay.socket),
        }
    }

    /// Returns the socket and the destination for a client's payloads.
    fn to_peer(&self, client: SocketAddr) -> Option<(usize, SocketAddr)> {
        let place = *self.by_client.get(&client)?;
        Some((place, self.relays[place - 1].peer?))
    }

    fn to_client(&self, place: usize) -> Option<(usize, SocketAddr)> {
        Some((LISTENER, self.relays.get(place - 1)?.client))
    }

    fn answer(&mut self, request: &[u8], client: SocketAddr) -> io::Result<()> {
        let Ok(request) = Message::parse(request) else { return Ok(()) };
        let (head, mut reply) = (request.head(), Reply::new());
        let known = self.by_client.get(&client).copied();
        let response = match (head.method, known) {
            (METHOD_BINDING, _) => {
                write_binding_response(head, client, &mut reply);
                return self.listener.send_to(reply.as_bytes(), client).map(|_| ());
            }
            (METHOD_ALLOCATE, _) => {
                let place = match known {
                    Some(place) => place,
                    None => self.open(client)?,
                };
                let relayed = self.relays[place - 1].socket.local_addr()?;
                Response::success(head).relayed_address(relayed).mapped_address(client)
            }
            (METHOD_CHANNEL_BIND, Some(place)) => {
                self.relays[place - 1].peer = request.attributes().peer_address().ok().flatten();
                Response::success(head)
            }
            (METHOD_REFRESH, Some(_)) => {
                // The socket stays open until the process ends soon.
                self.by_client.remove(&client);
                Response::success(head)
            }
            _ => Response::success(head),
        };
        response.finish(None, &mut reply);
        self.listener.send_to(reply.as_bytes(), client).map(|_| ())
    }

    fn open(&mut self, client: SocketAddr) -> io::Result<usize> {
        let socket = socket((self.listener.local_addr()?.ip(), 0).into())?;
        let place = self.relays.len() + 1;
        self.register(place, &socket)?;
        self.relays.push(Relay { socket, client, peer: None });
        self.by_client.insert(client, place);
        Ok(place)
    }

    fn register(&self, place: usize, socket: &UdpSocket) -> io::Result<()> {
        self.poll.registry().register(&mut SourceFd(&socket.as_raw_fd()), Token(place), Interest::READABLE)
    }
}

fn socket(address: SocketAddr) -> io::Result<UdpSocket> {
    let socket = UdpSocket::bind(address)?;
    socket.set_nonblocking(true)?;
    let options = socket2::SockRef::from(&socket);
    // The kernel limits both sizes.
    let _ = options.set_recv_buffer_size(BUFFER);
    let _ = options.set_send_buffer_size(BUFFER);
    // An old kernel does not support it.
    let _ = join_received(&socket);
    Ok(socket)
}
