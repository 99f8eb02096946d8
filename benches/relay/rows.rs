//! Rows of the bench: one for each kind of work, with Byway's targets.

use serde_json::Value;

use crate::server::Kind;

/// One kind of work.
#[derive(Clone, Copy)]
pub(crate) struct Row {
    pub(crate) name: &'static str,
    pub(crate) what: &'static str,
    /// Mode and further arguments of `byway load`.
    pub(crate) mode: &'static str,
    pub(crate) load: &'static [&'static str],
    pub(crate) over: Over,
    pub(crate) servers: &'static [Kind],
    /// Further keys under `[relay]` of Byway's configuration, and the cores that Byway runs on.
    pub(crate) config: &'static str,
    pub(crate) cores: &'static str,
    pub(crate) figures: &'static [Figure],
}

/// Transport between client and server.
#[derive(Clone, Copy)]
pub(crate) enum Over {
    Udp,
    Tcp,
    Tls,
}

/// One figure of a report.
pub(crate) struct Figure {
    pub(crate) unit: &'static str,
    pub(crate) read: fn(&Value) -> Option<f64>,
    /// Targets of Byway.
    pub(crate) wanted: &'static [Wanted],
}

/// A target. All are upper bounds, except [`Wanted::AtLeastRow`].
pub(crate) enum Wanted {
    /// A multiple of another server's figure in the same row.
    Of(Kind, f64),
    /// A multiple of Byway's own figure in another row.
    OfRow(&'static str, f64),
    /// A multiple of Byway's own figure in another row, as a lower bound.
    AtLeastRow(&'static str, f64),
    /// A fixed value.
    AtMost(f64),
}

const ALL: &[Kind] = &[Kind::Byway, Kind::Coturn, Kind::Floor];
const TURN: &[Kind] = &[Kind::Byway, Kind::Coturn];
const OURS: &[Kind] = &[Kind::Byway];

const CPU: &str = "us CPU each";

fn cpu(report: &Value) -> Option<f64> {
    report["process"]["cpu_us_each"].as_f64()
}

fn delivered(report: &Value) -> Option<f64> {
    report["traffic"]["delivered_per_second"].as_f64().map(|rate| rate / 1000.0)
}

fn cycles(report: &Value) -> Option<f64> {
    report["cycles"]["per_second"].as_f64().map(|rate| rate / 1000.0)
}

fn set_up(report: &Value) -> Option<f64> {
    report["setup"]["per_second"].as_f64().map(|rate| rate / 1000.0)
}

fn memory(report: &Value) -> Option<f64> {
    report["process"]["bytes_per_allocation"].as_f64().map(|bytes| bytes / 1024.0)
}

fn median_us(report: &Value) -> Option<f64> {
    report["traffic"]["p50_ms"].as_f64().map(|ms| ms * 1000.0)
}

fn p99_us(report: &Value) -> Option<f64> {
    report["traffic"]["p99_ms"].as_f64().map(|ms| ms * 1000.0)
}

const DELIVERED: Figure = Figure { unit: "k/s delivered", read: delivered, wanted: &[] };

/// Clients and rate beyond the capacity of any server, plus further arguments.
macro_rules! saturated {
    ($($more:literal),*) => {
        &["--clients", "100", "--rate", "600000", "--seconds", "1.2" $(, $more)*]
    };
}

/// A number of clients at a rate that a server sustains with any number of clients.
macro_rules! growth {
    ($clients:literal) => {
        &["--clients", $clients, "--rate", "200000", "--train", "8", "--seconds", "2"]
    };
}

const fn udp(
    name: &'static str,
    what: &'static str,
    mode: &'static str,
    load: &'static [&'static str],
) -> Row {
    Row {
        name,
        what,
        mode,
        load,
        over: Over::Udp,
        servers: TURN,
        config: "shards = 1",
        cores: "0",
        figures: &[],
    }
}

/// Channel data in trains.
const fn trains(
    name: &'static str,
    what: &'static str,
    mode: &'static str,
    load: &'static [&'static str],
) -> Row {
    const FIGURES: &[Figure] = &[
        Figure {
            unit: CPU,
            read: cpu,
            wanted: &[Wanted::Of(Kind::Floor, 1.25), Wanted::Of(Kind::Coturn, 0.45)],
        },
        DELIVERED,
    ];
    Row { servers: ALL, figures: FIGURES, ..udp(name, what, mode, load) }
}

