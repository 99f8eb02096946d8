//! What any thread may count: the signaling, HTTP, TLS, and connections as they are admitted.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use super::Page;
use crate::signaling::protocol::{Ending, ErrorCode};
use crate::tls::Outcome as TlsOutcome;

/// What the signaling counts.
#[derive(Debug, Default)]
pub struct SignalingCounters {
    /// Rooms; set under the hub's lock.
    pub rooms: SharedCount,
    /// Members of all rooms; set under the hub's lock.
    pub members: SharedCount,
    /// Members without a connection; set under the hub's lock.
    pub absent: SharedCount,
    /// Bytes of signals kept until they have arrived; set under the hub's lock.
    pub kept: SharedCount,
    /// Bytes that wait to be written to WebSockets.
    pub queued: SharedCount,
    /// Clients of PeerJS; set under the lock of their registry.
    pub peerjs: SharedCount,
    /// Topics of y-webrtc; set under the lock of their board.
    pub topics: SharedCount,
    /// Memberships that were resumed.
    pub resumed: SharedCount,
    /// Open connections.
    pub connections: SharedCount,
    /// WebSocket messages received, of any kind.
    pub received: SharedCount,
    /// Signals passed on, those of other protocols among them: one for each receiver.
    pub signals: SharedCount,
    errors: [SharedCount; ErrorCode::ALL.len()],
    closed: [SharedCount; Ending::LABELS.len()],
}

impl SignalingCounters {
    /// Counts a frame that was answered with an error.
    pub fn refused(&self, code: ErrorCode) {
        self.errors[code as usize].add(1);
    }

    /// Counts a connection that ended.
    pub fn closed(&self, ending: Ending) {
        self.closed[ending.index()].add(1);
    }

    pub(super) fn encode(&self, page: &mut Page<'_>) -> fmt::Result {
        page.gauge("rooms", "Rooms of the signaling.", self.rooms.get())?;
        page.gauge("members", "Members of all rooms.", self.members.get())?;
        page.gauge("members_absent", "Members whose connection was lost.", self.absent.get())?;
        page.gauge("signals_kept_bytes", "Signals kept until they have arrived.", self.kept.get())?;
        page.gauge(
            "signals_queued_bytes",
            "Messages that wait to be written to WebSockets.",
            self.queued.get(),
        )?;
        page.gauge("peerjs_peers", "Clients of PeerJS.", self.peerjs.get())?;
        page.gauge("topics", "Topics of y-webrtc.", self.topics.get())?;
        page.counter("members_resumed", "Memberships resumed over another connection.", self.resumed.get())?;
        page.gauge("websockets", "Open signaling connections.", self.connections.get())?;
        page.counter("messages_received", "WebSocket messages received.", self.received.get())?;
        page.counter("signals", "Messages passed on, one for each receiver.", self.signals.get())?;
        page.counters(
            "signaling_errors",
            "Frames answered with `error`, by code.",
            "code",
            ErrorCode::ALL.map(|(code, name, _)| (name, self.errors[code as usize].get())),
        )?;
        page.counters(
            "websockets_closed",
            "Signaling connections ended, by reason.",
            "reason",
            std::array::from_fn::<_, { Ending::LABELS.len() }, _>(|i| {
                (Ending::LABELS[i], self.closed[i].get())
            }),
        )
    }
}

/// The first digit of a status.
const CLASSES: [&str; 5] = ["1xx", "2xx", "3xx", "4xx", "5xx"];

/// Reasons for which a request is refused by its host.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HostRefused {
    /// None, several, or a malformed one.
    Invalid,
    /// Another server's.
    Foreign,
}

