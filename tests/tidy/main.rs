//! The rules of the house as ordinary tests, so that what a developer runs is what a gate runs.
//!
//! Each test reads the sources and names every offence as `file:line`. The rules and their reasons
//! stand at the head of `src/lib.rs`; a rule that is in the way is changed there and here, in one
//! commit that says why.
#![allow(clippy::panic, reason = "a panic is how a test fails")]

mod faults;
mod language;
mod pictures;
mod vendor;

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use byway_test_support::sources::{LocalPath, Source, file, root, under};

/// Local modules that each room may import besides itself. The first row that matches a file
/// counts.
const MAY_IMPORT: &[(&str, &[&str])] = &[
    ("crates/turn/src/wire/", &[]),
    (
        "crates/turn/src/server/",
        &[
            "byway_turn::wire",
            "byway_turn::auth",
            "byway_turn::rate_limit",
            "byway_turn::address_set",
            "byway_turn::prng",
            "byway_turn::client_network",
            "byway_turn::shares",
            "byway_turn::time",
        ],
    ),
    ("crates/turn/src/auth/", &["byway_turn::prng", "byway_turn::time"]),
    ("crates/turn/src/rate_limit.rs", &["byway_turn::client_network"]),
    ("crates/turn/src/shares.rs", &["byway_turn::client_network", "byway_turn::prng"]),
    ("crates/turn/src/prng.rs", &[]),
    ("crates/turn/src/lock.rs", &[]),
    ("crates/turn/src/time.rs", &[]),
    ("crates/turn/src/address_set.rs", &[]),
    ("crates/turn/src/client_network.rs", &[]),
    ("crates/turn/src/closed_set.rs", &[]),
    ("crates/turn/src/lib.rs", &["byway_turn"]),
    ("crates/udp/src/", &[]),
    ("crates/page/src/", &[]),
    ("src/access/", &["metrics", "byway_turn::time", "byway_turn::rate_limit", "byway_turn::auth::Secret"]),
    (
        "src/signaling/protocol.rs",
        &["ice", "byway_turn::auth::MemberId", "signaling::codes", "access::names"],
    ),
    (
        "src/signaling/room.rs",
        &[
            "signaling::protocol",
            "access::grant",
            "access::names",
            "byway_turn::client_network",
            "byway_turn::shares",
        ],
    ),
    (
        "src/signaling/timeline",
        &[
            "signaling::protocol",
            "events",
            "byway_turn::prng",
            "byway_turn::auth::MemberId",
            "byway_turn::client_network",
            "byway_turn::shares",
            "byway_turn::rate_limit",
            "byway_turn::time",
        ],
    ),
    (
        "src/signaling/shared_rooms",
        &[
            "signaling::protocol",
            "signaling::room",
            "access::grant",
            "access::names",
            "byway_turn::client_network",
            "byway_turn::auth::MemberId",
            "byway_turn::prng",
            "byway_turn::time",
        ],
    ),
    ("src/signaling/protocol/report.rs", &["byway_turn::auth::MemberId", "signaling::protocol"]),
    ("src/signaling/codes.rs", &[]),
    ("src/signaling/schema.rs", &["signaling::protocol"]),
    ("src/signaling/ticket.rs", &["signaling::protocol", "byway_turn::auth::Secrets"]),
    ("src/signaling/directory", &["access::names", "byway_turn::prng"]),
    ("src/signaling/flood_guard.rs", &["byway_turn::rate_limit"]),
    (
        "src/signaling/peerjs/",
        &[
            "signaling::protocol",
            "signaling::directory",
            "access::names",
            "byway_turn::auth::Secrets",
            "byway_turn::prng",
            "byway_turn::client_network",
            "byway_turn::shares",
        ],
    ),
    (
        "src/signaling/y_webrtc/",
        &[
            "signaling::protocol",
            "signaling::directory",
            "access::names",
            "byway_turn::prng",
            "byway_turn::client_network",
            "byway_turn::shares",
        ],
    ),
    (
        "src/shard/",
        &["byway_turn", "byway_udp", "metrics", "clock", "events", "sessions", "net::connection_limit"],
    ),
    (
        "src/signaling/",
        &[
            "phase",
            "events",
            "metrics",
            "clock",
            "ice",
            "access",
            "net::memory_budget",
            "byway_turn::prng",
            "byway_turn::auth",
            "byway_turn::rate_limit",
            "byway_turn::client_network",
            "byway_turn::shares",
            "byway_turn::time",
        ],
    ),
    (
        "src/http/",
        &[
            "phase",
            "events",
            "sessions",
            "cluster::status",
            "cluster::regions",
            "tls::CertificateNames",
            "tls::Name",
            "signaling",
            "metrics",
            "clock",
            "ice",
            "net::connection_limit",
            "net::accept",
            "access",
            "origin",
            "net::trusted_proxies",
            "net::proxy_protocol",
            "net::memory_budget",
            "byway_turn::prng",
            "byway_turn::rate_limit",
            "byway_turn::auth",
            "byway_turn::time",
        ],
    ),
    ("src/tls/names.rs", &["origin", "byway_turn::wire::AddressFamily"]),
    ("src/tls/acme/schedule.rs", &["tls::acme::failure", "tls::certificate::Validity"]),
    ("src/tls/acme/reverse_name.rs", &[]),
    (
        "src/tls/",
        &[
            "net::http_client",
            "metrics",
            "clock",
            "operator_file",
            "byway_turn::prng",
            "byway_turn::wire",
            "byway_turn::time",
            "origin",
        ],
    ),
    ("src/net/accept.rs", &["net::connection_limit", "phase"]),
    ("src/phase.rs", &[]),
    ("src/live.rs", &[]),
    ("src/events.rs", &[]),
    ("src/fault.rs", &[]),
    ("src/bounded.rs", &[]),
    ("src/cluster/status.rs", &["bounded"]),
    ("src/sessions/", &["events"]),
    (
        "src/diagnosis/",
        &[
            "config",
            "cluster",
            "access::Policy",
            "ice::rfc3339",
            "tls::Name",
            "tls::acme",
            "byway_turn::auth::StaticUser",
            "byway_turn::server::is_special_purpose",
        ],
    ),
    (
        "src/net/connection_limit",
        &["metrics", "net::trusted_proxies", "byway_turn::client_network", "byway_turn::shares"],
    ),
    ("src/net/memory_budget.rs", &["byway_turn::client_network"]),
    ("src/metrics/", &[]),
    ("src/log", &["metrics"]),
    ("src/operator_file.rs", &[]),
    ("src/clock.rs", &["byway_turn::time"]),
    ("src/net/interfaces.rs", &["byway_turn::address_set"]),
    ("src/net/local_ports.rs", &[]),
    ("src/net/mod.rs", &[]),
    ("src/net/http_client.rs", &["operator_file"]),
    ("src/webhooks/queue.rs", &[]),
    ("src/webhooks/signature.rs", &[]),
    ("src/webhooks/message.rs", &["events"]),
    (
        "src/webhooks/",
        &["events", "metrics", "clock", "net::http_client", "byway_turn::auth::Secret", "byway_turn::prng"],
    ),
    (
        "src/cluster/message",
        &["cluster::NodeState", "access::names", "cluster::revocation_log", "byway_turn::auth::Secrets"],
    ),
    ("src/cluster/link", &["cluster::message", "access::names", "byway_turn::prng"]),
    ("src/cluster/listener.rs", &["access::names"]),
    ("src/cluster/isolation.rs", &["access::names"]),
    ("src/cluster/nodes.rs", &["cluster::NodeState", "access::names"]),
    ("src/cluster/choice.rs", &["cluster::NodeState", "access::names", "cluster::nodes"]),
    ("src/cluster/regions.rs", &["cluster::NodeState", "access::names", "cluster::nodes"]),
    ("src/cluster/revocation_log.rs", &["cluster::message"]),
    ("src/cluster/credentials.rs", &["byway_turn::auth::Secret"]),
    (
        "src/cluster/",
        &[
            "access::names",
            "metrics",
            "clock",
            "phase",
            "operator_file",
            "byway_turn::auth",
            "byway_turn::prng",
            "byway_turn::time",
        ],
    ),
    ("src/origin", &[]),
    ("src/net/trusted_proxies.rs", &[]),
    ("src/net/proxy_header.rs", &[]),
    (
        "src/net/proxy_protocol.rs",
        &["metrics", "net::accept", "net::proxy_header", "net::trusted_proxies", "net::connection_limit"],
    ),
    (
        "src/config",
        &[
            "byway_turn::auth",
            "access::tokens",
            "access::Policy",
            "origin",
            "net::trusted_proxies",
            "operator_file",
            // Settings of the rooms.
            "byway_turn::server::Quota",
            "shard::Tuning",
            "ice::TransportPolicy",
            "signaling::SignalingSettings",
            "webhooks::WebhookSettings",
            "cluster::ClusterSettings",
            "cluster::credentials::BusCredentials",
            "access::names",
            "tls::CertificateFiles",
            "log::LogSettings",
            "log::LogFormat",
            "log::LogLevel",
            "log::LogLevelError",
            "tls::acme",
            "tls::Name",
            "tls::pem_kinds",
        ],
    ),
    (
        "src/ice",
        &[
            "byway_turn::auth",
            "byway_turn::time",
            "byway_turn::wire::AddressFamily",
            "access::Policy",
            "access::names::Region",
            "origin",
            "tls::CertificateNames",
            "tls::Name",
        ],
    ),
];

