//! Counters, written where things happen and read at scrape time.
//!
//! Every label comes from a closed set: nothing that a client sends can make a series. What a shard counts is in
//! `shard`, written by its own thread alone; what any thread may count is in `shared`.

mod exposition;
mod process;
mod shard;
mod shared;

use std::fmt;
use std::sync::Arc;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, text};
use prometheus_client::metrics::MetricType;
use prometheus_client::registry::Registry;

pub use exposition::Exposition;
pub use process::{ProcessCounters, TaskCount};
pub use shard::{Count, Direction, ShardCounters, StreamEnd};
pub use shared::{
    ConnectionCounters, HostRefused, HttpCounters, SharedCount, SignalingCounters, TlsCounters,
};

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
    /// The log, panics and background tasks.
    pub process: Arc<ProcessCounters>,
}

impl Metrics {
    /// Everything in a format.
    #[must_use]
    pub fn render(&self, exposition: Exposition) -> String {
        let mut registry = Registry::with_prefix("byway");
        registry.register_collector(Box::new(self.clone()));
        let mut out = String::new();
        text::encode(&mut out, &registry).expect("writing to a String does not fail");
        match exposition {
            Exposition::OpenMetrics => out,
            Exposition::Text => exposition::to_text(&out),
        }
    }
}

impl Collector for Metrics {
    fn encode(&self, encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let mut page = Page(encoder);
        page.info("build", "The version that runs.", "version", env!("CARGO_PKG_VERSION"))?;
        shard::encode(&self.shards, &mut page)?;
        page.counters(
            "turn_streams_refused",
            "TCP and TLS connections to TURN refused, by the limit reached.",
            "limit",
            self.turn_connections.refused(),
        )?;
        self.signaling.encode(&mut page)?;
        self.http.encode(&mut page)?;
        self.process.encode(&mut page)?;
        self.tls.as_ref().map_or(Ok(()), |tls| tls.encode(&mut page))
    }
}

/// Writes metric families.
struct Page<'a>(DescriptorEncoder<'a>);

impl Page<'_> {
    fn gauge(&mut self, name: &str, help: &str, value: u64) -> fmt::Result {
        self.0.encode_descriptor(name, help, None, MetricType::Gauge)?.encode_gauge(&value)
    }

    fn gauges<const N: usize>(
        &mut self,
        name: &str,
        help: &str,
        label: &str,
        values: [(&str, u64); N],
    ) -> fmt::Result {
        let mut metric = self.0.encode_descriptor(name, help, None, MetricType::Gauge)?;
        for (value_of_label, value) in values {
            metric.encode_family(&[(label, value_of_label)])?.encode_gauge(&value)?;
        }
        Ok(())
    }

    fn counter(&mut self, name: &str, help: &str, value: u64) -> fmt::Result {
        let mut metric = self.0.encode_descriptor(name, help, None, MetricType::Counter)?;
        metric.encode_counter::<[(&str, &str); 0], u64, u64>(&value, None)
    }

    fn counters<'l>(
        &mut self,
        name: &str,
        help: &str,
        label: &str,
        values: impl IntoIterator<Item = (&'l str, u64)>,
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::relay::Reason;
    use crate::signaling::protocol::{ByeCode, Ending, ErrorCode};
    use crate::tls::Outcome as TlsOutcome;
    use crate::wire::ErrorCode as TurnError;

    #[test]
    fn labels_stand_in_the_order_of_their_counters() {
        assert!(Reason::ALL.iter().enumerate().all(|(i, row)| row.0 as usize == i));
        assert!(StreamEnd::ALL.iter().enumerate().all(|(i, row)| row.0 as usize == i));
        assert!(TlsOutcome::ALL.iter().enumerate().all(|(i, row)| row.0 as usize == i));
        assert!(HostRefused::ALL.iter().enumerate().all(|(i, row)| row.0 as usize == i));
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
            shard.relayed(Direction::ToPeer, 1, 100);
            shard.dropped(Reason::PeerDenied, 1);
            shard.received_joined.add(8);
            shard.send_offload.set(1);
            shard.refused(TurnError::InsufficientCapacity);
        }
        metrics.signaling.rooms.set(4);
        metrics.signaling.refused(ErrorCode::RoomFull);
        metrics.signaling.closed(Ending::Bye(ByeCode::TooSlow));
        metrics.http.responded(204);
        metrics.http.responded(999);
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
            "# TYPE byway_relayed_bytes counter",
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
