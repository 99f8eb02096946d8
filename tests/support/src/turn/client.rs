//! A TURN client with its credential.

use std::net::SocketAddr;

use byway_turn::auth::Secrets;
use byway_turn::server::{Answer, FiveTuple, ListenerId, Transport};
use stun::attributes::ATTR_MESSAGE_INTEGRITY;
use stun::integrity::MessageIntegrity;

use super::{REALM, Request, Response, SECRETS, Seen, Server, at, seconds};

/// A client with one 5-tuple, whose datagrams the kernel delivers to one shard.
#[derive(Clone)]
pub struct Client {
    /// Index of the shard.
    pub shard: usize,
    /// 5-tuple of its datagrams.
    pub five_tuple: FiveTuple,
    /// Username of the credential.
    pub username: String,
    /// Password of the credential.
    pub password: String,
    /// Latest nonce; empty before the first challenge.
    pub nonce: Vec<u8>,
    /// Number of transactions so far.
    pub transactions: u64,
}

impl Client {
    /// Creates a client of the first shard, with a credential for one hour.
    pub fn new(server: &Server, address: &str, name: &str) -> Self {
        Self::on(0, server, address, name)
    }

    /// Creates the same client on another shard.
    pub fn on(shard: usize, server: &Server, address: &str, name: &str) -> Self {
        let credential = Secrets::new(&SECRETS).unwrap().issue(server.now, name, seconds(3600));
        Self {
            shard,
            five_tuple: FiveTuple {
                client: at(address),
                server: at("198.51.100.1:3478").ip(),
                transport: Transport::Udp(ListenerId(0)),
            },
            username: credential.username,
            password: credential.password,
            nonce: Vec::new(),
            transactions: 0,
        }
    }

    /// Creates a client with an allocation; also returns its relayed transport address.
    pub fn allocated(server: &mut Server, address: &str, name: &str) -> (Self, SocketAddr) {
        let mut client = Self::new(server, address, name);
        let relayed = client.granted(server, &Request::allocate()).relayed();
        (client, relayed)
    }

    /// Returns a client at another address, with the same credential and without a nonce.
    pub fn at(&self, address: &str) -> Self {
        let five_tuple = FiveTuple { client: at(address), ..self.five_tuple };
        Self { five_tuple, nonce: Vec::new(), ..self.clone() }
    }

    /// Returns the client's own address.
    pub fn address(&self) -> SocketAddr {
        self.five_tuple.client
    }

    /// Returns the next transaction ID; no other client uses it.
    pub fn transaction(&mut self) -> [u8; 12] {
        self.transactions += 1;
        let mut id = [0; 12];
        id[..8].copy_from_slice(&self.transactions.to_be_bytes());
        id[8..10].copy_from_slice(&self.five_tuple.client.port().to_be_bytes());
        id
    }

    /// Returns the key of the long-term credential (RFC 8489 section 9.2.2).
    pub fn key(&self) -> MessageIntegrity {
        let (username, password) = (self.username.clone(), self.password.clone());
        MessageIntegrity::new_long_term_integrity(username, REALM.into(), password)
    }

    /// Sends bytes unchanged.
    pub fn send(&self, server: &mut Server, datagram: &[u8]) -> Seen {
        server.client_datagram(self.shard, self.five_tuple, datagram)
    }

    /// Sends a request without credentials.
    pub fn send_unsigned(&mut self, server: &mut Server, request: &Request) -> Seen {
        let datagram = request.encode(self.transaction(), None);
        self.send(server, &datagram)
    }

    /// Sends a request without credentials, and returns the response.
    pub fn ask_unsigned(&mut self, server: &mut Server, request: &Request) -> Response {
        let transaction = self.transaction();
        self.answer(server, &request.encode(transaction, None), transaction)
    }

    /// Returns a request that is signed with this client's credential and nonce, and its
    /// transaction ID.
    pub fn sign(&mut self, request: &Request) -> (Vec<u8>, [u8; 12]) {
        let transaction = self.transaction();
        let user = (&*self.username, &*self.password);
        (request.sign(transaction, REALM, user, &self.nonce), transaction)
    }

    /// Sends a signed request once, with the current nonce, and returns the response.
    pub fn ask_once(&mut self, server: &mut Server, request: &Request) -> Response {
        let (datagram, transaction) = self.sign(request);
        let response = self.answer(server, &datagram, transaction);
        if response.kinds().contains(&ATTR_MESSAGE_INTEGRITY) {
            assert!(response.is_signed_with(&self.key()), "signed with the client's key");
        } else {
            assert!(
                matches!(response.code(), 400 | 401 | 438),
                "only errors to unauthenticated clients are unsigned"
            );
        }
        response
    }

    /// Sends a signed request like a real client: gets a nonce first if needed, and retries after a
    /// 438.
    pub fn ask(&mut self, server: &mut Server, request: &Request) -> Response {
        if self.nonce.is_empty() {
            self.learn_nonce(server);
        }
        let response = self.ask_once(server, request);
        if response.code() != 438 {
            return response;
        }
        self.nonce = response.nonce();
        self.ask_once(server, request)
    }

    /// Sends a request that must succeed.
    pub fn granted(&mut self, server: &mut Server, request: &Request) -> Response {
        let response = self.ask(server, request);
        assert_eq!(response.code(), 0);
        response
    }

    /// Sends a request that must fail; returns the error code.
    pub fn refused(&mut self, server: &mut Server, request: &Request) -> u16 {
        let code = self.ask(server, request).code();
        assert_ne!(code, 0, "refused");
        code
    }

    /// Gets a nonce from a first 401.
    pub fn learn_nonce(&mut self, server: &mut Server) {
        let challenge = self.ask_unsigned(server, &Request::allocate());
        assert_eq!(challenge.code(), 401);
        self.nonce = challenge.nonce();
    }

    /// Sends a ChannelData message, unpadded as over UDP.
    pub fn send_on(&self, server: &mut Server, number: u16, payload: &[u8]) -> Seen {
        self.send(server, &channel_data(number, payload))
    }

    /// Sends a request, checks that the server's reply belongs to it, and returns the response.
    pub fn answer(&self, server: &mut Server, datagram: &[u8], transaction: [u8; 12]) -> Response {
        match self.send(server, datagram) {
            Seen::Reply(to, answer, bytes) => {
                assert_eq!(to, self.address());
                let response = Response::read(&bytes);
                assert_eq!(response.transaction(), transaction);
                match answer {
                    Answer::Binding | Answer::Success => assert_eq!(response.code(), 0),
                    Answer::Challenge => assert!(matches!(response.code(), 401 | 438)),
                    Answer::Icmp => panic!("an ICMP error answers no request"),
                    Answer::Error(error) => assert_eq!(response.code(), error.code()),
                    Answer::NoCapacity(_) => assert_eq!(response.code(), 508),
                    Answer::AddressMissing => assert_eq!(response.code(), 440),
                }
                response
            }
            other => panic!("no reply: {other:?}"),
        }
    }
}

/// Encodes ChannelData byte by byte (RFC 8656 section 12.4).
pub fn channel_data(number: u16, payload: &[u8]) -> Vec<u8> {
    let length = u16::try_from(payload.len()).unwrap();
    [&number.to_be_bytes()[..], &length.to_be_bytes(), payload].concat()
}