/// Modules that every room may name, as if they were the language's: a form of enum, how to lock,
/// values that a reload replaces, and names of faults.
const EVERYWHERE: &[&str] = &["byway_turn::closed_set", "byway_turn::lock", "live", "fault"];

/// The pure ring: bytes, values, and a `Now` that is handed in.
const PURE: &[&str] = &[
    "crates/turn/src/",
    "src/access/",
    "src/ice",
    "src/tls/names.rs",
    "src/tls/acme/schedule.rs",
    "src/tls/acme/reverse_name.rs",
    "src/origin",
    "src/net/trusted_proxies.rs",
    "src/net/proxy_header.rs",
    "src/signaling/protocol.rs",
    "src/signaling/room.rs",
    "src/signaling/protocol/",
    "src/signaling/room/",
    "src/signaling/shared_rooms",
    "src/signaling/timeline",
    "src/signaling/codes.rs",
    "src/signaling/schema.rs",
    "src/signaling/ticket.rs",
    "src/signaling/membership.rs",
    "src/signaling/flood_guard.rs",
    "src/signaling/directory",
    "src/signaling/peerjs/",
    "src/signaling/y_webrtc/",
    "src/cluster/status.rs",
    "src/diagnosis/",
    "src/cluster/message",
    "src/cluster/link",
    "src/cluster/listener.rs",
    "src/cluster/isolation.rs",
    "src/cluster/nodes.rs",
    "src/cluster/choice.rs",
    "src/cluster/regions.rs",
    "src/cluster/revocation_log.rs",
    "src/cluster/credentials.rs",
];

