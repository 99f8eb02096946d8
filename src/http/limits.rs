//! Bounds of HTTP connections, and the protocols that they depend on.

use std::time::Duration;

/// Bounds of an HTTP connection. `docs/limits.md` has the sums.
#[derive(Clone, Copy, Debug)]
pub struct HttpLimits {
    /// Bytes of a request's head, beyond which it is 431. Cookies of a single sign-on take 8 KiB
    /// and more.
    pub max_head: u16,
    /// Fields of a request's head, beyond which it is 431.
    pub max_fields: usize,
    /// Requests under way at one time on an HTTP/2 connection. A page and its files are a dozen.
    pub max_streams: u32,
    /// Time for a request's head, and for the first one to begin.
    pub head_within: Duration,
    /// Time between two requests, once one was answered well. Load balancers reuse a connection for
    /// 60 s, and a request that meets its end is a 502.
    pub idle_within: Duration,
    /// Time for a client to read a response.
    pub response_within: Duration,
    /// Age at which a connection without a request that was answered well is closed.
    pub stranger_age: Duration,
    /// Age at which any connection that is no WebSocket is closed.
    pub max_age: Duration,
    /// Time for the last response of a connection that has to end.
    pub close_within: Duration,
    /// Bytes that one connection may hold of requests that are not complete, with its own buffers.
    pub memory_of_one: usize,
    /// Bytes that all connections may hold together; then the oldest is closed.
    pub memory: usize,
}

impl Default for HttpLimits {
    fn default() -> Self {
        Self {
            max_head: 16 * 1_024,
            max_fields: 100,
            max_streams: 16,
            head_within: Duration::from_secs(5),
            idle_within: Duration::from_secs(75),
            response_within: Duration::from_secs(60),
            stranger_age: Duration::from_secs(60),
            max_age: Duration::from_secs(3_600),
            close_within: Duration::from_secs(5),
            memory_of_one: 64 * 1_024,
            memory: 64 << 20,
        }
    }
}

/// Protocol of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Protocol {
    /// HTTP/1.1 as it is.
    Http,
    /// HTTP/1.1 within TLS.
    Https,
    /// HTTP/2 within TLS, where both ends agreed on it. Without RFC 8441: for a WebSocket, browsers
    /// then open a connection of the kind above.
    Http2,
}

impl Protocol {
    /// Bytes that a connection takes by itself, as measured: its task, its buffers, its session of
    /// TLS, and most of a record of TLS without its end.
    pub(super) fn base(self) -> usize {
        match self {
            Self::Http => 12 * 1_024,
            Self::Https => 36 * 1_024,
            Self::Http2 => 48 * 1_024,
        }
    }

    /// Bytes of the same as a WebSocket, with the conversation and the least that the library
    /// holds, as measured.
    pub(super) fn base_of_websocket(self) -> usize {
        match self {
            Self::Http => 14 * 1_024,
            Self::Https | Self::Http2 => 40 * 1_024,
        }
    }
}
