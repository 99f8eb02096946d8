//! Counters, written by the rooms and read at scrape time.
//!
//! Every label comes from a closed set, so no client can create a series. Each room owns its
//! counters and writes them to a [`Page`]. This room knows none of them. Only one thread writes a
//! [`Count`], any thread may write a [`SharedCount`].

mod count;
mod exposition;
mod process;
mod process_usage;

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

/// Counters of one room.
pub trait Counters: Debug + Send + Sync + 'static {
    /// Writes all counters.
    ///
    /// # Errors
    /// The errors of the page.
    fn encode(&self, page: &mut Page<'_>) -> fmt::Result;
}

/// All counters of the process.
#[derive(Clone, Debug, Default)]
pub struct Metrics(Vec<Arc<dyn Counters>>);

impl Metrics {
    /// Collects the counters of these rooms. The page lists them in this order.
    #[must_use]
    pub fn new(rooms: Vec<Arc<dyn Counters>>) -> Self {
        Self(rooms)
    }

    /// Renders all counters in a format.
    #[must_use]
    pub fn render(&self, exposition: Exposition) -> String {
        let mut registry = Registry::default();
        registry.register_collector(Box::new(self.clone()));
        let mut out = String::new();
        text::encode(&mut out, &registry).expect("writing to a String does not fail");
        exposition::finish(&out, exposition)
    }
}

impl Collector for Metrics {
    fn encode(&self, encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let mut page = Page(encoder);
        let version = env!("CARGO_PKG_VERSION");
        page.gauges("build_info", "Version of the running program.", "version", [(version, 1)])?;
        self.0.iter().try_for_each(|room| room.encode(&mut page))
    }
}

/// Writer of metric families.
pub struct Page<'a>(DescriptorEncoder<'a>);

impl Page<'_> {
    /// Writes a gauge: a value that goes up and down.
    ///
    /// # Errors
    /// The errors of the encoder. Writing to a `String` never fails.
    pub fn gauge(&mut self, name: &str, help: &str, value: u64) -> fmt::Result {
        self.0.encode_descriptor(&own(name), help, None, MetricType::Gauge)?.encode_gauge(&value)
    }

    /// Writes a gauge for each of several label values.
    ///
    /// # Errors
    /// The errors of the encoder. Writing to a `String` never fails.
    pub fn gauges<const N: usize>(
        &mut self,
        name: &str,
        help: &str,
        label: &str,
        values: [(&str, u64); N],
    ) -> fmt::Result {
        let name = own(name);
        let mut metric = self.0.encode_descriptor(&name, help, None, MetricType::Gauge)?;
        for (value_of_label, value) in values {
            metric.encode_family(&[(label, value_of_label)])?.encode_gauge(&value)?;
        }
        Ok(())
    }

    /// Writes a counter: a value that only grows.
    ///
    /// # Errors
    /// The errors of the encoder. Writing to a `String` never fails.
    pub fn counter(&mut self, name: &str, help: &str, value: u64) -> fmt::Result {
        let name = own(name);
        let mut metric = self.0.encode_descriptor(&name, help, None, MetricType::Counter)?;
        metric.encode_counter::<[(&str, &str); 0], u64, u64>(&value, None)
    }

    /// Writes a counter for each of several label values.
    ///
    /// # Errors
    /// The errors of the encoder. Writing to a `String` never fails.
    pub fn counters<'l>(
        &mut self,
        name: &str,
        help: &str,
        label: &str,
        values: impl IntoIterator<Item = (&'l str, u64)>,
    ) -> fmt::Result {
        let name = own(name);
        let mut metric = self.0.encode_descriptor(&name, help, None, MetricType::Counter)?;
        for (value_of_label, value) in values {
            metric
                .encode_family(&[(label, value_of_label)])?
                .encode_counter::<[(&str, &str); 0], u64, u64>(&value, None)?;
        }
        Ok(())
    }

    /// Writes the counts of a closed set, by label.
    ///
    /// # Errors
    /// The errors of the encoder. Writing to a `String` never fails.
    pub fn family<S: ClosedSet>(
        &mut self,
        name: &str,
        help: &str,
        label: &str,
        value_of: impl Fn(S) -> u64,
    ) -> fmt::Result {
        self.counters(name, help, label, S::ALL.iter().map(|value| (value.label(), value_of(*value))))
    }

    /// Writes a gauge whose full name is `name`: every program has it by this name.
    fn standard_gauge(&mut self, name: &str, help: &str, value: u64) -> fmt::Result {
        self.0.encode_descriptor(name, help, None, MetricType::Gauge)?.encode_gauge(&value)
    }

    /// Writes a counter whose full name is `name` and `_total`: every program has it by this name.
    fn standard_counter(&mut self, name: &str, help: &str, value: f64) -> fmt::Result {
        let mut metric = self.0.encode_descriptor(name, help, None, MetricType::Counter)?;
        metric.encode_counter::<[(&str, &str); 0], f64, u64>(&value, None)
    }
}

/// Name of a metric of this program.
fn own(name: &str) -> String {
    format!("byway_{name}")
}