/// Names that would tie the pure ring to a system, a clock or a generator, tests included.
const IMPURE: &[&str] = &[
    "tokio",
    "socket2",
    "libc",
    "UdpSocket",
    "TcpStream",
    "TcpListener",
    "UnixDatagram",
    "Instant",
    "SystemTime",
    "Clock",
    "getrandom",
    "RandomState",
    "thread_rng",
    "thread",
    "mpsc",
    "async",
    "await",
    "std::fs",
    "std::env",
    "sleep",
];

/// Attacks and faults that have brought servers of this kind down, or others through them. Each has
/// a test, or more, that is named after its number and fails when the defence is taken out. A test
/// in browsers bears the number in its title.
const THREATS: &[(u8, &str)] = &[
    (1, "one message kills the server, or a length wraps"),
    (2, "of two peer addresses one is checked and the other is used"),
    (3, "stale bytes in padding"),
    (4, "reflection loops"),
    (5, "answers to strangers as amplifiers"),
    (6, "state for whoever asks"),
    (7, "nonces of others, and forged ones"),
    (8, "refusals that tell what was wrong"),
    (9, "credentials that do not expire"),
    (10, "quotas escaped by a fresh username"),
    (11, "another user's 5-tuple"),
    (12, "peers that only the server can reach"),
    (13, "the server's own listeners through its relay"),
    (14, "a malformed access list that is dropped in silence"),
    (15, "permissions and channels without bound"),
    (16, "traffic for the last owner of a port"),
    (17, "ports that are lost"),
    (18, "permissions and channels that outlive their time"),
    (19, "slow clients and many connections"),
    (20, "WebSocket floods, huge messages, readers that stop"),
    (23, "rooms that can be guessed"),
    (24, "forged senders and messages to other rooms"),
    (21, "pages of other sites that open WebSockets and read credentials"),
    (22, "credentials for whoever asks"),
    (26, "a bad certificate at reload"),
    (27, "floods of the log and of metrics"),
    (28, "foreign protocols and old versions of TLS"),
    (29, "memory that one stranger makes the server hold"),
    (30, "a log that nobody takes, and tasks that die unnoticed"),
    (31, "one address that takes a whole resource"),
    (32, "control frames that nobody counts"),
    (33, "DNS rebinding: requests for hosts that are not ours"),
    (34, "origins and forwarded fields compared as text, or believed from anybody"),
    (35, "addresses that come, go and change while the server runs"),
    (36, "channels that outlive the rule by which they were bound"),
    (37, "a form of username that another server takes"),
    (38, "readers that pass over the rest of a file in silence"),
    (39, "keys that the library takes and browsers do not"),
    (40, "secrets in errors, logs and Debug"),
    (41, "files without end, and files that are pipes"),
    (42, "claims of a token judged in two places, or as another unit"),
    (43, "one format and one range of dates, whoever asks and whatever the clock says"),
    (44, "limits that honest setups meet: long heads, idle time, rested ports, clocks, path prefixes"),
    (45, "a first offer that is taken back"),
    (46, "a document that leaves open who offers first"),
    (47, "a connection that stands still, as where a machine slept"),
    (48, "one device's failure taken for both"),
    (49, "a reserved port that is not held"),
    (50, "a reload that is applied in part, or takes a file that is cut off for the default"),
    (51, "operators' requests by other users of the machine"),
    (52, "an authority whose answers are cut off, expired or about other names"),
    (53, "an operator's token that opens more than invitations"),
    (54, "a command that overwrites an operator's settings, or leaves a part of a secret"),
    (55, "a timeline that a page fills, or that others than the members of its room read"),
    (56, "a server that hangs, crashes or steers the commands that test it"),
    (57, "an admin socket that serves others, or a server there that hangs or lies"),
    (58, "a receiver of webhooks that is dead, slow or hostile"),
    (59, "terminal escape sequences in what others are named"),
    (60, "messages between nodes that are forged, replayed, cut off, too large or too many"),
];

