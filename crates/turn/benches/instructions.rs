//! Instructions that codec and core take for a packet, held to a record: a change that costs more
//! than 3 % fails.
//!
//! Callgrind counts them, by gungraun, and what is counted is the packet alone: its table of a
//! thousand allocations is there by then. `tests/run instructions` sees to the tools; by hand it is
//!
//! ```text
//! cargo bench -p byway-turn --profile instructions --bench instructions               counts, compares with benches/instructions.txt
//! cargo bench -p byway-turn --profile instructions --bench instructions -- --record   writes that file anew: commit it with its cause
//! cargo bench -p byway-turn --profile instructions --bench instructions -- PATTERN    counts some: '*::peer_to_*'
//! callgrind_annotate target/gungraun/byway-turn/instructions/counted/packets_group/packets.NAME/callgrind.*.out
//! ```
//!
//! The profile is that of a release, but for optimisation across crates at link time, which takes
//! minutes and is worth some per cent. Seeds and time are handed in, so that two runs differ by
//! nothing. Two compilers do: where it is another one than that of the record, only a quarter more
//! fails. Callgrind knows no SHA instructions, so that the cycle of an allocation, which is HMAC
//! above all, counts those of software.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a bench that cannot be set up has nothing to say")]

mod paths;

use std::collections::BTreeMap;
use std::process::{Command, ExitCode, Stdio};
use std::{env, fs};

use paths::{Crowd, Packet};

/// How many packets are counted in one go, behind as many that warm up.
const PACKETS: u32 = 1_000;
/// What more than the record fails.
const ALLOWANCE: f64 = 0.03;
/// The same where another compiler made it.
const ALLOWANCE_OF_ANOTHER_COMPILER: f64 = 0.25;

/// How it is to be built, and so the folder that cargo builds it in.
const PROFILE: &str = "instructions";
const RECORD: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/benches/instructions.txt");
/// Set where gungraun's own harness is to run.
const HARNESS: &str = "BYWAY_COUNTS_INSTRUCTIONS";

fn main() -> ExitCode {
    let mut arguments: Vec<_> = env::args().skip(1).collect();
    // Under valgrind it is run by gungraun's runner, which is run by gungraun's harness.
    if env::var_os(HARNESS).is_some() || arguments.iter().any(|argument| argument == "--gungraun-run") {
        counted::by_gungraun();
        return ExitCode::SUCCESS;
    }
    if !env::current_exe().unwrap().iter().any(|folder| folder == PROFILE) {
        eprintln!(
            "built in another profile than what was recorded: cargo bench --profile {PROFILE} --bench instructions"
        );
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
            eprintln!("a record is of everything: leave the pattern out");
            ExitCode::FAILURE
        }
    }
}

/// Instructions a packet, by name.
type Counts = BTreeMap<String, f64>;

/// Runs gungraun's harness, which prints a line of JSON for each bench.
fn count(arguments: &[String]) -> Option<Counts> {
    let mut harness = Command::new(env::current_exe().unwrap());
    harness.args(arguments).args(["--output-format=json", "--callgrind-args=cache-sim=no"]).env(HARNESS, "1");
    let output = harness.stderr(Stdio::inherit()).output().unwrap();
    let bench = |line: &[u8]| {
        let bench: serde_json::Value = serde_json::from_slice(line).ok()?;
        // With the count of the run before beside it, if there was one.
        let values = bench.pointer("/profiles/0/data/total/metrics/Ir/values")?;
        let instructions = values.get("new").or(values.pointer("/both/0"))?.as_f64()?;
        Some((bench.get("id")?.as_str()?.to_owned(), instructions / f64::from(PACKETS)))
    };
    let lines = output.stdout.split(|byte| *byte == b'\n').filter(|line| !line.is_empty());
    let counts: Option<Counts> = lines.map(bench).collect();
    if counts.is_none() {
        eprintln!(
            "gungraun's harness prints something else by now: {}",
            String::from_utf8_lossy(&output.stdout)
        );
    }
    counts.filter(|_| output.status.success())
}

/// Prints every count beside its record.
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
                    "test {name:<26} ... {count:8.1} a packet, recorded {record:8.1}, {:+5.1} % ... {verdict}",
                    more * 100.0
                );
                if more < -allowance {
                    println!("     fewer than that: record it anew, lest they come back unseen");
                }
            }
            None => println!("test {name:<26} ... {count:8.1} a packet, never recorded ... {}", fails(true)),
        }
    }
    for name in recorded.keys().filter(|name| everything && !counts.contains_key(*name)) {
        println!("test {name:<26} ... recorded, but there no longer ... {}", fails(true));
    }
    let passed = counts.len().saturating_sub(failed);
    let result = if failed == 0 { "ok" } else { "FAILED" };
    println!("\ntest result: {result}. {passed} passed; {failed} failed; 0 ignored");
    if failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// The compiler and what was counted with it.
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
    let mut text =
        String::from("# Instructions a packet. benches/instructions.rs counts, compares and writes them.\n");
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

/// What gungraun's macros make.
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

    /// What happens only once happens here: tables are in their final shape, and what is lazy has
    /// been made.
    fn warm(packet: Packet) -> Packet {
        serve(packet)
    }

    fn serve(mut packet: Packet) -> Packet {
        (0..PACKETS).for_each(|_| packet());
        packet
    }
}
