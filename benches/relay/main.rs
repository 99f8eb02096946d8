//! Byway, Debian's coturn and a plain forwarder side by side, under `byway load`:
//!
//! ```sh
//! cargo bench --bench relay                       # every row, three rounds: a quarter of an hour
//! cargo bench --bench relay -- c2p pair           # rows whose names contain one of these
//! cargo bench --bench relay -- --rounds 1 --list  # the names
//! ```
//!
//! One server runs at a time, pinned to the first core, and the generator to the second. Servers
//! take turns, and figures are medians of the rounds. CPU is the run time of all threads of the
//! server (`/proc/PID/task/*/schedstat`) while traffic flows, divided by the deliveries. Set-up and
//! warm-up are excluded. The bench needs Linux, two cores, `taskset`, and an otherwise idle
//! machine. Ten thousand allocations need as many file descriptors: `ulimit -Hn`, or root.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a panic is how a bench reports a failure")]

mod floor;
mod rows;
mod server;
mod table;

use std::process::{Command, Stdio};

use rows::{ROWS, Row};
use serde_json::Value;
use server::{Kind, Server};

/// File descriptors that the largest row needs in one process.
const FILES: u64 = 100_000;

fn main() {
    let mut arguments: Vec<String> =
        std::env::args().skip(1).filter(|argument| argument != "--bench").collect();
    if let [first, address] = &arguments[..]
        && first == floor::ARGUMENT
    {
        return floor::run(address.parse().expect("an address")).expect("the floor runs");
    }
    let mut rounds = 3;
    if let Some(at) = arguments.iter().position(|argument| argument == "--rounds") {
        rounds = arguments.get(at + 1).and_then(|rounds| rounds.parse().ok()).expect("--rounds NUMBER");
        arguments.drain(at..at + 2);
    }
    let is_list = arguments.iter().any(|argument| argument == "--list");
    arguments.retain(|argument| argument != "--list");
    let is_wanted = |row: &&Row| {
        arguments.is_empty() || arguments.iter().any(|argument| row.name.contains(argument.as_str()))
    };
    let rows: Vec<&Row> = ROWS.iter().filter(is_wanted).collect();
    if is_list || rows.is_empty() {
        ROWS.iter().for_each(|row| println!("{:<16} {}", row.name, row.what));
        return;
    }

    // Raises the hard limit, too, which needs root; otherwise raises the soft limit as far as
    // possible.
    if rlimit::setrlimit(rlimit::Resource::NOFILE, FILES, FILES).is_err() {
        let _ = rlimit::increase_nofile_limit(FILES);
    }
    let servers: Vec<Kind> = Kind::ALL.into_iter().filter(|kind| kind.is_there()).collect();
    let mut measured = table::Measured::default();
    for round in 1..=rounds {
        for row in &rows {
            eprintln!("round {round} of {rounds}: {}", row.name);
            for &kind in servers.iter().filter(|kind| row.servers.contains(kind)) {
                match measure(row, kind) {
                    Ok(report) => measured.add(row, kind, report),
                    Err(why) => eprintln!("{} with {}: {why}", row.name, kind.name()),
                }
            }
        }
    }
    print!("{}", measured.table(&rows));
}

/// Loads a new server; returns the report of `byway load`, or its error.
fn measure(row: &Row, kind: Kind) -> Result<Value, String> {
    let server = Server::start(kind, row)?;
    let output = Command::new("taskset")
        .args(["-c", "1", server::BINARY, "load", row.mode, &server.url(row.over)])
        .args(row.load)
        .args(["--json", "--secret", server::SECRET, "--pid", &server.pid().to_string()])
        .args(server.trust())
        .stdin(Stdio::null())
        .output()
        .map_err(|error| format!("taskset: {error}"))?;
    let said = String::from_utf8_lossy(&output.stderr);
    serde_json::from_slice(&output.stdout).map_err(|_| said.trim().replace('\n', "; "))
}