#[test]
fn rooms_import_only_what_the_map_allows() {
    let mut offences = Vec::new();
    for source in rust() {
        let Some((room, allowed)) = MAY_IMPORT.iter().find(|(room, _)| source.path.starts_with(room)) else {
            continue;
        };
        let own = match room.strip_prefix("crates/").and_then(|path| path.split_once("/src/")) {
            Some((member, inner)) => format!("byway_{member}/{inner}"),
            None => room.trim_start_matches("src/").to_owned(),
        };
        let own = own.trim_end_matches(".rs").trim_end_matches('/').replace('/', "::");
        let foreign = |path: &LocalPath| {
            !path.segments.is_empty()
                && !path.is_under(&own)
                && !EVERYWHERE.iter().any(|prefix| path.is_under(prefix))
                && !allowed.iter().any(|prefix| path.is_under(prefix))
        };
        for path in source.local_paths().into_iter().filter(foreign) {
            offences.push(format!("{}:{} names {}", source.path, path.line, path.segments.join("::")));
        }
    }
    none(
        &offences,
        "a room imports what the map in src/lib.rs does not give it; hand it in from server.rs instead",
    );
}

/// A room that is reached from itself by way of another cannot be read, tested or moved without it.
#[test]
fn no_room_reaches_itself_through_another() {
    let mut imports = BTreeMap::<String, BTreeSet<String>>::new();
    for source in under("src", &["rs"]) {
        let Some(room) = source.module().first().cloned() else { continue };
        let rooms = source.local_paths().into_iter().filter_map(|path| path.segments.first().cloned());
        let others = rooms.filter(|other| *other != room && !other.starts_with("byway_"));
        imports.entry(room.clone()).or_default().extend(others);
    }
    let reaches_itself = |room: &&String| {
        let (mut reached, mut waiting) = (BTreeSet::new(), vec![*room]);
        while let Some(next) = waiting.pop() {
            waiting.extend(imports.get(next).into_iter().flatten().filter(|other| reached.insert(*other)));
        }
        reached.contains(*room)
    };
    let offences: Vec<_> = imports.keys().filter(reaches_itself).cloned().collect();
    none(&offences, "rooms in a circle: move the type that both need to the inner one");
}

#[test]
fn only_the_binary_and_the_command_line_import_the_composition_root() {
    let mut offences = Vec::new();
    for source in rust().iter().filter(|source| {
        !["src/main.rs", "src/cli", "src/server"].iter().any(|at| source.path.starts_with(at))
    }) {
        for path in source.local_paths().iter().filter(|path| path.is_under("server") || path.is_under("cli"))
        {
            offences.push(format!("{}:{} names {}", source.path, path.line, path.segments.join("::")));
        }
    }
    none(&offences, "server and cli stand on top: what a room needs of them is handed to it");
}

#[test]
fn every_room_has_its_row_in_the_rules_above() {
    let free = ["src/main.rs", "src/lib.rs", "src/server", "src/cli"];
    let ruled = |source: &&Source| {
        !free.iter().any(|at| source.path.starts_with(at))
            && !MAY_IMPORT.iter().any(|(at, _)| source.path.starts_with(at))
    };
    let rust = rust();
    let offences: Vec<_> = rust.iter().filter(ruled).map(|source| source.path.clone()).collect();
    none(&offences, "a new module needs a row in MAY_IMPORT of tests/tidy/main.rs: decide what it may know");
}

#[test]
fn the_pure_ring_knows_no_socket_clock_thread_or_global_randomness() {
    let pure = rust().into_iter().filter(|source| PURE.iter().any(|room| source.path.starts_with(room)));
    let offences: Vec<_> = pure.flat_map(|source| words(&source, IMPURE)).collect();
    none(&offences, "the protocol is told the time and handed its randomness; drivers do the rest");
}

#[test]
fn unsafe_code_is_in_the_udp_room_alone() {
    let elsewhere = rust().into_iter().filter(|source| !source.path.starts_with("crates/udp/src/"));
    let without_ban = |mut source: Source| {
        source.text = source.text.replace("#![forbid(unsafe_code)]", "");
        source
    };
    let offences: Vec<_> =
        elsewhere.map(without_ban).flat_map(|source| words(&source, &["unsafe", "unsafe_code"])).collect();
    assert!(file("crates/turn/src/lib.rs").text.contains("#![forbid(unsafe_code)]"), "the core forbids it");
    none(&offences, "unsafe code lives in crates/udp, or a safe crate does it");
}

#[test]
fn every_unsafe_block_says_why_it_is_sound() {
    let mut offences = Vec::new();
    for source in rust() {
        let lines: Vec<_> = source.text.lines().collect();
        for line in source.lines_with_word("unsafe") {
            let is_aside =
                |line: &&&str| ["//", "#["].iter().any(|start| line.trim_start().starts_with(start));
            let above = lines[..line - 1].iter().rev().take_while(is_aside);
            let reasoned =
                above.into_iter().any(|line| line.contains("SAFETY:")) || lines[line - 1].contains("SAFETY:");
            if !reasoned {
                offences.push(format!("{}:{line}", source.path));
            }
        }
    }
    none(&offences, "an unsafe block without a SAFETY: line right above it");
}

