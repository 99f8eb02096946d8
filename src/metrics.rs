//! Counters, written where things happen and read at scrape time.
//!
//! Every label comes from a closed set: nothing that a client sends can make a series.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, text};
use prometheus_client::metrics::MetricType;
use prometheus_client::registry::Registry;

use crate::relay::Reason;
use crate::signaling::protocol::{Ending, ErrorCode};
use crate::tls::Outcome as TlsOutcome;
use crate::wire::ErrorCode as TurnError;

/// Every counter of the process, and how they are written out.
#[derive(Clone, Debug, Default)]
pub struct Metrics {
    /// One per shard; summed at scrape time.
    pub shards: Vec<Arc<ShardCounters>>,
    /// TCP and TLS connections to TURN.
    pub turn_connections: Arc<ConnectionCounters>,
    /// The rooms and their WebSockets.
    pub signaling: Arc<SignalingCounters>,
    /// HTTP connections and responses.
    pub http: Arc<HttpCounters>,
    /// The TLS port, if there is one.
    pub tls: Option<Arc<TlsCounters>>,
}

impl Metrics {
    /// The media type of [`Self::render`].
    pub const CONTENT_TYPE: &'static str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

    /// Everything in the OpenMetrics text format, which Prometheus reads.
    #[must_use]
    pub fn render(&self) -> String {
        let mut registry = Registry::with_prefix("byway");
        registry.register_collector(Box::new(self.clone()));
        let mut out = String::new();
        text::encode(&mut out, &registry).expect("writing to a String does not fail");
        out
    }

    fn sum(&self, read: impl Fn(&ShardCounters) -> u64) -> u64 {
        self.shards.iter().map(|shard| read(shard)).fold(0, u64::wrapping_add)
    }
}

