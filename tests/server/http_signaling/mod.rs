//! The HTTP pages and the signaling, from outside: real sockets on loopback, port 0.

mod access;
mod connections;
mod endings;
mod hosts;
mod in_process;
mod moderation;
mod pages;
mod peerjs;
mod proxies;
mod recording;
mod relays;
mod resume;
mod rooms;
mod timelines;
mod topics;
mod viewers;
