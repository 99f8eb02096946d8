//! A TURN client over a connection.

use std::io::{ErrorKind, Read, Write as _};
use std::net::{SocketAddr, TcpStream, UdpSocket};
use std::time::Duration;

use byway_test_support::process::interrupts::uninterrupted;
use byway_test_support::process::{REALM, Server};
use byway_test_support::turn::{Request, Response};

/// Longest wait for an answer before a test fails.
const PATIENCE: Duration = Duration::from_secs(20);

pub(crate) struct Client {
    pub(crate) socket: TcpStream,
    username: String,
    password: String,
    nonce: Vec<u8>,
    transactions: u8,
    /// Bytes read beyond the last message.
    inbox: Vec<u8>,
}

impl Client {
    /// A client of the TCP listener, with a credential.
    pub(crate) fn connect(server: &Server) -> Self {
        let socket = TcpStream::connect(server.bound.tcp_v4()).unwrap();
        socket.set_read_timeout(Some(PATIENCE)).unwrap();
        socket.set_nodelay(true).unwrap();
        let (username, password) = server.credential("alice");
        Self { socket, username, password, nonce: Vec::new(), transactions: 0, inbox: Vec::new() }
    }

    /// The same with an allocation; also its relayed transport address.
    pub(crate) fn allocated(server: &Server) -> (Self, SocketAddr) {
        let mut client = Self::connect(server);
        let relayed = client.granted(&Request::allocate()).relayed();
        (client, relayed)
    }

    /// The same with channel 0x4000 bound to a new peer.
    pub(crate) fn with_peer(server: &Server) -> (Self, UdpSocket, SocketAddr) {
        let (mut client, relayed) = Self::allocated(server);
        let peer = peer();
        client.granted(&Request::channel_bind(0x4000, peer.local_addr().unwrap()));
        (client, peer, relayed)
    }

    /// Bytes as they are.
    pub(crate) fn send(&mut self, bytes: &[u8]) {
        self.socket.write_all(bytes).unwrap();
    }

    /// A request with a credential, and its transaction ID.
    pub(crate) fn sign(&mut self, request: &Request) -> (Vec<u8>, [u8; 12]) {
        let transaction = self.transaction();
        let signed = request.sign(transaction, REALM, (&self.username, &self.password), &self.nonce);
        (signed, transaction)
    }

    /// Asks without a credential.
    pub(crate) fn ask_unsigned(&mut self, request: &Request) -> Response {
        let transaction = self.transaction();
        self.send(&request.encode(transaction, None));
        self.answer(transaction)
    }

    /// Asks with a credential, which must be granted.
    pub(crate) fn granted(&mut self, request: &Request) -> Response {
        if self.nonce.is_empty() {
            self.nonce = self.ask_unsigned(request).nonce();
        }
        let (message, transaction) = self.sign(request);
        self.send(&message);
        let answer = self.answer(transaction);
        assert_eq!(answer.kind().class, stun::message::CLASS_SUCCESS_RESPONSE, "{:02x?}", answer.bytes());
        answer
    }

    /// The next message, which must be the answer.
    pub(crate) fn answer(&mut self, transaction: [u8; 12]) -> Response {
        let answer = Response::read(&self.message());
        assert_eq!(answer.transaction(), transaction);
        answer
    }

    /// The next message with its padding. Written separately here: the framing of the server is not
    /// its own witness.
    pub(crate) fn message(&mut self) -> Vec<u8> {
        self.fill(4);
        let length = usize::from(u16::from_be_bytes([self.inbox[2], self.inbox[3]]));
        let length = if self.inbox[0] < 4 { 20 + length } else { 4 + length.next_multiple_of(4) };
        self.fill(length);
        self.inbox.drain(..length).collect()
    }

    /// Waits until the server has closed the connection; whatever it sent before is of no interest.
    pub(crate) fn closed(&mut self) {
        let mut rest = [0; 4096];
        loop {
            match uninterrupted(|| self.socket.read(&mut rest)) {
                Ok(0) => return,
                Ok(_) => {}
                Err(error) if error.kind() == ErrorKind::ConnectionReset => return,
                Err(error) => panic!("the connection is still open: {error}"),
            }
        }
    }

    fn fill(&mut self, length: usize) {
        let mut chunk = [0; 4096];
        while self.inbox.len() < length {
            match uninterrupted(|| self.socket.read(&mut chunk)) {
                Ok(0) => panic!("the server has closed the connection"),
                Ok(read) => self.inbox.extend_from_slice(&chunk[..read]),
                Err(error) => panic!("no message: {error}"),
            }
        }
    }

    fn transaction(&mut self) -> [u8; 12] {
        self.transactions += 1;
        [self.transactions; 12]
    }
}

/// A peer on loopback.
pub(crate) fn peer() -> UdpSocket {
    let peer = UdpSocket::bind("127.0.0.1:0").unwrap();
    peer.set_read_timeout(Some(PATIENCE)).unwrap();
    peer
}

/// The next datagram at a peer.
pub(crate) fn received(peer: &UdpSocket) -> Vec<u8> {
    let mut datagram = [0; 65_535];
    let length = uninterrupted(|| peer.recv(&mut datagram)).unwrap();
    datagram[..length].to_vec()
}

/// ChannelData as it stands in a stream, padded.
pub(crate) fn channel_data(number: u16, payload: &[u8]) -> Vec<u8> {
    let mut message = byway_test_support::turn::channel_data(number, payload);
    message.resize(message.len().next_multiple_of(4), 0);
    message
}