impl Collector for Metrics {
    fn encode(&self, encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let (signaling, http) = (&self.signaling, &self.http);
        let mut page = Page(encoder);

        page.info("build", "The version that runs.", "version", env!("CARGO_PKG_VERSION"))?;
        page.gauge("allocations", "Live TURN allocations.", self.sum(|s| s.allocations.get()))?;
        page.gauge("turn_streams", "Open TCP and TLS connections to TURN.", self.sum(|s| s.streams.get()))?;
        page.counters(
            "turn_streams_refused",
            "TCP and TLS connections to TURN refused, by the limit reached.",
            "limit",
            self.turn_connections.refused(),
        )?;
        page.counters(
            "turn_streams_closed",
            "TCP and TLS connections to TURN that ended, by reason.",
            "reason",
            StreamEnd::ALL.map(|(end, label)| (label, self.sum(|s| s.streams_ended_so_far(end)))),
        )?;
        page.gauge("channels", "Bound TURN channels.", self.sum(|s| s.channels.get()))?;
        page.counter(
            "allocations_granted",
            "TURN allocations granted.",
            self.sum(|s| s.allocations_granted.get()),
        )?;
        page.counters(
            "relayed_packets",
            "Payloads relayed, by direction.",
            "direction",
            Direction::ALL.map(|(direction, label)| (label, self.sum(|s| s.relayed_so_far(direction).0))),
        )?;
        page.counters(
            "relayed_bytes",
            "Bytes of payload relayed, without headers, by direction.",
            "direction",
            Direction::ALL.map(|(direction, label)| (label, self.sum(|s| s.relayed_so_far(direction).1))),
        )?;
        page.counters(
            "dropped_packets",
            "Datagrams dropped, by reason.",
            "reason",
            Reason::ALL.map(|(reason, label)| (label, self.sum(|s| s.dropped_so_far(reason)))),
        )?;
        page.counter("stun_bindings", "STUN Binding responses sent.", self.sum(|s| s.bindings.get()))?;
        page.counter("turn_successes", "TURN success responses sent.", self.sum(|s| s.successes.get()))?;
        page.counter(
            "turn_challenges",
            "Responses that ask for credentials or a fresh nonce, as to every client's first request.",
            self.sum(|s| s.challenges.get()),
        )?;
        page.counters(
            "turn_errors",
            "Error responses sent, by code. 401: wrong or expired credentials; 403: a peer that is refused; \
             486: quota; 508: no port, socket or room for another allocation.",
            "code",
            TurnError::ALL.map(|(code, number)| (number, self.sum(|s| s.refused_so_far(code)))),
        )?;

        page.counter(
            "icmp_errors",
            "ICMP errors from the way to a peer that clients were told of.",
            self.sum(|s| s.icmp_errors.get()),
        )?;

        page.gauge("rooms", "Rooms of the signaling.", signaling.rooms.get())?;
        page.gauge("members", "Members of all rooms.", signaling.members.get())?;
        page.gauge("websockets", "Open signaling connections.", signaling.connections.get())?;
        page.counter("messages_received", "WebSocket messages received.", signaling.received.get())?;
        page.counter("signals", "Messages `signal` passed on to their receiver.", signaling.signals.get())?;
        page.counters(
            "signaling_errors",
            "Frames answered with `error`, by code.",
            "code",
            ErrorCode::ALL.map(|(code, name, _)| (name, signaling.errors[code as usize].get())),
        )?;
        page.counters(
            "websockets_closed",
            "Signaling connections ended, by reason.",
            "reason",
            std::array::from_fn::<_, { Ending::LABELS.len() }, _>(|i| {
                (Ending::LABELS[i], signaling.closed[i].get())
            }),
        )?;

        page.gauge(
            "http_connections",
            "Open HTTP connections, with those that became WebSockets and all to the TLS port but TURN.",
            http.connections.open.get(),
        )?;
        page.counters(
            "http_connections_refused",
            "Connections refused to HTTP and the TLS port, by the limit reached.",
            "limit",
            http.connections.refused(),
        )?;
        page.counters(
            "http_responses",
            "HTTP responses, by the class of their status.",
            "class",
            std::array::from_fn::<_, 5, _>(|i| (CLASSES[i], http.responses[i].get())),
        )?;
        page.counter(
            "credentials_issued",
            "Credentials handed out by /ice and /turn.",
            http.credentials.get(),
        )?;

        let Some(tls) = &self.tls else { return Ok(()) };
        page.counters(
            "tls_connections",
            "Connections to the TLS port, by what they speak or why that was never known.",
            "outcome",
            TlsOutcome::ALL.map(|(outcome, label)| (label, tls.outcomes[outcome as usize].get())),
        )?;
        page.counter("tls_resumptions", "TLS sessions resumed by a ticket.", tls.resumed.get())?;
        page.counters(
            "certificate_loads",
            "Times that the certificate was loaded again, by outcome. failed: the last good one is kept.",
            "outcome",
            [("loaded", tls.loaded.get()), ("failed", tls.not_loaded.get())],
        )?;
        page.gauge(
            "certificate_expiry_timestamp_seconds",
            "When the certificate in use expires, in seconds since 1970.",
            tls.expires.get(),
        )
    }
}

/// Writes metric families.
struct Page<'a>(DescriptorEncoder<'a>);

impl Page<'_> {
    fn gauge(&mut self, name: &str, help: &str, value: u64) -> fmt::Result {
        self.0.encode_descriptor(name, help, None, MetricType::Gauge)?.encode_gauge(&value)
    }

    fn counter(&mut self, name: &str, help: &str, value: u64) -> fmt::Result {
        let mut metric = self.0.encode_descriptor(name, help, None, MetricType::Counter)?;
        metric.encode_counter::<[(&str, &str); 0], u64, u64>(&value, None)
    }

    fn counters<const N: usize>(
        &mut self,
        name: &str,
        help: &str,
        label: &str,
        values: [(&str, u64); N],
    ) -> fmt::Result {
        let mut metric = self.0.encode_descriptor(name, help, None, MetricType::Counter)?;
        for (value_of_label, value) in values {
            metric
                .encode_family(&[(label, value_of_label)])?
                .encode_counter::<[(&str, &str); 0], u64, u64>(&value, None)?;
        }
        Ok(())
    }

    fn info(&mut self, name: &str, help: &str, label: &str, value: &str) -> fmt::Result {
        self.0.encode_descriptor(name, help, None, MetricType::Info)?.encode_info(&[(label, value)])
    }
}