impl HostRefused {
    pub(super) const ALL: [(Self, &'static str); 2] =
        [(Self::Invalid, "invalid"), (Self::Foreign, "foreign")];
}

/// What the HTTP server counts.
#[derive(Debug, Default)]
pub struct HttpCounters {
    /// Connections, WebSockets among them.
    pub connections: Arc<ConnectionCounters>,
    /// Credentials handed out.
    pub credentials: SharedCount,
    hosts_refused: [SharedCount; HostRefused::ALL.len()],
    responses: [SharedCount; CLASSES.len()],
}

impl HttpCounters {
    /// Counts a response with this status.
    pub fn responded(&self, status: u16) {
        if let Some(count) = usize::from(status / 100).checked_sub(1).and_then(|i| self.responses.get(i)) {
            count.add(1);
        }
    }

    /// Counts a request that was refused by its host.
    pub fn host_refused(&self, reason: HostRefused) {
        self.hosts_refused[reason as usize].add(1);
    }

    pub(super) fn encode(&self, page: &mut Page<'_>) -> fmt::Result {
        page.gauge(
            "http_connections",
            "Open HTTP connections, with those that became WebSockets and all to the TLS port but TURN.",
            self.connections.open.get(),
        )?;
        page.counters(
            "http_connections_refused",
            "Connections refused to HTTP and the TLS port, by the limit reached.",
            "limit",
            self.connections.refused(),
        )?;
        page.counters(
            "http_connections_ended",
            "HTTP connections and WebSockets that the server ended for what their client did, by reason.",
            "reason",
            self.connections.ended(),
        )?;
        page.counters(
            "http_responses",
            "HTTP responses, by the class of their status.",
            "class",
            std::array::from_fn::<_, 5, _>(|i| (CLASSES[i], self.responses[i].get())),
        )?;
        page.counters(
            "http_hosts_refused",
            "HTTP requests refused by the host that they were for. foreign: none of this server's names.",
            "reason",
            HostRefused::ALL.map(|(reason, label)| (label, self.hosts_refused[reason as usize].get())),
        )?;
        page.counter(
            "credentials_issued",
            "Credentials handed out by /ice and /turn.",
            self.credentials.get(),
        )
    }
}

/// What the TLS port counts.
#[derive(Debug, Default)]
pub struct TlsCounters {
    /// Sessions resumed.
    pub resumed: SharedCount,
    /// The end of the certificate in use, in seconds since 1970.
    pub expires: SharedCount,
    outcomes: [SharedCount; TlsOutcome::ALL.len()],
    loaded: SharedCount,
    not_loaded: SharedCount,
}

impl TlsCounters {
    /// Counts what has become of a connection.
    pub fn became(&self, outcome: TlsOutcome) {
        self.outcomes[outcome as usize].add(1);
    }

    /// Counts that the certificate was loaded again, or could not be.
    pub fn loaded(&self, is_good: bool) {
        if is_good { &self.loaded } else { &self.not_loaded }.add(1);
    }

    pub(super) fn encode(&self, page: &mut Page<'_>) -> fmt::Result {
        page.counters(
            "tls_connections",
            "Connections to the TLS port, by what they speak or why that was never known.",
            "outcome",
            TlsOutcome::ALL.map(|(outcome, label)| (label, self.outcomes[outcome as usize].get())),
        )?;
        page.counter("tls_resumptions", "TLS sessions resumed by a ticket.", self.resumed.get())?;
        page.counters(
            "certificate_loads",
            "Times that the certificate was loaded again, by outcome. failed: the last good one is kept.",
            "outcome",
            [("loaded", self.loaded.get()), ("failed", self.not_loaded.get())],
        )?;
        page.gauge(
            "certificate_expiry_timestamp_seconds",
            "When the certificate in use expires, in seconds since 1970.",
            self.expires.get(),
        )
    }
}

/// Connections as they are admitted.
#[derive(Debug, Default)]
pub struct ConnectionCounters {
    /// Open now.
    pub open: SharedCount,
    /// Refused because there were too many.
    pub refused_total: SharedCount,
    /// Refused because there were too many from their address.
    pub refused_address: SharedCount,
    /// Ended for more frames than the rate limit allows.
    pub ended_flood: SharedCount,
    /// Ended to give their memory to others.
    pub ended_memory: SharedCount,
    /// Ended for a request, a message or the reading of a response that took too long.
    pub ended_slow: SharedCount,
}

impl ConnectionCounters {
    /// Refused connections, by the limit reached.
    pub(super) fn refused(&self) -> [(&'static str, u64); 2] {
        [("total", self.refused_total.get()), ("address", self.refused_address.get())]
    }

    /// Ended connections, by reason.
    fn ended(&self) -> [(&'static str, u64); 3] {
        let Self { ended_flood, ended_memory, ended_slow, .. } = self;
        [("flood", ended_flood.get()), ("memory", ended_memory.get()), ("slow", ended_slow.get())]
    }
}

/// A count that any thread writes.
#[derive(Debug, Default)]
pub struct SharedCount(AtomicU64);

impl SharedCount {
    /// Adds `n`.
    pub fn add(&self, n: u64) {
        self.0.fetch_add(n, Relaxed);
    }

    /// Takes `n` away.
    pub fn subtract(&self, n: u64) {
        self.0.fetch_sub(n, Relaxed);
    }

    /// Sets the count.
    pub fn set(&self, n: u64) {
        self.0.store(n, Relaxed);
    }

    /// The count.
    #[must_use]
    pub fn get(&self) -> u64 {
        self.0.load(Relaxed)
    }
}
