//! A TURN client that sees the traffic class of received datagrams, and a peer that does, too.

use std::io::{self, IoSliceMut, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream, UdpSocket};
use std::os::fd::AsRawFd as _;
use std::time::Duration;

use nix::cmsg_space;
use nix::sys::socket::{ControlMessageOwned, MsgFlags, SockaddrStorage, recvmsg};
use socket2::SockRef;

use crate::process::interrupts::uninterrupted;
use crate::process::{REALM, Server};
use crate::turn::{Request, Response, channel_data};

/// Maximum wait for a datagram before a test fails.
const PATIENCE: Duration = Duration::from_secs(20);

/// Loopback address of each family.
pub const LOOPBACK: [&str; 2] = ["127.0.0.1:0", "[::1]:0"];

/// A TURN client with a credential.
pub struct Client {
    /// Socket or connection to the server.
    pub link: Link,
    username: String,
    password: String,
    nonce: Vec<u8>,
    transactions: u8,
}

/// Socket or connection between client and server.
pub enum Link {
    /// Connected socket: it receives from the server alone.
    Udp(UdpSocket),
    /// Unconnected socket with the address of the listener. It also receives from others.
    Shared(UdpSocket, SocketAddr),
    /// Connection to a TCP listener.
    Tcp(TcpStream),
}

impl Client {
    /// Creates a client of the listener at `address`, with a credential.
    pub fn of(server: &Server, address: SocketAddr) -> Self {
        let socket = socket(if address.is_ipv4() { LOOPBACK[0] } else { LOOPBACK[1] });
        socket.connect(address).unwrap();
        Self::over(server, Link::Udp(socket))
    }

    /// Creates a client over this link, with a credential for `alice`.
    pub fn over(server: &Server, link: Link) -> Self {
        Self::with(link, server.credential("alice"))
    }

    /// Creates a client with a username and its password.
    pub fn with(link: Link, (username, password): (String, String)) -> Self {
        Self { link, username, password, nonce: Vec::new(), transactions: 0 }
    }

    /// Allocates in the peer's family and permits the peer. Returns the client and its relayed
    /// transport address.
    pub fn permitting(mut self, peer: SocketAddr) -> (Self, SocketAddr) {
        let allocate = if peer.is_ipv4() { Request::allocate() } else { Request::allocate_v6() };
        let relayed = self.granted(&allocate).relayed();
        self.granted(&Request::permission(peer));
        (self, relayed)
    }

    /// Sends a signed request, which must succeed, and returns the response.
    pub fn granted(&mut self, request: &Request) -> Response {
        let response = self.asked(request);
        assert_eq!(response.code(), 0);
        response
    }

    /// Sends a signed request, and returns the response.
    pub fn asked(&mut self, request: &Request) -> Response {
        let (signed, transaction) = self.signed(request);
        self.ask(&signed, transaction)
    }

    /// Returns a signed request and its transaction ID.
    pub fn signed(&mut self, request: &Request) -> (Vec<u8>, [u8; 12]) {
        if self.nonce.is_empty() {
            self.nonce = self.ask(&request.encode([0; 12], None), [0; 12]).nonce();
        }
        self.transactions += 1;
        let transaction = [self.transactions; 12];
        (request.sign(transaction, REALM, (&self.username, &self.password), &self.nonce), transaction)
    }

    fn ask(&self, request: &[u8], transaction: [u8; 12]) -> Response {
        self.send(request);
        let response = Response::read(&self.receive());
        assert_eq!(response.transaction(), transaction);
        response
    }

    /// Sends an indication.
    pub fn indicate(&self, indication: &Request) {
        self.send(&indication.encode([0xFF; 12], None));
    }

    /// Sends a payload on a channel.
    pub fn send_on(&self, number: u16, payload: &[u8]) {
        self.send(&channel_data(number, payload));
    }

    /// Sends a message as it is.
    pub fn send(&self, message: &[u8]) {
        match &self.link {
            Link::Udp(socket) => assert_eq!(socket.send(message).unwrap(), message.len()),
            Link::Shared(socket, server) => {
                assert_eq!(socket.send_to(message, *server).unwrap(), message.len());
            }
            Link::Tcp(socket) => (&*socket).write_all(message).unwrap(),
        }
    }

    /// Returns the next message.
    pub fn receive(&self) -> Vec<u8> {
        match &self.link {
            Link::Udp(socket) | Link::Shared(socket, _) => receive(socket).0,
            Link::Tcp(socket) => {
                let mut header = [0; 4];
                (&*socket).read_exact(&mut header).unwrap();
                let length = usize::from(u16::from_be_bytes([header[2], header[3]]));
                // The rest of a STUN header with its attributes, or padded ChannelData.
                let mut rest = vec![0; if header[0] < 4 { 16 + length } else { length.next_multiple_of(4) }];
                (&*socket).read_exact(&mut rest).unwrap();
                [&header[..], &rest].concat()
            }
        }
    }

    /// Returns the socket of a UDP client.
    pub fn udp(&self) -> &UdpSocket {
        match &self.link {
            Link::Udp(socket) | Link::Shared(socket, _) => socket,
            Link::Tcp(_) => panic!("a TCP client has no UDP socket"),
        }
    }
}

/// Creates a UDP socket that receives the traffic class of each datagram.
pub fn socket(address: &str) -> UdpSocket {
    let socket = UdpSocket::bind(address).unwrap();
    socket.set_read_timeout(Some(PATIENCE)).unwrap();
    let options = SockRef::from(&socket);
    if socket.local_addr().unwrap().is_ipv4() {
        options.set_recv_tos_v4(true).unwrap();
    } else {
        options.set_recv_tclass_v6(true).unwrap();
    }
    socket
}

/// Sets the traffic class of datagrams that a socket sends.
pub fn mark(socket: &UdpSocket, traffic_class: u8) {
    let options = SockRef::from(socket);
    if socket.local_addr().unwrap().is_ipv4() {
        options.set_tos_v4(traffic_class.into()).unwrap();
    } else {
        options.set_tclass_v6(traffic_class.into()).unwrap();
    }
}

/// Returns the next datagram and its traffic class.
pub fn receive(socket: &UdpSocket) -> (Vec<u8>, u8) {
    let mut payload = vec![0; 65_535];
    let (length, traffic_class) = uninterrupted(|| receive_into(socket, &mut payload)).unwrap();
    payload.truncate(length);
    (payload, traffic_class)
}

/// Reads the next datagram; returns its length and its traffic class.
fn receive_into(socket: &UdpSocket, payload: &mut [u8]) -> io::Result<(usize, u8)> {
    let mut told = cmsg_space!(i32);
    let mut room = [IoSliceMut::new(payload)];
    let descriptor = socket.as_raw_fd();
    let message = recvmsg::<SockaddrStorage>(descriptor, &mut room, Some(&mut told), MsgFlags::empty())?;
    let traffic_class = message.cmsgs()?.find_map(|message| match message {
        ControlMessageOwned::Ipv4Tos(class) => Some(class),
        ControlMessageOwned::Ipv6TClass(class) => u8::try_from(class).ok(),
        _ => None,
    });
    Ok((message.bytes, traffic_class.expect("the kernel reports it")))
}
