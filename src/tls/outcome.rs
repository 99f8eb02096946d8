//! What becomes of connections to the TLS port, as a closed set.

use std::io;

use rustls::Error;

/// What a connection speaks, or why it got that far.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// HTTP/1.1.
    Http1,
    /// HTTP/2.
    Http2,
    /// STUN and TURN.
    Turn,
    /// Too slow with the handshake, or with a first byte that tells what it speaks.
    Timeout,
    /// Too many had not told, and this was the oldest from where most came.
    Shed,
    /// Closed or broken by its client.
    Closed,
    /// ALPN named none of our protocols.
    NoProtocol,
    /// No version, cipher suite or group in common.
    Incompatible,
    /// Its client refused us: mostly our certificate.
    Alert,
    /// Not TLS, or wrong TLS.
    Invalid,
}

impl Outcome {
    /// Every outcome with its label.
    pub const ALL: [(Self, &'static str); 10] = [
        (Self::Http1, "http1"),
        (Self::Http2, "http2"),
        (Self::Turn, "turn"),
        (Self::Timeout, "timeout"),
        (Self::Shed, "shed"),
        (Self::Closed, "closed"),
        (Self::NoProtocol, "no_protocol"),
        (Self::Incompatible, "incompatible"),
        (Self::Alert, "alert"),
        (Self::Invalid, "invalid"),
    ];

    /// Of an error of TLS, or of the connection below it.
    pub(super) fn of(error: &io::Error) -> Self {
        match error.get_ref().and_then(|source| source.downcast_ref()) {
            None => Self::Closed,
            Some(Error::NoApplicationProtocol) => Self::NoProtocol,
            Some(Error::PeerIncompatible(_)) => Self::Incompatible,
            Some(Error::AlertReceived(_)) => Self::Alert,
            Some(_) => Self::Invalid,
        }
    }
}
