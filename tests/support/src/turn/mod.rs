//! A server, its clients and their messages, in virtual time.
//!
//! Messages are written and read with the `stun` crate, so that the server's code does not check
//! itself.

pub mod bare;
mod client;
mod request;
mod response;
pub mod rfc8489;
mod server;

pub use client::{Client, channel_data};
pub use request::{ATTR_ADDITIONAL_ADDRESS_FAMILY, Request};
pub use response::Response;
pub use server::{Bind, REALM, SECRETS, Seen, Server, settings};

use std::net::SocketAddr;
use std::time::Duration;

/// Parses an address.
pub fn at(address: &str) -> SocketAddr {
    address.parse().unwrap()
}

/// Returns a duration of `n` seconds.
pub fn seconds(n: u64) -> Duration {
    Duration::from_secs(n)
}

/// Returns a server, and a client with an allocation that permits 8.8.8.8.
pub fn permitted() -> (Server, Client) {
    let mut server = Server::new();
    let (mut client, _) = Client::allocated(&mut server, "203.0.113.9:5000", "alice");
    client.granted(&mut server, &Request::permission(at("8.8.8.8:0")));
    (server, client)
}
