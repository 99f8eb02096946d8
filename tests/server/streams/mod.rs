//! TURN over TCP and TLS connections.

mod client;
mod ends;
mod floods;
mod framing;
mod slow;
