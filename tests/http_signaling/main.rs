//! The HTTP pages and the signaling, from outside: real sockets on loopback, port 0.

mod connections;
mod endings;
mod pages;
mod rooms;
mod support;