/// What the signaling counts.
#[derive(Debug, Default)]
pub struct SignalingCounters {
    /// Rooms; set under the hub's lock.
    pub rooms: SharedCount,
    /// Members of all rooms; set under the hub's lock.
    pub members: SharedCount,
    /// Open connections.
    pub connections: SharedCount,
    /// WebSocket messages received, of any kind.
    pub received: SharedCount,
    /// Signals passed on.
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
}

/// The first digit of a status.
const CLASSES: [&str; 5] = ["1xx", "2xx", "3xx", "4xx", "5xx"];

/// What the HTTP server counts.
#[derive(Debug, Default)]
pub struct HttpCounters {
    /// Connections, WebSockets among them.
    pub connections: Arc<ConnectionCounters>,
    /// Credentials handed out.
    pub credentials: SharedCount,
    responses: [SharedCount; CLASSES.len()],
}

impl HttpCounters {
    /// Counts a response with this status.
    pub fn responded(&self, status: u16) {
        if let Some(count) = usize::from(status / 100).checked_sub(1).and_then(|i| self.responses.get(i)) {
            count.add(1);
        }
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
}

impl ConnectionCounters {
    /// Refused connections, by the limit reached.
    fn refused(&self) -> [(&'static str, u64); 2] {
        [("total", self.refused_total.get()), ("address", self.refused_address.get())]
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

/// Why a connection to TURN ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StreamEnd {
    /// Its client closed it.
    Client,
    /// It broke, or TLS did.
    Broken,
    /// A byte that no message has there.
    Garbage,
    /// Too long without an allocation.
    Idle,
    /// It made room for another, as the oldest without an allocation when there was no place left.
    Shed,
}

impl StreamEnd {
    /// Every reason with its label.
    pub const ALL: [(Self, &'static str); 5] = [
        (Self::Client, "client"),
        (Self::Broken, "broken"),
        (Self::Garbage, "garbage"),
        (Self::Idle, "idle"),
        (Self::Shed, "shed"),
    ];
}

/// Which way a payload was relayed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// From a client out through its relay socket.
    ToPeer,
    /// From a relay socket to its client.
    ToClient,
    /// From one client of this server to another, in memory.
    BetweenClients,
}

impl Direction {
    /// Every direction with its label.
    pub const ALL: [(Self, &'static str); 3] =
        [(Self::ToPeer, "to_peer"), (Self::ToClient, "to_client"), (Self::BetweenClients, "between_clients")];
}

/// A count that one thread writes and others read: a load and a store, no locked instruction.
#[derive(Debug, Default)]
pub struct Count(AtomicU64);

impl Count {
    /// Adds `n`. Only the owning thread may call this.
    pub fn add(&self, n: u64) {
        self.0.store(self.0.load(Relaxed).wrapping_add(n), Relaxed);
    }

    /// Takes `n` off. Only the owning thread may call this.
    pub fn subtract(&self, n: u64) {
        self.0.store(self.0.load(Relaxed).wrapping_sub(n), Relaxed);
    }

    /// Sets the count. Only the owning thread may call this.
    pub fn set(&self, n: u64) {
        self.0.store(n, Relaxed);
    }

    /// The count, as another thread sees it.
    #[must_use]
    pub fn get(&self) -> u64 {
        self.0.load(Relaxed)
    }
}

/// What one shard of the data plane counts. Aligned, so that two shards never share a cache line.
#[derive(Debug, Default)]
#[repr(align(128))]
pub struct ShardCounters {
    /// Live allocations.
    pub allocations: Count,
    /// Bound channels.
    pub channels: Count,
    /// Allocations ever granted.
    pub allocations_granted: Count,
    /// Binding responses sent.
    pub bindings: Count,
    /// TURN success responses sent.
    pub successes: Count,
    /// Responses sent that ask for credentials or a fresh nonce.
    pub challenges: Count,
    /// ICMP errors that clients were told of.
    pub icmp_errors: Count,
    /// Open connections.
    pub streams: Count,
    streams_ended: [Count; StreamEnd::ALL.len()],
    errors: [Count; TurnError::ALL.len()],
    packets: [Count; Direction::ALL.len()],
    bytes: [Count; Direction::ALL.len()],
    drops: [Count; Reason::ALL.len()],
}

impl ShardCounters {
    /// Counts one relayed payload of `bytes` bytes.
    pub fn relayed(&self, direction: Direction, bytes: usize) {
        self.packets[direction as usize].add(1);
        self.bytes[direction as usize].add(bytes as u64);
    }

    /// Counts one dropped datagram.
    pub fn dropped(&self, reason: Reason) {
        self.drops[reason as usize].add(1);
    }

    /// Counts one connection that ended.
    pub fn stream_ended(&self, end: StreamEnd) {
        self.streams_ended[end as usize].add(1);
    }

    /// Connections that ended for one reason.
    #[must_use]
    pub fn streams_ended_so_far(&self, end: StreamEnd) -> u64 {
        self.streams_ended[end as usize].get()
    }

    /// Counts one TURN or STUN error response.
    pub fn refused(&self, code: TurnError) {
        self.errors[code as usize].add(1);
    }

    /// Payloads and their bytes relayed in one direction.
    #[must_use]
    pub fn relayed_so_far(&self, direction: Direction) -> (u64, u64) {
        (self.packets[direction as usize].get(), self.bytes[direction as usize].get())
    }

    /// Error responses sent with one code.
    #[must_use]
    pub fn refused_so_far(&self, code: TurnError) -> u64 {
        self.errors[code as usize].get()
    }

    /// Datagrams dropped for one reason.
    #[must_use]
    pub fn dropped_so_far(&self, reason: Reason) -> u64 {
        self.drops[reason as usize].get()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::signaling::protocol::ByeCode;

    #[test]
    fn labels_stand_in_the_order_of_their_counters() {
        assert!(Reason::ALL.iter().enumerate().all(|(i, row)| row.0 as usize == i));
        assert!(StreamEnd::ALL.iter().enumerate().all(|(i, row)| row.0 as usize == i));
        assert!(TlsOutcome::ALL.iter().enumerate().all(|(i, row)| row.0 as usize == i));
        for (i, (code, number)) in TurnError::ALL.into_iter().enumerate() {
            assert_eq!((code as usize, code.code().to_string().as_str()), (i, number));
        }
    }

    #[test]
    fn shards_are_summed_and_labels_are_closed() {
        let metrics = Metrics { shards: vec![Arc::default(), Arc::default()], ..Metrics::default() };
        for shard in &metrics.shards {
            shard.allocations.set(2);
            shard.allocations_granted.add(3);
            shard.relayed(Direction::ToPeer, 100);
            shard.dropped(Reason::PeerDenied);
            shard.refused(TurnError::InsufficientCapacity);
        }
        metrics.signaling.rooms.set(4);
        metrics.signaling.refused(ErrorCode::RoomFull);
        metrics.signaling.closed(Ending::Bye(ByeCode::TooSlow));
        metrics.http.responded(204);
        metrics.http.responded(999);
        let text = metrics.render();
        for line in [
            concat!("byway_build_info{version=\"", env!("CARGO_PKG_VERSION"), "\"} 1"),
            "byway_allocations 4",
            "byway_allocations_granted_total 6",
            "byway_relayed_packets_total{direction=\"to_peer\"} 2",
            "byway_relayed_bytes_total{direction=\"to_peer\"} 200",
            "byway_relayed_bytes_total{direction=\"between_clients\"} 0",
            "byway_dropped_packets_total{reason=\"peer_denied\"} 2",
            "byway_turn_errors_total{code=\"401\"} 0",
            "byway_turn_errors_total{code=\"508\"} 2",
            "byway_rooms 4",
            "byway_signaling_errors_total{code=\"room-full\"} 1",
            "byway_websockets_closed_total{reason=\"too-slow\"} 1",
            "byway_http_responses_total{class=\"2xx\"} 1",
            "# TYPE byway_relayed_bytes counter",
            "# HELP byway_rooms Rooms of the signaling.",
        ] {
            assert!(text.lines().any(|found| found == line), "{line} in\n{text}");
        }
        assert!(text.ends_with("# EOF\n"));
    }
}
