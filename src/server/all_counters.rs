//! The counters of all rooms, for `/metrics`.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

use crate::access::AccessCounters;
use crate::cluster::ClusterCounters;
use crate::events::EventSender;
use crate::http::HttpCounters;
use crate::metrics::{Counters, Metrics, Page, ProcessCounters};
use crate::net::proxy_protocol::ProxyCounters;
use crate::shard::RelayCounters;
use crate::signaling::SignalingCounters;
use crate::tls::TlsCounters;
use crate::webhooks::WebhookCounters;

/// The counters of all rooms.
pub(super) struct AllCounters {
    pub(super) relay: Arc<RelayCounters>,
    pub(super) signaling: Arc<SignalingCounters>,
    pub(super) http: Arc<HttpCounters>,
    pub(super) access: Arc<AccessCounters>,
    pub(super) process: Arc<ProcessCounters>,
    /// The counters of the TLS port, on the page if there is a certificate.
    pub(super) tls: Shown<TlsCounters>,
    /// The counters of the ACME client, on the page if it is on.
    #[cfg(feature = "acme")]
    pub(super) acme: Shown<crate::tls::acme::AcmeCounters>,
    /// The counters of PROXY headers, on the page if a listener expects them.
    pub(super) proxy: Shown<ProxyCounters>,
    /// The counters of webhooks, on the page if there is a receiver.
    pub(super) webhooks: Shown<WebhookCounters>,
    /// The counters of the cluster, on the page if this server is a node of one.
    pub(super) cluster: Shown<ClusterCounters>,
    /// Sender of events, which counts those that a consumer was too slow for.
    pub(super) events: EventLosses,
}

/// Counters that are on the page only while the configuration uses them.
#[derive(Debug)]
pub(super) struct Shown<C> {
    pub(super) counters: Arc<C>,
    is_shown: Arc<AtomicBool>,
}

impl<C: Default> Shown<C> {
    pub(super) fn new(is_shown: bool) -> Self {
        Self { counters: Arc::default(), is_shown: Arc::new(AtomicBool::new(is_shown)) }
    }
}

impl<C> Shown<C> {
    /// Shows or hides them from now on.
    pub(super) fn show(&self, is_shown: bool) {
        self.is_shown.store(is_shown, Relaxed);
    }
}

impl<C> Clone for Shown<C> {
    fn clone(&self) -> Self {
        Self { counters: self.counters.clone(), is_shown: self.is_shown.clone() }
    }
}

impl<C: Counters> Counters for Shown<C> {
    fn encode(&self, page: &mut Page<'_>) -> fmt::Result {
        if self.is_shown.load(Relaxed) { self.counters.encode(page) } else { Ok(()) }
    }
}

/// Count of lost events.
#[derive(Clone, Debug)]
pub(super) struct EventLosses(pub(super) EventSender);

impl Counters for EventLosses {
    fn encode(&self, page: &mut Page<'_>) -> fmt::Result {
        page.counter(
            "events_lost",
            "Events of rooms and allocations that webhooks, /usage or timelines were too slow for.",
            self.0.lost(),
        )
    }
}

impl AllCounters {
    /// All counters as one page of metrics.
    pub(super) fn metrics(&self) -> Metrics {
        Metrics::new(vec![
            self.relay.clone(),
            self.signaling.clone(),
            self.http.clone(),
            self.access.clone(),
            self.process.clone(),
            Arc::new(self.proxy.clone()),
            Arc::new(self.tls.clone()),
            Arc::new(self.webhooks.clone()),
            Arc::new(self.cluster.clone()),
            Arc::new(self.events.clone()),
            #[cfg(feature = "acme")]
            Arc::new(self.acme.clone()),
        ])
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metrics::Exposition;
    use crate::shard::Direction;
    use crate::signaling::protocol::{ByeCode, Ending, ErrorCode};
    use byway_turn::server::DropReason;
    use byway_turn::wire::ErrorCode as TurnError;

    #[test]
    fn shards_are_summed_and_labels_are_closed() {
        let shards = vec![Arc::default(), Arc::default()];
        let counted = AllCounters {
            relay: Arc::new(RelayCounters { shards, connections: Arc::default() }),
            signaling: Arc::default(),
            http: Arc::default(),
            access: Arc::default(),
            process: Arc::default(),
            tls: Shown::new(false),
            #[cfg(feature = "acme")]
            acme: Shown::new(false),
            proxy: Shown::new(false),
            webhooks: Shown::new(false),
            cluster: Shown::new(false),
            events: EventLosses(EventSender::default()),
        };
        for shard in &counted.relay.shards {
            shard.allocations.set(2);
            shard.allocations_granted.add(3);
            shard.relayed(Direction::ToPeer, 1, 100);
            shard.dropped(DropReason::PeerDenied, 1);
            shard.received_joined.add(8);
            shard.send_offload.set(1);
            shard.refused(TurnError::InsufficientCapacity);
        }
        counted.signaling.rooms.set(4);
        counted.signaling.refused(ErrorCode::RoomFull);
        counted.signaling.closed(Ending::Bye(ByeCode::TooSlow));
        counted.http.responded(204);
        counted.http.responded(999);
        let metrics = counted.metrics();
        let text = metrics.render(Exposition::OpenMetrics);
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
            "byway_datagrams_received_total{path=\"joined\"} 16",
            "byway_datagrams_sent_total{path=\"segmented\"} 0",
            "byway_offload{kind=\"receive\"} 0",
            "byway_offload{kind=\"send\"} 2",
            "byway_segmentation_refused_total 0",
            "byway_rooms 4",
            "byway_signaling_errors_total{code=\"room-full\"} 1",
            "byway_websockets_closed_total{reason=\"too-slow\"} 1",
            "byway_http_responses_total{class=\"2xx\"} 1",
            "# HELP byway_relayed_bytes_total Bytes of relayed payloads without headers, by direction.",
            "# TYPE byway_offload gauge",
            "# HELP byway_rooms Rooms of the signaling.",
        ] {
            assert!(text.lines().any(|found| found == line), "{line} in\n{text}");
        }
        assert!(text.ends_with("# EOF\n"));
        let classic = metrics.render(Exposition::Text);
        let samples = |page: &str| page.lines().filter(|line| !line.starts_with('#')).count();
        assert_eq!(samples(&classic), samples(&text));
        for line in [
            concat!("byway_build_info{version=\"", env!("CARGO_PKG_VERSION"), "\"} 1"),
            "# TYPE byway_build_info gauge",
            "# TYPE byway_relayed_bytes_total counter",
            "# TYPE byway_offload gauge",
            "# HELP byway_rooms Rooms of the signaling.",
        ] {
            assert!(classic.lines().any(|found| found == line), "{line} in\n{classic}");
        }
        assert!(!classic.contains("# EOF"));
    }
}