const fn with(row: Row, figures: &'static [Figure]) -> Row {
    Row { figures, ..row }
}

/// All rows. In names, c2p is from clients to peers, and p2c from peers to clients.
pub(crate) const ROWS: &[Row] = &[
    trains("c2p-160", "160 B in trains of 8, saturated", "to-peer", saturated!("--train", "8")),
    trains("p2c-160", "160 B in trains of 8, saturated", "to-client", saturated!("--train", "8")),
    trains(
        "c2p-1200",
        "1200 B in trains of 8, saturated",
        "to-peer",
        saturated!("--train", "8", "--size", "1200"),
    ),
    trains(
        "p2c-1200",
        "1200 B in trains of 8, saturated",
        "to-client",
        saturated!("--train", "8", "--size", "1200"),
    ),
    with(
        udp(
            "c2p-160-ind",
            "the same with indications",
            "to-peer",
            saturated!("--train", "8", "--indications"),
        ),
        &[Figure { unit: CPU, read: cpu, wanted: &[Wanted::OfRow("c2p-160", 1.5)] }, DELIVERED],
    ),
    with(
        udp(
            "p2c-160-ind",
            "the same with indications",
            "to-client",
            saturated!("--train", "8", "--indications"),
        ),
        &[Figure { unit: CPU, read: cpu, wanted: &[Wanted::OfRow("p2c-160", 1.5)] }, DELIVERED],
    ),
    with(
        udp(
            "c2p-1200-ind",
            "the same with indications",
            "to-peer",
            saturated!("--train", "8", "--size", "1200", "--indications"),
        ),
        &[Figure { unit: CPU, read: cpu, wanted: &[Wanted::OfRow("c2p-1200", 1.5)] }, DELIVERED],
    ),
    with(
        udp(
            "p2c-1200-ind",
            "the same with indications",
            "to-client",
            saturated!("--train", "8", "--size", "1200", "--indications"),
        ),
        &[Figure { unit: CPU, read: cpu, wanted: &[Wanted::OfRow("p2c-1200", 1.5)] }, DELIVERED],
    ),
    Row {
        servers: ALL,
        ..with(
            udp("c2p-even", "160 B evenly spaced, 50 k/s", "to-peer", EVENLY),
            &[Figure { unit: CPU, read: cpu, wanted: &[Wanted::Of(Kind::Coturn, 0.9)] }, P50],
        )
    },
    Row {
        servers: ALL,
        ..with(
            udp("p2c-even", "160 B evenly spaced, 50 k/s", "to-client", EVENLY),
            &[Figure { unit: CPU, read: cpu, wanted: &[Wanted::Of(Kind::Coturn, 0.9)] }, P50],
        )
    },
    Row {
        config: "shards = 1\nnap = \"200us\"",
        ..with(
            udp("c2p-even-nap", "the same with nap = \"200us\"", "to-peer", EVENLY),
            &[Figure { unit: CPU, read: cpu, wanted: &[Wanted::Of(Kind::Coturn, 0.65)] }, P50],
        )
    },
    Row {
        config: "shards = 1\nnap = \"200us\"",
        ..with(
            udp("p2c-even-nap", "the same with nap = \"200us\"", "to-client", EVENLY),
            &[Figure { unit: CPU, read: cpu, wanted: &[Wanted::Of(Kind::Coturn, 0.65)] }, P50],
        )
    },
    with(
        udp(
            "pair-160",
            "relay to relay, 160 B in trains of 8, saturated",
            "pair",
            saturated!("--train", "8"),
        ),
        &[Figure { unit: CPU, read: cpu, wanted: &[Wanted::Of(Kind::Coturn, 0.4)] }, DELIVERED],
    ),
    with(
        udp(
            "pair-1200",
            "relay to relay, 1200 B in trains of 8, saturated",
            "pair",
            saturated!("--train", "8", "--size", "1200"),
        ),
        &[Figure { unit: CPU, read: cpu, wanted: &[Wanted::Of(Kind::Coturn, 0.4)] }, DELIVERED],
    ),
    with(
        udp(
            "allocate",
            "allocate, permit, delete; each by a new client, 64 at a time",
            "allocate",
            &["--clients", "64", "--rate", "1000000", "--seconds", "2"],
        ),
        &[
            Figure { unit: CPU, read: cpu, wanted: &[Wanted::AtMost(45.0)] },
            Figure { unit: "k/s", read: cycles, wanted: &[] },
        ],
    ),
    with(
        udp("binding", "Binding requests, saturated", "binding", saturated!()),
        &[Figure { unit: CPU, read: cpu, wanted: &[Wanted::AtMost(4.5)] }, DELIVERED],
    ),
    with(
        udp("idle", "10,000 allocations without traffic", "idle", &["--clients", "10000", "--seconds", "1"]),
        &[
            Figure { unit: "KiB each", read: memory, wanted: &[Wanted::AtMost(2.0)] },
            Figure { unit: "k/s set up", read: set_up, wanted: &[] },
        ],
    ),
    with(
        udp(
            "latency",
            "160 B evenly spaced, 20 k/s",
            "to-peer",
            &["--clients", "100", "--rate", "20000", "--seconds", "3"],
        ),
        &[
            Figure { unit: "us p50", read: median_us, wanted: &[Wanted::Of(Kind::Coturn, 1.0)] },
            Figure { unit: "us p99", read: p99_us, wanted: &[Wanted::Of(Kind::Coturn, 1.0)] },
        ],
    ),
    Row { servers: OURS, ..with(udp("growth-10", "10 clients", "to-peer", growth!("10")), &[GROWN, SET_UP]) },
    Row {
        servers: OURS,
        ..with(
            udp("growth-1000", "1,000 clients at the same rate", "to-peer", growth!("1000")),
            &[Figure { wanted: &[Wanted::OfRow("growth-10", 1.15)], ..GROWN }, SET_UP],
        )
    },
    Row {
        servers: OURS,
        ..with(
            udp("growth-10000", "10,000 clients at the same rate", "to-peer", growth!("10000")),
            &[
                Figure { wanted: &[Wanted::OfRow("growth-10", 1.15)], ..GROWN },
                Figure { wanted: &[Wanted::AtLeastRow("growth-1000", 0.9)], ..SET_UP },
            ],
        )
    },
    stream("c2p-tcp", "over TCP, 1200 B in trains of 8, saturated", "to-peer", Over::Tcp),
    stream("p2c-tcp", "over TCP, 1200 B in trains of 8, saturated", "to-client", Over::Tcp),
    stream("c2p-tls", "over TLS, 1200 B in trains of 8, saturated", "to-peer", Over::Tls),
    stream("p2c-tls", "over TLS, 1200 B in trains of 8, saturated", "to-client", Over::Tls),
    Row {
        servers: OURS,
        config: "shards = 2",
        cores: "0,1",
        ..with(
            udp(
                "shards-2",
                "two shards on both cores, beside the generator; c2p-160",
                "to-peer",
                saturated!("--train", "8"),
            ),
            &[Figure { unit: CPU, read: cpu, wanted: &[Wanted::OfRow("c2p-160", 1.15)] }, DELIVERED],
        )
    },
];

const EVENLY: &[&str] = &["--clients", "100", "--rate", "50000", "--seconds", "2"];
const P50: Figure = Figure { unit: "us p50", read: median_us, wanted: &[] };
const GROWN: Figure = Figure { unit: CPU, read: cpu, wanted: &[] };
const SET_UP: Figure = Figure { unit: "k/s set up", read: set_up, wanted: &[] };

const fn stream(name: &'static str, what: &'static str, mode: &'static str, over: Over) -> Row {
    const FIGURES: &[Figure] =
        &[Figure { unit: CPU, read: cpu, wanted: &[Wanted::Of(Kind::Coturn, 1.0)] }, DELIVERED];
    const LOAD: &[&str] = saturated!("--train", "8", "--size", "1200");
    Row { over, figures: FIGURES, ..udp(name, what, mode, LOAD) }
}
