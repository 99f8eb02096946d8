//! Times of codec and core: `cargo bench --bench core`, followed by `--` and part of a name.
//!
//! Media is measured with tables of three sizes. Each packet belongs to another allocation than the
//! packet before, so that costs that grow with the table show.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a failed set-up ends the bench")]

mod paths;

use std::time::Duration;

use criterion::{Criterion, Throughput};
use paths::{Crowd, Packet};

type Prepare = fn() -> Packet;
type PrepareCrowd = fn(Crowd) -> Packet;

const CODEC: [(&str, Prepare); 6] = [
    ("parse_channel_data", paths::parse_channel_data),
    ("parse_send", paths::parse_send),
    ("parse_allocate", paths::parse_allocate),
    ("write_channel_header", paths::write_channel_header),
    ("write_data_header", paths::write_data_header),
    ("write_binding", paths::write_binding),
];

const MEDIA: [(&str, PrepareCrowd); 5] = [
    ("channel_to_peer", paths::channel_to_peer),
    ("send_to_peer", paths::send_to_peer),
    ("peer_to_channel", paths::peer_to_channel),
    ("peer_to_data", paths::peer_to_data),
    ("client_to_client", paths::client_to_client),
];

const CONTROL: [(&str, Prepare); 2] =
    [("binding", paths::binding), ("allocation_cycle", paths::allocation_cycle)];

fn main() {
    let mut criterion = Criterion::default()
        .warm_up_time(Duration::from_millis(500))
        .measurement_time(Duration::from_secs(2))
        .configure_from_args();
    let mut measure = |name: &str, prepare: &dyn Fn() -> Packet| {
        let mut group = criterion.benchmark_group("core");
        group.throughput(Throughput::Elements(1));
        // Prepared once, and only if the name is selected, because Criterion runs the closure
        // repeatedly.
        let mut packet = None;
        group.bench_function(name, |bencher| bencher.iter(packet.get_or_insert_with(prepare)));
        group.finish();
    };
    for (name, prepare) in CODEC.into_iter().chain(CONTROL) {
        measure(name, &prepare);
    }
    for (name, prepare) in MEDIA {
        for allocations in [10, 1_000, 10_000] {
            measure(&format!("{name}/{allocations}"), &|| prepare(Crowd { allocations, train: 1 }));
        }
    }
    criterion.final_summary();
}
