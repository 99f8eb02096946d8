//! The HTTP pages and the signaling, from outside: real sockets on loopback, port 0.
#![allow(clippy::unwrap_used, reason = "the helpers of tests are tests")]

mod access;
mod connections;
mod endings;
mod hosts;
mod pages;
mod peerjs;
mod proxies;
mod resume;
mod rooms;
mod support;
mod topics;
