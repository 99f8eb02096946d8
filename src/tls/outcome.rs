//! Outcomes of connections to the TLS port, as a closed set.

use std::io;

use rustls::Error;

use byway_turn::closed_set;

closed_set! {
    /// Protocol of a connection, or the reason for its end before its protocol was known.
    pub enum TlsOutcome {
        /// HTTP/1.1.
        Http1 = "http1",
        /// HTTP/2.
        Http2 = "http2",
        /// STUN and TURN.
        Turn = "turn",
        /// An ACME authority, which checked a challenge.
        Challenge = "challenge",
        /// Refused because the server has no certificate yet.
        NoCertificate = "no_certificate",
        /// Too slow with the handshake, or with the first byte, which tells its protocol.
        Timeout = "timeout",
        /// Evicted because too many connections were pending: the oldest of the network with the
        /// most.
        Shed = "shed",
        /// Closed or broken by its client.
        Closed = "closed",
        /// ALPN offered no supported protocol.
        NoProtocol = "no_protocol",
        /// No version, cipher suite or group in common.
        Incompatible = "incompatible",
        /// Refused by its client, mostly because of the certificate.
        Alert = "alert",
        /// Not TLS, or invalid TLS.
        Invalid = "invalid",
    }
}

impl TlsOutcome {
    /// The outcome for an error of TLS or of the connection below it.
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
