//! Core of a STUN and TURN server without I/O.
//!
//! The driver of this crate owns the sockets and the clock. It passes each datagram to a
//! [`server::Relay`], which returns a [`server::Action`]: send, reply, drop or wait. Rare work,
//! such as binding a relay socket, comes out as a [`server::Effect`]. The crate opens no socket,
//! reads no clock, spawns no thread, writes no log and draws no randomness. The driver passes in
//! time, seeds and addresses, so a run replays from its inputs.
//!
//! `examples/run_loop.rs` is a complete server on sockets of the standard library.
//!
//! # Features
//!
//! - Allocations over IPv4 and IPv6, dual allocations, permissions, channels, and EVEN-PORT with
//!   RESERVATION-TOKEN.
//! - Time-limited credentials by HMAC, compatible with coturn's `use-auth-secret`. They can be
//!   revoked before they expire. Static users with a fixed password beside them.
//! - MESSAGE-INTEGRITY-SHA256, PASSWORD-ALGORITHMS and USERHASH of RFC 8489, beside the MD5 keys of
//!   RFC 5389.
//! - Stateless nonces, and challenges whose size is bounded by that of the request.
//! - A peer address policy that closes private, special-purpose and the server's own addresses.
//! - Quotas per username and per client network, a bandwidth cap per allocation, and a rate limit
//!   on replies to unauthenticated clients.
//! - Relay-to-relay delivery in memory between two clients of the same server.
//! - NAT behaviour discovery, and ICMP errors forwarded to clients.
//!
//! # Example
//!
//! A client asks for its transport address:
//!
//! ```
//! use std::net::{IpAddr, SocketAddr};
//! use std::sync::Arc;
//! use std::time::Duration;
//! use byway_turn::auth::{Revocations, Secrets};
//! use byway_turn::server::{
//!     Action, Answer, Discovery, FiveTuple, ListenerId, PeerPolicy, Quota, Relay, RelayAddress,
//!     Settings, Shared, Transport,
//! };
//! use byway_turn::time::Now;
//! use byway_turn::wire::{Message, Reply};
//! // A server with one address, which it also relays from.
//! let server: IpAddr = "192.0.2.1".parse().unwrap();
//! let settings = Settings {
//!     realm: "example.org".to_owned(),
//!     secrets: Secrets::new(&["north"]).unwrap(),
//!     users: Vec::new(),
//!     revocations: Arc::new(Revocations::new(&[3; 32])),
//!     strict_expiry: false,
//!     addresses: vec![RelayAddress { bind: server, public: server }],
//!     ports: 49_152..=65_535,
//!     port_rest: Duration::from_secs(60),
//!     peer_policy: PeerPolicy {
//!         allow: Vec::new(),
//!         deny: Vec::new(),
//!         own: [server].into_iter().collect(),
//!         listeners: vec![SocketAddr::new(server, 3478)],
//!     },
//!     quota: Quota {
//!         allocations_per_user: 10,
//!         allocations_per_address: 100,
//!         allocations: 1_000,
//!         bandwidth_per_allocation: 0,
//!         unauthenticated_per_second: 100,
//!     },
//!     discovery: Discovery::default(),
//! };
//! // A real server draws its seeds from the operating system.
//! let mut relay = Relay::new(Shared::new(settings, &[1; 32]), &[2; 32]);
//! let mut reply = Reply::new();
//! // 5-tuple and time of the client's datagram.
//! let client: SocketAddr = "198.51.100.7:40000".parse().unwrap();
//! let five_tuple = FiveTuple { client, server, transport: Transport::Udp(ListenerId(0)) };
//! let now = Now { mono: Duration::ZERO, unix: 1_700_000_000 };
//! // Binding request: type, length, magic cookie and transaction ID.
//! let mut request = [0_u8; 20];
//! request[..8].copy_from_slice(&[0x00, 0x01, 0x00, 0x00, 0x21, 0x12, 0xa4, 0x42]);
//! // The action tells the driver to send `reply` to the client.
//! let action = relay.client_datagram(now, five_tuple, &request, &mut reply);
//! assert_eq!(action, Action::Reply { five_tuple, answer: Answer::Binding });
//! let response = Message::parse(reply.as_bytes()).unwrap();
//! assert_eq!(response.attributes().mapped_address().unwrap(), Some(client));
//! ```
//!
//! # Modules
//!
//! | module | contents |
//! |---|---|
//! | [`wire`] | parser and writers of STUN messages and ChannelData |
//! | [`server`] | allocations, permissions, channels, quotas, peer address policy |
//! | [`auth`] | time-limited credentials and their revocation |
//! | [`rate_limit`], [`shares`] | rate limits and resource shares per client network |
//! | [`client_network`], [`address_set`] | key of per-client limits; sets of addresses |
//! | [`time`], [`prng`] | time and randomness, passed in by the driver |
//! | [`lock`] | mutex access that ignores poisoning |
//! | [`closed_set`](mod@closed_set) | enums whose values have labels, for metrics |
//!
//! # Standards
//!
//! - [RFC 8489](https://www.rfc-editor.org/rfc/rfc8489): STUN.
//!   [Messages](https://www.rfc-editor.org/rfc/rfc8489#section-5),
//!   [long-term credentials](https://www.rfc-editor.org/rfc/rfc8489#section-9.2),
//!   [Binding](https://www.rfc-editor.org/rfc/rfc8489#section-12),
//!   [attributes](https://www.rfc-editor.org/rfc/rfc8489#section-14).
//! - [RFC 8656](https://www.rfc-editor.org/rfc/rfc8656): TURN.
//!   [Allocate](https://www.rfc-editor.org/rfc/rfc8656#section-7),
//!   [Refresh](https://www.rfc-editor.org/rfc/rfc8656#section-8),
//!   [permissions](https://www.rfc-editor.org/rfc/rfc8656#section-9),
//!   [CreatePermission](https://www.rfc-editor.org/rfc/rfc8656#section-10),
//!   [Send and Data](https://www.rfc-editor.org/rfc/rfc8656#section-11),
//!   [channels](https://www.rfc-editor.org/rfc/rfc8656#section-12),
//!   [attributes](https://www.rfc-editor.org/rfc/rfc8656#section-18).
//! - [RFC 5780](https://www.rfc-editor.org/rfc/rfc5780#section-6): NAT behaviour discovery.
//! - [RFC 7983](https://www.rfc-editor.org/rfc/rfc7983): demux by first byte.
//!
//! Not implemented: TCP allocations (RFC 6062), "username anonymity" of RFC 8489, and PADDING and
//! RESPONSE-PORT of RFC 5780. Messages of RFC 3489 have no magic cookie and are dropped.

#![forbid(unsafe_code)]

pub mod address_set;
pub mod auth;
pub mod client_network;
pub mod closed_set;
pub mod lock;
pub mod prng;
pub mod rate_limit;
pub mod server;
pub mod shares;
pub mod time;
pub mod wire;
