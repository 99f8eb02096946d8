//! The signaling of Byway and of `peerjs-server` side by side, with many idle clients and many that
//! join and leave:
//!
//! ```sh
//! cargo bench --bench signaling                      # all servers, three rounds: eight minutes
//! cargo bench --bench signaling -- --rounds 1 byway  # byway, peerjs, floor, thread or threads
//! cargo bench --bench signaling -- --idle 2000       # fewer idle clients
//! cargo bench --bench signaling -- cluster       # three nodes of Byway beside one server
//! cargo bench --bench signaling -- messages      # messages between nodes: bytes and time of each
//! cargo bench --bench signaling -- heartbeats    # a broker that passes on those of 1,000 nodes
//! ```
//!
//! One server runs at a time, on the first core, and the load on the second. Servers take turns,
//! and figures are medians of the rounds. The floor is a server that copies messages between two
//! clients: it shows the cost of the kernel and of the generator. "thread" and "threads" do the
//! same as tasks of a runtime with one worker or two, which share the core as Byway's do.
//!
//! `cluster` spreads the clients over three nodes, which a `nats-server` connects. It compares the
//! signals between members on two nodes with those within one, at the same time. All servers share
//! the first core.
//!
//! The bench needs Linux, two cores, `taskset`, `nats-server`, node and npm for `peerjs-server`,
//! and an otherwise idle machine. The generator needs 16,000 file descriptors and a server 20,000.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a panic is how a bench reports a failure")]

mod cluster;
mod crowd;
mod dialect;
mod floor;
mod heartbeats;
mod messages;
mod server;
mod stalled;
mod table;
mod threads;
mod websocket;

use std::time::Duration;

use crowd::Crowd;
use nix::sched::{CpuSet, sched_setaffinity};
use nix::unistd::Pid;
use server::{Kind, Server};
use table::{Measured, Report};

/// Joins and signals per second, the warm-up, and the time of measurement.
const JOINS: u32 = 2_000;
const SIGNALS: u32 = 1_000;
const WARM_UP: Duration = Duration::from_secs(2);
const MEASURED: Duration = Duration::from_secs(8);
/// Idle time before memory is read, in which garbage is collected and heartbeats arrive.
const SETTLED: Duration = Duration::from_secs(6);

fn main() {
    let mut arguments: Vec<String> =
        std::env::args().skip(1).filter(|argument| argument != "--bench").collect();
    // As many file descriptors as possible.
    let files = rlimit::increase_nofile_limit(u64::MAX).expect("a limit");
    if let [first, address] = &arguments[..]
        && first == floor::ARGUMENT
    {
        return floor::run(address.parse().expect("an address")).expect("the floor runs");
    }
    if let [first, address, workers] = &arguments[..]
        && first == threads::ARGUMENT
    {
        let (address, workers) = (address.parse().expect("an address"), workers.parse().expect("a number"));
        return threads::run(address, workers).expect("the floor runs");
    }
    let rounds = number(&mut arguments, "--rounds").unwrap_or(3);
    let idle = number(&mut arguments, "--idle").unwrap_or(10_000);
    if arguments == [cluster::ARGUMENT] {
        eprintln!("{idle} members, {SIGNALS} signals per second; {files} file descriptors each");
        return print!("{}", cluster::measure(rounds, idle).expect("the servers run"));
    }
    if arguments == [messages::ARGUMENT] {
        return print!("{}", messages::measure());
    }
    if arguments == [heartbeats::ARGUMENT] {
        return print!("{}", heartbeats::measure().expect("the broker runs"));
    }
    let is_wanted = |kind: &Kind| arguments.is_empty() || arguments.iter().any(|name| name == kind.name());
    let servers: Vec<Kind> =
        Kind::ALL.into_iter().filter(|kind| is_wanted(kind) && kind.is_there()).collect();
    eprintln!("{idle} idle, {JOINS} joins and {SIGNALS} signals per second; {files} file descriptors each");

    let mut measured = Measured::default();
    for round in 1..=rounds {
        for &kind in &servers {
            eprintln!("round {round} of {rounds}: {}", kind.name());
            match measure(kind, idle) {
                Ok(report) => measured.add(kind, report),
                Err(why) => eprintln!("{}: {why}", kind.name()),
            }
        }
    }
    print!("{}", measured.table());
}

/// Loads a new server.
fn measure(kind: Kind, idle: usize) -> Result<Report, String> {
    let server = Server::start(kind)?;
    second_core();
    let mut crowd = Crowd::new(kind.dialect(), server.address).map_err(|error| error.to_string())?;
    let empty = server.memory();
    let began = crowd.now();
    crowd.gather(idle)?;
    let gathered = crowd.now() - began;
    crowd.run(SETTLED, &mut crowd::Plan::default());
    let idle_memory = server.memory();
    crowd.describe();
    crowd.run(SETTLED, &mut crowd::Plan::default());
    let calling_memory = server.memory();
    let cpu = server.cpu();
    let loaded = crowd.now();
    let outcome = crowd.load(JOINS, SIGNALS, WARM_UP, MEASURED);
    let busy = (server.cpu() - cpu).as_secs_f64() / (crowd.now() - loaded).as_secs_f64();
    let mut report = Report::default();
    report.set("idle", (idle_memory - empty) / 1024.0 / idle as f64);
    report.set("calling", (calling_memory - empty) / 1024.0 / idle as f64);
    report.set("gathered", idle as f64 / gathered.as_secs_f64());
    report.set("joins", outcome.joins as f64 / MEASURED.as_secs_f64());
    report.set_times("join", &outcome.join_times);
    report.set_times("signal", &outcome.signal_times);
    report.set("lost", outcome.lost as f64 * 100.0 / outcome.signal_times.len() as f64);
    report.set("busy", busy * 100.0);
    report.set_times("late", &outcome.late);
    // The other servers have no rooms with more than two members.
    if kind == Kind::Byway {
        let found = stalled::measure(&mut crowd);
        let median = |p99: &[Duration]| p99[p99.len() / 2].as_secs_f64() * 1e3;
        report.set("quiet p99", median(&found.without));
        report.set("stalled p99", median(&found.with));
        report.set("closed", found.closed as f64);
    }
    Ok(report)
}

/// Removes the option `name` and its number from the arguments; returns the number.
fn number(arguments: &mut Vec<String>, name: &str) -> Option<usize> {
    let at = arguments.iter().position(|argument| argument == name)?;
    let number = arguments.get(at + 1).and_then(|number| number.parse().ok());
    arguments.drain(at..(at + 2).min(arguments.len()));
    Some(number.unwrap_or_else(|| panic!("{name} NUMBER")))
}

/// Pins the generator to the second core. Servers that start later choose their core by `taskset`.
fn second_core() {
    let mut cores = CpuSet::new();
    cores.set(1).expect("a core");
    if let Err(error) = sched_setaffinity(Pid::from_raw(0), &cores) {
        eprintln!("no second core, so the figures are not valid: {error}");
    }
}
