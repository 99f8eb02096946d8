//! Counters, written where things happen and read at scrape time.
//!
//! Every label comes from a closed set: nothing that a client sends can make a series. Each room
//! owns its counters and writes them to a [`Page`]; this one knows none of them. A [`Count`] is
//! written by one thread alone, a [`SharedCount`] by any.

mod count;
mod exposition;
mod process;

use std::fmt::{self, Debug};
use std::sync::Arc;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, text};
use prometheus_client::metrics::MetricType;
use prometheus_client::registry::Registry;

pub use count::{Count, Family, SharedCount};
pub use exposition::Exposition;
pub use process::{ProcessCounters, TaskCount};

use byway_turn::closed_set::ClosedSet;

/// The counters of one room.
pub trait Counters: Debug + Send + Sync + 'static {
    /// Writes all of them.
    ///
    /// # Errors
    /// Those of the page.
    fn encode(&self, page: &mut Page<'_>) -> fmt::Result;
}

/// Every counter of the process, and how they are written out.
#[derive(Clone, Debug, Default)]
pub struct Metrics(Vec<Arc<dyn Counters>>);

impl Metrics {
    /// The counters of these rooms, which stand on the page in this order.
    #[must_use]
    pub fn new(rooms: Vec<Arc<dyn Counters>>) -> Self {
        Self(rooms)
    }

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
        self.0.iter().try_for_each(|room| room.encode(&mut page))
    }
}

/// Writes metric families.
pub struct Page<'a>(DescriptorEncoder<'a>);

impl Page<'_> {
    /// Writes a value that goes up and down.
    ///
    /// # Errors
    /// As the encoder says; writing to a `String` has none.
    pub fn gauge(&mut self, name: &str, help: &str, value: u64) -> fmt::Result {
        self.0.encode_descriptor(name, help, None, MetricType::Gauge)?.encode_gauge(&value)
    }

    /// Writes such a value for each of several labels.
    ///
    /// # Errors
    /// As the encoder says; writing to a `String` has none.
    pub fn gauges<const N: usize>(
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

    /// Writes a value that only grows.
    ///
    /// # Errors
    /// As the encoder says; writing to a `String` has none.
    pub fn counter(&mut self, name: &str, help: &str, value: u64) -> fmt::Result {
        let mut metric = self.0.encode_descriptor(name, help, None, MetricType::Counter)?;
        metric.encode_counter::<[(&str, &str); 0], u64, u64>(&value, None)
    }

    /// Writes such a value for each of several labels.
    ///
    /// # Errors
    /// As the encoder says; writing to a `String` has none.
    pub fn counters<'l>(
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

    /// Writes the counts of a closed set, by their label.
    ///
    /// # Errors
    /// As the encoder says; writing to a `String` has none.
    pub fn family<S: ClosedSet>(
        &mut self,
        name: &str,
        help: &str,
        label: &str,
        value_of: impl Fn(S) -> u64,
    ) -> fmt::Result {
        self.counters(name, help, label, S::ALL.iter().map(|value| (value.label(), value_of(*value))))
    }

    fn info(&mut self, name: &str, help: &str, label: &str, value: &str) -> fmt::Result {
        self.0.encode_descriptor(name, help, None, MetricType::Info)?.encode_info(&[(label, value)])
    }
}
