//! The HTTP pages and the signaling, from outside: real sockets on loopback, port 0.

mod access;
mod connections;
mod endings;
mod pages;
mod peerjs;
mod resume;
mod rooms;
mod support;
mod topics;
