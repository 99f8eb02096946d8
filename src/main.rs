//! `byway`: arguments, configuration, server.

use std::process::ExitCode;

use byway::cli::{self, Arguments, CommandOutcome};
use byway::log::{self, Log};
use clap::Parser as _;

/// Runs `byway`, and returns its exit code:
///
/// - 0: done.
/// - 1: a command found a fault, or failed in a way that another attempt may fix. Examples are a
///   lack of descriptors, or a port that another program has.
/// - 2: wrong usage or configuration.
fn main() -> ExitCode {
    let arguments = match Arguments::try_parse() {
        Ok(arguments) => arguments,
        Err(error) if error.use_stderr() && log::stderr_is_journal() => {
            log::say_before_start(error.to_string().trim_end());
            return ExitCode::from(2);
        }
        Err(error) => error.exit(),
    };
    let log = match Log::start(&arguments.log_level()) {
        Ok(log) => log,
        Err(error) => {
            Log::off().last_words(&format!("cannot start the log's thread: {error}"));
            return ExitCode::FAILURE;
        }
    };
    match cli::run(arguments, &log) {
        Ok(CommandOutcome::Done) => ExitCode::SUCCESS,
        Ok(CommandOutcome::FaultFound) => ExitCode::FAILURE,
        Err(error) => {
            log.last_words(&error.to_string());
            ExitCode::from(error.exit_code())
        }
    }
}
