//! Instructions per packet in codec and core, compared with a record. An increase of more than 3 %
//! fails.
//!
//! Callgrind counts them, by gungraun. Only the packets are counted: the table of a thousand
//! allocations exists before. `tests/run instructions` provides the tools. By hand:
//!
//! ```text
//! cargo bench -p byway-turn --profile instructions --bench instructions
//! ```
//!
//! counts, and compares with `benches/instructions.txt`. After `--`, there are two options:
//!
//! - `--record` writes that file again. Commit it with the reason for the change.
//! - A pattern such as `'*::peer_to_*'` counts some of the benches.
//!
//! `callgrind_annotate` shows where a bench spends its instructions:
//!
//! ```text
//! cd target/gungraun/byway-turn/instructions/counted/packets_group
//! callgrind_annotate packets.NAME/callgrind.*.out
//! ```
//!
//! The profile is that of a release, without optimisation across crates at link time, which takes
//! minutes and saves some per cent. Seeds and time are inputs, so two runs are identical. Two
//! compilers differ: with another compiler than the record's, only an increase of more than a
//! quarter fails. Callgrind does not know SHA instructions. The cycle of an allocation, which is
//! mostly HMAC, therefore counts the software implementation.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a failed set-up ends the bench")]

mod paths;

use std::collections::BTreeMap;
use std::process::{Command, ExitCode, Stdio};
use std::{env, fs};

use paths::{Crowd, Packet};

/// Packets that are counted in one run, after as many for warm-up.
const PACKETS: u32 = 1_000;
/// Allowed increase over the record.
const ALLOWANCE: f64 = 0.03;
/// Allowed increase over a record by another compiler.
const ALLOWANCE_OF_ANOTHER_COMPILER: f64 = 0.25;

/// Profile to build with, and so the name of cargo's folder for it.
const PROFILE: &str = "instructions";
const RECORD: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/benches/instructions.txt");
/// Environment variable that starts gungraun's own harness.
const HARNESS: &str = "BYWAY_COUNTS_INSTRUCTIONS";

fn main() -> ExitCode {
    let mut arguments: Vec<_> = env::args().skip(1).collect();
    // Under valgrind, gungraun's runner starts this program; gungraun's harness starts the runner.
    if env::var_os(HARNESS).is_some() || arguments.iter().any(|argument| argument == "--gungraun-run") {
        counted::by_gungraun();
        return ExitCode::SUCCESS;
    }
    if !env::current_exe().unwrap().iter().any(|folder| folder == PROFILE) {
        eprintln!("wrong profile for this record: run cargo bench --profile {PROFILE} --bench instructions");
        return ExitCode::FAILURE;
    }
    let whole = arguments.len();
    arguments.retain(|argument| argument != "--record");
    let record = arguments.len() < whole;

    let Some(counts) = count(&arguments) else { return ExitCode::FAILURE };
    let everything = arguments.iter().all(|argument| argument == "--bench");
    match (record, everything) {
        (false, _) => compare(&counts, everything),
        (true, true) => write_record(&counts),
        (true, false) => {
            eprintln!("a record covers all benches: omit the pattern");
            ExitCode::FAILURE
        }
    }
}

/// Instructions per packet, by name.
type Counts = BTreeMap<String, f64>;

/// Runs gungraun's harness, which prints a line of JSON per bench.
fn count(arguments: &[String]) -> Option<Counts> {
    let mut harness = Command::new(env::current_exe().unwrap());
    harness.args(arguments).args(["--output-format=json", "--callgrind-args=cache-sim=no"]).env(HARNESS, "1");
    let output = harness.stderr(Stdio::inherit()).output().unwrap();
    let bench = |line: &[u8]| {
        let bench: serde_json::Value = serde_json::from_slice(line).ok()?;
        // `both` also contains the count of the previous run, if there was one.
        let values = bench.pointer("/profiles/0/data/total/metrics/Ir/values")?;
        let instructions = values.get("new").or(values.pointer("/both/0"))?.as_f64()?;
        Some((bench.get("id")?.as_str()?.to_owned(), instructions / f64::from(PACKETS)))
    };
    let lines = output.stdout.split(|byte| *byte == b'\n').filter(|line| !line.is_empty());
    let counts: Option<Counts> = lines.map(bench).collect();
    if counts.is_none() {
        eprintln!("unknown output of gungraun's harness: {}", String::from_utf8_lossy(&output.stdout));
    }
    counts.filter(|_| output.status.success())
}