#[test]
fn the_data_plane_locks_nothing() {
    // Sockets in reserve change shards, at an Allocate request and never at a datagram.
    let is_ruled =
        |source: &Source| source.path.starts_with("src/shard/") && source.path != "src/shard/reserved.rs";
    let shards = rust().into_iter().filter(is_ruled);
    let offences: Vec<_> =
        shards.flat_map(|source| words(&source, &["Mutex", "RwLock", "Condvar"])).collect();
    none(&offences, "a shard owns what it touches per packet; no lock stands between receiving and sending");
}

#[test]
fn files_stay_small_enough_to_be_read_in_one_go() {
    let mut offences = Vec::new();
    for source in rust() {
        let (lines, limit) =
            (source.text.lines().count(), if source.path == "src/main.rs" { 100 } else { 600 });
        if lines > limit {
            offences.push(format!("{}: {lines} lines, at most {limit}", source.path));
        }
    }
    none(&offences, "a file whose purpose needs an \"and\" is two files");
}

#[test]
fn names_say_what_a_thing_is() {
    let vague_files = ["util", "utils", "helpers", "common", "misc", "manager", "handler"];
    let vague_types = ["Manager", "Handler", "Helper", "Utils", "Util"];
    let mut offences = Vec::new();
    for source in rust() {
        let stem =
            source.path.rsplit('/').next().and_then(|name| name.strip_suffix(".rs")).unwrap_or_default();
        if vague_files.contains(&stem)
            || vague_files.iter().any(|name| source.path.contains(&format!("/{name}/")))
        {
            offences.push(source.path.clone());
        }
        for (number, line) in source.code().lines().enumerate() {
            let mut words = line
                .split_whitespace()
                .skip_while(|word| !["struct", "enum", "trait", "type"].contains(word));
            let name = words
                .nth(1)
                .unwrap_or_default()
                .split(|c: char| !c.is_alphanumeric())
                .next()
                .unwrap_or_default();
            if vague_types.iter().any(|vague| name.ends_with(vague)) {
                offences.push(format!("{}:{}: {name}", source.path, number + 1));
            }
        }
    }
    none(&offences, "a manager, handler or util is a thing without a name; the RFC has one for most");
}

#[test]
fn every_file_opens_by_saying_what_it_is_for() {
    let sources = rust().into_iter().chain(tests()).chain(benches());
    // `tests.rs` beside the code is told about by the module it tests.
    let silent =
        sources.filter(|source| !source.path.ends_with("/tests.rs") && !source.text.starts_with("//!"));
    none(
        &silent.map(|source| format!("{}:1", source.path)).collect::<Vec<_>>(),
        "the first line is not module documentation (//!)",
    );
}

#[test]
fn the_map_names_every_room() {
    let map = file("src/lib.rs");
    let documentation: String = map.text.lines().filter(|line| line.starts_with("//!")).collect();
    let rooms = map
        .text
        .lines()
        .enumerate()
        .filter_map(|(number, line)| Some((number, line.strip_prefix("pub mod ")?.strip_suffix(';')?)));
    let offences: Vec<_> = rooms
        .filter(|(_, room)| !documentation.contains(&format!("`{room}")))
        .map(|(number, room)| format!("src/lib.rs:{}: {room}", number + 1))
        .collect();
    none(&offences, "a module that the documentation of the crate does not mention");
}

#[test]
fn exceptions_from_a_lint_have_a_reason() {
    let mut offences = Vec::new();
    for source in rust().into_iter().chain(tests()).chain(benches()) {
        // Strings are blanked in the code, so the attribute is found there and its reason in the
        // text.
        for opening in ["#[allow(", "#![allow(", "#[expect(", "#![expect("] {
            for (at, _) in source.code().match_indices(opening) {
                let attribute = source.text[at..].split_inclusive(']').next().unwrap_or_default();
                if !attribute.contains("reason") {
                    offences.push(format!("{}:{}", source.path, source.text[..at].matches('\n').count() + 1));
                }
            }
        }
    }
    none(&offences, "an exception from a lint without `reason = \"...\"`");
}

#[test]
fn no_file_is_two_modules() {
    let mut offences = Vec::new();
    for source in rust().into_iter().chain(tests()).chain(benches()) {
        for (number, line) in source.code().lines().enumerate() {
            if line.contains("#[path") {
                offences.push(format!("{}:{}", source.path, number + 1));
            }
        }
    }
    none(
        &offences,
        "a file in two targets is compiled twice, each with parts unused: helpers are in tests/support",
    );
}

#[test]
fn only_the_command_line_prints() {
    let elsewhere = rust()
        .into_iter()
        .filter(|source| !source.path.starts_with("src/cli") && source.path != "src/main.rs");
    let offences: Vec<_> =
        elsewhere.flat_map(|source| words(&source, &["println", "eprintln", "print", "dbg"])).collect();
    none(&offences, "a server speaks through its log");
}

