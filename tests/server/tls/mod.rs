//! The TLS port: handshakes, HTTPS, HTTP/2, TURN within TLS, and renewal of certificates.

mod floods;
mod frames;
mod http2;
mod memory;
mod pages;
mod protocols;
mod renewal;
mod start;
