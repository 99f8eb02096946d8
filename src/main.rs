//! `byway`: arguments, configuration, server.

use std::env;
use std::fs;
use std::io::{self, IsTerminal as _};
use std::os::unix::fs::MetadataExt as _;
use std::process::ExitCode;

use byway::cli::{self, Arguments, Outcome};
use clap::Parser as _;
use tracing::{Level, Metadata};
use tracing_subscriber::EnvFilter;
use tracing_subscriber::filter::filter_fn;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;

/// Exit codes: 0 = done; 1 = `probe` found a fault, or the server failed where another try may go better; 2 = wrong usage
/// or configuration, or an address that cannot be had.
fn main() -> ExitCode {
    let arguments = Arguments::parse();
    log_to_stderr(arguments.log_level());
    match cli::run(arguments) {
        Ok(Outcome::Done) => ExitCode::SUCCESS,
        Ok(Outcome::FaultFound) => ExitCode::from(1),
        Err(error) => {
            eprintln!("{error}");
            ExitCode::from(error.exit_code())
        }
    }
}

/// Plain lines for a person or the journal; `RUST_LOG` overrides the level. The library that embeds the page would
/// announce each file.
fn log_to_stderr(level: &str) {
    let filter = EnvFilter::try_from_default_env()
        .unwrap_or_else(|_| EnvFilter::new(format!("{level},memory_serve=warn")));
    let colour = io::stderr().is_terminal() && env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
    let lines = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(io::stderr)
        .with_target(false)
        .with_ansi(colour);
    if stderr_is_the_journal() {
        lines.without_time().finish().with(filter_fn(may_be_told)).init();
    } else {
        lines.finish().with(filter_fn(may_be_told)).init();
    }
}

/// The library of the WebSockets tells every frame, and so credentials, the names of rooms and what is said in them.
/// No level may show those. That of HTTP/2 warns of what a stranger sends, frame by frame: whoever likes could fill the
/// disk with it.
fn may_be_told(event: &Metadata<'_>) -> bool {
    let is_of = |library| event.target().starts_with(library);
    !is_of("h2::") && (!is_of("tungstenite") || *event.level() <= Level::INFO)
}

/// Whether stderr goes to the systemd journal, which stamps every line itself: then `JOURNAL_STREAM` holds its device
/// and inode (systemd.exec(5)).
fn stderr_is_the_journal() -> bool {
    let stream = env::var("JOURNAL_STREAM").unwrap_or_default();
    fs::metadata("/dev/stderr").is_ok_and(|stderr| stream == format!("{}:{}", stderr.dev(), stderr.ino()))
}