#[test]
fn the_protocol_rooms_log_nothing_that_a_client_can_repeat() {
    let rooms = rust()
        .into_iter()
        .filter(|source| ["crates/turn/src/"].iter().any(|room| source.path.starts_with(room)));
    let offences: Vec<_> =
        rooms.flat_map(|source| words(&source, &["error!", "warn!", "info!", "debug!"])).collect();
    none(&offences, "what clients cause is counted by reason, or traced; a log line per datagram is a flood");
}

#[test]
fn no_test_waits_by_sleeping() {
    let mut offences: Vec<_> = tests()
        .iter()
        .filter(|source| source.path != "tests/tidy/main.rs")
        .flat_map(|source| words(source, &["sleep"]))
        .collect();
    let pages = under("tests/e2e", &["mjs", "py"]);
    offences.extend(pages.iter().flat_map(|source| words(source, &["waitForTimeout", "sleep"])));
    none(&offences, "a sleep is a race that mostly goes well: wait for the event, with a bound");
}

/// std's `recv`, `recv_from` and `read` fail with EINTR on a socket that has a timeout.
#[test]
fn no_test_takes_an_interrupted_read_for_an_answer() {
    let reads = [".recv(&mut", ".recv_from(&mut", ".read(&mut"];
    let mut offences = Vec::new();
    for mut source in tests() {
        if source.path != "tests/tidy/main.rs" {
            let goes_on = |line: &str| ["uninterrupted(", ".await"].iter().any(|part| line.contains(part));
            let bare = |line| if goes_on(line) { "" } else { line };
            source.text = source.text.lines().map(bare).collect::<Vec<_>>().join("\n");
            offences.extend(lines_with(&source, &reads));
        }
    }
    none(&offences, "a process that was stopped and goes on fails a read: wrap it in `uninterrupted`");
}

#[test]
fn every_threat_has_a_test_of_its_name() {
    let sources: Vec<String> = rust().iter().chain(&tests()).map(|source| source.code()).collect();
    let scenarios = under("tests/e2e/browser/scenarios", &["mjs"]);
    // `test("threat 45: ...`, also in the quotes of a template.
    let has_its_title = |text: &str, number: u8| {
        let title = format!("threat {number}:");
        text.split("test(").skip(1).any(|test| {
            test.trim_start().strip_prefix(['"', '`']).is_some_and(|words| words.starts_with(&title))
        })
    };
    let is_tested = |number: &u8| {
        let name = format!("fn threat_{number}_");
        let has_its_name = |test: &str| test.trim_start().trim_start_matches("async ").starts_with(&name);
        sources
            .iter()
            .any(|code| code.replace("#[tokio::test]", "#[test]").split("#[test]").any(has_its_name))
            || scenarios.iter().any(|scenario| has_its_title(&scenario.text, *number))
    };
    let untested = THREATS.iter().filter(|(number, _)| !is_tested(number));
    none(
        &untested.map(|(number, threat)| format!("fn threat_{number}_...: {threat}")).collect::<Vec<_>>(),
        "a threat that no test is named after",
    );
}

#[test]
fn every_dependency_has_its_reason() {
    let mut offences = Vec::new();
    for manifest in under(".", &["toml"]).iter().filter(|source| source.path.ends_with("Cargo.toml")) {
        offences.extend(unreasoned_dependencies(manifest));
    }
    none(&offences, "a dependency without a comment above it: say what it is for");
}

/// Each entry of a dependency table without a comment on the line above.
fn unreasoned_dependencies(manifest: &Source) -> Vec<String> {
    let mut offences = Vec::new();
    let (mut in_dependencies, mut has_reason) = (false, false);
    for (number, line) in manifest.text.lines().enumerate() {
        if line.starts_with('[') {
            in_dependencies = line.contains("dependencies");
        } else if in_dependencies && line.starts_with(char::is_alphabetic) && !has_reason {
            offences.push(format!("{}:{}: {line}", manifest.path, number + 1));
        }
        has_reason = line.starts_with("# ");
    }
    offences
}

#[test]
fn every_key_of_the_default_configuration_is_explained() {
    let defaults = file("turnserver.toml");
    let mut offences = Vec::new();
    let mut explained = false;
    for (number, line) in defaults.text.lines().enumerate() {
        match line.trim_start() {
            comment if comment.starts_with('#') => explained = true,
            "" => explained = false,
            table if table.starts_with('[') => explained = false,
            key if key.contains('=') && !explained && !key.contains(" # ") => {
                offences.push(format!("turnserver.toml:{}: {key}", number + 1));
            }
            _ => {}
        }
    }
    none(&offences, "a key without its unit and reason, beside it or right above");
}

