//! What becomes of connections to the TLS port, as a closed set.

use std::io;

use rustls::Error;

use byway_turn::closed_set;

closed_set! {
    /// Protocol that a connection speaks, or the reason for its end before that was known.
    pub enum TlsOutcome {
        /// HTTP/1.1.
        Http1 = "http1",
        /// HTTP/2.
        Http2 = "http2",
        /// STUN and TURN.
        Turn = "turn",
        /// Too slow with the handshake, or with a first byte that tells what it speaks.
        Timeout = "timeout",
        /// Too many had not told, and this was the oldest from where most came.
        Shed = "shed",
        /// Closed or broken by its client.
        Closed = "closed",
        /// ALPN named none of our protocols.
        NoProtocol = "no_protocol",
        /// No version, cipher suite or group in common.
        Incompatible = "incompatible",
        /// Its client refused us: mostly our certificate.
        Alert = "alert",
        /// Not TLS, or wrong TLS.
        Invalid = "invalid",
    }
}

impl TlsOutcome {
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