/// Prints every count next to its record.
fn compare(counts: &Counts, everything: bool) -> ExitCode {
    let (compiler, recorded) = read_record();
    let mut allowance = ALLOWANCE;
    if compiler != this_compiler() {
        println!("recorded with {compiler}, counted with {}", this_compiler());
        allowance = ALLOWANCE_OF_ANOTHER_COMPILER;
    }
    let mut failed = 0;
    let mut fails = |it_does: bool| {
        failed += usize::from(it_does);
        if it_does { "FAILED" } else { "ok" }
    };
    for (name, count) in counts {
        match recorded.get(name) {
            Some(record) => {
                let more = count / record - 1.0;
                let verdict = fails(more > allowance);
                println!(
                    "test {name:<26} ... {count:8.1} per packet, recorded {record:8.1}, {:+5.1} % ... {verdict}",
                    more * 100.0
                );
                if more < -allowance {
                    println!("     fewer than recorded: record it again, so that an increase is noticed");
                }
            }
            None => println!("test {name:<26} ... {count:8.1} per packet, not recorded ... {}", fails(true)),
        }
    }
    for name in recorded.keys().filter(|name| everything && !counts.contains_key(*name)) {
        println!("test {name:<26} ... in the record, but not counted ... {}", fails(true));
    }
    let passed = counts.len().saturating_sub(failed);
    let result = if failed == 0 { "ok" } else { "FAILED" };
    println!("\ntest result: {result}. {passed} passed; {failed} failed; 0 ignored");
    if failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// Returns the compiler of the record and its counts.
fn read_record() -> (String, Counts) {
    let text = fs::read_to_string(RECORD).unwrap_or_default();
    let mut lines = text.lines().filter(|line| !line.starts_with('#'));
    let compiler = lines.next().unwrap_or_default().to_owned();
    let count = |line: &str| {
        let (name, count) = line.split_once(' ')?;
        Some((name.to_owned(), count.trim().parse().ok()?))
    };
    (compiler, lines.filter_map(count).collect())
}

fn write_record(counts: &Counts) -> ExitCode {
    let mut text = String::from(
        "# Instructions per packet. benches/instructions.rs counts, compares and writes them.\n",
    );
    text += &this_compiler();
    text.push('\n');
    for (name, count) in counts {
        text += &format!("{name:<26} {count:8.1}\n");
    }
    print!("{text}");
    fs::write(RECORD, text).unwrap();
    ExitCode::SUCCESS
}

fn this_compiler() -> String {
    let version = Command::new("rustc").arg("--version").output().unwrap();
    String::from_utf8_lossy(&version.stdout).trim().to_owned()
}

/// Benches that gungraun's macros generate.
mod counted {
    use gungraun::{library_benchmark, library_benchmark_group, main};

    use super::{Crowd, PACKETS, Packet, paths};

    const SCATTERED: Crowd = Crowd { allocations: 1_000, train: 1 };
    const TRAINS: Crowd = Crowd { allocations: 1_000, train: 8 };

    #[library_benchmark]
    #[bench::parse_channel_data(warm(paths::parse_channel_data()))]
    #[bench::parse_send(warm(paths::parse_send()))]
    #[bench::parse_allocate(warm(paths::parse_allocate()))]
    #[bench::write_channel_header(warm(paths::write_channel_header()))]
    #[bench::write_data_header(warm(paths::write_data_header()))]
    #[bench::write_binding(warm(paths::write_binding()))]
    #[bench::channel_to_peer(warm(paths::channel_to_peer(SCATTERED)))]
    #[bench::channel_to_peer_in_trains(warm(paths::channel_to_peer(TRAINS)))]
    #[bench::send_to_peer(warm(paths::send_to_peer(SCATTERED)))]
    #[bench::peer_to_channel(warm(paths::peer_to_channel(SCATTERED)))]
    #[bench::peer_to_data(warm(paths::peer_to_data(SCATTERED)))]
    #[bench::client_to_client(warm(paths::client_to_client(SCATTERED)))]
    #[bench::binding(warm(paths::binding()))]
    #[bench::allocation_cycle(warm(paths::allocation_cycle()))]
    fn packets(packet: Packet) -> Packet {
        serve(packet)
    }

    library_benchmark_group!(name = packets_group, benchmarks = packets);
    main!(library_benchmark_groups = packets_group);

    pub(super) fn by_gungraun() {
        main();
    }

    /// Warms up, so that tables have their final size and lazy values exist.
    fn warm(packet: Packet) -> Packet {
        serve(packet)
    }

    fn serve(mut packet: Packet) -> Packet {
        (0..PACKETS).for_each(|_| packet());
        packet
    }
}