/// `turnserver.toml` is the manual of the configuration. Reasons and measurements stand in `docs/`.
#[test]
fn keys_of_the_default_configuration_are_explained_in_four_lines() {
    let mut offences = Vec::new();
    let mut comment = 0;
    for (number, line) in file("turnserver.toml").text.lines().enumerate() {
        if line.starts_with('#') {
            comment += 1;
        } else {
            if comment > 4 && line.contains(" = ") {
                offences.push(format!("turnserver.toml:{}: {comment} lines above {line}", number + 1));
            }
            comment = 0;
        }
    }
    none(&offences, "say what the key is, its unit and when to change it; the rest belongs into docs/");
}

#[test]
fn lock_files_name_public_registries_alone() {
    let crates = file("Cargo.lock");
    let browsers = file("tests/e2e/browser/package-lock.json");
    let clients = file("tests/e2e/lab/clients/node-datachannel/package-lock.json");
    let services = file("tests/e2e/clients/package-lock.json");
    let peerjs = file("benches/signaling/peerjs/package-lock.json");
    let mut offences = Vec::new();
    for (source, key, registry) in [
        (&crates, "source = ", "registry+https://github.com/rust-lang/crates.io-index"),
        (&browsers, "\"resolved\": ", "https://registry.npmjs.org/"),
        (&clients, "\"resolved\": ", "https://registry.npmjs.org/"),
        (&services, "\"resolved\": ", "https://registry.npmjs.org/"),
        (&peerjs, "\"resolved\": ", "https://registry.npmjs.org/"),
    ] {
        for (number, line) in source.text.lines().enumerate() {
            let other = line
                .trim_start()
                .strip_prefix(key)
                .is_some_and(|value| !value.starts_with(&format!("\"{registry}")));
            if other {
                offences.push(format!("{}:{}: {line}", source.path, number + 1));
            }
        }
    }
    none(&offences, "what others cannot reach does not belong into a lock file");
}

#[test]
fn links_between_files_lead_somewhere_within_the_project() {
    let root = root();
    let mut offences = Vec::new();
    for source in under(".", &["md"]) {
        let page = root.join(&source.path);
        for (number, line) in source.text.lines().enumerate() {
            let targets = line.split("](").skip(1).filter_map(|rest| rest.split(')').next());
            for target in targets.filter(|target| !target.contains("://")) {
                let (file, anchor) = target.split_once('#').unwrap_or((target, ""));
                let file = if file.is_empty() { page.clone() } else { page.with_file_name(file) };
                let within = file.canonicalize().is_ok_and(|path| path.starts_with(root));
                if !within || !anchor.is_empty() && !has_heading(&file, anchor) {
                    offences.push(format!("{}:{}: {target}", source.path, number + 1));
                }
            }
        }
    }
    none(&offences, "a link to a file or heading that is not there, or not part of the project");
}

/// Whether a document has a heading with this anchor, by GitHub's rule.
fn has_heading(document: &Path, anchor: &str) -> bool {
    let text = std::fs::read_to_string(document).expect("the linked document is text");
    text.lines().filter(|line| line.starts_with('#')).any(|line| {
        let heading = line.trim_start_matches('#').trim().to_lowercase();
        let kept = heading.chars().filter(|c| c.is_alphanumeric() || [' ', '-', '_'].contains(c));
        kept.map(|c| if c == ' ' { '-' } else { c }).eq(anchor.chars())
    })
}

#[test]
fn every_source_file_that_the_documents_name_exists() {
    let sources = under(".", &["rs"]);
    let exists = |named: &str| {
        sources.iter().any(|source| source.path == named || source.path.ends_with(&format!("/{named}")))
    };
    let mut offences = Vec::new();
    for page in under("docs", &["md"]).iter().chain(&[file("README.md")]) {
        for (number, line) in page.text.lines().enumerate() {
            let quoted = line.split('`').skip(1).step_by(2);
            let files = quoted.filter(|quoted| quoted.ends_with(".rs") && !quoted.contains([' ', '{', '*']));
            for named in files.filter(|named| !exists(named)) {
                offences.push(format!("{}:{}: {named}", page.path, number + 1));
            }
        }
    }
    none(&offences, "a file that was moved or removed: name the one that holds it now");
}

#[test]
fn every_test_that_protocol_coverage_names_exists() {
    let page = file("docs/protocol-coverage.md");
    let sources: Vec<_> = rust().into_iter().chain(tests()).collect();
    let exists = |path: &str, name: &str| {
        let path = match path.split('/').next() {
            Some("src" | "crates") => path.to_owned(),
            Some("core" | "wire") => format!("crates/turn/tests/{path}"),
            _ => format!("tests/{path}"),
        };
        let Some(source) = sources.iter().find(|source| source.path == path) else { return false };
        let lines: Vec<_> = source.text.lines().map(str::trim_start).collect();
        let declared = format!("fn {name}(");
        lines.iter().enumerate().any(|(number, line)| {
            let above = &lines[number.saturating_sub(3)..number];
            let is_test = |line: &&str| line.starts_with("#[test]") || line.starts_with("#[tokio::test");
            line.trim_start_matches("async ").starts_with(&declared) && above.iter().any(is_test)
        })
    };
    let (mut named, mut offences) = (0, Vec::new());
    for (number, line) in page.text.lines().enumerate() {
        let quoted = line.split('`').skip(1).step_by(2);
        for (path, name) in quoted.filter_map(|quoted| quoted.split_once("::")) {
            named += 1;
            if !exists(path, name) {
                offences.push(format!("{}:{}: {path}::{name}", page.path, number + 1));
            }
        }
    }
    assert_ne!(named, 0, "the page names its tests as `server/load.rs::name`");
    none(&offences, "a test that was renamed or removed: name the one that holds the section now");
}

#[test]
fn nothing_names_a_place_on_one_persons_machine() {
    let mut offences = Vec::new();
    for source in under(".", &["rs", "md", "toml", "mjs", "js", "html", "css", "json", "service"]) {
        for (number, line) in source.text.lines().enumerate() {
            // Written in two parts, so that the rule does not find itself.
            let places = [("/ho", "me/"), ("/Us", "ers/"), ("/wo", "rk/"), ("/ro", "ot/"), ("../sha", "red")];
            if let Some((a, b)) = places.iter().find(|(a, b)| line.contains(&format!("{a}{b}"))) {
                offences.push(format!("{}:{}: {a}{b}", source.path, number + 1));
            }
        }
    }
    none(&offences, "a path that exists nowhere else");
}

#[test]
fn the_page_builds_no_markup_from_strings() {
    let dangerous = [
        "innerHTML",
        "outerHTML",
        "insertAdjacentHTML",
        "document.write",
        "eval(",
        "new Function",
        "DOMParser",
        "srcdoc",
    ];
    let offences: Vec<_> =
        under("static", &["js", "html"]).iter().flat_map(|source| lines_with(source, &dangerous)).collect();
    none(&offences, "names and messages come from strangers: textContent only");
}

#[test]
fn the_page_has_no_inline_code_or_style_and_loads_nothing_from_others() {
    let mut offences = Vec::new();
    for source in under("static", &["html", "css"]) {
        let inline = [
            "<style",
            " style=",
            " onclick=",
            " onload=",
            " onerror=",
            "javascript:",
            "src=\"http",
            "href=\"http",
            "src=\"//",
            "url(http",
            "@import",
        ];
        offences.extend(lines_with(&source, &inline));
        let scripts = source
            .text
            .lines()
            .enumerate()
            .filter(|(_, line)| line.contains("<script") && !line.contains("src="));
        offences.extend(scripts.map(|(number, _)| format!("{}:{}: inline script", source.path, number + 1)));
    }
    none(&offences, "the content security policy would refuse it, and rightly");
}

/// The Rust of the product: all packages, without their tests and benches.
fn rust() -> Vec<Source> {
    let mut sources = under("src", &["rs"]);
    sources.extend(under("crates", &["rs"]).into_iter().filter(|source| source.path.contains("/src/")));
    sources
}

/// The Rust of all tests that stand beside the product.
fn tests() -> Vec<Source> {
    with_members("tests")
}

/// The Rust of all benches.
fn benches() -> Vec<Source> {
    with_members("benches")
}

/// The Rust of one folder of the root and of the packages under `crates`.
fn with_members(folder: &str) -> Vec<Source> {
    let mut sources = under(folder, &["rs"]);
    let within = format!("/{folder}/");
    sources.extend(under("crates", &["rs"]).into_iter().filter(|source| source.path.contains(&within)));
    sources
}

/// Each place where one of `words` stands in the code.
fn words(source: &Source, words: &[&str]) -> Vec<String> {
    let place = |word: &&str| {
        let found = source.lines_with_word(word);
        found.into_iter().map(|line| format!("{}:{line}: {word}", source.path)).collect::<Vec<_>>()
    };
    words.iter().flat_map(place).collect()
}

/// Each line with one of `parts`, whatever it is part of.
fn lines_with(source: &Source, parts: &[&str]) -> Vec<String> {
    let offends = |(number, line): (usize, &str)| {
        let part = parts.iter().find(|part| line.contains(*part))?;
        Some(format!("{}:{}: {part}", source.path, number + 1))
    };
    source.text.lines().enumerate().filter_map(offends).collect()
}

/// Fails with every offence on a line of its own and the remedy above.
fn none(offences: &[String], remedy: &str) {
    assert!(offences.is_empty(), "{remedy}\n  {}\n", offences.join("\n  "));
}

#[test]
fn the_clients_map_names_every_module() {
    let entry = file("static/byway.js");
    let (map, _) = entry.text.split_once("*/").expect("static/byway.js opens with a comment");
    let modules: BTreeSet<String> = under("static/byway", &["js"])
        .into_iter()
        .map(|source| source.path.trim_start_matches("static/").to_owned())
        .collect();
    let named: BTreeSet<String> = map
        .split(|c: char| c == '`' || c.is_whitespace())
        .filter(|word| word.starts_with("byway/") && word.ends_with(".js"))
        .map(str::to_owned)
        .collect();
    let offences: Vec<_> =
        modules.symmetric_difference(&named).map(|module| format!("static/byway.js:1: {module}")).collect();
    none(&offences, "a module that the head of byway.js does not list, or one that is gone");
}
